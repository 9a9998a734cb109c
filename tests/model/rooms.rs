//! What the model makes of rooms and devices.

use serde_json::{Value, json};

use super::asked::Asked;
use super::booking::{instant, text};
use super::judge::{FORBIDDEN, Judged, STALE, refuse, told};
use super::state::{ANY, Model, Role, Room};
use super::step::Deed;

/// Most of them in a script.
pub const MOST_ROOMS: usize = 5;

/// The fields of a new one.
pub fn kind_of_room(number: usize) -> Value {
    match number % 2 {
        0 => json!({ "name": "Sala 3", "kind": "room" }),
        _ => json!({ "name": "Ecógrafo", "kind": "device" }),
    }
}

/// The fields of a change.
pub fn change_of_room(number: usize) -> Value {
    match number % 3 {
        0 => json!({ "name": "Sala azul" }),
        1 => json!({ "kind": "device" }),
        _ => json!({ "name": "Sala roja", "kind": "room" }),
    }
}

impl Room {
    /// One with such fields, and what the server alone knows.
    pub fn made(data: &Value, reply: &Value) -> Result<Self, String> {
        let bare = Self {
            id: text(reply, "id")?,
            rev: 0,
            name: String::new(),
            kind: String::new(),
            archived: false,
            created_at: instant(reply, "createdAt")?,
        };
        Ok(bare.changed(data))
    }

    fn changed(&self, data: &Value) -> Self {
        let field = |name: &str, present: &String| data[name].as_str().map_or_else(|| present.clone(), str::to_owned);
        Self { rev: self.rev + 1, name: field("name", &self.name), kind: field("kind", &self.kind), ..self.clone() }
    }

    fn on_the_wire(&self) -> Value {
        json!({ "id": self.id, "rev": self.rev, "name": self.name, "kind": self.kind, "archived": self.archived,
            "createdAt": self.created_at.to_string(), "updatedAt": ANY })
    }
}

impl Model {
    pub fn room_ids(&self) -> Vec<String> {
        self.rooms.iter().map(|room| room.id.clone()).collect()
    }

    /// Whether a service may be given the rooms that a request names.
    pub fn are_usable(&self, data: &Value) -> bool {
        let usable = |id: &Value| self.rooms.iter().any(|room| !room.archived && Some(room.id.as_str()) == id.as_str());
        data["resourceIds"].as_array().into_iter().flatten().all(usable)
    }

    pub fn create_resource(&self, asked: &Asked, who: usize) -> Judged {
        if self.role_of(who) != Role::Admin {
            return refuse(FORBIDDEN);
        }
        if let Some(known) = self.remembers(asked, who)? {
            let is_it = |room: &&Room| Some(room.id.as_str()) == known.reply["id"].as_str();
            let room = self.rooms.iter().find(is_it).expect("what was made is there");
            return Ok(told(room.on_the_wire()));
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let room = Room::made(&asked.data, reply)?;
            if model.rooms.iter().any(|other| other.id == room.id) {
                return Err(format!("there was a room with this id before: {reply}"));
            }
            let wire = room.on_the_wire();
            model.rooms.push(room);
            model.rooms.sort_by_key(|room| (room.created_at, room.id.clone()));
            model.remember(&asked, None, reply);
            Self::compare(reply, &wire)
        }))
    }

    /// Another name or kind; or no further service has it.
    pub fn change_resource(&self, asked: &Asked, who: usize) -> Judged {
        if self.role_of(who) != Role::Admin {
            return refuse(FORBIDDEN);
        }
        let is_meant = |room: &&Room| Some(room.id.as_str()) == asked.data["id"].as_str();
        let room = self.rooms.iter().find(is_meant).expect("it is about one");
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(room.on_the_wire()));
        }
        if asked.rev.is_some_and(|rev| rev != room.rev) {
            return refuse(STALE);
        }
        let mut next = room.changed(&asked.data);
        next.archived |= matches!(asked.deed, Deed::ArchiveResource { .. });
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let wire = next.on_the_wire();
            let place = model.rooms.iter().position(|room| room.id == next.id).expect("it is about one");
            model.rooms[place] = next;
            model.remember(&asked, None, reply);
            Self::compare(reply, &wire)
        }))
    }

    pub fn list_resources(&self, who: usize) -> Judged {
        if self.role_of(who) == Role::Patient {
            return refuse(FORBIDDEN);
        }
        Ok(told(json!({ "items": self.rooms.iter().map(Room::on_the_wire).collect::<Vec<_>>() })))
    }
}
