//! Changes on the disk: each passes the gate, and files are whole or not there, also after a power loss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::NamedTempFile;

use crate::gate::{Gate, Operation};
use crate::mirror::Mirror;

/// The local disk behind a gate, or the local copy of what is in object storage.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    gate: Arc<dyn Gate>,
    mirror: Option<Arc<Mirror>>,
}

impl Disk {
    pub(crate) fn new(gate: Arc<dyn Gate>) -> Self {
        Self { gate, mirror: None }
    }

    /// A disk whose files are those of a mirror: what is brought to the disk goes into its bucket.
    pub(crate) fn over(gate: Arc<dyn Gate>, mirror: Arc<Mirror>) -> Self {
        Self { gate, mirror: Some(mirror) }
    }

    pub(crate) fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_deref()
    }

    /// Sees to it that a file has its content, which may still be in object storage only.
    pub(crate) fn bring(&self, path: &Path) -> io::Result<()> {
        self.mirror().map_or(Ok(()), |mirror| mirror.fetch(path))
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        self.bring(path)?;
        File::open(path)
    }

    /// The content of a file.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.bring(path)?;
        fs::read(path)
    }

    /// The content of a file that is text.
    pub(crate) fn read_to_string(&self, path: &Path) -> io::Result<String> {
        self.bring(path)?;
        fs::read_to_string(path)
    }

    pub(crate) fn gate(&self) -> &Arc<dyn Gate> {
        &self.gate
    }

    /// Asks the gate about a change that the caller makes itself.
    pub(crate) fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.gate.pass(operation, path)
    }

    /// Makes a folder unless there is something of that name; says whether it is new.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<bool> {
        if path.symlink_metadata().is_ok() {
            return Ok(false);
        }
        self.pass(Operation::MakeFolder, path)?;
        match fs::create_dir(path) {
            // Another task made it meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Makes a folder unless there is something of that name; a new one is still there after a power loss.
    pub(crate) fn make_lasting_folder(&self, path: &Path) -> io::Result<()> {
        if self.make_folder(path)? { self.sync_folder(parent(path)) } else { Ok(()) }
    }

    /// Makes a folder and those above it, where they are missing.
    pub(crate) fn make_folder_path(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.make_folder_path(above)?;
        }
        self.make_lasting_folder(path)?;
        if path.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    /// Writes a file that must not exist yet; fails with [`ErrorKind::AlreadyExists`] if it does.
    pub(crate) fn create_new(&self, path: &Path, content: &[Bytes]) -> io::Result<()> {
        if let Some(mirror) = self.mirror() {
            self.pass_writing(path)?;
            return mirror.create_new(path, content.concat().into());
        }
        let file = self.written(path, content)?;
        self.make_visible(path, file, |file| file.persist_noclobber(path))?;
        self.sync_folder(parent(path)).inspect_err(|_| {
            // Who sees an error believes that nothing happened, so nothing may have happened.
            let _ = self.remove_file(path);
        })
    }

    /// Writes a file, in place of an older one if there is one. After an error it is the old one, unless only its
    /// name could not be brought to the disk.
    pub(crate) fn replace(&self, path: &Path, content: &[Bytes]) -> io::Result<()> {
        if let Some(mirror) = self.mirror() {
            self.pass_writing(path)?;
            return mirror.replace(path, content.concat().into());
        }
        let file = self.written(path, content)?;
        self.make_visible(path, file, |file| file.persist(path))?;
        self.sync_folder(parent(path))
    }

    /// Like [`Disk::replace`], for a file without which nothing is lost: after a power loss it may be the old one, empty
    /// or not there.
    pub(crate) fn replace_derived(&self, path: &Path, content: &[Bytes]) -> io::Result<()> {
        if self.mirror.is_some() {
            return self.replace(path, content);
        }
        let file = self.filled(path, content)?;
        self.make_visible(path, file, |file| file.persist(path))
    }

    /// Like [`Disk::replace`], with a file and its folder that only the owner can read.
    pub(crate) fn replace_private(&self, path: &Path, content: &[Bytes]) -> io::Result<()> {
        if self.mirror.is_some() {
            return self.replace(path, content);
        }
        let folder = parent(path);
        if self.make_folder(folder)? {
            restrict(folder, 0o700)?;
        }
        let file = self.written(path, content)?;
        restrict(file.path(), 0o600)?;
        self.make_visible(path, file, |file| file.persist(path))?;
        self.sync_folder(folder)
    }

    /// Adds whole lines to a file, or makes it. A last line without its end, which a crash left, is cut off first.
    /// After an error the lines are not there, unless the disk does not even let them be cut off again.
    pub(crate) fn append_lines(&self, path: &Path, lines: &[u8]) -> io::Result<()> {
        self.pass(Operation::Append, path)?;
        if let Some(mirror) = self.mirror() {
            let mut content = match self.read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                found => found?,
            };
            // As below: what a crash on a disk left may have been copied here.
            content.truncate(content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
            content.extend_from_slice(lines);
            return mirror.replace_known(path, content.into());
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let (length, whole) = (file.metadata()?.len(), whole_lines(&mut file)?);
        if whole < length {
            self.cut(&file, path, whole)?;
        }
        file.seek(SeekFrom::Start(whole))?;
        let appended = file
            .write_all(lines)
            .and_then(|()| self.pass(Operation::Sync, path))
            .and_then(|()| file.sync_all())
            // Always, because whoever made the file may have been killed before its name was on the disk.
            .and_then(|()| self.sync_folder(parent(path)));
        appended.inspect_err(|_| {
            let _ = self.cut(&file, path, whole);
        })
    }

    /// Waits until a file written by somebody else is on the disk.
    pub(crate) fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.pass(Operation::Sync, path)?;
        match self.mirror() {
            Some(mirror) => mirror.upload(path),
            None => File::open(path)?.sync_all(),
        }
    }

    /// Waits until the names in a folder are on the disk.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.pass(Operation::SyncFolder, path)?;
        if self.mirror.is_some() { Ok(()) } else { sync_names(path) }
    }

    /// Removes a folder with all it contains; links in it are removed, not followed.
    pub(crate) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.pass(Operation::Remove, path)?;
        self.mirror().map_or(Ok(()), |mirror| mirror.remove(path))?;
        fs::remove_dir_all(path)
    }

    /// Removes a file; after a power loss it may be there again.
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.pass(Operation::Remove, path)?;
        self.mirror().map_or(Ok(()), |mirror| mirror.remove(path))?;
        fs::remove_file(path)
    }

    /// The steps in which a file is written and gets its name; object storage takes them in one.
    fn pass_writing(&self, path: &Path) -> io::Result<()> {
        [Operation::Write, Operation::Rename].into_iter().try_for_each(|step| self.pass(step, path))
    }

    /// Cuts a file to its first `length` bytes, for good.
    fn cut(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.pass(Operation::Truncate, path)?;
        file.set_len(length)?;
        self.pass(Operation::Sync, path)?;
        file.sync_all()
    }

    /// A temporary file beside `path` that has the content on the disk.
    fn written(&self, path: &Path, content: &[Bytes]) -> io::Result<NamedTempFile> {
        let file = self.filled(path, content)?;
        let synced = self.pass(Operation::Sync, path).and_then(|()| file.as_file().sync_all());
        self.kept(file, synced)
    }

    /// A temporary file beside `path` that has the content.
    fn filled(&self, path: &Path, content: &[Bytes]) -> io::Result<NamedTempFile> {
        let folder = parent(path);
        self.make_folder_path(folder)?;
        self.pass(Operation::Write, path)?;
        let mut file = temporary(folder)?;
        let written = content.iter().try_for_each(|part| file.write_all(part));
        self.kept(file, written)
    }

    /// A temporary file after a step that it must not outlive if it failed.
    fn kept(&self, file: NamedTempFile, step: io::Result<()>) -> io::Result<NamedTempFile> {
        match step {
            Ok(()) => Ok(file),
            Err(error) => {
                self.abandon(file);
                Err(error)
            }
        }
    }

    fn make_visible(
        &self,
        path: &Path,
        file: NamedTempFile,
        rename: impl FnOnce(NamedTempFile) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<()> {
        if let Err(error) = self.pass(Operation::Rename, path) {
            self.abandon(file);
            return Err(error);
        }
        rename(file).map(drop).map_err(|error| {
            self.abandon(error.file);
            error.error
        })
    }

    /// Removes a temporary file; where not even that can be done it stays, as after a crash.
    fn abandon(&self, file: NamedTempFile) {
        match self.pass(Operation::Remove, file.path()) {
            Ok(()) => drop(file),
            Err(_) => drop(file.keep()),
        }
    }
}

/// Runs something that waits for the disk without holding up other tables.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// How many bytes of a file are lines with their ends.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut content)?;
    Ok(content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end as u64 + 1))
}

#[cfg(unix)]
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced here; the file system orders names itself.
#[cfg(not(unix))]
fn sync_names(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Lets only the owner do what the mode says.
#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Who may read a file is inherited from its folder here.
#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// The name begins with `_`, which readers of Delta tables skip.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("_writing_").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
