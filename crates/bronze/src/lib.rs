//! Drop folder to bronze: what arrived, every field as the text it came as, with where it came from beside it.
//!
//! [`discover`] finds the files, [`ingest`] turns one export into a staged bronze table.

mod bytes;
pub mod discovery;
pub mod error;
mod headers;
pub mod ingest;
mod structure;
mod workbook;

pub use discovery::{Discovery, FoundExport, FoundFile, discover};
pub use error::BronzeError;
pub use ingest::{ExportContent, FileReport, IngestOptions, Ingested, ingest, read_export};
