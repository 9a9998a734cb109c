//! From the domain to the wire: reviews, without their authors and visits.

use cita_protocol::export::ExportedReport;
use cita_protocol::review::{
    ModeratedReview, Review as WireReview, ReviewEvent, ReviewReply, ReviewReport, ReviewStatus,
};
use cita_protocol::value::LocalDate;
use jiff::civil::Date;

use super::{id, instant};
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::ids::UserId;
use crate::domain::review::Review;

/// A review, as everybody sees it.
pub fn review(review: &Review) -> WireReview {
    WireReview {
        id: id(review.id.0),
        rev: review.rev,
        doctor_id: id(review.doctor_id.0),
        rating: review.rating,
        text: review.text.clone(),
        reply: review.reply.as_ref().map(|reply| ReviewReply { text: reply.text.clone(), at: instant(reply.at) }),
        created_on: date(review.created_on),
        edited_on: review.edited_on.map(date),
        mine: None,
        hidden_reason: None,
    }
}

/// A review with those parts that this viewer may see.
pub fn review_for(viewer: &Viewer, of: &Review) -> WireReview {
    let object = Object::between(of.doctor_id, of.patient_id);
    let sees_hidden = access::authorise(access::HIDDEN_REVIEW, viewer, object).is_ok();
    WireReview {
        mine: is_by(of, viewer.user()),
        hidden_reason: of.hidden.clone().filter(|_| sees_hidden),
        ..review(of)
    }
}

/// A review, as it is handed to somebody who wrote in it. Of one that is hidden, a doctor gets their reply, and not what the author
/// may have written since.
pub fn exported_review(person: UserId, of: &Review) -> WireReview {
    let mine = is_by(of, Some(person));
    let whole = WireReview { mine, hidden_reason: of.hidden.clone().filter(|_| mine.is_some()), ..review(of) };
    match mine {
        None if !of.is_published() => WireReview { text: None, edited_on: None, ..whole },
        _ => whole,
    }
}

/// What a person has reported of a review.
pub fn exported_report(person: UserId, of: &Review) -> Option<ExportedReport> {
    let report = of.reports.iter().find(|report| report.by == person)?;
    Some(ExportedReport { review_id: id(of.id.0), reason: report.reason.clone(), at: instant(report.at) })
}

/// A review, as admins see it.
pub fn moderated_review(viewer: &Viewer, of: &Review) -> ModeratedReview {
    let report = |report: &crate::domain::review::Report| ReviewReport {
        by: id(report.by.0),
        reason: report.reason.clone(),
        at: instant(report.at),
    };
    let event = |entry: &crate::domain::review::HistoryEntry| ReviewEvent {
        rev: entry.rev,
        at: instant(entry.at),
        action: entry.action.as_str().to_owned(),
        by: entry.action.is_moderation().then(|| id(entry.by.user.0)),
        reason: entry.reason.clone(),
    };
    ModeratedReview {
        review: review_for(viewer, of),
        status: if of.is_published() { ReviewStatus::Published } else { ReviewStatus::Hidden },
        reports: of.reports.iter().map(report).collect(),
        history: of.history.iter().map(event).collect(),
    }
}

fn is_by(review: &Review, user: Option<UserId>) -> Option<bool> {
    (user == Some(review.patient_id)).then_some(true)
}

fn date(date: Date) -> LocalDate {
    date.to_string().into()
}
