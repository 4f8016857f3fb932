//! One customer's night: take in, build, publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Utc};
use medallion_bronze::{IngestOptions, ReadFile, put_away};
use medallion_gold::{FiscalYears, GoldOptions};
use medallion_lake::{
    Confirmation, Gate, Lake, LakeError, LakeLocation, LakeLock, Publication, PublishedChange, Release, Snapshots,
    TableHashes,
};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{Customer, DataTest, Layer, Pipeline, Reject, Reporting, Selection, TableName};
use medallion_silver::rejects::Stage;
use medallion_sql::SqlOptions;
use tokio::runtime::Handle;

use crate::afterwards;
use crate::audit::Audit;
use crate::bronze::{self, BronzeStep, CurrentBatch, Drop, Wanted};
use crate::build_key::pipeline_key;
use crate::conservation;
use crate::engine::Engine;
use crate::error::{Cause, RunError};
use crate::events::{Event, Listener};
use crate::guard::{Guards, released_batches};
use crate::history::Histories;
use crate::interrupt::Interrupt;
use crate::layers::{Builder, Built, Content};
use crate::rejects;
use crate::released::keep_released;
use crate::results::{RunResults, SCHEMA, Status, TableResult};
use crate::rollback::check_newer;
use crate::schema_guard;
use crate::scope::Scope;
use crate::telling::Teller;

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The customer.
    pub customer: Customer,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Where the lakes are.
    pub lake: LakeLocation,
    /// The run's date; by default today in the customer's time zone.
    pub as_of: Option<NaiveDate>,
    /// How the SQL engine may use the machine.
    pub sql: SqlOptions,
    /// Whether tables are built anew though nothing they are built from has changed.
    pub full_refresh: bool,
    /// Whether to publish again what was rolled back.
    pub resume: bool,
    /// Tables whose columns may go away or change.
    pub accept_schema: BTreeSet<String>,
    /// What stands between the lake and its disk.
    pub gate: Arc<dyn Gate>,
    /// Sources that may have far fewer records than in the last release.
    pub accept_shrink: BTreeSet<String>,
    /// What can ask the run to stop.
    pub interrupt: Interrupt,
    /// Which sources and tables it is about; all, if it is not there.
    pub selection: Option<Selection>,
    /// Who hears of it, beside those whom the customer's file names.
    pub reporting: Reporting,
}

/// Runs a customer. An error leaves the published tables as they were; its results are written all the same. A run that
/// is interrupted may go on computing in the background, without effect; it then holds the customer until the process
/// ends. Its report is written and whoever wants to hears of its end before this returns.
///
/// # Errors
/// If the customer could not be published.
pub async fn run(options: &RunOptions, listener: Arc<dyn Listener>) -> Result<RunResults, RunError> {
    let run = Arc::new(Run::new(options, Arc::clone(&listener)));
    let outcome = run_alone(options, &run).await;
    afterwards::see_to(options, &run.run_id, run.recorded.get(), outcome.as_ref().err(), listener.as_ref()).await;
    outcome
}

/// Runs a customer behind its lock.
async fn run_alone(options: &RunOptions, run: &Arc<Run>) -> Result<RunResults, RunError> {
    let failed = |cause: Cause| RunError { customer: options.customer.id.clone(), cause };
    let lake = Lake::open_behind(&options.lake, options.customer.id.as_str(), Arc::clone(&options.gate))
        .map_err(|error| failed(error.into()))?;
    let lock = lake.lock(&run.run_id).map_err(|error| failed(error.into()))?;
    // On a thread of its own: whatever it computes, an interrupt is heard.
    let mut night = tokio::task::spawn_blocking({
        let (run, lake, runtime) = (Arc::clone(run), lake.clone(), Handle::current());
        move || runtime.block_on(run.to_the_end(&lake))
    });
    let ended = tokio::select! {
        biased;
        ended = &mut night => Some(ended),
        () = options.interrupt.patience_ended() => None,
    };
    options.interrupt.end_publishing();
    match ended {
        Some(Ok(outcome)) => outcome.map_err(failed),
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) | None => {
            run.leave_behind(&lake, lock);
            Err(failed(Cause::Interrupted))
        }
    }
}

/// Tells runs apart and sorts them by their start.
pub(crate) fn run_id(now: DateTime<Utc>, customer: &str) -> String {
    let nanoseconds = now.timestamp_nanos_opt().unwrap_or_default();
    let seed = format!("{customer} {} {nanoseconds}", std::process::id());
    format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), &blake3::hash(seed.as_bytes()).to_hex()[..8])
}

fn write_results(lake: &Lake, results: &RunResults) -> Result<(), Cause> {
    let mut text = serde_json::to_vec_pretty(results)?;
    text.push(b'\n');
    lake.write_run_file(&results.run_id, "run_results.json", &text)?;
    Ok(())
}

/// One run of a customer.
pub(crate) struct Run {
    options: RunOptions,
    run_id: String,
    /// When it began by a clock that is never set.
    started: Instant,
    now: DateTime<Utc>,
    pub(crate) as_of: NaiveDate,
    pipeline_key: String,
    listener: Arc<dyn Listener>,
    /// Its results once they are written, or could not be.
    recorded: OnceLock<(Lake, RunResults)>,
}

impl Run {
    /// A run that begins now.
    pub(crate) fn new(options: &RunOptions, listener: Arc<dyn Listener>) -> Self {
        let now = Utc::now();
        Self {
            options: options.clone(),
            started: Instant::now(),
            run_id: run_id(now, options.customer.id.as_str()),
            now,
            as_of: options.as_of.unwrap_or_else(|| now.with_timezone(&options.customer.timezone).date_naive()),
            pipeline_key: pipeline_key(&options.pipeline),
            listener,
            recorded: OnceLock::new(),
        }
    }

    async fn to_the_end(&self, lake: &Lake) -> Result<RunResults, Cause> {
        let mut results = self.results();
        let outcome = self.carry_out(lake, &mut results).await;
        results.seconds = self.started.elapsed().as_secs_f64();
        if let Err(cause) = &outcome {
            results.error = Some(cause.to_string());
        }
        let written = write_results(lake, &results);
        let _ = self.recorded.set((lake.clone(), results.clone()));
        outcome?;
        match (written, results.release) {
            (Ok(()), _) => Ok(results),
            (Err(cause), None) => Err(cause),
            (Err(cause), Some(release)) => Err(Cause::Unrecorded { release, source: Box::new(cause) }),
        }
    }

    /// What a run that was interrupted still computes comes to nothing: it hears of it before it commits.
    fn leave_behind(&self, lake: &Lake, lock: LakeLock) {
        self.discard(lake);
        let (seconds, error) = (self.started.elapsed().as_secs_f64(), Some(Cause::Interrupted.to_string()));
        // Who interrupts does not care for the results as much as for the end.
        let results = RunResults { seconds, error, ..self.results() };
        let _ = write_results(lake, &results);
        let _ = self.recorded.set((lake.clone(), results));
        // It still has files open in the customer's folder: nobody may take them for leftovers.
        lock.leave();
    }

    /// Fills `results` as far as it gets: what was taken in stands there even if the rest fails.
    async fn carry_out(&self, lake: &Lake, results: &mut RunResults) -> Result<(), Cause> {
        self.listener.on(&Event::Started { run_id: self.run_id.clone() });
        if let Some(recovery) = lake.recover().await? {
            self.teller().tell(recovery.to_string());
        }
        self.options.interrupt.check()?;
        let last = lake.latest_release()?.map(Arc::new);
        let mut builder = self.builder(lake, last.clone())?;
        let scope = Arc::clone(&builder.scope);
        let tests = self.tests(&scope, last.as_deref());
        for table in scope.outdated(&self.options.pipeline, last.as_deref())? {
            let told = "has another definition than it was built with, and is used as it is because it is not selected";
            self.teller().tell(format!("{table} {told}"));
        }
        if self.options.full_refresh || !self.was_planned(&builder, last.as_deref()) {
            builder.check_queries(&tests).await?;
        }
        let mut step = self.take_in(lake, &scope, last.as_deref(), results).await?;
        let current = Arc::new(std::mem::take(&mut step.current));
        builder.bronze = Arc::clone(&current);
        self.options.interrupt.check()?;
        let histories = self.histories(last.clone(), &step, &scope);
        builder.histories = Arc::clone(&histories);
        self.guards(last.as_deref(), &current, &scope, &results.tables)?;
        if !self.options.resume {
            check_newer(lake, last.as_deref(), &current, &scope)?;
        }
        let built = self.build(&builder, last.as_deref(), results).await?;
        let audited = self.may_publish(&builder, last.as_deref(), &built, &tests, results);
        let audited = self.options.interrupt.unless_asked(audited).await;
        let may_begin = audited.and_then(|()| self.options.interrupt.begin_publishing());
        may_begin.inspect_err(|_| self.discard(lake))?;
        let publishing = Instant::now();
        results.publish_started = Some(publishing.duration_since(self.started).as_secs_f64());
        let published = self.publish_built(&builder, last.as_deref(), &current, &built).await?;
        results.release = published.as_ref().map(|release| release.release);
        self.retire(&builder, &mut step, published.as_ref().or(last.as_deref()), &built).await;
        self.put_away(step.done.into_values().flatten().collect());
        results.publish_seconds = publishing.elapsed().as_secs_f64();
        if !step.is_remembered {
            self.remember(&builder).await;
        }
        match published {
            Some(release) => lake.write_checkpoints(&release).await,
            None => self.confirm(&builder, last.as_deref(), &built, results),
        }
        results.status = Status::Success;
        Ok(())
    }

    /// Builds the tables; what a failure leaves behind is cleared away.
    async fn build(
        &self,
        builder: &Builder,
        last: Option<&Release>,
        results: &mut RunResults,
    ) -> Result<Vec<Built>, Cause> {
        let built = builder.build_all(builder.scope.kept(last)).await;
        let (built, seconds) = built.inspect_err(|_| self.discard(&builder.lake))?;
        // Layers of which nothing was selected took no time.
        results.layer_seconds.extend([(Layer::Silver, 0.0), (Layer::Gold, 0.0)]);
        results.layer_seconds.extend(seconds);
        results.layer_rejected.insert(Layer::Silver, conservation::rejected(&built));
        self.teller().silver(&built);
        results.tables.extend(built.iter().map(|built| (built.name.clone(), built.result.clone())));
        Ok(built)
    }

    /// Rows of exports that nothing needs any more leave bronze. Of sources whose tables were not built, all may be needed.
    async fn retire(&self, builder: &Builder, step: &mut BronzeStep, release: Option<&Release>, built: &[Built]) {
        let pipeline = &self.options.pipeline;
        let told = built.iter().filter_map(|built| Some((&built.name, built.history.as_ref()?)));
        let stay = builder.histories.unpublished(pipeline, release, told);
        let moved = pipeline.sources.values().filter(|source| builder.scope.moves(&source.name));
        match bronze::retire(&builder.lake, moved, &step.batches, &stay, &self.ingest()).await {
            Ok(retired) => step.is_remembered &= !retired,
            Err(cause) => {
                step.is_remembered = false;
                self.teller().tell(format!("old batches stay in bronze until the next run: {cause}"));
            }
        }
    }

    /// Spares the next run reading the logs of bronze.
    async fn remember(&self, builder: &Builder) {
        let sources = builder.scope.sources(&self.options.pipeline);
        if let Err(cause) = bronze::remember(&builder.lake, &sources).await {
            self.teller().tell(format!("the next run will have to read the logs of bronze again: {cause}"));
        }
    }

    /// The tests of what is to be built. Those that need a table which is neither built nor published are told.
    fn tests(&self, scope: &Scope, last: Option<&Release>) -> Vec<DataTest> {
        let (tests, left_out) = scope.tests(&self.options.pipeline, last);
        for (test, table) in left_out {
            self.teller().tell(format!("test {test} is left out: {table} is not selected and was never published"));
        }
        tests
    }

    pub(crate) fn histories(&self, last: Option<Arc<Release>>, step: &BronzeStep, scope: &Scope) -> Arc<Histories> {
        let (pipeline, accept_shrink) = (&self.options.pipeline, &self.options.accept_shrink);
        Arc::new(Histories::new(last, pipeline, &step.batches, scope, accept_shrink))
    }

    /// What was built becomes visible, after what silver set aside; what cannot be published is cleared away.
    async fn publish_built(
        &self,
        builder: &Builder,
        last: Option<&Release>,
        current: &BTreeMap<TableName, CurrentBatch>,
        built: &[Built],
    ) -> Result<Option<Release>, Cause> {
        self.replace_rejects(&builder.lake, current, built).await?;
        let published = self.publish(builder, last, built, current).await;
        published.inspect_err(|cause| {
            // What is begun will be finished from the staged files.
            if !matches!(cause, Cause::Lake(LakeError::Unfinished { .. })) {
                self.discard(&builder.lake);
            }
        })
    }

    /// Columns and rows of what is staged, before anything of it is visible.
    async fn may_publish(
        &self,
        builder: &Builder,
        last: Option<&Release>,
        built: &[Built],
        tests: &[DataTest],
        results: &mut RunResults,
    ) -> Result<(), Cause> {
        schema_guard::check(&builder.lake, last, built, &self.options.accept_schema).await?;
        let tested = last.filter(|last| self.were_tested(builder, last));
        if let Some(last) = tested.filter(|last| is_published(Some(last), built)) {
            let release = last.release;
            results.tests_skipped = Some(format!("no table and no test has changed since release {release}"));
            return Ok(());
        }
        if tests.is_empty() && builder.scope.is_selective() {
            results.tests_skipped = Some("no test looks at what is selected".to_owned());
            return Ok(());
        }
        builder.register_tested(built, tests).await?;
        self.audit(builder, tests, built, results).await
    }

    /// Whether the queries of this pipeline could be planned before.
    fn was_planned(&self, builder: &Builder, last: Option<&Release>) -> bool {
        let confirmed = last.and_then(|last| builder.remembered.confirmed(last));
        last.is_some_and(|last| last.pipeline_key.as_ref() == Some(&self.pipeline_key))
            || confirmed.is_some_and(|confirmed| confirmed.pipeline_key == self.pipeline_key)
    }

    /// Whether the tables of a release passed the tests of this pipeline on this day.
    fn were_tested(&self, builder: &Builder, last: &Release) -> bool {
        let is_this = |as_of: NaiveDate, key: &String| as_of == self.as_of && *key == self.pipeline_key;
        last.pipeline_key.as_ref().is_some_and(|key| is_this(last.as_of, key))
            || builder.remembered.confirmed(last).is_some_and(|found| is_this(found.as_of, &found.pipeline_key))
    }

    /// Notes down that the tables are those of the last release though they were built or tested once more: no release
    /// tells of it, and the next run would do the same again.
    fn confirm(&self, builder: &Builder, last: Option<&Release>, built: &[Built], results: &RunResults) {
        let is_news = results.tests_skipped.is_none() || built.iter().any(|built| built.was_built);
        let Some(last) = last.filter(|_| is_news && self.is_whole(&builder.scope, built)) else { return };
        let keys = built.iter().filter_map(|built| Some((built.name.to_string(), built.build_key.clone()?)));
        let confirmation = Confirmation {
            release: last.release,
            as_of: self.as_of,
            pipeline_key: self.pipeline_key.clone(),
            build_keys: keys.collect(),
        };
        if let Err(error) = builder.lake.confirm(confirmation) {
            self.teller().tell(format!("the next run will have to build and test the same again: {error}"));
        }
    }

    /// Whether all tables of the pipeline, and no others, are this run's.
    fn is_whole(&self, scope: &Scope, built: &[Built]) -> bool {
        !scope.is_partial(&self.options.pipeline) && built.iter().all(|built| scope.has(&built.name))
    }

    /// Where the customer's files arrive.
    pub(crate) fn drop(&self) -> Drop<'_> {
        Drop { folder: &self.options.customer.source, arrival: &self.options.customer.arrival }
    }

    pub(crate) fn ingest(&self) -> IngestOptions {
        let limits = self.options.customer.arrival.limits.clone();
        IngestOptions { run_id: self.run_id.clone(), now: self.now, limits }
    }

    /// What the run takes in.
    pub(crate) fn wanted(&self, scope: &Scope) -> Wanted<'_> {
        Wanted { pipeline: &self.options.pipeline, sources: scope.sources(&self.options.pipeline) }
    }

    async fn take_in(
        &self,
        lake: &Lake,
        scope: &Scope,
        last: Option<&Release>,
        results: &mut RunResults,
    ) -> Result<BronzeStep, Cause> {
        let started = Instant::now();
        let (pipeline, wanted) = (&self.options.pipeline, self.wanted(scope));
        self.listener.on(&Event::LayerStarted { layer: Layer::Bronze, tables: wanted.sources.len() });
        let mut step = BronzeStep::default();
        let interrupt = &self.options.interrupt;
        let taken_in = bronze::take_in(lake, &wanted, &self.drop(), &self.ingest(), interrupt, &mut step).await;
        results.layer_seconds.insert(Layer::Bronze, started.elapsed().as_secs_f64());
        self.teller().bronze(&step);
        results.unclaimed_files = std::mem::take(&mut step.unclaimed);
        results.waiting_files = std::mem::take(&mut step.waiting);
        results.refused_files = std::mem::take(&mut step.refused);
        let kept = keep_released(Some(lake), scope, pipeline, last, &mut step).await;
        results.tables = std::mem::take(&mut step.results);
        for (name, result) in &mut results.tables {
            result.started = step.began.get(name).map(|began| began.duration_since(self.started).as_secs_f64());
        }
        let rejected = results.tables.values().map(|table| table.rejected).sum();
        results.layer_rejected.insert(Layer::Bronze, rejected);
        taken_in.and(kept)?;
        conservation::bronze(&results.tables)?;
        Ok(step)
    }

    /// What silver set aside of the batches whose tables were built. The others keep what was set aside of them.
    async fn replace_rejects(
        &self,
        lake: &Lake,
        current: &BTreeMap<TableName, CurrentBatch>,
        built: &[Built],
    ) -> Result<(), Cause> {
        let pipeline = &self.options.pipeline;
        let cleansed = built.iter().filter(|built| built.was_built).filter_map(|built| pipeline.table(&built.name));
        let sources = cleansed.filter_map(|table| match &table.definition {
            Definition::Cleanse(cleanse) => Some(TableName::new(Layer::Bronze, &cleanse.source)),
            _ => None,
        });
        let batches = sources.filter_map(|source| current.get(&source)).flat_map(CurrentBatch::batch_ids).collect();
        let set_aside: Vec<Reject> = built.iter().flat_map(|built| &built.rejects).cloned().collect();
        rejects::replace(lake, &self.run_id, Stage::Silver, &batches, &set_aside).await
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
            publish_started: None,
            publish_seconds: 0.0,
            layer_seconds: BTreeMap::new(),
            layer_rejected: BTreeMap::new(),
            unclaimed_files: Vec::new(),
            waiting_files: Vec::new(),
            refused_files: Vec::new(),
            tables: BTreeMap::new(),
            tests: Vec::new(),
            tests_skipped: None,
            tests_started: None,
            test_seconds: 0.0,
        }
    }

    pub(crate) fn builder(&self, lake: &Lake, last: Option<Arc<Release>>) -> Result<Builder, Cause> {
        let scope = Scope::of(self.options.selection.as_ref(), &self.options.pipeline, last.as_deref())?;
        Ok(Builder {
            scope: Arc::new(scope),
            lake: lake.clone(),
            pipeline: Arc::clone(&self.options.pipeline),
            engine: Arc::new(Engine::new(self.options.sql.clone())),
            gold: Arc::new(GoldOptions {
                as_of: self.as_of,
                fiscal_years: FiscalYears::new(self.options.customer.fiscal_year),
                run_id: self.run_id.clone(),
            }),
            bronze: Arc::default(),
            interrupt: self.options.interrupt.clone(),
            histories: Arc::default(),
            began: self.started,
            listener: Arc::clone(&self.listener),
            concurrency: self.options.sql.threads.max(1) * 2,
            remembered: Arc::new(lake.remembered()),
            last: last.filter(|_| !self.options.full_refresh),
        })
    }

    fn teller(&self) -> Teller<'_> {
        Teller { listener: self.listener.as_ref(), now: self.now }
    }

    /// Runs the data tests on what is staged, before anything of it is visible.
    async fn audit(
        &self,
        builder: &Builder,
        tests: &[DataTest],
        built: &[Built],
        results: &mut RunResults,
    ) -> Result<(), Cause> {
        let started = Instant::now();
        let audit = Audit {
            lake: &builder.lake,
            tests,
            session: builder.engine.session()?,
            run_id: &self.run_id,
            as_of: self.as_of,
            rows: built.iter().map(|built| (built.name.clone(), built.content.rows())).collect(),
            listener: self.listener.as_ref(),
        };
        results.tests_started = Some(started.duration_since(self.started).as_secs_f64());
        results.tests = audit.run().await?;
        results.test_seconds = started.elapsed().as_secs_f64();
        audit.verdict(&results.tests)
    }

    /// Checks what is current before anything is built from it.
    pub(crate) fn guards(
        &self,
        last: Option<&Release>,
        current: &BTreeMap<TableName, CurrentBatch>,
        scope: &Scope,
        results: &BTreeMap<TableName, TableResult>,
    ) -> Result<(), Cause> {
        let guards = Guards {
            scope,
            pipeline: &self.options.pipeline,
            last,
            accept_shrink: &self.options.accept_shrink,
            as_of: self.as_of,
        };
        guards.check(current, results)
    }

    /// What cannot be put away is a nuisance, not a failure: it is known the next night.
    fn put_away(&self, done: Vec<ReadFile>) {
        let customer = &self.options.customer;
        let stay = tokio::task::block_in_place(|| put_away(&customer.source, &done, &customer.arrival));
        stay.into_iter().for_each(|message| self.teller().tell(message));
    }

    /// Removes what a failed run staged; nothing of it is in a log.
    fn discard(&self, lake: &Lake) {
        for table in &self.options.pipeline.tables {
            // What cannot be removed is invisible to readers all the same.
            let _ = lake.discard(&table.name, &self.run_id);
        }
    }

    /// Publishes what has changed, together with what has not; `None` if nothing has.
    async fn publish(
        &self,
        builder: &Builder,
        last: Option<&Release>,
        built: &[Built],
        current: &BTreeMap<TableName, CurrentBatch>,
    ) -> Result<Option<Release>, Cause> {
        let (lake, scope) = (&builder.lake, &builder.scope);
        if built.is_empty() || is_published(last, built) {
            return Ok(None);
        }
        // Of a release that has other tables too nobody may believe that this pipeline built and tested them.
        let is_whole = self.is_whole(scope, built);
        self.listener.on(&Event::Publishing { release: lake.next_release()? });
        let publication = Publication {
            run_id: self.run_id.clone(),
            as_of: self.as_of,
            batches: released_batches(current, scope, last),
            history: built.iter().filter_map(history).collect(),
            tables: built.iter().map(change).collect(),
            pipeline_key: is_whole.then(|| self.pipeline_key.clone()),
        };
        Ok(Some(lake.publish(publication).await?))
    }
}

/// Whether the last release has the same tables with the same contents.
fn is_published(last: Option<&Release>, built: &[Built]) -> bool {
    last.is_some_and(|last| last.tables.len() == built.len()) && !built.iter().any(Built::is_new)
}

/// What the release says of the exports in a table of versions.
fn history(built: &Built) -> Option<(String, Snapshots)> {
    Some((built.name.to_string(), built.history.as_ref()?.snapshots.clone()))
}

fn change(built: &Built) -> PublishedChange {
    let (fingerprint, build_key) = (built.fingerprint.clone(), built.build_key.clone());
    let hashes = TableHashes { fingerprint, build_key, definition: built.definition.clone() };
    match &built.content {
        Content::Staged(staged) => PublishedChange::Changed { staged: staged.clone(), hashes },
        Content::Published { version, rows } => {
            PublishedChange::Unchanged { table: built.name.clone(), version: *version, rows: *rows, hashes }
        }
    }
}
