//! Everybody who may call, and a good input for every operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cita::clock::Clock;
use cita::domain::account::{NewAccount, Role, User};
use cita::domain::ids::{SessionId, UserId};
use cita::domain::notifications::Notifications;
use cita::domain::secret::Password;
use cita::error::ClusterName;
use cita::service::auth::{Auth, Trust};
use cita::service::tokens::KeyRing;
use cita::service::vault::Vault;
use cita::store::cluster::Cluster;
use cita::store::signing_keys;
use cita::views::revocations::Revocations;
use cita_protocol::Operation;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::clinic::{Clinic, PASSWORD, Person, Practice, at, date, key, text};
use super::office::Office;
use super::visits::visit;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Anonymous,
    Patient,
    OtherPatient,
    Doctor,
    OtherDoctor,
    /// Staff of the doctor.
    Staff,
    OtherStaff,
    Admin,
}

impl Caller {
    pub const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Patient,
        Self::OtherPatient,
        Self::Doctor,
        Self::OtherDoctor,
        Self::Staff,
        Self::OtherStaff,
        Self::Admin,
    ];
}

/// Twice, half a year apart: where nobody else is given a time.
const RRULE: &str = "FREQ=WEEKLY;INTERVAL=26;COUNT=2";

/// A clinic with one of each.
pub struct Cast {
    pub clinic: Clinic,
    pub practice: Practice,
    pub patient: Person,
    pub other_patient: Person,
    pub other_doctor: Person,
    pub staff: Person,
    pub other_staff: Person,
    pub admin: Person,
    /// How many of the doctor's times are given out.
    times: AtomicU32,
    /// How many of its days have had a time that was given up.
    offers: AtomicU32,
    /// A service of the doctor that asks for approval.
    with_approval: OnceCell<String>,
}

impl Cast {
    /// Opens a clinic and fills it.
    pub async fn meet() -> Self {
        let clinic = Clinic::open().await;
        let practice = clinic.practice().await;
        let (patient, other_patient) = (clinic.patient().await, clinic.person("patient", "Otro Paciente").await);
        // The reception finds those who have verified their address.
        let token = Office::of(&clinic).await.verification_token(&patient).await;
        clinic.anon().await.request("auth.verifyEmail", json!({ "token": token }), None).await.expect("the link works");
        let other_doctor = clinic.person("doctor", "Otra Doctora").await;
        let admin = admin(&clinic).await;
        let staff = receptionist(&clinic, &admin, Some(&practice.doctor)).await;
        let other_staff = receptionist(&clinic, &admin, Some(&other_doctor)).await;
        Self {
            clinic,
            practice,
            patient,
            other_patient,
            other_doctor,
            staff,
            other_staff,
            admin,
            times: AtomicU32::new(0),
            offers: AtomicU32::new(0),
            with_approval: OnceCell::new(),
        }
    }

    /// The account of a caller.
    pub fn person(&self, caller: Caller) -> Option<&Person> {
        match caller {
            Caller::Anonymous => None,
            Caller::Patient => Some(&self.patient),
            Caller::OtherPatient => Some(&self.other_patient),
            Caller::Doctor => Some(&self.practice.doctor),
            Caller::OtherDoctor => Some(&self.other_doctor),
            Caller::Staff => Some(&self.staff),
            Caller::OtherStaff => Some(&self.other_staff),
            Caller::Admin => Some(&self.admin),
        }
    }

    /// A time of the doctor that nobody was given before.
    pub fn free_time(&self) -> String {
        let number = self.times.fetch_add(1, Ordering::Relaxed);
        let (day, half_hours) = (number / 20, number % 20);
        let time = format!("{:02}:{:02}", 8 + half_hours / 2, half_hours % 2 * 30);
        at(&date(2 + i32::try_from(day).unwrap()), &time)
    }

    /// A new appointment of the patient with the doctor.
    pub async fn appointment(&self) -> String {
        let connection = self.clinic.connect(&self.patient).await;
        let booking = self.practice.booking(&self.free_time());
        text(&connection.request("appointment.book", booking, Some(key())).await.expect("a free time").data, "id")
    }

    /// The patient's entry in the waitlist of the doctor: the same until it is closed, since there may not be many.
    pub async fn entry(&self) -> String {
        self.entry_for("waiting", &date(140)).await
    }

    /// The same, with an open offer.
    pub async fn offered_entry(&self) -> String {
        let open = self.entries("offered").await;
        if let Some(entry) = open.first() {
            return text(entry, "id");
        }
        let day = date(170 + i32::try_from(self.offers.fetch_add(1, Ordering::Relaxed)).unwrap());
        let patient = self.clinic.connect(&self.patient).await;
        // Those that were passed on wait for nothing here, and there may not be many.
        for passed in self.entries("waiting").await.iter().filter(|entry| text(entry, "from") >= date(170)) {
            let left = patient.request("waitlist.leave", json!({ "id": passed["id"] }), Some(key())).await;
            left.expect("it is open");
        }
        let entry = self.entry_for("waiting", &day).await;
        // Somebody books the time and gives it up.
        let connection = self.clinic.connect(&self.other_patient).await;
        let booking = self.practice.booking(&at(&day, "09:00"));
        let booked = connection.request("appointment.book", booking, Some(key())).await.expect("a free time").data;
        let cancelled = connection.request("appointment.cancel", json!({ "id": booked["id"] }), Some(key())).await;
        cancelled.expect("it can be cancelled");
        entry
    }

    async fn entry_for(&self, status: &str, day: &str) -> String {
        let open = self.entries(status).await;
        if let Some(entry) = open.iter().find(|entry| entry["from"] == day) {
            return text(entry, "id");
        }
        let connection = self.clinic.connect(&self.patient).await;
        let join =
            json!({ "doctorId": self.practice.doctor.id, "serviceId": self.practice.service, "from": day, "to": day });
        text(&connection.request("waitlist.join", join, Some(key())).await.expect("there is room").data, "id")
    }

    async fn entries(&self, status: &str) -> Vec<Value> {
        let connection = self.clinic.connect(&self.patient).await;
        let listed = connection.request("waitlist.list", json!({ "status": status }), None).await.expect("a list").data;
        listed["items"].as_array().expect("items").clone()
    }

    /// The patient's hold on a time of its own: the same until it is released, since there may not be many.
    pub async fn hold(&self) -> String {
        let connection = self.clinic.connect(&self.patient).await;
        let slot = self.practice.booking(&at(&date(50), "09:00"));
        text(&connection.request("slot.hold", slot, Some(key())).await.expect("a free time").data, "id")
    }

    /// A new request of the patient, which the practice has to approve.
    pub async fn request(&self) -> String {
        let service = self.with_approval.get_or_init(|| async {
            let service = json!({ "doctorId": self.practice.doctor.id, "name": "Con aprobación", "durationMinutes": 30,
                "horizonDays": 366, "requiresApproval": true });
            let connection = self.clinic.connect(&self.practice.doctor).await;
            text(
                &connection.request("service.create", service, Some(key())).await.expect("a service is made").data,
                "id",
            )
        });
        let booking = json!({ "doctorId": self.practice.doctor.id, "serviceId": service.await,
            "start": self.free_time() });
        let connection = self.clinic.connect(&self.patient).await;
        text(&connection.request("appointment.book", booking, Some(key())).await.expect("a free time").data, "id")
    }

    /// A new appointment that has come through moves of the practice, each by its verb.
    pub async fn appointment_after(&self, moves: &[&str]) -> String {
        let id = self.appointment().await;
        let connection = self.clinic.connect(&self.practice.doctor).await;
        for verb in moves {
            let moved = connection.request(&format!("appointment.{verb}"), json!({ "id": id }), Some(key())).await;
            moved.expect("the move is legal");
        }
        id
    }

    /// A new series of the patient with the doctor, and its first appointment.
    pub async fn series(&self) -> (String, String) {
        let connection = self.clinic.connect(&self.patient).await;
        let mut booking = self.practice.booking(&self.free_time());
        booking["rrule"] = json!(RRULE);
        let booked = connection.request("series.book", booking, Some(key())).await.expect("free times").data;
        (text(&booked, "id"), text(&booked["appointments"][0], "id"))
    }

    /// A new review by the patient of a visit to the doctor.
    pub async fn review(&self) -> String {
        let review = self.unwritten_review().await;
        let connection = self.clinic.connect(&self.patient).await;
        text(&connection.request("review.create", review, Some(key())).await.expect("a review").data, "id")
    }

    async fn unwritten_review(&self) -> Value {
        let visit = visit(&self.clinic, &self.practice, &self.patient, &self.free_time()).await;
        json!({ "doctorId": self.practice.doctor.id, "appointmentId": visit, "rating": 4, "text": "Escucha\ncon calma" })
    }

    /// A good input for an operation. A new operation needs its case here.
    pub async fn valid_input(&self, operation: Operation) -> Value {
        let (doctor, service) = (&self.practice.doctor.id, &self.practice.service);
        match operation {
            Operation::AuthRegister => {
                let email = format!("{}@prueba.example", Uuid::new_v4().simple());
                json!({ "email": email, "password": PASSWORD, "name": "Nueva Persona", "locale": "es-CO",
                    "timeZone": "America/Bogota", "device": "Teléfono" })
            }
            Operation::AuthLogin => json!({ "email": self.patient.email, "password": PASSWORD, "device": "Portátil" }),
            Operation::AuthRefresh => {
                json!({ "refreshToken": login(self.clinic.url(), &self.patient).await.refresh_token })
            }
            Operation::AuthLogout
            | Operation::AuthRequestVerification
            | Operation::SessionList
            | Operation::MeGet
            | Operation::MeExport
            | Operation::MeDelete
            | Operation::CalendarFeedCreate
            | Operation::CalendarFeedRevoke => json!({}),
            Operation::AuthRequestReset => json!({ "email": self.patient.email }),
            Operation::AuthResetPassword => {
                let person = self.clinic.patient().await;
                json!({ "token": Office::of(&self.clinic).await.reset_token(&person).await, "password": PASSWORD })
            }
            Operation::AuthVerifyEmail => {
                let person = self.clinic.patient().await;
                json!({ "token": Office::of(&self.clinic).await.verification_token(&person).await })
            }
            Operation::MeUpdate => json!({ "locale": "es-CO", "timeZone": "America/Bogota" }),
            Operation::SessionRevoke => json!({ "id": "others" }),
            Operation::AuthRenew => json!({ "accessToken": self.patient.token }),
            Operation::DoctorSearch => {
                json!({ "pageSize": 5, "text": "dan", "specialisation": "Medicina general", "language": "es",
                    "sort": "rating" })
            }
            Operation::DoctorGet => json!({ "id": doctor }),
            Operation::DoctorUpdate => {
                json!({ "id": doctor, "bio": "Una vida\nen dos renglones", "specialisation": "Medicina general",
                    "languages": ["es", "en-US"], "address": "Calle 1 # 2-3", "experienceYears": 12,
                    "qualifications": ["Médica, Universidad Nacional"], "photoUrl": "https://fotos.example/d.jpg",
                    "price": { "amountMinor": 9_000_000, "currency": "COP" }, "timeZone": "America/Bogota" })
            }
            Operation::ServiceList | Operation::AvailabilityGet => json!({ "doctorId": doctor }),
            Operation::TimeOffList | Operation::AppointmentListOutside => json!({ "doctorId": doctor }),
            // Far from the times that are given out.
            Operation::TimeOffCreate => {
                json!({ "doctorId": doctor, "from": { "date": date(340) }, "to": { "date": date(341), "time": "12:00" },
                    "reason": "Congreso" })
            }
            Operation::TimeOffDelete => json!({ "doctorId": doctor, "id": self.time_off().await }),
            Operation::HolidayCalendarList => json!({}),
            Operation::HolidayCalendarGet => json!({ "id": "CO", "year": 2026 }),
            Operation::ServiceCreate => {
                json!({ "doctorId": doctor, "name": "Control", "durationMinutes": 20,
                    "price": { "amountMinor": 9_000_000, "currency": "COP" } })
            }
            Operation::ServiceUpdate => json!({ "doctorId": doctor, "id": service, "name": "Consulta larga" }),
            Operation::ServiceArchive => json!({ "doctorId": doctor, "id": self.service().await }),
            Operation::AvailabilitySet => {
                let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
                let weekly: Vec<_> =
                    days.iter().map(|day| json!({ "weekday": day, "from": "08:00", "to": "18:00" })).collect();
                let overrides = json!([{ "date": date(300), "ranges": [{ "from": "10:00", "to": "11:00" }] }]);
                let seasons = json!([{ "from": date(320), "to": date(330),
                    "weekly": [{ "weekday": "monday", "from": "07:00", "to": "13:00" }] }]);
                json!({ "doctorId": doctor, "timeZone": "America/Bogota", "weekly": weekly, "overrides": overrides,
                    "seasons": seasons })
            }
            Operation::SlotSearch => {
                json!({ "doctorId": doctor, "serviceId": service, "from": date(1), "to": date(2),
                    "timeZone": "Europe/Madrid" })
            }
            Operation::SlotSearchDoctors => {
                json!({ "doctorIds": [doctor, self.other_doctor.id], "serviceIds": [service], "from": date(1), "to": date(2),
                    "timeZone": "Europe/Madrid" })
            }
            Operation::SlotExplain => {
                json!({ "doctorId": doctor, "serviceId": service, "start": self.free_time() })
            }
            Operation::AppointmentBook => {
                json!({ "doctorId": doctor, "serviceId": service, "start": self.free_time(), "reason": "Dolor de cabeza",
                    "patientId": self.patient.id })
            }
            Operation::SlotHold => {
                json!({ "doctorId": doctor, "serviceId": service, "start": self.free_time(), "patientId": self.patient.id })
            }
            Operation::HoldRelease => json!({ "id": self.hold().await }),
            Operation::AppointmentGet => json!({ "id": self.appointment().await }),
            Operation::AppointmentList => {
                json!({ "doctorId": doctor, "patientId": self.patient.id, "from": at(&date(0), "00:00"),
                    "to": at(&date(60), "00:00"), "status": "booked" })
            }
            Operation::AppointmentReschedule => json!({ "id": self.appointment().await, "start": self.free_time() }),
            Operation::AppointmentCancel => json!({ "id": self.appointment().await, "reason": "Ya no hace falta" }),
            Operation::AppointmentApprove => json!({ "id": self.request().await }),
            Operation::AppointmentDecline => json!({ "id": self.request().await, "reason": "Ese día no" }),
            Operation::AppointmentCheckIn | Operation::AppointmentNoShow => json!({ "id": self.appointment().await }),
            Operation::AppointmentComplete | Operation::AppointmentUndo => {
                json!({ "id": self.appointment_after(&["checkIn"]).await })
            }
            Operation::AppointmentSetNotes => json!({ "id": self.appointment().await, "notes": "Reposo\ny agua" }),
            Operation::SeriesPreview => {
                json!({ "doctorId": doctor, "serviceId": service, "start": self.free_time(), "rrule": RRULE,
                    "patientId": self.patient.id })
            }
            Operation::SeriesBook => {
                let start = self.free_time();
                json!({ "doctorId": doctor, "serviceId": service, "start": start, "rrule": RRULE, "only": [start],
                    "reason": "Control", "patientId": self.patient.id })
            }
            Operation::SeriesGet => json!({ "id": self.series().await.0 }),
            Operation::SeriesReschedule => {
                let (id, first) = self.series().await;
                json!({ "id": id, "from": first, "start": self.free_time() })
            }
            Operation::SeriesCancel => {
                let (id, first) = self.series().await;
                json!({ "id": id, "from": first, "reason": "Ya no hace falta" })
            }
            // Where nobody gives up anything.
            Operation::WaitlistJoin => {
                json!({ "doctorId": doctor, "serviceId": service, "from": date(150), "to": date(160),
                    "times": { "from": "08:00", "to": "12:30" }, "weekdays": ["monday", "friday"],
                    "patientId": self.patient.id })
            }
            Operation::WaitlistList => {
                json!({ "doctorId": doctor, "patientId": self.patient.id, "status": "waiting", "pageSize": 5 })
            }
            Operation::WaitlistLeave => json!({ "id": self.entry().await }),
            Operation::WaitlistPass => json!({ "id": self.offered_entry().await }),
            Operation::WaitlistAccept => json!({ "id": self.offered_entry().await, "reason": "Control" }),
            Operation::AppointmentHistory => json!({ "id": self.appointment().await }),
            Operation::DoctorHistory => json!({ "id": doctor }),
            Operation::PatientFind => json!({ "email": self.patient.email }),
            Operation::StaffListDoctors => json!({}),
            Operation::MeListAudit => json!({ "pageSize": 5 }),
            Operation::AdminListUsers => json!({ "role": "patient", "pageSize": 5 }),
            // Somebody of their own: it ends their sessions.
            Operation::AdminUpdateUser => json!({ "id": self.clinic.patient().await.id, "role": "staff" }),
            Operation::AdminListDoctors => json!({ "approval": "approved" }),
            Operation::AdminApproveDoctor => json!({ "id": self.other_doctor.id, "approval": "approved" }),
            Operation::AdminSetStaff => json!({ "id": self.other_doctor.id, "staff": [self.other_staff.id] }),
            Operation::ResourceList => json!({ "pageSize": 5 }),
            Operation::AdminCreateResource => json!({ "name": "Consultorio 1", "kind": "room" }),
            Operation::AdminUpdateResource => json!({ "id": self.room().await, "name": "Ecógrafo", "kind": "device" }),
            Operation::AdminArchiveResource => json!({ "id": self.room().await }),
            Operation::AdminListAudit => json!({ "userId": self.patient.id }),
            Operation::ReviewList => json!({ "doctorId": doctor, "pageSize": 5 }),
            Operation::ReviewCreate => self.unwritten_review().await,
            Operation::ReviewUpdate => json!({ "id": self.review().await, "rating": 2, "text": "" }),
            Operation::ReviewReply => json!({ "id": self.review().await, "text": "Gracias" }),
            Operation::ReviewReport => json!({ "id": self.review().await, "reason": "Nombra a otra persona" }),
            Operation::AdminListReviews => {
                json!({ "reported": false, "status": "published", "doctorId": doctor, "pageSize": 5 })
            }
            Operation::AdminHideReview | Operation::AdminRestoreReview => {
                json!({ "id": self.review().await, "reason": "Se ha revisado" })
            }
            Operation::Subscribe => json!({ "topic": self.practice.calendar(), "from": date(0), "to": date(7) }),
            Operation::Unsubscribe => json!({ "topic": self.practice.slots(&date(1)) }),
        }
    }

    /// Somebody of the same role whose session or account may be ended.
    pub async fn spare(&self, caller: Caller) -> Option<Person> {
        match caller {
            Caller::Anonymous => None,
            Caller::Patient | Caller::OtherPatient => Some(self.clinic.patient().await),
            Caller::Doctor | Caller::OtherDoctor => Some(self.clinic.person("doctor", "Una Doctora").await),
            Caller::Staff | Caller::OtherStaff => Some(receptionist(&self.clinic, &self.admin, None).await),
            Caller::Admin => Some(admin(&self.clinic).await),
        }
    }

    async fn room(&self) -> String {
        room(&self.clinic, &self.admin).await
    }

    async fn time_off(&self) -> String {
        let connection = self.clinic.connect(&self.practice.doctor).await;
        let data =
            json!({ "doctorId": self.practice.doctor.id, "from": { "date": date(345) }, "to": { "date": date(345) } });
        text(&connection.request("timeOff.create", data, Some(key())).await.expect("time off is taken").data, "id")
    }

    async fn service(&self) -> String {
        let connection = self.clinic.connect(&self.practice.doctor).await;
        let data = json!({ "doctorId": self.practice.doctor.id, "name": "Pasajero", "durationMinutes": 30 });
        text(&connection.request("service.create", data, Some(key())).await.expect("a service is made").data, "id")
    }
}

/// Logs somebody in once more.
pub async fn login(url: &str, person: &Person) -> Person {
    let connection = super::clinic::connect(url, None).await;
    let data = json!({ "email": person.email, "password": PASSWORD });
    let reply = connection.request("auth.login", data, None).await.expect("the log-in is good").data;
    Person { token: text(&reply, "accessToken"), refresh_token: text(&reply, "refreshToken"), ..person.clone() }
}

/// What a clinic believes without options.
pub fn trust() -> Trust {
    Trust { issuer: "cita".to_owned(), secret: None, external: None }
}

/// An admin, whom no door makes.
pub async fn admin(clinic: &Clinic) -> Person {
    let users = Cluster::new(ClusterName::Users, &clinic.users_uri).await.expect("a good address");
    let auth = Auth::open(users, &trust(), Arc::new(Revocations::default()), Clock).await.expect("accounts");
    let account = NewAccount {
        role: Role::Admin,
        email: format!("{}@prueba.example", Uuid::new_v4().simple()),
        name: "Ana Administra".to_owned(),
        locale: None,
        time_zone: None,
    };
    let hash = auth.hash_password(&Password::from(PASSWORD)).await.expect("a hash");
    let user = auth.create_user(account, &hash).await.expect("an admin is made");
    let person = Person {
        id: user.id.to_string(),
        name: user.name,
        email: user.email,
        token: String::new(),
        refresh_token: String::new(),
    };
    login(clinic.url(), &person).await
}

/// A room that an admin has made.
pub async fn room(clinic: &Clinic, admin: &Person) -> String {
    let data = json!({ "name": "Consultorio 201", "kind": "room" });
    let made = clinic.connect(admin).await.request("admin.createResource", data, Some(key())).await;
    text(&made.expect("a room is made").data, "id")
}

/// Somebody whom an admin has made staff, and given to a doctor.
pub async fn receptionist(clinic: &Clinic, admin: &Person, doctor: Option<&Person>) -> Person {
    let person = clinic.person("patient", "Rocío Recepción").await;
    let connection = clinic.connect(admin).await;
    let role = json!({ "id": person.id, "role": "staff" });
    connection.request("admin.updateUser", role, Some(key())).await.expect("the role is given");
    if let Some(doctor) = doctor {
        let staff = json!({ "id": doctor.id, "staff": [person.id] });
        connection.request("admin.setStaff", staff, Some(key())).await.expect("they act for the doctor");
    }
    login(clinic.url(), &person).await
}

/// An access token of somebody, of a session of its own, as the clinic's key would have signed it at a given time.
pub async fn token_issued(clinic: &Clinic, person: &Person, at: Timestamp) -> String {
    let users = Cluster::new(ClusterName::Users, &clinic.users_uri).await.expect("a good address");
    let keys =
        KeyRing::new(&signing_keys::all(&users).await.expect("the keys are read"), &Vault::new(None).expect("no key"));
    let user = User {
        id: UserId(person.id.parse().expect("an id")),
        rev: 1,
        role: Role::Patient,
        name: person.name.clone(),
        email: person.email.clone(),
        email_verified: true,
        pending_email: None,
        locale: None,
        time_zone: None,
        notifications: Notifications::default(),
        calendar_feed: None,
        created_at: at,
        external: None,
    };
    let (token, _) = keys.issue("cita", &user, SessionId(Uuid::new_v4()), at).expect("a token");
    token.expose().to_owned()
}
