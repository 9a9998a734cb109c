//! Offers to those who wait for a doctor: to whom what is given up is offered, and what becomes of an entry when its offer is
//! answered or ends.

use std::collections::{BTreeSet, HashSet};

use super::{GivenUp, Releases};
use crate::domain::appointment::{Action, Appointment, Booking, Held, HoldPlace, Status};
use crate::domain::entry::Quota;
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, PatientId, WaitlistId};
use crate::domain::slots::{Candidate, local_date};
use crate::domain::tick::Tick;
use crate::domain::waitlist::{Freed, Offer, WaitlistEntry};
use crate::error::Result;
use crate::service::appointments::is_for;
use crate::service::random;
use crate::store::appointments::Stored;
use crate::store::together::Changes;
use crate::store::waitlist::{StoredEntry, Waiting};
use crate::views::calendar::{Calendar, Counted, Occupancy};

/// Entries that are read at once.
const PAGE: i64 = 32;
/// Most entries that are looked at for one change: whoever waits behind them is reached when some of these are gone.
const MOST_LOOKED_AT: usize = 512;
/// Most offers of one change: a day that is cleared at once is offered in part, and the rest is free.
const MOST_OFFERS: usize = 16;

/// Entries, each at a revision, that could not be offered anything.
pub(super) type Skipped = HashSet<(WaitlistId, u32)>;

/// What is offered to whom.
#[derive(Debug)]
pub(super) struct Offered {
    stored: StoredEntry,
    next: WaitlistEntry,
    hold: Appointment,
}

impl Offered {
    /// The revision of the entry that it is offered to.
    pub(super) fn revision(&self) -> (WaitlistId, u32) {
        (self.stored.entry.id, self.stored.entry.rev)
    }
}

/// What is still there to be offered.
struct Left<'a> {
    freed: Freed<'a>,
    /// Places within limits that somebody was given.
    given: BTreeSet<Quota>,
}

impl Releases {
    /// Who is offered what of some ticks: the earliest start that suits to whoever has waited longest, then to the next.
    pub(super) async fn offers(
        &self,
        calendar: &Calendar,
        given_up: &GivenUp,
        ticks: &[Tick],
        skipped: &Skipped,
    ) -> Result<Vec<Offered>> {
        let freed = Freed::new(&calendar.doctor, ticks, self.clock.now());
        let Some(dates) = freed.dates() else { return Ok(Vec::new()) };
        let (doctor, services) = (calendar.doctor.id, freed.services());
        let mut waiting = Waiting { doctor, services, dates, after: None, limit: PAGE };
        let given = given_up.taken.iter().copied().collect();
        let mut left = Left { freed, given };
        let (mut offers, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.waitlist.waiting(&waiting).await?;
            waiting.after = page.last().map(|last| (last.entry.joined_at, last.entry.id));
            looked_at += page.len();
            let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE) || looked_at >= MOST_LOOKED_AT;
            for stored in page.into_iter().filter(|stored| !skipped.contains(&(stored.entry.id, stored.entry.rev))) {
                if left.freed.is_empty() || offers.len() == MOST_OFFERS {
                    return Ok(offers);
                }
                offers.extend(self.offer_to(calendar, given_up, &mut left, stored).await?);
            }
            if is_last {
                return Ok(offers);
            }
        }
    }

    /// The earliest start for which the one predicate finds nothing against this patient.
    async fn offer_to(
        &self,
        calendar: &Calendar,
        given_up: &GivenUp,
        left: &mut Left<'_>,
        stored: StoredEntry,
    ) -> Result<Option<Offered>> {
        let (entry, doctor) = (&stored.entry, &calendar.doctor);
        let starts: Vec<Candidate> = left.freed.suiting(entry).cloned().collect();
        let Ok(service) = doctor.service(entry.service_id) else { return Ok(None) };
        let patient = entry.patient_id;
        if starts.is_empty()
            || given_up.by.contains(&patient)
            || !is_for(&self.store, doctor.id, service, Some(patient)).await?
        {
            return Ok(None);
        }
        for start in starts {
            let is_left = |quota: &Quota| {
                !left.given.contains(quota) && (!calendar.has_place(quota) || given_up.quotas.contains(quota))
            };
            let gives_up = |id| given_up.of.contains(&id);
            let date = local_date(doctor, start.start);
            let places = calendar.places_where(service, date, Counted::default(), gives_up, is_left);
            let Ok(quotas) = places else { continue };
            // What others do with the rooms and devices, the calendar knows.
            if calendar.in_use_from(service, start.start) != Occupancy::Free || self.is_busy(patient, &start).await? {
                continue;
            }
            left.given.extend(quotas.iter().copied());
            left.freed.give(&start);
            let now = self.clock.now();
            let hold = Booking {
                id: AppointmentId(random::id(now)?),
                doctor,
                service,
                patient_id: patient,
                patient_name: &entry.patient_name,
                walk_in: None,
                start: start.start,
                quotas,
                reason: None,
                pending: false,
                overridden: None,
                // Nobody is to learn who gave it up.
                by: Actor::system(patient),
                now,
            };
            let until = now.saturating_add(self.offer_length).unwrap_or(now);
            let hold = hold.into_hold(Held { by: patient, until, place: HoldPlace::Offer(entry.id) });
            let next = entry.offered(Offer { hold: hold.id, start: hold.start, end: hold.end, until }, now)?;
            return Ok(Some(Offered { stored, next, hold }));
        }
        Ok(None)
    }

    async fn is_busy(&self, patient: PatientId, candidate: &Candidate) -> Result<bool> {
        Ok(!self.store.spent_by(patient, candidate.start..candidate.end).await?.is_empty())
    }

    pub(super) fn with_offers(&self, changes: Changes, offers: &[Offered]) -> Changes {
        offers.iter().fold(changes, |changes, offered| {
            changes.offer(&offered.stored, &offered.next, &offered.hold, self.offer_length)
        })
    }

    /// With the end of a hold that was offered, what becomes of the entry: it waits on, unless nobody has answered too often.
    pub(in crate::service) async fn with_entry(
        &self,
        current: &Stored,
        next: &Appointment,
        changes: Changes,
    ) -> Result<Changes> {
        if next.status != Status::Expired {
            return Ok(changes);
        }
        let Some(stored) = self.entry_of(current).await? else { return Ok(changes) };
        let answered = next.history.last().is_none_or(|entry| entry.action != Action::Expired);
        let entry = match answered {
            true => stored.entry.passed(next.updated_at)?,
            false => stored.entry.missed(next.updated_at)?,
        };
        Ok(changes.entry(&stored, &entry, None))
    }

    /// The entry that a hold is offered to, as long as it is. Where it is not found so, the hold has ended as well.
    pub(in crate::service) async fn entry_of(&self, hold: &Stored) -> Result<Option<StoredEntry>> {
        let hold = &hold.appointment;
        let id = hold.held.filter(|_| hold.status == Status::Held).and_then(|held| held.entry());
        let Some(id) = id else { return Ok(None) };
        let found = self.waitlist.find(id).await?.map(|(stored, _)| stored);
        Ok(found.filter(|stored| stored.entry.offer.is_some_and(|offer| offer.hold == hold.id)))
    }
}
