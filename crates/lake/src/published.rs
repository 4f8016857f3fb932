//! Published tables, read back from their Delta logs.

use std::path::{Component, Path};

use deltalake::table::state::DeltaTableState;
use medallion_pipeline::{DataFile, TableFiles, TableName};
use parquet::file::metadata::ParquetMetaDataReader;
use serde_json::{Value, json};

use crate::commit::RUN_ID_KEY;
use crate::error::LakeError;
use crate::place::{LOG_FOLDER, Lake};
use crate::staging::{StagedFile, StagedTable};
use crate::table_schema::schema_of;

/// A version of a published table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTable {
    /// The version of the Delta table.
    pub version: u64,
    /// The run that committed it, as long as the log of that commit is kept.
    pub run_id: Option<String>,
    /// The schema with the files, ordered by path.
    pub files: TableFiles,
    /// The files' paths within the table's folder, in the order of the files.
    pub(crate) paths: Vec<String>,
}

/// A version of a table with all that its log tells of it.
pub(crate) struct LoggedTable {
    pub(crate) published: PublishedTable,
    /// In the order of the files.
    marks: Vec<Marks>,
}

/// What Delta knows of a file beyond what engines need.
struct Marks {
    statistics: String,
    modified: i64,
}

impl PublishedTable {
    /// Each file with its path relative to the table's folder; the first part is the run or batch that staged it.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &DataFile)> {
        self.paths.iter().map(String::as_str).zip(&self.files.files)
    }

    /// Rows in all files together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.rows()
    }
}

impl LoggedTable {
    /// The same files, ready to be committed again: how a rollback publishes old contents.
    pub(crate) fn restaged(self) -> StagedTable {
        let Self { published: PublishedTable { files: TableFiles { schema, files }, paths, .. }, marks } = self;
        let file = |((path, data), Marks { statistics, modified })| StagedFile { data, path, statistics, modified };
        let files = paths.into_iter().zip(files).zip(marks).map(file).collect();
        StagedTable { schema, files }
    }
}

impl Lake {
    /// The latest or the given version of a table; `None` if there is no such table. Needs a Tokio runtime.
    ///
    /// # Errors
    /// If there is no such version, the log cannot be read, or the table was changed by another program.
    pub async fn published(
        &self,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<Option<PublishedTable>, LakeError> {
        Ok(self.logged(table, version).await?.map(|logged| logged.published))
    }

    /// Like [`Lake::published`], with all that the log tells.
    pub(crate) async fn logged(
        &self,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<Option<LoggedTable>, LakeError> {
        if !self.has_log(table)? {
            return Ok(None);
        }
        let delta = self.load(table, version).await?;
        let state = delta.snapshot().map_err(self.delta_error(table, "read"))?;
        let version = state.version();
        let schema = schema_of(table, state).map_err(|problem| self.changed_outside(table, problem))?;
        let mut files = self.logged_files(table, state)?;
        files.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let (mut paths, mut data, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for (path, file, of_file) in files {
            paths.push(path);
            data.push(file);
            marks.push(of_file);
        }
        let run_id = self.run_of(table, version)?;
        let published = PublishedTable { version, run_id, files: TableFiles { schema, files: data }, paths };
        Ok(Some(LoggedTable { published, marks }))
    }

    fn logged_files(
        &self,
        table: &TableName,
        state: &DeltaTableState,
    ) -> Result<Vec<(String, DataFile, Marks)>, LakeError> {
        let folder = self.table_folder(table)?;
        let mut files = Vec::new();
        for file in state.log_data().iter() {
            let path = file.path().into_owned();
            if !is_below(&path) {
                return Err(self.changed_outside(table, format!("the file '{path}' is not in the table's folder")));
            }
            if file.deletion_vector_descriptor().is_some() {
                return Err(self.changed_outside(table, format!("rows of '{path}' are marked as deleted")));
            }
            let location = folder.join(&path);
            let rows = match file.num_records() {
                Some(rows) => rows as u64,
                None => self.rows_by_footer(table, &location)?,
            };
            let values = file.partition_values_map().into_iter();
            let data = DataFile {
                location: self.file_url(&location)?,
                partition_values: values.map(|(column, text)| (column, text.filter(|text| !text.is_empty()))).collect(),
                rows,
                bytes: u64::try_from(file.size()).unwrap_or(0),
            };
            let statistics = file.stats().unwrap_or_else(|| json!({"numRecords": rows}).to_string());
            files.push((path, data, Marks { statistics, modified: file.modification_time() }));
        }
        Ok(files)
    }

    fn rows_by_footer(&self, table: &TableName, path: &Path) -> Result<u64, LakeError> {
        let file = self.disk().open(path).map_err(LakeError::io(self.customer(), path, "open"))?;
        let footer = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|source| {
            let (customer, table, path) = (self.customer().to_owned(), table.clone(), path.to_path_buf());
            LakeError::Footer { customer, table, path, source }
        })?;
        Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0))
    }

    /// The run that committed a version; `None` if the commit is not in the log any more.
    pub(crate) fn run_of(&self, table: &TableName, version: u64) -> Result<Option<String>, LakeError> {
        let path = self.table_folder(table)?.join(LOG_FOLDER).join(format!("{version:020}.json"));
        let Ok(text) = self.disk().read_to_string(&path) else { return Ok(None) };
        let actions = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let run_id =
            actions.filter_map(|action| action.get("commitInfo")?.get(RUN_ID_KEY)?.as_str().map(str::to_owned)).next();
        Ok(run_id)
    }
}

/// Whether a file's path stays in the table's folder: an absolute one or one with `..` could reach another customer's.
pub(crate) fn is_below(path: &str) -> bool {
    !path.contains("://") && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
