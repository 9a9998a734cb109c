//! What was measured: figures by name and round, the ratios that decide, and how they are written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

/// Figures by name, each with its round.
#[derive(Default)]
pub struct Figures(BTreeMap<String, Vec<(u32, f64)>>);

/// Lowest, median, highest.
#[derive(Clone, Copy)]
pub struct Spread(pub f64, pub f64, pub f64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    AtLeast,
    AtMost,
}

/// A line of the table: a figure, divided by another of the same round where there is one.
struct Row {
    what: &'static str,
    of: &'static str,
    by: Option<&'static str>,
    aim: Option<(Aim, f64, f64)>,
    unit: &'static str,
}

const fn row(
    what: &'static str,
    of: &'static str,
    by: Option<&'static str>,
    aim: Option<(Aim, f64, f64)>,
    unit: &'static str,
) -> Row {
    Row { what, of, by, aim, unit }
}

use Aim::{AtLeast, AtMost};

const ROWS: &[Row] = &[
    row(
        "bookings/s at 64 clients, against the old stack",
        "bookings.64.cita.per_second",
        Some("bookings.64.express.per_second"),
        Some((AtLeast, 10.0, 15.0)),
        "×",
    ),
    row(
        "bookings/s at 64 clients, over REST, against the old stack",
        "bookings.64.cita_rest.per_second",
        Some("bookings.64.express.per_second"),
        None,
        "×",
    ),
    row(
        "bookings/s at 64 clients, against raw `insert_one`",
        "bookings.64.cita.per_second",
        Some("bookings.64.raw.per_second"),
        Some((AtLeast, 1.5, 2.3)),
        "×",
    ),
    row(
        "bookings/s at 64 clients, against parse-server",
        "bookings.64.cita.per_second",
        Some("bookings.64.parse.per_second"),
        None,
        "×",
    ),
    row(
        "acknowledgement p99 at 64 clients, against the old stack",
        "bookings.64.cita.p99_ms",
        Some("bookings.64.express.p99_ms"),
        Some((AtMost, 0.1, 1.0 / 30.0)),
        "×",
    ),
    row(
        "server CPU per booking, against the old stack",
        "bookings.64.cita.server_cpu_s_per_1000",
        Some("bookings.64.express.server_cpu_s_per_1000"),
        Some((AtMost, 0.05, 0.025)),
        "×",
    ),
    row(
        "mongod CPU per booking, against the old stack",
        "bookings.64.cita.mongod_cpu_s_per_1000",
        Some("bookings.64.express.mongod_cpu_s_per_1000"),
        Some((AtMost, 0.25, 1.0 / 7.0)),
        "×",
    ),
    row(
        "ack → push p99, one subscriber, 50/s, against a raw change stream in the same layout",
        "push.one.cita.ack_p99_ms",
        Some("push.one.raw.ack_p99_ms"),
        Some((AtMost, 3.0, 1.5)),
        "×",
    ),
    row(
        "start → push p99 at 1,000 subscribers, against the old stack",
        "push.many.cita.start_p99_ms",
        Some("push.many.express.start_p99_ms"),
        Some((AtMost, 0.25, 0.125)),
        "×",
    ),
    row(
        "start → push p99 at 1,000 subscribers, against a raw change stream that is broadcast as it is",
        "push.many.cita.start_p99_ms",
        Some("push.many.raw.start_p99_ms"),
        None,
        "×",
    ),
    row(
        "start → push p99 at 1,000 subscribers, that bare server against the old stack",
        "push.many.raw.start_p99_ms",
        Some("push.many.express.start_p99_ms"),
        None,
        "×",
    ),
    row(
        "start → push p99 at 5,000 subscribers, against the old stack",
        "push.crowd.cita.start_p99_ms",
        Some("push.crowd.express.start_p99_ms"),
        None,
        "×",
    ),
    row(
        "deliveries/s, against the old stack",
        "burst.many.cita.per_second",
        Some("burst.many.express.per_second"),
        Some((AtLeast, 3.0, 6.0)),
        "×",
    ),
    row(
        "deliveries/s, against parse-server",
        "burst.many.cita.per_second",
        Some("burst.many.parse.per_second"),
        None,
        "×",
    ),
    row(
        "server CPU per delivery at 20 bookings/s, against a bare axum broadcast",
        "push.many.cita.server_cpu_s_per_100k",
        Some("push.many.broadcast.server_cpu_s_per_100k"),
        Some((AtMost, 1.3, 1.3)),
        "×",
    ),
    row(
        "server CPU per delivery in bursts, against a bare axum broadcast",
        "burst.many.cita.server_cpu_s_per_100k",
        Some("burst.many.broadcast.server_cpu_s_per_100k"),
        Some((AtMost, 1.3, 0.5)),
        "×",
    ),
    row(
        "quiet topic: start → push p99 beside one with 5,000 subscribers and 20 changes/s, against without it",
        "fairness.cita.beside_p99_ms",
        Some("fairness.cita.alone_p99_ms"),
        None,
        "×",
    ),
    row("quiet topic: the same in milliseconds", "fairness.cita.beside_p99_ms", None, None, "ms"),
    row(
        "KiB per idle connection, authenticated, one subscription",
        "memory.cita.kib",
        None,
        Some((AtMost, 8.0, 5.0)),
        "KiB",
    ),
    row(
        "slot search of 30 days over REST, requests/s, against a route that returns the bytes ready-made",
        "search.cita.per_second",
        Some("search.raw.per_second"),
        Some((AtLeast, 0.5, 0.8)),
        "×",
    ),
    row(
        "slot search of 30 days over REST, requests/s, against the old stack",
        "search.cita.per_second",
        Some("search.express.per_second"),
        None,
        "×",
    ),
    row(
        "feed lag while writes saturate mongod, p99 (push minus acknowledgement at the client)",
        "lag.cita.p99_ms",
        None,
        Some((AtMost, 50.0, 10.0)),
        "ms",
    ),
    row("resume replay, events/s", "replay.cita.per_second", None, Some((AtLeast, 50_000.0, 100_000.0)), "/s"),
    row("resume of 5,000 clients on another node", "resume.cita.seconds", None, None, "s"),
    row("cold start to first booking, database up", "start.cita.ms", None, Some((AtMost, 50.0, 20.0)), "ms"),
    row("cold start to first booking, against the old stack", "start.cita.ms", Some("start.express.ms"), None, "×"),
    row(
        "bookings/s at 64 clients with `/metrics`, read each second, against without",
        "measuring.with.per_second",
        Some("measuring.without.per_second"),
        Some((AtLeast, 0.97, 1.0)),
        "×",
    ),
    row(
        "bookings/s at 64 clients with traces of one in a hundred, against without",
        "measuring.traced.per_second",
        Some("measuring.without.per_second"),
        Some((AtLeast, 0.97, 1.0)),
        "×",
    ),
    row("storm of 1,000 clients on one slot: until all know", "storm.cita.ms", Some("storm.express.ms"), None, "×"),
    row("storm: documents that MongoDB was asked to insert", "storm.cita.inserts", None, Some((AtMost, 1.0, 1.0)), ""),
    row("storm: patients whom Cita gave the slot", "storm.cita.winners", None, Some((AtMost, 1.0, 1.0)), ""),
    row("storm: patients whom the old stack gave the slot", "storm.express.winners", None, None, ""),
    row(
        "storm: other doctors' bookings, p99 beside it against p99 without it",
        "storm.cita.others_p99_ms",
        Some("storm.cita.calm_p99_ms"),
        None,
        "×",
    ),
];

impl Figures {
    pub fn add(&mut self, round: u32, name: &str, value: f64) {
        self.0.entry(name.to_owned()).or_default().push((round, value));
    }

    /// One value for each round: the median of those that it has.
    fn by_round(&self, name: &str) -> BTreeMap<u32, f64> {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (round, value) in self.0.get(name).into_iter().flatten() {
            rounds.entry(*round).or_default().push(*value);
        }
        rounds.into_iter().filter_map(|(round, values)| Some((round, spread(values)?.1))).collect()
    }

    pub fn spread(&self, name: &str) -> Option<Spread> {
        spread(self.by_round(name).into_values().collect())
    }

    /// Ratios are taken within each round, then their median: what slows a round down slows all of it down.
    fn ratio(&self, row: &Row) -> Option<Spread> {
        let of = self.by_round(row.of);
        match row.by {
            None => spread(of.into_values().collect()),
            Some(by) => {
                let by = self.by_round(by);
                spread(of.into_iter().filter_map(|(round, of)| Some(of / by.get(&round)?)).collect())
            }
        }
    }

    /// The table of ratios, in Markdown, as readable in a terminal.
    pub fn table(&self) -> String {
        let mut lines = vec![[
            "".to_owned(),
            "median".into(),
            "lowest–highest".into(),
            "must".into(),
            "aim".into(),
            "reached".into(),
        ]];
        for row in ROWS {
            let Some(Spread(low, median, high)) = self.ratio(row) else { continue };
            let bound = |(aim, must, good): (Aim, f64, f64)| {
                let sign = if aim == AtLeast { "≥" } else { "≤" };
                let met = |bound: f64| if aim == AtLeast { median >= bound } else { median <= bound };
                let verdict = if met(good) {
                    "aim"
                } else if met(must) {
                    "must"
                } else {
                    "**missed**"
                };
                (format!("{sign} {}", shown(must)), format!("{sign} {}", shown(good)), verdict.to_owned())
            };
            let (must, aim, verdict) = row.aim.map(bound).unwrap_or_default();
            let median = format!("{} {}", shown(median), row.unit);
            lines.push([row.what.to_owned(), median, format!("{}–{}", shown(low), shown(high)), must, aim, verdict]);
        }
        aligned(&lines)
    }

    /// Everything by name: medians and spread.
    pub fn details(&self) -> String {
        let mut lines = vec![["figure".to_owned(), "median".into(), "lowest–highest".into()]];
        for name in self.0.keys() {
            if let Some(Spread(low, median, high)) = self.spread(name) {
                lines.push([format!("`{name}`"), shown(median), format!("{}–{}", shown(low), shown(high))]);
            }
        }
        aligned(&lines)
    }

    /// How noisy the machine was, in a sentence.
    pub fn noise(&self) -> String {
        let (Some(work), Some(load)) = (self.all("machine.loop_ms"), self.all("machine.load")) else {
            return String::new();
        };
        let stolen = self.all("machine.stolen_percent").map_or(0.0, |stolen| stolen.2);
        format!(
            "A fixed piece of work between the measurements took {} ms (lowest {}, highest {}: a spread of {:.0} %); the load \
             average was {} to {}; a hypervisor took up to {stolen:.1} % of the time.",
            shown(work.1),
            shown(work.0),
            shown(work.2),
            (work.2 - work.0) / work.1 * 100.0,
            shown(load.0),
            shown(load.2),
        )
    }

    /// Of all values, whatever their round.
    fn all(&self, name: &str) -> Option<Spread> {
        spread(self.0.get(name)?.iter().map(|(_, value)| *value).collect())
    }

    pub fn json(&self) -> Value {
        let figures = self.0.iter().map(|(name, values)| {
            let values: Vec<Value> = values.iter().map(|(round, value)| json!([round, value])).collect();
            (name.clone(), Value::Array(values))
        });
        Value::Object(figures.collect())
    }

    /// What [`Figures::json`] wrote.
    pub fn read(json: &Value) -> Self {
        let mut figures = Self::default();
        for (name, values) in json.as_object().into_iter().flatten() {
            for value in values.as_array().into_iter().flatten() {
                if let (Some(round), Some(number)) = (value[0].as_u64(), value[1].as_f64()) {
                    figures.add(round as u32, name, number);
                }
            }
        }
        figures
    }

    /// The rows of the table for the file.
    pub fn ratios(&self) -> Value {
        let of = |row: &Row| {
            let Spread(lowest, median, highest) = self.ratio(row)?;
            let aim = row.aim.map(|(aim, must, good)| {
                json!({ "direction": if aim == AtLeast { "at least" } else { "at most" }, "must": must, "aim": good })
            });
            Some(json!({
                "what": row.what, "of": row.of, "by": row.by, "unit": row.unit,
                "median": median, "lowest": lowest, "highest": highest, "bound": aim
            }))
        };
        ROWS.iter().filter_map(of).collect()
    }
}

fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = match values.len() {
        0 => return None,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    };
    Some(Spread(values[0], median, values[values.len() - 1]))
}

/// Three figures that count.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 10_000.0 => format!("{:.0} k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// Columns of a Markdown table, padded.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let padding = width - cell.chars().count();
            let _infallible = write!(text, "| {cell}{} ", " ".repeat(padding));
        }
        text.push_str("|\n");
        if number == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}
