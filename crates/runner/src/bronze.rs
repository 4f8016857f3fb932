//! The bronze step of a run: take in what is new, find out what is current.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use chrono::NaiveDate;
use futures::stream::{self, StreamExt};
use medallion_bronze::{Discovery, IngestOptions, NotTaken, ReadFile, discover};
use medallion_lake::{CommitInfo, CommitMode, Lake, LedgerEntry, PublishedTable, StagedTable};
use medallion_pipeline::{Arrival, Column, Mode, Pipeline, Reject, SourceTable, TableFiles, TableName, TableSchema};
use medallion_silver::rejects::Stage;
use medallion_silver::{Effect, Increment, RuleCount};
use rayon::prelude::*;
use serde_json::json;
use tokio::task::JoinError;

use crate::arriving::{Arriving, StagedSource};
use crate::batch::{Batches, Content, files_of};
use crate::build_key::increments_hash;
use crate::error::Cause;
use crate::interrupt::Interrupt;
use crate::rejects;
use crate::results::{Status, TableResult};

/// How many tables are read from or committed to the lake at the same time.
const CONCURRENT_LAKE_CALLS: usize = 16;

/// A source after ingest.
#[derive(Debug)]
pub(crate) struct CurrentBatch {
    /// Its id, of increments that of the last in order; `None` where nothing ever arrived.
    pub batch_id: Option<String>,
    /// The hash of its content, of increments that of all of them.
    pub content_hash: Option<String>,
    /// Its files, of increments those of all of them in their order.
    pub files: TableFiles,
    /// The batches that count, where the source is incremental.
    pub increments: Option<Vec<Increment>>,
}

impl CurrentBatch {
    /// All batches whose rows silver is built from.
    pub(crate) fn batch_ids(&self) -> Vec<String> {
        match &self.increments {
            Some(increments) => increments.iter().map(|increment| increment.batch_id.clone()).collect(),
            None => self.batch_id.iter().cloned().collect(),
        }
    }
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
    /// Files that may still be written.
    pub waiting: Vec<NotTaken>,
    /// Files that cannot be used though the run can go on.
    pub refused: Vec<NotTaken>,
    /// What people should know, by table.
    pub warnings: Vec<(TableName, String)>,
    /// Files whose content is in bronze, by source.
    pub done: BTreeMap<TableName, Vec<ReadFile>>,
    /// All that was taken in of each source.
    pub batches: BTreeMap<TableName, Batches>,
    /// When the work on each source began.
    pub began: BTreeMap<TableName, Instant>,
    /// Whether the lake remembers the bronze tables as they are now.
    pub is_remembered: bool,
}

/// Where a customer's files arrive.
pub(crate) struct Drop<'a> {
    pub folder: &'a Path,
    pub arrival: &'a Arrival,
}

/// The sources that are to be taken in, among all that may be in the folder.
pub(crate) struct Wanted<'a> {
    pub pipeline: &'a Pipeline,
    pub sources: Vec<&'a SourceTable>,
}

impl Wanted<'_> {
    /// What is there of the sources. Files of the others are nobody's concern; without any the folder need not be there.
    fn discover(&self, drop: &Drop<'_>, options: &IngestOptions) -> Result<Discovery, Cause> {
        if self.sources.is_empty() {
            return Ok(Discovery::default());
        }
        let mut discovery = discover(drop.folder, self.pipeline.sources.values(), drop.arrival, options.now)?;
        let is_wanted = |file: &NotTaken| self.sources.iter().any(|source| source.name.table == file.source);
        discovery.waiting.retain(is_wanted);
        discovery.refused.retain(is_wanted);
        Ok(discovery)
    }
}

/// Reads, stages and commits what is new in the drop folder. Nothing is committed unless every source could be staged.
/// `step` is filled as far as this gets.
pub(crate) async fn take_in(
    lake: &Lake,
    wanted: &Wanted<'_>,
    drop: &Drop<'_>,
    options: &IngestOptions,
    interrupt: &Interrupt,
    step: &mut BronzeStep,
) -> Result<(), Cause> {
    let (published, is_remembered) = published(lake, &wanted.sources).await?;
    let ledger = lake.ledger()?;
    let discovery = wanted.discover(drop, options)?;
    let (mut staged, cause) = stage_all(lake, &wanted.sources, &discovery, &published, &ledger, options);
    step.leave(discovery, &mut staged);
    let cause = cause.or_else(|| missing_sources(&staged, step, drop.folder));
    let cause = cause.or_else(|| interrupt.check().err());
    if let Some(cause) = cause {
        discard(lake, &staged);
        return Err(cause);
    }
    commit_rejects(lake, &staged, options).await?;
    let entries: Vec<LedgerEntry> = staged.iter().flat_map(|source| source.ledger_entries(options)).collect();
    if !entries.is_empty() {
        // Before the rows: the ledger counts only where they are there.
        lake.append_to_ledger(&entries)?;
    }
    commit_all(lake, &staged, options).await?;
    step.is_remembered = is_remembered && staged.iter().all(|source| source.exists && source.new.is_empty());
    for source in staged {
        let before = published.get(&source.source.name).and_then(Option::as_ref);
        step.add(source, before);
    }
    Ok(())
}

/// Looks at what is new as [`take_in`] does, and leaves the lake as it is: what is staged is staged in `scratch`. A
/// failure is what would stop a run.
pub(crate) async fn look(
    lake: Option<&Lake>,
    scratch: &Lake,
    wanted: &Wanted<'_>,
    drop: &Drop<'_>,
    options: &IngestOptions,
    step: &mut BronzeStep,
) -> Result<(), Cause> {
    let (published, ledger) = match lake {
        Some(lake) => (published(lake, &wanted.sources).await?.0, lake.ledger()?),
        None => (Published::new(), Vec::new()),
    };
    let discovery = wanted.discover(drop, options)?;
    let (mut staged, cause) = stage_all(scratch, &wanted.sources, &discovery, &published, &ledger, options);
    step.leave(discovery, &mut staged);
    let cause = cause.or_else(|| missing_sources(&staged, step, drop.folder));
    for source in staged {
        let before = published.get(&source.source.name).and_then(Option::as_ref);
        step.add(source, before);
    }
    cause.map_or(Ok(()), Err)
}

pub(crate) type Published = BTreeMap<TableName, Option<PublishedTable>>;

/// The bronze tables of sources, and whether all of them are as the lake remembers them. The logs of others are read.
pub(crate) async fn published(lake: &Lake, sources: &[&SourceTable]) -> Result<(Published, bool), Cause> {
    let remembered = lake.remembered();
    let (mut published, mut forgotten) = (Published::new(), Vec::new());
    for source in sources {
        match remembered.published(lake, &source.name)? {
            Some(table) => drop(published.insert(source.name.clone(), Some(table))),
            None => forgotten.push(source.name.clone()),
        }
    }
    let is_remembered = forgotten.is_empty();
    // Reading a log is computing; tasks of their own use all threads.
    let reads = forgotten.into_iter().map(|name| async {
        let read = tokio::spawn({
            let (lake, name) = (lake.clone(), name.clone());
            async move { lake.published(&name, None).await }
        });
        let failed = |error: JoinError| Cause::Worker { table: name.to_string(), message: error.to_string() };
        let table = read.await.map_err(failed)??;
        Ok((name, table))
    });
    published.extend(all(reads).await?);
    Ok((published, is_remembered))
}

/// Sees to it that the next run need not read the logs of bronze.
pub(crate) async fn remember(lake: &Lake, sources: &[&SourceTable]) -> Result<(), Cause> {
    let (published, is_remembered) = published(lake, sources).await?;
    if is_remembered { Ok(()) } else { Ok(lake.remember(published.values().flatten())?) }
}

/// Works on several tables at the same time. After a failure the others still come to their end, so that nothing goes on
/// behind the back of whoever hears of it.
pub(crate) async fn all<T>(
    work: impl Iterator<Item = impl Future<Output = Result<T, Cause>>>,
) -> Result<Vec<T>, Cause> {
    let done: Vec<Result<T, Cause>> = stream::iter(work).buffer_unordered(CONCURRENT_LAKE_CALLS).collect().await;
    done.into_iter().collect()
}

/// Required sources of which nothing is there, now or from earlier nights.
fn missing_sources(staged: &[StagedSource<'_>], step: &BronzeStep, folder: &Path) -> Option<Cause> {
    let missing: Vec<&SourceTable> = staged
        .iter()
        .filter(|source| source.source.source.required && source.batches.current().is_none())
        .map(|source| source.source)
        .collect();
    let first = missing.first()?;
    let about = |not_taken: &&NotTaken| missing.iter().any(|source| source.name.table == not_taken.source);
    let waiting = step.waiting.iter().filter(about).map(|file| format!("{} waits: {}", file.name, file.reason));
    let refused = step.refused.iter().filter(about).map(|file| format!("{} is refused: {}", file.name, file.reason));
    Some(Cause::MissingSources {
        sources: missing.iter().map(|source| source.name.table.clone()).collect(),
        folder: folder.display().to_string(),
        patterns: first.source.patterns.clone(),
        not_taken: waiting.chain(refused).collect(),
    })
}

/// Stages what is new of every source; the first failure, if any, comes with what the others staged.
fn stage_all<'a>(
    lake: &Lake,
    sources: &[&'a SourceTable],
    discovery: &Discovery,
    published: &Published,
    ledger: &[LedgerEntry],
    options: &IngestOptions,
) -> (Vec<StagedSource<'a>>, Option<Cause>) {
    let arriving = Arriving { lake, options };
    let exports = |source: &SourceTable| discovery.exports.get(&source.name.table).map_or(&[][..], Vec::as_slice);
    let bytes = |source: &SourceTable| {
        let files = exports(source).iter().flat_map(|export| &export.files);
        files.map(|file| file.stamp.size).sum::<u64>()
    };
    // The largest first: nobody should wait for one that was begun last.
    let mut in_order: Vec<(usize, &'a SourceTable)> = sources.iter().copied().enumerate().collect();
    in_order.sort_by_key(|(_, source)| Reverse(bytes(source)));
    let stage = |(place, source): (usize, &'a SourceTable)| {
        let before = published.get(&source.name).and_then(Option::as_ref);
        (place, arriving.stage(source, exports(source), before, ledger))
    };
    let mut results: Vec<_> = in_order.into_iter().par_bridge().map(stage).collect();
    results.sort_by_key(|(place, _)| *place);
    let mut staged = Vec::with_capacity(results.len());
    let mut first_cause = None;
    for (_, (source, cause)) in results {
        staged.push(source);
        first_cause = first_cause.or(cause);
    }
    (staged, first_cause)
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
    all(staged.iter().map(|source| commit(lake, source, options))).await.map(drop)
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

/// Takes rows of old exports out of bronze once a run has published: the ledger keeps their hashes. The batches of
/// `stay` are not among them. Says whether there were any.
pub(crate) async fn retire(
    lake: &Lake,
    sources: impl Iterator<Item = &SourceTable>,
    batches: &BTreeMap<TableName, Batches>,
    stay: &BTreeSet<String>,
    options: &IngestOptions,
) -> Result<bool, Cause> {
    let mut entries = Vec::new();
    let mut surplus: BTreeMap<&TableName, BTreeSet<String>> = BTreeMap::new();
    // Increments are never retired: the tables are built from all of them.
    for source in sources.filter(|source| source.source.mode == Mode::Snapshot) {
        let retained = usize::try_from(source.source.retain_batches).unwrap_or(usize::MAX);
        let surplus_of = batches.get(&source.name).map(|batches| batches.surplus(retained)).unwrap_or_default();
        let may_go = |content: &Content| content.batch_id.as_ref().is_some_and(|batch| !stay.contains(batch));
        for content in surplus_of.into_iter().filter(may_go) {
            entries.extend(crate::arriving::retired(source, &content, options));
            surplus.entry(&source.name).or_default().extend(content.batch_id);
        }
    }
    if surplus.is_empty() {
        return Ok(false);
    }
    lake.append_to_ledger(&entries)?;
    let info = CommitInfo { run_id: options.run_id.clone(), ..CommitInfo::default() };
    // Before their rows: as long as those are there, a run that was interrupted here is made up for by the next.
    rejects::remove(lake, &options.run_id, &surplus.values().flatten().cloned().collect()).await?;
    for (table, folders) in &surplus {
        lake.retire(table, folders, &info).await?;
    }
    Ok(true)
}

impl BronzeStep {
    /// Files that are left alone.
    fn leave(&mut self, discovery: Discovery, staged: &mut [StagedSource<'_>]) {
        self.unclaimed = discovery.unclaimed;
        self.waiting = discovery.waiting;
        self.refused = discovery.refused;
        for source in staged {
            let not_taken = std::mem::take(&mut source.not_taken);
            self.waiting.extend(not_taken.waiting);
            self.refused.extend(not_taken.refused);
        }
    }

    fn add(&mut self, source: StagedSource<'_>, published: Option<&PublishedTable>) {
        let name = source.source.name.clone();
        let waits = self.waiting.iter().any(|file| file.source == name.table);
        let (status, skipped) = source.status(waits);
        let counting: Vec<Content> = source.batches.counting(source.mode()).into_iter().cloned().collect();
        let mut result = TableResult::built(0, 0, source.seconds);
        result.status = status;
        result.skipped = skipped;
        result.mode = Some(source.mode());
        result.batch_id = counting.last().and_then(|content| content.batch_id.clone());
        result.export_date = newest_date(&counting);
        let mut schema = source.source.schema.clone();
        schema.columns.extend(source.extra.iter().cloned());
        let definition = source.source;
        let mut staged = BTreeMap::new();
        for (batch, ingested) in source.new {
            let batch_id = batch.to_string();
            result.rows_in += ingested.files.iter().map(|file| file.records).sum::<u64>();
            result.rows_out += ingested.rows;
            result.rejected += ingested.rejects.len() as u64;
            count_rules(&mut result.rules, &ingested.rejects);
            let written = ingested.staged.files().files.iter().map(|file| file.bytes).sum::<u64>();
            result.bytes = Some(result.bytes.unwrap_or_default() + written);
            staged.insert(batch_id.clone(), ingested.staged);
            result.new_batches.push(batch_id);
            result.files.extend(ingested.files);
        }
        let current = current_batch(definition, &counting, &staged, published, schema);
        let is_incremental = definition.source.mode == Mode::Incremental;
        let increments = current.increments.as_deref().unwrap_or_default();
        let counts = |batch: &&String| increments.iter().any(|increment| increment.batch_id == **batch);
        for batch in result.new_batches.iter().filter(|batch| is_incremental && !counts(batch)) {
            let message = format!("{batch} is older than the snapshot that increments begin with, and does not count");
            self.warnings.push((name.clone(), message));
        }
        self.current.insert(name.clone(), current);
        self.began.insert(name.clone(), source.began);
        self.results.insert(name.clone(), result);
        self.warnings.extend(source.warnings.into_iter().map(|warning| (name.clone(), warning)));
        self.done.insert(name.clone(), source.done);
        self.batches.insert(name, source.batches);
    }
}

/// Counts what the parser set aside, by rule and column.
fn count_rules(rules: &mut Vec<RuleCount>, rejects: &[Reject]) {
    for reject in rejects {
        match rules.iter_mut().find(|count| count.rule == reject.rule && count.column == reject.column) {
            Some(count) => count.rows += 1,
            None => rules.push(RuleCount {
                rule: reject.rule.to_string(),
                column: reject.column.clone(),
                effect: Effect::Rejected,
                rows: 1,
            }),
        }
    }
}

/// The newest date under which any of it came.
fn newest_date(contents: &[Content]) -> Option<NaiveDate> {
    contents.iter().map(|content| content.dated.0).max()
}

/// What the contents that count amount to.
pub(crate) fn current_batch(
    source: &SourceTable,
    counting: &[Content],
    staged: &BTreeMap<String, StagedTable>,
    published: Option<&PublishedTable>,
    schema: TableSchema,
) -> CurrentBatch {
    let (files, increments) = put_together(counting, staged, published, schema);
    let is_incremental = source.source.mode == Mode::Incremental;
    CurrentBatch {
        batch_id: counting.last().and_then(|content| content.batch_id.clone()),
        content_hash: match is_incremental {
            true => Some(increments_hash(source, counting)),
            false => counting.first().map(|content| content.hash.clone()),
        },
        files,
        increments: is_incremental.then_some(increments),
    }
}

/// The files of the batches that count, one batch after another.
fn put_together(
    counting: &[Content],
    staged: &BTreeMap<String, StagedTable>,
    published: Option<&PublishedTable>,
    schema: TableSchema,
) -> (TableFiles, Vec<Increment>) {
    let mut all = TableFiles { schema, files: Vec::new() };
    let mut increments = Vec::new();
    for batch_id in counting.iter().filter_map(|content| content.batch_id.clone()) {
        let of_batch = match (staged.get(&batch_id), published) {
            (Some(staged), _) => staged.files().files,
            (None, Some(published)) => files_of(published, &batch_id, all.schema.clone()).files,
            (None, None) => Vec::new(),
        };
        let rows = of_batch.iter().map(|file| file.rows).sum();
        increments.push(Increment { rows, is_new: staged.contains_key(&batch_id), batch_id });
        all.files.extend(of_batch);
    }
    (all, increments)
}

/// The columns that a published bronze table has beyond those of its source.
pub(crate) fn extra_columns(source: &SourceTable, published: Option<&PublishedTable>) -> Vec<Column> {
    let is_own = |column: &&Column| source.schema.columns.iter().any(|own| own.name == column.name);
    let columns = published.into_iter().flat_map(|published| &published.files.schema.columns);
    columns.filter(|column| !is_own(column)).cloned().collect()
}

impl StagedSource<'_> {
    fn status(&self, waits: bool) -> (Status, Option<String>) {
        if !self.new.is_empty() {
            return (Status::Success, None);
        }
        let counting: Vec<Content> = self.batches.counting(self.mode()).into_iter().cloned().collect();
        let current = newest_date(&counting).map(|date| match self.mode() {
            Mode::Snapshot => format!("the batch of {date}"),
            Mode::Incremental => format!("what came up to {date}"),
        });
        match current {
            Some(current) if self.delivered => {
                (Status::Unchanged, Some(format!("the files are known; {current} stays")))
            }
            Some(current) if waits => {
                (Status::Waiting, Some(format!("its new files wait for the next run; {current} is used")))
            }
            Some(current) => (Status::NotDelivered, Some(format!("no new file; {current} is used"))),
            None if waits => (Status::Waiting, Some("its first files wait for the next run".to_owned())),
            None => (Status::Absent, Some("an optional source that never arrived; its tables are empty".to_owned())),
        }
    }
}
