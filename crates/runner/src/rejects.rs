//! Keeps the table of rejected rows: what parsing set aside is there before its batch is, what silver set aside before
//! its release.

use std::collections::BTreeSet;

use medallion_lake::{CommitInfo, CommitMode, Lake};
use medallion_pipeline::{Reject, rejects};
use medallion_silver::rejects::{Stage, merged, stage};

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
    let table = rejects::table();
    let published = lake.published(&table, None).await?;
    let files = published.as_ref().map(|published| &published.files);
    let Some(rows) = merged(files, from, batches, set_aside, run_id)? else { return Ok(()) };
    let area = lake.staging_area(&table, &format!("{run_id}-{}", from.name()))?;
    stage(&rows, &area)?;
    let staged = lake.staged(&rejects::schema(), &area)?;
    let info = CommitInfo { run_id: run_id.to_owned(), ..CommitInfo::default() };
    lake.commit(&staged, CommitMode::Overwrite, &info).await?;
    Ok(())
}
