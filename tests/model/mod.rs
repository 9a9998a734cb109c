//! Random scripts of everything that can be done to a calendar, by everybody, at both nodes and through both doors, against a plain
//! model: every answer, every state and every change that is pushed, over the WebSocket or as events, is what the model says.
//!
//! `CITA_MODEL_STEPS` says how many steps each test takes, `CITA_MODEL_SEED` where the scripts begin; `CITA_MODEL_SCRIPT` names a file
//! with a script that is run instead. What fails is made short and printed as such a file. Without a seed the scripts are the same in every
//! run, so that a run tells of a change and not of luck; who changes a rule lets others begin elsewhere, too.

mod across;
mod asked;
mod booking;
mod doors;
mod draw;
mod hours;
mod judge;
mod practice;
mod reads;
mod rooms;
mod run;
mod series;
mod services;
mod shrink;
mod state;
mod step;
mod topics;
mod waiting;
mod world;
mod zones;

use std::env;

use self::draw::{Draw, Manner};

/// Steps one after the other, where nothing else is said: about a minute of two cores. Of the other manners, which take longer,
/// there are fewer; all together there are 2,000.
const STEPS: usize = 1_100;
/// Where the scripts begin, where nothing else is said.
const SEED: u64 = 1;
/// Steps of a script: databases that are not too full, and log-ins that do not end.
const SCRIPT: usize = 300;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Seconds that a hold lasts: longer than a script, or short.
fn hold_seconds(manner: Manner) -> u32 {
    if manner == Manner::ShortHolds { 5 } else { 900 }
}

async fn explore(manner: Manner) {
    let steps = number("CITA_MODEL_STEPS").map_or(STEPS, |steps| usize::try_from(steps).expect("a count"));
    let steps = match manner {
        Manner::InTurn => steps,
        Manner::AtOnce => steps * 2 / 3,
        Manner::ShortHolds => steps / 6,
    };
    let (mut left, mut seed) = (steps, number("CITA_MODEL_SEED").unwrap_or(SEED) * 1_000);
    while left > 0 {
        let script = Draw::new(seed).script(manner, left.min(SCRIPT));
        left -= script.len();
        match run::run(&script, hold_seconds(manner)).await {
            Ok(tally) => println!("{manner:?}, seed {}: {tally}", seed / 1_000),
            Err(failure) => {
                eprintln!("{manner:?}, seed {}, script {}: {}", seed / 1_000, seed % 1_000, failure.what);
                let (script, failure) = shrink::shrink(&script, failure, hold_seconds(manner)).await;
                let script = step::write(&script);
                panic!(
                    "{manner:?}, seed {}: {}\nthe script, for CITA_MODEL_SCRIPT:\n{script}\n",
                    seed / 1_000,
                    failure.what
                );
            }
        }
        seed += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_in_turn_is_what_the_model_says() {
    explore(Manner::InTurn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_at_once_has_an_order_that_the_model_knows() {
    explore(Manner::AtOnce).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_run_out_are_gone_for_everybody() {
    explore(Manner::ShortHolds).await;
}

/// Of a file, to look into a failure; without one there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_can_be_run_again() {
    let Ok(path) = env::var("CITA_MODEL_SCRIPT") else {
        let script = Draw::new(1).script(Manner::AtOnce, 40);
        assert_eq!(step::read(&step::write(&script)), script);
        return;
    };
    let script = step::read(&std::fs::read_to_string(path).expect("the script can be read"));
    match run::run(&script, hold_seconds(Manner::InTurn)).await {
        Ok(tally) => println!("{tally}"),
        Err(failure) => panic!("step {}: {}\n{}", failure.at, failure.what, step::write(&script[..=failure.at])),
    }
}
