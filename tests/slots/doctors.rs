//! Times of several doctors, the earliest first: the same as one after the other, in pages, and for whoever looks.

use std::collections::BTreeSet;

use cita_cli::Connection;
use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Practice, at, date, key, text};
use crate::harness::rest::Rest;
use crate::harness::visits::visit;

/// Three doctors, two of one speciality and one in another zone, each with a service of 30 and one of 45 minutes.
async fn clinic() -> (Clinic, Vec<Practice>, Vec<String>) {
    let clinic = Clinic::open().await;
    let (mut practices, mut longer) = (Vec::new(), Vec::new());
    for (zone, specialisation) in
        [("America/Bogota", "Cardiología"), ("Europe/Madrid", "cardiologia"), ("America/Lima", "Pediatría")]
    {
        let practice = clinic.practice().await;
        let doctor = clinic.connect(&practice.doctor).await;
        let profile = json!({ "id": practice.doctor.id, "specialisation": specialisation, "timeZone": zone });
        doctor.request("doctor.update", profile, Some(key())).await.unwrap();
        let service = json!({ "doctorId": practice.doctor.id, "name": "Primera visita", "durationMinutes": 45, "horizonDays": 90 });
        let service = doctor.request("service.create", service, Some(key())).await.unwrap().data;
        longer.push(text(&service, "id"));
        practices.push(practice);
    }
    (clinic, practices, longer)
}

/// All pages.
async fn all(who: &Connection, mut search: Value, page_size: usize) -> Vec<Value> {
    let mut found = Vec::new();
    search["pageSize"] = json!(page_size);
    loop {
        let page = who.request("slot.searchDoctors", &search, None).await.unwrap().data;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= page_size);
        found.extend(items.iter().cloned());
        match page.get("nextPageToken") {
            Some(token) => search["pageToken"] = token.clone(),
            None => return found,
        }
    }
}

/// What single searches say, in the order of several.
async fn one_by_one(who: &Connection, of: &[(&str, &str, &str)], from: &str, to: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for (doctor, service, zone) in of {
        let search = json!({ "doctorId": doctor, "serviceId": service, "from": from, "to": to });
        let slots = who.request("slot.search", search, None).await.unwrap().data;
        for slot in slots["slots"].as_array().unwrap() {
            let mut slot = slot.clone();
            slot["doctorId"] = json!(doctor);
            slot["serviceId"] = json!(service);
            slot["timeZone"] = json!(zone);
            found.push(slot);
        }
    }
    found.sort_by_key(|slot| (text(slot, "start"), text(slot, "doctorId"), text(slot, "serviceId")));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_doctors_are_searched_as_one_after_the_other() {
    let (clinic, practices, longer) = clinic().await;
    let anon = clinic.anon().await;
    let id = |n: usize| practices[n].doctor.id.as_str();
    let short = |n: usize| practices[n].service.as_str();
    let (from, to) = (date(1), date(2));
    let zones = ["America/Bogota", "Europe/Madrid", "America/Lima"];

    let everything: Vec<_> =
        (0..3).flat_map(|n| [(id(n), short(n), zones[n]), (id(n), longer[n].as_str(), zones[n])]).collect();
    let expected = one_by_one(&anon, &everything, &from, &to).await;
    assert_eq!(expected.len(), 3 * 2 * (20 + 13));
    let window = json!({ "from": from, "to": to });
    for page_size in [1, 7, 100] {
        assert_eq!(all(&anon, window.clone(), page_size).await, expected, "pages of {page_size}");
    }

    let cardiologists = json!({ "from": from, "to": to, "specialisation": "Cardiología", "service": "primera" });
    let expected = one_by_one(&anon, &[everything[1], everything[3]], &from, &to).await;
    assert_eq!(all(&anon, cardiologists, 10).await, expected);

    let named = json!({
        "from": from, "to": to, "doctorIds": [id(2), id(0), id(2)], "serviceIds": [short(0), longer[2]], "pageSize": 100
    });
    let expected = one_by_one(&anon, &[everything[0], everything[5]], &from, &to).await;
    assert_eq!(all(&anon, named.clone(), 100).await, expected);
    let rest = Rest { url: clinic.url(), token: None };
    let page = rest.call(Operation::SlotSearchDoctors, &named, None).await.json();
    assert_eq!(page["items"], json!(expected));

    // One day of Madrid is not one day of Bogotá: what lies in it does, whoever's it is.
    let in_madrid = json!({ "from": from, "to": from, "timeZone": "Europe/Madrid" });
    let found = all(&anon, in_madrid, 100).await;
    let midnight = |day: &str| format!("{day}T00:00:00[Europe/Madrid]").parse::<jiff::Zoned>().unwrap().timestamp();
    let (begin, end) = (midnight(&from).to_string(), midnight(&to).to_string());
    let wide = one_by_one(&anon, &everything, &date(0), &date(3)).await;
    let expected: Vec<Value> =
        wide.into_iter().filter(|slot| (begin.clone()..end.clone()).contains(&text(slot, "start"))).collect();
    assert_eq!(found, expected);
    let doctors: BTreeSet<String> = found.iter().map(|slot| text(slot, "doctorId")).collect();
    assert_eq!(doctors.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_booked_has_no_times_and_a_search_says_what_it_wants() {
    let (clinic, practices, _) = clinic().await;
    let rest = Rest { url: clinic.url(), token: None };
    let nobody = uuid::Uuid::new_v4();
    let (from, to) = (date(1), date(2));
    let alone = json!({ "from": from, "to": to, "doctorIds": [practices[0].doctor.id], "pageSize": 100 });
    let mut with_nobody = alone.clone();
    with_nobody["doctorIds"] = json!([practices[0].doctor.id, nobody]);
    let found = rest.call(Operation::SlotSearchDoctors, &with_nobody, None).await.json();
    assert_eq!(found, rest.call(Operation::SlotSearchDoctors, &alone, None).await.json());

    let many: Vec<_> = (0..51).map(|_| uuid::Uuid::new_v4()).collect();
    for (fields, expected) in [
        (json!({ "doctorIds": many }), "/doctorIds too_many"),
        (json!({ "doctorIds": "" }), "/doctorIds/0 invalid"),
        (json!({ "doctorIds": [nobody], "specialisation": "x" }), "/doctorIds invalid"),
        (json!({ "serviceIds": ["x"] }), "/serviceIds/0 invalid"),
        (json!({ "pageSize": 101 }), "/pageSize out_of_range"),
        (json!({ "pageToken": "x" }), "/pageToken invalid"),
        (json!({ "pageToken": format!("1_{nobody}") }), "/pageToken invalid"),
        (json!({ "timeZone": "Bogota" }), "/timeZone invalid"),
        (json!({ "to": date(0) }), "/to out_of_range"),
        (json!({ "to": date(63) }), "/to out_of_range"),
    ] {
        let mut search = json!({ "from": from, "to": to });
        search.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let refused = rest.call(Operation::SlotSearchDoctors, &search, None).await;
        assert_eq!(refused.fields(), [expected], "{search}");
    }
    let empty = json!({ "doctorIds": [], "from": from, "to": to });
    let refused = clinic.anon().await.request("slot.searchDoctors", empty, None).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().errors[0].code, "required");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_appointments_are_marked_on_any_node_and_by_both_searches() {
    let (clinic, practices, _) = clinic().await;
    let other = clinic.node().await;
    let patient = clinic.patient().await;
    let (here, there) = (clinic.connect(&patient).await, other.connect(Some(&patient)).await);
    let day = date(3);
    // The buffers of an appointment are the doctor's time, not the patient's.
    let buffered = json!({
        "name": "Eco", "durationMinutes": 30, "bufferBeforeMinutes": 30, "bufferAfterMinutes": 30, "horizonDays": 90
    });
    let elsewhere = clinic.practice_with(buffered).await;
    let search = |after: &Option<Value>| {
        let mut search = json!({
            "doctorId": practices[0].doctor.id, "serviceId": practices[0].service, "from": day, "to": day
        });
        if let Some(after) = after {
            search["after"] = after.clone();
        }
        search
    };
    let conflicts = |slots: &Value| -> Vec<String> {
        let slots = slots.as_array().unwrap().iter().filter(|slot| slot.get("conflict").is_some());
        slots.map(|slot| text(slot, "start")).collect()
    };
    let mut after = None;
    for round in 0..5 {
        let booked =
            here.request("appointment.book", elsewhere.booking(&at(&day, "10:00")), Some(key())).await.unwrap();
        after = booked.cursor.map(|cursor| json!(cursor)).or(after);
        let found = there.request("slot.search", search(&after), None).await.unwrap().data;
        assert_eq!(conflicts(&found["slots"]), [at(&day, "10:00")], "{round}");
        let across = json!({
            "doctorIds": [practices[0].doctor.id], "serviceIds": [practices[0].service], "from": day, "to": day,
            "pageSize": 100, "after": after
        });
        let several = there.request("slot.searchDoctors", across, None).await.unwrap().data;
        assert_eq!(conflicts(&several["items"]), [at(&day, "10:00")], "{round}");
        let anybody = clinic.anon().await.request("slot.search", search(&None), None).await.unwrap().data;
        assert!(conflicts(&anybody["slots"]).is_empty());
        let cancel = json!({ "id": booked.data["id"] });
        let cancelled = here.request("appointment.cancel", cancel, Some(key())).await.unwrap();
        after = cancelled.cursor.map(|cursor| json!(cursor)).or(after);
        let found = there.request("slot.search", search(&after), None).await.unwrap().data;
        assert!(conflicts(&found["slots"]).is_empty(), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_patient_is_shown_what_is_for_them() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let doctor = clinic.connect(&practice.doctor).await;
    let mut services = vec![practice.service.clone()];
    for patients in ["new", "known"] {
        let service = json!({
            "doctorId": practice.doctor.id, "name": patients, "durationMinutes": 60, "patients": patients, "horizonDays": 90
        });
        services.push(text(&doctor.request("service.create", service, Some(key())).await.unwrap().data, "id"));
    }
    let (stranger, regular) = (clinic.patient().await, clinic.person("patient", "Rosa Roa").await);
    visit(&clinic, &practice, &regular, &at(&date(5), "09:00")).await;
    let (stranger, regular) = (clinic.connect(&stranger).await, clinic.connect(&regular).await);
    let anon = clinic.anon().await;
    for (who, connection, expected) in [
        ("anybody", &anon, [true, true, true]),
        ("a stranger", &stranger, [true, true, false]),
        ("a regular", &regular, [true, false, true]),
        ("the doctor", &doctor, [true, true, true]),
    ] {
        let across = json!({ "doctorIds": [practice.doctor.id], "from": date(2), "to": date(2), "pageSize": 100 });
        let across = connection.request("slot.searchDoctors", across, None).await.unwrap().data;
        for (service, expected) in services.iter().zip(expected) {
            let search =
                json!({ "doctorId": practice.doctor.id, "serviceId": service, "from": date(2), "to": date(2) });
            let found = connection.request("slot.search", search, None).await.unwrap().data;
            assert_eq!(!found["slots"].as_array().unwrap().is_empty(), expected, "{who}");
            let several = across["items"].as_array().unwrap().iter().any(|slot| slot["serviceId"] == service.as_str());
            assert_eq!(several, expected, "{who}");
        }
    }
}

/// Every time that is told says in which zone it is: what is told with an error, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alternatives_are_told_with_the_zone_of_their_doctor() {
    let (clinic, practices, _) = clinic().await;
    let patients = (clinic.patient().await, clinic.person("patient", "Rival Ruiz").await);
    let (patient, rival) = (clinic.connect(&patients.0).await, clinic.connect(&patients.1).await);
    // 10:00 in Madrid.
    let start = format!("{}T10:00:00[Europe/Madrid]", date(4)).parse::<jiff::Zoned>().unwrap().timestamp().to_string();
    rival.request("appointment.book", practices[1].booking(&start), Some(key())).await.unwrap();
    let series = json!({
        "doctorId": practices[1].doctor.id, "serviceId": practices[1].service, "start": start, "rrule": "FREQ=DAILY;COUNT=2"
    });
    for (operation, data) in [
        ("appointment.book", practices[1].booking(&start)),
        ("slot.hold", practices[1].booking(&start)),
        ("series.book", series),
    ] {
        let refused = patient.request(operation, data, Some(key())).await.unwrap_err();
        let problem = refused.problem().unwrap();
        assert_eq!(problem.time_zone.as_ref().map(|zone| zone.as_str()), Some("Europe/Madrid"), "{operation}");
        assert!(problem.alternatives.as_ref().is_some_and(|times| !times.is_empty()), "{operation}");
    }
}
