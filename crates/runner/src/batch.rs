//! Batches of bronze tables as they stand in the lake: the folder of a batch tells its date, order and content.

use chrono::NaiveDate;
use medallion_lake::PublishedTable;
use medallion_pipeline::TableFiles;

/// The identity of a batch; also the name of its folder: `2025-06-30_000001_0123456789abcdef`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId {
    /// The date of the export.
    pub export_date: NaiveDate,
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// The hash of its content.
    pub hash: String,
}

impl BatchId {
    fn parse(folder: &str) -> Option<Self> {
        let (date, rest) = folder.split_once('_')?;
        let (sequence, hash) = rest.split_once('_')?;
        Some(Self { export_date: date.parse().ok()?, sequence: sequence.parse().ok()?, hash: hash.to_owned() })
    }
}

impl std::fmt::Display for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{:06}_{}", self.export_date, self.sequence, self.hash)
    }
}

/// The batches of a bronze table, the current one last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batches(Vec<BatchId>);

impl Batches {
    /// The batches of a published bronze table.
    pub(crate) fn of(published: Option<&PublishedTable>) -> Self {
        let folders =
            published.into_iter().flat_map(PublishedTable::paths).filter_map(|(path, _)| path.split('/').next());
        let mut batches: Vec<BatchId> = folders.filter_map(BatchId::parse).collect();
        batches.sort();
        batches.dedup();
        Self(batches)
    }

    /// The batch that is the truth: the newest export; of several with one date the last that came.
    pub(crate) fn current(&self) -> Option<&BatchId> {
        self.0.last()
    }

    /// The id under which an export is to be taken in; `None` if its content is known already: as the current batch, or
    /// with the same or a newer date.
    pub(crate) fn next(&self, export_date: NaiveDate, hash: &str) -> Option<BatchId> {
        let is_current = self.current().is_some_and(|current| current.hash == hash);
        let is_older = self.0.iter().any(|batch| batch.hash == hash && batch.export_date >= export_date);
        if is_current || is_older {
            return None;
        }
        let sequence = self.0.iter().map(|batch| batch.sequence).max().unwrap_or(0) + 1;
        Some(BatchId { export_date, sequence, hash: hash.to_owned() })
    }

    /// Adds a batch that was taken in.
    pub(crate) fn add(&mut self, batch: BatchId) {
        self.0.push(batch);
        self.0.sort();
    }
}

/// The files of one batch of a published table.
pub(crate) fn files_of(published: &PublishedTable, batch: &BatchId) -> TableFiles {
    let folder = format!("{batch}/");
    let files = published.paths().filter(|(path, _)| path.starts_with(&folder)).map(|(_, file)| file.clone());
    TableFiles { schema: published.files.schema.clone(), files: files.collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_export_is_current_and_known_content_is_not_taken_twice() {
        let mut batches = Batches::default();
        for (date, hash) in [("2025-06-01", "aa"), ("2025-06-02", "bb")] {
            let batch = batches.next(day(date), hash).unwrap();
            batches.add(batch);
        }
        assert_eq!(batches.current().unwrap().to_string(), "2025-06-02_000002_bb");
        assert_eq!(batches.next(day("2025-06-09"), "bb"), None, "the current content again, whatever its date");
        assert_eq!(batches.next(day("2025-06-01"), "aa"), None, "an old export with its old date");
        let again = batches.next(day("2025-06-03"), "aa").unwrap();
        batches.add(again);
        assert_eq!(batches.current().unwrap().hash, "aa", "an old content with a newer date is current again");
        let late = batches.next(day("2025-05-31"), "cc").unwrap();
        batches.add(late);
        assert_eq!(batches.current().unwrap().hash, "aa", "a late older export does not become current");
    }
}
