//! Once in the cluster: whichever node tells, and whatever becomes of it.

use cita::store::leases::Lease;
use mongodb::bson::{DateTime, Document, Timestamp, doc};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{Databases, Spool, Stage, ask, uuid};
use crate::harness::clinic::{
    Clinic, Person, at, connect, database, date, practice_at, register, simple_service, text,
};
use crate::harness::mongo;
use crate::harness::process::Process;
use crate::harness::until;
use crate::mail::Server;

const TELLS: &str = "this node tells people of their appointments fence=";

fn by_smtp(url: &str) -> [&str; 4] {
    ["--smtp-url", url, "--mail-from", "citas@prueba.example"]
}

/// The names of the notices to a patient that a mail server took, in that order.
fn notices(server: &Server, patient: &Person) -> Vec<String> {
    let id = |mail: &String| Some(mail.split_once("Message-ID: <")?.1.split_once('@')?.0.to_owned());
    let to_patient = format!("RCPT TO:<{}>", patient.email);
    let is_notice = |id: &String| id.ends_with("-patient");
    let taken = server.taken();
    taken.iter().filter(|mail| mail.contains(&to_patient)).filter_map(id).filter(is_notice).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_once_and_a_restart_goes_on_where_it_stopped() {
    let spool = Spool::new();
    let mut clinic = Clinic::open_with(&spool.options()).await;
    let other = clinic.node_with(&spool.options()).await;
    let (practice, patient, odd, databases) =
        (clinic.practice().await, clinic.patient().await, clinic.patient().await, Databases::of(&clinic).await);
    databases.verify(&patient).await;
    databases.verify(&odd).await;
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
    ask(&silent.url, &odd, "appointment.book", practice.booking(&at(&date(30), "14:00"))).await.unwrap();
    // Nor does it stop at somebody of whom nothing can be read.
    let accounts = databases.users.db.collection::<Document>("users");
    let spoiled = doc! { "$set": { "locale": 7 } };
    accounts.update_one(doc! { "_id": uuid(&odd.id) }, spoiled).await.unwrap();
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
    let options = by_smtp(&smtp);
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
    until(async || notices(&server, &patient).len() == 3).await;
    databases.told().await;
    let (second, third) = (&booked[1], &booked[2]);
    // Each reader reads in the order in which things happened.
    let expected = [format!("{second}-1-patient"), format!("{third}-1-patient"), format!("{second}-2-patient")];
    assert_eq!(notices(&server, &patient), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_off_while_a_node_stops_is_not_settled() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    let (busy, free) = (Server::open(&["451 later"; 64]).await, Server::open(&[]).await);
    let (mut node, url) = Process::serve(&users, &appointments, &by_smtp(&busy.url())).await;
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    until(async || databases.position().await.is_some()).await;
    let booked = ask(&url, &patient, "appointment.book", practice.booking(&at(&date(30), "09:00"))).await.unwrap();
    node.told(r#"a mail could not be delivered yet about="appointment""#).await;
    node.signal("TERM").await;
    assert!(node.ended().await.success());
    assert_eq!(notices(&busy, &patient), [""; 0]);
    let _next = Process::serve(&users, &appointments, &by_smtp(&free.url())).await;
    until(async || !notices(&free, &patient).is_empty()).await;
    databases.told().await;
    assert_eq!(notices(&free, &patient), [format!("{}-1-patient", text(&booked, "id"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_gets_no_mail_out_leaves_it_to_others_who_ask_anew_what_is_wanted() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    let (closed, open) = (Server::open(&["535 who are you"; 64]).await, Server::open(&[]).await);
    let (node, url) = Process::serve(&users, &appointments, &by_smtp(&closed.url())).await;
    assert_eq!(node.told(TELLS).await, "1");
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    until(async || databases.position().await.is_some()).await;
    let book = async |time: &str| {
        let booking = practice.booking(&at(&date(30), time));
        text(&ask(&url, &patient, "appointment.book", booking).await.unwrap(), "id")
    };
    let choose = async |changes: bool| {
        let chosen = json!({ "notifications": { "changes": changes } });
        ask(&url, &patient, "me.update", chosen).await.unwrap();
    };
    book("09:00").await;
    node.told("no mail gets out of this node").await;
    choose(false).await;
    let (other, _) = Process::serve(&users, &appointments, &by_smtp(&open.url())).await;
    assert_eq!(other.told(TELLS).await, "2");
    databases.told().await;
    choose(true).await;
    let second = book("10:00").await;
    until(async || !notices(&open, &patient).is_empty()).await;
    databases.told().await;
    assert_eq!(notices(&open, &patient), [format!("{second}-1-patient")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_keeps_no_more_it_catches_up() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let databases = Databases::of(&Clinic::on(&users, &appointments)).await;
    // One for each who registers, and one for the first notice.
    let server = Server::open(&["535 who are you"; 3]).await;
    let smtp = server.url();
    let options = [&by_smtp(&smtp)[..], &["--ring-mb", "1"][..]].concat();
    let (node, url) = Process::serve(&users, &appointments, &options).await;
    let (practice, patient) =
        (practice_at(&url, simple_service()).await, register(&url, "patient", "Paula Pérez").await);
    databases.verify(&patient).await;
    until(async || node.output().matches("a mail was not delivered").count() == 2).await;
    databases.told().await;
    let mut expected = Vec::new();
    for time in ["09:00", "10:00"] {
        let booking = practice.booking(&at(&date(30), time));
        let booked = ask(&url, &patient, "appointment.book", booking).await.unwrap();
        expected.push(format!("{}-1-patient", text(&booked, "id")));
    }
    node.told("no mail gets out of this node").await;
    let caught_up = || node.output().matches("notices catch up by a change stream").count();
    let before = caught_up();
    // More than the node keeps.
    let doctors = databases.appointments.db.collection::<Document>("doctors");
    let mut doctor = doctors.find_one(doc! { "_id": uuid(&practice.doctor.id) }).await.unwrap().unwrap();
    for rev in 100..280 {
        doctor.extend(doc! { "rev": rev, "bio": format!("{rev}").repeat(3_000) });
        doctors.replace_one(doc! { "_id": uuid(&practice.doctor.id) }, &doctor).await.unwrap();
    }
    until(async || notices(&server, &patient).len() >= 2).await;
    assert_eq!(caught_up(), before + 1);
    databases.told().await;
    let booking = practice.booking(&at(&date(30), "11:00"));
    let booked = ask(&url, &patient, "appointment.book", booking).await.unwrap();
    expected.push(format!("{}-1-patient", text(&booked, "id")));
    until(async || notices(&server, &patient).len() >= 3).await;
    databases.told().await;
    assert_eq!(notices(&server, &patient), expected);
}

/// What is committed travels to a node once, for everything that it does with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_tells_has_no_change_stream_for_it() {
    let stage = Stage::set(simple_service()).await;
    stage.book(&at(&date(30), "09:00")).await;
    stage.spool.letters(&stage.patient, 1).await;
    until(async || stage.databases.change_streams().await == 1).await;
    stage.book(&at(&date(30), "10:00")).await;
    stage.spool.letters(&stage.patient, 2).await;
    assert_eq!(stage.databases.change_streams().await, 1);
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
