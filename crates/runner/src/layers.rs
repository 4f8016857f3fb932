//! The silver and gold steps of a run: every table is staged as soon as its inputs are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use medallion_gold::GoldOptions;
use medallion_lake::{Lake, Release, ReleasedTable, Remembered, StagedTable};
use medallion_pipeline::columns::RUN_ID;
use medallion_pipeline::definition::{Cleanse, Definition, FindingsTable, HierarchyTable};
use medallion_pipeline::{DataTest, Layer, Pipeline, Reject, Table, TableFiles, TableName, TableSchema};
use medallion_silver::{CleanseTask, HierarchyTask, RuleFinding, UpsertTask, stage_findings};
use url::Url;

use crate::bronze::CurrentBatch;
use crate::build_key::{build_key, definition_key};
use crate::conservation;
use crate::engine::Engine;
use crate::error::Cause;
use crate::events::Listener;
use crate::history::{Histories, History};
use crate::input::{Input, Inputs};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::results::{Status, TableResult};
use crate::scope::Scope;

/// What building needs.
#[derive(Clone)]
pub(crate) struct Builder {
    pub lake: Lake,
    pub pipeline: Arc<Pipeline>,
    pub engine: Arc<Engine>,
    pub gold: Arc<GoldOptions>,
    pub bronze: Arc<BTreeMap<TableName, CurrentBatch>>,
    pub listener: Arc<dyn Listener>,
    pub interrupt: Interrupt,
    /// How many tables may be built at the same time.
    pub concurrency: usize,
    /// What is published, unless everything is to be built anew.
    pub last: Option<Arc<Release>>,
    /// What is remembered of earlier runs.
    pub remembered: Arc<Remembered>,
    /// What the tables of versions go on from.
    pub histories: Arc<Histories>,
    /// What is to be built.
    pub scope: Arc<Scope>,
    /// When the run began.
    pub began: Instant,
}

/// A table of the release to be.
pub(crate) struct Built {
    pub name: TableName,
    pub content: Content,
    /// The content for those that are built from it.
    pub input: Input,
    /// The fingerprint of its content, if known.
    pub fingerprint: Option<String>,
    /// The hash of what it was built from, if known.
    pub build_key: Option<String>,
    /// The hash of its definition alone, if known.
    pub definition: Option<String>,
    /// Whether it was built, be it as it was before.
    pub was_built: bool,
    pub result: TableResult,
    pub rejects: Vec<Reject>,
    /// The exports that are in it, if it is a table of versions.
    pub history: Option<History>,
}

/// The content of a table of the release to be.
pub(crate) enum Content {
    /// What the run made of it.
    Staged(StagedTable),
    /// What is published already.
    Published {
        /// The version of the Delta table.
        version: u64,
        /// Its rows.
        rows: u64,
    },
}

impl Built {
    /// Whether it is to be committed.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.content, Content::Staged(_))
    }

    /// What it looks like, if it is to be committed.
    pub(crate) fn new_schema(&self) -> Option<&TableSchema> {
        match &self.content {
            Content::Staged(staged) => Some(staged.schema()),
            Content::Published { .. } => None,
        }
    }
}

impl Content {
    /// Its rows.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Staged(staged) => staged.rows(),
            Self::Published { rows, .. } => *rows,
        }
    }
}

/// The tables as they become ready.
pub(crate) type Ready = BTreeMap<TableName, Input>;

impl Builder {
    /// Stages the selected silver and gold tables beside those that are `kept`, or the first failure. Comes with the wall
    /// time of each layer.
    pub(crate) async fn build_all(&self, kept: Vec<Built>) -> Result<(Vec<Built>, BTreeMap<Layer, f64>), Cause> {
        let mut progress = Progress::new(self, kept);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.concurrency
                && let Some(table) = progress.next()
            {
                let key = build_key(&self.pipeline, table, &self.gold, &progress.hashes(table));
                match key.and_then(|key| Ok((self.unchanged(table, &key)?, key))) {
                    Ok((None, key)) => {
                        running.push(self.clone().build(table.name.clone(), progress.inputs(table), key))
                    }
                    Ok((Some(published), _)) => progress.finish(Ok(published)),
                    Err(cause) => progress.finish(Err(cause)),
                }
            }
            let Some(done) = running.next().await else { break };
            progress.finish(done);
        }
        progress.ended()
    }

    /// Makes the tables that tests look at known to the session.
    pub(crate) async fn register_tested(&self, built: &[Built], tests: &[DataTest]) -> Result<(), Cause> {
        let tested: BTreeSet<&TableName> = tests.iter().flat_map(DataTest::tables).collect();
        let tables = built.iter().filter(|built| tested.contains(&built.name)).map(|built| async {
            built.input.files(&self.lake, &self.engine).await?;
            Ok(())
        });
        crate::bronze::all(tables).await.map(drop)
    }

    /// Plans every query over empty tables, so that a mistake in a definition shows before anything is taken in.
    pub(crate) async fn check_queries(&self, tests: &[DataTest]) -> Result<(), Cause> {
        let session = self.engine.session()?;
        let schemas = self.pipeline.sources.values().map(|source| &source.schema);
        for schema in schemas.chain(self.pipeline.tables.iter().map(|table| &table.schema)) {
            session.register(&TableFiles { schema: schema.clone(), files: Vec::new() }).await?;
        }
        for table in self.pipeline.tables.iter().filter(|table| self.scope.has(&table.name)) {
            if let Some(model) = &table.model {
                let sql = model.render(self.gold.as_of);
                session.check_table(&sql, &medallion_gold::model_schema(table)).await?;
            }
            if table.name.layer == Layer::Gold {
                let query = medallion_gold::query(&self.pipeline, table, &self.gold)?;
                session.check_table(&query, &table.schema).await?;
            }
        }
        session.check_audit(tests, self.gold.as_of).await?;
        Ok(())
    }

    /// Stages one table on a worker of its own.
    async fn build(self, name: TableName, ready: Ready, build_key: String) -> Result<Built, Cause> {
        let (failed_name, interrupt) = (name.to_string(), self.interrupt.clone());
        let work = async move {
            let pipeline = Arc::clone(&self.pipeline);
            let Some(table) = pipeline.table(&name) else {
                let message = "the pipeline does not have it".to_owned();
                return Err(Cause::Worker { table: name.to_string(), message });
            };
            let mut inputs = Inputs::new();
            for (name, input) in ready {
                inputs.insert(name, input.files(&self.lake, &self.engine).await?.clone());
            }
            self.build_table(table, inputs, build_key).await
        };
        let task = tokio::spawn(async move { interrupt.unless_asked(work).await });
        task.await.map_err(|error| Cause::Worker { table: failed_name, message: error.to_string() })?
    }

    /// The published table, if it was built from the same.
    fn unchanged(&self, table: &Table, build_key: &str) -> Result<Option<Built>, Cause> {
        let Some((_, released)) = self.released(table) else { return Ok(None) };
        if self.histories.has_pending(&self.pipeline, table) {
            return Ok(None);
        }
        let (Some(why), Some(fingerprint)) = (self.why_known(table, build_key), &released.fingerprint) else {
            return Ok(None);
        };
        if !self.lake.has_log(&table.name)? {
            return Ok(None);
        }
        let definition = match &released.definition {
            // A key that is the same is of the same definition.
            Some(definition) if released.build_key.as_deref() == Some(build_key) => definition.clone(),
            _ => definition_key(&self.pipeline, table)?,
        };
        let ReleasedTable { version, rows, .. } = *released;
        let mut result = TableResult::built(0, rows, 0.0);
        result.status = Status::Unchanged;
        result.skipped = Some(why);
        Ok(Some(Built {
            name: table.name.clone(),
            content: Content::Published { version, rows },
            input: Input::published(table.name.clone(), version),
            fingerprint: Some(fingerprint.clone()),
            build_key: Some(build_key.to_owned()),
            definition: Some(definition),
            was_built: false,
            result,
            rejects: Vec::new(),
            history: self.histories.known(&self.pipeline, table),
        }))
    }

    /// Why a table that would be built from this is known to be as it is published, if it is: the release was built from
    /// the same, or an earlier run was and found the table as it is.
    pub(crate) fn why_known(&self, table: &Table, build_key: &str) -> Option<String> {
        let (last, released) = self.released(table)?;
        let confirmed = self.remembered.confirmed(last);
        let found = confirmed.and_then(|confirmed| confirmed.build_keys.get(&table.name.to_string()));
        if released.build_key.as_deref() == Some(build_key) {
            Some(format!("its definition and inputs are those of release {}", last.release))
        } else if found.is_some_and(|found| found == build_key) {
            Some(format!("an earlier run built it from the same: it is as in release {}", last.release))
        } else {
            None
        }
    }

    fn released(&self, table: &Table) -> Option<(&Release, &ReleasedTable)> {
        let last = self.last.as_deref()?;
        last.tables.get(&table.name.to_string()).map(|released| (last, released))
    }

    /// What is staged, or what is published if that is the same.
    async fn content(
        &self,
        table: &Table,
        staged: StagedTable,
        fingerprint: &str,
        result: &mut TableResult,
    ) -> Result<(Content, TableFiles), Cause> {
        let files = staged.files();
        let same = self.released(table).filter(|(_, table)| table.fingerprint.as_deref() == Some(fingerprint));
        let Some((last, released)) = same else { return Ok((Content::Staged(staged), files)) };
        match self.lake.published(&table.name, Some(released.version)).await? {
            // A column's description is no content, and is to be published all the same.
            Some(published) if published.files.schema == table.schema => {
                self.lake.discard(&table.name, &self.gold.run_id)?;
                result.status = Status::Unchanged;
                result.skipped = Some(format!("it was built and is as in release {}", last.release));
                let content = Content::Published { version: published.version, rows: published.rows() };
                Ok((content, published.files))
            }
            _ => Ok((Content::Staged(staged), files)),
        }
    }

    async fn build_table(&self, table: &Table, inputs: Inputs, build_key: String) -> Result<Built, Cause> {
        let started = Instant::now();
        let area = self.lake.staging_area(&table.name, &self.gold.run_id)?;
        let (mut rejects, mut history, mut lineage) = (Vec::new(), None, None);
        let rows_in = table.inputs.iter().filter_map(|input| inputs.get(input)).map(TableFiles::rows).sum();
        let mut result = TableResult::built(rows_in, 0, 0.0);
        match &table.definition {
            Definition::Cleanse(cleanse) => {
                let (cleansed, set_aside) = self.cleanse(cleanse, table, &area)?;
                (result, rejects) = (cleansed, set_aside);
            }
            Definition::Hierarchy(hierarchy) => self.hierarchy(hierarchy, table, &inputs, &area)?,
            Definition::Findings(findings) => result.findings = self.findings(findings, table, &inputs, &area)?,
            Definition::Versions(versions) => {
                let followed = input(&inputs, &versions.of, &table.name)?.clone();
                history = Some(self.versions(table, followed, &area).await?);
            }
            Definition::Query(_) => {
                let session = self.engine.session()?;
                lineage = session.stage_traced(&self.silver_query(table)?, &table.schema, &area).await?.1;
            }
            _ => {
                let query = medallion_gold::query(&self.pipeline, table, &self.gold)?;
                lineage = self.engine.session()?.stage_traced(&query, &table.schema, &area).await?.1;
            }
        }
        let staged = self.lake.staged(&table.schema, &area)?;
        (result.rows_out, result.lineage) = (staged.rows(), lineage);
        result.bytes = Some(staged.files().files.iter().map(|file| file.bytes).sum());
        if let Some(batch) = self.batch_of(table) {
            conservation::silver(&table.name, &batch.files, &result, &rejects)?;
        }
        let fingerprint = tokio::task::block_in_place(|| self.lake.fingerprint(&staged.files()))?;
        let (content, files) = self.content(table, staged, &fingerprint, &mut result).await?;
        self.engine.session()?.register(&files).await?;
        result.started = Some(started.duration_since(self.began).as_secs_f64());
        result.seconds = started.elapsed().as_secs_f64();
        Ok(Built {
            name: table.name.clone(),
            content,
            input: Input::known(files),
            fingerprint: Some(fingerprint),
            build_key: Some(build_key),
            definition: Some(definition_key(&self.pipeline, table)?),
            was_built: true,
            result,
            rejects,
            history,
        })
    }

    /// What a table is cleansed from.
    fn batch_of(&self, table: &Table) -> Option<&CurrentBatch> {
        let Definition::Cleanse(cleanse) = &table.definition else { return None };
        self.bronze.get(&TableName::new(Layer::Bronze, &cleanse.source))
    }

    fn cleanse(&self, definition: &Cleanse, table: &Table, area: &Url) -> Result<(TableResult, Vec<Reject>), Cause> {
        let Some(batch) = self.batch_of(table) else {
            let message = format!("its source bronze.{} was not taken in", definition.source);
            return Err(Cause::Worker { table: table.name.to_string(), message });
        };
        let task = CleanseTask {
            definition,
            schema: &table.schema,
            batch: &batch.files,
            batch_id: batch.batch_id.as_deref().unwrap_or_default(),
            run_id: &self.gold.run_id,
        };
        // Cleansing computes for a while; the other tables' queries go on meanwhile.
        let (report, upserts) = tokio::task::block_in_place(|| match &batch.increments {
            None => task.stage(area).map(|report| (report, None)),
            Some(increments) => {
                let source = self.pipeline.sources.get(&definition.source);
                let deleted = source.and_then(|source| source.source.deleted.as_ref());
                let report = UpsertTask { cleanse: task, increments, deleted }.stage(area)?;
                Ok((report.cleansed, Some(report.upserts)))
            }
        })?;
        let mut result = TableResult::built(report.sums.rows_in, report.sums.rows_out, 0.0);
        result.rejected = report.sums.rejected;
        result.sums = Some(report.sums);
        result.rules = report.rules;
        result.upserts = upserts;
        result.findings = report.findings;
        Ok((result, report.rejects))
    }

    fn hierarchy(&self, definition: &HierarchyTable, table: &Table, inputs: &Inputs, area: &Url) -> Result<(), Cause> {
        let task = hierarchy_task(definition, &table.name, inputs)?;
        tokio::task::block_in_place(|| task.stage(&table.schema, &self.gold.run_id, area))?;
        Ok(())
    }

    fn findings(
        &self,
        definition: &FindingsTable,
        table: &Table,
        inputs: &Inputs,
        area: &Url,
    ) -> Result<Vec<RuleFinding>, Cause> {
        let mut tasks = Vec::new();
        for name in &definition.hierarchies {
            if let Some(Definition::Hierarchy(hierarchy)) = self.pipeline.table(name).map(|table| &table.definition) {
                tasks.push(hierarchy_task(hierarchy, name, inputs)?);
            }
        }
        let run_id = &self.gold.run_id;
        Ok(tokio::task::block_in_place(|| stage_findings(&table.name, &tasks, run_id, area))?)
    }

    fn silver_query(&self, table: &Table) -> Result<String, Cause> {
        let Some(model) = &table.model else {
            let message = "it has no SQL".to_owned();
            return Err(Cause::Worker { table: table.name.to_string(), message });
        };
        let sql = model.render(self.gold.as_of);
        Ok(format!("SELECT *, '{}' AS {RUN_ID} FROM ({sql}\n)", self.gold.run_id))
    }
}

fn hierarchy_task<'a>(
    definition: &'a HierarchyTable,
    name: &'a TableName,
    inputs: &'a Inputs,
) -> Result<HierarchyTask<'a>, Cause> {
    let nodes = input(inputs, &definition.nodes.table, name)?;
    let edges = input(inputs, &definition.edges.table, name)?;
    Ok(HierarchyTask { definition, name, nodes, edges })
}

/// A table that `name` is built from.
fn input<'a>(inputs: &'a Inputs, table: &TableName, name: &TableName) -> Result<&'a TableFiles, Cause> {
    inputs
        .get(table)
        .ok_or_else(|| Cause::Worker { table: name.to_string(), message: format!("{table} was not built before it") })
}

/// What a table is built from; for findings also what the hierarchies were built from.
pub(crate) fn input_names<'a>(pipeline: &'a Pipeline, table: &'a Table) -> BTreeSet<&'a TableName> {
    let mut names: BTreeSet<&TableName> = table.inputs.iter().collect();
    if let Definition::Findings(findings) = &table.definition {
        let hierarchies = findings.hierarchies.iter().filter_map(|name| pipeline.table(name));
        names.extend(hierarchies.flat_map(|hierarchy| &hierarchy.inputs));
    }
    names
}
