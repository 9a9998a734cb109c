//! What may be said over a socket: everything else is answered with an error of the registry, and the connection goes on.

use std::collections::BTreeSet;

use cita_protocol::{ErrorCode, Operation};
use serde_json::{Value, json};

use crate::harness::cast::Cast;
use crate::harness::clinic::{Clinic, key};
use crate::harness::socket::Socket;

const MALFORMED: &str = "malformed_message";
const INVALID: &str = "validation_failed";

/// Says something; the answer must be an error of the registry, and the connection of use afterwards.
async fn refused(socket: &mut Socket, text: &str) -> (Option<String>, String) {
    let answer = socket.ask(text).await;
    let what: String = text.chars().take(100).collect();
    assert_eq!(answer["type"], "error", "{what}: {answer}");
    let code = answer["data"]["code"].as_str().unwrap().to_owned();
    let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code).expect("a code of the registry");
    assert_eq!(answer["data"]["status"], known.status(), "{what}");
    assert!(known.status() < 500, "{what}: {answer}");
    assert!(answer.to_string().len() < 1_000, "{what}: what was sent is not sent back: {answer}");
    socket.assert_usable(&what).await;
    (answer["id"].as_str().map(str::to_owned), code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_malformed() {
    let clinic = Clinic::open().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let good = r#"{"type":"doctor.search","id":"1","data":{}}"#;
    let mut cases: Vec<String> = [
        "",
        " ",
        "null",
        "true",
        "1",
        "[]",
        "\"doctor.search\"",
        "{",
        "}",
        "{}",
        "{}{}",
        "\0",
        "NaN",
        "{'type':'doctor.search'}",
        r#"{type:"doctor.search"}"#,
        r#"{"type":"doctor.search",}"#,
        r#"{"type":"doctor.search"/**/}"#,
        r#"{"type":"doctor.search"} //"#,
        r#"{"type":"doctor.search","data":{}"#,
        r#"{"id":"1","data":{}}"#,
        r#"[{"type":"doctor.search","id":"1","data":{}}]"#,
        // The same key twice, in whatever spelling.
        r#"{"type":"doctor.search","type":"doctor.search","data":{}}"#,
        r#"{"type":"doctor.search","typ\u0065":"me.get","data":{}}"#,
        r#"{"type":"doctor.search","id":"1","id":"2","data":{}}"#,
        r#"{"type":"doctor.search","data":{},"data":{}}"#,
        r#"{"type":"doctor.search","key":"1","key":"1","data":{}}"#,
        // Lone surrogates, controls, numbers that are none.
        r#"{"type":"\ud800","data":{}}"#,
        r#"{"type":"doctor.search","id":"\udc00\ud800","data":{}}"#,
        "{\"type\":\"doctor\n.search\"}",
        r#"{"type":"doctor.search","data":{"pageSize":NaN}}"#,
        r#"{"type":"doctor.search","data":{"pageSize":01}}"#,
        r#"{"type":"doctor.search","data":{"pageSize":+1}}"#,
        r#"{"type":"doctor.search","data":{"pageSize":.5}}"#,
        r#"{"type":"doctor.search","data":{"pageSize":0x10}}"#,
        r#"{"type":"doctor.search","data":{"pageSize":Infinity}}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    cases.push(format!("{good}{good}"));
    cases.push(format!("{good} x"));
    cases.push(format!("\u{feff}{good}"));
    cases.push(deep("[", "]"));
    cases.push(deep(r#"{"a":"#, "}").replace("{\"a\":}", "{}"));
    cases.push(format!(r#"{{"type":"doctor.search","id":{}}}"#, deep("[", "]")));
    // Unknown fields beside `type` and `data`, those that other protocols have among them.
    for field in ["token", "cursor", "after", "Id", "TYPE", "__proto__", "constructor", "$where", "", "a.b", "\\u0000"]
    {
        cases.push(format!(r#"{{"type":"doctor.search","id":"1","data":{{}},"{field}":1}}"#));
    }
    // Another type for every field of the envelope.
    for (field, others) in [
        ("type", &["null", "true", "1", "1.5", "[]", "{}", r#"["doctor.search"]"#, r#"{"$ne":null}"#][..]),
        ("id", &["true", "1", "1.5", "[]", "{}", r#"["1"]"#, r#"{"$gt":""}"#, r#""""#][..]),
        ("key", &["true", "1", "1.5", "[]", "{}", r#"["1"]"#]),
    ] {
        for other in others {
            let mut fields = vec![("type", r#""doctor.search""#), ("data", "{}")];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, *other));
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
            cases.push(format!("{{{}}}", fields.join(",")));
        }
    }
    // An id that nobody could keep.
    for length in [65, 60_000] {
        cases.push(format!(r#"{{"type":"doctor.search","id":"{}","data":{{}}}}"#, "x".repeat(length)));
    }
    for case in cases {
        let (_, code) = refused(&mut socket, &case).await;
        assert_eq!(code, MALFORMED, "{case:.100}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_can_be_read_is_answered_under_its_id() {
    let clinic = Clinic::open().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let search = |data: &str| ("doctor.search", data.to_owned());
    let cases = [
        (("doctor.searches", "{}".to_owned()), "unknown_type"),
        (("Doctor.Search", "{}".to_owned()), "unknown_type"),
        (("doctor.search ", "{}".to_owned()), "unknown_type"),
        (("", "{}".to_owned()), "unknown_type"),
        (("hello", "{}".to_owned()), "unknown_type"),
        (("appointment.erase", "{}".to_owned()), "unknown_type"),
        (("admin.users", "{}".to_owned()), "unknown_type"),
        (search("[]"), INVALID),
        (search("true"), INVALID),
        (search("1"), INVALID),
        (search(r#""x""#), INVALID),
        (search(r#"{"pageSize":1,"pageSize":2}"#), INVALID),
        (search(r#"{"pageSize":1,"page\u0053ize":2}"#), INVALID),
        (search(r#"{"specialization":"x"}"#), INVALID),
        (search(r#"{"__proto__":{}}"#), INVALID),
        (search(r#"{"$where":"1"}"#), INVALID),
        (search(r#"{"":1}"#), INVALID),
        (search(&format!(r#"{{"specialisation":{deep}}}"#)), INVALID),
        (search(&format!(r#"{{"pageSize":{deep}}}"#)), INVALID),
        (search(r#"{"pageSize":0}"#), INVALID),
        (search(r#"{"pageSize":101}"#), INVALID),
        (search(r#"{"pageSize":-1}"#), INVALID),
        (search(r#"{"pageSize":-0}"#), INVALID),
        (search(r#"{"pageSize":1.0}"#), INVALID),
        (search(r#"{"pageSize":1e2}"#), INVALID),
        (search(r#"{"pageSize":4294967296}"#), INVALID),
        (search(r#"{"pageSize":9007199254740993}"#), INVALID),
        (search(r#"{"pageSize":9223372036854775808}"#), INVALID),
        (search(r#"{"pageSize":340282366920938463463374607431768211456}"#), INVALID),
        (search(r#"{"pageSize":"5"}"#), INVALID),
        (search(r#"{"pageSize":true}"#), INVALID),
        (search(r#"{"pageSize":{"$numberLong":"5"}}"#), INVALID),
        (search(r#"{"specialisation":{"$ne":null}}"#), INVALID),
        (search(r#"{"pageToken":"x"}"#), INVALID),
        (search(r#"{"after":"x"}"#), INVALID),
        // JSON by its brackets, and not by its insides.
        (search(r#"{"pageSize":1e400}"#), MALFORMED),
        (search(r#"{"specialisation":"\ud800"}"#), MALFORMED),
        (("me.get", "{}".to_owned()), "unauthenticated"),
        // The tier comes before the input.
        (("me.get", r#"{"x":1}"#.to_owned()), "unauthenticated"),
        (("appointment.book", "[]".to_owned()), "unauthenticated"),
    ];
    for ((kind, data), code) in cases {
        let id = json!("número 7 \"\\\u{0}\u{1f600}");
        let text = format!(r#"{{"type":{},"id":{id},"data":{data}}}"#, json!(kind));
        let (answered, found) = refused(&mut socket, &text).await;
        assert_eq!((found.as_str(), answered.as_deref()), (code, id.as_str()), "{text:.200}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_an_id_is_answered_without_one() {
    let clinic = Clinic::open().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    for (text, kind) in [
        (r#"{"type":"doctor.search","data":{}}"#, "reply"),
        (r#"{"type":"doctor.search"}"#, "reply"),
        (r#"{"type":"me.get","data":{}}"#, "error"),
        (r#"{"type":"nothing","data":{}}"#, "error"),
    ] {
        let answer = socket.ask(text).await;
        assert_eq!((&answer["type"], answer.get("id")), (&json!(kind), None), "{text}");
    }
    let longest = "ñ".repeat(64);
    let answer = socket.ask(&json!({ "type": "doctor.search", "id": longest, "data": {} }).to_string()).await;
    assert_eq!(answer["id"], longest);
    // A pong is heard and not answered, whatever is in it.
    socket.say(r#"{"type":"pong","data":{}}"#).await;
    socket.say(r#"{"type":"pong"}"#).await;
    socket.assert_usable("pongs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_are_answered_each_under_its_id() {
    let cast = Cast::meet().await;
    let mut socket = Socket::open(cast.clinic.url(), Some(&cast.patient.token)).await;
    let mut waiting = BTreeSet::new();
    for number in 0..200 {
        let (kind, data) = match number % 4 {
            0 => ("doctor.search", json!({})),
            1 => ("me.get", json!({})),
            2 => ("appointment.book", cast.practice.booking(&cast.free_time())),
            _ => ("doctor.get", json!({ "id": "x" })),
        };
        let id = format!("{kind} {number}");
        socket.say(&json!({ "type": kind, "id": id, "key": key(), "data": data }).to_string()).await;
        waiting.insert(id);
    }
    while !waiting.is_empty() {
        let answer = socket.answer().await;
        let id = answer["id"].as_str().unwrap();
        assert!(waiting.remove(id), "{id} is answered once");
        let fits = match id.split(' ').next().unwrap() {
            "doctor.search" => answer["data"]["items"].is_array(),
            "me.get" => answer["data"]["id"] == cast.patient.id,
            "appointment.book" => answer["data"]["status"] == "booked" && answer["cursor"].is_string(),
            _ => answer["data"]["code"] == "validation_failed",
        };
        assert!(fits, "{id}: {answer}");
    }
}

/// Every field of every operation, with a value of every other type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_of_another_type_is_refused() {
    let cast = Cast::meet().await;
    let mut socket = Socket::open(cast.clinic.url(), Some(&cast.admin.token)).await;
    for &operation in Operation::ALL {
        let input = cast.valid_input(operation).await;
        for (field, value) in input.as_object().unwrap() {
            for other in [json!(null), json!(true), json!(1.5), json!("x\u{7}"), json!(["x"]), json!({ "$ne": null })] {
                let same = |kind: fn(&Value) -> bool| kind(&other) && kind(value);
                // `null` is a field left out, which some may be.
                if other.is_null() || same(Value::is_string) || same(Value::is_array) || same(Value::is_boolean) {
                    continue;
                }
                let mut data = input.clone();
                data[field] = other.clone();
                let text = json!({ "type": operation.name(), "id": "1", "key": key(), "data": data }).to_string();
                let (id, code) = refused(&mut socket, &text).await;
                assert_eq!((id.as_deref(), code.as_str()), (Some("1"), INVALID), "{text}");
            }
        }
    }
}
