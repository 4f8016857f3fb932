//! From a query to staged files of a table.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::StreamExt;
use medallion_pipeline::{TableName, TableSchema, nearest};
use url::Url;

use crate::error::{SqlError, Subject};
use crate::lineage::{self, ColumnLineage};
use crate::session::SqlSession;
use crate::sink::Sink;
use crate::types::{engine_schema, type_name};

impl SqlSession {
    /// Runs the query of a table and writes its rows as Parquet files into the folder `area`, which exists; with
    /// partition columns into folders `column=value` below it. Columns are matched by name, put into the declared
    /// order and cast to the declared types. Without rows no file is written. Returns the number of rows.
    ///
    /// # Errors
    /// If the text is not one query, does not return the declared columns, or fails while running, and if the files
    /// cannot be written. What was written by then stays in `area`.
    pub async fn stage(&self, query: &str, schema: &TableSchema, area: &Url) -> Result<u64, SqlError> {
        self.stage_traced(query, schema, area).await.map(|(rows, _)| rows)
    }

    /// Like [`SqlSession::stage`], with what the columns are computed from; `None` where that cannot be told.
    ///
    /// # Errors
    /// Like [`SqlSession::stage`].
    pub async fn stage_traced(
        &self,
        query: &str,
        schema: &TableSchema,
        area: &Url,
    ) -> Result<(u64, Option<ColumnLineage>), SqlError> {
        let planned = self.plan(query, Subject::Table(schema.name.clone()), false).await?;
        let conformer = Conformer::new(schema, planned.plan.schema().as_arrow())?;
        let mut batches = planned.start().await?;
        let mut sink = Sink::new(schema, &conformer.schema, area, planned.state.task_ctx(), self.memory_limit)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| planned.failed(&error))?;
            sink.write(conformer.conform(&batch)?).await?;
        }
        Ok((sink.finish().await?, lineage::of(&planned.plan)))
    }

    /// What the columns of a query are computed from, without running it; `None` where that cannot be told.
    ///
    /// # Errors
    /// If the text is not one query over known tables.
    pub async fn lineage(&self, query: &str) -> Result<Option<ColumnLineage>, SqlError> {
        Ok(lineage::of(&self.plan(query, Subject::Query, false).await?.plan))
    }
}

/// Turns the rows of a query into rows of a table.
#[derive(Debug)]
pub(crate) struct Conformer {
    table: TableName,
    /// The declared columns, all nullable.
    schema: SchemaRef,
    /// For each declared column its position in the query's result.
    positions: Vec<usize>,
}

impl Conformer {
    /// Matches the columns of a query with those of a table.
    pub(crate) fn new(schema: &TableSchema, returned: &Schema) -> Result<Self, SqlError> {
        let table = schema.name.clone();
        let declared = engine_schema(schema);
        let names = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<BTreeSet<_>>();
        let (declared_names, returned_names) = (names(&declared), names(returned));
        for (position, field) in returned.fields().iter().enumerate() {
            let column = field.name().clone();
            if !declared_names.contains(&column) {
                let missing = declared_names.difference(&returned_names).map(String::as_str);
                let all = || declared_names.iter().map(String::as_str);
                let nearest = nearest(&column, missing).or_else(|| nearest(&column, all()));
                return Err(SqlError::SurplusColumn { table, column, nearest });
            }
            if returned.fields().iter().take(position).any(|earlier| *earlier.name() == column) {
                return Err(SqlError::DuplicateColumn { table, column });
            }
        }
        let mut positions = Vec::with_capacity(declared.fields().len());
        for field in declared.fields() {
            let column = field.name().clone();
            let Some((position, source)) = returned.column_with_name(&column) else {
                let surplus = returned_names.difference(&declared_names).map(String::as_str);
                return Err(SqlError::MissingColumn { table, nearest: nearest(&column, surplus), column });
            };
            if !can_cast_types(source.data_type(), field.data_type()) {
                let (from, to) = (type_name(source.data_type()), type_name(field.data_type()));
                return Err(SqlError::CastType { table, column, from, to });
            }
            positions.push(position);
        }
        Ok(Self { table, schema: declared, positions })
    }

    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let mut columns = Vec::with_capacity(self.positions.len());
        for (field, position) in self.schema.fields().iter().zip(&self.positions) {
            let from = batch.column(*position);
            columns.push(self.cast(field.name(), from, field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|error| {
            SqlError::Execution { subject: Subject::Table(self.table.clone()), message: error.to_string() }
        })
    }

    fn cast(&self, column: &str, values: &ArrayRef, to: &arrow::datatypes::DataType) -> Result<ArrayRef, SqlError> {
        if values.data_type() == to {
            return Ok(Arc::clone(values));
        }
        let failed = |rows: usize| SqlError::Cast {
            table: self.table.clone(),
            column: column.to_owned(),
            from: type_name(values.data_type()),
            to: type_name(to),
            rows,
        };
        // A safe cast makes NULLs of what does not fit, so that the failures can be counted and the column named.
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = cast_with_options(values, to, &options).map_err(|_| failed(values.len()))?;
        match cast.logical_null_count().saturating_sub(values.logical_null_count()) {
            0 => Ok(cast),
            rows => Err(failed(rows)),
        }
    }
}
