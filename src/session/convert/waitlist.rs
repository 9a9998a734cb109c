//! From the domain to the wire: those who wait.

use cita_protocol::value::TimeZone;
use cita_protocol::waitlist::{WaitlistEntry as WireEntry, WaitlistOffer, WaitlistStatus, WaitlistTimes};

use super::hours::{time as local_time, weekday};
use super::{id, instant};
use crate::domain::waitlist::{Offer, WaitStatus, WaitlistEntry};

/// An entry as its patient, its doctor, their staff and admins see it.
pub fn waitlist_entry(entry: &WaitlistEntry) -> WireEntry {
    WireEntry {
        id: id(entry.id.0),
        rev: entry.rev,
        status: status(entry.status),
        doctor_id: id(entry.doctor_id.0),
        doctor_name: entry.doctor_name.clone(),
        patient_id: id(entry.patient_id.0),
        patient_name: entry.patient_name.clone(),
        service_id: id(entry.service_id.0),
        service_name: entry.service_name.clone(),
        from: entry.wish.from.to_string().into(),
        to: entry.wish.to.to_string().into(),
        times: entry
            .wish
            .times
            .as_ref()
            .map(|times| WaitlistTimes { from: local_time(times.from), to: local_time(times.to) }),
        weekdays: entry.wish.weekdays.iter().map(|day| weekday(*day)).collect(),
        time_zone: TimeZone(entry.time_zone.clone()),
        joined_at: instant(entry.joined_at),
        updated_at: instant(entry.updated_at),
        offer: entry.offer.as_ref().map(offer),
        appointment_id: entry.appointment.map(|appointment| id(appointment.0)),
    }
}

fn offer(offer: &Offer) -> WaitlistOffer {
    WaitlistOffer {
        hold_id: id(offer.hold.0),
        start: instant(offer.start),
        end: instant(offer.end),
        expires_at: instant(offer.until),
    }
}

fn status(status: WaitStatus) -> WaitlistStatus {
    match status {
        WaitStatus::Waiting => WaitlistStatus::Waiting,
        WaitStatus::Offered => WaitlistStatus::Offered,
        WaitStatus::Fulfilled => WaitlistStatus::Fulfilled,
        WaitStatus::Left => WaitlistStatus::Left,
        WaitStatus::Expired => WaitlistStatus::Expired,
    }
}

/// The domain's word for a status of the wire.
pub fn wait_status_of(status: WaitlistStatus) -> WaitStatus {
    match status {
        WaitlistStatus::Waiting => WaitStatus::Waiting,
        WaitlistStatus::Offered => WaitStatus::Offered,
        WaitlistStatus::Fulfilled => WaitStatus::Fulfilled,
        WaitlistStatus::Left => WaitStatus::Left,
        WaitlistStatus::Expired => WaitStatus::Expired,
    }
}
