//! `medallion test`

use std::path::Path;

use medallion_lake::Lake;
use medallion_runner::{Cause, RunError, TestRun, TestStatus, release_of, run_tests};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, ReadArguments, SelectionArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::{ProjectSettings, customer_id};

pub(crate) async fn test(
    global: &GlobalArguments,
    read: &ReadArguments,
    selection: &SelectionArguments,
    samples: Option<&Path>,
    console: &Console,
) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    let customer = customer_id(&read.customer)?;
    let failed = |cause: Cause| RunError { customer: customer.clone(), cause };
    let pipeline = settings.pipeline(&read.place)?;
    let location = settings.lake_of(&read.place, customer.as_str())?;
    let lake = Lake::open_existing(&location, customer.as_str()).map_err(|error| failed(error.into()))?;
    let sql = settings.sql(None)?;
    let release = release_of(&lake, read.release).map_err(failed)?;
    let selected = settings.selected(selection, &customer, &pipeline, Some(&release))?;
    let run = run_tests(&lake, &pipeline, release, selected.as_ref(), &sql, samples).await.map_err(failed)?;
    for (test, table) in &run.left_out {
        console.note(&format!(
            "test {test} is left out: release {} has no table {table}, which comes with the next run",
            run.release.release
        ));
    }
    write(&run, read.format)?;
    let errors: Vec<String> = run
        .results
        .iter()
        .filter(|result| result.status == TestStatus::Error)
        .map(|result| format!("{}: {}", result.full_name(), result.message.as_deref().unwrap_or_default()))
        .collect();
    if errors.is_empty() {
        return Ok(Exit::Done);
    }
    let message = format!("customer {customer}: release {} fails {}", run.release.release, errors.join("; "));
    Err(Failure::new(Exit::Guard, message).customer(customer.as_str()))
}

fn write(run: &TestRun, format: Format) -> Result<(), Failure> {
    let mut listing =
        Listing::new(&["table", "name", "kind", "severity", "status", "failing", "message", "sample", "seconds"]);
    for result in &run.results {
        // People look for what is wrong; programs may want to know what was looked at.
        if format == Format::Table && result.status == TestStatus::Pass {
            continue;
        }
        listing.push(vec![
            json!(result.table),
            json!(result.name),
            json!(result.kind),
            json!(result.severity),
            json!(result.status),
            json!(result.failing),
            json!(result.message),
            json!(result.sample),
            json!((result.seconds * 1000.0).round() / 1000.0),
        ]);
    }
    if format != Format::Table {
        return listing.write(format);
    }
    let count = |status: TestStatus| run.results.iter().filter(|result| result.status == status).count();
    let (passed, warnings, errors) = (count(TestStatus::Pass), count(TestStatus::Warn), count(TestStatus::Error));
    let release = run.release.release;
    output::write(&format!(
        "release {release}: {} tests, {passed} passed, {warnings} to be warned of, {errors} failed\n",
        run.results.len()
    ))?;
    if warnings + errors > 0 { listing.write(format) } else { Ok(()) }
}
