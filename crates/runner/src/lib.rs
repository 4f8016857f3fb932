//! Plans a customer's run and carries it out.
//!
//! [`run()`] is one night: `bronze` takes in what arrived, `layers` stages silver and gold as their inputs become
//! ready, and everything is committed at the end. [`published_tables`] is what reading commands see. [`fleet`] runs many
//! customers, each in a process of its own; [`watch`] does so when their exports are there.

mod afterwards;
mod arriving;
pub mod audit;
mod batch;
mod bronze;
mod build_key;
mod conservation;
pub mod counts;
pub mod difference;
pub mod doctor;
mod engine;
pub mod error;
pub mod events;
pub mod fleet;
mod guard;
mod history;
mod input;
pub mod interrupt;
mod layers;
mod metrics;
pub mod notification;
mod openlineage;
pub mod plan;
mod progress;
pub mod reading;
pub mod rejected;
mod rejects;
mod released;
mod report;
pub mod results;
pub mod rollback;
pub mod run;
mod schema_guard;
mod scope;
pub mod state;
mod telling;
mod transient;
pub mod watch;
mod web;

pub use audit::{TestResult, TestRun, TestStatus, release_of, run_tests};
pub use counts::{CountCheck, ExpectedCounts, check_counts};
pub use difference::{TableDifference, differences};
pub use doctor::{Check, Examination, Finding, FindingSeverity, SourceLook, look_at_source, overlaps};
pub use error::{Cause, Fault, RunError};
pub use events::{Event, Listener};
pub use interrupt::Interrupt;
pub use medallion_silver::{UpsertSums, Upserts};
pub use notification::Notification;
pub use plan::{Action, PlannedStep, RunPlan, plan};
pub use reading::{PublishedTables, PublishedVersion, published_tables, sql_session};
pub use rejected::{RejectGroup, RejectSample, rejected};
pub use results::{LayerSummary, RunResults, Status, TableResult};
pub use rollback::rolled_back;
pub use run::{RunOptions, run};
pub use scope::modified;
pub use state::{CustomerState, LastRun, Outcome, customer_state};

/// How this program names itself to others.
pub(crate) const PRODUCT: &str = concat!("medallion/", env!("CARGO_PKG_VERSION"));
