//! The topic of one's own sessions: every device sees every other one come, stay in use and go, on every node.

use cita_cli::ClientError;
use cita_protocol::Operation;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Person, connect, key, text, time};
use crate::harness::rest::Rest;
use crate::harness::watch::{View, Watcher, end_of};
use crate::sessions::login_on;

const TOPIC: &str = "me/sessions";

async fn watch(url: &str, person: &Person) -> Watcher {
    Watcher::start(connect(url, Some(&person.token)).await, TOPIC, None).await
}

async fn refresh(url: &str, person: &Person) -> Person {
    let data = json!({ "refreshToken": person.refresh_token });
    let grant = Rest { url, token: None }.call(Operation::AuthRefresh, &data, None).await.json();
    Person { token: text(&grant, "accessToken"), refresh_token: text(&grant, "refreshToken"), ..person.clone() }
}

async fn revoke(url: &str, person: &Person, id: &str) {
    let rest = Rest { url, token: Some(&person.token) };
    let answer = rest.call(Operation::SessionRevoke, &json!({ "id": id }), Some(&key())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The session of a device, as a view has it.
fn of<'a>(view: &'a View, device: &str) -> Option<&'a Value> {
    view.items.values().find(|session| session["device"] == device)
}

/// What `session.list` says, by id, without what depends on who asks.
async fn list(url: &str, person: &Person) -> Vec<Value> {
    let rest = Rest { url, token: Some(&person.token) };
    let mut sessions = rest.call(Operation::SessionList, &json!({}), None).await.json()["items"].take();
    let sessions = sessions.as_array_mut().expect("a list");
    sessions.iter_mut().for_each(|session| drop(session.as_object_mut().expect("a session").remove("current")));
    sessions.sort_by_key(|session| text(session, "id"));
    std::mem::take(sessions)
}

fn items(view: &View) -> Vec<Value> {
    view.items.values().cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_see_a_third_come_be_used_and_go() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let (person, stranger) = (clinic.patient().await, clinic.patient().await);
    let tablet = login_on(&other.url, &person, "tableta").await;
    let mut here = watch(clinic.url(), &person).await;
    let mut there = watch(&other.url, &tablet).await;
    let mut elsewhere = watch(clinic.url(), &stranger).await;
    assert_eq!((here.view.items.len(), elsewhere.view.items.len()), (2, 1));

    let phone = login_on(clinic.url(), &person, "teléfono").await;
    let mut begun = Vec::new();
    for watcher in [&mut here, &mut there] {
        begun.push(of(watcher.until(|view| of(view, "teléfono").is_some()).await, "teléfono").cloned());
    }
    assert_eq!(begun[0], begun[1], "both see the same");
    let begun = begun[0].clone().expect("a session");
    assert_eq!((&begun["rev"], begun.get("current")), (&json!(1), None));
    let mut own = watch(&other.url, &phone).await;

    let phone = refresh(&other.url, &phone).await;
    for watcher in [&mut here, &mut there, &mut own] {
        watcher.until(|view| of(view, "teléfono").is_some_and(|session| session["rev"] == 2)).await;
        let used = of(&watcher.view, "teléfono").expect("a session");
        assert!(time(used, "lastSeenAt") > time(&begun, "lastSeenAt"));
        assert_eq!((&used["id"], &used["createdAt"]), (&begun["id"], &begun["createdAt"]));
    }

    revoke(clinic.url(), &person, &text(&begun, "id")).await;
    let end = end_of(&own.connection).await;
    assert!(
        matches!(end, ClientError::Closed { code: Some(4101), .. }),
        "the session that ends is closed itself: {end:?}"
    );
    for watcher in [&mut here, &mut there] {
        watcher.until(|view| of(view, "teléfono").is_none()).await;
        assert_eq!((watcher.view.snapshots, watcher.view.changes), (1, 3), "each commit once");
        assert_eq!(items(&watcher.view), list(&other.url, &tablet).await);
        assert_eq!(watch(&other.url, &person).await.view.items, watcher.view.items, "a fresh snapshot says the same");
    }
    let refused = connect(clinic.url(), None).await;
    let refused = refused.request("auth.refresh", json!({ "refreshToken": phone.refresh_token }), None).await;
    assert_eq!(refused.unwrap_err().code().expect("a code").as_str(), "session_revoked");

    login_on(clinic.url(), &stranger, "otra").await;
    elsewhere.until(|view| of(view, "otra").is_some()).await;
    assert_eq!(elsewhere.view.changes, 1, "nothing of anybody else's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_begins_to_watch_in_the_midst_of_changes_misses_none() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let person = clinic.patient().await;
    let urls = [clinic.url(), other.url.as_str()];
    let mut devices = Vec::new();
    for number in 0..6 {
        devices.push(login_on(urls[number % 2], &person, &format!("aparato {number}")).await);
    }
    let devices = devices.into_iter().enumerate().map(|(number, mut device)| async move {
        for turn in 0..10 {
            device = refresh(urls[turn % 2], &device).await;
        }
        if number % 3 == 0 {
            let rest = Rest { url: urls[0], token: Some(&device.token) };
            assert_eq!(rest.call(Operation::AuthLogout, &json!({}), None).await.status, 200);
        }
    });
    let watchers = join_all((0..24).map(|number| watch(urls[number % 2], &person)));
    let (_, mut watchers) = tokio::join!(join_all(devices), watchers);
    // Changes come in the order of their commits: who sees this one has seen all before it.
    login_on(clinic.url(), &person, "la última").await;
    let expected = watch(&other.url, &person).await.view.items;
    assert_eq!(expected.len(), 1 + 4 + 1);
    for watcher in &mut watchers {
        watcher.until(|view| of(view, "la última").is_some()).await;
        assert_eq!(watcher.view.items, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_gets_a_reset_and_a_snapshot_on_any_node() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let person = clinic.patient().await;
    let mut first = watch(clinic.url(), &person).await;
    login_on(clinic.url(), &person, "nuevo").await;
    let seen = first.until(|view| of(view, "nuevo").is_some()).await.clone();
    for after in [seen.cursor.as_str(), "unreadable"] {
        let connection = connect(&other.url, Some(&person.token)).await;
        let again = Watcher::start(connection, TOPIC, Some(after)).await;
        assert!(!again.resumed);
        assert_eq!((again.view.resets, again.view.snapshots), (1, 1));
        assert_eq!(again.view.items, seen.items);
    }
}
