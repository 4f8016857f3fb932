//! Plans a customer's run and carries it out.
//!
//! [`run()`] is one night: `bronze` takes in what arrived, `layers` stages silver and gold as their inputs become
//! ready, and everything is committed at the end. [`published_tables`] is what reading commands see. [`fleet`] runs many
//! customers, each in a process of its own; [`watch`] does so when their exports are there.

mod arriving;
pub mod audit;
mod batch;
mod bronze;
mod build_key;
mod conservation;
pub mod counts;
pub mod difference;
pub mod error;
pub mod events;
pub mod fleet;
mod guard;
mod history;
mod input;
pub mod interrupt;
mod layers;
pub mod plan;
pub mod reading;
pub mod rejected;
mod rejects;
pub mod results;
pub mod rollback;
pub mod run;
mod schema_guard;
mod telling;
mod transient;
pub mod watch;

pub use audit::{TestResult, TestRun, TestStatus, run_tests};
pub use counts::{CountCheck, ExpectedCounts, check_counts};
pub use difference::{TableDifference, differences};
pub use error::{Cause, Fault, RunError};
pub use events::{Event, Listener};
pub use interrupt::Interrupt;
pub use medallion_silver::{UpsertSums, Upserts};
pub use plan::{Action, PlannedStep, RunPlan, plan};
pub use reading::{PublishedTables, PublishedVersion, published_tables};
pub use rejected::{RejectGroup, RejectSample, rejected};
pub use results::{LayerSummary, RunResults, Status, TableResult};
pub use rollback::rolled_back;
pub use run::{RunOptions, run};
