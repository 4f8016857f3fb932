//! Tables that others are built from.

use std::collections::BTreeMap;
use std::sync::Arc;

use medallion_lake::Lake;
use medallion_pipeline::{TableFiles, TableName};
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::error::Cause;

/// Tables with what is in them.
pub(crate) type Inputs = BTreeMap<TableName, TableFiles>;

/// A table with its content, which the engine knows once it was asked for. The log of a table that stays as it is is
/// read only then: in most nights without news nobody asks.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    content: Arc<Content>,
    known: Arc<OnceCell<TableFiles>>,
}

/// Where the files of a table are found.
#[derive(Debug)]
enum Content {
    /// In the log, at a version.
    Published(TableName, u64),
    /// Here.
    Found(TableFiles),
}

impl Input {
    /// A table that the engine knows.
    pub(crate) fn known(files: TableFiles) -> Self {
        Self { known: Arc::new(OnceCell::new_with(Some(files.clone()))), content: Arc::new(Content::Found(files)) }
    }

    /// A table as it is published.
    pub(crate) fn published(name: TableName, version: u64) -> Self {
        Self { content: Arc::new(Content::Published(name, version)), known: Arc::default() }
    }

    /// A table with these files.
    pub(crate) fn found(files: TableFiles) -> Self {
        Self { content: Arc::new(Content::Found(files)), known: Arc::default() }
    }

    /// The files of the table; afterwards the engine knows them.
    pub(crate) async fn files(&self, lake: &Lake, engine: &Engine) -> Result<&TableFiles, Cause> {
        let read = || async {
            let files = match self.content.as_ref() {
                Content::Published(name, version) => published(lake, name, *version).await?,
                Content::Found(files) => files.clone(),
            };
            engine.session()?.register(&files).await?;
            Ok(files)
        };
        self.known.get_or_try_init(read).await
    }
}

async fn published(lake: &Lake, name: &TableName, version: u64) -> Result<TableFiles, Cause> {
    let Some(published) = lake.published(name, Some(version)).await? else {
        let message = "it was published and is not there any more; run with --full-refresh".to_owned();
        return Err(Cause::Worker { table: name.to_string(), message });
    };
    Ok(published.files)
}
