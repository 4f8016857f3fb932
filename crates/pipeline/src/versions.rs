//! Tables that keep every version of another table's rows: what they take from the table they follow.

use crate::columns::{RUN_ID, check_columns, check_known};
use crate::definition::{Cleanse, Definition, VersionsTable};
use crate::error::DefinitionError;
use crate::load::{Table, definition_file};
use crate::schema::{Column, ColumnType, TableName};

/// The first day of a version.
pub const VALID_FROM: &str = "valid_from";
/// The day after its last.
pub const VALID_TO: &str = "valid_to";
/// Whether it is the newest one.
pub const IS_CURRENT: &str = "is_current";

/// The columns that come to those of the table that is followed.
pub(crate) fn own_columns() -> Vec<Column> {
    vec![
        Column::new(VALID_FROM, ColumnType::Date, "Date of the first export that has the row like this"),
        Column::new(VALID_TO, ColumnType::Date, "Date of the first export after it that has not; NULL while current"),
        Column::new(IS_CURRENT, ColumnType::Bool, "Whether the newest export has the row like this"),
    ]
}

/// Gives tables of versions the columns of the tables they follow, with their types and descriptions.
pub(crate) fn follow(tables: &mut [Table]) -> Result<(), DefinitionError> {
    let followed = tables.iter().map(|table| columns(table, tables)).collect::<Result<Vec<_>, _>>()?;
    for (table, columns) in tables.iter_mut().zip(followed) {
        if let Some(columns) = columns {
            table.schema.columns = columns;
        }
    }
    Ok(())
}

/// The columns of a table of versions; `None` for other kinds.
fn columns(table: &Table, tables: &[Table]) -> Result<Option<Vec<Column>>, DefinitionError> {
    let Definition::Versions(versions) = &table.definition else { return Ok(None) };
    let file = definition_file(&table.name);
    let contradiction = |message: String| DefinitionError::Contradiction { file: file.clone(), message };
    let followed = tables.iter().find(|table| table.name == versions.of);
    let (Some(followed), Some(cleanse)) = (followed, cleansed(&versions.of, tables)) else {
        return Err(contradiction(format!("{} is not of kind cleanse; only such tables are followed", versions.of)));
    };
    if cleanse.key.is_empty() {
        return Err(contradiction(format!("{} has no key, which tells which rows are one thing", versions.of)));
    }
    check_known(&file, "without", &versions.without, &followed.schema.columns)?;
    if let Some(name) = versions.without.iter().find(|name| cleanse.key.contains(name)) {
        return Err(contradiction(format!("without = \"{name}\" is part of the key of {}", versions.of)));
    }
    let is_followed = |column: &&Column| column.name != RUN_ID && !versions.without.contains(&column.name);
    let mut columns: Vec<Column> = followed.schema.columns.iter().filter(is_followed).cloned().collect();
    columns.extend(own_columns());
    columns.extend(followed.schema.columns.iter().filter(|column| column.name == RUN_ID).cloned());
    check_columns(&file, &columns)?;
    Ok(Some(columns))
}

/// The definition of a table that can be followed.
fn cleansed<'a>(name: &TableName, tables: &'a [Table]) -> Option<&'a Cleanse> {
    match &tables.iter().find(|table| table.name == *name)?.definition {
        Definition::Cleanse(cleanse) => Some(cleanse),
        _ => None,
    }
}

/// What identifies a row of a table of versions: the key of the table it follows, with the first day.
#[must_use]
pub fn key(versions: &VersionsTable, tables: &[Table]) -> Vec<String> {
    let key = cleansed(&versions.of, tables).map(|cleanse| cleanse.key.clone()).unwrap_or_default();
    key.into_iter().chain([VALID_FROM.to_owned()]).collect()
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
