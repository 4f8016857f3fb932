//! `medallion customer list`

use medallion_runner::{CustomerState, customer_state};
use serde_json::{Value, json};

use crate::arguments::ListArguments;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::Listing;
use crate::settings::ProjectSettings;

pub(super) fn list(settings: &ProjectSettings, list: &ListArguments, console: &Console) -> Result<Exit, Failure> {
    let lakes = settings.lakes(&list.place)?;
    let mut listing = Listing::new(&["id", "name", "source", "status", "release", "published_at", "last_run"]);
    for id in settings.customer_ids()? {
        let (name, source, readable) = match settings.read_customer(&id) {
            Ok(customer) => (json!(customer.name), json!(customer.source.display().to_string()), true),
            Err(failure) => {
                console.note(&format!("customer {id}: {}", failure.message));
                (Value::Null, Value::Null, false)
            }
        };
        let state = match customer_state(&settings.lake_of(&list.place, &id).unwrap_or_else(|_| lakes.clone()), &id) {
            Ok(state) => state,
            Err(cause) if readable => {
                console.note(&format!("customer {id}: {cause}"));
                None
            }
            Err(_) => None,
        };
        let status = if readable { status(state.as_ref()) } else { "invalid" };
        let release = state.as_ref().and_then(|state| state.release.as_ref());
        let last_run = state.as_ref().and_then(|state| state.last_run.as_ref());
        listing.push(vec![
            json!(id),
            name,
            source,
            json!(status),
            json!(release.map(|release| release.release)),
            json!(release.map(|release| release.published_at.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
            json!(last_run.map(|run| &run.run_id)),
        ]);
    }
    listing.write(list.format)?;
    Ok(Exit::Done)
}

/// How the last run ended.
pub(super) fn status(state: Option<&CustomerState>) -> &'static str {
    let last_run = state.and_then(|state| state.last_run.as_ref());
    last_run.map_or("new", |run| run.outcome.name())
}
