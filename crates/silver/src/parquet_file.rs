//! Parquet in and out of Polars.

use std::fs::File;
use std::path::{Path, PathBuf};

use medallion_lake::{ReportedFile, bring};
use medallion_pipeline::{TableFiles, TableName, TableSchema};
use polars::prelude::*;
use url::Url;

use crate::column::data_type;
use crate::error::SilverError;

/// The name of the one file of a table that Polars writes.
const FILE: &str = "part-00000.parquet";

/// Reads the named columns of a table, its files one after another. A column that came after a file was written is
/// NULL in its rows.
pub(crate) fn read(table: &TableFiles, columns: &[&str]) -> Result<DataFrame, SilverError> {
    let name = &table.schema.name;
    let failed = |source| SilverError::Polars { table: name.clone(), action: "read its files", source };
    let mut frames: Option<DataFrame> = None;
    for file in &table.files {
        let path = local_path(&file.location);
        let opened = bring(&path).and_then(|()| File::open(&path)).map_err(|source| SilverError::File {
            table: name.clone(),
            action: "open",
            path: path.clone(),
            source,
        })?;
        let frame = read_file(opened, &table.schema, columns).map_err(failed)?;
        match &mut frames {
            Some(frames) => {
                frames.vstack_mut(&frame).map_err(failed)?;
            }
            None => frames = Some(frame),
        }
    }
    frames.map_or_else(|| empty(&table.schema, columns).map_err(failed), Ok)
}

fn read_file(file: File, schema: &TableSchema, columns: &[&str]) -> PolarsResult<DataFrame> {
    let mut reader = ParquetReader::new(file);
    let (found, rows) = (reader.schema()?, reader.num_rows()?);
    let missing = |name: &&str| {
        let column = schema.columns.iter().find(|column| column.name == **name);
        column.filter(|_| !found.contains(name)).map(|column| data_type(column.data_type))
    };
    let wanted: Vec<String> =
        columns.iter().filter(|name| missing(name).is_none()).map(|name| (*name).to_owned()).collect();
    // A frame without columns would not know how many rows it has.
    let mut read = match wanted.is_empty() {
        true => DataFrame::empty_with_height(rows),
        false => reader.with_columns(Some(wanted)).finish()?,
    };
    for (name, data_type) in columns.iter().filter_map(|name| Some((*name, missing(name)?))) {
        read.with_column(polars::prelude::Column::full_null(name.into(), rows, &data_type))?;
    }
    read.select(columns.iter().copied())
}

fn empty(schema: &TableSchema, columns: &[&str]) -> PolarsResult<DataFrame> {
    let column = |name: &&str| {
        let found = schema.columns.iter().find(|column| column.name == **name);
        let column_type = found.map_or(DataType::String, |column| data_type(column.data_type));
        polars::prelude::Column::new_empty((*name).into(), &column_type)
    };
    DataFrame::new(0, columns.iter().map(column).collect())
}

/// Writes a frame as the only file of a staging area.
pub(crate) fn write(table: &TableName, frame: &mut DataFrame, area: &Url) -> Result<(), SilverError> {
    let path = local_path(area).join(FILE);
    let file = ReportedFile::new(create(table, &path)?);
    let report = file.report();
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Snappy)
        .with_row_group_size(Some(1 << 20))
        .finish(frame)
        .map(|_| ())
        .map_err(|error| SilverError::File {
            table: table.clone(),
            action: "write",
            path,
            source: report.reason(error),
        })
}

/// Creates a file of a staging area.
pub(crate) fn create(table: &TableName, path: &Path) -> Result<File, SilverError> {
    File::create(path).map_err(|source| SilverError::File {
        table: table.clone(),
        action: "create",
        path: path.to_path_buf(),
        source,
    })
}

/// The path of a `file://` URL: what engines read and write is local, wherever the lake is.
pub(crate) fn local_path(location: &Url) -> PathBuf {
    location.to_file_path().unwrap_or_else(|()| PathBuf::from(location.path()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use medallion_pipeline::{Column, ColumnType, DataFile};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// Three columns of text and one of numbers; the files of the tests have some of them.
    fn schema() -> TableSchema {
        let columns = [
            ("name", ColumnType::Text),
            ("city", ColumnType::Text),
            ("points", ColumnType::Long),
            ("email", ColumnType::Text),
        ];
        TableSchema {
            name: "bronze.users".parse().unwrap(),
            description: String::new(),
            columns: columns.map(|(name, data_type)| Column::new(name, data_type, "")).into(),
            partition_columns: vec![],
        }
    }

    fn write_file(path: &Path, columns: Vec<(&str, ArrayRef)>) -> DataFile {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        DataFile {
            location: Url::from_file_path(path).unwrap(),
            partition_values: [].into(),
            rows: batch.num_rows() as u64,
            bytes: path.metadata().unwrap().len(),
        }
    }

    fn texts(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    /// An old file with names and cities, and a newer one, in another order, with all columns.
    fn table(folder: &Path) -> TableFiles {
        let old = vec![("name", texts(&["Ann", "Bob"])), ("city", texts(&["Oslo", "Rome"]))];
        let points: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let new = vec![
            ("email", texts(&["cid@example.org"])),
            ("points", points),
            ("city", texts(&["Bonn"])),
            ("name", texts(&["Cid"])),
        ];
        let files = vec![write_file(&folder.join("0.parquet"), old), write_file(&folder.join("1.parquet"), new)];
        TableFiles { schema: schema(), files }
    }

    fn text_column<'a>(frame: &'a DataFrame, name: &str) -> Vec<Option<&'a str>> {
        frame.column(name).unwrap().str().unwrap().iter().collect()
    }

    #[test]
    fn a_column_that_came_later_is_null_in_older_files() {
        let folder = tempfile::tempdir().unwrap();
        let frame = read(&table(folder.path()), &["points", "name", "email"]).unwrap();
        assert_eq!(frame.get_column_names(), ["points", "name", "email"]);
        assert_eq!(text_column(&frame, "name"), [Some("Ann"), Some("Bob"), Some("Cid")]);
        assert_eq!(text_column(&frame, "email"), [None, None, Some("cid@example.org")]);
        let points: Vec<_> = frame.column("points").unwrap().i64().unwrap().iter().collect();
        assert_eq!(points, [None, None, Some(7)]);
    }

    #[test]
    fn a_file_with_none_of_the_columns_still_has_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let table = table(folder.path());
        let frame = read(&table, &["email"]).unwrap();
        assert_eq!(text_column(&frame, "email"), [None, None, Some("cid@example.org")]);
        let old = TableFiles { schema: table.schema, files: table.files[..1].to_vec() };
        let frame = read(&old, &["email", "points"]).unwrap();
        assert_eq!((frame.height(), frame.column("points").unwrap().dtype()), (2, &DataType::Int64));
        assert_eq!(text_column(&frame, "email"), [None, None]);
    }

    #[test]
    fn a_column_that_the_table_has_not_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&table(folder.path()), &["name", "shoe_size"]).unwrap_err();
        assert!(error.to_string().contains("shoe_size"), "{error}");
    }
}
