//! What each live topic must contain, by the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::hours::{Standing, minutes};
use super::state::{ANY, Appointment, Model};

/// A topic, as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The appointments of a person.
    Mine(usize),
    /// What a person waits for.
    MyWaitlist(usize),
    /// Those who wait for a doctor.
    Waitlist(usize),
    /// Those of a doctor in a window.
    Calendar(usize, Window),
    Slots(usize, usize, Date),
    Doctor(usize),
    Reviews(usize),
}

/// Two dates, both included, and where they began and ended when they were asked for: that stays, whatever becomes of the doctor's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Date,
    to: Date,
    begin: Timestamp,
    end: Timestamp,
}

/// By their names.
pub type Items = BTreeMap<String, Arc<Value>>;

fn named(items: Vec<(String, Value)>) -> Items {
    items.into_iter().map(|(name, item)| (name, Arc::new(item))).collect()
}

impl Model {
    /// The calendar of a doctor between two dates.
    pub fn calendar_topic(&self, doctor: usize, from: Date, to: Date) -> Topic {
        let midnight = |date: Date| self.instant(doctor, date, jiff::civil::Time::midnight());
        Topic::Calendar(doctor, Window { from, to, begin: midnight(from), end: midnight(to + 1.day()) })
    }

    /// The same topic, if it is asked for now.
    pub fn anew(&self, topic: &Topic) -> Topic {
        match topic {
            Topic::Calendar(doctor, window) => self.calendar_topic(*doctor, window.from, window.to),
            other => other.clone(),
        }
    }

    /// The name of a topic, and the window that it is asked for with.
    pub fn subscription(&self, topic: &Topic) -> (String, Value) {
        let name = match topic {
            Topic::Mine(_) => "me/appointments".to_owned(),
            Topic::MyWaitlist(_) => "me/waitlist".to_owned(),
            Topic::Waitlist(doctor) => format!("doctors/{}/waitlist", self.doctor_id(*doctor)),
            Topic::Calendar(doctor, ..) => format!("doctors/{}/appointments", self.doctor_id(*doctor)),
            Topic::Slots(doctor, service, date) => {
                let service = &self.doctors[*doctor].services[*service].id;
                format!("doctors/{}/slots/{service}/{date}", self.doctor_id(*doctor))
            }
            Topic::Doctor(doctor) => format!("doctors/{}", self.doctor_id(*doctor)),
            Topic::Reviews(doctor) => format!("doctors/{}/reviews", self.doctor_id(*doctor)),
        };
        let mut request = json!({ "topic": name });
        if let Topic::Calendar(_, window) = topic {
            request["from"] = json!(window.from.to_string());
            request["to"] = json!(window.to.to_string());
        }
        (name, request)
    }

    /// The items of a topic, by their names.
    pub fn items(&self, topic: &Topic) -> Items {
        match topic {
            Topic::Mine(person) => self.mine(*person),
            Topic::MyWaitlist(person) => named(self.open_waits(|wait| wait.patient == *person)),
            Topic::Waitlist(doctor) => named(self.open_waits(|wait| wait.doctor == *doctor)),
            Topic::Calendar(doctor, window) => self.calendar(*doctor, window),
            Topic::Slots(doctor, service, date) => self.slots(*doctor, *service, *date),
            Topic::Doctor(doctor) => {
                let mut item = self.profile(*doctor);
                item["services"] = json!(self.services(*doctor));
                // See `compare_topic`.
                item["rev"] = json!(ANY);
                Items::from([(self.doctor_id(*doctor).to_owned(), Arc::new(item))])
            }
            Topic::Reviews(doctor) => {
                let shown = self.reviews.iter().filter(|review| review.doctor == *doctor && review.hidden.is_none());
                shown.map(|review| (review.id.clone(), Arc::new(self.review(review)))).collect()
            }
        }
    }

    fn mine(&self, person: usize) -> Items {
        let id = self.id_of(person);
        let own = self.appointments.iter().filter(|one| match one.status {
            "held" => one.holder == Some(person),
            "expired" => false,
            _ => one.patient == id,
        });
        own.map(|one| (one.id.clone(), one.wire.clone())).collect()
    }

    fn calendar(&self, doctor: usize, window: &Window) -> Items {
        let is_within = |one: &&Appointment| one.start < window.end && one.end > window.begin;
        let of_doctor = self.appointments.iter().filter(|one| one.doctor == doctor && one.status != "expired");
        of_doctor.filter(is_within).map(|one| (one.id.clone(), one.wire.clone())).collect()
    }

    fn slots(&self, doctor: usize, service: usize, date: Date) -> Items {
        let one = &self.doctors[doctor].services[service];
        let mut items = Items::new();
        for slot in self.offered(doctor, service, date) {
            let (status, until): (_, Option<Timestamp>) = match slot.standing {
                Standing::Free => ("free", None),
                Standing::Held(until) => ("held", Some(until)),
                Standing::Taken => continue,
            };
            let mut item = json!({
                "start": slot.start.to_string(), "end": slot.end.to_string(), "status": status,
                "bookableFrom": (slot.start - minutes(one.horizon * 24 * 60)).to_string(),
                "bookableUntil": (slot.start - minutes(one.notice)).to_string(),
            });
            if let Some(left) = slot.seats_left {
                item["seatsLeft"] = json!(left);
            }
            if let Some(until) = until {
                item["heldUntil"] = json!(until.to_string());
            }
            items.insert(slot.start.to_string(), Arc::new(item));
        }
        items
    }

    /// Whether a topic has what it must have.
    ///
    /// # Errors
    /// What is different.
    pub fn compare_topic(
        &self,
        topic: &Topic,
        actual: &BTreeMap<String, Value>,
        expected: &Items,
    ) -> Result<(), String> {
        for (name, item) in expected {
            match actual.get(name) {
                None => return Err(format!("{topic:?} lacks {item}")),
                Some(found) => Self::compare(found, item).map_err(|error| format!("{topic:?}: {error}"))?,
            }
        }
        if let Some((_, item)) = actual.iter().find(|(name, _)| !expected.contains_key(*name)) {
            return Err(format!("{topic:?} has what it should not have: {item}"));
        }
        if let Topic::Doctor(doctor) = topic {
            // What is not shown raises the revision, and is not told.
            let one = &self.doctors[*doctor];
            let rev = actual[self.doctor_id(*doctor)]["rev"].as_u64().unwrap_or_default();
            if !(u64::from(one.shown_rev)..=u64::from(one.rev)).contains(&rev) {
                return Err(format!("{topic:?} is at revision {rev}, not at {} to {}", one.shown_rev, one.rev));
            }
        }
        Ok(())
    }
}
