//! The database is killed, or gives up its primary, in the middle of bookings.

use cita::embedded::Clusters;
use mongodb::Client;
use mongodb::bson::doc;

use super::ward::{Ran, Ward};
use crate::harness::clinic::database;
use crate::harness::mongo::private;

/// Books on two nodes while `fault` happens, and checks what is left.
async fn under(fault: impl AsyncFnOnce(&mut Clusters)) -> Ran {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    let ward = Ward::open_on(&database(&users, "cita"), &database(&appointments, "cita")).await;
    fault(&mut clusters).await;
    let ran = ward.close().await;
    clusters.stop().await;
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_killed_in_the_middle_of_bookings() {
    let ran = under(async |clusters| {
        clusters.appointments.kill().await;
        clusters.appointments.restart().await.unwrap();
    })
    .await;
    assert_eq!(ran.anew, 0, "the stream goes on where it was, and so do those who watch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_steps_down_in_the_middle_of_bookings() {
    let ran = under(async |clusters| {
        let client = Client::with_uri_str(clusters.appointments.uri()).await.unwrap();
        let admin = client.database("admin");
        admin.run_command(doc! { "replSetStepDown": 1, "force": true }).await.unwrap();
    })
    .await;
    assert_eq!((ran.anew, ran.open), (0, 0), "a step-down is nothing that a client notices");
}
