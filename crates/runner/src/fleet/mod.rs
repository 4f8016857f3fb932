//! Many customers, each in a process of its own.
//!
//! `schedule` decides who is started next, `child` runs one process and hears what it tells, `results` keeps what became
//! of each customer, so that nothing is lost when the fleet itself is killed. What a failure means is the customer's
//! process to say, in its last event ([`Finished`]).

pub(crate) mod child;
pub mod error;
pub mod events;
pub mod memory;
pub(crate) mod outcome;
pub mod results;
mod schedule;
pub mod shard;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, Utc};
use medallion_lake::FleetFolder;
use tokio::task::JoinSet;

pub use child::ChildCommand;
pub use error::FleetError;
pub use events::{Finished, FleetEvent, FleetListener};
pub use memory::{memory_share, threads_share};
pub use results::{FleetEntry, FleetResults, FleetSettings, FleetStatus, last_seconds};
pub use shard::Shard;

use crate::fleet::child::Attempt;
use crate::fleet::outcome::Outcome;
use crate::fleet::schedule::{Rules, Schedule, Start};
use crate::interrupt::Interrupt;
use crate::run::run_id;

/// A customer of a fleet.
#[derive(Debug, Clone)]
pub struct FleetCustomer {
    /// Its id, or what stands where one should.
    pub id: String,
    /// How its run is started, or why it cannot be.
    pub start: Result<ChildCommand, Refused>,
}

/// A customer that cannot be run.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The exit code that a run would have had.
    pub exit_code: u8,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a fleet needs to know.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Where the results are kept.
    pub folder: FleetFolder,
    /// The customers in the order in which they start; the canary, if there is one, first.
    pub customers: Vec<FleetCustomer>,
    /// The date of all runs, where it was given.
    pub as_of: Option<NaiveDate>,
    /// Customers at the same time.
    pub jobs: NonZeroUsize,
    /// How long a customer may take.
    pub timeout: Option<Duration>,
    /// How often a customer is tried again.
    pub retries: u32,
    /// After so many failures no customer is started any more.
    pub max_failures: Option<NonZeroUsize>,
    /// What the results say of the options.
    pub settings: FleetSettings,
    /// What can ask the fleet to stop.
    pub interrupt: Interrupt,
}

/// Runs a fleet. What happens to customers, and that it was interrupted, stands in the results, which are written
/// after each customer.
///
/// # Errors
/// If the results cannot be written: at the beginning, when nothing is started then, or at the end. In between, the
/// customers go first.
pub async fn run_fleet(options: FleetOptions, listener: Arc<dyn FleetListener>) -> Result<FleetResults, FleetError> {
    let now = Utc::now();
    let results = FleetResults {
        schema: results::SCHEMA.to_owned(),
        fleet_id: format!("{}{}", run_id(now, "fleet"), results::id_ending(options.settings.shard)),
        started_at: now,
        finished_at: None,
        as_of: options.as_of,
        options: options.settings.clone(),
        selected: options.customers.iter().map(|customer| customer.id.clone()).collect(),
        stopped: None,
        customers: Vec::new(),
    };
    results.write(&options.folder)?;
    let rules = Rules {
        jobs: options.jobs,
        retries: options.retries,
        max_failures: options.max_failures,
        has_canary: options.settings.canary.is_some(),
    };
    let schedule = Schedule::new(rules, options.customers.len());
    let running = JoinSet::new();
    let first_tries = vec![None; options.customers.len()];
    let fleet = Fleet { options: Arc::new(options), listener, results, schedule, running, first_tries };
    fleet.run_out().await
}

/// A fleet while it runs.
struct Fleet {
    options: Arc<FleetOptions>,
    listener: Arc<dyn FleetListener>,
    results: FleetResults,
    schedule: Schedule,
    running: JoinSet<(Start, Attempt)>,
    /// What came of earlier attempts of those that are tried again.
    first_tries: Vec<Option<Box<FleetEntry>>>,
}

impl Fleet {
    async fn run_out(mut self) -> Result<FleetResults, FleetError> {
        loop {
            self.start_some();
            if self.schedule.is_over() {
                break;
            }
            let again = self.schedule.next_again().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let is_stopped = self.schedule.stopped().is_some();
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    // No task of these panics, and none is aborted.
                    if let Ok((start, attempt)) = ended {
                        self.attempted(start, attempt);
                    }
                }
                () = self.options.interrupt.asked(), if !is_stopped => {
                    if self.stop("the fleet was interrupted".to_owned()) || self.running.is_empty() {
                        continue;
                    }
                    // The last customers run, and hear of it themselves.
                    self.wait_for_running().await;
                }
                () = tokio::time::sleep_until(again.into()), if !is_stopped => {}
            }
        }
        self.leave_the_rest();
        self.results.finished_at = Some(Utc::now());
        self.results.write(&self.options.folder)?;
        Ok(self.results)
    }

    fn start_some(&mut self) {
        while !self.options.interrupt.is_asked() {
            let Some(start) = self.schedule.next(Instant::now()) else { return };
            let FleetCustomer { id, start: command } = &self.options.customers[start.place];
            let (id, command) = match command {
                Ok(command) => (id.clone(), command.clone()),
                Err(refused) => {
                    let entry = outcome::refused(id, refused);
                    self.ended(start, entry);
                    continue;
                }
            };
            self.listener.on(&FleetEvent::CustomerStarted { customer: &id, attempt: start.attempt });
            let (timeout, interrupt) = (self.options.timeout, self.options.interrupt.clone());
            let listener = Arc::clone(&self.listener);
            self.running.spawn(async move {
                (start, child::attempt(&id, &command, timeout, &interrupt, listener.as_ref()).await)
            });
        }
    }

    async fn wait_for_running(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Ok((start, attempt)) = ended {
                self.attempted(start, attempt);
            }
        }
    }

    fn attempted(&mut self, start: Start, attempt: Attempt) {
        let customer = &self.options.customers[start.place].id;
        let before = self.first_tries[start.place].take();
        let Outcome { mut entry, is_transient } = Outcome::of(customer, attempt, self.options.timeout);
        entry.attempts = start.attempt;
        entry.started_at = before.and_then(|before| before.started_at).or(entry.started_at);
        let may_retry = is_transient && !self.options.interrupt.is_asked();
        if let Some(wait) = may_retry.then(|| self.schedule.retry(start, Instant::now())).flatten() {
            let reason = entry.reason.as_deref().unwrap_or_default();
            self.listener.on(&FleetEvent::Retrying { customer, attempt: start.attempt, reason, wait });
            self.first_tries[start.place] = Some(Box::new(entry));
            return;
        }
        self.ended(start, entry);
    }

    fn ended(&mut self, start: Start, entry: FleetEntry) {
        let reason = self.schedule.ended(start, entry.status.is_failure(), &entry.customer).map(str::to_owned);
        self.results.customers.push(entry.clone());
        self.results.stopped = self.schedule.stopped().map(str::to_owned);
        // Before it is told: what was told is not lost. If it cannot be written the customers go first; at the end it is
        // tried once more.
        let _ = self.results.write(&self.options.folder);
        self.listener.on(&FleetEvent::CustomerEnded { entry: &entry });
        if let Some(reason) = &reason {
            self.listener.on(&FleetEvent::Stopped { reason });
        }
    }

    /// Starts no further customer; says whether this changes anything.
    fn stop(&mut self, reason: String) -> bool {
        let Some(reason) = self.schedule.stop(reason) else { return false };
        self.listener.on(&FleetEvent::Stopped { reason });
        self.results.stopped = Some(reason.to_owned());
        true
    }

    /// Customers whose turn did not come, and those that were to be tried again.
    fn leave_the_rest(&mut self) {
        let reason = self.schedule.stopped().unwrap_or_default().to_owned();
        for place in self.schedule.not_tried_again().collect::<Vec<_>>() {
            if let Some(entry) = self.first_tries[place].take() {
                self.listener.on(&FleetEvent::CustomerEnded { entry: &entry });
                self.results.customers.push(*entry);
            }
        }
        for place in self.schedule.not_started() {
            let entry = FleetEntry::not_started(&self.options.customers[place].id, &reason);
            self.results.customers.push(entry);
        }
    }
}
