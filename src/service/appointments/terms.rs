//! What may be booked: by the rules of the service, for its patients, or by way of exception. What is taken is not looked at.

use jiff::Timestamp;

use super::{Appointments, Book, For, unchanged};
use crate::domain::appointment::Overridden;
use crate::domain::doctor::{Doctor, Patients, Service};
use crate::domain::ids::PatientId;
use crate::domain::refusal::Refusal;
use crate::domain::slots::{self as rules, Rule};
use crate::domain::tick::Tick;
use crate::error::Result;

/// A start, and the rule that is set aside for it.
type Permitted = (Tick, Option<Rule>);

impl Appointments {
    /// The same, if the service is for this patient too. Asks the database only where a service makes a difference.
    pub(super) async fn admits(
        &self,
        doctor: &Doctor,
        book: &Book,
        patient: PatientId,
        permitted: Result<Permitted, Refusal>,
    ) -> Result<Result<Permitted, Refusal>> {
        let Ok((start, None)) = permitted else { return Ok(permitted) };
        let patients = doctor.service(book.service)?.terms.patients;
        let is_known = match (patients, &book.patient) {
            (Patients::Any, _) => return Ok(permitted),
            (_, For::WalkIn { .. }) => false,
            (_, For::Caller | For::User(_)) => self.store.is_known(doctor.id, patient).await.map_err(unchanged)?,
        };
        Ok(match (is_known == (patients == Patients::Known), &book.exception) {
            (true, _) => permitted,
            (false, Some(_)) => Ok((start, Some(Rule::Patients))),
            (false, None) => Err(Refusal::SlotUnavailable { rule: Rule::Patients }),
        })
    }
}

/// Whether the rules allow what is to be booked, and the rule that is set aside for it.
pub(super) fn allows(doctor: &Doctor, book: &Book, now: Timestamp) -> Result<Permitted, Refusal> {
    permits(doctor, doctor.service(book.service)?, book.start, book.exception.is_some(), now)
}

/// Whether an appointment may start at a time, by the rules or by way of exception.
pub(super) fn permits(
    doctor: &Doctor,
    service: &Service,
    start: Timestamp,
    exception: bool,
    now: Timestamp,
) -> Result<Permitted, Refusal> {
    let permitted = match exception {
        true => rules::except(doctor, service, start, now),
        false => rules::check(doctor, service, start, now).map(|start| (start, None)),
    };
    permitted.map_err(|rule| Refusal::SlotUnavailable { rule })
}

/// The limit that an exception sets aside: it takes no place within the limits of its service.
pub(super) fn beyond(limit: Rule, exception: Option<&str>) -> Result<Rule, Refusal> {
    exception.map(|_| limit).ok_or(Refusal::SlotUnavailable { rule: limit })
}

/// For the history. An exception that no rule asked for is none.
pub(super) fn overridden(rule: Option<Rule>, reason: Option<&str>) -> Option<Overridden> {
    rule.map(|rule| Overridden { rule: rule.as_str().to_owned(), reason: reason.map(str::to_owned) })
}
