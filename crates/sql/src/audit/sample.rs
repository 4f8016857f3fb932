//! Some of a test's failing rows.

use arrow::array::{Array, Int64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::runtime::SpawnedTask;
use futures::StreamExt;

use super::keys::joined;
use crate::error::{SqlError, Subject};
use crate::plan::Planned;
use crate::session::SqlSession;

/// The most rows a sample has.
pub const MAX_SAMPLED: usize = 100;

/// The most characters of a cell that are kept.
const MAX_CELL: usize = 4096;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";

/// Failing rows as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    is_number: bool,
}

impl Sample {
    fn new(planned: &Planned) -> Self {
        let column = |field: &arrow::datatypes::FieldRef| Column {
            name: field.name().clone(),
            is_number: field.data_type().is_numeric() || *field.data_type() == DataType::Boolean,
        };
        Self { columns: planned.plan.schema().fields().iter().map(column).collect(), rows: Vec::new() }
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text of a cell; `None` for NULL.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.rows.get(row)?.get(column)?.as_deref()
    }

    /// CSV with a header, NULL as empty. A text that a spreadsheet would take for a formula gets an apostrophe before it.
    #[must_use]
    pub fn csv(&self) -> String {
        let header = self.columns.iter().map(|column| field(&column.name, false));
        let mut text = header.collect::<Vec<_>>().join(",") + "\n";
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns);
            let cells = cells.map(|(cell, column)| field(cell.as_deref().unwrap_or_default(), column.is_number));
            text.push_str(&cells.collect::<Vec<_>>().join(","));
            text.push('\n');
        }
        text
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), arrow::error::ArrowError> {
        let options = FormatOptions::default()
            .with_timestamp_format(Some(TIMESTAMP))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
        let columns = batch.columns().iter();
        let cells = columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows().min(MAX_SAMPLED - self.rows.len()) {
            let mut texts = Vec::with_capacity(cells.len());
            for (formatter, column) in cells.iter().zip(batch.columns()) {
                let text = if column.is_null(row) { None } else { Some(formatter.value(row).try_to_string()?) };
                texts.push(text.map(|text| text.chars().take(MAX_CELL).collect()));
            }
            self.rows.push(texts);
        }
        Ok(())
    }
}

/// A cell of CSV.
fn field(text: &str, is_number: bool) -> String {
    let runs = !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if runs { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

impl SqlSession {
    /// Counts the rows of a query and keeps the first.
    pub(super) async fn sample(&self, query: &str, subject: Subject) -> Result<(u64, Sample), SqlError> {
        let planned = self.plan(query, subject, false).await?;
        let subject = planned.subject.clone();
        let task = SpawnedTask::spawn(async move {
            let mut batches = planned.start().await?;
            let mut sample = Sample::new(&planned);
            let mut rows = 0_u64;
            while let Some(batch) = batches.next().await {
                let batch = batch.map_err(|error| planned.failed(&error))?;
                rows += batch.num_rows() as u64;
                sample.take(&batch).map_err(|error| planned.failed(&error.into()))?;
            }
            Ok((rows, sample))
        });
        joined(task, subject).await
    }

    /// The rows of a query whose columns are numbers that count something.
    pub(super) async fn numbers(&self, query: &str, subject: Subject) -> Result<Vec<Vec<u64>>, SqlError> {
        let planned = self.plan(query, subject, false).await?;
        let subject = planned.subject.clone();
        let task = SpawnedTask::spawn(async move {
            let mut batches = planned.start().await?;
            let mut rows = Vec::new();
            while let Some(batch) = batches.next().await {
                rows.extend(numbers_of(&batch.map_err(|error| planned.failed(&error))?));
            }
            Ok(rows)
        });
        joined(task, subject).await
    }
}

fn numbers_of(batch: &RecordBatch) -> Vec<Vec<u64>> {
    let columns = batch.columns().iter().map(|column| column.as_any().downcast_ref::<Int64Array>());
    let columns = columns.collect::<Option<Vec<_>>>().unwrap_or_default();
    let number = |column: &Int64Array, row: usize| u64::try_from(column.value(row)).unwrap_or_default();
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| number(column, row)).collect()).collect()
}
