//! What a star schema needs beyond a query: dimension, fact and history builders, unknown members, fiscal years.
//!
//! A builder turns a table's definition and its SQL into one query; the `sql` crate runs it. Nothing here knows what
//! the tables are about.

pub mod build;
pub mod error;
pub mod fiscal_year;
mod literal;

pub use build::{GoldOptions, model_schema, query};
pub use error::GoldError;
pub use fiscal_year::FiscalYears;
