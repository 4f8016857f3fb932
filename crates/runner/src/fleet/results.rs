//! `fleet_results.json`: what became of each customer of a fleet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use medallion_lake::FleetFolder;
use serde::{Deserialize, Serialize};

use crate::fleet::error::FleetError;
use crate::fleet::shard::Shard;
use crate::report::fleet_page;

/// The schema's name in the file.
pub const SCHEMA: &str = "medallion/fleet_results/v1";
/// The file's name in the folder of a fleet.
pub const FILE: &str = "fleet_results.json";
/// The name of the same for people.
const PAGE: &str = "index.html";

/// How a customer of a fleet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetStatus {
    /// A release was published.
    Published,
    /// Nothing has changed, no release was published.
    Unchanged,
    /// It failed.
    Failed,
    /// It took too long and was ended.
    TimedOut,
    /// The fleet was interrupted while it ran, and it with it.
    Interrupted,
    /// The fleet ended before its turn.
    NotStarted,
}

impl FleetStatus {
    /// Whether the customer's tables are as they should be.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Published | Self::Unchanged)
    }

    /// Whether something is wrong with the customer.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }

    /// As in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::NotStarted => "not_started",
        }
    }
}

/// One customer. `null` means unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetEntry {
    /// The customer.
    pub customer: String,
    /// How it ended.
    pub status: FleetStatus,
    /// The exit code of its run; `None` if it has none, for instance because a signal ended it.
    pub exit_code: Option<u8>,
    /// Why it is not done, in one line.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Its last run.
    pub run_id: Option<String>,
    /// The release that was published.
    pub release: Option<u64>,
    /// Records of the files that were new.
    pub rows_in: Option<u64>,
    /// Rows of the gold tables.
    pub rows_out: Option<u64>,
    /// Records that were set aside.
    pub rejected: Option<u64>,
    /// Seconds of its last attempt, from the start of the process to its end.
    pub seconds: f64,
    /// How often it was tried.
    pub attempts: u32,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// The most memory that the process of its last attempt had, in bytes.
    pub peak_memory: Option<u64>,
}

impl FleetEntry {
    /// A customer whose turn never came.
    #[must_use]
    pub fn not_started(customer: &str, reason: &str) -> Self {
        Self {
            customer: customer.to_owned(),
            status: FleetStatus::NotStarted,
            exit_code: None,
            reason: Some(reason.to_owned()),
            hint: None,
            run_id: None,
            release: None,
            rows_in: None,
            rows_out: None,
            rejected: None,
            seconds: 0.0,
            attempts: 0,
            started_at: None,
            peak_memory: None,
        }
    }
}

/// The options of a fleet that say how its customers were run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSettings {
    /// Customers at the same time.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
    /// Memory for each customer's SQL in bytes.
    pub memory_limit: Option<u64>,
    /// Seconds that a customer may take.
    pub timeout_seconds: Option<f64>,
    /// How often a customer may be tried again.
    pub retries: u32,
    /// Which part of all customers, as `I/N`.
    pub shard: Option<Shard>,
    /// The customer that runs first, alone.
    pub canary: Option<String>,
    /// After so many failures no customer is started any more.
    pub max_failures: Option<usize>,
    /// The fleet whose customers without success these are.
    pub retry_of: Option<String>,
}

/// A fleet's results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetResults {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The fleet.
    pub fleet_id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it runs, and for ever if it was killed.
    pub finished_at: Option<DateTime<Utc>>,
    /// The date of all runs, where it was given.
    pub as_of: Option<NaiveDate>,
    /// How the customers were run.
    pub options: FleetSettings,
    /// The customers in the order in which they were to start.
    pub selected: Vec<String>,
    /// Why no further customers were started, if some were left.
    pub stopped: Option<String>,
    /// The customers that have ended, in that order.
    pub customers: Vec<FleetEntry>,
}

impl FleetResults {
    /// The customers that are not done: that failed, were interrupted, had not started or of which nothing is known
    /// because the fleet was killed. In the order in which they were to start.
    #[must_use]
    pub fn left_over(&self) -> Vec<&str> {
        let done: BTreeSet<&str> =
            self.customers.iter().filter(|entry| entry.status.is_done()).map(|entry| entry.customer.as_str()).collect();
        self.selected.iter().map(String::as_str).filter(|id| !done.contains(id)).collect()
    }

    /// How many customers ended in a way.
    #[must_use]
    pub fn count(&self, which: impl Fn(FleetStatus) -> bool) -> usize {
        self.customers.iter().filter(|entry| which(entry.status)).count()
    }

    /// Writes the file, in place of what it was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &FleetFolder) -> Result<(), FleetError> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        folder.write(&self.fleet_id, FILE, &text)?;
        Ok(())
    }

    /// Writes the page of the fleet for people, beside the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_page(&self, folder: &FleetFolder) -> Result<(), FleetError> {
        folder.write(&self.fleet_id, PAGE, fleet_page(self).as_bytes())?;
        Ok(())
    }

    /// Reads a fleet's file; `None` if it has none.
    ///
    /// # Errors
    /// If it cannot be read or has not the form it should have.
    pub fn read(folder: &FleetFolder, fleet_id: &str) -> Result<Option<Self>, FleetError> {
        let Some(text) = folder.read(fleet_id, FILE)? else { return Ok(None) };
        let failed = |source| FleetError::Unreadable { fleet_id: fleet_id.to_owned(), source };
        Ok(Some(serde_json::from_slice(&text).map_err(failed)?))
    }

    /// The last fleet of a shard, or of all customers, that began.
    ///
    /// # Errors
    /// If the folder or the file cannot be read.
    pub fn last(folder: &FleetFolder, shard: Option<Shard>) -> Result<Option<Self>, FleetError> {
        let mut last: Option<Self> = None;
        for fleet_id in folder.list()?.iter().rev().filter(|id| is_of_shard(id, shard)) {
            // Ids tell the second; those of one second are in no order.
            if last.as_ref().is_some_and(|last| second_of(&last.fleet_id) != second_of(fleet_id)) {
                break;
            }
            let found = Self::read(folder, fleet_id)?;
            last = last.into_iter().chain(found).max_by_key(|fleet| fleet.started_at);
        }
        Ok(last)
    }
}

/// The end of the id of a shard's fleet; nothing for fleets of all customers.
pub(crate) fn id_ending(shard: Option<Shard>) -> String {
    shard.map(|shard| format!("-{}of{}", shard.part, shard.of)).unwrap_or_default()
}

fn second_of(fleet_id: &str) -> Option<&str> {
    fleet_id.split('-').next()
}

fn is_of_shard(fleet_id: &str, shard: Option<Shard>) -> bool {
    match shard {
        Some(_) => fleet_id.ends_with(&id_ending(shard)),
        // A time and eight hexadecimal digits.
        None => fleet_id.split('-').count() == 2,
    }
}

/// How many fleets are looked at for what customers took.
const LOOKS_BACK: usize = 5;

/// How long each customer took when it was last done, as far as the last fleets of the shard tell.
///
/// # Errors
/// If the folder cannot be listed; a file that cannot be read tells nothing.
pub fn last_seconds(folder: &FleetFolder, shard: Option<Shard>) -> Result<BTreeMap<String, f64>, FleetError> {
    let mut seconds = BTreeMap::new();
    for fleet_id in folder.list()?.iter().rev().filter(|id| is_of_shard(id, shard)).take(LOOKS_BACK) {
        let Ok(Some(results)) = FleetResults::read(folder, fleet_id) else { continue };
        for entry in results.customers.into_iter().filter(|entry| entry.status == FleetStatus::Published) {
            seconds.entry(entry.customer).or_insert(entry.seconds);
        }
    }
    Ok(seconds)
}
