//! What takes a doctor's time: one document each, whose claims no other document of the doctor may have.

use std::sync::Arc;

use jiff::civil::Date;

use super::appointment::Appointment;
use super::group::GroupSession;
use super::ids::{AppointmentId, DoctorId, ResourceId, ServiceId, TimeOffId};
use super::tick::Tick;

/// A document of the appointments collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Appointment(Arc<Appointment>),
    TimeOff(Arc<TimeOffDay>),
    Group(Arc<GroupSession>),
}

/// The part of a doctor's time off that lies on one local date: the ticks that nothing else had taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOffDay {
    /// Of this document.
    pub id: AppointmentId,
    pub rev: u32,
    pub doctor_id: DoctorId,
    /// The time off that it belongs to.
    pub time_off: TimeOffId,
    pub date: Date,
    pub claims: Vec<Tick>,
    /// The ticks that this revision gave up.
    pub freed: Vec<Tick>,
    /// Its time off is deleted: it takes nothing any more, whoever has not seen that yet.
    pub ended: bool,
}

/// A place within a limit: the `number`th session of a service in a period, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quota {
    pub service: ServiceId,
    pub period: Period,
    pub number: u32,
}

/// What sessions are counted in, by local dates of the doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Day(Date),
    /// The week that begins on this Monday.
    Week(Date),
}

impl TimeOffDay {
    /// The next revision, which takes these ticks as well.
    #[must_use]
    pub fn with(&self, ticks: &[Tick]) -> Self {
        let mut claims = [&self.claims, ticks].concat();
        claims.sort_unstable();
        claims.dedup();
        Self { rev: self.rev + 1, claims, freed: Vec::new(), ..self.clone() }
    }

    /// The next revision, which takes nothing any more.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { rev: self.rev + 1, claims: Vec::new(), freed: self.claims.clone(), ended: true, ..self.clone() }
    }
}

impl Period {
    /// The week of a date.
    #[must_use]
    pub fn week_of(date: Date) -> Self {
        let days = i64::from(date.weekday().to_monday_zero_offset());
        Self::Week(date.checked_sub(jiff::Span::new().days(days)).unwrap_or(date))
    }

    /// Whether a date lies in it.
    #[must_use]
    pub fn contains(self, date: Date) -> bool {
        match self {
            Self::Day(day) => day == date,
            Self::Week(_) => Self::week_of(date) == self,
        }
    }
}

impl Entry {
    /// Id of the document.
    #[must_use]
    pub fn id(&self) -> AppointmentId {
        match self {
            Self::Appointment(appointment) => appointment.id,
            Self::TimeOff(day) => day.id,
            Self::Group(session) => session.id,
        }
    }

    /// Whose time it takes.
    #[must_use]
    pub fn doctor(&self) -> DoctorId {
        match self {
            Self::Appointment(appointment) => appointment.doctor_id,
            Self::TimeOff(day) => day.doctor_id,
            Self::Group(session) => session.doctor_id,
        }
    }

    /// The doctor's ticks that it takes.
    #[must_use]
    pub fn claims(&self) -> &[Tick] {
        match self {
            Self::Appointment(appointment) => &appointment.claims,
            Self::TimeOff(day) => &day.claims,
            Self::Group(session) => &session.claims,
        }
    }

    /// The ticks that this revision gave up.
    #[must_use]
    pub fn freed(&self) -> &[Tick] {
        match self {
            Self::Appointment(appointment) => &appointment.freed,
            Self::TimeOff(day) => &day.freed,
            Self::Group(session) => &session.freed,
        }
    }

    /// The places within limits that it takes.
    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        match self {
            Self::Appointment(appointment) => &appointment.quotas,
            Self::Group(session) => &session.quotas,
            Self::TimeOff(_) => &[],
        }
    }

    /// The places that this revision gave up.
    #[must_use]
    pub fn freed_quotas(&self) -> &[Quota] {
        match self {
            Self::Appointment(appointment) => &appointment.freed_quotas,
            Self::Group(session) => &session.freed_quotas,
            Self::TimeOff(_) => &[],
        }
    }

    /// The rooms and devices that it takes while it takes time, and those that this revision gave up.
    pub fn resources(&self) -> impl Iterator<Item = ResourceId> {
        let freed: &[ResourceId] = match self {
            Self::Appointment(appointment) => &appointment.freed_resources,
            Self::Group(session) => &session.freed_resources,
            Self::TimeOff(_) => &[],
        };
        self.resources_named().iter().chain(freed).copied()
    }

    /// The rooms and devices that it takes while it takes time.
    #[must_use]
    pub fn resources_named(&self) -> &[ResourceId] {
        match self {
            Self::Appointment(appointment) => &appointment.resources,
            Self::Group(session) => &session.resources,
            Self::TimeOff(_) => &[],
        }
    }

    /// The appointment that this revision tells of, if it is one.
    #[must_use]
    pub fn appointment(&self) -> Option<&Arc<Appointment>> {
        match self {
            Self::Appointment(appointment) => Some(appointment),
            Self::TimeOff(_) | Self::Group(_) => None,
        }
    }
}
