//! The first free times of all doctors who fit: whoever has time soonest.

use std::collections::HashMap;

use cita_protocol::doctor::{Doctor, DoctorGetRequest, Service, ServiceListRequest};
use cita_protocol::slot::{DoctorSlot, DoctorSlotSearchRequest};
use cita_protocol::value::Id;
use cita_protocol::{Operation, Page};
use jiff::tz::TimeZone;

use crate::args::Soonest;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Paint, plain};
use crate::times::{self, Days};

/// Days that are looked at: yesterday, too, since it still is in some zones. What is over is not found.
const DAYS: (i32, i32) = (1, 31);

/// A doctor, and what they offer.
type Offer = (Doctor, Vec<Service>);

pub async fn list(client: &mut Client, search: Soonest) -> Result<(), Failure> {
    let days = Days::parse(search.from.as_deref(), search.to.as_deref(), times::today(&TimeZone::UTC), DAYS)?;
    let mut request = DoctorSlotSearchRequest {
        doctor_ids: None,
        text: (!search.text.is_empty()).then(|| search.text.join(" ")),
        specialisation: search.specialisation,
        language: search.language,
        service_ids: None,
        service: search.service,
        from: days.first(),
        to: days.last(),
        time_zone: None,
        page_size: Some(search.limit),
        page_token: None,
        after: None,
    };
    let limit = usize::try_from(search.limit).unwrap_or(usize::MAX);
    let mut found: Vec<DoctorSlot> = Vec::new();
    loop {
        let page: Page<DoctorSlot> = client.read(Operation::SlotSearchDoctors, request.clone()).await?;
        found.extend(page.items);
        request.page_token = page.next_page_token;
        if found.len() >= limit || request.page_token.is_none() {
            break;
        }
    }
    found.truncate(limit);
    let mut offers: HashMap<Id, Offer> = HashMap::new();
    for slot in &found {
        if !offers.contains_key(&slot.doctor_id) {
            offers.insert(slot.doctor_id.clone(), offer_of(client, &slot.doctor_id).await?);
        }
    }
    client.close().await;
    for slot in &found {
        client.output.object(slot);
        client.output.line(line(client, slot, offers.get(&slot.doctor_id))?);
    }
    if found.is_empty() {
        client.output.line(format!("Nobody who fits has time from {} to {}.", days.from, days.to));
    }
    Ok(())
}

async fn offer_of(client: &mut Client, id: &Id) -> Result<Offer, Failure> {
    let doctor = client.read(Operation::DoctorGet, DoctorGetRequest { id: id.clone(), after: None }).await?;
    let request = ServiceListRequest { doctor_id: id.clone(), after: None };
    let services: Page<Service> = client.read(Operation::ServiceList, request).await?;
    Ok((doctor, services.items))
}

fn line(client: &Client, slot: &DoctorSlot, offer: Option<&Offer>) -> Result<String, Failure> {
    let zone = times::zone(&slot.time_zone)?;
    let service = offer.and_then(|(_, services)| services.iter().find(|service| service.id == slot.service_id));
    let service = service.map(|service| format!(" · {}, {} min", plain(&service.name), service.duration_minutes));
    let busy = if slot.slot.conflict { " · you are elsewhere" } else { "" };
    Ok(format!(
        "{} {}  {}{}{busy}",
        client.output.paint(Paint::Strong, &times::minute(&slot.slot.start, &zone)),
        plain(slot.time_zone.as_str()),
        offer.map(|(doctor, _)| plain(&doctor.name)).unwrap_or_default(),
        service.unwrap_or_default(),
    ))
}
