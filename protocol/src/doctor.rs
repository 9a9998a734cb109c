//! Doctors: their public profile, what they offer and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::objects;
use crate::time_off::KeptOfAppointments;
use crate::value::{Cursor, Id, Instant, LocalDate, LocalTime, Money, TimeZone};

/// Whether a doctor may be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// Waits for an admin: neither listed nor bookable.
    Pending,
    /// Listed and bookable.
    Approved,
    /// An admin has refused: neither listed nor bookable.
    Rejected,
}

/// What reviews say of a doctor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rating {
    /// 1 to 5, rounded to hundredths.
    pub average: f64,
    /// How many reviews there are, 1 at least.
    pub count: u32,
}

/// A doctor's public profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Doctor {
    pub id: Id,
    pub rev: u32,
    pub name: String,
    pub approval: Approval,
    /// Zone of the doctor's calendar.
    pub time_zone: TimeZone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialisation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// BCP 47 tags.
    pub languages: Vec<String>,
    /// Where patients come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Degrees and the like, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qualifications: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experience_years: Option<u32>,
    /// An `https` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    /// Of a first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Absent while there are no reviews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// `doctor.search` sorted by `available`: the first time that can be booked now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_slot: Option<FirstSlot>,
    /// Who acts for the doctor; told to the doctor, to them and to admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<Vec<Id>>,
}

/// The item of the topic `doctors/{id}`: the profile and what the doctor offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveDoctor {
    #[serde(flatten)]
    pub doctor: Doctor,
    pub services: Vec<Service>,
}

/// What doctors are sorted by. Those who do not have it come last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DoctorSort {
    /// From A to Z, accents aside.
    #[default]
    Name,
    /// The best first; among equals those with more reviews.
    Rating,
    /// The lowest amount first, whatever its currency.
    Price,
    /// The longest first.
    Experience,
    /// Whoever has the earliest time that can be booked now, within 62 days. Of the first 1,000 by name; pages follow each other
    /// while nothing changes.
    Available,
}

/// A time of a doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstSlot {
    pub service_id: Id,
    pub start: Instant,
    pub end: Instant,
}

/// `doctor.search`: the doctors who can be booked. Case and accents do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorSearchRequest {
    /// Only those of whom each of these words begins a word of name, specialisation or qualifications. At most 5 words of
    /// 40 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only this specialisation, the whole of it. 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialisation: Option<String>,
    /// Only those who speak it, a BCP 47 tag: `es` finds `es-CO` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Default: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<DoctorSort>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// From the page before, of a search with the same `sort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `doctor.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorGetRequest {
    pub id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// A field of a profile that has no empty value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Clearable {
    ExperienceYears,
    Price,
}

/// `doctor.update`: fields that are absent stay as they are; an empty text or list clears a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorUpdateRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// At most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialisation: Option<String>,
    /// At most 4,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// At most 20 BCP 47 tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<String>>,
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// At most 20 lines of 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualifications: Option<Vec<String>>,
    /// 0 to 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experience_years: Option<u32>,
    /// An `https` address without credentials, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    /// Of a first visit.
    #[serde(default, deserialize_with = "objects::option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Zone of the doctor's calendar: the hours stay what they are on the clock, and become those of this zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// Required where the zone changes and appointments are still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointments: Option<KeptOfAppointments>,
    /// What is to have no value any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<Clearable>,
}

/// Something that a doctor offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub id: Id,
    pub doctor_id: Id,
    pub rev: u32,
    pub name: String,
    /// Length of an appointment.
    pub duration_minutes: u32,
    /// Distance of the starts that are offered.
    pub step_minutes: u32,
    /// The doctor's time kept free before each appointment.
    pub buffer_before_minutes: u32,
    /// The doctor's time kept free after each appointment.
    pub buffer_after_minutes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    pub requires_approval: bool,
    /// How long ahead of its start an appointment must be booked.
    pub min_notice_minutes: u32,
    /// How many days ahead an appointment may be booked.
    pub horizon_days: u32,
    /// Patients of one session; more than 1: a group.
    pub capacity: u32,
    /// Most sessions on a local date of the doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<u32>,
    /// Most sessions from Monday to Sunday, by the doctor's dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_limit: Option<u32>,
    /// How long before the start patients may cancel at the latest.
    pub cancel_cutoff_minutes: u32,
    /// How long before the start patients may move it at the latest.
    pub reschedule_cutoff_minutes: u32,
    /// Where it takes place, if not at the doctor's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where it takes place on line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    /// Whom it is for.
    pub patients: AllowedPatients,
    /// The rooms and devices that each session takes, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_ids: Vec<Id>,
    /// Archived services are kept for their appointments and cannot be booked.
    pub archived: bool,
}

/// Whom a service is for, by what has taken place between patient and doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AllowedPatients {
    Any,
    /// Those without a fulfilled visit.
    New,
    /// Those with one.
    Known,
}

/// A field of a service that may have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClearableTerm {
    Price,
    DailyLimit,
    WeeklyLimit,
}

/// `service.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceListRequest {
    pub doctor_id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `service.create`. Minutes are multiples of 5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceCreateRequest {
    pub doctor_id: Id,
    /// 1 to 100 characters.
    pub name: String,
    /// 5 to 720.
    pub duration_minutes: u32,
    /// 5 to 720; default: the duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_minutes: Option<u32>,
    /// 0 to 240; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_before_minutes: Option<u32>,
    /// 0 to 240; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_after_minutes: Option<u32>,
    #[serde(default, deserialize_with = "objects::option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// What patients book waits for the practice to agree; default `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    /// 0 to 43200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_notice_minutes: Option<u32>,
    /// 1 to 366; default 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_days: Option<u32>,
    /// Patients of one session, 1 to 50; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// 1 to 288; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<u32>,
    /// 1 to 2016; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_limit: Option<u32>,
    /// 0 to 43200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_cutoff_minutes: Option<u32>,
    /// 0 to 43200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reschedule_cutoff_minutes: Option<u32>,
    /// At most 200 characters; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// An `https` address without credentials, at most 500 characters; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    /// Default `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patients: Option<AllowedPatients>,
    /// Rooms and devices of `resource.list`, at most 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_ids: Option<Vec<Id>>,
}

/// `service.update`: fields that are absent stay as they are. Appointments that exist keep their times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceUpdateRequest {
    pub doctor_id: Id,
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_before_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_after_minutes: Option<u32>,
    #[serde(default, deserialize_with = "objects::option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// What patients book waits for the practice to agree; default `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_notice_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_days: Option<u32>,
    /// Patients of one session, 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// 1 to 288; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<u32>,
    /// 1 to 2016; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_limit: Option<u32>,
    /// 0 to 43200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_cutoff_minutes: Option<u32>,
    /// 0 to 43200; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reschedule_cutoff_minutes: Option<u32>,
    /// At most 200 characters; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// An `https` address without credentials, at most 500 characters; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    /// Default `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patients: Option<AllowedPatients>,
    /// Rooms and devices of `resource.list`, at most 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_ids: Option<Vec<Id>>,
    /// What is to have no value any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<ClearableTerm>,
}

/// `service.archive`: no longer offered; its appointments stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceArchiveRequest {
    pub doctor_id: Id,
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}

/// Day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Opening hours that repeat each week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeeklyRange {
    pub weekday: Weekday,
    /// Local time, a multiple of 5 minutes.
    pub from: LocalTime,
    /// Local time after `from` on the same day, a multiple of 5 minutes.
    pub to: LocalTime,
}

/// Opening hours within one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DayRange {
    pub from: LocalTime,
    pub to: LocalTime,
}

/// Hours of one date that replace the weekly ones; no ranges: closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    pub date: LocalDate,
    #[serde(deserialize_with = "objects::list")]
    pub ranges: Vec<DayRange>,
}

/// Weekly hours that replace the ordinary ones between two dates, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Season {
    pub from: LocalDate,
    /// Not before `from`.
    pub to: LocalDate,
    /// At most 100 ranges; those of one weekday do not overlap.
    #[serde(deserialize_with = "objects::list")]
    pub weekly: Vec<WeeklyRange>,
}

/// When a doctor receives patients, in local times of `timeZone`. On a date its override counts, if there is one; otherwise it is
/// closed on a public holiday of the calendars, and has the weekly hours of its season, or the ordinary ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    pub doctor_id: Id,
    pub rev: u32,
    pub time_zone: TimeZone,
    pub weekly: Vec<WeeklyRange>,
    pub overrides: Vec<Override>,
    #[serde(default)]
    pub seasons: Vec<Season>,
    /// Ids of `holidayCalendar.list`.
    #[serde(default)]
    pub holiday_calendars: Vec<String>,
}

/// `availability.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvailabilityGetRequest {
    pub doctor_id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `availability.set`: replaces the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvailabilitySetRequest {
    pub doctor_id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    pub time_zone: TimeZone,
    /// Required where the zone changes and appointments are still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointments: Option<KeptOfAppointments>,
    /// At most 100 ranges; those of one weekday do not overlap.
    #[serde(deserialize_with = "objects::list")]
    pub weekly: Vec<WeeklyRange>,
    /// At most 366 dates, each once.
    #[serde(default, deserialize_with = "objects::list")]
    pub overrides: Vec<Override>,
    /// At most 20, with 300 ranges together; no date is in two of them.
    #[serde(default, deserialize_with = "objects::list", skip_serializing_if = "Vec::is_empty")]
    pub seasons: Vec<Season>,
    /// Ids of `holidayCalendar.list`, at most 5: their holidays are closed, unless an override opens the date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holiday_calendars: Vec<String>,
}
