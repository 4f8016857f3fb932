//! What `run_results.json` says about files. A key that is not there is an error.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The results of a run, as far as they are looked at.
#[derive(Deserialize)]
pub(super) struct Results {
    pub(super) run_id: String,
    pub(super) waiting_files: Vec<LeftFile>,
    pub(super) refused_files: Vec<LeftFile>,
    pub(super) unclaimed_files: Vec<String>,
    pub(super) tables: BTreeMap<String, TableResult>,
}

/// A file that was not read, and why.
#[derive(Debug, Deserialize)]
pub(super) struct LeftFile {
    pub(super) source: String,
    pub(super) name: String,
    pub(super) reason: String,
}

/// A table.
#[derive(Deserialize)]
pub(super) struct TableResult {
    pub(super) status: String,
    pub(super) new_batches: Vec<String>,
    pub(super) files: Vec<FileResult>,
}

/// A file that was read.
#[derive(Deserialize)]
pub(super) struct FileResult {
    pub(super) name: String,
    pub(super) encoding: Option<String>,
    pub(super) records: u64,
    pub(super) rejected: u64,
    pub(super) added_columns: Vec<AddedColumn>,
    pub(super) rescued_columns: Vec<String>,
    pub(super) missing_columns: Vec<String>,
    pub(super) renamed_headers: Vec<RenamedHeader>,
    pub(super) reordered: bool,
    pub(super) suspicious_records: Vec<u64>,
}

/// A header that became a new column.
#[derive(Deserialize)]
pub(super) struct AddedColumn {
    pub(super) header: String,
    pub(super) column: String,
}

/// A header that is written differently.
#[derive(Deserialize)]
pub(super) struct RenamedHeader {
    pub(super) expected: String,
    pub(super) found: String,
}
