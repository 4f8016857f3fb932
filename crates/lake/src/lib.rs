//! The only user of deltalake and object_store: stages, commits and releases tables.
//!
//! Who owns what on disk:
//!
//! ```text
//! <lake>/<customer>/<layer>/<table>/<run_id>/   staging.rs     files engines write, invisible until committed
//!                                   _delta_log/ commit.rs      the only place that makes them visible
//!                                               published.rs   what is visible, read back
//!                  /_medallion/lock             lock.rs        who writes
//!                             /journal.json     journal.rs     what is being published at this moment
//!                             /ledger.ndjson    ledger.rs      what was ever taken in
//!                             /releases/        release.rs     which versions belong together
//!                             /runs/<run_id>/   runs.rs        reports of runs
//! ```
//!
//! `fleet.rs` keeps what runs of several customers did, in `<lake>/_medallion/fleet/<fleet_id>/`.
//!
//! On object storage the same names are objects: `mirror.rs` keeps local copies of them for as long as a lake is open,
//! `bucket.rs` speaks with the storage, `object_lock.rs` is the lock there, `engine_files.rs` lets engines read what was
//! not fetched yet. `location.rs` says where a lake is.
//!
//! `vacuum.rs` removes what nothing needs, `optimize.rs` merges small files of a batch and writes checkpoints that are
//! due, `fingerprint.rs` tells whether two tables have the same rows.
//! `publish.rs` brings out all tables of a release together, `recovery.rs` finishes what a crash interrupted,
//! `rollback.rs` publishes old contents again. `snapshots.rs` is what a release says of the exports in its histories.
//!
//! `inspection.rs` looks without changing anything, `removal.rs` removes a customer.
//!
//! `place.rs` knows the folders and refuses links, `statistics.rs` turns Parquet footers into Delta statistics,
//! `table_schema.rs` translates schemas. `disk.rs` makes all changes, so that they survive a power loss, `durable.rs`
//! those of deltalake. Each first passes the gate of `gate.rs`, where tests let it fail. `reported.rs` keeps what the disk
//! says to engines.

mod bucket;
mod commit;
mod disk;
mod durable;
mod engine_files;
mod error;
#[cfg(test)]
mod faults;
mod fingerprint;
mod fleet;
mod gate;
mod inspection;
mod journal;
mod ledger;
mod location;
mod lock;
mod mirror;
#[cfg(test)]
mod object_faults;
mod object_lock;
mod optimize;
mod place;
mod publish;
mod published;
mod recovery;
mod release;
mod remembered;
mod removal;
mod reported;
mod rollback;
mod runs;
mod snapshots;
mod staging;
mod statistics;
mod table_schema;
#[cfg(test)]
mod testing;
mod vacuum;

pub use commit::{CommitInfo, CommitMode};
pub use engine_files::engine_files;
pub use error::{LakeError, no_room_hint};
pub use fleet::{FleetFolder, FleetFolderError};
pub use gate::{Gate, OpenGate, Operation};
pub use inspection::{LockState, Oddity, host, writable_above};
pub use ledger::{LedgerEntry, LedgerEvent, LedgerFile};
pub use location::LakeLocation;
pub use lock::{LakeLock, LockHolder};
pub use mirror::{bring, shown};
pub use optimize::{Optimized, OptimizedTable};
pub use place::Lake;
pub use publish::{Publication, PublishedChange};
pub use published::PublishedTable;
pub use recovery::Recovery;
pub use release::{Release, ReleasedBatch, ReleasedTable, TableHashes};
pub use remembered::{Confirmation, Remembered};
pub use reported::{Report, ReportedFile};
pub use snapshots::Snapshots;
pub use staging::StagedTable;
pub use table_schema::{RetypedColumn, SchemaChange, schema_changes};
pub use vacuum::{KEEP_RELEASES, Removed, VacuumOptions, Vacuumed, VacuumedTable};
