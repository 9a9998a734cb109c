//! What people choose to be told.

use cita_protocol::Operation;
use serde_json::{Value, json};

use super::{Databases, ask};
use crate::harness::clinic::{Clinic, Person, at, date, key};
use crate::harness::rest::Rest;

async fn me(clinic: &Clinic, person: &Person) -> Value {
    clinic.connect(person).await.request("me.get", json!({}), None).await.unwrap().data
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_chooses_what_they_are_told() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let all = json!({ "changes": true, "reminders": true, "offers": true, "reminderMinutes": 1440 });
    assert_eq!(me(&clinic, &person).await["notifications"], all);
    let some = json!({ "offers": false, "reminderMinutes": 15 });
    let (url, change_key) = (clinic.url(), key());
    let rest = Rest { url, token: Some(&person.token) };
    let change = json!({ "notifications": some });
    let changed = rest.call(Operation::MeUpdate, &change, Some(&change_key)).await.json();
    let chosen = json!({ "changes": true, "reminders": true, "offers": false, "reminderMinutes": 15 });
    assert_eq!((&changed["notifications"], &changed["rev"]), (&chosen, &json!(2)));
    // The same request again, and another one with its key.
    assert_eq!(rest.call(Operation::MeUpdate, &change, Some(&change_key)).await.json(), changed);
    let other = json!({ "notifications": { "offers": true } });
    let reused = rest.call(Operation::MeUpdate, &other, Some(&change_key)).await;
    assert_eq!(reused.code().as_deref(), Some("idempotency_key_reused"));
    ask(url, &person, "me.update", json!({ "name": "Otro Nombre" })).await.unwrap();
    ask(url, &person, "me.update", json!({ "notifications": {} })).await.unwrap();
    assert_eq!(me(&clinic, &person).await["notifications"], chosen, "what is not named stays");
    let export = clinic.connect(&person).await.request("me.export", json!({}), None).await.unwrap().data;
    assert_eq!(export["user"]["notifications"], chosen);
    for (wrong, pointer) in [
        (json!({ "reminderMinutes": 14 }), "/notifications/reminderMinutes"),
        (json!({ "reminderMinutes": 10_081 }), "/notifications/reminderMinutes"),
    ] {
        let refused = rest.call(Operation::MeUpdate, &json!({ "notifications": wrong }), Some(&key())).await;
        assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{refused:?}");
        let problem = refused.json();
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!(pointer), &json!("out_of_range"))
        );
    }
    for wrong in [json!({ "push": true }), json!({ "changes": "no" }), json!({ "reminderMinutes": 60.5 })] {
        let refused = rest.call(Operation::MeUpdate, &json!({ "notifications": wrong }), Some(&key())).await;
        assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{wrong}: {refused:?}");
    }
    assert_eq!(me(&clinic, &person).await["notifications"], chosen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_mail_is_set_up_nothing_of_this_is_written() {
    let clinic = Clinic::open().await;
    let (practice, patient, databases) =
        (clinic.practice().await, clinic.patient().await, Databases::of(&clinic).await);
    databases.verify(&patient).await;
    ask(clinic.url(), &patient, "appointment.book", practice.booking(&at(&date(3), "09:00"))).await.unwrap();
    clinic.close().await;
    let collections = databases.appointments.db.list_collection_names().await.unwrap();
    assert!(collections.iter().any(|name| name == "appointments"), "{collections:?}");
    assert!(!collections.iter().any(|name| name == "leases" || name == "reminders"), "{collections:?}");
}
