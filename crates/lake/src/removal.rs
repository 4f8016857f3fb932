//! Removing a customer from the lake.

use std::fs;
use std::path::Path;

use medallion_pipeline::Layer;

use crate::error::LakeError;
use crate::place::{Lake, MEDALLION_FOLDER};
use crate::remembered;

impl Lake {
    /// Removes everything that the lake has of the customer, while holding its lock. Links are removed, not followed.
    /// After a crash the next call removes the rest: the lock goes last.
    ///
    /// # Errors
    /// [`LakeError::Held`] if a run holds the customer, [`LakeError::Linked`] if one of its upper folders is a link, or
    /// if something cannot be removed.
    pub fn remove_everything(&self, run_id: &str) -> Result<(), LakeError> {
        let medallion = self.folder().join(MEDALLION_FOLDER);
        let _lock = self.lock(run_id)?;
        // What is noted of a release must not outlive it.
        self.remove_entry(&medallion.join(remembered::FILE))?;
        // Readers follow releases: without them there is nothing to see of what goes next.
        self.remove_entry(&medallion.join("releases"))?;
        for layer in Layer::ALL.into_iter().rev() {
            self.remove_entry(&self.folder().join(layer.name()))?;
        }
        for entry in self.entries(self.folder())?.iter().filter(|entry| **entry != medallion) {
            self.remove_entry(entry)?;
        }
        let lock = medallion.join("lock");
        for entry in self.entries(&medallion)?.iter().filter(|entry| **entry != lock) {
            self.remove_entry(entry)?;
        }
        self.remove_entry(&medallion)?;
        self.remove_entry(self.folder())?;
        let lakes = self.folder().parent().unwrap_or(self.folder());
        self.disk().sync_folder(lakes).map_err(LakeError::io(self.customer(), lakes, "bring to disk"))
    }

    fn remove_entry(&self, path: &Path) -> Result<(), LakeError> {
        let removed = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
            Ok(kind) if kind.is_dir() => self.disk().remove_folder(path),
            Ok(_) => self.disk().remove_file(path),
        };
        removed.map_err(LakeError::io(self.customer(), path, "remove"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_customer_goes_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().to_str().unwrap();
        let lake = Lake::open(location, "acme").unwrap();
        let other = Lake::open(location, "globex").unwrap();
        for lake in [&lake, &other] {
            lake.write_run_file("run-1", "run_results.json", b"{}").unwrap();
            fs::create_dir_all(lake.folder().join("gold/dim_user/_delta_log")).unwrap();
            fs::write(lake.folder().join("notes.txt"), "x").unwrap();
        }
        let lock = lake.lock("run-1").unwrap();
        assert!(matches!(lake.remove_everything("remove-1"), Err(LakeError::Held { .. })));
        assert!(lake.folder().join("notes.txt").exists(), "who is refused removes nothing");
        drop(lock);
        lake.remove_everything("remove-1").unwrap();
        assert!(!lake.folder().exists());
        assert!(other.folder().join("notes.txt").exists() && other.folder().join("gold/dim_user/_delta_log").exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_links_lead_to_stays() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("precious"), "x").unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        fs::create_dir_all(lake.folder().join("gold/dim_user")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), lake.folder().join("gold/dim_user/deep")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), lake.folder().join("beside")).unwrap();
        lake.remove_everything("remove-1").unwrap();
        assert!(!lake.folder().exists() && elsewhere.path().join("precious").exists());
    }
}
