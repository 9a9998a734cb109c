//! How the database answers a search: one stretch of one index, whatever is asked for. docs/ARCHITECTURE.md has the table.

use cita::domain::doctor::Doctor;
use cita::domain::listing::{Filter, Sort, sort_key, words};
use cita::store::collection;
use cita::store::doctors::{DoctorStore, Search, index_name};
use mongodb::bson::{Bson, Document, doc};

use super::{Dice, cluster, somebody, write};
use crate::harness::clinic::Clinic;

const PAGE: i64 = 10;

/// Every stage of a plan, with the index that it uses.
fn stages(plan: &Document, found: &mut Vec<(String, Option<String>)>) {
    if let Ok(stage) = plan.get_str("stage") {
        found.push((stage.to_owned(), plan.get_str("indexName").ok().map(str::to_owned)));
    }
    for (_, value) in plan {
        match value {
            Bson::Document(inner) => stages(inner, found),
            Bson::Array(list) => list.iter().filter_map(Bson::as_document).for_each(|inner| stages(inner, found)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_search_is_one_stretch_of_one_index() {
    let clinic = Clinic::open().await;
    let mut dice = Dice(11);
    let doctors: Vec<Doctor> = (0..600).map(|_| somebody(&mut dice)).collect();
    write(&clinic, &doctors).await;
    let store = DoctorStore::new(cluster(&clinic).await);
    let db = cluster(&clinic).await.db;
    let one = |words: Vec<String>, specialisation: Option<&str>, language: Option<&str>| Filter {
        words,
        specialisation: specialisation.map(str::to_owned),
        language: language.map(str::to_owned),
    };
    let text = |text: &str| words(text).collect::<Vec<_>>();
    let filters = [
        ("everybody", one(vec![], None, None)),
        ("text", one(text("gom"), None, None)),
        ("specialisation", one(vec![], Some("Pediatría"), None)),
        ("language", one(vec![], None, Some("es"))),
        ("two words", one(text("ana gom"), None, None)),
        ("all three", one(text("ana"), Some("Cardiología"), Some("es"))),
    ];
    for sort in Sort::ALL {
        for (name, which) in &filters {
            let mut after = None;
            for page in ["first", "next"] {
                let search = Search { which: which.clone(), sort, after: after.take(), limit: PAGE };
                let find = doc! {
                    "find": collection::DOCTORS, "filter": search.filter(), "sort": search.order(), "limit": PAGE,
                    "hint": index_name(sort), "projection": { "listing": 0, "history": 0, "keys": 0 },
                };
                let explain = doc! { "explain": find, "verbosity": "executionStats" };
                let explained = db.run_command(explain).await.expect("it is explained");
                let plan = explained.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap();
                let mut found = Vec::new();
                stages(plan, &mut found);
                let what = format!("{} of {name}, {page} page: {found:?}", sort.as_str());
                let scans: Vec<_> = found.iter().filter(|(stage, _)| stage == "IXSCAN").collect();
                assert_eq!(scans, [&("IXSCAN".to_owned(), Some(index_name(sort)))], "{what}");
                assert!(found.iter().all(|(stage, _)| stage != "SORT" && stage != "COLLSCAN"), "{what}");
                let stats = explained.get_document("executionStats").unwrap();
                let number = |field: &str| i64::from(stats.get_i32(field).unwrap());
                let (returned, documents) = (number("nReturned"), number("totalDocsExamined"));
                println!(
                    "{} | {name} | {page} | {returned} | {} | {documents}",
                    sort.as_str(),
                    number("totalKeysExamined")
                );
                if which.facets().len() == 1 {
                    assert_eq!((returned, documents), (PAGE, PAGE), "{what}");
                    assert!(number("totalKeysExamined") <= PAGE + 1, "{what}");
                }
                let found = store.search(&search).await.expect("the same page");
                assert_eq!(i64::try_from(found.len()).unwrap(), returned, "{what}");
                after = Some(sort_key(found.last().expect("each search finds somebody"), sort));
                if returned < PAGE {
                    break;
                }
            }
        }
    }
}
