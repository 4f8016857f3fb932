//! Fingerprints: equal for tables with the same rows, whoever wrote them and however they are cut into files.
//!
//! A row becomes a sequence of 64-bit words, column by column in the order of their names. Two lanes of 64 bits take
//! in each word, one by folded multiplication (the step of wyhash), one by a multiplication and a shift that can be
//! undone, so that a single changed number always shows. A row's lanes are scrambled into 128 bits by the finaliser
//! of SplitMix64, and a table's rows are added up modulo 2^128: order does not matter, duplicates do. The libraries in
//! reach either promise no stable values between their versions or are too slow for a hash a row; published
//! fingerprints are compared with those of later builds, so the few lines of arithmetic are here, and must not change
//! without a new [`VERSION`]. They guard against accidents, not against somebody who looks for collisions.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringViewArray, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use medallion_pipeline::{Column, ColumnType, DataFile, TableFiles, TableSchema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema};
use parquet::errors::ParquetError;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::LakeError;
use crate::place::Lake;
use crate::statistics::is_stored_as;

/// What the arithmetic below is called; part of every fingerprint.
const VERSION: &str = "medallion/fingerprint/v1";

/// Rows hashed together: their lanes stay in the fastest cache.
const BATCH_ROWS: usize = 2048;

/// Longest text that a view of arrow holds itself.
const INLINE_BYTES: u32 = 12;

/// The first three are from the secret of wyhash, the last two from SplitMix64.
const START: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
const FOLDED: u64 = 0x8ebc_6af0_9c88_c6e3;
const SCRAMBLE: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// The one form of the many a number that is none can have.
const NOT_A_NUMBER: u64 = 0x7ff8_0000_0000_0000;

impl Lake {
    /// The fingerprint of a table's content in 32 hexadecimal digits. Names and types of the columns count, and
    /// every row as often as it occurs; what does not count is the order of rows and columns, how rows are cut into
    /// files, partitions and row groups, how they are encoded and by whom. Columns beginning with `_` are left out. A
    /// column that a file does not have is NULL in its rows.
    ///
    /// Reads all files with every core, so it must not be called on a thread that others wait for.
    ///
    /// # Errors
    /// If a file cannot be read, or its columns have other types than the table's.
    pub fn fingerprint(&self, files: &TableFiles) -> Result<String, LakeError> {
        self.fingerprint_of(files, |column| !column.name.starts_with('_'))
    }

    /// Like [`Lake::fingerprint`], of every column.
    pub(crate) fn fingerprint_of_all_columns(&self, files: &TableFiles) -> Result<String, LakeError> {
        self.fingerprint_of(files, |_| true)
    }

    fn fingerprint_of(&self, files: &TableFiles, counts: impl Fn(&Column) -> bool) -> Result<String, LakeError> {
        let mut columns: Vec<KeyedColumn> =
            files.schema.columns.iter().filter(|column| counts(column)).map(keyed).collect();
        columns.sort_by(|one, other| one.column.name.cmp(&other.column.name));
        let reading = Reading { lake: self, schema: &files.schema, columns: &columns };
        let opened = files.files.par_iter().map(|file| reading.open(file)).collect::<Result<Vec<_>, _>>()?;
        let groups: Vec<(&OpenedFile, usize)> = opened
            .iter()
            .flat_map(|file| (0..file.metadata.metadata().num_row_groups()).map(move |group| (file, group)))
            .collect();
        let sum = groups
            .into_par_iter()
            .map(|(file, group)| reading.row_group(file, group))
            .try_reduce(Sum::default, |one, other| Ok(one.plus(other)))?;
        Ok(digest(&columns, sum))
    }
}

/// A column that counts, with what tells its values from those of other columns.
struct KeyedColumn {
    column: Column,
    value: [u64; 2],
    null: [u64; 2],
}

fn keyed(column: &Column) -> KeyedColumn {
    let hash = Sha256::digest(format!("{}\0{}", column.name, column.data_type));
    let mut words = hash.chunks_exact(8).map(word);
    let mut next = || words.next().unwrap_or_default();
    KeyedColumn { column: column.clone(), value: [next(), next()], null: [next(), next()] }
}

/// What the rows of a part of a table add up to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    rows: u64,
    hashes: u128,
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, hashes: self.hashes.wrapping_add(other.hashes) }
    }
}

fn digest(columns: &[KeyedColumn], sum: Sum) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{VERSION}\n"));
    for KeyedColumn { column, .. } in columns {
        hash.update(format!("{} {}\n", column.name, column.data_type));
    }
    hash.update(sum.rows.to_le_bytes());
    hash.update(sum.hashes.to_le_bytes());
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the files of one table.
struct Reading<'a> {
    lake: &'a Lake,
    schema: &'a TableSchema,
    columns: &'a [KeyedColumn],
}

/// A file whose footer has been read.
struct OpenedFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Values of the columns that are not in the file, in a full batch.
    absent: HashMap<String, ArrayRef>,
}

impl Reading<'_> {
    fn open(&self, file: &DataFile) -> Result<OpenedFile, LakeError> {
        let location = || LakeError::InvalidLocation { location: file.location.to_string() };
        let path = file.location.to_file_path().map_err(|()| location())?;
        let opened = self.lake.disk().open(&path).map_err(LakeError::io(self.lake.customer(), &path, "open"))?;
        let unreadable = self.unreadable(&path);
        // The writer's own notes on its types are left aside, so that every writer's file is read alike.
        let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::load(&opened, options()).map_err(&unreadable)?;
        let found = parquet_to_arrow_schema(plain.parquet_schema(), None).map_err(&unreadable)?;
        let wanted = found.fields().iter().map(|field| self.wanted(&path, field)).collect::<Result<Vec<_>, _>>()?;
        let options = options().with_schema(Arc::new(Schema::new(wanted)));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options).map_err(&unreadable)?;
        let absent = self.absent(file, &found).map_err(|error| self.no_value_of(&file.partition_values, &error))?;
        Ok(OpenedFile { path, metadata, absent })
    }

    /// The field as it is to be read: texts always as views, everything else as it must be.
    fn wanted(&self, path: &Path, field: &Field) -> Result<Field, LakeError> {
        let column = self.columns.iter().find(|known| known.column.name == *field.name());
        let Some(KeyedColumn { column, .. }) = column else { return Ok(field.clone()) };
        if is_stored_as(column.data_type, field.data_type()) {
            return Ok(field.clone().with_data_type(arrow_type(column.data_type)));
        }
        Err(LakeError::Columns {
            customer: self.lake.customer().to_owned(),
            table: self.schema.name.clone(),
            path: path.to_path_buf(),
            differences: format!("column '{}' is {} instead of {}", column.name, field.data_type(), column.data_type),
        })
    }

    fn absent(&self, file: &DataFile, found: &Schema) -> Result<HashMap<String, ArrayRef>, ArrowError> {
        let missing = self.columns.iter().filter(|known| found.field_with_name(&known.column.name).is_err());
        let filled = |column: &Column| -> Result<ArrayRef, ArrowError> {
            let data_type = arrow_type(column.data_type);
            let Some(text) = file.partition_values.get(&column.name).cloned().flatten() else {
                return Ok(new_null_array(&data_type, BATCH_ROWS));
            };
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            let value = cast_with_options(&StringArray::from(vec![text]), &data_type, &strict)?;
            take(&value, &UInt32Array::from(vec![0; BATCH_ROWS]), None)
        };
        missing.map(|known| Ok((known.column.name.clone(), filled(&known.column)?))).collect()
    }

    fn no_value_of(&self, values: &BTreeMap<String, Option<String>>, error: &ArrowError) -> LakeError {
        let text = |(column, value): (&String, &Option<String>)| format!("{column}={}", value.as_deref().unwrap_or(""));
        let values: Vec<String> = values.iter().map(text).collect();
        self.lake.changed_outside(&self.schema.name, format!("a file's partition is '{}': {error}", values.join("/")))
    }

    fn row_group(&self, file: &OpenedFile, group: usize) -> Result<Sum, LakeError> {
        let unreadable = self.unreadable(&file.path);
        let opened =
            self.lake.disk().open(&file.path).map_err(LakeError::io(self.lake.customer(), &file.path, "open"))?;
        let names = self.columns.iter().map(|known| known.column.name.as_str());
        let mask = ProjectionMask::columns(file.metadata.parquet_schema(), names);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, file.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(&unreadable)?;
        let mut sum = Sum::default();
        let mut lanes = Vec::with_capacity(BATCH_ROWS);
        for batch in reader {
            let batch = batch.map_err(|error| unreadable(error.into()))?;
            sum = sum.plus(self.batch(file, &batch, &mut lanes));
        }
        Ok(sum)
    }

    fn batch(&self, file: &OpenedFile, batch: &RecordBatch, lanes: &mut Vec<[u64; 2]>) -> Sum {
        lanes.clear();
        lanes.resize(batch.num_rows(), START);
        for known in self.columns {
            let absent = || file.absent.get(&known.column.name).map(|values| values.slice(0, batch.num_rows()));
            let values = batch.column_by_name(&known.column.name).cloned().or_else(absent);
            if let Some(values) = values {
                take_in(known, values.as_ref(), lanes);
            }
        }
        let hashes = lanes.iter().fold(0_u128, |sum, row| sum.wrapping_add(scrambled(*row)));
        Sum { rows: batch.num_rows() as u64, hashes }
    }

    fn unreadable(&self, path: &Path) -> impl Fn(ParquetError) -> LakeError + use<> {
        let (customer, table, path) = (self.lake.customer().to_owned(), self.schema.name.clone(), path.to_path_buf());
        move |source| {
            let (customer, table, path) = (customer.clone(), table.clone(), path.clone());
            LakeError::Footer { customer, table, path, source }
        }
    }
}

/// How the values of a column are read.
fn arrow_type(data_type: ColumnType) -> DataType {
    match data_type {
        ColumnType::Long => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Text => DataType::Utf8View,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        // More than 38 digits are refused where columns are declared.
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX))
        }
    }
}

/// Takes the values of a column into the lanes of their rows.
fn take_in(known: &KeyedColumn, values: &dyn Array, lanes: &mut [[u64; 2]]) {
    let nulls = values.nulls();
    match known.column.data_type {
        ColumnType::Long => {
            let values = values.as_primitive::<Int64Type>().values();
            numbers(known, values.iter().map(|value| value.cast_unsigned()), nulls, lanes);
        }
        ColumnType::Timestamp | ColumnType::TimestampUtc => {
            let values = values.as_primitive::<TimestampMicrosecondType>().values();
            numbers(known, values.iter().map(|value| value.cast_unsigned()), nulls, lanes);
        }
        ColumnType::Date => {
            let values = values.as_primitive::<Date32Type>().values();
            numbers(known, values.iter().map(|value| i64::from(*value).cast_unsigned()), nulls, lanes);
        }
        ColumnType::Double => {
            let values = values.as_primitive::<Float64Type>().values();
            numbers(known, values.iter().map(|value| same_bits(*value)), nulls, lanes);
        }
        ColumnType::Bool => {
            let values = values.as_boolean().values();
            numbers(known, values.iter().map(u64::from), nulls, lanes);
        }
        ColumnType::Decimal { .. } => {
            let values = values.as_primitive::<Decimal128Type>();
            each(known, nulls, lanes, |row, lanes| {
                let value = values.value(row).cast_unsigned();
                step(keyed_step(known, *lanes, value as u64), (value >> 64) as u64)
            });
        }
        ColumnType::Text => {
            let values = values.as_string_view();
            each(known, nulls, lanes, |row, lanes| text(known, *lanes, values, row));
        }
    }
}

/// Equal numbers have equal bits: both zeros, and whatever is not a number.
fn same_bits(value: f64) -> u64 {
    match value {
        value if value.is_nan() => NOT_A_NUMBER,
        // Minus zero plus zero is zero.
        value => (value + 0.0).to_bits(),
    }
}

/// Values of one word each.
fn numbers(known: &KeyedColumn, words: impl Iterator<Item = u64>, nulls: Option<&NullBuffer>, lanes: &mut [[u64; 2]]) {
    match nulls {
        None => lanes.iter_mut().zip(words).for_each(|(lanes, word)| *lanes = keyed_step(known, *lanes, word)),
        Some(nulls) => lanes.iter_mut().zip(words).zip(nulls.iter()).for_each(|((lanes, word), valid)| {
            *lanes = if valid { keyed_step(known, *lanes, word) } else { no_value(known, *lanes) };
        }),
    }
}

/// Values of several words each.
fn each(
    known: &KeyedColumn,
    nulls: Option<&NullBuffer>,
    lanes: &mut [[u64; 2]],
    value: impl Fn(usize, &[u64; 2]) -> [u64; 2],
) {
    for (row, lanes) in lanes.iter_mut().enumerate() {
        let valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
        *lanes = if valid { value(row, lanes) } else { no_value(known, *lanes) };
    }
}

/// A text's first word is its length and its first four bytes; at most eight more follow in a second one, or all
/// the others in words of eight, of which the last may overlap the one before.
#[inline]
fn text(known: &KeyedColumn, lanes: [u64; 2], values: &StringViewArray, row: usize) -> [u64; 2] {
    let view = values.views()[row];
    let begun = keyed_step(known, lanes, view as u64);
    if view as u32 <= INLINE_BYTES {
        return step(begun, (view >> 64) as u64);
    }
    let bytes = values.value(row).as_bytes();
    let rest = &bytes[4..];
    let words = rest.chunks_exact(8);
    let whole = words.remainder().is_empty();
    let taken = words.fold(begun, |lanes, bytes| step(lanes, word(bytes)));
    if whole { taken } else { step(taken, word(&rest[rest.len() - 8..])) }
}

/// The first eight bytes.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn keyed_step(known: &KeyedColumn, lanes: [u64; 2], word: u64) -> [u64; 2] {
    mixed(lanes, word ^ known.value[0], word ^ known.value[1])
}

#[inline]
fn no_value(known: &KeyedColumn, lanes: [u64; 2]) -> [u64; 2] {
    mixed(lanes, known.null[0], known.null[1])
}

#[inline]
fn step(lanes: [u64; 2], word: u64) -> [u64; 2] {
    mixed(lanes, word, word)
}

#[inline]
fn mixed(lanes: [u64; 2], folded: u64, undoable: u64) -> [u64; 2] {
    let product = u128::from(lanes[0] ^ folded) * u128::from(FOLDED);
    let multiplied = lanes[1].wrapping_add(undoable).wrapping_mul(SCRAMBLE[1]);
    [product as u64 ^ (product >> 64) as u64, multiplied ^ (multiplied >> 32)]
}

/// Three rounds, each of which can be undone, so that different lanes stay different.
#[inline]
fn scrambled(lanes: [u64; 2]) -> u128 {
    let first = lanes[0] ^ split_mix(lanes[1]);
    let second = lanes[1] ^ split_mix(first);
    let first = first ^ split_mix(second);
    u128::from(first) << 64 | u128::from(second)
}

#[inline]
fn split_mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(SCRAMBLE[0]);
    let word = (word ^ (word >> 27)).wrapping_mul(SCRAMBLE[1]);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
