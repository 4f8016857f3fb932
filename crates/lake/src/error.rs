//! What can go wrong with a lake, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use deltalake::DeltaTableError;
use medallion_pipeline::TableName;
use parquet::errors::ParquetError;

use crate::bucket::BucketError;
use crate::lock::LockHolder;
use crate::mirror::shown;
use crate::object_lock::LockLost;

/// A lake that cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The lake is on storage this build does not know.
    #[error(
        "the lake '{location}' cannot be opened: '{scheme}' is no storage that is known, expected a path or a URL with \
         s3, gs, az, abfs or file"
    )]
    UnknownScheme {
        /// The location without credentials.
        location: String,
        /// Its scheme.
        scheme: String,
    },
    /// The lake is on object storage that cannot be spoken with as things are.
    #[error("the lake '{location}' cannot be opened: {problem}")]
    Storage {
        /// The location without credentials.
        location: String,
        /// What stands in the way.
        problem: String,
    },
    /// The location is not a path and not a URL of one.
    #[error("the lake '{location}' cannot be opened: expected the path of a folder or a file:// URL of one")]
    InvalidLocation {
        /// The location as given.
        location: String,
    },
    /// The customer id cannot be the name of a folder.
    #[error("'{customer}' is not a customer id: expected [a-z0-9][a-z0-9_-]{{0,62}}")]
    InvalidCustomer {
        /// The id as given.
        customer: String,
    },
    /// The run or batch id cannot be the name of a folder.
    #[error("customer '{customer}': '{run_id}' is not a run id: expected [A-Za-z0-9][A-Za-z0-9._-]{{0,127}}")]
    InvalidRun {
        /// The customer.
        customer: String,
        /// The id as given.
        run_id: String,
    },
    /// The file name cannot be used in a run's folder.
    #[error("customer '{customer}': '{name}' is not a file name for the folder of run '{run_id}'")]
    InvalidFileName {
        /// The customer.
        customer: String,
        /// The run.
        run_id: String,
        /// The name as given.
        name: String,
    },
    /// The table name cannot be the name of a folder.
    #[error("customer '{customer}': '{table}' is not a table name")]
    InvalidTable {
        /// The customer.
        customer: String,
        /// The name as given.
        table: TableName,
    },
    /// Nothing has been published for the customer.
    #[error("customer '{customer}' has no tables in this lake: {} does not exist", shown(path))]
    NoCustomer {
        /// The customer.
        customer: String,
        /// Where its folder would be.
        path: PathBuf,
    },
    /// A link could lead out of the customer's folder.
    #[error("customer '{customer}': {} is a symbolic link, and a lake must not contain any", shown(path))]
    Linked {
        /// The customer.
        customer: String,
        /// The link.
        path: PathBuf,
    },
    /// Another run writes to the customer.
    #[error("customer '{customer}' is held by {}; its lock is {}", holder_text(holder.as_deref()), shown(path))]
    Held {
        /// The customer.
        customer: String,
        /// The lock file.
        path: PathBuf,
        /// Who holds it, unless it is being written at this moment.
        holder: Option<Box<LockHolder>>,
    },
    /// A file or folder of the lake cannot be read or written.
    #[error("customer '{customer}': cannot {action} {}: {source}", shown(path))]
    Io {
        /// The customer.
        customer: String,
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A staged file is not readable as Parquet.
    #[error("customer '{customer}', table {table}: {} is not a readable Parquet file: {source}", shown(path))]
    Footer {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParquetError,
    },
    /// A staged file does not have the table's columns.
    #[error("customer '{customer}', table {table}: {} has not the table's columns: {differences}", shown(path))]
    Columns {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// How it differs.
        differences: String,
    },
    /// A staged file is not below one `column=value` folder per partition column.
    #[error(
        "customer '{customer}', table {table}: {} is not below one column=value folder for each partition column \
         ({expected})",
        shown(path)
    )]
    PartitionPath {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
        /// The table's partition columns.
        expected: String,
    },
    /// A staging area that is not below its table's folder.
    #[error("customer '{customer}', table {table}: the staging area {area} is not in the folder of the table")]
    ForeignArea {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The staging area.
        area: String,
    },
    /// Rows cannot be added because the table's existing columns would change.
    #[error("customer '{customer}', table {table}: rows cannot be appended because {difference}")]
    AppendChangesColumns {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// What would change.
        difference: String,
    },
    /// The Delta log cannot be read or written.
    #[error("customer '{customer}', table {table}: cannot {action} {}: {source}", shown(path))]
    Delta {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The table's folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What deltalake said.
        source: Box<DeltaTableError>,
    },
    /// There is no such version of a table.
    #[error("customer '{customer}', table {table}: there is no version {version} in {}", shown(path))]
    NoVersion {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The version asked for.
        version: u64,
        /// The table's folder.
        path: PathBuf,
    },
    /// The table contains what this program never writes.
    #[error("customer '{customer}', table {table}: {} was changed by another program: {problem}", shown(path))]
    ChangedOutside {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The table's folder or the file in question.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// A JSON file of the lake does not have the form it should have.
    #[error("customer '{customer}': {} is not readable: {source}", shown(path))]
    Json {
        /// The customer.
        customer: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A release file of a form this build does not know.
    #[error("customer '{customer}': {} has the schema '{found}', expected 'medallion/release/v1'", shown(path))]
    ReleaseSchema {
        /// The customer.
        customer: String,
        /// The file.
        path: PathBuf,
        /// The schema it names.
        found: String,
    },
    /// A line of the ledger is not readable.
    #[error("customer '{customer}': {}, line {line} is not an entry of the ledger: {source}", shown(path))]
    LedgerLine {
        /// The customer.
        customer: String,
        /// The ledger.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line of the ledger of a form this build does not know.
    #[error(
        "customer '{customer}': {}, line {line} has the schema '{found}', expected 'medallion/ledger/v1'",
        shown(path)
    )]
    LedgerSchema {
        /// The customer.
        customer: String,
        /// The ledger.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The schema it names.
        found: String,
    },
    /// A file made of others does not have their rows.
    #[error("customer '{customer}', table {table}: {} has not the rows of the files it was made of", shown(path))]
    MergedRows {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
    },
    /// The release has been published before.
    #[error("customer '{customer}': release {release} exists already as {}", shown(path))]
    ReleaseExists {
        /// The customer.
        customer: String,
        /// The release.
        release: u64,
        /// Its file.
        path: PathBuf,
    },
    /// A publication failed half way; the journal knows how to go on.
    #[error("customer '{customer}': release {release} is begun but not finished: {source}")]
    Unfinished {
        /// The customer.
        customer: String,
        /// The release it was to be.
        release: u64,
        /// What happened.
        source: Box<LakeError>,
    },
    /// An earlier publication has to be finished first.
    #[error("customer '{customer}': an earlier publication is not finished, see {}", shown(path))]
    Pending {
        /// The customer.
        customer: String,
        /// Its journal.
        path: PathBuf,
    },
    /// A journal of a form this build does not know.
    #[error("customer '{customer}': {} has the schema '{found}', expected 'medallion/journal/v1'", shown(path))]
    JournalSchema {
        /// The customer.
        customer: String,
        /// The journal.
        path: PathBuf,
        /// The schema it names.
        found: String,
    },
    /// A publication was interrupted and can neither be finished nor undone.
    #[error("customer '{customer}': the publication in {} was interrupted: {problem}", shown(path))]
    Unrecoverable {
        /// The customer.
        customer: String,
        /// The journal.
        path: PathBuf,
        /// What stands in the way.
        problem: String,
    },
    /// A file of a version is not there any more, or not as it was written.
    #[error("customer '{customer}', table {table}: {} is not there as it was written", shown(path))]
    FileGone {
        /// The customer.
        customer: String,
        /// The table.
        table: TableName,
        /// The file.
        path: PathBuf,
    },
    /// A release whose contents cannot be published again.
    #[error("customer '{customer}': release {release} cannot be brought back, table {table} lacks content: {source}")]
    ReleaseGone {
        /// The customer.
        customer: String,
        /// The release asked for.
        release: u64,
        /// The first table that is not whole.
        table: TableName,
        /// The oldest release that is whole, if any is.
        whole: Option<u64>,
        /// What is missing.
        source: Box<LakeError>,
    },
    /// There is no such release.
    #[error("customer '{customer}' has no release {release}: {} does not exist", shown(path))]
    NoRelease {
        /// The customer.
        customer: String,
        /// The release asked for.
        release: u64,
        /// Where it would be.
        path: PathBuf,
    },
}

impl LakeError {
    /// What to try next, where there is something to try.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownScheme { .. } | Self::InvalidLocation { .. } => "give a local folder, such as --lake ./lake",
            Self::Storage { .. } => {
                "the address is such as s3://bucket/folder, credentials and region come from the environment: \
                 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, or AZURE_... and GOOGLE_..."
            }
            Self::InvalidCustomer { .. } => "use lower case letters, digits, '_' and '-', and no path",
            Self::NoCustomer { .. } => {
                "check --lake and --customer; 'medallion run' publishes a customer's first tables"
            }
            Self::Linked { .. } => "replace the link by the folder it points to, or mount that folder there",
            Self::Held { .. } => "wait for that run to end, or end that process: the lock is then free at once",
            Self::Footer { .. } | Self::Columns { .. } | Self::PartitionPath { .. } => {
                "nothing was published; run again, and report this if it happens twice"
            }
            Self::MergedRows { .. } => "nothing was changed; check the disk for errors, and report this",
            Self::AppendChangesColumns { .. } => "rebuild the table from its inputs with --full-refresh",
            Self::NoVersion { .. } => {
                "its files were vacuumed or never there; 'medallion releases' lists what there is"
            }
            Self::ChangedOutside { .. } => {
                "let only medallion write to the lake; 'medallion run --full-refresh' rebuilds silver and gold tables"
            }
            Self::ReleaseSchema { .. } => "use the build of medallion that wrote the release, or a newer one",
            Self::LedgerLine { .. } => {
                "keep a copy of the file, then restore it from a backup or repair the line: what it said of a batch \
                 also stands in the commit info of that source's bronze table"
            }
            Self::LedgerSchema { .. } => "use the build of medallion that wrote the ledger, or a newer one",
            Self::ReleaseExists { .. } => "another run published meanwhile; run again",
            Self::NoRelease { .. } => "'medallion releases' lists the releases there are",
            Self::JournalSchema { .. } => {
                "use the build of medallion that wrote the journal, or a newer one; readers see the last release"
            }
            Self::Pending { .. } => "'medallion run' finishes or discards it before anything else",
            Self::Unrecoverable { .. } => {
                "readers see the last release. Bring back what is missing from a backup and run again; or give the \
                 publication up: move the journal out of the lake, then 'medallion run --full-refresh'"
            }
            Self::FileGone { .. } => {
                "it was vacuumed or removed; take a newer release, see 'medallion releases', or rebuild the tables with \
                 'medallion run --full-refresh'"
            }
            Self::ReleaseGone { whole: Some(whole), .. } => {
                return Some(format!("the oldest release that is still whole is {whole}"));
            }
            Self::ReleaseGone { whole: None, .. } => "no release is whole; 'medallion run --full-refresh' makes one",
            Self::Unfinished { source, .. } => return Some(unfinished_hint(source)),
            Self::Io { source, .. } => return io_hint(source),
            Self::Delta { source, .. } => return no_room_hint(&source.to_string()),
            Self::InvalidRun { .. }
            | Self::InvalidFileName { .. }
            | Self::InvalidTable { .. }
            | Self::ForeignArea { .. }
            | Self::Json { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// For `map_err` on operations on a file or folder.
    pub(crate) fn io(customer: &str, path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let (customer, path) = (customer.to_owned(), path.to_path_buf());
        move |source| Self::Io { customer, path, action, source }
    }
}

fn io_hint(source: &io::Error) -> Option<String> {
    let inner = source.get_ref();
    if inner.is_some_and(|error| error.is::<LockLost>()) {
        return Some("let that run end; if both were started by the same timer, start one only".to_owned());
    }
    if inner.is_some_and(|error| error.is::<BucketError>()) {
        let hint = "check that the storage can be reached, and that the credentials in the environment may read, write, \
                    list and remove objects there; published tables are as before";
        return Some(hint.to_owned());
    }
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied => "check who owns the lake's folders and which user runs medallion",
        io::ErrorKind::ReadOnlyFilesystem => "the lake's disk is mounted read-only",
        _ => return no_room_hint(&source.to_string()),
    };
    Some(hint.to_owned())
}

/// What to do when the disk has no room, a quota is used up or a file may not be as large, if that is what a message of
/// the operating system says, by itself or in that of a library.
#[must_use]
pub fn no_room_hint(message: &str) -> Option<String> {
    // ENOSPC, EFBIG, EDQUOT: libraries keep no more of them than this.
    let no_room = ["(os error 28)", "(os error 27)", "(os error 122)"].iter().any(|code| message.contains(code));
    no_room.then(|| "free space on the lake's disk and run again; published tables are as before".to_owned())
}

/// Most failures pass; of those that do not, their own hint tells what to do.
fn unfinished_hint(source: &LakeError) -> String {
    match source {
        LakeError::Unrecoverable { .. } => source.hint().unwrap_or_default(),
        _ => {
            let first = source.hint().map(|hint| format!("{hint}. ")).unwrap_or_default();
            format!("{first}Readers see the release before; the next run finishes this one before anything else")
        }
    }
}

fn holder_text(holder: Option<&LockHolder>) -> String {
    let Some(holder) = holder else {
        return "a run that is just starting or ending".to_owned();
    };
    let host = holder.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    format!("run '{}' (process {}{host}, since {})", holder.run_id, holder.pid, holder.since.to_rfc3339())
}
