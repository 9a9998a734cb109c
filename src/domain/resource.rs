//! Rooms and devices that doctors share: each is used by one appointment at a time.

use jiff::Timestamp;

use super::doctor::HistoryEntry;
use super::ids::ResourceId;

/// A room or a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub id: ResourceId,
    pub rev: u32,
    pub name: String,
    pub kind: ResourceKind,
    /// No service can be given it any more; those that have it keep it.
    pub archived: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// At most [`super::history::HISTORY_LIMIT`] entries.
    pub history: Vec<HistoryEntry>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Room,
    Device,
}

impl ResourceKind {
    /// The word for it, in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Device => "device",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Room, Self::Device].into_iter().find(|kind| kind.as_str() == word)
    }
}
