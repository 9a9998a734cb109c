//! How approved doctors are found: the facets that a search asks for, and the keys that it sorts by.
//!
//! Facets and keys are computed once for each revision and stored, so that a page of any search is one stretch of one
//! index. All keys sort in ascending order, and no two doctors have the same one.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::doctor::Doctor;

/// Most words of a search.
pub const SEARCH_WORDS: usize = 5;
/// Longest word, in characters; what is longer in a profile is found by its beginning.
pub const WORD_LENGTH: usize = 40;
/// Bytes of the words' facets of a doctor: the name always fits, and words that do not fit any more are not found.
const FACET_BYTES: usize = 9 * 1024;
/// What a facet takes in a document beside its text.
const FACET_OVERHEAD: usize = 10;
/// What every listed doctor has.
const LISTED: &str = "approved";
/// Between the key and the id: smaller than anything that a name may contain.
const SEPARATOR: char = '\u{1}';

/// What doctors are sorted by. Those who do not have it come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// From A to Z.
    Name,
    /// The best first; among equals those with more reviews.
    Rating,
    /// The lowest amount first, whatever its currency.
    Price,
    /// The longest first.
    Experience,
}

impl Sort {
    /// Every way to sort.
    pub const ALL: [Self; 4] = [Self::Name, Self::Rating, Self::Price, Self::Experience];

    /// The word for it, in documents and page tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rating => "rating",
            Self::Price => "price",
            Self::Experience => "experience",
        }
    }
}

/// Which doctors are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Each of these begins a word of name, specialisation or qualifications; as [`words`] gives them.
    pub words: Vec<String>,
    pub specialisation: Option<String>,
    pub language: Option<String>,
}

impl Filter {
    /// The facets that a doctor must have, one at least.
    #[must_use]
    pub fn facets(&self) -> Vec<String> {
        let mut facets: Vec<String> = self.words.iter().map(|word| word_facet(word)).collect();
        facets.extend(self.specialisation.as_deref().map(specialisation_facet));
        facets.extend(self.language.as_deref().map(language_facet));
        if facets.is_empty() {
            facets.push(LISTED.to_owned());
        }
        facets
    }
}

/// The facets of a doctor, each once. `None`: they are not listed.
#[must_use]
pub fn facets(doctor: &Doctor) -> Option<Vec<String>> {
    if !doctor.is_approved() {
        return None;
    }
    let profile = &doctor.profile;
    let mut facets = BTreeSet::from([LISTED.to_owned()]);
    facets.extend(profile.specialisation.as_deref().map(specialisation_facet));
    for tag in &profile.languages {
        facets.insert(language_facet(tag));
        facets.extend(tag.split('-').next().map(language_facet));
    }
    let texts = [&doctor.name].into_iter().chain(&profile.specialisation).chain(&profile.qualifications);
    let mut room = FACET_BYTES;
    for word in texts.flat_map(|text| words(text)) {
        let beginnings = word.char_indices().skip(1).map(|(at, _)| at).chain([word.len()]).take(WORD_LENGTH);
        let new: Vec<String> = beginnings.map(|at| word_facet(&word[..at])).collect();
        let bytes: usize = new.iter().map(|facet| facet.len() + FACET_OVERHEAD).sum();
        if bytes <= room {
            room -= bytes;
            facets.extend(new);
        }
    }
    Some(facets.into_iter().collect())
}

/// The key of a doctor in a sort.
#[must_use]
pub fn sort_key(doctor: &Doctor, sort: Sort) -> String {
    let profile = &doctor.profile;
    let key = match sort {
        Sort::Name => fold(&doctor.name),
        Sort::Rating => {
            let (sum, count) = (u64::from(doctor.rating.sum), u64::from(doctor.rating.count));
            let millionths = (sum * 1_000_000).checked_div(count);
            let worse = millionths.map(|millionths| u64::MAX - ((millionths << 32) + count));
            number(worse)
        }
        Sort::Price => number(profile.price.as_ref().map(|(amount, _)| amount.unsigned_abs())),
        Sort::Experience => number(profile.experience_years.map(|years| u64::MAX - 1 - u64::from(years))),
    };
    format!("{key}{SEPARATOR}{}", doctor.id)
}

/// A number that sorts as text; `None` after all others.
fn number(number: Option<u64>) -> String {
    format!("{:016x}", number.unwrap_or(u64::MAX))
}

fn word_facet(word: &str) -> String {
    format!("t:{word}")
}

fn specialisation_facet(specialisation: &str) -> String {
    format!("s:{}", fold(specialisation.trim()))
}

fn language_facet(tag: &str) -> String {
    format!("l:{}", tag.to_ascii_lowercase())
}

/// The words of a text, folded: what stands between anything but letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let words: Vec<String> =
        folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// A text without accents, in lower case.
fn fold(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use uuid::Uuid;

    use super::*;
    use crate::domain::doctor::{Approval, Availability, Profile, Rating};
    use crate::domain::ids::UserId;

    fn doctor(name: &str) -> Doctor {
        Doctor {
            id: UserId(Uuid::nil()),
            rev: 1,
            name: name.to_owned(),
            approval: Approval::Approved,
            profile: Profile::default(),
            rating: Rating::default(),
            availability: Availability::closed(TimeZone::UTC),
            services: Vec::new(),
            time_off: Vec::new(),
            staff: Vec::new(),
            history: Vec::new(),
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn words_are_without_case_and_accents() {
        let found = |text| words(text).collect::<Vec<_>>();
        assert_eq!(found("  Núñez-ÁNGEL, O'Neill (MD)"), ["nunez", "angel", "o", "neill", "md"]);
        assert_eq!(found("n\u{303} İstanbul ﬁbra Ω 2ª"), ["n", "istanbul", "fibra", "ω", "2a"]);
        assert_eq!(found("– ·"), Vec::<String>::new());
    }

    #[test]
    fn a_doctor_has_every_beginning_of_every_word_once() {
        let mut ana = doctor("Ána An");
        ana.profile.languages = vec!["es-CO".to_owned(), "es".to_owned()];
        ana.profile.specialisation = Some(" Ñ ".to_owned());
        let found = facets(&ana).expect("approved");
        assert_eq!(found, ["approved", "l:es", "l:es-co", "s:n", "t:a", "t:an", "t:ana", "t:n"]);
        let filter =
            Filter { words: vec!["an".to_owned()], language: Some("ES".to_owned()), specialisation: Some("ñ".into()) };
        assert!(filter.facets().iter().all(|facet| found.contains(facet)));
        assert_eq!(Filter::default().facets(), ["approved"]);
        ana.approval = Approval::Rejected;
        assert_eq!(facets(&ana), None);
    }

    #[test]
    fn facets_are_bounded_and_the_name_is_always_among_them() {
        let mut wordy = doctor(&format!("{} {} {}", "𐌰".repeat(40), "𐌱".repeat(40), "𐌲".repeat(18)));
        wordy.profile.qualifications =
            (0..20).map(|line| (0..30).map(|word| format!("{line}w{word}x ")).collect()).collect();
        let found = facets(&wordy).expect("approved");
        let bytes: usize = found.iter().map(|facet| facet.len() + FACET_OVERHEAD).sum();
        assert!(bytes <= FACET_BYTES + 100, "{bytes}");
        for word in words(&wordy.name) {
            assert!(found.contains(&word_facet(&word)));
        }
        let long = facets(&doctor(&"x".repeat(100))).expect("approved");
        assert!(long.contains(&word_facet(&"x".repeat(WORD_LENGTH))));
        assert_eq!(long.len(), 1 + WORD_LENGTH);
    }

    #[test]
    fn keys_sort_as_they_should() {
        let rated = |sum, count| Doctor { rating: Rating { sum, count }, ..doctor("x") };
        let years = |years| {
            let mut doctor = doctor("x");
            doctor.profile.experience_years = years;
            doctor
        };
        let price = |amount: Option<i64>| {
            let mut doctor = doctor("x");
            doctor.profile.price = amount.map(|amount| (amount, "COP".to_owned()));
            doctor
        };
        for (sort, best_first) in [
            (Sort::Name, vec![doctor("Ana"), doctor("ána b"), doctor("Anab"), doctor("Zoë")]),
            (Sort::Rating, vec![rated(10, 2), rated(5, 1), rated(9, 2), rated(u32::MAX, u32::MAX), rated(0, 0)]),
            (Sort::Price, vec![price(Some(0)), price(Some(9)), price(Some(10)), price(Some(i64::MAX)), price(None)]),
            (Sort::Experience, vec![years(Some(80)), years(Some(1)), years(Some(0)), years(None)]),
        ] {
            let keys: Vec<_> = best_first.iter().map(|doctor| sort_key(doctor, sort)).collect();
            assert!(keys.is_sorted_by(|one, next| one < next), "{sort:?}: {keys:?}");
        }
    }
}
