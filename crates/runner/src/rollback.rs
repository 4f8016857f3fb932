//! Going back to an earlier release, and what the next run makes of it.

use std::collections::BTreeMap;

use chrono::Utc;
use medallion_lake::{Lake, Release};
use medallion_pipeline::TableName;

use crate::bronze::CurrentBatch;
use crate::error::Cause;
use crate::guard::released_batch;
use crate::run::run_id;
use crate::scope::Scope;

/// Publishes the contents of release `to` as a new release.
///
/// # Errors
/// If another run holds the customer, there is no such release, or its files are gone.
pub async fn rolled_back(lake: &Lake, to: u64) -> Result<Release, Cause> {
    let now = Utc::now();
    let run_id = run_id(now, lake.customer());
    let _lock = lake.lock(&run_id)?;
    lake.recover().await?;
    Ok(lake.roll_back(to, &run_id, now).await?)
}

/// Fails if the last release is a rollback and no source has anything newer than what was rolled back.
pub(crate) fn check_newer(
    lake: &Lake,
    last: Option<&Release>,
    current: &BTreeMap<TableName, CurrentBatch>,
    scope: &Scope,
) -> Result<(), Cause> {
    let Some((last, to)) = last.and_then(|last| Some((last, last.rolled_back_to?))) else { return Ok(()) };
    let releases = lake.releases()?;
    let before = |release: &&Release| release.release < last.release && release.rolled_back_to.is_none();
    let undone = releases.iter().rfind(before);
    let is_newer = |(name, batch): (&TableName, &CurrentBatch)| {
        let undone = undone.and_then(|undone| undone.batches.get(&name.to_string()));
        released_batch(batch).is_some_and(|batch| undone.is_none_or(|undone| batch.batch_id != undone.batch_id))
    };
    if current.iter().filter(|(name, _)| scope.moves(name)).any(is_newer) {
        Ok(())
    } else {
        Err(Cause::RolledBack { release: last.release, to })
    }
}
