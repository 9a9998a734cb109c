//! Free time: from the wire to the services and back.

use cita_protocol::slot::{
    DoctorSlotSearchRequest, SlotExplainReply, SlotExplainRequest, SlotSearchReply, SlotSearchRequest,
};
use cita_protocol::value::{Page, TimeZone};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Answer, Answered, Call, read};
use crate::domain::account::Viewer;
use crate::domain::ids::{ServiceId, UserId};
use crate::service::doctors::Whose;
use crate::service::slots::{self, Key, LONGEST_WINDOW_DAYS, Wanted};
use crate::session::convert;
use crate::session::parse::Fields;
use crate::session::searches::{Search, minute};

/// Most doctors of a search that names them.
const MOST_DOCTORS: usize = 50;
/// Most services of a search that names them.
const MOST_SERVICES: usize = 100;

impl Call<'_> {
    pub(super) async fn slot_search(&self) -> Answered {
        let input: SlotSearchRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let service = ServiceId(fields.id("/serviceId", &input.service_id));
        let (from, to) = (fields.date("/from", &input.from), fields.date("/to", &input.to));
        input.time_zone.iter().for_each(|zone| drop(fields.zone("/timeZone", zone)));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        // A visitor sees what every other one does.
        let search = match self.viewer {
            Viewer::Anonymous => {
                let at = self.services.slots.position(self.viewer, doctor).await?;
                let (zone, minute) = (input.time_zone.clone().map(|zone| zone.0), minute(self.services.clock.now()));
                Some(Search { doctor, service, from, to, zone, at, minute })
            }
            Viewer::User(_) => None,
        };
        if let Some(known) = search.as_ref().and_then(|search| self.services.searches.get(search)) {
            return Ok(Answer { data: known, cursor: None, created: None, cookies: None });
        }
        let dates = slots::dates(from, to, LONGEST_WINDOW_DAYS)?;
        let (zone, found) = self.services.slots.search(self.viewer, doctor, service, &dates).await?;
        let time_zone = input.time_zone.unwrap_or(TimeZone(zone));
        let answer = read(&SlotSearchReply { time_zone, slots: found.iter().map(convert::slot).collect() });
        if let Some(search) = search {
            self.services.searches.keep(search, answer.data.clone());
        }
        Ok(answer)
    }

    pub(super) async fn slot_search_doctors(&self) -> Answered {
        let input: DoctorSlotSearchRequest = self.input()?;
        let mut fields = Fields::default();
        let is_filtered = input.text.is_some() || input.specialisation.is_some() || input.language.is_some();
        if input.doctor_ids.is_some() && is_filtered {
            fields.refuse("/doctorIds", "invalid", "either doctors by id, or whoever fits");
        }
        let whose = match &input.doctor_ids {
            Some(ids) => Whose::Named(fields.ids("/doctorIds", ids, MOST_DOCTORS).into_iter().map(UserId).collect()),
            None => Whose::Listed(fields.doctors(input.text, input.specialisation, input.language)),
        };
        let services = input.service_ids.map(|ids| fields.ids("/serviceIds", &ids, MOST_SERVICES));
        let words = input.service.map(|text| fields.words("/service", &text)).unwrap_or_default();
        let (from, to) = (fields.date("/from", &input.from), fields.date("/to", &input.to));
        let zone = input.time_zone.map(|zone| fields.zone("/timeZone", &zone));
        let limit = fields.page_size(input.page_size);
        let after = fields.page_token(input.page_token.as_ref(), slot_key);
        fields.finish()?;
        slots::dates(from, to, LONGEST_WINDOW_DAYS)?;
        self.wait(input.after.as_ref()).await?;
        let services = services.map(|ids| ids.into_iter().map(ServiceId).collect());
        let limit = usize::try_from(limit).unwrap_or_default();
        let wanted = Wanted { services, words, from, to, zone, after, limit };
        let found = self.services.doctors.search_slots(self.viewer, &whose, &wanted).await?;
        let items = found.times.iter().map(convert::doctor_slot).collect();
        Ok(read(&Page { items, next_page_token: found.more.map(slot_token) }))
    }

    pub(super) async fn slot_explain(&self) -> Answered {
        let input: SlotExplainRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let service = ServiceId(fields.id("/serviceId", &input.service_id));
        let start = fields.instant("/start", &input.start);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let explained = self.services.appointments.explain(self.viewer, doctor, service, start).await?;
        let problem = explained.refusal.map(|refusal| convert::problem(refusal.into()));
        Ok(read(&SlotExplainReply {
            start: convert::instant(start),
            time_zone: TimeZone(explained.time_zone),
            bookable: problem.is_none(),
            code: problem.as_ref().map(|problem| problem.code),
            rule: problem.and_then(|problem| problem.rule),
            taken_by: explained.taken_by.iter().map(|taken| convert::id(taken.0)).collect(),
        }))
    }
}

/// Where a page of times ended: the last one's start in seconds, doctor and service.
fn slot_token((start, doctor, service): Key) -> String {
    format!("{}_{doctor}_{service}", start.as_second())
}

fn slot_key(token: &str) -> Option<Key> {
    let mut parts = token.splitn(3, '_');
    let start = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
    let (doctor, service) = (Uuid::try_parse(parts.next()?).ok()?, Uuid::try_parse(parts.next()?).ok()?);
    Some((start, UserId(doctor), ServiceId(service)))
}
