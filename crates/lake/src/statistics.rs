//! What a Parquet footer says: columns, rows, and the statistics Delta readers skip files by.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Days, NaiveDate};
use medallion_pipeline::{Column, ColumnType, TableSchema};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Delta readers expect statistics for this many columns unless the table says otherwise.
const COLUMNS_WITH_STATISTICS: usize = 32;
/// Longer texts are cut in statistics, as Delta writers do.
const TEXT_LENGTH: usize = 32;
/// Every decimal of at most this many digits is exact as a JSON number.
const EXACT_DECIMAL: u128 = 1_000_000_000_000_000;

/// The columns a file must have: those of the table that are not in its path.
pub(crate) fn file_columns(schema: &TableSchema) -> impl Iterator<Item = &Column> {
    schema.columns.iter().filter(|column| !schema.partition_columns.contains(&column.name))
}

/// How the columns of a file differ from those of the table; `None` if they do not.
pub(crate) fn differences(schema: &TableSchema, footer: &ParquetMetaData) -> Result<Option<String>, ParquetError> {
    // Without the writer's own notes on its types: only what is in Parquet counts for readers.
    let found = parquet_to_arrow_schema(footer.file_metadata().schema_descr(), None)?;
    let mut differences = Vec::new();
    for column in file_columns(schema) {
        match found.field_with_name(&column.name) {
            Err(_) => differences.push(format!("column '{}' is missing", column.name)),
            Ok(field) if !is_stored_as(column.data_type, field.data_type()) => differences.push(format!(
                "column '{}' is {} instead of {}",
                column.name,
                field.data_type(),
                column.data_type
            )),
            Ok(_) => {}
        }
    }
    for field in found.fields() {
        if !file_columns(schema).any(|column| column.name == *field.name()) {
            differences.push(format!("column '{}' is not expected", field.name()));
        }
    }
    Ok((!differences.is_empty()).then(|| differences.join(", ")))
}

/// Whether a column of a table may be this in its Parquet files.
pub(crate) fn is_stored_as(expected: ColumnType, found: &DataType) -> bool {
    match (expected, found) {
        (ColumnType::Long, DataType::Int64)
        | (ColumnType::Double, DataType::Float64)
        | (ColumnType::Text, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        | (ColumnType::Bool, DataType::Boolean)
        | (ColumnType::Date, DataType::Date32)
        | (ColumnType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None)) => true,
        (ColumnType::TimestampUtc, DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
            matches!(zone.as_ref(), "UTC" | "+00:00")
        }
        (ColumnType::Decimal { precision, scale }, DataType::Decimal128(found_precision, found_scale)) => {
            precision == *found_precision && i8::try_from(scale) == Ok(*found_scale)
        }
        _ => false,
    }
}

/// The statistics of a file as Delta keeps them: row count, and bounds and null counts of its first columns.
pub(crate) fn delta_statistics(schema: &TableSchema, footer: &ParquetMetaData) -> String {
    let (mut lowest, mut highest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let descriptor = footer.file_metadata().schema_descr();
    for column in file_columns(schema).take(COLUMNS_WITH_STATISTICS) {
        let named = |leaf: &parquet::schema::types::ColumnDescPtr| leaf.path().parts() == [column.name.as_str()];
        let Some(leaf) = descriptor.columns().iter().position(named) else { continue };
        if let Some(count) = null_count(footer.row_groups(), leaf) {
            nulls.insert(column.name.clone(), json!(count));
        }
        let bounds = Bounds::of(footer.row_groups(), leaf, column.data_type);
        if let Some((low, high)) = bounds.and_then(|bounds| bounds.as_json(column.data_type)) {
            lowest.insert(column.name.clone(), low);
            highest.insert(column.name.clone(), high);
        }
    }
    let rows = footer.file_metadata().num_rows();
    json!({"numRecords": rows, "minValues": lowest, "maxValues": highest, "nullCount": nulls}).to_string()
}

fn null_count(groups: &[RowGroupMetaData], leaf: usize) -> Option<u64> {
    groups.iter().map(|group| group.column(leaf).statistics()?.null_count_opt()).sum()
}

/// A value of a column, comparable with others of the same column.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Whole(i128),
    Real(f64),
    Text(String),
}

/// The smallest and largest values of a column.
#[derive(Debug, Clone, PartialEq)]
struct Bounds {
    lowest: Bound,
    highest: Bound,
}

impl Bounds {
    /// Bounds over all row groups; `None` unless every group that has values has bounds.
    fn of(groups: &[RowGroupMetaData], leaf: usize, data_type: ColumnType) -> Option<Self> {
        let mut all: Option<Self> = None;
        for group in groups {
            let statistics = group.column(leaf).statistics()?;
            let only_nulls = statistics.null_count_opt() == u64::try_from(group.num_rows()).ok();
            if only_nulls {
                continue;
            }
            let (lowest, highest) = bounds_of(statistics, data_type)?;
            all = Some(match all {
                None => Self { lowest, highest },
                Some(so_far) => Self {
                    lowest: if lowest < so_far.lowest { lowest } else { so_far.lowest },
                    highest: if highest > so_far.highest { highest } else { so_far.highest },
                },
            });
        }
        all
    }

    fn as_json(&self, data_type: ColumnType) -> Option<(Value, Value)> {
        let (low, high) = (&self.lowest, &self.highest);
        match (data_type, low, high) {
            (ColumnType::Long, Bound::Whole(low), Bound::Whole(high)) => {
                Some((json!(i64::try_from(*low).ok()?), json!(i64::try_from(*high).ok()?)))
            }
            (ColumnType::Double, Bound::Real(low), Bound::Real(high)) => Some((json!(low), json!(high))),
            (ColumnType::Date, Bound::Whole(low), Bound::Whole(high)) => Some((date(*low)?, date(*high)?)),
            (ColumnType::Timestamp, Bound::Whole(low), Bound::Whole(high)) => {
                let format = "%Y-%m-%d %H:%M:%S%.3f";
                Some((instant(low.div_euclid(1000), format)?, instant(ceil_thousand(*high), format)?))
            }
            (ColumnType::TimestampUtc, Bound::Whole(low), Bound::Whole(high)) => {
                let format = "%Y-%m-%dT%H:%M:%S%.3fZ";
                Some((instant(low.div_euclid(1000), format)?, instant(ceil_thousand(*high), format)?))
            }
            (ColumnType::Decimal { scale, .. }, Bound::Whole(low), Bound::Whole(high)) => {
                Some((decimal(*low, scale)?, decimal(*high, scale)?))
            }
            (ColumnType::Text, Bound::Text(low), Bound::Text(high)) => {
                Some((json!(low.chars().take(TEXT_LENGTH).collect::<String>()), json!(text_above(high)?)))
            }
            _ => None,
        }
    }
}

/// What Parquet calls minimum and maximum. Of numbers they are values of the column whatever the writer says
/// about exactness (some writers say nothing); of texts they may be cut, and bound the values all the same.
fn bounds_of(statistics: &Statistics, data_type: ColumnType) -> Option<(Bound, Bound)> {
    let whole = |low: i128, high: i128| Some((Bound::Whole(low), Bound::Whole(high)));
    match (statistics, data_type) {
        (
            Statistics::Int64(values),
            ColumnType::Long | ColumnType::Timestamp | ColumnType::TimestampUtc | ColumnType::Decimal { .. },
        ) => whole((*values.min_opt()?).into(), (*values.max_opt()?).into()),
        (Statistics::Int32(values), ColumnType::Date | ColumnType::Decimal { .. }) => {
            whole((*values.min_opt()?).into(), (*values.max_opt()?).into())
        }
        (Statistics::FixedLenByteArray(values), ColumnType::Decimal { .. }) if !statistics.is_min_max_deprecated() => {
            whole(from_big_endian(values.min_opt()?.data())?, from_big_endian(values.max_opt()?.data())?)
        }
        (Statistics::Double(values), ColumnType::Double) => {
            let (low, high) = (*values.min_opt()?, *values.max_opt()?);
            (low.is_finite() && high.is_finite()).then_some((Bound::Real(low), Bound::Real(high)))
        }
        // The deprecated fields of Parquet compare bytes as signed numbers.
        (Statistics::ByteArray(values), ColumnType::Text) if !statistics.is_min_max_deprecated() => {
            let low = std::str::from_utf8(values.min_opt()?.data()).ok()?;
            let high = std::str::from_utf8(values.max_opt()?.data()).ok()?;
            Some((Bound::Text(low.to_owned()), Bound::Text(high.to_owned())))
        }
        _ => None,
    }
}

fn from_big_endian(bytes: &[u8]) -> Option<i128> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { u8::MAX };
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

fn ceil_thousand(value: i128) -> i128 {
    -((-value).div_euclid(1000))
}

fn date(days: i128) -> Option<Value> {
    let epoch = NaiveDate::default();
    let distance = Days::new(u64::try_from(days.unsigned_abs()).ok()?);
    let day = if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) }?;
    common_year(day).then(|| json!(day.format("%Y-%m-%d").to_string()))
}

fn instant(milliseconds: i128, format: &str) -> Option<Value> {
    let instant = DateTime::from_timestamp_millis(i64::try_from(milliseconds).ok()?)?;
    common_year(instant.date_naive()).then(|| json!(instant.format(format).to_string()))
}

/// Years that every reader parses: four digits, no sign.
fn common_year(day: NaiveDate) -> bool {
    (1..=9999).contains(&chrono::Datelike::year(&day))
}

fn decimal(unscaled: i128, scale: u8) -> Option<Value> {
    if unscaled.unsigned_abs() >= EXACT_DECIMAL {
        return None;
    }
    let number: f64 = format!("{unscaled}e-{scale}").parse().ok()?;
    Some(json!(number))
}

/// A text of limited length that is not below `text`: cut, with its last character raised.
fn text_above(text: &str) -> Option<String> {
    if text.chars().nth(TEXT_LENGTH).is_none() {
        return Some(text.to_owned());
    }
    let mut kept: Vec<char> = text.chars().take(TEXT_LENGTH).collect();
    while let Some(last) = kept.pop() {
        // Stepping a range of characters leaps over the surrogates, which are none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            kept.push(next);
            return Some(kept.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_cut_text_is_still_an_upper_bound() {
        let long = "a".repeat(40);
        assert_eq!(text_above(&long).unwrap(), format!("{}b", "a".repeat(31)));
        assert_eq!(text_above("short").unwrap(), "short");
        let exactly = "ä".repeat(32);
        assert_eq!(text_above(&exactly).unwrap(), exactly);
        let edge = format!("{}{}{}", "a".repeat(31), char::MAX, "tail");
        assert_eq!(text_above(&edge).unwrap(), format!("{}b", "a".repeat(30)));
        assert_eq!(text_above(&char::MAX.to_string().repeat(33)), None);
        let before_surrogates = format!("{}\u{d7ff}x", "a".repeat(31));
        assert_eq!(text_above(&before_surrogates).unwrap(), format!("{}\u{e000}", "a".repeat(31)));
    }

    #[test]
    fn timestamps_are_rounded_outwards_to_milliseconds() {
        let bounds = |low, high| Bounds { lowest: Bound::Whole(low), highest: Bound::Whole(high) };
        assert_eq!(
            bounds(1_500, 1_500).as_json(ColumnType::Timestamp).unwrap(),
            (json!("1970-01-01 00:00:00.001"), json!("1970-01-01 00:00:00.002"))
        );
        assert_eq!(
            bounds(-1_500, -1_500).as_json(ColumnType::TimestampUtc).unwrap(),
            (json!("1969-12-31T23:59:59.998Z"), json!("1969-12-31T23:59:59.999Z"))
        );
        assert_eq!(bounds(-1, 19_358).as_json(ColumnType::Date).unwrap(), (json!("1969-12-31"), json!("2023-01-01")));
    }

    #[test]
    fn decimals_are_exact_or_absent() {
        assert_eq!(decimal(-1234, 2).unwrap().to_string(), "-12.34");
        assert_eq!(decimal(999_999_999_999_999, 2).unwrap().to_string(), "9999999999999.99");
        assert_eq!(decimal(1_000_000_000_000_000, 2), None);
        assert_eq!(from_big_endian(&[0xff, 0xfe]).unwrap(), -2);
        assert_eq!(from_big_endian(&[0x01, 0x00]).unwrap(), 256);
        assert_eq!(from_big_endian(&[0; 17]), None);
    }
}
