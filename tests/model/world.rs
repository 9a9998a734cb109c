//! The real thing: a clinic on two nodes, everybody's connections to both, and what they watch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use cita::clock::Clock;
use cita_cli::{ClientError, Connection, Frame};
use futures::FutureExt as _;
use futures::future::join_all;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::asked::Asked;
use super::doors::{self, Stream};
use super::hours::hours;
use super::judge::Answer;
use super::services::made;
use super::state::{Doctor, Model, Role, Room, Setting};
use super::step::Deed;
use super::topics::{Items, Topic};
use super::zones::ZONES;
use crate::harness::Patience;
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{Clinic, Node, PATIENCE, Person, connect, key, text};
use crate::harness::rest::Rest;
use crate::harness::watch::View;

/// How many services each doctor begins with.
const SERVICES: usize = 4;

pub struct World {
    /// Keeps the first node running.
    _clinic: Clinic,
    _other: Node,
    urls: [String; 2],
    tokens: Vec<Option<String>>,
    /// Of each person, and of nobody at the end, to each node.
    connections: Vec<[Connection; 2]>,
    pub watches: Vec<Watch>,
    streams: Vec<Stream>,
    /// The latest cursor of a change.
    cursor: String,
}

/// Somebody watches a topic at a node.
pub struct Watch {
    /// Place of the connections.
    person: usize,
    node: usize,
    pub topic: Topic,
    name: String,
    request: Value,
    pub view: View,
    /// What they had when they left.
    left: Option<View>,
}

impl World {
    /// Opens it, with the model of what is there.
    pub async fn open(hold_seconds: u32) -> (Self, Model) {
        let seconds = hold_seconds.to_string();
        let options = ["--hold-seconds", &seconds, "--offer-seconds", &seconds];
        let options = [&options[..], &["--rate-read", "100000", "--rate-write", "100000"]].concat();
        let options = [&options[..], &["--rate-auth", "100000", "--rate-subscribe", "100000"]].concat();
        let clinic = Clinic::open_with(&options).await;
        let other = clinic.node_with(&options).await;
        let named = ["Paula", "Pedro", "Pilar", "Daniela", "Diego"];
        let role = |place: usize| if place < 3 { "patient" } else { "doctor" };
        let registered = named.iter().enumerate().map(|(place, name)| clinic.person(role(place), name));
        let mut people: Vec<(Person, Role)> =
            join_all(registered).await.into_iter().map(|one| (one, Role::Patient)).collect();
        people[3].1 = Role::Doctor;
        people[4].1 = Role::Doctor;
        let ana = admin(&clinic).await;
        let rocio = receptionist(&clinic, &ana, Some(&people[3].0)).await;
        people.extend([(rocio, Role::Staff), (ana, Role::Admin)]);

        let urls = [clinic.url().to_owned(), other.url.clone()];
        let mut tokens: Vec<Option<String>> = people.iter().map(|(person, _)| Some(person.token.clone())).collect();
        tokens.push(None);
        let pairs = tokens
            .iter()
            .map(async |token| [connect(&urls[0], token.as_deref()).await, connect(&urls[1], token.as_deref()).await]);
        let connections = join_all(pairs).await;
        let mut world = Self {
            _clinic: clinic,
            _other: other,
            urls,
            tokens,
            connections,
            watches: Vec::new(),
            streams: Vec::new(),
            cursor: String::new(),
        };
        let model = world.furnish(people).await;
        world.watch(&model).await;
        (world, model)
    }

    /// Gives the doctors hours and services.
    async fn furnish(&self, people: Vec<(Person, Role)>) -> Model {
        let now = Clock.now();
        let zones = [ZONES[0], ZONES[1]];
        let today = zones.map(|zone| now.in_tz(zone).expect("a zone").date());
        let holidays = self.holidays(today[0]).await;
        let mut rooms = Vec::new();
        for name in ["Sala 1", "Sala 2"] {
            let data = json!({ "name": name, "kind": "room" });
            let made = self.connections[6][0].request("admin.createResource", &data, Some(key())).await;
            rooms.push(Room::made(&data, &made.expect("a room is made").data).expect("a room"));
        }
        let mut doctors = Vec::new();
        for (doctor, zone) in zones.iter().enumerate() {
            let (person, connection) = (3 + doctor, &self.connections[3 + doctor][0]);
            let id = &people[person].0.id;
            let hours = hours(0, 1, today[doctor]);
            let mut data = hours.on_the_wire();
            data["doctorId"] = json!(id);
            data["timeZone"] = json!(zone);
            let set = connection.request("availability.set", data, Some(key())).await.expect("hours are set").data;
            let rev = |value: &Value| u32::try_from(value["rev"].as_u64().expect("a revision")).expect("a small one");
            let mut services = Vec::new();
            for (name, fields) in [
                ("Consulta", json!({ "durationMinutes": 30, "stepMinutes": 15, "resourceIds": [rooms[0].id] })),
                (
                    "Larga",
                    json!({ "durationMinutes": 45, "stepMinutes": 15, "bufferAfterMinutes": 15, "requiresApproval": true,
                    "resourceIds": [rooms[1].id] }),
                ),
                ("Corta", json!({ "durationMinutes": 15, "dailyLimit": 2, "weeklyLimit": 5 })),
                ("Taller", json!({ "durationMinutes": 30, "bufferBeforeMinutes": 15, "capacity": 2, "dailyLimit": 3 })),
            ] {
                let mut data = fields;
                data["doctorId"] = json!(id);
                data["name"] = json!(name);
                data["horizonDays"] = json!(366);
                let reply = connection.request("service.create", &data, Some(key())).await.expect("a service").data;
                services.push(made(&data, text(&reply, "id")));
            }
            let shown = connection.request("doctor.get", json!({ "id": id }), None).await.expect("a doctor").data;
            doctors.push(Doctor {
                person,
                rev: rev(&shown),
                shown_rev: rev(&shown),
                zone: TimeZone::get(zone).expect("a zone"),
                hours: super::state::Hours { rev: rev(&set), ..hours },
                services,
                off: Vec::new(),
                staff: if doctor == 0 { vec![5] } else { Vec::new() },
            });
        }
        let setting = Arc::new(Setting { people, holidays, today: today.to_vec() });
        let (appointments, reviews, waiting, remembered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (at_once, given_up) = (false, Vec::new());
        Model { setting, doctors, rooms, appointments, reviews, waiting, remembered, seats: 0, at_once, given_up }
    }

    /// The holidays of Colombia in the weeks that are used.
    async fn holidays(&self, today: Date) -> BTreeSet<Date> {
        let mut found = BTreeSet::new();
        for year in [today.year(), today.year() + 1] {
            let request = json!({ "id": "CO", "year": year });
            let told = self.connections[0][0].request("holidayCalendar.get", request, None).await.expect("a year").data;
            let dates = told["holidays"].as_array().expect("a list").iter();
            found.extend(dates.map(|day| text(day, "date").parse::<Date>().expect("a date")));
        }
        found
    }

    /// Subscribes everybody.
    async fn watch(&mut self, model: &Model) {
        let nobody = self.connections.len() - 1;
        let mut wanted = Vec::new();
        for person in 0..nobody {
            wanted.push((person, person % 2, Topic::Mine(person)));
            wanted.push((person, (person + 1) % 2, Topic::MyWaitlist(person)));
        }
        let day = |doctor: usize, day: usize| model.date(doctor, day);
        let (first, last) = (day(0, 0), day(0, 0) + 40.days());
        wanted.push((3, 1, model.calendar_topic(0, first, last)));
        wanted.push((4, 0, model.calendar_topic(1, day(1, 0), day(1, 0) + 40.days())));
        wanted.push((5, 1, model.calendar_topic(0, day(0, 1), day(0, 2))));
        wanted.push((6, 0, model.calendar_topic(1, day(1, 2), day(1, 4))));
        for (person, node, doctor) in [(3, 1, 0), (5, 0, 0), (4, 0, 1), (6, 1, 1)] {
            wanted.push((person, node, Topic::Waitlist(doctor)));
        }
        for node in 0..2 {
            for doctor in 0..2 {
                wanted.push((nobody, node, Topic::Doctor(doctor)));
                wanted.push((nobody, node, Topic::Reviews(doctor)));
                for service in 0..SERVICES {
                    for number in [0, 3] {
                        wanted.push((nobody, node, Topic::Slots(doctor, service, day(doctor, number))));
                    }
                }
            }
        }
        for (person, node, topic) in wanted {
            let (name, request) = model.subscription(&topic);
            let mut watch = Watch { person, node, topic, name, request, view: View::default(), left: None };
            subscribe(&self.connections[person][node], &watch.name, &watch.request, &mut watch.view).await;
            self.watches.push(watch);
        }
        let followed = [
            (nobody, 0, Topic::Slots(0, 3, day(0, 0))),
            (nobody, 1, Topic::Slots(1, 0, day(1, 3))),
            (nobody, 0, Topic::Doctor(1)),
            (0, 1, Topic::Mine(0)),
            (1, 0, Topic::MyWaitlist(1)),
            (3, 1, model.calendar_topic(0, first, last)),
            (4, 1, Topic::Waitlist(1)),
        ];
        for (person, node, topic) in followed {
            let mut stream = Stream::new(person, node, topic, model);
            stream.open(&self.urls, self.tokens[person].as_deref()).await.expect("nothing is to be resumed");
            self.streams.push(stream);
        }
    }

    /// Watches the slots of services that are new.
    pub async fn watch_services(&mut self, model: &Model) {
        let nobody = self.connections.len() - 1;
        let new = |(doctor, of): (usize, &Doctor)| (SERVICES..of.services.len()).map(move |service| (doctor, service));
        for (doctor, service) in model.doctors.iter().enumerate().flat_map(new) {
            let topic = Topic::Slots(doctor, service, model.date(doctor, 0));
            if self.watches.iter().any(|watch| watch.topic == topic) {
                continue;
            }
            let (name, request) = model.subscription(&topic);
            let node = service % 2;
            self.connections[nobody][node].request("subscribe", &request, None).await.expect("the topic is given");
            let watch = Watch { person: nobody, node, topic, name, request, view: View::default(), left: None };
            self.watches.push(watch);
            let mut patience = Patience::default();
            self.take_in();
            while self.watches.last().is_some_and(|watch| watch.view.cursor.is_empty() || watch.view.snapshots == 0) {
                patience.rest().await;
                self.take_in();
            }
        }
    }

    /// Whether those who follow events are told what they must see.
    ///
    /// # Errors
    /// What somebody sees otherwise.
    pub async fn compare_streams(&mut self, model: &Model) -> Result<(), String> {
        for stream in &mut self.streams {
            stream.compare(model).await?;
        }
        Ok(())
    }

    /// Asks, and gives the answer and the cursor of a change.
    pub async fn ask(&self, asked: &Asked) -> (Answer, Option<String>) {
        match asked.deed {
            Deed::SearchDoctors { .. } => (self.ask_for_all(asked).await, None),
            _ => self.ask_once(asked).await,
        }
    }

    /// Asks for one page after the other, now at this node and now at that one, and gives them as one.
    async fn ask_for_all(&self, asked: &Asked) -> Answer {
        let (mut asked, mut items) = (asked.clone(), Vec::new());
        loop {
            let page = self.ask_once(&asked).await.0?;
            let found = page["items"].as_array().expect("a list");
            let more = page.get("nextPageToken");
            let size = asked.data["pageSize"].as_u64().and_then(|size| usize::try_from(size).ok());
            let is_whole = found.len() == size.expect("a size");
            assert!(is_whole || (more.is_none() && Some(found.len()) < size), "{}: {page}", asked.data);
            items.extend_from_slice(found);
            let Some(token) = more else { return Ok(json!({ "items": items })) };
            asked.data["pageToken"] = token.clone();
            asked.node = 1 - asked.node;
        }
    }

    async fn ask_once(&self, asked: &Asked) -> (Answer, Option<String>) {
        let person = asked.who.unwrap_or(self.connections.len() - 1);
        if asked.rest {
            return doors::ask(Rest { url: &self.urls[asked.node], token: self.tokens[person].as_deref() }, asked)
                .await;
        }
        let connection = &self.connections[person][asked.node];
        match connection.request(asked.op, &asked.data, asked.key.clone()).await {
            Ok(reply) => (Ok(reply.data), reply.cursor.map(|cursor| cursor.0)),
            Err(error) => (Err(error.problem().unwrap_or_else(|| panic!("{}: {error}", asked.op)).clone()), None),
        }
    }

    /// Waits until both nodes have told everybody of everything up to a cursor.
    pub async fn settle(&mut self, cursor: Option<String>, model: &Model) {
        let Some(cursor) = cursor else { return };
        if cursor > self.cursor {
            self.cursor = cursor;
        }
        // Replies and changes come in one line: what was to be told is there before the reply.
        let request = json!({ "id": model.doctor_id(0), "after": self.cursor });
        let watching = self.watches.iter().map(|watch| (watch.person, watch.node)).collect::<BTreeSet<_>>();
        let all = watching
            .iter()
            .map(|(person, node)| self.connections[*person][*node].request("doctor.get", &request, None));
        for reply in join_all(all).await {
            reply.expect("both nodes follow");
        }
        self.take_in();
    }

    /// Takes in what has been told by now.
    pub fn take_in(&mut self) {
        for (person, pair) in self.connections.iter().enumerate() {
            for (node, connection) in pair.iter().enumerate() {
                while let Some(event) = at_hand(connection) {
                    let frame = event.expect("the connection stays");
                    for watch in self.watches.iter_mut().filter(|one| (one.person, one.node) == (person, node)) {
                        watch.view.take(&watch.name, &frame);
                    }
                }
            }
        }
    }

    /// Tells the model what the server alone knew of what it offered, as those see it whom it is offered to.
    pub fn tell_offers(&self, model: &mut Model) {
        let view =
            |topic: &Topic| self.watches.iter().find(|watch| watch.topic == *topic).map(|watch| &watch.view.items);
        for (hold, wait) in model.unknown_offers() {
            let (patient, id) = (model.waiting[wait].patient, &model.waiting[wait].id);
            let entry = view(&Topic::MyWaitlist(patient)).and_then(|items| items.get(id));
            let id = entry.and_then(|entry| entry["offer"]["holdId"].as_str());
            let item = id.and_then(|id| view(&Topic::Mine(patient))?.get(id));
            if let Some(item) = item {
                // What is missing in it is told by the comparison.
                let _ = model.learn(hold, item);
            }
        }
    }

    /// Whether everybody sees what they must see.
    ///
    /// # Errors
    /// What somebody sees otherwise.
    pub fn compare(&self, model: &Model) -> Result<(), String> {
        let mut known: Vec<(&Topic, Items)> = Vec::new();
        for Watch { person, node, topic, view, .. } in &self.watches {
            let place = known.iter().position(|(other, _)| *other == topic).unwrap_or_else(|| {
                known.push((topic, model.items(topic)));
                known.len() - 1
            });
            let told = |error| format!("{person} watches at node {node}: {error}");
            model.compare_topic(topic, &view.items, &known[place].1).map_err(told)?;
        }
        Ok(())
    }

    /// Whether everybody who asks anew at the other node sees it too.
    ///
    /// # Errors
    /// What somebody sees otherwise.
    pub async fn compare_fresh(&self, model: &Model) -> Result<(), String> {
        let mut fresh: Vec<[Option<Connection>; 2]> = self.connections.iter().map(|_| [None, None]).collect();
        for watch in &self.watches {
            let node = 1 - watch.node;
            let place = &mut fresh[watch.person][node];
            if place.is_none() {
                *place = Some(connect(&self.urls[node], self.tokens[watch.person].as_deref()).await);
            }
            let Some(connection) = place else { continue };
            let mut view = View::default();
            let mut request = watch.request.clone();
            request.as_object_mut().expect("an object").remove("after");
            subscribe(connection, &watch.name, &request, &mut view).await;
            let topic = model.anew(&watch.topic);
            model
                .compare_topic(&topic, &view.items, &model.items(&topic))
                .map_err(|error| format!("a fresh snapshot: {error}"))?;
            connection.request("unsubscribe", json!({ "topic": watch.name }), None).await.expect("it is left");
        }
        Ok(())
    }

    /// Somebody leaves a topic for a while.
    pub fn leave(&mut self, number: usize) {
        let (watches, streams) = (self.watches.len(), self.streams.len());
        let number = number % (watches + streams);
        if number >= watches {
            return self.streams[number - watches].close();
        }
        let watch = &mut self.watches[number];
        watch.left = Some(watch.view.clone());
    }

    /// Somebody comes back to a topic at the other node, and goes on from where they left.
    ///
    /// # Errors
    /// What they see otherwise.
    pub async fn come_back(&mut self, number: usize, model: &Model) -> Result<(), String> {
        let (watches, streams) = (self.watches.len(), self.streams.len());
        let number = number % (watches + streams);
        if number >= watches {
            let stream = &mut self.streams[number - watches];
            stream.renew(model);
            stream.open(&self.urls, self.tokens[stream.person].as_deref()).await?;
            return stream.compare(model).await;
        }
        let watch = &mut self.watches[number];
        if model.anew(&watch.topic) != watch.topic {
            // The same dates are another window by now, where there is nothing to go on with.
            watch.left = None;
            return Ok(());
        }
        let mut view = watch.left.take().unwrap_or_else(|| watch.view.clone());
        let connection = connect(&self.urls[1 - watch.node], self.tokens[watch.person].as_deref()).await;
        let mut request = watch.request.clone();
        request["after"] = json!(view.cursor);
        let reply = connection.request("subscribe", request, None).await.expect("the topic is given");
        let has_rules = matches!(watch.topic, Topic::Slots(..));
        if reply.data["resumed"] != true && !has_rules {
            return Err(format!("{:?} is not resumed", watch.topic));
        }
        let after = json!({ "id": model.doctor_id(0), "after": view.cursor.clone().max(self.cursor.clone()) });
        connection.request("doctor.get", after, None).await.expect("the node follows");
        // What was missed has its own time: it is not before the reply to something else.
        let (expected, begun, mut patience) = (model.items(&watch.topic), Instant::now(), Patience::default());
        loop {
            while let Some(event) = at_hand(&connection) {
                view.take(&watch.name, &event.expect("the connection stays"));
            }
            match model.compare_topic(&watch.topic, &view.items, &expected) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > doors::LATE => return Err(format!("come back: {error}")),
                Err(_) => patience.rest().await,
            }
        }
    }

    /// Waits until some holds are gone from what their holders see, and gives where that was.
    pub async fn run_out(&mut self, holds: &[(usize, String)]) -> Option<String> {
        let mut patience = Patience::default();
        loop {
            self.take_in();
            let of = |person: usize| self.watches.iter().find(|watch| watch.topic == Topic::Mine(person));
            let views: Vec<(&View, &String)> =
                holds.iter().filter_map(|(person, id)| Some((&of(*person)?.view, id))).collect();
            if views.iter().all(|(view, id)| !view.items.contains_key(*id)) {
                return views.iter().map(|(view, _)| view.cursor.clone()).max();
            }
            patience.rest().await;
        }
    }
}

/// Subscribes, and takes in the snapshot.
async fn subscribe(connection: &Connection, name: &str, request: &Value, view: &mut View) {
    connection.request("subscribe", request, None).await.expect("the topic is given");
    while view.cursor.is_empty() || view.snapshots == 0 {
        let event = timeout(PATIENCE, connection.next_event()).await.expect("a snapshot in time");
        view.take(name, &event.expect("the connection stays"));
    }
}

/// An event that is there by now. That a task has done much is no reason to say that there is none.
fn at_hand(connection: &Connection) -> Option<Result<Frame, ClientError>> {
    unconstrained(connection.next_event()).now_or_never()
}

/// What the clock says.
pub fn now() -> Timestamp {
    Clock.now()
}
