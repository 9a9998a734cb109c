//! Who may do what: every operation of the table, every kind of caller, through both doors.

use cita_cli::ClientError;
use cita_protocol::operation::Kind;
use cita_protocol::{ErrorCode, Operation};
use serde_json::json;
use uuid::Uuid;

use crate::harness::cast::{Caller, Cast, login, receptionist};
use crate::harness::clinic::{Clinic, PRODUCTION, at, connect, date, key, register, text};
use crate::harness::rest::{Rest, client};

/// What the contract says, in its own words: whom an operation of this cast's input is for, and what everybody else is
/// told once they are known. A new operation needs its line here.
fn words(operation: Operation) -> (&'static [Caller], ErrorCode) {
    use Caller::{Admin, Anonymous, Doctor, OtherDoctor, OtherStaff, Patient, Staff};
    use Operation as O;
    const EVERYBODY: &[Caller] = &Caller::ALL;
    const KNOWN: &[Caller] = Caller::ALL.split_at(1).1;
    const OWNER: &[Caller] = &[Doctor, Admin];
    const PRACTICE: &[Caller] = &[Doctor, Staff, Admin];
    const PARTIES: &[Caller] = &[Patient, Doctor, Staff, Admin];
    let (forbidden, hidden) = (ErrorCode::Forbidden, ErrorCode::NotFound);
    match operation {
        O::AuthRegister
        | O::AuthLogin
        | O::AuthRefresh
        | O::AuthRequestReset
        | O::AuthResetPassword
        | O::AuthVerifyEmail
        | O::DoctorSearch
        | O::DoctorGet
        | O::ServiceList
        | O::AvailabilityGet
        | O::HolidayCalendarList
        | O::HolidayCalendarGet
        | O::SlotSearch
        | O::SlotSearchDoctors
        | O::SlotExplain
        | O::ReviewList
        | O::Unsubscribe => (EVERYBODY, forbidden),
        // The token is the patient's.
        O::AuthRenew => (&[Anonymous, Patient], forbidden),
        O::AuthLogout
        | O::AuthRequestVerification
        | O::SessionList
        | O::SessionRevoke
        | O::MeGet
        | O::MeUpdate
        | O::MeExport
        | O::MeDelete
        | O::MeListAudit
        | O::CalendarFeedCreate
        | O::CalendarFeedRevoke
        | O::ReviewReport => (KNOWN, forbidden),
        O::ReviewCreate | O::ReviewUpdate => (&[Patient], hidden),
        O::ReviewReply => (&[Doctor], hidden),
        O::DoctorUpdate
        | O::DoctorHistory
        | O::ServiceCreate
        | O::ServiceUpdate
        | O::ServiceArchive
        | O::AvailabilitySet => (OWNER, forbidden),
        O::TimeOffList | O::TimeOffCreate | O::TimeOffDelete | O::AppointmentListOutside => (PRACTICE, forbidden),
        // The topic is the doctor's calendar.
        O::Subscribe => (PRACTICE, forbidden),
        // They are between the patient and the doctor.
        O::SlotHold
        | O::AppointmentBook
        | O::AppointmentList
        | O::SeriesPreview
        | O::SeriesBook
        | O::WaitlistJoin
        | O::WaitlistList => (PARTIES, forbidden),
        O::WaitlistLeave | O::WaitlistAccept | O::WaitlistPass => (PARTIES, hidden),
        // The hold is the patient's.
        O::HoldRelease => (&[Patient], hidden),
        O::SeriesGet | O::SeriesReschedule | O::SeriesCancel => (PARTIES, hidden),
        O::AppointmentGet | O::AppointmentHistory | O::AppointmentReschedule | O::AppointmentCancel => {
            (PARTIES, hidden)
        }
        // Its patient, who sees it anyway, is told otherwise: see `verdict`.
        O::AppointmentApprove
        | O::AppointmentDecline
        | O::AppointmentCheckIn
        | O::AppointmentComplete
        | O::AppointmentNoShow
        | O::AppointmentUndo => (PRACTICE, hidden),
        O::AppointmentSetNotes => (&[Doctor], hidden),
        O::ResourceList => (&[Doctor, OtherDoctor, Staff, OtherStaff, Admin], forbidden),
        O::PatientFind | O::StaffListDoctors => (&[Staff, OtherStaff, Admin], forbidden),
        O::AdminListUsers
        | O::AdminUpdateUser
        | O::AdminListDoctors
        | O::AdminApproveDoctor
        | O::AdminSetStaff
        | O::AdminCreateResource
        | O::AdminUpdateResource
        | O::AdminArchiveResource
        | O::AdminListAudit
        | O::AdminListReviews
        | O::AdminHideReview
        | O::AdminRestoreReview => (&[Admin], forbidden),
    }
}

fn verdict(operation: Operation, caller: Caller) -> Option<ErrorCode> {
    let (allowed, otherwise) = words(operation);
    match caller {
        _ if allowed.contains(&caller) => None,
        Caller::Anonymous => Some(ErrorCode::Unauthenticated),
        Caller::Patient | Caller::Doctor | Caller::Staff | Caller::Admin if MOVES.contains(&operation) => {
            Some(ErrorCode::Forbidden)
        }
        _ => Some(otherwise),
    }
}

/// What is the practice's to do with an appointment that its patient sees.
const MOVES: [Operation; 7] = [
    Operation::AppointmentApprove,
    Operation::AppointmentDecline,
    Operation::AppointmentCheckIn,
    Operation::AppointmentComplete,
    Operation::AppointmentNoShow,
    Operation::AppointmentUndo,
    Operation::AppointmentSetNotes,
];

/// A token of the caller; one that may be spent where the operation ends its session.
async fn token(cast: &Cast, caller: Caller, operation: Operation) -> Option<String> {
    let person = cast.person(caller)?;
    match operation {
        Operation::MeDelete => Some(cast.spare(caller).await?.token),
        Operation::AuthLogout => Some(login(cast.clinic.url(), person).await.token),
        _ => Some(person.token.clone()),
    }
}

fn key_for(operation: Operation) -> Option<String> {
    (operation.kind() == Kind::Mutation).then(key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_open_to_those_whom_the_contract_names() {
    let cast = Cast::meet().await;
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for &operation in Operation::ALL {
        for caller in Caller::ALL {
            let expected = verdict(operation, caller);
            let token = token(&cast, caller, operation).await;
            let connection = connect(cast.clinic.url(), token.as_deref()).await;
            let input = cast.valid_input(operation).await;
            if operation == Operation::Unsubscribe {
                connection.request("subscribe", &input, None).await.expect("anyone may watch slots");
            }
            let outcome = connection.request(operation.name(), &input, key_for(operation)).await;
            let found = outcome.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")));
            if found != expected {
                wrong.push(format!("WebSocket: {} by {caller:?}: {found:?}, not {expected:?}", operation.name()));
            }
            asked += 1;
            if operation.route().is_none() {
                continue;
            }
            let token = self::token(&cast, caller, operation).await;
            let rest = Rest { url: cast.clinic.url(), token: token.as_deref() };
            let input = cast.valid_input(operation).await;
            let answer = rest.call(operation, &input, key_for(operation).as_deref()).await;
            if answer.code().as_deref() != expected.map(ErrorCode::as_str) {
                wrong.push(format!("REST: {} by {caller:?}: {answer:?}, not {expected:?}", operation.name()));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every topic, every caller, over WebSocket and as a stream of events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_topic_is_open_to_those_whom_the_contract_names() {
    use Caller::{Admin, Doctor, Staff};
    let cast = Cast::meet().await;
    let known = Caller::ALL.split_at(1).1;
    let topics: [(String, &[Caller]); 8] = [
        (format!("doctors/{}", cast.practice.doctor.id), &Caller::ALL),
        (format!("doctors/{}/reviews", cast.practice.doctor.id), &Caller::ALL),
        (cast.practice.slots(&date(1)), &Caller::ALL),
        (cast.practice.calendar(), &[Doctor, Staff, Admin]),
        (format!("doctors/{}/waitlist", cast.practice.doctor.id), &[Doctor, Staff, Admin]),
        ("me/appointments".to_owned(), known),
        ("me/waitlist".to_owned(), known),
        ("me/sessions".to_owned(), known),
    ];
    for (topic, allowed) in &topics {
        for caller in Caller::ALL {
            let token = cast.person(caller).map(|person| person.token.as_str());
            let expected = match caller {
                _ if allowed.contains(&caller) => None,
                Caller::Anonymous => Some(ErrorCode::Unauthenticated),
                _ => Some(ErrorCode::Forbidden),
            };
            let connection = connect(cast.clinic.url(), token).await;
            let outcome = connection.request("subscribe", json!({ "topic": topic }), None).await;
            let found = outcome.err().map(|error| error.code().unwrap_or_else(|| panic!("{error}")));
            assert_eq!(found, expected, "{topic} by {caller:?}");
            let mut request = client().get(format!("{}/v1/events?topic={topic}", cast.clinic.url()));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let status = request.send().await.expect("an answer").status().as_u16();
            assert_eq!(status, expected.map_or(200, ErrorCode::status), "{topic} by {caller:?}");
        }
    }
}

/// What is refused changes nothing: the matrix above cannot see that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_done() {
    let cast = Cast::meet().await;
    let url = cast.clinic.url();
    let doctor = Rest { url, token: Some(&cast.practice.doctor.token) };
    let appointment = cast.appointment().await;
    let review = cast.review().await;
    let entry = cast.offered_entry().await;
    let state = async || {
        let mut state = Vec::new();
        for (operation, data) in [
            (Operation::DoctorGet, json!({ "id": cast.practice.doctor.id })),
            (Operation::ServiceList, json!({ "doctorId": cast.practice.doctor.id })),
            (Operation::AvailabilityGet, json!({ "doctorId": cast.practice.doctor.id })),
            (Operation::AppointmentList, json!({ "pageSize": 100 })),
            (Operation::ReviewList, json!({ "doctorId": cast.practice.doctor.id })),
            (Operation::WaitlistList, json!({})),
        ] {
            state.push(doctor.call(operation, &data, None).await.json());
        }
        state
    };
    cast.hold().await;
    let before = state().await;
    for caller in [Caller::Anonymous, Caller::OtherPatient, Caller::OtherDoctor, Caller::OtherStaff] {
        let token = cast.person(caller).map(|person| person.token.as_str());
        let rest = Rest { url, token };
        for (operation, data) in [
            (Operation::DoctorUpdate, cast.valid_input(Operation::DoctorUpdate).await),
            (Operation::ServiceCreate, cast.valid_input(Operation::ServiceCreate).await),
            (Operation::ServiceUpdate, cast.valid_input(Operation::ServiceUpdate).await),
            (Operation::ServiceArchive, json!({ "doctorId": cast.practice.doctor.id, "id": cast.practice.service })),
            (Operation::AvailabilitySet, cast.valid_input(Operation::AvailabilitySet).await),
            (Operation::SlotHold, cast.valid_input(Operation::SlotHold).await),
            (Operation::HoldRelease, cast.valid_input(Operation::HoldRelease).await),
            (Operation::AppointmentBook, cast.valid_input(Operation::AppointmentBook).await),
            (Operation::AppointmentReschedule, json!({ "id": appointment, "start": cast.free_time() })),
            (Operation::AppointmentCancel, json!({ "id": appointment })),
            (Operation::AppointmentCheckIn, json!({ "id": appointment })),
            (Operation::AppointmentNoShow, json!({ "id": appointment })),
            (Operation::AppointmentSetNotes, json!({ "id": appointment, "notes": "Nada" })),
            (Operation::WaitlistJoin, cast.valid_input(Operation::WaitlistJoin).await),
            (Operation::WaitlistLeave, json!({ "id": entry })),
            (Operation::WaitlistPass, json!({ "id": entry })),
            (Operation::WaitlistAccept, json!({ "id": entry })),
            (Operation::ReviewUpdate, json!({ "id": review, "rating": 1 })),
            (Operation::ReviewReply, json!({ "id": review, "text": "No" })),
            (Operation::AdminHideReview, json!({ "id": review, "reason": "No" })),
        ] {
            let answer = rest.call(operation, &data, Some(&key())).await;
            assert!(answer.code().is_some(), "{} by {caller:?}", operation.name());
        }
    }
    assert_eq!(state().await, before);
}

/// What belongs to others cannot be told from what does not exist, not even by its revision or its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appointments_of_others_do_not_exist() {
    let cast = Cast::meet().await;
    let theirs = cast.appointment().await;
    let stranger = Rest { url: cast.clinic.url(), token: Some(&cast.other_patient.token) };
    let unknown = [Uuid::new_v4(), Uuid::nil(), Uuid::max()].map(|id| id.to_string());
    for (operation, rest) in [
        (Operation::AppointmentGet, json!({})),
        (Operation::AppointmentCancel, json!({})),
        (Operation::AppointmentCancel, json!({ "rev": 7 })),
        (Operation::AppointmentReschedule, json!({ "start": at(&date(3), "09:00") })),
        (Operation::AppointmentReschedule, json!({ "start": at(&date(-3), "09:00") })),
        (Operation::AppointmentReschedule, json!({ "start": at(&date(3), "09:00"), "override": { "reason": "Sí" } })),
        (Operation::AppointmentApprove, json!({})),
        (Operation::AppointmentDecline, json!({})),
        (Operation::AppointmentCheckIn, json!({ "rev": 7 })),
        (Operation::AppointmentUndo, json!({})),
        (Operation::AppointmentSetNotes, json!({ "notes": "" })),
    ] {
        let ask = async |id: &str| {
            let mut data = rest.clone();
            data["id"] = json!(id);
            let answer = stranger.call(operation, &data, Some(&key())).await;
            assert_eq!(answer.code().as_deref(), Some("not_found"), "{} {data}", operation.name());
            answer.body
        };
        let body = ask(&theirs).await;
        for id in &unknown {
            assert_eq!(ask(id).await, body, "to the byte");
        }
        // An id of something else is no appointment either.
        for id in [&cast.practice.doctor.id, &cast.practice.service, &cast.patient.id] {
            assert_eq!(ask(id).await, body, "to the byte");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_of_ones_own() {
    let cast = Cast::meet().await;
    let theirs = cast.appointment().await;
    let list = async |caller: Caller, data: serde_json::Value| {
        let token = cast.person(caller).map(|person| person.token.as_str());
        let answer = Rest { url: cast.clinic.url(), token }.call(Operation::AppointmentList, &data, None).await;
        match answer.code() {
            Some(code) => Err(code),
            None => {
                Ok(answer.json()["items"].as_array().unwrap().iter().map(|item| text(item, "id")).collect::<Vec<_>>())
            }
        }
    };
    let (doctor, patient) = (&cast.practice.doctor.id, &cast.patient.id);
    let (one, none) = (Ok(vec![theirs]), Ok(Vec::new()));
    let refused = |code: &str| Err(code.to_owned());
    for (caller, data, expected) in [
        (Caller::Patient, json!({}), one.clone()),
        (Caller::Patient, json!({ "doctorId": doctor }), one.clone()),
        (Caller::Patient, json!({ "doctorId": cast.other_doctor.id }), none.clone()),
        (Caller::Patient, json!({ "patientId": cast.other_patient.id }), refused("forbidden")),
        (Caller::OtherPatient, json!({}), none.clone()),
        (Caller::OtherPatient, json!({ "doctorId": doctor }), none.clone()),
        (Caller::OtherPatient, json!({ "patientId": patient }), refused("forbidden")),
        (Caller::Doctor, json!({}), one.clone()),
        (Caller::Doctor, json!({ "doctorId": doctor }), one.clone()),
        (Caller::OtherDoctor, json!({}), none.clone()),
        (Caller::OtherDoctor, json!({ "doctorId": doctor }), none),
        (Caller::OtherDoctor, json!({ "doctorId": doctor, "patientId": patient }), refused("forbidden")),
        (Caller::OtherDoctor, json!({ "patientId": patient }), refused("forbidden")),
        (Caller::Admin, json!({ "doctorId": doctor }), one.clone()),
        (Caller::Admin, json!({ "patientId": patient }), one),
        (Caller::Admin, json!({}), refused("validation_failed")),
    ] {
        assert_eq!(list(caller, data.clone()).await, expected, "{data} by {caller:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_who_is_not_approved_is_seen_by_themselves() {
    let clinic = Clinic::open_with(&PRODUCTION).await;
    let practice = clinic.practice().await;
    let (doctor, patient) = (practice.doctor.clone(), clinic.patient().await);
    let colleague = register(clinic.url(), "doctor", "Otra Doctora").await;
    let admin = crate::harness::cast::admin(&clinic).await;
    let staff = receptionist(&clinic, &admin, Some(&doctor)).await;
    let other_staff = receptionist(&clinic, &admin, None).await;
    let slots = json!({ "doctorId": doctor.id, "serviceId": practice.service, "from": date(1), "to": date(1) });
    let topic = json!({ "topic": practice.slots(&date(1)) });
    let mut booking = practice.booking(&at(&date(1), "09:00"));
    let reads = [
        ("doctor.get", json!({ "id": doctor.id })),
        ("service.list", json!({ "doctorId": doctor.id })),
        ("availability.get", json!({ "doctorId": doctor.id })),
        ("slot.search", slots),
        ("subscribe", topic),
    ];
    for (who, sees) in [
        (None, false),
        (Some(&patient), false),
        (Some(&colleague), false),
        (Some(&other_staff), false),
        (Some(&doctor), true),
        (Some(&staff), true),
        (Some(&admin), true),
    ] {
        let connection = connect(clinic.url(), who.map(|person| person.token.as_str())).await;
        for (operation, data) in &reads {
            let code = connection.request(operation, data, None).await.err().and_then(|error| error.code());
            assert_eq!(code, (!sees).then_some(ErrorCode::NotFound), "{operation} by {who:?}");
        }
        let found = connection.request("doctor.search", json!({}), None).await.unwrap().data;
        assert_eq!(found["items"], json!([]), "nobody is listed");
    }
    let book = async |person, booking: &serde_json::Value| {
        let outcome = clinic.connect(person).await.request("appointment.book", booking, Some(key())).await;
        outcome.err().as_ref().and_then(ClientError::code)
    };
    assert_eq!(book(&patient, &booking).await, Some(ErrorCode::NotFound));
    booking["patientId"] = json!(patient.id);
    assert_eq!(book(&doctor, &booking).await, Some(ErrorCode::SlotUnavailable));
}
