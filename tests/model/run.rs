//! Runs a script against the server and the model, and compares after every step.

use std::fmt;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::asked::Asked;
use super::judge::Answer;
use super::state::{Appointment, Model};
use super::step::Step;
use super::world::{World, now};
use crate::harness::Patience;
use crate::harness::clinic::key;

/// After so many steps everybody asks anew.
const FRESH_EVERY: usize = 25;
/// A hold that ends sooner than this is waited for: what is done meanwhile could meet it either way.
const TOO_SOON: SignedDuration = SignedDuration::from_secs(3);
/// Holds that end so soon after each other may be ended in any order.
const TOGETHER: SignedDuration = SignedDuration::from_millis(1_500);
/// Most of them of which every order is tried.
const MOST_ORDERED: usize = 5;
/// How often it is looked whether more has been told.
const MOST_LOOKS: usize = 60;

/// How a script shows that server and model differ.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Place of the step.
    pub at: usize,
    pub what: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: usize,
    pub requests: usize,
    pub done: usize,
    /// What was given up and offered to somebody.
    pub offers: usize,
    /// Seats in sessions of which another was taken, too.
    pub shared: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, requests, done, offers, shared } = self;
        write!(f, "{steps} steps, {requests} requests, {done} of them done, {offers} offers, {shared} shared seats")
    }
}

struct Run {
    world: World,
    model: Model,
    /// Changes that were asked for.
    log: Vec<Asked>,
    tally: Tally,
}

/// Runs a script on databases of its own. A panic on the way is a failure too.
///
/// # Errors
/// Where server and model differ.
pub async fn run(steps: &[Step], hold_seconds: u32) -> Result<Tally, Failure> {
    let (steps, last) = (steps.to_vec(), steps.len().saturating_sub(1));
    let running = tokio::spawn(async move {
        let (world, model) = World::open(hold_seconds).await;
        let mut run = Run { world, model, log: Vec::new(), tally: Tally::default() };
        for (at, step) in steps.iter().enumerate() {
            let fail = |what| Failure { at, what };
            run.await_holds(TOO_SOON).await.map_err(fail)?;
            run.step(step).await.map_err(fail)?;
            run.world.watch_services(&run.model).await;
            run.tally.steps += 1;
            if at % FRESH_EVERY == FRESH_EVERY - 1 || at == last {
                run.world.compare_fresh(&run.model).await.map_err(fail)?;
            }
        }
        let is_offer = |one: &&Appointment| one.history.iter().any(|entry| entry.action == "offered");
        run.tally.offers = run.model.appointments.iter().filter(is_offer).count();
        let all = &run.model.appointments;
        let is_shared = |one: &&Appointment| all.iter().filter(|other| one.shares(other)).count() > 1;
        run.tally.shared = all.iter().filter(is_shared).count();
        Ok(run.tally)
    });
    match running.await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let what = panic.into_panic();
            let text = what.downcast_ref::<String>().cloned();
            let text = text.or_else(|| what.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Failure { at: last, what: text.unwrap_or_else(|| "a panic".to_owned()) })
        }
    }
}

impl Run {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Do(act) => match self.model.asks(act, key()) {
                Some(asked) => self.ask(asked).await,
                None => Ok(()),
            },
            Step::AtOnce(acts) => {
                let asked = acts.iter().filter_map(|act| self.model.asks(act, key())).collect();
                self.ask_at_once(asked).await
            }
            Step::Twice(act) => match self.model.asks(act, key()) {
                Some(asked) => {
                    let other = Asked { node: 1 - asked.node, rest: !asked.rest, ..asked.clone() };
                    self.ask_at_once(vec![asked, other]).await
                }
                None => Ok(()),
            },
            Step::Again { back, node, rest, altered } => {
                let Some(last) = self.log.len().checked_sub(1) else { return Ok(()) };
                let mut asked = self.log[last - back % self.log.len()].clone();
                (asked.node, asked.rest) = (node % 2, *rest);
                if *altered && let Some(other) = self.model.altered(&asked) {
                    asked = other;
                }
                self.ask(asked).await
            }
            Step::Leave { watch } => {
                self.world.leave(*watch);
                Ok(())
            }
            Step::ComeBack { watch } => self.world.come_back(*watch, &self.model).await,
            Step::RunOut => {
                self.await_holds(SignedDuration::MAX).await?;
                self.world.compare(&self.model)?;
                self.world.compare_streams(&self.model).await
            }
        }
    }

    /// One request, with nothing else under way.
    async fn ask(&mut self, asked: Asked) -> Result<(), String> {
        let at = now();
        let (answer, cursor) = self.world.ask(&asked).await;
        self.count(std::slice::from_ref(&asked), std::slice::from_ref(&answer));
        let told = |error: String| format!("{error}\n{}", in_words(&asked, &answer));
        self.model.take(&asked, &answer, at, true).map_err(told)?;
        self.world.settle(cursor, &self.model).await;
        self.world.tell_offers(&mut self.model);
        if asked.deed.is_read() || answer.is_err() {
            // What it pushed all the same is seen after the next step.
            return Ok(());
        }
        self.world.compare(&self.model).map_err(told)?;
        self.world.compare_streams(&self.model).await.map_err(told)
    }

    /// Several requests at the same time: they must have come one after the other in some order, and what everybody sees is what
    /// that leads to.
    async fn ask_at_once(&mut self, asked: Vec<Asked>) -> Result<(), String> {
        let at = now();
        let answered: Vec<(Answer, Option<String>)> = join_all(asked.iter().map(|asked| self.world.ask(asked))).await;
        let (answers, cursors): (Vec<Answer>, Vec<Option<String>>) = answered.into_iter().unzip();
        self.count(&asked, &answers);
        self.world.settle(cursors.into_iter().flatten().max(), &self.model).await;
        let all: Vec<(Asked, Answer)> = asked.into_iter().zip(answers).collect();
        let mut patience = MOST_LOOKS;
        loop {
            let best = (0, "nothing was asked".to_owned());
            let mut search = Search { world: &self.world, before: &self.model, at, best };
            if let Some(model) = search.orders(&self.model, &all, &mut Vec::new()) {
                self.model = Model { at_once: false, given_up: Vec::new(), ..model };
                return self.world.compare_streams(&self.model).await;
            }
            if patience == 0 || search.best.0 < all.len() {
                let told: Vec<String> = all.iter().map(|(asked, answer)| in_words(asked, answer)).collect();
                let (why, told) = (search.best.1, told.join("\n"));
                return Err(format!("no order explains what was answered and is seen: {why}\n{told}"));
            }
            self.look_again(&mut patience).await;
        }
    }

    fn count(&mut self, asked: &[Asked], answers: &[Answer]) {
        self.tally.requests += asked.len();
        self.tally.done += answers.iter().filter(|answer| answer.is_ok()).count();
        self.log.extend(asked.iter().filter(|asked| asked.who.is_some() && !asked.deed.is_read()).cloned());
    }

    /// Waits until those holds have run out that end within some time, and those that are offered to somebody then.
    async fn await_holds(&mut self, within: SignedDuration) -> Result<(), String> {
        loop {
            let soon = now().saturating_add(within).unwrap_or(Timestamp::MAX);
            let holds = self.model.appointments.iter().enumerate();
            let mut ending: Vec<(Timestamp, usize)> =
                holds.filter_map(|(place, one)| Some((one.end_of_hold()?, place))).collect();
            ending.sort();
            let Some((first, _)) = ending.first().copied().filter(|(first, _)| *first <= soon) else { return Ok(()) };
            let together = first.saturating_add(TOGETHER).unwrap_or(Timestamp::MAX);
            let mut group: Vec<usize> = Vec::new();
            let mut later = ending.into_iter().peekable();
            while let Some((_, place)) = later.next_if(|(end, _)| *end <= together) {
                group.push(place);
            }
            let mut patience = MOST_LOOKS;
            self.model = loop {
                let names = self.model.holds(&group);
                let cursor = self.world.run_out(&names).await;
                self.world.settle(cursor, &self.model).await;
                let mut why = String::new();
                if let Some(model) = self.expired(&self.model, &group, &mut Vec::new(), &mut why) {
                    break model;
                }
                let at = now();
                match later.next_if(|(end, _)| *end <= at) {
                    Some((_, place)) => group.push(place),
                    None if patience == 0 => return Err(format!("holds have run out, and {why}")),
                    None => self.look_again(&mut patience).await,
                }
            };
        }
    }

    /// The order in which holds have run out, since those who wait for one may be offered another.
    fn expired(&self, model: &Model, group: &[usize], done: &mut Vec<usize>, why: &mut String) -> Option<Model> {
        if done.len() == group.len() {
            let mut model = model.clone();
            self.world.tell_offers(&mut model);
            return match self.world.compare(&model) {
                Ok(()) => Some(model),
                Err(error) => {
                    *why = error;
                    None
                }
            };
        }
        for place in group {
            if done.contains(place) {
                continue;
            }
            let mut next = model.clone();
            next.run_out(*place, now());
            done.push(*place);
            let found = self.expired(&next, group, done, why);
            done.pop();
            // Of many, not every order is tried.
            if found.is_some() || group.len() > MOST_ORDERED {
                return found;
            }
        }
        None
    }

    /// What is offered a moment after a change is told after its reply.
    async fn look_again(&mut self, patience: &mut usize) {
        *patience -= 1;
        Patience::default().rest().await;
        self.world.take_in();
    }
}

/// Looks for the order in which requests have come.
struct Search<'a> {
    world: &'a World,
    /// What there was when all of them were asked.
    before: &'a Model,
    at: Timestamp,
    /// How far the best order went, and why no further.
    best: (usize, String),
}

impl Search<'_> {
    fn orders(&mut self, model: &Model, all: &[(Asked, Answer)], taken: &mut Vec<usize>) -> Option<Model> {
        if taken.len() == all.len() {
            let mut told = model.clone();
            self.world.tell_offers(&mut told);
            return match self.world.compare(&told) {
                Ok(()) => Some(told),
                Err(error) => {
                    self.went(taken.len() + 1, error);
                    self.with_a_late_offer(model, all, taken)
                }
            };
        }
        for place in 0..all.len() {
            if taken.contains(&place) {
                continue;
            }
            let mut next = model.clone();
            let (asked, answer) = &all[place];
            let judged = match next.take(asked, answer, self.at, false) {
                // A place that has just been given up may still count where it is asked for: nothing is done wrongly then.
                Err(_) if self.before.has_reached(asked, answer) => {
                    next = model.clone();
                    Ok(())
                }
                judged => judged,
            };
            match judged {
                Ok(()) => {
                    taken.push(place);
                    let found = self.orders(&next, all, taken);
                    taken.pop();
                    if found.is_some() {
                        return found;
                    }
                }
                Err(error) => self.went(taken.len(), format!("request {place} after {taken:?}: {error}")),
            }
        }
        self.with_a_late_offer(model, all, taken)
    }

    /// The same where somebody who gave up time looks once more, and finds who waits for it by now.
    fn with_a_late_offer(&mut self, model: &Model, all: &[(Asked, Answer)], taken: &mut Vec<usize>) -> Option<Model> {
        for place in 0..model.given_up.len() {
            let mut next = model.clone();
            let given_up = next.given_up.remove(place);
            if next.offer_what_is_left(&given_up, self.at)
                && let Some(found) = self.orders(&next, all, taken)
            {
                return Some(found);
            }
        }
        None
    }

    fn went(&mut self, far: usize, why: String) {
        if far >= self.best.0 {
            self.best = (far, why);
        }
    }
}

fn in_words(asked: &Asked, answer: &Answer) -> String {
    let answer = match answer {
        Ok(data) => data.to_string(),
        Err(problem) => format!("{} {:?}", problem.code.as_str(), problem.rule),
    };
    let door = if asked.rest { "REST" } else { "the WebSocket" };
    format!("{:?} asked {} {} through {door} of node {}: {answer}", asked.who, asked.op, asked.data, asked.node)
}
