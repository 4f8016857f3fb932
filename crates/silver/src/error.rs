//! What can go wrong between bronze and silver.

use medallion_lake::LakeError;
use medallion_pipeline::{ColumnType, TableName};

use crate::cleanse::Sums;

/// A silver table that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SilverError {
    /// An expression of a rule or `where` is not one this layer can evaluate.
    #[error("silver/{}.toml: {place}: {message}", table.table)]
    Expression {
        /// The table.
        table: TableName,
        /// The rule, or `where`.
        place: String,
        /// What is wrong with the expression.
        message: String,
        /// The column that looks most like an unknown one.
        nearest: Option<String>,
    },
    /// A rule of severity `fail` is broken.
    #[error("table {table}: {rows} rows break the rule '{rule}', whose severity is fail; first at {place}")]
    RuleFailed {
        /// The table.
        table: TableName,
        /// The rule.
        rule: String,
        /// How many rows break it.
        rows: u64,
        /// File and record of the first.
        place: String,
    },
    /// The rows that came in are not the rows that went out plus those that were set aside.
    #[error(
        "table {table}: the sums do not add up: {} rows in, but {} out, {} duplicates, {} rejected, {} further rows, \
         {} of another table and {} excluded; nothing was published",
        sums.rows_in, sums.rows_out, sums.duplicates, sums.rejected, sums.further, sums.filtered, sums.excluded
    )]
    Conservation {
        /// The table.
        table: TableName,
        /// The sums.
        sums: Box<Sums>,
    },
    /// What the increments say is not what the table became.
    #[error(
        "table {table}: the sums of its increments do not add up: {rows_in} rows in, {set_aside} of them set aside, \
         {statements} inserted, updated, unchanged, deleted or deleted without being there; {rows_out} rows out, but \
         {inserted} inserted less {deleted} deleted; nothing was published"
    )]
    Increments {
        /// The table.
        table: TableName,
        /// Rows of all batches.
        rows_in: u64,
        /// Duplicates, rejected and further rows, rows that do not belong to the table.
        set_aside: u64,
        /// Rows that say something of a key.
        statements: u64,
        /// Rows of the table.
        rows_out: u64,
        /// Keys that came.
        inserted: u64,
        /// Keys that went.
        deleted: u64,
    },
    /// A file cannot be read or written by Polars.
    #[error("table {table}: cannot {action}: {source}")]
    Polars {
        /// The table.
        table: TableName,
        /// What was tried.
        action: &'static str,
        /// What Polars says.
        source: polars::error::PolarsError,
    },
    /// A file cannot be opened or created.
    #[error("table {table}: cannot {action} {}: {source}", path.display())]
    File {
        /// The table.
        table: TableName,
        /// What was tried.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A Parquet file cannot be written.
    #[error("table {table}: cannot write {}: {source}", path.display())]
    Parquet {
        /// The table.
        table: TableName,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A hierarchy has more relationships than allowed.
    #[error(
        "table {table}: the hierarchy has more than {limit} relationships (max_relationships); \
         a chain of n has n * (n - 1) / 2"
    )]
    TooManyRelationships {
        /// The table.
        table: TableName,
        /// The limit.
        limit: u64,
    },
    /// A column of a table of versions has another type than its older versions.
    #[error(
        "table {table}: '{column}' is {after} now, but {before} in the versions so far, which cannot be built again"
    )]
    VersionsType {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type so far.
        before: ColumnType,
        /// Its type in the table that is followed.
        after: ColumnType,
    },
    /// The lake cannot be read or written.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl SilverError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Expression { nearest: Some(nearest), .. } => Some(format!("did you mean '{nearest}'?")),
            Self::RuleFailed { .. } => {
                Some("correct the export, or lower the rule's severity to reject or warn".to_owned())
            }
            Self::Conservation { .. } => {
                Some("this is a fault of medallion; report it with the export and the run's results".to_owned())
            }
            Self::TooManyRelationships { .. } => Some(
                "look for a chain that cannot be real in the parent column; if it is, raise max_relationships"
                    .to_owned(),
            ),
            Self::VersionsType { column, .. } => Some(format!(
                "keep the type and add a column of another name for the new one, or leave '{column}' out with without"
            )),
            Self::Lake(error) => error.hint(),
            _ => None,
        }
    }
}
