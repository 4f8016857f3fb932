//! `medallion plan`

use medallion_runner::{Action, RunPlan, plan};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, PlanArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;

pub(crate) async fn show(
    global: &GlobalArguments,
    arguments: &PlanArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    for options in settings.run_options(&arguments.run)? {
        let options = options?;
        let customer = options.customer.id.as_str();
        let planned = plan(&options).await?;
        write(customer, &planned, arguments.format)?;
        for stop in &planned.stops {
            let hint = stop.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            console.note(&format!("a run would stop: {stop}{hint}"));
        }
    }
    Ok(Exit::Done)
}

fn write(customer: &str, plan: &RunPlan, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["table", "action", "why", "columns", "seconds"]);
    for step in &plan.steps {
        // People look for what would be done; programs may want to know of all tables.
        if format == Format::Table && step.action == Action::Skip {
            continue;
        }
        let seconds = step.seconds.map(|seconds| (seconds * 1000.0).round() / 1000.0);
        listing.push(vec![json!(step.table), json!(step.action), json!(step.why), json!(step.columns), json!(seconds)]);
    }
    if format == Format::Table {
        let count = |action| plan.steps.iter().filter(|step| step.action == action).count();
        let release = plan.release.map_or("there is no release yet".to_owned(), |release| {
            let seconds = plan.seconds();
            format!("the last release is {release}; these tables took {seconds:.2} s of work when they were built last")
        });
        output::write(&format!(
            "customer {customer}, as of {}: {} tables to build, {} to skip, {} sources to take in; {release}\n",
            plan.as_of,
            count(Action::Build),
            count(Action::Skip),
            count(Action::Take),
        ))?;
    }
    listing.write(format)
}
