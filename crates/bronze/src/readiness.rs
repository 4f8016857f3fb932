//! Whether a file is complete: files that may still be written wait for the next run.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::Read;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use medallion_pipeline::{Arrival, Ready};

use crate::discovery::{FoundFile, split_ending};
use crate::error::BronzeError;
use crate::name_pattern::NamePattern;
use crate::opened::{Opened, Stamp};

/// The ending of a file that says that another one is complete.
const DONE: &str = ".done";

/// The most bytes of a manifest.
const MAX_MANIFEST: u64 = 16 << 20;

/// What a manifest says of a file.
struct Listed {
    sha256: Option<String>,
    /// When the manifest was written.
    at: DateTime<Utc>,
}

/// What a drop folder says about its files.
#[derive(Default)]
pub(crate) struct Readiness {
    settle: TimeDelta,
    now: DateTime<Utc>,
    ready: Ready,
    manifest: Option<NamePattern>,
    /// Names of the `.done` files and when they were written.
    done: Vec<(String, DateTime<Utc>)>,
    /// Names in manifests.
    listed: BTreeMap<String, Listed>,
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
            Ready::Done => {
                let written = |entry: &DirEntry| entry.metadata().and_then(|metadata| Stamp::of(&metadata));
                let is_marker =
                    |entry: &DirEntry, name: &str| name.ends_with(DONE) && entry.file_type().is_ok_and(|t| t.is_file());
                let markers = entries.iter().zip(names()).filter(|(entry, name)| is_marker(entry, name));
                // A marker that is gone by now says nothing.
                let dated = markers.filter_map(|(entry, name)| Some((name, written(entry).ok()?.modified)));
                readiness.done = dated.collect();
            }
            Ready::Manifest => {
                readiness.manifest = NamePattern::new(&arrival.manifest);
                let files =
                    entries.iter().zip(names()).filter(|(entry, _)| entry.file_type().is_ok_and(|t| t.is_file()));
                for name in files.map(|(_, name)| name).filter(|name| readiness.is_manifest(name)).collect::<Vec<_>>() {
                    readiness.read_manifest(&folder.join(name))?;
                }
            }
        }
        Ok(readiness)
    }

    /// The moment of the run.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Whether a file is there for what it says about others.
    pub(crate) fn is_about_files(&self, name: &str) -> bool {
        self.is_manifest(name) || self.done.iter().any(|(done, _)| done == name)
    }

    /// The SHA-256 that a manifest gives for a file.
    pub(crate) fn sha256(&self, name: &str) -> Option<String> {
        self.listed.get(name).and_then(|listed| listed.sha256.clone())
    }

    /// Why a file has to wait; `None` if it is complete.
    pub(crate) fn why_waiting(&self, file: &FoundFile) -> Option<String> {
        let age = self.now - file.stamp.modified;
        // A clock that is a day ahead is wrong, not a sign of a file that is being written.
        if !self.settle.is_zero() && age < self.settle && age > -TimeDelta::days(1) {
            let seconds = self.settle.num_seconds();
            return Some(format!("it was written to less than {seconds} s ago"));
        }
        match self.ready {
            Ready::Settled => None,
            Ready::Done => self.why_not_done(file),
            Ready::Manifest => match self.listed.get(&file.name) {
                None => Some("no manifest lists it yet".to_owned()),
                Some(listed) if listed.sha256.is_none() && listed.at < file.stamp.modified => {
                    Some("the manifest that lists it is older than it is".to_owned())
                }
                Some(_) => None,
            },
        }
    }

    fn why_not_done(&self, file: &FoundFile) -> Option<String> {
        let mut markers = self.done.iter().filter(|(done, _)| is_marker_of(done, &file.name)).peekable();
        if markers.peek().is_none() {
            return Some(format!("there is no {}{DONE} yet", file.name));
        }
        // One from the last night says nothing about a file that is written anew.
        let is_newer = markers.any(|(_, at)| *at >= file.stamp.modified);
        (!is_newer).then(|| format!("its {DONE} is older than it is"))
    }

    fn is_manifest(&self, name: &str) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.matches(name))
    }

    /// Lines with a name, or with a SHA-256 and a name as `sha256sum` writes them.
    fn read_manifest(&mut self, path: &Path) -> Result<(), BronzeError> {
        let error = |source| BronzeError::Manifest { path: path.to_path_buf(), source };
        let opened = Opened::open(path).map_err(error)?;
        let at = opened.stamp().map_err(error)?.modified;
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
            self.listed.insert(name.to_owned(), Listed { sha256: hash, at });
        }
        Ok(())
    }
}

/// Whether `marker` says that the file `name` is complete: `NAME.done` or `STEM.done`.
pub(crate) fn is_marker_of(marker: &str, name: &str) -> bool {
    let (stem, _) = split_ending(name);
    marker.strip_suffix(DONE).is_some_and(|about| about == name || about.to_lowercase() == stem)
}
