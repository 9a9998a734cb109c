//! Accepting what the waitlist offers: a booking over the hold that keeps it, by whoever may answer for the patient.

use super::booking::{Book, For};
use super::{Appointments, unchanged};
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::appointment::Appointment;
use crate::domain::ids::WaitlistId;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::service::request::{self, Done};

/// Entries whose window is over that are ended before the next are looked for.
const AT_ONCE: i64 = 100;

impl Appointments {
    /// Books what an entry is offered: the hold becomes the appointment, and the entry is fulfilled, in one transaction.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `hold_expired` when there is no offer, or none any more; `illegal_transition` once it
    /// was fulfilled or left; otherwise as [`Self::book`], and `stale_rev`.
    pub async fn accept(
        &self,
        viewer: &Viewer,
        key: &str,
        id: WaitlistId,
        rev: Option<u32>,
        reason: Option<String>,
    ) -> Result<Done<Appointment>> {
        const OPERATION: &str = "waitlist.accept";
        let identity = viewer.identity()?;
        let parts = [&id.to_string(), &format!("{rev:?}"), &format!("{reason:?}")];
        let request = request::request(identity, OPERATION, key, &parts.map(String::as_str), self.clock.now());
        let found = self.releases.waitlist.find(id).await.map_err(unchanged)?;
        let entry = found.ok_or(Refusal::NotFound)?.0.entry;
        let staff = self.slots.staff(viewer, entry.doctor_id).await.map_err(unchanged)?;
        let object = Object::between(entry.doctor_id, entry.patient_id).with_staff(&staff);
        access::authorise(OPERATION, viewer, object)?;
        let offer = match entry.open_offer() {
            Ok(offer) if rev.is_none_or(|rev| rev == entry.rev) => offer,
            refused => {
                let refusal = refused.err().unwrap_or(Refusal::StaleRev);
                return self.remembered(&request).await?.ok_or(refusal.into());
            }
        };
        let hold = self.store.find(offer.hold).await.map_err(unchanged)?.ok_or(Refusal::HoldExpired)?.0;
        let book = Book {
            doctor: entry.doctor_id,
            service: entry.service_id,
            start: offer.start,
            reason,
            patient: if entry.patient_id == identity.user { For::Caller } else { For::User(entry.patient_id) },
            hold: Some(offer.hold),
            exception: None,
        };
        let calendar = self.calendar(viewer, entry.doctor_id).await?;
        match self.place(viewer, &request, &book, entry.patient_id, calendar, Some(Box::new(hold))).await {
            Err(Error::Refused(Refusal::HoldExpired)) => {
                // Somebody answered at the same time: the same request at another node, or another one, and it is told what it came to.
                if let Some(done) = self.remembered(&request).await? {
                    return Ok(done);
                }
                let latest = self.releases.waitlist.find_latest(id).await.map_err(unchanged)?;
                let came_to = latest.and_then(|(stored, _)| stored.entry.open_offer().err());
                Err(came_to.unwrap_or(Refusal::HoldExpired).into())
            }
            placed => placed,
        }
    }

    /// Ends entries whose window is over.
    pub(super) async fn end_windows(&self) -> Result<()> {
        let now = self.clock.now();
        for stored in self.releases.waitlist.over(now, AT_ONCE).await? {
            if let Ok(next) = stored.entry.over(now)
                && let Some(at) = self.releases.waitlist.replace(&stored, &next, None).await?
            {
                self.committed.acknowledged(at);
            }
        }
        Ok(())
    }
}
