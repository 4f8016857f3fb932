//! Whether a file is complete: files that may still be written wait for the next run.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use globset::{GlobBuilder, GlobMatcher};
use medallion_pipeline::{Arrival, Ready};

use crate::discovery::{FoundFile, split_ending};
use crate::error::BronzeError;
use crate::opened::Opened;

/// The ending of a file that says that another one is complete.
const DONE: &str = ".done";

/// The most bytes of a manifest.
const MAX_MANIFEST: u64 = 16 << 20;

/// What a drop folder says about its files.
#[derive(Default)]
pub(crate) struct Readiness {
    settle: TimeDelta,
    now: DateTime<Utc>,
    ready: Ready,
    manifest: Option<GlobMatcher>,
    /// Names of the `.done` files.
    done: Vec<String>,
    /// Names in manifests, with the SHA-256 where it is given.
    listed: BTreeMap<String, Option<String>>,
}

impl Readiness {
    pub(crate) fn of(
        folder: &Path,
        entries: &[DirEntry],
        arrival: &Arrival,
        now: DateTime<Utc>,
    ) -> Result<Self, BronzeError> {
        let settle = i64::try_from(arrival.settle_seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or_default();
        let mut readiness = Self { settle, now, ready: arrival.ready, ..Self::default() };
        let names = || entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        match arrival.ready {
            Ready::Settled => {}
            Ready::Done => readiness.done = names().filter(|name| name.ends_with(DONE)).collect(),
            Ready::Manifest => {
                let glob = GlobBuilder::new(&arrival.manifest).case_insensitive(true).build().ok();
                readiness.manifest = glob.map(|glob| glob.compile_matcher());
                for name in names().filter(|name| readiness.is_manifest(name)).collect::<Vec<_>>() {
                    readiness.read_manifest(&folder.join(name))?;
                }
            }
        }
        Ok(readiness)
    }

    /// Whether a file is there for what it says about others.
    pub(crate) fn is_about_files(&self, name: &str) -> bool {
        self.is_manifest(name) || self.done.iter().any(|done| done == name)
    }

    /// The SHA-256 that a manifest gives for a file.
    pub(crate) fn sha256(&self, name: &str) -> Option<String> {
        self.listed.get(name).cloned().flatten()
    }

    /// Why a file has to wait; `None` if it is complete.
    pub(crate) fn why_waiting(&self, file: &FoundFile) -> Option<String> {
        let age = self.now - file.stamp.modified;
        // A clock that is a day ahead is wrong, not a sign of a file that is being written.
        if age < self.settle && age > -TimeDelta::days(1) {
            let seconds = self.settle.num_seconds();
            return Some(format!("it was written to less than {seconds} s ago"));
        }
        match self.ready {
            Ready::Settled => None,
            Ready::Done => {
                let (stem, _) = split_ending(&file.name);
                let by_name = format!("{}{DONE}", file.name);
                let by_stem = format!("{stem}{DONE}");
                let is_there = |done: &String| *done == by_name || done.to_lowercase() == by_stem;
                (!self.done.iter().any(is_there)).then(|| format!("there is no {by_name} yet"))
            }
            Ready::Manifest => (!self.listed.contains_key(&file.name)).then(|| "no manifest lists it yet".to_owned()),
        }
    }

    fn is_manifest(&self, name: &str) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.is_match(name))
    }

    /// Lines with a name, or with a SHA-256 and a name as `sha256sum` writes them.
    fn read_manifest(&mut self, path: &Path) -> Result<(), BronzeError> {
        let error = |source| BronzeError::Manifest { path: path.to_path_buf(), source };
        let opened = Opened::open(path).map_err(error)?;
        let mut text = String::new();
        (&opened.cursor()).take(MAX_MANIFEST).read_to_string(&mut text).map_err(error)?;
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty()) {
            let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            let (hash, name) = match line.split_once(char::is_whitespace) {
                Some((hash, name)) if is_hash(hash) => (Some(hash.to_owned()), name.trim_start()),
                _ => (None, line),
            };
            let name = name.strip_prefix('*').unwrap_or(name);
            let name = name.strip_prefix("./").unwrap_or(name);
            self.listed.insert(name.to_owned(), hash);
        }
        Ok(())
    }
}
