//! A profile's way to its server: connects with its token, refreshes it, repeats mutations until they are answered.

use std::time::Duration;

use cita_cli::{Backoff, ClientError, Connection, Verdict};
use cita_protocol::auth::{AuthReply, RefreshRequest};
use cita_protocol::{ErrorCode, Operation, Outcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use uuid::Uuid;

use crate::credentials::{Session, Store};
use crate::failure::Failure;
use crate::output::Output;

/// How often a mutation is sent before its outcome is left to the person.
const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(4);

/// With which credentials a command connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// None.
    Anonymous,
    /// Those of the profile, if it is logged in.
    Known,
    /// Those of the profile, which must be logged in.
    User,
}

#[derive(Debug)]
pub struct Client {
    pub output: Output,
    pub server: String,
    pub profile: String,
    pub store: Store,
    access: Access,
    connection: Option<Connection>,
}

impl Client {
    pub fn new(url: &str, profile: &str, access: Access, output: Output) -> Result<Self, Failure> {
        cita_cli::address::websocket_url(url)?;
        Ok(Self {
            output,
            server: url.trim().trim_end_matches('/').to_owned(),
            profile: profile.to_owned(),
            store: Store::of_user()?,
            access,
            connection: None,
        })
    }

    /// The session of this profile, if it is logged in at this server.
    pub fn session(&self) -> Result<Option<Session>, Failure> {
        self.store.get(&self.profile, &self.server)
    }

    /// The same for what needs one.
    pub fn required_session(&self) -> Result<Session, Failure> {
        self.session()?.ok_or_else(|| self.not_logged_in())
    }

    /// A new connection, and the token that it was opened with.
    pub async fn open(&self) -> Result<(Connection, Option<String>), Failure> {
        match self.open_with_token().await {
            // What needs no log-in is not held up by one that has ended.
            Err(failure) if self.access == Access::Known && failure.is_logged_out() => {
                self.output.note("The log-in of this profile has ended; going on without it.");
                Ok((Connection::connect(&self.server, None).await?, None))
            }
            result => result,
        }
    }

    async fn open_with_token(&self) -> Result<(Connection, Option<String>), Failure> {
        let token = self.token().await?;
        match (Connection::connect(&self.server, token.as_deref()).await, token) {
            (Err(error), Some(token)) if error.verdict() == Verdict::NewToken => {
                let token = self.refresh(&token).await?.access_token;
                let connection = Connection::connect(&self.server, Some(&token)).await?;
                Ok((connection, Some(token)))
            }
            (result, token) => Ok((result?, token)),
        }
    }

    async fn token(&self) -> Result<Option<String>, Failure> {
        let session = match self.access {
            Access::Anonymous => None,
            Access::Known => self.session()?,
            Access::User => Some(self.required_session()?),
        };
        match session {
            Some(session) if session.is_over() => {
                let fresh = self.refresh(&session.access_token).await?;
                Ok(Some(fresh.access_token))
            }
            session => Ok(session.map(|session| session.access_token)),
        }
    }

    /// Replaces the token `rejected`, unless another command with this profile has done so already.
    pub async fn refresh(&self, rejected: &str) -> Result<Session, Failure> {
        let lock = self.store.lock().await?;
        let session = self.required_session()?;
        if session.access_token != rejected && !session.is_over() {
            return Ok(session);
        }
        let reply = self.refreshed(&session).await?;
        let mut fresh = Session::new(&self.profile, &self.server, reply);
        fresh.refresh_token = fresh.refresh_token.or(session.refresh_token);
        self.store.put(&lock, fresh.clone())?;
        Ok(fresh)
    }

    async fn refreshed(&self, session: &Session) -> Result<AuthReply, Failure> {
        let refresh_token = session.refresh_token.clone().ok_or_else(|| self.session_ended())?;
        let connection = Connection::connect(&self.server, None).await?;
        let request = RefreshRequest { refresh_token: Some(refresh_token), session: None };
        let result = connection.call(Operation::AuthRefresh, request, None).await;
        connection.close().await;
        result.map_err(|error| match error.code() {
            Some(ErrorCode::Unauthenticated | ErrorCode::TokenExpired | ErrorCode::SessionRevoked) => {
                self.session_ended()
            }
            _ => error.into(),
        })
    }

    fn session_ended(&self) -> Failure {
        Failure::logged_out("the session of this profile has ended").with_hint(self.login_hint())
    }

    fn not_logged_in(&self) -> Failure {
        Failure::logged_out(format!("profile `{}` is not logged in at {}", self.profile, self.server))
            .with_hint(self.login_hint())
    }

    fn login_hint(&self) -> String {
        match self.profile.as_str() {
            "default" => "Log in: cita-cli login EMAIL".to_owned(),
            profile => format!("Log in: cita-cli --profile {profile} login EMAIL"),
        }
    }

    /// The connection of this command, opened when it is first needed and after it was lost.
    async fn connected(&mut self) -> Result<&Connection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) if connection.end().is_none() => connection,
            _ => self.open().await?.0,
        };
        Ok(self.connection.insert(connection))
    }

    /// Asks once.
    pub async fn read<T: DeserializeOwned>(
        &mut self,
        operation: Operation,
        data: impl Serialize,
    ) -> Result<T, Failure> {
        Ok(self.connected().await?.call(operation, data, None).await?)
    }

    /// Sends a mutation until its outcome is known, always with the same key, so that it happens once.
    pub async fn mutate<T: DeserializeOwned>(
        &mut self,
        operation: Operation,
        data: &impl Serialize,
        key: Option<String>,
    ) -> Result<T, Failure> {
        let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut unknown = false;
        for _ in 1..ATTEMPTS {
            match self.attempt(operation, data, &key, &mut unknown).await {
                Err(failure) if failure.verdict() != Verdict::Stop => {
                    let recovered = self.recover(&failure, &mut backoff).await;
                    recovered.map_err(|failure| unanswered(failure, unknown, &key))?;
                }
                result => return result.map_err(|failure| unanswered(failure, unknown, &key)),
            }
        }
        let last = self.attempt(operation, data, &key, &mut unknown).await;
        last.map_err(|failure| unanswered(failure, unknown, &key))
    }

    async fn attempt<T: DeserializeOwned>(
        &mut self,
        operation: Operation,
        data: &impl Serialize,
        key: &str,
        unknown: &mut bool,
    ) -> Result<T, Failure> {
        let connection = self.connected().await?;
        let result = connection.call(operation, data, Some(key.to_owned())).await;
        if let Err(error) = &result {
            *unknown = leaves_unknown(error, *unknown);
            if !matches!(error, ClientError::Problem(_)) {
                self.connection = None;
            }
        }
        Ok(result?)
    }

    /// Waits, with a new token if that is what is missing.
    async fn recover(&mut self, failure: &Failure, backoff: &mut Backoff) -> Result<(), Failure> {
        if failure.verdict() == Verdict::NewToken {
            let rejected = self.required_session()?.access_token;
            self.refresh(&rejected).await?;
            self.connection = None;
        }
        let asked = failure.problem().and_then(|problem| problem.retry_after_ms);
        let delay = backoff.next_delay().max(Duration::from_millis(asked.unwrap_or(0)));
        self.output.note(format!("{failure}\nTrying again in {:.1} s with the same key.", delay.as_secs_f64()));
        sleep(delay).await;
        Ok(())
    }

    /// Closes in good order.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }
}

/// Whether a mutation may have been applied, after an attempt that failed with `error`.
fn leaves_unknown(error: &ClientError, before: bool) -> bool {
    match error {
        ClientError::Problem(problem) => match problem.outcome {
            Some(Outcome::Unknown) => true,
            Some(Outcome::NotApplied) => before,
            // A definite refusal of the same key settles earlier attempts too; one for now or for want of a token
            // says nothing of them.
            None => before && error.verdict() != Verdict::Stop,
        },
        _ => true,
    }
}

fn unanswered(failure: Failure, unknown: bool, key: &str) -> Failure {
    if unknown {
        failure
            .with_hint(format!("It may have been done all the same. To learn it, repeat the command with --key {key}"))
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use cita_protocol::Problem;

    use super::*;

    fn problem(code: ErrorCode, outcome: Option<Outcome>) -> ClientError {
        let mut problem = Problem::new(code);
        problem.outcome = outcome;
        ClientError::Problem(Box::new(problem))
    }

    #[test]
    fn only_a_definite_answer_settles_a_mutation() {
        let unavailable = |outcome| problem(ErrorCode::Unavailable, Some(outcome));
        for (error, before, after) in [
            (ClientError::Overflow, false, true),
            (unavailable(Outcome::Unknown), false, true),
            (unavailable(Outcome::NotApplied), false, false),
            (unavailable(Outcome::NotApplied), true, true),
            (problem(ErrorCode::RateLimited, None), true, true),
            (problem(ErrorCode::TokenExpired, None), true, true),
            (problem(ErrorCode::SlotTaken, None), true, false),
        ] {
            assert_eq!(leaves_unknown(&error, before), after, "{error}");
        }
    }
}
