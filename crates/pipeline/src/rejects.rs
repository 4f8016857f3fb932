//! Rows that were set aside, and the table that keeps them.

use crate::schema::{Column, ColumnType, Layer, TableName, TableSchema};

/// The most text of a rejected row that is kept, in bytes.
pub const MAX_RAW: usize = 64 << 10;

/// The rules under which records are set aside while files are parsed. The rows of all other rules were set aside in
/// silver.
pub const PARSE_RULES: [&str; 6] =
    ["field_count", "open_quote", "stray_quote", "stray_carriage_return", "nul_byte", "encoding"];

/// A row, or a record of a file, that did not make it into the next layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The batch it came with.
    pub batch_id: String,
    /// The source.
    pub source: String,
    /// The file's name.
    pub file: String,
    /// The record's number in the file; 1 is the first after the header.
    pub row: i64,
    /// The column that was at fault, where it was one.
    pub column: Option<String>,
    /// The rule that set it aside.
    pub rule: String,
    /// Why, as a sentence.
    pub reason: String,
    /// The record as it arrived, at most [`MAX_RAW`] bytes.
    pub raw: String,
}

impl Reject {
    /// Cuts a record's text to what is kept of it.
    #[must_use]
    pub fn raw_of(text: &str) -> String {
        let mut end = text.len().min(MAX_RAW);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    }
}

/// The table of rejected rows.
#[must_use]
pub fn table() -> TableName {
    TableName::new(Layer::Bronze, "rejected_rows")
}

/// What the table of rejected rows looks like.
#[must_use]
pub fn schema() -> TableSchema {
    let text = |name, description| Column::new(name, ColumnType::Text, description);
    TableSchema {
        name: table(),
        description: "One row per record that was set aside, with the rule and the reason".to_owned(),
        columns: vec![
            text("run_id", "The run that set it aside"),
            text("batch_id", "The batch it came with"),
            text("source", "The source it belongs to"),
            text("file", "Name of the file it came in"),
            Column::new("row", ColumnType::Long, "Number of the record in its file; 1 is the first after the header"),
            text("column", "The column at fault; NULL where the whole record is"),
            text("rule", "The rule that set it aside"),
            text("reason", "Why, as a sentence"),
            text("raw", "The record as it arrived, at most 64 KiB of it"),
        ],
        partition_columns: Vec::new(),
    }
}
