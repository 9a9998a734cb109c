//! What a script is made of: steps in words that can be read, written down and run again.
//!
//! Things are named by counting what there is, so that a script of which some steps were taken away still means something.

use serde::{Deserialize, Serialize};

/// Who acts: somebody by name, or whoever it is that the thing belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// Patients.
    Paula,
    Pedro,
    Pilar,
    /// Doctors.
    Daniela,
    Diego,
    /// At Daniela's desk.
    Rocio,
    /// The admin.
    Ana,
    /// Who has not logged in.
    Nobody,
    ItsPatient,
    ItsDoctor,
    ItsHolder,
}

/// For whom something is booked or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Whom {
    Unsaid,
    Named(Who),
    /// Somebody without an account.
    WalkIn,
}

/// A time of a doctor's service: a day of those that are used, and a local time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub doctor: usize,
    pub service: usize,
    pub day: usize,
    pub time: String,
}

/// One of the things that there are, counted from the newest: of those with which it can be done, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pick {
    Fit(usize),
    Any(usize),
}

/// Which revision a change says that it expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rev {
    Unsaid,
    Present,
    Stale,
}

/// When a time would suit whoever waits, beside the dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wished {
    Any,
    Early,
    Late,
    Weekdays,
    /// What no time could be.
    Nonsense,
}

/// What is to become of appointments where a doctor goes to another zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Keep {
    #[default]
    Unsaid,
    Instants,
    LocalTimes,
}

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Deed {
    Hold {
        at: Slot,
        whom: Whom,
    },
    Release {
        which: Pick,
        rev: Rev,
    },
    Book {
        at: Slot,
        whom: Whom,
        exception: bool,
        reason: bool,
    },
    /// Books the time of a hold, which is named or has to be found.
    BookHeld {
        which: Pick,
        named: bool,
        whom: Whom,
    },
    Reschedule {
        which: Pick,
        day: usize,
        time: String,
        rev: Rev,
        exception: bool,
    },
    Cancel {
        which: Pick,
        rev: Rev,
        reason: bool,
    },
    Decline {
        which: Pick,
        rev: Rev,
    },
    Approve {
        which: Pick,
        rev: Rev,
    },
    CheckIn {
        which: Pick,
        rev: Rev,
    },
    Complete {
        which: Pick,
        rev: Rev,
    },
    NoShow {
        which: Pick,
        rev: Rev,
    },
    Undo {
        which: Pick,
        rev: Rev,
    },
    SetNotes {
        which: Pick,
        rev: Rev,
        notes: String,
    },
    BookSeries {
        at: Slot,
        whom: Whom,
        rule: usize,
        only: Option<usize>,
    },
    MoveSeries {
        which: Pick,
        from_here: bool,
        day: usize,
        time: String,
    },
    CancelSeries {
        which: Pick,
        from_here: bool,
    },
    SetHours {
        doctor: usize,
        hours: usize,
        rev: Rev,
        /// Another zone, perhaps.
        #[serde(default)]
        zone: Option<usize>,
        #[serde(default)]
        keep: Keep,
    },
    UpdateService {
        doctor: usize,
        service: usize,
        change: usize,
        rev: Rev,
    },
    CreateService {
        doctor: usize,
        kind: usize,
    },
    ArchiveService {
        doctor: usize,
        service: usize,
        rev: Rev,
    },
    CreateResource {
        kind: usize,
    },
    UpdateResource {
        which: usize,
        change: usize,
        rev: Rev,
    },
    ArchiveResource {
        which: usize,
        rev: Rev,
    },
    TakeTimeOff {
        doctor: usize,
        day: usize,
        part: usize,
    },
    EndTimeOff {
        doctor: usize,
        which: usize,
        rev: Rev,
    },
    Review {
        which: Pick,
        rating: u32,
    },
    JoinWaitlist {
        doctor: usize,
        service: usize,
        /// The first day of those that are used, and how many come with it.
        day: usize,
        days: usize,
        wished: Wished,
        whom: Whom,
    },
    LeaveWaitlist {
        which: Pick,
        rev: Rev,
    },
    AcceptOffer {
        which: Pick,
        rev: Rev,
        reason: bool,
    },
    PassOffer {
        which: Pick,
        rev: Rev,
    },
    EditReview {
        which: usize,
        rating: u32,
        rev: Rev,
    },
    ReplyToReview {
        which: usize,
        text: String,
        rev: Rev,
    },
    ReportReview {
        which: usize,
    },
    HideReview {
        which: usize,
        rev: Rev,
    },
    RestoreReview {
        which: usize,
        rev: Rev,
    },
    Search {
        doctor: usize,
        service: usize,
        day: usize,
        days: i32,
    },
    /// Of several doctors and services; the numbers say which, of whose dates, and how many on a page.
    SearchDoctors {
        doctors: usize,
        services: usize,
        zone: usize,
        day: usize,
        days: i32,
        page: usize,
    },
    Explain {
        at: Slot,
    },
    Get {
        which: Pick,
    },
    List {
        doctor: Option<usize>,
    },
    ListWaitlist {
        doctor: Option<usize>,
    },
    History {
        which: Pick,
    },
    Preview {
        at: Slot,
        whom: Whom,
        rule: usize,
    },
    GetSeries {
        which: Pick,
    },
    ListOutside {
        doctor: usize,
    },
    ListTimeOff {
        doctor: usize,
    },
    ListReviews {
        doctor: usize,
    },
    GetDoctor {
        doctor: usize,
    },
    GetHours {
        doctor: usize,
    },
    ListServices {
        doctor: usize,
    },
    ListResources,
}

/// Somebody does something at one of the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    pub who: Who,
    pub node: usize,
    /// Through REST, not the WebSocket.
    #[serde(default)]
    pub rest: bool,
    pub deed: Deed,
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    Do(Act),
    /// All at the same time.
    AtOnce(Vec<Act>),
    /// The same request with the same key, at both nodes at the same time.
    Twice(Act),
    /// An earlier request once more with the same key, as it was or with another content.
    Again {
        back: usize,
        node: usize,
        #[serde(default)]
        rest: bool,
        altered: bool,
    },
    /// Somebody leaves a topic, to come back later.
    Leave {
        watch: usize,
    },
    /// Comes back at the other node, from where they left.
    ComeBack {
        watch: usize,
    },
    /// Waits until no hold is left.
    RunOut,
}

/// A script as text: a step on each line.
pub fn write(steps: &[Step]) -> String {
    let line = |step| serde_json::to_string(step).expect("a step is JSON");
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A script from its text.
pub fn read(text: &str) -> Vec<Step> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

impl Deed {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Search { .. }
                | Self::SearchDoctors { .. }
                | Self::Explain { .. }
                | Self::Get { .. }
                | Self::List { .. }
                | Self::ListWaitlist { .. }
                | Self::History { .. }
                | Self::Preview { .. }
                | Self::GetSeries { .. }
                | Self::ListOutside { .. }
                | Self::ListTimeOff { .. }
                | Self::ListReviews { .. }
                | Self::GetDoctor { .. }
                | Self::GetHours { .. }
                | Self::ListServices { .. }
                | Self::ListResources
        )
    }

    /// Whether it changes the rules by which others are judged: a node may judge what comes at the same time by the old ones.
    pub fn is_of_rules(&self) -> bool {
        matches!(
            self,
            Self::SetHours { .. }
                | Self::UpdateService { .. }
                | Self::CreateService { .. }
                | Self::ArchiveService { .. }
                | Self::ArchiveResource { .. }
                | Self::TakeTimeOff { .. }
                | Self::EndTimeOff { .. }
        )
    }
}
