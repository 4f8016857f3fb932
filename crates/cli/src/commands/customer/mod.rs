//! `medallion customer`

mod add;
mod list;
mod remove;
mod show;

use medallion_pipeline::{Customer, CustomerId};

use crate::arguments::{CustomerCommand, GlobalArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::settings::ProjectSettings;

/// Carries out a command about customers.
pub(crate) fn customer(global: &GlobalArguments, command: CustomerCommand, console: &Console) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    match command {
        CustomerCommand::Add(arguments) => add::add(&settings, &arguments, console),
        CustomerCommand::List(arguments) => list::list(&settings, &arguments, console),
        CustomerCommand::Show { id, list } => show::show(&settings, &id, &list),
        CustomerCommand::Remove(arguments) => remove::remove(&settings, &arguments, console),
    }
}

/// The customers whose files can be read.
fn readable(settings: &ProjectSettings) -> Result<Vec<Customer>, Failure> {
    let customer = |id: String| settings.read_customer(&id).ok();
    Ok(settings.customer_ids()?.into_iter().filter_map(customer).collect())
}

fn not_there(settings: &ProjectSettings, id: &CustomerId) -> Failure {
    let ids = settings.customer_ids().unwrap_or_default();
    let nearest = medallion_pipeline::nearest(id.as_str(), ids.iter().map(String::as_str));
    let file = settings.customer_file(id.as_str());
    Failure::configuration(format!("there is no customer {id}: no {}", file.display()))
        .customer(id.as_str())
        .hint(nearest.map(|nearest| format!("did you mean '{nearest}'?")))
}
