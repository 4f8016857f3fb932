//! What is to be seen of a drop folder.

use std::path::Path;

use chrono::{DateTime, Utc};
use medallion_bronze::{FoundFile, Stamp, discover};
use medallion_pipeline::{Customer, Pipeline};

/// A file as it is at a moment: name, size, last write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileSight {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) modified: DateTime<Utc>,
}

impl FileSight {
    /// A file as it is now; `None` if it cannot be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let stamp = std::fs::metadata(path).and_then(|metadata| Stamp::of(&metadata)).ok()?;
        Some(Self { name: path.display().to_string(), size: stamp.size, modified: stamp.modified })
    }

    fn found(file: &FoundFile) -> Self {
        Self { name: file.name.clone(), size: file.stamp.size, modified: file.stamp.modified }
    }
}

/// A drop folder at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Every required source has a file, and no file waits. The files, sorted.
    Complete(Vec<FileSight>),
    /// Something is missing or may still be written.
    Incomplete(String),
}

/// Looks at a customer's drop folder as a run would.
pub(crate) fn look(customer: &Customer, pipeline: &Pipeline, now: DateTime<Utc>) -> Sight {
    let found = match discover(&customer.source, pipeline.sources.values(), &customer.arrival, now) {
        Ok(found) => found,
        Err(error) => return Sight::Incomplete(error.to_string()),
    };
    if let Some(file) = found.waiting.first() {
        return Sight::Incomplete(format!("{} waits: {}", file.name, file.reason));
    }
    let required = pipeline.sources.values().filter(|source| source.source.required);
    let missing: Vec<&str> =
        required.map(|source| source.name.table.as_str()).filter(|name| !found.exports.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Sight::Incomplete(format!("there is no file yet for {}", missing.join(", ")));
    }
    let files = found.exports.values().flatten().flat_map(|export| &export.files);
    let mut files: Vec<FileSight> = files.map(FileSight::found).collect();
    files.sort();
    Sight::Complete(files)
}
