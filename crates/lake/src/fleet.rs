//! The folder of fleets: what runs of several customers did, beside the customers' own folders.
//!
//! ```text
//! <lake>/_medallion/fleet/<fleet_id>/fleet_results.json
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::bucket::Bucket;
use crate::disk::Disk;
use crate::error::LakeError;
use crate::gate::OpenGate;
use crate::location::LakeLocation;
use crate::place::{MEDALLION_FOLDER, bucket_at, local_path};

/// A folder of fleets that cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum FleetFolderError {
    /// Where the lakes are is no place for them.
    #[error(transparent)]
    Location(#[from] LakeError),
    /// A link could lead elsewhere.
    #[error("{} is a symbolic link, and a lake must not contain any", path.display())]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// An id or file name that could lead elsewhere.
    #[error("'{name}' is not a name for a file or folder of a fleet: expected [A-Za-z0-9][A-Za-z0-9._-]{{0,127}}")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Where the results of fleets are.
#[derive(Debug, Clone)]
pub struct FleetFolder {
    /// The folder, or its address.
    folder: PathBuf,
    disk: Disk,
    /// Where the files are, if that is object storage.
    bucket: Option<Bucket>,
}

impl FleetFolder {
    /// The folder of the lake at `location`, a path or URL; nothing is made.
    ///
    /// # Errors
    /// If the location is none, or there are links.
    pub fn open(location: impl Into<LakeLocation>) -> Result<Self, FleetFolderError> {
        let (location, disk) = (location.into(), Disk::new(Arc::new(OpenGate)));
        if let Some(lake) = bucket_at(&location)? {
            let bucket = lake.below(MEDALLION_FOLDER).below("fleet");
            return Ok(Self { folder: PathBuf::from(bucket.address()), disk, bucket: Some(bucket) });
        }
        let folder = local_path(&location.address)?.join(MEDALLION_FOLDER).join("fleet");
        let this = Self { folder, disk, bucket: None };
        for path in [this.folder.parent().unwrap_or(&this.folder), &this.folder] {
            refuse_link(path)?;
        }
        Ok(this)
    }

    /// The ids of the fleets there are, in the order of their names: ids begin with the time at which a fleet began.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<String>, FleetFolderError> {
        let failed = |source| FleetFolderError::Io { path: self.folder.clone(), action: "list", source };
        if let Some(bucket) = &self.bucket {
            let files = bucket.list(None).map_err(failed)?;
            let ids = files.iter().filter_map(|(name, _)| name.split_once('/')).map(|(id, _)| id);
            let ids: BTreeSet<&str> = ids.filter(|id| is_plain(id)).collect();
            return Ok(ids.into_iter().map(str::to_owned).collect());
        }
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let name = entry.file_name().into_string().ok();
            ids.extend(name.filter(|name| is_folder && is_plain(name)));
        }
        ids.sort();
        Ok(ids)
    }

    /// Reads a file of a fleet; `None` if there is none of that name.
    ///
    /// # Errors
    /// If a name is a path or the file cannot be read.
    pub fn read(&self, fleet_id: &str, name: &str) -> Result<Option<Vec<u8>>, FleetFolderError> {
        let path = self.file(fleet_id, name)?;
        if let Some(bucket) = &self.bucket {
            let found = bucket.get(&format!("{fleet_id}/{name}"));
            let found = found.map_err(|source| FleetFolderError::Io { path, action: "read", source })?;
            return Ok(found.map(|(content, _)| content.into()));
        }
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(|source| FleetFolderError::Io { path, action: "read", source }),
        }
    }

    /// Writes a file of a fleet, in place of an older one; readers see the old file or the new one, also after a power
    /// loss.
    ///
    /// # Errors
    /// If a name is a path or the file cannot be written.
    pub fn write(&self, fleet_id: &str, name: &str, content: &[u8]) -> Result<PathBuf, FleetFolderError> {
        let path = self.file(fleet_id, name)?;
        let content = Bytes::copy_from_slice(content);
        let written = match &self.bucket {
            Some(bucket) => bucket.put(&format!("{fleet_id}/{name}"), content).map(drop),
            None => self.disk.replace(&path, &[content]),
        };
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(FleetFolderError::Io { path, action: "write", source }),
        }
    }

    fn file(&self, fleet_id: &str, name: &str) -> Result<PathBuf, FleetFolderError> {
        if let Some(name) = [fleet_id, name].into_iter().find(|name| !is_plain(name)) {
            return Err(FleetFolderError::InvalidName { name: name.to_owned() });
        }
        let folder = self.folder.join(fleet_id);
        let path = folder.join(name);
        if self.bucket.is_none() {
            refuse_link(&folder)?;
            refuse_link(&path)?;
        }
        Ok(path)
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn refuse_link(path: &Path) -> Result<(), FleetFolderError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(FleetFolderError::Linked { path: path.to_path_buf() }),
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(FleetFolderError::Io { path: path.to_path_buf(), action: "look at", source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn files_are_replaced_and_fleets_are_listed_in_the_order_of_their_beginning() {
        let place = tempfile::tempdir().unwrap();
        let folder = FleetFolder::open(place.path().join("lake").to_str().unwrap()).unwrap();
        assert_eq!(folder.list().unwrap(), [""; 0]);
        assert_eq!(folder.read("a", "fleet_results.json").unwrap(), None);
        assert!(!place.path().join("lake").exists(), "reading makes nothing");
        for id in ["20250702T000000Z-aa", "20250701T000000Z-bb"] {
            folder.write(id, "fleet_results.json", b"{}").unwrap();
        }
        let path = folder.write("20250701T000000Z-bb", "fleet_results.json", b"{\"a\":1}").unwrap();
        let expected = "lake/_medallion/fleet/20250701T000000Z-bb/fleet_results.json";
        assert_eq!(path, place.path().join(expected));
        assert_eq!(folder.read("20250701T000000Z-bb", "fleet_results.json").unwrap().unwrap(), b"{\"a\":1}");
        assert_eq!(folder.list().unwrap(), ["20250701T000000Z-bb", "20250702T000000Z-aa"]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "temporary files are gone");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = FleetFolder::open(place.path().to_str().unwrap()).unwrap();
        for (id, name) in [("../acme", "f"), ("", "f"), ("a", ".."), ("a", "b/c"), (".a", "f")] {
            let error = folder.write(id, name, b"").unwrap_err();
            assert!(matches!(error, FleetFolderError::InvalidName { .. }), "{id} {name}: {error}");
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused() {
        for linked in ["_medallion", "_medallion/fleet", "_medallion/fleet/a", "_medallion/fleet/a/f.json"] {
            let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let link = place.path().join(linked);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
            let written = FleetFolder::open(place.path().to_str().unwrap()).and_then(|f| f.write("a", "f.json", b"x"));
            assert!(matches!(written, Err(FleetFolderError::Linked { path }) if path == link), "{linked}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{linked}");
        }
    }
}
