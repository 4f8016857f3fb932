//! Releases: which versions of the tables belong together.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::place::{Lake, MEDALLION_FOLDER};
use crate::snapshots::Snapshots;

const RELEASES_FOLDER: &str = "releases";

/// A set of table versions published together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// [`Release::SCHEMA`].
    pub schema: String,
    /// The number, counted from 1.
    pub release: u64,
    /// The run that published it.
    pub run_id: String,
    /// The day the data describes.
    pub as_of: NaiveDate,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// The silver and gold tables by name, such as `gold.dim_user`.
    pub tables: BTreeMap<String, ReleasedTable>,
    /// The batch each bronze table that has one had in it, by name, such as `bronze.users`. Files of earlier builds
    /// have none.
    #[serde(default)]
    pub batches: BTreeMap<String, ReleasedBatch>,
    /// The exports that are in each table of versions, by name, such as `silver.users_history`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history: BTreeMap<String, Snapshots>,
    /// The release whose contents this one brought back, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
    /// The hash of the pipeline that built and tested its tables, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_key: Option<String>,
    /// On object storage: the number of the lock under which it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}

impl Release {
    /// The schema of release files this build writes and reads.
    pub const SCHEMA: &str = "medallion/release/v1";
}

/// A table of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedTable {
    /// The version of the Delta table.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// The fingerprint of its content, if known.
    pub fingerprint: Option<String>,
    /// The hash of what it was built from, if known.
    #[serde(default)]
    pub build_key: Option<String>,
    /// The hash of its definition alone. Files of earlier builds have none.
    #[serde(default)]
    pub definition: Option<String>,
}

/// What tells whether a table is the same later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableHashes {
    /// The fingerprint of its content, if known.
    pub fingerprint: Option<String>,
    /// The hash of what it was built from, if known.
    pub build_key: Option<String>,
    /// The hash of its definition alone, if known.
    pub definition: Option<String>,
}

impl ReleasedTable {
    /// A table of a release.
    #[must_use]
    pub fn new(version: u64, rows: u64, hashes: TableHashes) -> Self {
        let TableHashes { fingerprint, build_key, definition } = hashes;
        Self { version, rows, fingerprint, build_key, definition }
    }

    /// What tells whether the table is the same later.
    #[must_use]
    pub fn hashes(&self) -> TableHashes {
        let Self { fingerprint, build_key, definition, .. } = self.clone();
        TableHashes { fingerprint, build_key, definition }
    }
}

/// The batch a release was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedBatch {
    /// The batch, which is also the folder of its files.
    pub batch_id: String,
    /// The sound records of its files: its rows in bronze.
    pub records: u64,
}

impl Lake {
    /// The release with the highest number, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn latest_release(&self) -> Result<Option<Release>, LakeError> {
        let latest = self.release_files()?.pop();
        latest.map(|(_, path)| self.read_release(&path)).transpose()
    }

    /// The release with the given number.
    ///
    /// # Errors
    /// [`LakeError::NoRelease`] if there is none, or if it cannot be read.
    pub fn release(&self, release: u64) -> Result<Release, LakeError> {
        let path = self.release_path(release);
        if path.exists() {
            return self.read_release(&path);
        }
        Err(LakeError::NoRelease { customer: self.customer().to_owned(), release, path })
    }

    /// All releases in ascending order.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn releases(&self) -> Result<Vec<Release>, LakeError> {
        self.release_files()?.iter().map(|(_, path)| self.read_release(path)).collect()
    }

    /// Publishes a release: afterwards its file is there as a whole, or this failed and it is not.
    ///
    /// # Errors
    /// [`LakeError::ReleaseExists`] if there is one with its number, or if it cannot be written.
    pub fn put_release(&self, release: &Release) -> Result<(), LakeError> {
        self.make_lasting_folders(&[MEDALLION_FOLDER, RELEASES_FOLDER])?;
        let (customer, path) = (self.customer(), self.release_path(release.release));
        let json = |source| LakeError::Json { customer: customer.to_owned(), path: path.clone(), source };
        let mut text = serde_json::to_vec_pretty(release).map_err(json)?;
        text.push(b'\n');
        match self.disk().create_new(&path, &[Bytes::from(text)]) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(LakeError::ReleaseExists { customer: customer.to_owned(), release: release.release, path })
            }
            other => other.map_err(LakeError::io(customer, &path, "write")),
        }
    }

    /// Waits until the names of the release files are on the disk.
    pub(crate) fn sync_releases(&self) -> Result<(), LakeError> {
        let folder = self.releases_folder();
        self.disk().sync_folder(&folder).map_err(LakeError::io(self.customer(), &folder, "bring to disk"))
    }

    fn releases_folder(&self) -> PathBuf {
        self.folder().join(MEDALLION_FOLDER).join(RELEASES_FOLDER)
    }

    pub(crate) fn release_path(&self, release: u64) -> PathBuf {
        self.releases_folder().join(format!("{release:08}.json"))
    }

    fn release_files(&self) -> Result<Vec<(u64, PathBuf)>, LakeError> {
        let numbered = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
            let digits = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| name.parse().ok()).flatten().map(|number| (number, path))
        };
        let mut files: Vec<(u64, PathBuf)> =
            self.entries(&self.releases_folder())?.into_iter().filter_map(numbered).collect();
        files.sort();
        Ok(files)
    }

    fn read_release(&self, path: &Path) -> Result<Release, LakeError> {
        let customer = self.customer();
        self.refuse_link(path)?;
        let text = self.disk().read(path).map_err(LakeError::io(customer, path, "read"))?;
        let json = |source| LakeError::Json { customer: customer.to_owned(), path: path.to_path_buf(), source };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(json)?;
        let found = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or_default();
        if found != Release::SCHEMA {
            let (customer, path) = (customer.to_owned(), path.to_path_buf());
            return Err(LakeError::ReleaseSchema { customer, path, found: found.to_owned() });
        }
        serde_json::from_value(value).map_err(json)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;

    use super::*;

    fn example(release: u64) -> Release {
        let hashes = TableHashes { definition: Some("d1".to_owned()), ..TableHashes::default() };
        let table = ReleasedTable::new(3, 12, hashes);
        let batch_id = "2025-06-30_000001_0123456789abcdef".to_owned();
        let mut snapshots = Snapshots::default();
        snapshots.insert(NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(), &batch_id);
        Release {
            schema: Release::SCHEMA.to_owned(),
            release,
            run_id: "run-1".to_owned(),
            as_of: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
            published_at: DateTime::from_timestamp(1_751_335_200, 0).unwrap(),
            tables: BTreeMap::from([("gold.dim_user".to_owned(), table)]),
            batches: BTreeMap::from([("bronze.users".to_owned(), ReleasedBatch { batch_id, records: 3057 })]),
            history: BTreeMap::from([("silver.users_history".to_owned(), snapshots)]),
            rolled_back_to: None,
            pipeline_key: None,
            fence: None,
        }
    }

    #[test]
    fn releases_are_read_back_in_order_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        assert_eq!(lake.latest_release().unwrap(), None);
        for number in [2, 1, 10] {
            lake.put_release(&example(number)).unwrap();
        }
        assert_eq!(lake.latest_release().unwrap(), Some(example(10)));
        assert_eq!(lake.releases().unwrap(), [example(1), example(2), example(10)]);
        assert_eq!(lake.release(2).unwrap(), example(2));
        assert!(matches!(lake.release(3), Err(LakeError::NoRelease { release: 3, .. })));

        let mut changed = example(2);
        changed.run_id = "run-2".to_owned();
        assert!(matches!(lake.put_release(&changed), Err(LakeError::ReleaseExists { release: 2, .. })));
        assert_eq!(lake.release(2).unwrap(), example(2));
        assert_eq!(fs::read_dir(lake.releases_folder()).unwrap().count(), 3);
    }

    #[test]
    fn the_file_has_the_form_other_programs_rely_on() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        lake.put_release(&example(1)).unwrap();
        let text = fs::read(folder.path().join("acme/_medallion/releases/00000001.json")).unwrap();
        let expected = serde_json::json!({
            "schema": "medallion/release/v1", "release": 1, "run_id": "run-1", "as_of": "2025-06-30",
            "published_at": "2025-07-01T02:00:00Z",
            "tables": {"gold.dim_user": {"version": 3, "rows": 12, "fingerprint": null, "build_key": null, "definition": "d1"}},
            "batches": {"bronze.users": {"batch_id": "2025-06-30_000001_0123456789abcdef", "records": 3057}},
            "history": {"silver.users_history": [
                {"first": "2025-06-30", "last": "2025-06-30", "batch": "2025-06-30_000001_0123456789abcdef"},
            ]},
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn a_release_of_an_earlier_build_has_no_batches_and_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        lake.make_folders(&[MEDALLION_FOLDER, RELEASES_FOLDER]).unwrap();
        let text = r#"{
            "schema": "medallion/release/v1", "release": 1, "run_id": "run-1", "as_of": "2025-06-30",
            "published_at": "2025-07-01T02:00:00Z",
            "tables": {"gold.dim_user": {"version": 3, "rows": 12, "fingerprint": null, "build_key": null}}
        }"#;
        fs::write(lake.release_path(1), text).unwrap();
        let tables = BTreeMap::from([("gold.dim_user".to_owned(), ReleasedTable::new(3, 12, TableHashes::default()))]);
        assert_eq!(
            lake.latest_release().unwrap(),
            Some(Release { tables, batches: BTreeMap::new(), history: BTreeMap::new(), ..example(1) })
        );
    }

    #[test]
    fn a_release_of_a_newer_build_is_not_misread() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        lake.make_folders(&[MEDALLION_FOLDER, RELEASES_FOLDER]).unwrap();
        fs::write(lake.release_path(7), r#"{"schema": "medallion/release/v2"}"#).unwrap();
        let error = lake.latest_release().unwrap_err();
        assert!(matches!(&error, LakeError::ReleaseSchema { found, .. } if found == "medallion/release/v2"));
    }
}
