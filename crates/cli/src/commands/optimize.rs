//! `medallion optimize`

use serde_json::json;

use super::vacuum::{Upkeep, failure};
use crate::arguments::{Format, GlobalArguments, HistoryArguments};
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;

pub(crate) async fn optimize(global: &GlobalArguments, read: &HistoryArguments) -> Result<Exit, Failure> {
    let upkeep = Upkeep::begin(&ProjectSettings::read(global)?, read, "optimize").await?;
    let optimized = upkeep.lake.optimize(&upkeep.run_id).await.map_err(|error| failure(read, error))?;
    let mut listing = Listing::new(&["table", "files before", "files", "bytes before", "bytes", "checkpoint"]);
    let (mut merged, mut checkpoints) = (0, 0);
    for (table, done) in &optimized.tables {
        merged += u64::from(done.files_after < done.files_before);
        checkpoints += u64::from(done.checkpoint.is_some());
        if done.files_after < done.files_before || done.checkpoint.is_some() {
            listing.push(vec![
                json!(table),
                json!(done.files_before),
                json!(done.files_after),
                json!(done.bytes_before),
                json!(done.bytes_after),
                json!(done.checkpoint),
            ]);
        }
    }
    if read.format == Format::Table {
        let of = optimized.tables.len();
        output::write(&format!(
            "customer {}: of {of} tables {merged} have fewer files, {checkpoints} a new checkpoint\n",
            read.customer
        ))?;
    }
    listing.write(read.format)?;
    Ok(Exit::Done)
}
