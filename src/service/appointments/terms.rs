//! What may be booked: by the rules of the service, for its patients, or by way of exception. What is taken is not looked at.

use jiff::Timestamp;

use super::{Appointments, Book, For, unchanged};
use crate::domain::appointment::Overridden;
use crate::domain::doctor::{Doctor, Patients, Service};
use crate::domain::ids::{DoctorId, PatientId, ServiceId};
use crate::domain::refusal::Refusal;
use crate::domain::slots::{self as rules, Rule};
use crate::domain::tick::Tick;
use crate::error::Result;

/// A start, and the rule that is set aside for it.
pub(super) type Permitted = (Tick, Option<Rule>);

impl Appointments {
    /// The same, if the service is for this patient too.
    pub(super) async fn admits(
        &self,
        doctor: &Doctor,
        book: &Book,
        patient: PatientId,
        permitted: Result<Permitted, Refusal>,
    ) -> Result<Result<Permitted, Refusal>> {
        let Ok((start, None)) = permitted else { return Ok(permitted) };
        let patient = match &book.patient {
            For::WalkIn { .. } => None,
            For::Caller | For::User(_) => Some(patient),
        };
        Ok(
            match (
                self.takes(doctor.id, doctor.service(book.service)?, patient).await.map_err(unchanged)?,
                &book.exception,
            ) {
                (true, _) => permitted,
                (false, Some(_)) => Ok((start, Some(Rule::Patients))),
                (false, None) => Err(Refusal::SlotUnavailable { rule: Rule::Patients }),
            },
        )
    }

    /// Whether a service is for a patient; `None` has not been here. Asks the database only where a service makes a difference.
    pub(in crate::service) async fn takes(
        &self,
        doctor: DoctorId,
        service: &Service,
        patient: Option<PatientId>,
    ) -> Result<bool> {
        let is_known = match (service.terms.patients, patient) {
            (Patients::Any, _) => return Ok(true),
            (_, None) => false,
            (_, Some(patient)) => !self.store.known_to(patient, &[doctor]).await?.is_empty(),
        };
        Ok(service.terms.patients.include(is_known))
    }
}

/// What the rules are asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub service: ServiceId,
    pub start: Timestamp,
    pub exception: bool,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Whether the rules allow it, and the rule that is set aside for it.
pub(super) fn allows(doctor: &Doctor, asked: Asked) -> Result<Permitted, Refusal> {
    permits(doctor, doctor.service(asked.service)?, asked.start, asked.exception, asked.at)
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
