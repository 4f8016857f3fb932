//! What was ever taken in of a source, and which of it is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_bronze::FoundFile;
use medallion_lake::{LedgerEntry, LedgerEvent, PublishedTable};
use medallion_pipeline::{Mode, TableFiles, TableSchema};

/// The identity of a batch; also the name of its folder: `2025-06-30_000001_0123456789abcdef0123456789abcdef`.
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
    pub(crate) fn parse(folder: &str) -> Option<Self> {
        let (date, rest) = folder.split_once('_')?;
        let (sequence, hash) = rest.split_once('_')?;
        Some(Self { export_date: date.parse().ok()?, sequence: sequence.parse().ok()?, hash: hash.to_owned() })
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:06}_{}", self.export_date, self.sequence, self.hash)
    }
}

/// A content that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its newest date and the order in which it got that.
    pub dated: (NaiveDate, u64),
    /// Its place among batches that build on each other. As an increment that came again it keeps its place: it would
    /// otherwise undo what came after it.
    pub place: (NaiveDate, u64),
    /// What it was taken for when it came, or, where a snapshot was expected, when it came again.
    pub mode: Mode,
    /// Its hash.
    pub hash: String,
    /// The batch that holds its rows; `None` once they were retired.
    pub batch_id: Option<String>,
    /// Records of its files, where that is known.
    pub records: Option<u64>,
}

impl Content {
    /// The same when it came again with a newer date.
    fn again(&self, mode: Mode, dated: (NaiveDate, u64)) -> Self {
        match mode {
            Mode::Snapshot => Self { dated, place: dated, mode, ..self.clone() },
            Mode::Incremental => Self { dated, ..self.clone() },
        }
    }
}

/// What to do with an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is known, with this date or a newer one.
    Known,
    /// Its rows are there; it only became newer. The content as it is then.
    Dated(Content),
    /// Its rows are to be taken in.
    Take(BatchId),
}

/// All that was taken in of a source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batches {
    contents: Vec<Content>,
    /// Every date that contents came with, each with its place in the order of arrival and the hash.
    arrivals: Vec<((NaiveDate, u64), String)>,
    /// Hashes of files with the newest date of a content they are part of.
    files: BTreeMap<String, NaiveDate>,
    /// Names of files with the time they were written.
    stamps: BTreeSet<(String, DateTime<Utc>)>,
    last_sequence: u64,
    /// What the last exports were taken for.
    mode: Mode,
}

impl Batches {
    /// What the ledger and the bronze table tell of a source. What the ledger has is there only if its rows are, or
    /// were until they were retired: it is written before the rows are committed.
    pub(crate) fn of(source: &str, published: Option<&PublishedTable>, ledger: &[LedgerEntry]) -> Self {
        let folders = published.into_iter().flat_map(PublishedTable::paths);
        let folders: BTreeSet<&str> = folders.filter_map(|(path, _)| path.split('/').next()).collect();
        Self::from_parts(&folders, ledger.iter().filter(|entry| entry.source == source))
    }

    /// As [`Batches::of`], as it was when nothing beyond that place in the order of arrival had come.
    pub(crate) fn up_to(
        source: &str,
        published: Option<&PublishedTable>,
        ledger: &[LedgerEntry],
        last_sequence: u64,
    ) -> Self {
        let folders = published.into_iter().flat_map(PublishedTable::paths);
        let folders = folders.filter_map(|(path, _)| path.split('/').next());
        let came = |folder: &&str| BatchId::parse(folder).is_none_or(|batch| batch.sequence <= last_sequence);
        let entries = ledger.iter().filter(|entry| entry.source == source && entry.sequence <= last_sequence);
        Self::from_parts(&folders.filter(came).collect(), entries)
    }

    fn from_parts<'a>(folders: &BTreeSet<&str>, ledger: impl Iterator<Item = &'a LedgerEntry>) -> Self {
        let mut batches = Self::default();
        let mut retired = BTreeSet::new();
        let mut files: BTreeMap<&str, &LedgerEntry> = BTreeMap::new();
        for entry in ledger {
            batches.mode = entry.mode;
            match entry.event {
                LedgerEvent::Taken => {
                    batches.stamps.extend(entry.files.iter().map(|file| (file.name.clone(), file.modified)));
                    retired.remove(entry.content_hash.as_str());
                    batches.forget_arrivals(&entry.content_hash);
                    files.insert(&entry.content_hash, entry);
                    batches.set(Content {
                        dated: (entry.export_date, entry.sequence),
                        place: (entry.export_date, entry.sequence),
                        mode: entry.mode,
                        hash: entry.content_hash.clone(),
                        batch_id: Some(entry.batch_id.clone()),
                        records: Some(entry.records),
                    });
                }
                LedgerEvent::Dated => {
                    let dated = (entry.export_date, entry.sequence);
                    batches.arrivals.push((dated, entry.content_hash.clone()));
                    let known = batches.find_mut(&entry.content_hash);
                    known.into_iter().for_each(|content| *content = content.again(entry.mode, dated));
                }
                LedgerEvent::Retired => drop(retired.insert(entry.content_hash.as_str())),
            }
        }
        batches.contents.retain_mut(|content| {
            let is_there = content.batch_id.as_deref().is_some_and(|folder| folders.contains(folder));
            content.batch_id = content.batch_id.take().filter(|_| is_there);
            is_there || retired.contains(content.hash.as_str())
        });
        // What a crash left out of the table gives its number back, so that the next run makes the same batch.
        batches.last_sequence = batches.contents.iter().map(|content| content.dated.1).max().unwrap_or(0);
        batches.add_unrecorded(folders);
        for content in &batches.contents {
            let known = files.get(content.hash.as_str()).into_iter().flat_map(|entry| &entry.files);
            for file in known {
                let date = batches.files.entry(file.hash.clone()).or_insert(content.dated.0);
                *date = content.dated.0.max(*date);
            }
        }
        batches
    }

    /// A table whose ledger was lost still tells dates and hashes of its batches. Where increments are expected they
    /// are taken for increments: of what was a snapshot nothing is lost by that.
    fn add_unrecorded(&mut self, folders: &BTreeSet<&str>) {
        for folder in folders {
            let recorded = self.contents.iter().any(|content| content.batch_id.as_deref() == Some(*folder));
            if let Some(batch) = BatchId::parse(folder).filter(|_| !recorded) {
                self.add(&batch, Mode::Incremental, None);
            }
        }
    }

    /// The content that is the truth: the newest export; of several with one date the last that came.
    pub(crate) fn current(&self) -> Option<&Content> {
        self.contents.iter().filter(|content| content.batch_id.is_some()).max_by_key(|content| content.dated)
    }

    /// The content whose rows are in a batch.
    pub(crate) fn holding(&self, batch_id: &str) -> Option<&Content> {
        self.contents.iter().find(|content| content.batch_id.as_deref() == Some(batch_id))
    }

    /// What makes up the truth, in its order: the current content of snapshots; of increments all, from the last
    /// snapshot on if there was one before the source became incremental.
    pub(crate) fn counting(&self, mode: Mode) -> Vec<&Content> {
        if mode == Mode::Snapshot {
            return self.current().into_iter().collect();
        }
        let there = || self.contents.iter().filter(|content| content.batch_id.is_some());
        let snapshots = there().filter(|content| content.mode == Mode::Snapshot);
        let base = snapshots.map(|content| content.place).max();
        let counts = |content: &&Content| base.is_none_or(|base| content.place >= base);
        let mut counting: Vec<&Content> = there().filter(counts).collect();
        counting.sort_by_key(|content| content.place);
        counting
    }

    /// What the last exports were taken for.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The batch of each date: of several with one date the last that came. Left out are dates whose rows were retired.
    pub(crate) fn by_date(&self) -> BTreeMap<NaiveDate, String> {
        let contents: BTreeMap<&str, &Content> =
            self.contents.iter().map(|content| (content.hash.as_str(), content)).collect();
        let mut last: BTreeMap<NaiveDate, (u64, &Content)> = BTreeMap::new();
        for ((date, sequence), hash) in &self.arrivals {
            let Some(content) = contents.get(hash.as_str()) else { continue };
            let latest = last.entry(*date).or_insert((*sequence, content));
            if *sequence > latest.0 {
                *latest = (*sequence, content);
            }
        }
        last.into_iter().filter_map(|(date, (_, content))| Some((date, content.batch_id.clone()?))).collect()
    }

    /// Batches whose rows are there beyond the `retained` newest.
    pub(crate) fn surplus(&self, retained: usize) -> Vec<Content> {
        let mut there: Vec<&Content> = self.contents.iter().filter(|content| content.batch_id.is_some()).collect();
        there.sort_by_key(|content| std::cmp::Reverse(content.dated));
        there.into_iter().skip(retained).cloned().collect()
    }

    /// Whether files look as if they had been taken in: by name and time. Only their content can tell for sure.
    pub(crate) fn are_stamped(&self, files: &[FoundFile]) -> bool {
        files.iter().all(|file| self.stamps.contains(&(file.name.clone(), file.stamp.modified)))
    }

    /// What to do with an export of the given content, whose files have the given hashes.
    pub(crate) fn decide<'a>(
        &self,
        mode: Mode,
        export_date: NaiveDate,
        hash: &str,
        mut files: impl Iterator<Item = &'a str>,
    ) -> Decision {
        let dated = (export_date, self.last_sequence + 1);
        let is_known = |date: &NaiveDate| mode == Mode::Incremental || export_date <= *date;
        match self.contents.iter().find(|content| content.hash == hash) {
            Some(content) if export_date <= content.dated.0 => Decision::Known,
            Some(content) if content.batch_id.is_some() => Decision::Dated(content.again(mode, dated)),
            None if files.all(|file| self.files.get(file).is_some_and(is_known)) => Decision::Known,
            _ => Decision::Take(BatchId { export_date, sequence: dated.1, hash: hash.to_owned() }),
        }
    }

    /// Adds a batch that was taken in.
    pub(crate) fn add(&mut self, batch: &BatchId, mode: Mode, records: Option<u64>) {
        self.forget_arrivals(&batch.hash);
        self.set(Content {
            dated: (batch.export_date, batch.sequence),
            place: (batch.export_date, batch.sequence),
            mode,
            hash: batch.hash.clone(),
            batch_id: Some(batch.to_string()),
            records,
        });
    }

    /// Puts a content in place of what was known of it.
    pub(crate) fn set(&mut self, content: Content) {
        self.last_sequence = self.last_sequence.max(content.dated.1);
        self.arrivals.push((content.dated, content.hash.clone()));
        match self.find_mut(&content.hash) {
            Some(known) => *known = content,
            None => self.contents.push(content),
        }
    }

    /// What is taken in again was retired, or never committed: its rows do not stand for the dates it had then.
    fn forget_arrivals(&mut self, hash: &str) {
        self.arrivals.retain(|(_, known)| known != hash);
    }

    fn find_mut(&mut self, hash: &str) -> Option<&mut Content> {
        self.contents.iter_mut().find(|content| content.hash == hash)
    }
}

/// The files of one batch of a published table, as a table of the given schema.
pub(crate) fn files_of(published: &PublishedTable, batch_id: &str, schema: TableSchema) -> TableFiles {
    let folder = format!("{batch_id}/");
    let files = published.paths().filter(|(path, _)| path.starts_with(&folder)).map(|(_, file)| file.clone());
    TableFiles { schema, files: files.collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use medallion_lake::LedgerFile;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn decide(batches: &Batches, date: &str, hash: &str) -> Decision {
        batches.decide(Mode::Snapshot, day(date), hash, [hash].into_iter())
    }

    fn take(batches: &mut Batches, date: &str, hash: &str) -> String {
        let Decision::Take(batch) = decide(batches, date, hash) else { panic!("{hash} of {date} is known") };
        batches.add(&batch, Mode::Snapshot, Some(1));
        batch.to_string()
    }

    fn current(batches: &Batches) -> &str {
        &batches.current().unwrap().hash
    }

    fn entry(event: LedgerEvent, batch_id: &str, files: &[&str]) -> LedgerEntry {
        let batch = BatchId::parse(batch_id).unwrap();
        let modified = DateTime::from_timestamp(0, 0).unwrap();
        let file = |hash: &&str| LedgerFile { name: "f".into(), hash: (*hash).into(), bytes: 1, modified };
        LedgerEntry {
            schema: LedgerEntry::SCHEMA.to_owned(),
            event,
            source: "users".to_owned(),
            batch_id: batch_id.to_owned(),
            content_hash: batch.hash,
            mode: Mode::Snapshot,
            export_date: batch.export_date,
            sequence: batch.sequence,
            records: 1,
            rejected: 0,
            run_id: "r".to_owned(),
            at: modified,
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn the_newest_export_is_current_and_known_content_is_not_taken_twice() {
        let mut batches = Batches::default();
        take(&mut batches, "2025-06-01", "aa");
        assert_eq!(take(&mut batches, "2025-06-02", "bb"), "2025-06-02_000002_bb");
        assert_eq!(decide(&batches, "2025-06-02", "bb"), Decision::Known, "the current content again");
        assert_eq!(decide(&batches, "2025-06-01", "aa"), Decision::Known, "an old export with its old date");
        let Decision::Dated(again) = decide(&batches, "2025-06-03", "aa") else { panic!("its rows are there") };
        assert_eq!(again.batch_id.as_deref(), Some("2025-06-01_000001_aa"));
        batches.set(again);
        assert_eq!(current(&batches), "aa", "an old content with a newer date is current again");
        take(&mut batches, "2025-05-31", "cc");
        assert_eq!(current(&batches), "aa", "a late older export does not become current");
    }

    #[test]
    fn the_current_content_moves_its_date_so_that_a_late_older_export_stays_behind() {
        let mut batches = Batches::default();
        take(&mut batches, "2025-06-01", "aa");
        let Decision::Dated(newer) = decide(&batches, "2025-06-09", "aa") else { panic!("it is newer") };
        batches.set(newer);
        take(&mut batches, "2025-06-05", "bb");
        assert_eq!(current(&batches), "aa");
    }

    /// Every date that a content came with counts, also those that a later one of the same content moved on from.
    #[test]
    fn each_date_has_the_batch_that_came_last_for_it() {
        let mut batches = Batches::default();
        let mut expected = BTreeMap::new();
        for (date, hash) in [("2025-06-01", "aa"), ("2025-06-02", "bb"), ("2025-06-02", "cc"), ("2025-05-30", "dd")] {
            expected.insert(day(date), take(&mut batches, date, hash));
        }
        let Decision::Dated(again) = decide(&batches, "2025-06-03", "aa") else { panic!("its rows are there") };
        batches.set(again);
        expected.insert(day("2025-06-03"), expected[&day("2025-06-01")].clone());
        assert_eq!(batches.by_date(), expected);
        assert_eq!(expected.len(), 4);
    }

    #[test]
    fn dates_are_read_from_the_ledger_but_not_those_of_rows_that_are_gone() {
        let (a, b, c) = ("2025-06-01_000001_aa", "2025-06-02_000002_bb", "2025-06-02_000003_cc");
        let dated = LedgerEntry { export_date: day("2025-06-04"), sequence: 4, ..entry(LedgerEvent::Dated, a, &[]) };
        let ledger = [entry(LedgerEvent::Taken, a, &["aa"]), entry(LedgerEvent::Taken, b, &["bb"]), dated];
        let of = |folders: &[&str], more: &[LedgerEntry]| {
            Batches::from_parts(&folders.iter().copied().collect(), ledger.iter().chain(more)).by_date()
        };
        let dates = |pairs: &[(&str, &str)]| -> BTreeMap<NaiveDate, String> {
            pairs.iter().map(|(date, batch)| (day(date), (*batch).to_owned())).collect()
        };
        assert_eq!(of(&[a, b], &[]), dates(&[("2025-06-01", a), ("2025-06-02", b), ("2025-06-04", a)]));
        assert_eq!(of(&[a], &[]), dates(&[("2025-06-01", a), ("2025-06-04", a)]), "it was never committed");
        let [newer, retired] = [entry(LedgerEvent::Taken, c, &["cc"]), entry(LedgerEvent::Retired, c, &[])];
        assert_eq!(of(&[a, b, c], std::slice::from_ref(&newer))[&day("2025-06-02")], c);
        assert!(!of(&[a, b], &[newer, retired]).contains_key(&day("2025-06-02")), "what replaced it has left bronze");
        // Taken in once more after its rows had gone: they stand for its new date alone.
        let again = "2025-06-09_000005_aa";
        let more = [entry(LedgerEvent::Retired, a, &[]), entry(LedgerEvent::Taken, again, &["aa"])];
        assert_eq!(of(&[b, again], &more), dates(&[("2025-06-02", b), ("2025-06-09", again)]));
        let unrecorded = Batches::from_parts(&BTreeSet::from([a, b]), std::iter::empty()).by_date();
        assert_eq!(unrecorded, dates(&[("2025-06-01", a), ("2025-06-02", b)]), "a lost ledger");
    }

    #[test]
    fn what_the_ledger_has_counts_if_its_rows_are_there_or_were_retired() {
        let (a, b, c) = ("2025-06-01_000001_aa", "2025-06-02_000002_bb", "2025-06-03_000003_cc");
        let ledger = [
            entry(LedgerEvent::Taken, a, &["aa"]),
            entry(LedgerEvent::Taken, b, &["b1", "b2"]),
            entry(LedgerEvent::Retired, a, &[]),
            entry(LedgerEvent::Taken, c, &["cc"]),
        ];
        let batches = Batches::from_parts(&BTreeSet::from([b]), ledger.iter());
        assert_eq!(current(&batches), "bb");
        assert_eq!(decide(&batches, "2025-06-01", "aa"), Decision::Known, "retired and still known");
        let again = BatchId { export_date: day("2025-06-04"), sequence: 3, hash: "aa".to_owned() };
        assert_eq!(decide(&batches, "2025-06-04", "aa"), Decision::Take(again), "its rows have to be read again");
        assert!(matches!(decide(&batches, "2025-06-03", "cc"), Decision::Take(_)), "a run crashed before its commit");
        assert_eq!(decide(&batches, "2025-06-02", "b1"), Decision::Known, "one part of a known export");
        assert!(matches!(decide(&batches, "2025-06-03", "b1"), Decision::Take(_)), "with a newer date it is an export");
        // Retired in the ledger, but the removal was not committed.
        let batches = Batches::from_parts(&BTreeSet::from([a, b]), ledger.iter());
        assert_eq!(batches.surplus(1).iter().map(|content| content.hash.as_str()).collect::<Vec<_>>(), ["aa"]);
    }

    /// Adds an increment, or says how it is known.
    fn increment(batches: &mut Batches, date: &str, hash: &str) -> Option<Decision> {
        match batches.decide(Mode::Incremental, day(date), hash, [hash].into_iter()) {
            Decision::Take(batch) => {
                batches.add(&batch, Mode::Incremental, Some(1));
                None
            }
            known => Some(known),
        }
    }

    fn counting(batches: &Batches, mode: Mode) -> Vec<&str> {
        batches.counting(mode).into_iter().map(|content| content.hash.as_str()).collect()
    }

    #[test]
    fn increments_count_by_date_and_order_and_each_once() {
        let mut batches = Batches::default();
        for (date, hash) in [("2025-06-03", "cc"), ("2025-06-01", "aa"), ("2025-06-03", "dd"), ("2025-06-02", "bb")] {
            assert_eq!(increment(&mut batches, date, hash), None);
        }
        assert_eq!(counting(&batches, Mode::Incremental), ["aa", "bb", "cc", "dd"]);
        assert_eq!(increment(&mut batches, "2025-06-01", "aa"), Some(Decision::Known));
        let Some(Decision::Dated(again)) = increment(&mut batches, "2025-06-09", "bb") else { panic!("it is known") };
        assert_eq!(
            (again.dated.0, again.place.0),
            (day("2025-06-09"), day("2025-06-02")),
            "it came, and stays where it is"
        );
        batches.set(again);
        assert_eq!(counting(&batches, Mode::Incremental), ["aa", "bb", "cc", "dd"]);
        assert_eq!(counting(&batches, Mode::Snapshot), ["bb"], "of snapshots the newest counts");
    }

    #[test]
    fn increments_build_on_the_last_snapshot() {
        let mut batches = Batches::default();
        for (date, hash) in [("2025-06-01", "aa"), ("2025-06-02", "bb"), ("2025-06-04", "cc")] {
            take(&mut batches, date, hash);
        }
        // bb was the truth again before the source became incremental.
        let Decision::Dated(again) = decide(&batches, "2025-06-05", "bb") else { panic!("it is known") };
        batches.set(again);
        assert_eq!(counting(&batches, Mode::Incremental), ["bb"]);
        for (date, hash) in [("2025-06-05", "dd"), ("2025-06-03", "ee"), ("2025-06-06", "ff")] {
            assert_eq!(increment(&mut batches, date, hash), None);
        }
        assert_eq!(counting(&batches, Mode::Incremental), ["bb", "dd", "ff"], "ee is older than the snapshot");
        let Some(Decision::Dated(again)) = increment(&mut batches, "2025-06-07", "bb") else { panic!("it is known") };
        batches.set(again);
        assert_eq!(counting(&batches, Mode::Incremental), ["bb", "dd", "ff"], "it does not undo what came after it");
        // A night as a snapshot is a new beginning.
        take(&mut batches, "2025-06-08", "ab");
        assert_eq!(counting(&batches, Mode::Incremental), ["ab"]);
    }

    #[test]
    fn the_ledger_keeps_what_exports_were_taken_for() {
        let (a, b, c) = ("2025-06-01_000001_aa", "2025-06-02_000002_bb", "2025-06-03_000003_cc");
        let incremental = |entry| LedgerEntry { mode: Mode::Incremental, ..entry };
        let again =
            LedgerEntry { content_hash: "bb".to_owned(), ..entry(LedgerEvent::Dated, "2025-06-09_000004_bb", &[]) };
        let mut ledger = vec![
            entry(LedgerEvent::Taken, a, &["aa"]),
            incremental(entry(LedgerEvent::Taken, b, &["bb"])),
            incremental(entry(LedgerEvent::Taken, c, &["cc"])),
            incremental(again.clone()),
        ];
        let folders = BTreeSet::from([a, b, c]);
        let batches = Batches::from_parts(&folders, ledger.iter());
        assert_eq!(
            (counting(&batches, Mode::Incremental), batches.mode()),
            (vec!["aa", "bb", "cc"], Mode::Incremental)
        );
        assert_eq!(counting(&batches, Mode::Snapshot), ["bb"]);
        ledger.push(LedgerEntry { sequence: 5, ..again });
        let batches = Batches::from_parts(&folders, ledger.iter());
        assert_eq!((counting(&batches, Mode::Incremental), batches.mode()), (vec!["bb"], Mode::Snapshot));
        // Without a ledger nobody knows what was a snapshot.
        let batches = Batches::from_parts(&folders, std::iter::empty());
        assert_eq!(counting(&batches, Mode::Incremental), ["aa", "bb", "cc"]);
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let mut orders = 0;
        // All ways in which six increments can come: each number in the base of what is left names the next.
        for mut order in 0..720 {
            let mut left = vec!["01", "02", "03", "04", "05", "06"];
            let mut batches = Batches::default();
            while !left.is_empty() {
                let day = left.remove(order % left.len());
                order /= left.len() + 1;
                assert_eq!(increment(&mut batches, &format!("2025-06-{day}"), day), None);
            }
            assert_eq!(counting(&batches, Mode::Incremental), ["01", "02", "03", "04", "05", "06"]);
            orders += 1;
        }
        assert_eq!(orders, 720);
    }

    #[test]
    fn a_lost_ledger_is_made_up_for_by_the_names_of_the_batches() {
        let folders = BTreeSet::from(["2025-06-01_000001_aa", "2025-06-02_000007_bb", "_delta_log"]);
        let batches = Batches::from_parts(&folders, std::iter::empty());
        assert_eq!((current(&batches), batches.last_sequence), ("bb", 7));
        assert_eq!(decide(&batches, "2025-06-02", "bb"), Decision::Known);
    }
}
