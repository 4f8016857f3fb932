//! Plans a customer's run and carries it out.
//!
//! [`run()`] is one night: `bronze` takes in what arrived, `layers` stages silver and gold as their inputs become
//! ready, and everything is committed at the end. [`published_tables`] is what reading commands see.

mod arriving;
mod batch;
mod bronze;
pub mod counts;
pub mod error;
pub mod events;
mod guard;
mod layers;
pub mod reading;
mod rejects;
pub mod results;
pub mod run;
mod telling;

pub use counts::{CountCheck, ExpectedCounts, check_counts};
pub use error::{Cause, Fault, RunError};
pub use events::{Event, Listener};
pub use reading::{PublishedTables, PublishedVersion, published_tables};
pub use results::{LayerSummary, RunResults, Status, TableResult};
pub use run::{RunOptions, check, run};
