//! Runs customers when their exports are there: drop folders are looked at again and again, which works on any file
//! system.
//!
//! `sight` tells whether a folder is complete, `decision` whether that calls for a run. Runs are processes like those of
//! a fleet.

mod decision;
mod sight;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use medallion_pipeline::{Customer, Pipeline};
use tokio::task::{JoinHandle, JoinSet};

use crate::fleet::child::{self, Attempt};
use crate::fleet::outcome::{Outcome, refused};
use crate::fleet::{ChildCommand, FleetEntry, FleetEvent, FleetListener, Refused};
use crate::interrupt::Interrupt;
use crate::watch::decision::{Ending, Watched};
use crate::watch::sight::{FileSight, Sight, look};

/// A customer that is watched.
#[derive(Debug, Clone)]
pub struct WatchedCustomer {
    /// Its id, or what stands where one should.
    pub id: String,
    /// Its file, if it has one: a customer that failed is run again when it changes.
    pub file: Option<PathBuf>,
    /// What is watched and how its run is started, or why it cannot be.
    pub start: Result<WatchStart, Refused>,
}

/// What is watched, and what is done then.
#[derive(Debug, Clone)]
pub struct WatchStart {
    /// The customer with its drop folder.
    pub customer: Customer,
    /// The pipeline as the customer has it: its sources.
    pub pipeline: Arc<Pipeline>,
    /// How its run is started.
    pub command: ChildCommand,
}

/// What watching needs to know.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Time between two looks at the folders.
    pub interval: Duration,
    /// How long a complete folder has to stay as it is.
    pub settle: Duration,
    /// Customers that run at the same time.
    pub jobs: NonZeroUsize,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Whether it ends when each customer was run once.
    pub once: bool,
    /// What asks it to end.
    pub interrupt: Interrupt,
}

/// Watches customers until it is asked to end. `customers` is asked before each look, so that new customers and changed
/// files are known; it may wait for the disk. Returns how each run ended that was the last of its customer.
pub async fn watch(
    options: WatchOptions,
    customers: impl Fn() -> Vec<WatchedCustomer> + Send + Sync + 'static,
    listener: Arc<dyn FleetListener>,
) -> Vec<FleetEntry> {
    let watching = Watching {
        options,
        listener,
        customers: BTreeMap::new(),
        queue: VecDeque::new(),
        running: JoinSet::new(),
        entries: BTreeMap::new(),
    };
    watching.run_out(Arc::new(customers)).await
}

/// A customer and what is to be seen of it.
struct Seen {
    customer: WatchedCustomer,
    file: Option<FileSight>,
    sight: Sight,
}

struct Watching {
    options: WatchOptions,
    listener: Arc<dyn FleetListener>,
    customers: BTreeMap<String, Watched>,
    /// Customers whose turn has not come yet.
    queue: VecDeque<(String, ChildCommand)>,
    running: JoinSet<(String, Attempt)>,
    /// How the last run of each customer ended.
    entries: BTreeMap<String, FleetEntry>,
}

type Customers = Arc<dyn Fn() -> Vec<WatchedCustomer> + Send + Sync>;

impl Watching {
    async fn run_out(mut self, customers: Customers) -> Vec<FleetEntry> {
        let mut looking = Some(look_at_all(Arc::clone(&customers)));
        let mut next_look = Instant::now();
        while !(self.options.interrupt.is_asked() || self.is_over(looking.is_some())) {
            tokio::select! {
                seen = joined(&mut looking), if looking.is_some() => {
                    looking = None;
                    next_look = Instant::now() + self.options.interval;
                    seen.into_iter().for_each(|seen| self.consider(seen));
                    self.start_some();
                }
                () = tokio::time::sleep_until(next_look.into()), if looking.is_none() => {
                    looking = Some(look_at_all(Arc::clone(&customers)));
                }
                Some(ended) = self.running.join_next() => {
                    self.attempted(ended);
                    self.start_some();
                }
                () = self.options.interrupt.asked() => {}
            }
        }
        // The processes hear of an interrupt themselves.
        while let Some(ended) = self.running.join_next().await {
            self.attempted(ended);
        }
        self.entries.into_values().collect()
    }

    fn is_over(&self, is_looking: bool) -> bool {
        let is_idle = self.running.is_empty() && self.queue.is_empty() && !is_looking;
        self.options.once && is_idle && !self.customers.is_empty() && self.customers.values().all(Watched::has_ended)
    }

    /// Whether what is seen of a customer calls for a run.
    fn consider(&mut self, Seen { customer, file, sight }: Seen) {
        let watched = self.customers.entry(customer.id.clone()).or_default();
        let start = match customer.start {
            Ok(start) => start,
            Err(problem) => {
                if watched.is_news_of_file(file) {
                    let entry = refused(&customer.id, &problem);
                    self.listener.on(&FleetEvent::CustomerEnded { entry: &entry });
                    self.entries.insert(customer.id, entry);
                }
                return;
            }
        };
        match sight {
            Sight::Complete(files) => {
                if watched.sees(files, file, Instant::now(), self.options.settle) {
                    self.queue.push_back((customer.id, start.command));
                }
            }
            Sight::Incomplete(why) => {
                if watched.waits(&why) {
                    self.listener.on(&FleetEvent::Waiting { customer: &customer.id, reason: &why });
                }
            }
        }
    }

    fn start_some(&mut self) {
        while self.running.len() < self.options.jobs.get() && !self.options.interrupt.is_asked() {
            let Some((id, command)) = self.queue.pop_front() else { return };
            let attempt = self.customers.get(&id).map_or(1, Watched::attempt);
            self.listener.on(&FleetEvent::CustomerStarted { customer: &id, attempt });
            let (listener, interrupt) = (Arc::clone(&self.listener), self.options.interrupt.clone());
            let timeout = self.options.timeout;
            self.running.spawn(async move {
                let attempt = child::attempt(&id, &command, timeout, &interrupt, listener.as_ref()).await;
                (id, attempt)
            });
        }
    }

    fn attempted(&mut self, ended: Result<(String, Attempt), tokio::task::JoinError>) {
        // No task of these panics, and none is aborted.
        let Ok((id, attempt)) = ended else { return };
        let Outcome { mut entry, is_transient } = Outcome::of(&id, attempt, self.options.timeout);
        let watched = self.customers.entry(id.clone()).or_default();
        entry.attempts = watched.attempt();
        let ending = match (entry.status.is_done(), is_transient) {
            (true, _) => Ending::Done,
            (false, true) => Ending::Transient,
            (false, false) => Ending::Failed,
        };
        match watched.ended(ending, Instant::now()) {
            Some(wait) if !self.options.once => {
                let reason = entry.reason.as_deref().unwrap_or_default();
                self.listener.on(&FleetEvent::Retrying { customer: &id, attempt: entry.attempts, reason, wait });
            }
            _ => self.listener.on(&FleetEvent::CustomerEnded { entry: &entry }),
        }
        self.entries.insert(id, entry);
    }
}

/// Looks at all folders on a thread of its own: a network folder may not answer for a while.
fn look_at_all(customers: Customers) -> JoinHandle<Vec<Seen>> {
    tokio::task::spawn_blocking(move || {
        let seen = |customer: WatchedCustomer| {
            let file = customer.file.as_deref().and_then(FileSight::of);
            let sight = match &customer.start {
                Ok(start) => look(&start.customer, &start.pipeline, Utc::now()),
                Err(_) => Sight::Incomplete(String::new()),
            };
            Seen { customer, file, sight }
        };
        customers().into_iter().map(seen).collect()
    })
}

async fn joined(looking: &mut Option<JoinHandle<Vec<Seen>>>) -> Vec<Seen> {
    match looking {
        // Whoever cannot be looked at now is looked at the next time.
        Some(looking) => looking.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}
