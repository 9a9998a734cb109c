//! Seats in group sessions: taken and given up together with the appointment that has them.
//!
//! Those who want a seat of the same session on one node come one after the other, so that they do not keep each other from
//! writing; between nodes, the revision of the session decides.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::holds::{ATTEMPTS, Way};
use super::terms::{beyond, overridden};
use super::{Appointments, REPLACE_ATTEMPTS, unchanged, unknown};
use crate::domain::appointment::{Appointment, Booking, HOLDS, Held, HoldPlace};
use crate::domain::doctor::Service;
use crate::domain::entry::Quota;
use crate::domain::group::{GroupSession, Opening, Seat};
use crate::domain::ids::AppointmentId;
use crate::domain::refusal::Refusal;
use crate::domain::slots::{self as rules, Rule};
use crate::domain::tick::Tick;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::service::releases::GivenUp;
use crate::service::request::{Done, session_id};
use crate::store::appointments::{Holding, SessionChange, Stored};
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};
use crate::views::calendar::{Calendar, Moved};

/// How often a seat is tried for because others have changed the session: each time one of them is done.
const SEAT_ATTEMPTS: usize = 64;
/// How many sessions a node lets people into at once. More wait for each other without need, which costs a moment.
const DOORS: usize = 64;
/// The longest that somebody stands in line. As long as a write may take.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Who is let into which session next.
pub(super) struct Doors(Vec<Mutex<()>>);

/// What a session is wanted for.
struct Wanted<'a> {
    calendar: &'a Calendar,
    service: &'a Service,
    start: Tick,
    /// Why the practice sets the rules aside, if it does.
    exception: Option<&'a str>,
}

/// Others were faster too often.
fn crowded() -> Error {
    Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::NotApplied) }
}

/// What a session takes, as an appointment of one patient would.
fn taken_by(session: &GroupSession, appointment: &Appointment) -> Appointment {
    let (claims, resources) = (session.claims.clone(), session.resources.clone());
    Appointment { claims, resources, end: session.end, ..appointment.clone() }
}

impl Doors {
    pub(super) fn new() -> Self {
        Self((0..DOORS).map(|_| Mutex::new(())).collect())
    }

    async fn enter(&self, session: AppointmentId) -> Result<MutexGuard<'_, ()>> {
        let door = usize::from(session.0.as_bytes()[0]) % DOORS;
        timeout(LONGEST_WAIT, self.0[door].lock()).await.map_err(|_| crowded())
    }
}

impl Wanted<'_> {
    fn id(&self) -> AppointmentId {
        session_id(self.calendar.doctor.id, self.service.id, self.start.instant())
    }

    /// The session with a seat for an appointment, which may set the limits of the service aside. `moved`: the session that ends for it.
    fn with_seat(
        &self,
        current: Option<&GroupSession>,
        appointment: &mut Appointment,
        moved: Option<&Moved>,
        lost: &BTreeSet<Quota>,
    ) -> Result<SessionChange, Refusal> {
        let next = match current.filter(|session| session.is_open()) {
            Some(session) => session.joined(Seat::of(appointment), self.service.terms.capacity)?,
            None => {
                let date = rules::local_date(&self.calendar.doctor, self.start);
                let quotas = match self.calendar.places_moved(self.service, date, moved, lost) {
                    Ok(quotas) => quotas,
                    Err(limit) => {
                        let limit = beyond(limit, self.exception)?;
                        if let Some(entry) = appointment.history.last_mut() {
                            let aside = overridden(Some(limit), self.exception);
                            entry.overridden = entry.overridden.take().or(aside);
                        }
                        Vec::new()
                    }
                };
                let (id, doctor) = (self.id(), self.calendar.doctor.id);
                let opening = Opening { id, doctor, service: self.service, start: self.start, quotas };
                opening.begin(current, Seat::of(appointment))
            }
        };
        appointment.end = next.end;
        Ok(SessionChange::new(current, next))
    }
}

impl Appointments {
    /// Books a seat. `None`: the key was used more than a day ago.
    pub(super) async fn try_seat(
        &self,
        calendar: &Calendar,
        booking: &Booking<'_>,
        exception: Option<&str>,
        request: &Request,
    ) -> Result<Option<Done<Appointment>>> {
        let wanted = Wanted { calendar, service: booking.service, start: booking.start, exception };
        let id = wanted.id();
        let turn = self.doors.enter(id).await?;
        let (mut attempt, mut lost) = (0, BTreeSet::new());
        let refusal = loop {
            if attempt == SEAT_ATTEMPTS + lost.len() {
                return Err(crowded());
            }
            let current = self.store.session(id, attempt > 0).await.map_err(unchanged)?;
            attempt += 1;
            let mut appointment = booking.clone().into_appointment().in_session(id);
            if let Some((hold, _)) = current.as_ref().and_then(|session| session.hold_of(request.user))
                && let Some((hold, _)) = self.store.find(hold).await.map_err(unchanged)?
            {
                // One that this node had not seen.
                if let Some(done) = self.confirm(&hold, booking, request).await? {
                    return Ok(Some(done));
                }
                self.end_run_out(std::slice::from_ref(&hold), request.at).await?;
                continue;
            }
            let change = match wanted.with_seat(current.as_ref(), &mut appointment, None, &lost) {
                Ok(change) => change,
                Err(refusal) => match self.way_in(&refusal, current.as_ref(), request).await? {
                    true => continue,
                    false => break refusal,
                },
            };
            let taken = taken_by(change.next(), &appointment);
            let changes = Changes::default().joined(change).booked(&appointment, request);
            match self.store.write_together(changes).await? {
                Together::Done(at) => return Ok(Some(self.acknowledged(appointment, at))),
                Together::Outnumbered(place) => drop(lost.insert(place)),
                Together::Stale | Together::NotOffered(_) => {
                    if self.store.find_latest(appointment.id).await.map_err(unknown)?.is_some() {
                        return self.recall(appointment.id, request).await;
                    }
                }
                Together::Refused { refusal, .. } => match self.way_to(calendar, &refusal, &taken, request).await? {
                    true => {}
                    false => break refusal,
                },
            }
        };
        drop(turn);
        self.no_seat(refusal, &wanted, request).await.map(Some)
    }

    /// Holds a seat, with another place among the person's holds where one is taken. `None`: the key was used more than a day ago.
    pub(super) async fn try_hold_seat(
        &self,
        calendar: &Calendar,
        booking: &Booking<'_>,
        request: &Request,
    ) -> Result<Option<Done<Appointment>>> {
        let wanted = Wanted { calendar, service: booking.service, start: booking.start, exception: None };
        let id = wanted.id();
        let turn = self.doors.enter(id).await?;
        let (mut attempt, mut lost) = (0, BTreeSet::new());
        let (mut place, until) = (0, booking.now.saturating_add(self.hold_length).unwrap_or(Timestamp::MAX));
        let refusal = loop {
            if attempt == SEAT_ATTEMPTS + lost.len() {
                return Err(crowded());
            }
            let current = self.store.session(id, attempt > 0).await.map_err(unchanged)?;
            attempt += 1;
            if let Some((own, _)) = current.as_ref().and_then(|session| session.hold_of(request.user)) {
                if let Some(done) = self.live(own, request.user).await? {
                    // The key may be that of another hold.
                    return Ok(Some(self.remembered(request).await?.unwrap_or(done)));
                }
                let own = self.store.find(own).await.map_err(unchanged)?;
                self.end_run_out(&own.map(|(own, _)| own).into_iter().collect::<Vec<_>>(), request.at).await?;
                continue;
            }
            let mut hold = booking
                .clone()
                .into_hold(Held { by: request.user, until, place: HoldPlace::Own(place) })
                .in_session(id);
            let change = match wanted.with_seat(current.as_ref(), &mut hold, None, &lost) {
                Ok(change) => change,
                Err(refusal) => match self.way_in(&refusal, current.as_ref(), request).await? {
                    true => continue,
                    false => break refusal,
                },
            };
            let taken = taken_by(change.next(), &hold);
            match self.store.hold_seat(change, &hold, self.hold_length, request).await? {
                Holding::Done(stored, at) => {
                    return Ok(stored.recall(request)?.map(|hold| self.acknowledged(hold, at)));
                }
                Holding::Exists => return self.recall(hold.id, request).await,
                Holding::Overtaken => {}
                Holding::Outnumbered(place) => drop(lost.insert(place)),
                Holding::PlaceTaken if place + 1 < HOLDS => place += 1,
                Holding::PlaceTaken => {
                    self.free_places(request).await?;
                    place = 0;
                }
                Holding::Refused(refusal) => match self.way_to(calendar, &refusal, &taken, request).await? {
                    true => {}
                    false => break refusal,
                },
            }
        };
        drop(turn);
        self.no_seat(refusal, &wanted, request).await.map(Some)
    }

    /// A success that is remembered stays one, though there is no seat by now.
    async fn no_seat(&self, refusal: Refusal, wanted: &Wanted<'_>, request: &Request) -> Result<Done<Appointment>> {
        let start = wanted.start.instant();
        let refused = || self.with_alternatives(refusal, wanted.calendar, wanted.service.id, start);
        self.remembered(request).await?.ok_or_else(refused)
    }

    /// Ends those of a person's holds that have run out and keep their places.
    ///
    /// # Errors
    /// `slot_unavailable`: there are none.
    pub(super) async fn free_places(&self, request: &Request) -> Result<()> {
        let run_out = self.store.run_out_of(request.user).await.map_err(unchanged)?;
        self.end_run_out(&run_out, request.at).await?;
        match run_out.is_empty() {
            true => Err(Refusal::SlotUnavailable { rule: Rule::Holds }.into()),
            false => Ok(()),
        }
    }

    /// Whether a session that has no seat left has one after all: a hold that has run out.
    async fn way_in(&self, refusal: &Refusal, session: Option<&GroupSession>, request: &Request) -> Result<bool> {
        let Some(session) = session.filter(|session| session.first_end().is_some()) else { return Ok(false) };
        if !matches!(refusal, Refusal::SlotTaken { .. }) {
            return Ok(false);
        }
        let run_out = self.store.held_seats(session.id, request.user).await.map_err(unchanged)?;
        self.end_run_out(&run_out, request.at).await
    }

    /// Whether what kept a session from beginning was a hold that has run out.
    async fn way_to(
        &self,
        calendar: &Calendar,
        refusal: &Refusal,
        taken: &Appointment,
        request: &Request,
    ) -> Result<bool> {
        let is_time = matches!(refusal, Refusal::SlotTaken { .. } | Refusal::SlotUnavailable { rule: Rule::Resource });
        Ok(is_time && matches!(self.make_way(calendar, taken, false, request).await?, Way::Freed))
    }

    /// Writes the next revision of an appointment, with the sessions whose seats it gives up or takes. Returns what became free, too.
    pub(super) async fn write(
        &self,
        current: &Stored,
        next: &mut Appointment,
        exception: Option<&str>,
        lost: &BTreeSet<Quota>,
        request: &Request,
    ) -> Result<(Together, Option<GivenUp>)> {
        if current.appointment.seat == next.seat {
            if next.seat.is_some() {
                // A session keeps its length.
                next.end = current.appointment.end;
            }
            let changes = Changes::default().appointment(current, next, request);
            let changes = self.releases.with_entry(current, next, changes).await.map_err(unchanged)?;
            let given_up = GivenUp::by(std::slice::from_ref(next));
            let written = self.releases.hand_over(given_up.as_ref(), changes).await?;
            return Ok((written, given_up));
        }
        let _turn = match next.seat.or(current.appointment.seat) {
            Some(session) => Some(self.doors.enter(session).await?),
            None => None,
        };
        let left = self.store.seat_left(current, next).await.map_err(unchanged)?;
        let moved = moved_from(&current.appointment, left.as_ref());
        let joined = match next.seat.is_some() {
            true => match self.seat_taken(next, exception, moved.as_ref(), lost, request).await? {
                Ok(joined) => Some(joined),
                Err(refusal) => return Ok((Together::Refused { refusal, lost: 0 }, None)),
            },
            false => None,
        };
        let given_up = GivenUp::by(std::slice::from_ref(next)).map(|given_up| {
            let given_up = left.iter().fold(given_up, |given_up, left| given_up.and_left(left.next()));
            joined.iter().fold(given_up, |given_up, joined| given_up.but_for(joined.next()))
        });
        let taken = joined.as_ref().map(|joined| taken_by(joined.next(), next));
        let begins = joined.as_ref().is_some_and(|joined| joined.next().seats.len() == 1);
        let changes = Changes::default().left(left);
        let changes = joined.into_iter().fold(changes, Changes::joined).appointment(current, next, request);
        let written = match self.releases.hand_over(given_up.as_ref(), changes).await? {
            Together::Refused { refusal, lost } => {
                let calendar = self.calendar_of(next).await.map_err(unchanged)?;
                // Where it gives up time of the doctor, the patient's is written before the session's: it is told after it.
                let is_taken = |taken: &Appointment| {
                    let claims = taken.claims.first().zip(taken.claims.last());
                    let footprint = claims.map(|(first, last)| *first..Tick(last.0 + 1));
                    footprint.is_some_and(|range| calendar.takers(range).iter().any(|id| *id != next.id))
                };
                let refusal = match refusal {
                    Refusal::PatientBusy if begins && taken.as_ref().is_some_and(is_taken) => {
                        Refusal::SlotTaken { alternatives: Vec::new() }
                    }
                    refusal => refusal,
                };
                match taken {
                    // As it was when this began, it is no longer: decide anew.
                    Some(taken) if self.way_to(&calendar, &refusal, &taken, request).await? => Together::Stale,
                    _ => Together::Refused { refusal, lost },
                }
            }
            written => written,
        };
        Ok((written, given_up))
    }

    /// The session in which an appointment takes a seat that is moved there.
    async fn seat_taken(
        &self,
        next: &mut Appointment,
        exception: Option<&str>,
        moved: Option<&Moved>,
        lost: &BTreeSet<Quota>,
        request: &Request,
    ) -> Result<Result<SessionChange, Refusal>> {
        let calendar = self.calendar_of(next).await.map_err(unchanged)?;
        let service = calendar.doctor.service(next.service_id)?;
        let wanted = Wanted { calendar: &calendar, service, start: Tick::floor(next.start), exception };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let session = self.store.session(wanted.id(), attempt > 1).await.map_err(unchanged)?;
            match wanted.with_seat(session.as_ref(), next, moved, lost) {
                Err(refusal) if attempt < ATTEMPTS && self.way_in(&refusal, session.as_ref(), request).await? => {}
                decided => return Ok(decided),
            }
        }
    }

    /// Ends a hold on a seat if it has run out. Returns what it gave up; `None`: it has not, or was ended by somebody else.
    pub(super) async fn end_held_seat(&self, hold: &Stored, next: &Appointment) -> Result<Option<GivenUp>> {
        for _ in 0..REPLACE_ATTEMPTS {
            let Some(left) = self.store.seat_left(hold, next).await.map_err(unchanged)? else { return Ok(None) };
            let given_up = GivenUp::by(std::slice::from_ref(next)).map(|given_up| given_up.and_left(left.next()));
            let changes = Changes::default().run_out(hold, next).left(Some(left));
            if let Together::Done(at) = self.releases.hand_over(given_up.as_ref(), changes).await? {
                self.committed.acknowledged(at);
                return Ok(given_up);
            }
            // Either the session has changed, or the hold has.
            let latest = self.store.find_latest(next.id).await.map_err(unknown)?;
            if latest.is_none_or(|(latest, _)| latest.appointment.rev != hold.appointment.rev) {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// The session that ends when an appointment gets a seat in another one: the appointment itself, or the one whose last seat it leaves.
fn moved_from(current: &Appointment, left: Option<&SessionChange>) -> Option<Moved> {
    match left.map(SessionChange::next) {
        Some(session) => {
            let (id, start, places) = (session.id, Tick::floor(session.start), session.freed_quotas.clone());
            (!session.is_open()).then_some(Moved { id, start, places })
        }
        None => Some(Moved::appointment(current)),
    }
}
