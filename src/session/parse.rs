//! From the words of the wire to the values of the domain. Every mistake of a request is found, not only the first.

use std::collections::BTreeSet;

use cita_protocol::doctor::{DayRange, Override, Season as WireSeason, Weekday as WireWeekday, WeeklyRange};
use cita_protocol::value::{Cursor as WireCursor, Id, Instant, LocalDate, LocalTime, Money, TimeZone as WireZone};
use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::domain::availability::{MOST_RESOURCES, parse_zone};
use crate::domain::doctor::{LocalRange, Season};
use crate::domain::holidays::HolidayCalendar;
use crate::domain::ids::ResourceId;
use crate::domain::listing::{Filter, SEARCH_WORDS, WORD_LENGTH, words};
use crate::domain::profile::{EXPERIENCE_MAX, check_price, photo_url};
use crate::domain::refusal::{MOST_VIOLATIONS, Refusal, Violation};
use crate::live::cursor::Cursor;

/// Longest text of a search, in characters: as many words as it may have, and what stands between them.
const SEARCH_TEXT: usize = 250;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// `validation_failed` with everything that was found, if anything was.
    ///
    /// # Errors
    /// As said.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.0)) }
    }

    pub fn refuse(&mut self, pointer: &str, code: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) {
        if self.0.len() < MOST_VIOLATIONS {
            self.0.push(Violation::new(pointer.to_owned(), code, detail));
        }
    }

    fn read<T>(&mut self, pointer: &str, value: Option<T>, expected: &'static str) -> Option<T> {
        if value.is_none() {
            self.refuse(pointer, "invalid", expected);
        }
        value
    }

    /// An id. One that is no UUID names nothing that exists; only its form is judged here.
    pub fn id(&mut self, pointer: &str, id: &Id) -> Uuid {
        let parsed = Uuid::try_parse(&id.0).ok().filter(|parsed| parsed.hyphenated().to_string() == id.0);
        self.read(pointer, parsed, "must be an id as the server gave it").unwrap_or_default()
    }

    /// An instant: RFC 3339 with a year of four digits, any offset.
    pub fn instant(&mut self, pointer: &str, instant: &Instant) -> Timestamp {
        let parsed = is_rfc_3339(&instant.0).then(|| instant.0.parse().ok()).flatten();
        self.read(pointer, parsed, "must be an instant such as 2026-12-01T14:00:00Z").unwrap_or_default()
    }

    pub fn date(&mut self, pointer: &str, date: &LocalDate) -> Date {
        let parsed = has_shape(date.0.as_bytes(), b"0000-00-00").then(|| date.0.parse().ok()).flatten();
        let parsed = parsed.filter(|date: &Date| (1970..=9000).contains(&date.year()));
        self.read(pointer, parsed, "must be a date such as 2026-12-01").unwrap_or(Date::ZERO)
    }

    pub fn time(&mut self, pointer: &str, time: &LocalTime) -> Time {
        let parsed = has_shape(time.0.as_bytes(), b"00:00").then(|| time.0.parse().ok()).flatten();
        self.read(pointer, parsed, "must be a time of day such as 09:30").unwrap_or(Time::midnight())
    }

    pub fn zone(&mut self, pointer: &str, zone: &WireZone) -> TimeZone {
        self.read(pointer, parse_zone(&zone.0), "must be an IANA time zone such as America/Bogota")
            .unwrap_or(TimeZone::UTC)
    }

    /// Text of `least` to `most` characters, without control characters but line breaks and tabs.
    pub fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> String {
        let length = text.chars().count();
        if length > most {
            self.refuse(pointer, "too_long", format!("must have at most {most} characters"));
        } else if text.trim().chars().count() < least {
            self.refuse(pointer, "required", "must not be empty");
        } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.refuse(pointer, "invalid", "must not contain control characters");
        }
        text.to_owned()
    }

    /// Text of one line.
    pub fn line(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> String {
        if text.contains(['\n', '\r', '\t']) {
            self.refuse(pointer, "invalid", "must be one line");
        }
        self.text(pointer, text, least, most)
    }

    /// Lines, each of them not blank.
    pub fn lines(&mut self, pointer: &str, lines: &[String], (most, longest): (usize, usize)) -> Vec<String> {
        if lines.len() > most {
            self.refuse(pointer, "too_many", format!("at most {most} lines"));
        }
        let lines = lines.iter().take(most).enumerate();
        lines.map(|(index, line)| self.line(&format!("{pointer}/{index}"), line, 1, longest)).collect()
    }

    pub fn years(&mut self, pointer: &str, years: u32) -> u32 {
        if years > EXPERIENCE_MAX {
            self.refuse(pointer, "out_of_range", format!("must be 0 to {EXPERIENCE_MAX}"));
        }
        years
    }

    /// The address of a photo or a meeting; an empty one is none.
    pub fn https_url(&mut self, pointer: &str, text: &str) -> String {
        let kept = if text.is_empty() { Some(String::new()) } else { photo_url(text) };
        let expected = "must be an https address without credentials, at most 500 characters";
        self.read(pointer, kept, expected).unwrap_or_default()
    }

    /// Rooms and devices, each once.
    pub fn resources(&mut self, pointer: &str, ids: &[Id]) -> Vec<ResourceId> {
        let mut resources = Vec::new();
        for (index, id) in ids.iter().enumerate().take(MOST_RESOURCES + 1) {
            let id = ResourceId(self.id(&format!("{pointer}/{index}"), id));
            if resources.contains(&id) {
                self.refuse(&format!("{pointer}/{index}"), "duplicate", "each once");
            }
            resources.push(id);
        }
        resources
    }

    /// Ids, one at least, each of them counted once.
    pub fn ids(&mut self, pointer: &str, ids: &[Id], most: usize) -> BTreeSet<Uuid> {
        if ids.is_empty() {
            self.refuse(pointer, "required", "must not be empty");
        } else if ids.len() > most {
            self.refuse(pointer, "too_many", format!("at most {most}"));
        }
        let ids = ids.iter().take(most).enumerate();
        ids.map(|(index, id)| self.id(&format!("{pointer}/{index}"), id)).collect()
    }

    /// Which doctors are looked for.
    pub fn doctors(
        &mut self,
        text: Option<String>,
        specialisation: Option<String>,
        language: Option<String>,
    ) -> Filter {
        Filter {
            words: text.map(|text| self.words("/text", &text)).unwrap_or_default(),
            specialisation: specialisation.map(|text| self.line("/specialisation", &text, 1, 100)),
            language: language.map(|tag| self.language("/language", &tag)),
        }
    }

    /// Words to search for.
    pub fn words(&mut self, pointer: &str, text: &str) -> Vec<String> {
        self.line(pointer, text, 0, SEARCH_TEXT);
        let found: Vec<String> = words(text).take(SEARCH_WORDS + 1).collect();
        if found.len() > SEARCH_WORDS {
            self.refuse(pointer, "too_many", format!("at most {SEARCH_WORDS} words"));
        } else if found.iter().any(|word| word.chars().count() > WORD_LENGTH) {
            self.refuse(pointer, "too_long", format!("a word may have at most {WORD_LENGTH} characters"));
        }
        found
    }

    /// A telephone number as people write it.
    pub fn phone(&mut self, pointer: &str, phone: &str) -> String {
        let allowed = phone.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
        let digits = phone.chars().filter(char::is_ascii_digit).count();
        if !allowed || phone.len() > 30 || !(3..=20).contains(&digits) {
            self.refuse(pointer, "invalid", "must be a telephone number such as +57 601 555 0100");
        }
        phone.to_owned()
    }

    pub fn languages(&mut self, pointer: &str, tags: &[String]) -> Vec<String> {
        if tags.len() > 20 {
            self.refuse(pointer, "too_many", "at most 20 languages");
        }
        for (index, tag) in tags.iter().take(20).enumerate() {
            self.language(&format!("{pointer}/{index}"), tag);
        }
        tags.to_vec()
    }

    pub fn language(&mut self, pointer: &str, tag: &str) -> String {
        let subtags = || tag.split('-');
        let is_tag = subtags()
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
            && subtags().next().is_some_and(|first| first.len() >= 2 && first.bytes().all(|b| b.is_ascii_alphabetic()));
        if !is_tag || tag.len() > 35 {
            self.refuse(pointer, "invalid", "must be a BCP 47 tag such as es-CO");
        }
        tag.to_owned()
    }

    /// Whole minutes or days. Beyond `i32` is beyond every bound.
    pub fn number(&mut self, number: u32) -> i32 {
        i32::try_from(number).unwrap_or(i32::MAX)
    }

    pub fn price(&mut self, price: &Money) -> (i64, String) {
        (price.amount_minor, price.currency.clone())
    }

    /// A price whose rules are not asked elsewhere.
    pub fn checked_price(&mut self, pointer: &str, price: &Money) -> (i64, String) {
        let price = self.price(price);
        check_price(pointer, &price, &mut self.0);
        price
    }

    pub fn weekly(&mut self, pointer: &str, ranges: &[WeeklyRange]) -> Vec<(Weekday, LocalRange)> {
        let read = |(index, range): (usize, &WeeklyRange)| {
            let from = self.time(&format!("{pointer}/{index}/from"), &range.from);
            let to = self.time(&format!("{pointer}/{index}/to"), &range.to);
            (weekday(range.weekday), LocalRange { from, to })
        };
        ranges.iter().enumerate().map(read).collect()
    }

    pub fn seasons(&mut self, pointer: &str, seasons: &[WireSeason]) -> Vec<Season> {
        let read = |(index, season): (usize, &WireSeason)| Season {
            from: self.date(&format!("{pointer}/{index}/from"), &season.from),
            to: self.date(&format!("{pointer}/{index}/to"), &season.to),
            weekly: self.weekly(&format!("{pointer}/{index}/weekly"), &season.weekly),
        };
        seasons.iter().enumerate().map(read).collect()
    }

    /// Those of the ids that name a calendar; the others are refused.
    pub fn holiday_calendars(&mut self, pointer: &str, ids: &[String]) -> Vec<HolidayCalendar> {
        let expected = "must be an id of holidayCalendar.list, such as CO";
        let read = |(index, id): (usize, &String)| {
            self.read(&format!("{pointer}/{index}"), HolidayCalendar::named(id), expected)
        };
        ids.iter().enumerate().filter_map(read).collect()
    }

    /// A year of which the public holidays are known.
    pub fn holiday_year(&mut self, pointer: &str, year: u32) -> i16 {
        let years = HolidayCalendar::years();
        let known = i16::try_from(year).ok().filter(|year| years.contains(year));
        if known.is_none() {
            self.refuse(pointer, "out_of_range", format!("must be {} to {}", years.start(), years.end()));
        }
        known.unwrap_or_default()
    }

    pub fn overrides(&mut self, days: &[Override]) -> Vec<(Date, Vec<LocalRange>)> {
        let read = |(index, day): (usize, &Override)| {
            let date = self.date(&format!("/overrides/{index}/date"), &day.date);
            (date, self.day_ranges(&format!("/overrides/{index}/ranges"), &day.ranges))
        };
        days.iter().enumerate().map(read).collect()
    }

    fn day_ranges(&mut self, pointer: &str, ranges: &[DayRange]) -> Vec<LocalRange> {
        let read = |(index, range): (usize, &DayRange)| LocalRange {
            from: self.time(&format!("{pointer}/{index}/from"), &range.from),
            to: self.time(&format!("{pointer}/{index}/to"), &range.to),
        };
        ranges.iter().enumerate().map(read).collect()
    }

    /// The cursor of a read. One that this server did not write cannot be waited for.
    pub fn after(&mut self, cursor: Option<&WireCursor>) -> Option<Cursor> {
        let parsed = cursor.map(|cursor| Cursor::parse(&cursor.0));
        if parsed == Some(None) {
            self.refuse("/after", "invalid", "must be a cursor as the server gave it");
        }
        parsed.flatten()
    }

    pub fn page_size(&mut self, size: Option<u32>) -> i64 {
        let size = size.unwrap_or(20);
        if !(1..=100).contains(&size) {
            self.refuse("/pageSize", "out_of_range", "must be 1 to 100");
        }
        i64::from(size)
    }

    pub fn page_token<T>(&mut self, token: Option<&String>, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        token.and_then(|token| self.read("/pageToken", read(token), "must be a token as the server gave it"))
    }
}

/// `2026-12-01T14:00:00`, perhaps a fraction, and `Z` or an offset. jiff takes many more forms, and reads `:60` as `:59`; a
/// leap second is no time that can be booked.
fn is_rfc_3339(text: &str) -> bool {
    let Some((local, rest)) = text.as_bytes().split_at_checked(19) else { return false };
    let digits = rest.strip_prefix(b".").map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let fits = digits.is_none_or(|digits| (1..=9).contains(&digits));
    let offset = &rest[digits.map_or(0, |digits| digits + 1)..];
    let forms = [&b"Z"[..], b"+00:00", b"-00:00"];
    let offset_fits = forms.into_iter().any(|form| has_shape(offset, form)) && offset.get(1..3) < Some(b"24");
    has_shape(local, b"0000-00-00T00:00:00") && fits && offset_fits && !local.ends_with(b":60")
}

/// Whether a text is like a pattern in which `0` stands for any digit.
fn has_shape(text: &[u8], pattern: &[u8]) -> bool {
    let like = |(byte, like): (&u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        other => byte.eq_ignore_ascii_case(other),
    };
    text.len() == pattern.len() && text.iter().zip(pattern).all(like)
}

fn weekday(weekday: WireWeekday) -> Weekday {
    match weekday {
        WireWeekday::Monday => Weekday::Monday,
        WireWeekday::Tuesday => Weekday::Tuesday,
        WireWeekday::Wednesday => Weekday::Wednesday,
        WireWeekday::Thursday => Weekday::Thursday,
        WireWeekday::Friday => Weekday::Friday,
        WireWeekday::Saturday => Weekday::Saturday,
        WireWeekday::Sunday => Weekday::Sunday,
    }
}

/// An idempotency key: 1 to 128 printable characters.
///
/// # Errors
/// `validation_failed` when it is missing or is none.
pub fn key(key: Option<&str>) -> Result<&str, Refusal> {
    let key = key.ok_or_else(|| Violation::new("", "required", "a mutation needs an idempotency key"))?;
    let printable = key.chars().all(|c| !c.is_control());
    if (1..=128).contains(&key.chars().count()) && printable {
        Ok(key)
    } else {
        Err(Violation::new("", "invalid", "an idempotency key has 1 to 128 printable characters").into())
    }
}
