//! `medallion run`

use std::sync::Arc;

use medallion_pipeline::Layer;
use medallion_runner::{Interrupt, Listener, RunOptions, RunResults, Upserts};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, RunArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;
use crate::signals;
use crate::telling;

pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: &RunArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    let mut customers = settings.run_options(arguments)?.into_iter();
    let all = customers.len();
    let interrupt = Interrupt::default();
    signals::pass_on(&interrupt, console)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen to signals: {error}")))?;
    let mut outcomes = Outcomes::default();
    for options in customers.by_ref() {
        let outcome = match options {
            Ok(options) => run_customer(&RunOptions { interrupt: interrupt.clone(), ..options }, console).await,
            Err(failure) => {
                telling::of_configuration(&settings, &failure, console).await;
                Err(failure)
            }
        };
        let is_interrupted = interrupt.is_asked();
        match outcome {
            Ok(results) => {
                outcomes.done += 1;
                if is_interrupted {
                    let customer = &results.customer;
                    console.note(&format!("customer {customer}: the interrupt came too late, the run is complete"));
                }
                // The release is published, and further customers wait: a full disk behind stdout must not stop them.
                if let Some(failure) = (!global.quiet).then(|| summary(&results).err()).flatten() {
                    outcomes.unwritten.get_or_insert(failure);
                }
            }
            Err(failure) => {
                console.failure(&failure);
                outcomes.failures.push(failure.exit);
            }
        }
        if is_interrupted {
            break;
        }
    }
    match customers.len() {
        0 => outcomes.exit(),
        left => Err(Failure::new(Exit::Interrupted, format!("interrupted: {left} of {all} customers were not run"))),
    }
}

/// How the customers' runs ended.
#[derive(Default)]
struct Outcomes {
    done: usize,
    failures: Vec<Exit>,
    /// Why a summary could not be written.
    unwritten: Option<Failure>,
}

impl Outcomes {
    fn exit(self) -> Result<Exit, Failure> {
        if let Some(failure) = self.unwritten {
            return Err(failure);
        }
        Ok(match self.failures.as_slice() {
            [] => Exit::Done,
            [only] if self.done == 0 => *only,
            several if several.contains(&Exit::Interrupted) => Exit::Interrupted,
            _ if self.done == 0 => Exit::Failed,
            _ => Exit::SomeFailed,
        })
    }
}

async fn run_customer(options: &RunOptions, console: &Console) -> Result<RunResults, Failure> {
    let listener = Arc::new(console.listener(options.customer.id.as_str()));
    let outcome = medallion_runner::run(options, Arc::clone(&listener) as Arc<dyn Listener>).await;
    listener.finish();
    outcome.map_err(|error| Failure { run_id: listener.run_id(), ..Failure::from(error) })
}

/// What a run did, layer by layer.
fn summary(results: &RunResults) -> Result<(), Failure> {
    let mut listing = Listing::new(&["layer", "tables", "rows in", "rows out", "rejected", "seconds"]);
    let seconds = |seconds: f64| json!((seconds * 1000.0).round() / 1000.0);
    for layer in Layer::ALL {
        let sum = results.layer(layer);
        listing.push(vec![
            json!(layer),
            json!(sum.tables),
            json!(sum.rows_in),
            json!(sum.rows_out),
            json!(sum.rejected),
            seconds(sum.seconds),
        ]);
    }
    let release = match results.release {
        Some(release) => format!("release {release} published"),
        None => "nothing has changed, no release published,".to_owned(),
    };
    output::write(&format!(
        "customer {}, as of {}: {release} in {:.2} s (run {})\n",
        results.customer, results.as_of, results.seconds, results.run_id
    ))?;
    listing.write(Format::Table)?;
    upserts(results)
}

/// What the increments that are new did to each table.
fn upserts(results: &RunResults) -> Result<(), Failure> {
    for (table, result) in &results.tables {
        let Some(sums) = result.upserts.as_ref().filter(|sums| !sums.batches.is_empty()) else { continue };
        let Upserts { inserted, updated, unchanged, deleted, absent } = sums.of_new();
        let absent = if absent > 0 { format!(", {absent} not there to delete") } else { String::new() };
        output::write(&format!(
            "{table}: {inserted} inserted, {updated} updated, {unchanged} unchanged, {deleted} deleted{absent}\n"
        ))?;
    }
    Ok(())
}
