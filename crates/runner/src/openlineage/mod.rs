//! What a run read and wrote, as `OpenLineage` events (2-0-2): in the run's folder, and posted where that is wanted.
//!
//! A run of a customer is a job `<customer>`. Each source that was taken in and each table that was built is a job
//! `<customer>.<layer>.<table>` below it, the data tests are `<customer>.tests`. A table that was built and not
//! published, because the run failed, is an `ABORT`: nothing was written.

mod columns;
mod datasets;
mod facets;
mod jobs;

use std::time::Duration;

use futures::stream::{self, StreamExt};
use medallion_lake::Lake;
use medallion_pipeline::reporting::LineageEndpoint;
use serde_json::Value;

use crate::error::RunError;
use crate::results::RunResults;
use crate::run::RunOptions;
use crate::web::Recipient;

const FILE: &str = "openlineage.ndjson";
/// How many jobs' events are posted at the same time.
const CONCURRENT_JOBS: usize = 4;

/// The events of a run.
pub(crate) struct Lineage {
    /// By job, each in the order of its times; the run itself is the first.
    jobs: Vec<Vec<Value>>,
}

impl Lineage {
    /// The events of a run that had begun.
    pub(crate) fn of(options: &RunOptions, lake: &Lake, results: &RunResults, error: Option<&RunError>) -> Self {
        Self { jobs: jobs::Writer::new(options, lake, results, error).jobs() }
    }

    /// The events in order: that the run starts, the jobs below it, that it ends.
    fn events(&self) -> impl Iterator<Item = &Value> {
        let (run, below) = self.jobs.split_first().map_or((&[][..], &[][..]), |(run, below)| (run.as_slice(), below));
        let (start, end) = run.split_at(run.len().min(1));
        start.iter().chain(below.iter().flatten()).chain(end)
    }

    /// Writes one event a line into the run's folder.
    pub(crate) fn write(&self, lake: &Lake, run_id: &str) -> Result<(), String> {
        let mut text = String::new();
        for event in self.events() {
            text.push_str(&event.to_string());
            text.push('\n');
        }
        lake.write_run_report(run_id, FILE, text.as_bytes()).map(drop).map_err(|error| error.to_string())
    }
}

/// Posts all events, the jobs below the run at the same time; gives up at the first that is not taken. `most` bounds the
/// time that is given to it.
pub(crate) async fn post(endpoint: &LineageEndpoint, lineage: &Lineage, most: Option<Duration>) -> Result<(), String> {
    let timeout = most.map_or(endpoint.timeout, |most| most.min(endpoint.timeout));
    let recipient = Recipient::new(&endpoint.address, timeout).map_err(|error| failed(&error))?;
    let recipient = &recipient.bearer(endpoint.api_key.as_ref());
    let all = |events: Vec<String>| async move {
        for event in events {
            recipient.post(event.as_bytes()).await?;
        }
        Ok::<(), String>(())
    };
    let texts = |events: &[Value]| events.iter().map(Value::to_string).collect::<Vec<_>>();
    let Some((run, below)) = lineage.jobs.split_first() else { return Ok(()) };
    let (start, end) = run.split_at(run.len().min(1));
    all(texts(start)).await.map_err(|error| failed(&error))?;
    let mut posted = stream::iter(below.iter().map(|job| all(texts(job)))).buffer_unordered(CONCURRENT_JOBS);
    while let Some(outcome) = posted.next().await {
        outcome.map_err(|error| failed(&error))?;
    }
    all(texts(end)).await.map_err(|error| failed(&error))
}

fn failed(problem: &str) -> String {
    format!("OpenLineage events were not all delivered to {problem}; all are in the run's {FILE}")
}
