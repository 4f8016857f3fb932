//! Making tables known to a session.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use medallion_pipeline::TableFiles;

use crate::error::SqlError;
use crate::session::SqlSession;
use crate::table::FileTable;

impl SqlSession {
    /// Makes a table known under its layer and name, over exactly the files listed; nothing is read. A table of the
    /// same name is replaced.
    ///
    /// # Errors
    /// If a file's address or its value of a partition column cannot be used.
    pub async fn register(&self, table: &TableFiles) -> Result<(), SqlError> {
        let name = &table.schema.name;
        let setup = |error: DataFusionError| SqlError::Setup { message: error.strip_backtrace() };
        let provider = Arc::new(FileTable::new(table)?);
        let layer = self.catalog.schema(name.layer.name()).ok_or_else(|| SqlError::Setup {
            message: format!("the engine has no schema for the layer {}", name.layer),
        })?;
        layer.deregister_table(&name.table).map_err(setup)?;
        layer.register_table(name.table.clone(), provider).map_err(setup)?;
        Ok(())
    }
}
