//! Frames to the row groups of one Parquet file. Encoding and writing are apart, so that several frames can be encoded
//! at the same time.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use medallion_lake::{Gate, Operation, Report, ReportedFile};
use polars::prelude::{ArrowSchema, CompatLevel, DataFrame, PolarsResult, Schema, SchemaExt};
use polars_parquet::parquet::error::{ParquetError, ParquetResult};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Compressor, DynIter, DynStreamingIterator, Encoding, FileWriter,
    SchemaDescriptor, StatisticsOptions, Version, WriteOptions, array_to_columns, fallible_streaming_iterator,
    get_dtype_encoding, to_parquet_schema,
};

/// A frame as it will stand in the file.
pub(crate) struct RowGroup {
    rows: u64,
    columns: Vec<Vec<CompressedPage>>,
}

/// Turns frames of one schema into row groups.
pub(crate) struct Encoder {
    arrow_schema: ArrowSchema,
    schema: SchemaDescriptor,
    encodings: Vec<Vec<Encoding>>,
}

const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: true,
        max_value: true,
        distinct_count: false,
        null_count: true,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    compression: CompressionOptions::Snappy,
    data_page_size: None,
};

impl Encoder {
    pub(crate) fn new(schema: &Schema) -> PolarsResult<Self> {
        let arrow_schema = schema.to_arrow(CompatLevel::newest());
        let schema = to_parquet_schema(&arrow_schema)?;
        let encodings = arrow_schema.iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
        Ok(Self { arrow_schema, schema, encodings })
    }

    pub(crate) fn encode(&self, frame: &DataFrame) -> PolarsResult<RowGroup> {
        let mut columns = Vec::with_capacity(frame.width());
        for ((column, of), encodings) in frame.columns().iter().zip(self.schema.fields()).zip(&self.encodings) {
            let array = column.as_materialized_series().rechunk().to_arrow(0, CompatLevel::newest());
            for pages in array_to_columns(array, of.clone(), OPTIONS, encodings)? {
                let explained = |error| ParquetError::FeatureNotSupported(format!("{error}"));
                let pages = pages.map(|page| page.map_err(explained));
                let pages = Compressor::new_from_vec(pages, OPTIONS.compression, Vec::new());
                columns.push(pages.collect::<ParquetResult<Vec<CompressedPage>>>()?);
            }
        }
        Ok(RowGroup { rows: frame.height() as u64, columns })
    }

    /// Makes the file.
    pub(crate) fn writer(&self, path: &Path, gate: &Arc<dyn Gate>) -> io::Result<Writer> {
        gate.pass(Operation::Write, path)?;
        let file = ReportedFile::new(File::create_new(path)?);
        let (report, file) = (file.report(), BufWriter::new(file));
        let schema = self.schema.clone();
        let file = FileWriter::new_with_parquet_schema(file, self.arrow_schema.clone(), schema, OPTIONS);
        Ok(Writer { file, report, path: path.to_path_buf(), gate: Arc::clone(gate) })
    }
}

/// A file that row groups are written to, one after another.
pub(crate) struct Writer {
    file: FileWriter<BufWriter<ReportedFile>>,
    report: Report,
    path: PathBuf,
    gate: Arc<dyn Gate>,
}

impl Writer {
    pub(crate) fn write(&mut self, group: &RowGroup) -> io::Result<()> {
        self.gate.pass(Operation::Append, &self.path)?;
        let columns = group.columns.iter().map(|pages| {
            let pages = pages.iter().map(PolarsResult::Ok);
            Ok(DynStreamingIterator::new(fallible_streaming_iterator::convert(pages)))
        });
        self.file.write(group.rows, DynIter::new(columns)).map_err(|error| self.report.reason(error))
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.gate.pass(Operation::Append, &self.path)?;
        self.file.end(None).map(|_| ()).map_err(|error| self.report.reason(error))
    }
}
