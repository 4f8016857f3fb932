//! Row counts against what is expected.

use indexmap::IndexMap;
use medallion_pipeline::{TableName, nearest};
use serde::Deserialize;

use crate::reading::PublishedTables;

/// A file of expected counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCounts {
    /// By table.
    pub counts: IndexMap<String, Expected>,
}

/// How many rows a table is expected to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Expected {
    /// Exactly so many.
    Exactly(u64),
    /// At least and at most so many.
    Between(Range),
}

/// A range of counts; a side left out is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

impl Expected {
    fn holds(self, rows: u64) -> bool {
        match self {
            Self::Exactly(count) => rows == count,
            Self::Between(Range { min, max }) => min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::Between(Range { min, max }) => {
                let side = |side: Option<u64>| side.map(|count| count.to_string()).unwrap_or_default();
                write!(f, "{}..{}", side(*min), side(*max))
            }
        }
    }
}

/// A table's count compared with what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountCheck {
    /// The table as the file names it.
    pub table: String,
    /// What was expected.
    pub expected: Expected,
    /// Its rows; `None` if it is not published. For bronze those of the current batch.
    pub rows: Option<u64>,
    /// Whether the count is as expected.
    pub holds: bool,
    /// The table most like one that is not there.
    pub nearest: Option<String>,
}

/// Compares a customer's tables with expected counts, in the order of the file.
#[must_use]
pub fn check_counts(published: &PublishedTables, expected: &ExpectedCounts) -> Vec<CountCheck> {
    let names: Vec<String> = published.tables.iter().map(|table| table.name.to_string()).collect();
    let check = |(table, expected): (&String, &Expected)| {
        let name = table.parse::<TableName>().ok();
        let rows = published.tables.iter().find(|one| Some(&one.name) == name.as_ref()).map(|one| one.current_rows);
        let nearest = if rows.is_none() { nearest(table, names.iter().map(String::as_str)) } else { None };
        let holds = rows.is_some_and(|rows| expected.holds(rows));
        CountCheck { table: table.clone(), expected: *expected, rows, holds, nearest }
    };
    expected.counts.iter().map(check).collect()
}
