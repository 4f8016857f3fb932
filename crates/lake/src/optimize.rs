//! Optimize: fewer files and shorter logs, the same rows.
//!
//! Silver and gold are left as they are. A run writes such a table as a whole, one file for each of its partitions, so
//! small files never add up there, and a new version of it would need a release of its own to be seen. Bronze grows
//! batch by batch. The folders of its files tell the batches apart, so files are merged within a batch, which has
//! several if an export comes in parts. Every log that has grown since its last checkpoint gets one, so that readers
//! need not go through its commits and vacuum can cut it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use deltalake::checkpoints::create_checkpoint;
use deltalake::kernel::Action;
use deltalake::protocol::DeltaOperation;
use medallion_pipeline::{DataFile, Layer, TableFiles, TableName};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use crate::commit::{CommitInfo, Landed, added, write_commit};
use crate::disk::blocking;
use crate::error::LakeError;
use crate::gate::Operation;
use crate::place::{LOG_FOLDER, Lake};
use crate::published::PublishedTable;
use crate::staging::StagedFile;
use crate::statistics::delta_statistics;
use crate::table_schema::CHECKPOINT_INTERVAL;
use crate::vacuum::{LogFile, name_of};

/// Files below this size are merged, in bytes.
const SMALL: u64 = 32 << 20;
/// How large files get by it, in bytes.
const TARGET: u64 = 128 << 20;
const ROWS_PER_ROW_GROUP: usize = 512 * 1024;
const ROWS_PER_BATCH: usize = 8192;

/// What [`Lake::optimize`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Optimized {
    /// Every table, whether something was done or not.
    pub tables: BTreeMap<TableName, OptimizedTable>,
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OptimizedTable {
    /// Files it had.
    pub files_before: u64,
    /// Files it has.
    pub files_after: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes now.
    pub bytes_after: u64,
    /// The version a checkpoint was written of.
    pub checkpoint: Option<u64>,
}

/// Files of one batch that become one.
struct Merge {
    /// Where they are in the published table.
    sources: Vec<usize>,
    /// The new file, relative to the table's folder.
    path: String,
}

impl Lake {
    /// Merges small files of a batch in bronze towards 128 MB and writes checkpoints of logs with more than ten
    /// commits since the last. Needs the lock, and a Tokio runtime. The merged files stay on the disk for older
    /// versions; vacuum removes them.
    ///
    /// # Errors
    /// If a table cannot be read or written; tables before it may be done.
    pub async fn optimize(&self, run_id: &str) -> Result<Optimized, LakeError> {
        self.check_run_id(run_id)?;
        let mut optimized = Optimized::default();
        for table in self.tables()? {
            let Some(published) = self.published(&table, None).await? else { continue };
            let mut done = OptimizedTable::default();
            (done.files_before, done.bytes_before) = size(&published.files);
            (done.files_after, done.bytes_after) = (done.files_before, done.bytes_before);
            if table.layer == Layer::Bronze {
                let files: Vec<_> = published.paths().map(|(path, file)| (path, file.bytes)).collect();
                let merges = plan(&files, run_id);
                if !merges.is_empty() {
                    (done.files_after, done.bytes_after) = self.merge_all(&published, merges, run_id).await?;
                }
            }
            done.checkpoint = self.checkpoint_if_due(&table).await?;
            optimized.tables.insert(table, done);
        }
        Ok(optimized)
    }

    /// Carries out the merges in one commit; returns how many files and bytes the table has after it.
    async fn merge_all(
        &self,
        published: &PublishedTable,
        merges: Vec<Merge>,
        run_id: &str,
    ) -> Result<(u64, u64), LakeError> {
        let table = &published.files.schema.name;
        let mut files = Vec::new();
        let mut merged = Vec::new();
        for merge in merges {
            let (lake, all) = (self.clone(), published.files.clone());
            let sources: Vec<DataFile> = merge.sources.iter().map(|index| all.files[*index].clone()).collect();
            let work = move || Ok(lake.merge(TableFiles { schema: all.schema, files: sources }, merge.path));
            let done = blocking(work).await.map_err(LakeError::io(self.customer(), self.folder(), "merge files of"))?;
            if let Some(file) = done? {
                files.push(file);
                merged.extend(merge.sources);
            }
        }
        let kept = published.files.files.iter().enumerate().filter(|(index, _)| !merged.contains(index));
        let after = kept.map(|(_, file)| file.bytes).chain(files.iter().map(|file| file.data.bytes));
        let after = after.fold((0, 0), |(files, bytes), file| (files + 1, bytes + file));
        if files.is_empty() {
            return Ok(after);
        }
        let delta = self.load(table, None).await?;
        let state = delta.snapshot().map_err(self.delta_error(table, "read"))?;
        let paths: Vec<&str> = published.paths().map(|(path, _)| path).collect();
        let gone = |path: &str| merged.iter().any(|index| paths.get(*index) == Some(&path));
        let current = state.log_data();
        let removed =
            current.iter().filter(|file| gone(&file.path())).map(|file| Action::Remove(file.remove_action(false)));
        let actions = removed.chain(files.iter().map(|file| unchanged(added(file)))).collect();
        let target_size = i64::try_from(TARGET).unwrap_or(i64::MAX);
        let operation = DeltaOperation::Optimize { predicate: None, target_size };
        let info = CommitInfo { run_id: run_id.to_owned(), ..CommitInfo::default() };
        let committed = write_commit(delta.log_store(), Some(state), actions, operation, &info, None).await;
        let version = committed.map_err(|error| self.commit_error(table, error))?;
        self.checkpoint(Landed { table: table.clone(), version }).await;
        Ok(after)
    }

    /// Writes the rows of files into a new one that is on the disk afterwards, and compares them. `None` if the files
    /// have not the same columns.
    fn merge(&self, sources: TableFiles, path: String) -> Result<Option<StagedFile>, LakeError> {
        let table = sources.schema.name.clone();
        let target = self.table_folder(&table)?.join(&path);
        let unreadable = |path: &Path| {
            let (customer, table, path) = (self.customer().to_owned(), table.clone(), path.to_path_buf());
            move |source| LakeError::Footer { customer, table, path, source }
        };
        let mut opened = Vec::new();
        for source in &sources.files {
            let location = || LakeError::InvalidLocation { location: source.location.to_string() };
            let path = source.location.to_file_path().map_err(|()| location())?;
            let file = self.disk().open(&path).map_err(LakeError::io(self.customer(), &path, "open"))?;
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let metadata = ArrowReaderMetadata::load(&file, options).map_err(unreadable(&path))?;
            opened.push((path, file, metadata));
        }
        let Some(schema) = common_schema(opened.iter().map(|(_, _, metadata)| metadata.schema())) else {
            return Ok(None);
        };
        let write_error = |action| LakeError::io(self.customer(), &target, action);
        self.disk().pass(Operation::Write, &target).map_err(write_error("write"))?;
        let file = File::create_new(&target).map_err(write_error("write"))?;
        let mut writer = writer(file, &schema).map_err(unreadable(&target))?;
        for (path, file, metadata) in opened {
            copy_rows(file, metadata, &schema, &mut writer).map_err(unreadable(&path))?;
        }
        let footer = writer.close().map_err(unreadable(&target))?;
        self.disk().sync_file(&target).map_err(write_error("bring to disk"))?;
        let folder = target.parent().unwrap_or(&target);
        self.disk().sync_folder(folder).map_err(write_error("bring to disk the name of"))?;
        let merged = self.merged_file(&sources, path, &target, &footer)?;
        let files = TableFiles { schema: sources.schema.clone(), files: vec![merged.data.clone()] };
        if self.fingerprint_of_all_columns(&sources)? == self.fingerprint_of_all_columns(&files)? {
            return Ok(Some(merged));
        }
        Err(LakeError::MergedRows { customer: self.customer().to_owned(), table, path: target })
    }

    fn merged_file(
        &self,
        sources: &TableFiles,
        path: String,
        target: &Path,
        footer: &ParquetMetaData,
    ) -> Result<StagedFile, LakeError> {
        let looked_at = LakeError::io(self.customer(), target, "look at");
        let bytes = std::fs::metadata(target).map_err(looked_at)?.len();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(StagedFile {
            data: DataFile {
                location: self.file_url(target)?,
                partition_values: BTreeMap::new(),
                rows: sources.rows(),
                bytes,
            },
            path,
            statistics: delta_statistics(&sources.schema, footer),
            modified: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Writes a checkpoint of the last version unless there is one of a recent version; returns of which.
    async fn checkpoint_if_due(&self, table: &TableName) -> Result<Option<u64>, LakeError> {
        let log = self.table_folder(table)?.join(LOG_FOLDER);
        let (mut last, mut checkpoint) = (None, None);
        for path in self.entries(&log)? {
            match name_of(&path).map(LogFile::of) {
                Some(LogFile::Commit(version)) => last = last.max(Some(version)),
                Some(LogFile::Checkpoint(version)) => checkpoint = checkpoint.max(Some(version)),
                _ => {}
            }
        }
        let Some(last) = last else { return Ok(None) };
        let commits = checkpoint.map_or(last + 1, |checkpoint: u64| last.saturating_sub(checkpoint));
        if commits <= CHECKPOINT_INTERVAL {
            return Ok(None);
        }
        let delta = self.load(table, None).await?;
        create_checkpoint(&delta, None).await.map_err(self.delta_error(table, "write a checkpoint of"))?;
        Ok(Some(last))
    }
}

fn size(files: &TableFiles) -> (u64, u64) {
    (files.files.len() as u64, files.files.iter().map(|file| file.bytes).sum())
}

/// Which files become one: neighbours in one folder that are small, as long as they are not too large together.
fn plan(files: &[(&str, u64)], run_id: &str) -> Vec<Merge> {
    let folder = |index: usize| files[index].0.rsplit_once('/').map(|(folder, _)| folder);
    let mut groups: Vec<(Vec<usize>, u64)> = Vec::new();
    for (index, (_, bytes)) in files.iter().enumerate() {
        let joined = groups.last_mut().filter(|(group, together)| {
            let neighbour = group.last().is_some_and(|last| last + 1 == index && folder(*last) == folder(index));
            neighbour && together + bytes <= TARGET
        });
        match joined {
            _ if *bytes >= SMALL => {}
            Some((group, together)) => {
                group.push(index);
                *together += bytes;
            }
            None => groups.push((vec![index], *bytes)),
        }
    }
    let several = groups.into_iter().map(|(sources, _)| sources).filter(|sources| sources.len() > 1);
    let path = |first: usize| format!("{}-{run_id}.parquet", files[first].0.trim_end_matches(".parquet"));
    // In the order of paths the new file is where its first one was.
    several.map(|sources| Merge { path: path(sources[0]), sources }).collect()
}

/// The columns of all files, if they are the same.
fn common_schema<'a>(schemas: impl Iterator<Item = &'a SchemaRef>) -> Option<SchemaRef> {
    let mut nullable = schemas.map(|schema| {
        let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        Schema::new(fields.collect::<Vec<_>>())
    });
    let first = nullable.next()?;
    nullable.all(|other| other == first).then(|| Arc::new(first))
}

fn writer(file: File, schema: &SchemaRef) -> Result<ArrowWriter<File>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROWS_PER_ROW_GROUP))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(file, Arc::clone(schema), options)
}

fn copy_rows(
    file: File,
    metadata: ArrowReaderMetadata,
    schema: &SchemaRef,
    writer: &mut ArrowWriter<File>,
) -> Result<(), ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    for batch in reader.with_batch_size(ROWS_PER_BATCH).build()? {
        let columns = batch?.columns().to_vec();
        writer.write(&RecordBatch::try_new(Arc::clone(schema), columns)?)?;
    }
    Ok(())
}

/// The rows are those that were there before.
fn unchanged(action: Action) -> Action {
    match action {
        Action::Add(add) => Action::Add(deltalake::kernel::Add { data_change: false, ..add }),
        other => other,
    }
}

#[cfg(test)]
mod tests;
