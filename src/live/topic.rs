//! The names of topics.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::ids::{DoctorId, ServiceId, UserId};

/// What can be watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The slots of a service on a local date of the doctor.
    Slots { doctor: DoctorId, service: ServiceId, date: Date },
    /// The appointments of a doctor that lie in a window.
    Calendar { doctor: DoctorId, window: (Timestamp, Timestamp) },
    /// What a doctor shows to the public.
    Doctor { doctor: DoctorId },
    /// The published reviews of a doctor.
    Reviews { doctor: DoctorId },
    /// Who waits for a doctor.
    Waitlist { doctor: DoctorId },
    /// What a person waits for.
    MyWaitlist { user: UserId },
    /// The appointments of a patient.
    MyAppointments { user: UserId },
    /// The sessions of a user.
    MySessions { user: UserId },
}

/// A topic as it is named in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Slots { doctor: DoctorId, service: ServiceId, date: Option<Date> },
    Calendar { doctor: DoctorId },
    Doctor { doctor: DoctorId },
    Reviews { doctor: DoctorId },
    Waitlist { doctor: DoctorId },
    MyAppointments,
    MyWaitlist,
    MySessions,
}

/// What kind of topic it is, whoever it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Slots,
    Calendar,
    Doctor,
    Reviews,
    Waitlist,
    MyWaitlist,
    MyAppointments,
    MySessions,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Slots,
        Self::Calendar,
        Self::Doctor,
        Self::Reviews,
        Self::Waitlist,
        Self::MyWaitlist,
        Self::MyAppointments,
        Self::MySessions,
    ];

    /// Its name in measurements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Calendar => "calendar",
            Self::Doctor => "doctor",
            Self::Reviews => "reviews",
            Self::Waitlist => "waitlist",
            Self::MyWaitlist => "my_waitlist",
            Self::MyAppointments => "my_appointments",
            Self::MySessions => "my_sessions",
        }
    }
}

impl Topic {
    /// Its class.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Slots { .. } => Class::Slots,
            Self::Calendar { .. } => Class::Calendar,
            Self::Doctor { .. } => Class::Doctor,
            Self::Reviews { .. } => Class::Reviews,
            Self::Waitlist { .. } => Class::Waitlist,
            Self::MyWaitlist { .. } => Class::MyWaitlist,
            Self::MyAppointments { .. } => Class::MyAppointments,
            Self::MySessions { .. } => Class::MySessions,
        }
    }
}

impl Name {
    /// The doctor whose topic it is.
    #[must_use]
    pub fn doctor(self) -> Option<DoctorId> {
        match self {
            Self::Slots { doctor, .. }
            | Self::Calendar { doctor }
            | Self::Doctor { doctor }
            | Self::Reviews { doctor }
            | Self::Waitlist { doctor } => Some(doctor),
            Self::MyAppointments | Self::MyWaitlist | Self::MySessions => None,
        }
    }

    /// Reads a name; `None` for what is no topic.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split('/').collect::<Vec<_>>()[..] {
            ["me", "appointments"] => Some(Self::MyAppointments),
            ["me", "waitlist"] => Some(Self::MyWaitlist),
            ["me", "sessions"] => Some(Self::MySessions),
            ["doctors", doctor] => Some(Self::Doctor { doctor: UserId(id(doctor)?) }),
            ["doctors", doctor, "reviews"] => Some(Self::Reviews { doctor: UserId(id(doctor)?) }),
            ["doctors", doctor, "waitlist"] => Some(Self::Waitlist { doctor: UserId(id(doctor)?) }),
            ["doctors", doctor, "appointments"] => Some(Self::Calendar { doctor: UserId(id(doctor)?) }),
            ["doctors", doctor, "slots", service] => {
                Some(Self::Slots { doctor: UserId(id(doctor)?), service: ServiceId(id(service)?), date: None })
            }
            ["doctors", doctor, "slots", service, date] => {
                let date = (date.len() == 10).then(|| date.parse().ok()).flatten()?;
                Some(Self::Slots { doctor: UserId(id(doctor)?), service: ServiceId(id(service)?), date: Some(date) })
            }
            _ => None,
        }
    }
}

/// Ids are lower-case UUIDs with hyphens, so that a topic has one name.
fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text)
}

/// The name that frames of the topic carry.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots { doctor, service, date } => write!(f, "doctors/{doctor}/slots/{service}/{date}"),
            Self::Calendar { doctor, .. } => write!(f, "doctors/{doctor}/appointments"),
            Self::Doctor { doctor } => write!(f, "doctors/{doctor}"),
            Self::Reviews { doctor } => write!(f, "doctors/{doctor}/reviews"),
            Self::Waitlist { doctor } => write!(f, "doctors/{doctor}/waitlist"),
            Self::MyAppointments { .. } => f.write_str("me/appointments"),
            Self::MyWaitlist { .. } => f.write_str("me/waitlist"),
            Self::MySessions { .. } => f.write_str("me/sessions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_nothing_else() {
        let doctor = UserId(Uuid::from_u128(0xA1));
        let service = ServiceId(Uuid::from_u128(0xB2));
        let date: Date = "2026-12-01".parse().expect("a date");
        let topic = Topic::Slots { doctor, service, date }.to_string();
        assert_eq!(Name::parse(&topic), Some(Name::Slots { doctor, service, date: Some(date) }));
        assert_eq!(Name::parse(&Topic::Doctor { doctor }.to_string()), Some(Name::Doctor { doctor }));
        assert_eq!(Name::parse(&Topic::Reviews { doctor }.to_string()), Some(Name::Reviews { doctor }));
        assert_eq!(Name::parse(&Topic::Waitlist { doctor }.to_string()), Some(Name::Waitlist { doctor }));
        assert_eq!(Name::parse("me/waitlist"), Some(Name::MyWaitlist));
        assert_eq!(Name::parse("me/appointments"), Some(Name::MyAppointments));
        assert_eq!(Name::parse("me/sessions"), Some(Name::MySessions));
        for wrong in [
            "",
            "/",
            "me",
            "me/appointments/",
            "*",
            "doctors",
            "doctors/",
            "doctors/*",
            "doctors/*/appointments",
            "doctors//appointments",
            &topic.to_uppercase(),
            &format!("{topic}/"),
            &topic.replace("2026-12-01", "2026-12-1"),
            &topic.replace("2026-12-01", "2026-02-30"),
            "doctors/{000000000000000000000000000000a1}/appointments",
        ] {
            assert_eq!(Name::parse(wrong), None, "{wrong}");
        }
    }
}
