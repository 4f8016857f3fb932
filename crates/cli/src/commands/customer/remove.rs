//! `medallion customer remove`

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use chrono::Utc;
use medallion_lake::{Lake, LakeError, shown};
use medallion_pipeline::CustomerId;
use medallion_runner::RunError;

use super::not_there;
use crate::arguments::RemoveArguments;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::settings::{ProjectSettings, customer_id};

pub(super) fn remove(
    settings: &ProjectSettings,
    arguments: &RemoveArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let id = customer_id(&arguments.id)?;
    let file = settings.customer_file(id.as_str());
    let has_file = file.symlink_metadata().is_ok();
    let location = settings.lake_of(&arguments.place, id.as_str())?;
    let failed = |error: LakeError| Failure::from(RunError { customer: id.clone(), cause: error.into() });
    let lake = match Lake::open_existing(&location, id.as_str()) {
        Err(LakeError::NoCustomer { .. }) => None,
        opened => Some(opened.map_err(failed)?),
    };
    if !has_file && (lake.is_none() || arguments.keep_data) {
        return Err(not_there(settings, &id));
    }
    let whole = lake.as_ref().filter(|_| !arguments.keep_data);
    confirm(&id, whole.map(Lake::folder), arguments.yes)?;
    let run_id = format!("{}-remove", Utc::now().format("%Y%m%dT%H%M%SZ"));
    let removed = without(has_file.then_some(&file), || match (&lake, arguments.keep_data) {
        (Some(lake), false) => lake.remove_everything(&run_id).map_err(failed),
        // Nobody may be at work for a customer that is not there.
        (Some(lake), true) => lake.lock(&run_id).map(drop).map_err(failed),
        (None, _) => Ok(()),
    });
    removed?;
    let data = match (&lake, arguments.keep_data) {
        (Some(lake), true) => format!("; its tables stay in {}", shown(lake.folder())),
        (Some(lake), false) => format!(" with {}", shown(lake.folder())),
        (None, _) => String::new(),
    };
    console.note(&format!("customer {id} is removed{data}; the drop folder stays"));
    Ok(Exit::Done)
}

/// Does something while the customer's file is out of the way, and then removes it. If that fails the file is back.
fn without(file: Option<&PathBuf>, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let Some(file) = file else { return work() };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // Files whose names begin with a dot are no customers.
    let aside = file.with_file_name(format!(".{name}.removed"));
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot remove {}: {error}; nothing was removed", file.display()))
    };
    fs::rename(file, &aside).map_err(cannot)?;
    if let Err(failure) = work() {
        fs::rename(&aside, file).map_err(|error| {
            let message = format!("{}; and its file is now {}: {error}", failure.message, aside.display());
            Failure::new(failure.exit, message)
        })?;
        return Err(failure);
    }
    fs::remove_file(&aside).map_err(|error| {
        Failure::new(Exit::Failed, format!("its tables are removed, but not {}: {error}", aside.display()))
    })
}

fn confirm(id: &CustomerId, tables: Option<&Path>, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let message = format!("customer {id} is not removed without asking, and there is no terminal to ask on");
        return Err(Failure::configuration(message)
            .customer(id.as_str())
            .hint("--yes removes it without asking".to_owned()));
    }
    let what = tables.map(|folder| format!(" and all its tables in {}", shown(folder))).unwrap_or_default();
    let mut question = std::io::stderr().lock();
    let mut answer = String::new();
    let asked = write!(question, "Remove customer {id}{what}? Type its id: ").and_then(|()| question.flush());
    asked
        .and_then(|()| std::io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot ask: {error}")))?;
    if answer.trim() == id.as_str() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("customer {id}: nothing was removed")).customer(id.as_str()))
}
