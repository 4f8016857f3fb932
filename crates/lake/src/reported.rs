//! Files that engines write: what the disk said about them is kept, as engines do not pass all of it on.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that keeps the first error of its disk.
#[derive(Debug)]
pub struct ReportedFile {
    file: File,
    report: Report,
}

/// What the disk said about a file.
#[derive(Debug, Clone, Default)]
pub struct Report {
    said: Arc<Mutex<Option<io::Error>>>,
}

impl ReportedFile {
    /// A file that was just made.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file, report: Report::default() }
    }

    /// The report, which outlives the file.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.clone()
    }
}

impl Report {
    /// Why a file could not be written: what the disk said, otherwise what the engine says.
    pub fn reason(&self, engine: impl Display) -> io::Error {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        said.unwrap_or_else(|| io::Error::other(engine.to_string()))
    }

    fn keep(&self, error: io::Error) -> io::Error {
        let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(copy);
        error
    }
}

impl Write for ReportedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.report.keep(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.report.keep(error))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn what_the_disk_said_first_is_kept() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = ReportedFile::new(full);
        let report = file.report();
        assert_eq!(report.reason("no magic bytes").to_string(), "no magic bytes");
        file.write_all(b"rows").unwrap_err();
        drop(file);
        let reason = report.reason("no magic bytes");
        assert_eq!(reason.kind(), io::ErrorKind::StorageFull, "{reason}");
        assert!(reason.to_string().ends_with("(os error 28)"), "{reason}");
    }
}
