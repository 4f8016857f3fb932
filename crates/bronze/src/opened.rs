//! A file of a drop folder, opened once and read from any place.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

/// What a file is compressed with, found from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What tells that a file is still as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

impl Stamp {
    /// The stamp of a file.
    ///
    /// # Errors
    /// If the platform does not know when it was written.
    pub fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { size: metadata.len(), modified: metadata.modified()?.into() })
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
}

impl Opened {
    /// Opens a regular file. The last part of the path is not followed if it is a link, and opening does not wait for
    /// the other end of a pipe.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(path)?;
        if file.metadata()?.is_file() {
            return Ok(Self { file });
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }

    /// The file's stamp at this moment.
    pub(crate) fn stamp(&self) -> io::Result<Stamp> {
        Stamp::of(&self.file.metadata()?)
    }

    /// A reader of its own from the first byte.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { file: &self.file, at: AtomicU64::new(0) }
    }

    pub(crate) fn compression(&self) -> io::Result<Compression> {
        let mut first = Vec::with_capacity(4);
        let cursor = self.cursor();
        (&cursor).take(4).read_to_end(&mut first)?;
        Ok(match first.as_slice() {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            // A frame, or one that is to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
            _ => Compression::None,
        })
    }
}

/// Reads a file without moving its position, so that several readers do not disturb each other.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    file: &'a File,
    at: AtomicU64,
}

impl Cursor<'_> {
    /// Bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }
}

impl Read for &Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.position())?;
        self.at.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}
