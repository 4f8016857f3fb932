//! The folder of a run, where its reports are.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bytes::Bytes;

use crate::error::LakeError;
use crate::place::{Lake, MEDALLION_FOLDER};

impl Lake {
    /// Makes and returns the folder for a run's reports.
    ///
    /// # Errors
    /// If the run id is not one or the folder cannot be made.
    pub fn run_folder(&self, run_id: &str) -> Result<PathBuf, LakeError> {
        self.check_run_id(run_id)?;
        self.make_lasting_folders(&[MEDALLION_FOLDER, "runs", run_id])
    }

    /// The ids of the runs there are reports of, in the order in which they began.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn runs(&self) -> Result<Vec<String>, LakeError> {
        let folder = self.folder().join(MEDALLION_FOLDER).join("runs");
        let failed = LakeError::io(self.customer(), &folder, "list");
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let ids = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = ids.filter(|id| self.check_run_id(id).is_ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Reads a file of a run; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the run id is not one or the file cannot be read.
    pub fn read_run_file(&self, run_id: &str, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        self.check_run_id(run_id)?;
        let path = self.folder().join(MEDALLION_FOLDER).join("runs").join(run_id).join(name);
        self.refuse_link(&path)?;
        match self.disk().read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(LakeError::io(self.customer(), &path, "read")),
        }
    }

    /// Writes a sample of failing rows into the folder `tests` of a run's, in place of an older one, and returns where it
    /// is. On a local disk only the owner can read it: it holds personal data.
    ///
    /// # Errors
    /// If the run id is not one or the file cannot be written.
    pub fn write_sample(&self, run_id: &str, name: &str, content: &[u8]) -> Result<PathBuf, LakeError> {
        let path = self.run_folder(run_id)?.join("tests").join(name);
        let written = self.disk().replace_private(&path, &[Bytes::copy_from_slice(content)]);
        written.map_err(LakeError::io(self.customer(), &path, "write"))?;
        Ok(path)
    }

    /// Writes a file into a run's folder, in place of an older one; readers see the old file or the new one.
    ///
    /// # Errors
    /// If the name is a path or the file cannot be written.
    pub fn write_run_file(&self, run_id: &str, name: &str, content: &[u8]) -> Result<PathBuf, LakeError> {
        let path = self.run_file(run_id, name)?;
        let written = self.disk().replace(&path, &[Bytes::copy_from_slice(content)]);
        written.map_err(LakeError::io(self.customer(), &path, "write"))?;
        Ok(path)
    }

    /// Writes a report into a run's folder. Unlike [`Lake::write_run_file`] it does not wait for the disk: a power loss
    /// within the next seconds may take the report, which tells for people what the results tell for programs.
    ///
    /// # Errors
    /// If the name is a path or the file cannot be written.
    pub fn write_run_report(&self, run_id: &str, name: &str, content: &[u8]) -> Result<PathBuf, LakeError> {
        let path = self.run_file(run_id, name)?;
        let written = self.disk().replace_derived(&path, &[Bytes::copy_from_slice(content)]);
        written.map_err(LakeError::io(self.customer(), &path, "write"))?;
        Ok(path)
    }

    /// Where a file of a run is, in its folder, which is made.
    fn run_file(&self, run_id: &str, name: &str) -> Result<PathBuf, LakeError> {
        let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !plain {
            let (customer, run_id) = (self.customer().to_owned(), run_id.to_owned());
            return Err(LakeError::InvalidFileName { customer, run_id, name: name.to_owned() });
        }
        Ok(self.run_folder(run_id)?.join(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn run_files_are_replaced_and_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        lake.write_run_file("r1", "run_results.json", b"{}").unwrap();
        let path = lake.write_run_file("r1", "run_results.json", b"{\"a\":1}").unwrap();
        assert_eq!(path, folder.path().join("acme/_medallion/runs/r1/run_results.json"));
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        for name in ["../x", "", "a/b", ".."] {
            let error = lake.write_run_file("r1", name, b"").unwrap_err();
            assert!(matches!(error, LakeError::InvalidFileName { .. }), "{name}");
        }
        assert!(matches!(lake.run_folder("../r1"), Err(LakeError::InvalidRun { .. })));
    }
}
