//! The only user of datafusion: SQL over a customer's tables.
//!
//! A [`SqlSession`] knows one customer's tables as lists of Parquet files ([`SqlSession::register`]). It turns a
//! query into staged Parquet files ([`SqlSession::stage`]), answers ad-hoc queries as a stream
//! ([`SqlSession::query`]) and plans without running ([`SqlSession::check`]). Nothing but a query is ever run.

pub mod audit;
pub mod error;
pub mod lineage;
pub mod output;
mod plan;
pub mod query;
mod register;
pub mod session;
mod sink;
mod stage;
mod table;
mod types;

pub use audit::{AuditOptions, Finding, Sample};
pub use error::{Position, SqlError, Subject};
pub use lineage::{ColumnLineage, SourceColumn};
pub use output::{OutputError, OutputFormat, write_result};
pub use query::{BatchStream, OutputColumn, QueryResult};
pub use session::{SqlOptions, SqlSession};

#[cfg(test)]
mod tests;
