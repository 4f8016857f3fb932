//! Tests over real files in temporary folders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod added_column;
mod audit;
mod lineage;
mod output;
mod query;
mod register;
mod stage;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use medallion_pipeline::{Column, ColumnType, DataFile, TableFiles, TableSchema};
use parquet::arrow::ArrowWriter;
use url::Url;

use crate::{OutputFormat, SqlError, SqlOptions, SqlSession, write_result};

fn session() -> SqlSession {
    SqlSession::new(&SqlOptions { memory_limit: None, threads: 2 }).unwrap()
}

fn schema(name: &str, columns: &[(&str, ColumnType)], partition_columns: &[&str]) -> TableSchema {
    TableSchema {
        name: name.parse().unwrap(),
        description: String::new(),
        columns: columns.iter().map(|(name, data_type)| Column::new(*name, *data_type, "")).collect(),
        partition_columns: partition_columns.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn users_schema() -> TableSchema {
    schema("silver.users", &[("user_id", ColumnType::Long), ("name", ColumnType::Text)], &[])
}

/// Writes users with the given ids and names with a writer that is not the engine's.
fn write_users(path: &Path, users: &[(i64, Option<&str>)]) -> DataFile {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(users.iter().map(|(id, _)| *id)));
    let names: ArrayRef = Arc::new(users.iter().map(|(_, name)| *name).collect::<StringArray>());
    write_parquet(path, &RecordBatch::try_from_iter([("user_id", ids), ("name", names)]).unwrap())
}

fn write_parquet(path: &Path, batch: &RecordBatch) -> DataFile {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    DataFile {
        location: Url::from_file_path(path).unwrap(),
        partition_values: [].into(),
        rows: batch.num_rows() as u64,
        bytes: path.metadata().unwrap().len(),
    }
}

/// A session with `silver.users`: 1 Ann, 2 Bob, 3 without a name.
async fn with_users(folder: &Path) -> SqlSession {
    let file = write_users(&folder.join("users.parquet"), &[(1, Some("Ann")), (2, Some("Bob")), (3, None)]);
    let session = session();
    session.register(&TableFiles { schema: users_schema(), files: vec![file] }).await.unwrap();
    session
}

async fn csv(session: &SqlSession, sql: &str) -> String {
    rendered(session, sql, OutputFormat::Csv).await
}

async fn rendered(session: &SqlSession, sql: &str, format: OutputFormat) -> String {
    let mut text = Vec::new();
    write_result(session.query(sql).await.unwrap(), format, &mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// The error of a query, whether it comes when planning or when running.
async fn error_of(session: &SqlSession, sql: &str) -> SqlError {
    match session.query(sql).await {
        Err(error) => error,
        Ok(result) => match result.batches.try_collect::<Vec<_>>().await {
            Err(error) => error,
            Ok(batches) => panic!("{sql} gave {batches:?}"),
        },
    }
}

/// All Parquet files below a folder, relative to it, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { visit(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    visit(folder, &mut found);
    found.sort();
    found.into_iter().map(|path| path.strip_prefix(folder).unwrap().to_owned()).collect()
}
