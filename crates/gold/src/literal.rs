//! Values of definitions as SQL: what stands for a missing value, what the unknown member has.

use medallion_pipeline::definition::QueryColumn;
use medallion_pipeline::{ColumnType, TableName};

use crate::error::GoldError;

/// The day that stands for a missing one.
pub(crate) const MISSING_DAY: &str = "DATE '1900-01-01'";

/// The SQL type of a column.
pub(crate) fn sql_type(data_type: ColumnType) -> String {
    match data_type {
        ColumnType::Long => "BIGINT".to_owned(),
        ColumnType::Double => "DOUBLE".to_owned(),
        ColumnType::Text => "VARCHAR".to_owned(),
        ColumnType::Bool => "BOOLEAN".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP(6)".to_owned(),
        ColumnType::TimestampUtc => "TIMESTAMP(6) WITH TIME ZONE".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
    }
}

/// What replaces a NULL in a column; `None` where the NULL stays.
pub(crate) fn missing(table: &TableName, column: &QueryColumn) -> Result<Option<String>, GoldError> {
    match &column.missing {
        Some(toml::Value::String(text)) if text == "null" => Ok(None),
        Some(value) => literal(table, column, "missing", value).map(Some),
        None => default(table, column).map(Some),
    }
}

/// What the unknown member has in a column.
pub(crate) fn unknown(table: &TableName, column: &QueryColumn) -> Result<String, GoldError> {
    match &column.unknown {
        Some(toml::Value::String(text)) if text == "null" => Ok("NULL".to_owned()),
        Some(value) => literal(table, column, "unknown", value),
        None => default(table, column),
    }
}

fn default(table: &TableName, column: &QueryColumn) -> Result<String, GoldError> {
    Ok(match column.data_type {
        ColumnType::Long | ColumnType::Double | ColumnType::Decimal { .. } => "-1".to_owned(),
        ColumnType::Text => "'N/A'".to_owned(),
        ColumnType::Date => MISSING_DAY.to_owned(),
        ColumnType::Timestamp | ColumnType::TimestampUtc => "TIMESTAMP '1900-01-01 00:00:00'".to_owned(),
        ColumnType::Bool => {
            let (column, data_type) = (column.name.clone(), column.data_type.to_string());
            return Err(GoldError::NoMissingValue { table: table.clone(), column, data_type });
        }
    })
}

fn literal(
    table: &TableName,
    column: &QueryColumn,
    option: &'static str,
    value: &toml::Value,
) -> Result<String, GoldError> {
    use toml::Value;
    match (column.data_type, value) {
        (ColumnType::Long | ColumnType::Double | ColumnType::Decimal { .. }, Value::Integer(number)) => {
            Ok(number.to_string())
        }
        (ColumnType::Double | ColumnType::Decimal { .. }, Value::Float(number)) => Ok(number.to_string()),
        (ColumnType::Text, Value::String(text)) => Ok(format!("'{}'", text.replace('\'', "''"))),
        (ColumnType::Bool, Value::Boolean(truth)) => Ok(truth.to_string()),
        (ColumnType::Date, Value::Datetime(day)) if day.time.is_none() => Ok(format!("DATE '{day}'")),
        _ => Err(GoldError::Value {
            table: table.clone(),
            option,
            column: column.name.clone(),
            value: value.to_string(),
            data_type: column.data_type.to_string(),
        }),
    }
}
