//! Spans as a collector gets them: the way of a booking, and nobody's name.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::harness::clinic::{at, connect, database, date, key, practice_at, register, simple_service};
use crate::harness::process::Process;
use crate::harness::socket::Socket;
use crate::harness::{mongo, until};

/// A span, as far as it matters here.
#[derive(Clone, Debug, Default)]
struct Span {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    linked: Vec<Vec<u8>>,
}

/// The fields of a protobuf message that have a length, with their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let length = match tag & 7 {
            0 => {
                number(&mut bytes);
                continue;
            }
            1 => 8,
            5 => 4,
            _ => usize::try_from(number(&mut bytes)).unwrap(),
        };
        let (field, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((tag >> 3, field));
    }
    found
}

fn inner<'a>(of: &[&'a [u8]], wanted: u64) -> Vec<&'a [u8]> {
    let all = of.iter().flat_map(|message| fields(message));
    all.filter(|(number, _)| *number == wanted).map(|(_, field)| field).collect()
}

/// The spans of an export: resource spans (1), scope spans (2), spans (2).
fn spans(export: &[u8]) -> Vec<Span> {
    let read = |message: &[u8]| {
        let mut span = Span::default();
        for (number, field) in fields(message) {
            match number {
                1 => span.trace = field.to_vec(),
                2 => span.id = field.to_vec(),
                4 => span.parent = field.to_vec(),
                5 => span.name = String::from_utf8(field.to_vec()).unwrap(),
                13 => span.linked.extend(inner(&[field], 1).into_iter().map(<[u8]>::to_vec)),
                _ => {}
            }
        }
        span
    };
    inner(&inner(&inner(&[export], 1), 2), 2).into_iter().map(read).collect()
}

/// A collector that keeps the bodies of what it is sent.
async fn collect(listener: TcpListener, exports: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(take(stream, exports.clone()));
    }
}

async fn take(mut stream: TcpStream, exports: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        let length = head.map(|head| {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            assert!(text.starts_with("post /v1/traces "), "{text}");
            let length = text.split("content-length: ").nth(1).expect("a length");
            (head, length.split("\r\n").next().unwrap().parse::<usize>().unwrap())
        });
        if let Some((head, length)) = length.filter(|(head, length)| bytes.len() >= head + length) {
            exports.lock().unwrap().push(bytes[head..head + length].to_vec());
            bytes.drain(..head + length);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        } else if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_is_traced_from_its_frame_to_its_push() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let exports = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(collect(listener, exports.clone()));
    let (shared, name) = (mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200"), ("NO_PROXY", "*")];
    let arguments = ["--users-uri", &users, "--appointments-uri", &appointments];
    let mut node = Process::start_with("127.0.0.1:0", &arguments, &variables).await;
    let url = node.serving().await;

    let (patient, practice) =
        (register(&url, "patient", "Paula Pérez").await, practice_at(&url, simple_service()).await);
    let mut watching = Socket::open(&url, Some(&practice.doctor.token)).await;
    assert_eq!(watching.request("subscribe", json!({ "topic": practice.calendar() })).await, None);
    let booking = practice.booking(&at(&date(3), "09:00"));
    let connection = connect(&url, Some(&patient.token)).await;
    connection.request("appointment.book", booking, Some(key())).await.expect("it is free");
    watching.answer_of("change").await;

    let all = || exports.lock().unwrap().iter().flat_map(|export| spans(export)).collect::<Vec<_>>();
    let booked = || all().into_iter().find(|span| span.name == "appointment.book");
    until(async || booked().is_some()).await;
    let booked = booked().unwrap();
    assert_eq!(booked.parent, [0; 0], "it begins with the frame");
    until(async || all().iter().any(|span| span.name == "write" && span.parent == booked.id)).await;
    // Whichever ends later leads to the other.
    let linked = || {
        let pushes: Vec<_> = all().into_iter().filter(|span| span.name == "push").collect();
        pushes.iter().any(|push| push.linked.contains(&booked.trace) || booked.linked.contains(&push.trace))
    };
    until(async || linked()).await;

    node.signal("TERM").await;
    assert!(node.ended().await.success());
    let sent: Vec<u8> = exports.lock().unwrap().concat();
    for somebodys in
        [&patient.id, &patient.email, &patient.name, &practice.doctor.id, &practice.service, &patient.token]
    {
        let bytes = somebodys.as_bytes();
        assert!(!sent.windows(bytes.len()).any(|window| window == bytes), "{somebodys} was sent");
    }
}
