//! What reading commands see: the last complete release, and bronze as it is.

use medallion_lake::{Lake, Release, engine_files};
use medallion_pipeline::{Layer, TableFiles, TableName};
use medallion_sql::{SqlError, SqlOptions, SqlSession};

use crate::batch::{Batches, files_of};
use crate::error::Cause;

/// A session that can read the files of every lake that is open.
///
/// # Errors
/// If the engine cannot be set up.
pub fn sql_session(options: &SqlOptions) -> Result<SqlSession, SqlError> {
    Ok(SqlSession::new(options)?.over(engine_files()))
}

/// A customer's tables as a reader sees them.
#[derive(Debug)]
pub struct PublishedTables {
    /// The release the silver and gold tables belong to; `None` before the first.
    pub release: Option<Release>,
    /// The tables.
    pub tables: Vec<PublishedVersion>,
    /// The lake, which has to stay open as long as somebody reads the tables.
    pub lake: Lake,
}

/// A table at one version.
#[derive(Debug)]
pub struct PublishedVersion {
    /// Its name.
    pub name: TableName,
    /// The Delta version.
    pub version: u64,
    /// Its files and schema.
    pub files: TableFiles,
    /// Bronze: rows of the current batch, of a source whose last export was an increment of all that count. Otherwise
    /// all rows.
    pub current_rows: u64,
}

/// The tables of a customer: silver and gold at the given or the last release, bronze at its last version.
///
/// # Errors
/// If the customer has no lake, there is no such release, or a table cannot be read.
pub async fn published_tables(lake: &Lake, release: Option<u64>) -> Result<PublishedTables, Cause> {
    let is_old = release.is_some();
    let release = match release {
        Some(number) => Some(lake.release(number)?),
        None => lake.latest_release()?,
    };
    let ledger = lake.ledger()?;
    let mut tables = Vec::new();
    for name in lake.tables()? {
        let version = match name.layer {
            Layer::Bronze => None,
            Layer::Silver | Layer::Gold => {
                let released = release.as_ref().and_then(|release| release.tables.get(&name.to_string()));
                // A table that no release names is not published.
                let Some(released) = released else { continue };
                Some(released.version)
            }
        };
        let Some(published) = lake.published(&name, version).await? else { continue };
        if is_old && name.layer != Layer::Bronze {
            lake.check_files(&published)?;
        }
        let batches = Batches::of(&name.table, Some(&published), &ledger);
        let counting = batches.counting(batches.mode()).into_iter().filter_map(|content| content.batch_id.as_ref());
        let rows = |batch: &String| files_of(&published, batch, published.files.schema.clone()).rows();
        let current_rows = match (name.layer, counting.map(rows).reduce(|all, one| all + one)) {
            (Layer::Bronze, Some(rows)) => rows,
            _ => published.rows(),
        };
        tables.push(PublishedVersion { name, version: published.version, files: published.files, current_rows });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(PublishedTables { release, tables, lake: lake.clone() })
}
