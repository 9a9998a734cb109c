//! Pages of many calendars: in order, whole, and bounded in what they look at.

use jiff::civil::{Time, date};

use super::*;
use crate::domain::change::Position;
use crate::domain::doctor::{Approval, Availability, LocalRange, Profile, Rating, Terms};

const FROM: Date = date(2026, 12, 1);

fn service(number: u128) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(number)),
        rev: 1,
        name: "Visita".to_owned(),
        duration_minutes: 30,
        step_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        price: None,
        min_notice_minutes: 0,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

/// A doctor who is there from 9 to 10 on some dates.
fn calendar(number: u128, zone: &str, days: &[Date]) -> Arc<Calendar> {
    let range = LocalRange { from: Time::constant(9, 0, 0, 0), to: Time::constant(10, 0, 0, 0) };
    let time_zone = TimeZone::get(zone).expect("a zone");
    let overrides = days.iter().map(|day| (*day, vec![range])).collect();
    let doctor = Doctor {
        id: UserId(Uuid::from_u128(number)),
        rev: 1,
        name: "Ada".to_owned(),
        approval: Approval::Approved,
        rating: Rating::default(),
        profile: Profile::default(),
        availability: Availability { overrides, ..Availability::closed(time_zone) },
        services: vec![service(number * 10 + 1), service(number * 10)],
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    };
    Arc::new(Calendar::new(Position(1), doctor, Vec::new()))
}

fn wanted(days: i32, limit: usize, after: Option<Key>) -> Wanted {
    let to = FROM.checked_add((days - 1).days()).expect("a date");
    Wanted { services: None, words: Vec::new(), from: FROM, to, zone: None, after, limit }
}

/// All pages, and how many of them there were.
async fn all(calendars: &[Arc<Calendar>], days: i32, limit: usize) -> (Vec<Key>, usize) {
    let now = "2026-11-20T12:00:00Z".parse().expect("an instant");
    let (mut keys, mut after) = (Vec::new(), None);
    for page in 1..1_000 {
        let wanted = wanted(days, limit, after);
        let mut earliest = Earliest::new(Which::All(None), now);
        for calendar in calendars {
            let (from, to) = wanted.dates(&calendar.doctor);
            earliest.add(calendar, calendar.doctor.services.iter().collect(), from, to);
        }
        let Times { times, more } = read_page(earliest, calendars, &wanted).await;
        assert!(times.len() <= limit);
        keys.extend(times.iter().map(OfDoctor::key));
        let Some(more) = more else { return (keys, page) };
        assert!(Some(more) > after, "it comes further");
        after = Some(more);
    }
    panic!("there is no end to it");
}

#[tokio::test]
async fn pages_are_in_order_and_whole() {
    let days: Vec<Date> = FROM.series(2.days()).take(5).collect();
    let zones = ["America/Bogota", "Asia/Tokyo", "Europe/Madrid", "Pacific/Chatham"];
    let calendars: Vec<_> = (1..).zip(zones).map(|(number, zone)| calendar(number, zone, &days)).collect();
    let (keys, _) = all(&calendars, 9, 100).await;
    assert_eq!(keys.len(), 4 * 5 * 2 * 2, "of each doctor two times of two services on five days");
    assert!(keys.is_sorted_by(|one, next| one < next));
    for limit in [1, 3, 7] {
        assert_eq!(all(&calendars, 9, limit).await.0, keys, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_service_with_a_long_notice_hides_no_earlier_time_of_another() {
    let mut calendars = vec![calendar(1, "America/Bogota", &[FROM, FROM.saturating_add(20.days())])];
    let expected = all(&calendars, 30, 100).await.0;
    let doctor = &calendars[0].doctor;
    let mut late = doctor.services[0].clone();
    late.min_notice_minutes = 30 * 24 * 60;
    let doctor = Doctor { services: vec![late, doctor.services[1].clone()], ..Doctor::clone(doctor) };
    calendars[0] = Arc::new(Calendar::new(Position(1), doctor, Vec::new()));
    let first = |service| expected.iter().filter(move |key| key.2 == service).copied().collect::<Vec<_>>();
    let late = first(ServiceId(Uuid::from_u128(11))).split_off(2);
    let mut left = [first(ServiceId(Uuid::from_u128(10))), late].concat();
    left.sort_unstable();
    assert_eq!(all(&calendars, 30, 100).await.0, left);
}

#[tokio::test]
async fn a_page_ends_when_it_has_looked_at_enough_and_the_next_goes_on() {
    let last = FROM.checked_add(61.days()).expect("a date");
    let mut calendars: Vec<_> = (1..200).map(|number| calendar(number, "America/Bogota", &[])).collect();
    calendars.push(calendar(200, "America/Bogota", &[last]));
    let (keys, pages) = all(&calendars, 62, 20).await;
    assert_eq!(keys.len(), 4);
    let looked = 200 * 62 * 2;
    assert!((looked / MOST_LOOKED_AT..=looked / MOST_LOOKED_AT + 3).contains(&pages), "{pages}");
    // Even where one date of all is more than a page looks at.
    let many: Vec<_> = (1..=MOST_LOOKED_AT as u128 / 2 + 10).map(|n| calendar(n, "America/Bogota", &[FROM])).collect();
    let (keys, _) = all(&many, 2, 15_000).await;
    assert_eq!(keys.len(), many.len() * 4);
}
