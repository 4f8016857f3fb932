//! A table as the engine sees it: a list of Parquet files.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema as ScanSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use medallion_pipeline::{Column, DataFile, TableFiles, TableSchema};

use crate::error::SqlError;
use crate::types::{engine_schema, engine_type, field};

/// A table over exactly its files.
#[derive(Debug)]
pub(crate) struct FileTable {
    schema: SchemaRef,
    /// Positions of the columns in a scan, where partition columns come last.
    scan_positions: Vec<usize>,
    file_schema: SchemaRef,
    partition_fields: Vec<FieldRef>,
    store: Option<ObjectStoreUrl>,
    files: Vec<PartitionedFile>,
    rows: Vec<u64>,
}

impl FileTable {
    pub(crate) fn new(table: &TableFiles) -> std::result::Result<Self, SqlError> {
        let schema = &table.schema;
        let partition_columns = partition_columns(schema);
        let is_partition = |column: &Column| schema.partition_columns.contains(&column.name);
        let file_columns = schema.columns.iter().filter(|column| !is_partition(column)).collect::<Vec<_>>();
        let in_scan = file_columns.iter().copied().chain(partition_columns.iter().copied()).collect::<Vec<_>>();
        let position = |column: &Column| in_scan.iter().position(|scanned| scanned.name == column.name);
        let mut files = Vec::with_capacity(table.files.len());
        let mut store = None;
        for file in &table.files {
            let url = ListingTableUrl::try_new(file.location.clone(), None)
                .map_err(|error| unusable_location(schema, file, &error.strip_backtrace()))?;
            files.push(partitioned_file(schema, &partition_columns, file, &url)?);
            store.get_or_insert_with(|| url.object_store());
        }
        Ok(Self {
            schema: engine_schema(schema),
            scan_positions: schema.columns.iter().filter_map(position).collect(),
            file_schema: Arc::new(Schema::new(file_columns.into_iter().map(field).collect::<Vec<_>>())),
            partition_fields: partition_columns.into_iter().map(|column| Arc::new(field(column))).collect(),
            store,
            files,
            rows: table.files.iter().map(|file| file.rows).collect(),
        })
    }

    /// Size of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.object_meta.size).sum()
    }

    /// Whether the filter speaks of partition columns only, so that it selects whole files.
    fn selects_files(&self, filter: &Expr) -> bool {
        let names = self.partition_fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
        !names.is_empty() && expr_applicable_for_cols(&names, filter)
    }

    /// Which files may hold rows for which the filters are true.
    fn selected(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let filters = filters.iter().filter(|filter| self.selects_files(filter)).collect::<Vec<_>>();
        if filters.is_empty() || self.files.is_empty() {
            return Ok((0..self.files.len()).collect());
        }
        let schema = Arc::new(Schema::new(self.partition_fields.clone()));
        let mut columns = Vec::with_capacity(self.partition_fields.len());
        for index in 0..self.partition_fields.len() {
            let values = self.files.iter().filter_map(|file| file.partition_values.get(index).cloned());
            columns.push(ScalarValue::iter_to_array(values)?);
        }
        let values = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let expressions = DFSchema::try_from(schema)?;
        let mut selected = (0..self.files.len()).collect::<Vec<_>>();
        for filter in filters {
            let expression = session.create_physical_expr(filter.clone(), &expressions)?;
            let kept = expression.evaluate(&values)?.into_array(self.files.len())?;
            let kept = as_boolean_array(&kept)?;
            // A filter that is NULL for a file keeps none of its rows.
            selected.retain(|index| kept.is_valid(*index) && kept.value(*index));
        }
        Ok(selected)
    }

    /// Estimates only: what a query returns never depends on a declared number.
    fn statistics_of(&self, selected: &[usize]) -> Statistics {
        let sum = |number: &dyn Fn(usize) -> Option<u64>| {
            let total = selected.iter().filter_map(|index| number(*index)).sum::<u64>();
            Precision::Inexact(usize::try_from(total).unwrap_or(usize::MAX))
        };
        Statistics {
            num_rows: sum(&|index| self.rows.get(index).copied()),
            total_byte_size: sum(&|index| self.files.get(index).map(|file| file.object_meta.size)),
            ..Statistics::new_unknown(&Schema::new(
                self.file_schema.fields().iter().chain(&self.partition_fields).cloned().collect::<Vec<_>>(),
            ))
        }
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match self.selects_files(filter) {
                true => TableProviderFilterPushDown::Exact,
                // Row groups are skipped by their statistics; the rows of the others are filtered afterwards.
                false => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.map_or_else(|| (0..self.schema.fields().len()).collect(), Clone::clone);
        let selected = self.selected(session, filters)?;
        let Some(store_url) = self.store.as_ref().filter(|_| !selected.is_empty()) else {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&columns)?))));
        };
        let store = session.runtime_env().object_store(store_url)?;
        let footers = session.runtime_env().cache_manager.get_file_metadata_cache();
        let scan_schema = ScanSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(self.partition_fields.clone())
            .build();
        let source = ParquetSource::new(scan_schema)
            .with_table_parquet_options(session.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, footers)));
        let files = selected.iter().filter_map(|index| self.files.get(*index).cloned()).collect();
        let in_scan = columns.iter().filter_map(|column| self.scan_positions.get(*column).copied()).collect();
        // One group: the planner cuts it into even parts by size where that pays.
        let config = FileScanConfigBuilder::new(store_url.clone(), Arc::new(source))
            .with_file_group(FileGroup::new(files))
            .with_statistics(self.statistics_of(&selected))
            .with_projection_indices(Some(in_scan))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn partition_columns(schema: &TableSchema) -> Vec<&Column> {
    let declared = |name: &String| schema.columns.iter().find(|column| column.name == *name);
    schema.partition_columns.iter().filter_map(declared).collect()
}

fn partitioned_file(
    schema: &TableSchema,
    partition_columns: &[&Column],
    file: &DataFile,
    url: &ListingTableUrl,
) -> std::result::Result<PartitionedFile, SqlError> {
    let mut values = Vec::with_capacity(partition_columns.len());
    for column in partition_columns {
        let invalid = |message: String| SqlError::PartitionValue {
            table: schema.name.clone(),
            location: file.location.to_string(),
            column: column.name.clone(),
            message,
        };
        let data_type = engine_type(column.data_type);
        let value = file.partition_values.get(&column.name).ok_or_else(|| invalid("it is not given".to_owned()))?;
        let value = match value {
            Some(text) => ScalarValue::try_from_string(text.clone(), &data_type),
            None => ScalarValue::try_from(&data_type),
        };
        values.push(value.map_err(|error| invalid(error.strip_backtrace()))?);
    }
    let mut scanned = PartitionedFile::new("", file.bytes).with_partition_values(values);
    // Set afterwards: the constructor would encode the path's special characters a second time.
    scanned.object_meta.location = url.prefix().clone();
    Ok(scanned)
}

fn unusable_location(schema: &TableSchema, file: &DataFile, message: &str) -> SqlError {
    SqlError::Location { table: schema.name.clone(), location: file.location.to_string(), message: message.to_owned() }
}
