//! The other doors: requests through REST, and topics that are followed as server-sent events.

use std::time::{Duration, Instant};

use cita_cli::Frame;
use cita_protocol::operation::Kind;
use cita_protocol::value::Cursor;
use cita_protocol::{Operation, Problem};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

use super::asked::Asked;
use super::judge::Answer;
use super::state::Model;
use super::topics::Topic;
use crate::harness::Patience;
use crate::harness::events::Events;
use crate::harness::rest::{Rest, check_output, escaped, request};
use crate::harness::watch::View;

/// What a stream tells comes a moment after what is answered, and no later than this.
pub const LATE: Duration = Duration::from_secs(10);

/// Asks through REST, where the revision that is expected and the key stand in headers. Gives the answer and the cursor of a change.
pub async fn ask(rest: Rest<'_>, asked: &Asked) -> (Answer, Option<String>) {
    let operation = Operation::named(asked.op).expect("an operation");
    let mut data = asked.data.clone();
    let rev = data.as_object_mut().and_then(|fields| fields.remove("rev")).map(|rev| format!("\"{rev}\""));
    let (method, path, body) = request(operation, &data);
    let mut headers = Vec::new();
    headers.extend(rev.iter().map(|rev| ("if-match", rev.as_str())));
    headers.extend(asked.key.iter().map(|key| ("idempotency-key", key.as_str())));
    let answer = rest.send(&method, &path, &headers, body.as_ref()).await;
    let told = answer.json();
    if answer.code().is_some() {
        let problem: Problem = serde_json::from_value(told).expect("a problem");
        return (Err(problem), None);
    }
    let status = operation.route().expect("it has a route").status;
    assert_eq!(answer.status, status, "{} {answer:?}", asked.op);
    check_output(operation, &told);
    let cursor = Some(answer.header("cita-cursor").to_owned()).filter(|cursor| !cursor.is_empty());
    assert_eq!(cursor.is_some(), operation.kind() == Kind::Mutation, "{} {answer:?}", asked.op);
    let (location, id) = (answer.header("location"), told["id"].as_str());
    let is_told = id.is_some_and(|id| location.ends_with(id));
    assert!(if status == 201 { is_told } else { location.is_empty() }, "{} {answer:?}", asked.op);
    let tag = told["rev"].as_u64().map(|rev| format!("\"{rev}\"")).unwrap_or_default();
    assert_eq!(answer.header("etag"), tag, "{} {answer:?}", asked.op);
    (Ok(told), cursor)
}

/// Somebody who follows a topic as events.
pub struct Stream {
    /// Place of the token.
    pub person: usize,
    node: usize,
    topic: Topic,
    name: String,
    query: String,
    view: View,
    open: Option<Open>,
}

/// What reads a stream.
struct Open {
    frames: UnboundedReceiver<Frame>,
    reader: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Stream {
    /// Someone who will follow a topic.
    pub fn new(person: usize, node: usize, topic: Topic, model: &Model) -> Self {
        let (name, request) = model.subscription(&topic);
        let bound = |field: &str| request[field].as_str().map(|date| format!("&{field}={date}")).unwrap_or_default();
        let query = format!("topic={}{}{}", escaped(&name), bound("from"), bound("to"));
        Self { person, node, topic, name, query, view: View::default(), open: None }
    }

    /// Follows it from where they were, at the other node if they were anywhere.
    ///
    /// # Errors
    /// What should have been resumed is not.
    pub async fn open(&mut self, urls: &[String; 2], token: Option<&str>) -> Result<(), String> {
        let last = Some(self.view.cursor.clone()).filter(|cursor| !cursor.is_empty());
        if last.is_some() {
            self.node = 1 - self.node;
        }
        self.open = None;
        let mut events = Events::open(&urls[self.node], &self.query, token, last.as_deref()).await;
        let reply = events.next().await.expect("a reply");
        let is_resumed = reply.data["resumed"] == true;
        if last.is_some() && !is_resumed && !matches!(self.topic, Topic::Slots(..)) {
            return Err(format!("{:?} is not resumed as events", self.topic));
        }
        let (send, frames) = unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let cursor = event.id.map(Cursor);
                if send.send(Frame { kind: event.kind, id: None, cursor, data: event.data }).is_err() {
                    return;
                }
            }
        });
        self.open = Some(Open { frames, reader: reading.abort_handle() });
        Ok(())
    }

    /// Forgets what was told of a window that is another one by now.
    pub fn renew(&mut self, model: &Model) {
        let topic = model.anew(&self.topic);
        if topic != self.topic {
            (self.topic, self.view) = (topic, View::default());
        }
    }

    /// Stops listening.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Whether they are told, sooner or later, what they must see.
    ///
    /// # Errors
    /// What they see otherwise.
    pub async fn compare(&mut self, model: &Model) -> Result<(), String> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (expected, begun) = (model.items(&self.topic), Instant::now());
        let mut patience = Patience::default();
        loop {
            while let Ok(frame) = open.frames.try_recv() {
                self.view.take(&self.name, &frame);
            }
            match model.compare_topic(&self.topic, &self.view.items, &expected) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > LATE => {
                    return Err(format!("{} follows events of node {}: {error}", self.person, self.node));
                }
                Err(_) => patience.rest().await,
            }
        }
    }
}
