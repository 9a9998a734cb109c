//! Runs a script against the server and the model, and compares after every step.

use std::fmt;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::asked::Asked;
use super::judge::Answer;
use super::state::Model;
use super::step::Step;
use super::world::{World, now};
use crate::harness::clinic::key;

/// After so many steps everybody asks anew.
const FRESH_EVERY: usize = 25;
/// A hold that ends sooner than this is waited for: what is done meanwhile could meet it either way.
const TOO_SOON: SignedDuration = SignedDuration::from_secs(3);

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
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps, {} requests, {} of them done and not refused", self.steps, self.requests, self.done)
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
            run.await_holds(TOO_SOON).await;
            run.step(step).await.map_err(fail)?;
            run.tally.steps += 1;
            if at % FRESH_EVERY == FRESH_EVERY - 1 || at == last {
                run.world.compare_fresh(&run.model).await.map_err(fail)?;
            }
        }
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
                    let other = Asked { node: 1 - asked.node, ..asked.clone() };
                    self.ask_at_once(vec![asked, other]).await
                }
                None => Ok(()),
            },
            Step::Again { back, node, altered } => {
                let Some(last) = self.log.len().checked_sub(1) else { return Ok(()) };
                let mut asked = self.log[last - back % self.log.len()].clone();
                asked.node = node % 2;
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
                self.await_holds(SignedDuration::MAX).await;
                self.world.compare(&self.model)
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
        if asked.deed.is_read() || answer.is_err() {
            // What it pushed all the same is seen after the next step.
            return Ok(());
        }
        self.world.compare(&self.model).map_err(told)
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
        let mut search = Search { world: &self.world, at, best: (0, "nothing was asked".to_owned()) };
        match search.orders(&self.model, &all, &mut Vec::new()) {
            Some(model) => {
                self.model = model;
                Ok(())
            }
            None => {
                let told: Vec<String> = all.iter().map(|(asked, answer)| in_words(asked, answer)).collect();
                Err(format!("no order explains what was answered and is seen: {}\n{}", search.best.1, told.join("\n")))
            }
        }
    }

    fn count(&mut self, asked: &[Asked], answers: &[Answer]) {
        self.tally.requests += asked.len();
        self.tally.done += answers.iter().filter(|answer| answer.is_ok()).count();
        self.log.extend(asked.iter().filter(|asked| asked.who.is_some() && !asked.deed.is_read()).cloned());
    }

    /// Waits until those holds have run out that end within some time.
    async fn await_holds(&mut self, within: SignedDuration) {
        let soon = now().saturating_add(within).unwrap_or(Timestamp::MAX);
        let ends = |place: &usize| self.model.appointments[*place].expires_at.is_some_and(|end| end <= soon);
        let held = |place: &usize| self.model.appointments[*place].is_held();
        let ending: Vec<usize> = (0..self.model.appointments.len()).filter(held).filter(ends).collect();
        if ending.is_empty() {
            return;
        }
        let name = |place: &usize| {
            let one = &self.model.appointments[*place];
            (one.holder.expect("a hold has a holder"), one.id.clone())
        };
        let cursor = self.world.run_out(&ending.iter().map(name).collect::<Vec<_>>()).await;
        for place in ending {
            let one = &mut self.model.appointments[place];
            let holder = one.holder.expect("a hold has a holder");
            one.let_go("expired");
            one.revise("expired", holder, None);
            self.model.draw(place);
        }
        self.world.settle(cursor, &self.model).await;
    }
}

/// Looks for the order in which requests have come.
struct Search<'a> {
    world: &'a World,
    at: Timestamp,
    /// How far the best order went, and why no further.
    best: (usize, String),
}

impl Search<'_> {
    fn orders(&mut self, model: &Model, all: &[(Asked, Answer)], taken: &mut Vec<usize>) -> Option<Model> {
        if taken.len() == all.len() {
            return match self.world.compare(model) {
                Ok(()) => Some(model.clone()),
                Err(error) => {
                    self.went(taken.len() + 1, error);
                    None
                }
            };
        }
        for place in 0..all.len() {
            if taken.contains(&place) {
                continue;
            }
            let mut next = model.clone();
            match next.take(&all[place].0, &all[place].1, self.at, false) {
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
    format!("{:?} asked {} {} at node {}: {answer}", asked.who, asked.op, asked.data, asked.node)
}
