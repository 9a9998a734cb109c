//! What can go wrong between a client and a server, and what to do about it.

use std::fmt;

use cita_protocol::{ErrorCode, Problem};

use crate::retry::Verdict;

/// Why a call or a connection failed. Cheap to clone, since the end of a connection is told to all who wait on it.
#[derive(Clone, Debug)]
pub enum ClientError {
    /// The address of the server cannot be used.
    Address(String),
    /// No server answered there.
    Unreachable { url: String, reason: String },
    /// The server answered the handshake with an HTTP error.
    Refused { status: u16, problem: Option<Box<Problem>> },
    /// An `error` reply.
    Problem(Box<Problem>),
    /// The connection ended; without a code when no close frame came.
    Closed { code: Option<u16>, reason: String },
    /// The caller did not read its events; the connection was given up so that it can resume.
    Overflow,
    /// No reply in time. A mutation may have been applied all the same.
    Timeout { operation: String },
    /// The other side does not speak `cita.v1`.
    Protocol(String),
}

impl ClientError {
    /// A connection that ended without a close frame.
    pub(crate) fn lost(reason: impl fmt::Display) -> Self {
        Self::Closed { code: None, reason: reason.to_string() }
    }

    /// The problem that the server sent, if it sent one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Refused { problem, .. } => problem.as_deref(),
            Self::Address(_)
            | Self::Unreachable { .. }
            | Self::Closed { .. }
            | Self::Overflow
            | Self::Timeout { .. }
            | Self::Protocol(_) => None,
        }
    }

    /// The code of the problem that the server sent, if it sent one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().map(|problem| problem.code)
    }

    /// What a client that wants to go on should do.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Problem(problem) => Verdict::of_problem(problem),
            Self::Refused { problem: Some(problem), .. } => Verdict::of_problem(problem),
            Self::Refused { status, problem: None } => Verdict::of_status(*status),
            Self::Closed { code, .. } => Verdict::of_close_code(*code),
            Self::Unreachable { .. } | Self::Overflow | Self::Timeout { .. } => Verdict::Resume,
            Self::Address(_) | Self::Protocol(_) => Verdict::Stop,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) | Self::Protocol(text) => f.write_str(text),
            Self::Unreachable { url, reason } => {
                write!(f, "no connection to {url}: {reason}")
            }
            Self::Refused { status, problem: None } => {
                write!(f, "the server refused the connection with HTTP {status}")
            }
            Self::Refused { problem: Some(problem), .. } | Self::Problem(problem) => {
                write!(f, "{} ({})", problem.title, problem.code.as_str())?;
                match &problem.detail {
                    Some(detail) => write!(f, " {detail}"),
                    None => Ok(()),
                }
            }
            Self::Closed { code: Some(code), reason } => write!(f, "the server closed the connection: {code} {reason}"),
            Self::Closed { code: None, reason } => write!(f, "connection lost: {reason}"),
            Self::Overflow => f.write_str("connection given up: its events were not read"),
            Self::Timeout { operation } => write!(f, "no answer to {operation} in time"),
        }
    }
}

impl std::error::Error for ClientError {}
