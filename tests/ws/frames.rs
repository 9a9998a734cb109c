//! Bytes that RFC 6455 does not allow, and messages that Cita does not take: each ends its connection with its code, and
//! no other.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::clinic::Clinic;
use crate::harness::rest::raw;
use crate::harness::socket::{Bytes, Socket, masked};

const LIMIT: usize = 64 * 1024;

/// A text message of so many bytes that is a good request.
fn padded(bytes: usize) -> String {
    let request = r#"{"type":"doctor.search","id":"1","data":{}}"#;
    format!("{request}{}", " ".repeat(bytes - request.len()))
}

fn close(code: u16) -> Vec<u8> {
    masked(0x88, &code.to_be_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_rules_of_the_wire_ends_the_connection() {
    let clinic = Clinic::open().await;
    let mut witness = Socket::open(clinic.url(), None).await;
    let ping = masked(0x89, b"");
    let fragments = |count: usize, size: usize| {
        let mut bytes = masked(0x01, &b" ".repeat(size));
        (1..count).for_each(|_| bytes.extend(masked(0x00, &b" ".repeat(size))));
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("no mask", b"\x81\x02{}".to_vec(), 1002),
        ("a reserved bit", masked(0xc1, b"{}"), 1002),
        ("another reserved bit", masked(0x91, b"{}"), 1002),
        ("a reserved opcode", masked(0x83, b"{}"), 1002),
        ("a reserved control opcode", masked(0x8b, b""), 1002),
        ("half a ping", masked(0x09, b""), 1002),
        ("a ping of 126 bytes", masked(0x89, &[b'x'; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"{}"), 1002),
        ("a message within a message", [masked(0x01, b"{"), masked(0x81, b"{}")].concat(), 1002),
        ("not UTF-8", masked(0x81, b"{\"\xff\":1}"), 1007),
        ("overlong UTF-8", masked(0x81, b"\xc0\x80"), 1007),
        ("a surrogate in UTF-8", masked(0x81, b"\xed\xa0\x80"), 1007),
        ("half a character", masked(0x81, b"\xe2\x82"), 1007),
        ("not UTF-8 in two parts", [masked(0x01, b"{\xe2"), masked(0x80, b"{")].concat(), 1007),
        ("binary", masked(0x82, b"{}"), 1003),
        ("binary in two parts", [masked(0x02, b"{"), masked(0x80, b"}")].concat(), 1003),
        ("a byte too many", masked(0x81, padded(LIMIT + 1).as_bytes()), 1009),
        ("too many parts", fragments(9, LIMIT / 8), 1009),
        ("a length of 2^62", b"\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 1009),
        ("a length of 2^63", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 1009),
        ("a close of one byte", masked(0x88, b"\x03"), 1002),
        ("close code 0", close(0), 1002),
        ("close code 999", close(999), 1002),
        ("close code 1005", close(1005), 1002),
        ("close code 1006", close(1006), 1002),
        ("close code 1015", close(1015), 1002),
        ("close code 5000", close(5000), 1002),
        ("close code 65535", close(65_535), 1002),
        ("a pleasant close", close(1000), 1000),
        ("a close of its own code", close(4321), 4321),
    ];
    for (what, bytes, code) in cases {
        let mut client = Bytes::open(clinic.url()).await;
        client.write(&[ping.clone(), bytes].concat()).await;
        assert_eq!(client.closed().await, Some(code), "{what}");
        // What comes after the close is read by nobody.
        client.write(&masked(0x81, b"{}")).await;
        assert_eq!(client.closed().await, None, "{what}");
        witness.assert_usable(what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_the_rules_of_the_wire_is_taken() {
    let clinic = Clinic::open().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    let reply = socket.ask(&padded(LIMIT)).await;
    assert_eq!((&reply["type"], &reply["id"]), (&json!("reply"), &json!("1")), "exactly the limit");
    for message in [Message::Ping("x".into()), Message::Pong("y".into()), Message::Ping("".into())] {
        socket.send(message).await;
        socket.assert_usable("a control frame").await;
    }
    // One message in many parts, a character among them cut in two, with pings between.
    let text = r#"{"type":"doctor.search","id":"ñ","data":{}}"#.as_bytes();
    let mut client = Bytes::open(clinic.url()).await;
    client.read().await.expect("hello");
    for (index, byte) in text.iter().enumerate() {
        let last = if index == text.len() - 1 { 0x80 } else { 0 };
        let opcode = u8::from(index == 0);
        client.write(&[masked(opcode | last, &[*byte]), masked(0x8a, b"")].concat()).await;
    }
    let (first, payload) = client.read().await.expect("an answer");
    let frame: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((first, &frame["type"], &frame["id"]), (0x81, &json!("reply"), &json!("ñ")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_too_large_says_so() {
    let clinic = Clinic::open().await;
    for (message, code) in [
        (Message::text(padded(LIMIT + 1)), 1009),
        (Message::binary(vec![0; LIMIT * 4]), 1009),
        (Message::binary("x"), 1003),
    ] {
        let mut socket = Socket::open(clinic.url(), None).await;
        socket.send(message).await;
        assert_eq!(socket.closed().await, Some(code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_handshake_is_refused() {
    let clinic = Clinic::open().await;
    let good = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let send = async |line: &str, headers: &[&str]| {
        // The last header makes a server that refuses close at once.
        let head = format!("{line}\r\nHost: x\r\n{}\r\n\r\n", headers.join("\r\n"));
        raw(clinic.url(), head.as_bytes()).await
    };
    for left_out in 0..good.len() {
        let mut headers: Vec<&str> = good.to_vec();
        headers[left_out] = if left_out == 0 { "Connection: close" } else { "X-Nothing: x" };
        if left_out > 0 {
            headers[0] = "Connection: Upgrade, close";
        }
        let answer = send("GET /v1/ws HTTP/1.1", &headers).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "without {}: {answer}", good[left_out]);
        assert!(answer.contains("malformed_message"), "{answer}");
    }
    let mut old = good.to_vec();
    (old[0], old[2]) = ("Connection: Upgrade, close", "Sec-WebSocket-Version: 8");
    let answer = send("GET /v1/ws HTTP/1.1", &old).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    for line in ["POST /v1/ws HTTP/1.1", "PUT /v1/ws HTTP/1.1"] {
        let answer = send(line, &["Connection: close"]).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    let answer = send("GET /v1/ws HTTP/1.0", &["Connection: close"]).await;
    assert!(answer.starts_with("HTTP/1.0 4"), "{answer}");
}
