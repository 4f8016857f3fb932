//! `medallion customer add`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use chrono::Utc;
use medallion_lake::Lake;
use medallion_pipeline::{Customer, CustomerId};
use medallion_runner::{Finding, FindingSeverity, RunError, SourceLook, look_at_source, overlaps};

use super::readable;
use crate::arguments::AddArguments;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::settings::{ProjectSettings, customer_id};

pub(super) fn add(settings: &ProjectSettings, arguments: &AddArguments, console: &Console) -> Result<Exit, Failure> {
    let id = customer_id(&arguments.id)?;
    let path = settings.customer_file(id.as_str());
    if path.symlink_metadata().is_ok() {
        return Err(exists(&id, &path));
    }
    let text = text(&id, arguments)?;
    let customer = Customer::parse(&path, text.clone())?;
    let location = settings.lakes(&arguments.place)?;
    let pipeline = settings.pipeline(&arguments.place)?;
    check_alone(settings, &customer, &location.address)?;
    let failed = |cause| Failure::from(RunError { customer: id.clone(), cause });
    if arguments.make_source {
        fs::create_dir_all(&customer.source).map_err(|error| cannot("create", &customer.source, &error))?;
    }
    let look = look_at_source(&customer, &pipeline, Utc::now()).map_err(|error| {
        let failure = failed(error.into());
        let is_there = customer.source.is_dir();
        if is_there { failure } else { failure.hint("name the right folder, or make it with --make-source".to_owned()) }
    })?;
    let lake = Lake::open(&location, id.as_str()).map_err(|error| failed(error.into()))?;
    let release = lake.latest_release().map_err(|error| failed(error.into()))?;
    write(&id, &path, &text)?;
    console.note(&format!(
        "customer {id}: {} is written; the drop folder is {}",
        path.display(),
        customer.source.display()
    ));
    tell(&id, &look, console);
    if let Some(release) = release {
        let number = release.release;
        console
            .note(&format!("customer {id}: the lake has its releases up to {number}; the next run goes on from there"));
    }
    console.note(&format!("next: medallion plan -c {id}"));
    Ok(Exit::Done)
}

fn exists(id: &CustomerId, path: &Path) -> Failure {
    Failure::configuration(format!("customer {id} is there already: {}", path.display()))
        .customer(id.as_str())
        .hint("edit that file, or choose another id".to_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot {what} {}: {error}", path.display()))
}

/// The customer's file.
fn text(id: &CustomerId, arguments: &AddArguments) -> Result<String, Failure> {
    // A reference to the environment stays one; another path starts at the current folder, not at the file.
    let source = match arguments.source.contains("${") {
        true => arguments.source.clone(),
        false => std::path::absolute(&arguments.source)
            .map_err(|error| cannot("find", Path::new(&arguments.source), &error))?
            .display()
            .to_string(),
    };
    let mut text = format!(
        "# Customer {id}. 'medallion customer show {id}' shows every setting that counts.\n\n# The folder the nightly \
         exports arrive in; a relative path starts at this file.\nsource = {}\n",
        quoted("--source", &source)?
    );
    match &arguments.name {
        Some(name) => text.push_str(&format!("name = {}\n", quoted("--name", name)?)),
        None => text.push_str("# name = \"Example Ltd\"\n"),
    }
    match &arguments.timezone {
        Some(zone) => text.push_str(&format!("timezone = {}\n", quoted("--timezone", zone)?)),
        None => text.push_str("# timezone = \"Europe/Berlin\"    # default UTC; decides which day \"today\" is\n"),
    }
    text.push_str(
        "# settle_seconds = 60    # a file written to less than a minute ago waits for the next run\n# after = \
         \"archive\"      # what is published is moved to the folder archive in the drop folder\n",
    );
    match arguments.fiscal_year_start {
        Some(month) => text.push_str(&format!("\n[fiscal_year]\nstart_month = {month}\n")),
        None => text.push_str(
            "\n# [fiscal_year]\n# start_month = 7    # default 1; a year is named after the one it ends in\n",
        ),
    }
    Ok(text)
}

/// A text as TOML writes it, which is as JSON does as long as nothing in it is a control character.
fn quoted(option: &str, text: &str) -> Result<String, Failure> {
    if text.chars().any(char::is_control) {
        return Err(Failure::configuration(format!("{option} has a control character in it")));
    }
    Ok(serde_json::Value::from(text).to_string())
}

/// Its folders must be its own.
fn check_alone(settings: &ProjectSettings, customer: &Customer, lake: &str) -> Result<(), Failure> {
    let mut customers = readable(settings)?;
    let before = overlaps(&customers, lake);
    customers.push(customer.clone());
    let is_new = |finding: &Finding| finding.severity == FindingSeverity::Error && !before.contains(finding);
    match overlaps(&customers, lake).into_iter().find(is_new) {
        Some(Finding { message, hint, .. }) => {
            Err(Failure::configuration(message).customer(customer.id.as_str()).hint(hint))
        }
        None => Ok(()),
    }
}

fn write(id: &CustomerId, path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| cannot("create", folder, &error))?;
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists(id, path)),
        opened => opened.map_err(|error| cannot("write", path, &error))?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| cannot("write", path, &error))
}

fn tell(id: &CustomerId, look: &SourceLook, console: &Console) {
    let found: Vec<String> = look.found.iter().map(|(source, files)| format!("{source} {files}")).collect();
    match found.is_empty() {
        true => console.note(&format!("customer {id}: the drop folder has no file of any source yet")),
        false => console.note(&format!("customer {id}: files by source: {}", found.join(", "))),
    }
    if !look.missing.is_empty() {
        let missing = look.missing.join(", ");
        console
            .note(&format!("customer {id}: warning: no file yet of the required sources {missing}; a run needs them"));
    }
    if !look.unclaimed.is_empty() {
        console.note(&format!("customer {id}: warning: files of no source: {}", look.unclaimed.join(", ")));
    }
}
