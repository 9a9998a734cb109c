//! Documents of the reviews collection.

use jiff::civil::Date;
use mongodb::bson::{DateTime, Uuid};
use serde::{Deserialize, Serialize};

use super::{Remembered, Undecodable, int};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, ReviewId, SessionId, UserId};
use crate::domain::review::{Action, HistoryEntry, Reply, Report, Review};
use crate::store::value::{bson_id, bson_time, instant, uuid_of};

/// Status of what everybody sees.
pub(in crate::store) const PUBLISHED: &str = "published";
/// Status of what moderation keeps from the public.
pub(in crate::store) const HIDDEN: &str = "hidden";

/// A review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub doctor_id: Uuid,
    /// Hash of the doctor's id, 0 to 255.
    pub bucket: i32,
    pub rev: i32,
    pub status: String,
    pub patient_id: Uuid,
    pub appointment_id: Uuid,
    pub rating: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyDoc>,
    /// Why it is hidden; there while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_reason: Option<String>,
    /// Absent when there are none, so that a partial index holds those that somebody has to look at. Left out by the feed, as
    /// are `history` and `keys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<ReportDoc>,
    /// `2026-12-01`
    pub created_on: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_on: Option<String>,
    pub created_at: DateTime,
    pub updated_at: DateTime,
    #[serde(default)]
    pub history: Vec<ReviewHistoryDoc>,
    #[serde(default)]
    pub keys: Vec<Remembered>,
}

/// What the doctor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyDoc {
    pub text: String,
    pub at: DateTime,
}

/// What somebody has against a review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportDoc {
    pub by: Uuid,
    pub reason: String,
    pub at: DateTime,
}

/// An entry of a review's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReviewHistoryDoc {
    pub rev: i32,
    pub action: String,
    pub by: Uuid,
    pub session: Uuid,
    pub at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ReviewDoc {
    /// The document of a review.
    #[must_use]
    pub fn from_domain(review: &Review, keys: Vec<Remembered>) -> Self {
        Self {
            id: bson_id(review.id.0),
            doctor_id: bson_id(review.doctor_id.0),
            bucket: i32::from(review.doctor_id.bucket()),
            rev: int(review.rev),
            status: if review.is_published() { PUBLISHED } else { HIDDEN }.to_owned(),
            patient_id: bson_id(review.patient_id.0),
            appointment_id: bson_id(review.appointment_id.0),
            rating: int(review.rating),
            text: review.text.clone(),
            reply: review.reply.as_ref().map(|reply| ReplyDoc { text: reply.text.clone(), at: bson_time(reply.at) }),
            hidden_reason: review.hidden.clone(),
            reports: review.reports.iter().map(ReportDoc::from_domain).collect(),
            created_on: review.created_on.to_string(),
            edited_on: review.edited_on.map(|date| date.to_string()),
            created_at: bson_time(review.created_at),
            updated_at: bson_time(review.updated_at),
            history: review.history.iter().map(ReviewHistoryDoc::from_domain).collect(),
            keys,
        }
    }

    /// The review of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<Review, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        let date = |text: &String| text.parse::<Date>().map_err(|_| bad("a date"));
        let reply = |reply: &ReplyDoc| Some(Reply { text: reply.text.clone(), at: instant(reply.at).ok()? });
        let reports: Option<Vec<Report>> = self.reports.iter().map(ReportDoc::to_domain).collect();
        let history: Option<Vec<HistoryEntry>> = self.history.iter().map(ReviewHistoryDoc::to_domain).collect();
        Ok(Review {
            id: ReviewId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            doctor_id: UserId(uuid_of(self.doctor_id)),
            patient_id: UserId(uuid_of(self.patient_id)),
            appointment_id: AppointmentId(uuid_of(self.appointment_id)),
            rating: u32::try_from(self.rating).map_err(|_| bad("rating"))?,
            text: self.text.clone(),
            reply: self.reply.as_ref().map(|found| reply(found).ok_or_else(|| bad("reply"))).transpose()?,
            hidden: match (self.status.as_str(), &self.hidden_reason) {
                (PUBLISHED, None) => None,
                (HIDDEN, Some(reason)) => Some(reason.clone()),
                _ => return Err(bad("status")),
            },
            reports: reports.ok_or_else(|| bad("reports"))?,
            history: history.ok_or_else(|| bad("history"))?,
            created_on: date(&self.created_on)?,
            edited_on: self.edited_on.as_ref().map(date).transpose()?,
            created_at: instant(self.created_at).map_err(|_| bad("createdAt"))?,
            updated_at: instant(self.updated_at).map_err(|_| bad("updatedAt"))?,
        })
    }
}

impl ReportDoc {
    fn from_domain(report: &Report) -> Self {
        Self { by: bson_id(report.by.0), reason: report.reason.clone(), at: bson_time(report.at) }
    }

    fn to_domain(&self) -> Option<Report> {
        Some(Report { by: UserId(uuid_of(self.by)), reason: self.reason.clone(), at: instant(self.at).ok()? })
    }
}

impl ReviewHistoryDoc {
    fn from_domain(entry: &HistoryEntry) -> Self {
        Self {
            rev: int(entry.rev),
            action: entry.action.as_str().to_owned(),
            by: bson_id(entry.by.user.0),
            session: bson_id(entry.by.session.0),
            at: bson_time(entry.at),
            reason: entry.reason.clone(),
        }
    }

    fn to_domain(&self) -> Option<HistoryEntry> {
        Some(HistoryEntry {
            rev: u32::try_from(self.rev).ok()?,
            action: Action::named(&self.action)?,
            by: Actor { user: UserId(uuid_of(self.by)), session: SessionId(uuid_of(self.session)) },
            at: instant(self.at).ok()?,
            reason: self.reason.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::review::{HISTORY_LIMIT, REPORT_LIMIT};
    use crate::store::idempotency::Request;

    #[test]
    fn a_review_with_all_that_it_may_hold_fits_and_is_read_back() {
        let (user, at) = (UserId(uuid::Uuid::from_u128(9)), Timestamp::UNIX_EPOCH);
        let by = Actor { user, session: SessionId(uuid::Uuid::from_u128(8)) };
        let reason = "ñ".repeat(500);
        let entry = HistoryEntry { rev: 7, action: Action::Restored, by, at, reason: Some(reason.clone()) };
        let review = Review {
            id: ReviewId(uuid::Uuid::from_u128(1)),
            rev: 7,
            doctor_id: user,
            patient_id: user,
            appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
            rating: 5,
            text: Some("á".repeat(2_000)),
            reply: Some(Reply { text: "é".repeat(1_000), at }),
            hidden: Some(reason.clone()),
            reports: vec![Report { by: user, reason, at }; REPORT_LIMIT],
            history: vec![entry; HISTORY_LIMIT],
            created_on: "2026-12-01".parse().expect("a date"),
            edited_on: Some("2026-12-02".parse().expect("a date")),
            created_at: at,
            updated_at: at,
        };
        let operation = "admin.restoreReview";
        let request =
            Request { user, session: by.session, operation, key: uuid::Uuid::max(), fingerprint: [7; 32], at };
        let keys = (0..64).fold(Vec::new(), |keys, _| request.remember(&keys, None));
        let document = ReviewDoc::from_domain(&review, keys);
        let bytes = mongodb::bson::serialize_to_vec(&document).expect("a document");
        assert!(bytes.len() < 64 * 1024, "{} bytes", bytes.len());
        let read: ReviewDoc = mongodb::bson::deserialize_from_slice(&bytes).expect("the same");
        assert_eq!(read, document);
        assert_eq!(read.to_domain().expect("a review"), review);
    }
}
