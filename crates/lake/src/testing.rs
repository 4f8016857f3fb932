//! Parquet files for tests, written with arrow as an engine would, and a disk that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, LargeStringArray};
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use medallion_pipeline::{Column, ColumnType, Layer, TableName, TableSchema};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use url::Url;

use crate::gate::{Gate, Operation};
use crate::place::Lake;

/// 2024-02-29 12:34:56.789 in microseconds since 1970.
pub(crate) const LEAP_DAY: i64 = 1_709_210_096_789_000;

pub(crate) fn lake() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
    (folder, lake)
}

/// A table with a column of every type.
pub(crate) fn example_schema(table: &str) -> TableSchema {
    let columns = [
        ("id", ColumnType::Long, "Number of the user"),
        ("name", ColumnType::Text, "Full name"),
        ("score", ColumnType::Double, "Points"),
        ("active", ColumnType::Bool, "Not suspended"),
        ("born", ColumnType::Date, ""),
        ("seen", ColumnType::Timestamp, "Last access, site time"),
        ("loaded_at", ColumnType::TimestampUtc, "When it was loaded"),
        ("fee", ColumnType::Decimal { precision: 10, scale: 2 }, "Price paid"),
    ];
    TableSchema {
        name: TableName::new(Layer::Gold, table),
        description: "One row per user".to_owned(),
        columns: columns.map(|(name, data_type, text)| Column::new(name, data_type, text)).into(),
        partition_columns: vec![],
    }
}

/// Rows with the given ids. Every second row has NULL everywhere else.
pub(crate) fn write_example(area: &Url, name: &str, ids: &[i64]) {
    let some = |id: &i64| (id % 2 == 1).then_some(*id);
    let wall = TimestampMicrosecondArray::from_iter(ids.iter().map(|id| some(id).map(|id| LEAP_DAY + id * 1_000_000)));
    let utc = TimestampMicrosecondArray::from_iter(ids.iter().map(|id| some(id).map(|_| LEAP_DAY)));
    let fee = Decimal128Array::from_iter(ids.iter().map(|id| some(id).map(|id| i128::from(id) * 100 + 5)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.iter().copied()))),
        ("name", Arc::new(LargeStringArray::from_iter(ids.iter().map(|id| some(id).map(|id| format!("user {id}")))))),
        ("score", Arc::new(Float64Array::from_iter(ids.iter().map(|id| some(id).map(|id| id as f64 / 4.0))))),
        ("active", Arc::new(BooleanArray::from_iter(ids.iter().map(|id| some(id).map(|id| id > 1))))),
        ("born", Arc::new(Date32Array::from_iter(ids.iter().map(|id| some(id).map(|id| id as i32))))),
        ("seen", Arc::new(wall)),
        ("loaded_at", Arc::new(utc.with_timezone("UTC"))),
        ("fee", Arc::new(fee.with_precision_and_scale(10, 2).unwrap())),
    ];
    write_columns(area, name, columns);
}

pub(crate) fn write_columns(area: &Url, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let path = area.to_file_path().unwrap().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))
            .unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A table partitioned by a label, staged with two rows of `FY 2024/25` and one without a label.
pub(crate) fn write_years(lake: &Lake, run_id: &str) -> (TableSchema, Url) {
    let schema = TableSchema {
        name: TableName::new(Layer::Gold, "fact_progress"),
        description: "Progress by year".to_owned(),
        columns: vec![
            Column::new("progress", ColumnType::Long, "Percent"),
            Column::new("label", ColumnType::Text, "Fiscal year"),
        ],
        partition_columns: vec!["label".to_owned()],
    };
    let area = lake.staging_area(&schema.name, run_id).unwrap();
    let values = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    write_columns(&area, "label=FY%202024%2F25/0.parquet", vec![("progress", values(&[10, 20]))]);
    write_columns(&area, "label=__HIVE_DEFAULT_PARTITION__/0.parquet", vec![("progress", values(&[30]))]);
    (schema, area)
}

/// A gate that does not let an operation pass, and keeps what it was asked.
#[derive(Debug)]
pub(crate) struct FaultyGate {
    at: usize,
    lasting: bool,
    asked: Mutex<Vec<(Operation, PathBuf)>>,
}

impl FaultyGate {
    /// Fails the operation with this number, counted from 0; if it is lasting, all after it too, as if the process
    /// had been killed.
    pub(crate) fn failing(at: usize, lasting: bool) -> Self {
        Self { at, lasting, asked: Mutex::default() }
    }

    /// Fails nothing.
    pub(crate) fn watching() -> Self {
        Self::failing(usize::MAX, false)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.asked.lock().unwrap().len() > self.at
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// The operations and the last part of their paths.
    pub(crate) fn operations(&self) -> Vec<String> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.asked.lock().unwrap().iter().map(|(operation, path)| format!("{operation} {}", name(path))).collect()
    }
}

impl Gate for FaultyGate {
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let mut asked = self.asked.lock().unwrap();
        let number = asked.len();
        asked.push((operation, path.to_path_buf()));
        if number == self.at || (self.lasting && number > self.at) {
            return Err(io::Error::other(format!("this disk does not {operation}")));
        }
        Ok(())
    }
}
