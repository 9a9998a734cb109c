//! One's own account: what can be changed and with what proof, and the links that are sent by e-mail.

use std::net::{IpAddr, Ipv4Addr};

use cita::domain::account::AccountChange;
use cita::domain::mail::Subject;
use cita::domain::peer::Peer;
use cita::domain::session::Session;
use cita::error::Result;
use cita::service::accounts::Changed;
use cita::store::sessions::{self, Replaced};
use cita_protocol::{Operation, Outcome};
use futures::FutureExt as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::cast::login;
use crate::harness::clinic::{Clinic, PASSWORD, Person, database, key, text};
use crate::harness::mongo::private;
use crate::harness::office::{Office, identity};
use crate::harness::rest::{Answer, Rest};
use crate::harness::until;

const HERE: Peer = Peer(IpAddr::V4(Ipv4Addr::LOCALHOST));

const NEW_PASSWORD: &str = "otra clave de prueba";

async fn call(clinic: &Clinic, person: Option<&Person>, operation: Operation, data: Value) -> Answer {
    let token = person.map(|person| person.token.as_str());
    let is_mutation = operation.kind() == cita_protocol::operation::Kind::Mutation;
    let key = is_mutation.then(key);
    Rest { url: clinic.url(), token }.call(operation, &data, key.as_deref()).await
}

/// Whether somebody can log in like this.
async fn enters(clinic: &Clinic, email: &str, password: &str) -> bool {
    let answer = call(clinic, None, Operation::AuthLogin, json!({ "email": email, "password": password })).await;
    assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    answer.status == 200
}

async fn me(clinic: &Clinic, person: &Person) -> Value {
    let answer = call(clinic, Some(person), Operation::MeGet, json!({})).await;
    assert_eq!(answer.code(), None);
    answer.json()
}

async fn change_email(office: &Office, person: &Person, email: &str) -> Result<Changed> {
    let change = AccountChange {
        email: Some(email.to_owned()),
        current_password: Some(PASSWORD.into()),
        ..AccountChange::default()
    };
    office.accounts.update(&identity(person), HERE, &key(), None, change).await
}

fn fresh_email() -> String {
    format!("{}@prueba.example", Uuid::new_v4().simple())
}

/// The token of the next mail, which goes to `to`.
async fn verification(office: &Office, to: &str) -> String {
    let mail = office.mail().await;
    match mail.subject {
        Subject::Verification { token } if mail.to == to => token.expose().to_owned(),
        other => panic!("{other:?} to {}", mail.to),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_changes_of_oneself() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: Some(&person.token) };
    let update = async |data: Value, key: &str| rest.call(Operation::MeUpdate, &data, Some(key)).await;
    let change = json!({ "name": "  Paula María ", "locale": "es-CO", "timeZone": "america/bogota", "rev": 1 });
    let (first, second) = (key(), key());
    let done = update(change.clone(), &first).await;
    let user = done.json();
    assert_eq!((&user["name"], &user["locale"]), (&json!("Paula María"), &json!("es-CO")));
    assert_eq!((&user["timeZone"], &user["rev"]), (&json!("America/Bogota"), &json!(2)));
    assert_eq!(me(&clinic, &person).await, user);
    assert_eq!(update(change.clone(), &first).await.json(), user, "once, however often it is asked for");
    assert_eq!(update(change, &second).await.code().as_deref(), Some("stale_rev"));
    let other = update(json!({ "name": "Otra" }), &first).await;
    assert_eq!(other.code().as_deref(), Some("idempotency_key_reused"));
    let cleared = update(json!({ "locale": "", "timeZone": "" }), &second).await.json();
    assert!(cleared.get("locale").is_none() && cleared.get("timeZone").is_none(), "{cleared}");

    for (data, fields) in [
        (json!({ "name": "" }), vec!["/name required"]),
        (
            json!({ "email": "no address", "newPassword": "corta" }),
            vec!["/email invalid", "/newPassword too_short", "/currentPassword required"],
        ),
        (json!({ "email": fresh_email() }), vec!["/currentPassword required"]),
        (json!({ "newPassword": NEW_PASSWORD, "currentPassword": "no es la clave" }), vec!["/currentPassword wrong"]),
        (json!({ "email": fresh_email(), "currentPassword": "" }), vec!["/currentPassword wrong"]),
    ] {
        let refused = update(data.clone(), &key()).await;
        assert_eq!(
            (refused.code().as_deref(), refused.fields()),
            (Some("validation_failed"), to_owned(&fields)),
            "{data}"
        );
    }
    assert_eq!(me(&clinic, &person).await, cleared, "what is refused is not done");
}

fn to_owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|&field| field.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_all_other_sessions() {
    let clinic = Clinic::open().await;
    let here = clinic.patient().await;
    let there = login(clinic.url(), &here).await;
    let rest = Rest { url: clinic.url(), token: Some(&here.token) };
    let data = json!({ "newPassword": NEW_PASSWORD, "currentPassword": PASSWORD });
    let key = key();
    let done = rest.call(Operation::MeUpdate, &data, Some(&key)).await;
    assert_eq!(done.code(), None);
    let ended = call(&clinic, Some(&there), Operation::MeGet, json!({})).await;
    assert_eq!(ended.code().as_deref(), Some("session_revoked"));
    let refresh = json!({ "refreshToken": there.refresh_token });
    assert_eq!(call(&clinic, None, Operation::AuthRefresh, refresh).await.code().as_deref(), Some("session_revoked"));
    assert_eq!(me(&clinic, &here).await, done.json(), "this one goes on");
    assert!(!enters(&clinic, &here.email, PASSWORD).await);
    assert!(enters(&clinic, &here.email, NEW_PASSWORD).await);
    let again = rest.call(Operation::MeUpdate, &data, Some(&key)).await;
    assert_eq!(again.json(), done.json(), "a repetition, though the password that worked then no longer does");
    let other = json!({ "newPassword": "una tercera clave", "currentPassword": PASSWORD });
    let other = rest.call(Operation::MeUpdate, &other, Some(&key)).await;
    assert_eq!(other.code().as_deref(), Some("idempotency_key_reused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_is_pending_until_its_link_is_followed() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (person, email) = (clinic.patient().await, fresh_email());
    assert_eq!(me(&clinic, &person).await["emailVerified"], false);
    let reset = office.reset_token(&person).await;
    let old_link = office.verification_token(&person).await;
    change_email(&office, &person, &email.to_ascii_uppercase()).await.unwrap();
    let notice = office.mail().await;
    assert!(matches!(notice.subject, Subject::EmailChanging), "{notice:?}");
    assert_eq!((notice.to, notice.name), (person.email.clone(), person.name.clone()));
    let link = verification(&office, &email).await;
    let pending = me(&clinic, &person).await;
    assert_eq!((&pending["email"], &pending["pendingEmail"]), (&json!(person.email), &json!(email)));
    assert!(enters(&clinic, &person.email, PASSWORD).await && !enters(&clinic, &email, PASSWORD).await);

    let verify = async |token: &str| call(&clinic, None, Operation::AuthVerifyEmail, json!({ "token": token })).await;
    let refused = verify(&old_link).await;
    assert_eq!(
        (refused.code().as_deref(), refused.fields()),
        (Some("validation_failed"), to_owned(&["/token invalid"]))
    );
    assert_eq!(verify(&reset).await.body, refused.body, "a link is good for one thing");
    assert_eq!(verify(&link).await.code(), None);
    assert_eq!(verify(&link).await.body, refused.body, "and once");
    let moved = me(&clinic, &person).await;
    assert_eq!((&moved["email"], &moved["emailVerified"]), (&json!(email), &json!(true)));
    assert!(moved.get("pendingEmail").is_none());
    assert!(!enters(&clinic, &person.email, PASSWORD).await && enters(&clinic, &email, PASSWORD).await);
    let spent = json!({ "token": reset, "password": NEW_PASSWORD });
    let spent = call(&clinic, None, Operation::AuthResetPassword, spent).await;
    assert_eq!(spent.fields(), ["/token invalid"], "what was sent to the address before no longer works");
    assert!(office.is_quiet().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_present_address_takes_back_what_is_pending() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (person, email) = (clinic.patient().await, fresh_email());
    change_email(&office, &person, &email).await.unwrap();
    assert!(matches!(office.mail().await.subject, Subject::EmailChanging));
    let link = verification(&office, &email).await;
    let back = change_email(&office, &person, &person.email).await.unwrap();
    assert_eq!((back.user.email, back.user.pending_email), (person.email.clone(), None));
    let verify = call(&clinic, None, Operation::AuthVerifyEmail, json!({ "token": link })).await;
    assert_eq!(verify.fields(), ["/token invalid"]);
    assert!(office.is_quiet().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_somebody_else_is_answered_like_any_other() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (person, owner) = (clinic.patient().await, clinic.person("patient", "Olga Dueña").await);
    let free = fresh_email();
    let ask = async |email: &str| {
        let data = json!({ "email": email, "currentPassword": PASSWORD });
        call(&clinic, Some(&person), Operation::MeUpdate, data).await
    };
    let (unknown, known) = (ask(&free).await, ask(&owner.email).await);
    let bare = |answer: &Answer, email: &str| answer.body.replace(email, "…").replace(r#""rev":3"#, r#""rev":2"#);
    assert_eq!((unknown.status, bare(&unknown, &free)), (known.status, bare(&known, &owner.email)));

    change_email(&office, &clinic.patient().await, &owner.email).await.unwrap();
    assert!(matches!(office.mail().await.subject, Subject::EmailChanging));
    let notice = office.mail().await;
    assert!(matches!(notice.subject, Subject::EmailTaken), "no link: {notice:?}");
    assert_eq!((notice.to, notice.name), (owner.email.clone(), owner.name.clone()));
    assert!(enters(&clinic, &owner.email, PASSWORD).await);
}

/// Two ask for the same address while it is free: whoever follows the link first has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_goes_to_whom_it_is_proven_first() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (first, second, email) = (clinic.patient().await, clinic.patient().await, fresh_email());
    let mut links = Vec::new();
    for person in [&first, &second] {
        change_email(&office, person, &email).await.unwrap();
        assert!(matches!(office.mail().await.subject, Subject::EmailChanging));
        links.push(verification(&office, &email).await);
    }
    let verify = async |token: &str| call(&clinic, None, Operation::AuthVerifyEmail, json!({ "token": token })).await;
    assert_eq!(verify(&links[1]).await.code(), None);
    assert_eq!(verify(&links[0]).await.fields(), ["/token invalid"]);
    assert_eq!(me(&clinic, &second).await["email"], email);
    assert_eq!(me(&clinic, &first).await["email"], first.email);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_a_new_password_does_not_tell_who_has_an_account() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let ask = async |email: &str| call(&clinic, None, Operation::AuthRequestReset, json!({ "email": email })).await;
    let known = ask(&person.email).await;
    assert_eq!((known.status, known.body.as_str()), (200, "{}"));
    for email in ["nadie@prueba.example", "no address", "", &"x".repeat(10_000), &person.email.to_ascii_uppercase()] {
        let other = ask(email).await;
        assert_eq!((other.status, &other.body), (known.status, &known.body), "{email:.40}");
        let names = |answer: &Answer| {
            let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&other), names(&known));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_for_a_new_password_works_once_and_ends_every_session() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (person, other) = (clinic.patient().await, clinic.patient().await);
    let second = login(clinic.url(), &person).await;
    let replaced = office.reset_token(&person).await;
    let link = office.reset_token(&person).await;
    let verification = office.verification_token(&person).await;
    // Whoever has got hold of the password may have asked for an address of their own.
    change_email(&office, &person, &fresh_email()).await.unwrap();
    let (_, thief) = (office.mail().await, office.mail().await);
    let Subject::Verification { token: thief } = thief.subject else { panic!("{thief:?}") };

    let reset = async |token: &str, password: &str| {
        let data = json!({ "token": token, "password": password });
        call(&clinic, None, Operation::AuthResetPassword, data).await
    };
    let refused = reset("", NEW_PASSWORD).await;
    assert_eq!(
        (refused.code().as_deref(), refused.fields()),
        (Some("validation_failed"), to_owned(&["/token invalid"]))
    );
    let mut forged = link.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let strangers = "A".repeat(link.len());
    let of_another = office.reset_token(&other).await;
    let swapped = format!("{}{}", &of_another[..21], &link[21..]);
    for wrong in [&forged, &replaced, &verification, &strangers, &swapped, &"A".repeat(10_000), &format!("{link}=")] {
        assert_eq!(reset(wrong, NEW_PASSWORD).await.body, refused.body, "{wrong:.60}");
    }
    assert_eq!(reset(&link, "corta").await.fields(), ["/password too_short"]);
    assert!(enters(&clinic, &person.email, PASSWORD).await, "nothing has changed so far");

    assert_eq!(reset(&link, NEW_PASSWORD).await.code(), None);
    assert_eq!(reset(&link, "una tercera clave").await.body, refused.body, "it works once");
    assert!(!enters(&clinic, &person.email, PASSWORD).await && enters(&clinic, &person.email, NEW_PASSWORD).await);
    for session in [&person, &second] {
        let ended = call(&clinic, Some(session), Operation::MeGet, json!({})).await;
        assert_eq!(ended.code().as_deref(), Some("session_revoked"));
    }
    let data = json!({ "email": person.email, "password": NEW_PASSWORD });
    let user = call(&clinic, None, Operation::AuthLogin, data).await.json()["user"].clone();
    assert_eq!(user["emailVerified"], true, "whoever follows the link reads the address");
    assert!(user.get("pendingEmail").is_none());
    let verify = json!({ "token": thief.expose() });
    let verify = call(&clinic, None, Operation::AuthVerifyEmail, verify).await;
    assert_eq!(verify.fields(), ["/token invalid"]);
    assert!(enters(&clinic, &other.email, PASSWORD).await, "nobody else's has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_is_not_flooded() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let person = clinic.patient().await;
    // One was sent when the account was made.
    let (first, second) = (office.verification_token(&person).await, office.verification_token(&person).await);
    office.accounts.request_verification(&identity(&person)).await.expect("the same answer");
    assert!(office.is_quiet().await);
    let verify = async |token: &str| call(&clinic, None, Operation::AuthVerifyEmail, json!({ "token": token })).await;
    assert_eq!(verify(&first).await.fields(), ["/token invalid"], "a new one replaces the one before");
    assert_eq!(verify(&second).await.code(), None, "the last that was sent works");
    let again = call(&clinic, Some(&person), Operation::AuthRequestVerification, json!({})).await;
    assert_eq!((again.status, again.body.as_str()), (200, "{}"), "there is nothing to verify");
    for _ in 0..3 {
        office.reset_token(&person).await;
    }
    for _ in 0..3 {
        office.accounts.request_reset(&person.email).await.expect("the same answer");
    }
    // Nothing else has come by the time that somebody else has theirs.
    let other = clinic.patient().await;
    office.reset_token(&other).await;
    assert!(office.is_quiet().await);
}

/// However many accounts ask for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_sent_five_mails_an_hour() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (victim, other) = (fresh_email(), fresh_email());
    for number in 0..7 {
        let email = if number < 6 { &victim } else { &other };
        change_email(&office, &clinic.patient().await, email).await.unwrap();
        assert!(matches!(office.mail().await.subject, Subject::EmailChanging));
        if number != 5 {
            verification(&office, email).await;
        }
    }
    assert!(office.is_quiet().await);
}

/// The sessions of a person as if whoever changed the password had stopped before it ended them.
async fn restore(office: &Office, before: Vec<Session>) {
    for session in before {
        let (now, _) = sessions::find_latest(&office.users, session.id).await.unwrap().unwrap();
        let restored = Session { rev: now.rev + 1, ..session };
        assert!(matches!(sessions::replace(&office.users, &restored).await.unwrap(), Replaced::Won(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_outlives_another_password_even_if_nobody_could_end_it() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let here = clinic.patient().await;
    let there = login(clinic.url(), &here).await;
    let user = identity(&here).user;
    let refresh =
        async |token: &str| call(&clinic, None, Operation::AuthRefresh, json!({ "refreshToken": token })).await;
    let enter = async |password: &str| {
        let data = json!({ "email": here.email, "password": password });
        text(&call(&clinic, None, Operation::AuthLogin, data).await.json(), "refreshToken")
    };

    let before = sessions::of_user(&office.users, user, 10).await.unwrap();
    let data = json!({ "newPassword": NEW_PASSWORD, "currentPassword": PASSWORD });
    assert_eq!(call(&clinic, Some(&here), Operation::MeUpdate, data).await.code(), None);
    restore(&office, before).await;
    let after = enter(NEW_PASSWORD).await;
    assert_eq!(refresh(&there.refresh_token).await.code().as_deref(), Some("session_revoked"));
    let kept = refresh(&here.refresh_token).await;
    assert_eq!((kept.code(), refresh(&after).await.code()), (None, None));

    let link = office.reset_token(&here).await;
    let before = sessions::of_user(&office.users, user, 10).await.unwrap();
    let data = json!({ "token": link, "password": "una tercera clave" });
    assert_eq!(call(&clinic, None, Operation::AuthResetPassword, data).await.code(), None);
    restore(&office, before).await;
    let kept = text(&kept.json(), "refreshToken");
    // The token before the present one asks for the same answer again.
    for token in [&after, &kept] {
        assert_eq!(refresh(token).await.code().as_deref(), Some("session_revoked"));
    }
    let newest = enter("una tercera clave").await;
    assert_eq!(refresh(&newest).await.code(), None);
    let left = sessions::of_user(&office.users, user, 10).await.unwrap();
    assert_eq!(left.iter().filter(|session| session.revoked_at.is_none()).count(), 1, "the others were ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_before_the_answer_has_changed_the_password_whole() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let (first, second) = (clinic.patient().await, clinic.patient().await);
    let ended = async |person: &Person| {
        call(&clinic, Some(person), Operation::MeGet, json!({})).await.code().as_deref() == Some("session_revoked")
    };
    let token = office.reset_token(&first).await.into();
    assert!(office.accounts.reset_password(HERE, &token, &NEW_PASSWORD.into()).now_or_never().is_none());
    until(async || ended(&first).await).await;
    assert!(enters(&clinic, &first.email, NEW_PASSWORD).await);
    let change = AccountChange {
        new_password: Some(NEW_PASSWORD.into()),
        current_password: Some(PASSWORD.into()),
        ..AccountChange::default()
    };
    let (caller, key) = (identity(&second), key());
    assert!(office.accounts.update(&caller, HERE, &key, None, change).now_or_never().is_none());
    until(async || ended(&second).await).await;
    assert!(enters(&clinic, &second.email, NEW_PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_is_sent_a_link() {
    let clinic = Clinic::open().await;
    let office = Office::of(&clinic).await;
    let account = cita::domain::account::NewAccount {
        role: cita::domain::account::Role::Patient,
        email: fresh_email(),
        name: "Nora Nueva".to_owned(),
        locale: Some("es-CO".to_owned()),
        time_zone: None,
    };
    let device = cita::service::auth::Device { name: None, peer: HERE };
    let registration = cita::service::auth::Registration { account, password: PASSWORD.into(), device };
    let (grant, token) = office.auth.register(registration).await.unwrap();
    office.accounts.welcome(&grant.user, token);
    let link = verification(&office, &grant.user.email).await;
    let verify = call(&clinic, None, Operation::AuthVerifyEmail, json!({ "token": link })).await;
    assert_eq!(verify.code(), None);
    let rest = Rest { url: clinic.url(), token: Some(grant.access_token.expose()) };
    assert_eq!(rest.call(Operation::MeGet, &json!({}), None).await.json()["emailVerified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_changes_their_name_on_the_door_as_well() {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    let clinic = Clinic::open_on(&database(&users, "cita"), &database(&appointments, "cita"), &[]).await;
    let practice = clinic.practice().await;
    let connection = clinic.connect(&practice.doctor).await;
    let public = async |after: &str| {
        let path = format!("/v1/doctors/{}", practice.doctor.id);
        Rest { url: clinic.url(), token: None }.send("GET", &path, &[("cita-after", after)], None).await.json()
    };
    let rename = json!({ "name": "Daniela Duarte" });
    let done = connection.request("me.update", &rename, Some(key())).await.unwrap();
    let cursor = done.cursor.unwrap().0;
    assert_eq!((text(&done.data, "name"), text(&public(&cursor).await, "name")), twice("Daniela Duarte"));

    // The account has it, the profile cannot have it yet.
    clusters.appointments.kill().await;
    let (rename, key) = (json!({ "name": "Daniela D. Torres" }), key());
    let cut_short = connection.request("me.update", &rename, Some(key.clone())).await.unwrap_err();
    let outcome = cut_short.problem().and_then(|problem| problem.outcome);
    assert_eq!(outcome, Some(Outcome::Unknown), "{cut_short}");
    clusters.appointments.restart().await.unwrap();
    until(async || connection.request("me.update", &rename, Some(key.clone())).await.is_ok()).await;
    until(async || public(&cursor).await["name"] == "Daniela D. Torres").await;
    assert_eq!(me(&clinic, &practice.doctor).await["name"], "Daniela D. Torres");
}

fn twice(name: &str) -> (String, String) {
    (name.to_owned(), name.to_owned())
}
