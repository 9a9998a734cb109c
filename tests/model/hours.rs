//! The rules of the model: what doctors may change them to, and what they say of a time. Naive, and of its own.
//!
//! Zones whose clocks change are not among those that are used: that is tested where zones are. No date of the scripts lies near six
//! days ahead in any of them, where notice, horizon and cut-offs of six days end, so that it does not matter how fast a script runs.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::state::{Appointment, Hours, Model, Range};

/// The dates that scripts use, in days from their beginning.
pub const DAYS: [i64; 6] = [2, 3, 4, 8, 9, 10];
/// How many hours there are to choose from.
pub const HOURS: usize = 8;
/// How many stretches of a day to be off.
pub const PARTS: usize = 5;

/// What has a time, as slots show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    Held(Timestamp),
    Taken,
}

impl Standing {
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Taken, _) | (_, Self::Taken) => Self::Taken,
            (Self::Free, other) | (other, Self::Free) => other,
            (Self::Held(one), Self::Held(two)) => Self::Held(one.max(two)),
        }
    }
}

/// The date, and the Monday, of the limits in which something has a place.
pub type Places = (Option<Date>, Option<Date>);

/// A time that is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    pub start: Timestamp,
    pub end: Timestamp,
    pub standing: Standing,
    /// Of a group session: for how many there is room.
    pub seats_left: Option<usize>,
}

pub fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn time(hour: i8, minute: i8) -> Time {
    Time::constant(hour, minute, 0, 0)
}

fn every_day(ranges: &[Range]) -> Vec<Vec<Range>> {
    vec![ranges.to_vec(); 7]
}

/// The hours that a doctor may choose.
pub fn hours(number: usize, rev: u32, today: Date) -> Hours {
    let day = |day: usize| today + DAYS[day].days();
    let ordinary = Hours {
        rev,
        weekly: every_day(&[(time(8, 0), time(12, 0))]),
        overrides: Vec::new(),
        seasons: Vec::new(),
        holidays: false,
    };
    match number % HOURS {
        1 => {
            let weekly = every_day(&[(time(8, 0), time(9, 30)), (time(10, 0), time(12, 0))]);
            Hours { weekly, ..ordinary }
        }
        2 => Hours { overrides: vec![(day(0), Vec::new())], ..ordinary },
        3 => Hours { overrides: vec![(day(3), vec![(time(10, 0), time(13, 0))])], ..ordinary },
        4 => Hours { seasons: vec![(day(3), day(4), every_day(&[(time(8, 0), time(10, 0))]))], ..ordinary },
        5 => Hours { holidays: true, ..ordinary },
        _ => ordinary,
    }
}

/// What of a day is to be off: the bounds of the request.
pub fn part(number: usize, date: Date) -> (Value, Value) {
    let (from, to) = match number % PARTS {
        0 => (Some("09:00"), Some("10:00")),
        1 => (Some("08:00"), Some("12:00")),
        2 => (Some("11:15"), Some("11:30")),
        _ => (None, None),
    };
    let last = if number % PARTS == 4 { date + 1.day() } else { date };
    let bound = |date: Date, time: Option<&str>| match time {
        Some(time) => json!({ "date": date.to_string(), "time": time }),
        None => json!({ "date": date.to_string() }),
    };
    (bound(date, from), bound(last, to))
}

impl Model {
    /// The date of a day of the scripts.
    pub fn date(&self, doctor: usize, day: usize) -> Date {
        self.setting.today[doctor] + DAYS[day % DAYS.len()].days()
    }

    pub fn instant(&self, doctor: usize, date: Date, time: Time) -> Timestamp {
        let zone = self.doctors[doctor].zone.clone();
        date.to_datetime(time).to_zoned(zone).expect("a local time").timestamp()
    }

    /// The doctor's local date at an instant.
    pub fn local_date(&self, doctor: usize, at: Timestamp) -> Date {
        self.doctors[doctor].zone.to_datetime(at).date()
    }

    /// The instants of the opening hours of a date.
    fn open(&self, doctor: usize, date: Date) -> Vec<(Timestamp, Timestamp)> {
        let hours = &self.doctors[doctor].hours;
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).expect("a day of seven");
        let own = hours.overrides.iter().find(|(of, _)| *of == date).map(|(_, ranges)| ranges.clone());
        let season = hours.seasons.iter().find(|(from, to, _)| *from <= date && date <= *to);
        let ranges = match own {
            Some(ranges) => ranges,
            None if self.is_holiday(doctor, date) => Vec::new(),
            None => season.map_or(&hours.weekly, |(_, _, weekly)| weekly)[weekday].clone(),
        };
        ranges.iter().map(|(from, to)| (self.instant(doctor, date, *from), self.instant(doctor, date, *to))).collect()
    }

    /// Whether a public holiday closes a date.
    fn is_holiday(&self, doctor: usize, date: Date) -> bool {
        let hours = &self.doctors[doctor].hours;
        let own = hours.overrides.iter().any(|(of, _)| *of == date);
        hours.holidays && !own && self.setting.holidays.contains(&date)
    }

    pub fn is_off(&self, doctor: usize, from: Timestamp, to: Timestamp) -> bool {
        self.doctors[doctor].off.iter().any(|off| off.from < to && from < off.to)
    }

    /// From when until when a session takes the doctor's time.
    pub fn takes(&self, doctor: usize, service: usize, start: Timestamp) -> (Timestamp, Timestamp) {
        let one = &self.doctors[doctor].services[service];
        (start - minutes(one.before), start + minutes(one.duration + one.after))
    }

    pub fn end(&self, doctor: usize, service: usize, start: Timestamp) -> Timestamp {
        start + minutes(self.doctors[doctor].services[service].duration)
    }

    /// The first rule against a time; limits and what is taken aside.
    pub fn check(&self, doctor: usize, service: usize, start: Timestamp, now: Timestamp) -> Result<(), &'static str> {
        let one = &self.doctors[doctor].services[service];
        if one.archived {
            return Err("archived");
        }
        if start < now {
            return Err("past");
        }
        if start - minutes(one.notice) < now {
            return Err("notice");
        }
        if start - minutes(one.horizon * 24 * 60) > now {
            return Err("horizon");
        }
        let date = self.local_date(doctor, start);
        if self.is_holiday(doctor, date) {
            return Err("holiday");
        }
        let (from, to) = self.takes(doctor, service, start);
        if self.is_off(doctor, from, to) {
            return Err("time_off");
        }
        let end = self.end(doctor, service, start);
        let open = self.open(doctor, date);
        let (begin, _) = open.iter().find(|(from, to)| *from <= start && end <= *to).ok_or("hours")?;
        let past = start.duration_since(*begin).as_secs();
        let is_on_step = past % (one.step * 60) == 0 && past % 300 == 0;
        is_on_step.then_some(()).ok_or("step")
    }

    /// The same by way of exception: the rule that is set aside, or the one that cannot be.
    pub fn permits(
        &self,
        doctor: usize,
        service: usize,
        start: Timestamp,
        exception: bool,
        now: Timestamp,
    ) -> Result<Option<&'static str>, &'static str> {
        let (first, last) = self.takes(doctor, service, start);
        match self.check(doctor, service, start, now) {
            Ok(()) => Ok(None),
            Err(rule) if !exception || rule == "archived" => Err(rule),
            Err(_) if self.is_off(doctor, first, last) => Err("time_off"),
            Err(_) if start.as_second() % 300 != 0 => Err("step"),
            Err(rule) => Ok(Some(rule)),
        }
    }

    /// The places of a session on a date within the limits of its service, or the first limit that leaves none. `besides`: what does
    /// not count; `more`: what counts as well; `own`: what is moved there, and keeps its place where it counts already.
    pub fn places(
        &self,
        (doctor, service): (usize, usize),
        date: Date,
        besides: &dyn Fn(usize, &Appointment) -> bool,
        more: (usize, usize),
        own: Option<&Appointment>,
    ) -> Result<Places, &'static str> {
        let one = &self.doctors[doctor].services[service];
        let (daily, weekly) = own.map_or((None, None), |own| own.counts);
        let present = own.map(|own| self.local_date(doctor, own.start));
        let count = |in_period: &dyn Fn(&Appointment) -> bool| {
            let all = self.appointments.iter().enumerate();
            let counted = all.filter(|(place, other)| {
                other.doctor == doctor && other.service == service && in_period(other) && !besides(*place, other)
            });
            sessions(counted.map(|(_, other)| other)).len()
        };
        let place = |limit: Option<usize>, has_it: bool, is_there: bool, count: &dyn Fn() -> usize| match limit {
            None => Ok(false),
            Some(limit) if has_it || count() < limit => Ok(true),
            // It counts without one.
            Some(_) if is_there => Ok(false),
            Some(_) => Err(()),
        };
        let in_day = || count(&|other| self.counts_on(other, date)) + more.0;
        let in_week = || count(&|other| self.counts_in_week(other, date)) + more.1;
        let (monday, of) = (monday(date), present.map(monday));
        let day = place(one.daily, daily == Some(date), present == Some(date), &in_day).map_err(|()| "daily_limit")?;
        let week =
            place(one.weekly, weekly == Some(monday), of == Some(monday), &in_week).map_err(|()| "weekly_limit")?;
        Ok((day.then_some(date), week.then_some(monday)))
    }

    /// Whether something counts in the limit of a date: it has a place of it, or is on it.
    fn counts_on(&self, one: &Appointment, date: Date) -> bool {
        one.counts.0 == Some(date) || (one.takes.is_some() && self.local_date(one.doctor, one.start) == date)
    }

    /// The same of the week of a date.
    fn counts_in_week(&self, one: &Appointment, date: Date) -> bool {
        let is_there = || monday(self.local_date(one.doctor, one.start)) == monday(date);
        one.counts.1 == Some(monday(date)) || (one.takes.is_some() && is_there())
    }

    fn limit_stands(&self, doctor: usize, service: usize, date: Date) -> Standing {
        let one = &self.doctors[doctor].services[service];
        let of = |limit: Option<usize>, in_period: &dyn Fn(&Appointment) -> bool| {
            let Some(limit) = limit else { return Standing::Free };
            let all = self.appointments.iter();
            let counted = sessions(all.filter(|one| one.doctor == doctor && one.service == service && in_period(one)));
            // A session is held as long as all who share it only hold.
            let mut ends: Vec<Timestamp> = Vec::new();
            for session in &counted {
                match stand(session.iter().copied()) {
                    Standing::Held(end) => ends.push(end),
                    Standing::Free | Standing::Taken => {}
                }
            }
            ends.sort();
            // So many have to end before there is a place.
            match counted.len().checked_sub(limit) {
                None => Standing::Free,
                Some(over) => ends.get(over).map_or(Standing::Taken, |end| Standing::Held(*end)),
            }
        };
        let daily = of(one.daily, &|one| self.counts_on(one, date));
        daily.and(of(one.weekly, &|one| self.counts_in_week(one, date)))
    }

    /// What has any of a time.
    pub fn standing(&self, doctor: usize, from: Timestamp, to: Timestamp) -> Standing {
        let takers = self.appointments.iter().filter(|one| one.doctor == doctor && one.takes_any(from, to));
        stand(takers)
    }

    /// Every start that is offered on a date, whether somebody has it or not. Notice and horizon aside.
    pub fn offered(&self, doctor: usize, service: usize, date: Date) -> Vec<Offered> {
        let one = &self.doctors[doctor].services[service];
        let limit = self.limit_stands(doctor, service, date);
        let mut offered = Vec::new();
        if one.archived {
            return offered;
        }
        for (from, to) in self.open(doctor, date) {
            let mut start = from;
            while start + minutes(one.duration) <= to {
                let (first, last) = self.takes(doctor, service, start);
                let session = self.session((doctor, service, start));
                if !self.is_off(doctor, first, last) && !session.is_empty() {
                    let seats: Vec<&Appointment> = session.iter().map(|place| &self.appointments[*place]).collect();
                    let left = one.capacity.saturating_sub(seats.len());
                    let standing = match seats.iter().filter_map(|seat| seat.end_of_hold()).min() {
                        _ if left > 0 => Standing::Free,
                        Some(end) => Standing::Held(end),
                        None => Standing::Taken,
                    };
                    offered.push(Offered { start, end: seats[0].end, standing, seats_left: Some(left) });
                } else if !self.is_off(doctor, first, last) {
                    let end = start + minutes(one.duration);
                    let rooms = stand(
                        self.appointments.iter().filter(|other| other.keeps_room(doctor, &one.rooms, start, end)),
                    );
                    let standing = limit.and(self.standing(doctor, first, last)).and(rooms);
                    let seats_left = (one.capacity > 1).then_some(one.capacity);
                    offered.push(Offered { start, end, standing, seats_left });
                }
                start += minutes(one.step);
            }
        }
        offered
    }

    /// The seats that are taken in the group session at a time, in the order in which they were; none: there is no such session.
    pub fn session(&self, (doctor, service, start): (usize, usize, Timestamp)) -> Vec<usize> {
        if self.doctors[doctor].services[service].capacity == 1 {
            return Vec::new();
        }
        let is_seat = |one: &Appointment| one.seat.is_some() && one.takes.is_some();
        let is_there = |one: &Appointment| (one.doctor, one.service, one.start) == (doctor, service, start);
        let all = self.appointments.iter().enumerate();
        let mut seats: Vec<usize> =
            all.filter(|(_, one)| is_seat(one) && is_there(one)).map(|(place, _)| place).collect();
        seats.sort_by_key(|place| self.appointments[*place].seat);
        seats
    }

    /// Whether notice and horizon of a service let a start be booked.
    pub fn is_in_time(&self, doctor: usize, service: usize, start: Timestamp, now: Timestamp) -> bool {
        let one = &self.doctors[doctor].services[service];
        start - minutes(one.notice) >= now && start - minutes(one.horizon * 24 * 60) <= now
    }

    /// The tasks of a practice: what is pending or booked and no longer allowed, and the rule against it.
    pub fn outside(&self, doctor: usize, now: Timestamp) -> Value {
        if self.at_once {
            // They are looked for after the change, when others may have come in.
            return json!(super::state::ANY);
        }
        let mut tasks: Vec<(&Appointment, &str)> = Vec::new();
        for one in self.appointments.iter().filter(|one| one.doctor == doctor && one.is_movable() && one.start > now) {
            let date = self.local_date(doctor, one.start);
            let is_open = self.open(doctor, date).iter().any(|(from, to)| *from <= one.start && one.end <= *to);
            let put = one.history.iter().rfind(|entry| matches!(entry.action, "booked" | "requested" | "rescheduled"));
            let is_exception = put.is_some_and(|entry| entry.exception.is_some());
            match (self.is_off(doctor, one.start, one.end), self.is_holiday(doctor, date)) {
                (true, _) => tasks.push((one, "time_off")),
                _ if is_exception => {}
                (_, true) => tasks.push((one, "holiday")),
                _ if !is_open => tasks.push((one, "hours")),
                _ => {}
            }
        }
        tasks.sort_by_key(|(one, _)| (one.start, one.id.clone()));
        let task = |(one, rule): &(&Appointment, &str)| json!({ "appointment": *one.wire, "rule": rule, "alternatives": super::state::ANY });
        Value::Array(tasks.iter().map(task).collect())
    }
}

/// What takes a time, those together who share one.
fn sessions<'a>(all: impl Iterator<Item = &'a Appointment>) -> Vec<Vec<&'a Appointment>> {
    let mut sessions: Vec<Vec<&Appointment>> = Vec::new();
    for one in all {
        let shares = |session: &&mut Vec<&Appointment>| one.seat.is_some() && session[0].shares(one);
        match sessions.iter_mut().find(shares) {
            Some(session) => session.push(one),
            None => sessions.push(vec![one]),
        }
    }
    sessions
}

/// How what takes something lets others have it.
fn stand<'a>(takers: impl Iterator<Item = &'a Appointment>) -> Standing {
    let stands = takers.map(|one| match one.expires_at.filter(|_| one.is_held()) {
        Some(end) => Standing::Held(end),
        None => Standing::Taken,
    });
    stands.fold(Standing::Free, Standing::and)
}

pub fn monday(date: Date) -> Date {
    date - i64::from(date.weekday().to_monday_zero_offset()).days()
}
