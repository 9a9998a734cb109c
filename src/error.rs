//! The one error of every operation: a refusal, a part that is away, or a defect.

use std::fmt;

use crate::domain::refusal::{Refusal, Violation};

/// Which of the two MongoDB clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClusterName {
    Users,
    Appointments,
}

impl ClusterName {
    /// Its name, as it stands in the log and in measurements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Appointments => "appointments",
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a mutation that could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    NotApplied,
    Unknown,
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A definite refusal; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// A cluster is away or too slow. `outcome` is given for mutations.
    #[error("the {cluster} cluster is unavailable")]
    Unavailable { cluster: ClusterName, outcome: Option<Outcome> },
    /// A defect: logged where it is answered, never shown.
    #[error("internal: {0}")]
    Internal(String),
}

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Refused(violation.into())
    }
}

impl Error {
    /// The same, with what is known of the mutation that it ended. A refusal or a defect stays what it is.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        match self {
            Self::Unavailable { cluster, .. } => Self::Unavailable { cluster, outcome: Some(outcome) },
            Self::Refused(_) | Self::Internal(_) => self,
        }
    }

    /// A read that could not be answered.
    #[must_use]
    pub fn unreadable(cluster: ClusterName) -> Self {
        Self::Unavailable { cluster, outcome: None }
    }
}
