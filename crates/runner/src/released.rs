//! Sources as the last release has them: what selected tables are built from where their sources are not selected.

use std::collections::BTreeMap;

use medallion_lake::{Lake, LedgerEntry, PublishedTable, Release, ReleasedBatch};
use medallion_pipeline::{Mode, Pipeline, SourceTable};

use crate::batch::{BatchId, Batches, Content};
use crate::bronze::{BronzeStep, current_batch, extra_columns, published};
use crate::error::Cause;
use crate::scope::{Scope, not_selected};

/// Puts what the release was built from in the place of what has arrived since, of all sources that do not move.
pub(crate) async fn keep_released(
    lake: Option<&Lake>,
    scope: &Scope,
    pipeline: &Pipeline,
    last: Option<&Release>,
    step: &mut BronzeStep,
) -> Result<(), Cause> {
    for source in pipeline.sources.values().filter(|source| !scope.moves(&source.name)) {
        step.current.remove(&source.name);
        step.batches.remove(&source.name);
        // They go when what is in them is published.
        step.done.remove(&source.name);
        if !scope.has(&source.name) {
            let mut result = not_selected(0);
            result.mode = Some(source.source.mode);
            let batch = last.and_then(|last| last.batches.get(&source.name.to_string()));
            result.batch_id = batch.map(|batch| batch.batch_id.clone());
            step.results.insert(source.name.clone(), result);
        }
    }
    let needed = scope.needed(pipeline);
    let (Some(lake), Some(last), false) = (lake, last, needed.is_empty()) else { return Ok(()) };
    let (published, ledger) = (published(lake, &needed).await?.0, lake.ledger()?);
    for source in needed {
        let before = published.get(&source.name).and_then(Option::as_ref);
        let (batches, counting) = as_released(source, before, &ledger, last)?;
        let mut schema = source.schema.clone();
        schema.columns.extend(extra_columns(source, before));
        let current = current_batch(source, &counting, &BTreeMap::new(), before, schema);
        step.current.insert(source.name.clone(), current);
        step.batches.insert(source.name.clone(), batches);
    }
    Ok(())
}

/// What was taken in of a source, and what of it counted when the release was published.
fn as_released(
    source: &SourceTable,
    published: Option<&PublishedTable>,
    ledger: &[LedgerEntry],
    last: &Release,
) -> Result<(Batches, Vec<Content>), Cause> {
    let Some(ReleasedBatch { batch_id, .. }) = last.batches.get(&source.name.to_string()) else {
        return Ok((Batches::default(), Vec::new()));
    };
    let all = Batches::of(&source.name.table, published, ledger);
    let Some(content) = all.holding(batch_id).cloned() else {
        let (source_table, batch) = (source.name.clone(), batch_id.clone());
        return Err(Cause::BatchGone { source_table, batch, release: last.release });
    };
    if source.source.mode == Mode::Snapshot {
        return Ok((all, vec![content]));
    }
    // Of increments a release names the one that came last.
    let sequence = BatchId::parse(batch_id).map_or(u64::MAX, |batch| batch.sequence);
    let batches = Batches::up_to(&source.name.table, published, ledger, sequence);
    let counting = batches.counting(Mode::Incremental).into_iter().cloned().collect();
    Ok((batches, counting))
}
