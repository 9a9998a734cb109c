//! A doctor: public profile, rules of the calendar, services. One document of the appointments cluster.

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::ids::{DoctorId, ServiceId};
use super::refusal::Refusal;

/// Everything that decides what a doctor offers, at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Doctor {
    pub id: DoctorId,
    pub rev: u32,
    pub name: String,
    pub approved: bool,
    pub profile: Profile,
    pub availability: Availability,
    pub services: Vec<Service>,
    pub updated_at: Timestamp,
}

/// What a doctor says of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub specialisation: Option<String>,
    pub bio: Option<String>,
    /// BCP 47 tags.
    pub languages: Vec<String>,
    pub address: Option<String>,
}

/// When a doctor receives patients, in local times of `time_zone`.
#[derive(Clone, Debug, PartialEq)]
pub struct Availability {
    pub rev: u32,
    pub time_zone: TimeZone,
    pub weekly: Vec<(Weekday, LocalRange)>,
    /// Hours of one date that replace the weekly ones; empty: closed. Each date once, in order.
    pub overrides: Vec<(Date, Vec<LocalRange>)>,
}

/// Opening hours within one local day, `from` before `to`, both multiples of 5 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalRange {
    pub from: Time,
    pub to: Time,
}

/// Something that a doctor offers. All minutes are multiples of 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    pub rev: u32,
    pub name: String,
    pub duration_minutes: i32,
    pub step_minutes: i32,
    pub buffer_before_minutes: i32,
    pub buffer_after_minutes: i32,
    /// Minor units and ISO 4217 code.
    pub price: Option<(i64, String)>,
    pub min_notice_minutes: i32,
    pub horizon_days: i32,
    pub archived: bool,
}

impl Doctor {
    /// The service with this id.
    ///
    /// # Errors
    /// `not_found` when the doctor never offered it.
    pub fn service(&self, id: ServiceId) -> Result<&Service, Refusal> {
        self.services.iter().find(|service| service.id == id).ok_or(Refusal::NotFound)
    }

    /// Name of the doctor's zone, as IANA has it.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.availability.zone_name()
    }

    /// The next revision, with nothing in it that tells of the person, and nothing to be booked.
    #[must_use]
    pub fn erased(&self, now: Timestamp) -> Self {
        let archived = |service: &Service| match service.archived {
            true => service.clone(),
            false => Service { rev: service.rev + 1, archived: true, ..service.clone() },
        };
        Self {
            rev: self.rev + 1,
            name: String::new(),
            approved: false,
            profile: Profile::default(),
            services: self.services.iter().map(archived).collect(),
            updated_at: now,
            ..self.clone()
        }
    }
}

impl Availability {
    /// Name of the zone, as IANA has it.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }
}
