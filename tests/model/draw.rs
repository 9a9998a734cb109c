//! Random scripts: the same seed draws the same script.

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::across::{PAGES, WHAT, WHERE, WHOSE};
use super::hours::{DAYS, HOURS, PARTS};
use super::rooms::MOST_ROOMS;
use super::series::RULES;
use super::services::{CHANGES, KINDS, MOST};
use super::step::{Act, Deed, Keep, Pick, Rev, Slot, Step, Who, Whom, Wished};
use super::zones::ZONES;

/// What a script is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One thing after the other.
    InTurn,
    /// Several things at the same time, again and again.
    AtOnce,
    /// Holds run out.
    ShortHolds,
}

/// Draws scripts.
pub struct Draw(TestRng);

type Kind = fn(&mut Draw) -> Deed;

/// What is drawn, and how often beside the others.
const DEEDS: &[(usize, Kind)] = &[
    (16, |draw| Deed::Hold { at: draw.slot(), whom: draw.whom(false) }),
    (5, |draw| Deed::Release { which: draw.pick(), rev: draw.rev() }),
    (26, |draw| Deed::Book {
        at: draw.slot(),
        whom: draw.whom(true),
        exception: draw.one_in(8),
        reason: draw.one_in(3),
    }),
    (10, |draw| Deed::BookHeld { which: draw.pick(), named: draw.one_in(2), whom: draw.whom(true) }),
    (16, |draw| {
        let (which, rev, exception, (day, time)) = (draw.pick(), draw.rev(), draw.one_in(8), draw.aim());
        Deed::Reschedule { which, day, time, rev, exception }
    }),
    (18, |draw| Deed::Cancel { which: draw.pick(), rev: draw.rev(), reason: draw.one_in(2) }),
    (4, |draw| Deed::Decline { which: draw.pick(), rev: draw.rev() }),
    (6, |draw| Deed::Approve { which: draw.pick(), rev: draw.rev() }),
    (6, |draw| Deed::CheckIn { which: draw.pick(), rev: draw.rev() }),
    (6, |draw| Deed::Complete { which: draw.pick(), rev: draw.rev() }),
    (2, |draw| Deed::NoShow { which: draw.pick(), rev: draw.rev() }),
    (4, |draw| Deed::Undo { which: draw.pick(), rev: draw.rev() }),
    (4, |draw| {
        let notes = ["", "Reposo", "Control en un mes"][draw.below(3)].to_owned();
        Deed::SetNotes { which: draw.pick(), rev: draw.rev(), notes }
    }),
    (6, |draw| {
        let only = draw.one_in(3).then(|| 1 + draw.below(7));
        Deed::BookSeries { at: draw.slot(), whom: draw.whom(true), rule: draw.below(RULES.len()), only }
    }),
    (5, |draw| {
        let (which, from_here, (day, time)) = (draw.pick(), draw.one_in(2), draw.aim());
        Deed::MoveSeries { which, from_here, day, time }
    }),
    (3, |draw| Deed::CancelSeries { which: draw.pick(), from_here: draw.one_in(2) }),
    (6, |draw| {
        let (doctor, hours, rev) = (draw.below(2), draw.below(HOURS), draw.rev());
        let zone = draw.one_in(2).then(|| draw.below(ZONES.len()));
        let keep = [Keep::Unsaid, Keep::Instants, Keep::Instants, Keep::LocalTimes, Keep::LocalTimes][draw.below(5)];
        Deed::SetHours { doctor, hours, rev, zone, keep: if zone.is_some() { keep } else { Keep::Unsaid } }
    }),
    (8, |draw| {
        let (doctor, service) = (draw.below(2), draw.any_service());
        let change = if draw.one_in(6) { 24 + draw.below(6) } else { draw.below(CHANGES) };
        Deed::UpdateService { doctor, service, change, rev: draw.rev() }
    }),
    (3, |draw| Deed::CreateService { doctor: draw.below(2), kind: draw.below(KINDS) }),
    (3, |draw| Deed::ArchiveService { doctor: draw.below(2), service: draw.any_service(), rev: draw.rev() }),
    (1, |draw| Deed::CreateResource { kind: draw.below(2) }),
    (1, |draw| Deed::UpdateResource { which: draw.below(MOST_ROOMS), change: draw.below(3), rev: draw.rev() }),
    (1, |draw| Deed::ArchiveResource { which: draw.below(MOST_ROOMS), rev: draw.rev() }),
    (4, |draw| Deed::TakeTimeOff { doctor: draw.below(2), day: draw.below(DAYS.len()), part: draw.below(PARTS) }),
    (5, |draw| Deed::EndTimeOff { doctor: draw.below(2), which: draw.below(8), rev: draw.rev() }),
    (22, |draw| {
        let (doctor, service, day) = (draw.below(2), draw.service(), draw.below(DAYS.len()));
        let days = [0, 1, 2, 5, 5, 5][draw.below(6)];
        // Most would take any day, so that somebody waits for what is given up.
        let day = if days == 5 { 0 } else { day };
        Deed::JoinWaitlist { doctor, service, day, days, wished: draw.wished(), whom: draw.whom(false) }
    }),
    (3, |draw| Deed::LeaveWaitlist { which: draw.pick(), rev: draw.rev() }),
    (9, |draw| Deed::AcceptOffer { which: draw.pick(), rev: draw.rev(), reason: draw.one_in(3) }),
    (6, |draw| Deed::PassOffer { which: draw.pick(), rev: draw.rev() }),
    (7, |draw| Deed::Review { which: draw.pick(), rating: draw.rating() }),
    (3, |draw| Deed::EditReview { which: draw.below(8), rating: draw.rating(), rev: draw.rev() }),
    (2, |draw| {
        let text = ["", "Gracias"][draw.below(2)].to_owned();
        Deed::ReplyToReview { which: draw.below(8), text, rev: draw.rev() }
    }),
    (1, |draw| Deed::ReportReview { which: draw.below(8) }),
    (2, |draw| Deed::HideReview { which: draw.below(8), rev: draw.rev() }),
    (2, |draw| Deed::RestoreReview { which: draw.below(8), rev: draw.rev() }),
];

const READS: &[(usize, Kind)] = &[
    (5, |draw| {
        let (doctor, service) = (draw.below(2), draw.service());
        Deed::Search { doctor, service, day: draw.below(DAYS.len()), days: [1, 1, 9][draw.below(3)] }
    }),
    (9, |draw| {
        let (doctors, services, zone) = (draw.below(WHOSE), draw.below(WHAT), draw.below(WHERE));
        let (day, days, page) = (draw.below(DAYS.len()), [1, 2, 9][draw.below(3)], draw.below(PAGES.len()));
        Deed::SearchDoctors { doctors, services, zone, day, days, page }
    }),
    (6, |draw| Deed::Explain { at: draw.slot() }),
    (3, |draw| Deed::Get { which: draw.pick() }),
    (3, |draw| Deed::List { doctor: draw.one_in(2).then(|| draw.below(2)) }),
    (2, |draw| Deed::ListWaitlist { doctor: draw.one_in(2).then(|| draw.below(2)) }),
    (3, |draw| Deed::History { which: draw.pick() }),
    (3, |draw| Deed::Preview { at: draw.slot(), whom: draw.whom(true), rule: draw.below(RULES.len()) }),
    (2, |draw| Deed::GetSeries { which: draw.pick() }),
    (2, |draw| Deed::ListOutside { doctor: draw.below(2) }),
    (1, |draw| Deed::ListTimeOff { doctor: draw.below(2) }),
    (1, |draw| Deed::ListReviews { doctor: draw.below(2) }),
    (1, |draw| Deed::GetDoctor { doctor: draw.below(2) }),
    (1, |draw| Deed::GetHours { doctor: draw.below(2) }),
    (1, |draw| Deed::ListServices { doctor: draw.below(2) }),
    (1, |_| Deed::ListResources),
];

impl Draw {
    /// The scripts of a seed.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// A script of so many steps.
    pub fn script(&mut self, manner: Manner, steps: usize) -> Vec<Step> {
        (0..steps).map(|_| self.step(manner)).collect()
    }

    fn step(&mut self, manner: Manner) -> Step {
        let at_once = if manner == Manner::AtOnce { 45 } else { 0 };
        match self.below(100) {
            hit if hit < at_once => self.at_once(),
            88..91 if manner == Manner::AtOnce => Step::Twice(self.act(DEEDS)),
            93..95 => Step::Leave { watch: self.below(73) },
            95..97 => Step::ComeBack { watch: self.below(73) },
            97..100 => {
                Step::Again { back: self.below(12), node: self.below(2), rest: self.one_in(3), altered: self.one_in(4) }
            }
            88 if manner == Manner::ShortHolds => Step::RunOut,
            75..93 => Step::Do(self.act(READS)),
            _ => Step::Do(self.act(DEEDS)),
        }
    }

    /// Two to five things, among them one that the others are about too, perhaps. New rules go with one other thing alone.
    fn at_once(&mut self) -> Step {
        let count = 2 + self.below(4);
        let mut acts: Vec<Act> = vec![self.act(DEEDS)];
        while acts.len() < count {
            let next = match self.below(3) {
                // After the same time or the same appointment as the one before.
                0 => self.beside(&acts[acts.len() - 1].clone()),
                _ => self.act(DEEDS),
            };
            acts.push(next);
        }
        if acts.iter().any(|act| act.deed.is_of_rules()) {
            acts.truncate(2);
        }
        for act in &mut acts {
            // What is booked while a doctor goes to another zone is booked in either.
            if let Deed::SetHours { zone, .. } = &mut act.deed {
                *zone = None;
            }
        }
        Step::AtOnce(acts)
    }

    fn beside(&mut self, act: &Act) -> Act {
        let other = self.act(DEEDS);
        let deed = match (&act.deed, other.deed) {
            (Deed::Hold { at, .. } | Deed::Book { at, .. }, Deed::Hold { whom, .. }) => {
                Deed::Hold { at: at.clone(), whom }
            }
            (Deed::Hold { at, .. } | Deed::Book { at, .. }, Deed::Book { whom, exception, reason, .. }) => {
                Deed::Book { at: at.clone(), whom, exception, reason }
            }
            (_, other) => other,
        };
        Act { deed, ..other }
    }

    fn act(&mut self, kinds: &[(usize, Kind)]) -> Act {
        let mut left = self.below(kinds.iter().map(|(weight, _)| weight).sum());
        let kind = kinds.iter().find(|(weight, _)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let deed = kind.expect("within the sum of the weights").1(self);
        Act { who: self.who(&deed), node: self.below(2), rest: self.one_in(3), deed }
    }

    /// Mostly somebody who may, sometimes anybody.
    fn who(&mut self, deed: &Deed) -> Who {
        use Who::{Ana, Daniela, Diego, ItsDoctor, ItsHolder, ItsPatient, Nobody, Paula, Pedro, Pilar, Rocio};
        let anybody = [Paula, Pedro, Pilar, Daniela, Diego, Rocio, Ana, Nobody];
        let likely: &[Who] = match deed {
            Deed::Hold { .. } | Deed::Book { .. } | Deed::BookSeries { .. } | Deed::Preview { .. } => {
                &[Paula, Pedro, Pilar, Paula, Pedro, Pilar, Rocio, ItsDoctor, Ana]
            }
            Deed::JoinWaitlist { .. } => &[Paula, Pedro, Pilar, Paula, Pedro, Pilar, Rocio, ItsDoctor, Ana, Diego],
            Deed::LeaveWaitlist { .. } | Deed::AcceptOffer { .. } | Deed::PassOffer { .. } => {
                &[ItsPatient, ItsPatient, ItsPatient, ItsDoctor, Rocio, Ana]
            }
            Deed::Release { .. } | Deed::BookHeld { .. } => &[ItsHolder],
            Deed::Approve { .. } | Deed::Decline { .. } | Deed::CheckIn { .. } | Deed::Complete { .. } => {
                &[ItsDoctor, ItsDoctor, Ana, Rocio]
            }
            Deed::NoShow { .. } | Deed::Undo { .. } => &[ItsDoctor, ItsDoctor, Ana, Rocio],
            Deed::SetNotes { .. } | Deed::ReplyToReview { .. } => &[ItsDoctor],
            Deed::SetHours { .. }
            | Deed::UpdateService { .. }
            | Deed::CreateService { .. }
            | Deed::ArchiveService { .. } => &[ItsDoctor, ItsDoctor, Ana],
            Deed::CreateResource { .. } | Deed::UpdateResource { .. } | Deed::ArchiveResource { .. } => &[Ana],
            Deed::TakeTimeOff { .. } | Deed::EndTimeOff { .. } => &[ItsDoctor, ItsDoctor, Ana, Rocio],
            Deed::ListOutside { .. } | Deed::ListTimeOff { .. } => &[ItsDoctor, ItsDoctor, Ana, Rocio],
            Deed::Review { .. } | Deed::EditReview { .. } => &[ItsPatient],
            Deed::HideReview { .. } | Deed::RestoreReview { .. } => &[Ana],
            Deed::Reschedule { .. } | Deed::Cancel { .. } | Deed::MoveSeries { .. } | Deed::CancelSeries { .. } => {
                &[ItsPatient, ItsPatient, ItsPatient, ItsDoctor, Rocio, Ana]
            }
            _ => &anybody,
        };
        if self.one_in(12) { anybody[self.below(anybody.len())] } else { likely[self.below(likely.len())] }
    }

    fn service(&mut self) -> usize {
        // Sessions are for several: there is more to see where several want them.
        if self.one_in(5) { self.any_service() } else { [0, 1, 2, 3, 3][self.below(5)] }
    }

    /// Perhaps one that was made by the script.
    fn any_service(&mut self) -> usize {
        self.below(MOST)
    }

    fn slot(&mut self) -> Slot {
        let (doctor, service) = (self.below(2), self.service());
        let (day, time) = if service == 3 && !self.one_in(6) { self.meeting() } else { self.day_and_time() };
        Slot { doctor, service, day, time }
    }

    fn day_and_time(&mut self) -> (usize, String) {
        (self.below(DAYS.len()), self.time())
    }

    /// One of the few times at which people meet.
    fn meeting(&mut self) -> (usize, String) {
        ([0, 0, 1][self.below(3)], ["09:00", "10:00", "10:00"][self.below(3)].to_owned())
    }

    /// To where something is moved.
    fn aim(&mut self) -> (usize, String) {
        if self.one_in(4) { self.meeting() } else { self.day_and_time() }
    }

    /// Between 8 and 12, where it is crowded; sometimes off the steps, or out of hours.
    fn time(&mut self) -> String {
        match self.below(20) {
            0 => format!("{:02}:{:02}", 8 + self.below(4), 5 * self.below(12)),
            1 => format!("{:02}:30", [7, 12, 13][self.below(3)]),
            2 => format!("{:02}:07", 8 + self.below(4)),
            _ => format!("{:02}:{:02}", 8 + self.below(4), 15 * self.below(4)),
        }
    }

    fn whom(&mut self, walk_in: bool) -> Whom {
        use Who::{Diego, Paula, Pedro, Pilar};
        match self.below(8) {
            0 if walk_in => Whom::WalkIn,
            0..4 => Whom::Named([Paula, Pedro, Pilar, Diego][self.below(4)]),
            _ => Whom::Unsaid,
        }
    }

    fn wished(&mut self) -> Wished {
        use Wished::{Any, Early, Late, Nonsense, Weekdays};
        if self.one_in(25) { Nonsense } else { [Any, Any, Any, Early, Late, Weekdays][self.below(6)] }
    }

    fn pick(&mut self) -> Pick {
        let newest_first = self.below(8);
        if self.one_in(8) { Pick::Any(newest_first * 3) } else { Pick::Fit(newest_first) }
    }

    fn rev(&mut self) -> Rev {
        [Rev::Unsaid, Rev::Unsaid, Rev::Unsaid, Rev::Present, Rev::Present, Rev::Stale][self.below(6)]
    }

    fn rating(&mut self) -> u32 {
        1 + u32::try_from(self.below(5)).expect("five are few")
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound as u64).expect("below a usize")
    }
}
