//! What a flood of wrong log-ins does to bookings: `cargo bench --bench login_flood`.
//!
//! A few patients book and cancel, one request at a time each, while 32 clients log in with wrong passwords as fast as they are
//! answered. Each of those has addresses of its own (the loopback network stands for the world: Linux only) and names an
//! account that is not there, a new one each time, so that the throttle lets the flood through to the hashing of passwords;
//! once more with one address for all, as it meets the throttle. Everything runs on this machine, the databases and the
//! clients included, so only the ratios mean anything.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use harness::clinic::{Clinic, at, connect, date, key, text};
use serde_json::json;

const BOOKERS: usize = 4;
const FLOODERS: u8 = 32;
/// Bookings of each booker in each phase; each is cancelled again, so that the calendar does not grow full.
const BOOKINGS: usize = 300;
/// Addresses that each flooder goes through, of networks of their own: so many that none is exhausted.
const ADDRESSES: u8 = 10;

#[derive(Default)]
struct Flood {
    stop: AtomicBool,
    compared: AtomicU64,
    refused: AtomicU64,
}

/// Latencies of bookings, sorted.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn at(&self, share: f64) -> f64 {
        let index = (self.0.len() as f64 * share) as usize;
        self.0[index.min(self.0.len() - 1)].as_secs_f64() * 1e3
    }
}

#[tokio::main]
async fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let clinic = Clinic::open().await;
    println!("{BOOKERS} bookers, {FLOODERS} flooders, {cores} cores; milliseconds from a booking to its answer");
    book(&clinic).await;
    let calm = book(&clinic).await;
    println!("without a flood                p50 {:6.2}  p99 {:6.2}", calm.at(0.5), calm.at(0.99));
    for (name, addresses) in [("from many addresses", ADDRESSES), ("from one address", 1)] {
        let flood = Flood::default();
        let begun = Instant::now();
        let booking = async {
            let latencies = book(&clinic).await;
            flood.stop.store(true, Ordering::Relaxed);
            latencies
        };
        let (flooded, _) =
            tokio::join!(booking, join_all((0..FLOODERS).map(|n| log_in_wrongly(&clinic, &flood, n, addresses))));
        let rate = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{name:<30} p50 {:6.2}  p99 {:6.2}  ratio p50 {:.1}  p99 {:.1}  ({:.0} log-ins/s compared, {:.0}/s throttled)",
            flooded.at(0.5),
            flooded.at(0.99),
            flooded.at(0.5) / calm.at(0.5),
            flooded.at(0.99) / calm.at(0.99),
            rate(&flood.compared),
            rate(&flood.refused),
        );
    }
    clinic.close().await;
}

async fn book(clinic: &Clinic) -> Latencies {
    let bookers = (0..BOOKERS).map(async |_| {
        let (practice, patient) = (clinic.practice().await, clinic.patient().await);
        let connection = connect(clinic.url(), Some(&patient.token)).await;
        let mut latencies = Vec::new();
        for _ in 0..BOOKINGS {
            let booking = practice.booking(&at(&date(3), "09:00"));
            let begun = Instant::now();
            let reply = connection.request("appointment.book", booking, Some(key())).await.expect("a free time");
            latencies.push(begun.elapsed());
            let cancel = json!({ "id": text(&reply.data, "id") });
            connection.request("appointment.cancel", cancel, Some(key())).await.expect("it is cancelled");
        }
        latencies
    });
    let mut latencies = join_all(bookers).await.concat();
    latencies.sort();
    Latencies(latencies)
}

async fn log_in_wrongly(clinic: &Clinic, flood: &Flood, flooder: u8, addresses: u8) {
    let url = format!("{}/v1/auth/login", clinic.url());
    let clients = (0..addresses).map(|n| {
        let address = if addresses == 1 { [127, 0, 0, 1] } else { [127, 1 + flooder, n, 1] };
        reqwest::Client::builder().no_proxy().local_address(IpAddr::from(address)).build().unwrap()
    });
    let clients: Vec<_> = clients.collect();
    for n in 0_u64.. {
        if flood.stop.load(Ordering::Relaxed) {
            return;
        }
        let data = json!({ "email": format!("nadie{n}.{flooder}@prueba.example"), "password": "no es la clave" });
        let client = &clients[usize::try_from(n).unwrap() % clients.len()];
        let answer = client.post(&url).json(&data).send().await.expect("an answer");
        match answer.status().as_u16() {
            401 => flood.compared.fetch_add(1, Ordering::Relaxed),
            429 => flood.refused.fetch_add(1, Ordering::Relaxed),
            other => panic!("{other}"),
        };
        answer.bytes().await.expect("a whole answer");
    }
}
