//! Where a customer's files are: folders, names that are safe as folders, and no links.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use medallion_pipeline::schema::is_identifier;
use medallion_pipeline::{CustomerId, Layer, TableName};
use url::Url;

use crate::bucket::Bucket;
use crate::disk::Disk;
use crate::error::LakeError;
use crate::gate::{Gate, OpenGate};
use crate::location::LakeLocation;
use crate::mirror::Mirror;

/// The folder beside the layers that holds lock, releases and runs.
pub(crate) const MEDALLION_FOLDER: &str = "_medallion";
/// The folder of a table that makes it one.
pub(crate) const LOG_FOLDER: &str = "_delta_log";

/// One customer's tables in a lake.
#[derive(Debug, Clone)]
pub struct Lake {
    customer: String,
    folder: PathBuf,
    disk: Disk,
}

impl Lake {
    /// Opens the customer's part of the lake at `location`, a path or a URL of a folder or of object storage, and makes its
    /// folders.
    ///
    /// # Errors
    /// If the location is none, the customer id is not one, a folder cannot be made or the storage cannot be read, or there
    /// are links.
    pub fn open(location: impl Into<LakeLocation>, customer: &str) -> Result<Self, LakeError> {
        Self::open_behind(location, customer, Arc::new(OpenGate))
    }

    /// Like [`Lake::open`], with a gate that every change to the disk has to pass.
    ///
    /// # Errors
    /// Like [`Lake::open`], and if the gate does not let a folder be made.
    pub fn open_behind(
        location: impl Into<LakeLocation>,
        customer: &str,
        gate: Arc<dyn Gate>,
    ) -> Result<Self, LakeError> {
        let lake = Self::at(&location.into(), customer, gate)?;
        let root = lake.folder.parent().unwrap_or(&lake.folder);
        lake.disk.make_folder_path(root).map_err(LakeError::io(customer, root, "create"))?;
        lake.make_lasting_folders(&[])?;
        lake.refuse_links()?;
        lake.make_lasting_folders(&[MEDALLION_FOLDER])?;
        Ok(lake)
    }

    /// Opens the customer's part of the lake for reading; nothing is made.
    ///
    /// # Errors
    /// Like [`Lake::open`], and if the lake has nothing of the customer.
    pub fn open_existing(location: impl Into<LakeLocation>, customer: &str) -> Result<Self, LakeError> {
        let lake = Self::at(&location.into(), customer, Arc::new(OpenGate))?;
        if kind_of(customer, &lake.folder.join(MEDALLION_FOLDER))?.is_none() {
            return Err(LakeError::NoCustomer { customer: lake.customer, path: lake.folder });
        }
        lake.refuse_links()?;
        Ok(lake)
    }

    /// The customer whose tables these are.
    #[must_use]
    pub fn customer(&self) -> &str {
        &self.customer
    }

    /// The customer's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What every change to the disk has to pass.
    #[must_use]
    pub fn gate(&self) -> &Arc<dyn Gate> {
        self.disk.gate()
    }

    /// The number of the lock on object storage, if it is held.
    pub(crate) fn fence_number(&self) -> Option<u64> {
        Some(self.disk.mirror()?.fence()?.number())
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The tables that exist, sorted by layer and name.
    ///
    /// # Errors
    /// If a folder cannot be read or is a link.
    pub fn tables(&self) -> Result<Vec<TableName>, LakeError> {
        let mut tables = Vec::new();
        for layer in Layer::ALL {
            for path in self.entries(&self.folder.join(layer.name()))? {
                let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_identifier(name));
                let Some(table) = name.map(|name| TableName::new(layer, name)) else { continue };
                if self.has_log(&table)? {
                    tables.push(table);
                }
            }
        }
        tables.sort();
        Ok(tables)
    }

    /// The folder of a table, which need not exist.
    pub(crate) fn table_folder(&self, table: &TableName) -> Result<PathBuf, LakeError> {
        if is_identifier(&table.table) {
            return Ok(self.folder.join(table.layer.name()).join(&table.table));
        }
        Err(LakeError::InvalidTable { customer: self.customer.clone(), table: table.clone() })
    }

    /// Whether the table has a Delta log with at least one commit.
    ///
    /// # Errors
    /// If the log's folder is a link or cannot be read.
    pub fn has_log(&self, table: &TableName) -> Result<bool, LakeError> {
        let log = self.table_folder(table)?.join(LOG_FOLDER);
        let is_version = |name: &OsStr| {
            name.to_str().is_some_and(|name| {
                name.starts_with(|c: char| c.is_ascii_digit())
                    && (name.ends_with(".json") || name.ends_with(".parquet"))
            })
        };
        self.refuse_link(&log)?;
        let entries = match fs::read_dir(&log) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(LakeError::io(&self.customer, &log, "list"))?,
        };
        for entry in entries {
            if is_version(&entry.map_err(LakeError::io(&self.customer, &log, "list"))?.file_name()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the folders below the customer's one by one, refusing links on the way. A power loss may take them;
    /// committing a table brings its folders to the disk.
    pub(crate) fn make_folders(&self, names: &[&str]) -> Result<PathBuf, LakeError> {
        let mut path = self.folder.clone();
        for name in names {
            path.push(name);
            self.check_folder(&path, self.disk.make_folder(&path).map(drop))?;
        }
        Ok(path)
    }

    /// Makes the customer's folder and those below it like [`Lake::make_folders`], for good.
    pub(crate) fn make_lasting_folders(&self, names: &[&str]) -> Result<PathBuf, LakeError> {
        let mut path = self.folder.clone();
        self.check_folder(&path, self.disk.make_lasting_folder(&path))?;
        for name in names {
            path.push(name);
            self.check_folder(&path, self.disk.make_lasting_folder(&path))?;
        }
        Ok(path)
    }

    fn check_folder(&self, path: &Path, made: io::Result<()>) -> Result<(), LakeError> {
        made.map_err(LakeError::io(&self.customer, path, "create"))?;
        match kind_of(&self.customer, path)? {
            Some(kind) if kind.is_dir() => Ok(()),
            _ => Err(LakeError::io(&self.customer, path, "use as a folder")(ErrorKind::NotADirectory.into())),
        }
    }

    /// Refuses a path that is a link; one that does not exist is fine.
    pub(crate) fn refuse_link(&self, path: &Path) -> Result<(), LakeError> {
        kind_of(&self.customer, path).map(drop)
    }

    /// The entries of a folder, sorted; none if it does not exist.
    pub(crate) fn entries(&self, folder: &Path) -> Result<Vec<PathBuf>, LakeError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LakeError::io(&self.customer, folder, "list")(error)),
        };
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(LakeError::io(&self.customer, folder, "list"))?;
        paths.sort();
        Ok(paths)
    }

    /// Checks that a run or batch id is safe as the name of a folder.
    pub(crate) fn check_run_id(&self, run_id: &str) -> Result<(), LakeError> {
        let sound = run_id.len() <= 128
            && run_id.starts_with(|c: char| c.is_ascii_alphanumeric())
            && run_id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if sound {
            return Ok(());
        }
        Err(LakeError::InvalidRun { customer: self.customer.clone(), run_id: run_id.to_owned() })
    }

    fn at(location: &LakeLocation, customer: &str, gate: Arc<dyn Gate>) -> Result<Self, LakeError> {
        if customer.parse::<CustomerId>().is_err() {
            return Err(LakeError::InvalidCustomer { customer: customer.to_owned() });
        }
        if let Some(bucket) = bucket_at(location)? {
            return Self::in_bucket(&bucket, customer, gate);
        }
        let folder = local_path(&location.address)?.join(customer);
        Ok(Self { customer: customer.to_owned(), folder, disk: Disk::new(gate) })
    }

    /// The customer's part of a lake on object storage, with a local copy for as long as it is open.
    pub(crate) fn in_bucket(lake: &Bucket, customer: &str, gate: Arc<dyn Gate>) -> Result<Self, LakeError> {
        let bucket = lake.below(customer);
        let failed = LakeError::io(customer, Path::new(bucket.address()), "open");
        let mirror = Mirror::open(bucket.clone(), customer).map_err(failed)?;
        let (customer, folder) = (customer.to_owned(), mirror.folder().to_path_buf());
        Ok(Self { customer, folder, disk: Disk::over(gate, mirror) })
    }

    /// Refuses links among the customer folder, the layers, the tables and the entries of `_medallion`.
    fn refuse_links(&self) -> Result<(), LakeError> {
        self.refuse_link(&self.folder)?;
        for name in Layer::ALL.map(Layer::name).into_iter().chain([MEDALLION_FOLDER]) {
            let folder = self.folder.join(name);
            self.refuse_link(&folder)?;
            for entry in self.entries(&folder)? {
                self.refuse_link(&entry)?;
            }
        }
        Ok(())
    }
}

/// What is at `path`, without following a link: a link is an error, nothing is `None`.
pub(crate) fn kind_of(customer: &str, path: &Path) -> Result<Option<fs::FileType>, LakeError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            Err(LakeError::Linked { customer: customer.to_owned(), path: path.to_path_buf() })
        }
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LakeError::io(customer, path, "look at")(error)),
    }
}

/// The same place without `..`, which is no part of a URL. What the file system makes of `..` after a link is asked of it
/// as far as the folders are there.
fn without_parents(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain = fs::canonicalize(&plain).unwrap_or(plain);
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The bucket that a location names, unless it is a local one.
pub(crate) fn bucket_at(location: &LakeLocation) -> Result<Option<Bucket>, LakeError> {
    let scheme = location.address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.filter(|scheme| Bucket::knows(scheme)).map(|_| Bucket::connect(location)).transpose()
}

pub(crate) fn local_path(location: &str) -> Result<PathBuf, LakeError> {
    let invalid = || LakeError::InvalidLocation { location: without_credentials(location) };
    if !location.contains("://") {
        let path = std::path::absolute(location).map_err(|_| invalid())?;
        return Ok(without_parents(path));
    }
    let url = Url::parse(location).map_err(|_| invalid())?;
    if url.scheme() == "file" {
        return url.to_file_path().map_err(|()| invalid());
    }
    Err(LakeError::UnknownScheme { scheme: url.scheme().to_owned(), location: without_credentials(location) })
}

/// A location may carry credentials before an `@` and in its query, and messages are read by many.
pub(crate) fn without_credentials(location: &str) -> String {
    let plain = location.split(['?', '#']).next().unwrap_or_default();
    match (plain.split_once("://"), plain.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("{scheme}://***@{address}"),
        _ => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn opening_makes_the_folders_and_takes_urls() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a lake");
        let lake = Lake::open(root.to_str().unwrap(), "acme").unwrap();
        assert!(root.join("acme/_medallion").is_dir());
        let by_url = Lake::open_existing(Url::from_file_path(&root).unwrap().as_str(), "acme").unwrap();
        assert_eq!(lake.folder(), by_url.folder());
        assert_eq!(lake.tables().unwrap(), []);
    }

    #[test]
    fn reading_a_customer_that_is_not_there_names_it_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = Lake::open_existing(folder.path().to_str().unwrap(), "acme").unwrap_err();
        assert!(matches!(&error, LakeError::NoCustomer { customer, .. } if customer == "acme"), "{error}");
        assert!(!folder.path().join("acme").exists());
    }

    #[test]
    fn a_location_may_lead_upwards() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        let lake = Lake::open(root.join("a/b/../../lake/x/..").to_str().unwrap(), "acme").unwrap();
        assert_eq!(lake.folder(), root.join("lake/acme"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
            let lake = Lake::open(root.join("link/../lake").to_str().unwrap(), "acme").unwrap();
            assert_eq!(lake.folder(), root.join("a/lake/acme"), "above what the link leads to");
        }
    }

    #[test]
    fn other_schemes_are_refused_without_showing_credentials() {
        let error = Lake::open("ftp://key:secret@bucket/lake?token=hidden", "acme").unwrap_err();
        assert!(matches!(&error, LakeError::UnknownScheme { scheme, .. } if scheme == "ftp"));
        let text = error.to_string();
        assert!(text.contains("no storage that is known") && !text.contains("secret"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        for address in ["s3://key:secret@bucket/lake", "s3://bucket/lake?token=hidden", "S3://key:secret@bucket"] {
            let error = Lake::open(address, "acme").unwrap_err();
            let text = error.to_string();
            assert!(matches!(&error, LakeError::Storage { .. }) && text.contains("environment"), "{text}");
            assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn credentials_are_cut_out_of_broken_locations_too() {
        assert_eq!(without_credentials("s3://key:se@cret@bucket:x/a?sig=1"), "s3://***@bucket:x/a");
        assert_eq!(without_credentials("file://host/lake"), "file://host/lake");
        let error = Lake::open("s3://key:secret@bucket:x/a", "acme").unwrap_err();
        assert!(matches!(error, LakeError::Storage { .. }) && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn ids_that_are_paths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        for customer in ["", "..", "a/b", "Acme", "-a", &"a".repeat(64)] {
            assert!(matches!(Lake::open(root, customer), Err(LakeError::InvalidCustomer { .. })), "{customer}");
        }
        let lake = Lake::open(root, "acme").unwrap();
        for run_id in ["", "..", ".hidden", "_delta_log", "a/b", "a b"] {
            assert!(matches!(lake.check_run_id(run_id), Err(LakeError::InvalidRun { .. })), "{run_id}");
        }
        lake.check_run_id("2025-06-30T02.00.00Z_ab12").unwrap();
        let escape = TableName::new(Layer::Gold, "../../other/gold/dim_user");
        assert!(matches!(lake.table_folder(&escape), Err(LakeError::InvalidTable { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused_at_every_level() {
        for linked in ["acme", "acme/_medallion", "acme/gold", "acme/gold/dim_user", "acme/_medallion/lock"] {
            let folder = tempfile::tempdir().unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let link = folder.path().join(linked);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
            let error = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap_err();
            assert!(matches!(&error, LakeError::Linked { path, .. } if *path == link), "{linked}: {error}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{linked}");
        }
    }
}
