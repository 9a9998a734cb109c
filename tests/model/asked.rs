//! From a step to a request: who and what is meant, as things stand, and the data that is sent.

use jiff::Timestamp;
use jiff::civil::Time;
use serde_json::{Value, json};

use super::hours::{DAYS, hours, part};
use super::rooms::{MOST_ROOMS, change_of_room, kind_of_room};
use super::series::RULES;
use super::services::{MOST, change, kind_of_service};
use super::state::{Appointment, Model, Role};
use super::step::{Act, Deed, Keep, Pick, Rev, Slot, Who, Whom};
use super::waiting::wish;
use super::zones::ZONES;

/// A request of a script.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Place among the people; `None`: who has not logged in.
    pub who: Option<usize>,
    pub node: usize,
    /// Through REST, not the WebSocket.
    pub rest: bool,
    pub deed: Deed,
    pub op: &'static str,
    pub data: Value,
    /// Of a mutation.
    pub key: Option<String>,
    /// The appointment, review or time off that it is about, by its place.
    pub which: Option<usize>,
    /// The doctor, the service and the start that it is about.
    pub slot: (usize, usize, Timestamp),
    /// For whom: an account, or a walk-in.
    pub patient: Patient,
    pub rev: Option<u32>,
}

/// For whom something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patient {
    Unsaid,
    Named(usize),
    WalkIn,
}

impl Model {
    /// What a step asks, as things stand. `None`: there is nothing that it could be about.
    pub fn asks(&self, act: &Act, key: String) -> Option<Asked> {
        let deed = &act.deed;
        let which = match deed {
            Deed::CreateService { doctor, .. } if self.doctors[doctor % 2].services.len() >= MOST => return None,
            Deed::CreateResource { .. } if self.rooms.len() >= MOST_ROOMS => return None,
            Deed::UpdateResource { which, .. } | Deed::ArchiveResource { which, .. } => {
                Some(nth(self.rooms.len(), *which)?)
            }
            Deed::EndTimeOff { doctor, which, .. } => Some(nth(self.doctors[doctor % 2].off.len(), *which)?),
            Deed::EditReview { which, .. }
            | Deed::ReplyToReview { which, .. }
            | Deed::ReportReview { which }
            | Deed::HideReview { which, .. }
            | Deed::RestoreReview { which, .. } => Some(nth(self.reviews.len(), *which)?),
            _ => match picked(deed) {
                Some(pick) if is_of_waitlist(deed) => Some(self.picked_wait(deed, pick)?),
                Some(pick) => Some(self.picked(deed, pick)?),
                None => None,
            },
        };
        let slot = self.slot_of(deed, which);
        let who = self.who(act.who, deed, which, slot.0);
        let patient = match whom(deed) {
            Whom::Unsaid => Patient::Unsaid,
            Whom::WalkIn => Patient::WalkIn,
            Whom::Named(whom) => self.who(whom, deed, which, slot.0).map_or(Patient::Unsaid, Patient::Named),
        };
        let present = self.rev_of(deed, which, slot);
        let rev = match rev(deed) {
            Rev::Unsaid => None,
            Rev::Present => present,
            Rev::Stale => present.map(|rev| rev + 7),
        };
        let mut asked = Asked {
            who,
            node: act.node % 2,
            rest: act.rest,
            deed: deed.clone(),
            op: op(deed),
            data: Value::Null,
            key: (!deed.is_read()).then_some(key),
            which,
            slot,
            patient,
            rev,
        };
        asked.data = self.data(&asked);
        Some(asked)
    }

    fn who(&self, who: Who, deed: &Deed, which: Option<usize>, doctor: usize) -> Option<usize> {
        let review = || which.filter(|_| is_of_review(deed)).map(|which| &self.reviews[which]);
        let wait = || which.filter(|_| is_of_waitlist(deed)).map(|which| &self.waiting[which]);
        let is_of_one = picked(deed).is_some() && !is_of_waitlist(deed);
        let appointment = || which.filter(|_| is_of_one).map(|which| &self.appointments[which]);
        let its_doctor = self.doctors[doctor].person;
        match who {
            Who::Paula => Some(0),
            Who::Pedro => Some(1),
            Who::Pilar => Some(2),
            Who::Daniela => Some(3),
            Who::Diego => Some(4),
            Who::Rocio => Some(5),
            Who::Ana => Some(6),
            Who::Nobody => None,
            Who::ItsDoctor => Some(its_doctor),
            Who::ItsPatient => match (review(), appointment(), wait()) {
                (Some(review), ..) => Some(review.author),
                (_, _, Some(wait)) => Some(wait.patient),
                (_, Some(one), _) => Some(self.person_with(&one.patient).unwrap_or(its_doctor)),
                _ => Some(0),
            },
            Who::ItsHolder => Some(appointment().and_then(|one| one.holder).unwrap_or(its_doctor)),
        }
    }

    /// The place of the appointment that is meant.
    fn picked(&self, deed: &Deed, pick: Pick) -> Option<usize> {
        // Of what was offered and answered in one moment, nobody knows the id.
        let all: Vec<usize> =
            (0..self.appointments.len()).filter(|place| !self.appointments[*place].id.is_empty()).collect();
        let fits: Vec<usize> = all.iter().copied().filter(|place| fits(deed, &self.appointments[*place])).collect();
        let (from, number) = match pick {
            Pick::Fit(number) if !fits.is_empty() => (fits, number),
            Pick::Fit(number) | Pick::Any(number) => (all, number),
        };
        nth(from.len(), number).map(|place| from[place])
    }

    /// The place of the entry of a waitlist that is meant.
    fn picked_wait(&self, deed: &Deed, pick: Pick) -> Option<usize> {
        let all: Vec<usize> = (0..self.waiting.len()).collect();
        let fits = |place: &usize| match deed {
            Deed::LeaveWaitlist { .. } => self.waiting[*place].is_open(),
            _ => self.waiting[*place].status == "offered",
        };
        let fitting: Vec<usize> = all.iter().copied().filter(fits).collect();
        let (from, number) = match pick {
            Pick::Fit(number) if !fitting.is_empty() => (fitting, number),
            Pick::Fit(number) | Pick::Any(number) => (all, number),
        };
        nth(from.len(), number).map(|place| from[place])
    }

    fn slot_of(&self, deed: &Deed, which: Option<usize>) -> (usize, usize, Timestamp) {
        let at = |doctor: usize, service: usize, day: usize, time: &str| {
            let time: Time = time.parse().expect("a time of day");
            (doctor, service, self.instant(doctor, self.date(doctor, day), time))
        };
        let of = |which: Option<usize>| {
            let one = &self.appointments[which.expect("what it is about is known")];
            (one.doctor, one.service, one.start)
        };
        match deed {
            Deed::Hold { at: slot, .. }
            | Deed::Book { at: slot, .. }
            | Deed::BookSeries { at: slot, .. }
            | Deed::Explain { at: slot }
            | Deed::Preview { at: slot, .. } => {
                let Slot { doctor, service, day, time } = slot;
                at(doctor % 2, service % self.doctors[doctor % 2].services.len(), *day, time)
            }
            Deed::Reschedule { day, time, .. } | Deed::MoveSeries { day, time, .. } => {
                let (doctor, service, _) = of(which);
                at(doctor, service, *day, time)
            }
            Deed::Search { doctor, service, day, .. } => {
                at(doctor % 2, service % self.doctors[doctor % 2].services.len(), *day, "08:00")
            }
            Deed::JoinWaitlist { doctor, service, day, .. } => {
                at(doctor % 2, service % self.doctors[doctor % 2].services.len(), *day, "08:00")
            }
            Deed::SearchDoctors { day, .. } => at(0, 0, *day, "08:00"),
            Deed::ListWaitlist { doctor } => at(doctor.unwrap_or(0) % 2, 0, 0, "08:00"),
            _ if is_of_waitlist(deed) => {
                let wait = &self.waiting[which.expect("what it is about is known")];
                at(wait.doctor, wait.service, 0, "08:00")
            }
            Deed::UpdateService { doctor, service, .. } | Deed::ArchiveService { doctor, service, .. } => {
                at(doctor % 2, service % self.doctors[doctor % 2].services.len(), 0, "08:00")
            }
            Deed::SetHours { doctor, .. }
            | Deed::CreateService { doctor, .. }
            | Deed::TakeTimeOff { doctor, .. }
            | Deed::EndTimeOff { doctor, .. }
            | Deed::ListOutside { doctor }
            | Deed::ListTimeOff { doctor }
            | Deed::ListReviews { doctor }
            | Deed::GetDoctor { doctor }
            | Deed::GetHours { doctor }
            | Deed::ListServices { doctor } => at(doctor % 2, 0, 0, "08:00"),
            Deed::CreateResource { .. }
            | Deed::UpdateResource { .. }
            | Deed::ArchiveResource { .. }
            | Deed::ListResources => at(0, 0, 0, "08:00"),
            Deed::List { doctor } => at(doctor.unwrap_or(0) % 2, 0, 0, "08:00"),
            _ if is_of_review(deed) => at(self.reviews[which.unwrap_or(0)].doctor, 0, 0, "08:00"),
            _ => of(which),
        }
    }

    fn rev_of(
        &self,
        deed: &Deed,
        which: Option<usize>,
        (doctor, service, _): (usize, usize, Timestamp),
    ) -> Option<u32> {
        match deed {
            Deed::SetHours { .. } => Some(self.doctors[doctor].hours.rev),
            Deed::UpdateService { .. } | Deed::ArchiveService { .. } => {
                Some(self.doctors[doctor].services[service].rev)
            }
            Deed::UpdateResource { .. } | Deed::ArchiveResource { .. } => which.map(|which| self.rooms[which].rev),
            Deed::EndTimeOff { .. } => Some(1),
            _ if is_of_review(deed) => which.map(|which| self.reviews[which].rev),
            _ if is_of_waitlist(deed) => which.map(|which| self.waiting[which].rev),
            _ => which.map(|which| self.appointments[which].rev),
        }
    }

    fn data(&self, asked: &Asked) -> Value {
        let (doctor, service, start) = asked.slot;
        let (doctor_id, service_id) = (self.doctor_id(doctor), &self.doctors[doctor].services[service].id);
        let time = || json!({ "doctorId": doctor_id, "serviceId": service_id, "start": start.to_string() });
        let id = || json!({ "id": self.appointments[asked.which.expect("it is known")].id });
        let review = || json!({ "id": self.reviews[asked.which.expect("it is known")].id });
        let of_doctor = || json!({ "doctorId": doctor_id });
        let mut data = match &asked.deed {
            Deed::Hold { .. } | Deed::Explain { .. } => time(),
            Deed::Book { exception, reason, .. } => {
                let mut data = time();
                if *reason {
                    data["reason"] = json!("Dolor de cabeza");
                }
                if *exception {
                    data["override"] = json!({ "reason": "Urgencia" });
                }
                data
            }
            Deed::BookHeld { named, .. } => {
                let mut data = time();
                if *named {
                    data["holdId"] = id()["id"].clone();
                }
                data
            }
            Deed::Reschedule { exception, .. } => {
                let mut data = id();
                data["start"] = json!(start.to_string());
                if *exception {
                    data["override"] = json!({ "reason": "Urgencia" });
                }
                data
            }
            Deed::Cancel { reason: true, .. } | Deed::Decline { .. } => {
                let mut data = id();
                data["reason"] = json!("No puede ser");
                data
            }
            Deed::SetNotes { notes, .. } => {
                let mut data = id();
                data["notes"] = json!(notes);
                data
            }
            Deed::BookSeries { rule, .. } | Deed::Preview { rule, .. } => {
                let mut data = time();
                data["rrule"] = json!(RULES[rule % RULES.len()].0);
                if let Some(only) = self.only(asked) {
                    data["only"] = json!(only.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
                data
            }
            Deed::MoveSeries { from_here, .. } | Deed::CancelSeries { from_here, .. } => {
                let one = &self.appointments[asked.which.expect("it is known")];
                let mut data = json!({ "id": one.series.as_ref().map_or(&one.id, |(id, _)| id) });
                if *from_here {
                    data["from"] = json!(one.id);
                }
                if let Deed::MoveSeries { .. } = asked.deed {
                    data["start"] = json!(start.to_string());
                }
                data
            }
            Deed::GetSeries { .. } => {
                let one = &self.appointments[asked.which.expect("it is known")];
                json!({ "id": one.series.as_ref().map_or(&one.id, |(id, _)| id) })
            }
            Deed::SetHours { hours: number, zone, keep, .. } => {
                let mut data = hours(*number, 0, self.setting.today[doctor]).on_the_wire();
                data["doctorId"] = json!(doctor_id);
                let zone = zone.map(|number| ZONES[number % ZONES.len()].to_owned());
                data["timeZone"] = json!(zone.unwrap_or_else(|| self.zone(doctor)));
                match keep {
                    Keep::Unsaid => {}
                    Keep::Instants => data["appointments"] = json!("keepInstants"),
                    Keep::LocalTimes => data["appointments"] = json!("keepLocalTimes"),
                }
                data
            }
            Deed::UpdateService { change: number, .. } => {
                let mut data = change(*number, &self.room_ids());
                data["doctorId"] = json!(doctor_id);
                data["id"] = json!(service_id);
                data
            }
            Deed::CreateService { kind, .. } => {
                let mut data = kind_of_service(*kind, &self.room_ids());
                data["doctorId"] = json!(doctor_id);
                data
            }
            Deed::ArchiveService { .. } => json!({ "doctorId": doctor_id, "id": service_id }),
            Deed::CreateResource { kind } => kind_of_room(*kind),
            Deed::UpdateResource { change, .. } => {
                let mut data = change_of_room(*change);
                data["id"] = json!(self.rooms[asked.which.expect("it is known")].id);
                data
            }
            Deed::ArchiveResource { .. } => json!({ "id": self.rooms[asked.which.expect("it is known")].id }),
            Deed::ListResources => json!({ "pageSize": 100 }),
            Deed::TakeTimeOff { day, part: number, .. } => {
                let (from, to) = part(*number, self.date(doctor, *day));
                json!({ "doctorId": doctor_id, "from": from, "to": to, "reason": "Congreso" })
            }
            Deed::EndTimeOff { .. } => {
                let off = &self.doctors[doctor].off[asked.which.expect("it is known")];
                json!({ "doctorId": doctor_id, "id": off.id })
            }
            Deed::Review { rating, .. } => {
                json!({ "doctorId": doctor_id, "appointmentId": id()["id"], "rating": rating, "text": "Bien" })
            }
            Deed::EditReview { rating, .. } => {
                let mut data = review();
                data["rating"] = json!(rating);
                data["text"] = json!(if *rating > 3 { "" } else { "Regular" });
                data
            }
            Deed::ReplyToReview { text, .. } => {
                let mut data = review();
                data["text"] = json!(text);
                data
            }
            Deed::ReportReview { .. } | Deed::HideReview { .. } | Deed::RestoreReview { .. } => {
                let mut data = review();
                data["reason"] = json!("Se ha mirado");
                data
            }
            Deed::Search { day, days, .. } => {
                let from = self.date(doctor, *day);
                let to = from + jiff::Span::new().days(days - 1);
                json!({ "doctorId": doctor_id, "serviceId": service_id, "from": from.to_string(), "to": to.to_string() })
            }
            Deed::SearchDoctors { .. } => self.across(&asked.deed),
            Deed::JoinWaitlist { day, days, wished, .. } => {
                let from = self.date(doctor, *day);
                let to = self.date(doctor, (day % DAYS.len() + days).min(DAYS.len() - 1));
                let mut data = wish(from, to, *wished);
                data["doctorId"] = json!(doctor_id);
                data["serviceId"] = json!(service_id);
                data
            }
            Deed::LeaveWaitlist { .. } | Deed::PassOffer { .. } | Deed::AcceptOffer { .. } => {
                let mut data = json!({ "id": self.waiting[asked.which.expect("it is known")].id });
                if let Deed::AcceptOffer { reason: true, .. } = asked.deed {
                    data["reason"] = json!("Dolor de cabeza");
                }
                data
            }
            Deed::List { doctor } | Deed::ListWaitlist { doctor } => match doctor {
                Some(_) => json!({ "doctorId": doctor_id, "pageSize": 100 }),
                None => json!({ "pageSize": 100 }),
            },
            Deed::ListReviews { .. } => json!({ "doctorId": doctor_id, "pageSize": 100 }),
            Deed::ListOutside { .. } | Deed::ListTimeOff { .. } | Deed::GetHours { .. } | Deed::ListServices { .. } => {
                of_doctor()
            }
            Deed::GetDoctor { .. } => json!({ "id": doctor_id }),
            _ => id(),
        };
        match asked.patient {
            Patient::Unsaid => {}
            Patient::Named(patient) => data["patientId"] = json!(self.id_of(patient)),
            Patient::WalkIn if matches!(asked.deed, Deed::Preview { .. }) => data["walkIn"] = json!(true),
            Patient::WalkIn => data["walkIn"] = json!({ "name": "Rosa de la Calle", "phone": "300 123" }),
        }
        if let Some(rev) = asked.rev {
            data["rev"] = json!(rev);
        }
        data
    }

    /// The same request with another content, where it has some that does not matter for what it is about.
    pub fn altered(&self, asked: &Asked) -> Option<Asked> {
        let deed = match asked.deed.clone() {
            Deed::Book { at, whom, exception, reason } => Deed::Book { at, whom, exception, reason: !reason },
            Deed::Cancel { which, rev, reason } => Deed::Cancel { which, rev, reason: !reason },
            Deed::AcceptOffer { which, rev, reason } => Deed::AcceptOffer { which, rev, reason: !reason },
            Deed::SetNotes { which, rev, notes } => Deed::SetNotes { which, rev, notes: format!("{notes}.") },
            Deed::EditReview { which, rating, rev } => Deed::EditReview { which, rating: rating % 5 + 1, rev },
            Deed::SetHours { doctor, hours, rev, zone, keep } => {
                Deed::SetHours { doctor, hours: (hours + 1) % 6, rev, zone, keep }
            }
            _ => return None,
        };
        let mut other = Asked { deed, ..asked.clone() };
        other.data = self.data(&other);
        Some(other)
    }
}

/// The one of so many, counted from the newest.
fn nth(count: usize, number: usize) -> Option<usize> {
    (count > 0).then(|| count - 1 - number % count)
}

/// Whether it can be done with an appointment, its owner's rules aside.
fn fits(deed: &Deed, one: &Appointment) -> bool {
    match deed {
        Deed::Release { .. } | Deed::BookHeld { .. } => one.is_held(),
        Deed::Reschedule { .. } => one.is_movable(),
        Deed::Cancel { .. } => matches!(one.status, "pending" | "booked" | "arrived"),
        Deed::Decline { .. } | Deed::Approve { .. } => one.status == "pending",
        Deed::CheckIn { .. } | Deed::NoShow { .. } => one.status == "booked",
        Deed::Complete { .. } => one.status == "arrived",
        Deed::Undo { .. } => matches!(one.status, "arrived" | "fulfilled" | "noshow"),
        Deed::Review { .. } => one.status == "fulfilled" && !one.reviewed && !one.walk_in,
        Deed::MoveSeries { .. } | Deed::CancelSeries { .. } => one.series.is_some() && one.is_movable(),
        Deed::GetSeries { .. } => one.series.is_some(),
        _ => one.status != "cancelled",
    }
}

fn picked(deed: &Deed) -> Option<Pick> {
    match deed {
        Deed::Release { which, .. }
        | Deed::BookHeld { which, .. }
        | Deed::Reschedule { which, .. }
        | Deed::Cancel { which, .. }
        | Deed::Decline { which, .. }
        | Deed::Approve { which, .. }
        | Deed::CheckIn { which, .. }
        | Deed::Complete { which, .. }
        | Deed::NoShow { which, .. }
        | Deed::Undo { which, .. }
        | Deed::SetNotes { which, .. }
        | Deed::MoveSeries { which, .. }
        | Deed::CancelSeries { which, .. }
        | Deed::Review { which, .. }
        | Deed::Get { which }
        | Deed::History { which }
        | Deed::GetSeries { which }
        | Deed::LeaveWaitlist { which, .. }
        | Deed::AcceptOffer { which, .. }
        | Deed::PassOffer { which, .. } => Some(*which),
        _ => None,
    }
}

fn is_of_review(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::EditReview { .. }
            | Deed::ReplyToReview { .. }
            | Deed::ReportReview { .. }
            | Deed::HideReview { .. }
            | Deed::RestoreReview { .. }
    )
}

fn is_of_waitlist(deed: &Deed) -> bool {
    matches!(deed, Deed::LeaveWaitlist { .. } | Deed::AcceptOffer { .. } | Deed::PassOffer { .. })
}

fn whom(deed: &Deed) -> Whom {
    match deed {
        Deed::Hold { whom, .. }
        | Deed::Book { whom, .. }
        | Deed::BookHeld { whom, .. }
        | Deed::BookSeries { whom, .. }
        | Deed::JoinWaitlist { whom, .. }
        | Deed::Preview { whom, .. } => *whom,
        _ => Whom::Unsaid,
    }
}

fn rev(deed: &Deed) -> Rev {
    match deed {
        Deed::Release { rev, .. }
        | Deed::Reschedule { rev, .. }
        | Deed::Cancel { rev, .. }
        | Deed::Decline { rev, .. }
        | Deed::Approve { rev, .. }
        | Deed::CheckIn { rev, .. }
        | Deed::Complete { rev, .. }
        | Deed::NoShow { rev, .. }
        | Deed::Undo { rev, .. }
        | Deed::SetNotes { rev, .. }
        | Deed::SetHours { rev, .. }
        | Deed::UpdateService { rev, .. }
        | Deed::ArchiveService { rev, .. }
        | Deed::UpdateResource { rev, .. }
        | Deed::ArchiveResource { rev, .. }
        | Deed::EndTimeOff { rev, .. }
        | Deed::EditReview { rev, .. }
        | Deed::ReplyToReview { rev, .. }
        | Deed::HideReview { rev, .. }
        | Deed::RestoreReview { rev, .. }
        | Deed::LeaveWaitlist { rev, .. }
        | Deed::AcceptOffer { rev, .. }
        | Deed::PassOffer { rev, .. } => *rev,
        _ => Rev::Unsaid,
    }
}

fn op(deed: &Deed) -> &'static str {
    match deed {
        Deed::Hold { .. } => "slot.hold",
        Deed::Release { .. } => "hold.release",
        Deed::Book { .. } | Deed::BookHeld { .. } => "appointment.book",
        Deed::Reschedule { .. } => "appointment.reschedule",
        Deed::Cancel { .. } => "appointment.cancel",
        Deed::Decline { .. } => "appointment.decline",
        Deed::Approve { .. } => "appointment.approve",
        Deed::CheckIn { .. } => "appointment.checkIn",
        Deed::Complete { .. } => "appointment.complete",
        Deed::NoShow { .. } => "appointment.noShow",
        Deed::Undo { .. } => "appointment.undo",
        Deed::SetNotes { .. } => "appointment.setNotes",
        Deed::BookSeries { .. } => "series.book",
        Deed::MoveSeries { .. } => "series.reschedule",
        Deed::CancelSeries { .. } => "series.cancel",
        Deed::SetHours { .. } => "availability.set",
        Deed::UpdateService { .. } => "service.update",
        Deed::CreateService { .. } => "service.create",
        Deed::ArchiveService { .. } => "service.archive",
        Deed::CreateResource { .. } => "admin.createResource",
        Deed::UpdateResource { .. } => "admin.updateResource",
        Deed::ArchiveResource { .. } => "admin.archiveResource",
        Deed::ListResources => "resource.list",
        Deed::TakeTimeOff { .. } => "timeOff.create",
        Deed::EndTimeOff { .. } => "timeOff.delete",
        Deed::JoinWaitlist { .. } => "waitlist.join",
        Deed::LeaveWaitlist { .. } => "waitlist.leave",
        Deed::AcceptOffer { .. } => "waitlist.accept",
        Deed::PassOffer { .. } => "waitlist.pass",
        Deed::ListWaitlist { .. } => "waitlist.list",
        Deed::Review { .. } => "review.create",
        Deed::EditReview { .. } => "review.update",
        Deed::ReplyToReview { .. } => "review.reply",
        Deed::ReportReview { .. } => "review.report",
        Deed::HideReview { .. } => "admin.hideReview",
        Deed::RestoreReview { .. } => "admin.restoreReview",
        Deed::Search { .. } => "slot.search",
        Deed::SearchDoctors { .. } => "slot.searchDoctors",
        Deed::Explain { .. } => "slot.explain",
        Deed::Get { .. } => "appointment.get",
        Deed::List { .. } => "appointment.list",
        Deed::History { .. } => "appointment.history",
        Deed::Preview { .. } => "series.preview",
        Deed::GetSeries { .. } => "series.get",
        Deed::ListOutside { .. } => "appointment.listOutside",
        Deed::ListTimeOff { .. } => "timeOff.list",
        Deed::ListReviews { .. } => "review.list",
        Deed::GetDoctor { .. } => "doctor.get",
        Deed::GetHours { .. } => "availability.get",
        Deed::ListServices { .. } => "service.list",
    }
}

/// Whether it is somebody at the desk, who has to say for whom.
pub fn must_say(model: &Model, who: usize, doctor: usize) -> bool {
    model.role_of(who) == Role::Staff && model.doctors[doctor].staff.contains(&who)
}
