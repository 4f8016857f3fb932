//! `medallion generate`

use medallion_datagen::{GenerateError, Options, Profile};
use serde_json::json;

use crate::arguments::{Format, GenerateArguments};
use crate::exit::{Exit, Failure};
use crate::output::Listing;

pub(crate) fn generate(arguments: &GenerateArguments) -> Result<Exit, Failure> {
    let profile = Profile::parse(&arguments.profile).map_err(failure)?;
    let options = Options { profile, seed: arguments.seed, scale: arguments.scale };
    let summary = medallion_datagen::generate(&options, &arguments.out).map_err(failure)?;
    let mut listing = Listing::new(&["source", "file", "rows"]);
    for file in &summary.files {
        listing.push(vec![json!(file.source.to_string()), json!(file.file_name), json!(file.rows)]);
    }
    listing.write(Format::Table)?;
    Ok(Exit::Done)
}

fn failure(error: GenerateError) -> Failure {
    let exit = match error {
        GenerateError::UnknownProfile { .. }
        | GenerateError::InvalidScale { .. }
        | GenerateError::TooManyRows { .. } => Exit::Configuration,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
