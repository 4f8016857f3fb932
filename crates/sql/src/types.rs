//! The engine's types for the types of columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use medallion_pipeline::{Column, ColumnType, TableSchema};

/// The type the engine computes with.
pub(crate) fn engine_type(data_type: ColumnType) -> DataType {
    match data_type {
        ColumnType::Long => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Text => DataType::Utf8View,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        // A scale of at most 38 fits the signed type.
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
    }
}

/// The engine's field for a column; every column may be NULL.
pub(crate) fn field(column: &Column) -> Field {
    Field::new(&column.name, engine_type(column.data_type), true)
}

/// All columns of a table in declared order.
pub(crate) fn engine_schema(schema: &TableSchema) -> SchemaRef {
    Arc::new(Schema::new(schema.columns.iter().map(field).collect::<Vec<_>>()))
}

/// The name users know a type by; types without one keep the engine's name.
pub(crate) fn type_name(data_type: &DataType) -> String {
    let known = match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnType::Long,
        DataType::Float32 | DataType::Float64 => ColumnType::Double,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Boolean => ColumnType::Bool,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(_, None) => ColumnType::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnType::TimestampUtc,
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            ColumnType::Decimal { precision: *precision, scale: scale.unsigned_abs() }
        }
        DataType::Null => return "null".to_owned(),
        other => return other.to_string(),
    };
    known.to_string()
}
