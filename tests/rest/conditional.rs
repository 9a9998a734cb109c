//! What stands in headers: the revision that is expected, and the key of a mutation.

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::Cast;
use crate::harness::clinic::key;
use crate::harness::rest::{Answer, Rest, raw, request};

/// Updates of existing things, each with an input that can be repeated.
async fn updates(cast: &Cast) -> Vec<(Operation, Value)> {
    let mut updates = Vec::new();
    for operation in [
        Operation::DoctorUpdate,
        Operation::AvailabilitySet,
        Operation::ServiceUpdate,
        Operation::AppointmentReschedule,
        Operation::AppointmentCancel,
        Operation::ServiceArchive,
    ] {
        updates.push((operation, cast.valid_input(operation).await));
    }
    updates
}

async fn send(rest: &Rest<'_>, operation: Operation, data: &Value, headers: &[(&str, &str)]) -> Answer {
    let (method, path, body) = request(operation, data);
    rest.send(&method, &path, headers, body.as_ref()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_revision_changes_nothing() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    for (operation, data) in updates(&cast).await {
        let name = operation.name();
        let with =
            async |tag: &str| send(&rest, operation, &data, &[("if-match", tag), ("idempotency-key", &key())]).await;
        for stale in [r#""0""#, r#""4000000000""#, r#"W/"99""#] {
            assert_eq!(with(stale).await.code().as_deref(), Some("stale_rev"), "{name} {stale}");
        }
        for wrong in ["", "x", r#""x""#, r#""1", "2""#, r#""-1""#, r#""01""#, r#""4294967296""#, &"1".repeat(10_000)] {
            let refused = with(wrong).await;
            assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{name} {wrong:.20}");
            assert_eq!(refused.fields(), ["/rev invalid"], "{name} {wrong:.20}");
        }
        let mut data = data.clone();
        data["rev"] = json!(77);
        let headers = [("if-match", r#""78""#), ("idempotency-key", "k")];
        if operation != Operation::ServiceArchive {
            let refused = send(&rest, operation, &data, &headers).await;
            assert_eq!(refused.fields(), ["/rev duplicate"], "{name}");
        }
        let current = match operation {
            Operation::AvailabilitySet => {
                read(&rest, Operation::AvailabilityGet, &data, "doctorId").await["rev"].clone()
            }
            Operation::DoctorUpdate => read(&rest, Operation::DoctorGet, &data, "id").await["rev"].clone(),
            _ => json!(1),
        };
        data.as_object_mut().unwrap().remove("rev");
        let good = format!("\"{current}\"");
        let done = send(&rest, operation, &data, &[("if-match", &good), ("idempotency-key", &key())]).await;
        assert_eq!(done.code(), None, "{name}: {done:?}");
        let next = current.as_u64().unwrap() + 1;
        assert_eq!(done.json()["rev"], next, "{name}");
        assert_eq!(done.header("etag"), format!("\"{next}\""));
        let again = send(&rest, operation, &data, &[("if-match", &good), ("idempotency-key", &key())]).await;
        assert_eq!(again.code().as_deref(), Some("stale_rev"), "{name}");
    }
}

async fn read(rest: &Rest<'_>, operation: Operation, data: &Value, field: &str) -> Value {
    rest.call(operation, &json!({ field: data[field] }), None).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_needs_a_key_that_can_be_read() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let longest = "k".repeat(128);
    let mut mutations = updates(&cast).await;
    for operation in [Operation::AppointmentBook, Operation::ServiceCreate] {
        mutations.push((operation, cast.valid_input(operation).await));
    }
    for (operation, data) in mutations {
        let refused = |headers: Vec<(&'static str, String)>| {
            let (rest, data) = (&rest, &data);
            async move {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = send(rest, operation, data, &headers).await;
                assert_eq!(answer.code().as_deref(), Some("validation_failed"), "{} {headers:?}", operation.name());
            }
        };
        let key = "idempotency-key";
        refused(vec![]).await;
        refused(vec![(key, String::new())]).await;
        refused(vec![(key, "k".repeat(129))]).await;
        refused(vec![(key, "k".repeat(10_000))]).await;
        refused(vec![(key, "a\tb".to_owned())]).await;
        refused(vec![(key, "ñ".to_owned())]).await;
        refused(vec![(key, "a".to_owned()), (key, "a".to_owned())]).await;
        let done = send(&rest, operation, &data, &[(key, &longest)]).await;
        assert_eq!(done.code(), None, "{}: {done:?}", operation.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_a_user_an_operation_and_a_body() {
    let cast = Cast::meet().await;
    let url = cast.clinic.url();
    let (patient, other) =
        (Rest { url, token: Some(&cast.patient.token) }, Rest { url, token: Some(&cast.other_patient.token) });
    let book = |start: String| cast.practice.booking(&start);
    let (first, second) = (book(cast.free_time()), book(cast.free_time()));
    let booked = patient.call(Operation::AppointmentBook, &first, Some("one")).await;
    assert_eq!(booked.status, 201);
    let reused = patient.call(Operation::AppointmentBook, &second, Some("one")).await;
    assert_eq!(reused.code().as_deref(), Some("idempotency_key_reused"));
    let theirs = other.call(Operation::AppointmentBook, &second, Some("one")).await;
    assert_eq!(theirs.status, 201, "the key of another user is no key of this one");
    let id = booked.json()["id"].clone();
    let moved = json!({ "id": id, "start": cast.free_time() });
    let done = patient.call(Operation::AppointmentReschedule, &moved, Some("one")).await;
    assert_eq!(done.status, 200, "nor is that of another operation");
    // A refusal is not remembered: the same key may be tried with something else.
    let taken = other.call(Operation::AppointmentBook, &moved_to(&first, &moved), Some("two")).await;
    assert_eq!(taken.code().as_deref(), Some("slot_taken"));
    assert!(!taken.json()["alternatives"].as_array().unwrap().is_empty());
    let free = other.call(Operation::AppointmentBook, &book(cast.free_time()), Some("two")).await;
    assert_eq!(free.status, 201);
}

fn moved_to(booking: &Value, moved: &Value) -> Value {
    let mut booking = booking.clone();
    booking["start"] = moved["start"].clone();
    booking
}

/// Control characters in a header are refused before anything else is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_a_nul_is_no_request() {
    let cast = Cast::meet().await;
    let head = format!(
        "POST /v1/appointments HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
        cast.patient.token
    );
    for key in [&b"a\0b"[..], b"a\x01b", b"a\x7fb"] {
        let bytes = [head.as_bytes(), b"Idempotency-Key: ", key, b"\r\nContent-Length: 0\r\n\r\n"].concat();
        let answer = raw(cast.clinic.url(), &bytes).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{key:?}: {answer}");
    }
}
