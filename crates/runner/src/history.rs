//! Tables of versions: which exports are still to be applied to them, and which batches therefore stay in bronze.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use medallion_lake::{LakeError, Release, Snapshots};
use medallion_pipeline::definition::{Cleanse, Definition, VersionsTable};
use medallion_pipeline::{Mode, Pipeline, SourceTable, Table, TableFiles, TableName};
use medallion_silver::versions::Rows;
use medallion_silver::{CleanseTask, Guard, Increment, SilverError, Snapshot, UpsertTask, VersionsTask};
use url::Url;

use crate::batch::{Batches, Content, files_of};
use crate::bronze::extra_columns;
use crate::error::Cause;
use crate::events::Event;
use crate::layers::Builder;
use crate::scope::Scope;

/// What is published of the tables of versions, and what has arrived for them.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    /// The last release, also where everything is to be built anew: what is in a history cannot be built again.
    last: Option<Arc<Release>>,
    /// The batch of each date that is in bronze, by source; of increments a name for all there are up to the date.
    by_date: BTreeMap<TableName, BTreeMap<NaiveDate, String>>,
    /// The increments of the sources that send such.
    increments: BTreeMap<TableName, Increments>,
    /// Sources whose exports may have lost most of their rows.
    accept_shrink: BTreeSet<String>,
}

/// Increments of a source. What they amount to on a date depends on all before it, so that one that comes late makes
/// every date after it another one.
#[derive(Debug, Default)]
struct Increments {
    /// Their batches in order.
    batches: Vec<String>,
    /// How many of them there are under each name.
    counts: BTreeMap<String, usize>,
}

impl Increments {
    /// The increments with the name of what they amount to on each date.
    fn of(counting: &[&Content]) -> (Self, BTreeMap<NaiveDate, String>) {
        let (mut increments, mut by_date) = (Self::default(), BTreeMap::new());
        let mut hasher = blake3::Hasher::new();
        for content in counting {
            let Some(batch) = &content.batch_id else { continue };
            increments.batches.push(batch.clone());
            hasher.update(content.hash.as_bytes());
            let name = format!("increments-{}", &hasher.finalize().to_hex()[..32]);
            increments.counts.insert(name.clone(), increments.batches.len());
            by_date.insert(content.place.0, name);
        }
        (increments, by_date)
    }
}

/// The exports that are in a table of versions.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What its release says of them.
    pub snapshots: Snapshots,
    /// Batches that are not in it and never will be.
    pub refused: BTreeSet<String>,
}

/// A table of versions with the one it follows.
struct Following<'a> {
    table: &'a Table,
    followed: &'a Table,
    cleanse: &'a Cleanse,
    source: &'a SourceTable,
}

impl<'a> Following<'a> {
    /// `None` for tables of other kinds.
    fn of(pipeline: &'a Pipeline, table: &'a Table) -> Option<Self> {
        let Definition::Versions(VersionsTable { of, .. }) = &table.definition else { return None };
        let followed = pipeline.table(of)?;
        let Definition::Cleanse(cleanse) = &followed.definition else { return None };
        let source = pipeline.sources.get(&cleanse.source)?;
        Some(Self { table, followed, cleanse, source })
    }
}

/// What there is to do for a table.
struct Plan {
    /// What is in it.
    known: Snapshots,
    /// What is to be applied: dates with their batches.
    pending: BTreeMap<NaiveDate, String>,
}

impl Histories {
    pub(crate) fn new(
        last: Option<Arc<Release>>,
        pipeline: &Pipeline,
        batches: &BTreeMap<TableName, Batches>,
        scope: &Scope,
        accept_shrink: &BTreeSet<String>,
    ) -> Self {
        let mut histories = Self { last, accept_shrink: accept_shrink.clone(), ..Self::default() };
        for source in pipeline.sources.values() {
            let (name, Some(batches)) = (&source.name, batches.get(&source.name)) else { continue };
            let by_date = match source.source.mode {
                Mode::Snapshot if !scope.moves(name) => histories.released(pipeline, name, batches.by_date()),
                Mode::Snapshot => batches.by_date(),
                Mode::Incremental => {
                    let (increments, by_date) = Increments::of(&batches.counting(Mode::Incremental));
                    histories.increments.insert(name.clone(), increments);
                    by_date
                }
            };
            histories.by_date.insert(name.clone(), by_date);
        }
        histories
    }

    /// The exports of a source that the last release knows: those in its tables of versions or like what is there, and the
    /// one that was current.
    fn released(
        &self,
        pipeline: &Pipeline,
        source: &TableName,
        mut by_date: BTreeMap<NaiveDate, String>,
    ) -> BTreeMap<NaiveDate, String> {
        let last = self.last.as_deref();
        let following = pipeline.tables.iter().filter(|table| Self::source_of(pipeline, table) == Some(source));
        let known: Vec<Snapshots> = following.map(|table| published(last, &table.name)).collect();
        let current = last.and_then(|last| last.batches.get(&source.to_string()));
        by_date.retain(|date, batch| {
            let is_current = current.is_some_and(|current| current.batch_id == *batch);
            is_current || known.iter().any(|snapshots| snapshots.batch_at(*date) == Some(batch))
        });
        by_date
    }

    /// The source whose exports a table of versions follows; `None` for tables of other kinds.
    pub(crate) fn source_of<'p>(pipeline: &'p Pipeline, table: &'p Table) -> Option<&'p TableName> {
        Following::of(pipeline, table).map(|following| &following.source.name)
    }

    /// The batches whose rows make up a source under a name: itself, or increments.
    fn batches<'a>(&'a self, source: &TableName, name: &'a String) -> &'a [String] {
        let increments = self.increments.get(source);
        let counted = increments.and_then(|increments| increments.batches.get(..*increments.counts.get(name)?));
        counted.unwrap_or(std::slice::from_ref(name))
    }

    /// What the table that follows a source was made from in this run: the name of all increments, or else `current`.
    fn newest<'a>(&'a self, source: &TableName, current: Option<&'a str>) -> Option<&'a str> {
        if !self.increments.contains_key(source) {
            return current;
        }
        self.by_date.get(source)?.last_key_value().map(|(_, name)| name.as_str())
    }

    /// What is in a table if nothing has to be applied to it; `None` for tables of other kinds.
    pub(crate) fn known(&self, pipeline: &Pipeline, table: &Table) -> Option<History> {
        let snapshots = self.plan(&Following::of(pipeline, table)?).known;
        Some(History { snapshots, refused: BTreeSet::new() })
    }

    /// Whether exports have to be applied to a table.
    pub(crate) fn has_pending(&self, pipeline: &Pipeline, table: &Table) -> bool {
        let rolled_back = self.last.as_ref().is_some_and(|last| last.rolled_back_to.is_some());
        let Some(following) = Following::of(pipeline, table) else { return false };
        rolled_back || !self.plan(&following).pending.is_empty()
    }

    fn plan(&self, following: &Following<'_>) -> Plan {
        let nothing = BTreeMap::new();
        let in_bronze = self.by_date.get(&following.source.name).unwrap_or(&nothing);
        let mut known = published(self.last.as_deref(), &following.table.name);
        known.forget_batches(|date, batch| in_bronze.get(&date).is_some_and(|there| there == batch));
        let mut pending = BTreeMap::new();
        for (date, batch) in in_bronze {
            if known.batch_at(*date) == Some(batch) {
                // The content of the date before came again.
                known.insert(*date, batch);
            } else {
                pending.insert(*date, batch.clone());
            }
        }
        Plan { known, pending }
    }

    /// The batches that have to stay in bronze, because a table that follows their source has not published them.
    /// `published` is the last release there is now.
    pub(crate) fn unpublished<'a>(
        &self,
        pipeline: &Pipeline,
        last: Option<&Release>,
        histories: impl Iterator<Item = (&'a TableName, &'a History)>,
    ) -> BTreeSet<String> {
        let refused: BTreeMap<&TableName, &BTreeSet<String>> =
            histories.map(|(table, history)| (table, &history.refused)).collect();
        let mut stay = BTreeSet::new();
        for following in pipeline.tables.iter().filter_map(|table| Following::of(pipeline, table)) {
            let name = &following.table.name;
            let snapshots = published(last, name);
            let is_settled = |date: NaiveDate, batch: &String| {
                snapshots.has(date, batch) || refused.get(name).is_some_and(|refused| refused.contains(batch))
            };
            let in_bronze = self.by_date.get(&following.source.name).into_iter().flatten();
            stay.extend(in_bronze.filter(|(date, batch)| !is_settled(**date, batch)).map(|(_, batch)| batch.clone()));
        }
        stay
    }
}

/// What a release says of a table of versions.
fn published(release: Option<&Release>, table: &TableName) -> Snapshots {
    release.and_then(|release| release.history.get(&table.to_string())).cloned().unwrap_or_default()
}

impl Builder {
    /// Stages a table of versions: what is published of it with what has arrived since. The newest export is the table
    /// that is followed as this run made it, so that a change of its rules changes the newest versions and no others.
    pub(crate) async fn versions(&self, table: &Table, followed: TableFiles, area: &Url) -> Result<History, Cause> {
        let Some(following) = Following::of(&self.pipeline, table) else {
            let message = "the table it follows is not there".to_owned();
            return Err(Cause::Worker { table: table.name.to_string(), message });
        };
        let mut scratch = Vec::new();
        let staged = self.bring_up_to_date(&following, followed, area, &mut scratch).await;
        for folder in scratch {
            // What stays is invisible, and vacuum removes it.
            let _ = self.lake.discard(&following.followed.name, &folder);
        }
        staged
    }

    async fn bring_up_to_date(
        &self,
        following: &Following<'_>,
        followed: TableFiles,
        area: &Url,
        scratch: &mut Vec<String>,
    ) -> Result<History, Cause> {
        let Plan { known, mut pending } = self.histories.plan(following);
        let current = self.bronze.get(&following.source.name).and_then(|batch| batch.batch_id.as_deref());
        let current = self.histories.newest(&following.source.name, current);
        let mut in_bronze = self.histories.by_date.get(&following.source.name).into_iter().flatten();
        let newest = in_bronze.rfind(|(_, batch)| Some(batch.as_str()) == current);
        pending.extend(newest.map(|(date, batch)| (*date, batch.clone())));
        let mut history = History { snapshots: known, refused: BTreeSet::new() };
        let dates = history.snapshots.dates().collect();
        let mut snapshots = self.undone(following, &history.snapshots).await?;
        let mut cleansed: BTreeMap<&str, TableFiles> = BTreeMap::new();
        cleansed.extend(current.map(|batch| (batch, followed)));
        for (date, batch) in &pending {
            if !cleansed.contains_key(batch.as_str()) {
                match self.as_of(following, batch, scratch).await {
                    Err(Cause::Silver(error @ SilverError::RuleFailed { .. })) => {
                        self.refuse(following, &mut history, batch, &error.to_string());
                        continue;
                    }
                    rows => drop(cleansed.insert(batch, rows?)),
                }
            }
            let guard = (Some(batch.as_str()) != current).then(|| self.guard(following)).flatten();
            let rows = cleansed.get(batch.as_str()).cloned().map(Rows::All);
            snapshots.extend(rows.map(|rows| Snapshot { date: *date, rows, guard }));
        }
        self.apply(following, dates, snapshots, &pending, &mut history, area).await?;
        Ok(history)
    }

    /// Applies snapshots, and notes in `history` what became of them. Those that are not `pending` are of releases.
    async fn apply(
        &self,
        following: &Following<'_>,
        dates: Vec<NaiveDate>,
        snapshots: Vec<Snapshot>,
        pending: &BTreeMap<NaiveDate, String>,
        history: &mut History,
        area: &Url,
    ) -> Result<(), Cause> {
        let before = self.published_versions(following).await?;
        let applied: Vec<NaiveDate> = snapshots.iter().map(|snapshot| snapshot.date).collect();
        let task = VersionsTask {
            schema: &following.table.schema,
            key: &following.cleanse.key,
            before: before.as_ref(),
            dates,
            snapshots,
            run_id: &self.gold.run_id,
        };
        let report = tokio::task::block_in_place(|| task.stage(area))?;
        for date in applied {
            let refused = report.refused.iter().find(|refused| refused.date == date);
            match (pending.get(&date), refused) {
                (Some(batch), None) => history.snapshots.insert(date, batch),
                (Some(batch), Some(refused)) => {
                    let why = format!("it has {} rows, the export before it had {}", refused.rows, refused.before);
                    self.refuse(following, history, batch, &why);
                }
                (None, _) => history.snapshots.insert_retired(date),
            }
        }
        Ok(())
    }

    fn refuse(&self, following: &Following<'_>, history: &mut History, batch: &str, why: &str) {
        let message = format!("the batch {batch} is left out of the history: {why}");
        self.listener.on(&Event::Warning { table: Some(following.table.name.clone()), message });
        history.refused.insert(batch.to_owned());
    }

    /// An export that was never the current one has to pass what it would have had to pass then.
    fn guard(&self, following: &Following<'_>) -> Option<Guard> {
        let source = &following.source.source;
        let is_accepted = self.histories.accept_shrink.contains(&following.source.name.table);
        let is_guarded = source.mode == Mode::Snapshot && !is_accepted;
        is_guarded.then_some(Guard { min_ratio: source.min_ratio, min_rows: source.min_rows })
    }

    /// The rows of the table that is followed as they were when a batch was the newest one. They are in a folder of
    /// their own, which is added to `scratch`.
    async fn as_of(
        &self,
        following: &Following<'_>,
        batch_id: &String,
        scratch: &mut Vec<String>,
    ) -> Result<TableFiles, Cause> {
        let (source, followed) = (following.source, following.followed);
        let Some(bronze) = self.lake.published(&source.name, None).await? else {
            let message = format!("{} is not there", source.name);
            return Err(Cause::Worker { table: following.table.name.to_string(), message });
        };
        let mut schema = source.schema.clone();
        schema.columns.extend(extra_columns(source, Some(&bronze)));
        let folder = format!("{}-{batch_id}", self.gold.run_id);
        let area = self.lake.staging_area(&followed.name, &folder)?;
        scratch.push(folder);
        let (mut batch, mut increments) = (TableFiles { schema, files: Vec::new() }, Vec::new());
        for id in self.histories.batches(&source.name, batch_id) {
            let files = files_of(&bronze, id, batch.schema.clone());
            increments.push(Increment { batch_id: id.clone(), rows: files.rows(), is_new: false });
            batch.files.extend(files.files);
        }
        let (schema, run_id) = (&followed.schema, &self.gold.run_id);
        let cleanse = CleanseTask { definition: following.cleanse, schema, batch: &batch, batch_id, run_id };
        let deleted = source.source.deleted.as_ref();
        tokio::task::block_in_place(|| match source.source.mode {
            Mode::Snapshot => cleanse.stage(&area).map(drop),
            Mode::Incremental => UpsertTask { cleanse, increments: &increments, deleted }.stage(&area).map(drop),
        })?;
        Ok(self.lake.staged(&followed.schema, &area)?.files())
    }

    /// What is published of a table of versions; `None` if it was not one, or not there.
    async fn published_versions(&self, following: &Following<'_>) -> Result<Option<TableFiles>, Cause> {
        let name = following.table.name.to_string();
        let Some(last) = self.histories.last.as_ref().filter(|last| last.history.contains_key(&name)) else {
            return Ok(None);
        };
        let Some(released) = last.tables.get(&name) else { return Ok(None) };
        let published = self.lake.published(&following.table.name, Some(released.version)).await?;
        Ok(published.map(|published| published.files))
    }

    /// Exports that were rolled back and have left bronze since they were published: the releases that had them still
    /// tell what they were.
    async fn undone(&self, following: &Following<'_>, known: &Snapshots) -> Result<Vec<Snapshot>, Cause> {
        let Some(last) = self.histories.last.as_ref().filter(|last| last.rolled_back_to.is_some()) else {
            return Ok(Vec::new());
        };
        let name = following.table.name.to_string();
        let mut settled: BTreeSet<NaiveDate> = known.dates().collect();
        settled.extend(self.histories.by_date.get(&following.source.name).into_iter().flat_map(BTreeMap::keys));
        let mut snapshots = Vec::new();
        let releases = self.lake.releases()?;
        for release in releases.iter().rev().filter(|release| release.release < last.release) {
            let dates = release.history.get(&name).into_iter().flat_map(Snapshots::dates);
            let dates: Vec<NaiveDate> = dates.filter(|date| !settled.contains(date)).collect();
            let Some(released) = release.tables.get(&name).filter(|_| !dates.is_empty()) else { continue };
            let versions = match self.lake.content_at(&following.table.name, released.version).await {
                Err(LakeError::NoVersion { .. } | LakeError::FileGone { .. }) => continue,
                found => found?.files(),
            };
            settled.extend(&dates);
            let rows = |date| Snapshot { date, rows: Rows::On(date, versions.clone()), guard: None };
            snapshots.extend(dates.into_iter().map(rows));
        }
        Ok(snapshots)
    }
}

#[cfg(test)]
mod tests;
