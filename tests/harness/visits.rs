//! Visits that took place, without waiting for them.

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use mongodb::bson::{Bson, Document, doc};

use super::clinic::{Clinic, Person, Practice, key, text};

/// A visit of a patient that took place: booked through the door, then written as fulfilled, as Cita would.
pub async fn visit(clinic: &Clinic, practice: &Practice, patient: &Person, start: &str) -> String {
    let connection = clinic.connect(patient).await;
    let booked = connection.request("appointment.book", practice.booking(start), Some(key())).await;
    let id = text(&booked.expect("a free time").data, "id");
    set_status(clinic, &id, "fulfilled").await;
    id
}

/// Gives an appointment another status, by a whole replace.
pub async fn set_status(clinic: &Clinic, id: &str, status: &str) {
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    let appointments = cluster.db.collection::<Document>("appointments");
    let id: Bson = mongodb::bson::Uuid::parse_str(id).expect("an id").into();
    let mut document = appointments.find_one(doc! { "_id": &id }).await.expect("a read").expect("an appointment");
    document.insert("status", status);
    document.insert("rev", document.get_i32("rev").expect("a revision") + 1);
    appointments.replace_one(doc! { "_id": &id }, document).await.expect("a write");
}
