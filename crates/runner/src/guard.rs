//! Guards over what arrived: a snapshot that shrank, an export that is too old.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use medallion_lake::{Release, ReleasedBatch};
use medallion_pipeline::{Mode, Pipeline, TableName};

use crate::batch::BatchId;
use crate::bronze::CurrentBatch;
use crate::error::Cause;
use crate::results::TableResult;
use crate::scope::Scope;

/// What guards compare.
pub(crate) struct Guards<'a> {
    pub pipeline: &'a Pipeline,
    pub last: Option<&'a Release>,
    /// Sources that may shrink.
    pub accept_shrink: &'a BTreeSet<String>,
    pub as_of: NaiveDate,
    pub scope: &'a Scope,
}

impl Guards<'_> {
    /// Fails if a current batch may not be published, with all reasons at once.
    pub(crate) fn check(
        &self,
        current: &BTreeMap<TableName, CurrentBatch>,
        results: &BTreeMap<TableName, TableResult>,
    ) -> Result<(), Cause> {
        let mut shrunk = Vec::new();
        let mut reasons = Vec::new();
        for (name, batch) in current.iter().filter(|(name, _)| self.scope.moves(name)) {
            if let Some(reason) = self.shrank(name, batch) {
                shrunk.push(name.table.clone());
                reasons.push(reason);
            }
            reasons.extend(results.get(name).and_then(|result| self.too_old(name, result.export_date?)));
        }
        if reasons.is_empty() { Ok(()) } else { Err(Cause::Guard { reasons, shrunk }) }
    }

    fn shrank(&self, name: &TableName, batch: &CurrentBatch) -> Option<String> {
        let source = &self.pipeline.sources.get(&name.table)?.source;
        if source.mode == Mode::Incremental {
            return None;
        }
        let last = self.last?.batches.get(&name.to_string())?;
        let (id, now) = (batch.batch_id.as_ref()?, batch.files.rows());
        let (before, ratio) = (last.records, source.min_ratio);
        #[allow(clippy::cast_precision_loss)]
        let enough = now as f64 >= ratio * before as f64;
        let is_fine = *id == last.batch_id || before < source.min_rows || enough;
        (!is_fine && !self.accept_shrink.contains(&name.table)).then(|| {
            format!(
                "source {}: the batch {id} has {now} records that are sound, the last published one had {before}; at least {ratio} of \
                 that is expected",
                name.table
            )
        })
    }

    fn too_old(&self, name: &TableName, export_date: NaiveDate) -> Option<String> {
        let most = self.pipeline.sources.get(&name.table)?.source.max_age_days?;
        let oldest = self.as_of.checked_sub_days(Days::new(u64::from(most)))?;
        (export_date < oldest).then(|| {
            format!(
                "source {}: its newest export is of {export_date}; on {} it may be {most} days old at most",
                name.table, self.as_of
            )
        })
    }
}

/// The batches of a release, for the guards of the next one: of sources whose tables are not built they stay those of the
/// last.
pub(crate) fn released_batches(
    current: &BTreeMap<TableName, CurrentBatch>,
    scope: &Scope,
    last: Option<&Release>,
) -> BTreeMap<String, ReleasedBatch> {
    let moves = |name: &String| name.parse().is_ok_and(|name| scope.moves(&name));
    let before = last.into_iter().flat_map(|last| &last.batches);
    let stay = before.filter(|(name, _)| scope.is_selective() && !moves(name));
    let moved = current.iter().filter(|(name, _)| scope.moves(name));
    let moved = moved.filter_map(|(name, batch)| Some((name.to_string(), released_batch(batch)?)));
    stay.map(|(name, batch)| (name.clone(), batch.clone())).chain(moved).collect()
}

/// The batch that a release names. Of increments it is the one that came last, whatever its date, so that each that comes
/// makes a difference; with the records of the largest, which most likely was a full export: what a snapshot has to be
/// compared with, should the source become one.
pub(crate) fn released_batch(batch: &CurrentBatch) -> Option<ReleasedBatch> {
    let Some(increments) = &batch.increments else {
        return Some(ReleasedBatch { batch_id: batch.batch_id.clone()?, records: batch.files.rows() });
    };
    let sequence = |batch_id: &str| BatchId::parse(batch_id).map(|batch| batch.sequence);
    let last = increments.iter().max_by_key(|increment| sequence(&increment.batch_id))?;
    let records = increments.iter().map(|increment| increment.rows).max()?;
    Some(ReleasedBatch { batch_id: last.batch_id.clone(), records })
}
