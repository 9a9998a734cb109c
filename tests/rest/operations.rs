//! Every operation that has a route, once, as it should go.

use cita_protocol::Operation;
use cita_protocol::operation::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::cast::{Caller, Cast, login};
use crate::harness::clinic::key;
use crate::harness::rest::{Rest, check_output};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_at_its_route() {
    let cast = Cast::meet().await;
    let url = cast.clinic.url();
    for &operation in Operation::ALL {
        let Some(route) = operation.route() else { continue };
        let token = match operation {
            Operation::AuthLogout => login(url, &cast.admin).await.token,
            Operation::MeDelete => cast.spare(Caller::Admin).await.unwrap().token,
            Operation::HoldRelease => cast.patient.token.clone(),
            // Which no admin may.
            Operation::AppointmentSetNotes => cast.practice.doctor.token.clone(),
            Operation::ReviewCreate | Operation::ReviewUpdate => cast.patient.token.clone(),
            Operation::ReviewReply => cast.practice.doctor.token.clone(),
            _ => cast.admin.token.clone(),
        };
        let input = cast.valid_input(operation).await;
        let key = (operation.kind() == Kind::Mutation).then(key);
        let rest = Rest { url, token: Some(&token) };
        let answer = rest.call(operation, &input, key.as_deref()).await;
        let name = operation.name();
        assert_eq!(answer.status, route.status, "{name}: {answer:?}");
        let output = answer.json();
        check_output(operation, &output);
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
        assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"));
        assert!(Uuid::try_parse(answer.header("x-request-id")).is_ok(), "{name}");
        assert_eq!(!answer.header("cita-cursor").is_empty(), operation.kind() == Kind::Mutation, "{name}");
        let etag = output["rev"].as_u64().map(|rev| format!("\"{rev}\"")).unwrap_or_default();
        assert_eq!(answer.header("etag"), etag, "{name}");
        let location = answer.header("location");
        assert_eq!(!location.is_empty(), route.status == 201, "{name}");
        if operation == Operation::MeDelete {
            // Nobody is left to ask again.
            let again = rest.call(operation, &input, key.as_deref()).await;
            assert_eq!(again.code().as_deref(), Some("session_revoked"));
        } else if operation.kind() == Kind::Mutation {
            // The same request again: the same answer, and not a thing done twice.
            let again = rest.call(operation, &input, key.as_deref()).await;
            assert_eq!((again.status, again.json()), (route.status, output.clone()), "{name}");
            assert_eq!(again.header("location"), location, "{name}");
            check_after(&rest, &answer).await;
        }
        if matches!(operation, Operation::AppointmentBook | Operation::SlotHold) {
            assert_eq!(location, format!("/v1/appointments/{}", output["id"].as_str().unwrap()));
            let read = rest.send("GET", location, &[], None).await;
            assert_eq!((read.json(), read.header("etag")), (output, etag.as_str()));
        } else if operation == Operation::AuthRegister {
            let own = output["accessToken"].as_str();
            assert_eq!(Rest { url, token: own }.send("GET", location, &[], None).await.json(), output["user"]);
        }
    }
}

/// A read that names the cursor of a mutation is answered by this node and by another.
async fn check_after(rest: &Rest<'_>, answer: &crate::harness::rest::Answer) {
    let cursor = answer.header("cita-cursor");
    let read = rest.send("GET", "/v1/me", &[("cita-after", cursor)], None).await;
    assert_eq!(read.status, 200, "{read:?}");
    let read = rest.send("GET", &format!("/v1/doctors?after={cursor}"), &[], None).await;
    assert_eq!(read.status, 200, "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_after_a_write_sees_it_on_another_node() {
    let cast = Cast::meet().await;
    let other = cast.clinic.node().await;
    let here = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let there = Rest { url: &other.url, token: None };
    for number in 0..20 {
        let bio = format!("bio {number}");
        let change = json!({ "id": cast.practice.doctor.id, "bio": bio });
        let written = here.call(Operation::DoctorUpdate, &change, Some(&key())).await;
        let after = [("cita-after", written.header("cita-cursor"))];
        let path = format!("/v1/doctors/{}", cast.practice.doctor.id);
        let read = there.send("GET", &path, &after, None).await;
        let mut shown = written.json();
        assert!(shown.as_object_mut().unwrap().remove("staff").is_some(), "which is not for everybody");
        assert_eq!(read.json(), shown, "{number}");
    }
    // A cursor that nobody has seen yet, and some that are none.
    let seen = there.send("GET", "/v1/doctors", &[("cita-after", "x")], None).await;
    assert_eq!(seen.code().as_deref(), Some("validation_failed"));
    assert_eq!(seen.fields(), ["/after invalid"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages_without_gap_or_repetition() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.patient.token) };
    let mut booked = Vec::new();
    for _ in 0..7 {
        booked.push(cast.appointment().await);
    }
    for page_size in [1, 2, 3, 7, 100] {
        let (mut found, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut data = json!({ "pageSize": page_size });
            if token.is_string() {
                data["pageToken"] = token;
            }
            let page = rest.call(Operation::AppointmentList, &data, None).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= page_size);
            found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            token = page["nextPageToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(found, booked, "pages of {page_size}");
    }
}
