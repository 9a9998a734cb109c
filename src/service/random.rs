//! Randomness that nobody can guess, and the ids made of it.

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::error::{Error, Result};

/// Fresh random bytes.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Internal("no randomness to be had".to_owned()))?;
    Ok(bytes)
}

/// A fresh id of version 7: those of one time lie side by side in an index.
pub(super) fn id(now: Timestamp) -> Result<Uuid> {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Ok(Builder::from_unix_timestamp_millis(millis, &bytes()?).into_uuid())
}
