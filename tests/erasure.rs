//! What the system holds of a person, for that person; and that nothing of it is left once they have left.

use cita::clock::Clock;
use cita::domain::audit::{Deed, Outcome};
use cita::domain::peer::Peer;
use cita::service::audit::Audit;
use cita_cli::ClientError;
use cita_protocol::frame::CloseCode;
use cita_protocol::{ErrorCode, Operation};
use futures::TryStreamExt as _;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use crate::harness::cast::{Cast, admin, login, token_issued};
use crate::harness::clinic::{Clinic, PASSWORD, Person, Practice, at, connect, date, key, text};
use crate::harness::office::{Office, identity};
use crate::harness::rest::Rest;
use crate::harness::until;
use crate::harness::watch::{Watcher, end_of};

const NAME: &str = "Zenobia Quintanilla";
const DEVICE: &str = "Móvil de la abuela";
const REASON: &str = "Zumbido en el oído izquierdo";
const CANCEL_REASON: &str = "Se me cruzó un viaje";
const NOTES: &str = "Acúfenos desde mayo";
const EXCEPTION: &str = "Solo puede de noche";

/// A patient with a life: two log-ins, appointments past and to come, one moved, one cancelled, one booked by the doctor.
struct Life {
    clinic: Clinic,
    office: Office,
    practice: Practice,
    patient: Person,
}

impl Life {
    async fn lived() -> Self {
        let clinic = Clinic::open().await;
        let (office, practice) = (Office::of(&clinic).await, clinic.practice().await);
        let patient = clinic.person("patient", NAME).await;
        let log_in = json!({ "email": patient.email, "password": PASSWORD, "device": DEVICE });
        clinic.anon().await.request("auth.login", log_in, None).await.unwrap();
        let life = Self { clinic, office, practice, patient };
        let (own, doctor) =
            (life.clinic.connect(&life.patient).await, life.clinic.connect(&life.practice.doctor).await);
        let book = |day: i32, time: &str| {
            let mut booking = life.practice.booking(&at(&date(day), time));
            booking["reason"] = json!(REASON);
            booking["patientId"] = json!(life.patient.id);
            booking
        };
        let past = own.request("appointment.book", book(1, "09:00"), Some(key())).await.unwrap().data;
        life.move_into_the_past(&text(&past, "id")).await;
        let moved = own.request("appointment.book", book(2, "09:00"), Some(key())).await.unwrap().data;
        let moved = json!({ "id": moved["id"], "start": at(&date(2), "10:00") });
        own.request("appointment.reschedule", moved, Some(key())).await.unwrap();
        let cancelled = own.request("appointment.book", book(3, "09:00"), Some(key())).await.unwrap().data;
        let notes = json!({ "id": cancelled["id"], "notes": NOTES });
        let cancelled = json!({ "id": cancelled["id"], "reason": CANCEL_REASON });
        own.request("appointment.cancel", cancelled, Some(key())).await.unwrap();
        doctor.request("appointment.setNotes", notes, Some(key())).await.unwrap();
        let mut exception = book(4, "21:00");
        exception["override"] = json!({ "reason": EXCEPTION });
        doctor.request("appointment.book", exception, Some(key())).await.unwrap();
        life
    }

    /// As if the visit had been two days ago. Through a whole replace, as Cita writes it.
    async fn move_into_the_past(&self, id: &str) {
        let appointments = self.office.appointments.db.collection::<Document>("appointments");
        let id: Bson = mongodb::bson::Uuid::parse_str(id).unwrap().into();
        let mut document = appointments.find_one(doc! { "_id": &id }).await.unwrap().unwrap();
        for field in ["start", "end"] {
            let time = document.get_datetime(field).unwrap().timestamp_millis() - 3 * 24 * 3_600_000;
            document.insert(field, mongodb::bson::DateTime::from_millis(time));
        }
        document.insert("rev", document.get_i32("rev").unwrap() + 1);
        appointments.replace_one(doc! { "_id": &id }, document).await.unwrap();
    }

    fn rest(&self) -> Rest<'_> {
        Rest { url: self.clinic.url(), token: Some(&self.patient.token) }
    }

    /// Everything that both databases hold, as text.
    async fn everything(&self) -> String {
        let mut text = String::new();
        for database in [&self.office.users.db, &self.office.appointments.db] {
            for document in documents(database).await {
                text.push_str(&serde_json::to_string(&document).unwrap());
            }
        }
        text.to_lowercase()
    }

    /// What is left of the person's words.
    async fn traces(&self) -> Vec<String> {
        let everything = self.everything().await;
        let words =
            [NAME, "zenobia", "quintanilla", &self.patient.email, DEVICE, REASON, CANCEL_REASON, NOTES, EXCEPTION];
        let left = words.into_iter().filter(|word| everything.contains(&word.to_lowercase()));
        left.map(str::to_owned).collect()
    }

    async fn accounts_left(&self) -> u64 {
        let id: Bson = mongodb::bson::Uuid::parse_str(&self.patient.id).unwrap().into();
        self.office.users.db.collection::<Document>("users").count_documents(doc! { "_id": id }).await.unwrap()
    }

    async fn appointments(&self) -> u64 {
        self.office.appointments.db.collection::<Document>("appointments").count_documents(doc! {}).await.unwrap()
    }
}

/// Every document of every collection.
async fn documents(database: &Database) -> Vec<Document> {
    let mut found = Vec::new();
    for name in database.list_collection_names().await.unwrap() {
        let collection = database.collection::<Document>(&name);
        found.extend(collection.find(doc! {}).await.unwrap().try_collect::<Vec<_>>().await.unwrap());
    }
    found
}

/// When no access token of a closed account can live any more.
fn later() -> jiff::Timestamp {
    Clock.now() + cita::views::revocations::RETENTION + jiff::SignedDuration::from_mins(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_holds_everything_of_a_person() {
    let life = Life::lived().await;
    let answer = life.rest().call(Operation::MeExport, &json!({}), None).await;
    assert_eq!(answer.code(), None);
    crate::harness::rest::check_output(Operation::MeExport, &answer.json());
    let export = answer.json();
    assert_eq!(export["user"], life.rest().call(Operation::MeGet, &json!({}), None).await.json());
    let sessions = export["sessions"]["items"].as_array().unwrap();
    assert_eq!(sessions.iter().filter(|session| session["device"] == DEVICE).count(), 1);
    assert_eq!((sessions.len(), &export["sessions"]["truncated"]), (2, &json!(false)));
    let list = json!({ "pageSize": 100 });
    let listed = life.rest().call(Operation::AppointmentList, &list, None).await.json()["items"].clone();
    let exported = export["appointments"]["items"].as_array().unwrap();
    let bare: Vec<&Value> = exported.iter().map(|item| &item["appointment"]).collect();
    assert_eq!((json!(bare), exported.len()), (listed, 4));
    let mut actions: Vec<Vec<&str>> = Vec::new();
    for item in exported {
        actions
            .push(item["history"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect());
    }
    assert_eq!(actions, [vec!["booked"], vec!["booked", "rescheduled"], vec!["booked", "cancelled"], vec!["booked"]]);
    assert!(export.get("doctor").is_none());
    for secret in ["hash", "argon2", "password", "token", "fingerprint"] {
        assert!(!answer.body.to_lowercase().contains(secret), "{secret}");
    }

    let doctor = Rest { url: life.clinic.url(), token: Some(&life.practice.doctor.token) };
    let export = doctor.call(Operation::MeExport, &json!({}), None).await.json();
    assert_eq!(export["doctor"]["services"][0]["id"], life.practice.service);
    assert_eq!(export["doctor"]["availability"]["weekly"].as_array().unwrap().len(), 7);
    assert_eq!(export["appointments"]["items"].as_array().unwrap().len(), 4);
    assert_eq!(export["doctor"]["profile"]["staff"], json!([]));
    let history = export["doctor"]["history"].as_array().unwrap();
    assert!(!history.is_empty() && history.iter().all(|entry| entry["by"] == life.practice.doctor.id), "{history:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receptionist_who_leaves_acts_for_nobody() {
    let cast = Cast::meet().await;
    let (clinic, doctor) = (&cast.clinic, &cast.practice.doctor);
    let rest = Rest { url: clinic.url(), token: Some(&doctor.token) };
    let export = rest.call(Operation::MeExport, &json!({}), None).await.json();
    assert_eq!(export["doctor"]["profile"]["staff"], json!([cast.staff.id]));
    let own = async || rest.call(Operation::DoctorGet, &json!({ "id": doctor.id }), None).await.json();
    let before = own().await;
    let leaves = Rest { url: clinic.url(), token: Some(&cast.staff.token) };
    assert_eq!(leaves.call(Operation::MeDelete, &json!({}), Some(&key())).await.code(), None);
    until(async || own().await["staff"] == json!([])).await;
    assert!(own().await["rev"].as_u64() > before["rev"].as_u64());
    assert_eq!(own().await["name"], before["name"], "nothing else has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_person_is_left_once_they_have_left() {
    let life = Life::lived().await;
    let (before, url) = (life.appointments().await, life.clinic.url());
    let window = json!({ "topic": life.practice.calendar(), "from": date(-4), "to": date(10) });
    let doctor = life.clinic.connect(&life.practice.doctor).await;
    let mut watcher =
        Watcher { connection: doctor, topic: life.practice.calendar(), view: Default::default(), resumed: false };
    watcher.connection.request("subscribe", window, None).await.unwrap();
    let named = |view: &crate::harness::watch::View, name: &str| {
        view.items.values().filter(|item| item["patientName"] == name).count()
    };
    watcher.until(|view| named(view, NAME) == 4).await;
    let second = login(url, &life.patient).await;
    assert!(life.traces().await.len() >= 6, "there is something to erase");

    let admin = admin(&life.clinic).await;
    let administer = Rest { url, token: Some(&admin.token) };
    // What an admin did to them, from a network of the admin's.
    let deed = Deed::new("admin.updateUser", Outcome::Asked).by(identity(&admin).user, identity(&admin).session);
    let deed = deed.from(Peer([192, 0, 2, 7].into())).to(identity(&life.patient).user.0);
    Audit::new(life.office.users.clone(), Clock).record(deed).await.unwrap();
    let stale = life.rest().call(Operation::MeDelete, &json!({ "rev": 77 }), Some(&key())).await;
    assert_eq!(stale.code().as_deref(), Some("stale_rev"));
    let connection = life.clinic.connect(&life.patient).await;
    let done = connection.request("me.delete", json!({}), Some(key())).await.expect("it is answered first");
    assert!(done.cursor.is_some());
    assert!(
        matches!(end_of(&connection).await, ClientError::Closed { code: Some(code), .. } if code == CloseCode::SessionRevoked.code())
    );
    for token in [&life.patient.token, &second.token] {
        let answer = Rest { url, token: Some(token) }.call(Operation::MeGet, &json!({}), None).await;
        assert_eq!(answer.code().as_deref(), Some("session_revoked"));
    }
    let anyone = Rest { url, token: None };
    let log_in = json!({ "email": life.patient.email, "password": PASSWORD });
    let refresh = json!({ "refreshToken": second.refresh_token });
    for (operation, data, code) in
        [(Operation::AuthLogin, log_in, "unauthenticated"), (Operation::AuthRefresh, refresh, "session_revoked")]
    {
        assert_eq!(anyone.call(operation, &data, None).await.code().as_deref(), Some(code));
    }

    until(async || life.traces().await.is_empty()).await;
    let seen = watcher.until(|view| named(view, "") == 4).await;
    let mut statuses: Vec<_> = seen.statuses().into_values().collect();
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        ["booked", "cancelled", "cancelled", "cancelled"],
        "what is to come is cancelled, the visit stays"
    );
    let mut strangers: Vec<_> = seen.items.values().map(|item| item["patientId"].as_str().unwrap()).collect();
    strangers.sort_unstable();
    strangers.dedup();
    assert_eq!(strangers.len(), 4, "nor can it be told that they were one person's");
    assert!(!strangers.contains(&life.patient.id.as_str()));
    assert_eq!(life.appointments().await, before, "the record still counts");
    let slots = json!({ "doctorId": life.practice.doctor.id, "serviceId": life.practice.service, "from": date(2), "to": date(4) });
    let slots = anyone.call(Operation::SlotSearch, &slots, None).await.json();
    assert_eq!(slots["slots"].as_array().unwrap().len(), 60, "the times are free again");

    // The address belongs to nobody.
    let register = json!({ "email": life.patient.email, "password": PASSWORD, "name": "Otra Persona" });
    assert_eq!(anyone.call(Operation::AuthRegister, &register, None).await.status, 201);

    assert_eq!(life.accounts_left().await, 1, "it waits for the last token to end");
    life.office.erasure.erase_closed(later()).await.unwrap();
    life.office.erasure.erase_closed(later()).await.unwrap();
    assert_eq!(life.accounts_left().await, 0);
    assert_eq!(life.appointments().await, before);
    let theirs = json!({ "userId": life.patient.id, "pageSize": 100 });
    let entries = administer.call(Operation::AdminListAudit, &theirs, None).await.json()["items"].clone();
    let with_network = entries.as_array().unwrap().iter().filter(|entry| entry.get("network").is_some());
    let actors: Vec<_> = with_network.map(|entry| entry["actor"].as_str()).collect();
    assert_eq!(actors, [Some(admin.id.as_str())], "where they were is gone, where the admin was is not: {entries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_was_cut_short_goes_on_at_the_next_start() {
    let mut life = Life::lived().await;
    life.clinic.take_node().stop().await;
    let person = identity(&life.patient);
    life.office.erasure.close(&person, None).await.unwrap();
    assert!(life.office.erasure.close(&person, None).await.is_err(), "there is nobody left");
    assert!(!life.traces().await.is_empty(), "closed, and nothing more");
    // Two nodes at once.
    let nodes = (life.clinic.node().await, life.clinic.node().await);
    until(async || life.traces().await.is_empty()).await;
    let gone = connect(&nodes.0.url, None).await;
    let log_in = json!({ "email": life.patient.email, "password": PASSWORD });
    let refused = gone.request("auth.login", log_in, None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Unauthenticated));
}

/// A node that cannot hear of the end of a session takes its token for a while. What is written with it goes as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_living_token_wrote_after_the_end_is_erased_too() {
    let life = Life::lived().await;
    let unheard = token_issued(&life.clinic, &life.patient, Clock.now()).await;
    life.rest().call(Operation::MeDelete, &json!({}), Some(&key())).await;
    until(async || life.traces().await.is_empty()).await;
    let rest = Rest { url: life.clinic.url(), token: Some(&unheard) };
    let mut booking = life.practice.booking(&at(&date(6), "09:00"));
    booking["reason"] = json!(REASON);
    assert_eq!(rest.call(Operation::AppointmentBook, &booking, Some(&key())).await.status, 201);
    assert_eq!(life.traces().await.len(), 4, "name and reason");
    life.office.erasure.erase_closed(later()).await.unwrap();
    assert_eq!((life.traces().await, life.accounts_left().await), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_leaves_and_the_visits_of_their_patients_stay() {
    let life = Life::lived().await;
    let doctor = &life.practice.doctor;
    let rest = Rest { url: life.clinic.url(), token: Some(&doctor.token) };
    let profile =
        json!({ "id": doctor.id, "bio": "Nací en Tunja", "address": "Calle 1 # 2-3", "specialisation": "Otorrino" });
    rest.call(Operation::DoctorUpdate, &profile, Some(&key())).await;
    let archived = json!({ "doctorId": doctor.id, "name": "Consulta con Duarte", "durationMinutes": 30 });
    let archived = rest.call(Operation::ServiceCreate, &archived, Some(&key())).await.json();
    let archived = json!({ "doctorId": doctor.id, "id": archived["id"] });
    assert_eq!(rest.call(Operation::ServiceArchive, &archived, Some(&key())).await.code(), None);
    let list = json!({ "pageSize": 100 });
    let before = life.rest().call(Operation::AppointmentList, &list, None).await.json();
    let last = before["items"].as_array().unwrap().last().unwrap();
    let sorry = json!({ "id": last["id"], "reason": "Lo siento, Daniel Duarte" });
    rest.call(Operation::AppointmentCancel, &sorry, Some(&key())).await;

    assert_eq!(rest.call(Operation::MeDelete, &json!({}), Some(&key())).await.code(), None);
    let words = ["daniel", "duarte", &doctor.email, "tunja", "calle 1", "otorrino"];
    until(async || {
        let everything = life.everything().await;
        words.iter().all(|word| !everything.contains(word))
    })
    .await;
    let anyone = Rest { url: life.clinic.url(), token: None };
    let found = anyone.call(Operation::DoctorGet, &json!({ "id": doctor.id }), None).await;
    assert_eq!(found.code().as_deref(), Some("not_found"));
    let after = life.rest().call(Operation::AppointmentList, &list, None).await.json();
    let after = after["items"].as_array().unwrap();
    assert_eq!(after.len(), before["items"].as_array().unwrap().len());
    let statuses: Vec<_> = after.iter().map(|item| item["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["booked", "cancelled", "cancelled", "cancelled"]);
    assert!(after.iter().all(|item| item["doctorName"] == ""
        && item["serviceName"] == ""
        && item["patientName"] == NAME
        && item["reason"] == REASON));
    life.office.erasure.erase_closed(later()).await.unwrap();
    assert!(!life.everything().await.contains(&doctor.email));
}
