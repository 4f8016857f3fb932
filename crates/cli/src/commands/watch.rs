//! `medallion watch`

use std::num::NonZeroUsize;
use std::sync::Arc;

use medallion_runner::Interrupt;
use medallion_runner::fleet::{FleetEntry, FleetListener, FleetStatus, Refused};
use medallion_runner::watch::{WatchOptions, WatchStart, WatchedCustomer, watch};

use crate::arguments::{GlobalArguments, RunArguments, WatchArguments};
use crate::children::{Children, Shares};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::settings::{ProjectSettings, own_pipeline};
use crate::signals;

pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: WatchArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let WatchArguments { customers, all, interval, settle, jobs, timeout, once, memory_limit, as_of, place } =
        arguments;
    let run = RunArguments { customers, all, memory_limit, as_of, place, ..RunArguments::default() };
    let settings = ProjectSettings::read(global)?;
    let pipeline = Arc::new(settings.pipeline(&run.place)?);
    let sql = settings.sql(run.memory_limit.as_ref())?;
    let interrupt = Interrupt::default();
    signals::pass_on(&interrupt, console)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen to signals: {error}")))?;
    let ids = names(&run, &settings)?;
    let shares = Shares::new(jobs, NonZeroUsize::MAX.get(), sql.memory_limit.is_some());
    let listener = Arc::new(console.fleet_listener(None));
    let which = if ids.len() == 1 { "customer" } else { "customers" };
    console.note(&format!("watching the drop folders of {} {which}", ids.len()));
    let options = WatchOptions { interval, settle, jobs: shares.jobs, timeout, once, interrupt: interrupt.clone() };
    let global = global.clone();
    let customers = move || {
        // Made anew for each look: customers come, go and change.
        let ids = names(&run, &settings).unwrap_or_default();
        let Ok(children) = Children::new(&global, &run, &settings, shares) else { return Vec::new() };
        let customer = |id: String| {
            let path = settings.customer_file(&id);
            let start = settings.customer(&id, &run).and_then(|customer| {
                let pipeline = own_pipeline(&pipeline, &customer)?;
                Ok(WatchStart { customer, pipeline, command: children.command(&id) })
            });
            let start = start.map_err(|failure| {
                let (exit_code, reason) = (failure.exit as u8, failure.message);
                Refused { exit_code, reason, hint: failure.hint }
            });
            WatchedCustomer { id, file: Some(path), start }
        };
        ids.into_iter().map(customer).collect()
    };
    let entries = watch(options, customers, Arc::clone(&listener) as Arc<dyn FleetListener>).await;
    listener.finish();
    Ok(exit(&entries, once && !interrupt.is_asked()))
}

/// The customers as they are named, or all there are at this moment.
fn names(run: &RunArguments, settings: &ProjectSettings) -> Result<Vec<String>, Failure> {
    let mut ids = if run.all { settings.all_customers()? } else { run.customers.clone() };
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Who asks a watch to end wants nothing else, so that is no failure unless a run was cut short. A watch that was to
/// see each customer once ends like a run of them.
fn exit(entries: &[FleetEntry], is_one_round: bool) -> Exit {
    if entries.iter().any(|entry| entry.status == FleetStatus::Interrupted) {
        return Exit::Interrupted;
    }
    let done = entries.iter().filter(|entry| entry.status.is_done()).count();
    match entries {
        _ if !is_one_round || done == entries.len() => Exit::Done,
        [only] => only.exit_code.and_then(Exit::from_code).filter(|exit| *exit != Exit::Done).unwrap_or(Exit::Failed),
        _ if done == 0 => Exit::Failed,
        _ => Exit::SomeFailed,
    }
}
