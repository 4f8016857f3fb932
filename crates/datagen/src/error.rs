//! What can go wrong while generating.

use std::io;
use std::path::PathBuf;

use rust_xlsxwriter::XlsxError;
use thiserror::Error;

/// Why a customer could not be generated.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// No profile has this name.
    #[error("there is no profile `{name}`; the profiles are {known}")]
    UnknownProfile {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The scale is not a number greater than zero.
    #[error("the scale must be a number greater than 0, not {scale}; 1 is the profile's own size")]
    InvalidScale {
        /// The scale that was asked for.
        scale: f64,
    },
    /// The scale would need ids beyond the range a site can have.
    #[error("scale {scale} gives the source {source_name} {rows} rows, but {limit} is the most; use a smaller scale")]
    TooManyRows {
        /// The scale that was asked for.
        scale: f64,
        /// The source with too many rows.
        source_name: &'static str,
        /// Rows it would have.
        rows: u64,
        /// Rows it can have.
        limit: u64,
    },
    /// The output folder could not be made.
    #[error("cannot create the folder {}: {source}; check that its parent is writable", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}; check free space and permissions", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The date workbook could not be written.
    #[error("cannot write the workbook {}: {source}; check free space and permissions", path.display())]
    Workbook {
        /// The file.
        path: PathBuf,
        /// What the workbook writer said.
        source: XlsxError,
    },
}
