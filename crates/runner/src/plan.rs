//! What a run would do and why. Nothing is written to the lake, and no lock is taken: exports are read into a folder that
//! goes away, so that records, guards and columns are those that a run would find.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use medallion_bronze::NotTaken;
use medallion_lake::{Lake, LakeError, Release, schema_changes};
use medallion_pipeline::{Layer, Pipeline, Table, TableName};
use serde::Serialize;
use serde_json::Value;

use crate::bronze::{self, BronzeStep, CurrentBatch};
use crate::build_key::build_key;
use crate::error::{Cause, RunError};
use crate::events::{Event, Listener};
use crate::guard::released_batch;
use crate::layers::{Builder, input_names};
use crate::released::keep_released;
use crate::results::{Status, TableResult};
use crate::rollback::check_newer;
use crate::run::{Run, RunOptions};
use crate::scope::not_selected;

/// Runs looked at, the last first, for how long a table took.
const RUNS_LOOKED_AT: usize = 30;

/// What a run would do.
#[derive(Debug)]
pub struct RunPlan {
    /// The run's date.
    pub as_of: NaiveDate,
    /// The last release, if there is one.
    pub release: Option<u64>,
    /// Sources, then tables in building order.
    pub steps: Vec<PlannedStep>,
    /// Why the run would end before it publishes.
    pub stops: Vec<RunError>,
}

impl RunPlan {
    /// Seconds of work that what is to be built took when it was built last, as far as that is known.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        // The sum of none is -0.0.
        self.steps.iter().filter_map(|step| step.seconds).fold(0.0, |sum, seconds| sum + seconds)
    }
}

/// What would become of a source or table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// The table; for files that no source claims `None`.
    pub table: Option<TableName>,
    /// What would be done.
    pub action: Action,
    /// Why, or with what.
    pub why: String,
    /// What changes for those who read its columns.
    pub columns: Option<String>,
    /// Seconds that building it took the last time.
    pub seconds: Option<f64>,
}

/// What would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// New exports are taken in.
    Take,
    /// What is in bronze stays the truth.
    Keep,
    /// A file has to wait.
    Wait,
    /// A file cannot be used.
    Refuse,
    /// A file belongs to no source.
    Ignore,
    /// The table is built; it is committed if it differs from the published one.
    Build,
    /// The source or table stays as it is.
    Skip,
}

/// Finds out what a run with these options would do.
///
/// # Errors
/// If the pipeline's queries cannot be planned, or the lake or the drop folder cannot be read.
pub async fn plan(options: &RunOptions) -> Result<RunPlan, RunError> {
    let planned = plan_run(options).await;
    planned.map_err(|cause| RunError { customer: options.customer.id.clone(), cause })
}

async fn plan_run(options: &RunOptions) -> Result<RunPlan, Cause> {
    let run = Run::new(options, Arc::new(Silent));
    let folder = tempfile::tempdir().map_err(|source| Cause::Scratch { source })?;
    let customer = options.customer.id.as_str();
    let scratch = Lake::open(folder.path().to_string_lossy().as_ref(), customer)?;
    let lake = match Lake::open_existing(&options.lake, customer) {
        Err(LakeError::NoCustomer { .. }) => None,
        opened => Some(opened?),
    };
    let last = lake.as_ref().map(Lake::latest_release).transpose()?.flatten().map(Arc::new);
    let mut builder = run.builder(lake.as_ref().unwrap_or(&scratch), last.clone())?;
    let scope = Arc::clone(&builder.scope);
    let (tests, _) = scope.tests(&options.pipeline, last.as_deref());
    builder.check_queries(&tests).await?;
    let mut step = BronzeStep::default();
    let wanted = run.wanted(&scope);
    let looked = bronze::look(lake.as_ref(), &scratch, &wanted, &run.drop(), &run.ingest(), &mut step).await;
    let mut stops: Vec<Cause> = looked.err().into_iter().collect();
    stops.extend(keep_released(lake.as_ref(), &scope, &options.pipeline, last.as_deref(), &mut step).await.err());
    let current = std::mem::take(&mut step.current);
    stops.extend(run.guards(last.as_deref(), &current, &scope, &step.results).err());
    if let Some(lake) = lake.as_ref().filter(|_| !options.resume) {
        stops.extend(check_newer(lake, last.as_deref(), &current, &scope).err());
    }
    builder.histories = run.histories(last.clone(), &step, &scope);
    let seconds = lake.as_ref().map(seconds_by_table).transpose()?.unwrap_or_default();
    let mut steps = sources(&step);
    let planner = Planner { builder: &builder, last: last.as_deref(), current: &current, seconds: &seconds };
    steps.extend(planner.tables(lake.as_ref(), &options.accept_schema, &mut stops).await?);
    let stopped = |cause| RunError { customer: options.customer.id.clone(), cause };
    let stops = stops.into_iter().map(stopped).collect();
    Ok(RunPlan { as_of: run.as_of, release: last.map(|last| last.release), steps, stops })
}

struct Silent;

impl Listener for Silent {
    fn on(&self, _event: &Event) {}
}

/// What would become of the sources, and of files that are left alone.
fn sources(step: &BronzeStep) -> Vec<PlannedStep> {
    let planned = |table, action, why| PlannedStep { table, action, why, columns: None, seconds: None };
    let mut steps: Vec<PlannedStep> = step
        .results
        .iter()
        .map(|(table, result)| {
            let action = match result.status {
                Status::Success => Action::Take,
                Status::NotSelected => Action::Skip,
                _ => Action::Keep,
            };
            planned(Some(table.clone()), action, of_source(result))
        })
        .collect();
    let files = |files: &[NotTaken], action| {
        let of = move |file: &NotTaken| {
            let table = TableName::new(Layer::Bronze, &file.source);
            planned(Some(table), action, format!("{}: {}", file.name, file.reason))
        };
        files.iter().map(of).collect::<Vec<_>>()
    };
    steps.extend(files(&step.waiting, Action::Wait));
    steps.extend(files(&step.refused, Action::Refuse));
    steps.extend(
        step.unclaimed.iter().map(|file| planned(None, Action::Ignore, format!("{file}: no source claims it"))),
    );
    steps
}

fn of_source(result: &TableResult) -> String {
    if result.status != Status::Success {
        return result.skipped.clone().unwrap_or_default();
    }
    let files: Vec<&str> = result.files.iter().map(|file| file.name.as_str()).collect();
    let rejected = if result.rejected > 0 { format!(", {} to be set aside", result.rejected) } else { String::new() };
    format!("{}: {} records{rejected}", files.join(", "), result.rows_in)
}

/// Decides what becomes of the tables.
struct Planner<'a> {
    builder: &'a Builder,
    last: Option<&'a Release>,
    current: &'a BTreeMap<TableName, CurrentBatch>,
    seconds: &'a BTreeMap<String, f64>,
}

impl Planner<'_> {
    async fn tables(
        &self,
        lake: Option<&Lake>,
        accepted: &BTreeSet<String>,
        stops: &mut Vec<Cause>,
    ) -> Result<Vec<PlannedStep>, Cause> {
        let pipeline: &Pipeline = &self.builder.pipeline;
        // Of a table that is to be built nobody knows yet what will be in it.
        let mut fingerprints: BTreeMap<&TableName, String> = BTreeMap::new();
        for (name, batch) in self.current {
            fingerprints.insert(name, batch.content_hash.clone().unwrap_or_default());
        }
        let (mut steps, mut changes, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        let scope = &self.builder.scope;
        for kept in scope.kept(self.last) {
            let fingerprint = kept.fingerprint.unwrap_or_default();
            let known = pipeline.table(&kept.name).map(|table| (&table.name, fingerprint));
            fingerprints.extend(known);
        }
        for table in &pipeline.tables {
            if !scope.has(&table.name) {
                let why = not_selected(0).skipped.unwrap_or_default();
                let (name, action) = (Some(table.name.clone()), Action::Skip);
                steps.push(PlannedStep { table: name, action, why, columns: None, seconds: None });
                continue;
            }
            let (action, why) = self.why(table, &fingerprints)?;
            if action == Action::Skip {
                let released = self.last.and_then(|last| last.tables.get(&table.name.to_string()));
                fingerprints.extend(released.and_then(|table| table.fingerprint.clone()).map(|of| (&table.name, of)));
                let name = Some(table.name.clone());
                steps.push(PlannedStep { table: name, action, why, columns: None, seconds: None });
                continue;
            }
            let seconds = self.seconds.get(&table.name.to_string()).copied();
            let (columns, is_breaking) = self.columns(lake, table).await?;
            if is_breaking && !accepted.contains(&table.name.to_string()) {
                changes.push(format!("{}: {}", table.name, columns.as_deref().unwrap_or_default()));
                tables.push(table.name.to_string());
            }
            steps.push(PlannedStep { table: Some(table.name.clone()), action, why, columns, seconds });
        }
        if !changes.is_empty() {
            stops.push(Cause::SchemaChange { changes, tables });
        }
        Ok(steps)
    }

    /// Whether a table would be built or skipped, and why.
    fn why(&self, table: &Table, fingerprints: &BTreeMap<&TableName, String>) -> Result<(Action, String), Cause> {
        let build = |why: String| Ok((Action::Build, why));
        let name = table.name.to_string();
        if self.last.and_then(|last| last.tables.get(&name)).is_none() {
            return build("it was never published".to_owned());
        }
        if self.builder.last.is_none() {
            return build("everything is to be built anew".to_owned());
        }
        if self.builder.histories.has_pending(&self.builder.pipeline, table) {
            return build("there are exports that are not in it yet".to_owned());
        }
        let inputs = input_names(&self.builder.pipeline, table);
        if let Some(input) = inputs.iter().find(|input| !fingerprints.contains_key(*input)) {
            let what = if input.layer == Layer::Bronze { "is not there" } else { "is built, and may be another one" };
            return build(format!("{input} {what}"));
        }
        let hashes = fingerprints.iter().filter(|(name, _)| inputs.contains(*name));
        let hashes = hashes.map(|(name, fingerprint)| (*name, fingerprint.as_str())).collect();
        let key = build_key(&self.builder.pipeline, table, &self.builder.gold, &hashes)?;
        if let Some(known) = self.builder.why_known(table, &key) {
            return Ok((Action::Skip, known));
        }
        let is_new = |input: &&&TableName| {
            let before = self.last.and_then(|last| last.batches.get(&input.to_string()));
            let now = self.current.get(**input).and_then(released_batch);
            input.layer == Layer::Bronze
                && now.as_ref().map(|now| &now.batch_id) != before.map(|before| &before.batch_id)
        };
        build(match inputs.iter().find(is_new) {
            Some(input) => format!("{input} has new content"),
            None => "its definition, its options or the run's date have changed".to_owned(),
        })
    }

    /// How the columns of a table that is to be built differ from the published ones, and whether readers may notice.
    async fn columns(&self, lake: Option<&Lake>, table: &Table) -> Result<(Option<String>, bool), Cause> {
        let released = self.last.and_then(|last| last.tables.get(&table.name.to_string()));
        let (Some(lake), Some(released)) = (lake, released) else { return Ok((None, false)) };
        let Some(published) = lake.published(&table.name, Some(released.version)).await? else {
            return Ok((None, false));
        };
        let change = schema_changes(&published.files.schema, &table.schema);
        let text = change.to_string();
        Ok(((!text.is_empty()).then_some(text), change.is_breaking()))
    }
}

/// How long each table took when it was built last.
fn seconds_by_table(lake: &Lake) -> Result<BTreeMap<String, f64>, Cause> {
    let mut seconds = BTreeMap::new();
    for run_id in lake.runs()?.iter().rev().take(RUNS_LOOKED_AT) {
        // A run that was killed has no results; those of other builds may have other keys.
        let Some(text) = lake.read_run_file(run_id, "run_results.json")? else { continue };
        let results: Value = serde_json::from_slice(&text).unwrap_or_default();
        let tables = results.get("tables").and_then(Value::as_object);
        for (table, result) in tables.into_iter().flatten() {
            let took = result.get("seconds").and_then(Value::as_f64);
            let was_built = result.get("status").and_then(Value::as_str) == Some("success");
            if let Some(took) = took.filter(|_| was_built) {
                seconds.entry(table.clone()).or_insert(took);
            }
        }
    }
    Ok(seconds)
}
