//! Showing results: as a table for people, as CSV or JSON for programs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, WriterBuilder as JsonWriterBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, Table, presets};
use futures::StreamExt;

use crate::error::SqlError;
use crate::query::QueryResult;

/// Rows under one header; columns are as wide as these rows need.
const ROWS_PER_BLOCK: usize = 1_000;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Aligned columns; `NULL` for NULL; control characters escaped; the number of rows at the end.
    Table,
    /// RFC 4180 with a header; NULL is empty; values as they are.
    Csv,
    /// One array of objects.
    Json,
}

/// A result could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The query failed while its rows were fetched.
    #[error(transparent)]
    Query(#[from] SqlError),
    /// A value has a type the format cannot show.
    #[error("the result cannot be shown in this format: {0}; cast the column to text in the query")]
    Format(#[from] ArrowError),
    /// The output does not take more.
    #[error("the result cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes a result as its rows become ready and returns their number.
///
/// # Errors
/// If the query fails, a value cannot be shown in the format, or the output cannot be written.
pub async fn write_result(
    result: QueryResult,
    format: OutputFormat,
    output: &mut (dyn Write + Send),
) -> Result<u64, OutputError> {
    let rows = match format {
        OutputFormat::Table => write_table(result, output).await,
        OutputFormat::Csv => write_csv(result, output).await,
        OutputFormat::Json => write_json(result, output).await,
    }?;
    output.flush()?;
    Ok(rows)
}

async fn write_table(mut result: QueryResult, output: &mut (dyn Write + Send)) -> Result<u64, OutputError> {
    let mut block = new_block(&result.schema);
    let explanation = is_explanation(&result.schema);
    let cell = |text: &str| match explanation {
        true => text.lines().map(printable).collect::<Vec<_>>().join("\n"),
        false => printable(text),
    };
    let (mut total, mut in_block) = (0_u64, 0);
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        let options = FormatOptions::default()
            .with_null("NULL")
            .with_timestamp_format(Some(TIMESTAMP))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
        let columns = batch.columns().iter();
        let cells = columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            if in_block == ROWS_PER_BLOCK {
                writeln!(output, "{block}")?;
                block = new_block(&result.schema);
                in_block = 0;
            }
            let texts = cells.iter().map(|column| column.value(row).try_to_string().map(|text| cell(&text)));
            block.add_row(texts.collect::<Result<Vec<_>, _>>()?);
            in_block += 1;
            total += 1;
        }
    }
    writeln!(output, "{block}")?;
    writeln!(output, "({total} {})", if total == 1 { "row" } else { "rows" })?;
    Ok(total)
}

fn new_block(schema: &SchemaRef) -> Table {
    let mut block = Table::new();
    block.load_style(presets::UTF8_FULL_CONDENSED);
    block.force_no_tty();
    block.set_header(schema.fields().iter().map(|field| Cell::new(printable(field.name()))));
    for (column, field) in block.column_iter_mut().zip(schema.fields()) {
        if field.data_type().is_numeric() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    block
}

/// Whether the result explains a query: its plan is the engine's own text over several lines.
fn is_explanation(schema: &SchemaRef) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

/// The text with everything escaped that could move a terminal's cursor, colour or reading direction.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            hostile if hostile.is_control() || changes_direction(hostile) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(hostile));
            }
            harmless => safe.push(harmless),
        }
    }
    safe
}

fn changes_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

async fn write_csv(mut result: QueryResult, output: &mut (dyn Write + Send)) -> Result<u64, OutputError> {
    let mut total = 0_u64;
    output.write_all(&csv_of(&RecordBatch::new_empty(Arc::clone(&result.schema)), true)?)?;
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        output.write_all(&csv_of(&batch, false)?)?;
        total += batch.num_rows() as u64;
    }
    Ok(total)
}

fn csv_of(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut text = Vec::new();
    let mut writer = CsvWriterBuilder::new().with_header(header).with_timestamp_format(TIMESTAMP.to_owned());
    writer = writer.with_null(String::new());
    writer.build(&mut text).write(&flattened(batch)?)?;
    Ok(text)
}

/// The batch with lists and structures as text, which CSV has no form for.
fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.schema_ref().fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let text: ArrayRef = match field.data_type().is_nested() {
            true => Arc::new(as_text(column)?),
            false => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), text.data_type().clone(), true));
        columns.push(text);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn as_text(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default().with_timestamp_format(Some(TIMESTAMP));
    let formatter = ArrayFormatter::try_new(column, &options)?;
    (0..column.len())
        .map(|row| if column.is_null(row) { Ok(None) } else { formatter.value(row).try_to_string().map(Some) })
        .collect()
}

async fn write_json(mut result: QueryResult, output: &mut (dyn Write + Send)) -> Result<u64, OutputError> {
    let mut total = 0_u64;
    let mut writer = JsonWriterBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIMESTAMP.to_owned())
        .build::<_, JsonArray>(Vec::new());
    while let Some(batch) = result.batches.next().await {
        let batch = batch?;
        writer.write(&batch)?;
        output.write_all(writer.get_ref())?;
        writer.get_mut().clear();
        total += batch.num_rows() as u64;
    }
    writer.finish()?;
    writer.get_mut().push(b'\n');
    output.write_all(writer.get_ref())?;
    Ok(total)
}
