//! Data tests: what has to hold for the rows of silver and gold before they are published.
//!
//! They are written as `[[tests]]` in the tables' files, follow from the `[[references]]` of `pipeline.toml`, or are
//! queries in `tests/`.

mod condition;
mod declared;
mod query_test;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::schema::TableName;

pub use condition::Condition;
pub use declared::{ReferenceKeys, TestKeys, TestKind};

pub(crate) use declared::{Reference, declared, from_references};
pub(crate) use query_test::query_tests;

/// What a failing test does to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestSeverity {
    /// It is told, and the run goes on.
    Warn,
    /// Nothing is published.
    #[default]
    Error,
}

/// A test of the rows of one table, or of several.
#[derive(Debug, Clone, PartialEq)]
pub struct DataTest {
    /// The table it belongs to; `None` for a query of `tests/`.
    pub table: Option<TableName>,
    /// Its name, once per table.
    pub name: String,
    /// What it is for, where that is said.
    pub description: Option<String>,
    /// What its failing does.
    pub severity: TestSeverity,
    /// Columns by which a person finds a failing row.
    pub identity: Vec<String>,
    /// What has to hold.
    pub check: Check,
}

impl DataTest {
    /// The name with its table: `gold.dim_user.unique_user_id`, or `tests.<name>` for a query.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.table {
            Some(table) => format!("{table}.{}", self.name),
            None => format!("tests.{}", self.name),
        }
    }

    /// The tables whose rows or numbers of rows it looks at.
    #[must_use]
    pub fn tables(&self) -> Vec<&TableName> {
        let mut tables: Vec<&TableName> = self.table.iter().collect();
        match &self.check {
            Check::Relationships(relationship) => tables.push(&relationship.table),
            Check::RowCount(RowCount { ratio: Some(Ratio { to: RatioTo::Table(other), .. }), .. }) => {
                tables.push(other)
            }
            Check::Query(model) => tables.extend(&model.inputs),
            _ => {}
        }
        tables
    }
}

/// What has to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// No row has a NULL in any of the columns.
    NotNull {
        /// The columns.
        columns: Vec<String>,
    },
    /// No two rows have the same values in all of the columns; a NULL equals a NULL.
    Unique {
        /// The columns.
        columns: Vec<String>,
    },
    /// The column has no other values than these; NULL passes.
    AcceptedValues {
        /// The column.
        column: String,
        /// The values.
        values: Vec<AcceptedValue>,
    },
    /// Each row has its row in another table.
    Relationships(Relationship),
    /// The table has neither too few nor too many rows.
    RowCount(RowCount),
    /// The condition is false for no row; NULL passes.
    Expression(Condition),
    /// The newest value of the column is not too old.
    Freshness {
        /// A date or time column.
        column: String,
        /// Days that it may lie before the run's date.
        max_age_days: u32,
    },
    /// A query that returns what is wrong, if anything is.
    Query(Model),
}

impl Check {
    /// The kind as it is written.
    #[must_use]
    pub fn kind(&self) -> TestKind {
        match self {
            Self::NotNull { .. } => TestKind::NotNull,
            Self::Unique { .. } => TestKind::Unique,
            Self::AcceptedValues { .. } => TestKind::AcceptedValues,
            Self::Relationships(_) => TestKind::Relationships,
            Self::RowCount(_) => TestKind::RowCount,
            Self::Expression(_) => TestKind::Expression,
            Self::Freshness { .. } => TestKind::Freshness,
            Self::Query(_) => TestKind::Query,
        }
    }
}

/// A value that a column may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptedValue {
    /// Of a text column.
    Text(String),
    /// Of a long column.
    Long(i64),
    /// Of a bool column.
    Bool(bool),
    /// Of a date column.
    Date(NaiveDate),
}

/// Each row has its row in another table. A row with a NULL in one of its columns passes.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    /// The columns that lead to the other table.
    pub columns: Vec<String>,
    /// The other table.
    pub table: TableName,
    /// The columns they lead to, in the same order.
    pub table_columns: Vec<String>,
    /// Which rows are looked at; all, if it is not there.
    pub filter: Option<Condition>,
    /// Which rows fail.
    pub mode: RelationshipMode,
}

/// Which rows without their row in the other table fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationshipMode {
    /// All.
    Key,
    /// Those with a date between the first and the last of the other table; 1900-01-01 passes and is neither.
    DateWithin,
    /// Those with another date than those; 1900-01-01 passes.
    DateOutside,
}

/// How many rows a table may have.
#[derive(Debug, Clone, PartialEq)]
pub struct RowCount {
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
    /// In proportion to another number of rows.
    pub ratio: Option<Ratio>,
}

/// Rows of a table in proportion to others.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    /// The other number of rows.
    pub to: RatioTo,
    /// At least so many rows for each of those.
    pub min: Option<f64>,
    /// At most so many rows for each of those.
    pub max: Option<f64>,
}

/// What rows are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RatioTo {
    /// The same table in the last release; passes if it is not there.
    LastRelease,
    /// Another table.
    Table(TableName),
}
