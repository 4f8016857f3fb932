//! `run_results.json`: what a run did, for programs.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_bronze::{FileReport, NotTaken};
use medallion_pipeline::{Layer, Mode, TableName};
use medallion_silver::{RuleCount, RuleFinding, Sums, UpsertSums};
use medallion_sql::ColumnLineage;
use serde::Serialize;

use crate::audit::TestResult;

/// The schema's name in the file.
pub const SCHEMA: &str = "medallion/run_results/v1";

/// How a run or table ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Built and published.
    Success,
    /// Not built because nothing new arrived.
    Unchanged,
    /// Not built because no file arrived; the last batch is used.
    NotDelivered,
    /// Nothing new could be read because its files may still be written; the last batch, if any, is used.
    Waiting,
    /// An optional source that never arrived.
    Absent,
    /// Left as it is, because the run was about other tables.
    NotSelected,
    /// Not published because of an error.
    Failed,
}

/// A table in a run's results. `null` means unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableResult {
    /// How it ended.
    pub status: Status,
    /// Rows it was built from; for bronze the records of new files.
    pub rows_in: u64,
    /// Rows it has; for bronze the rows of new batches.
    pub rows_out: u64,
    /// Rows set aside on the way.
    pub rejected: u64,
    /// Seconds from the run's start to that of its building; `None` if it was not built.
    pub started: Option<f64>,
    /// Seconds its building took.
    pub seconds: f64,
    /// Why it was not built.
    pub skipped: Option<String>,
    /// Bronze: what the source's exports are.
    pub mode: Option<Mode>,
    /// Bronze: the batches that were taken in, in order.
    pub new_batches: Vec<String>,
    /// Bronze: the batch that is current, of increments the last in order.
    pub batch_id: Option<String>,
    /// Bronze: the newest date under which it, or any of the increments, came.
    pub export_date: Option<NaiveDate>,
    /// Silver: how the rows add up.
    pub sums: Option<Sums>,
    /// Silver: how many rows each rule touched, in the order of the rules.
    pub rules: Vec<RuleCount>,
    /// Silver, from an incremental source: what the increments did.
    pub upserts: Option<UpsertSums>,
    /// Silver: rules that touched rows without setting them aside, oddities of hierarchies.
    pub findings: Vec<RuleFinding>,
    /// Bronze: the files read.
    pub files: Vec<FileReport>,
    /// Bytes of the files that were written for it.
    #[serde(skip)]
    pub bytes: Option<u64>,
    /// Tables that are queries: what their columns are computed from, if that was found out.
    #[serde(skip)]
    pub lineage: Option<ColumnLineage>,
}

impl TableResult {
    /// A table that was built.
    #[must_use]
    pub fn built(rows_in: u64, rows_out: u64, seconds: f64) -> Self {
        Self {
            status: Status::Success,
            rows_in,
            rows_out,
            rejected: 0,
            started: None,
            seconds,
            skipped: None,
            mode: None,
            new_batches: Vec::new(),
            batch_id: None,
            export_date: None,
            sums: None,
            rules: Vec::new(),
            upserts: None,
            findings: Vec::new(),
            files: Vec::new(),
            bytes: None,
            lineage: None,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunResults {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run_id: String,
    /// The customer.
    pub customer: String,
    /// The pipeline.
    pub pipeline: String,
    /// How the run ended.
    pub status: Status,
    /// The message that ended it, if it failed.
    pub error: Option<String>,
    /// The run's date.
    pub as_of: NaiveDate,
    /// The release it published.
    pub release: Option<u64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// Seconds from its start to that of committing; `None` if it did not come to that.
    pub publish_started: Option<f64>,
    /// Seconds of it spent committing.
    pub publish_seconds: f64,
    /// Wall time from the first to the last table, by layer.
    pub layer_seconds: BTreeMap<Layer, f64>,
    /// Records set aside, by layer. What several tables set aside of a source for the same reason is one record.
    pub layer_rejected: BTreeMap<Layer, u64>,
    /// Files in the drop folder that no source claims.
    pub unclaimed_files: Vec<String>,
    /// Files that may still be written; they are read in a later run.
    pub waiting_files: Vec<NotTaken>,
    /// Files that cannot be used though the run went on without them.
    pub refused_files: Vec<NotTaken>,
    /// The tables by name.
    pub tables: BTreeMap<TableName, TableResult>,
    /// The data tests, in the order of the tables; none if the run ended before them or had no need to run them.
    pub tests: Vec<TestResult>,
    /// Why no test was run, if there was no need to.
    pub tests_skipped: Option<String>,
    /// Seconds from the run's start to theirs; `None` if none was run.
    pub tests_started: Option<f64>,
    /// Seconds they took.
    pub test_seconds: f64,
}

/// One layer of a run in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Tables in it.
    pub tables: usize,
    /// Rows they were built from.
    pub rows_in: u64,
    /// Rows they have.
    pub rows_out: u64,
    /// Rows set aside.
    pub rejected: u64,
    /// Wall time.
    pub seconds: f64,
}

impl RunResults {
    /// A layer in figures, without what was not selected.
    #[must_use]
    pub fn layer(&self, layer: Layer) -> LayerSummary {
        let seconds = self.layer_seconds.get(&layer).copied().unwrap_or_default();
        let rejected = self.layer_rejected.get(&layer).copied().unwrap_or_default();
        let start = LayerSummary { seconds, rejected, ..LayerSummary::default() };
        let is_of_run = |table: &TableResult| table.status != Status::NotSelected;
        let tables = self.tables.iter().filter(|(name, table)| name.layer == layer && is_of_run(table));
        tables.fold(start, |sum, (_, table)| LayerSummary {
            tables: sum.tables + 1,
            rows_in: sum.rows_in + table.rows_in,
            rows_out: sum.rows_out + table.rows_out,
            ..sum
        })
    }
}
