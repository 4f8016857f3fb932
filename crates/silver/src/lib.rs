//! Bronze to silver: typed, cleansed, one row per thing, hierarchies closed.
//!
//! [`cleanse`] is the rules engine, [`upsert`] puts increments together, [`closure`] the transitive closure, [`hierarchy`]
//! puts the closure between tables. [`versions`] keeps what a table was like from export to export.

pub mod cleanse;
pub mod closure;
mod column;
mod counts;
pub mod error;
mod exclusion;
mod expression;
pub mod hierarchy;
mod parquet_file;
pub mod rejects;
pub mod upsert;
pub mod versions;

pub use cleanse::{CleanseReport, CleanseTask, Sums};
pub use counts::{Effect, RuleCount, RuleFinding};
pub use error::SilverError;
pub use hierarchy::{HierarchyReport, HierarchyTask, stage_findings};
pub use upsert::{BatchUpserts, Increment, UpsertReport, UpsertSums, UpsertTask, Upserts};
pub use versions::{Guard, Snapshot, VersionsReport, VersionsTask};
