//! Reviews: from the wire to the service and back.

use cita_protocol::review::{
    ListReviewsRequest, ModerateReviewRequest, ReviewCreateRequest, ReviewListRequest, ReviewReplyRequest,
    ReviewReportRequest, ReviewStatus, ReviewUpdateRequest,
};
use uuid::Uuid;

use super::{Answer, Answered, Call, page};
use crate::domain::ids::{AppointmentId, ReviewId, UserId};
use crate::domain::review::{Edit, Review};
use crate::service::reviews::{Listing, Moderation, Write};
use crate::session::convert;
use crate::session::parse::Fields;

const TEXT: usize = 2_000;
const REPLY: usize = 1_000;
const REASON: usize = 500;

impl Call<'_> {
    pub(super) async fn review_list(&self) -> Answered {
        let input: ReviewListRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let limit = fields.page_size(input.page_size);
        let after = fields.page_token(input.page_token.as_ref(), review_token);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let listing = Listing { after, limit: limit + 1, ..Listing::default() };
        let found = self.services.reviews.list(self.viewer, doctor, listing).await?;
        Ok(page(found, limit, |review| convert::review_for(self.viewer, review), token_of))
    }

    pub(super) async fn review_create(&self) -> Answered {
        let input: ReviewCreateRequest = self.input()?;
        let mut fields = Fields::default();
        let write = Write {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            appointment: AppointmentId(fields.id("/appointmentId", &input.appointment_id)),
            rating: rating(&mut fields, input.rating),
            text: input.text.and_then(|text| words(&mut fields, &text, TEXT)),
        };
        fields.finish()?;
        let done = self.services.reviews.create(self.viewer, self.key()?, write).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, |review| convert::review_for(self.viewer, review)) })
    }

    pub(super) async fn review_update(&self) -> Answered {
        let input: ReviewUpdateRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ReviewId(fields.id("/id", &input.id));
        let edit = Edit {
            rating: input.rating.map(|given| rating(&mut fields, given)),
            text: input.text.map(|text| words(&mut fields, &text, TEXT)),
        };
        fields.finish()?;
        let done = self.services.reviews.update(self.viewer, self.key()?, id, input.rev, &edit).await?;
        Ok(self.done(&done, |review| convert::review_for(self.viewer, review)))
    }

    pub(super) async fn review_reply(&self) -> Answered {
        let input: ReviewReplyRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ReviewId(fields.id("/id", &input.id));
        let text = words(&mut fields, &input.text, REPLY);
        fields.finish()?;
        let done = self.services.reviews.reply(self.viewer, self.key()?, id, input.rev, text).await?;
        Ok(self.done(&done, |review| convert::review_for(self.viewer, review)))
    }

    pub(super) async fn review_report(&self) -> Answered {
        let input: ReviewReportRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ReviewId(fields.id("/id", &input.id));
        let reason = fields.text("/reason", &input.reason, 1, REASON);
        fields.finish()?;
        let done = self.services.reviews.report(self.viewer, self.key()?, id, reason).await?;
        Ok(self.done(&done, |review| convert::review_for(self.viewer, review)))
    }

    pub(super) async fn admin_list_reviews(&self) -> Answered {
        let input: ListReviewsRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let listing = Listing {
            doctor: input.doctor_id.map(|id| UserId(fields.id("/doctorId", &id))),
            published: input.status.map(|status| status == ReviewStatus::Published),
            reported: input.reported,
            after: fields.page_token(input.page_token.as_ref(), review_token),
            limit: limit + 1,
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.reviews.list_all(self.viewer, listing).await?;
        Ok(page(found, limit, |review| convert::moderated_review(self.viewer, review), token_of))
    }

    pub(super) async fn admin_moderate_review(&self, moderation: Moderation) -> Answered {
        let input: ModerateReviewRequest = self.input()?;
        let mut fields = Fields::default();
        let id = ReviewId(fields.id("/id", &input.id));
        let reason = fields.text("/reason", &input.reason, 1, REASON);
        fields.finish()?;
        let (peer, key) = (self.request.peer, self.key()?);
        let which = (id, input.rev);
        let done = self.services.reviews.moderate(self.viewer, peer, key, which, moderation, reason).await?;
        Ok(self.done(&done, |review| convert::moderated_review(self.viewer, review)))
    }
}

fn rating(fields: &mut Fields, rating: u32) -> u32 {
    if !(1..=5).contains(&rating) {
        fields.refuse("/rating", "out_of_range", "must be 1 to 5");
    }
    rating
}

/// Text at `/text` that may be left out: a blank one is none.
fn words(fields: &mut Fields, text: &str, most: usize) -> Option<String> {
    let text = fields.text("/text", text, 0, most);
    (!text.trim().is_empty()).then_some(text)
}

fn token_of(last: &Review) -> String {
    last.id.to_string()
}

fn review_token(token: &str) -> Option<ReviewId> {
    Uuid::try_parse(token).ok().map(ReviewId)
}
