//! How a command fails: what is printed, and the exit code.

use std::fmt;

use cita_cli::{ClientError, Verdict};
use cita_protocol::{ErrorCode, Problem};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::output::{Output, plain};
use crate::{screen, series};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    cause: Cause,
    /// What to do next.
    hint: Option<String>,
    /// In which zone to show alternatives.
    zone: Option<TimeZone>,
}

#[derive(Debug)]
enum Cause {
    /// The command cannot mean anything.
    Usage(String),
    /// Something of this machine, or an answer that holds nothing to work with.
    Local(String),
    /// Nobody is logged in here any more.
    LoggedOut(String),
    Client(ClientError),
}

impl Failure {
    pub fn usage(text: impl Into<String>) -> Self {
        Cause::Usage(text.into()).into()
    }

    pub fn local(text: impl Into<String>) -> Self {
        Cause::Local(text.into()).into()
    }

    pub fn logged_out(text: impl Into<String>) -> Self {
        Cause::LoggedOut(text.into()).into()
    }

    /// `text` may mean several things, each on a line of its own.
    pub fn ambiguous(text: &str, candidates: &[String]) -> Self {
        Self::usage(format!("`{text}` fits several:{}", candidates.concat()))
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn in_zone(mut self, zone: &TimeZone) -> Self {
        self.zone = Some(zone.clone());
        self
    }

    pub fn is_logged_out(&self) -> bool {
        matches!(self.cause, Cause::LoggedOut(_))
    }

    /// The code of the problem that the server sent, if it sent one.
    pub fn code(&self) -> Option<ErrorCode> {
        self.client()?.code()
    }

    pub fn problem(&self) -> Option<&Problem> {
        self.client()?.problem()
    }

    /// What a command that wants to go on should do.
    pub fn verdict(&self) -> Verdict {
        self.client().map_or(Verdict::Stop, ClientError::verdict)
    }

    fn client(&self) -> Option<&ClientError> {
        match &self.cause {
            Cause::Client(error) => Some(error),
            Cause::Usage(_) | Cause::Local(_) | Cause::LoggedOut(_) => None,
        }
    }

    /// 1 refused, 2 usage, 3 no connection.
    pub fn exit_code(&self) -> i32 {
        match &self.cause {
            Cause::Usage(_) | Cause::Client(ClientError::Address(_)) => 2,
            Cause::Local(_) | Cause::LoggedOut(_) | Cause::Client(ClientError::Problem(_)) => 1,
            // A handshake refused for good is an answer; one refused for now is no connection.
            Cause::Client(error) if error.problem().is_some_and(|p| !p.retryable) => 1,
            Cause::Client(_) => 3,
        }
    }

    /// Prints it on standard error.
    pub fn report(&self, output: Output) {
        let data = match self.problem() {
            Some(problem) => json!(problem),
            None => json!({"title": self.to_string()}),
        };
        let mut object = json!({"type": "error", "data": data, "exitCode": self.exit_code()});
        if let Some(hint) = &self.hint {
            object["hint"] = json!(hint);
        }
        output.error(&object, &self.lines());
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {self}")];
        if let Some(problem) = self.problem() {
            lines.extend(self.problem_lines(problem));
        }
        lines.extend(self.hint.clone());
        lines
    }

    fn problem_lines(&self, problem: &Problem) -> Vec<String> {
        let mut lines: Vec<_> = problem
            .errors
            .iter()
            .map(|field| format!("  {} {} ({})", field.pointer, field.detail, field.code))
            .map(|line| plain(&line))
            .collect();
        lines.extend(problem.rule.iter().map(|rule| format!("  rule: {}", plain(rule))));
        if let Some(wait) = problem.retry_after_ms {
            lines.push(format!("  try again in {} s", wait.div_ceil(1000)));
        }
        if !problem.occurrences.is_empty() {
            let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
            lines.extend(problem.occurrences.iter().map(|occurrence| series::against(occurrence, &zone)));
            // Each says what is free near itself.
            return lines;
        }
        let alternatives = problem.alternatives.as_deref().unwrap_or_default();
        if !alternatives.is_empty() {
            let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
            lines.push(format!("Free nearby ({}):", crate::times::zone_name(&zone)));
            lines.extend(screen::slots_by_day(alternatives, &zone));
        }
        lines
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, hint: None, zone: None }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Cause::Client(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Usage(text) | Cause::Local(text) | Cause::LoggedOut(text) => f.write_str(text),
            Cause::Client(error) => f.write_str(&plain(&error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use cita_protocol::slot::{Slot, SlotStatus};

    use super::*;

    fn taken() -> Failure {
        let mut problem = Problem::new(ErrorCode::SlotTaken);
        problem.alternatives = Some(vec![Slot {
            start: "2026-12-01T14:30:00Z".into(),
            end: "2026-12-01T15:00:00Z".into(),
            status: SlotStatus::Free,
            seats_left: None,
            conflict: false,
        }]);
        ClientError::Problem(Box::new(problem)).into()
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        let refused = |code| ClientError::Refused { status: 0, problem: Some(Box::new(Problem::new(code))) };
        for (failure, code) in [
            (Failure::usage(""), 2),
            (ClientError::Address(String::new()).into(), 2),
            (taken(), 1),
            (Failure::logged_out(""), 1),
            (refused(ErrorCode::Forbidden).into(), 1),
            (refused(ErrorCode::Unavailable).into(), 3),
            (ClientError::Overflow.into(), 3),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn alternatives_are_shown_in_local_time() {
        let lines = taken().in_zone(&TimeZone::get("America/Bogota").unwrap()).lines();
        assert_eq!(
            lines,
            [
                "error: This time has just been taken. (slot_taken)",
                "Free nearby (America/Bogota):",
                "Tue 2026-12-01",
                "  09:30",
            ]
        );
    }
}
