//! The table of rejected rows: what a run adds to it and what it replaces.

use std::collections::BTreeSet;

use medallion_pipeline::rejects::{self, PARSE_RULES};
use medallion_pipeline::{Reject, TableFiles};
use polars::prelude::{Column, DataFrame, PolarsResult};
use url::Url;

use crate::error::SilverError;
use crate::parquet_file;

const TEXTS: [&str; 8] = ["run_id", "batch_id", "source", "file", "column", "rule", "reason", "raw"];

/// Rows of the table: the run that set them aside, and the reject.
pub type Row = (String, Reject);

/// Where rows are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// While files are parsed.
    Parse,
    /// While batches are cleansed.
    Silver,
}

impl Stage {
    /// The name used for folders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Silver => "silver",
        }
    }

    fn made(self, reject: &Reject) -> bool {
        PARSE_RULES.contains(&reject.rule.as_str()) == (self == Self::Parse)
    }
}

/// What the table holds after a stage: the rows it set aside replace those it set aside of the same batches before.
/// `None` if that is what it holds already.
///
/// # Errors
/// If the table cannot be read.
pub fn merged(
    published: Option<&TableFiles>,
    stage: Stage,
    batches: &BTreeSet<String>,
    rejects: &[Reject],
    run_id: &str,
) -> Result<Option<Vec<Row>>, SilverError> {
    let before = published.map_or_else(|| Ok(Vec::new()), read)?;
    let replaced = |(_, row): &Row| batches.contains(&row.batch_id) && stage.made(row);
    let old: BTreeSet<&Reject> = before.iter().filter(|row| replaced(row)).map(|(_, row)| row).collect();
    let new: BTreeSet<&Reject> = rejects.iter().collect();
    if old == new && published.is_some() {
        return Ok(None);
    }
    let mut rows: Vec<Row> = before.iter().filter(|row| !replaced(row)).cloned().collect();
    rows.extend(new.into_iter().map(|reject| (run_id.to_owned(), reject.clone())));
    Ok(Some(rows))
}

/// What the table holds without the given batches; `None` if it has none of them.
///
/// # Errors
/// If the table cannot be read.
pub fn without(published: &TableFiles, batches: &BTreeSet<String>) -> Result<Option<Vec<Row>>, SilverError> {
    let mut rows = read(published)?;
    let before = rows.len();
    rows.retain(|(_, row)| !batches.contains(&row.batch_id));
    Ok((rows.len() < before).then_some(rows))
}

/// Writes rows into `area`.
///
/// # Errors
/// If the file cannot be written.
pub fn stage(rows: &[Row], area: &Url) -> Result<(), SilverError> {
    if rows.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<Option<&str>>>();
    let columns = vec![
        Column::new("run_id".into(), text(|(run_id, _)| Some(run_id))),
        Column::new("batch_id".into(), text(|(_, row)| Some(&row.batch_id))),
        Column::new("source".into(), text(|(_, row)| Some(&row.source))),
        Column::new("file".into(), text(|(_, row)| Some(&row.file))),
        Column::new("row".into(), rows.iter().map(|(_, row)| row.row).collect::<Vec<i64>>()),
        Column::new("column".into(), text(|(_, row)| row.column.as_deref())),
        Column::new("rule".into(), text(|(_, row)| Some(&row.rule))),
        Column::new("reason".into(), text(|(_, row)| Some(&row.reason))),
        Column::new("raw".into(), text(|(_, row)| Some(&row.raw))),
    ];
    let table = rejects::table();
    let failed = |source| SilverError::Polars { table: table.clone(), action: "assemble its columns", source };
    parquet_file::write(&table, &mut DataFrame::new(rows.len(), columns).map_err(failed)?, area)
}

fn read(table: &TableFiles) -> Result<Vec<Row>, SilverError> {
    let failed = |source| SilverError::Polars { table: table.schema.name.clone(), action: "read its rows", source };
    let texts = parquet_file::read(table, &TEXTS)?;
    let texts = texts.columns().iter().map(Column::str).collect::<PolarsResult<Vec<_>>>().map_err(failed)?;
    let numbers = parquet_file::read(table, &["row"])?;
    let numbers = numbers.column("row").and_then(Column::i64).map_err(failed)?;
    let text = |column: usize, row: usize| texts[column].get(row).map(str::to_owned);
    let row = |(row, number): (usize, Option<i64>)| {
        let reject = Reject {
            batch_id: text(1, row).unwrap_or_default(),
            source: text(2, row).unwrap_or_default(),
            file: text(3, row).unwrap_or_default(),
            row: number.unwrap_or_default(),
            column: text(4, row),
            rule: text(5, row).unwrap_or_default(),
            reason: text(6, row).unwrap_or_default(),
            raw: text(7, row).unwrap_or_default(),
        };
        (text(0, row).unwrap_or_default(), reject)
    };
    Ok(numbers.iter().enumerate().map(row).collect())
}
