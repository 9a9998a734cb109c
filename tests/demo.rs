//! The demo clinic: made once, completed where it was cut short, and never in anybody else's databases.

use std::net::Ipv4Addr;
use std::sync::Arc;

use cita::clock::Clock;
use cita::demo::{DemoLogins, seed};
use cita::domain::account::{NewAccount, Role};
use cita::domain::listing::{Filter, Sort};
use cita::domain::peer::Peer;
use cita::error::{ClusterName, Result};
use cita::service::auth::{Auth, Device, Registration};
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::doctors::{DoctorStore, Search};
use cita::store::reviews::{self, ReviewStore};
use cita::store::waitlist::WaitlistStore;
use cita::store::{collection, users};
use cita::views::revocations::Revocations;
use mongodb::bson::{Document, doc};
use uuid::Uuid;

use crate::harness::cast::trust;
use crate::harness::clinic::{Clinic, PRODUCTION};
use crate::harness::mongo::shared;
use crate::harness::process::Process;

/// Two empty databases, and what a server has of them.
struct Node {
    users: Cluster,
    appointments: Cluster,
    auth: Auth,
}

async fn cluster(name: ClusterName, uri: &str, database: &str) -> Cluster {
    Cluster::new(name, &uri.replacen("/?", &format!("/{database}?"), 1)).await.unwrap()
}

async fn node() -> Node {
    let (mongo, database) = (shared().await, format!("demo_{}", Uuid::new_v4().simple()));
    let users = cluster(ClusterName::Users, &mongo.users_uri, &database).await;
    let appointments = cluster(ClusterName::Appointments, &mongo.appointments_uri, &database).await;
    assert_eq!((users.db.name(), appointments.db.name()), (database.as_str(), database.as_str()));
    users::ensure_indexes(&users).await.unwrap();
    DoctorStore::new(appointments.clone()).ensure_indexes().await.unwrap();
    AppointmentStore::new(appointments.clone()).ensure_indexes().await.unwrap();
    ReviewStore::new(appointments.clone()).ensure_indexes().await.unwrap();
    WaitlistStore::new(appointments.clone()).ensure_indexes().await.unwrap();
    let auth = Auth::open(users.clone(), &trust(), Arc::new(Revocations::default()), Clock).await.unwrap();
    Node { users, appointments, auth }
}

impl Node {
    async fn seed(&self) -> Result<Option<DemoLogins>> {
        let doctors = DoctorStore::new(self.appointments.clone());
        let reviews = ReviewStore::new(self.appointments.clone());
        let appointments = AppointmentStore::new(self.appointments.clone());
        let waitlist = WaitlistStore::new(self.appointments.clone());
        seed(&self.auth, &doctors, &appointments, &reviews, &waitlist).await
    }

    /// How many users, doctors, appointments and resources there are, and how many wait.
    async fn counts(&self) -> [u64; 5] {
        let count = async |cluster: &Cluster, name| {
            cluster.db.collection::<Document>(name).count_documents(doc! {}).await.unwrap()
        };
        [
            count(&self.users, collection::USERS).await,
            count(&self.appointments, collection::DOCTORS).await,
            count(&self.appointments, collection::APPOINTMENTS).await,
            count(&self.appointments, collection::RESOURCES).await,
            count(&self.appointments, collection::WAITLIST).await,
        ]
    }

    async fn delete_users(&self, filter: Document) {
        self.users.db.collection::<Document>(collection::USERS).delete_many(filter).await.unwrap();
    }

    async fn delete(&self, name: &str, skip: u64) {
        let documents = self.appointments.db.collection::<Document>(name);
        let mut found = documents.find(doc! {}).skip(skip).await.unwrap();
        while found.advance().await.unwrap() {
            let id = found.current().get("_id").unwrap().unwrap().to_owned();
            documents.delete_one(doc! { "_id": mongodb::bson::Bson::try_from(id).unwrap() }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_start_finds_the_clinic_of_the_first() {
    let node = node().await;
    let first = node.seed().await.unwrap().unwrap();
    let counts = node.counts().await;
    assert_eq!((&counts[..2], &counts[3..]), (&[39, 12][..], &[2, 1][..]));
    assert!(counts[2] >= 12 * 8, "{counts:?}");
    assert_eq!(node.seed().await.unwrap(), Some(first));
    assert_eq!(node.counts().await, counts);
}

fn device() -> Device {
    Device { name: None, peer: Peer(Ipv4Addr::LOCALHOST.into()) }
}

#[tokio::test]
async fn the_logins_work() {
    let node = node().await;
    let logins = node.seed().await.unwrap().unwrap();
    for login in logins.iter() {
        let grant = node.auth.login(&login.email, &logins.password.into(), device()).await.unwrap();
        assert_eq!((grant.user.role, grant.user.name.as_str()), (login.role, login.name));
    }
}

/// Two nodes at once, so that each review is written twice.
#[tokio::test]
async fn a_rating_is_what_the_reviews_come_to() {
    let node = node().await;
    let (one, other) = tokio::join!(node.seed(), node.seed());
    assert!(one.unwrap().is_some() && other.unwrap().is_some());
    let doctors = DoctorStore::new(node.appointments.clone());
    let everybody = Search { which: Filter::default(), sort: Sort::Name, after: None, limit: 100 };
    let mut written = 0;
    for doctor in doctors.search(&everybody).await.unwrap() {
        let query = reviews::Query { doctor: Some(doctor.id), published: Some(true), limit: 100, ..Default::default() };
        let found = ReviewStore::new(node.appointments.clone()).list(&query).await.unwrap();
        let points: u32 = found.iter().map(|review| review.rating).sum();
        assert_eq!((doctor.rating.sum, doctor.rating.count as usize), (points, found.len()), "{}", doctor.name);
        written += found.len();
    }
    assert!(written > 12, "{written}");
}

#[tokio::test]
async fn what_was_cut_short_is_completed() {
    let node = node().await;
    node.seed().await.unwrap();
    let counts = node.counts().await;

    node.delete_users(doc! { "role": "admin" }).await;
    node.delete(collection::DOCTORS, 7).await;
    node.delete(collection::APPOINTMENTS, 40).await;
    node.seed().await.unwrap().unwrap();
    assert_eq!(node.counts().await, counts);

    node.delete(collection::APPOINTMENTS, 0).await;
    node.delete(collection::DOCTORS, 0).await;
    node.delete(collection::RESOURCES, 0).await;
    node.seed().await.unwrap().unwrap();
    assert_eq!(node.counts().await, counts, "a cluster that was emptied is filled again");
}

#[tokio::test]
async fn two_nodes_that_seed_at_once_make_one_clinic() {
    let node = node().await;
    let (one, other) = tokio::join!(node.seed(), node.seed());
    assert_eq!(one.unwrap().unwrap(), other.unwrap().unwrap());
    let counts = node.counts().await;
    node.seed().await.unwrap();
    assert_eq!(node.counts().await, counts);
    assert_eq!(counts[..2], [39, 12]);
}

#[tokio::test]
async fn databases_in_use_are_left_alone() {
    let node = node().await;
    let account = NewAccount {
        role: Role::Patient,
        email: "somebody@example.com".to_owned(),
        name: "Somebody".to_owned(),
        locale: None,
        time_zone: None,
    };
    let registration = Registration { account, password: "long enough".into(), device: device() };
    node.auth.register(registration).await.unwrap();
    assert_eq!(node.seed().await.unwrap(), None);
    assert_eq!(node.counts().await, [1, 0, 0, 0, 0]);
}

/// A server seeds in a task of its own.
#[tokio::test]
async fn seeding_can_be_spawned() {
    let node = node().await;
    tokio::spawn(async move { node.seed().await }).await.unwrap().unwrap();
}

/// Whoever knows this page could log in as its admin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_is_not_served_to_the_public() {
    let clinic = Clinic::open_with(&["--demo", "--secret", PRODUCTION[3]]).await;
    let uris = ["--users-uri", &clinic.users_uri, "--appointments-uri", &clinic.appointments_uri];
    let mut server = Process::start(&[&PRODUCTION[..], &uris].concat()).await;
    assert!(!server.ended().await.success());
    assert!(server.output().contains("the databases hold the demo clinic"), "{}", server.output());
}
