//! Tables that others are built from.

use std::collections::BTreeMap;
use std::sync::Arc;

use medallion_lake::Lake;
use medallion_pipeline::{TableFiles, TableName};
use medallion_sql::SqlSession;
use tokio::sync::OnceCell;

use crate::error::Cause;

/// Tables with what is in them.
pub(crate) type Inputs = BTreeMap<TableName, TableFiles>;

/// A table with its content, which the session knows once it was asked for. The log of a table that stays as it is is
/// read only then: in most nights without news nobody asks.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    name: TableName,
    /// The version that is published.
    version: Option<u64>,
    files: Arc<OnceCell<TableFiles>>,
}

impl Input {
    /// A table that the session knows.
    pub(crate) fn known(files: TableFiles) -> Self {
        Self { name: files.schema.name.clone(), version: None, files: Arc::new(OnceCell::new_with(Some(files))) }
    }

    /// A table as it is published.
    pub(crate) fn published(name: TableName, version: u64) -> Self {
        Self { name, version: Some(version), files: Arc::default() }
    }

    /// The files of the table; afterwards the session knows them.
    pub(crate) async fn files(&self, lake: &Lake, session: &SqlSession) -> Result<&TableFiles, Cause> {
        let read = || async {
            let published = lake.published(&self.name, self.version).await?;
            let Some(published) = published else {
                let message = "it was published and is not there any more; run with --full-refresh".to_owned();
                return Err(Cause::Worker { table: self.name.to_string(), message });
            };
            session.register(&published.files).await?;
            Ok(published.files)
        };
        self.files.get_or_try_init(read).await
    }
}
