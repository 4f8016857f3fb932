//! What a fleet tells while it runs, and what the process of a customer tells the fleet.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::RunError;
use crate::fleet::results::FleetEntry;
use crate::results::RunResults;
use medallion_pipeline::Layer;

/// Something that happened in a fleet.
#[derive(Debug)]
pub enum FleetEvent<'a> {
    /// A customer's process was started.
    CustomerStarted {
        /// The customer.
        customer: &'a str,
        /// The attempt, counted from 1.
        attempt: u32,
    },
    /// A customer's process wrote a line of its JSON log.
    Line {
        /// The customer.
        customer: &'a str,
        /// The line as it is.
        text: &'a str,
        /// The same, read.
        fields: &'a Map<String, Value>,
    },
    /// A customer failed for a reason that may pass.
    Retrying {
        /// The customer.
        customer: &'a str,
        /// The attempt that failed, counted from 1.
        attempt: u32,
        /// Why, in one line.
        reason: &'a str,
        /// After which time it is tried again.
        wait: Duration,
    },
    /// A customer's drop folder is not complete; told when the reason changes.
    Waiting {
        /// The customer.
        customer: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A customer is done or has failed for good.
    CustomerEnded {
        /// How.
        entry: &'a FleetEntry,
    },
    /// No further customers are started.
    Stopped {
        /// Why.
        reason: &'a str,
    },
}

/// Listens to a fleet; called from several threads.
pub trait FleetListener: Send + Sync {
    /// Takes notice of an event.
    fn on(&self, event: &FleetEvent<'_>);
}

/// The last event in the log of a customer's run: all that others need to know of how it ended. What is unknown is left
/// out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The exit code.
    pub exit_code: u8,
    /// Of a failure: whether it may pass by itself.
    pub transient: Option<bool>,
    /// The run.
    pub run_id: Option<String>,
    /// The release that was published.
    pub release: Option<u64>,
    /// Records of the files that were new.
    pub rows_in: Option<u64>,
    /// Rows of the gold tables.
    pub rows_out: Option<u64>,
    /// Records that were set aside in all layers.
    pub rejected: Option<u64>,
    /// Tables of all layers.
    pub tables: Option<usize>,
    /// Seconds the run took.
    pub seconds: Option<f64>,
    /// The most memory the process had, in bytes.
    pub peak_memory: Option<u64>,
}

impl Finished {
    /// The event's name.
    pub const EVENT: &'static str = "finished";

    /// How a run that succeeded ended.
    #[must_use]
    pub fn done(results: &RunResults) -> Self {
        let layers = Layer::ALL.map(|layer| results.layer(layer));
        let of = |which: Layer| results.layer(which);
        Self {
            exit_code: 0,
            transient: None,
            run_id: Some(results.run_id.clone()),
            release: results.release,
            rows_in: Some(of(Layer::Bronze).rows_in),
            rows_out: Some(of(Layer::Gold).rows_out),
            rejected: Some(layers.iter().map(|layer| layer.rejected).sum()),
            tables: Some(results.tables.len()),
            seconds: Some(results.seconds),
            peak_memory: peak_memory(),
        }
    }

    /// How a run that failed ended.
    #[must_use]
    pub fn failed(error: &RunError, exit_code: u8, run_id: Option<String>) -> Self {
        let transient = Some(error.is_transient());
        Self { exit_code, transient, run_id, peak_memory: peak_memory(), ..Self::default() }
    }
}

/// The most memory this process ever had, where the kernel tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
