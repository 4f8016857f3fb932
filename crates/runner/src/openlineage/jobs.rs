//! The events of each job of a run.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use medallion_lake::{Lake, Release};
use medallion_pipeline::audit::TestKind;
use medallion_pipeline::{Check, DataTest, Layer, Table, TableName, TableSchema};
use serde_json::{Map, Value, json};

use super::columns;
use super::datasets::{self, Tables};
use super::facets::{PRODUCER, RUN_EVENT, documentation, facet, job_type, sql, version};
use crate::audit::{TestResult, TestStatus};
use crate::error::RunError;
use crate::notification::without_cells;
use crate::results::{RunResults, Status, TableResult};
use crate::run::RunOptions;

/// Turns the results of a run into events.
pub(crate) struct Writer<'a> {
    options: &'a RunOptions,
    results: &'a RunResults,
    error: Option<&'a RunError>,
    tables: Tables,
    /// What the tables are part of now, if they were published.
    release: Option<Release>,
}

/// A job's run, from when to when.
struct Job {
    /// Below the customer's name; empty for the run itself.
    name: String,
    facets: Map<String, Value>,
    run_facets: Map<String, Value>,
    started: f64,
    ended: f64,
    /// `COMPLETE`, `FAIL` or `ABORT`.
    end: &'static str,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        options: &'a RunOptions,
        lake: &Lake,
        results: &'a RunResults,
        error: Option<&'a RunError>,
    ) -> Self {
        let is_built =
            results.tables.iter().any(|(name, table)| name.layer != Layer::Bronze && table.started.is_some());
        let is_published = is_built && results.status == Status::Success;
        // Without it the events only lack the tables' versions.
        let release = if is_published { lake.latest_release().ok().flatten() } else { None };
        let tables = Tables::new(&options.lake.address, &results.customer);
        Self { options, results, error, tables, release }
    }

    /// The events by job, the run's own first.
    pub(crate) fn jobs(&self) -> Vec<Vec<Value>> {
        let tables = self.results.tables.iter().filter_map(|(name, result)| match name.layer {
            Layer::Bronze => self.source(name, result),
            Layer::Silver | Layer::Gold => self.table(name, result),
        });
        let jobs = std::iter::once(self.run()).chain(tables).chain(self.tests());
        jobs.map(|job| self.events(job)).collect()
    }

    fn run(&self) -> Job {
        let mut run_facets = Map::new();
        let midnight = self.results.as_of.and_time(NaiveTime::MIN);
        let nominal = self.options.customer.timezone.from_local_datetime(&midnight).earliest();
        if let Some(nominal) = nominal {
            let nominal = json!({"nominalStartTime": time(nominal.with_timezone(&Utc))});
            run_facets.insert("nominalTime".to_owned(), facet("1-0-1/NominalTimeRunFacet", nominal));
        }
        let engine = json!({
            "name": "medallion", "version": env!("CARGO_PKG_VERSION"),
            "openlineageAdapterVersion": env!("CARGO_PKG_VERSION")
        });
        run_facets.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine));
        let error = self.error.map(|error| without_cells(error, Some(self.results)));
        if let Some(message) = error.or_else(|| self.results.error.is_some().then(|| "the run failed".to_owned())) {
            let message = json!({"message": message, "programmingLanguage": "RUST"});
            run_facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", message));
        }
        let description = format!("A night of {}", self.options.customer.name);
        Job {
            name: String::new(),
            facets: facets([("jobType", job_type("RUN")), ("documentation", documentation(&description))]),
            run_facets,
            started: 0.0,
            ended: self.results.seconds,
            end: if self.results.status == Status::Success { "COMPLETE" } else { "FAIL" },
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// A source that something new was taken in of.
    fn source(&self, name: &TableName, result: &TableResult) -> Option<Job> {
        let started = result.started.filter(|_| result.status == Status::Success)?;
        let source = self.options.pipeline.sources.get(&name.table)?;
        let folder = &self.options.customer.source;
        let schema = schema(&source.schema);
        let output = self.tables.dataset(name, json!({ "schema": schema }));
        Some(Job {
            name: name.to_string(),
            facets: facets([
                ("jobType", job_type("SOURCE")),
                ("documentation", documentation(&source.schema.description)),
            ]),
            run_facets: Map::new(),
            started,
            ended: started + result.seconds,
            end: "COMPLETE",
            inputs: result.files.iter().map(|file| datasets::file(folder, &file.name)).collect(),
            outputs: vec![with_statistics(output, result)],
        })
    }

    /// A table that was built.
    fn table(&self, name: &TableName, result: &TableResult) -> Option<Job> {
        let (started, table) = (result.started?, self.options.pipeline.table(name)?);
        let is_published = self.results.status == Status::Success;
        let mut of_job =
            vec![("jobType", job_type("TABLE")), ("documentation", documentation(&table.schema.description))];
        of_job.extend(table.model.as_ref().map(|model| ("sql", sql(&model.text))));
        Some(Job {
            name: name.to_string(),
            facets: facets(of_job),
            run_facets: Map::new(),
            started,
            ended: started + result.seconds,
            end: if is_published { "COMPLETE" } else { "ABORT" },
            inputs: table.inputs.iter().map(|input| self.tables.dataset(input, json!({}))).collect(),
            outputs: if is_published { vec![self.output(table, result)] } else { Vec::new() },
        })
    }

    fn output(&self, table: &Table, result: &TableResult) -> Value {
        let mut of_table = vec![("schema", schema(&table.schema))];
        let lineage = columns::of(&self.options.pipeline, table, result.lineage.as_ref());
        if !lineage.is_empty() {
            of_table.push(("columnLineage", self.column_lineage(&lineage)));
        }
        let released = self.release.as_ref().and_then(|release| release.tables.get(&table.name.to_string()));
        of_table.extend(released.map(|released| ("version", version(released.version))));
        let dataset = self.tables.dataset(&table.name, Value::Object(facets(of_table)));
        // One that was built and is as before was not written.
        if result.status == Status::Success { with_statistics(dataset, result) } else { dataset }
    }

    fn column_lineage(&self, lineage: &medallion_sql::ColumnLineage) -> Value {
        let field = |source: &medallion_sql::SourceColumn| {
            let (namespace, name) = self.tables.name(&source.table);
            json!({"namespace": namespace, "name": name, "field": source.column})
        };
        let fields: Map<String, Value> = lineage
            .iter()
            .map(|(column, sources)| {
                (column.clone(), json!({"inputFields": sources.iter().map(field).collect::<Vec<_>>()}))
            })
            .collect();
        facet("1-2-0/ColumnLineageDatasetFacet", json!({ "fields": fields }))
    }

    /// The data tests, if any was run: what they look at is their input.
    fn tests(&self) -> Option<Job> {
        let started = self.results.tests_started.filter(|_| !self.results.tests.is_empty())?;
        let declared: BTreeMap<String, &DataTest> =
            self.options.pipeline.tests.iter().map(|test| (test.full_name(), test)).collect();
        let mut assertions: BTreeMap<&TableName, Vec<Value>> = BTreeMap::new();
        for result in &self.results.tests {
            if let Some(table) = &result.table {
                let test = declared.get(&result.full_name()).copied();
                assertions.entry(table).or_default().push(assertion(result, test));
            }
        }
        let inputs = assertions.into_iter().map(|(table, assertions)| {
            let assertions = json!({ "assertions": assertions });
            let quality = facet("1-0-1/DataQualityAssertionsDatasetFacet", assertions);
            let mut dataset = self.tables.dataset(table, json!({}));
            dataset["inputFacets"] = json!({ "dataQualityAssertions": quality });
            dataset
        });
        let fails = self.results.tests.iter().any(|test| test.status == TestStatus::Error);
        Some(Job {
            name: "tests".to_owned(),
            facets: facets([("jobType", job_type("TESTS"))]),
            run_facets: Map::new(),
            started,
            ended: started + self.results.test_seconds,
            end: if fails { "FAIL" } else { "COMPLETE" },
            inputs: inputs.collect(),
            outputs: Vec::new(),
        })
    }

    /// That a job starts and how it ends; what it reads and writes is told with the end.
    fn events(&self, job: Job) -> Vec<Value> {
        let (namespace, customer) = (&self.options.reporting.openlineage.namespace, &self.results.customer);
        let is_run = job.name.is_empty();
        let name = if is_run { customer.clone() } else { format!("{customer}.{}", job.name) };
        let run_id = &self.results.run_id;
        let id = if is_run { uuid_of(run_id) } else { uuid_of(&format!("{run_id}/{}", job.name)) };
        let mut run_facets = job.run_facets;
        if !is_run {
            let parent = json!({
                "run": {"runId": uuid_of(run_id)}, "job": {"namespace": namespace, "name": customer}
            });
            run_facets.insert("parent".to_owned(), facet("1-1-0/ParentRunFacet", parent));
        }
        let event = |kind: &str, seconds: f64, run_facets: &Map<String, Value>, inputs: &[Value], outputs: &[Value]| {
            json!({
                "eventType": kind,
                "eventTime": time(self.after(seconds)),
                "run": {"runId": id, "facets": run_facets},
                "job": {"namespace": namespace, "name": name, "facets": job.facets},
                "inputs": inputs,
                "outputs": outputs,
                "producer": PRODUCER,
                "schemaURL": RUN_EVENT,
            })
        };
        let end = event(job.end, job.ended, &run_facets, &job.inputs, &job.outputs);
        run_facets.remove("errorMessage");
        vec![event("START", job.started, &run_facets, &[], &[]), end]
    }

    #[allow(clippy::cast_possible_truncation)]
    fn after(&self, seconds: f64) -> DateTime<Utc> {
        self.results.started_at + TimeDelta::microseconds((seconds * 1e6) as i64)
    }
}

fn facets<'f>(facets: impl IntoIterator<Item = (&'f str, Value)>) -> Map<String, Value> {
    facets.into_iter().map(|(name, facet)| (name.to_owned(), facet)).collect()
}

fn schema(schema: &TableSchema) -> Value {
    let fields = schema.columns.iter().map(
        |column| json!({"name": column.name, "type": column.data_type.to_string(), "description": column.description}),
    );
    facet("1-1-1/SchemaDatasetFacet", json!({ "fields": fields.collect::<Vec<_>>() }))
}

fn with_statistics(mut dataset: Value, result: &TableResult) -> Value {
    let mut statistics = json!({"rowCount": result.rows_out});
    if let Some(bytes) = result.bytes {
        statistics["size"] = json!(bytes);
    }
    let statistics = facet("1-0-2/OutputStatisticsOutputDatasetFacet", statistics);
    dataset["outputFacets"] = json!({ "outputStatistics": statistics });
    dataset
}

/// A test of one column by its kind, any other by its name.
fn assertion(result: &TestResult, test: Option<&DataTest>) -> Value {
    let success = result.failing == 0;
    match test.and_then(|test| column(&test.check)) {
        Some(column) => json!({"assertion": kind(result.kind), "success": success, "column": column}),
        None => json!({"assertion": result.name, "success": success}),
    }
}

fn kind(kind: TestKind) -> Value {
    serde_json::to_value(kind).unwrap_or_default()
}

fn column(check: &Check) -> Option<&String> {
    let columns = match check {
        Check::NotNull { columns } | Check::Unique { columns } => columns,
        Check::Relationships(relationship) => &relationship.columns,
        Check::AcceptedValues { column, .. } | Check::Freshness { column, .. } => return Some(column),
        Check::RowCount(_) | Check::Expression(_) | Check::Query(_) => return None,
    };
    columns.first().filter(|_| columns.len() == 1)
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The same id for the same text, in all runs and on all machines.
fn uuid_of(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(format!("medallion/run/{text}").as_bytes()).as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sound_and_follow_from_the_run() {
        let id = uuid_of("20250630T020000Z-0123abcd");
        assert_eq!(id, uuid_of("20250630T020000Z-0123abcd"));
        assert_ne!(id, uuid_of("20250630T020000Z-0123abcd/gold.dim_user"));
        assert_eq!((id.len(), &id[14..15]), (36, "8"), "a version 8 UUID");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }
}
