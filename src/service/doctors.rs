//! Doctors: profile, services and hours. One document each, so that every change is one guarded replace.

mod available;
mod outside;
mod terms;
mod time_off;
mod zone;

use std::sync::Arc;

use jiff::tz::TimeZone;

pub use self::available::Whose;
pub use self::outside::{Outside, Task};
pub use self::terms::TermsChange;
use self::time_off::revise;
pub use self::time_off::{NewTimeOff, OfDoctor};
pub use self::zone::Keep;
use super::auth::Auth;
use super::releases::Releases;
use super::request::{self, Done};
use super::slots::Slots;
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Identity, Role, Viewer};
use crate::domain::availability;
use crate::domain::change::Position;
use crate::domain::doctor::{Approval, Availability, Doctor, HistoryEntry, Profile, Rating, Service, Terms};
use crate::domain::ids::{DoctorId, ServiceId, UserId};
use crate::domain::refusal::{Refusal, Violation};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::AppointmentStore;
use crate::store::doctors::{DoctorStore, Search, StoredDoctor};
use crate::store::idempotency::Request;
use crate::store::resources::ResourceStore;
use crate::store::together::Together;
use crate::views::calendar::Calendar;
use crate::views::committed::Committed;

/// How often a change is decided anew because somebody else changed the same doctor.
const REPLACE_ATTEMPTS: usize = 16;
/// Most services of a doctor, archived ones included.
const SERVICE_LIMIT: usize = 100;
/// Most doctors that one person acts for and is told of.
const ACTED_FOR_LIMIT: i64 = 200;
/// Zone of a doctor who named none.
const DEFAULT_ZONE: &str = "America/Bogota";

/// Doctors and their rules.
pub struct Doctors {
    store: DoctorStore,
    appointments: AppointmentStore,
    resources: ResourceStore,
    slots: Arc<Slots>,
    committed: Arc<Committed>,
    releases: Releases,
    /// Whether a new doctor can be booked at once.
    approve_at_once: bool,
    clock: Clock,
}

/// What is changed of a profile; absent fields stay, an empty text removes one.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    pub specialisation: Option<String>,
    pub qualifications: Option<Vec<String>>,
    pub experience_years: Option<Changed<u32>>,
    pub bio: Option<String>,
    pub languages: Option<Vec<String>>,
    pub address: Option<String>,
    /// As [`crate::domain::profile::photo_url`] gives it.
    pub photo_url: Option<String>,
    pub price: Option<Changed<(i64, String)>>,
    pub time_zone: Option<TimeZone>,
}

/// What becomes of a field that has no empty value: set, or removed.
pub type Changed<T> = Option<T>;

/// What is changed of a service, or said of a new one; absent fields stay, or have their default.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    pub name: Option<String>,
    pub duration_minutes: Option<i32>,
    pub step_minutes: Option<i32>,
    pub buffer_before_minutes: Option<i32>,
    pub buffer_after_minutes: Option<i32>,
    pub price: Option<Changed<(i64, String)>>,
    pub min_notice_minutes: Option<i32>,
    pub horizon_days: Option<i32>,
    pub terms: TermsChange,
}

impl Doctors {
    #[must_use]
    pub fn new(
        store: DoctorStore,
        appointments: AppointmentStore,
        slots: Arc<Slots>,
        committed: Arc<Committed>,
        releases: Releases,
        approve_at_once: bool,
        clock: Clock,
    ) -> Self {
        let resources = store.resources();
        Self { store, appointments, resources, slots, committed, releases, approve_at_once, clock }
    }

    /// Creates the calendar of a new doctor, unless there is one.
    ///
    /// # Errors
    /// `unavailable`; it is made when first needed then.
    pub async fn open_calendar(&self, id: DoctorId, name: &str, time_zone: Option<&str>) -> Result<()> {
        let zone = time_zone.and_then(availability::parse_zone).or_else(|| availability::parse_zone(DEFAULT_ZONE));
        let time_zone = zone.ok_or_else(|| Error::Internal("the default zone is unknown".to_owned()))?;
        let doctor = Doctor {
            id,
            rev: 1,
            name: name.to_owned(),
            approval: if self.approve_at_once { Approval::Approved } else { Approval::Pending },
            profile: Profile::default(),
            rating: Rating::default(),
            availability: Availability::closed(time_zone),
            services: Vec::new(),
            time_off: Vec::new(),
            staff: Vec::new(),
            history: Vec::new(),
            updated_at: self.clock.now(),
        };
        self.store.insert_if_absent(&doctor).await
    }

    /// The calendar of a doctor: profile, services and hours at one revision.
    ///
    /// # Errors
    /// `not_found`, also for drafts of others; `unavailable`.
    pub async fn get(&self, operation: &str, viewer: &Viewer, id: DoctorId) -> Result<Arc<Calendar>> {
        access::admit(operation, viewer)?;
        self.slots.calendar(viewer, id).await
    }

    /// Approved doctors.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn search(&self, viewer: &Viewer, search: &Search) -> Result<Vec<Doctor>> {
        access::admit("doctor.search", viewer)?;
        self.store.search(search).await
    }

    /// Doctors of a state, in the order in which they registered. The caller has asked the policy.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) async fn of_approval(
        &self,
        approval: Approval,
        after: Option<DoctorId>,
        limit: i64,
    ) -> Result<Vec<Doctor>> {
        self.store.of_approval(approval, after, limit).await
    }

    /// The doctors that the caller acts for.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn acted_for(&self, viewer: &Viewer) -> Result<Vec<Doctor>> {
        access::authorise("staff.listDoctors", viewer, Object::default())?;
        self.store.of_staff(viewer.identity()?.user, ACTED_FOR_LIMIT).await
    }

    /// Who changed a doctor, the oldest first.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn history(&self, viewer: &Viewer, id: DoctorId) -> Result<Vec<HistoryEntry>> {
        access::authorise("doctor.history", viewer, Object::of_doctor(id))?;
        let (stored, _) = self.store.find(id).await?.ok_or(Refusal::NotFound)?;
        Ok(stored.doctor.history)
    }

    /// Approves a doctor, or refuses to, or takes it back.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub(super) async fn approve(
        &self,
        viewer: &Viewer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        approval: Approval,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{id} {rev:?} {approval:?}")];
        self.change(viewer, "admin.approveDoctor", key, &parts, id, |doctor| {
            stale_unless(rev, doctor.rev)?;
            doctor.approval = approval;
            Ok(())
        })
        .await
    }

    /// Says who acts for a doctor.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub(super) async fn set_staff(
        &self,
        viewer: &Viewer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        staff: Vec<UserId>,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{id} {rev:?} {staff:?}")];
        self.change(viewer, "admin.setStaff", key, &parts, id, |doctor| {
            stale_unless(rev, doctor.rev)?;
            doctor.staff.clone_from(&staff);
            Ok(())
        })
        .await
    }

    /// Changes a profile.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `idempotency_key_reused`, `unavailable`; `validation_failed` for another zone where it
    /// is not said what becomes of appointments.
    pub async fn update(
        &self,
        viewer: &Viewer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        change: &ProfileChange,
        keep: Option<Keep>,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{id} {rev:?} {change:?} {keep:?}")];
        self.change_keeping(viewer, "doctor.update", key, &parts, id, keep, |doctor| {
            stale_unless(rev, doctor.rev)?;
            change.apply(doctor);
            Ok(())
        })
        .await
    }

    /// Gives a doctor's profile the name that their account has by now. Returns where it has it; zero when there was nothing
    /// to change.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn rename(&self, id: DoctorId, auth: &Auth) -> Result<Position> {
        for _ in 0..REPLACE_ATTEMPTS {
            let Some((stored, _)) = self.store.find(id).await? else { return Ok(Position::default()) };
            // Read after the profile, whose guard then decides: of two changes the later name stays.
            let name = auth.me(id).await?.name;
            if stored.doctor.name == name {
                return Ok(Position::default());
            }
            let rev = stored.doctor.rev + 1;
            let next = Doctor { rev, name, updated_at: self.clock.now(), ..stored.doctor.clone() };
            if let Some(at) = self.store.rewrite(&stored, &next, None).await? {
                self.committed.acknowledged(at);
                return Ok(at);
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// Replaces a doctor's hours.
    ///
    /// # Errors
    /// As [`Self::update`], and `validation_failed`.
    pub async fn set_availability(
        &self,
        viewer: &Viewer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        hours: Availability,
        keep: Option<Keep>,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{id} {rev:?} {hours:?} {keep:?}")];
        access::authorise("availability.set", viewer, Object::of_doctor(id))?;
        let hours = availability::validate_availability(hours).map_err(Refusal::Invalid)?;
        self.change_keeping(viewer, "availability.set", key, &parts, id, keep, |doctor| {
            stale_unless(rev, doctor.availability.rev)?;
            let rev = doctor.availability.rev + 1;
            doctor.availability = Availability { rev, ..hours.clone() };
            Ok(())
        })
        .await
    }

    /// Offers a new service.
    ///
    /// # Errors
    /// As [`Self::update`], and `validation_failed`.
    pub async fn create_service(
        &self,
        viewer: &Viewer,
        key: &str,
        doctor: DoctorId,
        change: &ServiceChange,
    ) -> Result<(Done<Doctor>, ServiceId)> {
        let parts = [format!("{doctor} {change:?}")];
        access::authorise("service.create", viewer, Object::of_doctor(doctor))?;
        // What was made before one of them was archived is made: a repeated request is answered first.
        let missing = self.missing_resources(change).await?;
        let duration = change.duration_minutes.unwrap_or_default();
        let mut service = Service {
            id: ServiceId(uuid::Uuid::nil()),
            rev: 0,
            name: String::new(),
            duration_minutes: duration,
            step_minutes: duration,
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            price: None,
            min_notice_minutes: 0,
            horizon_days: 90,
            terms: Terms::default(),
            archived: false,
        };
        change.apply(&mut service)?;
        let identity = viewer.identity()?;
        // Of this doctor: the same key may be used for another one.
        let request = self.request(identity, "service.create", &format!("{doctor} {key}"), &parts);
        let ids = || (0..=u8::MAX).map(|generation| ServiceId(request::derived_id(&request, generation)));
        let is_taken = |doctor: &Doctor, id: ServiceId| doctor.services.iter().any(|service| service.id == id);
        let done = self
            .change(viewer, "service.create", key, &parts, doctor, |doctor| {
                invalid_unless_empty(&missing)?;
                if doctor.services.len() >= SERVICE_LIMIT {
                    let detail = format!("a doctor may have at most {SERVICE_LIMIT} services");
                    return Err(Violation::new("/doctorId", "too_many", detail).into());
                }
                // Those that are taken come from uses of the key that are no longer remembered.
                let id = ids().find(|id| !is_taken(doctor, *id)).ok_or(Refusal::IdempotencyKeyReused)?;
                doctor.services.push(Service { id, ..service.clone() });
                Ok(())
            })
            .await?;
        let created = ids().take_while(|id| is_taken(&done.value, *id)).last();
        let created = created.ok_or_else(|| Error::Internal("a service that was made is not there".to_owned()))?;
        Ok((done, created))
    }

    /// Changes a service.
    ///
    /// # Errors
    /// As [`Self::update`], and `validation_failed`.
    pub async fn update_service(
        &self,
        viewer: &Viewer,
        key: &str,
        doctor: DoctorId,
        id: ServiceId,
        rev: Option<u32>,
        change: &ServiceChange,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{doctor} {id} {rev:?} {change:?}")];
        access::authorise("service.update", viewer, Object::of_doctor(doctor))?;
        let missing = self.missing_resources(change).await?;
        self.change(viewer, "service.update", key, &parts, doctor, |doctor| {
            invalid_unless_empty(&missing)?;
            let service = service_mut(doctor, id)?;
            stale_unless(rev, service.rev)?;
            change.apply(service)
        })
        .await
    }

    /// Stops offering a service.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn archive_service(
        &self,
        viewer: &Viewer,
        key: &str,
        doctor: DoctorId,
        id: ServiceId,
        rev: Option<u32>,
    ) -> Result<Done<Doctor>> {
        let parts = [format!("{doctor} {id} {rev:?}")];
        self.change(viewer, "service.archive", key, &parts, doctor, |doctor| {
            let service = service_mut(doctor, id)?;
            stale_unless(rev, service.rev)?;
            service.rev += 1;
            service.archived = true;
            Ok(())
        })
        .await
    }

    /// What a service is to take, and may not: it must be there, and not archived.
    async fn missing_resources(&self, change: &ServiceChange) -> Result<Vec<Violation>> {
        let asked = change.terms.resources.as_deref().unwrap_or_default();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let usable = self.resources.usable(asked).await.map_err(unchanged)?;
        let missing = asked.iter().enumerate().filter(|(_, id)| !usable.contains(id));
        let violation = |(index, _)| {
            Violation::new(format!("/resourceIds/{index}"), "invalid", "there is no such room or device in use")
        };
        Ok(missing.map(violation).collect())
    }

    /// Reads, decides and replaces, again while others change the same doctor.
    async fn change(
        &self,
        viewer: &Viewer,
        operation: &'static str,
        key: &str,
        parts: &[String],
        id: DoctorId,
        decide: impl Fn(&mut Doctor) -> Result<(), Refusal>,
    ) -> Result<Done<Doctor>> {
        self.change_keeping(viewer, operation, key, parts, id, None, decide).await
    }

    /// The same, with what is said of appointments in case that the zone changes.
    #[expect(clippy::too_many_arguments, reason = "one more than the function that everybody else calls")]
    async fn change_keeping(
        &self,
        viewer: &Viewer,
        operation: &'static str,
        key: &str,
        parts: &[String],
        id: DoctorId,
        keep: Option<Keep>,
        decide: impl Fn(&mut Doctor) -> Result<(), Refusal>,
    ) -> Result<Done<Doctor>> {
        access::authorise(operation, viewer, Object::of_doctor(id))?;
        let identity = viewer.identity()?;
        let request = self.request(identity, operation, key, parts);
        for _ in 0..REPLACE_ATTEMPTS {
            let Some((stored, at)) = self.store.find(id).await.map_err(unchanged)? else {
                self.open_own_calendar(identity, id).await?;
                continue;
            };
            if stored.recalls(&request)? {
                return Ok(Done { value: stored.doctor, at });
            }
            let mut next = stored.doctor.clone();
            decide(&mut next)?;
            revise(&mut next, &request);
            if let Some(at) = self.write(&stored, &next, keep, &request).await? {
                self.committed.acknowledged(at);
                return Ok(Done { value: next, at });
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::NotApplied) })
    }

    /// Writes the next revision, and what moves with it. `None`: somebody was faster.
    async fn write(
        &self,
        stored: &StoredDoctor,
        next: &Doctor,
        keep: Option<Keep>,
        request: &Request,
    ) -> Result<Option<Position>> {
        let Some(changes) = self.changes(stored, next, keep, request).await? else {
            return self.store.replace(stored, next, request).await;
        };
        match self.appointments.write_together(changes).await? {
            Together::Done(at) => Ok(Some(at)),
            Together::Stale | Together::Outnumbered(_) | Together::NotOffered(_) => Ok(None),
            Together::Refused { refusal, .. } => Err(zone::in_the_way(&refusal).into()),
        }
    }

    /// A doctor's calendar is made on first need, should it have failed when they registered.
    async fn open_own_calendar(&self, identity: &Identity, id: DoctorId) -> Result<()> {
        if identity.user != id || identity.role != Role::Doctor {
            return Err(Refusal::NotFound.into());
        }
        self.open_calendar(id, &identity.name, None).await
    }

    fn request(&self, identity: &Identity, operation: &'static str, key: &str, parts: &[String]) -> Request {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        request::request(identity, operation, key, &parts, self.clock.now())
    }
}

impl ProfileChange {
    fn apply(&self, doctor: &mut Doctor) {
        let profile = &mut doctor.profile;
        let set = |field: &mut Option<String>, change: &Option<String>| {
            if let Some(text) = change {
                *field = (!text.is_empty()).then(|| text.clone());
            }
        };
        set(&mut profile.specialisation, &self.specialisation);
        set(&mut profile.bio, &self.bio);
        set(&mut profile.address, &self.address);
        set(&mut profile.photo_url, &self.photo_url);
        if let Some(qualifications) = &self.qualifications {
            profile.qualifications.clone_from(qualifications);
        }
        if let Some(years) = self.experience_years {
            profile.experience_years = years;
        }
        if let Some(price) = &self.price {
            profile.price.clone_from(price);
        }
        if let Some(languages) = &self.languages {
            profile.languages.clone_from(languages);
        }
        if let Some(zone) = &self.time_zone {
            let hours = &mut doctor.availability;
            hours.rev += u32::from(hours.time_zone != *zone);
            hours.time_zone.clone_from(zone);
        }
    }
}

impl ServiceChange {
    fn apply(&self, service: &mut Service) -> Result<(), Refusal> {
        let set = |field: &mut i32, change: Option<i32>| *field = change.unwrap_or(*field);
        service.rev += 1;
        if let Some(name) = &self.name {
            service.name.clone_from(name);
        }
        set(&mut service.duration_minutes, self.duration_minutes);
        set(&mut service.step_minutes, self.step_minutes);
        set(&mut service.buffer_before_minutes, self.buffer_before_minutes);
        set(&mut service.buffer_after_minutes, self.buffer_after_minutes);
        set(&mut service.min_notice_minutes, self.min_notice_minutes);
        set(&mut service.horizon_days, self.horizon_days);
        self.terms.apply(&mut service.terms);
        if let Some(price) = &self.price {
            service.price.clone_from(price);
        }
        availability::validate_service(service).map_err(Refusal::Invalid)
    }
}

fn service_mut(doctor: &mut Doctor, id: ServiceId) -> Result<&mut Service, Refusal> {
    doctor.services.iter_mut().find(|service| service.id == id).ok_or(Refusal::NotFound)
}

/// A read that failed before anything of a mutation was written.
fn unchanged(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

fn stale_unless(expected: Option<u32>, actual: u32) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != actual => Err(Refusal::StaleRev),
        _ => Ok(()),
    }
}

fn invalid_unless_empty(violations: &[Violation]) -> Result<(), Refusal> {
    if violations.is_empty() { Ok(()) } else { Err(Refusal::Invalid(violations.to_vec())) }
}
