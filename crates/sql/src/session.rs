//! The engine, set up for one customer.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemorySchemaProvider};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::{SessionConfig, SessionContext};
use medallion_pipeline::Layer;

use crate::error::SqlError;

const CATALOG: &str = "datafusion";
const MEBIBYTE: usize = 1024 * 1024;

const RUNS_MERGED_AT_ONCE: usize = 8;

/// Small limits need small batches: below 128 MiB they shrink.
const BYTES_OF_LIMIT_PER_ROW_OF_BATCH: usize = 16 * 1024;

/// How a session may use the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlOptions {
    /// Bytes that all queries of the session together may hold; beyond it they spill to disk where they can.
    pub memory_limit: Option<usize>,
    /// Parts of a query that may run at the same time.
    pub threads: usize,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self { memory_limit: None, threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get) }
    }
}

/// SQL over one customer's tables. Queries of a session may run at the same time.
pub struct SqlSession {
    pub(crate) context: SessionContext,
    pub(crate) catalog: Arc<dyn CatalogProvider>,
    pub(crate) memory_limit: Option<usize>,
}

impl std::fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlSession")
            .field("tables", &self.table_names())
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}

impl SqlSession {
    /// A session without tables.
    ///
    /// # Errors
    /// If the engine cannot be set up, for instance because there is no folder for temporary files.
    pub fn new(options: &SqlOptions) -> Result<Self, SqlError> {
        let setup = |error: datafusion::error::DataFusionError| SqlError::Setup { message: error.strip_backtrace() };
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(limit) = options.memory_limit {
            // A merge takes all memory it can get for its runs; what reads from it needs some as well.
            runtime = runtime
                .with_memory_pool(Arc::new(FairSpillPool::new(limit)))
                .with_max_spill_merge_fan_in(RUNS_MERGED_AT_ONCE);
        }
        let runtime = runtime.build_arc().map_err(setup)?;
        let context = SessionContext::new_with_config_rt(configuration(options), runtime);
        let catalog = context.catalog(CATALOG).ok_or_else(|| SqlError::Setup {
            message: format!("the engine has no catalog '{CATALOG}' to hold the layers"),
        })?;
        for layer in Layer::ALL {
            catalog.register_schema(layer.name(), Arc::new(MemorySchemaProvider::new())).map_err(setup)?;
        }
        Ok(Self { context, catalog, memory_limit: options.memory_limit })
    }

    /// Reads and writes `file://` URLs through a store, such as one that has to fetch a file before it can be read.
    #[must_use]
    pub fn over(self, files: Option<Arc<dyn ObjectStore>>) -> Self {
        if let Some(files) = files {
            let url = ObjectStoreUrl::local_filesystem();
            self.context.register_object_store(url.as_ref(), files);
        }
        self
    }

    /// The registered tables as `layer.table`, in order of the layers and names.
    #[must_use]
    pub fn table_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for layer in Layer::ALL {
            let mut tables = self.catalog.schema(layer.name()).map_or_else(Vec::new, |schema| schema.table_names());
            tables.sort_unstable();
            names.extend(tables.into_iter().map(|table| format!("{layer}.{table}")));
        }
        names
    }
}

fn configuration(options: &SqlOptions) -> SessionConfig {
    let threads = options.threads.max(1);
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_information_schema(false)
        .with_target_partitions(threads)
        // Row counts come with the file lists; reading every footer to plan a query would cost more than it gives.
        .with_collect_statistics(false)
        .set_usize("datafusion.execution.planning_concurrency", threads)
        // A result of a few thousand rows would otherwise be spread over four files.
        .set_usize("datafusion.execution.minimum_parallel_output_files", 1)
        .set_usize("datafusion.execution.soft_max_rows_per_output_file", 4_000_000);
    if let Some(limit) = options.memory_limit {
        // Each sorting partition sets this much aside to merge its spilled runs.
        let reservation = (limit / (8 * threads)).clamp(MEBIBYTE / 4, 10 * MEBIBYTE);
        let rows = (limit / BYTES_OF_LIMIT_PER_ROW_OF_BATCH).clamp(1024, config.batch_size());
        config = config.with_sort_spill_reservation_bytes(reservation).with_batch_size(rows);
    }
    let engine = config.options_mut();
    engine.sql_parser.enable_ident_normalization = false;
    engine.sql_parser.collect_spans = true;
    // With the row counts of the file lists, tables smaller than a batch stay on one thread.
    engine.execution.use_row_number_estimates_to_optimize_partitioning = true;
    // Staged files carry neither page statistics nor bloom filters.
    engine.execution.parquet.enable_page_index = false;
    engine.execution.parquet.bloom_filter_on_read = false;
    config
}
