//! Commits: the one place that makes staged files visible.

pub(crate) mod whole;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::checkpoints::create_checkpoint;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::stream::{self, StreamExt};
use medallion_pipeline::{TableName, TableSchema};
use serde_json::Value;

use crate::commit::whole::{WholeCommit, removal};
use crate::disk::blocking;
use crate::durable::DurableDisk;
use crate::error::LakeError;
use crate::place::{LOG_FOLDER, Lake};
use crate::release::Release;
use crate::staging::{StagedFile, StagedTable};
use crate::table_schema::{
    CHECKPOINT_INTERVAL, append_difference, metadata_of, protocol_of, protocol_upgrade, schema_of,
};

/// The entry of the commit info that names the run.
pub(crate) const RUN_ID_KEY: &str = "medallion.run_id";
/// As many checkpoints are written at a time.
const CONCURRENT_CHECKPOINTS: usize = 8;
/// The application whose transactions number the releases a table was committed for.
pub(crate) const RELEASES: &str = "medallion";

/// What happens to the files a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// They stay.
    Append,
    /// They are removed.
    Overwrite,
}

/// What a commit says about itself in the Delta log.
#[derive(Debug, Clone, Default)]
pub struct CommitInfo {
    /// The run that commits.
    pub run_id: String,
    /// The release the commit belongs to, if any.
    pub release: Option<u64>,
    /// Further entries; their keys are prefixed with `medallion.`.
    pub extra: Vec<(String, Value)>,
}

impl Lake {
    /// Makes staged files visible in one commit and returns the table's new version. Creates the table if there is
    /// none; without files it is an empty table. May be called for several tables at the same time, from a
    /// Tokio runtime.
    ///
    /// Appended files may bring further columns, which are NULL in the rows that are there; the staged schema, its
    /// order and its descriptions are then the table's.
    ///
    /// # Errors
    /// If the Delta log cannot be read or written, somebody else commits to the table, or rows to append lack a
    /// column of the table or have another type for it. Only a disk that fails for good can leave the commit in the
    /// log after an error.
    pub async fn commit(&self, staged: &StagedTable, mode: CommitMode, info: &CommitInfo) -> Result<u64, LakeError> {
        self.make_table_folders(&staged.schema.name)?;
        self.sync_staged(staged).await?;
        let prepared = self.prepare(staged, mode).await?;
        let landed = self.land(prepared, info, None).await?;
        let version = landed.version;
        self.checkpoint(landed).await;
        Ok(version)
    }

    /// Makes the folders a table needs to be committed.
    pub(crate) fn make_table_folders(&self, table: &TableName) -> Result<(), LakeError> {
        self.table_folder(table)?;
        self.make_folders(&[table.layer.name(), &table.table, LOG_FOLDER]).map(drop)
    }

    /// Works out the commit of staged files, which are on the disk, without writing anything.
    pub(crate) async fn prepare(&self, staged: &StagedTable, mode: CommitMode) -> Result<Prepared, LakeError> {
        let table = &staged.schema.name;
        let delta = if self.has_log(table)? {
            self.load(table, None).await?
        } else {
            self.delta_builder(table)?.build().map_err(self.delta_error(table, "open"))?
        };
        let actions = match delta.snapshot() {
            Ok(state) => self.change(state, staged, mode)?,
            Err(_) => creation(staged).map_err(self.delta_error(table, "create"))?,
        };
        let operation = operation(&staged.schema, mode);
        Ok(Prepared { table: table.clone(), base: Base::Log(Box::new(delta)), actions, operation })
    }

    /// Like [`Lake::prepare`] for an overwrite; without reading the log, if the last commit will do.
    pub(crate) async fn prepare_overwrite(&self, staged: &StagedTable) -> Result<Prepared, LakeError> {
        let Some(WholeCommit { version, files }) = self.whole_commit(&staged.schema)? else {
            return self.prepare(staged, CommitMode::Overwrite).await;
        };
        let kept = kept(staged);
        let removed = files.into_iter().filter(|file| !kept.contains(file.path.as_str()));
        let mut actions: Vec<Action> = removed.map(|file| Action::Remove(removal(file))).collect();
        actions.extend(staged.files.iter().map(added));
        let operation = operation(&staged.schema, CommitMode::Overwrite);
        Ok(Prepared { table: staged.schema.name.clone(), base: Base::Version(version), actions, operation })
    }

    /// Writes a commit. Fails if the table is no longer what it was when the commit was prepared.
    pub(crate) async fn land(
        &self,
        prepared: Prepared,
        info: &CommitInfo,
        transaction: Option<Transaction>,
    ) -> Result<Landed, LakeError> {
        let Prepared { table, base, actions, operation } = prepared;
        let delta = match base {
            Base::Log(delta) => delta,
            Base::Version(before) => {
                let (version, metadata) = (before + 1, metadata_of_commit(info));
                self.write_entry(&table, version, actions, operation, metadata, transaction).await?;
                return Ok(Landed { table, version });
            }
        };
        let state = delta.snapshot().ok();
        let committed = write_commit(delta.log_store(), state, actions, operation, info, transaction).await;
        let version = committed.map_err(|error| self.commit_error(&table, error))?;
        Ok(Landed { table, version })
    }

    /// Takes files out of a table in one commit, those whose folder below the table's is in `folders`: the batches
    /// or runs that staged them. Columns stay, and so do the files on the disk, for older versions to read. `None`,
    /// and no commit, if the table has no such file.
    ///
    /// # Errors
    /// If the Delta log cannot be read or written, or somebody else commits to the table.
    pub async fn retire(
        &self,
        table: &TableName,
        folders: &BTreeSet<String>,
        info: &CommitInfo,
    ) -> Result<Option<u64>, LakeError> {
        if !self.has_log(table)? {
            return Ok(None);
        }
        let delta = self.load(table, None).await?;
        let state = delta.snapshot().map_err(self.delta_error(table, "read"))?;
        let retired = |path: &str| path.split('/').next().is_some_and(|folder| folders.contains(folder));
        let current = state.log_data();
        let removed = current.iter().filter(|file| retired(&file.path()));
        let actions: Vec<Action> = removed.map(|file| Action::Remove(file.remove_action(true))).collect();
        if actions.is_empty() {
            return Ok(None);
        }
        let operation = DeltaOperation::Delete { predicate: None };
        let committed = write_commit(delta.log_store(), Some(state), actions, operation, info, None).await;
        let version = committed.map_err(|error| self.commit_error(table, error))?;
        self.checkpoint(Landed { table: table.clone(), version }).await;
        Ok(Some(version))
    }

    /// Reads the Delta log of a table that has one.
    pub(crate) async fn load(&self, table: &TableName, version: Option<u64>) -> Result<DeltaTable, LakeError> {
        let mut builder = self.delta_builder(table)?;
        if let Some(version) = version {
            builder = builder.with_version(version);
        }
        let loaded = builder.load().await;
        let Err(error) = loaded else { return loaded.map_err(self.delta_error(table, "read")) };
        let path = self.table_folder(table)?;
        match version.filter(|version| !path.join(LOG_FOLDER).join(format!("{version:020}.json")).exists()) {
            Some(version) => {
                let (customer, table) = (self.customer().to_owned(), table.clone());
                Err(LakeError::NoVersion { customer, table, version, path })
            }
            None => Err(self.delta_error(table, "read")(error)),
        }
    }

    pub(crate) fn delta_error(
        &self,
        table: &TableName,
        action: &'static str,
    ) -> impl FnOnce(DeltaTableError) -> LakeError {
        let (customer, table) = (self.customer().to_owned(), table.clone());
        let path = self.folder().join(table.layer.name()).join(&table.table);
        move |source| LakeError::Delta { customer, table, path, action, source: Box::new(source) }
    }

    pub(crate) fn changed_outside(&self, table: &TableName, problem: String) -> LakeError {
        let path = self.folder().join(table.layer.name()).join(&table.table);
        LakeError::ChangedOutside { customer: self.customer().to_owned(), table: table.clone(), path, problem }
    }

    fn delta_builder(&self, table: &TableName) -> Result<DeltaTableBuilder, LakeError> {
        let url = self.folder_url(&self.table_folder(table)?)?;
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(self.delta_error(table, "open"))?;
        Ok(builder.with_storage_backend(Arc::new(DurableDisk::new(self.disk().clone())), url))
    }

    /// The actions that turn an existing table into the staged one.
    fn change(
        &self,
        state: &DeltaTableState,
        staged: &StagedTable,
        mode: CommitMode,
    ) -> Result<Vec<Action>, LakeError> {
        let table = &staged.schema.name;
        let old = schema_of(table, state).map_err(|problem| self.changed_outside(table, problem))?;
        if mode == CommitMode::Append
            && let Some(difference) = append_difference(&old, &staged.schema)
        {
            let (customer, table) = (self.customer().to_owned(), table.clone());
            return Err(LakeError::AppendChangesColumns { customer, table, difference });
        }
        let mut actions = Vec::new();
        if old != staged.schema {
            let failed = || self.delta_error(table, "change the columns of");
            actions.extend(protocol_upgrade(&staged.schema, state.protocol()).map_err(failed())?.map(Action::Protocol));
            actions.push(Action::Metadata(metadata_of(&staged.schema, Some(state.metadata())).map_err(failed())?));
        }
        if mode == CommitMode::Overwrite {
            let kept = kept(staged);
            let current = state.log_data();
            let removed = current.iter().filter(|file| !kept.contains(file.path().as_ref()));
            actions.extend(removed.map(|file| Action::Remove(file.remove_action(true))));
        }
        actions.extend(staged.files.iter().map(added));
        Ok(actions)
    }

    /// Waits until the staged files, and the folders that name them, are on the disk.
    async fn sync_staged(&self, staged: &StagedTable) -> Result<(), LakeError> {
        let (files, folders) = self.paths_of(staged)?;
        let disk = self.disk().clone();
        let work = move || {
            files.iter().try_for_each(|path| disk.sync_file(path))?;
            folders.iter().try_for_each(|path| disk.sync_folder(path))
        };
        blocking(work).await.map_err(LakeError::io(
            self.customer(),
            &self.table_folder(&staged.schema.name)?,
            "bring to disk the files of",
        ))
    }

    /// The staged files, and the folders that name them up to the customer's.
    pub(crate) fn paths_of(&self, staged: &StagedTable) -> Result<(Vec<PathBuf>, BTreeSet<PathBuf>), LakeError> {
        let folder = self.table_folder(&staged.schema.name)?;
        let files: Vec<PathBuf> = staged.files.iter().map(|file| folder.join(&file.path)).collect();
        let mut folders = BTreeSet::from([folder.clone()]);
        for path in files.iter().chain([&folder]) {
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(self.folder()));
            folders.extend(above.map(PathBuf::from));
        }
        Ok((files, folders))
    }

    /// Writes the checkpoints that are due of a release's tables, once it is published. Readers can do without, so
    /// those that fail are logged.
    pub async fn write_checkpoints(&self, release: &Release) {
        let mut due = Vec::new();
        for (name, released) in &release.tables {
            let Ok(table) = name.parse::<TableName>() else { continue };
            let version = released.version;
            let checkpoint = format!("{}/{}/{LOG_FOLDER}/{version:020}.checkpoint.parquet", table.layer, table.table);
            if !self.folder().join(checkpoint).exists() {
                due.push(self.checkpoint(Landed { table, version }));
            }
        }
        stream::iter(due).buffer_unordered(CONCURRENT_CHECKPOINTS).collect::<()>().await;
    }

    /// Writes a checkpoint where one is due. The commit has landed, so a failure here is no failure of it.
    pub(crate) async fn checkpoint(&self, landed: Landed) {
        let Landed { table, version } = landed;
        if !checkpoint_is_due(&table, version) {
            return;
        }
        let written = self.write_checkpoint(&table, version).await;
        if let Err(error) = written {
            tracing::warn!(
                customer = self.customer(),
                layer = table.layer.name(),
                table = table.table,
                version,
                %error,
                "the version is published, but its checkpoint could not be written"
            );
        }
    }

    /// Writes the checkpoint of a version. Logs are cut by `vacuum`, which knows the releases that need them.
    async fn write_checkpoint(&self, table: &TableName, version: u64) -> Result<(), LakeError> {
        let delta = self.load(table, Some(version)).await?;
        create_checkpoint(&delta, None).await.map_err(self.delta_error(table, "write a checkpoint of"))
    }

    pub(crate) fn commit_error(&self, table: &TableName, error: DeltaTableError) -> LakeError {
        match error {
            DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
            } => self.changed_outside(table, "it committed at the same moment".to_owned()),
            other => self.delta_error(table, "commit to")(other),
        }
    }
}

/// A commit that only has to be written.
pub(crate) struct Prepared {
    table: TableName,
    base: Base,
    actions: Vec<Action>,
    operation: DeltaOperation,
}

/// What a commit follows.
enum Base {
    /// A log that was read; that of a new table is empty.
    Log(Box<DeltaTable>),
    /// A version of which the last commit said enough.
    Version(u64),
}

impl Prepared {
    pub(crate) fn table(&self) -> &TableName {
        &self.table
    }

    /// The version the table has before the commit; `None` if there is no table.
    pub(crate) fn version_before(&self) -> Option<u64> {
        match &self.base {
            Base::Log(delta) => delta.snapshot().ok().map(DeltaTableState::version),
            Base::Version(version) => Some(*version),
        }
    }
}

/// A commit that is in the log, but may still need a checkpoint.
pub(crate) struct Landed {
    pub(crate) table: TableName,
    pub(crate) version: u64,
}

/// Every table has its checkpoints at versions of its own, so that not all tables of a release write one at once.
fn checkpoint_is_due(table: &TableName, version: u64) -> bool {
    let offset: u64 = table.table.bytes().map(u64::from).sum();
    version > 0 && (version + offset + 1).is_multiple_of(CHECKPOINT_INTERVAL)
}

/// The actions that make a table: what it is and its first files in one commit.
fn creation(staged: &StagedTable) -> DeltaResult<Vec<Action>> {
    let mut actions =
        vec![Action::Protocol(protocol_of(&staged.schema)?), Action::Metadata(metadata_of(&staged.schema, None)?)];
    actions.extend(staged.files.iter().map(added));
    Ok(actions)
}

fn operation(schema: &TableSchema, mode: CommitMode) -> DeltaOperation {
    DeltaOperation::Write {
        mode: if mode == CommitMode::Append { SaveMode::Append } else { SaveMode::Overwrite },
        partition_by: Some(schema.partition_columns.clone()).filter(|columns| !columns.is_empty()),
        predicate: None,
    }
}

/// The files that an overwrite must not remove. A commit must not remove and add the same file, which would happen when
/// old contents are published again.
fn kept(staged: &StagedTable) -> HashSet<&str> {
    staged.files.iter().map(|file| file.path.as_str()).collect()
}

pub(crate) fn added(file: &StagedFile) -> Action {
    let partition_values: HashMap<_, _> = file.data.partition_values.clone().into_iter().collect();
    Action::Add(deltalake::kernel::Add {
        path: file.path.clone(),
        partition_values,
        size: i64::try_from(file.data.bytes).unwrap_or(i64::MAX),
        modification_time: file.modified,
        data_change: true,
        stats: Some(file.statistics.clone()),
        ..Default::default()
    })
}

pub(crate) async fn write_commit(
    log_store: LogStoreRef,
    state: Option<&DeltaTableState>,
    actions: Vec<Action>,
    operation: DeltaOperation,
    info: &CommitInfo,
    transaction: Option<Transaction>,
) -> DeltaResult<u64> {
    // The lock makes this the only writer; whoever else writes is a mistake to report, not to work around.
    let mut properties = CommitProperties::default().with_metadata(metadata_of_commit(info)).with_max_retries(0);
    // Logs are cut by `vacuum`, which knows the releases that need them, not by age.
    properties = properties.with_cleanup_expired_logs(Some(false));
    if let Some(transaction) = transaction {
        properties = properties.with_application_transaction(transaction);
    }
    let state = state.map(|state| state as &dyn TableReference);
    let commit = CommitBuilder::from(properties).with_actions(actions).build(state, log_store, operation);
    // What deltalake would do after the commit is left out: it fails the commit if it cannot write a checkpoint.
    Ok(commit.into_prepared_commit_future().await?.await?.version)
}

fn metadata_of_commit(info: &CommitInfo) -> HashMap<String, Value> {
    let mut metadata = HashMap::from([(RUN_ID_KEY.to_owned(), Value::from(info.run_id.clone()))]);
    metadata.extend(info.release.map(|release| ("medallion.release".to_owned(), Value::from(release))));
    metadata.extend(info.extra.iter().map(|(key, value)| (format!("medallion.{key}"), value.clone())));
    metadata
}

#[cfg(test)]
mod tests;
