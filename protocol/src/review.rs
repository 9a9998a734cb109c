//! Reviews of visits: what patients say of a doctor, what the doctor answers, and what is kept from the public.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, Id, Instant, LocalDate};

/// What a doctor answers in public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewReply {
    pub text: String,
    pub at: Instant,
}

/// A review. It says nothing of who wrote it, and nothing of the visit; only days of the doctor's calendar, no instants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    pub id: Id,
    pub rev: u32,
    pub doctor_id: Id,
    /// 1 to 5, the best.
    pub rating: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReviewReply>,
    /// The day on which it was written.
    pub created_on: LocalDate,
    /// The day on which its author last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_on: Option<LocalDate>,
    /// `true`: the caller wrote it. Not told in live topics, which say the same to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<bool>,
    /// Why an admin has hidden it, and that it is hidden; told to its author and to admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_reason: Option<String>,
}

/// `review.list`: the published reviews of a doctor, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewListRequest {
    pub doctor_id: Id,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `review.create`: one for each visit that took place, by its patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewCreateRequest {
    /// The doctor of the visit.
    pub doctor_id: Id,
    /// The visit: a `fulfilled` appointment of the caller with this doctor.
    pub appointment_id: Id,
    /// 1 to 5.
    pub rating: u32,
    /// At most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `review.update`: by its author, for 30 days. Fields that are absent stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewUpdateRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u32>,
    /// At most 2,000 characters; an empty one takes the text away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `review.reply`: what the doctor answers, in the place of what was answered before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewReplyRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// At most 1,000 characters; an empty one takes the reply away.
    pub text: String,
}

/// `review.report`: asks the admins to look at a review. One report for each user: the next one takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewReportRequest {
    pub id: Id,
    /// 1 to 500 characters.
    pub reason: String,
}

/// Whether a review is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReviewStatus {
    Published,
    Hidden,
}

/// What somebody has against a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewReport {
    /// The user who reported it.
    pub by: Id,
    pub reason: String,
    pub at: Instant,
}

/// A review, as admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModeratedReview {
    #[serde(flatten)]
    pub review: Review,
    pub status: ReviewStatus,
    /// The latest 20 since somebody last decided on it, the oldest first.
    pub reports: Vec<ReviewReport>,
    /// What became of it, the oldest first: the first and the latest, 20 at most.
    pub history: Vec<ReviewEvent>,
}

/// A change in the history of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewEvent {
    /// The revision that it led to.
    pub rev: u32,
    pub at: Instant,
    /// `written`, `edited`, `replied`, `hidden` or `restored`.
    pub action: String,
    /// Who did it, where it was an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Id>,
    /// Why it was hidden or restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `admin.listReviews`: reviews of every status, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListReviewsRequest {
    /// `true`: only those with reports. `false`: only those without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ReviewStatus>,
    /// Only this doctor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_id: Option<Id>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `admin.hideReview` and `admin.restoreReview`: whether a review is shown, and counts. Either settles its reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModerateReviewRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// Why, 1 to 500 characters. Its author is told why it is hidden.
    pub reason: String,
}
