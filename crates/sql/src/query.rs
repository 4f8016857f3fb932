//! Answering questions, and checking queries without running them.

use std::fmt;
use std::pin::Pin;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};
use medallion_pipeline::TableSchema;

use crate::error::{SqlError, Subject};
use crate::session::SqlSession;
use crate::stage::Conformer;
use crate::types::type_name;

/// The rows of a result as they become ready. Dropping it stops the query.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, SqlError>> + Send>>;

/// A running query.
pub struct QueryResult {
    /// The columns of the result.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: BatchStream,
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryResult").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// A column a query returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// The column's name.
    pub name: String,
    /// The column's type as definitions write it, or the engine's name of a type they do not know.
    pub data_type: String,
}

impl SqlSession {
    /// Runs one query, or explains one. Statements that change anything are refused.
    ///
    /// # Errors
    /// If the text is not one query over the registered tables. Errors of the running query come with the rows.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, SqlError> {
        let planned = self.plan(sql, Subject::Query, true).await?;
        let stream = planned.start().await?;
        let schema = stream.schema();
        let batches = stream.map(move |batch| batch.map_err(|error| planned.failed(&error)));
        Ok(QueryResult { schema, batches: Box::pin(batches) })
    }

    /// The columns a query would return; nothing is run.
    ///
    /// # Errors
    /// If the text is not one query over the registered tables.
    pub async fn check(&self, query: &str) -> Result<Vec<OutputColumn>, SqlError> {
        let planned = self.plan(query, Subject::Query, false).await?;
        let fields = planned.plan.schema().fields().iter();
        Ok(fields
            .map(|field| OutputColumn { name: field.name().clone(), data_type: type_name(field.data_type()) })
            .collect())
    }

    /// Whether a query returns the columns a table declares; nothing is run.
    ///
    /// # Errors
    /// As [`SqlSession::stage`], except for what only the rows can show.
    pub async fn check_table(&self, query: &str, schema: &TableSchema) -> Result<(), SqlError> {
        let planned = self.plan(query, Subject::Table(schema.name.clone()), false).await?;
        Conformer::new(schema, planned.plan.schema().as_arrow()).map(|_| ())
    }
}
