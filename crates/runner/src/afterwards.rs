//! What follows a run, whatever its end: its report, its lineage, metrics, and those who want to hear of it.
//!
//! The release is published and the results are written by then, and nothing here changes how the run ended: what goes
//! wrong is a warning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use medallion_lake::Lake;
use medallion_pipeline::Notify;

use crate::error::{Fault, RunError};
use crate::events::{Event, Listener};
use crate::metrics;
use crate::notification::{self, Notification};
use crate::openlineage::{self, Lineage};
use crate::report;
use crate::results::RunResults;
use crate::run::RunOptions;

/// The longest that those who hear of it keep a run that was interrupted.
const AFTER_INTERRUPT: Duration = Duration::from_millis(500);

/// Sees to all that follows a run. `recorded` is there if the run had begun.
pub(crate) async fn see_to(
    options: &RunOptions,
    run_id: &str,
    recorded: Option<&(Lake, RunResults)>,
    error: Option<&RunError>,
    listener: &dyn Listener,
) {
    let warn = |message: String| listener.on(&Event::Warning { table: None, message });
    let results = recorded.map(|(_, results)| results);
    let mut lineage = None;
    if let Some((lake, results)) = recorded {
        let events = || {
            let events = lineage.insert(Lineage::of(options, lake, results, error));
            events.write(lake, run_id)
        };
        // A thread of its own: those of the engines may still be busy with a run that was interrupted.
        let (report, events) = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let events = scope.spawn(|| guarded("openlineage.ndjson", events));
                let report = guarded("report.html", || report::write(options, lake, results, error));
                (report, events.join().unwrap_or(Ok(())))
            })
        });
        [report, events].into_iter().filter_map(Result::err).for_each(warn);
    }
    if let Some(folder) = &options.reporting.metrics {
        let written = metrics::write(folder, options.customer.id.as_str(), results, error.is_none());
        written.err().into_iter().for_each(|problem| warn(format!("metrics were not written: {problem}")));
    }
    let most = error.filter(|error| error.fault() == Fault::Interrupted).map(|_| AFTER_INTERRUPT);
    let notification = Notification::of_run(options.customer.id.as_str(), run_id, results, error);
    let told = notification::tell(&notification, concerned(options), most);
    let endpoint = options.reporting.openlineage.endpoint.as_ref();
    let posted = async {
        match (endpoint, &lineage) {
            (Some(endpoint), Some(lineage)) => openlineage::post(endpoint, lineage, most).await.err(),
            _ => None,
        }
    };
    let (told, posted) = tokio::join!(told, posted);
    told.into_iter().chain(posted).for_each(warn);
}

/// The project's, then the customer's own.
fn concerned(options: &RunOptions) -> impl Iterator<Item = &Notify> {
    options.reporting.notify.iter().chain(&options.customer.notify)
}

/// Does some work that must not end the run, even if it is at fault itself.
fn guarded(file: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let outcome = outcome.unwrap_or_else(|_| Err("this is a fault of medallion; report it".to_owned()));
    outcome.map_err(|problem| format!("{file} of this run was not written: {problem}"))
}
