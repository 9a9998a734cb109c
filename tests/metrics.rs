//! `/metrics`: what it tells after traffic is what docs/OPERATIONS.md and the dashboard name, and nothing of anybody.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cita_protocol::Operation;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::clinic::{at, connect, database, date, key, practice_at, register, simple_service};
use crate::harness::process::Process;
use crate::harness::rest::{Rest, client};
use crate::harness::socket::Socket;
use crate::harness::{mongo, until};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Names in the table of docs/OPERATIONS.md.
fn documented() -> BTreeSet<String> {
    let text = file("docs/OPERATIONS.md");
    let table = text.split("<!-- metrics:begin -->").nth(1).unwrap();
    let table = table.split("<!-- metrics:end -->").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

/// Names that a text mentions, without what a histogram's series add.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("cita_") || word.starts_with("process_"));
    let base = |name: &str| {
        let series = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        series.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// The value of a series whose line begins with a name and has these labels.
fn value(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    };
    metrics.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_measured_is_documented() {
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let options = ["--metrics-listen", "127.0.0.1:0"];
    let (node, url) = Process::serve(&users, &appointments, &options).await;
    let metrics_url = format!("http://{}/metrics", node.told("listening metrics=").await);
    let scrape = async || {
        let answer = client().get(&metrics_url).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.unwrap()
    };

    // A visit is booked before the eyes of its doctor, and once more for a time that is gone.
    let (patient, practice) =
        (register(&url, "patient", "Paula Pérez").await, practice_at(&url, simple_service()).await);
    let mut watching = Socket::open(&url, Some(&practice.doctor.token)).await;
    assert_eq!(watching.request("subscribe", json!({ "topic": practice.calendar() })).await, None);
    watching.answer_of("snapshot").await;
    let start = at(&date(3), "09:00");
    let connection = connect(&url, Some(&patient.token)).await;
    connection.request("appointment.book", practice.booking(&start), Some(key())).await.expect("it is free");
    watching.answer_of("change").await;
    connection.request("appointment.book", practice.booking(&start), Some(key())).await.expect_err("it is taken");
    let rest = Rest { url: &url, token: Some(&patient.token) };
    assert_eq!(rest.call(Operation::AppointmentList, &json!({}), None).await.code(), None);
    watching.say("no JSON").await;
    assert_eq!(watching.answer().await["type"], "error");

    until(async || value(&scrape().await, "cita_ready", &[]) == Some(1.0)).await;
    let told = scrape().await;
    let booked = |outcome: &str| {
        let outcome = format!(r#"outcome="{outcome}""#);
        value(&told, "cita_requests_total", &[r#"operation="appointment.book""#, r#"door="websocket""#, &outcome])
    };
    assert_eq!((booked("ok"), booked("slot_taken")), (Some(1.0), Some(1.0)), "{told}");
    for (name, labels, expected) in [
        ("cita_requests_total", &[r#"operation="appointment.list""#, r#"door="rest""#, r#"outcome="ok""#][..], 1.0),
        ("cita_request_seconds_count", &[r#"operation="appointment.book""#], 2.0),
        ("cita_bad_messages_total", &[r#"code="malformed_message""#], 1.0),
        ("cita_connections", &[r#"tier="doctor""#, r#"door="websocket""#], 1.0),
        ("cita_connections", &[r#"tier="patient""#, r#"door="websocket""#], 1.0),
        ("cita_connections", &[r#"tier="admin""#, r#"door="sse""#], 0.0),
        ("cita_connections_closed_total", &[r#"ending="slow_consumer""#, r#"door="websocket""#], 0.0),
        ("cita_subscriptions", &[r#"topic="calendar""#], 1.0),
        ("cita_subscriptions", &[r#"topic="slots""#], 0.0),
        ("cita_snapshots_total", &[r#"topic="calendar""#], 1.0),
        ("cita_deliveries_total", &[r#"topic="calendar""#], 1.0),
        ("cita_resets_total", &[r#"topic="calendar""#], 0.0),
        ("cita_feed_restarts_total", &[r#"cluster="appointments""#, r#"kind="resumed""#], 0.0),
        ("cita_mongodb_undecided_total", &[r#"cluster="appointments""#, r#"outcome="unknown""#], 0.0),
        ("cita_cluster_up", &[r#"cluster="users""#], 1.0),
    ] {
        assert_eq!(value(&told, name, labels), Some(expected), "{name} {labels:?} in {told}");
    }
    for (name, labels, most) in [
        ("cita_feed_lag_seconds", &[r#"cluster="appointments""#][..], 60.0),
        ("cita_feed_delay_seconds_sum", &[r#"cluster="appointments""#], 600.0),
        ("cita_mongodb_write_seconds_sum", &[r#"cluster="appointments""#], 600.0),
        ("cita_runtime_busy_ratio", &[], 1.0),
    ] {
        let value = value(&told, name, labels).unwrap_or_else(|| panic!("{name} in {told}"));
        assert!((0.0..=most).contains(&value), "{name} is {value}");
    }
    assert!(value(&told, "cita_feed_delay_seconds_count", &[r#"cluster="appointments""#]) > Some(0.0), "{told}");
    let open = value(&told, "cita_http_connections", &[]);
    assert!(open >= Some(3.0), "two sockets and this: {told}");
    assert!(value(&told, "cita_http_connections_limit", &[]) > open, "{told}");
    assert!(value(&told, "cita_delivered_bytes_total", &[r#"topic="calendar""#]) > Some(100.0), "{told}");

    // Labels are words of the code, and never somebody's.
    for somebodys in [&patient.id, &patient.email, &patient.name, &practice.doctor.id, &practice.service, &start, &name]
    {
        assert!(!told.contains(somebodys.as_str()), "{somebodys} in {told}");
    }
    let exported: BTreeSet<String> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(exported, documented(), "left: exported; right: in docs/OPERATIONS.md");
    let described = told.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let described: BTreeSet<String> = described.map(str::to_owned).collect();
    assert_eq!(described, exported, "every one says what it is");

    // The public door does not have it.
    let elsewhere = client().get(format!("{url}/metrics")).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404);
    let other = client().get(metrics_url.replace("/metrics", "/livez")).send().await.unwrap();
    assert_eq!(other.status(), 404);
}

/// The rules of alerts in the documents, too.
#[test]
fn documents_and_dashboard_name_what_there_is() {
    let documented = documented();
    assert!(documented.len() > 30);
    let operations = file("docs/OPERATIONS.md");
    let named: BTreeSet<String> = mentioned(&operations).into_iter().filter(|name| *name != "cita_users").collect();
    let others = BTreeSet::from(["cita_appointments".to_owned()]);
    assert_eq!(&named - &others, documented);
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/cita.json")).expect("the dashboard is JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let found: BTreeSet<String> = found.iter().flat_map(|expression| mentioned(expression)).collect();
    assert_eq!(found, documented, "left: in the dashboard; right: in docs/OPERATIONS.md");
}
