//! Who can log in to the demo clinic: what the start prints.

use std::fmt;

use super::data;
use crate::domain::account::Role;

/// The one password of every demo account.
const PASSWORD: &str = "demo-clinica-2026";

/// A few accounts of the demo clinic, one line each when printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoLogins {
    pub admin: Login,
    pub reception: Login,
    pub doctors: [Login; 2],
    pub patients: [Login; 2],
    /// Of all demo accounts, these and the others.
    pub password: &'static str,
}

/// An account that a person may try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub role: Role,
    pub name: &'static str,
    pub email: String,
}

impl DemoLogins {
    /// The logins, the same on every start.
    pub(super) fn of_the_clinic() -> Self {
        let doctor = |index: usize| {
            let doctor = &data::DOCTORS[index];
            Login::new(Role::Doctor, doctor.name, doctor.mailbox)
        };
        let patient = |index: usize| {
            let (name, mailbox) = data::PATIENTS[index];
            Login::new(Role::Patient, name, mailbox)
        };
        Self {
            admin: Login::new(Role::Admin, data::ADMIN.0, data::ADMIN.1),
            reception: Login::new(Role::Staff, data::RECEPTION.0, data::RECEPTION.1),
            doctors: [doctor(0), doctor(1)],
            patients: [patient(0), patient(1)],
            password: PASSWORD,
        }
    }

    /// All of them: the admin, the reception, the doctors, the patients.
    pub fn iter(&self) -> impl Iterator<Item = &Login> {
        [&self.admin, &self.reception].into_iter().chain(&self.doctors).chain(&self.patients)
    }
}

impl Login {
    fn new(role: Role, name: &'static str, mailbox: &str) -> Self {
        Self { role, name, email: data::email(mailbox) }
    }
}

impl fmt::Display for DemoLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for login in self.iter() {
            writeln!(f, "{:<8} {:<32} {}", login.role.as_str(), login.email, login.name)?;
        }
        write!(f, "password {}", self.password)
    }
}
