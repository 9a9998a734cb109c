//! Writing the demo clinic. Every write is one that does no harm when it comes again, so that a start which was cut
//! short is completed by the next, and two nodes may seed at once.
//!
//! The first patient is written before anything else: it marks the databases as the demo's, and everything is planned
//! from the moment of its creation, however often that takes. The admin is written after everything else: it marks the
//! demo as complete.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::data;
use super::logins::DemoLogins;
use super::plan::{self, Planned, PlannedGroup};
use crate::domain::account::{NewAccount, Role, User};
use crate::domain::doctor::Doctor;
use crate::domain::history::Actor;
use crate::domain::listing::{Filter, Sort};
use crate::domain::review::Writing;
use crate::domain::secret::{Password, PasswordHash};
use crate::error::Result;
use crate::service::auth::Auth;
use crate::service::reviews::review_of;
use crate::store::appointments::{AppointmentStore, Inserted, SessionChange};
use crate::store::doctors::{DoctorStore, Search};
use crate::store::idempotency::Request;
use crate::store::reviews::{ReviewStore, Written};
use crate::store::together::{Changes, Together};
use crate::store::waitlist::WaitlistStore;

/// Writes that are under way at once: enough to share the server's journal flushes, few enough to leave it to others.
const AT_ONCE: usize = 16;

/// Seeds the demo clinic unless it is there: two reads when it is complete. `None`: the databases hold something else,
/// and nothing was written.
///
/// # Errors
/// `unavailable`; what was written stays, and the next call completes it.
pub async fn seed(
    auth: &Auth,
    doctors: &DoctorStore,
    appointments: &AppointmentStore,
    reviews: &ReviewStore,
    waitlist: &WaitlistStore,
) -> Result<Option<DemoLogins>> {
    let logins = DemoLogins::of_the_clinic();
    if is_complete(auth, doctors, &logins).await? {
        return Ok(Some(logins));
    }
    if !may_seed(auth, doctors, &logins).await? {
        tracing::info!("no demo clinic: the databases are in use");
        return Ok(None);
    }
    tracing::info!("seeding the demo clinic");
    let begun = Instant::now();
    let password = auth.hash_password(&Password::from(logins.password)).await?;
    let first = auth.create_user(account(Role::Patient, data::PATIENTS[0], data::ZONE), &password).await?;
    let patients = open_accounts(auth, &password, patient_accounts()).await?;
    let physicians = open_accounts(auth, &password, doctor_accounts()).await?;
    for (resource, request) in plan::resources(first.created_at) {
        doctors.resources().insert(&resource, &request).await?;
    }
    let reception = auth.create_user(account(Role::Staff, data::RECEPTION, data::ZONE), &password).await?;
    let calendars = plan::doctors(&physicians, &reception, first.created_at)?;
    write_calendars(doctors, &calendars).await?;
    let planned = plan::appointments(&calendars, &patients, first.created_at);
    let groups = plan::group_sessions(&calendars, &patients, &planned, first.created_at);
    let seats = open_groups(appointments, &groups).await?;
    let booked = seats + book(appointments, &planned).await?;
    let reviewed = review(reviews, appointments, &calendars, &planned).await?;
    if let Some((entry, request)) = plan::waiting(&calendars, &patients, first.created_at) {
        // One that exists came from an earlier start.
        waitlist.insert(&entry, &request).await?;
    }
    auth.create_user(account(Role::Admin, data::ADMIN, data::ZONE), &password).await?;
    tracing::info!(
        doctors = calendars.len(),
        patients = patients.len(),
        appointments = booked,
        skipped = planned.len() + groups.iter().map(|group| group.seats.len()).sum::<usize>() - booked,
        reviews = reviewed,
        ms = begun.elapsed().as_millis(),
        "the demo clinic is seeded"
    );
    Ok(Some(logins))
}

/// Whether somebody could log in as the demo's admin, whose password everybody knows.
///
/// # Errors
/// `unavailable`.
pub async fn is_there(auth: &Auth) -> Result<bool> {
    Ok(auth.find_user(&DemoLogins::of_the_clinic().admin.email).await?.is_some())
}

/// Looks at both clusters: one of them may have been emptied.
async fn is_complete(auth: &Auth, doctors: &DoctorStore, logins: &DemoLogins) -> Result<bool> {
    let admin = auth.find_user(&logins.admin.email).await?;
    Ok(admin.is_some() && has_doctors(doctors).await?)
}

/// Whether the databases are empty, or those of a demo that is not complete.
async fn may_seed(auth: &Auth, doctors: &DoctorStore, logins: &DemoLogins) -> Result<bool> {
    if !auth.has_accounts().await? && !has_doctors(doctors).await? {
        return Ok(true);
    }
    // Asked last: another node may have begun between the two questions above.
    Ok(auth.find_user(&logins.patients[0].email).await?.is_some())
}

async fn has_doctors(doctors: &DoctorStore) -> Result<bool> {
    let any = Search { which: Filter::default(), sort: Sort::Name, after: None, limit: 1 };
    Ok(!doctors.search(&any).await?.is_empty())
}

fn patient_accounts() -> Vec<NewAccount> {
    data::PATIENTS.iter().map(|patient| account(Role::Patient, *patient, data::ZONE)).collect()
}

fn doctor_accounts() -> Vec<NewAccount> {
    data::DOCTORS.iter().map(|doctor| account(Role::Doctor, (doctor.name, doctor.mailbox), doctor.zone)).collect()
}

fn account(role: Role, (name, mailbox): (&str, &str), zone: &str) -> NewAccount {
    NewAccount {
        role,
        email: data::email(mailbox),
        name: name.to_owned(),
        locale: Some(data::LOCALE.to_owned()),
        time_zone: Some(zone.to_owned()),
    }
}

/// The users of the accounts, in their order.
async fn open_accounts(auth: &Auth, password: &PasswordHash, accounts: Vec<NewAccount>) -> Result<Vec<User>> {
    let opening: Vec<_> = accounts.into_iter().map(|account| auth.create_user(account, password)).collect();
    stream::iter(opening).buffered(AT_ONCE).try_collect().await
}

async fn write_calendars(store: &DoctorStore, doctors: &[Doctor]) -> Result<()> {
    let writing: Vec<_> = doctors.iter().map(|doctor| store.insert_if_absent(doctor)).collect();
    stream::iter(writing).buffer_unordered(AT_ONCE).try_collect().await
}

/// Opens group sessions with their seats, each whole or not at all, and counts the seats.
async fn open_groups(store: &AppointmentStore, groups: &[PlannedGroup]) -> Result<usize> {
    let mut seats = 0;
    for PlannedGroup { session, seats: planned } in groups {
        let begun = Changes::default().joined(SessionChange::new(None, session.clone()));
        let changes = planned.iter().fold(begun, |all, seat| all.booked(&seat.appointment, &seat.request));
        if let Together::Done(_) = store.write_together(changes).await? {
            seats += planned.len();
        }
    }
    Ok(seats)
}

/// Books what is free, and counts it: what exists or collides came from an earlier start, or from somebody.
async fn book(store: &AppointmentStore, planned: &[Planned]) -> Result<usize> {
    let booking: Vec<_> =
        planned.iter().map(|planned| store.insert(&planned.appointment, &planned.request, false)).collect();
    let booked = stream::iter(booking).buffer_unordered(AT_ONCE);
    booked.try_fold(0, async |booked, result| Ok(booked + usize::from(matches!(result, Inserted::Done(_))))).await
}

/// Reviews visits, one doctor after the other, whose rating each of them changes, and counts the reviews. A visit that has one came
/// from an earlier start.
async fn review(
    reviews: &ReviewStore,
    appointments: &AppointmentStore,
    doctors: &[Doctor],
    planned: &[Planned],
) -> Result<usize> {
    let of_doctor = |doctor: &'_ Doctor| {
        let doctor = doctor.clone();
        async move {
            let mut written = 0;
            for Planned { appointment, request, review } in planned {
                let (Some((rating, text)), true) = (review, appointment.doctor_id == doctor.id) else { continue };
                let Some((visit, _)) = appointments.find(appointment.id).await? else { continue };
                let by = Actor { user: appointment.patient_id, session: request.session };
                let Ok(marked) = visit.appointment.as_reviewed(by, appointment.end) else { continue };
                let (id, text) = (review_of(appointment.id), text.map(str::to_owned));
                let (rating, now) = (*rating, appointment.end);
                let writing = Writing { id, appointment: appointment.id, doctor: &doctor, rating, text, by, now };
                let request = Request { user: by.user, ..request.of("review.create") };
                let outcome = reviews.insert(&writing.into_review(), &visit, &marked, &request).await?;
                written += usize::from(matches!(outcome, Written::Done(_)));
            }
            Ok(written)
        }
    };
    let writing: Vec<_> = doctors.iter().map(of_doctor).collect();
    stream::iter(writing).buffer_unordered(AT_ONCE).try_fold(0, async |sum, written: usize| Ok(sum + written)).await
}
