//! The only user of deltalake and object_store: stages, commits and releases tables.
//!
//! Who owns what on disk:
//!
//! ```text
//! <lake>/<customer>/<layer>/<table>/<run_id>/   staging.rs     files engines write, invisible until committed
//!                                   _delta_log/ commit.rs      the only place that makes them visible
//!                                               published.rs   what is visible, read back
//!                  /_medallion/lock             lock.rs        who writes
//!                             /ledger.ndjson    ledger.rs      what was ever taken in
//!                             /releases/        release.rs     which versions belong together
//!                             /runs/<run_id>/   runs.rs        reports of runs
//! ```
//!
//! `place.rs` knows the folders and refuses links, `statistics.rs` turns Parquet footers into Delta statistics,
//! `table_schema.rs` translates schemas. `disk.rs` makes all changes, so that they survive a power loss, `durable.rs`
//! those of deltalake. Each first passes the gate of `gate.rs`, where tests let it fail.

mod commit;
mod disk;
mod durable;
mod error;
#[cfg(test)]
mod faults;
mod gate;
mod ledger;
mod lock;
mod place;
mod published;
mod release;
mod runs;
mod staging;
mod statistics;
mod table_schema;
#[cfg(test)]
mod testing;

pub use commit::{CommitInfo, CommitMode};
pub use error::LakeError;
pub use gate::{Gate, OpenGate, Operation};
pub use ledger::{LedgerEntry, LedgerEvent, LedgerFile};
pub use lock::{LakeLock, LockHolder};
pub use place::Lake;
pub use published::PublishedTable;
pub use release::{Release, ReleasedBatch, ReleasedTable};
pub use staging::StagedTable;
