//! What a table's definition makes of its columns.

use std::collections::HashSet;

use crate::arrival;
use crate::cleansing;
use crate::definition::{Cleanse, Definition, HierarchyTable, KeyColumn, QueryColumn, Source};
use crate::error::{DefinitionError, nearest};
use crate::schema::{Column, ColumnType, TableName, TableSchema, is_identifier};
use crate::toml_file::Document;
use crate::versions;

/// The column that tells which run made a row; fingerprints and comparisons leave it out.
pub const RUN_ID: &str = "_run_id";

/// The audit columns of bronze tables, after the source's own.
pub const BRONZE_AUDIT: [(&str, ColumnType, &str); 6] = [
    ("_ingestion_timestamp", ColumnType::TimestampUtc, "When the row was taken in, UTC"),
    ("_source_file", ColumnType::Text, "Name of the file the row came in"),
    ("_source_row", ColumnType::Long, "Number of the record in its file; 1 is the first after the header"),
    ("_source_hash", ColumnType::Text, "BLAKE3 hash of the file's bytes after decompression"),
    (RUN_ID, ColumnType::Text, "The run that took the row in"),
    ("_rescued_data", ColumnType::Text, "Fields that have no column, as a JSON object; NULL if there are none"),
];

/// The suffix of the date key beside a timestamp.
pub const DATE_KEY_SUFFIX: &str = "_date";

pub(crate) fn conformed(keys: Vec<KeyColumn>) -> Vec<Column> {
    keys.into_iter().map(|key| Column::new(key.name, ColumnType::Long, key.description)).collect()
}

pub(crate) fn bronze(file: &str, name: &TableName, source: &Source) -> Result<TableSchema, DefinitionError> {
    let mut columns: Vec<Column> =
        source.columns.iter().map(|column| Column::new(&column.name, ColumnType::Text, &column.description)).collect();
    columns.extend(BRONZE_AUDIT.iter().map(|(name, data_type, text)| Column::new(*name, *data_type, *text)));
    check_columns(file, &columns)?;
    check_known(file, "key", &source.key, &columns)?;
    arrival::check_source(file, source)?;
    for pattern in &source.patterns {
        globset::Glob::new(pattern).map_err(|error| DefinitionError::Contradiction {
            file: file.to_owned(),
            message: format!("'{pattern}' is not a file pattern: {error}"),
        })?;
    }
    Ok(TableSchema { name: name.clone(), description: source.description.clone(), columns, partition_columns: vec![] })
}

pub(crate) fn schema(
    document: &Document<'_>,
    name: &TableName,
    definition: &Definition,
    conformed_keys: &[Column],
) -> Result<TableSchema, DefinitionError> {
    let file = document.file;
    let mut partition_columns = Vec::new();
    let (description, mut columns) = match definition {
        Definition::Cleanse(cleanse) => {
            cleansing::check(document, cleanse)?;
            (&cleanse.description, cleansed(cleanse))
        }
        Definition::Query(query) | Definition::Bridge(query) => (&query.description, declared(&query.columns)),
        Definition::Hierarchy(hierarchy) => (&hierarchy.description, closure(hierarchy)),
        Definition::Findings(findings) => (&findings.description, findings_columns()),
        // Those of the table that is followed come to them once all tables are known.
        Definition::Versions(versions) => (&versions.description, versions::own_columns()),
        Definition::Dimension(dimension) => (&dimension.description, declared(&dimension.columns)),
        Definition::Fact(fact) => {
            check_known(file, "keys", &fact.keys, conformed_keys)?;
            (&fact.description, [conformed_keys, &declared(&fact.columns)].concat())
        }
        Definition::History(history) => {
            check_known(file, "keys", &history.keys, conformed_keys)?;
            partition_columns.push(history.year_label.clone());
            (&history.description, [conformed_keys, &declared(&history.columns)].concat())
        }
        Definition::FiscalYears(years) => (&years.description, declared(&years.columns)),
    };
    check_columns(file, &columns)?;
    for (place, names) in named_columns(definition) {
        check_known(file, place, &names, &columns)?;
    }
    columns.push(Column::new(RUN_ID, ColumnType::Text, "The run that built the row"));
    Ok(TableSchema { name: name.clone(), description: description.clone(), columns, partition_columns })
}

fn declared(columns: &[QueryColumn]) -> Vec<Column> {
    columns.iter().map(|column| Column::new(&column.name, column.data_type, &column.description)).collect()
}

fn cleansed(cleanse: &Cleanse) -> Vec<Column> {
    let mut columns = Vec::new();
    for column in &cleanse.columns {
        columns.push(Column::new(&column.name, column.data_type, &column.description));
        if column.date_key {
            let text = format!("Date of {}; 1900-01-01 where it is missing", column.name);
            columns.push(Column::new(format!("{}{DATE_KEY_SUFFIX}", column.name), ColumnType::Date, text));
        }
    }
    columns
}

fn closure(hierarchy: &HierarchyTable) -> Vec<Column> {
    let names = &hierarchy.columns;
    let mut columns = vec![
        Column::new(&names.child, ColumnType::Long, "The descendant"),
        Column::new(&names.ancestor, ColumnType::Long, "The ancestor; the descendant itself where depth is 0"),
        Column::new("relationship_type", ColumnType::Text, "self (depth 0), direct (depth 1) or indirect"),
        Column::new("depth", ColumnType::Long, "Steps from descendant to ancestor on the shortest way"),
    ];
    if let Some(label) = &names.label {
        let text = "The descendant's own edge on which the way begins; NULL on self";
        columns.push(Column::new(label, ColumnType::Long, text));
    }
    columns
}

fn findings_columns() -> Vec<Column> {
    vec![
        Column::new("hierarchy", ColumnType::Text, "The hierarchy table the finding is about"),
        Column::new("finding", ColumnType::Text, "What is odd"),
        Column::new("id", ColumnType::Long, "The node it is about; of a cycle the smallest id"),
        Column::new("related_ids", ColumnType::Text, "The other nodes it is about, in order, separated by |"),
        Column::new("detail", ColumnType::Text, "The finding as a sentence"),
    ]
}

/// Options that name columns of the table itself.
fn named_columns(definition: &Definition) -> Vec<(&'static str, Vec<String>)> {
    match definition {
        Definition::Query(query) | Definition::Bridge(query) => vec![("key", query.key.clone())],
        Definition::Dimension(dimension) => vec![("key", dimension.key.clone())],
        Definition::Fact(fact) => vec![("fiscal_years", fact.fiscal_years.keys().cloned().collect())],
        Definition::History(history) => vec![
            ("key", history.key.clone()),
            ("began", vec![history.began.clone()]),
            ("completed", vec![history.completed.clone()]),
            ("year_label", vec![history.year_label.clone()]),
            ("year_number", vec![history.year_number.clone()]),
            ("status", vec![history.status.column.clone()]),
            ("fiscal_years", history.fiscal_years.keys().cloned().collect()),
        ],
        Definition::FiscalYears(years) => vec![
            ("label", vec![years.label.clone()]),
            ("start_date", vec![years.start_date.clone()]),
            ("end_date", vec![years.end_date.clone()]),
        ],
        Definition::Cleanse(_) | Definition::Hierarchy(_) | Definition::Findings(_) | Definition::Versions(_) => {
            Vec::new()
        }
    }
}

pub(crate) fn check_columns(file: &str, columns: &[Column]) -> Result<(), DefinitionError> {
    let mut seen = HashSet::new();
    for column in columns {
        let problem = if !is_identifier(&column.name) {
            "is not snake_case"
        } else if !seen.insert(column.name.as_str()) {
            "is declared twice"
        } else if column.description.trim().is_empty() {
            "has no description"
        } else {
            continue;
        };
        let message = format!("the column '{}' {problem}", column.name);
        return Err(DefinitionError::Contradiction { file: file.to_owned(), message });
    }
    Ok(())
}

pub(crate) fn check_known(
    file: &str,
    place: &str,
    names: &[String],
    columns: &[Column],
) -> Result<(), DefinitionError> {
    match names.iter().find(|name| !columns.iter().any(|column| column.name == **name)) {
        None => Ok(()),
        Some(name) => Err(DefinitionError::UnknownColumn {
            file: file.to_owned(),
            place: place.to_owned(),
            column: name.clone(),
            nearest: nearest(name, columns.iter().map(|column| column.name.as_str())),
        }),
    }
}
