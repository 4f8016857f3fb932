//! What arrives: the TOML of sources.

use encoding_rs::Encoding;
use serde::Deserialize;

use crate::arrival::{self, NewColumns};
use crate::mode::{Deleted, Mode};

/// The format of a source's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Comma-separated text, also compressed.
    #[default]
    Csv,
    /// A workbook.
    Xlsx,
}

/// `bronze/<source>.toml`: what arrives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "super::tags")]
    pub tags: Vec<String>,
    /// Case-insensitive globs over file names without their ending.
    pub patterns: Vec<String>,
    /// The files' format.
    #[serde(default)]
    pub format: FileFormat,
    /// The workbook's sheet.
    pub sheet: Option<String>,
    /// Whether a customer without it cannot be built.
    #[serde(default)]
    pub required: bool,
    /// The natural key.
    #[serde(default)]
    pub key: Vec<String>,
    /// What becomes of headers that are no columns.
    #[serde(default)]
    pub new_columns: NewColumns,
    /// The encoding of files without a byte-order mark; `None` finds it from their bytes.
    #[serde(default, deserialize_with = "arrival::encoding")]
    pub encoding: Option<&'static Encoding>,
    /// What an export is.
    #[serde(default)]
    pub mode: Mode,
    /// Incremental: which rows delete their key.
    pub deleted: Option<Deleted>,
    /// Snapshots whose rows bronze keeps, at least 1.
    #[serde(default = "default_retain_batches")]
    pub retain_batches: u32,
    /// An export with fewer records than this part of the last published one, 0 to 1, is not published.
    #[serde(default = "default_min_ratio")]
    pub min_ratio: f64,
    /// Records that the last published export must have had for `min_ratio` to hold.
    #[serde(default = "default_min_rows")]
    pub min_rows: u64,
    /// Days, up to the run's date, after which a current export is too old to be published.
    pub max_age_days: Option<u32>,
    /// The columns in order.
    pub columns: Vec<SourceColumn>,
}

fn default_retain_batches() -> u32 {
    7
}

fn default_min_ratio() -> f64 {
    0.7
}

fn default_min_rows() -> u64 {
    100
}

/// A column of a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceColumn {
    /// The column's name in bronze.
    pub name: String,
    /// The header in the file; beside it, any that becomes `name` in snake_case is taken.
    pub header: Option<String>,
    /// Other headers for the same column.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether files may lack it.
    #[serde(default)]
    pub optional: bool,
    /// What it means.
    pub description: String,
}
