//! The account services of a clinic in this process, with a mailbox of their own: what a person would read in their mail.

use std::sync::Arc;
use std::time::Duration;

use cita::clock::Clock;
use cita::domain::account::{Identity, Role};
use cita::domain::ids::{SessionId, UserId};
use cita::domain::mail::{Mail, Subject};
use cita::error::ClusterName;
use cita::service::accounts::Accounts;
use cita::service::auth::Auth;
use cita::service::doctors::Doctors;
use cita::service::erasure::Erasure;
use cita::service::releases::Releases;
use cita::service::slots::Slots;
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::doctors::DoctorStore;
use cita::store::reviews::ReviewStore;
use cita::store::waitlist::WaitlistStore;
use cita::views::calendars::Calendars;
use cita::views::committed::Committed;
use cita::views::revocations::Revocations;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::cast::trust;
use super::clinic::{Clinic, PATIENCE, Person};

/// The services, on the databases of a clinic, beside its nodes.
pub struct Office {
    pub users: Cluster,
    pub appointments: Cluster,
    pub auth: Arc<Auth>,
    pub accounts: Accounts,
    pub erasure: Erasure,
    mails: Mutex<mpsc::Receiver<Mail>>,
}

impl Office {
    /// Opens the office of a clinic.
    pub async fn of(clinic: &Clinic) -> Self {
        let users = Cluster::new(ClusterName::Users, &clinic.users_uri).await.expect("a good address");
        let appointments =
            Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
        let (store, doctors) = (AppointmentStore::new(appointments.clone()), DoctorStore::new(appointments.clone()));
        let auth = Auth::open(users.clone(), &trust(), Arc::new(Revocations::default()), Clock).await;
        let auth = Arc::new(auth.expect("accounts"));
        let calendars = Arc::new(Calendars::new(Box::new(|_| Box::pin(std::future::ready(Ok(None)))), 1, 1));
        let committed = Arc::new(Committed::default());
        let slots = Arc::new(Slots::new(store.clone(), calendars.clone(), committed.clone(), Clock));
        let waitlist = WaitlistStore::new(appointments.clone());
        let length = jiff::SignedDuration::from_mins(5);
        let releases = Releases::new(store.clone(), waitlist, calendars, committed.clone(), Clock, length);
        let (outbox, mails) = mpsc::channel(100);
        let calendar = Arc::new(Doctors::new(doctors.clone(), store, slots, committed, releases.clone(), true, Clock));
        Self {
            accounts: Accounts::new(users.clone(), auth.clone(), calendar, outbox, Clock),
            erasure: Erasure::new(
                users.clone(),
                releases,
                doctors,
                ReviewStore::new(appointments.clone()),
                auth.clone(),
                Clock,
            ),
            users,
            appointments,
            auth,
            mails: Mutex::new(mails),
        }
    }

    /// The next mail.
    pub async fn mail(&self) -> Mail {
        let mut mails = self.mails.lock().await;
        tokio::time::timeout(PATIENCE, mails.recv()).await.expect("a mail in time").expect("a mail")
    }

    /// Whether nothing was sent that was not read.
    pub async fn is_quiet(&self) -> bool {
        self.mails.lock().await.try_recv().is_err()
    }

    /// The token of a link for a new password.
    pub async fn reset_token(&self, person: &Person) -> String {
        self.accounts.request_reset(&person.email).await.expect("it is asked for");
        match self.mail().await.subject {
            Subject::Reset { token } => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// The token of a link that verifies an address.
    pub async fn verification_token(&self, person: &Person) -> String {
        self.accounts.request_verification(&identity(person)).await.expect("it is asked for");
        match self.mail().await.subject {
            Subject::Verification { token } => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }
}

/// What a token of a patient would prove, in a session that there is not.
pub fn identity(person: &Person) -> Identity {
    Identity {
        user: UserId(person.id.parse().expect("an id")),
        session: SessionId(Uuid::new_v4()),
        role: Role::Patient,
        name: person.name.clone(),
        expires_at: Clock.now() + Duration::from_secs(600),
    }
}
