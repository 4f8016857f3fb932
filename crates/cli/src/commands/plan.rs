//! `medallion plan`

use medallion_pipeline::Layer;
use medallion_runner::{Action, PlannedStep, RunOptions, RunPlan, plan};
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
    let customers = settings.run_options(&arguments.run)?;
    let (all, format) = (customers.len(), arguments.format);
    let mut listing = listing();
    let mut failures = Vec::new();
    for options in customers {
        let planned = match options {
            Ok(options) => planned(options).await,
            Err(failure) => Err(failure),
        };
        match planned {
            Ok((customer, plan)) => show_one(&customer, &plan, format, &mut listing, console)?,
            Err(failure) if all == 1 => return Err(failure),
            Err(failure) => {
                let customer = failure.customer.clone().unwrap_or_default();
                listing.push(vec![
                    json!(customer),
                    json!(null),
                    json!("fail"),
                    json!(failure.message),
                    json!(null),
                    json!(null),
                ]);
                console.failure(&failure);
                failures.push(failure.exit);
            }
        }
    }
    if format != Format::Table {
        listing.write(format)?;
    }
    Ok(match failures.len() {
        0 => Exit::Done,
        failed if failed == all => Exit::Failed,
        _ => Exit::SomeFailed,
    })
}

async fn planned(options: RunOptions) -> Result<(String, RunPlan), Failure> {
    let plan = plan(&options).await?;
    Ok((options.customer.id.to_string(), plan))
}

fn listing() -> Listing {
    Listing::new(&["customer", "table", "action", "why", "columns", "seconds"])
}

/// People read customer by customer; for programs everything comes in one piece at the end.
fn show_one(
    customer: &str,
    plan: &RunPlan,
    format: Format,
    all: &mut Listing,
    console: &Console,
) -> Result<(), Failure> {
    if format == Format::Table {
        write_table(customer, plan)?;
    }
    for step in &plan.steps {
        let cells = [json!(customer), json!(step.table)].into_iter().chain(cells(step));
        all.push(cells.collect());
    }
    for stop in &plan.stops {
        all.push(vec![json!(customer), json!(null), json!("stop"), json!(stop.to_string()), json!(null), json!(null)]);
        let hint = stop.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        console.note(&format!("a run would stop: {stop}{hint}"));
    }
    Ok(())
}

fn cells(step: &PlannedStep) -> [serde_json::Value; 4] {
    let seconds = step.seconds.map(|seconds| (seconds * 1000.0).round() / 1000.0);
    [json!(step.action), json!(step.why), json!(step.columns), json!(seconds)]
}

/// What would be done, without what would not.
fn write_table(customer: &str, plan: &RunPlan) -> Result<(), Failure> {
    let mut listing = Listing::new(&["table", "action", "why", "columns", "seconds"]);
    for step in plan.steps.iter().filter(|step| step.action != Action::Skip) {
        listing.push(std::iter::once(json!(step.table)).chain(cells(step)).collect());
    }
    let of = |action| plan.steps.iter().filter(move |step| step.action == action);
    let is_source = |step: &&PlannedStep| step.table.as_ref().is_some_and(|table| table.layer == Layer::Bronze);
    let release = plan.release.map_or("there is no release yet".to_owned(), |release| {
        let seconds = plan.seconds();
        format!("the last release is {release}; these tables took {seconds:.2} s of work when they were built last")
    });
    output::write(&format!(
        "customer {customer}, as of {}: {} to build, {} to skip, {} to take in; {release}\n",
        plan.as_of,
        counted(of(Action::Build).count(), "table"),
        of(Action::Skip).filter(|step| !is_source(step)).count(),
        counted(of(Action::Take).count(), "source"),
    ))?;
    listing.write(Format::Table)
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
