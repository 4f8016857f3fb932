//! One column of text becomes typed: trim, null markers, value map, cast (rules 1 to 4).

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDateTime;
use medallion_pipeline::ColumnType;
use medallion_pipeline::definition::{Accept, CleanseColumn};
use polars::prelude::*;
use sha2::{Digest, Sha256};

/// The format of timestamps in exports.
const DEFAULT_FORMAT: &str = "%d/%m/%Y, %H:%M:%S";
/// ISO 8601 in its usual spellings, tried after the declared formats.
const ISO_FORMATS: [&str; 5] =
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
const ISO_DATE: &str = "%Y-%m-%d";
/// Ids beyond this do not fit into packed keys.
const MAX_ID: i64 = (1 << 31) - 1;
/// The year 1000 in microseconds since 1970: `24` is read as the year 24, though it means another.
const FIRST_MOMENT: i64 = -30_610_224_000_000_000;
/// How many texts a report shows.
const SAMPLES: usize = 5;

/// A typed column and what happened on the way.
pub(crate) struct Cleansed {
    pub values: Column,
    /// Texts that could not be cast.
    pub failed: u64,
    /// Some of them.
    pub failed_samples: Vec<String>,
    /// Values that are not among the known ones, with how often they occur.
    pub unknown: BTreeMap<String, u64>,
}

/// Casts `text` to the column's type.
pub(crate) fn cleanse(
    text: &StringChunked,
    column: &CleanseColumn,
    table_markers: &[String],
) -> PolarsResult<Cleansed> {
    let markers: HashSet<&str> = table_markers.iter().chain(&column.null_markers).map(String::as_str).collect();
    let tidied = text.iter().map(|text| tidy(text?, &markers, column));
    let name = PlSmallStr::from_str(&column.name);
    if column.data_type == ColumnType::Long {
        let (values, failures) = longs(name, text.len(), tidied, column);
        return Ok(Cleansed::new(values.into_column(), failures, BTreeMap::new()));
    }
    let mut builder = StringChunkedBuilder::new(name, text.len());
    tidied.for_each(|text| builder.append_option(text));
    let tidied = builder.finish();
    let values = cast(&tidied, column)?;
    let failures = Failures::between(&tidied, &values);
    let unknown = unknown_values(&tidied, &column.known_values);
    Ok(Cleansed::new(values, failures, unknown))
}

impl Cleansed {
    fn new(values: Column, failures: Failures, unknown: BTreeMap<String, u64>) -> Self {
        Self { values, failed: failures.count, failed_samples: failures.samples, unknown }
    }
}

/// Casts that gave nothing.
#[derive(Default)]
struct Failures {
    count: u64,
    samples: Vec<String>,
}

impl Failures {
    fn add(&mut self, text: String) {
        self.count += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(text);
        }
    }

    /// Where there was a text but there is no value.
    fn between(texts: &StringChunked, values: &Column) -> Self {
        let mut failures = Self::default();
        if texts.null_count() == values.null_count() {
            return failures;
        }
        for (text, missing) in texts.iter().zip(values.is_null().iter()) {
            if let (Some(text), Some(true)) = (text, missing) {
                failures.add(text.to_owned());
            }
        }
        failures
    }
}

/// Trimmed and mapped; `None` for what means NULL.
fn tidy<'t>(text: &'t str, markers: &HashSet<&str>, column: &'t CleanseColumn) -> Option<&'t str> {
    let trimmed = text.trim();
    if trimmed.is_empty() || (!markers.is_empty() && markers.contains(trimmed)) {
        return None;
    }
    if column.values.is_empty() {
        return Some(trimmed);
    }
    Some(column.values.get(trimmed).map_or(trimmed, String::as_str)).filter(|mapped| !mapped.is_empty())
}

fn longs<'t>(
    name: PlSmallStr,
    rows: usize,
    texts: impl Iterator<Item = Option<&'t str>>,
    column: &CleanseColumn,
) -> (Int64Chunked, Failures) {
    let mut failures = Failures::default();
    let mut builder = PrimitiveChunkedBuilder::<Int64Type>::new(name, rows);
    for text in texts {
        let value = text.and_then(|text| long(text, column));
        if let (Some(text), None) = (text, value) {
            failures.add(text.to_owned());
        }
        builder.append_option(value);
    }
    (builder.finish(), failures)
}

/// A whole number in one of the accepted spellings, and in range if it is an id.
fn long(text: &str, column: &CleanseColumn) -> Option<i64> {
    let mut text = std::borrow::Cow::Borrowed(text);
    if column.accept.contains(&Accept::ThousandsSeparator) && is_grouped(&text) {
        text = text.replace(',', "").into();
    }
    if column.accept.contains(&Accept::DecimalPoint)
        && let Some((whole, zeros)) = text.split_once('.')
        && zeros.bytes().all(|digit| digit == b'0')
    {
        text = whole.to_owned().into();
    }
    let value = text.parse().ok()?;
    (!column.id || (0..=MAX_ID).contains(&value)).then_some(value)
}

/// Digits in groups of three after the first comma: `1,234,567`.
fn is_grouped(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.trim_start_matches('-').split(',');
    groups.next().is_some_and(|first| (1..=3).contains(&first.len())) && groups.all(|group| group.len() == 3)
}

fn cast(text: &StringChunked, column: &CleanseColumn) -> PolarsResult<Column> {
    match column.data_type {
        ColumnType::Timestamp => timestamps(text, column),
        ColumnType::Date => timestamps(text, column)?.cast(&DataType::Date),
        ColumnType::Bool => Ok(booleans(text)),
        other => text.clone().into_column().cast(&data_type(other)),
    }
}

fn booleans(text: &StringChunked) -> Column {
    let values = text.iter().map(|text| match text?.to_lowercase().as_str() {
        "1" | "true" | "yes" | "y" => Some(true),
        "0" | "false" | "no" | "n" => Some(false),
        _ => None,
    });
    BooleanChunked::from_iter_options(text.name().clone(), values).into_column()
}

/// Tries the formats one after another; a later one only sees what the earlier ones left.
fn timestamps(text: &StringChunked, column: &CleanseColumn) -> PolarsResult<Column> {
    let declared: Vec<&str> = match column.formats.as_slice() {
        [] => vec![DEFAULT_FORMAT],
        formats => formats.iter().map(String::as_str).collect(),
    };
    let raise = StringChunked::from_slice("ambiguous".into(), &["raise"]);
    let parse = |format| text.as_datetime(Some(format), TimeUnit::Microseconds, true, false, None, &raise);
    let mut values = parse(declared[0])?.into_column();
    let first = values.cast(&DataType::Int64)?.i64()?.min();
    if values.null_count() > text.null_count() || first.is_some_and(|first| first < FIRST_MOMENT) {
        let rest: Vec<&str> = declared[1..].iter().copied().chain(ISO_FORMATS).collect();
        let micros = values.cast(&DataType::Int64)?;
        let filled = text
            .iter()
            .zip(micros.i64()?.iter())
            .map(|(text, value)| value.or_else(|| slow(text?, &rest)).filter(|moment| *moment >= FIRST_MOMENT));
        let filled = Int64Chunked::from_iter_options(text.name().clone(), filled.collect::<Vec<_>>().into_iter());
        values = filled.into_column().cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
    }
    Ok(values)
}

fn slow(text: &str, formats: &[&str]) -> Option<i64> {
    let moment = formats.iter().find_map(|format| {
        NaiveDateTime::parse_from_str(text, format)
            .ok()
            .or_else(|| chrono::NaiveDate::parse_from_str(text, format).ok().and_then(|date| date.and_hms_opt(0, 0, 0)))
    });
    let moment = moment.or_else(|| chrono::NaiveDate::parse_from_str(text, ISO_DATE).ok()?.and_hms_opt(0, 0, 0))?;
    Some(moment.and_utc().timestamp_micros())
}

fn unknown_values(text: &StringChunked, known: &[String]) -> BTreeMap<String, u64> {
    let mut unknown = BTreeMap::new();
    if known.is_empty() {
        return unknown;
    }
    let known: HashSet<&str> = known.iter().map(String::as_str).collect();
    for text in text.iter().flatten().filter(|text| !known.contains(text)) {
        *unknown.entry(text.to_owned()).or_default() += 1;
    }
    unknown
}

/// The first 63 bits of the SHA-256 of a text.
pub(crate) fn hash_63(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    i64::try_from(u64::from_be_bytes(first) >> 1).unwrap_or(i64::MAX)
}

/// The Polars type of a column type.
pub(crate) fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Long => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Text => DataType::String,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Date => DataType::Date,
        ColumnType::Timestamp => DataType::Datetime(TimeUnit::Microseconds, None),
        ColumnType::TimestampUtc => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        ColumnType::Decimal { precision, scale } => DataType::Decimal(usize::from(precision), usize::from(scale)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn column(toml_type: &str, more: &str) -> CleanseColumn {
        toml::from_str(&format!("name = \"c\"\ndescription = \"x\"\ntype = \"{toml_type}\"\n{more}")).unwrap()
    }

    fn cleansed(column: &CleanseColumn, texts: &[Option<&str>]) -> (Vec<String>, u64) {
        let text = StringChunked::from_slice_options("c".into(), texts);
        let result = cleanse(&text, column, &["1900-01-01".to_owned()]).unwrap();
        let shown = result.values.cast(&DataType::String).unwrap();
        (shown.str().unwrap().iter().map(|text| text.unwrap_or("-").to_owned()).collect(), result.failed)
    }

    #[test]
    fn longs_are_plain_digits_unless_more_is_accepted() {
        let texts = [Some(" 12 "), Some("12.0"), Some("1,234"), Some("x"), Some("\u{a0}"), None, Some("-3")];
        let (values, failed) = cleansed(&column("long", ""), &texts);
        assert_eq!((values.join(" ").as_str(), failed), ("12 - - - - - -3", 3));
        let accept = "accept = [\"decimal_point\", \"thousands_separator\"]";
        let (values, failed) = cleansed(&column("long", accept), &texts);
        assert_eq!((values.join(" ").as_str(), failed), ("12 12 1234 - - - -3", 1));
        let (values, failed) = cleansed(&column("long", accept), &[Some("1,23"), Some("12.5"), Some("1,234.00")]);
        assert_eq!((values.join(" ").as_str(), failed), ("- - 1234", 2));
    }

    #[test]
    fn ids_lie_in_31_bits() {
        let texts = [Some("0"), Some("2147483647"), Some("2147483648"), Some("-1")];
        let (values, failed) = cleansed(&column("long", "id = true"), &texts);
        assert_eq!((values.join(" ").as_str(), failed), ("0 2147483647 - -", 2));
    }

    #[test]
    fn timestamps_are_the_sites_format_then_iso() {
        let texts = [
            Some("29/02/2024, 23:59:58"),
            Some("2024-02-29 01:02:03"),
            Some("2024-02-29T01:02:03"),
            Some("2024-02-29"),
            Some("30/02/2024, 00:00:00"),
            Some("1900-01-01"),
            Some(" "),
            Some("01/02/24, 00:00:00"),
            Some("24-02-29"),
        ];
        let (values, failed) = cleansed(&column("timestamp", ""), &texts);
        let expected = "2024-02-29 23:59:58.000000|2024-02-29 01:02:03.000000|2024-02-29 01:02:03.000000|\
                        2024-02-29 00:00:00.000000|-|-|-|-|-";
        assert_eq!((values.join("|").as_str(), failed), (expected, 3));
    }

    #[test]
    fn values_are_mapped_before_they_are_compared_with_the_known_ones() {
        let more = "values = { Done = \"Complete\" }\nknown_values = [\"Complete\"]";
        let text = StringChunked::from_slice_options("c".into(), &[Some(" Done"), Some("Odd"), Some("Complete"), None]);
        let result = cleanse(&text, &column("text", more), &[]).unwrap();
        assert_eq!(result.unknown, BTreeMap::from([("Odd".to_owned(), 1)]));
        assert_eq!(result.values.str().unwrap().get(0), Some("Complete"));
    }

    #[test]
    fn the_hash_is_the_first_63_bits_of_sha_256() {
        // SHA-256 of "abc" begins with ba7816bf8f01cfea (FIPS 180-2, appendix B.1).
        assert_eq!(hash_63("abc"), i64::try_from(0xba78_16bf_8f01_cfea_u64 >> 1).unwrap());
    }
}
