//! `medallion customer show`

use medallion_pipeline::settings::{of_customer, of_project};
use medallion_runner::{RunError, customer_state};
use serde_json::json;

use super::list::status;
use super::not_there;
use crate::arguments::{ListArguments, PlaceArguments};
use crate::exit::{Exit, Failure};
use crate::output::Listing;
use crate::settings::{ProjectSettings, customer_id};

pub(super) fn show(settings: &ProjectSettings, id: &str, list: &ListArguments) -> Result<Exit, Failure> {
    let id = customer_id(id)?;
    let path = settings.customer_file(id.as_str());
    if !path.is_file() {
        return Err(not_there(settings, &id));
    }
    let mut listing = Listing::new(&["key", "value", "from"]);
    let mut push = |key: &str, value: String, from: &str| listing.push(vec![json!(key), json!(value), json!(from)]);
    push("id", id.to_string(), "file");
    for setting in of_customer(&path)?.into_iter().filter(|setting| setting.key != "id") {
        push(&setting.key, setting.value, setting.written.name());
    }
    for (key, value, from) in project(settings, &list.place)? {
        push(key, value, from);
    }
    let state = customer_state(&settings.lake_of(&list.place, id.as_str())?, id.as_str())
        .map_err(|cause| RunError { customer: id.clone(), cause })?;
    push("status", status(state.as_ref()).to_owned(), "lake");
    if let Some(state) = state {
        if let Some(release) = state.release {
            push("release", release.release.to_string(), "lake");
            push("published_at", release.published_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "lake");
        }
        if let Some(run) = state.last_run {
            push("last_run", run.run_id, "lake");
            run.error.into_iter().for_each(|error| push("error", error, "lake"));
        }
    }
    listing.write(list.format)?;
    Ok(Exit::Done)
}

/// What the customer has in common with the others.
fn project(
    settings: &ProjectSettings,
    place: &PlaceArguments,
) -> Result<Vec<(&'static str, String, &'static str)>, Failure> {
    let written = of_project(settings.folder())?;
    let of = |key: &'static str, option: Option<&String>, default: &str| {
        let file = written.iter().find(|setting| setting.key == key).map(|setting| setting.value.clone());
        match (option, file) {
            (Some(option), _) => (key, option.clone(), "option"),
            (None, Some(value)) => (key, value, "medallion.toml"),
            (None, None) => (key, default.to_owned(), "default"),
        }
    };
    let mut settings = vec![of("lake", place.lake.as_ref(), "lake"), of("pipeline", place.pipeline.as_ref(), "totara")];
    settings.push(of("defaults.memory_limit", None, ""));
    settings.push(of("defaults.keep_releases", None, "14"));
    settings.retain(|(_, value, _)| !value.is_empty());
    Ok(settings)
}
