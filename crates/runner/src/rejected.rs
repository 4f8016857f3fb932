//! What was set aside of a customer's records, by rule and reason.

use medallion_pipeline::definition::Definition;
use medallion_pipeline::rejects::{self, PARSE_RULES};
use medallion_pipeline::{Layer, Pipeline, TableName, nearest};
use medallion_sql::{OutputFormat, SqlOptions, write_result};
use serde::{Deserialize, Serialize};

use crate::error::Cause;
use crate::reading::{PublishedTables, sql_session};

/// How many records a group shows.
const SAMPLES: usize = 3;
/// How many characters of a record are shown.
const SHOWN: usize = 200;

/// Records that one rule set aside for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectGroup {
    /// The source they belong to.
    pub source: String,
    /// The rule that set them aside.
    pub rule: String,
    /// The column at fault; `None` where the whole record is.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
    /// How many there are.
    pub records: u64,
    /// The first of them, in the order of their files.
    pub samples: Vec<RejectSample>,
}

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectSample {
    /// The file's name.
    pub file: String,
    /// The record's number in it; 1 is the first after the header.
    #[serde(rename = "row")]
    pub record: i64,
    /// The line in which it begins; known of records that were set aside while parsing.
    pub line: Option<u64>,
    /// The record as it arrived, or its fields as JSON; long ones are cut.
    pub raw: String,
}

/// A sample with its group, as the query returns it; NULL is left out.
#[derive(Deserialize)]
struct Found {
    source: String,
    rule: String,
    column: Option<String>,
    reason: String,
    records: u64,
    #[serde(flatten)]
    sample: RejectSample,
}

/// Which rejects are asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    source: String,
    stage: Option<Layer>,
}

impl Wanted {
    /// `bronze.users`: set aside while parsing; `silver.users`: while cleansing; `users`: both.
    fn of(table: &str, pipeline: &Pipeline) -> Result<Self, Cause> {
        let cleansed = pipeline.tables.iter().filter_map(|table| match &table.definition {
            Definition::Cleanse(cleanse) => Some((&table.name, &cleanse.source)),
            _ => None,
        });
        let cleansed: Vec<(&TableName, &String)> = cleansed.collect();
        let wanted = |source: &str, stage| Self { source: source.to_owned(), stage };
        for name in pipeline.sources.keys() {
            match table.strip_prefix("bronze.") {
                Some(source) if source == name => return Ok(wanted(name, Some(Layer::Bronze))),
                None if table == name => return Ok(wanted(name, None)),
                _ => {}
            }
        }
        for (name, source) in &cleansed {
            if name.to_string() == table {
                return Ok(wanted(source, Some(Layer::Silver)));
            }
            if name.table == table {
                return Ok(wanted(source, None));
            }
        }
        let mut names: Vec<String> = pipeline.sources.values().map(|source| source.name.to_string()).collect();
        names.extend(cleansed.iter().map(|(name, _)| name.to_string()));
        names.extend(pipeline.sources.keys().cloned());
        let nearest = nearest(table, names.iter().map(String::as_str));
        Err(Cause::NoRejects { table: table.to_owned(), nearest })
    }

    fn sql(&self) -> String {
        let rules: Vec<String> = PARSE_RULES.iter().map(|rule| text(rule)).collect();
        let of_stage = match self.stage {
            None => String::new(),
            Some(Layer::Bronze) => format!(" AND rule IN ({})", rules.join(", ")),
            Some(_) => format!(" AND rule NOT IN ({})", rules.join(", ")),
        };
        format!(" AND source = {}{of_stage}", text(&self.source))
    }
}

/// The rejects of the batches that a release was built from, grouped; of one table or source if `table` is given.
///
/// # Errors
/// If the pipeline has no such table, or the table of rejected rows cannot be read.
pub async fn rejected(
    published: &PublishedTables,
    pipeline: &Pipeline,
    table: Option<&str>,
) -> Result<Vec<RejectGroup>, Cause> {
    let wanted = table.map(|table| Wanted::of(table, pipeline)).transpose()?;
    let Some(rejected) = published.tables.iter().find(|table| table.name == rejects::table()) else {
        return Ok(Vec::new());
    };
    let session = sql_session(&SqlOptions::default())?;
    session.register(&rejected.files).await?;
    let batches = published.release.iter().flat_map(|release| release.batches.values());
    let batches: Vec<String> = batches.map(|batch| text(&batch.batch_id)).collect();
    // Releases of earlier builds do not tell their batches.
    let of_batches =
        if batches.is_empty() { "true".to_owned() } else { format!("batch_id IN ({})", batches.join(", ")) };
    let of_table = wanted.map(|wanted| wanted.sql()).unwrap_or_default();
    let mut answer = Vec::new();
    let result = session.query(&query(&format!("{of_batches}{of_table}"))).await?;
    write_result(result, OutputFormat::Json, &mut answer).await?;
    Ok(grouped(serde_json::from_slice(&answer)?))
}

fn query(filter: &str) -> String {
    // Each reason of the parser begins with its line; only that tells its records apart.
    const LINE: &str = "^line ([0-9]+): ";
    let cut = SHOWN + 1;
    format!(
        "WITH chosen AS (
             SELECT source, rule, \"column\", regexp_replace(reason, '{LINE}', '') AS reason, file, row,
                    TRY_CAST(regexp_match(reason, '{LINE}')[1] AS BIGINT) AS line, left(raw, {cut}) AS raw
             FROM {} WHERE {filter}
         ), numbered AS (
             SELECT *, count(*) OVER (PARTITION BY source, rule, \"column\", reason) AS records,
                    row_number() OVER (PARTITION BY source, rule, \"column\", reason ORDER BY file, row) AS place
             FROM chosen
         )
         SELECT * FROM numbered WHERE place <= {SAMPLES}
         ORDER BY source, rule, \"column\" NULLS FIRST, reason, place",
        rejects::table()
    )
}

fn grouped(found: Vec<Found>) -> Vec<RejectGroup> {
    let mut groups: Vec<RejectGroup> = Vec::new();
    for Found { source, rule, column, reason, records, mut sample } in found {
        sample.raw = shortened(&sample.raw);
        match groups.last_mut() {
            Some(last)
                if (&last.source, &last.rule, &last.column, &last.reason) == (&source, &rule, &column, &reason) =>
            {
                last.samples.push(sample);
            }
            _ => groups.push(RejectGroup { source, rule, column, reason, records, samples: vec![sample] }),
        }
    }
    groups
}

fn shortened(raw: &str) -> String {
    match raw.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &raw[..end]),
        None => raw.to_owned(),
    }
}

/// A constant of SQL.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
