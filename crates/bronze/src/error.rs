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
    /// A header line that cannot be read.
    #[error("source {source_name}: the header of the file {file} has {problem}")]
    Header {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// What it has.
        problem: &'static str,
    },
    /// A file that may still be written: it waits for the next run.
    #[error("source {source_name}: the file {file} is not read now: {why}")]
    Changing {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// What tells.
        why: &'static str,
    },
    /// A manifest that cannot be read.
    #[error("the manifest {} cannot be read: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A header that is no column of a source whose columns are frozen.
    #[error(
        "source {source_name}: the file {file} has the column '{}', which the source does not have",
        shortened(header)
    )]
    NewColumn {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// The header.
        header: String,
        /// The column looked for in vain that looks most like it.
        nearest: Option<String>,
    },
    /// A column that must be there is not.
    #[error("source {source_name}: the file {file} has no column '{header}'; its columns are {}", listed(found))]
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
    #[error("source {source_name}: the file {file} exceeds the limit of {limit}; nothing of it is taken")]
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
    /// Whether the file is only not complete yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Changing { .. })
    }

    /// The file it is about, where it is about one.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        match self {
            Self::File { path, .. } => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            Self::Empty { file, .. }
            | Self::Header { file, .. }
            | Self::Changing { file, .. }
            | Self::NewColumn { file, .. }
            | Self::MissingColumn { file, .. }
            | Self::Limit { file, .. }
            | Self::Workbook { file, .. }
            | Self::Parse { file, .. }
            | Self::Conservation { file, .. } => Some(file.clone()),
            Self::Folder { .. } | Self::Manifest { .. } | Self::ClaimedTwice { .. } | Self::Lake(_) => None,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder { .. } => Some("check the path, and that this user may read it".to_owned()),
            Self::MissingColumn { found, .. } if found.len() == 1 => Some(
                "the header was read as a single column: fields have to be separated by comma, semicolon or tab"
                    .to_owned(),
            ),
            Self::MissingColumn { nearest: Some(nearest), .. } => Some(format!(
                "'{}' looks most like it; if it was renamed, add it to the column's aliases in the source's definition",
                shortened(nearest)
            )),
            Self::Empty { .. } => Some(
                "the export was probably cut off; ask for it again or remove the file from the drop folder".to_owned(),
            ),
            Self::Header { problem, .. } if problem.contains("NUL") => Some(
                "if it is UTF-16 without a byte-order mark, set encoding = \"utf-16le\" for the source; otherwise it is no \
                 text"
                    .to_owned(),
            ),
            Self::NewColumn { header, nearest, .. } => Some(match nearest {
                Some(nearest) => {
                    format!("if '{}' is the renamed '{nearest}', add it to that column's aliases", shortened(header))
                }
                None => "new columns are refused because of columns = \"freeze\": declare it, or use \"evolve\" or \
                         \"rescue\""
                    .to_owned(),
            }),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("let the user that runs medallion read the file".to_owned())
            }
            Self::Header { problem, .. } if problem.contains("quotation") => {
                Some("the export was probably cut off; ask for it again or remove it from the drop folder".to_owned())
            }
            Self::Workbook { .. } => {
                Some("open it in a spreadsheet program and save it again, or ask for it again".to_owned())
            }
            Self::File { .. } | Self::Header { .. } => {
                Some("ask for the file again, or remove it from the drop folder".to_owned())
            }
            Self::Manifest { .. } => Some("it has to be a text of UTF-8 with a file's name on each line".to_owned()),
            Self::Limit { limit, .. } if limit.contains("header line") => {
                Some("its first line is no header; ask for the export again or remove it".to_owned())
            }
            Self::Limit { .. } => {
                Some("if the file is as it should be, raise the limit in [limits] of the customer's file".to_owned())
            }
            Self::Lake(error) => error.hint(),
            _ => None,
        }
    }
}

/// The most characters of a header in a message, and the most headers.
const SHOWN: usize = 60;

/// A header as messages show it: a file can have headers of any length.
#[must_use]
pub fn shortened(header: &str) -> String {
    match header.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &header[..end]),
        None => header.to_owned(),
    }
}

fn listed(headers: &[String]) -> String {
    let mut shown: Vec<String> = headers.iter().take(SHOWN).map(|header| shortened(header)).collect();
    if headers.len() > SHOWN {
        shown.push(format!("and {} more", headers.len() - SHOWN));
    }
    shown.join(", ")
}
