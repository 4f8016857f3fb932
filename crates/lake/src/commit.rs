//! Commits: the one place that makes staged files visible.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, PostCommit, TableReference, TransactionError};
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError};
use medallion_pipeline::TableName;
use serde_json::Value;

use crate::disk::blocking;
use crate::durable::DurableDisk;
use crate::error::LakeError;
use crate::place::{LOG_FOLDER, Lake};
use crate::staging::{StagedFile, StagedTable};
use crate::table_schema::{
    CHECKPOINT_INTERVAL, append_difference, metadata_of, protocol_of, protocol_upgrade, schema_of,
};

/// The entry of the commit info that names the run.
pub(crate) const RUN_ID_KEY: &str = "medallion.run_id";

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
        let table = &staged.schema.name;
        self.table_folder(table)?;
        self.make_folders(&[table.layer.name(), &table.table, LOG_FOLDER])?;
        self.sync_staged(staged).await?;
        let delta = if self.has_log(table)? {
            self.load(table, None).await?
        } else {
            self.delta_builder(table)?.build().map_err(self.delta_error(table, "open"))?
        };
        let state = delta.snapshot().ok();
        let actions = match state {
            Some(state) => self.change(state, staged, mode)?,
            None => creation(staged).map_err(self.delta_error(table, "create"))?,
        };
        let operation = DeltaOperation::Write {
            mode: if mode == CommitMode::Append { SaveMode::Append } else { SaveMode::Overwrite },
            partition_by: Some(staged.schema.partition_columns.clone()).filter(|columns| !columns.is_empty()),
            predicate: None,
        };
        let committed = write_commit(delta.log_store(), state, actions, operation, info).await;
        let committed = committed.map_err(|error| self.commit_error(table, error))?;
        Ok(self.after_commit(table, committed).await)
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
        let committed = write_commit(delta.log_store(), Some(state), actions, operation, info).await;
        let committed = committed.map_err(|error| self.commit_error(table, error))?;
        Ok(Some(self.after_commit(table, committed).await))
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
            // A commit must not remove and add the same file, which would happen when old contents are published again.
            let kept: HashSet<&str> = staged.files.iter().map(|file| file.path.as_str()).collect();
            let current = state.log_data();
            let removed = current.iter().filter(|file| !kept.contains(file.path().as_ref()));
            actions.extend(removed.map(|file| Action::Remove(file.remove_action(true))));
        }
        actions.extend(staged.files.iter().map(added));
        Ok(actions)
    }

    /// Waits until the staged files, and the folders that name them, are on the disk.
    async fn sync_staged(&self, staged: &StagedTable) -> Result<(), LakeError> {
        let folder = self.table_folder(&staged.schema.name)?;
        let files: Vec<PathBuf> = staged.files.iter().map(|file| folder.join(&file.path)).collect();
        let mut folders = BTreeSet::from([folder.clone()]);
        for path in files.iter().chain([&folder]) {
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(self.folder()));
            folders.extend(above.map(PathBuf::from));
        }
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

    /// Writes a checkpoint where one is due. The commit has landed, so a failure here is no failure of it.
    async fn after_commit(&self, table: &TableName, committed: PostCommit) -> u64 {
        let version = committed.version;
        if (version + 1).is_multiple_of(CHECKPOINT_INTERVAL)
            && let Err(error) = committed.await
        {
            tracing::warn!(
                customer = self.customer(),
                layer = table.layer.name(),
                table = table.table,
                version,
                %error,
                "the version is published, but its checkpoint could not be written"
            );
        }
        version
    }

    fn commit_error(&self, table: &TableName, error: DeltaTableError) -> LakeError {
        match error {
            DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
            } => self.changed_outside(table, "it committed at the same moment".to_owned()),
            other => self.delta_error(table, "commit to")(other),
        }
    }
}

/// The actions that make a table: what it is and its first files in one commit.
fn creation(staged: &StagedTable) -> DeltaResult<Vec<Action>> {
    let mut actions =
        vec![Action::Protocol(protocol_of(&staged.schema)?), Action::Metadata(metadata_of(&staged.schema, None)?)];
    actions.extend(staged.files.iter().map(added));
    Ok(actions)
}

fn added(file: &StagedFile) -> Action {
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

async fn write_commit(
    log_store: LogStoreRef,
    state: Option<&DeltaTableState>,
    actions: Vec<Action>,
    operation: DeltaOperation,
    info: &CommitInfo,
) -> DeltaResult<PostCommit> {
    let mut metadata = vec![(RUN_ID_KEY.to_owned(), Value::from(info.run_id.clone()))];
    metadata.extend(info.release.map(|release| ("medallion.release".to_owned(), Value::from(release))));
    metadata.extend(info.extra.iter().map(|(key, value)| (format!("medallion.{key}"), value.clone())));
    // The lock makes this the only writer; whoever else writes is a mistake to report, not to work around.
    let properties = CommitProperties::default().with_metadata(metadata).with_max_retries(0);
    let state = state.map(|state| state as &dyn TableReference);
    let commit = CommitBuilder::from(properties).with_actions(actions).build(state, log_store, operation);
    commit.into_prepared_commit_future().await?.await
}

#[cfg(test)]
mod tests;
