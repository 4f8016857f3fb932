//! Which tests share a query.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use medallion_pipeline::TableName;
use medallion_pipeline::audit::{Check, DataTest, Relationship, RelationshipMode};

use super::sql;

/// Something to run; tests are named by their place in the list.
pub(crate) enum Job {
    /// A query of its own.
    Query(usize),
    /// Tests of one table that look at its rows one by one.
    Rows(Vec<usize>),
    /// Values that must not occur twice.
    Unique(usize),
    /// Everything that leads to the same columns.
    Orphans(Orphans),
    /// A number of rows, which is known.
    RowCount(usize),
}

/// Rows that lead to columns of a table where there is no row.
pub(crate) struct Orphans {
    pub(crate) table: TableName,
    pub(crate) columns: Vec<String>,
    pub(crate) members: Vec<Member>,
    /// What leads there, each once: tests.
    sources: Vec<usize>,
}

/// A test of [`Orphans`].
pub(crate) struct Member {
    pub(crate) test: usize,
    source: usize,
    mode: RelationshipMode,
}

impl Member {
    /// How many rows fail, given rows of source, rows without counterpart, and how many of those lie outside.
    pub(crate) fn failing(&self, rows: &[Vec<u64>]) -> u64 {
        let found = rows.iter().find(|row| row.first().copied() == u64::try_from(self.source).ok());
        let number = |column: usize| found.and_then(|row| row.get(column)).copied().unwrap_or_default();
        let (missing, outside) = (number(1), number(2));
        match self.mode {
            RelationshipMode::Key => missing,
            RelationshipMode::DateWithin => missing.saturating_sub(outside),
            RelationshipMode::DateOutside => outside,
        }
    }
}

/// Puts tests together that one query can answer.
pub(crate) fn jobs(tests: &[DataTest]) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut rows: BTreeMap<&TableName, Vec<usize>> = BTreeMap::new();
    let mut orphans: BTreeMap<(&TableName, &[String]), Vec<usize>> = BTreeMap::new();
    for (index, test) in tests.iter().enumerate() {
        match (&test.check, &test.table) {
            (Check::Query(_), _) | (_, None) => jobs.push(Job::Query(index)),
            (Check::Unique { .. }, _) => jobs.push(Job::Unique(index)),
            (Check::RowCount(_), _) => jobs.push(Job::RowCount(index)),
            (Check::Relationships(to), _) => orphans.entry((&to.table, &to.table_columns)).or_default().push(index),
            (_, Some(table)) => rows.entry(table).or_default().push(index),
        }
    }
    jobs.extend(rows.into_values().map(Job::Rows));
    jobs.extend(orphans.into_iter().map(|((table, columns), members)| {
        Job::Orphans(Orphans::new(tests, table.clone(), columns.to_vec(), &members))
    }));
    jobs
}

fn relationship(test: &DataTest) -> Option<&Relationship> {
    match &test.check {
        Check::Relationships(relationship) => Some(relationship),
        _ => None,
    }
}

/// Whether the rows of both are the same, apart from which of them fail.
fn same_source(one: &DataTest, other: &DataTest) -> bool {
    let is_date = |mode: RelationshipMode| mode != RelationshipMode::Key;
    match (relationship(one), relationship(other)) {
        (Some(a), Some(b)) => {
            one.table == other.table
                && a.columns == b.columns
                && a.filter == b.filter
                && is_date(a.mode) == is_date(b.mode)
        }
        _ => false,
    }
}

impl Orphans {
    fn new(tests: &[DataTest], table: TableName, columns: Vec<String>, indices: &[usize]) -> Self {
        let (mut members, mut sources) = (Vec::new(), Vec::<usize>::new());
        for index in indices {
            let Some(mode) = relationship(&tests[*index]).map(|relationship| relationship.mode) else { continue };
            let known = sources.iter().position(|source| same_source(&tests[*source], &tests[*index]));
            let source = known.unwrap_or_else(|| {
                sources.push(*index);
                sources.len() - 1
            });
            members.push(Member { test: *index, source, mode });
        }
        Self { table, columns, members, sources }
    }

    /// A query for the keys of each source, NULL and the missing day included, and whether they are dates.
    pub(crate) fn plain_sources(&self, tests: &[DataTest], as_of: NaiveDate) -> Vec<(String, bool)> {
        let mut sources = Vec::with_capacity(self.sources.len());
        for index in &self.sources {
            let test = &tests[*index];
            let (Some(relationship), Some(table)) = (relationship(test), &test.table) else { continue };
            let mut query = format!("SELECT {} FROM {}", sql::list(&relationship.columns), sql::table(table));
            if let Some(filter) = &relationship.filter {
                query = format!("{query} WHERE {}\n", filter.render(as_of));
            }
            sources.push((query, relationship.mode != RelationshipMode::Key));
        }
        sources
    }

    /// What leads to the table: a query for the keys of each source, which are numbered in this order.
    fn sources(&self, tests: &[DataTest], as_of: NaiveDate) -> Vec<String> {
        let mut sources = Vec::with_capacity(self.sources.len());
        for index in &self.sources {
            let test = &tests[*index];
            let (Some(relationship), Some(table)) = (relationship(test), &test.table) else { continue };
            let columns = relationship.columns.iter().enumerate().map(|(n, own)| format!("{} AS k{n}", sql::name(own)));
            let columns = columns.collect::<Vec<_>>().join(", ");
            let filter = sql::looked_at(relationship, as_of);
            sources.push(format!("SELECT {columns} FROM {} WHERE {filter}", sql::table(table)));
        }
        sources
    }

    /// A query for the keys that can be led to.
    pub(crate) fn keys(&self) -> String {
        format!("SELECT {} FROM {}", sql::list(&self.columns), sql::table(&self.table))
    }

    /// Gives for each source that has them: its number, rows without counterpart, how many of those are dates beyond the
    /// other table's.
    pub(crate) fn query(&self, tests: &[DataTest], as_of: NaiveDate) -> String {
        let keys: Vec<String> = (0..self.columns.len()).map(|n| format!("k{n}")).collect();
        let sources = self.sources(tests, as_of);
        let numbered =
            sources.iter().enumerate().map(|(n, source)| format!("SELECT {n} AS source, * FROM ({source}\n)"));
        let sources = numbered.collect::<Vec<_>>();
        let pairs =
            keys.iter().zip(&self.columns).map(|(key, other)| format!("own.{key} = other.{}", sql::name(other)));
        let own = keys.iter().map(|key| format!("own.{key}")).collect::<Vec<_>>().join(", ");
        let missing = format!(
            "SELECT own.source, {own} FROM ({}) AS own LEFT ANTI JOIN {} AS other ON {}",
            sources.join("\nUNION ALL "),
            sql::table(&self.table),
            pairs.collect::<Vec<_>>().join(" AND ")
        );
        let has_dates = self.members.iter().any(|member| member.mode != RelationshipMode::Key);
        let (outside, bounds) = match (has_dates, self.columns.as_slice()) {
            (true, [column]) => (
                "count(*) FILTER (WHERE first_day IS NULL OR k0 < first_day OR k0 > last_day)",
                format!(" CROSS JOIN ({}) AS bounds", sql::bounds(&self.table, column)),
            ),
            _ => ("0", String::new()),
        };
        format!(
            "SELECT source, count(*) AS missing, {outside} AS outside FROM ({missing}) AS missing{bounds} GROUP BY source"
        )
    }
}
