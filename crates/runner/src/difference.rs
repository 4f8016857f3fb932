//! How two releases differ, table by table.

use medallion_lake::{Lake, PublishedTable, Release};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::versions::key;
use medallion_pipeline::{Pipeline, TableFiles, TableName};
use medallion_sql::{OutputFormat, SqlOptions, SqlSession, write_result};
use serde::Deserialize;

use crate::error::Cause;
use crate::reading::sql_session;

/// Rows shown of each table.
const SAMPLES: usize = 3;
/// Columns shown of a row without a key.
const SHOWN_COLUMNS: usize = 4;

/// How a table differs. Columns whose names begin with `_` are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    /// The table.
    pub table: TableName,
    /// Rows only the second release has.
    pub added: u64,
    /// Rows only the first has.
    pub removed: u64,
    /// Rows whose key both have, with other values. 0 for tables without a key.
    pub changed: u64,
    /// Some of these rows: their keys, or their first values.
    pub samples: Vec<String>,
}

/// The tables that differ between two releases, by name.
///
/// # Errors
/// If there is no such release, or a table of it cannot be read any more.
pub async fn differences(lake: &Lake, pipeline: &Pipeline, from: u64, to: u64) -> Result<Vec<TableDifference>, Cause> {
    let (before, after) = (lake.release(from)?, lake.release(to)?);
    let mut names: Vec<&String> = before.tables.keys().chain(after.tables.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (before.tables.get(name), after.tables.get(name));
        let fingerprint = old.and_then(|old| old.fingerprint.as_ref());
        let is_same = old.map(|old| old.version) == new.map(|new| new.version)
            || (fingerprint.is_some() && fingerprint == new.and_then(|new| new.fingerprint.as_ref()));
        let Some(table) = name.parse::<TableName>().ok().filter(|_| !is_same) else { continue };
        let old = published(lake, &before, &table).await?;
        let new = published(lake, &after, &table).await?;
        let difference = match (old, new) {
            (Some(old), Some(new)) => compare(pipeline, table, &old.files, &new.files).await?,
            (old, new) => TableDifference {
                table,
                added: new.map_or(0, |new| new.rows()),
                removed: old.map_or(0, |old| old.rows()),
                changed: 0,
                samples: Vec::new(),
            },
        };
        found.push(difference);
    }
    found.retain(|one| one.added + one.removed + one.changed > 0);
    Ok(found)
}

async fn published(lake: &Lake, release: &Release, table: &TableName) -> Result<Option<PublishedTable>, Cause> {
    match release.tables.get(&table.to_string()) {
        Some(released) => Ok(lake.published(table, Some(released.version)).await?),
        None => Ok(None),
    }
}

async fn compare(
    pipeline: &Pipeline,
    table: TableName,
    old: &TableFiles,
    new: &TableFiles,
) -> Result<TableDifference, Cause> {
    let session = sql_session(&SqlOptions::default())?;
    let (old, before) = renamed(old, "before");
    let (new, after) = renamed(new, "after");
    session.register(&old).await?;
    session.register(&new).await?;
    let has = |files: &TableFiles, name: &str| files.schema.columns.iter().any(|column| column.name == name);
    let columns: Vec<&str> = new.schema.columns.iter().map(|column| column.name.as_str()).collect();
    let columns: Vec<&str> = columns.into_iter().filter(|name| !name.starts_with('_') && has(&old, name)).collect();
    let mut key = key_of(pipeline, &table);
    key.retain(|name| columns.contains(&name.as_str()));
    let rows = differing_rows(&columns, &before, &after);
    let counted: Vec<Counts> = answer(&session, &counts_query(&rows, &key)).await?;
    let shown: Vec<&str> = match key.as_slice() {
        [] => columns.iter().take(SHOWN_COLUMNS).copied().collect(),
        key => key.iter().map(String::as_str).collect(),
    };
    let list = quoted(&shown).join(", ");
    let sql = format!("SELECT DISTINCT {list} FROM ({rows}) ORDER BY {list} LIMIT {SAMPLES}");
    let samples: Vec<serde_json::Map<String, serde_json::Value>> = answer(&session, &sql).await?;
    let sample = |row: &serde_json::Map<String, serde_json::Value>| {
        row.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    let Counts { added, removed, changed } = counted.into_iter().next().unwrap_or_default();
    Ok(TableDifference { table, added, removed, changed, samples: samples.iter().map(sample).collect() })
}

/// The same files under a name of their own.
fn renamed(files: &TableFiles, suffix: &str) -> (TableFiles, String) {
    let mut files = files.clone();
    files.schema.name.table = format!("{}__{suffix}", files.schema.name.table);
    let name = files.schema.name.to_string();
    (files, name)
}

fn quoted(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| format!("\"{column}\"")).collect()
}

/// Each row that one side has more often, with how much more often the second has it.
fn differing_rows(columns: &[&str], before: &str, after: &str) -> String {
    let list = quoted(columns).join(", ");
    format!(
        "SELECT {list}, sum(_side) AS _surplus FROM (SELECT {list}, 1 AS _side FROM {after} UNION ALL \
         SELECT {list}, -1 AS _side FROM {before}) GROUP BY {list} HAVING sum(_side) <> 0"
    )
}

fn counts_query(rows: &str, key: &[String]) -> String {
    let sides = "sum(CASE WHEN _surplus > 0 THEN _surplus ELSE 0 END) AS _up, \
                 sum(CASE WHEN _surplus < 0 THEN -_surplus ELSE 0 END) AS _down";
    if key.is_empty() {
        return format!(
            "SELECT coalesce(_up, 0) AS added, coalesce(_down, 0) AS removed, 0 AS changed FROM (SELECT {sides} FROM ({rows}))"
        );
    }
    let key = quoted(&key.iter().map(String::as_str).collect::<Vec<_>>()).join(", ");
    format!(
        "SELECT coalesce(sum(_up - least(_up, _down)), 0) AS added, \
         coalesce(sum(_down - least(_up, _down)), 0) AS removed, coalesce(sum(least(_up, _down)), 0) AS changed FROM (SELECT {key}, {sides} FROM ({rows}) GROUP BY {key})"
    )
}

#[derive(Default, Deserialize)]
struct Counts {
    #[serde(default)]
    added: u64,
    #[serde(default)]
    removed: u64,
    #[serde(default)]
    changed: u64,
}

async fn answer<T: for<'de> Deserialize<'de>>(session: &SqlSession, sql: &str) -> Result<Vec<T>, Cause> {
    let result = session.query(sql).await?;
    let mut text = Vec::new();
    write_result(result, OutputFormat::Json, &mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// What identifies a row.
fn key_of(pipeline: &Pipeline, table: &TableName) -> Vec<String> {
    let Some(table) = pipeline.table(table) else { return Vec::new() };
    match &table.definition {
        Definition::Cleanse(cleanse) => cleanse.key.clone(),
        Definition::Query(query) | Definition::Bridge(query) => query.key.clone(),
        Definition::Dimension(dimension) => dimension.key.clone(),
        Definition::History(history) => history.key.iter().chain([&history.year_label]).cloned().collect(),
        Definition::FiscalYears(years) => vec![years.label.clone()],
        Definition::Versions(versions) => key(versions, &pipeline.tables),
        Definition::Hierarchy(_) | Definition::Findings(_) | Definition::Fact(_) => Vec::new(),
    }
}
