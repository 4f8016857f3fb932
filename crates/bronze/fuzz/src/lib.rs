//! What has to hold for the structural pass whatever the bytes are. The pass is compared with the rules of
//! `docs/arrivals.md` written down a second time, plainly (`rules`), and with what the `csv-core` crate reads.

mod csv_reader;
mod header;
mod records;
mod rules;
#[allow(dead_code)]
#[path = "../../src/structure/mod.rs"]
mod structure;

pub use header::check_header;
pub use records::check_records;
