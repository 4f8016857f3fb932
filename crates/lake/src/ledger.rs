//! The ledger: what was ever taken in, one line for each event, for ever.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use medallion_pipeline::Mode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LakeError;
use crate::place::{Lake, MEDALLION_FOLDER};

const LEDGER_FILE: &str = "ledger.ndjson";

/// Something that happened to a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// [`LedgerEntry::SCHEMA`].
    pub schema: String,
    /// What happened.
    pub event: LedgerEvent,
    /// The source, such as `users`.
    pub source: String,
    /// The batch, which is also the folder of its files.
    pub batch_id: String,
    /// What identifies the content of all its files together.
    pub content_hash: String,
    /// What its source's exports were at that time. Entries of earlier builds are of snapshots.
    #[serde(default)]
    pub mode: Mode,
    /// The date of the export.
    pub export_date: NaiveDate,
    /// The batch's place in the order of arrival.
    pub sequence: u64,
    /// The records in its files.
    pub records: u64,
    /// How many of them were set aside at parsing.
    pub rejected: u64,
    /// The run in which it happened.
    pub run_id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The files the batch was read from, where it was taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LedgerFile>,
}

impl LedgerEntry {
    /// The schema of the lines this build writes and reads.
    pub const SCHEMA: &str = "medallion/ledger/v1";
}

/// What can happen to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerEvent {
    /// Its rows were taken in.
    Taken,
    /// Its content, known already, came again with a newer date.
    Dated,
    /// Its rows were taken out of bronze.
    Retired,
}

/// A file that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerFile {
    /// Its name in the drop folder.
    pub name: String,
    /// BLAKE3 of its bytes after decompression.
    pub hash: String,
    /// Its bytes after decompression.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

impl Lake {
    /// All that ever happened to batches, in order; nothing if there is no ledger. A last line without its end is
    /// what a crash left, or is being written at this moment: it does not count. Needs no lock.
    ///
    /// # Errors
    /// If the ledger cannot be read or is a link, or a line is not readable or of another schema.
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>, LakeError> {
        let path = self.ledger_path();
        self.refuse_link(&path)?;
        let content = match self.disk().read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(LakeError::io(self.customer(), &path, "read"))?,
        };
        let lines = content.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        lines.zip(1..).map(|(text, line)| self.ledger_entry(&path, line, text)).collect()
    }

    /// Writes down what happened; afterwards it is on the disk. A crash meanwhile can leave the first of several
    /// entries without the others. Needs the lock: only one may write.
    ///
    /// # Errors
    /// If the ledger cannot be written or is a link; the entries are then not in it.
    pub fn append_to_ledger(&self, entries: &[LedgerEntry]) -> Result<(), LakeError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.make_lasting_folders(&[MEDALLION_FOLDER])?;
        let path = self.ledger_path();
        self.refuse_link(&path)?;
        let mut lines = Vec::new();
        for entry in entries {
            let json = |source| LakeError::Json { customer: self.customer().to_owned(), path: path.clone(), source };
            serde_json::to_writer(&mut lines, entry).map_err(json)?;
            lines.push(b'\n');
        }
        self.disk().append_lines(&path, &lines).map_err(LakeError::io(self.customer(), &path, "append to"))
    }

    fn ledger_path(&self) -> PathBuf {
        self.folder().join(MEDALLION_FOLDER).join(LEDGER_FILE)
    }

    fn ledger_entry(&self, path: &Path, line: u64, text: &[u8]) -> Result<LedgerEntry, LakeError> {
        let (customer, path) = (|| self.customer().to_owned(), || path.to_path_buf());
        let unreadable = |source| LakeError::LedgerLine { customer: customer(), path: path(), line, source };
        let value: Value = serde_json::from_slice(text).map_err(unreadable)?;
        let found = value.get("schema").and_then(Value::as_str).unwrap_or_default();
        if found != LedgerEntry::SCHEMA {
            let found = found.to_owned();
            return Err(LakeError::LedgerSchema { customer: customer(), path: path(), line, found });
        }
        serde_json::from_value(value).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeSet;
    use std::fs;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::testing::{FaultyGate, lake};

    fn entry(sequence: u64, event: LedgerEvent) -> LedgerEntry {
        let file = LedgerFile {
            name: "users_20250630.csv.gz".to_owned(),
            hash: "ab".repeat(32),
            bytes: 1234,
            modified: DateTime::from_timestamp(1_751_328_000, 0).unwrap(),
        };
        LedgerEntry {
            schema: LedgerEntry::SCHEMA.to_owned(),
            event,
            source: "users".to_owned(),
            batch_id: format!("2025-06-30_{sequence:06}_0123456789abcdef"),
            content_hash: "cd".repeat(32),
            mode: Mode::Snapshot,
            export_date: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
            sequence,
            records: 10,
            rejected: 1,
            run_id: "run-1".to_owned(),
            at: DateTime::from_timestamp(1_751_335_200, 0).unwrap(),
            files: if event == LedgerEvent::Taken { vec![file] } else { vec![] },
        }
    }

    fn taken(sequence: u64) -> LedgerEntry {
        entry(sequence, LedgerEvent::Taken)
    }

    #[test]
    fn entries_are_added_and_read_back_in_order() {
        let (folder, lake) = lake();
        assert_eq!(lake.ledger().unwrap(), []);
        lake.append_to_ledger(&[]).unwrap();
        assert!(!folder.path().join("acme/_medallion/ledger.ndjson").exists());
        lake.append_to_ledger(&[taken(1), entry(1, LedgerEvent::Dated)]).unwrap();
        lake.append_to_ledger(&[entry(1, LedgerEvent::Retired)]).unwrap();
        let expected = [taken(1), entry(1, LedgerEvent::Dated), entry(1, LedgerEvent::Retired)];
        assert_eq!(lake.ledger().unwrap(), expected);
        let reader = Lake::open_existing(folder.path().to_str().unwrap(), "acme").unwrap();
        assert_eq!(reader.ledger().unwrap(), expected);
    }

    #[test]
    fn the_lines_have_the_form_other_programs_rely_on() {
        let (folder, lake) = lake();
        lake.append_to_ledger(&[taken(3), entry(3, LedgerEvent::Retired)]).unwrap();
        let text = fs::read_to_string(folder.path().join("acme/_medallion/ledger.ndjson")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut expected = json!({
            "schema": "medallion/ledger/v1", "event": "taken", "source": "users",
            "batch_id": "2025-06-30_000003_0123456789abcdef", "content_hash": "cd".repeat(32),
            "mode": "snapshot", "export_date": "2025-06-30", "sequence": 3, "records": 10, "rejected": 1, "run_id": "run-1",
            "at": "2025-07-01T02:00:00Z",
            "files": [{
                "name": "users_20250630.csv.gz", "hash": "ab".repeat(32), "bytes": 1234,
                "modified": "2025-07-01T00:00:00Z",
            }],
        });
        assert_eq!(lines[0], expected);
        expected["event"] = json!("retired");
        expected.as_object_mut().unwrap().remove("files");
        assert_eq!(lines[1..], [expected]);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn the_schema_in_the_documentation_names_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/ledger.schema.json");
        let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let line = serde_json::to_value(taken(1)).unwrap();
        assert_eq!(keys(&schema["properties"]), keys(&line));
        assert_eq!(keys(&schema["$defs"]["file"]["properties"]), keys(&line["files"][0]));
        assert_eq!(schema["properties"]["event"]["enum"], json!(["taken", "dated", "retired"]));
    }

    #[test]
    fn what_a_crash_left_of_a_line_is_ignored_and_cut_off() {
        let (folder, lake) = lake();
        let path = folder.path().join("acme/_medallion/ledger.ndjson");
        // Even a line that is whole but for its end: nobody was told that it was written.
        for torn in [&b"{\"schema\""[..], b"\0\0\0", &serde_json::to_vec(&taken(9)).unwrap()] {
            fs::write(&path, torn).unwrap();
            assert_eq!(lake.ledger().unwrap(), []);
            lake.append_to_ledger(&[taken(1)]).unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, [&whole, torn].concat()).unwrap();
            assert_eq!(lake.ledger().unwrap(), [taken(1)]);
            lake.append_to_ledger(&[taken(2)]).unwrap();
            assert_eq!(lake.ledger().unwrap(), [taken(1), taken(2)]);
            assert!(fs::read(&path).unwrap().starts_with(&whole));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn other_lines_that_are_not_readable_are_named() {
        let (folder, lake) = lake();
        let path = folder.path().join("acme/_medallion/ledger.ndjson");
        lake.append_to_ledger(&[taken(1)]).unwrap();
        let whole = fs::read(&path).unwrap();
        for broken in [&b"{\"schema\":\n"[..], b"\n", b"\xff\n", b"{\"schema\":\"medallion/ledger/v1\"}\n"] {
            fs::write(&path, [&whole, broken, &whole].concat()).unwrap();
            let error = lake.ledger().unwrap_err();
            assert!(matches!(error, LakeError::LedgerLine { line: 2, .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("ledger.ndjson, line 2") && text.contains("'acme'"), "{text}");
            assert!(error.hint().unwrap().contains("commit info"), "{text}");
        }
        let newer = String::from_utf8(whole).unwrap().replace("ledger/v1", "ledger/v2");
        fs::write(&path, newer).unwrap();
        let error = lake.ledger().unwrap_err();
        let LakeError::LedgerSchema { line: 1, found, .. } = &error else { panic!("{error}") };
        assert_eq!(found, "medallion/ledger/v2");
    }

    #[cfg(unix)]
    #[test]
    fn a_ledger_that_is_a_link_is_neither_read_nor_written() {
        let (folder, lake) = lake();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("acme/_medallion/ledger.ndjson")).unwrap();
        assert!(matches!(lake.ledger(), Err(LakeError::Linked { .. })));
        assert!(matches!(lake.append_to_ledger(&[taken(1)]), Err(LakeError::Linked { .. })));
        assert_eq!(fs::read(&elsewhere).unwrap(), b"");
    }

    #[test]
    fn an_append_that_fails_leaves_the_ledger_as_it_was() {
        let mut faults = 0;
        for lasting in [false, true] {
            for at in 0.. {
                let (folder, lake) = lake();
                lake.append_to_ledger(&[taken(1)]).unwrap();
                let path = folder.path().join("acme/_medallion/ledger.ndjson");
                fs::write(&path, [&fs::read(&path).unwrap(), &b"torn"[..]].concat()).unwrap();
                let gate = Arc::new(FaultyGate::failing(at, lasting));
                let faulty = Lake::open_behind(folder.path().to_str().unwrap(), "acme", gate.clone()).unwrap();
                let appended = faulty.append_to_ledger(&[taken(2), taken(3)]);
                let found = lake.ledger().unwrap();
                if !gate.has_failed() {
                    appended.unwrap();
                    assert_eq!(found, [taken(1), taken(2), taken(3)]);
                    break;
                }
                faults += 1;
                appended.unwrap_err();
                let expected: &[_] = if lasting { &[taken(1), taken(2), taken(3)] } else { &[taken(1)] };
                // A disk that fails for good does not let the lines be cut off again.
                assert!(found == [taken(1)] || found == expected, "{:?}", gate.operations());
                lake.append_to_ledger(&[taken(4)]).unwrap();
                assert_eq!(lake.ledger().unwrap().last(), Some(&taken(4)));
            }
        }
        // Append, cut off and sync what was torn, sync the lines, sync their folder; each once for a while, once for good.
        assert_eq!(faults, 2 * 5);
    }
}
