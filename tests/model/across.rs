//! What the model answers to those who look for a time of any of several doctors.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::asked::Asked;
use super::judge::{Judged, told};
use super::state::Model;
use super::step::Deed;

/// How many ways there are to say which doctors and which services are meant, and whose dates.
pub const WHOSE: usize = 5;
pub const WHAT: usize = 5;
pub const WHERE: usize = 4;
/// Most times on a page.
pub const PAGES: [u32; 3] = [100, 20, 7];

impl Model {
    /// The fields of a search.
    pub fn across(&self, deed: &Deed) -> Value {
        let Deed::SearchDoctors { doctors, services, zone, day, days, page } = deed else { return Value::Null };
        let from = self.date(0, *day);
        let to = from + (days - 1).days();
        let size = PAGES[page % PAGES.len()];
        // Small pages of a few days only.
        let size = if *days > 1 { size.max(20) } else { size };
        let mut data = json!({ "from": from.to_string(), "to": to.to_string(), "pageSize": size });
        let ids = [self.doctor_id(0), self.doctor_id(1)];
        match doctors % WHOSE {
            0 => {}
            1 => data["doctorIds"] = json!(ids),
            2 => data["doctorIds"] = json!([ids[0]]),
            3 => data["doctorIds"] = json!([ids[1]]),
            _ => data["text"] = json!("DIEG"),
        }
        let of = |doctor: usize, service: usize| self.doctors[doctor].services[service].id.as_str();
        match services % WHAT {
            0 | 1 => {}
            2 => data["serviceIds"] = json!([of(0, 0), of(1, 3), of(1, 0)]),
            3 => data["service"] = json!("con"),
            _ => data["service"] = json!("tall"),
        }
        match zone % WHERE {
            0 | 1 => {}
            2 => data["timeZone"] = json!("America/Bogota"),
            _ => data["timeZone"] = json!("Asia/Tokyo"),
        }
        data
    }

    pub fn search_doctors(&self, asked: &Asked, who: Option<usize>, now: Timestamp) -> Judged {
        let data = &asked.data;
        let date = |field: &str| data[field].as_str().and_then(|date| date.parse::<Date>().ok()).expect("a date");
        let (from, to) = (date("from"), date("to"));
        let names = |field: &str, id: &str| data[field].as_array().is_none_or(|ids| ids.contains(&json!(id)));
        let fits = |field: &str, name: &str| {
            let begins = data[field].as_str().unwrap_or_default().to_lowercase();
            name.to_lowercase().split(' ').any(|word| word.starts_with(&begins))
        };
        let zone = data["timeZone"].as_str().map(|zone| TimeZone::get(zone).expect("a zone"));
        let midnight = |zone: &TimeZone, date: Date| date.to_zoned(zone.clone()).expect("a day").timestamp();
        let window = zone.map(|zone| midnight(&zone, from)..midnight(&zone, to + 1.day()));
        // Other dates than those that are meant have no times in the window.
        let more = if window.is_some() { 2.days() } else { 0.days() };
        let mut found: Vec<(Timestamp, String, String, Value)> = Vec::new();
        for (doctor, of) in self.doctors.iter().enumerate() {
            let id = self.doctor_id(doctor);
            if !names("doctorIds", id) || !fits("text", self.name_of(of.person)) {
                continue;
            }
            let wanted = |service: &usize| {
                let service = &of.services[*service];
                names("serviceIds", &service.id) && fits("service", &service.name)
            };
            for service in (0..of.services.len()).filter(wanted) {
                let dates = (from - more).series(1.day()).take_while(|date| *date <= to + more);
                let shown = dates.flat_map(|date| self.shown(doctor, service, date, who, now));
                for (start, mut slot) in
                    shown.filter(|(start, _)| window.as_ref().is_none_or(|all| all.contains(start)))
                {
                    let of_service = &of.services[service].id;
                    slot["doctorId"] = json!(id);
                    slot["serviceId"] = json!(of_service);
                    slot["timeZone"] = json!(of.zone.iana_name());
                    found.push((start, id.to_owned(), of_service.clone(), slot));
                }
            }
        }
        found.sort_by(|one, two| (one.0, &one.1, &one.2).cmp(&(two.0, &two.1, &two.2)));
        let items: Vec<Value> = found.into_iter().map(|(_, _, _, slot)| slot).collect();
        Ok(told(json!({ "items": items })))
    }
}
