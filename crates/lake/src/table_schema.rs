//! Table schemas as Delta metadata and back.

use std::fmt;

use deltalake::DeltaResult;
use deltalake::kernel::{
    DataType, Metadata, MetadataExt, MetadataValue, PrimitiveType, Protocol, StructField, StructType, new_metadata,
};
use deltalake::table::state::DeltaTableState;
use medallion_pipeline::{Column, ColumnType, TableName, TableSchema};
use serde_json::{Value, json};

/// How a table's columns differ from what they were. A column that is renamed is removed and added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaChange {
    /// Columns there were not before, in the order of the new table.
    pub added: Vec<String>,
    /// Columns that are no longer there, in the order of the old table.
    pub removed: Vec<String>,
    /// Columns of another type.
    pub retyped: Vec<RetypedColumn>,
}

/// A column whose type changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetypedColumn {
    /// Its name.
    pub column: String,
    /// What it was.
    pub from: ColumnType,
    /// What it is.
    pub to: ColumnType,
}

impl SchemaChange {
    /// Whether queries that worked before may fail or mean something else: anything but further columns.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        !self.removed.is_empty() || !self.retyped.is_empty()
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = self.removed.iter().map(|column| format!("column '{column}' is removed"));
        let retyped = self
            .retyped
            .iter()
            .map(|RetypedColumn { column, from, to }| format!("column '{column}' changes from {from} to {to}"));
        let added = self.added.iter().map(|column| format!("column '{column}' is added"));
        f.write_str(&removed.chain(retyped).chain(added).collect::<Vec<_>>().join(", "))
    }
}

/// What becomes of a table's columns, whatever their order and descriptions.
#[must_use]
pub fn schema_changes(old: &TableSchema, new: &TableSchema) -> SchemaChange {
    let find = |schema: &TableSchema, name: &str| {
        schema.columns.iter().find(|column| column.name == name).map(|column| column.data_type)
    };
    let mut change = SchemaChange::default();
    for Column { name, data_type, .. } in &old.columns {
        match find(new, name) {
            None => change.removed.push(name.clone()),
            Some(to) if to != *data_type => {
                change.retyped.push(RetypedColumn { column: name.clone(), from: *data_type, to });
            }
            Some(_) => {}
        }
    }
    let added = new.columns.iter().filter(|column| find(old, &column.name).is_none());
    change.added = added.map(|column| column.name.clone()).collect();
    change
}

/// Commits between two checkpoints.
pub(crate) const CHECKPOINT_INTERVAL: u64 = 10;

const COMMENT: &str = "comment";
const TIMESTAMP_FEATURE: &str = "timestampNtz";

/// The Delta metadata of a table; that of an existing table keeps its id and settings.
pub(crate) fn metadata_of(schema: &TableSchema, existing: Option<&Metadata>) -> DeltaResult<Metadata> {
    let fields = schema.columns.iter().map(field_of).collect::<DeltaResult<Vec<_>>>()?;
    let settings = match existing {
        Some(metadata) => metadata.configuration().clone(),
        None => [("delta.checkpointInterval".to_owned(), CHECKPOINT_INTERVAL.to_string())].into(),
    };
    let metadata = new_metadata(&StructType::try_new(fields)?, &schema.partition_columns, settings)?
        .with_name(schema.name.to_string())?
        .with_description(schema.description.clone())?;
    match existing {
        Some(existing) => Ok(metadata.with_table_id(existing.id().to_owned())?),
        None => Ok(metadata),
    }
}

fn field_of(column: &Column) -> DeltaResult<StructField> {
    let data_type = match column.data_type {
        ColumnType::Long => DataType::LONG,
        ColumnType::Double => DataType::DOUBLE,
        ColumnType::Text => DataType::STRING,
        ColumnType::Bool => DataType::BOOLEAN,
        ColumnType::Date => DataType::DATE,
        ColumnType::Timestamp => DataType::TIMESTAMP_NTZ,
        ColumnType::TimestampUtc => DataType::TIMESTAMP,
        ColumnType::Decimal { precision, scale } => DataType::decimal(precision, scale)?,
    };
    let field = StructField::nullable(&column.name, data_type);
    if column.description.is_empty() {
        return Ok(field);
    }
    Ok(field.with_metadata([(COMMENT, column.description.as_str())]))
}

/// The schema of a published table, or what this program would never have written.
pub(crate) fn schema_of(table: &TableName, state: &DeltaTableState) -> Result<TableSchema, String> {
    let columns = state.schema().fields().map(column_of).collect::<Result<Vec<_>, _>>()?;
    let metadata = state.metadata();
    Ok(TableSchema {
        name: table.clone(),
        description: metadata.description().unwrap_or_default().to_owned(),
        columns,
        partition_columns: metadata.partition_columns().to_vec(),
    })
}

fn column_of(field: &StructField) -> Result<Column, String> {
    let data_type = match field.data_type() {
        DataType::Primitive(PrimitiveType::Long) => ColumnType::Long,
        DataType::Primitive(PrimitiveType::Double) => ColumnType::Double,
        DataType::Primitive(PrimitiveType::String) => ColumnType::Text,
        DataType::Primitive(PrimitiveType::Boolean) => ColumnType::Bool,
        DataType::Primitive(PrimitiveType::Date) => ColumnType::Date,
        DataType::Primitive(PrimitiveType::TimestampNtz) => ColumnType::Timestamp,
        DataType::Primitive(PrimitiveType::Timestamp) => ColumnType::TimestampUtc,
        DataType::Primitive(PrimitiveType::Decimal(decimal)) => {
            ColumnType::Decimal { precision: decimal.precision(), scale: decimal.scale() }
        }
        other => return Err(format!("column '{}' has the type {other}", field.name())),
    };
    let description = match field.metadata().get(COMMENT) {
        Some(MetadataValue::String(comment)) => comment.clone(),
        _ => String::new(),
    };
    Ok(Column::new(field.name(), data_type, description))
}

/// The protocol a table needs: the plainest there is, with the one feature for wall time where it occurs.
pub(crate) fn protocol_of(schema: &TableSchema) -> DeltaResult<Protocol> {
    let protocol = if has_wall_time(schema) {
        json!({
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": [TIMESTAMP_FEATURE], "writerFeatures": [TIMESTAMP_FEATURE],
        })
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    };
    Ok(serde_json::from_value(protocol)?)
}

/// The protocol an existing table must get before it can have the new schema; `None` if its own will do.
pub(crate) fn protocol_upgrade(schema: &TableSchema, existing: &Protocol) -> DeltaResult<Option<Protocol>> {
    let current = serde_json::to_value(existing)?;
    let features = |key: &str| current.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut reader, mut writer) = (features("readerFeatures"), features("writerFeatures"));
    let feature = json!(TIMESTAMP_FEATURE);
    if !has_wall_time(schema) || writer.contains(&feature) {
        return Ok(None);
    }
    if writer.is_empty() {
        // What writer version 2 stands for has to be named from version 7 on.
        writer.extend([json!("appendOnly"), json!("invariants")]);
    }
    reader.push(feature.clone());
    writer.push(feature);
    let upgraded = json!({
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer,
    });
    Ok(Some(serde_json::from_value(upgraded)?))
}

fn has_wall_time(schema: &TableSchema) -> bool {
    schema.columns.iter().any(|column| column.data_type == ColumnType::Timestamp)
}

/// Why rows of `new` cannot join those of `old`: columns may be added, nothing else.
pub(crate) fn append_difference(old: &TableSchema, new: &TableSchema) -> Option<String> {
    if old.partition_columns != new.partition_columns {
        let (old, new) = (old.partition_columns.join(", "), new.partition_columns.join(", "));
        return Some(format!("the partition columns would change from ({old}) to ({new})"));
    }
    old.columns.iter().find_map(|column| match new.columns.iter().find(|known| known.name == column.name) {
        None => Some(format!("column '{}' would vanish", column.name)),
        Some(known) if known.data_type != column.data_type => {
            Some(format!("column '{}' would change from {} to {}", column.name, column.data_type, known.data_type))
        }
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use medallion_pipeline::Layer;

    use super::*;

    fn table(columns: &[(&str, ColumnType)]) -> TableSchema {
        TableSchema {
            name: TableName::new(Layer::Gold, "dim_user"),
            description: String::new(),
            columns: columns.iter().map(|(name, data_type)| Column::new(*name, *data_type, *name)).collect(),
            partition_columns: vec![],
        }
    }

    #[test]
    fn further_columns_in_any_order_break_nothing() {
        let old = table(&[("id", ColumnType::Long), ("name", ColumnType::Text)]);
        let mut new = table(&[("email", ColumnType::Text), ("name", ColumnType::Text), ("id", ColumnType::Long)]);
        new.columns[2].description = "Another description".to_owned();
        let change = schema_changes(&old, &new);
        assert_eq!(change, SchemaChange { added: vec!["email".to_owned()], ..SchemaChange::default() });
        assert!(!change.is_breaking());
        assert_eq!(change.to_string(), "column 'email' is added");
        assert_eq!(schema_changes(&old, &old), SchemaChange::default());
        assert!(schema_changes(&new, &old).is_breaking());
    }

    #[test]
    fn removed_renamed_and_retyped_columns_break() {
        let decimal = |scale| ColumnType::Decimal { precision: 10, scale };
        let old = table(&[("id", ColumnType::Long), ("fee", decimal(2)), ("name", ColumnType::Text)]);
        let new = table(&[("id", ColumnType::Text), ("fee", decimal(3)), ("full_name", ColumnType::Text)]);
        let change = schema_changes(&old, &new);
        assert!(change.is_breaking());
        assert_eq!((&change.added, &change.removed), (&vec!["full_name".to_owned()], &vec!["name".to_owned()]));
        assert_eq!(
            change.to_string(),
            "column 'name' is removed, column 'id' changes from long to text, column 'fee' changes from decimal(10,2) \
             to decimal(10,3), column 'full_name' is added"
        );
    }
}
