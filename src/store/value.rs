//! Ids, instants and bytes ⇄ BSON.

use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Timestamp as ClusterTime, Uuid as BsonUuid};
use uuid::Uuid;

use crate::domain::change::Position;
use crate::error::{Error, Result};

/// An id as binary of subtype 4.
#[must_use]
pub fn bson_id(id: Uuid) -> BsonUuid {
    BsonUuid::from_bytes(id.into_bytes())
}

/// The id of a binary of subtype 4.
#[must_use]
pub fn uuid_of(id: BsonUuid) -> Uuid {
    Uuid::from_bytes(id.bytes())
}

/// An instant, to the millisecond.
#[must_use]
pub fn bson_time(instant: Timestamp) -> DateTime {
    DateTime::from_millis(instant.as_millisecond())
}

/// The instant of a document's date.
///
/// # Errors
/// `internal` beyond what Cita writes.
pub fn instant(time: DateTime) -> Result<Timestamp> {
    Timestamp::from_millisecond(time.timestamp_millis())
        .map_err(|_| Error::Internal("a document has a date beyond year 9999".to_owned()))
}

/// Plain bytes.
#[must_use]
pub fn binary(bytes: impl Into<Vec<u8>>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.into() }
}

/// The cluster time of a position.
#[must_use]
pub fn cluster_time(position: Position) -> ClusterTime {
    ClusterTime { time: (position.0 >> 32) as u32, increment: position.0 as u32 }
}

/// The position of a cluster time.
#[must_use]
pub fn position(time: ClusterTime) -> Position {
    Position(u64::from(time.time) << 32 | u64::from(time.increment))
}
