//! `medallion vacuum`, and the lock of commands that look after a lake.

use bytesize::ByteSize;
use chrono::Utc;
use medallion_lake::{KEEP_RELEASES, Lake, LakeError, LakeLock, Removed, VacuumOptions, Vacuumed};
use medallion_runner::RunError;
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, HistoryArguments, VacuumArguments};
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::{ProjectSettings, customer_id};

/// A customer's lake with the right to change it.
pub(super) struct Upkeep {
    pub(super) lake: Lake,
    /// Stands in commits and in the lock.
    pub(super) run_id: String,
    _lock: LakeLock,
}

impl Upkeep {
    pub(super) async fn begin(
        settings: &ProjectSettings,
        read: &HistoryArguments,
        command: &str,
    ) -> Result<Self, Failure> {
        let customer = customer_id(&read.customer)?;
        let failed = |error: LakeError| Failure::from(RunError { customer: customer.clone(), cause: error.into() });
        let lake = Lake::open_existing(&settings.lake_of(&read.place, customer.as_str())?, customer.as_str())
            .map_err(failed)?;
        let run_id = format!("{}-{command}", Utc::now().format("%Y%m%dT%H%M%SZ"));
        let lock = lake.lock(&run_id).map_err(failed)?;
        lake.recover().await.map_err(failed)?;
        Ok(Self { lake, run_id, _lock: lock })
    }
}

/// A failure of a customer's lake.
pub(super) fn failure(read: &HistoryArguments, error: LakeError) -> Failure {
    match customer_id(&read.customer) {
        Ok(customer) => RunError { customer, cause: error.into() }.into(),
        Err(failure) => failure,
    }
}

pub(crate) async fn vacuum(global: &GlobalArguments, arguments: &VacuumArguments) -> Result<Exit, Failure> {
    let read = &arguments.read;
    let settings = ProjectSettings::read(global)?;
    let keep_releases = arguments.keep_releases.or(settings.keep_releases()).map_or(KEEP_RELEASES, u32::from);
    let upkeep = Upkeep::begin(&settings, read, "vacuum").await?;
    let options = VacuumOptions { keep_releases, running: None, dry_run: arguments.dry_run, now: Utc::now() };
    let vacuumed = upkeep.lake.vacuum(&options).await.map_err(|error| failure(read, error))?;
    if read.format == Format::Table {
        output::write(&sentence(&read.customer, &vacuumed, arguments.dry_run))?;
    }
    listing(&vacuumed).write(read.format)?;
    Ok(Exit::Done)
}

fn sentence(customer: &str, vacuumed: &Vacuumed, dry_run: bool) -> String {
    let total = vacuumed.total();
    let files = if total.files == 1 { "file" } else { "files" };
    let done = if dry_run { "would be removed" } else { "removed" };
    let kept = match vacuumed.oldest_release {
        Some(release) => format!("releases from {release} on stay"),
        None => "there is no release".to_owned(),
    };
    format!("customer {customer}: {} {files} ({}) {done}; {kept}\n", total.files, ByteSize::b(total.bytes))
}

/// A row for each table of which something was removed, and for what is in no table.
fn listing(vacuumed: &Vacuumed) -> Listing {
    let mut listing = Listing::new(&["table", "files", "bytes", "log files", "log bytes"]);
    let mut push = |name: serde_json::Value, data: Removed, log: Removed| {
        if data.files + log.files > 0 {
            listing.push(vec![name, json!(data.files), json!(data.bytes), json!(log.files), json!(log.bytes)]);
        }
    };
    for (table, removed) in &vacuumed.tables {
        push(json!(table), removed.data, removed.log);
    }
    push(json!("(half-written)"), vacuumed.leftovers, Removed::default());
    push(json!("(samples)"), vacuumed.samples, Removed::default());
    listing
}
