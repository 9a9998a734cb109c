//! Identifiers. Each kind has its own type, so that a patient is never passed where a doctor is meant.

use std::fmt;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A person with an account. A doctor is identified by the id of their account.
    UserId
}
id! {
    /// One log-in on one device.
    SessionId
}
id! {
    /// Something that a doctor offers.
    ServiceId
}
id! {
    /// Days on which a doctor is away.
    TimeOffId
}
id! {
    /// A room or a device that visits share.
    ResourceId
}
id! {
    /// A document of the appointments collection.
    AppointmentId
}
id! {
    /// Appointments that were booked together.
    SeriesId
}
id! {
    /// A review of a visit.
    ReviewId
}

/// A doctor: the id of the doctor's account.
pub type DoctorId = UserId;
/// A patient: the id of the patient's account.
pub type PatientId = UserId;

impl UserId {
    /// Hash bucket of the id, 0 to 255: what a `$match` on the change stream partitions by.
    #[must_use]
    pub fn bucket(self) -> u8 {
        self.0.as_bytes().iter().fold(0, |hash, byte| hash ^ byte.rotate_left(3).wrapping_mul(31))
    }
}
