//! Who of many doctors has time, and when.

use std::sync::Arc;

use super::Doctors;
use crate::domain::access;
use crate::domain::account::Viewer;
use crate::domain::doctor::Doctor;
use crate::domain::ids::DoctorId;
use crate::domain::listing::Filter;
use crate::error::Result;
use crate::service::slots::{First, Times, Wanted};

/// Most doctors whose times are compared: the first by name.
const LIMIT: i64 = 1_000;

/// Whose times are searched.
#[derive(Clone, Debug)]
pub enum Whose {
    Named(Vec<DoctorId>),
    Listed(Filter),
}

impl Doctors {
    /// Approved doctors with the first time that can be booked, whoever has the earliest first; after a start in milliseconds and
    /// an id. Of the first [`LIMIT`] by name.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn search_available(
        &self,
        viewer: &Viewer,
        which: &Filter,
        after: Option<(i64, DoctorId)>,
        limit: i64,
    ) -> Result<Vec<(Arc<Doctor>, Option<First>)>> {
        access::admit("doctor.search", viewer)?;
        let doctors = self.store.listed(which, LIMIT).await?;
        self.slots.first_of(&doctors, after, usize::try_from(limit).unwrap_or_default()).await
    }

    /// What can be booked now with any of several doctors, the earliest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn search_slots(&self, viewer: &Viewer, whose: &Whose, wanted: &Wanted) -> Result<Times> {
        access::admit("slot.searchDoctors", viewer)?;
        match whose {
            Whose::Named(doctors) => self.slots.across(viewer, doctors, wanted).await,
            Whose::Listed(which) => self.slots.across(viewer, &self.store.listed(which, LIMIT).await?, wanted).await,
        }
    }
}
