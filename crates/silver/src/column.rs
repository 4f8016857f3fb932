//! One column of text becomes typed: trim, null markers, value map, cast (rules 1 to 4).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDateTime;
use medallion_pipeline::ColumnType;
use medallion_pipeline::definition::{Accept, CleanseColumn};
use polars::prelude::*;
use sha2::{Digest, Sha256};

use crate::counts::SAMPLES;

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
/// A typed column and what happened on the way.
pub(crate) struct Cleansed {
    pub values: Column,
    /// Texts that lost white space.
    pub trimmed: u64,
    /// Texts that were null markers.
    pub marked: u64,
    /// Texts that the value map replaced.
    pub replaced: u64,
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
    let mut tidy = Tidy { markers, column, trimmed: 0, marked: 0, replaced: 0 };
    let tidied = text.iter().map(|text| tidy.text(text?));
    let name = PlSmallStr::from_str(&column.name);
    if column.data_type == ColumnType::Long {
        let (values, failures) = longs(name, text.len(), tidied, column);
        return Ok(Cleansed::new(values.into_column(), &tidy, failures, BTreeMap::new()));
    }
    let mut builder = StringChunkedBuilder::new(name, text.len());
    tidied.for_each(|text| builder.append_option(text));
    let tidied = builder.finish();
    let values = cast(&tidied, column)?;
    let failures = Failures::between(&tidied, &values);
    let unknown = unknown_values(&tidied, &column.known_values);
    Ok(Cleansed::new(values, &tidy, failures, unknown))
}

impl Cleansed {
    fn new(values: Column, tidy: &Tidy<'_>, failures: Failures, unknown: BTreeMap<String, u64>) -> Self {
        let Tidy { trimmed, marked, replaced, .. } = *tidy;
        Self { values, trimmed, marked, replaced, failed: failures.count, failed_samples: failures.samples, unknown }
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

/// Rules 1 to 3, with what they did.
struct Tidy<'a> {
    markers: HashSet<&'a str>,
    column: &'a CleanseColumn,
    trimmed: u64,
    marked: u64,
    replaced: u64,
}

impl<'a> Tidy<'a> {
    /// Trimmed and mapped; `None` for what means NULL.
    fn text<'t>(&mut self, text: &'t str) -> Option<&'t str>
    where
        'a: 't,
    {
        let trimmed = text.trim();
        self.trimmed += u64::from(trimmed.len() < text.len());
        if trimmed.is_empty() {
            return None;
        }
        if !self.markers.is_empty() && self.markers.contains(trimmed) {
            self.marked += 1;
            return None;
        }
        if self.column.values.is_empty() {
            return Some(trimmed);
        }
        let Some(other) = self.column.values.get(trimmed) else { return Some(trimmed) };
        self.replaced += 1;
        Some(other.as_str()).filter(|other| !other.is_empty())
    }
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
    let mut plain = Cow::Borrowed(text);
    if column.accept.contains(&Accept::DecimalPoint)
        && let Some((whole, zeros)) = text.split_once('.')
        && !zeros.is_empty()
        && zeros.bytes().all(|digit| digit == b'0')
    {
        plain = Cow::Borrowed(whole);
    }
    if column.accept.contains(&Accept::ThousandsSeparator) && is_grouped(&plain) {
        plain = plain.replace(',', "").into();
    }
    // Rust's own parser also takes a plus.
    let value = plain.parse().ok().filter(|_| !plain.starts_with('+'))?;
    (!column.id || (0..=MAX_ID).contains(&value)).then_some(value)
}

/// One to three digits without a zero in front, then groups of three after commas: `1,234,567`.
fn is_grouped(text: &str) -> bool {
    let digits = |group: &str| group.bytes().all(|digit| digit.is_ascii_digit());
    let mut groups = text.strip_prefix('-').unwrap_or(text).split(',');
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && digits(first)
        && groups.all(|group| group.len() == 3 && digits(group))
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
    fn a_long_is_nothing_that_only_looks_like_a_number() {
        let odd = ["+5", "5.", "0,001", "00,123", "1,2345", ",123", "1,", "1,,234", "1,23a", "-", "--5", "- 5", "1e3"];
        let odd: Vec<_> = odd.iter().chain(&[".0", "5.0.0", "+1,234", "٣", "9223372036854775808"]).map(Some).collect();
        let accept = "accept = [\"decimal_point\", \"thousands_separator\"]";
        let texts: Vec<_> = odd.iter().map(|text| text.copied()).collect();
        for more in ["", accept] {
            let (values, failed) = cleansed(&column("long", more), &texts);
            assert_eq!((values.join(""), failed), ("-".repeat(texts.len()), texts.len() as u64), "{more}");
        }
        let sound = [Some("-1,234"), Some("12,345,678.0"), Some("007"), Some("-0"), Some("0.0"), Some("999")];
        let (values, failed) = cleansed(&column("long", accept), &sound);
        assert_eq!((values.join(" ").as_str(), failed), ("-1234 12345678 7 0 0 999", 0));
        let (values, _) = cleansed(&column("long", "accept = [\"thousands_separator\"]"), &sound);
        assert_eq!(values.join(" "), "-1234 - 7 0 - 999");
    }

    #[test]
    fn what_is_done_to_texts_is_counted() {
        let more = "null_markers = [\"none\"]\nvalues = { a = \"A\", gone = \"\" }";
        let texts = [Some(" a"), Some("a"), Some(" "), Some(""), None, Some("none"), Some("1900-01-01 "), Some("gone")];
        let text = StringChunked::from_slice_options("c".into(), &texts);
        let result = cleanse(&text, &column("text", more), &["1900-01-01".to_owned()]).unwrap();
        assert_eq!((result.trimmed, result.marked, result.replaced), (3, 2, 3));
        let shown: Vec<_> = result.values.str().unwrap().iter().collect();
        assert_eq!(shown, [Some("A"), Some("A"), None, None, None, None, None, None]);
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
