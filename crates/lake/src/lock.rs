//! One writer per customer: a lock of the operating system, which a killed process gives back at once; on object storage
//! the one of `object_lock.rs`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::LakeError;
use crate::gate::Operation;
use crate::inspection::host;
use crate::mirror::Mirror;
use crate::object_lock::{self, Attempt, ObjectLock};
use crate::place::{Lake, MEDALLION_FOLDER};

const SCHEMA: &str = "medallion/lock/v1";
/// So often somebody looks who it is that holds a lock.
const LOOKS: u32 = 20;
/// And waits so long in between.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Who holds a lock, as written in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// `medallion/lock/v1`.
    pub schema: String,
    /// The run that writes.
    pub run_id: String,
    /// Its process.
    pub pid: u32,
    /// Its machine, if known.
    pub host: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it was last known to work; informs only.
    pub heartbeat: DateTime<Utc>,
    /// On object storage: the holder's number, higher than that of any holder before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// On object storage, where the lock stays: whether it was given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

/// The right to write to a customer's tables; dropping it gives it back.
#[derive(Debug)]
pub struct LakeLock {
    customer: String,
    path: PathBuf,
    holder: LockHolder,
    kept: Kept,
    disk: Disk,
}

/// What keeps others away.
#[derive(Debug)]
enum Kept {
    /// A lock of the operating system on the lock file.
    File(File),
    /// A lock object, which somebody renews.
    Object(ObjectLock),
}

impl Lake {
    /// Takes the right to write to the customer's tables.
    ///
    /// # Errors
    /// [`LakeError::Held`] if another run has it, in this process or another.
    pub fn lock(&self, run_id: &str) -> Result<LakeLock, LakeError> {
        self.check_run_id(run_id)?;
        let path = self.make_lasting_folders(&[MEDALLION_FOLDER])?.join("lock");
        let (customer, disk) = (self.customer().to_owned(), self.disk().clone());
        if let Some(mirror) = self.disk().mirror() {
            let kept = Kept::Object(self.acquire_object(mirror, holder_now(run_id), &path)?);
            return Ok(LakeLock { customer, path, holder: holder_now(run_id), kept, disk });
        }
        let mut file = self.lock_file(&path)?;
        self.acquire(&mut file, &path)?;
        let mut lock = LakeLock { customer, path, holder: holder_now(run_id), kept: Kept::File(file), disk };
        lock.write()?;
        Ok(lock)
    }

    /// Takes the lock object, or says who has it. What others changed until then is followed.
    fn acquire_object(&self, mirror: &Mirror, holder: LockHolder, path: &Path) -> Result<ObjectLock, LakeError> {
        let failed = |action| LakeError::io(self.customer(), path, action);
        self.disk().pass(Operation::Write, path).map_err(failed("write"))?;
        match object_lock::take(mirror.bucket(), &holder).map_err(failed("take"))? {
            Attempt::Held(holder) => {
                Err(LakeError::Held { customer: self.customer().to_owned(), path: path.to_path_buf(), holder })
            }
            Attempt::Taken(lock, before) => {
                if let Some(before) = before {
                    let (customer, run_id) = (self.customer(), before.run_id);
                    tracing::warn!(customer, run_id, "the lock of a run that was not heard of is taken over");
                }
                mirror.refresh().map_err(LakeError::io(self.customer(), self.folder(), "list"))?;
                mirror.set_fence(Some(lock.fence()));
                Ok(lock)
            }
        }
    }

    /// Takes the lock, or says who has it. Whoever takes it or gives it back needs a moment to write that down.
    fn acquire(&self, file: &mut File, path: &Path) -> Result<(), LakeError> {
        let mut looks = 1;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(LakeError::io(self.customer(), path, "lock")(error)),
            }
            let holder = read_holder(file);
            if holder.is_some() || looks == LOOKS {
                return Err(LakeError::Held { customer: self.customer().to_owned(), path: path.to_path_buf(), holder });
            }
            looks += 1;
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn lock_file(&self, path: &Path) -> Result<File, LakeError> {
        self.refuse_link(path)?;
        let allowed = if path.exists() { Ok(()) } else { self.disk().pass(Operation::Write, path) };
        allowed
            .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path))
            .map_err(LakeError::io(self.customer(), path, "open"))
    }
}

impl LakeLock {
    /// Who holds the lock: this run.
    #[must_use]
    pub fn holder(&self) -> &LockHolder {
        &self.holder
    }

    /// Writes down that the run still works.
    ///
    /// # Errors
    /// If the lock file cannot be written.
    pub fn beat(&mut self) -> Result<(), LakeError> {
        self.holder.heartbeat = Utc::now();
        self.write()
    }

    /// For a run that ends before all it began has ended, and cannot change anything any more. On a local disk the files
    /// it has open must not be taken for leftovers: the lock stays until the process ends. On object storage, where only
    /// this process knows them, it is given back.
    pub fn leave(self) {
        match &self.kept {
            Kept::File(_) => std::mem::forget(self),
            Kept::Object(_) => drop(self),
        }
    }

    fn write(&mut self) -> Result<(), LakeError> {
        self.try_write().map_err(LakeError::io(&self.customer, &self.path, "write"))
    }

    fn try_write(&mut self) -> io::Result<()> {
        let text = serde_json::to_string(&self.holder)?;
        self.disk.pass(Operation::Write, &self.path)?;
        match &mut self.kept {
            Kept::Object(object) => object.beat(self.holder.heartbeat),
            Kept::File(file) => {
                file.rewind()?;
                file.write_all(text.as_bytes())?;
                file.set_len(text.len() as u64)
            }
        }
    }
}

impl Drop for LakeLock {
    fn drop(&mut self) {
        match &mut self.kept {
            // The lock that is given back is the one its fence looks for: nothing can be changed after it.
            Kept::Object(_) => {}
            Kept::File(file) => {
                // Closing the file frees the lock in any case; an empty file says that nobody holds it.
                if self.disk.pass(Operation::Write, &self.path).is_ok() {
                    let _ = file.set_len(0);
                }
                let _ = file.unlock();
            }
        }
    }
}

/// This process, at work for a run from now on.
fn holder_now(run_id: &str) -> LockHolder {
    let since = Utc::now();
    LockHolder {
        schema: SCHEMA.to_owned(),
        run_id: run_id.to_owned(),
        pid: std::process::id(),
        host: host(),
        since,
        heartbeat: since,
        fence: None,
        released: false,
    }
}

fn read_holder(file: &mut File) -> Option<Box<LockHolder>> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok().map(Box::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_second_lock_fails_naming_the_holder_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().to_str().unwrap();
        let first = Lake::open(location, "acme").unwrap();
        let second = Lake::open(location, "acme").unwrap();

        let mut lock = first.lock("run-1").unwrap();
        let error = second.lock("run-2").unwrap_err();
        let LakeError::Held { holder: Some(holder), .. } = &error else { panic!("{error}") };
        assert_eq!((holder.run_id.as_str(), holder.pid), ("run-1", std::process::id()));
        assert_eq!(holder.since, lock.holder().since);
        let text = error.to_string();
        assert!(text.contains("run-1") && text.contains(&std::process::id().to_string()), "{text}");

        lock.beat().unwrap();
        let error = second.lock("run-2").unwrap_err();
        let LakeError::Held { holder: Some(holder), .. } = &error else { panic!("{error}") };
        assert!(holder.heartbeat >= holder.since);

        drop(lock);
        let lock = second.lock("run-2").unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("acme/_medallion/lock")).unwrap()).unwrap();
        assert_eq!((&written["schema"], &written["run_id"]), (&"medallion/lock/v1".into(), &"run-2".into()));
        drop(lock);
    }

    #[test]
    fn a_holder_that_writes_down_who_it_is_a_moment_later_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        let mut lock = lake.lock("run-1").unwrap();
        lock_file(&lock).set_len(0).unwrap();
        let second = std::thread::spawn({
            let lake = lake.clone();
            move || lake.lock("run-2").unwrap_err()
        });
        lock.beat().unwrap();
        let error = second.join().unwrap();
        assert!(matches!(&error, LakeError::Held { holder: Some(holder), .. } if holder.run_id == "run-1"), "{error}");
        lock_file(&lock).set_len(0).unwrap();
        let error = lake.lock("run-2").unwrap_err();
        assert!(error.to_string().contains("just starting or ending"), "{error}");
    }

    fn lock_file(lock: &LakeLock) -> &File {
        let Kept::File(file) = &lock.kept else { panic!("the lake is local") };
        file
    }

    #[test]
    fn customers_do_not_lock_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().to_str().unwrap();
        let _first = Lake::open(location, "acme").unwrap().lock("run-1").unwrap();
        Lake::open(location, "globex").unwrap().lock("run-1").unwrap();
    }
}
