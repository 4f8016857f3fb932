//! What a run notes down for the next one, so that a night without changes need not do again what was done.
//!
//! - Tables as their Delta logs had them last. A log says everything and takes a while to read: its folder is listed, its
//!   checkpoint and all commits after it are decoded. As long as the last commit is the one that is noted, by its hash,
//!   the note says what the log says.
//! - What a run found that had nothing to publish: another day or another definition, but the tables of the last
//!   release. No release tells of it.
//!
//! Nothing depends on the note: without it, or if it does not fit, logs are read and tables are built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::NaiveDate;
use medallion_pipeline::{DataFile, TableFiles, TableName, TableSchema};
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::place::{LOG_FOLDER, Lake, MEDALLION_FOLDER};
use crate::published::{PublishedTable, is_below};
use crate::release::Release;

const SCHEMA: &str = "medallion/remembered/v1";
pub(crate) const FILE: &str = "remembered.json";

/// What is remembered, and may have changed since.
#[derive(Debug, Serialize, Deserialize)]
pub struct Remembered {
    schema: String,
    tables: BTreeMap<TableName, RememberedTable>,
    confirmed: Option<Confirmation>,
}

/// What a run found that built all tables and had nothing to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The release that has the same tables.
    pub release: u64,
    /// The run's date.
    pub as_of: NaiveDate,
    /// The hash of the pipeline whose tests they passed on that date.
    pub pipeline_key: String,
    /// The hash of what each table was built from, by name.
    pub build_keys: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RememberedTable {
    version: u64,
    /// BLAKE3 of the log entry of that version.
    commit: String,
    run_id: Option<String>,
    table: TableSchema,
    files: Vec<RememberedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RememberedFile {
    path: String,
    rows: u64,
    bytes: u64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), tables: BTreeMap::new(), confirmed: None }
    }
}

impl Lake {
    /// What is remembered of this customer; nothing if the note is not there or cannot be read.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        let path = self.remembered_path();
        let read = self.refuse_link(&path).ok().and_then(|()| self.disk().read(&path).ok());
        let remembered = read.and_then(|text| serde_json::from_slice::<Remembered>(&text).ok());
        remembered.filter(|remembered| remembered.schema == SCHEMA).unwrap_or_default()
    }

    /// Notes down what tables are at this moment; what is remembered of others stays. Needs the lock. After a power loss
    /// the note may not be there, which makes the next run slower and nothing else.
    ///
    /// # Errors
    /// If a log or the note cannot be read or written.
    pub fn remember<'a>(&self, tables: impl IntoIterator<Item = &'a PublishedTable>) -> Result<(), LakeError> {
        let mut remembered = self.remembered();
        for table in tables {
            let name = &table.files.schema.name;
            match self.to_remember(table)? {
                Some(noted) => drop(remembered.tables.insert(name.clone(), noted)),
                None => drop(remembered.tables.remove(name)),
            }
        }
        self.note(&remembered)
    }

    /// Notes down what a run found that had nothing to publish. Needs the lock.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn confirm(&self, confirmed: Confirmation) -> Result<(), LakeError> {
        self.note(&Remembered { confirmed: Some(confirmed), ..self.remembered() })
    }

    fn note(&self, remembered: &Remembered) -> Result<(), LakeError> {
        let (customer, path) = (self.customer(), self.remembered_path());
        let json = |source| LakeError::Json { customer: customer.to_owned(), path: path.clone(), source };
        let text = Bytes::from(serde_json::to_vec(remembered).map_err(json)?);
        self.refuse_link(&path)?;
        self.disk().replace_derived(&path, &[text]).map_err(LakeError::io(customer, &path, "write"))
    }

    /// `None` if the table is not what the note has room for, or somebody just changed it.
    fn to_remember(&self, published: &PublishedTable) -> Result<Option<RememberedTable>, LakeError> {
        let PublishedTable { version, run_id, files: TableFiles { schema, .. }, .. } = published;
        let commit = self.last_commit(&schema.name, *version)?;
        let file = |(path, data): (&str, &DataFile)| RememberedFile {
            path: path.to_owned(),
            rows: data.rows,
            bytes: data.bytes,
        };
        Ok(commit.filter(|_| schema.partition_columns.is_empty()).map(|commit| RememberedTable {
            version: *version,
            commit,
            run_id: run_id.clone(),
            table: schema.clone(),
            files: published.paths().map(file).collect(),
        }))
    }

    /// The hash of a table's commit, if it is the last one.
    fn last_commit(&self, table: &TableName, version: u64) -> Result<Option<String>, LakeError> {
        self.refuse_link(&self.table_folder(table)?.join(LOG_FOLDER))?;
        if self.log_entry(table, version + 1)?.symlink_metadata().is_ok() {
            return Ok(None);
        }
        let entry = self.disk().read(&self.log_entry(table, version)?);
        Ok(entry.ok().map(|text| blake3::hash(&text).to_hex().to_string()))
    }

    fn remembered_path(&self) -> PathBuf {
        self.folder().join(MEDALLION_FOLDER).join(FILE)
    }
}

impl Remembered {
    /// What was found of the last release, if something was.
    #[must_use]
    pub fn confirmed(&self, last: &Release) -> Option<&Confirmation> {
        self.confirmed.as_ref().filter(|confirmed| confirmed.release == last.release)
    }

    /// The latest version of a table, if it is the one that is remembered.
    ///
    /// # Errors
    /// If the table's folder is a link.
    pub fn published(&self, lake: &Lake, name: &TableName) -> Result<Option<PublishedTable>, LakeError> {
        let Some(RememberedTable { version, commit, run_id, table, files }) = self.tables.get(name) else {
            return Ok(None);
        };
        let is_sound = table.name == *name && files.iter().all(|file| is_below(&file.path));
        if !is_sound || lake.last_commit(name, *version)?.as_ref() != Some(commit) {
            return Ok(None);
        }
        let folder = lake.table_folder(name)?;
        let data = |file: &RememberedFile| {
            let location = lake.file_url(&folder.join(&file.path))?;
            Ok(DataFile { location, partition_values: BTreeMap::new(), rows: file.rows, bytes: file.bytes })
        };
        Ok(Some(PublishedTable {
            version: *version,
            run_id: run_id.clone(),
            files: TableFiles {
                schema: table.clone(),
                files: files.iter().map(data).collect::<Result<_, LakeError>>()?,
            },
            paths: files.iter().map(|file| file.path.clone()).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::commit::{CommitInfo, CommitMode};
    use crate::testing::{example_schema, lake, write_example};

    async fn append(lake: &Lake, schema: &TableSchema, run_id: &str, ids: &[i64]) {
        let area = lake.staging_area(&schema.name, run_id).unwrap();
        write_example(&area, "0.parquet", ids);
        let staged = lake.staged(schema, &area).unwrap();
        let info = CommitInfo { run_id: run_id.to_owned(), ..CommitInfo::default() };
        lake.commit(&staged, CommitMode::Append, &info).await.unwrap();
    }

    /// What is remembered of a table whose log says what `lake.published` says.
    async fn told(lake: &Lake, name: &TableName) -> (Option<PublishedTable>, PublishedTable) {
        let remembered = lake.remembered().published(lake, name).unwrap();
        (remembered, lake.published(name, None).await.unwrap().unwrap())
    }

    fn note(lake: &Lake) -> PathBuf {
        lake.folder().join("_medallion/remembered.json")
    }

    #[tokio::test]
    async fn a_table_is_remembered_until_it_changes() {
        let (_folder, lake) = lake();
        let schemas = [example_schema("users"), example_schema("scorm")];
        for schema in &schemas {
            append(&lake, schema, "run-1", &[1, 2, 3]).await;
            assert_eq!(told(&lake, &schema.name).await.0, None);
            let published = lake.published(&schema.name, None).await.unwrap();
            lake.remember(&published).unwrap();
        }
        for schema in &schemas {
            let (remembered, published) = told(&lake, &schema.name).await;
            assert_eq!(remembered, Some(published));
        }
        append(&lake, &schemas[0], "run-2", &[4]).await;
        assert_eq!(told(&lake, &schemas[0].name).await.0, None);
        let (remembered, published) = told(&lake, &schemas[1].name).await;
        assert_eq!(remembered, Some(published));
    }

    #[tokio::test]
    async fn a_table_that_was_made_anew_is_not_mistaken_for_the_old_one() {
        let (_folder, lake) = lake();
        let schema = example_schema("users");
        append(&lake, &schema, "run-1", &[1, 2, 3]).await;
        let published = lake.published(&schema.name, None).await.unwrap();
        lake.remember(&published).unwrap();
        fs::remove_dir_all(lake.table_folder(&schema.name).unwrap()).unwrap();
        assert_eq!(lake.remembered().published(&lake, &schema.name).unwrap(), None);
        append(&lake, &schema, "run-2", &[4]).await;
        let (remembered, published) = told(&lake, &schema.name).await;
        assert_eq!((remembered, published.version), (None, 0));
    }

    #[tokio::test]
    async fn a_note_that_is_broken_newer_or_leads_elsewhere_is_no_note() {
        let (_folder, lake) = lake();
        let schema = example_schema("users");
        append(&lake, &schema, "run-1", &[1, 2, 3]).await;
        let published = lake.published(&schema.name, None).await.unwrap();
        lake.remember(&published).unwrap();
        let text = fs::read(note(&lake)).unwrap();
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut value: Value = serde_json::from_slice(&text).unwrap();
            change(&mut value);
            serde_json::to_vec(&value).unwrap()
        };
        let file = "/tables/gold.users/files/0/path";
        let is_there: Value = serde_json::from_slice(&text).unwrap();
        assert!(is_there.pointer("/tables").is_some() && is_there.pointer(file).is_some(), "{is_there}");
        for broken in [
            Vec::new(),
            text[..text.len() / 2].to_vec(),
            changed(&|value| value["schema"] = json!("medallion/remembered/v2")),
            changed(&|value| *value.pointer_mut(file).unwrap() = json!("../../../globex/gold/users/0.parquet")),
            changed(&|value| value["tables"]["gold.users"]["table"]["name"] = json!("gold.scorm")),
        ] {
            fs::write(note(&lake), &broken).unwrap();
            assert_eq!(told(&lake, &schema.name).await.0, None, "{}", String::from_utf8_lossy(&broken));
            lake.remember(&published).unwrap();
            assert!(told(&lake, &schema.name).await.0.is_some());
        }
    }
}
