//! Accounts and sessions, as both doors have them.

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::login;
use crate::harness::clinic::{Clinic, PASSWORD, PRODUCTION, Person, connect, date, key, text};
use crate::harness::rest::{Answer, Rest};

/// An `auth.*` operation at one of the doors: its data, or its code.
async fn ask(
    clinic: &Clinic,
    door: &str,
    operation: Operation,
    data: &Value,
    token: Option<&str>,
) -> Result<Value, String> {
    if door == "REST" {
        let answer = Rest { url: clinic.url(), token }.call(operation, data, None).await;
        return answer.code().map_or_else(|| Ok(answer.json()), Err);
    }
    let reply = connect(clinic.url(), token).await.request(operation.name(), data, None).await;
    reply.map(|reply| reply.data).map_err(|error| error.code().expect("a problem").as_str().to_owned())
}

async fn refresh(clinic: &Clinic, door: &str, token: &str) -> Result<Value, String> {
    ask(clinic, door, Operation::AuthRefresh, &json!({ "refreshToken": token }), None).await
}

fn refused(code: &str) -> Result<Value, String> {
    Err(code.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_from_its_first_to_its_last_breath() {
    let clinic = Clinic::open().await;
    for door in ["REST", "WebSocket"] {
        let email = format!("{}.Ruiz@Prueba.Example", door.to_uppercase());
        let register = json!({ "email": email, "password": PASSWORD, "name": "  Ana Ruiz ", "locale": "es-CO" });
        let made = ask(&clinic, door, Operation::AuthRegister, &register, None).await.unwrap();
        assert_eq!(made["user"]["email"], email.to_ascii_lowercase());
        assert_eq!((&made["user"]["name"], &made["user"]["role"]), (&json!("Ana Ruiz"), &json!("patient")));
        let me = ask(&clinic, door, Operation::MeGet, &json!({}), made["accessToken"].as_str()).await;
        assert_eq!(me.as_ref(), Ok(&made["user"]));

        for spelling in [email.clone(), email.to_ascii_uppercase(), email.to_ascii_lowercase()] {
            let again = json!({ "email": spelling, "password": "otra clave distinta", "name": "Otra" });
            assert_eq!(
                ask(&clinic, door, Operation::AuthRegister, &again, None).await,
                refused("email_taken"),
                "{spelling}"
            );
            let good = json!({ "email": spelling, "password": PASSWORD });
            let logged_in = ask(&clinic, door, Operation::AuthLogin, &good, None).await.expect("the same account");
            assert_eq!(logged_in["user"], made["user"]);
            assert_ne!(logged_in["refreshToken"], made["refreshToken"], "a session of its own");
        }

        let first = text(&made, "refreshToken");
        let second = refresh(&clinic, door, &first).await.unwrap();
        assert_eq!(second["user"], made["user"]);
        let again = refresh(&clinic, door, &first).await.expect("a slow tab");
        assert_eq!(again["refreshToken"], second["refreshToken"], "one token has one successor");
        let third = refresh(&clinic, door, &text(&second, "refreshToken")).await.expect("the slow tab ended nothing");
        // Two turns ago: one of two holders is a thief.
        assert_eq!(refresh(&clinic, door, &first).await, refused("unauthenticated"));
        assert_eq!(refresh(&clinic, door, &text(&third, "refreshToken")).await, refused("session_revoked"));
        let token = third["accessToken"].as_str();
        let me = Rest { url: clinic.url(), token }.call(Operation::MeGet, &json!({}), None).await;
        assert_eq!(me.code().as_deref(), Some("session_revoked"), "for its access token as well");

        let login = json!({ "email": email, "password": PASSWORD });
        let last = ask(&clinic, door, Operation::AuthLogin, &login, None).await.unwrap();
        let token = text(&last, "accessToken");
        let gone = ask(&clinic, door, Operation::AuthLogout, &json!({}), Some(&token)).await;
        // Over the WebSocket the reply may be overtaken by the end of the connection that asked.
        assert!(gone == Ok(json!({})), "{gone:?}");
        let me = Rest { url: clinic.url(), token: Some(&token) }.call(Operation::MeGet, &json!({}), None).await;
        assert_eq!(me.code().as_deref(), Some("session_revoked"));
        assert_eq!(refresh(&clinic, door, &text(&last, "refreshToken")).await, refused("session_revoked"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_account_is_told_what_a_wrong_password_is_told() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let anyone = Rest { url: clinic.url(), token: None };
    let login = async |email: &str, password: &str| -> Answer {
        anyone.call(Operation::AuthLogin, &json!({ "email": email, "password": password }), None).await
    };
    let wrong = login(&person.email, "no es la clave").await;
    assert_eq!(wrong.code().as_deref(), Some("unauthenticated"));
    let long = format!("{}@b.co", "a".repeat(320));
    for (email, password) in [
        ("nadie@prueba.example", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
        (person.email.as_str(), ""),
        (person.email.as_str(), "UNA CLAVE DE PRUEBA"),
        (person.email.as_str(), " una clave de prueba"),
        (person.email.as_str(), "una clave de prueba\0"),
        (person.email.as_str(), &"x".repeat(10_000)),
        (long.as_str(), PASSWORD),
        (r#"{"$ne":null}"#, r#"{"$ne":null}"#),
    ] {
        let other = login(email, password).await;
        assert_eq!((other.status, &other.body), (wrong.status, &wrong.body), "{email:.40} {password:.40}");
        let names = |answer: &Answer| {
            let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&other), names(&wrong));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_one_thing() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let access = Rest { url: clinic.url(), token: Some(&person.refresh_token) };
    assert_eq!(access.call(Operation::MeGet, &json!({}), None).await.code().as_deref(), Some("unauthenticated"));
    for door in ["REST", "WebSocket"] {
        assert_eq!(refresh(&clinic, door, &person.token).await, refused("unauthenticated"));
        let other = clinic.patient().await;
        let mut forged = other.refresh_token.clone().into_bytes();
        forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        for wrong in ["", "x", &forged, &format!("{}=", other.refresh_token), &"A".repeat(10_000)] {
            assert_eq!(refresh(&clinic, door, wrong).await, refused("unauthenticated"), "{wrong:.80}");
        }
        assert!(refresh(&clinic, door, &other.refresh_token).await.is_ok(), "a forged one ends nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_themselves_an_admin() {
    let clinic = Clinic::open().await;
    for door in ["REST", "WebSocket"] {
        let taken = |field: &str, value: Value| {
            let mut data =
                json!({ "email": format!("{door}-{field}@prueba.example"), "password": PASSWORD, "name": "A" });
            data[field] = value;
            data
        };
        for (field, value) in [
            ("role", json!("admin")),
            ("role", json!("Admin")),
            ("role", json!(["admin"])),
            ("role", json!({ "$ne": null })),
            ("id", json!("00000000-0000-0000-0000-000000000000")),
            ("rev", json!(7)),
            ("approved", json!(true)),
            ("createdAt", json!("2020-01-01T00:00:00Z")),
            ("__proto__", json!({ "role": "admin" })),
        ] {
            let data = taken(field, value);
            let outcome = ask(&clinic, door, Operation::AuthRegister, &data, None).await;
            assert_eq!(outcome, refused("validation_failed"), "{data}");
            let login = json!({ "email": data["email"], "password": PASSWORD });
            let outcome = ask(&clinic, door, Operation::AuthLogin, &login, None).await;
            assert_eq!(outcome, refused("unauthenticated"), "no account was made of {data}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_of_a_production_clinic_waits_for_approval() {
    let clinic = Clinic::open_with(&PRODUCTION).await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let search =
        json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(1), "to": date(1) });
    let rest = Rest { url: clinic.url(), token: Some(&patient.token) };
    assert_eq!(rest.call(Operation::SlotSearch, &search, None).await.code().as_deref(), Some("not_found"));
    let own = Rest { url: clinic.url(), token: Some(&practice.doctor.token) };
    let profile = own.call(Operation::DoctorGet, &json!({ "id": practice.doctor.id }), None).await;
    assert_eq!(profile.json()["approval"], "pending");
    let booking = practice.booking(&crate::harness::clinic::at(&date(1), "09:00"));
    let refused = rest.call(Operation::AppointmentBook, &booking, Some(&key())).await;
    assert_eq!(refused.code().as_deref(), Some("not_found"));
}

/// One session's end is no other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_ends_one_session() {
    let clinic = Clinic::open().await;
    let here = clinic.patient().await;
    let there: Person = login(clinic.url(), &here).await;
    let connection = clinic.connect(&there).await;
    let out = Rest { url: clinic.url(), token: Some(&here.token) };
    assert_eq!(out.call(Operation::AuthLogout, &json!({}), None).await.status, 200);
    assert_eq!(out.call(Operation::AuthLogout, &json!({}), None).await.code().as_deref(), Some("session_revoked"));
    connection.request("me.get", json!({}), None).await.expect("the other session goes on");
    assert!(refresh(&clinic, "REST", &there.refresh_token).await.is_ok());
}
