//! Commands about what was published when: `releases`, `runs`, `diff`, `rollback`.

use medallion_lake::Lake;
use medallion_pipeline::CustomerId;
use medallion_runner::{Cause, RunError, TableDifference, differences, rolled_back};
use serde_json::{Value, json};

use crate::arguments::{GlobalArguments, HistoryArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::Listing;
use crate::settings::{ProjectSettings, customer_id};

/// A customer whose history is looked at.
struct Customer {
    id: CustomerId,
    lake: Lake,
    settings: ProjectSettings,
}

impl Customer {
    fn open(global: &GlobalArguments, history: &HistoryArguments) -> Result<Self, Failure> {
        let settings = ProjectSettings::read(global)?;
        let id = customer_id(&history.customer)?;
        let location = settings.lake_of(&history.place, id.as_str())?;
        let lake = Lake::open_existing(&location, id.as_str());
        let lake = lake.map_err(|error| RunError { customer: id.clone(), cause: error.into() })?;
        Ok(Self { id, lake, settings })
    }

    fn failed<C: Into<Cause>>(&self) -> impl Fn(C) -> Failure + '_ {
        |cause| RunError { customer: self.id.clone(), cause: cause.into() }.into()
    }
}

/// `medallion releases`
pub(crate) fn releases(global: &GlobalArguments, history: &HistoryArguments) -> Result<Exit, Failure> {
    let customer = Customer::open(global, history)?;
    let mut listing = Listing::new(&["release", "published_at", "as_of", "tables", "rows", "rolled_back_to", "run_id"]);
    for release in customer.lake.releases().map_err(customer.failed())? {
        let rows: u64 = release.tables.values().map(|table| table.rows).sum();
        listing.push(vec![
            json!(release.release),
            json!(release.published_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            json!(release.as_of),
            json!(release.tables.len()),
            json!(rows),
            json!(release.rolled_back_to),
            json!(release.run_id),
        ]);
    }
    listing.write(history.format)?;
    Ok(Exit::Done)
}

/// `medallion runs`
pub(crate) fn runs(global: &GlobalArguments, history: &HistoryArguments) -> Result<Exit, Failure> {
    let customer = Customer::open(global, history)?;
    let mut listing = Listing::new(&["run_id", "status", "as_of", "release", "seconds", "error"]);
    for run_id in customer.lake.runs().map_err(customer.failed())? {
        // A run that was killed has no results.
        let text = customer.lake.read_run_file(&run_id, "run_results.json").map_err(customer.failed())?;
        let results: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let status = results.get("status").cloned().unwrap_or_else(|| json!("interrupted"));
        let of = |key: &str| results.get(key).cloned().unwrap_or_default();
        let seconds = of("seconds").as_f64().map_or(Value::Null, |seconds| json!((seconds * 1000.0).round() / 1000.0));
        listing.push(vec![json!(run_id), status, of("as_of"), of("release"), seconds, of("error")]);
    }
    listing.write(history.format)?;
    Ok(Exit::Done)
}

/// `medallion diff A B`
pub(crate) async fn diff(
    global: &GlobalArguments,
    history: &HistoryArguments,
    (from, to): (u64, u64),
) -> Result<Exit, Failure> {
    let customer = Customer::open(global, history)?;
    let pipeline = customer.settings.pipeline(&history.place)?;
    let found = differences(&customer.lake, &pipeline, from, to).await.map_err(customer.failed())?;
    let mut listing = Listing::new(&["table", "added", "removed", "changed", "samples"]);
    for TableDifference { table, added, removed, changed, samples } in found {
        let samples = samples.join("; ");
        listing.push(vec![json!(table), json!(added), json!(removed), json!(changed), json!(samples)]);
    }
    listing.write(history.format)?;
    Ok(Exit::Done)
}

/// `medallion rollback --to N`
pub(crate) async fn roll_back(
    global: &GlobalArguments,
    history: &HistoryArguments,
    to: u64,
    console: &Console,
) -> Result<Exit, Failure> {
    let customer = Customer::open(global, history)?;
    let release = rolled_back(&customer.lake, to).await.map_err(customer.failed())?;
    console.note(&format!(
        "customer {}: release {} has the contents of release {to}; the next run needs newer input or --resume",
        customer.id, release.release
    ));
    Ok(Exit::Done)
}
