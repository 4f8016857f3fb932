//! The last runs of the customer, as far as their results can still be read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use medallion_lake::Lake;
use serde::Deserialize;

use crate::results::{RunResults, Status};

/// How many runs are compared.
const COMPARED: usize = 30;
/// How many if nothing has changed: such a night is to cost next to nothing, and reading results is most of a report.
const COMPARED_WITHOUT_CHANGE: usize = 8;
/// How many threads read them.
const READERS: usize = 4;

/// What the comparison needs of a run's results. What an older or newer build does not write is unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PastRun {
    pub run_id: String,
    pub status: String,
    pub release: Option<u64>,
    pub started_at: Option<DateTime<Utc>>,
    pub seconds: f64,
    pub layer_rejected: BTreeMap<String, u64>,
    pub tables: BTreeMap<String, PastTable>,
}

/// A table of such a run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PastTable {
    pub status: String,
    pub rows_in: u64,
    pub rows_out: u64,
    pub seconds: f64,
}

impl PastRun {
    pub(crate) fn failed(&self) -> bool {
        self.status != "success"
    }

    /// The sum of something over the tables of a layer; `None` if the run did not come to it.
    pub(crate) fn sum(&self, layer: &str, what: impl Fn(&PastTable) -> u64) -> Option<u64> {
        let of_layer = |name: &str| name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'));
        let mut tables = self.tables.iter().filter(|(name, _)| of_layer(name)).peekable();
        tables.peek()?;
        Some(tables.map(|(_, table)| what(table)).sum())
    }

    fn of(results: &RunResults) -> Self {
        let tables = results.tables.iter().map(|(name, table)| {
            let (rows_in, rows_out, seconds) = (table.rows_in, table.rows_out, table.seconds);
            (name.to_string(), PastTable { status: status(table.status).to_owned(), rows_in, rows_out, seconds })
        });
        Self {
            run_id: results.run_id.clone(),
            status: status(results.status).to_owned(),
            release: results.release,
            started_at: Some(results.started_at),
            seconds: results.seconds,
            layer_rejected: results.layer_rejected.iter().map(|(layer, rows)| (layer.to_string(), *rows)).collect(),
            tables: tables.collect(),
        }
    }
}

/// A status as the results have it.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Unchanged => "unchanged",
        Status::NotDelivered => "not_delivered",
        Status::Waiting => "waiting",
        Status::Absent => "absent",
        Status::NotSelected => "not_selected",
        Status::Failed => "failed",
    }
}

/// The last runs, the given one last. A run whose results are not there or cannot be read is left out.
pub(crate) fn last_runs(lake: &Lake, results: &RunResults) -> Vec<PastRun> {
    let nothing_changed = results.status == Status::Success && results.release.is_none();
    let compared = if nothing_changed { COMPARED_WITHOUT_CHANGE } else { COMPARED };
    let earlier = |run_id: &String| *run_id < results.run_id;
    let mut runs: Vec<String> = lake.runs().unwrap_or_default().into_iter().filter(earlier).collect();
    let known = runs.split_off(runs.len().saturating_sub(compared - 1));
    let read = |run_id: &String| {
        let text = lake.read_run_file(run_id, "run_results.json").ok().flatten()?;
        let run: PastRun = serde_json::from_slice(&text).ok()?;
        Some(PastRun { run_id: run_id.clone(), ..run })
    };
    // Threads of their own: those of the engines may still be busy with a run that was interrupted.
    let part = known.len().div_ceil(READERS).max(1);
    let mut runs: Vec<PastRun> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            known.chunks(part).map(|part| scope.spawn(|| part.iter().filter_map(read).collect::<Vec<_>>())).collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap_or_default()).collect()
    });
    runs.push(PastRun::of(results));
    runs
}
