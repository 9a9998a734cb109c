//! Commands that look around (doctors, services, free times), and finding a doctor or service by name.

use cita_protocol::doctor::{Doctor, DoctorGetRequest, DoctorSearchRequest, DoctorSort, Service, ServiceListRequest};
use cita_protocol::slot::{SlotSearchReply, SlotSearchRequest};
use cita_protocol::{Operation, Page};
use serde_json::json;
use uuid::Uuid;

use crate::args::{DoctorSearch, SlotRange, SortArgument};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Paint, plain};
use crate::screen;
use crate::times::{self, Days};

/// The largest page that the server gives.
pub const PAGE_SIZE: u32 = 100;
/// Days that slots are shown for: none before today, seven after the first.
pub const SLOT_DAYS: (i32, i32) = (0, 7);

pub async fn doctors(client: &mut Client, search: DoctorSearch) -> Result<(), Failure> {
    let request = DoctorSearchRequest {
        text: (!search.text.is_empty()).then(|| search.text.join(" ")),
        specialisation: search.specialisation,
        language: search.language,
        sort: Some(match search.sort {
            SortArgument::Name => DoctorSort::Name,
            SortArgument::Rating => DoctorSort::Rating,
            SortArgument::Price => DoctorSort::Price,
            SortArgument::Experience => DoctorSort::Experience,
            SortArgument::Available => DoctorSort::Available,
        }),
        ..DoctorSearchRequest::default()
    };
    let doctors = all_doctors(client, request).await?;
    client.close().await;
    for doctor in &doctors {
        client.output.object(doctor);
        let specialisation = doctor.specialisation.as_deref().unwrap_or("–");
        client.output.line(format!(
            "{}  {} · {}{}{} · {}",
            client.output.paint(Paint::Faint, doctor.id.as_str()),
            client.output.paint(Paint::Strong, &plain(&doctor.name)),
            plain(specialisation),
            doctor.price.as_ref().map(screen::price).unwrap_or_default(),
            doctor.rating.map(screen::rating).unwrap_or_default(),
            plain(doctor.time_zone.as_str()),
        ));
    }
    if doctors.is_empty() {
        client.output.line("There is no such doctor who can be booked.");
    }
    Ok(())
}

pub async fn doctor(client: &mut Client, doctor: &str) -> Result<(), Failure> {
    let doctor = find_doctor(client, doctor).await?;
    client.close().await;
    client.output.object(&doctor);
    client.output.line(client.output.paint(Paint::Strong, &plain(&doctor.name)));
    for line in screen::profile(&doctor) {
        client.output.line(line);
    }
    Ok(())
}

pub async fn services(client: &mut Client, doctor: &str) -> Result<(), Failure> {
    let doctor = find_doctor(client, doctor).await?;
    let services = all_services(client, &doctor).await?;
    client.close().await;
    client.output.line(client.output.paint(Paint::Strong, &plain(&doctor.name)));
    for service in &services {
        client.output.object(service);
        client.output.line(format!(
            "{}  {} · {} min{}",
            client.output.paint(Paint::Faint, service.id.as_str()),
            plain(&service.name),
            service.duration_minutes,
            service.price.as_ref().map(screen::price).unwrap_or_default(),
        ));
    }
    if services.is_empty() {
        client.output.line("  offers nothing at the moment");
    }
    Ok(())
}

pub async fn slots(client: &mut Client, range: &SlotRange) -> Result<(), Failure> {
    let (doctor, service) = find_both(client, &range.doctor, &range.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let (from, to) = (range.from.as_deref(), range.to.as_deref());
    let days = Days::parse(from, to, times::today(&zone), SLOT_DAYS)?;
    let request = SlotSearchRequest {
        doctor_id: doctor.id.clone(),
        service_id: service.id.clone(),
        from: days.first(),
        to: days.last(),
        time_zone: None,
        after: None,
    };
    let found: SlotSearchReply = client.read(Operation::SlotSearch, request).await?;
    client.close().await;
    let output = client.output;
    output.line(output.paint(Paint::Strong, &screen::slots_title(&doctor, &service)));
    for slot in &found.slots {
        let mut object = json!(slot);
        object["timeZone"] = json!(found.time_zone);
        output.object(&object);
    }
    for line in screen::slots_by_day(&found.slots, &zone) {
        output.line(line);
    }
    if found.slots.is_empty() {
        output.line(format!("Nothing is free from {} to {}.", days.from, days.to));
    }
    Ok(())
}

/// The doctor and the service that these texts mean.
pub async fn find_both(client: &mut Client, doctor: &str, service: &str) -> Result<(Doctor, Service), Failure> {
    let doctor = find_doctor(client, doctor).await?;
    let services = all_services(client, &doctor).await?;
    let names = |service: &Service| (service.id.0.clone(), service.name.clone());
    let hint = format!("See: cita-cli services {}", doctor.id);
    let service = pick(services, service, names).map_err(|failure| failure.with_hint(hint))?;
    Ok((doctor, service))
}

/// The doctor that this text means: an id, or a part of one name only.
pub async fn find_doctor(client: &mut Client, text: &str) -> Result<Doctor, Failure> {
    if let Ok(id) = Uuid::parse_str(text.trim()) {
        let request = DoctorGetRequest { id: id.to_string().into(), after: None };
        return client.read(Operation::DoctorGet, request).await;
    }
    let doctors = all_doctors(client, DoctorSearchRequest::default()).await?;
    let names = |doctor: &Doctor| (doctor.id.0.clone(), doctor.name.clone());
    pick(doctors, text, names).map_err(|failure| failure.with_hint("See: cita-cli doctors"))
}

async fn all_doctors(client: &mut Client, search: DoctorSearchRequest) -> Result<Vec<Doctor>, Failure> {
    let mut doctors = Vec::new();
    let mut page_token = None;
    loop {
        let request = DoctorSearchRequest { page_size: Some(PAGE_SIZE), page_token, ..search.clone() };
        let page: Page<Doctor> = client.read(Operation::DoctorSearch, request).await?;
        doctors.extend(page.items);
        page_token = page.next_page_token;
        if page_token.is_none() {
            return Ok(doctors);
        }
    }
}

async fn all_services(client: &mut Client, doctor: &Doctor) -> Result<Vec<Service>, Failure> {
    let request = ServiceListRequest { doctor_id: doctor.id.clone(), after: None };
    let page: Page<Service> = client.read(Operation::ServiceList, request).await?;
    Ok(page.items)
}

/// The entry with this id or name, else the only one whose name contains the text.
fn pick<T>(entries: Vec<T>, text: &str, names: impl Fn(&T) -> (String, String)) -> Result<T, Failure> {
    let wanted = folded(text.trim());
    let exact = |entry: &T| {
        let (id, name) = names(entry);
        id == wanted || folded(&name) == wanted
    };
    let partly = |entry: &T| folded(&names(entry).1).contains(&wanted);
    let (mut found, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(exact);
    if found.is_empty() && !wanted.is_empty() {
        found = rest.into_iter().filter(partly).collect();
    }
    if found.len() > 1 {
        let candidates: Vec<_> =
            found.iter().map(|entry| format!("\n  {} {}", names(entry).0, plain(&names(entry).1))).collect();
        return Err(Failure::ambiguous(text, &candidates));
    }
    found.pop().ok_or_else(|| Failure::usage(format!("nothing is called `{text}`")))
}

/// Lower case without the accents of the languages that names here are written in, so that `gomez` finds `Gómez`.
fn folded(text: &str) -> String {
    let plain = |c| match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    };
    text.to_lowercase().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick_name(text: &str) -> Result<&'static str, String> {
        let names = vec!["Dra. Ana Gómez", "Dr. Luis Gómez", "Dr. Luis Núñez", "Dr. Luis"];
        pick(names, text, |name| (format!("id of {name}"), (*name).to_owned())).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_part_that_fits_one_is_enough() {
        assert_eq!(pick_name("ana"), Ok("Dra. Ana Gómez"));
        assert_eq!(pick_name(" NUNEZ "), Ok("Dr. Luis Núñez"));
        assert_eq!(pick_name("luis gómez"), Ok("Dr. Luis Gómez"));
    }

    #[test]
    fn a_whole_name_wins_over_parts() {
        assert_eq!(pick_name("dr. luis"), Ok("Dr. Luis"));
    }

    #[test]
    fn what_fits_several_names_them() {
        let error = pick_name("gomez").unwrap_err();
        assert!(error.contains("Ana") && error.contains("Luis Gómez"), "{error}");
        assert!(!error.contains("Núñez"), "{error}");
    }

    #[test]
    fn what_fits_none_is_refused() {
        assert!(pick_name("pérez").is_err());
        assert!(pick_name("").is_err());
    }
}
