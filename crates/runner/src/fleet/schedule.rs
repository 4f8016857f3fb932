//! Who is started next, and when a fleet stops starting: decided here, without processes and clocks of its own.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// The first wait before a customer is tried again; each further one is four times as long.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A customer's place in the fleet.
pub(crate) type Place = usize;

/// A customer that is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) place: Place,
    /// Counted from 1.
    pub(crate) attempt: u32,
}

/// What a fleet may do at the same time and before it gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) jobs: NonZeroUsize,
    pub(crate) retries: u32,
    pub(crate) max_failures: Option<NonZeroUsize>,
    /// Whether the first customer runs alone, and has to succeed.
    pub(crate) has_canary: bool,
}

/// The customers that wait, and what has become of the others as far as it matters to them.
#[derive(Debug)]
pub(crate) struct Schedule {
    rules: Rules,
    waiting: VecDeque<Place>,
    /// Customers to be tried again, and from when on.
    again: Vec<(Instant, Start)>,
    running: usize,
    failures: usize,
    is_canary_out: bool,
    stopped: Option<String>,
}

impl Schedule {
    pub(crate) fn new(rules: Rules, customers: usize) -> Self {
        Self {
            rules,
            waiting: (0..customers).collect(),
            again: Vec::new(),
            running: 0,
            failures: 0,
            is_canary_out: rules.has_canary,
            stopped: None,
        }
    }

    /// The next customer to start now, if there is room for one.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Start> {
        if !self.has_room() {
            return None;
        }
        let start = self.take_again(now).or_else(|| {
            // While the canary waits to be tried again, the others wait with it.
            let may_begin = !self.is_canary_out || self.waiting.front() == Some(&0);
            may_begin.then(|| self.waiting.pop_front()).flatten().map(|place| Start { place, attempt: 1 })
        })?;
        self.running += 1;
        Some(start)
    }

    fn has_room(&self) -> bool {
        let room = if self.is_canary_out { 1 } else { self.rules.jobs.get() };
        self.stopped.is_none() && self.running < room
    }

    fn take_again(&mut self, now: Instant) -> Option<Start> {
        let due = self.again.iter().position(|(from, _)| *from <= now)?;
        Some(self.again.remove(due).1)
    }

    /// When the first of those that are to be tried again may start, if there is room for it.
    pub(crate) fn next_again(&self) -> Option<Instant> {
        self.again.iter().filter(|_| self.has_room()).map(|(from, _)| *from).min()
    }

    /// An attempt failed for a reason that may pass: after which time there is another, if there is one.
    pub(crate) fn retry(&mut self, start: Start, now: Instant) -> Option<Duration> {
        if start.attempt > self.rules.retries || self.stopped.is_some() {
            return None;
        }
        self.running -= 1;
        let wait = FIRST_WAIT.saturating_mul(4_u32.saturating_pow(start.attempt - 1)).min(LONGEST_WAIT);
        self.again.push((now + wait, Start { attempt: start.attempt + 1, ..start }));
        Some(wait)
    }

    /// A customer has ended for good. Says why no further one is started, if that is so from now on.
    pub(crate) fn ended(&mut self, start: Start, is_failure: bool, customer: &str) -> Option<&str> {
        self.running -= 1;
        self.failures += usize::from(is_failure);
        if start.place == 0 && self.rules.has_canary {
            self.is_canary_out = false;
            if is_failure {
                return self.stop(format!("the canary {customer} failed"));
            }
        }
        match self.rules.max_failures {
            Some(most) if self.failures >= most.get() => {
                let customers = if self.failures == 1 { "customer" } else { "customers" };
                self.stop(format!("{} {customers} failed (--max-failures {most})", self.failures))
            }
            _ => None,
        }
    }

    /// Starts no further customer. Says why if this is news.
    pub(crate) fn stop(&mut self, reason: String) -> Option<&str> {
        if self.stopped.is_some() || (self.waiting.is_empty() && self.again.is_empty()) {
            return None;
        }
        self.stopped = Some(reason);
        self.stopped.as_deref()
    }

    /// Why no further customers are started.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Whether nothing runs and nothing will.
    pub(crate) fn is_over(&self) -> bool {
        let nobody_waits = self.waiting.is_empty() && self.again.is_empty();
        self.running == 0 && (nobody_waits || self.stopped.is_some())
    }

    /// Those that were never started.
    pub(crate) fn not_started(&self) -> impl Iterator<Item = Place> {
        self.waiting.iter().copied()
    }

    /// Those that were to be tried again.
    pub(crate) fn not_tried_again(&self) -> impl Iterator<Item = Place> {
        self.again.iter().map(|(_, start)| start.place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn schedule(jobs: usize, customers: usize, change: impl FnOnce(&mut Rules)) -> Schedule {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let mut rules = Rules { jobs, retries: 2, max_failures: None, has_canary: false };
        change(&mut rules);
        Schedule::new(rules, customers)
    }

    fn places(schedule: &mut Schedule, now: Instant) -> Vec<Place> {
        std::iter::from_fn(|| schedule.next(now)).map(|start| start.place).collect()
    }

    fn first(place: Place) -> Start {
        Start { place, attempt: 1 }
    }

    #[test]
    fn as_many_run_as_there_are_jobs_in_order() {
        let now = Instant::now();
        let mut schedule = schedule(2, 4, |_| {});
        assert_eq!(places(&mut schedule, now), [0, 1]);
        assert_eq!(schedule.ended(first(1), false, "b"), None);
        assert_eq!(places(&mut schedule, now), [2]);
        for place in [0, 2] {
            schedule.ended(first(place), true, "a");
        }
        assert!(!schedule.is_over());
        assert_eq!(places(&mut schedule, now), [3]);
        schedule.ended(first(3), false, "d");
        assert!(schedule.is_over() && schedule.stopped().is_none());
    }

    #[test]
    fn a_customer_that_is_tried_again_holds_up_no_other() {
        let now = Instant::now();
        let mut schedule = schedule(1, 2, |_| {});
        let start = schedule.next(now).unwrap();
        assert_eq!(schedule.retry(start, now), Some(Duration::from_secs(2)));
        assert_eq!(places(&mut schedule, now), [1]);
        schedule.ended(first(1), false, "b");
        assert!(schedule.next(now).is_none() && !schedule.is_over());
        let later = schedule.next_again().unwrap();
        assert_eq!(later, now + Duration::from_secs(2));
        let second = schedule.next(later).unwrap();
        assert_eq!(second, Start { place: 0, attempt: 2 });
        assert_eq!(schedule.retry(second, later), Some(Duration::from_secs(8)));
        let third = schedule.next(later + Duration::from_secs(8)).unwrap();
        assert_eq!(schedule.retry(third, later), None, "two retries are three attempts");
        schedule.ended(third, true, "a");
        assert!(schedule.is_over());
    }

    #[test]
    fn the_canary_runs_alone_and_stops_the_fleet_if_it_fails() {
        let now = Instant::now();
        let with_canary = || schedule(4, 3, |rules| rules.has_canary = true);
        let mut sound = with_canary();
        assert_eq!(places(&mut sound, now), [0]);
        let again = sound.retry(first(0), now).unwrap();
        assert_eq!(places(&mut sound, now), [0_usize; 0], "others wait for its second attempt");
        assert_eq!(places(&mut sound, now + again), [0]);
        assert_eq!(sound.ended(Start { place: 0, attempt: 2 }, false, "a"), None);
        assert_eq!(places(&mut sound, now), [1, 2]);
        let mut broken = with_canary();
        assert_eq!(places(&mut broken, now), [0]);
        assert_eq!(broken.ended(first(0), true, "a"), Some("the canary a failed"));
        assert!(broken.is_over());
        assert_eq!(broken.not_started().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn after_too_many_failures_nothing_more_is_started() {
        let now = Instant::now();
        let mut schedule = schedule(2, 5, |rules| rules.max_failures = NonZeroUsize::new(2));
        assert_eq!(places(&mut schedule, now), [0, 1]);
        assert_eq!(schedule.ended(first(0), true, "a"), None);
        assert_eq!(places(&mut schedule, now), [2]);
        assert_eq!(schedule.ended(first(1), true, "b"), Some("2 customers failed (--max-failures 2)"));
        assert!(schedule.next(now).is_none() && !schedule.is_over(), "one still runs");
        assert_eq!(schedule.ended(first(2), true, "c"), None, "it is no news");
        assert!(schedule.is_over());
        assert_eq!(schedule.not_started().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_fleet_without_customers_is_over() {
        assert!(schedule(1, 0, |_| {}).is_over());
        assert!(schedule(1, 0, |rules| rules.has_canary = true).is_over());
    }
}
