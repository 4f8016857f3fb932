//! Relationships into one Parquet file: as they stream in, row group by row group, in bounded memory.
//!
//! Batches are collected until a few row groups are full. These are encoded side by side, each column of each on
//! whatever thread is free, and then follow each other into the file. How many threads there are changes nothing in it.
//!
//! Ids and depths are written as differences from row to row (`DELTA_BINARY_PACKED`): the child stays, the depth goes
//! up, and no dictionary of ids has to be searched for each row. The texts are runs, see [`super::text_runs`].

use std::fs::File;
use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBufferBuilder, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use medallion_pipeline::TableSchema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use rayon::prelude::*;

use super::text_runs::Runs;
use crate::closure::{RelationshipBatch, RelationshipType};

/// A row group is full as soon as it has this many rows.
const ROW_GROUP_ROWS: u32 = 1 << 20;
/// Row groups that are collected before they are encoded together.
const ROW_GROUPS: usize = 4;
/// The depths from which on the type of a relationship is the same.
const KINDS: [u32; 3] = [0, 1, 2];
/// Where the type stands among the columns child, ancestor, type, depth, label (if there is one), run.
const KIND: usize = 2;
/// Where the label stands.
const LABEL: usize = 4;

/// A Parquet file of relationships that is being written.
pub(super) struct RelationshipFile {
    writer: SerializedFileWriter<File>,
    factory: ArrowRowGroupWriterFactory,
    fields: Vec<FieldRef>,
    columns: Vec<ColumnDescPtr>,
    run_id: String,
    full: Vec<RowGroup>,
    filling: RowGroup,
}

impl RelationshipFile {
    /// Begins a file with the columns of `table`.
    pub(super) fn new(file: File, table: &TableSchema, labelled: bool, run_id: &str) -> Result<Self, ParquetError> {
        let run = table.columns.len() - 1;
        let field = |(position, column): (usize, &medallion_pipeline::Column)| {
            let data_type = if position == KIND || position == run { DataType::Utf8 } else { DataType::Int64 };
            Arc::new(Field::new(&column.name, data_type, labelled && position == LABEL))
        };
        let fields: Vec<FieldRef> = table.columns.iter().enumerate().map(field).collect();
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true);
        for long in fields.iter().filter(|field| *field.data_type() == DataType::Int64) {
            let column = ColumnPath::from(long.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, Arc::new(Schema::new(fields.clone())), options)?;
        let (writer, factory) = writer.into_serialized_writer()?;
        let columns = writer.schema_descr().columns().to_vec();
        let run_id = run_id.to_owned();
        Ok(Self { writer, factory, fields, columns, run_id, full: Vec::new(), filling: RowGroup::default() })
    }

    /// Takes rows in.
    pub(super) fn write(&mut self, batch: RelationshipBatch) -> Result<(), ParquetError> {
        self.filling.push(batch);
        if self.filling.kinds.rows() >= ROW_GROUP_ROWS {
            self.full.push(mem::take(&mut self.filling));
            if self.full.len() == ROW_GROUPS {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and the footer.
    pub(super) fn close(mut self) -> Result<(), ParquetError> {
        let last = mem::take(&mut self.filling);
        if last.kinds.rows() > 0 {
            self.full.push(last);
        }
        self.encode()?;
        self.writer.close().map(|_| ())
    }

    fn encode(&mut self) -> Result<(), ParquetError> {
        let first = self.writer.flushed_row_groups().len();
        let mut kinds = Vec::new();
        let mut columns = Vec::new();
        for (offset, group) in mem::take(&mut self.full).into_iter().enumerate() {
            kinds.push(group.kinds);
            let writers = self.factory.create_column_writers(first + offset)?.into_iter().zip(&self.fields);
            let longs = writers.filter(|(_, field)| *field.data_type() == DataType::Int64);
            columns.extend(longs.zip(group.longs));
        }
        let chunks: Result<Vec<_>, ParquetError> =
            columns.into_par_iter().map(|((writer, field), arrays)| encode(writer, field, arrays)).collect();
        let mut chunks = chunks?.into_iter();
        kinds.iter().try_for_each(|kinds| self.append(kinds, &mut chunks))
    }

    fn append(&mut self, kinds: &Runs, longs: &mut impl Iterator<Item = ArrowColumnChunk>) -> Result<(), ParquetError> {
        let mut run = Runs::default();
        run.push(0, kinds.rows());
        let names = KINDS.map(|depth| RelationshipType::of_depth(depth).as_str());
        let mut row_group = self.writer.next_row_group()?;
        for (position, (field, column)) in self.fields.iter().zip(&self.columns).enumerate() {
            if *field.data_type() == DataType::Int64 {
                longs.next().map_or(Ok(()), |chunk| chunk.append_to_row_group(&mut row_group))?;
            } else if position == KIND {
                kinds.append_to_row_group(column, &names, &mut row_group)?;
            } else {
                run.append_to_row_group(column, &[&self.run_id], &mut row_group)?;
            }
        }
        row_group.close().map(|_| ())
    }
}

fn encode(
    mut writer: ArrowColumnWriter,
    field: &FieldRef,
    arrays: Vec<ArrayRef>,
) -> Result<ArrowColumnChunk, ParquetError> {
    for array in arrays {
        for leaf in compute_leaves(field, &array)? {
            writer.write(&leaf)?;
        }
    }
    writer.close()
}

/// Rows of a row group, column by column.
#[derive(Default)]
struct RowGroup {
    /// Child, ancestor, depth and label, batch by batch.
    longs: [Vec<ArrayRef>; 4],
    kinds: Runs,
}

impl RowGroup {
    fn push(&mut self, batch: RelationshipBatch) {
        let last_kind = i64::from(KINDS[KINDS.len() - 1]);
        for same in batch.depth.chunk_by(|one, next| one.min(&last_kind) == next.min(&last_kind)) {
            self.kinds.push(same[0].min(last_kind) as u8, same.len() as u32);
        }
        let labels = labels(batch.label, &batch.unlabelled);
        let arrays = [batch.child.into(), batch.ancestor.into(), batch.depth.into(), labels];
        for (column, array) in self.longs.iter_mut().zip(arrays) {
            column.push(Arc::new(array));
        }
    }
}

fn labels(labels: Vec<i64>, unlabelled: &[usize]) -> Int64Array {
    let mut given = BooleanBufferBuilder::new(labels.len());
    given.append_n(labels.len(), true);
    unlabelled.iter().for_each(|&row| given.set_bit(row, false));
    Int64Array::new(labels.into(), Some(NullBuffer::new(given.finish())))
}
