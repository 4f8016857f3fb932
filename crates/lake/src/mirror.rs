//! The local copy of a customer's part of a lake on object storage, for as long as it is open.
//!
//! Engines read and write local files, and so does the lake. What is in the storage is here as empty files of the same
//! size, which get their content when somebody reads them. What the lake would bring to the disk goes to the storage
//! instead, in the same order; what it creates only if absent is created there only if absent, and what is here follows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::{ObjectMeta, UpdateVersion};
use tempfile::TempDir;

use crate::bucket::{AT_ONCE, Bucket, version_of};
use crate::object_lock::Fence;
use crate::place::MEDALLION_FOLDER;

/// What the folders of local copies are called in the folder for temporary files.
const SCRATCH: &str = "medallion-lake-";
/// The file in each of them that its process has locked.
const IN_USE: &str = "in-use";
/// What is to be removed nobody needs: the lock is looked at so often meanwhile, not before each file.
const REMOVING: Duration = Duration::from_secs(5);

/// A customer's objects and their local copies.
#[derive(Debug)]
pub(crate) struct Mirror {
    bucket: Bucket,
    folder: PathBuf,
    scratch: Scratch,
    objects: Mutex<HashMap<PathBuf, Arc<Object>>>,
    downloads: AtomicU64,
    fence: Mutex<Option<Arc<Fence>>>,
}

/// An object of the storage.
#[derive(Debug)]
struct Object {
    bytes: u64,
    version: UpdateVersion,
    /// Whether the local file has its content.
    content: Mutex<bool>,
}

impl Mirror {
    /// The local copy of what a bucket has; nothing is read of it yet but its names.
    pub(crate) fn open(bucket: Bucket, customer: &str) -> io::Result<Arc<Self>> {
        let scratch = Scratch::new()?;
        let folder = scratch.folder.path().join(customer);
        fs::create_dir(&folder)?;
        let (objects, downloads, fence) = (Mutex::default(), AtomicU64::default(), Mutex::default());
        let mirror = Arc::new(Self { bucket, folder, scratch, objects, downloads, fence });
        mirror.refresh()?;
        let (folder, address) = (mirror.folder.clone(), mirror.bucket.address().to_owned());
        let known = Known { folder, address, mirror: Arc::downgrade(&mirror) };
        mirrors().write().unwrap_or_else(PoisonError::into_inner).push(known);
        Ok(mirror)
    }

    /// Where the local files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// From now on nothing is changed unless the fence allows it; `None` takes it away.
    pub(crate) fn set_fence(&self, fence: Option<Arc<Fence>>) {
        *lock(&self.fence) = fence;
    }

    pub(crate) fn fence(&self) -> Option<Arc<Fence>> {
        lock(&self.fence).clone()
    }

    /// Follows what others changed in the storage. What was written here and is not in the storage yet stays.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        // Releases first: what the last of them names is in the logs that are listed afterwards.
        let mut found = self.bucket.list(Some(MEDALLION_FOLDER))?;
        let others = self.bucket.list(None)?.into_iter();
        found.extend(others.filter(|(name, _)| name.split('/').next() != Some(MEDALLION_FOLDER)));
        let mut found: HashMap<PathBuf, ObjectMeta> =
            found.into_iter().filter_map(|(name, meta)| Some((self.path_of(&name)?, meta))).collect();
        let mut objects = lock(&self.objects);
        let gone: Vec<PathBuf> = objects.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        for path in gone {
            objects.remove(&path);
            missing_is_fine(fs::remove_file(&path))?;
        }
        found.retain(|path, meta| objects.get(path).is_none_or(|known| !known.is(meta)));
        for (path, meta) in found {
            if place(&path, &meta)? {
                let (bytes, version) = (meta.size, version_of(&meta));
                objects.insert(path, Arc::new(Object { bytes, version, content: Mutex::new(meta.size == 0) }));
            }
        }
        Ok(())
    }

    /// Sees to it that a file has the content that is in the storage.
    pub(crate) fn fetch(&self, path: &Path) -> io::Result<()> {
        let Some(object) = self.object(path) else { return Ok(()) };
        // Whoever wants the same meanwhile waits for it.
        let mut is_here = lock(&object.content);
        if *is_here {
            return Ok(());
        }
        let number = self.downloads.fetch_add(1, Ordering::Relaxed);
        let arriving = self.scratch.folder.path().join(format!("arriving-{number}"));
        self.bucket.download(&self.name_of(path)?, File::create_new(&arriving)?)?;
        let arrived = arriving.metadata()?.len();
        if arrived != object.bytes {
            let problem = format!("{arrived} bytes arrived, {} were expected; somebody replaced it", object.bytes);
            return Err(io::Error::new(ErrorKind::InvalidData, problem));
        }
        fs::rename(&arriving, path)?;
        *is_here = true;
        Ok(())
    }

    /// Creates an object and its local file; fails with [`ErrorKind::AlreadyExists`] if there is one.
    pub(crate) fn create_new(&self, path: &Path, content: Bytes) -> io::Result<()> {
        self.check()?;
        match self.bucket.put_new(&self.name_of(path)?, content.clone()) {
            Ok(version) => self.keep(path, &content, version),
            Err(error) => {
                // Who was overtaken since learns of that rather than of what the other one wrote.
                self.check()?;
                Err(error)
            }
        }
    }

    /// Creates or replaces an object and its local file, also without the lock: what is replaced belongs to a run, or says
    /// the same whoever writes it, as checkpoints do.
    pub(crate) fn replace(&self, path: &Path, content: Bytes) -> io::Result<()> {
        let version = self.bucket.put(&self.name_of(path)?, content.clone())?;
        self.keep(path, &content, version)
    }

    /// Like [`Mirror::replace`], but fails if the object has no longer the content that the local file has.
    pub(crate) fn replace_known(&self, path: &Path, content: Bytes) -> io::Result<()> {
        if self.object(path).is_none() {
            return self.create_new(path, content);
        }
        self.check()?;
        let (name, known) = (self.name_of(path)?, fs::read(path)?);
        let found = self.bucket.get(&name)?.filter(|(found, _)| *found == known);
        let replaced = match found {
            Some((_, meta)) => self.bucket.put_over(&name, content.clone(), version_of(&meta))?,
            None => None,
        };
        match replaced {
            Some(version) => self.keep(path, &content, version),
            None => Err(io::Error::other("somebody else changed it meanwhile")),
        }
    }

    /// Copies a file that was written here into the storage; one that is there already stays as it is.
    pub(crate) fn upload(&self, path: &Path) -> io::Result<()> {
        if self.object(path).is_some() {
            return Ok(());
        }
        let bytes = path.metadata()?.len();
        if bytes > AT_ONCE as u64 {
            // Nothing but the lock keeps it from taking the place of what somebody else wrote.
            self.check()?;
        }
        let version = self.bucket.upload(&self.name_of(path)?, path)?;
        let object = Object { bytes, version, content: Mutex::new(true) };
        lock(&self.objects).insert(path.to_path_buf(), Arc::new(object));
        Ok(())
    }

    /// Removes the objects of a file, or of everything in a folder, from the storage; local files stay.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let doomed = |known: &&PathBuf| known.starts_with(path);
        let paths: Vec<PathBuf> = lock(&self.objects).keys().filter(doomed).cloned().collect();
        if paths.is_empty() {
            return Ok(());
        }
        self.fence().map_or(Ok(()), |fence| fence.check(REMOVING))?;
        let names = paths.iter().map(|path| self.name_of(path)).collect::<io::Result<Vec<_>>>()?;
        self.bucket.remove(&names)?;
        let mut objects = lock(&self.objects);
        paths.iter().for_each(|path| drop(objects.remove(path)));
        Ok(())
    }

    /// Whether whoever changes something still may.
    fn check(&self) -> io::Result<()> {
        self.fence().map_or(Ok(()), |fence| fence.check(Duration::ZERO))
    }

    /// Writes a local file that is as the object.
    fn keep(&self, path: &Path, content: &Bytes, version: UpdateVersion) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
        let object = Object { bytes: content.len() as u64, version, content: Mutex::new(true) };
        lock(&self.objects).insert(path.to_path_buf(), Arc::new(object));
        Ok(())
    }

    fn object(&self, path: &Path) -> Option<Arc<Object>> {
        lock(&self.objects).get(path).cloned()
    }

    /// What the object of a file is called.
    fn name_of(&self, path: &Path) -> io::Result<String> {
        let relative = path.strip_prefix(&self.folder).ok();
        let names = relative.and_then(|path| path.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>());
        names.map(|names| names.join("/")).ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    /// Where an object's local file is; `None` for names that no file can have.
    fn path_of(&self, name: &str) -> Option<PathBuf> {
        let relative = Path::new(name);
        let sound = !name.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
        sound.then(|| self.folder.join(relative))
    }
}

impl Object {
    fn is(&self, meta: &ObjectMeta) -> bool {
        // Lists tell less of an object than what it was written with.
        self.bytes == meta.size && meta.e_tag.is_some() && self.version.e_tag == meta.e_tag
    }
}

/// Makes an empty file of an object's size and age. Says whether it could be one: what consoles show as a folder is an
/// object of that name without content.
fn place(path: &Path, meta: &ObjectMeta) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    if let Some(folder) = path.parent()
        && !folder.is_dir()
    {
        for above in folder.ancestors().filter(|above| above.is_file()) {
            fs::remove_file(above)?;
        }
        fs::create_dir_all(folder)?;
    }
    let file = File::create(path)?;
    file.set_len(meta.size)?;
    file.set_modified(SystemTime::from(meta.last_modified))?;
    Ok(true)
}

/// A folder for temporary files that is gone with its process, or when the next one begins.
#[derive(Debug)]
struct Scratch {
    folder: TempDir,
    /// Locked as long as the folder is used.
    _in_use: File,
}

impl Scratch {
    fn new() -> io::Result<Self> {
        remove_abandoned();
        let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir()?;
        // Its name comes after the lock, so that nobody finds it without.
        let unnamed = folder.path().join("in-use-soon");
        let in_use = File::create_new(&unnamed)?;
        in_use.lock()?;
        fs::rename(unnamed, folder.path().join(IN_USE))?;
        Ok(Self { folder, _in_use: in_use })
    }
}

/// Removes the folders of processes that were killed. What cannot be removed is left to the next one.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(SCRATCH))
            && let Ok(file) = File::options().write(true).open(entry.path().join(IN_USE))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A local copy that is or was open: messages about it may be read later.
struct Known {
    folder: PathBuf,
    address: String,
    mirror: Weak<Mirror>,
}

/// The local copies of this process.
fn mirrors() -> &'static RwLock<Vec<Known>> {
    static MIRRORS: OnceLock<RwLock<Vec<Known>>> = OnceLock::new();
    MIRRORS.get_or_init(RwLock::default)
}

fn mirror_of(path: &Path) -> Option<Arc<Mirror>> {
    let known = mirrors().read().unwrap_or_else(PoisonError::into_inner);
    known.iter().find(|known| path.starts_with(&known.folder))?.mirror.upgrade()
}

/// Sees to it that a file of a lake is there with its content: on object storage it may not have been read yet. Has to be
/// called before such a file is opened in any other way than through the lake.
///
/// # Errors
/// If it cannot be read from the storage.
pub fn bring(path: &Path) -> io::Result<()> {
    mirror_of(path).map_or(Ok(()), |mirror| mirror.fetch(path))
}

/// Whether a lake on object storage is open.
pub(crate) fn has_mirrors() -> bool {
    mirrors().read().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known.mirror.strong_count() > 0)
}

/// What people call a file or folder of a lake: its path, or its address in object storage.
#[must_use]
pub fn shown(path: &Path) -> String {
    let known = mirrors().read().unwrap_or_else(PoisonError::into_inner);
    let name = |known: &Known| {
        let name = path.strip_prefix(&known.folder).ok()?.display().to_string();
        Some(if name.is_empty() { known.address.clone() } else { format!("{}/{name}", known.address) })
    };
    known.iter().find_map(name).unwrap_or_else(|| path.display().to_string())
}

fn missing_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
