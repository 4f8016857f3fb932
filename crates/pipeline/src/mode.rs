//! Whether an export is all there is or what has changed since the one before, and how it says that something is gone.

use serde::{Deserialize, Serialize};

use crate::arrival::SourceOverride;
use crate::definition::{Definition, Source};
use crate::error::{DefinitionError, nearest};
use crate::load::{SourceTable, Table};
use crate::toml_file;

/// What an export of a source is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All there is: the newest is the truth.
    #[default]
    Snapshot,
    /// What has changed: all of them, one after another, are the truth.
    Incremental,
}

/// Which rows of an increment delete their key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// The bronze column that tells.
    pub column: String,
    /// Its texts that mean deleted; white space around them does not matter.
    pub values: Vec<String>,
}

/// What `bronze/<source>.toml` says, of itself and with the tables that are cleansed from the source.
pub(crate) fn check(file: &str, text: &str, source: &SourceTable, tables: &[Table]) -> Result<(), DefinitionError> {
    let place = |key: &str| toml_file::place_of(file, text, key);
    if source.source.mode == Mode::Incremental
        && let Some(place) = place("retain_batches")
    {
        return Err(wrong(&place, RETAINED));
    }
    if let Some(deleted) = &source.source.deleted {
        let place = place("deleted").unwrap_or_else(|| file.to_owned());
        check_deleted(&place, deleted, source, tables)?;
    }
    check_keys(|| place("mode").unwrap_or_else(|| file.to_owned()), source, tables)
}

/// What a customer says of a source, which is `source` already with what the customer says.
pub(crate) fn check_override(
    place: &str,
    own: &SourceOverride,
    source: &SourceTable,
    tables: &[Table],
) -> Result<(), DefinitionError> {
    if source.source.mode == Mode::Incremental && own.retain_batches.is_some() {
        return Err(wrong(place, RETAINED));
    }
    if let Some(deleted) = &own.deleted {
        check_deleted(place, deleted, source, tables)?;
    }
    check_keys(|| place.to_owned(), source, tables)
}

/// Puts what a customer says of a source's mode in place of what the pipeline says.
pub(crate) fn apply(own: &SourceOverride, source: &mut Source) {
    source.mode = own.mode.unwrap_or(source.mode);
    source.deleted = match source.mode {
        Mode::Incremental => own.deleted.clone().or_else(|| source.deleted.take()),
        // The pipeline's flag belongs to the increments that this customer does not send.
        Mode::Snapshot => None,
    };
}

/// Why an incremental source takes no `retain_batches`.
const RETAINED: &str = "retain_batches is for snapshots, but mode = \"incremental\" keeps the rows of every increment, \
                        because the tables are built from all of them: leave retain_batches out";

fn check_deleted(
    place: &str,
    deleted: &Deleted,
    source: &SourceTable,
    tables: &[Table],
) -> Result<(), DefinitionError> {
    if source.source.mode == Mode::Snapshot {
        let message = "deleted is for increments, but the source's mode is \"snapshot\", in which a row that does not \
                       come any more is gone: write mode = \"incremental\" or leave deleted out";
        return Err(wrong(place, message));
    }
    let columns = || source.source.columns.iter().map(|column| column.name.as_str());
    if !columns().any(|column| column == deleted.column) {
        return Err(DefinitionError::UnknownColumn {
            file: place.to_owned(),
            place: "deleted".to_owned(),
            column: deleted.column.clone(),
            nearest: nearest(&deleted.column, columns()),
        });
    }
    if deleted.values.is_empty() || deleted.values.iter().any(|value| value.trim().is_empty()) {
        let message = "deleted has no values, or an empty one: expected the texts that mean deleted, such as \
                       values = [\"1\", \"true\"]; an empty field means that the row is there";
        return Err(wrong(place, message));
    }
    if cleansed_from(source, tables).next().is_none() {
        let name = &source.name.table;
        let message = format!("deleted would delete nothing: no silver table is cleansed from {name}; leave it out");
        return Err(wrong(place, message));
    }
    Ok(())
}

fn check_keys(place: impl Fn() -> String, source: &SourceTable, tables: &[Table]) -> Result<(), DefinitionError> {
    if source.source.mode == Mode::Snapshot {
        return Ok(());
    }
    let keyless = |table: &&Table| matches!(&table.definition, Definition::Cleanse(cleanse) if cleanse.key.is_empty());
    match cleansed_from(source, tables).find(keyless) {
        None => Ok(()),
        Some(table) => {
            let (name, of) = (&table.name, &table.name.table);
            let message = format!(
                "mode = \"incremental\" puts increments together by key, but {name} has none: declare the key in \
                 silver/{of}.toml, or leave mode out"
            );
            Err(wrong(&place(), message))
        }
    }
}

fn cleansed_from<'t>(source: &SourceTable, tables: &'t [Table]) -> impl Iterator<Item = &'t Table> {
    let source = source.name.table.clone();
    tables
        .iter()
        .filter(move |table| matches!(&table.definition, Definition::Cleanse(cleanse) if cleanse.source == source))
}

fn wrong(place: &str, message: impl Into<String>) -> DefinitionError {
    DefinitionError::Contradiction { file: place.to_owned(), message: message.into() }
}

#[cfg(test)]
#[path = "mode_tests.rs"]
mod tests;
