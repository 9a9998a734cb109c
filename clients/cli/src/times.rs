//! Local times of a calendar's zone: reading what a person typed, showing what the server sent.

use cita_protocol::auth::User;
use cita_protocol::{Instant, LocalDate};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::failure::Failure;

/// The clock of this machine. Only for display and for guessing whether a token has ended: the server decides.
#[allow(clippy::disallowed_methods, reason = "the one place of the client that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The zone of this name, from the data compiled into this program.
pub fn zone(name: &cita_protocol::TimeZone) -> Result<TimeZone, Failure> {
    TimeZone::get(name.as_str())
        .map_err(|_| Failure::local(format!("this client does not know the time zone `{name}`: a newer one may")))
}

/// The zone that somebody lives in, as they say; UTC where they do not.
pub fn zone_of(user: &User) -> Result<TimeZone, Failure> {
    user.time_zone.as_ref().map_or(Ok(TimeZone::UTC), zone)
}

/// Name of a zone for display.
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// The instant as jiff has it.
pub fn timestamp(instant: &Instant) -> Option<Timestamp> {
    instant.as_str().parse().ok()
}

/// The local date of an instant.
pub fn date(instant: &Instant, zone: &TimeZone) -> Option<Date> {
    Some(timestamp(instant)?.to_zoned(zone.clone()).date())
}

/// `09:30`.
pub fn clock(instant: &Instant, zone: &TimeZone) -> String {
    format(instant, zone, "%H:%M")
}

/// `2026-12-01 09:30`.
pub fn minute(instant: &Instant, zone: &TimeZone) -> String {
    format(instant, zone, "%Y-%m-%d %H:%M")
}

/// `2026-12-01 09:30–10:00`.
pub fn span(start: &Instant, end: &Instant, zone: &TimeZone) -> String {
    format!("{}–{}", minute(start, zone), clock(end, zone))
}

/// `Tue 2026-12-01`.
pub fn day(date: Date) -> String {
    date.strftime("%a %Y-%m-%d").to_string()
}

/// `14:03:07`, now.
pub fn now_text(zone: &TimeZone) -> String {
    now().to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

fn format(instant: &Instant, zone: &TimeZone, pattern: &str) -> String {
    match timestamp(instant) {
        Some(time) => time.to_zoned(zone.clone()).strftime(pattern).to_string(),
        None => instant.to_string(),
    }
}

/// Reads a start: RFC 3339, or a local time of `zone` that happens exactly once.
pub fn parse_start(text: &str, zone: &TimeZone) -> Result<Instant, Failure> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Instant(time.to_string()));
    }
    let local = local_time(text).ok_or_else(|| {
        Failure::usage(format!(
            "`{text}` is not a time: write it as 2026-12-01T09:30 (local to the doctor) or 2026-12-01T14:30:00Z"
        ))
    })?;
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(offset),
        AmbiguousOffset::Gap { .. } => Err(Failure::usage(format!(
            "{local} does not exist in {}: the clocks are set forward over it that day",
            zone_name(zone)
        ))),
        AmbiguousOffset::Fold { before, after } => {
            let instants: Vec<_> = [before, after]
                .iter()
                .filter_map(|offset| offset.to_timestamp(local).ok())
                .map(|time| time.to_string())
                .collect();
            Err(Failure::usage(format!(
                "{local} happens twice in {}, since the clocks are set back: write the one that you mean as {}",
                zone_name(zone),
                instants.join(" or ")
            )))
        }
    }?;
    let time = offset.to_timestamp(local).map_err(|_| Failure::usage(format!("{local} is out of range")))?;
    Ok(Instant(time.to_string()))
}

/// `YYYY-MM-DDTHH:MM[:SS]`, with nothing that jiff would read and drop, such as an offset.
fn local_time(text: &str) -> Option<DateTime> {
    let shaped = text.contains(['T', 't', ' '])
        && text.chars().all(|c| c.is_ascii_digit() || "Tt :-".contains(c))
        && text.matches('-').count() == 2;
    shaped.then(|| text.parse().ok()).flatten()
}

/// Local dates, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    pub from: Date,
    pub to: Date,
}

impl Days {
    /// Reads `--from` and `--to`; by default `back` days before today, and `ahead` days after the first.
    pub fn parse(
        from: Option<&str>,
        to: Option<&str>,
        today: Date,
        (back, ahead): (i32, i32),
    ) -> Result<Self, Failure> {
        let from = match from {
            Some(text) => parse_date(text, today)?,
            None => today.saturating_sub(back.days()),
        };
        let to = match to {
            Some(text) => parse_date(text, today)?,
            None => from.saturating_add(ahead.days()),
        };
        if to < from {
            return Err(Failure::usage(format!("--to {to} is before --from {from}")));
        }
        Ok(Self { from, to })
    }

    /// How many there are.
    pub fn count(self) -> usize {
        let days = (self.to - self.from).get_days();
        usize::try_from(days).unwrap_or(0) + 1
    }

    pub fn first(self) -> LocalDate {
        LocalDate(self.from.to_string())
    }

    pub fn last(self) -> LocalDate {
        LocalDate(self.to.to_string())
    }
}

/// Today, in this zone.
pub fn today(zone: &TimeZone) -> Date {
    now().to_zoned(zone.clone()).date()
}

fn parse_date(text: &str, today: Date) -> Result<Date, Failure> {
    match text.trim() {
        "today" => Some(today),
        "tomorrow" => Some(today.saturating_add(1.day())),
        // Longer texts that begin with a date parse too.
        text if text.len() == "2026-12-01".len() => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| Failure::usage(format!("`{text}` is not a date: write it as 2026-12-01, today or tomorrow")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bogota() -> TimeZone {
        TimeZone::get("America/Bogota").unwrap()
    }

    fn start(text: &str, zone: &str) -> Result<String, String> {
        parse_start(text, &TimeZone::get(zone).unwrap()).map(|instant| instant.0).map_err(|failure| failure.to_string())
    }

    #[test]
    fn local_times_are_the_doctors() {
        let expected = Ok("2026-12-01T14:30:00Z".to_owned());
        for text in [
            "2026-12-01T09:30",
            "2026-12-01 09:30",
            " 2026-12-01T09:30:00 ",
            "2026-12-01T14:30:00Z",
            "2026-12-01T14:30Z",
            "2026-12-01T15:30:00+01:00",
        ] {
            assert_eq!(start(text, "America/Bogota"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in [
            "",
            "tomorrow",
            "2026-12-01",
            "09:30",
            "2026-13-01T09:30",
            "2026-12-01T25:00",
            "2026-12-01T09:30[Europe/Madrid]",
            "2026-12-01T09:30-99",
        ] {
            let error = start(text, "America/Bogota").unwrap_err();
            assert!(error.contains("2026-12-01T09:30 (local"), "{text}: {error}");
        }
    }

    #[test]
    fn a_skipped_hour_is_refused() {
        let error = start("2027-03-28T02:30", "Europe/Madrid").unwrap_err();
        assert!(error.contains("does not exist in Europe/Madrid"), "{error}");
    }

    #[test]
    fn a_repeated_hour_asks_which() {
        let error = start("2026-10-25T02:30", "Europe/Madrid").unwrap_err();
        assert!(error.contains("2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"), "{error}");
    }

    #[test]
    fn days_have_defaults_and_an_order() {
        let today: Date = "2026-12-01".parse().unwrap();
        let default = Days::parse(None, None, today, (0, 7)).unwrap();
        assert_eq!((default.first().0.as_str(), default.last().0.as_str()), ("2026-12-01", "2026-12-08"));
        assert_eq!(default.count(), 8);
        let one = Days::parse(Some("tomorrow"), Some("2026-12-02"), today, (0, 7)).unwrap();
        assert_eq!(one.count(), 1);
        let long = Days::parse(None, Some("2027-01-31"), today, (0, 7)).unwrap();
        assert_eq!(long.count(), 62);
        assert!(Days::parse(Some("2026-12-05"), Some("2026-12-04"), today, (0, 7)).is_err());
        for text in ["", "2026-12", "01.12.2026", "2026-12-01T09:30", "+3"] {
            assert!(Days::parse(Some(text), None, today, (0, 7)).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_shown_in_the_zone() {
        let (from, to) = ("2026-12-01T14:00:00Z".into(), "2026-12-01T14:30:00Z".into());
        assert_eq!(span(&from, &to, &bogota()), "2026-12-01 09:00–09:30");
        assert_eq!(day(date(&from, &bogota()).unwrap()), "Tue 2026-12-01");
    }
}
