//! A stream of server-sent events, as whoever only listens reads it.

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::clinic::PATIENCE;
use super::rest::{check_frame, client};

/// One event.
#[derive(Debug)]
pub struct Event {
    pub kind: String,
    pub id: Option<String>,
    pub data: Value,
}

/// An open stream.
pub struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// Opens the stream of a query.
    pub async fn open(url: &str, query: &str, token: Option<&str>, last: Option<&str>) -> Self {
        let mut request = client().get(format!("{url}/v1/events?{query}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer");
        let headers = response.headers();
        assert_eq!(
            (response.status().as_u16(), &headers["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(
            (&headers["cache-control"], &headers["x-accel-buffering"]),
            (&"no-store".parse().unwrap(), &"no".parse().unwrap())
        );
        Self { response, text: String::new() }
    }

    /// The next event, which must be as the schema of its frame has it. `None`: the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let event = Event {
                    kind: field("event: ").expect("a type"),
                    id: field("id: "),
                    data: serde_json::from_str(&field("data: ").expect("data")).expect("JSON"),
                };
                self.text = rest.to_owned();
                let mut frame = json!({ "type": event.kind, "data": event.data });
                if matches!(event.kind.as_str(), "ping" | "change") {
                    frame["cursor"] = json!(event.id.as_deref().unwrap_or("left out"));
                }
                check_frame(&frame);
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("something in time").expect("the stream");
            self.text.push_str(std::str::from_utf8(&chunk?).expect("whole events"));
        }
    }

    /// The next event of a kind.
    pub async fn of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.kind == kind {
                return event;
            }
        }
    }
}
