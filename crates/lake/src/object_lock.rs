//! One writer per customer on object storage, where no operating system watches over it: a lock object.
//!
//! It is only ever changed by a put that names the version it replaces, so that of several who try one succeeds. It
//! tells who writes and is renewed as long as they do; who was not heard of for two minutes by the storage's own clock
//! has lost it. Every holder has a higher number than the one before, the fence: journals and releases carry it, and
//! before each commit the holder looks whether the lock still has its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::UpdateVersion;
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, runtime, version_of};
use crate::lock::LockHolder;
use crate::place::MEDALLION_FOLDER;

/// Who was not heard of for so long has lost the lock.
const STALE: TimeDelta = TimeDelta::seconds(120);
/// So often the holder is heard of.
const BETWEEN_BEATS: Duration = Duration::from_secs(20);
/// So long somebody who is faster is given way to before giving up.
const ATTEMPTS: u32 = 20;

/// What allows a holder to change something: the lock still has its number.
#[derive(Debug)]
pub(crate) struct Fence {
    bucket: Bucket,
    run_id: String,
    number: u64,
    looked: Mutex<Option<Instant>>,
}

/// A lock that is held and renewed; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct ObjectLock {
    fence: Arc<Fence>,
    beating: Arc<Beating>,
    heart: JoinHandle<()>,
}

/// What the holder last wrote.
#[derive(Debug)]
struct Beating {
    bucket: Bucket,
    last: Mutex<(LockHolder, UpdateVersion)>,
    is_over: AtomicBool,
}

/// How an attempt to take a lock ended.
pub(crate) enum Attempt {
    /// It is taken; who had it before without giving it back.
    Taken(ObjectLock, Option<Box<LockHolder>>),
    /// Somebody has it.
    Held(Option<Box<LockHolder>>),
}

/// Tries to take the lock of a customer's bucket for the holder.
pub(crate) fn take(bucket: &Bucket, holder: &LockHolder) -> io::Result<Attempt> {
    let name = lock_name();
    for _ in 0..ATTEMPTS {
        let Some((found, meta)) = bucket.get(&name)? else {
            let first = LockHolder { fence: Some(1), ..holder.clone() };
            match bucket.put_new(&name, text(&first)?) {
                Ok(version) => {
                    check_conditions(bucket, &first).inspect_err(|_| {
                        // A lock that stayed would be believed by whoever comes next.
                        let _ = bucket.remove(std::slice::from_ref(&name));
                    })?;
                    return taken(bucket, first, version, None);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
        };
        let before = read(&found)?;
        if !before.released && now(bucket)? - meta.last_modified <= STALE {
            return Ok(Attempt::Held(Some(Box::new(before))));
        }
        let next = LockHolder { fence: Some(before.fence.unwrap_or_default() + 1), ..holder.clone() };
        if let Some(version) = bucket.put_over(&name, text(&next)?, version_of(&meta))? {
            let lost = (!before.released).then(|| Box::new(before));
            return taken(bucket, next, version, lost);
        }
    }
    Ok(Attempt::Held(None))
}

/// Storage that ignores the conditions of puts must not hold a lake: it would have two writers. It shows when a lock that
/// was just created can be created again.
fn check_conditions(bucket: &Bucket, holder: &LockHolder) -> io::Result<()> {
    let other = LockHolder { run_id: format!("{}-again", holder.run_id), ..holder.clone() };
    match bucket.put_new(&lock_name(), text(&other)?) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this storage creates objects that exist already (it ignores If-None-Match), so that two runs could write at \
             the same time",
        )),
    }
}

/// Who has the lock of a customer's bucket, if somebody has and was heard of lately. Nothing is written: the time is
/// this machine's.
pub(crate) fn holder(bucket: &Bucket) -> io::Result<Option<Box<LockHolder>>> {
    let Some((found, meta)) = bucket.get(&lock_name())? else { return Ok(None) };
    let holder = read(&found)?;
    let is_held = !holder.released && Utc::now() - meta.last_modified <= STALE;
    Ok(is_held.then(|| Box::new(holder)))
}

fn taken(
    bucket: &Bucket,
    holder: LockHolder,
    version: UpdateVersion,
    before: Option<Box<LockHolder>>,
) -> io::Result<Attempt> {
    let (run_id, number) = (holder.run_id.clone(), holder.fence.unwrap_or_default());
    let fence = Arc::new(Fence { bucket: bucket.clone(), run_id, number, looked: Mutex::default() });
    let last = Mutex::new((holder, version));
    let beating = Arc::new(Beating { bucket: bucket.clone(), last, is_over: AtomicBool::new(false) });
    let heart = runtime()?.spawn({
        let beating = Arc::clone(&beating);
        async move {
            loop {
                tokio::time::sleep(BETWEEN_BEATS).await;
                let beating = Arc::clone(&beating);
                // A beat that fails is made up for by the next; whether the lock is lost shows before a commit.
                let beat = tokio::task::spawn_blocking(move || beating.beat(|holder| holder.heartbeat = Utc::now()));
                let _ = beat.await;
            }
        }
    });
    Ok(Attempt::Taken(ObjectLock { fence, beating, heart }, before))
}

impl ObjectLock {
    pub(crate) fn fence(&self) -> Arc<Fence> {
        Arc::clone(&self.fence)
    }

    /// Tells that the holder still works.
    pub(crate) fn beat(&self, heartbeat: DateTime<Utc>) -> io::Result<()> {
        self.beating.beat(|holder| holder.heartbeat = heartbeat)
    }
}

impl Drop for ObjectLock {
    fn drop(&mut self) {
        self.heart.abort();
        self.beating.is_over.store(true, Ordering::SeqCst);
        // If it cannot be given back it is stale after a while.
        let _ = self.beating.write(|holder| holder.released = true);
    }
}

impl Beating {
    fn beat(&self, change: impl FnOnce(&mut LockHolder)) -> io::Result<()> {
        if self.is_over.load(Ordering::SeqCst) { Ok(()) } else { self.write(change) }
    }

    fn write(&self, change: impl FnOnce(&mut LockHolder)) -> io::Result<()> {
        let mut last = lock(&self.last);
        let mut holder = last.0.clone();
        change(&mut holder);
        let written = self.bucket.put_over(&lock_name(), text(&holder)?, last.1.clone())?;
        let Some(version) = written else { return Err(io::Error::other("somebody else has the lock")) };
        *last = (holder, version);
        Ok(())
    }
}

impl Fence {
    /// The holder's number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Fails if somebody else has the lock; looks unless it did within `recently`.
    pub(crate) fn check(&self, recently: Duration) -> io::Result<()> {
        if lock(&self.looked).is_some_and(|looked| looked.elapsed() < recently) {
            return Ok(());
        }
        let found = self.bucket.get(&lock_name())?;
        let holder = found.map(|(text, _)| read(&text)).transpose()?;
        match holder {
            Some(holder) if holder.run_id == self.run_id && holder.fence == Some(self.number) && !holder.released => {
                *lock(&self.looked) = Some(Instant::now());
                Ok(())
            }
            other => Err(io::Error::other(LockLost { holder: other.map(Box::new) })),
        }
    }
}

/// The lock was taken from a run that was not heard of, or removed.
#[derive(Debug)]
pub(crate) struct LockLost {
    holder: Option<Box<LockHolder>>,
}

impl std::fmt::Display for LockLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.holder {
            Some(holder) if holder.released => f.write_str("this run has given the customer back already"),
            Some(holder) => write!(
                f,
                "run '{}' has taken the customer over, because this one was not heard of for {} seconds",
                holder.run_id,
                STALE.num_seconds()
            ),
            None => f.write_str("the lock is not there any more"),
        }
    }
}

impl std::error::Error for LockLost {}

/// The time by the storage's clock, which is the one that dates its objects. It has to be written to for that.
pub(crate) fn now(bucket: &Bucket) -> io::Result<DateTime<Utc>> {
    let name = format!("{MEDALLION_FOLDER}/clock");
    bucket.put(&name, Bytes::from_static(b"its date tells what time it is here\n"))?;
    let found = bucket.get(&name)?;
    found.map(|(_, meta)| meta.last_modified).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn lock_name() -> String {
    format!("{MEDALLION_FOLDER}/lock")
}

fn text(holder: &LockHolder) -> io::Result<Bytes> {
    Ok(Bytes::from(serde_json::to_vec(holder)?))
}

fn read(text: &Bytes) -> io::Result<LockHolder> {
    serde_json::from_slice(text).map_err(|error| io::Error::other(format!("its lock is not readable: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
