//! Overwriting a table without reading its log: the last commit of a release holds all of it.
//!
//! Such a commit adds every file the table then has, and says which columns they have. If the last commit in the log is
//! one and the columns stay, it is all that is needed to write the next one; reading a log takes a hundred times as
//! long. Whatever is not as expected is left to deltalake.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::Utc;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::CommitData;
use deltalake::kernel::{Action, Add, Remove, Transaction};
use deltalake::protocol::DeltaOperation;
use medallion_pipeline::{TableName, TableSchema};
use serde_json::Value;

use crate::commit::RELEASES;
use crate::disk::blocking;
use crate::error::LakeError;
use crate::place::{LOG_FOLDER, Lake};

/// The entry of the commit info that tells a table's columns from others.
pub(crate) const SCHEMA_KEY: &str = "schema";

/// What tells a table's columns from others, their descriptions and the table's included.
pub(crate) fn digest(schema: &TableSchema) -> Option<String> {
    let text = serde_json::to_vec(schema).ok()?;
    Some(blake3::hash(&text).to_hex()[..32].to_owned())
}

/// The last commit of a table, if it was made for a release.
pub(crate) struct WholeCommit {
    pub(crate) version: u64,
    pub(crate) files: Vec<Add>,
}

impl Lake {
    /// The last commit of a table, if it holds all of the table and its columns are these.
    pub(crate) fn whole_commit(&self, schema: &TableSchema) -> Result<Option<WholeCommit>, LakeError> {
        let Some(version) = self.latest_version(&schema.name)? else { return Ok(None) };
        let Ok(text) = self.disk().read_to_string(&self.log_entry(&schema.name, version)?) else { return Ok(None) };
        let actions: Result<Vec<Action>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(actions.ok().and_then(|actions| whole(actions, schema)).map(|files| WholeCommit { version, files }))
    }

    /// Writes the commit that follows another. Fails if there is one already.
    pub(crate) async fn write_entry(
        &self,
        table: &TableName,
        version: u64,
        actions: Vec<Action>,
        operation: DeltaOperation,
        metadata: HashMap<String, Value>,
        transaction: Option<Transaction>,
    ) -> Result<(), LakeError> {
        let data = CommitData::new(actions, operation, metadata, transaction.into_iter().collect());
        let bytes: Bytes = data.get_bytes().map_err(|source| self.commit_error(table, source.into()))?;
        let path = self.log_entry(table, version)?;
        let (disk, entry) = (self.disk().clone(), path.clone());
        let written = blocking(move || disk.create_new(&entry, &[bytes])).await;
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => self.commit_error(table, DeltaTableError::VersionAlreadyExists(version)),
            _ => LakeError::io(self.customer(), &path, "write")(error),
        })
    }

    /// The last version in a table's log, without reading it.
    pub(crate) fn latest_version(&self, table: &TableName) -> Result<Option<u64>, LakeError> {
        let log = self.table_folder(table)?.join(LOG_FOLDER);
        self.refuse_link(&log)?;
        let version = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok();
        Ok(self.entries(&log)?.iter().filter_map(version).max())
    }

    pub(crate) fn log_entry(&self, table: &TableName, version: u64) -> Result<PathBuf, LakeError> {
        Ok(self.table_folder(table)?.join(LOG_FOLDER).join(format!("{version:020}.json")))
    }
}

/// The files of a table with these columns, if the commit was made for a release.
fn whole(actions: Vec<Action>, schema: &TableSchema) -> Option<Vec<Add>> {
    let (mut is_for_release, mut has_columns, mut files) = (false, false, Vec::new());
    let columns = digest(schema)?;
    for action in actions {
        match action {
            Action::Add(file) if file.deletion_vector.is_none() => files.push(file),
            Action::Txn(transaction) => is_for_release |= transaction.app_id == RELEASES,
            Action::CommitInfo(info) => {
                let found = info.info.get(&format!("medallion.{SCHEMA_KEY}"));
                has_columns = found.and_then(Value::as_str) == Some(&columns);
            }
            Action::Remove(_) | Action::Metadata(_) | Action::Protocol(_) => {}
            _ => return None,
        }
    }
    (is_for_release && has_columns).then_some(files)
}

/// The removal of a file of the commit before.
pub(crate) fn removal(file: Add) -> Remove {
    Remove {
        path: file.path,
        data_change: true,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(file.partition_values),
        size: Some(file.size),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}
