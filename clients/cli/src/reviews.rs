//! Commands on reviews: read those of a doctor, write one of a visit.

use cita_protocol::appointment::{Appointment, AppointmentGetRequest};
use cita_protocol::review::{Review, ReviewCreateRequest, ReviewListRequest};
use cita_protocol::{Operation, Page};

use crate::client::Client;
use crate::directory::{PAGE_SIZE, find_doctor};
use crate::failure::Failure;
use crate::output::{Output, Paint, plain};

pub async fn list(client: &mut Client, doctor: &str) -> Result<(), Failure> {
    let doctor = find_doctor(client, doctor).await?;
    let mut request =
        ReviewListRequest { doctor_id: doctor.id, page_size: Some(PAGE_SIZE), page_token: None, after: None };
    let mut reviews = Vec::new();
    loop {
        let page: Page<Review> = client.read(Operation::ReviewList, &request).await?;
        reviews.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_none() {
            break;
        }
    }
    client.close().await;
    client.output.line(client.output.paint(Paint::Strong, &plain(&doctor.name)));
    for review in &reviews {
        show(client.output, review);
    }
    if reviews.is_empty() {
        client.output.line("  has no reviews yet");
    }
    Ok(())
}

pub async fn write(
    client: &mut Client,
    appointment: &str,
    rating: u32,
    text: Option<String>,
    key: Option<String>,
) -> Result<(), Failure> {
    let request = AppointmentGetRequest { id: appointment.into(), after: None };
    let visit: Appointment = client.read(Operation::AppointmentGet, request).await?;
    let request = ReviewCreateRequest { doctor_id: visit.doctor_id, appointment_id: visit.id, rating, text };
    let review: Review = client.mutate(Operation::ReviewCreate, &request, key).await?;
    client.close().await;
    show(client.output, &review);
    Ok(())
}

fn show(output: Output, review: &Review) {
    output.object(review);
    let mine = if review.mine == Some(true) { " · yours" } else { "" };
    output.line(format!(
        "{}  {} · {}{mine}",
        output.paint(Paint::Notice, &stars(review.rating)),
        review.created_on,
        review.id
    ));
    let words =
        |text: &str, before: &str| text.lines().for_each(|line| output.line(format!("  {before}{}", plain(line))));
    words(review.text.as_deref().unwrap_or_default(), "");
    if let Some(reply) = &review.reply {
        words(&reply.text, "↳ ");
    }
}

fn stars(rating: u32) -> String {
    (1..=5).map(|star| if star <= rating { '★' } else { '☆' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_five_stars_of_which_some_are_full() {
        assert_eq!([1, 4, 5].map(stars), ["★☆☆☆☆", "★★★★☆", "★★★★★"]);
    }
}
