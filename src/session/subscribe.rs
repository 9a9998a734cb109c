//! Subscribing to topics, and leaving them.

use std::sync::Arc;
use std::time::Instant;

use cita_protocol::topic::{SubscribeReply, SubscribeRequest, UnsubscribeReply, UnsubscribeRequest};
use cita_protocol::{ErrorCode, Operation, Problem};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use super::connection::Session;
use super::parse::Fields;
use super::{convert, encode, input};
use crate::domain::access::{self, Object};
use crate::domain::appointment::Appointment;
use crate::domain::change::Position;
use crate::domain::doctor::Doctor;
use crate::domain::ids::{DoctorId, PatientId, ServiceId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots as rules;
use crate::error::{ClusterName, Error, Result};
use crate::live::cursor::Cursor;
use crate::live::frame::Frame;
use crate::live::hub::Subscriber;
use crate::live::project::{Update, kept_since};
use crate::live::topic::{Name, Topic};
use crate::service::slots::{LONGEST_WINDOW_DAYS, dates};

/// Most local dates of a doctor's appointments topic.
const LONGEST_CALENDAR_DAYS: i32 = 92;
/// Its default window: from yesterday to this many days ahead.
const CALENDAR_DAYS_AHEAD: i64 = 31;
/// How many days back slots can be watched: what is long past is not kept in memory.
pub const SLOTS_DAYS_BACK: i64 = 2;
/// How often a snapshot is read again because the ring has moved past it, or a calendar was dropped in between.
const ATTEMPTS: usize = 3;

/// What was asked for, beside the topic.
struct Asked {
    from: Option<Date>,
    to: Option<Date>,
    /// `Some(None)`: a cursor that this server did not write, which leads to a reset.
    after: Option<Option<Cursor>>,
}

impl Session {
    /// Subscribes; the reply, the snapshot and the changes come through the outbox in this order.
    ///
    /// # Errors
    /// What the registry has for it; nothing was subscribed then.
    pub async fn subscribe(&self, request: SubscribeRequest) -> std::result::Result<(), Problem> {
        let began = Instant::now();
        let subscribed = self.subscribe_as(None, request).await;
        self.services.meters.answered(Operation::Subscribe, self.door, began.elapsed(), &subscribed);
        subscribed
    }

    pub(super) async fn subscribe_as(
        &self,
        id: Option<&str>,
        request: SubscribeRequest,
    ) -> std::result::Result<(), Problem> {
        let _one_after_the_other = self.subscribing.lock().await;
        // Snapshots that nobody reads do not gather.
        self.outbox.has_room().await;
        self.try_subscribe(id, &request).await.map_err(convert::problem)
    }

    async fn try_subscribe(&self, id: Option<&str>, request: &SubscribeRequest) -> Result<()> {
        let asked = Asked::read(request)?;
        let name = Name::parse(&request.topic)
            .ok_or_else(|| Violation::new("/topic", "invalid", "there is no topic of this name"))?;
        if let Some(Some(cursor)) = asked.after {
            // A client may know more than this node, for a moment. No topic needs both clusters.
            let point = if name == Name::MySessions { cursor.of_users() } else { cursor.of_appointments() };
            self.services.hub.wait_for(point).await;
        }
        let opening = |resumed| {
            let reply = encode::json(&SubscribeReply { topic: request.topic.clone(), resumed });
            let id = id.map(encode::json);
            Frame::new("reply", id.as_deref(), None, &reply)
        };
        let subscriber = Subscriber {
            id: self.id,
            outbox: &self.outbox,
            subscriptions: &self.subscriptions,
            viewer: Arc::new(self.viewer()),
            opening: &opening,
        };
        match name {
            Name::Slots { doctor, service, date } => {
                let dates = asked.slot_dates(date)?;
                self.subscribe_slots(doctor, service, &dates, &asked, &subscriber).await
            }
            Name::Doctor { doctor } => self.subscribe_doctor(doctor, &asked, &subscriber).await,
            Name::Reviews { doctor } => self.subscribe_reviews(doctor, &asked, &subscriber).await,
            Name::Calendar { doctor } => self.subscribe_calendar(doctor, &asked, &subscriber).await,
            Name::Waitlist { doctor } => self.subscribe_waitlist_of(doctor, &asked, &subscriber).await,
            Name::MyAppointments => self.subscribe_mine(&asked, &subscriber).await,
            Name::MyWaitlist => self.subscribe_my_waitlist(&asked, &subscriber).await,
            Name::MySessions => self.subscribe_sessions(&asked, &subscriber).await,
        }
    }

    async fn subscribe_slots(
        &self,
        doctor: DoctorId,
        service: ServiceId,
        dates: &[Date],
        asked: &Asked,
        subscriber: &Subscriber<'_>,
    ) -> Result<()> {
        let viewer = self.viewer();
        access::authorise(access::SLOTS_TOPIC, &viewer, Object::of_doctor(doctor))?;
        let topics: Vec<Topic> = dates.iter().map(|date| Topic::Slots { doctor, service, date: *date }).collect();
        self.check_room(&topics)?;
        for _ in 0..ATTEMPTS {
            let calendar = self.services.slots.calendar(&viewer, doctor).await?;
            calendar.doctor.service(service)?;
            let today = calendar.doctor.availability.time_zone.to_datetime(self.services.clock.now()).date();
            if dates.iter().any(|date| *date < today.saturating_sub(SLOTS_DAYS_BACK.days())) {
                return Err(Violation::new("/from", "out_of_range", "slots of past dates cannot be watched").into());
            }
            let after = asked.after.map(|cursor| cursor.unwrap_or(Cursor::NEVER));
            if after.is_some() {
                // A calendar that was just read may be ahead of the feed.
                self.services.hub.wait_for(self.services.hub.cursor_at(calendar.position())).await;
            }
            if self.services.hub.join_slots(doctor, service, dates, after, subscriber).is_some() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Appointments))
    }

    async fn subscribe_doctor(&self, doctor: DoctorId, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let (viewer, hub) = (self.viewer(), &self.services.hub);
        access::authorise(access::DOCTOR_TOPIC, &viewer, Object::of_doctor(doctor))?;
        asked.no_window()?;
        self.check_room(&[Topic::Doctor { doctor }])?;
        let after = asked.after.map(|cursor| cursor.unwrap_or(Cursor::NEVER));
        for _ in 0..ATTEMPTS {
            let calendar = self.services.slots.calendar(&viewer, doctor).await?;
            if after.is_some() {
                // A calendar that was just read may be ahead of the feed.
                hub.wait_for(hub.cursor_at(calendar.position())).await;
            }
            if hub.join_doctor(doctor, after, subscriber).is_some() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Appointments))
    }

    async fn subscribe_reviews(&self, doctor: DoctorId, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let (viewer, hub) = (self.viewer(), &self.services.hub);
        access::authorise(access::REVIEWS_TOPIC, &viewer, Object::of_doctor(doctor))?;
        asked.no_window()?;
        let topic = Topic::Reviews { doctor };
        self.check_room(std::slice::from_ref(&topic))?;
        for attempt in 0..ATTEMPTS {
            // Into memory, where the hub asks whether the doctor is shown.
            self.services.slots.calendar(&viewer, doctor).await?;
            if let Some(Some(after)) = asked.after
                && attempt == 0
                && hub.resume(&topic, after, subscriber)
            {
                return Ok(());
            }
            let (at, items) = self.services.reviews.snapshot(doctor).await?;
            let upserted = items.into_iter().map(Arc::new).collect();
            let snapshot = Update::Reviews { upserted, removed: Vec::new() };
            if hub.start(&topic, at, &snapshot, asked.after.is_some(), subscriber).is_ok() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Appointments))
    }

    async fn subscribe_calendar(&self, doctor: DoctorId, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let viewer = self.viewer();
        let staff = self.services.slots.staff(&viewer, doctor).await?;
        access::authorise(access::CALENDAR_TOPIC, &viewer, Object::of_doctor(doctor).with_staff(&staff))?;
        let calendar = self.services.slots.calendar(&viewer, doctor).await?;
        let window = asked.calendar_window(&calendar.doctor, self.services.clock.now())?;
        self.subscribe_appointments(Topic::Calendar { doctor, window }, asked, subscriber).await
    }

    async fn subscribe_mine(&self, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let viewer = self.viewer();
        access::authorise(access::MY_APPOINTMENTS_TOPIC, &viewer, Object::default())?;
        asked.no_window()?;
        let user = viewer.identity()?.user;
        self.subscribe_appointments(Topic::MyAppointments { user }, asked, subscriber).await
    }

    async fn subscribe_waitlist_of(&self, doctor: DoctorId, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let viewer = self.viewer();
        let staff = self.services.slots.staff(&viewer, doctor).await?;
        access::authorise(access::WAITLIST_TOPIC, &viewer, Object::of_doctor(doctor).with_staff(&staff))?;
        // A doctor who does not exist has no topics.
        self.services.slots.calendar(&viewer, doctor).await?;
        self.subscribe_waitlist(Topic::Waitlist { doctor }, (None, Some(doctor)), asked, subscriber).await
    }

    async fn subscribe_my_waitlist(&self, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let viewer = self.viewer();
        access::authorise(access::MY_WAITLIST_TOPIC, &viewer, Object::default())?;
        let user = viewer.identity()?.user;
        self.subscribe_waitlist(Topic::MyWaitlist { user }, (Some(user), None), asked, subscriber).await
    }

    async fn subscribe_waitlist(
        &self,
        topic: Topic,
        of: (Option<PatientId>, Option<DoctorId>),
        asked: &Asked,
        subscriber: &Subscriber<'_>,
    ) -> Result<()> {
        let hub = &self.services.hub;
        asked.no_window()?;
        self.check_room(std::slice::from_ref(&topic))?;
        if let Some(Some(after)) = asked.after
            && hub.resume(&topic, after, subscriber)
        {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let (at, items) = self.services.waitlist.snapshot(of.0, of.1).await?;
            let upserted = items.into_iter().map(Arc::new).collect();
            let snapshot = Update::Waitlist { upserted, removed: Vec::new() };
            if hub.start(&topic, at, &snapshot, asked.after.is_some(), subscriber).is_ok() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Appointments))
    }

    /// Always from a snapshot: it is small, so what was missed need not be kept.
    async fn subscribe_sessions(&self, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let viewer = self.viewer();
        access::authorise(access::MY_SESSIONS_TOPIC, &viewer, Object::default())?;
        asked.no_window()?;
        let user = viewer.identity()?.user;
        self.check_room(&[Topic::MySessions { user }])?;
        for _ in 0..ATTEMPTS {
            let (at, items) = self.services.auth.sessions_snapshot(user).await?;
            if self.services.hub.start_sessions(user, at, items, asked.after.is_some(), subscriber).is_ok() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Users))
    }

    async fn subscribe_appointments(&self, topic: Topic, asked: &Asked, subscriber: &Subscriber<'_>) -> Result<()> {
        let hub = &self.services.hub;
        self.check_room(std::slice::from_ref(&topic))?;
        if let Some(Some(after)) = asked.after
            && hub.resume(&topic, after, subscriber)
        {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let (at, items) = self.snapshot(&topic).await?;
            let upserted = items.into_iter().map(Arc::new).collect();
            let snapshot = Update::Appointments { upserted, removed: Vec::new() };
            if hub.start(&topic, at, &snapshot, asked.after.is_some(), subscriber).is_ok() {
                return Ok(());
            }
        }
        Err(Error::unreadable(ClusterName::Appointments))
    }

    async fn snapshot(&self, topic: &Topic) -> Result<(Position, Vec<Appointment>)> {
        let appointments = &self.services.appointments;
        match topic {
            Topic::Calendar { doctor, window } => appointments.snapshot_of_doctor(*doctor, *window).await,
            Topic::MyAppointments { user } => {
                appointments.snapshot_of_patient(*user, kept_since(self.services.clock.now())).await
            }
            _ => Err(Error::Internal("no topic of appointments".to_owned())),
        }
    }

    pub(super) async fn unsubscribe(&self, id: Option<&str>, data: &str) -> std::result::Result<(), Problem> {
        let request: UnsubscribeRequest = input::read(data)?;
        let _one_after_the_other = self.subscribing.lock().await;
        // The name of a range of slots stands for all of its dates.
        let range = format!("{}/", request.topic);
        let is_range = matches!(Name::parse(&request.topic), Some(Name::Slots { date: None, .. }));
        let is_meant = |name: &str| *name == request.topic || is_range && name.starts_with(&range);
        if self.services.hub.leave(self.id, &self.subscriptions, is_meant) == 0 {
            return Err(Problem::new(ErrorCode::NotFound).with_detail("This connection has no such subscription."));
        }
        self.reply(id, None, encode::json(&UnsubscribeReply { topic: request.topic }).as_bytes());
        Ok(())
    }

    fn check_room(&self, topics: &[Topic]) -> Result<(), Refusal> {
        let held = &self.subscriptions;
        let new = topics.iter().filter(|topic| held.get(&topic.to_string()).is_none()).count();
        if held.count() + new > self.services.limits.subscriptions {
            Err(Refusal::TooManySubscriptions)
        } else {
            Ok(())
        }
    }
}

impl Asked {
    fn read(request: &SubscribeRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        let asked = Self {
            from: request.from.as_ref().map(|date| fields.date("/from", date)),
            to: request.to.as_ref().map(|date| fields.date("/to", date)),
            after: request.after.as_ref().map(|cursor| Cursor::parse(&cursor.0)),
        };
        fields.finish()?;
        Ok(asked)
    }

    fn slot_dates(&self, date: Option<Date>) -> Result<Vec<Date>, Refusal> {
        match (date, self.from, self.to) {
            (Some(date), None, None) => Ok(vec![date]),
            (None, Some(from), Some(to)) => dates(from, to, LONGEST_WINDOW_DAYS),
            (Some(_), _, _) => Err(Violation::new("/from", "invalid", "the topic names its date already").into()),
            (None, None, _) => Err(Violation::new("/from", "required", "name the first local date").into()),
            (None, _, None) => Err(Violation::new("/to", "required", "name the last local date").into()),
        }
    }

    fn calendar_window(&self, doctor: &Doctor, now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
        let today = doctor.availability.time_zone.to_datetime(now).date();
        let from = self.from.unwrap_or_else(|| self.to.map_or(today, |to| to.min(today)).saturating_sub(1.day()));
        let to = self.to.unwrap_or_else(|| from.saturating_add((CALENDAR_DAYS_AHEAD + 1).days()));
        let dates = dates(from, to, LONGEST_CALENDAR_DAYS)?;
        let (first, last) = (dates.first().copied().unwrap_or(from), dates.last().copied().unwrap_or(to));
        Ok((rules::day(doctor, first).start.instant(), rules::day(doctor, last).end.instant()))
    }

    fn no_window(&self) -> Result<(), Refusal> {
        match (self.from, self.to) {
            (None, None) => Ok(()),
            (Some(_), _) => Err(Violation::new("/from", "invalid", "this topic has no window").into()),
            (None, Some(_)) => Err(Violation::new("/to", "invalid", "this topic has no window").into()),
        }
    }
}
