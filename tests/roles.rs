//! Staff, approval, walk-ins, administration, and the traces that they leave.

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita_cli::ClientError;
use cita_protocol::ErrorCode;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::harness::cast::{Caller, Cast, admin, login};
use crate::harness::clinic::{Clinic, PASSWORD, PRODUCTION, Person, at, date, key, text, time};
use crate::harness::mongo::scratch_dir;
use crate::harness::until;
use crate::harness::watch::Watcher;

/// What somebody asks, and its data or its code.
async fn ask(clinic: &Clinic, who: &Person, operation: &str, data: Value) -> Result<Value, ErrorCode> {
    let key = operation_changes(operation).then(key);
    let reply = clinic.connect(who).await.request(operation, data, key).await;
    reply.map(|reply| reply.data).map_err(|error| error.code().unwrap_or_else(|| panic!("{error}")))
}

fn operation_changes(operation: &str) -> bool {
    let operation = cita_protocol::Operation::named(operation).expect("an operation");
    operation.kind() == cita_protocol::operation::Kind::Mutation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receptionist_acts_for_the_doctors_whom_they_were_given() {
    let cast = Cast::meet().await;
    let (clinic, practice, staff) = (&cast.clinic, &cast.practice, &cast.staff);
    let listed = ask(clinic, staff, "staff.listDoctors", json!({})).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["staff"]),
        (&json!(practice.doctor.id), &json!([staff.id]))
    );
    let found =
        ask(clinic, staff, "patient.find", json!({ "email": cast.patient.email.to_uppercase() })).await.unwrap();
    assert_eq!(found, json!({ "id": cast.patient.id, "name": cast.patient.name }));

    let unverified = json!({ "email": cast.other_patient.email });
    assert_eq!(
        ask(clinic, staff, "patient.find", unverified).await,
        Err(ErrorCode::NotFound),
        "it may be another's address"
    );

    let mut calendar = Watcher::start(clinic.connect(staff).await, &practice.calendar(), None).await;
    let mut booking = practice.booking(&cast.free_time());
    booking["patientId"] = found["id"].clone();
    let booked = ask(clinic, staff, "appointment.book", booking).await.unwrap();
    assert_eq!(booked["patientName"], json!(cast.patient.name));
    let id = text(&booked, "id");
    calendar.until(|view| view.items.contains_key(&id)).await;
    let start = cast.free_time();
    let moved = ask(clinic, staff, "appointment.reschedule", json!({ "id": id, "start": start })).await.unwrap();
    assert_eq!(moved["start"], json!(start));
    let list = ask(clinic, staff, "appointment.list", json!({ "doctorId": practice.doctor.id })).await.unwrap();
    assert_eq!(list["items"][0]["id"], json!(id));
    let for_nobody = practice.booking(&cast.free_time());
    assert_eq!(ask(clinic, staff, "appointment.book", for_nobody).await, Err(ErrorCode::ValidationFailed), "for whom?");
    let own = ask(clinic, staff, "appointment.list", json!({})).await.unwrap();
    assert_eq!(own["items"], json!([]), "no doctor named: what one has as a patient");
    assert_eq!(ask(clinic, staff, "appointment.cancel", json!({ "id": id })).await.unwrap()["status"], "cancelled");

    // What is the doctor's own stays so, and other calendars are closed.
    for (operation, data) in [
        ("doctor.update", json!({ "id": practice.doctor.id, "bio": "" })),
        ("service.create", json!({ "doctorId": practice.doctor.id, "name": "Otra", "durationMinutes": 30 })),
        ("admin.setStaff", json!({ "id": practice.doctor.id, "staff": [] })),
        ("appointment.list", json!({ "doctorId": cast.other_doctor.id, "patientId": cast.patient.id })),
    ] {
        assert_eq!(ask(clinic, staff, operation, data.clone()).await, Err(ErrorCode::Forbidden), "{operation} {data}");
    }
    let topic = json!({ "topic": format!("doctors/{}/appointments", cast.other_doctor.id) });
    assert_eq!(ask(clinic, staff, "subscribe", topic).await, Err(ErrorCode::Forbidden));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_walks_in_needs_no_account() {
    let cast = Cast::meet().await;
    let (clinic, practice) = (&cast.clinic, &cast.practice);
    let mut booking = practice.booking(&cast.free_time());
    booking["walkIn"] = json!({ "name": "Rosa de la Calle", "phone": "+57 601 555 0100" });
    for refused in [&cast.patient, &cast.other_doctor, &cast.other_staff] {
        assert_eq!(ask(clinic, refused, "appointment.book", booking.clone()).await, Err(ErrorCode::Forbidden));
    }
    let connection = clinic.connect(&cast.staff).await;
    let key = key();
    let booked = connection.request("appointment.book", &booking, Some(key.clone())).await.unwrap().data;
    assert_eq!(booked["patientName"], "Rosa de la Calle");
    assert_eq!(booked["walkIn"], json!({ "phone": "+57 601 555 0100" }));
    let again = connection.request("appointment.book", &booking, Some(key.clone())).await.unwrap().data;
    assert_eq!(again, booked, "one key books once");
    booking["walkIn"]["name"] = json!("Otra Persona");
    let reused = connection.request("appointment.book", &booking, Some(key)).await;
    assert_eq!(reused.err().as_ref().and_then(ClientError::code), Some(ErrorCode::IdempotencyKeyReused));
    for (pointer, walk_in) in [
        ("/walkIn/name", json!({ "name": "" })),
        ("/walkIn/phone", json!({ "name": "A", "phone": "llámame" })),
        ("/walkIn/phone", json!({ "name": "A", "phone": "1".repeat(31) })),
    ] {
        booking["walkIn"] = walk_in;
        let refused = connection.request("appointment.book", &booking, Some(crate::harness::clinic::key())).await;
        let error = refused.unwrap_err();
        assert_eq!(error.problem().expect("a problem").errors[0].pointer, pointer);
    }
    booking["walkIn"] = json!({ "name": "A" });
    booking["patientId"] = json!(cast.patient.id);
    assert_eq!(
        ask(clinic, &cast.staff, "appointment.book", booking).await,
        Err(ErrorCode::ValidationFailed),
        "one or the other"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_appears_once_an_admin_has_approved_them() {
    let clinic = Clinic::open_with(&PRODUCTION).await;
    let other = clinic.node_with(&PRODUCTION).await;
    let practice = clinic.practice().await;
    let (admin, patient) = (admin(&clinic).await, clinic.patient().await);
    let waiting = ask(&clinic, &admin, "admin.listDoctors", json!({})).await.unwrap();
    assert_eq!(waiting["items"][0]["id"], json!(practice.doctor.id));
    let approve = |approval: &str| json!({ "id": practice.doctor.id, "approval": approval });
    assert_eq!(
        ask(&clinic, &practice.doctor, "admin.approveDoctor", approve("approved")).await,
        Err(ErrorCode::Forbidden)
    );
    let approved = ask(&clinic, &admin, "admin.approveDoctor", approve("approved")).await.unwrap();
    assert_eq!(approved["approval"], "approved");
    let found = clinic.anon().await.request("doctor.search", json!({}), None).await.unwrap().data;
    assert_eq!(found["items"][0]["id"], json!(practice.doctor.id));
    assert_eq!(found["items"][0].get("staff"), None, "the public sees no staff");
    let (connection, own) = (clinic.connect(&patient).await, key());
    let first = practice.booking(&at(&date(2), "09:00"));
    let booked = connection.request("appointment.book", &first, Some(own.clone())).await.expect("can be booked").data;

    // Taken back while somebody watches.
    let visitor = other.connect(None).await;
    visitor.request("subscribe", json!({ "topic": practice.slots(&date(2)) }), None).await.unwrap();
    ask(&clinic, &admin, "admin.approveDoctor", approve("rejected")).await.unwrap();
    loop {
        let frame = visitor.next_event().await.unwrap();
        if frame.kind == "error" {
            assert_eq!(
                (&frame.data["code"], &frame.data["topic"]),
                (&json!("not_found"), &json!(practice.slots(&date(2))))
            );
            break;
        }
    }
    let booking = practice.booking(&at(&date(2), "10:00"));
    assert_eq!(ask(&clinic, &patient, "appointment.book", booking).await, Err(ErrorCode::NotFound));
    let again = connection.request("appointment.book", &first, Some(own)).await.expect("an answer that was lost").data;
    assert_eq!(again, booked);
    let history = ask(&clinic, &practice.doctor, "doctor.history", json!({ "id": practice.doctor.id })).await.unwrap();
    let actions: Vec<&str> =
        history["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(actions.ends_with(&["admin.approveDoctor", "admin.approveDoctor"]), "{actions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_role_or_none_ends_every_session() {
    let cast = Cast::meet().await;
    let (clinic, admin, patient) = (&cast.clinic, &cast.admin, &cast.patient);
    let other = clinic.node().await;
    let socket = other.connect(Some(patient)).await;
    let disable = |disabled: bool| json!({ "id": patient.id, "disabled": disabled });
    let account = ask(clinic, admin, "admin.updateUser", disable(true)).await.unwrap();
    assert_eq!((&account["disabled"], &account["id"]), (&json!(true), &json!(patient.id)));
    assert!(matches!(socket.next_event().await, Err(ClientError::Closed { code: Some(4101), .. })));
    let log_in = json!({ "email": patient.email, "password": PASSWORD });
    let refused = clinic.anon().await.request("auth.login", &log_in, None).await;
    assert_eq!(refused.err().as_ref().and_then(ClientError::code), Some(ErrorCode::Forbidden));
    let refresh = json!({ "refreshToken": patient.refresh_token });
    let refused = clinic.anon().await.request("auth.refresh", &refresh, None).await;
    assert_eq!(refused.err().as_ref().and_then(ClientError::code), Some(ErrorCode::SessionRevoked));
    ask(clinic, admin, "admin.updateUser", disable(false)).await.unwrap();
    let back = login(clinic.url(), patient).await;
    for nothing in [json!({ "id": patient.id }), disable(false), json!({ "id": patient.id, "role": "patient" })] {
        ask(clinic, admin, "admin.updateUser", nothing).await.unwrap();
    }
    ask(clinic, &back, "me.get", json!({})).await.expect("the account works again");

    // Of a role: the token says it, so no token may outlive it.
    let promoted = json!({ "id": patient.id, "role": "admin" });
    ask(clinic, admin, "admin.updateUser", promoted).await.unwrap();
    until(async || {
        let me = crate::harness::rest::Rest { url: clinic.url(), token: Some(&back.token) };
        me.call(cita_protocol::Operation::MeGet, &json!({}), None).await.code().as_deref() == Some("session_revoked")
    })
    .await;
    let now_admin = login(clinic.url(), patient).await;
    ask(clinic, &now_admin, "admin.listUsers", json!({})).await.expect("an admin by now");
    for data in [json!({ "id": now_admin.id, "role": "patient" }), json!({ "id": now_admin.id, "disabled": true })] {
        assert_eq!(
            ask(clinic, &now_admin, "admin.updateUser", data).await,
            Err(ErrorCode::ValidationFailed),
            "not oneself"
        );
    }
    let doctor = json!({ "id": cast.practice.doctor.id, "role": "staff" });
    assert_eq!(ask(clinic, &now_admin, "admin.updateUser", doctor).await, Err(ErrorCode::ValidationFailed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_no_longer_acts_for_a_doctor_loses_the_calendar_at_once() {
    let cast = Cast::meet().await;
    let (clinic, practice) = (&cast.clinic, &cast.practice);
    let other = clinic.node().await;
    let socket = other.connect(Some(&cast.staff)).await;
    socket.request("subscribe", json!({ "topic": practice.calendar() }), None).await.unwrap();
    ask(clinic, &cast.admin, "admin.setStaff", json!({ "id": practice.doctor.id, "staff": [] })).await.unwrap();
    loop {
        let frame = socket.next_event().await.unwrap();
        if frame.kind == "error" {
            assert_eq!((&frame.data["code"], &frame.data["topic"]), (&json!("forbidden"), &json!(practice.calendar())));
            break;
        }
    }
    let unsubscribed = socket.request("unsubscribe", json!({ "topic": practice.calendar() }), None).await;
    assert_eq!(unsubscribed.err().as_ref().and_then(ClientError::code), Some(ErrorCode::NotFound));
    let list = json!({ "doctorId": practice.doctor.id, "patientId": cast.patient.id });
    assert_eq!(ask(clinic, &cast.staff, "appointment.list", list).await, Err(ErrorCode::Forbidden));
    let not_staff = json!({ "id": practice.doctor.id, "staff": [cast.patient.id] });
    assert_eq!(ask(clinic, &cast.admin, "admin.setStaff", not_staff).await, Err(ErrorCode::ValidationFailed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_leaves_a_trace_without_content() {
    let cast = Cast::meet().await;
    let (clinic, admin, patient) = (&cast.clinic, &cast.admin, &cast.patient);
    let wrong = json!({ "email": patient.email, "password": "no es la clave" });
    clinic.anon().await.request("auth.login", wrong, None).await.unwrap_err();
    for disabled in [true, false] {
        ask(clinic, admin, "admin.updateUser", json!({ "id": patient.id, "disabled": disabled })).await.unwrap();
    }
    let again = login(clinic.url(), patient).await;
    let mine =
        async || ask(clinic, &again, "me.listAudit", json!({})).await.unwrap()["items"].as_array().unwrap().clone();
    // Log-ins are written beside what they tell of.
    until(async || mine().await.len() == 6).await;
    let mine = mine().await;
    let seen: Vec<(&str, &str)> =
        mine.iter().map(|entry| (entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect();
    for expected in
        [("auth.register", "done"), ("auth.login", "done"), ("auth.login", "refused"), ("admin.updateUser", "asked")]
    {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
    let at = |entry: &Value| time(entry, "at");
    assert!(mine.is_sorted_by(|a, b| at(a) >= at(b)), "latest first");
    let by_admin = mine.iter().find(|entry| entry["action"] == "admin.updateUser").unwrap();
    assert_eq!((by_admin.get("session"), by_admin.get("network")), (None, None), "from where others act is theirs");
    let all = ask(clinic, admin, "admin.listAudit", json!({ "userId": patient.id, "pageSize": 100 })).await.unwrap();
    let by_admin =
        all["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "admin.updateUser").unwrap().clone();
    assert_eq!((&by_admin["actor"], &by_admin["network"]), (&json!(admin.id), &json!("127.0.0.0/24")));
    let told = all.to_string();
    for secret in [patient.email.as_str(), &patient.name, "no es la clave", PASSWORD, &patient.token] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    // In pages, without gap or repetition.
    let (mut paged, mut token) = (Vec::new(), None);
    loop {
        let mut data = json!({ "pageSize": 2 });
        if let Some(token) = token.take() {
            data["pageToken"] = token;
        }
        let page = ask(clinic, &again, "me.listAudit", data).await.unwrap();
        paged.extend(page["items"].as_array().unwrap().clone());
        match page.get("nextPageToken") {
            Some(next) => token = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!(paged, mine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appointment_tells_its_history_to_its_parties() {
    let cast = Cast::meet().await;
    let id = cast.appointment().await;
    let start = cast.free_time();
    ask(&cast.clinic, &cast.staff, "appointment.reschedule", json!({ "id": id, "start": start })).await.unwrap();
    for caller in [Caller::Patient, Caller::Doctor, Caller::Staff, Caller::Admin] {
        let who = cast.person(caller).unwrap();
        let history = ask(&cast.clinic, who, "appointment.history", json!({ "id": id })).await.unwrap();
        let items = history["items"].as_array().unwrap();
        let actions: Vec<&str> = items.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["booked", "rescheduled"]);
        assert_eq!((&items[0]["by"], &items[1]["by"]), (&json!(cast.patient.id), &json!(cast.staff.id)));
        let sessions = [items[0].get("session").is_some(), items[1].get("session").is_some()];
        let expected = match caller {
            Caller::Admin => [true, true],
            Caller::Patient => [true, false],
            Caller::Staff => [false, true],
            _ => [false, false],
        };
        assert_eq!(sessions, expected, "{caller:?}");
    }
    for stranger in [&cast.other_patient, &cast.other_doctor, &cast.other_staff] {
        let refused = ask(&cast.clinic, stranger, "appointment.history", json!({ "id": id })).await;
        assert_eq!(refused, Err(ErrorCode::NotFound));
    }
}

/// `cita create-admin`: whether it worked, and what it said.
async fn create_admin(arguments: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cita"));
    command.arg("create-admin").args(arguments);
    let output = command.output().await.expect("the command runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), format!("{said}{complained}"))
}

/// The first admin has no default password: a command prints a link that works once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_comes_by_a_link() {
    let clinic = Clinic::open().await;
    let create = async |email: &str| {
        create_admin(&["--users-uri", &clinic.users_uri, "--email", email, "--name", "Ada Admin"]).await
    };
    let patient = clinic.patient().await;
    for email in ["ada@prueba.example", &patient.email] {
        let (made, told) = create(email).await;
        assert!(made && told.contains("is an admin"), "{told}");
        let token = told.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a token");
        let reset = json!({ "token": token, "password": "una clave nueva y larga" });
        clinic.anon().await.request("auth.resetPassword", &reset, None).await.expect("the link works");
        let again = clinic.anon().await.request("auth.resetPassword", &reset, None).await;
        assert_eq!(again.err().as_ref().and_then(ClientError::code), Some(ErrorCode::ValidationFailed), "once");
        let log_in = json!({ "email": email, "password": "una clave nueva y larga" });
        let reply = clinic.anon().await.request("auth.login", log_in, None).await.expect("a log-in").data;
        assert_eq!(reply["user"]["role"], "admin");
    }
    let doctor = clinic.person("doctor", "Una Doctora").await;
    for (email, words) in
        [("no address", "email: not an e-mail address"), (doctor.email.as_str(), "belongs to a doctor")]
    {
        let (made, told) = create(email).await;
        assert!(!made && told.contains(words), "{told}");
    }
}

/// Whoever registered with an address first need not be who reads its mails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registered_with_the_address_of_an_admin_is_out() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let squatter = clinic.patient().await;
    let change = json!({ "email": "mine@prueba.example", "currentPassword": PASSWORD });
    ask(&clinic, &squatter, "me.update", change).await.expect("a new address waits for its link");
    let second = login(clinic.url(), &squatter).await;
    let socket = other.connect(Some(&second)).await;
    // The address of the database lies in a file, as a mounted secret does.
    let file = scratch_dir().with_extension("uri");
    std::fs::write(&file, format!("{}\n", clinic.users_uri)).unwrap();
    let file_name = file.to_str().expect("a path");
    let (made, told) = create_admin(&["--users-uri-file", file_name, "--email", &squatter.email]).await;
    std::fs::remove_file(&file).unwrap();
    assert!(made, "{told}");

    assert!(matches!(socket.next_event().await, Err(ClientError::Closed { code: Some(4101), .. })));
    let anon = clinic.anon().await;
    for person in [&squatter, &second] {
        let me = crate::harness::rest::Rest { url: &other.url, token: Some(&person.token) };
        until(async || {
            me.call(cita_protocol::Operation::MeGet, &json!({}), None).await.code().as_deref()
                == Some("session_revoked")
        })
        .await;
        let refresh = json!({ "refreshToken": person.refresh_token });
        let refused = anon.request("auth.refresh", refresh, None).await;
        assert_eq!(refused.err().as_ref().and_then(ClientError::code), Some(ErrorCode::SessionRevoked));
    }
    let log_in = json!({ "email": squatter.email, "password": PASSWORD });
    let refused = anon.request("auth.login", log_in, None).await;
    assert_eq!(refused.err().as_ref().and_then(ClientError::code), Some(ErrorCode::Unauthenticated));
    let admin = admin(&clinic).await;
    let found = ask(&clinic, &admin, "admin.listUsers", json!({ "email": squatter.email })).await.unwrap();
    let account = &found["items"][0];
    assert_eq!((&account["role"], &account["emailVerified"]), (&json!("admin"), &json!(true)), "{account}");
    let token = told.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a token");
    let reset = json!({ "token": token, "password": "una clave nueva y larga" });
    anon.request("auth.resetPassword", reset, None).await.expect("the link works");
    let log_in = json!({ "email": squatter.email, "password": "una clave nueva y larga" });
    let user = anon.request("auth.login", log_in, None).await.expect("a log-in").data["user"].clone();
    assert_eq!((&user["role"], user.get("pendingEmail")), (&json!("admin"), None), "{user}");
}

/// What cannot be noted is not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_opens_without_its_entry() {
    let clinic = Clinic::open().await;
    let patient = clinic.patient().await;
    let users = Cluster::new(ClusterName::Users, &clinic.users_uri).await.expect("a good address");
    let refuse_all = doc! { "collMod": "audit", "validator": { "never": true } };
    users.db.run_command(refuse_all).await.expect("a validator");
    let log_in = json!({ "email": patient.email, "password": PASSWORD });
    clinic.anon().await.request("auth.login", log_in, None).await.expect_err("it cannot be noted");
    let sessions = users.db.collection::<Document>("sessions");
    assert_eq!(sessions.count_documents(doc! {}).await.expect("a count"), 1);
}
