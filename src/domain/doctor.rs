//! A doctor: public profile, rules of the calendar, services. One document of the appointments cluster.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::history::Actor;
use super::holidays::HolidayCalendar;
use super::ids::{DoctorId, ResourceId, ServiceId, UserId};
use super::refusal::Refusal;
use super::time_off::TimeOff;

/// Everything that decides what a doctor offers, at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Doctor {
    pub id: DoctorId,
    pub rev: u32,
    pub name: String,
    pub approval: Approval,
    pub profile: Profile,
    pub rating: Rating,
    pub availability: Availability,
    pub services: Vec<Service>,
    /// In order; see [`super::time_off::add`].
    pub time_off: Vec<TimeOff>,
    /// Who acts for the doctor: users of the role staff, at most [`STAFF_LIMIT`].
    pub staff: Vec<UserId>,
    /// At most [`super::history::HISTORY_LIMIT`] entries. Empty in what the feed tells.
    pub history: Vec<HistoryEntry>,
    pub updated_at: Timestamp,
}

/// Most people who act for one doctor.
pub const STAFF_LIMIT: usize = 50;

/// Whether a doctor is shown to others, and may be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has decided yet.
    Pending,
    Approved,
    Rejected,
}

impl Approval {
    /// The word for it, in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Rejected].into_iter().find(|approval| approval.as_str() == word)
    }
}

/// What reviews have given a doctor, 1 to 5 points each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rating {
    /// Points of all reviews together.
    pub sum: u32,
    /// How many there are.
    pub count: u32,
}

/// One revision in a doctor's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub rev: u32,
    /// Name of the operation.
    pub action: String,
    pub by: Actor,
    pub at: Timestamp,
}

/// What a doctor says of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub specialisation: Option<String>,
    /// A line each.
    pub qualifications: Vec<String>,
    pub experience_years: Option<u32>,
    pub bio: Option<String>,
    /// BCP 47 tags.
    pub languages: Vec<String>,
    /// Where patients come to.
    pub address: Option<String>,
    /// See [`super::profile::photo_url`].
    pub photo_url: Option<String>,
    /// Of a first visit, in minor units, and ISO 4217 code.
    pub price: Option<(i64, String)>,
}

/// When a doctor receives patients, in local times of `time_zone`.
#[derive(Clone, Debug, PartialEq)]
pub struct Availability {
    pub rev: u32,
    pub time_zone: TimeZone,
    pub weekly: Vec<(Weekday, LocalRange)>,
    /// Hours of one date that replace the weekly ones; empty: closed. Each date once, in order.
    pub overrides: Vec<(Date, Vec<LocalRange>)>,
    /// In order, each date in one at most.
    pub seasons: Vec<Season>,
    /// Their holidays are closed, unless the date has hours of its own. In order, each once.
    pub holiday_calendars: Vec<HolidayCalendar>,
}

/// Weekly hours that replace the ordinary ones between two dates, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Season {
    pub from: Date,
    pub to: Date,
    pub weekly: Vec<(Weekday, LocalRange)>,
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
    pub terms: Terms,
    pub archived: bool,
}

/// On which terms a service is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The practice has to agree to what patients book.
    pub requires_approval: bool,
    /// Patients of one session; more than 1: a group.
    pub capacity: i32,
    /// Most sessions on a local date of the doctor.
    pub daily_limit: Option<i32>,
    /// Most sessions from Monday to Sunday.
    pub weekly_limit: Option<i32>,
    /// How long before the start patients may cancel at the latest.
    pub cancel_cutoff_minutes: i32,
    /// The same for moving it.
    pub reschedule_cutoff_minutes: i32,
    /// Where it takes place, if not at the doctor's address.
    pub location: Option<String>,
    /// Where it takes place on line: see [`super::profile::photo_url`] for what addresses may be.
    pub video_url: Option<String>,
    pub patients: Patients,
    /// The rooms and devices that each session takes, all of them.
    pub resources: Vec<ResourceId>,
}

impl Service {
    /// Whether several patients share its sessions.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.terms.capacity > 1
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            requires_approval: false,
            capacity: 1,
            daily_limit: None,
            weekly_limit: None,
            cancel_cutoff_minutes: 0,
            reschedule_cutoff_minutes: 0,
            location: None,
            video_url: None,
            patients: Patients::Any,
            resources: Vec::new(),
        }
    }
}

impl Terms {
    /// Whether it makes a difference who the patient is.
    #[must_use]
    pub fn chooses_patients(&self) -> bool {
        self.patients != Patients::Any
    }
}

/// Whom a service is for, by what has taken place between patient and doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patients {
    Any,
    /// Those without a fulfilled visit.
    New,
    /// Those with one.
    Known,
}

impl Patients {
    /// The word for it, in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::New => "new",
            Self::Known => "known",
        }
    }

    /// Whether somebody who has, or has not, had a fulfilled visit is one of them.
    #[must_use]
    pub const fn include(self, is_known: bool) -> bool {
        match self {
            Self::Any => true,
            Self::New => !is_known,
            Self::Known => is_known,
        }
    }

    /// The value with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Any, Self::New, Self::Known].into_iter().find(|patients| patients.as_str() == word)
    }
}

impl Doctor {
    /// The service with this id.
    ///
    /// # Errors
    /// `not_found` when the doctor never offered it.
    pub fn service(&self, id: ServiceId) -> Result<&Service, Refusal> {
        self.services.iter().find(|service| service.id == id).ok_or(Refusal::NotFound)
    }

    /// The rooms and devices of all services.
    #[must_use]
    pub fn resources(&self) -> BTreeSet<ResourceId> {
        self.services.iter().flat_map(|service| &service.terms.resources).copied().collect()
    }

    /// Whether others may know of the doctor, and book.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.approval == Approval::Approved
    }

    /// Whether both revisions look the same to the public, but for their number: hours, which show as slots, left aside.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        let face = |doctor: &Self| (doctor.approval, doctor.rating);
        face(self) == face(other)
            && (&self.name, self.zone_name()) == (&other.name, other.zone_name())
            && (&self.profile, &self.services) == (&other.profile, &other.services)
    }

    /// Name of the doctor's zone, as IANA has it.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.availability.zone_name()
    }

    /// The next revision, with nothing in it that tells of the person, and nothing to be booked.
    #[must_use]
    pub fn erased(&self, now: Timestamp) -> Self {
        let archived = |service: &Service| match service.archived && service.name.is_empty() {
            true => service.clone(),
            false => Service { rev: service.rev + 1, name: String::new(), archived: true, ..service.clone() },
        };
        Self {
            rev: self.rev + 1,
            name: String::new(),
            approval: Approval::Rejected,
            profile: Profile::default(),
            services: self.services.iter().map(archived).collect(),
            time_off: self.time_off.iter().map(|off| TimeOff { reason: None, ..off.clone() }).collect(),
            staff: Vec::new(),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The next revision, for which a user does not act any more.
    #[must_use]
    pub fn without_staff(&self, user: UserId, now: Timestamp) -> Self {
        let mut next = Self { rev: self.rev + 1, updated_at: now, ..self.clone() };
        next.staff.retain(|member| *member != user);
        next
    }
}

impl Availability {
    /// Closed on every day.
    #[must_use]
    pub const fn closed(time_zone: TimeZone) -> Self {
        Self {
            rev: 1,
            time_zone,
            weekly: Vec::new(),
            overrides: Vec::new(),
            seasons: Vec::new(),
            holiday_calendars: Vec::new(),
        }
    }

    /// Name of the zone, as IANA has it.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }
}
