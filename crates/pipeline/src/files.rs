//! Parquet files: the only thing one engine hands to another.

use std::collections::BTreeMap;

use url::Url;

use crate::schema::TableSchema;

/// A Parquet file that holds rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Where the file is: an absolute `file://` or object store URL.
    pub location: Url,
    /// The values of the table's partition columns, `None` for NULL; empty in unpartitioned tables.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Rows in the file.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// A table as the files that make it up, staged or published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// What the table looks like; partition columns included.
    pub schema: TableSchema,
    /// Its files; none for an empty table.
    pub files: Vec<DataFile>,
}

impl TableFiles {
    /// Rows in all files together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}
