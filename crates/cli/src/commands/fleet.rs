//! `medallion run` for several customers.

use std::collections::BTreeSet;
use std::sync::Arc;

use medallion_lake::FleetFolder;
use medallion_pipeline::nearest;
use medallion_runner::Interrupt;
use medallion_runner::fleet::{
    FleetCustomer, FleetError, FleetListener, FleetOptions, FleetResults, FleetSettings, FleetStatus, Refused,
    last_seconds, run_fleet,
};
use serde_json::json;

use crate::arguments::{FleetArguments, Format, GlobalArguments, RunArguments, RunCommand};
use crate::children::{Children, Shares};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::{ProjectSettings, check_names};
use crate::telling;

/// How often a customer is tried again, unless the options say otherwise.
const RETRIES: u32 = 2;
/// So many of the slowest customers stand in the summary.
const SLOWEST: usize = 5;

pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: &RunCommand,
    settings: &ProjectSettings,
    interrupt: Interrupt,
    console: &Console,
) -> Result<Exit, Failure> {
    let RunCommand { run, fleet } = arguments;
    // What is wrong with the options is said once, not by each customer.
    let pipeline = settings.pipeline(&run.place)?;
    check_names(run, &pipeline)?;
    settings.reporting()?;
    let sql = settings.sql(run.memory_limit.as_ref())?;
    let folder = FleetFolder::open(&settings.lakes(&run.place)?).map_err(FleetError::from)?;
    let Some(selection) = select(run, fleet, settings, &folder, console)? else { return Ok(Exit::Done) };
    let Selection { ids, canary, retry_of } = selection;
    let shares = Shares::new(fleet.jobs, ids.len(), sql.memory_limit.is_some());
    let children = Children::new(global, run, settings, shares)?;
    let listener = Arc::new(console.fleet_listener(Some(ids.len())));
    let retries = fleet.retries.unwrap_or(RETRIES);
    let (mut customers, mut refused) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        let start = match settings.customer(&id, run) {
            Ok(_) => Ok(children.command(&id)),
            Err(failure) => {
                let (exit_code, reason, hint) = (failure.exit as u8, failure.message.clone(), failure.hint.clone());
                refused.push(failure.customer(&id));
                Err(Refused { exit_code, reason, hint })
            }
        };
        customers.push(FleetCustomer { id, start });
    }
    let options = FleetOptions {
        folder: folder.clone(),
        customers,
        as_of: run.as_of,
        jobs: shares.jobs,
        timeout: fleet.timeout,
        retries,
        max_failures: fleet.max_failures,
        settings: FleetSettings {
            jobs: shares.jobs.get(),
            threads: shares.threads,
            memory_limit: shares.memory.or(sql.memory_limit.map(|bytes| bytes as u64)),
            timeout_seconds: fleet.timeout.map(|timeout| timeout.as_secs_f64()),
            retries,
            shard: fleet.shard,
            canary,
            max_failures: fleet.max_failures.map(usize::from),
            retry_of,
        },
        interrupt: interrupt.clone(),
    };
    let results = run_fleet(options, Arc::clone(&listener) as Arc<dyn FleetListener>).await;
    listener.finish();
    let results = results?;
    if let Err(error) = results.write_page(&folder) {
        console.note(&format!("warning: the fleet's page could not be written: {error}"));
    }
    for failure in &refused {
        telling::of_configuration(settings, failure, console).await;
    }
    console.fleet_finished(&results);
    if !global.quiet {
        summary(&results)?;
    }
    exit(&results, &interrupt)
}

/// Who is run, in the order in which they start.
struct Selection {
    ids: Vec<String>,
    canary: Option<String>,
    /// The fleet whose customers without success these are.
    retry_of: Option<String>,
}

/// Chooses the customers; `None` if there is nothing to do, which is told.
fn select(
    run: &RunArguments,
    fleet: &FleetArguments,
    settings: &ProjectSettings,
    folder: &FleetFolder,
    console: &Console,
) -> Result<Option<Selection>, Failure> {
    let all = match run.customers.as_slice() {
        [] => settings.all_customers()?,
        named => named.to_vec(),
    };
    let mut seen = BTreeSet::new();
    let mut ids: Vec<String> = all.iter().filter(|id| seen.insert(*id)).cloned().collect();
    if run.source.is_some() && ids.len() > 1 {
        return Err(Failure::configuration("--source is for one customer; several were named"));
    }
    if let Some(canary) = fleet.canary.as_ref().filter(|canary| !ids.contains(canary)) {
        let message = format!("--canary {canary}: it is none of the customers of this run");
        let near = nearest(canary, ids.iter().map(String::as_str)).map(|id| format!("did you mean '{id}'?"));
        return Err(Failure::configuration(message).hint(near));
    }
    if let Some(shard) = fleet.shard {
        ids.retain(|id| shard.has(id));
        if ids.is_empty() {
            console.note(&format!("no customer is in part {shard}; there is nothing to do"));
            return Ok(None);
        }
    }
    let mut retry_of = None;
    if fleet.retry_failed {
        let Some(last) = FleetResults::last(folder, fleet.shard)? else {
            let shard = fleet.shard.map(|shard| format!(" of part {shard}")).unwrap_or_default();
            console.note(&format!("there is no earlier fleet{shard} in this lake; nothing is run again"));
            return Ok(None);
        };
        retain_left_over(&mut ids, &last, console);
        if ids.is_empty() {
            console.note(&format!("every customer of the fleet {} is done; nothing is run again", last.fleet_id));
            return Ok(None);
        }
        retry_of = Some(last.fleet_id);
    }
    slowest_first(&mut ids, folder, fleet)?;
    let canary = fleet.canary.clone().filter(|canary| {
        let place = ids.iter().position(|id| id == canary);
        place.into_iter().for_each(|place| ids[..=place].rotate_right(1));
        if place.is_none() {
            console.note(&format!("the canary {canary} is not among the customers that are run now"));
        }
        place.is_some()
    });
    Ok(Some(Selection { ids, canary, retry_of }))
}

fn retain_left_over(ids: &mut Vec<String>, last: &FleetResults, console: &Console) {
    let left: BTreeSet<&str> = last.left_over().into_iter().collect();
    let gone: Vec<&str> = left.iter().copied().filter(|id| !ids.iter().any(|known| known == id)).collect();
    if !gone.is_empty() {
        let gone = gone.join(", ");
        console.note(&format!("not done in fleet {} and not among the customers of this run: {gone}", last.fleet_id));
    }
    ids.retain(|id| left.contains(id.as_str()));
}

/// Those that took longest start first, so that none of them is alone at the end; what nobody knows comes before.
fn slowest_first(ids: &mut [String], folder: &FleetFolder, fleet: &FleetArguments) -> Result<(), Failure> {
    let seconds = last_seconds(folder, fleet.shard)?;
    let took = |id: &String| seconds.get(id).copied().unwrap_or(f64::INFINITY);
    ids.sort_by(|a, b| took(b).total_cmp(&took(a)));
    Ok(())
}

/// What became of the customers: sums, those that are not done and why, the slowest.
fn summary(results: &FleetResults) -> Result<(), Failure> {
    let count = |status: FleetStatus| results.count(|other| other == status);
    let seconds = results.finished_at.map(|at| (at - results.started_at).as_seconds_f64()).unwrap_or_default();
    let more = [
        (FleetStatus::TimedOut, "timed out"),
        (FleetStatus::Interrupted, "interrupted"),
        (FleetStatus::NotStarted, "not started"),
    ];
    let more: String = more
        .into_iter()
        .map(|(status, name)| (count(status), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!(", {count} {name}"))
        .collect();
    output::write(&format!(
        "fleet {}: {} in {seconds:.1} s: {} published, {} unchanged, {} failed{more}\n",
        results.fleet_id,
        match results.selected.len() {
            1 => "1 customer".to_owned(),
            all => format!("{all} customers"),
        },
        count(FleetStatus::Published),
        count(FleetStatus::Unchanged),
        count(FleetStatus::Failed),
    ))?;
    let sum = |of: fn(&medallion_runner::fleet::FleetEntry) -> Option<u64>| -> u64 {
        results.customers.iter().filter_map(of).sum()
    };
    let work: f64 = results.customers.iter().map(|entry| entry.seconds).sum();
    output::write(&format!(
        "{} records taken in, {} set aside, {} rows in gold; {:.2} s a customer\n",
        sum(|entry| entry.rows_in),
        sum(|entry| entry.rejected),
        sum(|entry| entry.rows_out),
        work / results.count(|status| status != FleetStatus::NotStarted).max(1) as f64,
    ))?;
    not_done(results)?;
    slowest(results)
}

fn not_done(results: &FleetResults) -> Result<(), Failure> {
    let mut listing = Listing::new(&["customer", "status", "exit code", "attempts", "reason"]);
    let entries = results.customers.iter().filter(|entry| !entry.status.is_done());
    // All of these have one reason, and there may be hundreds.
    let (never, tried): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.status == FleetStatus::NotStarted);
    for entry in &tried {
        let reason = entry.reason.as_deref().unwrap_or_default();
        let named = [format!("customer {}: ", entry.customer), format!("customer '{}': ", entry.customer)];
        let reason = named.iter().find_map(|named| reason.strip_prefix(named.as_str())).unwrap_or(reason);
        let status = entry.status.as_str().replace('_', " ");
        listing.push(vec![
            json!(entry.customer),
            json!(status),
            json!(entry.exit_code),
            json!(entry.attempts),
            json!(reason),
        ]);
    }
    if !tried.is_empty() {
        output::write("not done:\n")?;
        listing.write(Format::Table)?;
    }
    if let (false, Some(reason)) = (never.is_empty(), &results.stopped) {
        output::write(&format!("{} not started: {reason}\n", never.len()))?;
    }
    Ok(())
}

fn slowest(results: &FleetResults) -> Result<(), Failure> {
    let mut done: Vec<_> = results.customers.iter().filter(|entry| entry.status.is_done()).collect();
    if done.len() < 2 {
        return Ok(());
    }
    done.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.customer.cmp(&b.customer)));
    let slowest = done.iter().take(SLOWEST).map(|entry| format!("{} {:.2} s", entry.customer, entry.seconds));
    output::write(&format!("slowest: {}\n", slowest.collect::<Vec<_>>().join(", ")))
}

/// The code of a fleet; a single customer's is its own.
fn exit(results: &FleetResults, interrupt: &Interrupt) -> Result<Exit, Failure> {
    let (all, never) = (results.selected.len(), results.count(|status| status == FleetStatus::NotStarted));
    let done = results.count(FleetStatus::is_done);
    if interrupt.is_asked() && done < all {
        if never > 0 {
            let message = format!("interrupted: {never} of {all} customers were not run");
            let hint = "run the others with 'medallion run --retry-failed'".to_owned();
            return Err(Failure::new(Exit::Interrupted, message).hint(hint));
        }
        return Ok(Exit::Interrupted);
    }
    let code = results.customers.first().and_then(|only| only.exit_code);
    Ok(match (all, done) {
        (all, done) if all == done => Exit::Done,
        (1, _) => code.and_then(Exit::from_code).filter(|exit| *exit != Exit::Done).unwrap_or(Exit::Failed),
        (_, 0) => Exit::Failed,
        _ => Exit::SomeFailed,
    })
}
