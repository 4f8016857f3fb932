//! Publishing: all tables of a release together, or none of them.
//!
//! In phases, each on the disk before the next begins: data files with their folders; the journal; one commit in each
//! changed table; the release; the journal's end. Until the journal is there nothing has happened, and from then on
//! [`Lake::recover`] can finish the rest. Readers follow releases, so they see all tables change at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use deltalake::kernel::Transaction;
use futures::stream::{self, StreamExt};
use medallion_pipeline::TableName;

use crate::commit::{Landed, Prepared, RELEASES};
use crate::disk::{Disk, blocking};
use crate::error::LakeError;
use crate::journal::{Journal, JournalTable};
use crate::place::Lake;
use crate::published::PublishedTable;
use crate::release::{Release, ReleasedBatch, ReleasedTable, TableHashes};
use crate::snapshots::Snapshots;
use crate::staging::StagedTable;

/// As many files are brought to the disk at a time: disks are faster when they can choose.
const CONCURRENT_SYNCS: usize = 32;
/// As many tables are read or committed at a time.
const CONCURRENT_TABLES: usize = 16;

/// What is published together.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The run that publishes.
    pub run_id: String,
    /// The day the data describes.
    pub as_of: NaiveDate,
    /// The batch each bronze table that has one has, by name, such as `bronze.users`.
    pub batches: BTreeMap<String, ReleasedBatch>,
    /// The exports that are in each table of versions, by name, such as `silver.users_history`.
    pub history: BTreeMap<String, Snapshots>,
    /// The silver and gold tables, each once.
    pub tables: Vec<PublishedChange>,
    /// The hash of the pipeline that built and tested the tables; `None` if none did.
    pub pipeline_key: Option<String>,
}

/// What becomes of a table.
#[derive(Debug, Clone)]
pub enum PublishedChange {
    /// It gets new content.
    Changed {
        /// The content.
        staged: StagedTable,
        /// What tells whether it is the same later.
        hashes: TableHashes,
    },
    /// It keeps the content it has in an earlier release.
    Unchanged {
        /// The table.
        table: TableName,
        /// The version of the Delta table that has the content. If it is no longer the latest, its files are
        /// committed again, so that readers of latest versions see it too.
        version: u64,
        /// Its rows.
        rows: u64,
        /// What tells whether it is the same later.
        hashes: TableHashes,
    },
}

/// New content of a table with its hashes.
type Changed = (StagedTable, TableHashes);

impl Lake {
    /// Publishes tables as the next release and returns it. Needs the lock, a Tokio runtime, and that
    /// [`Lake::recover`] was called before. [`Lake::write_checkpoints`] is for afterwards.
    ///
    /// # Errors
    /// If files cannot be brought to the disk, a log cannot be read, or a table was changed by another program: then
    /// nothing has happened. [`LakeError::Unfinished`] if it fails later: readers see the release before, and
    /// [`Lake::recover`] finishes this one. [`LakeError::Pending`] if that was not called.
    pub async fn publish(&self, publication: Publication) -> Result<Release, LakeError> {
        self.publish_at(publication, Utc::now(), None).await
    }

    /// The number the next release will have.
    ///
    /// # Errors
    /// If the releases cannot be read.
    pub fn next_release(&self) -> Result<u64, LakeError> {
        Ok(self.latest_release()?.map_or(1, |latest| latest.release + 1))
    }

    pub(crate) async fn publish_at(
        &self,
        publication: Publication,
        published_at: DateTime<Utc>,
        rolled_back_to: Option<u64>,
    ) -> Result<Release, LakeError> {
        self.check_run_id(&publication.run_id)?;
        if self.has_journal() {
            return Err(LakeError::Pending { customer: self.customer().to_owned(), path: self.journal_path() });
        }
        let release = self.next_release()?;
        let (changed, unchanged) = self.sorted_out(publication.tables).await?;
        let staged: Vec<&StagedTable> = changed.iter().map(|(staged, _)| staged).collect();
        self.bring_to_disk(&staged).await?;
        let prepared = self.prepare_all(&staged).await?;
        let version_before: BTreeMap<&TableName, Option<u64>> =
            prepared.iter().map(|table| (table.table(), table.version_before())).collect();
        let table = |(staged, hashes): &Changed| {
            let before = version_before.get(&staged.schema.name).copied().flatten();
            JournalTable::new(staged, before, hashes.clone())
        };
        let journal = Journal {
            schema: Journal::SCHEMA.to_owned(),
            release,
            run_id: publication.run_id,
            as_of: publication.as_of,
            published_at,
            batches: publication.batches,
            history: publication.history,
            rolled_back_to,
            pipeline_key: publication.pipeline_key,
            fence: self.fence_number(),
            tables: changed.iter().map(table).collect(),
            unchanged,
        };
        if let Err(error) = self.write_journal(&journal) {
            // A disk that does not even let it be removed again has begun the publication nevertheless.
            return Err(if self.has_journal() { self.unfinished(release, error) } else { error });
        }
        self.finish(&journal, prepared, BTreeMap::new()).await.map_err(|source| self.unfinished(release, source))
    }

    /// Commits what is left of a journal, publishes its release and removes it. `versions` are those of the tables
    /// that are committed already.
    pub(crate) async fn finish(
        &self,
        journal: &Journal,
        prepared: Vec<Prepared>,
        mut versions: BTreeMap<TableName, u64>,
    ) -> Result<Release, LakeError> {
        let transaction = i64::try_from(journal.release).map(|release| Transaction::new(RELEASES, release)).ok();
        let mut commits = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            let (info, transaction) = (journal.commit_info(prepared.table()), transaction.clone());
            commits.push(async move { self.land(prepared, &info, transaction).await });
        }
        let landed: Vec<Landed> = all(commits, CONCURRENT_TABLES).await?;
        versions.extend(landed.iter().map(|landed| (landed.table.clone(), landed.version)));
        let release = journal.release(&versions);
        self.put_release(&release)?;
        if let Err(error) = self.remove_journal() {
            // The release is there; the next run finds it and removes the journal.
            tracing::warn!(customer = self.customer(), release = release.release, %error, "the journal stays");
        }
        Ok(release)
    }

    /// Waits until staged files and their folders are on the disk, all at the same time.
    pub(crate) async fn bring_to_disk(&self, staged: &[&StagedTable]) -> Result<(), LakeError> {
        type Sync = fn(&Disk, &Path) -> io::Result<()>;
        let (mut paths, mut folders): (Vec<(PathBuf, Sync)>, _) = (Vec::new(), BTreeSet::new());
        for staged in staged {
            self.make_table_folders(&staged.schema.name)?;
            let (files, above) = self.paths_of(staged)?;
            paths.extend(files.into_iter().map(|path| (path, Disk::sync_file as Sync)));
            folders.extend(above);
        }
        paths.extend(folders.into_iter().map(|path| (path, Disk::sync_folder as Sync)));
        let mut syncs = Vec::with_capacity(paths.len());
        for (path, sync) in paths {
            let (disk, synced) = (self.disk().clone(), path.clone());
            syncs.push(async move {
                let done = blocking(move || sync(&disk, &synced)).await;
                done.map_err(LakeError::io(self.customer(), &path, "bring to disk"))
            });
        }
        all(syncs, CONCURRENT_SYNCS).await.map(drop)
    }

    /// Works out the commits of tables.
    pub(crate) async fn prepare_all(&self, staged: &[&StagedTable]) -> Result<Vec<Prepared>, LakeError> {
        let prepared = staged.iter().map(|staged| self.prepare_overwrite(staged)).collect();
        all(prepared, CONCURRENT_TABLES).await
    }

    pub(crate) fn unfinished(&self, release: u64, source: LakeError) -> LakeError {
        LakeError::Unfinished { customer: self.customer().to_owned(), release, source: Box::new(source) }
    }

    /// What to commit, and what stays. An unchanged table whose log went on since is committed again.
    async fn sorted_out(
        &self,
        changes: Vec<PublishedChange>,
    ) -> Result<(Vec<Changed>, BTreeMap<String, ReleasedTable>), LakeError> {
        let (mut changed, mut unchanged) = (Vec::new(), BTreeMap::new());
        for change in changes {
            match change {
                PublishedChange::Changed { staged, hashes } => changed.push((staged, hashes)),
                PublishedChange::Unchanged { table, version, rows, hashes } => {
                    if self.latest_version(&table)? == Some(version) {
                        unchanged.insert(table.to_string(), ReleasedTable::new(version, rows, hashes));
                    } else {
                        changed.push((self.content_at(&table, version).await?, hashes));
                    }
                }
            }
        }
        Ok((changed, unchanged))
    }

    /// The content a version of a table had, ready to be committed again.
    ///
    /// # Errors
    /// [`LakeError::NoVersion`] or [`LakeError::FileGone`] if it is not there any more, or if it cannot be read.
    pub async fn content_at(&self, table: &TableName, version: u64) -> Result<StagedTable, LakeError> {
        let Some(logged) = self.logged(table, Some(version)).await? else {
            let (customer, path) = (self.customer().to_owned(), self.table_folder(table)?);
            return Err(LakeError::NoVersion { customer, table: table.clone(), version, path });
        };
        self.check_files(&logged.published)?;
        Ok(logged.restaged())
    }

    /// Looks whether the files of a version are there. Those of the last release are; vacuum may have taken older ones.
    ///
    /// # Errors
    /// [`LakeError::FileGone`] with the first that is not there as it was written.
    pub fn check_files(&self, published: &PublishedTable) -> Result<(), LakeError> {
        let table = published.files.schema.name.clone();
        let files = published.paths().map(|(path, data)| (path, data.bytes));
        match self.missing_file(&table, files)? {
            None => Ok(()),
            Some(path) => Err(LakeError::FileGone { customer: self.customer().to_owned(), table, path }),
        }
    }
}

/// Does several things at the same time. After a failure the others still come to their end, so that nothing goes on
/// behind the back of whoever hears of it.
async fn all<T>(work: Vec<impl Future<Output = Result<T, LakeError>>>, at_a_time: usize) -> Result<Vec<T>, LakeError> {
    let done: Vec<Result<T, LakeError>> = stream::iter(work).buffer_unordered(at_a_time).collect().await;
    done.into_iter().collect()
}

#[cfg(test)]
mod tests;
