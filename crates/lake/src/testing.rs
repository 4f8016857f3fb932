//! Parquet files for tests, written with arrow as an engine would, and a disk that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, LargeStringArray};
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use chrono::NaiveDate;
use medallion_pipeline::{Column, ColumnType, Layer, TableName, TableSchema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use url::Url;

use crate::gate::{Gate, Operation};
use crate::mirror::bring;
use crate::place::Lake;
use crate::publish::{Publication, PublishedChange};
use crate::release::{ReleasedBatch, TableHashes};
use crate::snapshots::Snapshots;

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

    /// The first operation that failed.
    pub(crate) fn failed_at(&self) -> Option<usize> {
        self.has_failed().then_some(self.at)
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// The operations and their paths.
    pub(crate) fn asked(&self) -> Vec<(Operation, PathBuf)> {
        self.asked.lock().unwrap().clone()
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

/// A gate that lets nothing happen to paths that contain a text.
#[derive(Debug)]
pub(crate) struct ClosedGate(pub(crate) &'static str);

impl Gate for ClosedGate {
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if path.to_str().unwrap().contains(self.0) {
            return Err(io::Error::other(format!("this disk does not {operation} {}", path.display())));
        }
        Ok(())
    }
}

/// Another way to a lake's files.
pub(crate) fn behind(lake: &Lake, gate: Arc<dyn Gate>) -> Lake {
    Lake::open_behind(lake.folder().parent().unwrap().to_str().unwrap(), lake.customer(), gate).unwrap()
}

/// New content of a gold table, staged as one file; without ids as none.
pub(crate) fn changed(lake: &Lake, table: &str, run_id: &str, ids: &[i64]) -> PublishedChange {
    let schema = example_schema(table);
    let area = lake.staging_area(&schema.name, run_id).unwrap();
    write_example(&area, "0.parquet", ids);
    let staged = lake.staged(&schema, &area).unwrap();
    PublishedChange::Changed { staged, hashes: known(&format!("{ids:?}")) }
}

/// A gold table as the latest release has it.
pub(crate) fn unchanged(lake: &Lake, table: &str) -> PublishedChange {
    let table = TableName::new(Layer::Gold, table);
    let release = lake.latest_release().unwrap().unwrap();
    let released = release.tables[&table.to_string()].clone();
    let (version, rows, hashes) = (released.version, released.rows, released.hashes());
    PublishedChange::Unchanged { table, version, rows, hashes }
}

pub(crate) fn publication(run_id: &str, tables: Vec<PublishedChange>) -> Publication {
    let batch = ReleasedBatch { batch_id: format!("batch-of-{run_id}"), records: 3 };
    let mut snapshots = Snapshots::default();
    snapshots.insert(NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(), &batch.batch_id);
    Publication {
        run_id: run_id.to_owned(),
        as_of: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
        batches: BTreeMap::from([("bronze.users".to_owned(), batch)]),
        history: BTreeMap::from([("silver.users_history".to_owned(), snapshots)]),
        tables,
        pipeline_key: Some("5e".repeat(32)),
    }
}

/// The ids in each table of the latest release, read from the files it names; empty without a release.
pub(crate) async fn released(lake: &Lake) -> BTreeMap<String, Vec<i64>> {
    let Some(release) = lake.latest_release().unwrap() else { return BTreeMap::new() };
    let mut contents = BTreeMap::new();
    for (name, table) in release.tables {
        let ids = ids_of(lake, &name, Some(table.version)).await;
        assert_eq!(ids.len() as u64, table.rows, "{name}");
        contents.insert(name, ids);
    }
    contents
}

/// The ids in a version of a table, read from its files.
pub(crate) async fn ids_of(lake: &Lake, table: &str, version: Option<u64>) -> Vec<i64> {
    let published = lake.published(&table.parse().unwrap(), version).await.unwrap().unwrap();
    let mut ids = Vec::new();
    for file in &published.files.files {
        let path = file.location.to_file_path().unwrap();
        bring(&path).unwrap();
        let opened = File::open(path).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(opened).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("id").or(batch.column_by_name("progress")).unwrap();
            ids.extend(column.as_any().downcast_ref::<Int64Array>().unwrap().values());
        }
    }
    ids.sort_unstable();
    ids
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_folder(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

/// Hashes of a table whose fingerprint is known.
pub(crate) fn known(fingerprint: &str) -> TableHashes {
    TableHashes { fingerprint: Some(fingerprint.to_owned()), ..TableHashes::default() }
}
