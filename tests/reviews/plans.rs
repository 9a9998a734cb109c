//! How the database answers lists of reviews: each page is one stretch of one index.

use cita::domain::history::Actor;
use cita::domain::ids::{AppointmentId, ReviewId, SessionId, UserId};
use cita::domain::review::{Action, HistoryEntry, Report, Review};
use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita::store::collection;
use cita::store::documents::ReviewDoc;
use cita::store::reviews::{Query, ReviewStore, newest_first};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::doc;
use uuid::Uuid;

use crate::harness::clinic::Clinic;

const PAGE: i64 = 10;

fn somebody(id: u128) -> UserId {
    UserId(Uuid::from_u128(id))
}

/// One of three doctors' reviews; every fourth is hidden, every fifth reported.
fn review(number: u32) -> Review {
    let at = Timestamp::constant(1_800_000_000, 0) + SignedDuration::from_mins(number.into());
    let by = Actor { user: somebody(u128::from(number) + 1_000), session: SessionId(Uuid::nil()) };
    let report = Report { by: somebody(7), reason: "x".to_owned(), at };
    Review {
        id: ReviewId(Uuid::from_u128(u128::from(number) + 1)),
        rev: 1,
        doctor_id: somebody(u128::from(number % 3)),
        patient_id: by.user,
        appointment_id: AppointmentId(Uuid::from_u128(number.into())),
        rating: 3,
        text: None,
        reply: None,
        hidden: number.is_multiple_of(4).then(|| "x".to_owned()),
        reports: number.is_multiple_of(5).then_some(report).into_iter().collect(),
        history: vec![HistoryEntry { rev: 1, action: Action::Written, by, at, reason: None }],
        created_on: "2027-01-15".parse().unwrap(),
        edited_on: None,
        created_at: at,
        updated_at: at,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_one_stretch_of_one_index() {
    let clinic = Clinic::open().await;
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let (db, store) = (cluster.db.clone(), ReviewStore::new(cluster));
    let documents = (0..600).map(|number| ReviewDoc::from_domain(&review(number), Vec::new()));
    db.collection::<ReviewDoc>(collection::REVIEWS).insert_many(documents).await.unwrap();
    let of = |doctor, published, reported| Query { doctor, published, reported, limit: PAGE, ..Query::default() };
    for (name, query, index) in [
        ("a doctor's", of(Some(somebody(1)), Some(true), None), "doctor_status_created"),
        ("every", of(None, None, None), "created"),
        ("reported", of(None, None, Some(true)), "reported"),
    ] {
        let mut after = None;
        // Far enough for a scan from the beginning to be told from one that goes on.
        for page in 0..8 {
            let query = Query { after: after.take(), ..query.clone() };
            let find = doc! {
                "find": collection::REVIEWS, "filter": query.filter(), "sort": newest_first(), "limit": PAGE,
            };
            let explain = doc! { "explain": find, "verbosity": "executionStats" };
            let explained = db.run_command(explain).await.unwrap();
            let plan = format!("{:?}", explained.get_document("queryPlanner").unwrap().get("winningPlan"));
            let what = format!("{name}, page {page}: {plan}");
            assert!(plan.contains(&format!("\"indexName\": String(\"{index}\")")), "{what}");
            assert!(!plan.contains("\"SORT\"") && !plan.contains("COLLSCAN"), "{what}");
            let examined = explained.get_document("executionStats").unwrap().get_i32("totalDocsExamined").unwrap();
            assert!(i64::from(examined) <= PAGE + 2, "{examined} read: {what}");
            let found = store.list(&query).await.unwrap();
            assert_eq!(i64::try_from(found.len()).unwrap(), PAGE, "{what}");
            after = found.last().map(|last| (last.created_at, last.id));
        }
    }
}
