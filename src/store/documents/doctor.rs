//! Documents of the doctors collection: profile, rules and services in one, so that a revision is a whole calendar.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use mongodb::bson::{DateTime, Uuid};
use serde::{Deserialize, Serialize};

use super::{Remembered, Undecodable, int};
use crate::domain::doctor::{
    Approval, Availability, Doctor, HistoryEntry, LocalRange, Patients, Profile, Rating, Season, Service, Terms,
};
use crate::domain::history::Actor;
use crate::domain::holidays::HolidayCalendar;
use crate::domain::ids::{ResourceId, ServiceId, SessionId, TimeOffId, UserId};
use crate::domain::listing::{self, Sort};
use crate::domain::tick::Tick;
use crate::domain::time_off::TimeOff;
use crate::store::value::{bson_id, bson_time, instant, uuid_of};

/// A doctor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoctorDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub bucket: i32,
    pub rev: i32,
    pub name: String,
    pub approval: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialisation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    pub languages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qualifications: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experience_years: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_minor: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    pub rating_sum: i64,
    pub rating_count: i64,
    pub availability_rev: i32,
    pub time_zone: String,
    pub weekly: Vec<WeeklyDoc>,
    pub overrides: Vec<OverrideDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seasons: Vec<SeasonDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holiday_calendars: Vec<String>,
    pub services: Vec<ServiceDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub time_off: Vec<RuleOfTimeOffDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staff: Vec<Uuid>,
    pub updated_at: DateTime,
    /// How the doctor is found; absent unless approved. Written and never read: left out by the feed, as are `history`
    /// and `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<ListingDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<DoctorHistoryDoc>,
    #[serde(default)]
    pub keys: Vec<Remembered>,
}

/// What the indexes of a search are on, see [`crate::domain::listing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListingDoc {
    pub facets: Vec<String>,
    pub name: String,
    pub rating: String,
    pub price: String,
    pub experience: String,
}

/// An entry of a doctor's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorHistoryDoc {
    pub rev: i32,
    pub action: String,
    pub by: Uuid,
    pub session: Uuid,
    pub at: DateTime,
}

/// Weekly hours: weekday 1 (Monday) to 7, minutes of the local day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeeklyDoc {
    pub weekday: i32,
    pub from: i32,
    pub to: i32,
}

/// Weekly hours between two dates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeasonDoc {
    /// `2026-12-01`, as is `to`; both included.
    pub from: String,
    pub to: String,
    /// Weekday 1 (Monday) to 7, minutes of the local day.
    pub weekly: Vec<(i32, i32, i32)>,
}

/// A time off, from a tick until another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleOfTimeOffDoc {
    pub id: Uuid,
    pub rev: i32,
    pub from: i32,
    pub to: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Hours of one date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverrideDoc {
    /// `2026-12-01`
    pub date: String,
    /// Minutes of the local day.
    pub ranges: Vec<(i32, i32)>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDoc {
    pub id: Uuid,
    pub rev: i32,
    pub name: String,
    pub duration_minutes: i32,
    pub step_minutes: i32,
    pub buffer_before_minutes: i32,
    pub buffer_after_minutes: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_minor: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    pub min_notice_minutes: i32,
    pub horizon_days: i32,
    pub requires_approval: bool,
    pub capacity: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_limit: Option<i32>,
    pub cancel_cutoff_minutes: i32,
    pub reschedule_cutoff_minutes: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    pub patients: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Uuid>,
    pub archived: bool,
}

impl DoctorDoc {
    /// The document of a doctor.
    #[must_use]
    pub fn from_domain(doctor: &Doctor, keys: Vec<Remembered>) -> Self {
        let Availability { rev, weekly, overrides, seasons, holiday_calendars, .. } = &doctor.availability;
        Self {
            id: bson_id(doctor.id.0),
            bucket: i32::from(doctor.id.bucket()),
            rev: int(doctor.rev),
            name: doctor.name.clone(),
            approval: doctor.approval.as_str().to_owned(),
            specialisation: doctor.profile.specialisation.clone(),
            bio: doctor.profile.bio.clone(),
            languages: doctor.profile.languages.clone(),
            address: doctor.profile.address.clone(),
            qualifications: doctor.profile.qualifications.clone(),
            experience_years: doctor.profile.experience_years.map(int),
            photo_url: doctor.profile.photo_url.clone(),
            price_minor: doctor.profile.price.as_ref().map(|(minor, _)| *minor),
            currency: doctor.profile.price.as_ref().map(|(_, currency)| currency.clone()),
            rating_sum: i64::from(doctor.rating.sum),
            rating_count: i64::from(doctor.rating.count),
            availability_rev: int(*rev),
            time_zone: doctor.zone_name().to_owned(),
            weekly: weekly
                .iter()
                .map(|(weekday, range)| WeeklyDoc {
                    weekday: i32::from(weekday.to_monday_one_offset()),
                    from: minutes(range.from),
                    to: minutes(range.to),
                })
                .collect(),
            overrides: overrides
                .iter()
                .map(|(date, ranges)| OverrideDoc {
                    date: date.to_string(),
                    ranges: ranges.iter().map(|range| (minutes(range.from), minutes(range.to))).collect(),
                })
                .collect(),
            seasons: seasons.iter().map(SeasonDoc::from_domain).collect(),
            holiday_calendars: holiday_calendars.iter().map(|calendar| calendar.id().to_owned()).collect(),
            services: doctor.services.iter().map(ServiceDoc::from_domain).collect(),
            time_off: doctor.time_off.iter().map(RuleOfTimeOffDoc::from_domain).collect(),
            staff: doctor.staff.iter().map(|person| bson_id(person.0)).collect(),
            updated_at: bson_time(doctor.updated_at),
            listing: ListingDoc::of(doctor),
            history: doctor.history.iter().map(DoctorHistoryDoc::from_domain).collect(),
            keys,
        }
    }

    /// The doctor of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<Doctor, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        Ok(Doctor {
            id: UserId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            name: self.name.clone(),
            approval: Approval::named(&self.approval).ok_or_else(|| bad("approval"))?,
            profile: Profile {
                specialisation: self.specialisation.clone(),
                bio: self.bio.clone(),
                languages: self.languages.clone(),
                address: self.address.clone(),
                qualifications: self.qualifications.clone(),
                experience_years: self
                    .experience_years
                    .map(u32::try_from)
                    .transpose()
                    .map_err(|_| bad("experienceYears"))?,
                photo_url: self.photo_url.clone(),
                price: self.price_minor.zip(self.currency.clone()),
            },
            rating: Rating {
                sum: u32::try_from(self.rating_sum).map_err(|_| bad("ratingSum"))?,
                count: u32::try_from(self.rating_count).map_err(|_| bad("ratingCount"))?,
            },
            availability: self.availability().ok_or_else(|| bad("availability"))?,
            services: self
                .services
                .iter()
                .map(ServiceDoc::to_domain)
                .collect::<Option<_>>()
                .ok_or_else(|| bad("services"))?,
            time_off: self
                .time_off
                .iter()
                .map(RuleOfTimeOffDoc::to_domain)
                .collect::<Option<_>>()
                .ok_or_else(|| bad("timeOff"))?,
            staff: self.staff.iter().map(|person| UserId(uuid_of(*person))).collect(),
            history: self
                .history
                .iter()
                .map(DoctorHistoryDoc::to_domain)
                .collect::<Option<_>>()
                .ok_or_else(|| bad("history"))?,
            updated_at: instant(self.updated_at).map_err(|_| bad("updatedAt"))?,
        })
    }

    fn availability(&self) -> Option<Availability> {
        let weekly = self.weekly.iter().map(|range| weekly_range(range.weekday, range.from, range.to));
        let overrides = self.overrides.iter().map(|day| {
            let ranges = day.ranges.iter().map(|(from, to)| local_range(*from, *to));
            Some((day.date.parse::<Date>().ok()?, ranges.collect::<Option<_>>()?))
        });
        Some(Availability {
            rev: u32::try_from(self.availability_rev).ok()?,
            time_zone: TimeZone::get(&self.time_zone).ok()?,
            weekly: weekly.collect::<Option<_>>()?,
            overrides: overrides.collect::<Option<_>>()?,
            seasons: self.seasons.iter().map(SeasonDoc::to_domain).collect::<Option<_>>()?,
            holiday_calendars: self
                .holiday_calendars
                .iter()
                .map(|id| HolidayCalendar::named(id))
                .collect::<Option<_>>()?,
        })
    }
}

impl RuleOfTimeOffDoc {
    fn from_domain(off: &TimeOff) -> Self {
        Self { id: bson_id(off.id.0), rev: int(off.rev), from: off.from.0, to: off.to.0, reason: off.reason.clone() }
    }

    fn to_domain(&self) -> Option<TimeOff> {
        Some(TimeOff {
            id: TimeOffId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).ok()?,
            from: Tick(self.from),
            to: Tick(self.to),
            reason: self.reason.clone(),
        })
    }
}

impl SeasonDoc {
    fn from_domain(season: &Season) -> Self {
        let weekly = season.weekly.iter().map(|(weekday, range)| {
            (i32::from(weekday.to_monday_one_offset()), minutes(range.from), minutes(range.to))
        });
        Self { from: season.from.to_string(), to: season.to.to_string(), weekly: weekly.collect() }
    }

    fn to_domain(&self) -> Option<Season> {
        let weekly = self.weekly.iter().map(|(weekday, from, to)| weekly_range(*weekday, *from, *to));
        Some(Season {
            from: self.from.parse().ok()?,
            to: self.to.parse().ok()?,
            weekly: weekly.collect::<Option<_>>()?,
        })
    }
}

impl ListingDoc {
    fn of(doctor: &Doctor) -> Option<Self> {
        let key = |sort| listing::sort_key(doctor, sort);
        Some(Self {
            facets: listing::facets(doctor)?,
            name: key(Sort::Name),
            rating: key(Sort::Rating),
            price: key(Sort::Price),
            experience: key(Sort::Experience),
        })
    }
}

impl DoctorDoc {
    /// The rooms and devices of all services.
    pub fn resources(&self) -> impl Iterator<Item = Uuid> {
        self.services.iter().flat_map(|service| &service.resources).copied()
    }
}

impl DoctorHistoryDoc {
    pub(super) fn from_domain(entry: &HistoryEntry) -> Self {
        Self {
            rev: int(entry.rev),
            action: entry.action.clone(),
            by: bson_id(entry.by.user.0),
            session: bson_id(entry.by.session.0),
            at: bson_time(entry.at),
        }
    }

    pub(super) fn to_domain(&self) -> Option<HistoryEntry> {
        Some(HistoryEntry {
            rev: u32::try_from(self.rev).ok()?,
            action: self.action.clone(),
            by: Actor { user: UserId(uuid_of(self.by)), session: SessionId(uuid_of(self.session)) },
            at: instant(self.at).ok()?,
        })
    }
}

impl ServiceDoc {
    fn from_domain(service: &Service) -> Self {
        Self {
            id: bson_id(service.id.0),
            rev: int(service.rev),
            name: service.name.clone(),
            duration_minutes: service.duration_minutes,
            step_minutes: service.step_minutes,
            buffer_before_minutes: service.buffer_before_minutes,
            buffer_after_minutes: service.buffer_after_minutes,
            price_minor: service.price.as_ref().map(|(minor, _)| *minor),
            currency: service.price.as_ref().map(|(_, currency)| currency.clone()),
            min_notice_minutes: service.min_notice_minutes,
            horizon_days: service.horizon_days,
            requires_approval: service.terms.requires_approval,
            capacity: service.terms.capacity,
            daily_limit: service.terms.daily_limit,
            weekly_limit: service.terms.weekly_limit,
            cancel_cutoff_minutes: service.terms.cancel_cutoff_minutes,
            reschedule_cutoff_minutes: service.terms.reschedule_cutoff_minutes,
            location: service.terms.location.clone(),
            video_url: service.terms.video_url.clone(),
            patients: service.terms.patients.as_str().to_owned(),
            resources: service.terms.resources.iter().map(|resource| bson_id(resource.0)).collect(),
            archived: service.archived,
        }
    }

    fn to_domain(&self) -> Option<Service> {
        Some(Service {
            id: ServiceId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).ok()?,
            name: self.name.clone(),
            duration_minutes: self.duration_minutes,
            step_minutes: self.step_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            price: self.price_minor.zip(self.currency.clone()),
            min_notice_minutes: self.min_notice_minutes,
            horizon_days: self.horizon_days,
            terms: Terms {
                requires_approval: self.requires_approval,
                capacity: self.capacity,
                daily_limit: self.daily_limit,
                weekly_limit: self.weekly_limit,
                cancel_cutoff_minutes: self.cancel_cutoff_minutes,
                reschedule_cutoff_minutes: self.reschedule_cutoff_minutes,
                location: self.location.clone(),
                video_url: self.video_url.clone(),
                patients: Patients::named(&self.patients)?,
                resources: self.resources.iter().map(|resource| ResourceId(uuid_of(*resource))).collect(),
            },
            archived: self.archived,
        })
    }
}

fn weekly_range(weekday: i32, from: i32, to: i32) -> Option<(Weekday, LocalRange)> {
    let weekday = Weekday::from_monday_one_offset(i8::try_from(weekday).ok()?).ok()?;
    Some((weekday, local_range(from, to)?))
}

fn local_range(from: i32, to: i32) -> Option<LocalRange> {
    Some(LocalRange { from: time_of_day(from)?, to: time_of_day(to)? })
}

fn time_of_day(minutes: i32) -> Option<Time> {
    Time::new(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0).ok()
}

fn minutes(time: Time) -> i32 {
    i32::from(time.hour()) * 60 + i32::from(time.minute())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::doctor::STAFF_LIMIT;
    use crate::domain::history::HISTORY_LIMIT;
    use crate::store::idempotency::Request;

    /// Longest texts, in words of an ordinary length.
    fn prose(length: usize) -> String {
        (0..length).map(|at| if at % 9 == 8 { ' ' } else { char::from(b'a' + (at * at / 9 % 26) as u8) }).collect()
    }

    #[test]
    fn a_doctor_who_says_all_that_they_may_fits_and_is_read_back() {
        let user = UserId(uuid::Uuid::from_u128(9));
        let by = Actor { user, session: SessionId(uuid::Uuid::from_u128(8)) };
        let at = Timestamp::UNIX_EPOCH;
        let doctor = Doctor {
            id: user,
            rev: 7,
            name: prose(100),
            approval: Approval::Approved,
            profile: Profile {
                specialisation: Some(prose(100)),
                qualifications: (0..20).map(|line| format!("{line} {}", prose(197))).collect(),
                experience_years: Some(80),
                bio: Some(prose(4_000)),
                languages: (0..20).map(|number| format!("es-x-{number}")).collect(),
                address: Some(prose(200)),
                photo_url: Some(format!("https://fotos.example/{}", "x".repeat(478))),
                price: Some((i64::MAX, "COP".to_owned())),
            },
            rating: Rating { sum: 9, count: 2 },
            availability: Availability::closed(TimeZone::UTC),
            services: Vec::new(),
            time_off: Vec::new(),
            staff: vec![user; STAFF_LIMIT],
            history: vec![HistoryEntry { rev: 7, action: "availability.set".to_owned(), by, at }; HISTORY_LIMIT],
            updated_at: at,
        };
        let operation = "availability.set";
        let request =
            Request { user, session: by.session, operation, key: uuid::Uuid::max(), fingerprint: [7; 32], at };
        let keys = (0..64).fold(Vec::new(), |keys, _| request.remember(&keys, None));
        let document = DoctorDoc::from_domain(&doctor, keys);
        let bytes = mongodb::bson::serialize_to_vec(&document).expect("a document");
        assert!(bytes.len() < 56 * 1024, "{} bytes leave no room for services and hours", bytes.len());
        let read: DoctorDoc = mongodb::bson::deserialize_from_slice(&bytes).expect("the same");
        assert_eq!(read, document);
        assert_eq!(read.to_domain().expect("a doctor"), doctor);
    }
}
