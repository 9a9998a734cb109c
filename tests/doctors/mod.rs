//! Doctors: what they say of themselves, what is remembered of it, and how they are found.

mod plans;
mod profile;
mod search;

use cita::domain::availability::parse_zone;
use cita::domain::doctor::{Approval, Availability, Doctor, Profile, Rating};
use cita::domain::ids::UserId;
use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita::store::doctors::DoctorStore;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use uuid::Uuid;

use crate::harness::clinic::Clinic;

/// Chance that falls the same way each time: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.throw(list.len())]
    }
}

pub const FIRST: &[&str] = &["Ana", "Ána", "José", "JOSÉ", "Zoë", "Íñigo", "Ana-Lucía", "Daniela", "Bo"];
pub const LAST: &[&str] = &["Gómez", "GOMEZ", "Núñez", "de la Cruz", "O'Neill", "Muñoz Ángel", "Ba", "Zapata"];
pub const FIELDS: &[&str] = &["Cardiología", "cardiologia", "Medicina general", "Pediatría", "Ortopedia"];
pub const DEGREES: &[&str] =
    &["Médica, Universidad Nacional", "Otorrinolaringología pediátrica", "Máster 2019", "Board certified, NYC"];
pub const LANGUAGES: &[&str] = &["es", "es-CO", "en", "pt-BR", "ES-mx"];

/// Somebody with whatever chance gives them.
pub fn somebody(dice: &mut Dice) -> Doctor {
    let pick = |dice: &mut Dice, list: &[&str], most: usize| -> Vec<String> {
        (0..dice.throw(most + 1)).map(|_| dice.one_of(list).to_owned()).collect()
    };
    let name = format!("{} {}", dice.one_of(FIRST), dice.one_of(LAST));
    let approval = dice.one_of(&[Approval::Approved, Approval::Approved, Approval::Approved, Approval::Pending]);
    let count = u32::try_from(dice.throw(5)).unwrap();
    Doctor {
        id: UserId(Uuid::from_u128(u128::from(dice.0) << 64 | 7)),
        rev: 1,
        name,
        approval: if dice.throw(20) == 0 { Approval::Rejected } else { approval },
        profile: Profile {
            specialisation: pick(dice, FIELDS, 1).pop(),
            qualifications: pick(dice, DEGREES, 3),
            experience_years: [None, Some(0), Some(3), Some(20), Some(80)][dice.throw(5)],
            languages: pick(dice, LANGUAGES, 2),
            price: (dice.throw(3) > 0).then(|| (i64::try_from(dice.throw(4)).unwrap() * 5_000, "COP".to_owned())),
            ..Profile::default()
        },
        rating: Rating { sum: (0..count).map(|_| 1 + u32::try_from(dice.throw(5)).unwrap()).sum(), count },
        availability: Availability::closed(parse_zone("America/Bogota").unwrap()),
        services: Vec::new(),
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

pub async fn cluster(clinic: &Clinic) -> Cluster {
    Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address")
}

/// Writes doctors without accounts.
pub async fn write(clinic: &Clinic, doctors: &[Doctor]) {
    let store = DoctorStore::new(cluster(clinic).await);
    let writing: Vec<_> = doctors.iter().map(|doctor| store.insert_if_absent(doctor)).collect();
    stream::iter(writing).buffer_unordered(32).try_collect::<()>().await.expect("they are written");
}
