//! Keeps the table of rejected rows: what parsing set aside is there before its batch is, what silver set aside before
//! its release.

use std::collections::BTreeSet;

use medallion_lake::{CommitInfo, CommitMode, Lake};
use medallion_pipeline::{Reject, rejects};
use medallion_silver::rejects::{Row, Stage, merged, stage, without};

use crate::error::Cause;

/// Replaces what one stage set aside of the given batches. A batch whose commit failed comes again under the same id,
/// so that nothing is there twice.
pub(crate) async fn replace(
    lake: &Lake,
    run_id: &str,
    from: Stage,
    batches: &BTreeSet<String>,
    set_aside: &[Reject],
) -> Result<(), Cause> {
    if batches.is_empty() && set_aside.is_empty() {
        return Ok(());
    }
    let table = rejects::table();
    let published = lake.published(&table, None).await?;
    let files = published.as_ref().map(|published| &published.files);
    match merged(files, from, batches, set_aside, run_id)? {
        Some(rows) => commit(lake, run_id, from.name(), &rows).await,
        None => Ok(()),
    }
}

/// Removes what was set aside of batches whose rows are gone.
pub(crate) async fn remove(lake: &Lake, run_id: &str, batches: &BTreeSet<String>) -> Result<(), Cause> {
    let Some(published) = lake.published(&rejects::table(), None).await? else { return Ok(()) };
    match without(&published.files, batches)? {
        Some(rows) => commit(lake, run_id, "retired", &rows).await,
        None => Ok(()),
    }
}

async fn commit(lake: &Lake, run_id: &str, step: &str, rows: &[Row]) -> Result<(), Cause> {
    let area = lake.staging_area(&rejects::table(), &format!("{run_id}-{step}"))?;
    stage(rows, &area)?;
    let staged = lake.staged(&rejects::schema(), &area)?;
    let info = CommitInfo { run_id: run_id.to_owned(), ..CommitInfo::default() };
    lake.commit(&staged, CommitMode::Overwrite, &info).await?;
    Ok(())
}
