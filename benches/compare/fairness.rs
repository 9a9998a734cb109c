//! Whether those who watch what few do have to wait for those who watch what everybody does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt as _, stream};

use super::booking::{Booker, Outcome, quantile};
use super::live::{Audience, Watcher};
use super::place::{Kind, Place, VISIT, WATCHED_DAY, instant, watched_tick};
use super::sections::Bench;

/// Doctors whose topics have one subscriber each.
const QUIET: usize = 8;
/// Changes a second of what everybody watches, and of the quiet ones together: they do not keep step.
const HOT_RATE: u32 = 20;
const QUIET_EVERY: Duration = Duration::from_millis(103);

/// Somebody who watches a doctor, and somebody else who books there.
struct Pair {
    watcher: Watcher,
    booker: Booker,
}

impl Bench {
    /// The push of quiet topics alone, and beside one that the largest audience watches.
    pub(super) async fn fairness(&mut self) {
        let mut place = self.take(Kind::Cita);
        let (_, size, ..) = self.scale.audiences[self.scale.audiences.len() - 1];
        let hot = u32::try_from(self.scale.length.as_secs()).unwrap_or(1) * 3 * HOT_RATE;
        let quiet = hot * 50 / (u32::try_from(QUIET_EVERY.as_millis()).unwrap_or(100));
        let stage = self.world.stage(&mut place).await;
        let (place_now, address): (&Place, _) = (&*stage.place, stage.server.address);
        let audience = Audience::gather(place_now, Kind::Cita, address, size).await;
        audience.paced(place_now, Kind::Cita, address, (0, 1), 50).await;
        let open = |nth: usize| pair(place_now, address, nth);
        let mut pairs: Vec<Pair> = stream::iter(0..QUIET).then(open).collect().await;
        let alone = pushes(&mut pairs, place_now, 0, quiet).await;
        let hot = audience.paced(place_now, Kind::Cita, address, (1, hot), HOT_RATE);
        let (_, beside) = tokio::join!(hot, pushes(&mut pairs, place_now, quiet, quiet));
        drop(audience);
        stage.close(&self.world).await;
        self.put(place);
        for (name, took) in [("alone", alone), ("beside", beside)] {
            self.add(&format!("fairness.cita.{name}_p50_ms"), quantile(&took, 0.5));
            self.add(&format!("fairness.cita.{name}_p99_ms"), quantile(&took, 0.99));
        }
    }
}

async fn pair(place: &Place, address: SocketAddr, nth: usize) -> Pair {
    let token = &place.patients[nth].token;
    let watcher = Watcher::open(Kind::Cita, address, &place.doctors[nth], token).await;
    Pair { watcher, booker: Booker::open(Kind::Cita, address, token).await }
}

/// Books in turn at each of the doctors, and gives how long the news took from the request on, in order.
async fn pushes(pairs: &mut [Pair], place: &Place, from: u32, count: u32) -> Vec<Duration> {
    let (begun, among) = (Instant::now(), u32::try_from(pairs.len()).unwrap_or(1));
    let each = pairs.iter_mut().enumerate().map(async |(nth, pair)| {
        let mut took = Vec::new();
        let mine = (from..from + count).filter(|number| *number as usize % QUIET == nth);
        for number in mine {
            tokio::time::sleep_until((begun + QUIET_EVERY * (number - from)).into()).await;
            let minutes = number / among * VISIT;
            let (start, tick) = (instant(WATCHED_DAY, minutes), watched_tick() + minutes / 5);
            let asked = Instant::now();
            let told = async {
                let mut is_told = false;
                while !is_told {
                    pair.watcher.told(|removed| is_told |= removed == tick).await.expect("the server stays");
                }
                asked.elapsed()
            };
            let (outcome, told) = tokio::join!(pair.booker.book(&place.doctors[nth], &start), told);
            assert_eq!(outcome, Outcome::Booked, "nobody else asks for it");
            took.push(told);
        }
        took
    });
    let mut took: Vec<Duration> = join_all(each).await.into_iter().flatten().collect();
    took.sort_unstable();
    took
}
