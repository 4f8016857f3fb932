//! What a pipeline is: definitions of sources and tables, customers, the table graph.
//!
//! Reads definitions, nothing else. [`Pipeline::load`] turns the files of a pipeline folder into checked types;
//! `docs/pipeline.md` is the format.

pub mod arrival;
pub mod audit;
mod cleansing;
pub mod columns;
pub mod customer;
pub mod definition;
mod environment;
pub mod error;
pub mod expression;
pub mod files;
mod graph;
pub mod load;
pub mod mode;
pub mod model;
pub mod overrides;
mod places;
pub mod rejects;
pub mod reporting;
pub mod schema;
pub mod selection;
pub mod settings;
mod sql_text;
mod storage;
mod toml_file;
pub mod versions;

pub use arrival::{After, Arrival, Limits, NewColumns, Ready, SourceOverride};
pub use audit::{Check, DataTest, TestSeverity};
pub use customer::{Customer, CustomerId, FiscalYearOptions, Project};
pub use environment::variables;
pub use error::{DefinitionError, nearest, nearest_few};
pub use files::{DataFile, TableFiles};
pub use load::{Pipeline, PipelineFiles, SourceTable, Table, read_folder};
pub use mode::{Deleted, Mode};
pub use model::Model;
pub use overrides::SilverOverrides;
pub use rejects::Reject;
pub use reporting::{Channel, LineageOptions, Notify, Occasion, Reporting};
pub use schema::{Column, ColumnType, Layer, TableName, TableSchema};
pub use selection::{Selection, SelectionError};
pub use settings::{Setting, Written};
pub use toml_file::parse as parse_toml;
