//! Row counts against what is expected.

use indexmap::IndexMap;
use medallion_pipeline::{TableName, nearest};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::reading::PublishedTables;

/// A file of expected counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCounts {
    /// By table.
    pub counts: IndexMap<String, Expected>,
}

/// How many rows a table is expected to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    #[serde(default, deserialize_with = "side")]
    pub min: Option<u64>,
    /// At most.
    #[serde(default, deserialize_with = "side")]
    pub max: Option<u64>,
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectedVisitor)
    }
}

struct ExpectedVisitor;

impl<'de> Visitor<'de> for ExpectedVisitor {
    type Value = Expected;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number of rows such as 3057, or { min = 1, max = 9 } with one or both of min and max")
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Expected, E> {
        Ok(Expected::Exactly(count))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Expected, E> {
        u64::try_from(count).map(Expected::Exactly).map_err(|_| count_error(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expected, A::Error> {
        let range = Range::deserialize(MapAccessDeserializer::new(map))?;
        match range {
            Range { min: None, max: None } => Err(Error::custom("a range without min and max: expected at least one")),
            Range { min: Some(min), max: Some(max) } if min > max => {
                Err(Error::custom(format!("min = {min} is more than max = {max}, so no number of rows is expected")))
            }
            range => Ok(Expected::Between(range)),
        }
    }
}

fn count_error<E: Error>(count: i64) -> E {
    E::custom(format!("{count} is not a number of rows: expected 0 or more"))
}

fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let count = i64::deserialize(deserializer)?;
    u64::try_from(count).map(Some).map_err(|_| count_error(count))
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
    /// Its rows; `None` if it is not published. For bronze those of the current batch, or of all increments.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(value: &str) -> Result<Expected, String> {
        let text = format!("[counts]\n\"gold.dim_user\" = {value}\n");
        let read = medallion_pipeline::parse_toml::<ExpectedCounts>("counts.toml", &text);
        read.map(|expected| expected.counts["gold.dim_user"]).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_and_ranges_are_read() {
        assert_eq!(read("0"), Ok(Expected::Exactly(0)));
        for (value, min, max) in
            [("{min=1,max=1}", Some(1), Some(1)), ("{min=2}", Some(2), None), ("{max=0}", None, Some(0))]
        {
            assert_eq!(read(value), Ok(Expected::Between(Range { min, max })), "{value}");
        }
    }

    #[test]
    fn what_is_no_count_is_named_with_its_place() {
        for (value, column, part) in [
            ("{mn=1}", 20, "expected `min` or `max`"),
            ("{min=1,max=0}", 19, "min = 1 is more than max = 0"),
            ("{}", 19, "at least one"),
            ("{min=-1}", 24, "-1 is not a number of rows"),
            ("-1", 19, "-1 is not a number of rows"),
            ("\"a\"", 19, "expected a number of rows such as 3057, or { min = 1, max = 9 }"),
            ("1.5", 19, "expected a number of rows"),
        ] {
            let error = read(value).unwrap_err();
            assert!(error.starts_with(&format!("counts.toml:2:{column}: ")), "{value}: {error}");
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
