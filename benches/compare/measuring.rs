//! What it costs that Cita measures itself: bookings at full speed with `/metrics`, read each second, and without; with `--features otel`
//! also with the traces of one in a hundred, sent to a collector that only counts their bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::booking::{Client, Driven, drive};
use super::place::{Diary, Kind, Stage};
use super::sections::Bench;
use super::wire::Wire;

const CLIENTS: usize = 64;
const VARIANTS: &[&str] = if cfg!(feature = "otel") { &["without", "with", "traced"] } else { &["without", "with"] };
/// Runs of each in a round: what is looked for is smaller than how much one run differs from the next.
const TURNS: u32 = 3;
const READ_EVERY: Duration = Duration::from_secs(1);

impl Bench {
    pub(super) async fn measuring(&mut self) {
        let mut place = self.take(Kind::Cita);
        let traced = Arc::new(AtomicUsize::new(0));
        let collector = collector(traced.clone()).await;
        for turn in 0..TURNS {
            // There and back: whatever grows slowly is in all of them.
            let mut variants = Vec::from(VARIANTS);
            if (turn + self.round) % 2 == 1 {
                variants.reverse();
            }
            for name in variants {
                let driven = match name {
                    "with" => {
                        let (stage, metrics) = self.world.stage_measured(&mut place).await;
                        let _reader = AbortOnDropHandle::new(tokio::spawn(read(metrics)));
                        self.at_full_speed(stage).await
                    }
                    "traced" => {
                        let before = traced.load(Ordering::Relaxed);
                        let stage = self.world.stage_traced(&mut place, collector).await;
                        let driven = self.at_full_speed(stage).await;
                        assert!(traced.load(Ordering::Relaxed) > before, "no span came");
                        driven
                    }
                    _ => {
                        let stage = self.world.stage(&mut place).await;
                        self.at_full_speed(stage).await
                    }
                };
                self.add(&format!("measuring.{name}.per_second"), driven.per_second);
                self.add(&format!("measuring.{name}.server_cpu_s_per_1000"), driven.server_cpu);
            }
        }
        self.put(place);
    }

    async fn at_full_speed(&self, stage: Stage<'_>) -> Driven {
        let diary = Arc::new(Diary::new(self.scale.people));
        let clients = Client::bookers(&stage, &diary, CLIENTS, false).await;
        let driven = drive(clients, self.scale.length, Some(stage.server.pid), &stage.mongods).await;
        stage.close(&self.world).await;
        driven
    }
}

async fn read(metrics: SocketAddr) {
    let mut wire = Wire::connect(metrics).await.expect("the measurements can be read");
    let mut every = tokio::time::interval(READ_EVERY);
    loop {
        every.tick().await;
        let answer = wire.ask("GET", "/metrics", "", b"").await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Takes spans, and counts their bytes.
async fn collector(taken: Arc<AtomicUsize>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let take = move |body: Bytes| async move {
        taken.fetch_add(body.len(), Ordering::Relaxed);
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    address
}
