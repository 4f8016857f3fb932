//! Data tests: over what a run has staged before anything of it is visible, and over what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use medallion_lake::{Lake, Release, shown};
use medallion_pipeline::audit::{DataTest, TestKind, TestSeverity};
use medallion_pipeline::{Pipeline, TableName};
use medallion_sql::{AuditOptions, Finding, Sample, SqlOptions, SqlSession};
use serde::Serialize;

use crate::error::Cause;
use crate::events::{Event, Listener};
use crate::reading::sql_session;

/// The folder of a run that holds failing rows.
const FOLDER: &str = "tests";

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TestStatus {
    /// Nothing fails.
    Pass,
    /// Something fails, which is told.
    Warn,
    /// Something fails, so that nothing is published.
    Error,
}

/// A data test in a run's results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// The table it belongs to; `None` for a query of `tests/`.
    pub table: Option<TableName>,
    /// Its name, once per table.
    pub name: String,
    /// Its kind.
    pub kind: TestKind,
    /// What its failing does.
    pub severity: TestSeverity,
    /// How it ended.
    pub status: TestStatus,
    /// How much fails: rows, for `unique` values that occur more than once, 1 for a wrong number of rows or a table that
    /// is too old.
    pub failing: u64,
    /// What is wrong, if anything is.
    pub message: Option<String>,
    /// The file with some of the failing rows, relative to the run's folder or that of the samples.
    pub sample: Option<String>,
    /// Seconds it took; of tests that share a query each has an equal part.
    pub seconds: f64,
}

impl TestResult {
    /// The name with its table.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.table {
            Some(table) => format!("{table}.{}", self.name),
            None => format!("tests.{}", self.name),
        }
    }
}

/// The tests of one release.
#[derive(Debug)]
pub struct TestRun {
    /// The release.
    pub release: Release,
    /// How the tests ended.
    pub results: Vec<TestResult>,
    /// Tests left out because the release does not have a table that they need: test and table.
    pub left_out: Vec<(String, TableName)>,
}

/// Runs the tests of a pipeline over the tables of a release; only those that look at a `selected`
/// table, if there is a selection. Failing rows are kept as CSV in `samples`, if that is given; the lake is not written
/// to.
///
/// # Errors
/// If a table cannot be read, or the samples cannot be written.
pub async fn run_tests(
    lake: &Lake,
    pipeline: &Pipeline,
    release: Release,
    selected: Option<&BTreeSet<TableName>>,
    sql: &SqlOptions,
    samples: Option<&Path>,
) -> Result<TestRun, Cause> {
    let session = sql_session(sql)?;
    let (tests, left_out) = testable(pipeline, &release, selected);
    let needed: BTreeSet<&TableName> = tests.iter().flat_map(DataTest::tables).collect();
    let mut rows = BTreeMap::new();
    for name in needed {
        let version = release.tables.get(&name.to_string()).map(|table| table.version);
        let Some(published) = lake.published(name, version).await? else { continue };
        rows.insert(name.clone(), published.rows());
        session.register(&published.files).await?;
    }
    let before = lake.releases()?.into_iter().rfind(|earlier| earlier.release < release.release);
    let options = AuditOptions { as_of: release.as_of, rows, last_rows: last_rows(before.as_ref()) };
    let findings = session.audit(&tests, &options).await?;
    let keep = |sample: &Sample, name: &str| samples.map(|folder| keep(sample, folder, name)).transpose();
    let results = results(&tests, findings, keep)?;
    Ok(TestRun { release, results, left_out })
}

/// The release of that number, by default the last.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn release_of(lake: &Lake, release: Option<u64>) -> Result<Release, Cause> {
    let found = match release {
        Some(number) => Some(lake.release(number)?),
        None => lake.latest_release()?,
    };
    found.ok_or_else(|| Cause::NoRelease { lake: shown(lake.folder()) })
}

/// The tests whose tables a release has, and the others with the first table that it lacks.
fn testable(
    pipeline: &Pipeline,
    release: &Release,
    selected: Option<&BTreeSet<TableName>>,
) -> (Vec<DataTest>, Vec<(String, TableName)>) {
    let (mut tests, mut left_out) = (Vec::new(), Vec::new());
    // One that reads no table is about all or none of them.
    let is_wanted = |test: &&DataTest| {
        selected.is_none_or(|selected| test.tables().into_iter().any(|table| selected.contains(table)))
    };
    for test in pipeline.tests.iter().filter(is_wanted) {
        match test.tables().into_iter().find(|table| !release.tables.contains_key(&table.to_string())) {
            Some(table) => left_out.push((test.full_name(), table.clone())),
            None => tests.push(test.clone()),
        }
    }
    (tests, left_out)
}

/// What a run's tests need.
pub(crate) struct Audit<'a> {
    pub lake: &'a Lake,
    pub tests: &'a [DataTest],
    /// Knows the tables that they look at as they are to be published.
    pub session: &'a SqlSession,
    pub run_id: &'a str,
    pub as_of: NaiveDate,
    /// Rows of those tables.
    pub rows: BTreeMap<TableName, u64>,
    pub listener: &'a dyn Listener,
}

impl Audit<'_> {
    /// Runs the tests and tells of those that only warn.
    pub(crate) async fn run(&self) -> Result<Vec<TestResult>, Cause> {
        let last = self.lake.latest_release()?;
        let options = AuditOptions { as_of: self.as_of, rows: self.rows.clone(), last_rows: last_rows(last.as_ref()) };
        let findings = self.session.audit(self.tests, &options).await?;
        let keep = |sample: &Sample, name: &str| {
            let file = format!("{name}.csv");
            self.lake.write_sample(self.run_id, &file, sample.csv().as_bytes())?;
            Ok(Some(format!("{FOLDER}/{file}")))
        };
        let results = results(self.tests, findings, keep)?;
        for result in results.iter().filter(|result| result.status == TestStatus::Warn) {
            self.listener.on(&Event::Warning { table: result.table.clone(), message: self.sentence(result) });
        }
        Ok(results)
    }

    /// An error if a test of severity `error` fails.
    pub(crate) fn verdict(&self, results: &[TestResult]) -> Result<(), Cause> {
        let failed = results.iter().filter(|result| result.status == TestStatus::Error);
        let failed: Vec<String> = failed
            .map(|result| match &result.table {
                Some(table) => format!("{table}: {}", self.sentence(result)),
                None => self.sentence(result),
            })
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(Cause::Audit { failed }) }
    }

    fn sentence(&self, result: &TestResult) -> String {
        let problem = result.message.as_deref().unwrap_or_default();
        match &result.sample {
            Some(sample) => {
                let place = Path::new("_medallion/runs").join(self.run_id).join(sample);
                let folder = self.lake.folder().join(place);
                format!("test {}: {problem}, see {}", result.name, shown(&folder))
            }
            None => format!("test {}: {problem}", result.name),
        }
    }
}

fn last_rows(release: Option<&Release>) -> BTreeMap<TableName, u64> {
    let tables = release.iter().flat_map(|release| &release.tables);
    tables.filter_map(|(name, table)| Some((name.parse().ok()?, table.rows))).collect()
}

/// Findings as results; `keep` puts the sample of a test by its name somewhere and tells where, if it does.
fn results(
    tests: &[DataTest],
    findings: Vec<Finding>,
    keep: impl Fn(&Sample, &str) -> Result<Option<String>, Cause>,
) -> Result<Vec<TestResult>, Cause> {
    let mut results = Vec::with_capacity(tests.len());
    for (test, finding) in tests.iter().zip(findings) {
        let status = match (finding.failing, test.severity) {
            (0, _) => TestStatus::Pass,
            (_, TestSeverity::Warn) => TestStatus::Warn,
            (_, TestSeverity::Error) => TestStatus::Error,
        };
        let sample = match &finding.sample {
            Some(sample) if finding.failing > 0 => keep(sample, &test.full_name())?,
            _ => None,
        };
        results.push(TestResult {
            table: test.table.clone(),
            name: test.name.clone(),
            kind: test.check.kind(),
            severity: test.severity,
            status,
            failing: finding.failing,
            message: (finding.failing > 0).then_some(finding.problem),
            sample,
            seconds: finding.seconds,
        });
    }
    Ok(results)
}

/// Writes a sample that only its owner can read: it holds personal data. Returns the file's name.
fn keep(sample: &Sample, folder: &Path, name: &str) -> Result<String, Cause> {
    let file = format!("{name}.csv");
    let path = folder.join(&file);
    write_privately(folder, &path, sample.csv().as_bytes()).map_err(|source| Cause::Sample { path, source })?;
    Ok(file)
}

fn write_privately(folder: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.recursive(true).create(folder)?;
    // A file of that name could be a link, or readable by others.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options.write(true).create_new(true).open(path)?.write_all(content)
}
