//! One export of one source becomes a staged batch.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_lake::{Lake, LakeError};
use medallion_pipeline::definition::FileFormat;
use medallion_pipeline::rejects::PARSE_RULES;
use medallion_pipeline::{Column, Limits, NewColumns, Reject, SourceTable, TableSchema};
use polars::prelude::{PolarsError, PolarsResult};
use rayon::prelude::*;
use serde::Serialize;

use crate::arrived::{Arrived, ReadFile, hash_file};
use crate::blocks::{Block, Blocks, SetAside};
use crate::discovery::{FoundExport, FoundFile};
use crate::error::BronzeError;
use crate::frame::{FileFrames, Framing};
use crate::headers::{self, Drift, Mapping};
use crate::row_groups::{Encoder, Writer};
use crate::structure::Header;
use crate::workbook::{self, Sheet};

/// The bytes of an export that are kept in memory between hashing and parsing; what is beyond is read again.
const ROOM: usize = 64 << 20;

/// Digits of an export's hash: enough that nobody finds two exports with one hash.
const HASH_DIGITS: usize = 32;

/// What a run tells its ingest.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The run.
    pub run_id: String,
    /// The moment written to `_ingestion_timestamp`.
    pub now: DateTime<Utc>,
    /// What a file may be at most.
    pub limits: Limits,
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
    /// Whether that was neither declared nor marked, but is what its bytes look like.
    #[serde(skip)]
    pub encoding_guessed: bool,
    /// Its records after the header.
    pub records: u64,
    /// Records set aside while parsing.
    pub rejected: u64,
    /// How its columns differ from what was defined.
    #[serde(flatten)]
    pub drift: Drift,
    /// Numbers of records that hold lines which look like records, at most a hundred.
    pub suspicious_records: Vec<u64>,
}

/// Numbers of suspicious records that a report lists.
const MAX_SUSPICIOUS: usize = 100;

/// A batch that is staged.
#[derive(Debug)]
pub struct Ingested {
    /// Its files.
    pub files: Vec<FileReport>,
    /// Rows in bronze.
    pub rows: u64,
    /// Records set aside.
    pub rejects: Vec<Reject>,
    /// The staged files.
    pub staged: medallion_lake::StagedTable,
}

/// What identifies the content of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHash {
    /// The date of the export.
    pub export_date: NaiveDate,
    /// What identifies its content, whatever the files are called.
    pub hash: String,
    /// All files of the export, copies of others among them.
    pub files: Vec<ReadFile>,
}

/// The content of an export, read once and ready to be parsed.
#[derive(Debug)]
pub struct ExportContent {
    /// What identifies it.
    pub hashed: ExportHash,
    arrived: Vec<Arrived>,
}

/// Reads the files of an export for their hashes alone, as is enough for one that is most likely known.
///
/// # Errors
/// If a file cannot be read or decompressed, exceeds a limit, or is being written to ([`BronzeError::Changing`]).
pub fn hash_export(source: &SourceTable, export: &FoundExport, limits: &Limits) -> Result<ExportHash, BronzeError> {
    let files = export.files.iter().map(|file| hash_file(source, file, limits)).collect::<Result<Vec<_>, _>>()?;
    Ok(ExportHash::of(export, files))
}

/// Reads the files of an export for [`ingest()`].
///
/// # Errors
/// If a file cannot be read or decompressed, exceeds a limit, or is being written to ([`BronzeError::Changing`]).
pub fn read_export(source: &SourceTable, export: &FoundExport, limits: &Limits) -> Result<ExportContent, BronzeError> {
    read_within(source, export, limits, ROOM)
}

/// Reads the files of an export and keeps no more than `room` of their bytes in memory.
pub(crate) fn read_within(
    source: &SourceTable,
    export: &FoundExport,
    limits: &Limits,
    mut room: usize,
) -> Result<ExportContent, BronzeError> {
    let read = |file: &FoundFile| Arrived::read(source, file, limits, &mut room);
    let mut arrived = export.files.iter().map(read).collect::<Result<Vec<_>, BronzeError>>()?;
    let hashed = ExportHash::of(export, arrived.iter().map(|one| one.read.clone()).collect());
    let mut seen = HashSet::new();
    arrived.retain(|one| seen.insert(one.read.hash.clone()));
    Ok(ExportContent { hashed, arrived })
}

impl ExportHash {
    fn of(export: &FoundExport, files: Vec<ReadFile>) -> Self {
        // The same content beside itself, such as a file and its compressed copy, is there once.
        let mut seen = HashSet::new();
        let contents: Vec<&str> =
            files.iter().map(|file| file.hash.as_str()).filter(|hash| seen.insert(*hash)).collect();
        let hash = match contents.as_slice() {
            [only] => (*only).to_owned(),
            parts => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    hasher.update(part.as_bytes());
                }
                hasher.finalize().to_hex().to_string()
            }
        };
        let hash = hash[..HASH_DIGITS].to_owned();
        Self { export_date: export.export_date, hash, files }
    }
}

/// Writes an export beside the bronze table, in a folder named `batch_id`. `extra` are the columns that the table has
/// beyond those of the source.
///
/// # Errors
/// If a file lacks a required column, has one it may not have, exceeds a limit, cannot be parsed, or is being written
/// to ([`BronzeError::Changing`]), or if the lake cannot be written.
pub fn ingest(
    lake: &Lake,
    source: &SourceTable,
    content: &ExportContent,
    extra: &[Column],
    batch_id: &str,
    options: &IngestOptions,
) -> Result<Ingested, BronzeError> {
    let area = lake.staging_area(&source.name, batch_id)?;
    let folder = area.to_file_path().map_err(|()| LakeError::InvalidLocation { location: area.to_string() })?;
    // Every file gets the columns of all of them, so all headers come before the first row.
    let mut extra = extra.to_vec();
    let mut files = Vec::with_capacity(content.arrived.len());
    for arrived in &content.arrived {
        files.push(Part::open(source, arrived, &mut extra, options)?);
    }
    let mut schema = source.schema.clone();
    schema.columns.extend(extra);
    let ingest = Ingest { lake, source, batch_id, options, schema: &schema };
    let (mut reports, mut rejects) = (Vec::new(), Vec::new());
    for (index, part) in files.into_iter().enumerate() {
        let target = folder.join(format!("part-{index:05}.parquet"));
        reports.push(ingest.part(part, target, &mut rejects)?);
    }
    let staged = lake.staged(&schema, &area)?;
    let expected: u64 = reports.iter().map(|report| report.records - report.rejected).sum();
    if staged.rows() != expected {
        let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
        let (source_name, file) = (source.name.table.clone(), names.join(", "));
        return Err(BronzeError::Conservation { source_name, file, expected, found: staged.rows() });
    }
    Ok(Ingested { files: reports, rows: staged.rows(), rejects, staged })
}

/// A file whose columns are known.
struct Part<'a> {
    arrived: &'a Arrived,
    rows: Rows,
    mapping: Mapping,
}

enum Rows {
    Csv(Header),
    Sheet(Sheet),
}

impl<'a> Part<'a> {
    fn open(
        source: &SourceTable,
        arrived: &'a Arrived,
        extra: &mut Vec<Column>,
        options: &IngestOptions,
    ) -> Result<Self, BronzeError> {
        let (name, limits) = (&source.name.table, &options.limits);
        let rows = match source.source.format {
            FileFormat::Csv => Rows::Csv(arrived.header(limits)?),
            FileFormat::Xlsx => {
                let bytes = arrived.all_bytes(limits.workbook, limits)?;
                Rows::Sheet(workbook::read(name, arrived, source.source.sheet.as_deref(), bytes, limits)?)
            }
        };
        let header = match &rows {
            Rows::Csv(header) => &header.texts,
            Rows::Sheet(sheet) => &sheet.header,
        };
        if header.len() > limits.columns {
            return Err(arrived.limit(format!("{} columns", limits.columns)));
        }
        let mapping = headers::map(name, &source.source, &arrived.read.file.name, header, extra)?;
        if source.schema.columns.len() + extra.len() > limits.columns {
            return Err(arrived.limit(format!("{} columns of the bronze table", limits.columns)));
        }
        Ok(Self { arrived, rows, mapping })
    }
}

struct Ingest<'a> {
    lake: &'a Lake,
    source: &'a SourceTable,
    batch_id: &'a str,
    options: &'a IngestOptions,
    schema: &'a TableSchema,
}

impl Ingest<'_> {
    fn part(&self, part: Part<'_>, target: PathBuf, rejects: &mut Vec<Reject>) -> Result<FileReport, BronzeError> {
        let Part { arrived, rows, mut mapping } = part;
        let mut report = self.begun(arrived, &rows, std::mem::take(&mut mapping.drift));
        let frames = FileFrames {
            source_columns: &self.source.source.columns,
            schema: self.schema,
            mapping: &mapping,
            file: &arrived.read.file.name,
            hash: &arrived.read.hash,
            run_id: &self.options.run_id,
            now: self.options.now,
            nameless_seen: mapping.nameless.iter().map(|_| AtomicBool::new(false)).collect(),
        };
        let failed = |source| BronzeError::Parse {
            source_name: self.source.name.table.clone(),
            file: arrived.read.file.name.clone(),
            source,
        };
        let encoder = Encoder::new(&frames.schema()).map_err(failed)?;
        let unwritable = |source: io::Error| self.unwritable(&target, source);
        let mut writer = encoder.writer(&target, self.lake.gate()).map_err(unwritable)?;
        match rows {
            Rows::Sheet(sheet) => {
                report.records = sheet.records.len() as u64;
                if let Some(frame) = frames.of_sheet(&sheet).map_err(failed)? {
                    writer.write(&encoder.encode(&frame).map_err(failed)?).map_err(unwritable)?;
                }
            }
            Rows::Csv(header) => {
                let cursor = arrived.cursor();
                let text = arrived.text(&cursor, &self.options.limits)?;
                let mut blocks = Blocks::new(arrived, text, &header, &self.options.limits);
                let framing = Framing::new(&frames, blocks.grammar());
                let encode = |block: &Block| framing.frame(block)?.map(|frame| encoder.encode(&frame)).transpose();
                let mut each = |block: Block| self.report(block, &mut report, rejects);
                pump(&mut blocks, &encode, &mut writer, &mut each, (&failed, &unwritable))?;
                report.records = blocks.records();
            }
        }
        writer.finish().map_err(unwritable)?;
        let nameless = frames.nameless();
        if let (NewColumns::Freeze, [first, ..]) = (self.source.source.new_columns, nameless.as_slice()) {
            return Err(headers::frozen(&self.source.name.table, &report.name, &format!("{first}, without a header")));
        }
        report.drift.rescued_columns.extend(nameless);
        Ok(report)
    }

    /// A lake that takes no rows is no fault of the file they come from.
    fn unwritable(&self, path: &Path, source: io::Error) -> BronzeError {
        let (customer, path) = (self.lake.customer().to_owned(), path.to_path_buf());
        LakeError::Io { customer, path, action: "write", source }.into()
    }

    /// What is known of a file before its records are read.
    fn begun(&self, arrived: &Arrived, rows: &Rows, drift: Drift) -> FileReport {
        FileReport {
            name: arrived.read.file.name.clone(),
            hash: arrived.read.hash.clone(),
            bytes: arrived.read.bytes,
            modified: arrived.read.file.stamp.modified,
            encoding: matches!(rows, Rows::Csv(_)).then(|| arrived.encoding.name()),
            encoding_guessed: arrived.is_encoding_guessed(self.source.source.encoding),
            records: 0,
            rejected: 0,
            drift,
            suspicious_records: Vec::new(),
        }
    }

    fn report(&self, block: Block, report: &mut FileReport, rejects: &mut Vec<Reject>) {
        report.rejected += block.set_aside.len() as u64;
        let room = MAX_SUSPICIOUS - report.suspicious_records.len();
        report.suspicious_records.extend(block.suspicious.into_iter().take(room));
        rejects.extend(block.set_aside.into_iter().map(|record| self.reject(record, &report.name)));
    }

    fn reject(&self, record: SetAside, file: &str) -> Reject {
        Reject {
            batch_id: self.batch_id.to_owned(),
            source: self.source.name.table.clone(),
            file: file.to_owned(),
            row: i64::try_from(record.number).unwrap_or(i64::MAX),
            column: None,
            rule: PARSE_RULES[record.why.place()].to_owned(),
            reason: format!("line {}: {}", record.line, record.why.reason()),
            raw: record.raw,
        }
    }
}

/// Encodes blocks on all threads while the next ones are read, and writes them in order.
fn pump(
    blocks: &mut Blocks<'_>,
    encode: &(impl Fn(&Block) -> PolarsResult<Option<crate::row_groups::RowGroup>> + Sync),
    writer: &mut Writer,
    each: &mut impl FnMut(Block),
    (failed, unwritable): (&impl Fn(PolarsError) -> BronzeError, &impl Fn(io::Error) -> BronzeError),
) -> Result<(), BronzeError> {
    let several = rayon::current_num_threads();
    let mut now = take(blocks, several)?;
    while !now.is_empty() {
        let (next, groups) =
            rayon::join(|| take(blocks, several), || now.par_iter().map(encode).collect::<PolarsResult<Vec<_>>>());
        for group in groups.map_err(failed)?.into_iter().flatten() {
            writer.write(&group).map_err(unwritable)?;
        }
        now.drain(..).for_each(&mut *each);
        now = next?;
    }
    Ok(())
}

fn take(blocks: &mut Blocks<'_>, several: usize) -> Result<Vec<Block>, BronzeError> {
    std::iter::from_fn(|| blocks.next().transpose()).take(several).collect()
}
