//! Frames of live topics: items to JSON, once for everyone who sees them.

use cita_protocol::appointment::Appointment;
use cita_protocol::frame::{Change, Reset, Snapshot};
use serde::Serialize;

use super::convert;
use crate::live::hub::Message;
use crate::live::outbox::Frame;
use crate::live::project::Update;

/// Most bytes of a part of a snapshot.
const PART: usize = 256 * 1024;

/// Writes a message of a topic as frames. Only the last part of a snapshot carries the cursor.
#[must_use]
pub fn frames(topic: &str, message: Message<'_>, cursor: &str) -> Vec<Frame> {
    match message {
        Message::Snapshot(Update::Slots { upserted, .. }) => {
            snapshot(topic, &upserted.iter().map(convert::live_slot).collect::<Vec<_>>(), cursor)
        }
        Message::Snapshot(Update::Appointments { upserted, .. }) => {
            snapshot(topic, &upserted.iter().map(|item| convert::appointment(item)).collect::<Vec<_>>(), cursor)
        }
        Message::Change(Update::Slots { upserted, removed }) => {
            let upserted = upserted.iter().map(convert::live_slot).collect();
            change(topic, upserted, removed.iter().map(|start| convert::instant(*start).0).collect(), cursor)
        }
        Message::Change(Update::Appointments { upserted, removed }) => {
            let upserted: Vec<Appointment> = upserted.iter().map(|item| convert::appointment(item)).collect();
            change(topic, upserted, removed.iter().map(ToString::to_string).collect(), cursor)
        }
        Message::Reset => vec![Frame::new("reset", None, None, &json(&Reset { topic: topic.to_owned() }))],
    }
}

fn change<I: Serialize>(topic: &str, upserted: Vec<I>, removed: Vec<String>, cursor: &str) -> Vec<Frame> {
    vec![Frame::new("change", None, Some(cursor), &json(&Change { topic: topic.to_owned(), upserted, removed }))]
}

fn snapshot<I: Serialize>(topic: &str, items: &[I], cursor: &str) -> Vec<Frame> {
    // Items are alike: how many fit in a part is told by the size of all.
    let bytes = json(&items).len();
    let in_part = if bytes <= PART - 1024 { items.len().max(1) } else { (items.len() * (PART / 2) / bytes).max(1) };
    let mut parts: Vec<&[I]> = items.chunks(in_part).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let last = parts.len() - 1;
    let frame = |(index, items): (usize, &[I])| {
        let more = index < last;
        let part = Snapshot { topic: topic.to_owned(), items: items.iter().collect(), more };
        Frame::new("snapshot", None, (!more).then_some(cursor), &json(&part))
    };
    parts.into_iter().enumerate().map(frame).collect()
}

/// JSON of a wire type.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("wire types have string keys and finite numbers, so they are always JSON")
}
