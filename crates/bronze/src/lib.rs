//! Drop folder to bronze: what arrived, every field as the text it came as, with where it came from beside it.
//!
//! What happens to a file, in the order of the modules: [`discover`] finds it (`discovery`), or lets it wait
//! (`readiness`). [`hash_export`] and [`read_export`] open it (`opened`), read its decompressed bytes within the limits
//! (`stream`) and know its hash, the latter its encoding and header too (`arrived`). [`ingest()`] decodes it (`text`), sets aside what is no record
//! (`structure`, `blocks`), puts fields under columns (`headers`, `frame`; `workbook` for sheets) and stages them
//! (`row_groups`). [`put_away`] moves or removes it when all is published.

mod arrived;
mod blocks;
pub mod discovery;
pub mod error;
mod frame;
mod headers;
pub mod ingest;
mod name_pattern;
mod opened;
#[cfg(test)]
mod properties;
mod put_away;
mod readiness;
mod row_groups;
mod stream;
mod structure;
mod text;
mod workbook;

pub use arrived::ReadFile;
pub use discovery::{Discovery, FoundExport, FoundFile, NotTaken, discover};
pub use error::{BronzeError, shortened};
pub use headers::{AddedColumn, Drift, RenamedHeader};
pub use ingest::{ExportContent, ExportHash, FileReport, IngestOptions, Ingested, hash_export, ingest, read_export};
pub use opened::Stamp;
pub use put_away::put_away;
