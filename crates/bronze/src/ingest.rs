//! One export of one source becomes a staged batch.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_lake::{Lake, LakeError};
use medallion_pipeline::definition::FileFormat;
use medallion_pipeline::{Reject, SourceTable};
use polars::prelude::*;
use serde::Serialize;

use crate::bytes;
use crate::discovery::FoundExport;
use crate::error::BronzeError;
use crate::headers::{self, Mapping};
use crate::structure::Structure;
use crate::workbook;

/// What a run tells its ingest.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The run.
    pub run_id: String,
    /// The moment written to `_ingestion_timestamp`.
    pub now: DateTime<Utc>,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// BLAKE3 of its bytes after decompression.
    pub hash: String,
    /// Its bytes after decompression.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
    /// Its encoding; `None` for workbooks.
    pub encoding: Option<&'static str>,
    /// Its records after the header.
    pub records: u64,
    /// Records set aside while parsing.
    pub rejected: u64,
    /// Headers that belong to no column; their fields are in `_rescued_data`.
    pub rescued_columns: Vec<String>,
}

/// A batch that is staged.
#[derive(Debug)]
pub struct Ingested {
    /// Its id, the name of its folder in the bronze table.
    pub batch_id: String,
    /// The date of the export.
    pub export_date: NaiveDate,
    /// Its files.
    pub files: Vec<FileReport>,
    /// Rows in bronze.
    pub rows: u64,
    /// Records set aside.
    pub rejects: Vec<Reject>,
    /// The staged files.
    pub staged: medallion_lake::StagedTable,
}

/// The content of an export, read once.
pub struct ExportContent {
    /// The date of the export.
    pub export_date: NaiveDate,
    /// What identifies its content, whatever the files are called.
    pub hash: String,
    files: Vec<(crate::FoundFile, bytes::Content)>,
}

/// Reads the files of an export.
///
/// # Errors
/// If a file cannot be read or decompressed.
pub fn read_export(source: &SourceTable, export: &FoundExport) -> Result<ExportContent, BronzeError> {
    let read = |file: &crate::FoundFile| Ok((file.clone(), bytes::read(&source.name.table, file)?));
    let mut files = export.files.iter().map(read).collect::<Result<Vec<_>, BronzeError>>()?;
    // The same content beside itself, such as a file and its compressed copy, is there once.
    let mut seen = HashSet::new();
    files.retain(|(_, content)| seen.insert(content.hash.clone()));
    let mut hasher = blake3::Hasher::new();
    for (_, content) in &files {
        hasher.update(content.hash.as_bytes());
    }
    let hash = hasher.finalize().to_hex()[..16].to_owned();
    Ok(ExportContent { export_date: export.export_date, hash, files })
}

/// Writes an export beside the bronze table, in a folder named `batch_id`.
///
/// # Errors
/// If a file lacks a required column or cannot be parsed, or if the lake cannot be written.
pub fn ingest(
    lake: &Lake,
    source: &SourceTable,
    content: ExportContent,
    batch_id: &str,
    options: &IngestOptions,
) -> Result<Ingested, BronzeError> {
    let area = lake.staging_area(&source.name, batch_id)?;
    let folder = area.to_file_path().map_err(|()| LakeError::InvalidLocation { location: area.to_string() })?;
    let names: Vec<String> = content.files.iter().map(|(file, _)| file.name.clone()).collect();
    let mut rejects = Vec::new();
    let mut reports = Vec::new();
    for (index, (file, content)) in content.files.into_iter().enumerate() {
        let writer = BatchFile {
            source,
            batch_id,
            name: file.name.clone(),
            hash: content.hash.clone(),
            target: folder.join(format!("part-{index:05}.parquet")),
            options,
        };
        let mut report = FileReport {
            name: file.name,
            hash: content.hash,
            bytes: content.arrived,
            modified: file.modified,
            encoding: (source.source.format == FileFormat::Csv).then_some(content.encoding),
            records: 0,
            rejected: 0,
            rescued_columns: Vec::new(),
        };
        match source.source.format {
            FileFormat::Csv => writer.csv(content.bytes, &mut report, &mut rejects)?,
            FileFormat::Xlsx => writer.xlsx(content.bytes, &mut report)?,
        }
        reports.push(report);
    }
    let staged = lake.staged(&source.schema, &area)?;
    let expected: u64 = reports.iter().map(|report| report.records - report.rejected).sum();
    if staged.rows() != expected {
        let (source_name, file) = (source.name.table.clone(), names.join(", "));
        return Err(BronzeError::Conservation { source_name, file, expected, found: staged.rows() });
    }
    let (batch_id, export_date) = (batch_id.to_owned(), content.export_date);
    Ok(Ingested { batch_id, export_date, files: reports, rows: staged.rows(), rejects, staged })
}

/// One file on its way into its batch.
struct BatchFile<'a> {
    source: &'a SourceTable,
    batch_id: &'a str,
    name: String,
    hash: String,
    target: PathBuf,
    options: &'a IngestOptions,
}

/// The number of a record in its file.
const ROW: &str = "_source_row";
/// Fields that have no column, while they are read.
const SURPLUS: &str = "_surplus_";

impl BatchFile<'_> {
    fn csv(&self, bytes: Vec<u8>, report: &mut FileReport, rejects: &mut Vec<Reject>) -> Result<(), BronzeError> {
        let empty = || BronzeError::Empty { source_name: self.source.name.table.clone(), file: self.name.clone() };
        let structure = Structure::of(&bytes).ok_or_else(empty)?;
        if structure.unsound_header {
            let (source_name, file) = (self.source.name.table.clone(), self.name.clone());
            return Err(BronzeError::Header { source_name, file });
        }
        let mapping = headers::map(&self.source.name.table, &self.source.source, &self.name, &structure.header)?;
        report.records = structure.records;
        report.rejected = structure.unsound.len() as u64;
        report.rescued_columns = mapping.surplus.iter().map(|(_, header)| header.clone()).collect();
        rejects.extend(structure.unsound.iter().map(|record| Reject {
            batch_id: self.batch_id.to_owned(),
            source: self.source.name.table.clone(),
            file: self.name.clone(),
            row: i64::try_from(record.number).unwrap_or(i64::MAX),
            column: None,
            rule: record.why.rule().to_owned(),
            reason: record.why.reason(),
            raw: Reject::raw_of(&String::from_utf8_lossy(&bytes[record.bytes.clone()])),
        }));
        let bytes = structure.cleaned(&bytes).unwrap_or(bytes);
        self.parse(bytes, &structure, &mapping).map_err(|source| BronzeError::Parse {
            source_name: self.source.name.table.clone(),
            file: self.name.clone(),
            source,
        })
    }

    fn parse(&self, bytes: Vec<u8>, structure: &Structure, mapping: &Mapping) -> PolarsResult<()> {
        let fields = (0..structure.header.len()).map(|place| Field::new(field_name(place), DataType::String));
        let fields: Schema = fields.collect();
        if structure.sound() == 0 {
            return self.write(DataFrame::empty_with_schema(&fields).lazy().with_row_index(ROW, Some(1)), mapping);
        }
        let row_index = RowIndex { name: ROW.into(), offset: 1 };
        let all_sound = structure.unsound.is_empty();
        let frame = LazyCsvReader::new_with_sources(ScanSources::Buffers(Arc::new([bytes.into()])))
            .with_has_header(true)
            .with_schema(Some(Arc::new(fields)))
            .with_separator(structure.delimiter)
            .with_missing_is_null(true)
            .with_row_index(all_sound.then_some(row_index))
            .finish()?;
        let frame = if all_sound {
            frame
        } else {
            let numbers: Vec<i64> = structure.sound_numbers().map(|n| i64::try_from(n).unwrap_or(i64::MAX)).collect();
            let mut read = frame.collect()?;
            read.with_column(Column::new(ROW.into(), numbers))?;
            read.lazy()
        };
        self.write(frame, mapping)
    }

    fn xlsx(&self, bytes: Vec<u8>, report: &mut FileReport) -> Result<(), BronzeError> {
        let sheet = workbook::read(&self.source.name.table, &self.name, self.source.source.sheet.as_deref(), bytes)?;
        let mapping = headers::map(&self.source.name.table, &self.source.source, &self.name, &sheet.header)?;
        report.records = sheet.records.len() as u64;
        report.rescued_columns = mapping.surplus.iter().map(|(_, header)| header.clone()).collect();
        let column = |place: usize| {
            let texts: Vec<Option<&str>> =
                sheet.records.iter().map(|record| record.get(place).and_then(Option::as_deref)).collect();
            Column::new(field_name(place), texts)
        };
        let columns = (0..sheet.header.len()).map(column).collect();
        let frame = DataFrame::new(sheet.records.len(), columns).map(|frame| frame.lazy().with_row_index(ROW, Some(1)));
        frame.and_then(|frame| self.write(frame, &mapping)).map_err(|source| BronzeError::Parse {
            source_name: self.source.name.table.clone(),
            file: self.name.clone(),
            source,
        })
    }

    /// Puts the fields under their columns, adds the audit columns and writes the file.
    fn write(&self, frame: LazyFrame, mapping: &Mapping) -> PolarsResult<()> {
        let mut columns: Vec<Expr> = Vec::with_capacity(mapping.columns.len() + 6);
        for (column, place) in self.source.source.columns.iter().zip(&mapping.columns) {
            let text = place.map_or_else(|| lit(NULL).cast(DataType::String), |place| col(field_name(place)));
            columns.push(text.alias(&column.name));
        }
        let moment = self.options.now.timestamp_micros();
        let timestamp = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        columns.push(lit(moment).cast(timestamp).alias("_ingestion_timestamp"));
        columns.push(lit(self.name.clone()).alias("_source_file"));
        columns.push(col(ROW).cast(DataType::Int64));
        columns.push(lit(self.hash.clone()).alias("_source_hash"));
        columns.push(lit(self.options.run_id.clone()).alias("_run_id"));
        columns.push(rescued(mapping).alias("_rescued_data"));
        write_parquet(frame.select(columns), &self.target)
    }
}

fn field_name(place: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("field_{place}"))
}

/// The fields without a column as a JSON object, NULL where a record has none.
fn rescued(mapping: &Mapping) -> Expr {
    if mapping.surplus.is_empty() {
        return lit(NULL).cast(DataType::String);
    }
    let headers = distinct(mapping.surplus.iter().map(|(_, header)| header.as_str()));
    let fields: Vec<Expr> =
        mapping.surplus.iter().map(|(place, _)| col(field_name(*place)).alias(format!("{SURPLUS}{place}"))).collect();
    let to_json = move |columns: &mut [Column]| {
        let texts: Vec<&StringChunked> = columns.iter().map(|column| column.str()).collect::<PolarsResult<_>>()?;
        let rows = columns.first().map_or(0, Column::len);
        let objects = (0..rows).map(|row| {
            let pairs = headers.iter().zip(&texts).filter_map(|(header, text)| Some((header, text.get(row)?)));
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.map(|(header, text)| (header.clone(), text.into())).collect();
            (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
        });
        Ok(StringChunked::from_iter_options("_rescued_data".into(), objects).into_column())
    };
    map_multiple(to_json, fields, |_, _| Ok(Field::new("_rescued_data".into(), DataType::String)))
}

/// Headers that occur again get a number: `Extra`, `Extra_2`.
fn distinct<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    headers
        .map(|header| {
            let numbered = (2..).map(|number| format!("{header}_{number}"));
            let mut names = std::iter::once(header.to_owned()).chain(numbered);
            names.find(|name| seen.insert(name.clone())).unwrap_or_default()
        })
        .collect()
}

/// Streams a frame into one Parquet file, rows in their order.
fn write_parquet(frame: LazyFrame, target: &Path) -> PolarsResult<()> {
    let options = ParquetWriteOptions { compression: ParquetCompression::Snappy, ..Default::default() };
    let target = SinkTarget::Path(PlRefPath::try_from_path(target)?);
    frame
        .sink(
            SinkDestination::File { target },
            FileWriteFormat::Parquet(Arc::new(options)),
            UnifiedSinkArgs::default(),
        )?
        .collect_with_engine(Engine::Streaming)
        .map(|_| ())
}
