//! Parquet in and out of Polars.

use std::fs::File;
use std::path::{Path, PathBuf};

use medallion_pipeline::{TableFiles, TableName, TableSchema};
use polars::prelude::*;
use url::Url;

use crate::column::data_type;
use crate::error::SilverError;

/// The name of the one file of a table that Polars writes.
const FILE: &str = "part-00000.parquet";

/// Reads the named columns of a table, its files one after another.
pub(crate) fn read(table: &TableFiles, columns: &[&str]) -> Result<DataFrame, SilverError> {
    let name = &table.schema.name;
    let failed = |source| SilverError::Polars { table: name.clone(), action: "read its files", source };
    let mut frames: Option<DataFrame> = None;
    for file in &table.files {
        let path = local_path(&file.location);
        let opened = File::open(&path).map_err(|source| SilverError::File {
            table: name.clone(),
            action: "open",
            path: path.clone(),
            source,
        })?;
        let wanted = columns.iter().map(|column| (*column).to_owned()).collect();
        let frame = ParquetReader::new(opened).with_columns(Some(wanted)).finish().map_err(failed)?;
        let frame = frame.select(columns.iter().copied()).map_err(failed)?;
        match &mut frames {
            Some(frames) => {
                frames.vstack_mut(&frame).map_err(failed)?;
            }
            None => frames = Some(frame),
        }
    }
    frames.map_or_else(|| empty(&table.schema, columns).map_err(failed), Ok)
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
    let file = create(table, &path)?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Snappy)
        .with_row_group_size(Some(1 << 20))
        .finish(frame)
        .map(|_| ())
        .map_err(|source| SilverError::Polars { table: table.clone(), action: "write its file", source })
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

/// The path of a `file://` URL; lakes of this build are local.
pub(crate) fn local_path(location: &Url) -> PathBuf {
    location.to_file_path().unwrap_or_else(|()| PathBuf::from(location.path()))
}
