//! What people are told by e-mail of their appointments: who, of what, in which words, and once.

mod changes;
mod nodes;
mod reminders;
mod settings;

use std::collections::HashSet;
use std::path::PathBuf;

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita_cli::ClientError;
use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, Timestamp, Uuid, doc};
use mongodb::options::ReadConcern;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Person, Practice, connect, key};
use crate::harness::mongo::scratch_dir;
use crate::harness::until;

/// Where the nodes of a clinic put their mails.
struct Spool(PathBuf);

/// A mail about an appointment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    /// Of its `Message-ID`, without the domain.
    id: String,
    text: String,
}

impl Spool {
    fn new() -> Self {
        Self(scratch_dir().join("mail"))
    }

    fn options(&self) -> [&str; 2] {
        ["--mail-spool", self.0.to_str().unwrap()]
    }

    /// What somebody was told of appointments, in that order: mails of one node have names that sort.
    fn letters_to(&self, person: &Person) -> Vec<Letter> {
        let mut files: Vec<_> = std::fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        files.sort();
        let read = |path: &PathBuf| {
            let mail = std::fs::read_to_string(path).unwrap();
            let (head, text) = mail.split_once("\r\n\r\n").unwrap();
            let is_theirs = head.contains(&format!("<{}>", person.email)) && text.contains("/account\r\n");
            let id = head.split_once("Message-ID: <").unwrap().1.split_once('@').unwrap().0;
            is_theirs.then(|| Letter { id: id.to_owned(), text: text.replace("\r\n", "\n") })
        };
        files.iter().filter_map(read).collect()
    }

    /// The same, once there are so many.
    async fn letters(&self, person: &Person, count: usize) -> Vec<Letter> {
        until(async || self.letters_to(person).len() >= count).await;
        let letters = self.letters_to(person);
        assert_eq!(letters.len(), count, "{letters:#?}");
        letters
    }

    /// The text of the latest, once there are so many.
    async fn latest(&self, person: &Person, count: usize) -> String {
        self.letters(person, count).await.pop().unwrap().text
    }
}

/// The clusters of a clinic, beside its nodes.
struct Databases {
    users: Cluster,
    appointments: Cluster,
}

impl Databases {
    async fn of(clinic: &Clinic) -> Self {
        let open = async |name, uri| Cluster::new(name, uri).await.expect("a good address");
        Self {
            users: open(ClusterName::Users, &clinic.users_uri).await,
            appointments: open(ClusterName::Appointments, &clinic.appointments_uri).await,
        }
    }

    /// As if somebody had followed the link that verifies their address.
    async fn verify(&self, person: &Person) {
        let users = self.users.db.collection::<Document>("users");
        let verified = users.update_one(doc! { "_id": uuid(&person.id) }, doc! { "$set": { "emailVerified": true } });
        assert_eq!(verified.await.unwrap().matched_count, 1);
    }

    async fn lease(&self) -> Option<Document> {
        self.appointments.db.collection("leases").find_one(doc! { "_id": "notices" }).await.unwrap()
    }

    /// Waits until everything that is committed by now has been told, and this is written down.
    async fn told(&self) {
        let mut session = self.appointments.session().await.unwrap();
        self.appointments.db.run_command(doc! { "ping": 1 }).session(&mut session).await.unwrap();
        let now = session.operation_time().unwrap();
        until(async || self.position().await.is_some_and(|position| position >= now)).await;
    }

    /// How far it is told.
    async fn position(&self) -> Option<Timestamp> {
        self.lease().await?.get_timestamp("position").ok()
    }

    /// How many change streams are open on it.
    async fn change_streams(&self) -> usize {
        let (db, admin) = (&self.appointments.db, self.appointments.db.client().database("admin"));
        let all_cursors = [doc! { "$currentOp": { "allUsers": true, "idleCursors": true } }];
        let cursors = admin.aggregate(all_cursors).read_concern(ReadConcern::local()).await.unwrap();
        let all: Vec<Document> = cursors.try_collect().await.unwrap();
        let stream = |operation: &Document| {
            let cursor = operation.get_document("cursor").ok()?;
            let pipeline = cursor.get_document("originatingCommand").ok()?.get_array("pipeline").ok()?;
            let is_ours = operation.get_str("ns").ok()?.starts_with(&format!("{}.", db.name()));
            let is_stream = pipeline.first()?.as_document()?.contains_key("$changeStream");
            (is_ours && is_stream).then(|| cursor.get_i64("cursorId").unwrap())
        };
        all.iter().filter_map(stream).collect::<HashSet<_>>().len()
    }

    async fn reminder(&self, appointment: &str) -> Option<Document> {
        let reminders = self.appointments.db.collection::<Document>("reminders");
        reminders.find_one(doc! { "_id": uuid(appointment) }).await.unwrap()
    }
}

fn uuid(id: &str) -> Bson {
    Uuid::parse_str(id).unwrap().into()
}

/// A clinic whose mails are files, and a doctor and a patient in it who read theirs.
struct Stage {
    spool: Spool,
    clinic: Clinic,
    databases: Databases,
    practice: Practice,
    patient: Person,
}

impl Stage {
    async fn set(service: Value) -> Self {
        let spool = Spool::new();
        let clinic = Clinic::open_with(&spool.options()).await;
        let (databases, practice, patient) =
            (Databases::of(&clinic).await, clinic.practice_with(service).await, clinic.patient().await);
        databases.verify(&practice.doctor).await;
        databases.verify(&patient).await;
        // From then on somebody tells.
        until(async || databases.position().await.is_some()).await;
        Self { spool, clinic, databases, practice, patient }
    }

    async fn ask(&self, person: &Person, operation: &str, data: Value) -> Value {
        ask(self.clinic.url(), person, operation, data).await.expect("it is done")
    }

    async fn book(&self, start: &str) -> Value {
        self.ask(&self.patient, "appointment.book", self.practice.booking(start)).await
    }

    async fn choose(&self, person: &Person, notifications: Value) {
        self.ask(person, "me.update", json!({ "notifications": notifications })).await;
    }
}

async fn ask(url: &str, person: &Person, operation: &str, data: Value) -> Result<Value, ClientError> {
    connect(url, Some(&person.token)).await.request(operation, data, Some(key())).await.map(|reply| reply.data)
}
