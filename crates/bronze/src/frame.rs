//! The fields of a file under the columns of its bronze table, with the audit columns.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use medallion_pipeline::TableSchema;
use medallion_pipeline::columns::RUN_ID;
use medallion_pipeline::definition::SourceColumn;
use polars::prelude::_csv_read_internal::read_chunk;
use polars::prelude::*;

use crate::blocks::Block;
use crate::headers::Mapping;
use crate::structure::Grammar;
use crate::workbook::Sheet;

const TIMESTAMP: DataType = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));

/// What all rows of a file share.
pub(crate) struct FileFrames<'a> {
    pub source_columns: &'a [SourceColumn],
    /// The bronze table: the source's columns, the audit columns, further ones.
    pub schema: &'a TableSchema,
    pub mapping: &'a Mapping,
    pub file: &'a str,
    pub hash: &'a str,
    pub run_id: &'a str,
    pub now: DateTime<Utc>,
    /// Which of the fields without a header have something in them.
    pub nameless_seen: Vec<AtomicBool>,
}

impl FileFrames<'_> {
    /// The keys in `_rescued_data` of fields without a header that have something in them.
    pub(crate) fn nameless(&self) -> Vec<String> {
        let seen =
            self.mapping.nameless.iter().zip(&self.nameless_seen).filter(|(_, seen)| seen.load(Ordering::Relaxed));
        let key = |place: usize| self.mapping.rescued.iter().find(|(of, _)| *of == place).map(|(_, key)| key.clone());
        seen.filter_map(|(place, _)| key(*place)).collect()
    }

    /// The columns as the engine knows them.
    pub(crate) fn schema(&self) -> Schema {
        let of = |name: &str| match name {
            "_ingestion_timestamp" => TIMESTAMP,
            "_source_row" => DataType::Int64,
            _ => DataType::String,
        };
        self.schema.columns.iter().map(|column| Field::new(column.name.as_str().into(), of(&column.name))).collect()
    }

    /// The records of a workbook's sheet; `None` if there are none.
    pub(crate) fn of_sheet(&self, sheet: &Sheet) -> PolarsResult<Option<DataFrame>> {
        if sheet.records.is_empty() {
            return Ok(None);
        }
        let column = |place: usize| {
            let text = |record: &Vec<Option<String>>| record.get(place).cloned().flatten();
            let texts: Vec<Option<String>> = sheet.records.iter().map(text).collect();
            Column::new(field_name(place), texts)
        };
        let fields = (0..sheet.header.len()).map(column).collect();
        let numbers: Vec<i64> = (1..).take(sheet.records.len()).collect();
        self.assembled(&DataFrame::new(numbers.len(), fields)?, &numbers).map(Some)
    }

    /// Puts the fields under their columns and adds the audit columns.
    fn assembled(&self, fields: &DataFrame, numbers: &[i64]) -> PolarsResult<DataFrame> {
        let rows = numbers.len();
        for (place, seen) in self.mapping.nameless.iter().zip(&self.nameless_seen) {
            let has_something = fields.columns().get(*place).is_some_and(|column| column.null_count() < rows);
            seen.fetch_or(has_something, Ordering::Relaxed);
        }
        let field = |name: &str, place: Option<usize>| match place.and_then(|place| fields.columns().get(place)) {
            Some(column) => column.clone().with_name(name.into()),
            None => Column::full_null(name.into(), rows, &DataType::String),
        };
        let text =
            |name: &str, text: &str| Column::new_scalar(name.into(), Scalar::from(PlSmallStr::from_str(text)), rows);
        let now = AnyValue::DatetimeOwned(
            self.now.timestamp_micros(),
            TimeUnit::Microseconds,
            Some(std::sync::Arc::new(TimeZone::UTC)),
        );
        let mut columns = Vec::with_capacity(self.schema.columns.len());
        for (column, place) in self.source_columns.iter().zip(&self.mapping.columns) {
            columns.push(field(&column.name, *place));
        }
        columns.push(Column::new_scalar("_ingestion_timestamp".into(), Scalar::new(TIMESTAMP, now), rows));
        columns.push(text("_source_file", self.file));
        columns.push(Column::new("_source_row".into(), numbers));
        columns.push(text("_source_hash", self.hash));
        columns.push(text(RUN_ID, self.run_id));
        columns.push(self.rescued(fields, rows)?);
        let further = &self.schema.columns[columns.len()..];
        for (column, place) in further.iter().zip(self.mapping.extra.iter().chain(std::iter::repeat(&None))) {
            columns.push(field(&column.name, *place));
        }
        DataFrame::new(rows, columns)
    }

    /// The fields without a column as a JSON object, NULL where a record has none.
    fn rescued(&self, fields: &DataFrame, rows: usize) -> PolarsResult<Column> {
        const NAME: &str = "_rescued_data";
        if self.mapping.rescued.is_empty() {
            return Ok(Column::full_null(NAME.into(), rows, &DataType::String));
        }
        let mut texts = Vec::with_capacity(self.mapping.rescued.len());
        for (place, key) in &self.mapping.rescued {
            if let Some(column) = fields.columns().get(*place) {
                texts.push((key, column.str()?));
            }
        }
        let objects = (0..rows).map(|row| {
            let pairs = texts.iter().filter_map(|(key, text)| Some(((*key).clone(), text.get(row)?.into())));
            let object: serde_json::Map<String, serde_json::Value> = pairs.collect();
            (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
        });
        Ok(StringChunked::from_iter_options(NAME.into(), objects).into_column())
    }
}

/// Turns blocks of text into frames.
pub(crate) struct Framing<'a> {
    frames: &'a FileFrames<'a>,
    options: CsvParseOptions,
    fields: Schema,
    places: Vec<usize>,
}

impl<'a> Framing<'a> {
    pub(crate) fn new(frames: &'a FileFrames<'a>, grammar: &Grammar) -> Self {
        let options = CsvParseOptions {
            separator: grammar.dialect.delimiter,
            eol_char: grammar.dialect.line_end.byte(),
            missing_is_null: true,
            ..CsvParseOptions::default()
        };
        let fields = (0..grammar.fields).map(|place| Field::new(field_name(place), DataType::String)).collect();
        Self { frames, options, fields, places: (0..grammar.fields).collect() }
    }

    /// The rows of a block; `None` if it has none.
    pub(crate) fn frame(&self, block: &Block) -> PolarsResult<Option<DataFrame>> {
        let rows = block.numbers.len();
        if rows == 0 {
            return Ok(None);
        }
        let (text, all) = (block.text.as_slice(), usize::MAX);
        let fields = read_chunk(
            text,
            &self.options,
            &self.fields,
            false,
            &self.places,
            0,
            rows,
            None,
            all,
            text.len(),
            Some(0),
        )?;
        polars_ensure!(
            fields.height() == rows,
            ComputeError: "{rows} sound records were read as {} rows", fields.height()
        );
        self.frames.assembled(&fields, &block.numbers).map(Some)
    }
}

fn field_name(place: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("field_{place}"))
}
