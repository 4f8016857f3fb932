//! `case.toml` of the catalogue: what arrives night by night, and what has to come of it. `fixtures/README.md` has the
//! form.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::project::fixture;

/// A case.
pub(super) struct Case {
    /// Its folder's name.
    pub(super) name: String,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// What `case.toml` says.
    pub(super) file: CaseFile,
}

impl Case {
    /// Reads the case of that name.
    pub(super) fn read(name: &str) -> Self {
        let folder = fixture("arrivals").join(name);
        let text = fs::read_to_string(folder.join("case.toml")).unwrap();
        let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
        Self { name: name.to_owned(), folder, file }
    }

    /// The folder with what arrives in a night, counted from 1.
    pub(super) fn delivery(&self, night: usize) -> PathBuf {
        self.folder.join(if self.file.night.len() == 1 { "in".to_owned() } else { format!("night-{night}") })
    }
}

/// `case.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// What the case shows.
    pub(super) description: String,
    /// The sentences of `docs/arrivals.md` it covers, word for word up to line breaks.
    pub(super) rules: Vec<String>,
    /// The kind of case.
    pub(super) kind: Kind,
    /// Further lines of the customer's file.
    #[serde(default)]
    pub(super) customer: String,
    /// What `gold = "plain"` compares with.
    #[serde(default)]
    pub(super) plain: Plain,
    /// What arrives and has to come of it.
    pub(super) night: Vec<Night>,
}

/// A kind of case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Makes no difference.
    Harmless,
    /// Odd, and kept whole.
    Odd,
    /// Some records are set aside.
    Damaged,
    /// A file is refused, or nobody's.
    Refused,
    /// A file is not read yet.
    Waiting,
    /// A guard trips, or does not.
    Guard,
}

/// The plain export that a case is compared with, where it is not that of `star`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    /// Files of `star` that it lacks; the folder `plain` is laid over the others.
    #[serde(default)]
    pub(super) remove: Vec<String>,
}

/// One run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Night {
    /// Patterns of files that leave the drop folder before the night's arrive.
    #[serde(default)]
    pub(super) remove: Vec<String>,
    /// When files were last written, `now` or RFC 3339, where it is not the night's moment.
    #[serde(default)]
    pub(super) modified: BTreeMap<String, String>,
    /// What cannot stand in a repository.
    #[serde(default)]
    pub(super) special: Vec<Special>,
    /// The run's date.
    #[serde(default = "as_of")]
    pub(super) as_of: String,
    /// Further arguments of `run`.
    #[serde(default)]
    pub(super) arguments: Vec<String>,
    /// The exit code.
    #[serde(default)]
    pub(super) exit: i32,
    /// What standard error says.
    #[serde(default)]
    pub(super) message_contains: Vec<String>,
    /// What standard error does not say.
    #[serde(default)]
    pub(super) message_lacks: Vec<String>,
    /// What silver and gold are.
    pub(super) gold: Option<Gold>,
    /// Files that wait: all of them. Without it there are none, or the run fails and it does not matter.
    pub(super) waiting: Option<Vec<SetAside>>,
    /// Files that are refused, likewise.
    pub(super) refused: Option<Vec<SetAside>>,
    /// Files that no source claims, likewise.
    pub(super) unclaimed: Option<Vec<String>>,
    /// What stands in the drop folder afterwards, all of it.
    pub(super) standing: Option<Vec<String>>,
    /// A pattern for each file in the folder `archive` afterwards.
    pub(super) archived: Option<Vec<String>>,
    /// What bronze is. A source that is not named has no rejects and no drift.
    #[serde(default)]
    pub(super) sources: BTreeMap<String, Source>,
}

fn as_of() -> String {
    "2025-06-30".to_owned()
}

/// Something in the drop folder that the driver makes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Special {
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: SpecialKind,
    /// Where a link leads.
    pub(super) to: Option<String>,
}

/// What is no regular file.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpecialKind {
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
}

/// What silver and gold are after a night.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gold {
    /// Those of `star`.
    Same,
    /// Those of the case's plain export.
    Plain,
    /// Those of the night before.
    AsBefore,
    /// Those of `star` but for these tables, which differ.
    SameExcept(Vec<String>),
}

/// A file that waits or is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetAside {
    /// The source that claims it.
    pub(super) source: String,
    /// Its name.
    pub(super) file: String,
    /// A part of the reason.
    pub(super) reason_contains: String,
}

/// A source after a night. What is not given as a list is not looked at; lists are complete.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// The table's status in the results.
    pub(super) status: Option<String>,
    /// Batches that were taken in.
    pub(super) batches: Option<usize>,
    /// Records of the files that were read.
    pub(super) records: Option<u64>,
    /// Rows of the current batch.
    pub(super) rows: Option<u64>,
    /// Rows of all batches.
    pub(super) all_rows: Option<usize>,
    /// The encoding of each file that was read.
    pub(super) encoding: Option<String>,
    /// Records set aside.
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
    /// Headers that became new columns, with these.
    #[serde(default)]
    pub(super) added_columns: Vec<(String, String)>,
    /// Headers kept in `_rescued_data`.
    #[serde(default)]
    pub(super) rescued_columns: Vec<String>,
    /// Optional columns that are not there.
    #[serde(default)]
    pub(super) missing_columns: Vec<String>,
    /// The headers as they were found, by the expected ones.
    #[serde(default)]
    pub(super) renamed_headers: BTreeMap<String, String>,
    /// Whether the columns are in another order.
    #[serde(default)]
    pub(super) reordered: bool,
    /// Records with a line inside that looks like a record.
    #[serde(default)]
    pub(super) suspicious_records: Vec<u64>,
    /// Cells of the bronze table.
    #[serde(default)]
    pub(super) cells: Vec<Cell>,
}

/// A record that was set aside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rejected {
    /// Its number in its file.
    pub(super) row: u64,
    /// The rule.
    pub(super) rule: String,
    /// A part of the reason, which names the line.
    pub(super) reason_contains: String,
    /// A part of its text.
    pub(super) raw_contains: String,
}

/// A cell of the bronze table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    /// `_source_row`.
    pub(super) row: u64,
    /// The file; without it the row was taken in this night.
    pub(super) file: Option<String>,
    /// The column; the texts of `_rescued_data` are compared as JSON.
    pub(super) column: String,
    /// Its text; without it NULL.
    pub(super) text: Option<String>,
}
