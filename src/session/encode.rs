//! Frames of live topics: items to JSON, once for everyone who sees them.

use cita_protocol::Problem;
use cita_protocol::TimeZone;
use cita_protocol::appointment::Appointment;
use cita_protocol::frame::{Change, Reset, Snapshot};
use serde::Serialize;
use serde_json::value::RawValue;

use super::convert;
use crate::live::frame::Frame;
use crate::live::hub::Message;
use crate::live::project::Update;

/// Most bytes of a part of a snapshot.
const PART: usize = 256 * 1024;
/// What a part has around its items, at most.
const ENVELOPE: usize = 1024;

/// Writes a message of a topic as frames. Only the last part of a snapshot carries the cursor.
#[must_use]
pub fn frames(topic: &str, message: Message<'_>, cursor: &str) -> Vec<Frame> {
    match message {
        Message::Snapshot(Update::Slots { zone, upserted, .. }) => {
            snapshot(topic, Some(zone), &upserted.iter().map(convert::live_slot).collect::<Vec<_>>(), cursor)
        }
        Message::Snapshot(Update::Appointments { upserted, .. }) => {
            snapshot(topic, None, &upserted.iter().map(|item| convert::appointment(item)).collect::<Vec<_>>(), cursor)
        }
        Message::Snapshot(Update::Doctor(doctor)) => snapshot(topic, None, &[convert::live_doctor(doctor)], cursor),
        Message::Snapshot(Update::Reviews { upserted, .. }) => {
            snapshot(topic, None, &upserted.iter().map(|item| convert::review(item)).collect::<Vec<_>>(), cursor)
        }
        Message::Snapshot(Update::Waitlist { upserted, .. }) => {
            let items: Vec<_> = upserted.iter().map(|item| convert::waitlist_entry(item)).collect();
            snapshot(topic, None, &items, cursor)
        }
        Message::Snapshot(Update::Sessions { upserted, .. }) => {
            snapshot(topic, None, &upserted.iter().map(|item| convert::session(item, None)).collect::<Vec<_>>(), cursor)
        }
        Message::Change(Update::Doctor(doctor)) => {
            change(topic, None, vec![convert::live_doctor(doctor)], Vec::new(), cursor)
        }
        Message::Change(Update::Slots { zone, upserted, removed }) => {
            let upserted = upserted.iter().map(convert::live_slot).collect();
            change(
                topic,
                Some(zone),
                upserted,
                removed.iter().map(|start| convert::instant(*start).0).collect(),
                cursor,
            )
        }
        Message::Change(Update::Appointments { upserted, removed }) => {
            let upserted: Vec<Appointment> = upserted.iter().map(|item| convert::appointment(item)).collect();
            change(topic, None, upserted, removed.iter().map(ToString::to_string).collect(), cursor)
        }
        Message::Change(Update::Reviews { upserted, removed }) => {
            let upserted = upserted.iter().map(|item| convert::review(item)).collect();
            change(topic, None, upserted, removed.iter().map(ToString::to_string).collect(), cursor)
        }
        Message::Change(Update::Waitlist { upserted, removed }) => {
            let upserted = upserted.iter().map(|item| convert::waitlist_entry(item)).collect();
            change(topic, None, upserted, removed.iter().map(ToString::to_string).collect(), cursor)
        }
        Message::Change(Update::Sessions { upserted, removed }) => {
            let upserted = upserted.iter().map(|item| convert::session(item, None)).collect();
            change(topic, None, upserted, removed.iter().map(ToString::to_string).collect(), cursor)
        }
        Message::Ended(why) => {
            let problem = Problem { topic: Some(topic.to_owned()), ..convert::problem(why.clone().into()) };
            vec![Frame::new("error", None, None, &json(&problem))]
        }
        Message::Reset => vec![Frame::new("reset", None, None, &json(&Reset { topic: topic.to_owned() }))],
    }
}

/// `zone`: the doctor's, where the items do not say it.
fn change<I: Serialize>(
    topic: &str,
    zone: Option<&String>,
    upserted: Vec<I>,
    removed: Vec<String>,
    cursor: &str,
) -> Vec<Frame> {
    let change = Change { topic: topic.to_owned(), time_zone: zone.cloned().map(TimeZone), upserted, removed };
    vec![Frame::new("change", None, Some(cursor), &json(&change))]
}

fn snapshot<I: Serialize>(topic: &str, zone: Option<&String>, items: &[I], cursor: &str) -> Vec<Frame> {
    let items: Vec<Box<RawValue>> = items.iter().map(raw).collect();
    let parts = parts(&items);
    let last = parts.len() - 1;
    let frame = |(index, items): (usize, &[Box<RawValue>])| {
        let more = index < last;
        let time_zone = zone.cloned().map(TimeZone);
        let part = Snapshot { topic: topic.to_owned(), time_zone, items: items.iter().collect(), more };
        Frame::new("snapshot", None, (!more).then_some(cursor), &json(&part))
    };
    parts.into_iter().enumerate().map(frame).collect()
}

/// As many items in a part as fit, one at least; a part at least.
fn parts(items: &[Box<RawValue>]) -> Vec<&[Box<RawValue>]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (index, item) in items.iter().enumerate() {
        let length = item.get().len() + 1;
        if bytes + length > PART - ENVELOPE && index > from {
            parts.push(&items[from..index]);
            (from, bytes) = (index, 0);
        }
        bytes += length;
    }
    parts.push(&items[from..]);
    parts
}

/// An item as JSON, written once.
fn raw<I: Serialize>(item: &I) -> Box<RawValue> {
    serde_json::value::to_raw_value(item)
        .expect("wire types have string keys and finite numbers, so they are always JSON")
}

/// JSON of a wire type.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("wire types have string keys and finite numbers, so they are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_larger_than_allowed_and_none_is_missing() {
        let long = |length: usize| "x".repeat(length);
        let items: Vec<String> = (0..600).map(|index| long(if index < 500 { 100 } else { 6_000 })).collect();
        let frames = snapshot("t", None, &items, "1c");
        assert!(frames.len() > 2);
        assert!(frames.iter().all(|frame| frame.text().len() <= PART));
        let (last, before) = frames.split_last().expect("a part");
        assert!(last.cursor().is_some() && before.iter().all(|frame| frame.cursor().is_none()));
        let told = |frame: &Frame| {
            let part: Snapshot<String> = serde_json::from_slice(&frame.data()).expect("a snapshot");
            part.items
        };
        assert_eq!(frames.iter().flat_map(told).collect::<Vec<_>>(), items);
        assert_eq!(snapshot::<String>("t", None, &[], "1c").len(), 1, "an empty topic has a snapshot too");
    }
}
