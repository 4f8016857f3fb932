//! Recovery: what a crash left of a publication is finished, or undone where that is not possible.

use std::collections::BTreeMap;
use std::fmt;

use deltalake::kernel::Transaction;
use medallion_pipeline::TableName;

use crate::commit::{CommitInfo, CommitMode, RELEASES};
use crate::error::LakeError;
use crate::journal::{Journal, JournalTable};
use crate::mirror::shown;
use crate::place::{LOG_FOLDER, Lake};
use crate::staging::StagedTable;

/// The application whose transactions number the releases whose commit was taken back in a table.
const TAKEN_BACK: &str = "medallion.taken_back";

/// What became of a publication that had been interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// The release is there as a whole.
    Finished {
        /// The release.
        release: u64,
        /// The run that had begun it.
        run_id: String,
    },
    /// Nothing of it is left: its tables have the contents of the release before.
    Discarded {
        /// The run that had begun it.
        run_id: String,
        /// Why it could not be finished.
        why: String,
    },
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { release, run_id } => {
                write!(f, "run '{run_id}' was interrupted while it published; its release {release} is now complete")
            }
            Self::Discarded { run_id, why } => {
                write!(f, "run '{run_id}' was interrupted while it published; what it had begun was undone, as {why}")
            }
        }
    }
}

/// How far a table of the journal got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untouched,
    Committed(u64),
    TakenBack,
}

/// A table of the journal with what its run had staged.
struct Begun<'a> {
    table: &'a JournalTable,
    staged: StagedTable,
    progress: Progress,
}

impl Lake {
    /// Finishes or discards a publication that was interrupted; `None` if there is none. Needs the lock, and has to be
    /// the first thing done with it. Needs a Tokio runtime.
    ///
    /// # Errors
    /// If the journal cannot be read, or its publication can neither be finished nor undone; the error says what to
    /// do. If the disk fails: then it can be tried again.
    pub async fn recover(&self) -> Result<Option<Recovery>, LakeError> {
        let Some(journal) = self.journal()? else { return Ok(None) };
        // Whoever wrote it may have been killed before its name was on the disk.
        self.sync_journal()?;
        let recovered = self.recover_from(&journal).await;
        recovered.map(Some).map_err(|source| self.unfinished(journal.release, source))
    }

    async fn recover_from(&self, journal: &Journal) -> Result<Recovery, LakeError> {
        let finished = Recovery::Finished { release: journal.release, run_id: journal.run_id.clone() };
        if self.is_released(journal)? {
            self.sync_releases()?;
            self.remove_journal()?;
            return Ok(finished);
        }
        let mut begun = Vec::with_capacity(journal.tables.len());
        for table in &journal.tables {
            let progress = self.progress(journal, table).await?;
            begun.push(Begun { table, staged: self.restaged(table)?, progress });
        }
        match self.obstacle(&begun)? {
            None => self.finish_begun(journal, &begun).await.map(|()| finished),
            Some(why) => {
                self.take_back(journal, &begun, &why).await?;
                self.remove_journal()?;
                Ok(Recovery::Discarded { run_id: journal.run_id.clone(), why })
            }
        }
    }

    /// Whether the release of the journal is there already.
    fn is_released(&self, journal: &Journal) -> Result<bool, LakeError> {
        let release = match self.release(journal.release) {
            Err(LakeError::NoRelease { .. }) => return Ok(false),
            found => found?,
        };
        if release.run_id == journal.run_id {
            return Ok(true);
        }
        let problem = format!(
            "it is about release {} of run '{}', but that release is of run '{}'",
            journal.release, journal.run_id, release.run_id
        );
        Err(self.unrecoverable(problem))
    }

    /// Reads from a table's log how far it got.
    async fn progress(&self, journal: &Journal, table: &JournalTable) -> Result<Progress, LakeError> {
        let name = &table.table;
        let mut found = None;
        if self.has_log(name)? {
            let delta = self.load(name, None).await?;
            let state = delta.snapshot().map_err(self.delta_error(name, "read"))?;
            let version = state.version();
            if Some(version) == table.version_before {
                return Ok(Progress::Untouched);
            }
            // A number is used again where a publication was discarded, so the version counts as well.
            let committed = table.version_before.map_or(0, |before| before + 1);
            let (log, release) = (delta.log_store(), i64::try_from(journal.release).ok());
            let transaction = state.transaction_version(log.as_ref(), RELEASES).await;
            let transaction = transaction.map_err(self.delta_error(name, "read"))?;
            let taken_back = state.transaction_version(log.as_ref(), TAKEN_BACK).await;
            let taken_back = taken_back.map_err(self.delta_error(name, "read"))?;
            if version == committed && transaction == release && self.is_of(journal, name, version)? {
                return Ok(Progress::Committed(version));
            }
            if version == committed + 1 && taken_back == release && self.is_of(journal, name, version)? {
                return Ok(Progress::TakenBack);
            }
            found = Some(version);
        }
        if found == table.version_before {
            return Ok(Progress::Untouched);
        }
        let version = |version: Option<u64>| version.map_or("no version".to_owned(), |version| version.to_string());
        Err(self.unrecoverable(format!(
            "it found table {name} at version {}, but the table has {} now, which is not of its run",
            version(table.version_before),
            version(found)
        )))
    }

    fn is_of(&self, journal: &Journal, table: &TableName, version: u64) -> Result<bool, LakeError> {
        Ok(self.run_of(table, version)?.as_deref() == Some(&journal.run_id))
    }

    /// Why the publication cannot be finished, if it cannot.
    fn obstacle(&self, begun: &[Begun<'_>]) -> Result<Option<String>, LakeError> {
        for table in begun {
            let files = table.staged.files.iter().map(|file| (file.path.as_str(), file.data.bytes));
            if let Some(path) = self.missing_file(&table.staged.schema.name, files)? {
                return Ok(Some(format!("its file {} is not there as it was written", shown(&path))));
            }
        }
        // Who began to undo it saw a reason that may have vanished since.
        let undone = begun.iter().find(|table| table.progress == Progress::TakenBack);
        Ok(undone.map(|table| format!("that had been decided when table {} was restored", table.table.table)))
    }

    async fn finish_begun(&self, journal: &Journal, begun: &[Begun<'_>]) -> Result<(), LakeError> {
        let mut versions = BTreeMap::new();
        for table in begun {
            if let Progress::Committed(version) = table.progress {
                self.sync_log(&table.table.table)?;
                versions.insert(table.table.table.clone(), version);
            }
        }
        let untouched = begun.iter().filter(|table| table.progress == Progress::Untouched);
        let untouched: Vec<&StagedTable> = untouched.map(|table| &table.staged).collect();
        self.bring_to_disk(&untouched).await?;
        let prepared = self.prepare_all(&untouched).await?;
        self.finish(journal, prepared, versions).await.map(drop)
    }

    /// Gives tables that are committed the contents they had before. All these are looked for first.
    async fn take_back(&self, journal: &Journal, begun: &[Begun<'_>], why: &str) -> Result<(), LakeError> {
        let mut old = Vec::new();
        for table in begun {
            if !matches!(table.progress, Progress::Committed(_)) {
                continue;
            }
            old.push(self.content_before(table.table).await.map_err(|error| {
                self.unrecoverable(format!("it cannot be finished, as {why}, and cannot be undone: {error}"))
            })?);
        }
        let info = CommitInfo { run_id: journal.run_id.clone(), ..CommitInfo::default() };
        for staged in old {
            let transaction = i64::try_from(journal.release).map(|release| Transaction::new(TAKEN_BACK, release)).ok();
            let prepared = self.prepare(&staged, CommitMode::Overwrite).await?;
            let landed = self.land(prepared, &info, transaction).await?;
            self.checkpoint(landed).await;
        }
        Ok(())
    }

    /// What a table held before it was committed; a table that is new held no rows.
    async fn content_before(&self, table: &JournalTable) -> Result<StagedTable, LakeError> {
        match table.version_before {
            Some(version) => self.content_at(&table.table, version).await,
            None => Ok(StagedTable { schema: table.schema(), files: Vec::new() }),
        }
    }

    /// Waits until the names in a table's log are on the disk.
    fn sync_log(&self, table: &TableName) -> Result<(), LakeError> {
        let log = self.table_folder(table)?.join(LOG_FOLDER);
        self.disk().sync_folder(&log).map_err(LakeError::io(self.customer(), &log, "bring to disk"))
    }
}

#[cfg(test)]
mod tests;
