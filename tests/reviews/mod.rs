//! Reviews: who may write them and what of them is seen, moderation, and the rating that they make.

mod live;
mod moderation;
mod plans;
mod rating;
mod writing;

use cita_protocol::{ErrorCode, Operation};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Person, Practice, at, date, key};
use crate::harness::rest::{Answer, Rest};
use crate::harness::visits::visit;

/// A doctor, and a patient who was there once.
struct Scene {
    clinic: Clinic,
    practice: Practice,
    patient: Person,
    visit: String,
}

impl Scene {
    async fn set() -> Self {
        Self::set_in(Clinic::open_with(&["--heartbeat-ms", "300"]).await).await
    }

    async fn set_in(clinic: Clinic) -> Self {
        let (practice, patient) = (clinic.practice().await, clinic.patient().await);
        let visit = visit(&clinic, &practice, &patient, &at(&date(1), "09:00")).await;
        Self { clinic, practice, patient, visit }
    }

    fn rest<'a>(&'a self, person: Option<&'a Person>) -> Rest<'a> {
        Rest { url: self.clinic.url(), token: person.map(|person| person.token.as_str()) }
    }

    /// Asks for a change with a key of its own.
    async fn ask(&self, person: &Person, operation: Operation, data: Value) -> Answer {
        self.rest(Some(person)).call(operation, &data, Some(&key())).await
    }

    fn review(&self, rating: u32) -> Value {
        json!({ "doctorId": self.practice.doctor.id, "appointmentId": self.visit, "rating": rating, "text": "Muy amable" })
    }

    /// The review of the visit, written.
    async fn written(&self, rating: u32) -> Value {
        let answer = self.ask(&self.patient, Operation::ReviewCreate, self.review(rating)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// What the public sees of the doctor's reviews.
    async fn shown(&self) -> Vec<Value> {
        let data = json!({ "doctorId": self.practice.doctor.id, "pageSize": 100 });
        let listed = self.rest(None).call(Operation::ReviewList, &data, None).await.json();
        listed["items"].as_array().expect("items").clone()
    }

    /// The doctor's rating as the public sees it.
    async fn rating(&self) -> Value {
        let data = json!({ "id": self.practice.doctor.id });
        self.rest(None).call(Operation::DoctorGet, &data, None).await.json()["rating"].clone()
    }

    fn topic(&self) -> String {
        format!("doctors/{}/reviews", self.practice.doctor.id)
    }
}

fn code(code: ErrorCode) -> Option<String> {
    Some(code.as_str().to_owned())
}
