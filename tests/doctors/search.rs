//! Searching for doctors, held against a plain filter and sort over all of them.

use std::cmp::{Ordering, Reverse};

use cita::domain::doctor::Doctor;
use cita_cli::Connection;
use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{Dice, FIELDS, LANGUAGES, somebody, write};
use crate::harness::clinic::{Clinic, key, text};

const SORTS: [&str; 4] = ["name", "rating", "price", "experience"];

fn plain(text: &str) -> String {
    let accents = [('á', 'a'), ('é', 'e'), ('ë', 'e'), ('í', 'i'), ('ó', 'o'), ('ú', 'u'), ('ñ', 'n')];
    let lower = text.to_lowercase();
    lower.chars().map(|c| accents.iter().find(|(with, _)| *with == c).map_or(c, |(_, without)| *without)).collect()
}

fn words(text: &str) -> Vec<String> {
    plain(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether a search should find a doctor.
fn fits(doctor: &Doctor, query: &Value) -> bool {
    let profile = &doctor.profile;
    let mut known = words(&doctor.name);
    known.extend(profile.specialisation.iter().chain(&profile.qualifications).flat_map(|text| words(text)));
    let has = |word: &String| known.iter().any(|known| known.starts_with(word));
    let speaks = |asked: &str| {
        let asked = asked.to_lowercase();
        profile
            .languages
            .iter()
            .map(|tag| tag.to_lowercase())
            .any(|tag| tag == asked || tag.split('-').next() == Some(&asked))
    };
    doctor.is_approved()
        && query["text"].as_str().is_none_or(|text| words(text).iter().all(has))
        && query["specialisation"]
            .as_str()
            .is_none_or(|asked| profile.specialisation.as_ref().is_some_and(|own| plain(own) == plain(asked)))
        && query["language"].as_str().is_none_or(speaks)
}

fn order(sort: &str, a: &Doctor, b: &Doctor) -> Ordering {
    // `None` is less than `Some`: of those who have nothing, `is_none` is the greater.
    let by = match sort {
        "rating" => {
            let (a, b) = (a.rating, b.rating);
            let better = (u64::from(b.sum) * u64::from(a.count)).cmp(&(u64::from(a.sum) * u64::from(b.count)));
            let both = better.then(b.count.cmp(&a.count));
            (a.count == 0).cmp(&(b.count == 0)).then(if a.count == 0 || b.count == 0 { Ordering::Equal } else { both })
        }
        "price" => {
            let amount = |doctor: &Doctor| doctor.profile.price.as_ref().map(|(amount, _)| *amount);
            (amount(a).is_none(), amount(a)).cmp(&(amount(b).is_none(), amount(b)))
        }
        "experience" => {
            let years = |doctor: &Doctor| doctor.profile.experience_years;
            (years(a).is_none(), Reverse(years(a))).cmp(&(years(b).is_none(), Reverse(years(b))))
        }
        _ => plain(&a.name).cmp(&plain(&b.name)),
    };
    by.then_with(|| a.id.to_string().cmp(&b.id.to_string()))
}

/// Every page of a search.
async fn pages(connection: &Connection, query: &Value, size: usize) -> Vec<String> {
    let (mut found, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut data = query.clone();
        data["pageSize"] = json!(size);
        if token.is_string() {
            data["pageToken"] = token;
        }
        let page = connection.request("doctor.search", data, None).await.expect("a page").data;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= size);
        found.extend(items.iter().map(|item| text(item, "id")));
        token = page["nextPageToken"].clone();
        if token.is_null() {
            return found;
        }
        assert_eq!(items.len(), size, "only the last page is short");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_a_search_are_what_a_filter_and_a_sort_give() {
    let clinic = Clinic::open().await;
    let mut dice = Dice(2026);
    let mut doctors: Vec<Doctor> = (0..250).map(|_| somebody(&mut dice)).collect();
    write(&clinic, &doctors).await;
    let connection = clinic.anon().await;
    const TEXTS: &[&str] = &[
        "",
        "ana",
        "ÁNA",
        "gom",
        "núñ",
        "nun ana",
        "z",
        "lucia an",
        "de la",
        "oneill",
        "o'ne",
        "cardio",
        "medicina gen",
        "otorrinolaringo",
        "otorrinolaringologia",
        "otorrinolaringolx",
        "2019",
        "jose 20 med",
        "Ángel m",
        "–",
        "nada",
    ];
    let mut hits = 0;
    for round in 0..160 {
        let mut query = json!({ "sort": SORTS[round % 4] });
        if dice.throw(3) > 0 {
            query["text"] = json!(dice.one_of(TEXTS));
        }
        if dice.throw(3) == 0 {
            query["specialisation"] = json!(dice.one_of(FIELDS));
        }
        if dice.throw(3) == 0 {
            query["language"] = json!(dice.one_of(LANGUAGES));
        }
        let sort = text(&query, "sort");
        doctors.sort_by(|a, b| order(&sort, a, b));
        let expected: Vec<String> =
            doctors.iter().filter(|doctor| fits(doctor, &query)).map(|doctor| doctor.id.to_string()).collect();
        let size = dice.one_of(&[3, 7, 20, 100]);
        assert_eq!(pages(&connection, &query, size).await, expected, "{query} in pages of {size}");
        hits += expected.len();
    }
    assert!(hits > 1_000, "the searches find something: {hits}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_doctor_is_found_at_once_and_what_is_taken_back_no_more() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (doctor, visitor) = (clinic.connect(&practice.doctor).await, clinic.anon().await);
    let finds = async |query: Value| !pages(&visitor, &query, 20).await.is_empty();
    assert!(finds(json!({ "text": "duarte DANI" })).await);
    assert!(!finds(json!({ "specialisation": "Pediatría" })).await);
    let change = json!({ "id": practice.doctor.id, "specialisation": "Pediatría", "languages": ["pt-BR"] });
    doctor.request("doctor.update", change, Some(key())).await.unwrap();
    for query in [
        json!({ "specialisation": "pediatria" }),
        json!({ "specialisation": "Pediatría", "text": "ped", "language": "PT" }),
        json!({ "language": "pt-br" }),
    ] {
        assert!(finds(query.clone()).await, "{query}");
    }
    for query in [json!({ "specialisation": "Pediatr" }), json!({ "language": "pt-PT" }), json!({ "language": "p2" })] {
        let found = visitor.request("doctor.search", &query, None).await;
        match found {
            Ok(reply) => assert_eq!(reply.data["items"], json!([]), "{query}"),
            Err(problem) => assert_eq!(problem.code(), Some(ErrorCode::ValidationFailed), "{query}"),
        }
    }
    let change = json!({ "id": practice.doctor.id, "specialisation": "", "languages": [] });
    doctor.request("doctor.update", change, Some(key())).await.unwrap();
    assert!(!finds(json!({ "text": "ped" })).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_cannot_be_is_refused_and_says_why() {
    let clinic = Clinic::open().await;
    let mut dice = Dice(5);
    let doctors: Vec<Doctor> = (0..20).map(|_| somebody(&mut dice)).collect();
    write(&clinic, &doctors).await;
    let connection = clinic.anon().await;
    let page = connection.request("doctor.search", json!({ "pageSize": 2 }), None).await.unwrap().data;
    let by_name = text(&page, "nextPageToken");
    let refused = async |query: Value| {
        let problem = connection.request("doctor.search", &query, None).await.unwrap_err();
        assert_eq!(problem.code(), Some(ErrorCode::ValidationFailed), "{query}");
        let cita_cli::ClientError::Problem(problem) = problem else { panic!("{query}") };
        problem.errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect::<Vec<_>>()
    };
    for (query, field) in [
        (json!({ "pageToken": by_name, "sort": "rating" }), "/pageToken invalid"),
        (json!({ "pageToken": "x" }), "/pageToken invalid"),
        (json!({ "text": "a b c d e f" }), "/text too_many"),
        (json!({ "text": "x".repeat(41) }), "/text too_long"),
        (json!({ "text": "x ".repeat(200) }), "/text too_long"),
        (json!({ "specialisation": "x".repeat(101) }), "/specialisation too_long"),
        (json!({ "language": "español" }), "/language invalid"),
        (json!({ "sort": "shoeSize" }), "/sort invalid"),
    ] {
        assert!(
            refused(query.clone()).await.contains(&field.to_owned()),
            "{query}: {:?}",
            refused(query.clone()).await
        );
    }
    let next = json!({ "pageToken": by_name, "sort": "name", "pageSize": 2 });
    connection.request("doctor.search", next, None).await.expect("the default sort is by name");
}
