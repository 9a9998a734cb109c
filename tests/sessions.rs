//! The sessions of a user: one successor for each refresh token, whoever races; the list; and ends that reach every node.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cita_protocol::Operation;
use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::cast::login;
use crate::harness::clinic::{Clinic, PASSWORD, PATIENCE, Person, connect, key, text, time};
use crate::harness::rest::{Answer, Rest, client};
use crate::harness::socket::Socket;
use crate::harness::until;

/// A second, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(3);

async fn refresh(url: &str, token: &str) -> Answer {
    Rest { url, token: None }.call(Operation::AuthRefresh, &json!({ "refreshToken": token }), None).await
}

/// Refreshes over REST or over the WebSocket, as `number` has it.
async fn refresh_somehow(number: usize, url: &str, token: &str) -> Result<Value, String> {
    if number.is_multiple_of(2) {
        let answer = refresh(url, token).await;
        return answer.code().map_or_else(|| Ok(answer.json()), Err);
    }
    let reply = connect(url, None).await.request("auth.refresh", json!({ "refreshToken": token }), None).await;
    reply.map(|reply| reply.data).map_err(|error| error.code().expect("a problem").as_str().to_owned())
}

async fn ask(url: &str, token: &str, operation: Operation, data: Value) -> Answer {
    let key = (operation == Operation::SessionRevoke).then(key);
    Rest { url, token: Some(token) }.call(operation, &data, key.as_deref()).await
}

async fn list(url: &str, token: &str) -> Vec<Value> {
    ask(url, token, Operation::SessionList, json!({})).await.json()["items"].as_array().expect("a list").clone()
}

async fn me(url: &str, token: &str) -> Option<String> {
    ask(url, token, Operation::MeGet, json!({})).await.code()
}

/// Logs in with a name for the device.
pub async fn login_on(url: &str, person: &Person, device: &str) -> Person {
    let data = json!({ "email": person.email, "password": PASSWORD, "device": device });
    let reply = connect(url, None).await.request("auth.login", data, None).await.expect("the log-in is good").data;
    Person { token: text(&reply, "accessToken"), refresh_token: text(&reply, "refreshToken"), ..person.clone() }
}

async fn event_stream(url: &str, token: &str) -> Response {
    let request = client().get(format!("{url}/v1/events?topic=me/appointments")).bearer_auth(token);
    let mut response = timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    response.chunk().await.expect("the stream").expect("a snapshot");
    response
}

async fn ends(mut stream: Response) {
    timeout(PATIENCE, async { while let Ok(Some(_)) = stream.chunk().await {} }).await.expect("the stream ends");
}

async fn watching(url: &str, token: &str) -> Socket {
    let mut socket = Socket::open(url, Some(token)).await;
    assert_eq!(socket.request("subscribe", json!({ "topic": "me/appointments" })).await, None);
    socket.answer_of("snapshot").await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_races_for_a_refresh_gets_the_same_successor() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let person = clinic.patient().await;
    let mut token = person.refresh_token.clone();
    for _ in 0..3 {
        let racers = (0..20).map(|number| {
            let url = if number % 4 < 2 { clinic.url() } else { &other.url };
            refresh_somehow(number, url, &token)
        });
        let grants = join_all(racers).await;
        let grants: Vec<Value> = grants.into_iter().map(|grant| grant.expect("nobody is signed out")).collect();
        let successors: BTreeSet<String> = grants.iter().map(|grant| text(grant, "refreshToken")).collect();
        assert_eq!(successors.len(), 1, "exactly one successor");
        for grant in &grants {
            assert_eq!(me(&other.url, &text(grant, "accessToken")).await, None);
        }
        token = successors.into_iter().next().expect("one");
    }
    let [session] = &list(clinic.url(), &person.token).await[..] else { panic!("one session") };
    assert_eq!(session["rev"], 4, "each generation is one write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_given_again_and_an_older_token_ends_the_session() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let first = clinic.patient().await.refresh_token;
    // Whoever asked has gone before there was an answer, or has it and lost it.
    drop(timeout(Duration::ZERO, refresh(clinic.url(), &first)).await);
    let second = text(&refresh(clinic.url(), &first).await.json(), "refreshToken");
    let again = refresh(&other.url, &first).await.json();
    assert_eq!(text(&again, "refreshToken"), second);
    let third = text(&refresh(&other.url, &second).await.json(), "refreshToken");
    assert_ne!(third, second);

    assert_eq!(refresh(clinic.url(), &first).await.code().as_deref(), Some("unauthenticated"), "two turns ago");
    for token in [&first, &second, &third] {
        for url in [clinic.url(), &other.url] {
            assert_eq!(refresh(url, token).await.code().as_deref(), Some("session_revoked"));
        }
    }
    until(async || me(&other.url, &text(&again, "accessToken")).await.as_deref() == Some("session_revoked")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_wins_over_every_refresh() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    for round in 0..5 {
        let person = clinic.patient().await;
        let out = ask(clinic.url(), &person.token, Operation::AuthLogout, json!({}));
        let racers = (0..10).map(|number| {
            let url = if number % 4 < 2 { clinic.url() } else { &other.url };
            refresh_somehow(number + round, url, &person.refresh_token)
        });
        let (out, grants) = tokio::join!(out, join_all(racers));
        assert_eq!(out.status, 200, "{out:?}");
        let mut tokens = vec![person.refresh_token.clone()];
        for grant in grants.into_iter().flatten() {
            tokens.push(text(&grant, "refreshToken"));
            let access = text(&grant, "accessToken");
            assert_eq!(me(clinic.url(), &access).await.as_deref(), Some("session_revoked"));
            until(async || me(&other.url, &access).await.as_deref() == Some("session_revoked")).await;
        }
        for token in tokens {
            for url in [clinic.url(), &other.url] {
                assert_eq!(refresh(url, &token).await.code().as_deref(), Some("session_revoked"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_their_own_sessions_and_no_others() {
    let clinic = Clinic::open().await;
    let (person, stranger) = (clinic.patient().await, clinic.patient().await);
    let phone = login_on(clinic.url(), &person, "Teléfono").await;
    let sessions = list(clinic.url(), &phone.token).await;
    assert_eq!(sessions.len(), 2);
    let (newest, oldest) = (&sessions[0], &sessions[1]);
    assert_eq!((&newest["device"], &newest["current"]), (&json!("Teléfono"), &json!(true)));
    assert_eq!((oldest.get("device"), &oldest["current"]), (None, &json!(false)));
    assert_eq!((&newest["network"], &newest["rev"]), (&json!("127.0.0.0/24"), &json!(1)));
    assert_eq!(newest["createdAt"], newest["lastSeenAt"]);

    // What was used last comes first.
    assert_eq!(refresh(clinic.url(), &person.refresh_token).await.status, 200);
    let sessions = list(clinic.url(), &phone.token).await;
    assert_eq!((&sessions[0]["id"], &sessions[0]["rev"]), (&oldest["id"], &json!(2)));
    assert!(time(&sessions[0], "lastSeenAt") > time(&sessions[0], "createdAt"));
    assert_eq!((&sessions[0]["createdAt"], &sessions[0]["current"]), (&oldest["createdAt"], &json!(false)));
    assert!(time(&sessions[0], "expiresAt") > time(oldest, "expiresAt"));

    let id = text(newest, "id");
    let revoke =
        async |token: &str, id: &str| ask(clinic.url(), token, Operation::SessionRevoke, json!({ "id": id })).await;
    for wrong in [id.as_str(), "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(revoke(&stranger.token, wrong).await.code().as_deref(), Some("not_found"));
    }
    for wrong in ["", "x", "Others", "*", &id.to_uppercase()] {
        let answer = connect(clinic.url(), Some(&stranger.token)).await;
        let refused = answer.request("session.revoke", json!({ "id": wrong }), Some(key())).await.unwrap_err();
        assert_eq!(refused.code().expect("a code").as_str(), "validation_failed", "{wrong}");
    }
    assert_eq!(list(clinic.url(), &phone.token).await.len(), 2, "nothing has ended");

    let ended = revoke(&person.token, &id).await;
    assert_eq!((ended.status, ended.json()), (200, json!({})));
    assert!(ended.header("cita-cursor").len() > 10);
    assert_eq!(revoke(&person.token, &id).await.status, 200, "it had ended already");
    assert_eq!(me(clinic.url(), &phone.token).await.as_deref(), Some("session_revoked"));
    assert_eq!(refresh(clinic.url(), &phone.refresh_token).await.code().as_deref(), Some("session_revoked"));
    let sessions = list(clinic.url(), &person.token).await;
    assert_eq!((sessions.len(), &sessions[0]["current"]), (1, &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_is_cut_off_on_every_node() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let here = clinic.patient().await;
    let (there, third) = (login(clinic.url(), &here).await, login(clinic.url(), &here).await);
    let id = |sessions: Vec<Value>| {
        sessions
            .iter()
            .find(|session| session["current"] == true)
            .map(|session| text(session, "id"))
            .expect("one's own")
    };
    let there_id = id(list(clinic.url(), &there.token).await);
    let (mut cut, mut streams, mut stay) = (Vec::new(), Vec::new(), Vec::new());
    for url in [clinic.url(), &other.url] {
        cut.push(watching(url, &there.token).await);
        streams.push(event_stream(url, &there.token).await);
        stay.push(watching(url, &here.token).await);
        stay.push(watching(url, &third.token).await);
    }
    let began = Instant::now();
    let revoked = ask(clinic.url(), &here.token, Operation::SessionRevoke, json!({ "id": there_id })).await;
    assert_eq!(revoked.status, 200);
    for socket in &mut cut {
        assert_eq!(socket.closed().await, Some(4101));
    }
    join_all(streams.drain(..).map(ends)).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    for socket in &mut stay {
        socket.assert_usable("the end of another session").await;
    }

    // All others: the caller's own stays.
    let (mut cut, mut stay): (Vec<_>, Vec<_>) = {
        let mut parts = (Vec::new(), Vec::new());
        for (index, socket) in stay.into_iter().enumerate() {
            if index % 2 == 0 { parts.1.push(socket) } else { parts.0.push(socket) }
        }
        parts
    };
    let stream = event_stream(&other.url, &third.token).await;
    let began = Instant::now();
    let revoked = ask(clinic.url(), &here.token, Operation::SessionRevoke, json!({ "id": "others" })).await;
    assert_eq!(revoked.status, 200);
    for socket in &mut cut {
        assert_eq!(socket.closed().await, Some(4101));
    }
    ends(stream).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    for socket in &mut stay {
        socket.assert_usable("the end of all other sessions").await;
    }
    assert_eq!(list(&other.url, &here.token).await.len(), 1);
    let again = ask(&other.url, &here.token, Operation::SessionRevoke, json!({ "id": "others" })).await;
    assert_eq!(again.status, 200, "there are none left");

    let late = clinic.node().await;
    for ended in [&there, &third] {
        assert_eq!(me(&late.url, &ended.token).await.as_deref(), Some("session_revoked"));
    }
    assert_eq!(me(&late.url, &here.token).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_their_own_session_is_answered_first() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let elsewhere = login(clinic.url(), &person).await;
    let own = list(clinic.url(), &person.token).await;
    let own = own.iter().find(|session| session["current"] == true).map(|session| text(session, "id")).expect("own");
    let mut socket = Socket::open(clinic.url(), Some(&person.token)).await;
    let revoke =
        |id: &str| json!({ "type": "session.revoke", "id": "1", "key": key(), "data": { "id": id } }).to_string();
    let other = socket.ask(&revoke("others")).await;
    assert_eq!((&other["type"], &other["data"]), (&json!("reply"), &json!({})));
    assert_eq!(me(clinic.url(), &elsewhere.token).await.as_deref(), Some("session_revoked"));
    socket.assert_usable("ending the others").await;
    let reply = socket.ask(&revoke(&own)).await;
    assert_eq!((&reply["type"], &reply["data"]), (&json!("reply"), &json!({})));
    assert!(reply["cursor"].is_string());
    assert_eq!(socket.closed().await, Some(4101));
    assert_eq!(me(clinic.url(), &person.token).await.as_deref(), Some("session_revoked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_session_makes_room() {
    let clinic = Clinic::open().await;
    let oldest = clinic.patient().await;
    let used = login_on(clinic.url(), &oldest, "usado").await;
    let mut count = 2;
    while count < 100 {
        let batch = (100 - count).min(7);
        join_all((0..batch).map(|_| login(clinic.url(), &oldest))).await;
        count += batch;
    }
    assert_eq!(list(clinic.url(), &used.token).await.len(), 100);
    assert_eq!(refresh(clinic.url(), &used.refresh_token).await.status, 200, "used again");
    assert_eq!(me(clinic.url(), &oldest.token).await, None);
    let newest = login(clinic.url(), &oldest).await;
    assert_eq!(list(clinic.url(), &newest.token).await.len(), 100);
    assert_eq!(me(clinic.url(), &oldest.token).await.as_deref(), Some("session_revoked"));
    assert_eq!(me(clinic.url(), &used.token).await, None);
}
