//! The bronze step of a run: take in what is new, find out what is current.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};
use medallion_bronze::{Discovery, FoundExport, IngestOptions, Ingested, discover, ingest, read_export};
use medallion_lake::{CommitInfo, CommitMode, Lake, PublishedTable};
use medallion_pipeline::{Pipeline, Reject, SourceTable, TableFiles, TableName};
use medallion_silver::rejects::Stage;
use rayon::prelude::*;
use serde_json::json;

use crate::batch::{BatchId, Batches, files_of};
use crate::error::Cause;
use crate::rejects;
use crate::results::{Status, TableResult};

/// How many tables are read from or committed to the lake at the same time.
const CONCURRENT_LAKE_CALLS: usize = 16;

/// A source after ingest.
#[derive(Debug)]
pub(crate) struct CurrentBatch {
    /// Its id; `None` where nothing ever arrived.
    pub batch_id: Option<String>,
    /// Its files.
    pub files: TableFiles,
}

/// What the bronze step leaves for the next ones.
#[derive(Debug, Default)]
pub(crate) struct BronzeStep {
    /// The current batch of each source.
    pub current: BTreeMap<TableName, CurrentBatch>,
    /// Each source in the results.
    pub results: BTreeMap<TableName, TableResult>,
    /// Files that no source claims.
    pub unclaimed: Vec<String>,
}

/// Reads, stages and commits what is new in `folder`. Nothing is committed unless every source could be staged.
pub(crate) async fn take_in(
    lake: &Lake,
    pipeline: &Pipeline,
    folder: &Path,
    options: &IngestOptions,
) -> Result<BronzeStep, Cause> {
    let published = published(lake, pipeline).await?;
    let discovery = discover(folder, pipeline.sources.values())?;
    check_required(pipeline, &discovery, &published, folder)?;
    let (staged, cause) = stage_all(lake, pipeline, &discovery, &published, options);
    if let Some(cause) = cause {
        discard(lake, &staged);
        return Err(cause);
    }
    commit_rejects(lake, &staged, options).await?;
    commit_all(lake, &staged, options).await?;
    let mut step = BronzeStep { unclaimed: discovery.unclaimed, ..BronzeStep::default() };
    for source in staged {
        let before = published.get(&source.source.name).and_then(Option::as_ref);
        step.add(source, before);
    }
    Ok(step)
}

/// A source with the batches that were staged for it.
struct StagedSource<'a> {
    source: &'a SourceTable,
    batches: Batches,
    new: Vec<(BatchId, Ingested)>,
    delivered: bool,
    exists: bool,
    seconds: f64,
}

type Published = BTreeMap<TableName, Option<PublishedTable>>;

async fn published(lake: &Lake, pipeline: &Pipeline) -> Result<Published, Cause> {
    stream::iter(pipeline.sources.values())
        .map(|source| async { Ok((source.name.clone(), lake.published(&source.name, None).await?)) })
        .buffer_unordered(CONCURRENT_LAKE_CALLS)
        .try_collect()
        .await
}

fn check_required(
    pipeline: &Pipeline,
    discovery: &Discovery,
    published: &Published,
    folder: &Path,
) -> Result<(), Cause> {
    let missing: Vec<&SourceTable> = pipeline
        .sources
        .values()
        .filter(|source| source.source.required && !discovery.exports.contains_key(&source.name.table))
        .filter(|source| Batches::of(published.get(&source.name).and_then(Option::as_ref)).current().is_none())
        .collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Cause::MissingSources {
            sources: missing.iter().map(|source| source.name.table.clone()).collect(),
            folder: folder.display().to_string(),
            patterns: first.source.patterns.clone(),
        }),
    }
}

/// Stages what is new of every source; the first failure, if any, comes with what the others staged.
fn stage_all<'a>(
    lake: &Lake,
    pipeline: &'a Pipeline,
    discovery: &Discovery,
    published: &Published,
    options: &IngestOptions,
) -> (Vec<StagedSource<'a>>, Option<Cause>) {
    let results: Vec<(StagedSource<'a>, Option<Cause>)> = pipeline
        .sources
        .values()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|source| {
            let before = published.get(&source.name).and_then(Option::as_ref);
            let exports = discovery.exports.get(&source.name.table).map(Vec::as_slice).unwrap_or_default();
            stage(lake, source, exports, before, options)
        })
        .collect();
    let mut staged = Vec::with_capacity(results.len());
    let mut first_cause = None;
    for (source, cause) in results {
        staged.push(source);
        first_cause = first_cause.or(cause);
    }
    (staged, first_cause)
}

fn stage<'a>(
    lake: &Lake,
    source: &'a SourceTable,
    exports: &[FoundExport],
    published: Option<&PublishedTable>,
    options: &IngestOptions,
) -> (StagedSource<'a>, Option<Cause>) {
    let started = Instant::now();
    let mut staged = StagedSource {
        source,
        batches: Batches::of(published),
        new: Vec::new(),
        delivered: !exports.is_empty(),
        exists: published.is_some(),
        seconds: 0.0,
    };
    let mut cause = None;
    for export in exports {
        if let Err(error) = staged.add(lake, export, options) {
            cause = Some(error);
            break;
        }
    }
    staged.seconds = started.elapsed().as_secs_f64();
    (staged, cause)
}

impl StagedSource<'_> {
    fn add(&mut self, lake: &Lake, export: &FoundExport, options: &IngestOptions) -> Result<(), Cause> {
        let content = read_export(self.source, export)?;
        let Some(batch) = self.batches.next(content.export_date, &content.hash) else { return Ok(()) };
        let folder = batch.to_string();
        // What a run that crashed here left behind.
        lake.discard(&self.source.name, &folder)?;
        let ingested = ingest(lake, self.source, content, &folder, options);
        match ingested {
            Ok(ingested) => {
                self.new.push((batch.clone(), ingested));
                self.batches.add(batch);
                Ok(())
            }
            Err(error) => {
                lake.discard(&self.source.name, &folder)?;
                Err(error.into())
            }
        }
    }

    fn status(&self) -> (Status, Option<String>) {
        if !self.new.is_empty() {
            return (Status::Success, None);
        }
        let current = self.batches.current().map(|batch| batch.export_date.to_string()).unwrap_or_default();
        if self.delivered {
            (Status::Unchanged, Some(format!("the files are known; the batch of {current} stays")))
        } else if self.batches.current().is_some() {
            (Status::NotDelivered, Some(format!("no new file; the batch of {current} is used")))
        } else {
            (Status::Absent, Some("an optional source that never arrived; its tables are empty".to_owned()))
        }
    }
}

fn discard(lake: &Lake, staged: &[StagedSource<'_>]) {
    for source in staged {
        for (batch, _) in &source.new {
            // A folder that stays is no harm: no log names it, and the next run clears it first.
            let _ = lake.discard(&source.source.name, &batch.to_string());
        }
    }
}

/// Before the batches: a batch that is in bronze is known, and what was set aside of it would never come again.
async fn commit_rejects(lake: &Lake, staged: &[StagedSource<'_>], options: &IngestOptions) -> Result<(), Cause> {
    let new = || staged.iter().flat_map(|source| &source.new);
    let batches: BTreeSet<String> = new().map(|(batch, _)| batch.to_string()).collect();
    let set_aside: Vec<Reject> = new().flat_map(|(_, ingested)| &ingested.rejects).cloned().collect();
    rejects::replace(lake, &options.run_id, Stage::Parse, &batches, &set_aside).await
}

async fn commit_all(lake: &Lake, staged: &[StagedSource<'_>], options: &IngestOptions) -> Result<(), Cause> {
    let commits = stream::iter(staged.iter()).map(|source| commit(lake, source, options));
    commits.buffer_unordered(CONCURRENT_LAKE_CALLS).try_collect::<Vec<()>>().await.map(|_| ())
}

/// One commit per batch, in order, so that each version of the table is what one export brought.
async fn commit(lake: &Lake, source: &StagedSource<'_>, options: &IngestOptions) -> Result<(), Cause> {
    if source.new.is_empty() && !source.exists {
        let area = lake.staging_area(&source.source.name, &options.run_id)?;
        let nothing = lake.staged(&source.source.schema, &area)?;
        let info = CommitInfo { run_id: options.run_id.clone(), ..CommitInfo::default() };
        lake.commit(&nothing, CommitMode::Append, &info).await?;
        lake.discard(&source.source.name, &options.run_id)?;
    }
    for (batch, ingested) in &source.new {
        let files: Vec<_> = ingested
            .files
            .iter()
            .map(|file| json!({"name": file.name, "hash": file.hash, "bytes": file.bytes}))
            .collect();
        let info = CommitInfo {
            run_id: options.run_id.clone(),
            release: None,
            extra: vec![("batch_id".to_owned(), json!(batch.to_string())), ("files".to_owned(), json!(files))],
        };
        lake.commit(&ingested.staged, CommitMode::Append, &info).await?;
    }
    Ok(())
}

impl BronzeStep {
    fn add(&mut self, source: StagedSource<'_>, published: Option<&PublishedTable>) {
        let (status, skipped) = source.status();
        let current = source.batches.current().cloned();
        let mut result = TableResult::built(0, 0, source.seconds);
        result.status = status;
        result.skipped = skipped;
        result.batch_id = current.as_ref().map(ToString::to_string);
        result.export_date = current.as_ref().map(|batch| batch.export_date);
        let mut files = TableFiles { schema: source.source.schema.clone(), files: Vec::new() };
        for (batch, ingested) in source.new {
            result.rows_in += ingested.files.iter().map(|file| file.records).sum::<u64>();
            result.rows_out += ingested.rows;
            result.rejected += ingested.rejects.len() as u64;
            result.new_batches.push(batch.to_string());
            if current.as_ref() == Some(&batch) {
                files = ingested.staged.files();
            }
            result.files.extend(ingested.files);
        }
        if files.files.is_empty()
            && let (Some(published), Some(current)) = (published, &current)
        {
            files = files_of(published, current);
        }
        let name = source.source.name.clone();
        self.current.insert(name.clone(), CurrentBatch { batch_id: result.batch_id.clone(), files });
        self.results.insert(name, result);
    }
}
