//! What can go wrong between the drop folder and bronze.

use std::path::PathBuf;

use medallion_lake::LakeError;

/// A drop folder, file or source that cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum BronzeError {
    /// The drop folder cannot be listed.
    #[error("the drop folder {} cannot be read: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be read or decompressed.
    #[error("source {source_name}: the file {} cannot be read: {source}", path.display())]
    File {
        /// The source the file belongs to.
        source_name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file name matches the patterns of two sources.
    #[error("the file {file} is claimed by the sources {first} and {second}; make their patterns tell it apart")]
    ClaimedTwice {
        /// The file.
        file: String,
        /// A source whose pattern matches.
        first: String,
        /// Another one.
        second: String,
    },
    /// A file without any record, not even a header.
    #[error("source {source_name}: the file {file} is empty; expected at least a header line")]
    Empty {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
    },
    /// A header line whose quotation marks do not match.
    #[error("source {source_name}: the header of the file {file} has quotation marks that do not match")]
    Header {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
    },
    /// A column that must be there is not.
    #[error("source {source_name}: the file {file} has no column '{header}'; its columns are {}", found.join(", "))]
    MissingColumn {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// The header looked for.
        header: String,
        /// The header that looks most like it.
        nearest: Option<String>,
        /// The headers in the file.
        found: Vec<String>,
    },
    /// A file beyond a limit.
    #[error("source {source_name}: the file {file} exceeds the limit of {limit}")]
    Limit {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// The limit with its unit.
        limit: String,
    },
    /// A workbook that cannot be read.
    #[error("source {source_name}: the workbook {file} cannot be read: {message}")]
    Workbook {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// The CSV engine refuses what the structural pass found sound.
    #[error("source {source_name}: the file {file} cannot be parsed: {source}")]
    Parse {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// What the engine says.
        source: polars::error::PolarsError,
    },
    /// The CSV engine and the structural pass disagree about the number of records.
    #[error(
        "source {source_name}: {file} has {expected} sound records but {found} rows were written; nothing of it is kept"
    )]
    Conservation {
        /// The source.
        source_name: String,
        /// The file or files.
        file: String,
        /// Records counted.
        expected: u64,
        /// Rows written.
        found: u64,
    },
    /// The lake cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl BronzeError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder { .. } => Some("check the path, and that this user may read it".to_owned()),
            Self::MissingColumn { nearest: Some(nearest), .. } => Some(format!(
                "'{nearest}' looks most like it; if it was renamed, add it to the column's aliases in the source's definition"
            )),
            Self::Empty { .. } => Some(
                "the export was probably cut off; ask for it again or remove the file from the drop folder".to_owned(),
            ),
            Self::Lake(error) => error.hint(),
            _ => None,
        }
    }
}
