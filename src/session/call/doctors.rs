//! Doctors, their services, hours and slots: from the wire to the services and back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cita_protocol::Cursor;
use cita_protocol::doctor::{
    AvailabilityGetRequest, AvailabilitySetRequest, Clearable, DoctorGetRequest, DoctorSearchRequest,
    DoctorUpdateRequest,
};
use cita_protocol::time_off::{AvailabilityReply, DoctorReply, LeftOutside};
use cita_protocol::value::Id;
use uuid::Uuid;

use super::{Answered, Call, Failed, page, read};
use crate::domain::doctor::{Availability, Doctor};
use crate::domain::ids::{DoctorId, UserId};
use crate::domain::listing::{Sort, sort_key};
use crate::domain::profile::QUALIFICATIONS;
use crate::service::doctors::ProfileChange;
use crate::session::convert;
use crate::session::parse::Fields;
use crate::store::doctors::Search;

impl Call<'_> {
    pub(super) async fn doctor_search(&self) -> Answered {
        let input: DoctorSearchRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let sort = convert::sort_of(input.sort.unwrap_or_default());
        let which = fields.doctors(input.text, input.specialisation, input.language);
        let Some(sort) = sort else {
            let after = fields.page_token(input.page_token.as_ref(), first_token);
            fields.finish()?;
            self.wait(input.after.as_ref()).await?;
            let found = self.services.doctors.search_available(self.viewer, &which, after, limit + 1).await?;
            return Ok(page(found, limit, convert::available_doctor, |(doctor, first)| {
                let start = first.map_or(i64::MAX, |first| first.start.as_millisecond());
                format!("{start}_{}", doctor.id)
            }));
        };
        let after = fields.page_token(input.page_token.as_ref(), |token| doctor_key(sort, token));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let search = Search { which, sort, after, limit: limit + 1 };
        let found = self.services.doctors.search(self.viewer, &search).await?;
        Ok(page(found, limit, convert::doctor, |doctor| doctor_token(sort, doctor)))
    }

    pub(super) async fn doctor_get(&self) -> Answered {
        let input: DoctorGetRequest = self.input()?;
        let doctor = self.doctor(&input.id, "/id", input.after.as_ref()).await?;
        Ok(read(&convert::doctor_for(self.viewer, &doctor)))
    }

    pub(super) async fn doctor_update(&self) -> Answered {
        let input: DoctorUpdateRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        let cleared = |field| input.clear.contains(&field);
        let given =
            [(Clearable::ExperienceYears, input.experience_years.is_some()), (Clearable::Price, input.price.is_some())];
        if given.into_iter().any(|(field, given)| given && cleared(field)) {
            fields.refuse("/clear", "invalid", "a field is either set or cleared");
        }
        let change = ProfileChange {
            experience_years: match input.experience_years {
                Some(years) => Some(Some(fields.years("/experienceYears", years))),
                None => cleared(Clearable::ExperienceYears).then_some(None),
            },
            price: match &input.price {
                Some(price) => Some(Some(fields.checked_price("/price", price))),
                None => cleared(Clearable::Price).then_some(None),
            },
            qualifications: input.qualifications.map(|lines| fields.lines("/qualifications", &lines, QUALIFICATIONS)),
            photo_url: input.photo_url.map(|text| fields.https_url("/photoUrl", &text)),
            time_zone: input.time_zone.map(|zone| fields.zone("/timeZone", &zone)),
            specialisation: input.specialisation.map(|text| fields.line("/specialisation", &text, 0, 100)),
            bio: input.bio.map(|text| fields.text("/bio", &text, 0, 4_000)),
            languages: input.languages.map(|tags| fields.languages("/languages", &tags)),
            address: input.address.map(|text| fields.line("/address", &text, 0, 200)),
        };
        fields.finish()?;
        let (doctors, keep) = (&self.services.doctors, input.appointments.map(convert::keep_of));
        let done = doctors.update(self.viewer, self.key()?, id, input.rev, &change, keep).await?;
        let left = match change.time_zone {
            Some(_) => convert::left(&doctors.outside_since(self.viewer, id, done.at).await?),
            None => LeftOutside::default(),
        };
        Ok(self.done(&done, |doctor| DoctorReply {
            doctor: convert::doctor_for(self.viewer, doctor),
            outside: left.outside.clone(),
            more_outside: left.more_outside,
        }))
    }

    pub(super) async fn availability_get(&self) -> Answered {
        let input: AvailabilityGetRequest = self.input()?;
        let doctor = self.doctor(&input.doctor_id, "/doctorId", input.after.as_ref()).await?;
        Ok(read(&convert::availability(&doctor)))
    }

    pub(super) async fn availability_set(&self) -> Answered {
        let input: AvailabilitySetRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/doctorId", &input.doctor_id));
        let hours = Availability {
            rev: 0,
            time_zone: fields.zone("/timeZone", &input.time_zone),
            weekly: fields.weekly("/weekly", &input.weekly),
            overrides: fields.overrides(&input.overrides),
            seasons: fields.seasons("/seasons", &input.seasons),
            holiday_calendars: fields.holiday_calendars("/holidayCalendars", &input.holiday_calendars),
        };
        fields.finish()?;
        let doctors = &self.services.doctors;
        let keep = input.appointments.map(convert::keep_of);
        let done = doctors.set_availability(self.viewer, self.key()?, id, input.rev, hours, keep).await?;
        let left = convert::left(&doctors.outside_since(self.viewer, id, done.at).await?);
        Ok(self.done(&done, |doctor| AvailabilityReply {
            availability: convert::availability(doctor),
            left: left.clone(),
        }))
    }

    /// The doctor of a read, once the point that it asks for has been seen.
    pub(super) async fn doctor(&self, id: &Id, pointer: &str, after: Option<&Cursor>) -> Result<Arc<Doctor>, Failed> {
        let mut fields = Fields::default();
        let id: DoctorId = UserId(fields.id(pointer, id));
        fields.finish()?;
        self.wait(after).await?;
        let calendar = self.services.doctors.get(self.request.operation.name(), self.viewer, id).await?;
        Ok(calendar.doctor.clone())
    }
}

/// Where a page of doctors ended: the sort, and the key of the last one in it.
fn doctor_token(sort: Sort, last: &Doctor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", sort.as_str(), sort_key(last, sort)))
}

/// Where a page of available doctors ended: the last one's first start in milliseconds, and id.
fn first_token(token: &str) -> Option<(i64, DoctorId)> {
    let (start, id) = token.split_once('_')?;
    Some((start.parse().ok()?, UserId(Uuid::try_parse(id).ok()?)))
}

/// The key in a token of this sort.
fn doctor_key(sort: Sort, token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let key = text.strip_prefix(sort.as_str())?.strip_prefix(':')?;
    Some(key.to_owned())
}
