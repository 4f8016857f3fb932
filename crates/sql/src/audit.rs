//! Data tests over registered tables: how many rows fail each, and which.
//!
//! Tests that look at rows one by one share one scan of their table, relationships to one table one reading of its
//! keys. Failing rows are fetched for failing tests only.

mod groups;
mod keys;
mod sample;
mod sql;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::NaiveDate;
use futures::stream::{self, StreamExt, TryStreamExt};
use medallion_pipeline::TableName;
use medallion_pipeline::audit::{Check, DataTest};

use crate::error::{SqlError, Subject};
use crate::session::SqlSession;

use groups::{Job, Orphans, jobs};
pub use sample::{MAX_SAMPLED, Sample};

/// What tests are measured by.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// The run's date.
    pub as_of: NaiveDate,
    /// Rows of the tables.
    pub rows: BTreeMap<TableName, u64>,
    /// Rows of the tables in the last release.
    pub last_rows: BTreeMap<TableName, u64>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How much fails: rows, for `unique` values that occur more than once, 1 for a wrong number of rows or a table that
    /// is too old. 0 passes.
    pub failing: u64,
    /// What is wrong, in words; empty if nothing is.
    pub problem: String,
    /// Some of the failing rows, where there are any to show.
    pub sample: Option<Sample>,
    /// Seconds it took; of tests that share a query each has an equal part.
    pub seconds: f64,
}

/// How much of a test fails.
struct Counted {
    /// The test's place in the list.
    test: usize,
    failing: u64,
    sample: Option<Sample>,
    seconds: f64,
}

impl Counted {
    fn new(test: usize, failing: u64) -> Self {
        Self { test, failing, sample: None, seconds: 0.0 }
    }
}

impl SqlSession {
    /// Runs tests over the registered tables. The findings are in the order of the tests.
    ///
    /// # Errors
    /// If a test's query cannot be run. That rows fail is no error.
    pub async fn audit(&self, tests: &[DataTest], options: &AuditOptions) -> Result<Vec<Finding>, SqlError> {
        let running = jobs(tests).into_iter().map(|job| self.job(tests, job, options));
        let counted: Vec<Vec<Counted>> =
            stream::iter(running).buffer_unordered(self.concurrency()).try_collect().await?;
        let mut counted: Vec<Counted> = counted.into_iter().flatten().collect();
        counted.sort_by_key(|counted| counted.test);
        let mut findings = Vec::with_capacity(tests.len());
        for counted in counted {
            findings.push(self.finding(&tests[counted.test], counted, options).await?);
        }
        Ok(findings)
    }

    /// Plans every test over the registered tables; nothing is run.
    ///
    /// # Errors
    /// If one cannot be planned, with its name.
    pub async fn check_audit(&self, tests: &[DataTest], as_of: NaiveDate) -> Result<(), SqlError> {
        for test in tests {
            if let Some(query) = sql::failing_rows(test, as_of) {
                let planned = self.plan(&query, subject(test), false).await;
                planned.map_err(|error| if is_query(test) { error } else { error.without_position() })?;
            }
        }
        Ok(())
    }

    async fn job(&self, tests: &[DataTest], job: Job, options: &AuditOptions) -> Result<Vec<Counted>, SqlError> {
        let started = Instant::now();
        let mut counted = match &job {
            Job::Query(test) => vec![self.run_query(tests, *test, options).await?],
            Job::Rows(members) => self.count_rows(tests, members, options).await?,
            Job::Unique(test) => vec![self.count_keys(tests, *test, options).await?],
            Job::Orphans(orphans) => self.count_orphans(tests, orphans, options).await?,
            Job::RowCount(test) => {
                vec![Counted::new(*test, u64::from(!sql::row_count_problems(&tests[*test], options).is_empty()))]
            }
        };
        #[allow(clippy::cast_precision_loss)]
        let share = started.elapsed().as_secs_f64() / counted.len().max(1) as f64;
        counted.iter_mut().for_each(|counted| counted.seconds = share);
        Ok(counted)
    }

    /// One pass over the query's rows: all are counted, the first are kept.
    async fn run_query(&self, tests: &[DataTest], index: usize, options: &AuditOptions) -> Result<Counted, SqlError> {
        let test = &tests[index];
        let query = sql::failing_rows(test, options.as_of).unwrap_or_default();
        let (failing, sample) = self.sample(&query, subject(test)).await?;
        Ok(Counted { sample: Some(sample), ..Counted::new(index, failing) })
    }

    /// One pass over a table for all tests that look at its rows one by one.
    async fn count_rows(
        &self,
        tests: &[DataTest],
        members: &[usize],
        options: &AuditOptions,
    ) -> Result<Vec<Counted>, SqlError> {
        let Some(table) = members.first().and_then(|index| tests[*index].table.as_ref()) else { return Ok(Vec::new()) };
        let counts = members.iter().map(|index| sql::row_count_of(&tests[*index], options.as_of));
        let columns: Vec<String> = counts.enumerate().map(|(n, count)| format!("{count} AS n{n}")).collect();
        let query = format!("SELECT {} FROM {}", columns.join(", "), sql::table(table));
        let rows = self.numbers(&query, Subject::Tests(format!("tests of {table}"))).await?;
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        Ok(members.iter().zip(row).map(|(index, failing)| Counted::new(*index, *failing)).collect())
    }

    /// Queries that run at the same time: most are small and keep one thread busy.
    fn concurrency(&self) -> usize {
        self.context.state().config().target_partitions().max(1)
    }

    async fn count_keys(&self, tests: &[DataTest], index: usize, options: &AuditOptions) -> Result<Counted, SqlError> {
        let test = &tests[index];
        let rows = test.table.as_ref().and_then(|table| options.rows.get(table)).copied();
        if self.can_hold(rows.unwrap_or(u64::MAX)) && !self.may_repeat(&sql::keys(test), subject(test)).await? {
            return Ok(Counted::new(index, 0));
        }
        let rows = self.numbers(&sql::count_repeated(test), subject(test)).await?;
        Ok(Counted::new(index, rows.first().and_then(|row| row.first()).copied().unwrap_or_default()))
    }

    /// One reading of a table's keys for all columns that lead to them.
    async fn count_orphans(
        &self,
        tests: &[DataTest],
        orphans: &Orphans,
        options: &AuditOptions,
    ) -> Result<Vec<Counted>, SqlError> {
        let subject = || Subject::Tests(format!("relationships to {}", orphans.table));
        let is_small = self.can_hold(options.rows.get(&orphans.table).copied().unwrap_or(u64::MAX));
        let keys = if is_small { self.key_set(&orphans.keys(), subject()).await? } else { None };
        let rows = match keys {
            Some(keys) => {
                let (keys, mut rows) = (Arc::new(keys), Vec::new());
                let sources = orphans.plain_sources(tests, options.as_of);
                for (number, (query, are_dates)) in sources.into_iter().enumerate() {
                    let missing = self.missing(&query, are_dates, Arc::clone(&keys), subject()).await?;
                    rows.push(vec![number as u64, missing.rows, missing.outside]);
                }
                rows
            }
            None => self.numbers(&orphans.query(tests, options.as_of), subject()).await?,
        };
        Ok(orphans.members.iter().map(|member| Counted::new(member.test, member.failing(&rows))).collect())
    }

    async fn finding(&self, test: &DataTest, counted: Counted, options: &AuditOptions) -> Result<Finding, SqlError> {
        let Counted { failing, mut sample, mut seconds, .. } = counted;
        if failing == 0 {
            return Ok(Finding { failing, problem: String::new(), sample: None, seconds });
        }
        if sample.is_none()
            && let Some(query) = sql::failing_rows(test, options.as_of)
        {
            let started = Instant::now();
            let query = format!("{query}\nLIMIT {MAX_SAMPLED}");
            sample = Some(self.sample(&query, subject(test)).await?.1);
            seconds += started.elapsed().as_secs_f64();
        }
        let problem = match &test.check {
            Check::RowCount(_) => sql::row_count_problems(test, options).join(", "),
            _ => sql::problem(test, failing, sample.as_ref(), options.as_of),
        };
        Ok(Finding { failing, problem, sample, seconds })
    }
}

fn subject(test: &DataTest) -> Subject {
    Subject::Tests(format!("test {}", test.full_name()))
}

fn is_query(test: &DataTest) -> bool {
    matches!(test.check, Check::Query(_))
}
