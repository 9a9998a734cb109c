//! Times of several calendars, the earliest first. Each is looked at date by date, and only as far as somebody goes on asking: what the
//! first page of a thousand doctors costs does not grow with how far ahead they can be booked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Found, open_now};
use crate::domain::doctor::Service;
use crate::domain::ids::{DoctorId, ServiceId, UserId};
use crate::domain::slots;
use crate::views::calendar::Calendar;

/// A time, its doctor and its service: the order in which times are told.
pub type Key = (Timestamp, DoctorId, ServiceId);

/// What is looked for in each calendar.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// The first free time alone.
    First,
    /// Every time, those that this user holds included.
    All(Option<UserId>),
}

/// What a step has come to.
pub(super) enum Step {
    /// The next time, of the calendar with this number.
    Found(usize, ServiceId, Found),
    /// A date was looked at, for so many services.
    Looked(usize),
}

/// Calendars that are read together.
pub(super) struct Earliest<'a> {
    lanes: Vec<Lane<'a>>,
    /// The next time of each lane, or when the date begins that is to be looked at next, which comes before any time.
    next: BinaryHeap<Reverse<(Timestamp, bool, DoctorId, usize)>>,
    which: Which,
    now: Timestamp,
}

struct Lane<'a> {
    calendar: &'a Calendar,
    services: Vec<&'a Service>,
    /// The dates that are still to be looked at.
    dates: Option<(Date, Date)>,
    /// The times of the date that is being told, the next one last.
    open: Vec<(ServiceId, Found)>,
}

impl<'a> Earliest<'a> {
    pub(super) fn new(which: Which, now: Timestamp) -> Self {
        Self { lanes: Vec::new(), next: BinaryHeap::new(), which, now }
    }

    /// Adds some services of a calendar, between two local dates of its own, both included. Lanes are numbered from 0.
    pub(super) fn add(&mut self, calendar: &'a Calendar, services: Vec<&'a Service>, from: Date, to: Date) {
        let bookable = services.iter().map(|service| slots::bookable_dates(&calendar.doctor, service, self.now));
        let bookable = bookable.reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()));
        let dates = bookable.map(|dates| (from.max(*dates.start()), to.min(*dates.end())));
        self.lanes.push(Lane { calendar, services, dates, open: Vec::new() });
        self.queue(self.lanes.len() - 1);
    }

    /// Goes one step further; `None`: there is nothing more.
    pub(super) fn step(&mut self) -> Option<Step> {
        let Reverse((_, _, _, number)) = self.next.pop()?;
        let lane = &mut self.lanes[number];
        let step = match lane.open.pop() {
            Some((service, found)) => Step::Found(number, service, found),
            None => Step::Looked(lane.look(self.which, self.now)),
        };
        if !matches!((&step, self.which), (Step::Found(..), Which::First)) {
            self.queue(number);
        }
        Some(step)
    }

    /// Nothing that is still to come is earlier than this.
    pub(super) fn position(&self) -> Option<Timestamp> {
        self.next.peek().map(|Reverse((at, ..))| *at)
    }

    fn queue(&mut self, number: usize) {
        let lane = &self.lanes[number];
        let doctor = lane.calendar.doctor.id;
        let next = match (lane.open.last(), lane.dates) {
            (Some((_, found)), _) => (found.start, true, doctor, number),
            (None, Some((date, last))) if date <= last => {
                (slots::day(&lane.calendar.doctor, date).start.instant(), false, doctor, number)
            }
            _ => return,
        };
        self.next.push(Reverse(next));
    }
}

impl Lane<'_> {
    /// Looks at the next date, and says for how many services.
    fn look(&mut self, which: Which, now: Timestamp) -> usize {
        let Some((date, last)) = self.dates else { return 0 };
        self.dates = date.tomorrow().ok().map(|next| (next, last));
        for service in &self.services {
            let found = open_now(self.calendar, service, date, now);
            match which {
                Which::First => self.open.extend(found.filter(|one| !one.held).take(1).map(|one| (service.id, one))),
                Which::All(user) => {
                    let theirs = |one: &Found| one.is_open_to(self.calendar, service.id, user);
                    self.open.extend(found.filter(theirs).map(|one| (service.id, one)));
                }
            }
        }
        self.open.sort_unstable_by_key(|(service, found)| Reverse((found.start, *service)));
        self.services.len()
    }
}
