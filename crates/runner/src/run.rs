//! One customer's night: take in, build, publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_bronze::{IngestOptions, ReadFile, put_away};
use medallion_gold::{FiscalYears, GoldOptions};
use medallion_lake::{CommitInfo, CommitMode, Gate, Lake, Release, ReleasedBatch, ReleasedTable};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{Customer, Layer, Pipeline, Reject, TableName};
use medallion_silver::rejects::Stage;
use medallion_sql::{SqlOptions, SqlSession};

use crate::bronze::{self, BronzeStep, CurrentBatch, Drop};
use crate::error::{Cause, RunError};
use crate::events::{Event, Listener};
use crate::guard::{Guards, released_batches};
use crate::layers::{Builder, Built};
use crate::rejects;
use crate::results::{RunResults, SCHEMA, Status};
use crate::telling::Teller;

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
    /// What stands between the lake and its disk.
    pub gate: Arc<dyn Gate>,
    /// Sources that may have far fewer records than in the last release.
    pub accept_shrink: BTreeSet<String>,
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
    let lake = Lake::open_behind(&options.lake, options.customer.id.as_str(), Arc::clone(&options.gate))
        .map_err(|error| failed(error.into()))?;
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
        let customer = &self.options.customer;
        let limits = customer.arrival.limits.clone();
        let ingest = IngestOptions { run_id: self.run_id.clone(), now: self.now, limits };
        let drop = Drop { folder: &customer.source, arrival: &customer.arrival };
        let mut step = BronzeStep::default();
        let taken_in = bronze::take_in(lake, pipeline, &drop, &ingest, &mut step).await;
        results.layer_seconds.insert(Layer::Bronze, started.elapsed().as_secs_f64());
        self.teller().bronze(&step);
        let current = Arc::new(std::mem::take(&mut step.current));
        builder.bronze = Arc::clone(&current);
        results.unclaimed_files = step.unclaimed;
        results.waiting_files = step.waiting;
        results.refused_files = step.refused;
        results.tables = step.results;
        taken_in?;
        self.guards(lake, &current, results)?;
        let built = builder.build_all().await;
        let (built, seconds) = built.inspect_err(|_| self.discard(lake))?;
        results.layer_seconds.extend(seconds);
        self.teller().silver(&built);
        let publishing = Instant::now();
        let batches = current.values().filter_map(|batch| batch.batch_id.clone()).collect();
        let set_aside: Vec<Reject> = built.iter().flat_map(|built| &built.rejects).cloned().collect();
        rejects::replace(lake, &self.run_id, Stage::Silver, &batches, &set_aside).await?;
        let release = self.publish(lake, &built, released_batches(&current)).await?;
        if let Err(cause) = bronze::retire(lake, pipeline, &step.batches, &ingest).await {
            self.teller().tell(format!("old batches stay in bronze until the next run: {cause}"));
        }
        self.put_away(&step.done);
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
            waiting_files: Vec::new(),
            refused_files: Vec::new(),
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

    fn teller(&self) -> Teller<'_> {
        Teller { listener: self.listener.as_ref(), now: self.now }
    }

    /// Checks what is current before anything is built from it.
    fn guards(
        &self,
        lake: &Lake,
        current: &BTreeMap<TableName, CurrentBatch>,
        results: &RunResults,
    ) -> Result<(), Cause> {
        let last = lake.latest_release()?;
        let guards = Guards {
            pipeline: &self.options.pipeline,
            last: last.as_ref(),
            accept_shrink: &self.options.accept_shrink,
            as_of: self.as_of,
        };
        guards.check(current, &results.tables)
    }

    /// What cannot be put away is a nuisance, not a failure: it is known the next night.
    fn put_away(&self, done: &[ReadFile]) {
        let customer = &self.options.customer;
        let stay = tokio::task::block_in_place(|| put_away(&customer.source, done, &customer.arrival));
        stay.into_iter().for_each(|message| self.teller().tell(message));
    }

    /// Removes what a failed run staged; nothing of it is in a log.
    fn discard(&self, lake: &Lake) {
        for table in &self.options.pipeline.tables {
            // What cannot be removed is invisible to readers all the same.
            let _ = lake.discard(&table.name, &self.run_id);
        }
    }

    /// Commits every table, then the release that names their versions.
    async fn publish(
        &self,
        lake: &Lake,
        built: &[Built],
        batches: BTreeMap<String, ReleasedBatch>,
    ) -> Result<u64, Cause> {
        let release = lake.latest_release()?.map_or(1, |latest| latest.release + 1);
        self.listener.on(&Event::Publishing { release });
        let info = CommitInfo { run_id: self.run_id.clone(), release: Some(release), extra: Vec::new() };
        let commits = built.iter().map(|built| async {
            let version = lake.commit(&built.staged, CommitMode::Overwrite, &info).await?;
            let released = ReleasedTable { version, rows: built.staged.rows(), fingerprint: None };
            Ok::<_, Cause>((built.name.to_string(), released))
        });
        let tables = bronze::all(commits).await?.into_iter().collect();
        lake.put_release(&Release {
            schema: Release::SCHEMA.to_owned(),
            release,
            run_id: self.run_id.clone(),
            as_of: self.as_of,
            published_at: Utc::now(),
            tables,
            batches,
        })?;
        Ok(release)
    }
}
