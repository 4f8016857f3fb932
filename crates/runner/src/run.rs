//! One customer's night: take in, build, publish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use medallion_bronze::IngestOptions;
use medallion_gold::{FiscalYears, GoldOptions};
use medallion_lake::{CommitInfo, CommitMode, Lake, Release, ReleasedTable};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{Customer, Layer, Pipeline, Reject, TableName};
use medallion_silver::rejects::Stage;
use medallion_sql::{SqlOptions, SqlSession};

use crate::bronze::{self, BronzeStep};
use crate::error::{Cause, RunError};
use crate::events::{Event, Listener};
use crate::layers::{Builder, Built};
use crate::rejects;
use crate::results::{RunResults, SCHEMA, Status, TableResult};

/// How many tables are committed at the same time.
const CONCURRENT_COMMITS: usize = 16;

/// The finding that a hierarchy leads back to where it began.
const CYCLE: &str = medallion_silver::closure::FindingKind::Cycle.as_str();

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The customer.
    pub customer: Customer,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Where the lakes are.
    pub lake: String,
    /// The run's date; by default today in the customer's time zone.
    pub as_of: Option<NaiveDate>,
    /// How the SQL engine may use the machine.
    pub sql: SqlOptions,
}

/// Runs a customer. An error leaves the published tables as they were; its results are written all the same.
///
/// # Errors
/// If the customer could not be published.
pub async fn run(options: &RunOptions, listener: Arc<dyn Listener>) -> Result<RunResults, RunError> {
    let failed = |cause: Cause| RunError { customer: options.customer.id.clone(), cause };
    let now = Utc::now();
    let run = Run {
        options,
        run_id: run_id(now, options),
        now,
        as_of: options.as_of.unwrap_or_else(|| now.with_timezone(&options.customer.timezone).date_naive()),
        listener,
    };
    check(&options.pipeline).map_err(failed)?;
    let lake = Lake::open(&options.lake, options.customer.id.as_str()).map_err(|error| failed(error.into()))?;
    let _lock = lake.lock(&run.run_id).map_err(|error| failed(error.into()))?;
    let mut results = run.results();
    let outcome = run.carry_out(&lake, &mut results).await;
    results.seconds = (Utc::now() - now).as_seconds_f64();
    if let Err(cause) = &outcome {
        results.error = Some(cause.to_string());
    }
    let written = write_results(&lake, &results);
    outcome.map_err(failed)?;
    written.map_err(failed)?;
    Ok(results)
}

/// Everything about a pipeline that shows without data.
///
/// # Errors
/// If an expression of a rule is not sound.
pub fn check(pipeline: &Pipeline) -> Result<(), Cause> {
    for table in &pipeline.tables {
        if let Definition::Cleanse(cleanse) = &table.definition {
            medallion_silver::cleanse::check(cleanse, &table.schema)?;
        }
    }
    Ok(())
}

/// Tells runs apart and sorts them by their start.
fn run_id(now: DateTime<Utc>, options: &RunOptions) -> String {
    let nanoseconds = now.timestamp_nanos_opt().unwrap_or_default();
    let seed = format!("{} {} {nanoseconds}", options.customer.id, std::process::id());
    format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), &blake3::hash(seed.as_bytes()).to_hex()[..8])
}

fn write_results(lake: &Lake, results: &RunResults) -> Result<(), Cause> {
    let mut text = serde_json::to_vec_pretty(results)?;
    text.push(b'\n');
    lake.write_run_file(&results.run_id, "run_results.json", &text)?;
    Ok(())
}

struct Run<'a> {
    options: &'a RunOptions,
    run_id: String,
    now: DateTime<Utc>,
    as_of: NaiveDate,
    listener: Arc<dyn Listener>,
}

impl Run<'_> {
    /// Fills `results` as far as it gets: what was taken in stands there even if the rest fails.
    async fn carry_out(&self, lake: &Lake, results: &mut RunResults) -> Result<(), Cause> {
        let started = Instant::now();
        self.listener.on(&Event::Started { run_id: self.run_id.clone() });
        let pipeline = &self.options.pipeline;
        let mut builder = self.builder(lake)?;
        builder.check_queries().await?;
        self.listener.on(&Event::LayerStarted { layer: Layer::Bronze, tables: pipeline.sources.len() });
        let ingest = IngestOptions { run_id: self.run_id.clone(), now: self.now };
        let mut step = bronze::take_in(lake, pipeline, &self.options.customer.source, &ingest).await?;
        results.layer_seconds.insert(Layer::Bronze, started.elapsed().as_secs_f64());
        self.tell_bronze(&step);
        let current = Arc::new(std::mem::take(&mut step.current));
        builder.bronze = Arc::clone(&current);
        results.unclaimed_files = step.unclaimed;
        results.tables = step.results;
        let built = builder.build_all().await;
        let (built, seconds) = built.inspect_err(|_| self.discard(lake))?;
        results.layer_seconds.extend(seconds);
        self.tell_silver(&built);
        let publishing = Instant::now();
        let batches = current.values().filter_map(|batch| batch.batch_id.clone()).collect();
        let set_aside: Vec<Reject> = built.iter().flat_map(|built| &built.rejects).cloned().collect();
        rejects::replace(lake, &self.run_id, Stage::Silver, &batches, &set_aside).await?;
        let release = self.publish(lake, &built).await?;
        results.tables.extend(built.into_iter().map(|built| (built.name, built.result)));
        results.publish_seconds = publishing.elapsed().as_secs_f64();
        results.release = Some(release);
        results.status = Status::Success;
        Ok(())
    }

    fn results(&self) -> RunResults {
        RunResults {
            schema: SCHEMA,
            run_id: self.run_id.clone(),
            customer: self.options.customer.id.to_string(),
            pipeline: self.options.pipeline.name.clone(),
            status: Status::Failed,
            error: None,
            as_of: self.as_of,
            release: None,
            started_at: self.now,
            seconds: 0.0,
            publish_seconds: 0.0,
            layer_seconds: BTreeMap::new(),
            unclaimed_files: Vec::new(),
            tables: BTreeMap::new(),
        }
    }

    fn builder(&self, lake: &Lake) -> Result<Builder, Cause> {
        Ok(Builder {
            lake: lake.clone(),
            pipeline: Arc::clone(&self.options.pipeline),
            session: Arc::new(SqlSession::new(&self.options.sql)?),
            gold: Arc::new(GoldOptions {
                as_of: self.as_of,
                fiscal_years: FiscalYears::new(self.options.customer.fiscal_year),
                run_id: self.run_id.clone(),
            }),
            bronze: Arc::default(),
            listener: Arc::clone(&self.listener),
            concurrency: self.options.sql.threads.max(1) * 2,
        })
    }

    fn warn(&self, table: &TableName, message: String) {
        self.listener.on(&Event::Warning { table: Some(table.clone()), message });
    }

    fn tell_bronze(&self, step: &BronzeStep) {
        for (table, result) in &step.results {
            let (rows, seconds) = (result.rows_out, result.seconds);
            self.listener.on(&Event::TableDone { table: table.clone(), rows, seconds });
            self.warn_of_batches(table, result);
            if result.rejected > 0 {
                self.warn(table, format!("{} set aside, see bronze.rejected_rows", records(result.rejected)));
            }
            for file in &result.files {
                if !file.rescued_columns.is_empty() {
                    let columns = file.rescued_columns.join(", ");
                    self.warn(table, format!("{} has unknown columns, kept in _rescued_data: {columns}", file.name));
                }
                if let Some(encoding) = file.encoding.filter(|encoding| *encoding != "UTF-8") {
                    self.warn(table, format!("{} is not UTF-8 and was read as {encoding}", file.name));
                }
            }
        }
        if !step.unclaimed.is_empty() {
            let message = format!("files that belong to no source are left alone: {}", step.unclaimed.join(", "));
            self.listener.on(&Event::Warning { table: None, message });
        }
    }

    fn warn_of_batches(&self, table: &TableName, result: &TableResult) {
        let current = result.batch_id.as_deref().unwrap_or_default();
        if result.status == Status::NotDelivered {
            self.warn(table, result.skipped.clone().unwrap_or_default());
        }
        if result.status == Status::Success && !result.new_batches.iter().any(|batch| batch == current) {
            self.warn(table, format!("what arrived is older than the batch {current}, which stays the current one"));
        }
        if result.export_date.is_some_and(|date| date > self.now.date_naive() + Days::new(1)) {
            self.warn(table, format!("the batch {current} is dated in the future; later exports will not replace it"));
        }
        if result.status == Status::Success && result.rows_out == 0 && result.rejected == 0 {
            self.warn(table, "the export has a header and no records".to_owned());
        }
    }

    /// Rows that silver set aside, texts it could not read and cycles; other findings are in the results.
    fn tell_silver(&self, built: &[Built]) {
        for built in built {
            let result = &built.result;
            if result.rejected > 0 {
                self.warn(&built.name, format!("{} set aside, see bronze.rejected_rows", records(result.rejected)));
            }
            for finding in result.findings.iter().filter(|finding| finding.column.is_some()) {
                let column = finding.column.as_deref().unwrap_or_default();
                let what = if finding.rule == "cast" { "not readable" } else { "not among the known values" };
                let samples = finding.samples.join(", ");
                self.warn(&built.name, format!("{column}: {} {what}: {samples}", records(finding.rows)));
            }
            for cycle in result.findings.iter().filter(|finding| finding.rule == CYCLE).flat_map(|cycle| &cycle.samples)
            {
                self.warn(&built.name, cycle.clone());
            }
        }
    }

    /// Removes what a failed run staged; nothing of it is in a log.
    fn discard(&self, lake: &Lake) {
        for table in &self.options.pipeline.tables {
            // What cannot be removed is invisible to readers all the same.
            let _ = lake.discard(&table.name, &self.run_id);
        }
    }

    /// Commits every table, then the release that names their versions.
    async fn publish(&self, lake: &Lake, built: &[Built]) -> Result<u64, Cause> {
        let release = lake.latest_release()?.map_or(1, |latest| latest.release + 1);
        self.listener.on(&Event::Publishing { release });
        let info = CommitInfo { run_id: self.run_id.clone(), release: Some(release), extra: Vec::new() };
        let commits = stream::iter(built.iter()).map(|built| async {
            let version = lake.commit(&built.staged, CommitMode::Overwrite, &info).await?;
            let released = ReleasedTable { version, rows: built.staged.rows(), fingerprint: None };
            Ok::<_, Cause>((built.name.to_string(), released))
        });
        let tables = commits.buffer_unordered(CONCURRENT_COMMITS).try_collect().await?;
        lake.put_release(&Release {
            schema: Release::SCHEMA.to_owned(),
            release,
            run_id: self.run_id.clone(),
            as_of: self.as_of,
            published_at: Utc::now(),
            tables,
        })?;
        Ok(release)
    }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}
