//! Names of tables and columns and the types of columns: what all layers agree on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A stage of the lakehouse. Data flows from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// What arrived, as text.
    Bronze,
    /// Typed and cleansed, one row per thing.
    Silver,
    /// The star schema.
    Gold,
}

impl Layer {
    /// All layers in the order data flows through them.
    pub const ALL: [Self; 3] = [Self::Bronze, Self::Silver, Self::Gold];

    /// The name used for folders and in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of a table, written `layer.table`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The layer the table belongs to.
    pub layer: Layer,
    /// The table's own name: lower case letters, digits and `_`.
    pub table: String,
}

impl TableName {
    /// The table `table` of `layer`.
    pub fn new(layer: Layer, table: impl Into<String>) -> Self {
        Self { layer, table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layer, self.table)
    }
}

/// A text that is not the name of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a table name: expected bronze.<table>, silver.<table> or gold.<table> in lower case")]
pub struct InvalidTableName(pub String);

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTableName(text.to_owned());
        let (layer, table) = text.split_once('.').ok_or_else(invalid)?;
        let layer = Layer::ALL.into_iter().find(|known| known.name() == layer).ok_or_else(invalid)?;
        if is_identifier(table) { Ok(Self::new(layer, table)) } else { Err(invalid()) }
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether `text` can name a table or column: a lower case letter or `_`, then letters, digits and `_`.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The type of a column, the same in every engine and in the published Delta tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 64-bit signed integer.
    Long,
    /// 64-bit floating point.
    Double,
    /// UTF-8 text.
    Text,
    /// True or false.
    Bool,
    /// A calendar day.
    Date,
    /// Wall time of the site in microseconds, without a zone (Delta `timestamp_ntz`).
    Timestamp,
    /// An instant in microseconds, UTC (Delta `timestamp`).
    TimestampUtc,
    /// A decimal number with `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits after the decimal point.
        scale: u8,
    },
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => f.write_str("long"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("text"),
            Self::Bool => f.write_str("bool"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampUtc => f.write_str("timestamp_utc"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
        }
    }
}

/// A text that is not a column type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a column type: expected long, double, text, bool, date, timestamp, timestamp_utc or \
     decimal(precision,scale)"
)]
pub struct InvalidColumnType(pub String);

impl FromStr for ColumnType {
    type Err = InvalidColumnType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "long" => Ok(Self::Long),
            "double" => Ok(Self::Double),
            "text" => Ok(Self::Text),
            "bool" => Ok(Self::Bool),
            "date" => Ok(Self::Date),
            "timestamp" => Ok(Self::Timestamp),
            "timestamp_utc" => Ok(Self::TimestampUtc),
            other => decimal(other).ok_or_else(|| InvalidColumnType(text.to_owned())),
        }
    }
}

fn decimal(text: &str) -> Option<ColumnType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    (1..=38).contains(&precision).then_some(())?;
    (scale <= precision).then_some(ColumnType::Decimal { precision, scale })
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A column of a published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The column's type.
    pub data_type: ColumnType,
    /// What the column means; published as the Delta column comment.
    pub description: String,
}

impl Column {
    /// A column of the given name, type and meaning.
    pub fn new(name: impl Into<String>, data_type: ColumnType, description: impl Into<String>) -> Self {
        Self { name: name.into(), data_type, description: description.into() }
    }
}

/// What a table looks like to its readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// The table's name.
    pub name: TableName,
    /// What a row is; published as the Delta table description.
    pub description: String,
    /// The columns in order, partition columns included.
    pub columns: Vec<Column>,
    /// Columns whose values are in the files' paths instead of the files.
    pub partition_columns: Vec<String>,
}
