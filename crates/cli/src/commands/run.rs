//! `medallion run`

use std::sync::Arc;

use medallion_pipeline::Layer;
use medallion_runner::{Listener, RunOptions, RunResults};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, RunArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;

pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: &RunArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    let customers = settings.run_options(arguments)?;
    let several = customers.len() > 1;
    let mut failures: Vec<Exit> = Vec::new();
    let mut done = 0_usize;
    let mut unwritten = None;
    for options in customers {
        let outcome = match options {
            Ok(options) => run_customer(&options, console).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(results) => {
                done += 1;
                // The release is published, and further customers wait: a full disk behind stdout must not stop them.
                if let Some(failure) = (!global.quiet).then(|| summary(&results).err()).flatten() {
                    unwritten.get_or_insert(failure);
                }
            }
            Err(failure) => {
                console.failure(&failure);
                failures.push(failure.exit);
            }
        }
    }
    if let Some(failure) = unwritten {
        return Err(failure);
    }
    Ok(match failures.as_slice() {
        [] => Exit::Done,
        [only] if !several => *only,
        _ if done == 0 => Exit::Failed,
        _ => Exit::SomeFailed,
    })
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
    listing.write(Format::Table)
}
