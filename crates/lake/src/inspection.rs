//! Looking at a customer's part of the lake without changing it: who writes, what is unfinished, what does not belong.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::LakeError;
use crate::lock::LockHolder;
use crate::object_lock;
use crate::place::{LOG_FOLDER, Lake, MEDALLION_FOLDER};
use crate::published::is_below;

/// Whether somebody writes to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// Nobody does.
    Free,
    /// Somebody does; `None` where the file does not say who.
    Held(Option<Box<LockHolder>>),
}

/// Something that could lead out of a customer's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, as the end of a sentence that begins with the path.
    pub what: String,
}

/// This machine's name, if it is known.
#[must_use]
pub fn host() -> Option<String> {
    let from_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel.or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Whether the folders of a path that are not there yet can be made.
///
/// # Errors
/// Why a file cannot be written to the last folder of it that is there.
pub fn writable_above(path: &Path) -> io::Result<()> {
    let there = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    // It has no name: nobody ever sees it.
    tempfile::tempfile_in(there).map(drop)
}

impl Lake {
    /// Whether files can be written into the customer's folder.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn check_writable(&self) -> io::Result<()> {
        match self.disk().mirror() {
            Some(mirror) => object_lock::now(mirror.bucket()).map(drop),
            None => writable_above(&self.folder().join(MEDALLION_FOLDER)),
        }
    }

    /// Whether somebody holds the lock at this moment.
    ///
    /// # Errors
    /// If the lock file is a link or cannot be read.
    pub fn lock_state(&self) -> Result<LockState, LakeError> {
        let path = self.folder().join(MEDALLION_FOLDER).join("lock");
        self.refuse_link(&path)?;
        if let Some(mirror) = self.disk().mirror() {
            let holder = object_lock::holder(mirror.bucket());
            let holder = holder.map_err(LakeError::io(self.customer(), &path, "read"))?;
            return Ok(holder.map_or(LockState::Free, |holder| LockState::Held(Some(holder))));
        }
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LockState::Free),
            opened => opened.map_err(LakeError::io(self.customer(), &path, "open"))?,
        };
        match file.try_lock_shared() {
            // Whoever comes meanwhile looks several times.
            Ok(()) => {
                let _ = file.unlock();
                Ok(LockState::Free)
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(LakeError::io(self.customer(), &path, "read"))?;
                Ok(LockState::Held(serde_json::from_str(&text).ok().map(Box::new)))
            }
            Err(TryLockError::Error(error)) => Err(LakeError::io(self.customer(), &path, "lock")(error)),
        }
    }

    /// Whether a release was begun and is not complete: the next command that writes sees to it.
    #[must_use]
    pub fn has_unfinished_release(&self) -> bool {
        self.has_journal()
    }

    /// Links and other things that are neither file nor folder below the customer's folder, and commits in Delta logs
    /// that name files outside their table.
    ///
    /// # Errors
    /// If a folder or log cannot be read.
    pub fn oddities(&self) -> Result<Vec<Oddity>, LakeError> {
        let (mut oddities, mut folders) = (Vec::new(), vec![self.folder().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            let is_log = folder.file_name().is_some_and(|name| name == LOG_FOLDER);
            for path in self.entries(&folder)? {
                let kind = match fs::symlink_metadata(&path) {
                    // A run may be at work.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    found => found.map_err(LakeError::io(self.customer(), &path, "look at"))?.file_type(),
                };
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_symlink() {
                    oddities.push(Oddity { path, what: "is a link".to_owned() });
                } else if !kind.is_file() {
                    oddities.push(Oddity { path, what: "is neither a file nor a folder".to_owned() });
                } else if is_log && path.extension().is_some_and(|ending| ending == "json") {
                    oddities.extend(self.outside(&path)?);
                }
            }
        }
        oddities.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(oddities)
    }

    /// Files that a commit names outside its table.
    fn outside(&self, commit: &Path) -> Result<Vec<Oddity>, LakeError> {
        let text = match self.disk().read_to_string(commit) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(LakeError::io(self.customer(), commit, "read"))?,
        };
        let actions = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let named = |action: &Value| {
            let file = action.get("add").or_else(|| action.get("remove"))?;
            Some(file.get("path")?.as_str()?.to_owned())
        };
        let outside = actions.filter_map(|action| named(&action)).filter(|path| !is_below(path));
        let oddity = |path| Oddity { path: commit.to_path_buf(), what: format!("names '{path}', outside its table") };
        Ok(outside.map(oddity).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn lake(folder: &Path) -> Lake {
        Lake::open(folder.to_str().unwrap(), "acme").unwrap()
    }

    #[test]
    fn the_lock_is_looked_at_and_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake(folder.path());
        assert_eq!(lake.lock_state().unwrap(), LockState::Free, "there is no lock file");
        let lock = lake.lock("run-1").unwrap();
        let LockState::Held(Some(holder)) = lake.lock_state().unwrap() else { panic!("it is held") };
        assert_eq!((holder.run_id.as_str(), holder.pid), ("run-1", std::process::id()));
        drop(lock);
        assert_eq!(lake.lock_state().unwrap(), LockState::Free);
        drop(lake.lock("run-2").unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn what_leads_out_of_the_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake(folder.path());
        let log = lake.folder().join("gold/dim_user/_delta_log");
        fs::create_dir_all(&log).unwrap();
        fs::write(log.join("0.json"), "{\"commitInfo\":{}}\n{\"add\":{\"path\":\"r1/0.parquet\"}}\n").unwrap();
        assert_eq!(lake.oddities().unwrap(), []);
        fs::write(log.join("1.json"), "{\"add\":{\"path\":\"../../../globex/gold/a.parquet\"}}\n").unwrap();
        fs::write(log.join("2.json"), "{\"remove\":{\"path\":\"/etc/passwd\"}}\n{\"add\":{\"path\":\"s3://b/x\"}}\n")
            .unwrap();
        std::os::unix::fs::symlink("/etc", lake.folder().join("gold/dim_user/r1")).unwrap();
        let found = lake.oddities().unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|odd| (odd.path.file_name().unwrap().to_str().unwrap(), odd.what.as_str())).collect();
        assert_eq!(
            found,
            [
                ("1.json", "names '../../../globex/gold/a.parquet', outside its table"),
                ("2.json", "names '/etc/passwd', outside its table"),
                ("2.json", "names 's3://b/x', outside its table"),
                ("r1", "is a link"),
            ]
        );
    }
}
