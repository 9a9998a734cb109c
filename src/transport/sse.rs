//! Server-sent events: the topics of a WebSocket for clients that only listen.
//!
//! A frame becomes an event: its type, its cursor as `id`, its data. A reconnecting browser sends the last id, and the
//! stream continues from there.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use cita_protocol::topic::SubscribeRequest;
use cita_protocol::{Cursor, ErrorCode, FieldError, LocalDate, Operation, Problem};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};
use tokio::time::{sleep, timeout};

use super::auth::Caller;
use super::input::{Pairs, Unreadable, single};
use super::limits::Limits;
use super::problem::{Refused, field, invalid};
use super::rest::query;
use super::{Shared, rate};
use crate::session::connection::Session;

/// The cursor that a browser sends when it reconnects.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Answers with the stream of the topics in the query.
///
/// # Errors
/// What the first subscription that failed says, with its topic; nothing is opened then.
pub async fn events(
    State(shared): State<Shared>,
    Caller { viewer, peer, .. }: Caller,
    request: Request,
) -> Result<Response, Refused> {
    let requests = requests(query(request.uri())?, request.headers(), &shared.limits)?;
    let ids = Ids::of(&requests);
    let services = shared.services()?;
    // Each topic is one subscription, as over WebSocket.
    let mut left = None;
    for _ in &requests {
        let (rate, admitted) = services.limiter.check(Operation::Subscribe, &viewer, peer);
        admitted.map_err(|problem| Refused::limited(problem, Some(rate)))?;
        left = Some(rate);
    }
    let session = Session::open_stream(services, viewer, peer);
    let open = Open { session, ids };
    let opening = timeout(shared.limits.answer_timeout, subscribe(&open, requests)).await;
    let opened = opening.unwrap_or_else(|_| Err(Problem::new(ErrorCode::Unavailable)));
    let first = opened.map_err(|problem| Refused::limited(problem, left))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // Asks nginx not to hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let body = Body::from_stream(Events::new(&shared, open, first).into_stream());
    let mut response = (headers, body).into_response();
    if let Some(rate) = &left {
        rate::tell(rate, response.headers_mut());
    }
    Ok(response)
}

/// Subscribes one after the other. What comes meanwhile is taken out, so that a full outbox does not stop the next.
async fn subscribe(open: &Open, requests: Vec<SubscribeRequest>) -> Result<Chunk, Problem> {
    let mut subscribing = std::pin::pin!(async {
        for request in requests {
            let topic = Some(request.topic.clone());
            open.session.subscribe(request).await.map_err(|problem| Problem { topic, ..problem })?;
        }
        // From here on there is a point from which all topics can be continued.
        open.session.ping();
        Ok(())
    });
    let mut taken = Chunk::default();
    loop {
        tokio::select! {
            biased;
            done = &mut subscribing => {
                // What ended before the next topic was asked for was not the last.
                taken.is_last &= !open.session.watches();
                return done.map(|()| taken);
            }
            chunk = take(open) => {
                let Chunk { events, is_last } = chunk.ok_or_else(|| Problem::new(ErrorCode::Unavailable))?;
                taken.events.extend(events);
                taken.is_last |= is_last;
            }
        }
    }
}

/// Events as they are sent.
#[derive(Default)]
struct Chunk {
    events: Vec<u8>,
    /// The last topic of the stream has ended with an error.
    is_last: bool,
}

/// Waits for frames and writes all that wait as one chunk of events. `None`: the session has ended.
async fn take(open: &Open) -> Option<Chunk> {
    let frames = open.session.outbox().take().await.ok()?;
    let mut chunk = Chunk::default();
    for frame in frames {
        chunk.is_last |= frame.kind == "error" && !open.session.watches();
        let cursor = frame.cursor().filter(|_| open.ids == Ids::EveryFrame || frame.kind == "ping");
        write_event(&mut chunk.events, frame.kind, cursor.as_deref(), &frame.data());
    }
    Some(chunk)
}

/// Neither part has a line break: `data` is JSON as serde writes it, a cursor is letters and digits.
fn write_event(out: &mut Vec<u8>, kind: &str, cursor: Option<&[u8]>, data: &[u8]) {
    let mut line = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    line(b"event: ", kind.as_bytes());
    if let Some(cursor) = cursor {
        line(b"id: ", cursor);
    }
    line(b"data: ", data);
    line(b"", b"");
}

/// Which events carry an id. A browser sends the last one for all its topics: with several, one commit is several
/// events, and only a `ping` says that all of them have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    EveryFrame,
    Pings,
}

impl Ids {
    fn of(requests: &[SubscribeRequest]) -> Self {
        match requests {
            [only] if !is_range(only) => Self::EveryFrame,
            _ => Self::Pings,
        }
    }
}

/// A range of slots is a topic for each of its dates.
fn is_range(request: &SubscribeRequest) -> bool {
    request.from.is_some() && request.topic.contains("/slots/")
}

/// A session that ends with its stream, whoever ends that.
struct Open {
    session: Arc<Session>,
    ids: Ids,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.session.close();
    }
}

/// An open stream. It runs inside the response's body, so that a client that has left takes it along.
struct Events {
    open: Open,
    /// What came while the topics were subscribed to.
    first: Option<Chunk>,
    /// There is nothing more to come.
    ended: bool,
    /// Heartbeats and the end of the token; `None` once it has ended.
    keep: Option<BoxFuture<'static, ()>>,
    /// The node stops, and the session did not end by itself.
    cut: BoxFuture<'static, ()>,
}

impl Events {
    fn new(shared: &Shared, open: Open, first: Chunk) -> Self {
        let session = Arc::clone(&open.session);
        let (stop, grace) = (shared.shutdown.clone(), shared.limits.stream_grace);
        let (stopping, cutting) = (stop.clone(), shared.cut.clone());
        let keep = async move { tokio::join!(session.keep(), session.drain_on(&stopping, &cutting)) }.map(drop);
        let cut = async move {
            stop.cancelled_owned().await;
            sleep(grace).await;
        };
        Self { open, first: Some(first), ended: false, keep: Some(keep.boxed()), cut: cut.boxed() }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut events| async move {
            if events.ended {
                return None;
            }
            let chunk = events.next().await?;
            events.ended = chunk.is_last;
            Some((Ok(Bytes::from(chunk.events)), events))
        })
    }

    async fn next(&mut self) -> Option<Chunk> {
        if let Some(first) = self.first.take().filter(|first| !first.events.is_empty()) {
            return Some(first);
        }
        if let Some(keep) = &mut self.keep {
            // The end of the token comes before what waits to be sent.
            tokio::select! {
                biased;
                () = &mut self.cut => return None,
                () = keep => self.keep = None,
                chunk = take(&self.open) => return chunk,
            }
        }
        take(&self.open).now_or_never().flatten()
    }
}

/// The subscriptions that a query asks for.
fn requests(query: Pairs, headers: &HeaderMap, limits: &Limits) -> Result<Vec<SubscribeRequest>, Problem> {
    let mut asked = Asked::default();
    for (name, value) in query {
        asked.take(&name, value);
    }
    asked.check_topics(limits.stream_topics);
    match single(headers, &LAST_EVENT_ID) {
        Ok(None | Some("")) => {}
        // A browser repeats the query as it was: the header is the later of the two.
        Ok(Some(id)) => asked.after = Some(id.into()),
        Err(Unreadable) => asked.refuse("after", "invalid", "one Last-Event-ID with a cursor"),
    }
    if asked.errors.is_empty() { Ok(asked.into_requests()) } else { Err(invalid(asked.errors)) }
}

#[derive(Default)]
struct Asked {
    topics: Vec<String>,
    from: Option<LocalDate>,
    to: Option<LocalDate>,
    after: Option<Cursor>,
    errors: Vec<FieldError>,
}

impl Asked {
    fn refuse(&mut self, name: &str, code: &str, detail: &str) {
        self.errors.push(field(name, code, detail));
    }

    fn take(&mut self, name: &str, value: String) {
        let before = match name {
            "topic" => {
                self.topics.push(value);
                false
            }
            "from" => self.from.replace(value.into()).is_some(),
            "to" => self.to.replace(value.into()).is_some(),
            "after" => self.after.replace(value.into()).is_some(),
            _ => return self.refuse(name, "unknown", "there is no such field"),
        };
        if before {
            self.refuse(name, "duplicate", "given more than once");
        }
    }

    fn check_topics(&mut self, most: usize) {
        if self.topics.is_empty() {
            self.refuse("topic", "required", "name at least one topic");
        } else if self.topics.len() > most {
            self.refuse("topic", "out_of_range", &format!("at most {most} topics"));
        } else if self.topics.iter().collect::<HashSet<_>>().len() < self.topics.len() {
            self.refuse("topic", "duplicate", "a topic is given more than once");
        }
    }

    /// `from` and `to` go to the topics that take them; where none does, to all, which refuse them.
    fn into_requests(self) -> Vec<SubscribeRequest> {
        let any_range = self.topics.iter().any(|topic| takes_range(topic));
        let request = |topic: String| {
            let range = takes_range(&topic) || !any_range;
            let (from, to) = if range { (self.from.clone(), self.to.clone()) } else { (None, None) };
            SubscribeRequest { topic, from, to, after: self.after.clone() }
        };
        self.topics.iter().cloned().map(request).collect()
    }
}

/// By its form alone: whether there is such a topic is asked where it is subscribed to.
fn takes_range(topic: &str) -> bool {
    matches!(topic.split('/').collect::<Vec<_>>()[..], ["doctors", _, "slots", _] | ["doctors", _, "appointments"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)], last_event_id: Option<&'static str>) -> Result<Vec<SubscribeRequest>, Vec<String>> {
        let query = query.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let headers = last_event_id.map(|id| (LAST_EVENT_ID, HeaderValue::from_static(id))).into_iter().collect();
        let pointers =
            |problem: Problem| problem.errors.into_iter().map(|e| format!("{} {}", e.pointer, e.code)).collect();
        requests(query, &headers, &Limits::default()).map_err(pointers)
    }

    #[test]
    fn topics_are_subscribed_to_in_order() {
        let query = [("topic", "me/appointments"), ("from", "2026-12-01"), ("topic", "doctors/d/slots/s")];
        let requests = read(&query, None).expect("a good query");
        assert_eq!(
            requests.iter().map(|r| r.topic.as_str()).collect::<Vec<_>>(),
            ["me/appointments", "doctors/d/slots/s"]
        );
        assert_eq!(requests[0].from, None);
        assert_eq!(requests[1].from, Some("2026-12-01".into()));
        let refused_later = read(&[("topic", "me/appointments"), ("from", "x")], None).expect("judged by the topic");
        assert_eq!(refused_later[0].from, Some("x".into()));
    }

    #[test]
    fn the_last_event_id_is_later_than_the_query() {
        let after = |id| read(&[("topic", "t"), ("after", "1a")], id).map(|requests| requests[0].after.clone());
        assert_eq!(after(None), Ok(Some("1a".into())));
        assert_eq!(after(Some("1b")), Ok(Some("1b".into())));
        assert_eq!(after(Some("")), Ok(Some("1a".into())));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(read(&[], None), Err(vec!["/topic required".into()]));
        assert_eq!(read(&[("topic", "t"), ("topic", "t")], None), Err(vec!["/topic duplicate".into()]));
        let query = [("topic", "t"), ("token", "x"), ("to", "a"), ("to", "b")];
        assert_eq!(read(&query, None), Err(vec!["/token unknown".into(), "/to duplicate".into()]));
        let topics: Vec<_> = (0..33).map(|index| index.to_string()).collect();
        let query: Vec<_> = topics.iter().map(|topic| ("topic", topic.as_str())).collect();
        assert_eq!(read(&query, None), Err(vec!["/topic out_of_range".into()]));
    }

    #[test]
    fn events_are_framed() {
        let mut out = Vec::new();
        write_event(&mut out, "change", Some(b"1a"), br#"{"topic":"t"}"#);
        write_event(&mut out, "reset", None, b"{}");
        assert_eq!(out, b"event: change\nid: 1a\ndata: {\"topic\":\"t\"}\n\nevent: reset\ndata: {}\n\n");
    }
}
