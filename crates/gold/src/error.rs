//! What can be wrong with a gold table's definition beyond what the pipeline checks.

use medallion_pipeline::TableName;

/// A gold table whose query cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GoldError {
    /// A `missing` or `unknown` value does not fit the column's type.
    #[error("gold/{}.toml: {option} = {value} on the column '{column}' is no {data_type}", table.table)]
    Value {
        /// The table.
        table: TableName,
        /// `missing` or `unknown`.
        option: &'static str,
        /// The column.
        column: String,
        /// The value as written.
        value: String,
        /// The column's type.
        data_type: String,
    },
    /// A column type that has no missing value.
    #[error(
        "gold/{}.toml: the column '{column}' is a {data_type}, for which there is no missing value; \
         set missing = \"null\" or a value", table.table
    )]
    NoMissingValue {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The column's type.
        data_type: String,
    },
    /// The table's definition is not one of gold.
    #[error("{table} is not a gold table")]
    NotGold {
        /// The table.
        table: TableName,
    },
}
