//! Once in the cluster: whichever node tells, and whatever becomes of it.

use cita::store::leases::Lease;
use mongodb::bson::{DateTime, Document, Timestamp, doc};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{Databases, Spool, ask};
use crate::harness::clinic::{Clinic, at, connect, database, date, practice_at, register, simple_service, text};
use crate::harness::mongo;
use crate::harness::process::Process;
use crate::harness::until;
use crate::mail::Server;

const TELLS: &str = "this node tells people of their appointments fence=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_once_and_a_restart_goes_on_where_it_stopped() {
    let spool = Spool::new();
    let mut clinic = Clinic::open_with(&spool.options()).await;
    let other = clinic.node_with(&spool.options()).await;
    let (practice, patient, databases) =
        (clinic.practice().await, clinic.patient().await, Databases::of(&clinic).await);
    databases.verify(&patient).await;
    until(async || databases.position().await.is_some()).await;
    for (url, time) in [(clinic.url(), "09:00"), (other.url.as_str(), "10:00"), (clinic.url(), "11:00")] {
        ask(url, &patient, "appointment.book", practice.booking(&at(&date(30), time))).await.unwrap();
    }
    databases.told().await;
    spool.letters(&patient, 3).await;

    // Whoever stops gives the lease back: the other has it long before it would have ended.
    clinic.take_node().stop().await;
    ask(&other.url, &patient, "appointment.book", practice.booking(&at(&date(30), "12:00"))).await.unwrap();
    databases.told().await;
    spool.letters(&patient, 4).await;

    // What happens while nobody tells is told later, and nothing that was told before.
    other.stop().await;
    let until_then = databases.lease().await.unwrap();
    assert_eq!(*until_then.get_datetime("until").unwrap(), DateTime::from_millis(0), "it was given back");
    let silent = clinic.node().await;
    ask(&silent.url, &patient, "appointment.book", practice.booking(&at(&date(30), "13:00"))).await.unwrap();
    let _next = clinic.node_with(&spool.options()).await;
    spool.letters(&patient, 5).await;
    databases.told().await;
    let letters = spool.letters(&patient, 5).await;
    assert!(letters[4].text.contains("13:00"), "{letters:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_has_not_told_another_tells() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    let spool = Spool::new();
    let (mut holder, url) = Process::serve(&users, &appointments, &spool.options()).await;
    assert_eq!(holder.told(TELLS).await, "1");
    let (other, other_url) = Process::serve(&users, &appointments, &spool.options()).await;
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    let book = async |time: &str| {
        ask(&other_url, &patient, "appointment.book", practice.booking(&at(&date(30), time))).await.unwrap();
    };
    book("09:00").await;
    databases.told().await;
    spool.letters(&patient, 1).await;

    // While it books on, the node that tells dies.
    book("10:00").await;
    holder.signal("KILL").await;
    book("11:00").await;
    assert!(!holder.ended().await.success());
    book("12:00").await;
    assert_eq!(other.told(TELLS).await, "2");
    databases.told().await;
    let letters = spool.letters_to(&patient);
    let of = |time: &str| letters.iter().filter(|letter| letter.text.contains(time)).collect::<Vec<_>>();
    assert_eq!(
        (of("09:00").len(), of("12:00").len()),
        (1, 1),
        "what was written down does not come again: {letters:#?}"
    );
    for time in ["10:00", "11:00"] {
        // At least once; and whoever gets it again can tell.
        let told = of(time);
        assert!(!told.is_empty() && told.iter().all(|letter| letter.id == told[0].id), "{letters:#?}");
    }
    // The clinic is served all along.
    connect(&other_url, Some(&patient.token)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_cannot_be_continued_is_said_and_left() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    let leases = databases.appointments.db.collection::<Document>("leases");
    // Of a database that was put back to an earlier day.
    let ahead = doc! {
        "_id": "notices", "fence": 7_i64, "until": DateTime::from_millis(0),
        "position": Timestamp { time: u32::MAX - 1, increment: 1 },
    };
    leases.insert_one(ahead).await.unwrap();
    let spool = Spool::new();
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let (node, url) = Process::serve(&users, &appointments, &[&spool.options()[..], &metrics[..]].concat()).await;
    assert_eq!(node.told(TELLS).await, "8");
    node.told("notices begin anew").await;
    until(async || databases.position().await.is_some_and(|position| position.time < u32::MAX - 1)).await;
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    ask(&url, &patient, "appointment.book", practice.booking(&at(&date(30), "09:00"))).await.unwrap();
    spool.letters(&patient, 1).await;
    let metrics_url = format!("http://{}/metrics", node.told("listening metrics=").await);
    let told = reqwest::get(metrics_url).await.unwrap().text().await.unwrap();
    assert!(told.contains("cita_notices_lost_total 1\n"), "{told}");
    assert!(told.contains("cita_notices_total{outcome=\"delivered\"} 1\n"), "{told}");
    let log = node.output();
    assert!(!log.contains(&patient.email) && !log.contains(&patient.name), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_mail_server_is_away_nothing_is_told_and_nothing_forgotten() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let smtp = format!("smtp://{address}/citas.prueba.example");
    let options = ["--smtp-url", smtp.as_str(), "--mail-from", "citas@prueba.example"];
    let (mut node, url) = Process::serve(&users, &appointments, &options).await;
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    until(async || databases.position().await.is_some()).await;
    let mut booked = Vec::new();
    for time in ["09:00", "10:00", "11:00"] {
        let booking = practice.booking(&at(&date(30), time));
        booked.push(text(&ask(&url, &patient, "appointment.book", booking).await.unwrap(), "id"));
    }
    ask(&url, &practice.doctor, "appointment.cancel", json!({ "id": booked[1] })).await.unwrap();
    node.told(r#"a mail could not be delivered yet about="appointment""#).await;
    // The node goes, and comes back with the mail server, which takes one of them late and one never.
    node.signal("TERM").await;
    assert!(node.ended().await.success());
    let server = Server::open_at(&address, &["451 later", "550 never"]).await;
    let _next = Process::serve(&users, &appointments, &options).await;
    let notices = || {
        let taken = server.taken();
        let id = |mail: &String| Some(mail.split_once("Message-ID: <")?.1.split_once('@')?.0.to_owned());
        let to_patient = format!("RCPT TO:<{}>", patient.email);
        let is_notice = |id: &String| id.ends_with("-patient");
        taken.iter().filter(|mail| mail.contains(&to_patient)).filter_map(id).filter(is_notice).collect::<Vec<_>>()
    };
    until(async || notices().len() == 3).await;
    databases.told().await;
    let (second, third) = (&booked[1], &booked[2]);
    // Each reader reads in the order in which things happened.
    let expected = [format!("{second}-1-patient"), format!("{third}-1-patient"), format!("{second}-2-patient")];
    assert_eq!(notices(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_has_one_holder_and_a_fence() {
    let clinic = Clinic::open().await;
    let databases = Databases::of(&clinic).await;
    let cluster = &databases.appointments;
    let acquire = async |owner| Lease::acquire(cluster, "notices", owner).await.unwrap();
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let first = acquire(one).await.expect("nobody has it");
    assert_eq!((first.fence(), first.position()), (1, None));
    assert!(acquire(two).await.is_none());
    assert!(first.keep().await.unwrap() && first.is_held());
    // The database's clock says that it has ended.
    let leases = cluster.db.collection::<Document>("leases");
    let ended = doc! { "$set": { "until": DateTime::from_millis(0) } };
    leases.update_one(doc! { "_id": "notices" }, ended).await.unwrap();
    let second = acquire(two).await.expect("it has ended");
    assert_eq!(second.fence(), 2);
    second.reached(Some(cita::domain::change::Position(5 << 32 | 6)));
    assert!(!first.keep().await.unwrap() && !first.is_held(), "somebody else has it");
    first.give_back().await;
    assert!(second.keep().await.unwrap(), "who has lost it gives nothing back");
    assert_eq!(databases.position().await, Some(Timestamp { time: 5, increment: 6 }));
    second.give_back().await;
    let third = acquire(one).await.expect("it was given back");
    assert_eq!((third.fence(), third.position().map(|position| position.0)), (3, Some(5 << 32 | 6)));
}
