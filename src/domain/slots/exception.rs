//! Exceptions from a service's rules, which the practice may make: the predicate's other half. What is taken stays taken, whoever asks.

use jiff::{SignedDuration, Timestamp};

use super::{Rule, check};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::tick::Tick;
use crate::domain::time_off::is_off;

/// How far back the practice may book: a visit of today that nobody had put down.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead, whatever the horizon: five years.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 366 * 5);

/// Whether an appointment may start at this instant by way of exception, and the rule that it sets aside, if any.
///
/// # Errors
/// What no exception is made from: a doctor who is not approved or away, an archived service, a start off the grid of ticks, more than a day past
/// or more than five years ahead.
pub fn except(
    doctor: &Doctor,
    service: &Service,
    start: Timestamp,
    now: Timestamp,
) -> Result<(Tick, Option<Rule>), Rule> {
    let rule = match check(doctor, service, start, now) {
        Ok(start) => return Ok((start, None)),
        Err(rule @ (Rule::NotApproved | Rule::Archived)) => return Err(rule),
        // Whatever else is in the way of it, and would be named first.
        Err(_) if is_off(doctor, &service.footprint(Tick::floor(start))) => return Err(Rule::TimeOff),
        Err(rule) => rule,
    };
    if start < now && now.duration_since(start) > BACK {
        return Err(Rule::Past);
    }
    if start > now && start.duration_since(now) > AHEAD {
        return Err(Rule::Horizon);
    }
    Ok((Tick::at(start).ok_or(Rule::Step)?, Some(rule)))
}
