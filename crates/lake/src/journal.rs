//! The journal: what is being published, written before the first table changes, so that the next run can finish it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use medallion_pipeline::{Column, ColumnType, DataFile, Layer, TableName, TableSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commit::CommitInfo;
use crate::commit::whole::{SCHEMA_KEY, digest};
use crate::error::LakeError;
use crate::place::{Lake, MEDALLION_FOLDER};
use crate::published::is_below;
use crate::release::{Release, ReleasedBatch, ReleasedTable, TableHashes};
use crate::snapshots::Snapshots;
use crate::staging::{StagedFile, StagedTable};

const JOURNAL_FILE: &str = "journal.json";

/// A release on its way, with all it takes to commit its tables without the engines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// [`Journal::SCHEMA`].
    pub(crate) schema: String,
    /// The release it will be.
    pub(crate) release: u64,
    pub(crate) run_id: String,
    pub(crate) as_of: NaiveDate,
    pub(crate) published_at: DateTime<Utc>,
    pub(crate) batches: BTreeMap<String, ReleasedBatch>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) history: BTreeMap<String, Snapshots>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rolled_back_to: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline_key: Option<String>,
    /// On object storage: the number of the lock under which it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fence: Option<u64>,
    /// The tables to commit.
    pub(crate) tables: Vec<JournalTable>,
    /// The tables that stay as they are, by name.
    pub(crate) unchanged: BTreeMap<String, ReleasedTable>,
}

/// A table to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JournalTable {
    pub(crate) table: TableName,
    /// The version it has before; `None` if there is no such table yet.
    pub(crate) version_before: Option<u64>,
    fingerprint: Option<String>,
    #[serde(default)]
    build_key: Option<String>,
    #[serde(default)]
    definition: Option<String>,
    description: String,
    columns: Vec<JournalColumn>,
    partition_columns: Vec<String>,
    files: Vec<JournalFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalColumn {
    name: String,
    #[serde(rename = "type")]
    data_type: ColumnType,
    description: String,
}

/// A file of a table to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalFile {
    /// Relative to the table's folder.
    path: String,
    rows: u64,
    bytes: u64,
    /// Milliseconds since 1970.
    modified: i64,
    partition_values: BTreeMap<String, Option<String>>,
    /// What the Delta log gets, word for word.
    statistics: String,
}

impl Journal {
    /// The schema of journals this build writes and reads.
    pub(crate) const SCHEMA: &str = "medallion/journal/v1";

    /// The release, once its tables have got these versions.
    pub(crate) fn release(&self, versions: &BTreeMap<TableName, u64>) -> Release {
        let committed = self.tables.iter().filter_map(|table| {
            let version = *versions.get(&table.table)?;
            let released = ReleasedTable::new(version, table.rows(), table.hashes());
            Some((table.table.to_string(), released))
        });
        Release {
            schema: Release::SCHEMA.to_owned(),
            release: self.release,
            run_id: self.run_id.clone(),
            as_of: self.as_of,
            published_at: self.published_at,
            tables: self.unchanged.clone().into_iter().chain(committed).collect(),
            batches: self.batches.clone(),
            history: self.history.clone(),
            rolled_back_to: self.rolled_back_to,
            pipeline_key: self.pipeline_key.clone(),
            fence: self.fence,
        }
    }

    /// What a table's commit says about itself.
    pub(crate) fn commit_info(&self, table: &TableName) -> CommitInfo {
        let mut extra = Vec::new();
        if let Some(table) = self.tables.iter().find(|known| known.table == *table) {
            extra.push(("rows".to_owned(), Value::from(table.rows())));
            extra.extend(digest(&table.schema()).map(|text| (SCHEMA_KEY.to_owned(), Value::from(text))));
            extra.extend(table.fingerprint.clone().map(|text| ("fingerprint".to_owned(), Value::from(text))));
        }
        CommitInfo { run_id: self.run_id.clone(), release: Some(self.release), extra }
    }
}

impl JournalTable {
    pub(crate) fn new(staged: &StagedTable, version_before: Option<u64>, hashes: TableHashes) -> Self {
        let schema = &staged.schema;
        let column = |column: &Column| JournalColumn {
            name: column.name.clone(),
            data_type: column.data_type,
            description: column.description.clone(),
        };
        let file = |file: &StagedFile| JournalFile {
            path: file.path.clone(),
            rows: file.data.rows,
            bytes: file.data.bytes,
            modified: file.modified,
            partition_values: file.data.partition_values.clone(),
            statistics: file.statistics.clone(),
        };
        Self {
            table: schema.name.clone(),
            version_before,
            fingerprint: hashes.fingerprint,
            build_key: hashes.build_key,
            definition: hashes.definition,
            description: schema.description.clone(),
            columns: schema.columns.iter().map(column).collect(),
            partition_columns: schema.partition_columns.clone(),
            files: staged.files.iter().map(file).collect(),
        }
    }

    pub(crate) fn schema(&self) -> TableSchema {
        let column = |column: &JournalColumn| Column::new(&column.name, column.data_type, &column.description);
        TableSchema {
            name: self.table.clone(),
            description: self.description.clone(),
            columns: self.columns.iter().map(column).collect(),
            partition_columns: self.partition_columns.clone(),
        }
    }

    fn hashes(&self) -> TableHashes {
        TableHashes {
            fingerprint: self.fingerprint.clone(),
            build_key: self.build_key.clone(),
            definition: self.definition.clone(),
        }
    }

    fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Whether it could have been written by this program: bronze is never part of a release, and no file lies
    /// outside the table's folder.
    fn is_sound(&self) -> bool {
        self.table.layer != Layer::Bronze && self.files.iter().all(|file| is_below(&file.path))
    }
}

impl Lake {
    /// The journal of a release that is not finished, if there is one.
    ///
    /// # Errors
    /// If it is not readable, or of another schema.
    pub(crate) fn journal(&self) -> Result<Option<Journal>, LakeError> {
        let path = self.journal_path();
        self.refuse_link(&path)?;
        let text = match self.disk().read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(LakeError::io(self.customer(), &path, "read"))?,
        };
        let unreadable = |source: serde_json::Error| self.unrecoverable(format!("it is not readable: {source}"));
        let value: Value = serde_json::from_slice(&text).map_err(unreadable)?;
        let found = value.get("schema").and_then(Value::as_str).unwrap_or_default();
        if found != Journal::SCHEMA {
            return Err(LakeError::JournalSchema {
                customer: self.customer().to_owned(),
                path,
                found: found.to_owned(),
            });
        }
        let journal: Journal = serde_json::from_value(value).map_err(unreadable)?;
        self.check_run_id(&journal.run_id)?;
        match journal.tables.iter().find(|table| !table.is_sound()) {
            Some(table) => Err(self.unrecoverable(format!("what it says of table {} is not sound", table.table))),
            None => Ok(Some(journal)),
        }
    }

    /// Whether a release is not finished.
    pub(crate) fn has_journal(&self) -> bool {
        self.journal_path().symlink_metadata().is_ok()
    }

    /// Writes the journal, for good; there must be none.
    pub(crate) fn write_journal(&self, journal: &Journal) -> Result<(), LakeError> {
        let path = self.journal_path();
        let json = |source| LakeError::Json { customer: self.customer().to_owned(), path: path.clone(), source };
        let mut text = serde_json::to_vec(journal).map_err(json)?;
        text.push(b'\n');
        let written = self.disk().create_new(&path, &[Bytes::from(text)]);
        written.map_err(LakeError::io(self.customer(), &path, "write"))
    }

    /// Waits until the journal's name is on the disk.
    pub(crate) fn sync_journal(&self) -> Result<(), LakeError> {
        let folder = self.folder().join(MEDALLION_FOLDER);
        self.disk().sync_folder(&folder).map_err(LakeError::io(self.customer(), &folder, "bring to disk"))
    }

    /// Removes the journal. A power loss may bring it back, until the next one is written: what it stands for is
    /// then found done.
    pub(crate) fn remove_journal(&self) -> Result<(), LakeError> {
        let path = self.journal_path();
        self.disk().remove_file(&path).map_err(LakeError::io(self.customer(), &path, "remove"))
    }

    /// The first of a table's files, given with their sizes, that is not there like that.
    pub(crate) fn missing_file<'a>(
        &self,
        table: &TableName,
        files: impl Iterator<Item = (&'a str, u64)>,
    ) -> Result<Option<PathBuf>, LakeError> {
        let folder = self.table_folder(table)?;
        let is_whole = |path: &Path, bytes: u64| {
            path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == bytes)
        };
        let mut files = files.map(|(path, bytes)| (folder.join(path), bytes));
        Ok(files.find(|(path, bytes)| !is_whole(path, *bytes)).map(|(path, _)| path))
    }

    /// The files of a table of the journal, as its run staged them.
    pub(crate) fn restaged(&self, table: &JournalTable) -> Result<StagedTable, LakeError> {
        let folder = self.table_folder(&table.table)?;
        let file = |file: &JournalFile| {
            Ok(StagedFile {
                data: DataFile {
                    location: self.file_url(&folder.join(&file.path))?,
                    partition_values: file.partition_values.clone(),
                    rows: file.rows,
                    bytes: file.bytes,
                },
                path: file.path.clone(),
                statistics: file.statistics.clone(),
                modified: file.modified,
            })
        };
        let files = table.files.iter().map(file).collect::<Result<_, LakeError>>()?;
        Ok(StagedTable { schema: table.schema(), files })
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.folder().join(MEDALLION_FOLDER).join(JOURNAL_FILE)
    }

    pub(crate) fn unrecoverable(&self, problem: String) -> LakeError {
        LakeError::Unrecoverable { customer: self.customer().to_owned(), path: self.journal_path(), problem }
    }
}
