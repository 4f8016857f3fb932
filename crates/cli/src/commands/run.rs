//! `medallion run`

use std::sync::Arc;

use medallion_pipeline::Layer;
use medallion_runner::fleet::Finished;
use medallion_runner::{Interrupt, Listener, RunOptions, RunResults, Upserts};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, RunCommand};
use crate::commands::fleet;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;
use crate::signals;
use crate::telling;

pub(crate) async fn run(global: &GlobalArguments, arguments: &RunCommand, console: &Console) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    let interrupt = Interrupt::default();
    signals::pass_on(&interrupt, console)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen to signals: {error}")))?;
    if is_fleet(arguments) {
        return fleet::run(global, arguments, &settings, interrupt, console).await;
    }
    for options in settings.run_options(&arguments.run)? {
        let options = match options {
            Ok(options) => options,
            Err(failure) => {
                telling::of_configuration(&settings, &failure, console).await;
                return Err(failure);
            }
        };
        let results = run_customer(&RunOptions { interrupt: interrupt.clone(), ..options }, console).await?;
        if interrupt.is_asked() {
            let customer = &results.customer;
            console.note(&format!("customer {customer}: the interrupt came too late, the run is complete"));
        }
        if !global.quiet {
            summary(&results)?;
        }
    }
    Ok(Exit::Done)
}

/// One customer runs in this process, several in one each.
fn is_fleet(arguments: &RunCommand) -> bool {
    let RunCommand { run, fleet } = arguments;
    let is_one = run.customers.first().is_some_and(|first| run.customers.iter().all(|id| id == first));
    !is_one || fleet.is_given()
}

async fn run_customer(options: &RunOptions, console: &Console) -> Result<RunResults, Failure> {
    let customer = options.customer.id.as_str();
    let listener = Arc::new(console.listener(customer));
    let outcome = medallion_runner::run(options, Arc::clone(&listener) as Arc<dyn Listener>).await;
    listener.finish();
    let run_id = listener.run_id();
    match &outcome {
        Ok(results) => console.finished(customer, &Finished::done(results)),
        Err(error) => console.finished(customer, &Finished::failed(error, Exit::of(error) as u8, run_id.clone())),
    }
    outcome.map_err(|error| Failure { run_id, ..Failure::from(error) })
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
