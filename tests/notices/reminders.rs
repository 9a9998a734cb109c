//! A reminder comes once, when it is due, and only of what is still to come.

use cita::domain::ids::AppointmentId;
use cita::store::reminders::{Reminder, ReminderStore};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{DateTime, Document, doc};
use serde_json::json;
use uuid::Uuid;

use super::{Databases, Stage, uuid};
use crate::harness::clinic::{Clinic, at, date, simple_service, text};
use crate::harness::until;

fn minutes_before(start: &str, minutes: i64) -> DateTime {
    let start: Timestamp = start.parse().unwrap();
    DateTime::from_millis((start - SignedDuration::from_mins(minutes)).as_millisecond())
}

impl Stage {
    /// Lets time pass for a reminder, which is then found.
    async fn make_due(&self, appointment: &str) {
        let reminders = self.databases.appointments.db.collection::<Document>("reminders");
        let due = doc! { "$set": { "due": DateTime::from_millis(0) } };
        let made = reminders.update_one(doc! { "_id": uuid(appointment) }, due).await.unwrap();
        assert_eq!(made.matched_count, 1);
    }

    async fn due(&self, appointment: &str) -> Option<DateTime> {
        self.databases.reminder(appointment).await.map(|reminder| *reminder.get_datetime("due").unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_follows_its_appointment_and_comes_once() {
    let stage = Stage::set(simple_service()).await;
    let (spool, patient) = (&stage.spool, &stage.patient);
    stage.choose(patient, json!({ "reminderMinutes": 60 })).await;
    let (first, second) = (at(&date(3), "09:00"), at(&date(4), "10:00"));
    let id = text(&stage.book(&first).await, "id");
    until(async || stage.due(&id).await == Some(minutes_before(&first, 60))).await;
    stage.ask(patient, "appointment.reschedule", json!({ "id": id, "start": second })).await;
    until(async || stage.due(&id).await == Some(minutes_before(&second, 60))).await;

    // Whoever finds it asks what its reader wants now: an hour ahead is not yet.
    stage.make_due(&id).await;
    until(async || stage.due(&id).await == Some(minutes_before(&second, 60))).await;
    assert_eq!(spool.letters_to(patient).len(), 1, "the confirmation");
    stage.choose(patient, json!({ "reminderMinutes": 10_080 })).await;
    stage.make_due(&id).await;
    let reminder = spool.latest(patient, 2).await;
    assert!(reminder.contains("Le recordamos su cita.") && reminder.contains("10:00 (America/Bogota)\n"), "{reminder}");
    until(async || stage.databases.reminder(&id).await.is_none()).await;

    // Neither again, whatever else becomes of the appointment and however late its reader wants it by now, nor for what is told
    // later than it would be reminded of.
    stage.choose(patient, json!({ "reminderMinutes": 60 })).await;
    stage.ask(&stage.practice.doctor, "appointment.setNotes", json!({ "id": id, "notes": "Nota" })).await;
    stage.databases.told().await;
    assert!(stage.databases.reminder(&id).await.is_none());
    stage.choose(patient, json!({ "reminderMinutes": 10_080 })).await;
    let near = text(&stage.book(&at(&date(5), "09:00")).await, "id");
    stage.databases.told().await;
    assert!(stage.databases.reminder(&id).await.is_none() && stage.databases.reminder(&near).await.is_none());
    let reminded = spool.letters_to(patient).iter().filter(|letter| letter.text.contains("recordamos")).count();
    assert_eq!(reminded, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_reminded_of_what_was_cancelled_or_of_what_they_do_not_want() {
    let stage = Stage::set(simple_service()).await;
    let (spool, patient) = (&stage.spool, &stage.patient);
    let book = async |time: &str| {
        let id = text(&stage.book(&at(&date(3), time)).await, "id");
        until(async || stage.due(&id).await.is_some()).await;
        id
    };
    let (cancelled, stale, unwanted) = (book("09:00").await, book("10:00").await, book("11:00").await);
    stage.ask(patient, "appointment.cancel", json!({ "id": cancelled })).await;
    until(async || stage.due(&cancelled).await.is_none()).await;
    // One that stayed behind, of another start, says nothing, and waits for the start that it is by now.
    let reminders = stage.databases.appointments.db.collection::<Document>("reminders");
    let earlier =
        doc! { "$set": { "start": minutes_before(&at(&date(3), "10:00"), 60), "due": DateTime::from_millis(0) } };
    reminders.update_one(doc! { "_id": uuid(&stale) }, earlier).await.unwrap();
    until(async || stage.due(&stale).await == Some(minutes_before(&at(&date(3), "10:00"), 1_440))).await;
    stage.choose(patient, json!({ "reminders": false, "reminderMinutes": 10_080 })).await;
    stage.make_due(&unwanted).await;
    until(async || stage.due(&unwanted).await.is_none()).await;
    stage.databases.told().await;
    assert_eq!(spool.letters_to(patient).len(), 3, "the confirmations");
    assert!(spool.letters_to(patient).iter().all(|letter| !letter.text.contains("recordamos")));
}

/// The fence: a node that has not noticed that it lost the lease takes nothing from the one that has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_of_before_takes_no_reminder_of_the_present_one() {
    let clinic = Clinic::open().await;
    let databases = Databases::of(&clinic).await;
    let store = ReminderStore::new(databases.appointments.clone());
    let now = Timestamp::from_second(1_796_133_600).unwrap();
    let reminder = Reminder { of: AppointmentId(Uuid::new_v4()), start: now, due: now };
    store.put(&[reminder]).await.unwrap();
    assert_eq!(store.due(now, 1, 10).await.unwrap(), [reminder]);
    assert!(store.take(&reminder, 1).await.unwrap());
    assert!(store.take(&reminder, 2).await.unwrap(), "the first may have died with it");
    assert!(!store.take(&reminder, 1).await.unwrap());
    store.done(&reminder, 1).await.unwrap();
    let later = Reminder { due: now + SignedDuration::from_hours(1), ..reminder };
    store.put_off(&reminder, &later, 1).await.unwrap();
    assert_eq!(store.due(now, 2, 10).await.unwrap(), [reminder], "it is not the first one's any more");
    assert_eq!(store.due(now, 1, 10).await.unwrap(), [], "it would be in the way");
    // What was moved is another reminder.
    let moved = Reminder { start: now + SignedDuration::from_hours(2), ..reminder };
    store.put(&[moved]).await.unwrap();
    assert!(!store.take(&reminder, 3).await.unwrap());
    store.done(&reminder, 2).await.unwrap();
    assert!(store.take(&moved, 3).await.unwrap());
    store.done(&moved, 3).await.unwrap();
    assert_eq!(store.due(now, 3, 10).await.unwrap(), []);
}
