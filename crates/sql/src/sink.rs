//! Writing rows as Parquet files, each partition by a task of its own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::parquet::ParquetSink;
use datafusion::datasource::physical_plan::{FileGroup, FileOutputMode, FileSinkConfig};
use datafusion::datasource::sink::DataSink;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::object_store::path::PathPart;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use medallion_pipeline::{TableName, TableSchema};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use crate::error::{SqlError, Subject};

/// What stands for NULL in a folder name, as in Hive, Spark and Delta.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

const ROWS_PER_ROW_GROUP: usize = 512 * 1024;

/// Batches a writer may lag behind.
const BATCHES_AHEAD: usize = 4;

/// Takes the rows of a table and writes them below a folder.
pub(crate) struct Sink {
    table: TableName,
    area: Url,
    file_schema: SchemaRef,
    file_columns: Vec<usize>,
    partitions: Partitions,
    context: Arc<TaskContext>,
    memory_limit: Option<usize>,
    // Before the channels: dropped after an error, the tasks end before they could take it for the end of the rows.
    tasks: JoinSet<Result<u64, DataFusionError>>,
    writers: Vec<mpsc::Sender<RecordBatch>>,
}

impl Sink {
    pub(crate) fn new(
        table: &TableSchema,
        schema: &SchemaRef,
        area: &Url,
        context: Arc<TaskContext>,
        memory_limit: Option<usize>,
    ) -> Result<Self, SqlError> {
        let table_name = table.name.clone();
        let by_arrow = |error: ArrowError| write_error(&table_name, area, error.to_string());
        let file_columns = (0..schema.fields().len())
            .filter(|index| !table.partition_columns.contains(schema.field(*index).name()))
            .collect::<Vec<_>>();
        Ok(Self {
            file_schema: Arc::new(schema.project(&file_columns).map_err(by_arrow)?),
            partitions: Partitions::new(&table.partition_columns, schema).map_err(by_arrow)?,
            table: table_name.clone(),
            area: area.clone(),
            file_columns,
            context,
            memory_limit,
            tasks: JoinSet::new(),
            writers: Vec::new(),
        })
    }

    pub(crate) async fn write(&mut self, batch: RecordBatch) -> Result<(), SqlError> {
        let parts = self.partitions.split(batch).map_err(|error| self.unwritable(error.to_string()))?;
        for part in parts {
            let rows = part.rows.project(&self.file_columns).map_err(|error| self.unwritable(error.to_string()))?;
            if part.writer == self.writers.len() {
                let folder = folder_of(&self.area, &part.folders).map_err(|message| self.unwritable(message))?;
                let writer = self.open(folder)?;
                self.writers.push(writer);
            }
            let delivered = match self.writers.get(part.writer) {
                Some(writer) => writer.send(rows).await.is_ok(),
                None => false,
            };
            if !delivered {
                // The writer ended early; its own error says why.
                self.close().await?;
                return Err(self.unwritable("a writer ended before it had all rows".to_owned()));
            }
        }
        Ok(())
    }

    /// Waits for the files to be complete and returns the number of rows in them.
    pub(crate) async fn finish(mut self) -> Result<u64, SqlError> {
        self.close().await
    }

    async fn close(&mut self) -> Result<u64, SqlError> {
        self.writers.clear();
        let mut total = 0;
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(rows)) => total += rows,
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(error) => return Err(self.unwritable(error.to_string())),
            }
        }
        Ok(total)
    }

    fn open(&mut self, folder: Url) -> Result<mpsc::Sender<RecordBatch>, SqlError> {
        let place = ListingTableUrl::try_new(folder, None).map_err(|error| SqlError::Location {
            table: self.table.clone(),
            location: self.area.to_string(),
            message: error.strip_backtrace(),
        })?;
        let sink = ParquetSink::new(
            FileSinkConfig {
                original_url: place.to_string(),
                object_store_url: place.object_store(),
                file_group: FileGroup::default(),
                table_paths: vec![place],
                output_schema: Arc::clone(&self.file_schema),
                table_partition_cols: Vec::new(),
                insert_op: InsertOp::Append,
                keep_partition_by_columns: false,
                file_extension: "parquet".to_owned(),
                file_output_mode: FileOutputMode::Directory,
            },
            parquet_options(),
        );
        let (sender, receiver) = mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
        let rows =
            stream::unfold(
                receiver,
                |mut receiver| async move { receiver.recv().await.map(|batch| (Ok(batch), receiver)) },
            );
        let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.file_schema), rows));
        let context = Arc::clone(&self.context);
        self.tasks.spawn(async move { sink.write_all(rows, &context).await });
        Ok(sender)
    }

    fn unwritable(&self, message: String) -> SqlError {
        write_error(&self.table, &self.area, message)
    }

    fn failed(&self, error: &DataFusionError) -> SqlError {
        match SqlError::running(&Subject::Table(self.table.clone()), error, self.memory_limit) {
            memory @ SqlError::Memory { .. } => memory,
            _ => self.unwritable(error.find_root().strip_backtrace()),
        }
    }
}

fn write_error(table: &TableName, area: &Url, message: String) -> SqlError {
    SqlError::Write { table: table.clone(), location: area.to_string(), message }
}

fn parquet_options() -> TableParquetOptions {
    let mut options = TableParquetOptions::default();
    options.global.compression = Some("snappy".to_owned());
    options.global.dictionary_enabled = Some(true);
    options.global.statistics_enabled = Some("chunk".to_owned());
    options.global.max_row_group_size = ROWS_PER_ROW_GROUP;
    // The Parquet types say all; the engine's own (string views) would only trouble other readers.
    options.global.skip_arrow_metadata = true;
    options
}

/// The folder of a partition. Values are encoded for a path, then the path for a URL.
fn folder_of(area: &Url, folders: &[String]) -> Result<Url, String> {
    let mut url = area.clone();
    let mut segments = url.path_segments_mut().map_err(|()| "it has no path".to_owned())?;
    segments.pop_if_empty();
    for folder in folders {
        segments.push(PathPart::from(folder.as_str()).as_ref());
    }
    segments.push("");
    drop(segments);
    Ok(url)
}

/// Rows of one partition.
struct Part {
    /// The number of the partition in order of first appearance.
    writer: usize,
    /// Its folders, set when it first appears.
    folders: Vec<String>,
    rows: RecordBatch,
}

/// Tells the rows of a table apart by their partition columns.
struct Partitions {
    names: Vec<String>,
    columns: Vec<usize>,
    converter: RowConverter,
    known: HashMap<Box<[u8]>, usize>,
}

impl Partitions {
    fn new(names: &[String], schema: &SchemaRef) -> Result<Self, ArrowError> {
        let columns = names.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let fields = columns.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
        Ok(Self { names: names.to_vec(), columns, converter: RowConverter::new(fields)?, known: HashMap::new() })
    }

    fn split(&mut self, batch: RecordBatch) -> Result<Vec<Part>, ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.columns.is_empty() {
            return Ok(vec![Part { writer: 0, folders: Vec::new(), rows: batch }]);
        }
        let keys = self.columns.iter().map(|index| Arc::clone(batch.column(*index))).collect::<Vec<_>>();
        let rows_of = self.rows_by_partition(&keys)?;
        if let [(writer, first, _)] = rows_of.as_slice() {
            let folders = self.folders(&keys, *first)?;
            return Ok(vec![Part { writer: *writer, folders, rows: batch }]);
        }
        let mut parts = Vec::with_capacity(rows_of.len());
        for (writer, first, rows) in rows_of {
            let rows = take_record_batch(&batch, &UInt64Array::from(rows))?;
            parts.push(Part { writer, folders: self.folders(&keys, first)?, rows });
        }
        Ok(parts)
    }

    /// For each partition in the batch its number, its first row and all its rows; new partitions in rising order.
    fn rows_by_partition(&mut self, keys: &[ArrayRef]) -> Result<Vec<(usize, usize, Vec<u64>)>, ArrowError> {
        let encoded = self.converter.convert_columns(keys)?;
        let mut slots: HashMap<usize, usize> = HashMap::new();
        let mut found: Vec<(usize, usize, Vec<u64>)> = Vec::new();
        let mut previous: Option<(arrow::row::Row<'_>, usize)> = None;
        for (row, key) in encoded.iter().enumerate() {
            let slot = match previous {
                Some((same, slot)) if same == key => slot,
                _ => {
                    let partition = self.number_of(key.as_ref());
                    *slots.entry(partition).or_insert_with(|| {
                        found.push((partition, row, Vec::new()));
                        found.len() - 1
                    })
                }
            };
            previous = Some((key, slot));
            if let Some((_, _, rows)) = found.get_mut(slot) {
                rows.push(row as u64);
            }
        }
        Ok(found)
    }

    /// The number of a partition, given when it is first seen.
    fn number_of(&mut self, key: &[u8]) -> usize {
        if let Some(number) = self.known.get(key) {
            return *number;
        }
        let number = self.known.len();
        self.known.insert(key.into(), number);
        number
    }

    fn folders(&self, keys: &[ArrayRef], row: usize) -> Result<Vec<String>, ArrowError> {
        let folder = |(name, key): (&String, &ArrayRef)| {
            let text = cast(&key.slice(row, 1), &DataType::Utf8)?;
            let value = text.as_string::<i32>().iter().next().flatten().unwrap_or(NULL_PARTITION);
            Ok(format!("{name}={value}"))
        };
        self.names.iter().zip(keys).map(folder).collect()
    }
}
