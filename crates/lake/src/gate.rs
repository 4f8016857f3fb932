//! The gate between the lake and the disk: where tests let a disk fail.

use std::fmt;
use std::io;
use std::path::Path;

/// Asked before each change to the disk. Tests put one here that fails.
///
/// What engines write into staging areas does not pass it; bringing those files to the disk does.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Lets the change happen, or says why it fails. `path` is what readers will find it under: the file to be, not
    /// the temporary one it is written as.
    ///
    /// # Errors
    /// If the change must not happen; the lake then treats it as failed.
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()>;
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn pass(&self, _operation: Operation, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// A change to the disk, one step of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A folder is made.
    MakeFolder,
    /// Content is written, to a temporary file or to the lock.
    Write,
    /// Content is added to the end of a file, which is made if there is none.
    Append,
    /// A file is cut to its whole lines.
    Truncate,
    /// The lake waits until a file's content is on the disk.
    Sync,
    /// The lake waits until the names in a folder are on the disk.
    SyncFolder,
    /// A file gets its name, and readers see it.
    Rename,
    /// A file is copied.
    Copy,
    /// A file, or a folder with all it contains, is removed.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MakeFolder => "make folder",
            Self::Write => "write",
            Self::Append => "append",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncFolder => "sync folder",
            Self::Rename => "rename",
            Self::Copy => "copy",
            Self::Remove => "remove",
        })
    }
}
