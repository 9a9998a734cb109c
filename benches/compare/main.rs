//! Cita beside what teams run today and beside what the machine can do at all: `cargo bench --bench compare`.
//!
//! It starts two MongoDB replica sets, Cita's release binary, the peers of `benches/peers` and bare servers, one after the other, and
//! loads each over its public protocol, in rounds that go through all of them in turn. It prints one table of ratios, says how
//! noisy the machine was, and writes everything to `benches/results/compare.json`. docs/BENCHMARKS.md says how to read it.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

#[path = "../../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

mod booking;
mod cita;
mod express;
mod fairness;
mod figures;
mod limits;
mod live;
mod machine;
mod measuring;
mod parse;
mod place;
mod sections;
mod server;
mod wire;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use figures::Figures;
use futures::FutureExt as _;
use mongodb::bson::Document;
use place::{Kind, World};
use sections::{Bench, FULL, QUICK, SECTIONS};
use serde_json::{Value, json};
use wire::Wire;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest that one measurement of one of those who are compared may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Sockets of the largest audience, twice, and some more.
const OPEN_FILES: u64 = 16_384;
const DOCS: &str = "docs/BENCHMARKS.md";
const RESULTS: &str = "benches/results/compare.json";
const MARKS: [&str; 2] = ["<!-- compare: begin -->\n", "<!-- compare: end -->"];

/// Cita beside the old stack, parse-server, and what the machine can do at all.
#[derive(Parser)]
#[command(name = "compare", bin_name = "cargo bench --bench compare --")]
struct Options {
    /// Rounds through everything.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Little of everything, in one round, to see that it works. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Sections to run, with commas: bookings, storm, push, fairness, memory, search, resume, lag, start, measuring.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(SECTIONS))]
    only: Vec<String>,
    /// Leave out Express and parse-server, and the ratios that need them.
    #[arg(long)]
    without_peers: bool,
    /// Measure nothing: print the tables of benches/results/compare.json once more, and write them into docs/BENCHMARKS.md.
    #[arg(long)]
    print: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Serve as one of the limits, on the database of a URI.
    #[arg(long, hide = true, num_args = 2, value_names = ["URI", "DIRECTORY"])]
    serve_limits: Option<Vec<String>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(served) = &options.serve_limits {
        limits::serve(&served[0]).await;
        return ExitCode::SUCCESS;
    }
    if options.print {
        let text = std::fs::read_to_string(root().join(RESULTS)).expect("a measurement was written down");
        let result: Value = serde_json::from_str(&text).expect("JSON");
        let tables = tables(&Figures::read(&result["figures"]), &result);
        println!("{tables}");
        write_into_docs(&tables);
        return ExitCode::SUCCESS;
    }
    let open_files = rlimit::increase_nofile_limit(OPEN_FILES).unwrap_or(0);
    assert!(
        options.quick || open_files >= OPEN_FILES,
        "{open_files} files may be open, and {OPEN_FILES} are needed: raise the limit (`ulimit -Hn`), or try --quick"
    );
    let failures = measure(&options).await;
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("these measurements failed, and the panics above say why:\n  {}", failures.join("\n  "));
    ExitCode::FAILURE
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Gives what failed.
async fn measure(options: &Options) -> Vec<String> {
    let begun = Instant::now();
    let scale = if options.quick { &QUICK } else { &FULL };
    let rounds = if options.quick { 1 } else { options.rounds };
    let chosen = |section: &str| options.only.is_empty() || options.only.iter().any(|only| only == section);
    let peers: &[Kind] = if options.without_peers { &[] } else { &[Kind::Express, Kind::Parse] };
    let say = |words: &str| eprintln!("[{:>5.0} s] {words}", begun.elapsed().as_secs_f64());

    say("starting MongoDB");
    let world = World::open().await;
    let mut places = Vec::new();
    for kind in [Kind::Cita].iter().chain(peers) {
        say(&format!("setting up {}: {} doctors, {} patients", kind.name(), scale.people, scale.people));
        places.push(world.set_up(*kind, scale.people).await);
    }
    let found = found(&world, &mut places[0]).await;
    let model = Arc::new(world.model().await);
    let mut bench = Bench { world, places, scale, figures: Figures::default(), round: 0, model, found };
    let mut failures = Vec::new();
    for round in 0..rounds {
        bench.round = round;
        let stolen = machine::stolen();
        for section in SECTIONS.into_iter().filter(|section| chosen(section)) {
            for kind in in_turn(section, peers, round) {
                say(&format!("round {} of {rounds}: {section}, {}", round + 1, kind.name()));
                let run = AssertUnwindSafe(tokio::time::timeout(PATIENCE, bench.run(section, kind))).catch_unwind();
                if !matches!(run.await, Ok(Ok(()))) {
                    say(&format!("round {} of {rounds}: {section}, {} FAILED", round + 1, kind.name()));
                    failures.push(format!("round {}: {section}, {}", round + 1, kind.name()));
                    bench.restore(kind).await;
                }
            }
        }
        let after = machine::stolen();
        let share = (after.0 - stolen.0) / (after.1 - stolen.1) * 100.0;
        bench.figures.add(round, "machine.stolen_percent", share);
        let whole = !options.quick && options.only.is_empty() && !options.without_peers;
        let result = result(&bench, options, round + 1, &failures);
        let file = write_down(whole && round + 1 == rounds, &result);
        if round + 1 == rounds {
            let tables = tables(&bench.figures, &result);
            println!("{tables}");
            if whole {
                write_into_docs(&tables);
            }
            say(&format!("written to {}", file.display()));
        }
    }
    failures
}

/// Who takes part in a section, beginning with another one in each round.
fn in_turn(section: &str, peers: &[Kind], round: u32) -> Vec<Kind> {
    let mut kinds = vec![Kind::Cita];
    if !matches!(section, "resume" | "lag" | "fairness" | "measuring") {
        kinds.extend(peers);
    }
    match section {
        "bookings" | "search" => kinds.push(Kind::Limits),
        "push" => kinds.extend([Kind::Limits, Kind::Broadcast]),
        _ => {}
    }
    let turn = round as usize % kinds.len();
    kinds.rotate_left(turn);
    kinds
}

/// What Cita answers to the search that is measured.
async fn found(world: &World, place: &mut place::Place) -> bytes::Bytes {
    let stage = world.stage_with_appointments(place).await;
    let path = cita::search(&stage.place.searched[0], 1, place::SEARCHED_DAYS);
    let mut wire = Wire::connect(stage.server.address).await.expect("the server takes connections");
    let answer = wire.ask("GET", &path, "", &[]).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    stage.close(world).await;
    answer.body
}

fn result(bench: &Bench, options: &Options, rounds: u32, failures: &[String]) -> Value {
    let model: &Document = &bench.model;
    json!({
        "bench": "compare",
        "at": ::cita::clock::Clock.now().to_string(),
        "profile": if cfg!(debug_assertions) { "dev: the figures mean nothing" } else { "release" },
        "quick": options.quick,
        "rounds": rounds,
        "machine": machine::description(),
        "mongod": { "appointmentBytes": model.to_vec().map_or(0, |bytes| bytes.len()), "writeConcern": "majority, journaled" },
        "searchBytes": bench.found.len(),
        "raisedForCita": cita::RAISED,
        "noise": bench.figures.noise(),
        "failures": failures,
        "ratios": bench.figures.ratios(),
        "figures": bench.figures.json(),
    })
}

/// Only a whole measurement replaces the one that is kept.
fn write_down(whole: bool, result: &Value) -> PathBuf {
    let file = if whole { root().join(RESULTS) } else { root().join("target/compare.json") };
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("the directory can be made");
    let text = serde_json::to_string_pretty(result).expect("JSON");
    std::fs::write(&file, text + "\n").expect("the result can be written");
    file
}

fn tables(figures: &Figures, result: &Value) -> String {
    let (machine, failures) = (&result["machine"], result["failures"].as_array().map_or(0, Vec::len));
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let missing = if failures > 0 { format!(" {failures} measurements failed.") } else { String::new() };
    format!(
        "{} rounds, {}, {}, {} cores, {}, Linux {}; {}.{missing}\n{}\n\n{}\n<details><summary>Every figure</summary>\n\n{}\n</details>\n",
        result["rounds"],
        words(&result["at"]),
        words(&machine["cpu"]),
        machine["cores"],
        words(&machine["memory"]),
        words(&machine["kernel"]),
        words(&machine["everything"]),
        words(&result["noise"]),
        figures.table(),
        figures.details(),
    )
}

fn write_into_docs(tables: &str) {
    let file = root().join(DOCS);
    let text = std::fs::read_to_string(&file).expect("the page is there");
    let (before, rest) = text.split_once(MARKS[0]).expect("the page has its mark");
    let (_, after) = rest.split_once(MARKS[1]).expect("the page has its mark");
    std::fs::write(file, format!("{before}{}{tables}{}{after}", MARKS[0], MARKS[1])).expect("the page can be written");
}
