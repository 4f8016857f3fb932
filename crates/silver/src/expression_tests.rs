//! Values derived by hand from the rules of SQL.

#![allow(clippy::unwrap_used)]

use medallion_pipeline::definition::Definition;
use medallion_pipeline::{Pipeline, PipelineFiles};

use super::*;

fn cleanse() -> Cleanse {
    let column = |name: &str, of: &str| format!("{{ name = \"{name}\", type = \"{of}\", description = \"x\" }}");
    let columns = [
        ("a", "long"),
        ("b", "long"),
        ("x", "double"),
        ("m", "decimal(9,2)"),
        ("s", "text"),
        ("t", "text"),
        ("f", "bool"),
        ("d", "date"),
        ("at", "timestamp"),
        ("u", "timestamp_utc"),
    ]
    .map(|(name, of)| column(name, of))
    .join(", ");
    let source = "description = \"x\"\npatterns = [\"t*\"]\ncolumns = [{ name = \"a\", description = \"x\" }]";
    let source = ["b", "x", "m", "s", "t", "f", "d", "at", "u"].iter().fold(source.to_owned(), |text, name| {
        text.replace("}]", &format!("}}, {{ name = \"{name}\", description = \"x\" }}]"))
    });
    let table = format!("kind = \"cleanse\"\ndescription = \"x\"\nsource = \"t\"\ncolumns = [{columns}]");
    let files =
        [("pipeline.toml", "name = \"p\"\ndescription = \"x\""), ("bronze/t.toml", &source), ("silver/t.toml", &table)];
    let files = PipelineFiles::from(files.map(|(file, text)| (file.to_owned(), text.to_owned())));
    let pipeline = Pipeline::load(&files).unwrap();
    match &pipeline.tables[0].definition {
        Definition::Cleanse(cleanse) => cleanse.clone(),
        other => unreachable!("{other:?}"),
    }
}

/// Three rows; the last is NULL but for b and t.
fn rows() -> DataFrame {
    let moment = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
    let at = [Some(moment("2024-02-29 13:45:10")), Some(moment("2023-12-31 23:59:59")), None];
    let timestamps = |name: &str| {
        let plain = DatetimeChunked::from_naive_datetime_options(name.into(), at, TimeUnit::Microseconds);
        plain.into_column()
    };
    let frame = df!(
        "a" => [Some(1_i64), Some(-5), None],
        "b" => [2_i64, 4, 1],
        "x" => [Some(2.5_f64), Some(-2.5), None],
        "m" => [Some(1.1_f64), Some(-0.25), None],
        "s" => [Some(" Ab%c "), Some("Zoë\n2"), None],
        "t" => ["ab", "2024-01-31", "12"],
        "f" => [Some(true), Some(false), None],
    );
    let mut frame = frame.unwrap();
    let decimal = frame.column("m").unwrap().cast(&DataType::Decimal(9, 2)).unwrap();
    frame.with_column(decimal).unwrap();
    frame.with_column(timestamps("at")).unwrap();
    let utc = timestamps("u").cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))).unwrap();
    frame.with_column(utc).unwrap();
    let dates = timestamps("d").cast(&DataType::Date).unwrap();
    frame.with_column(dates).unwrap();
    frame
}

/// The outcome for each row: t, f or - for NULL.
fn evaluate(text: &str, cleanse: &Cleanse) -> String {
    let condition = condition(text, "rule r", cleanse, &"silver.t".parse().unwrap());
    let condition = condition.unwrap_or_else(|error| panic!("{text}: {error}"));
    let result = rows().lazy().with_column(condition.alias("r")).collect();
    let result = result.unwrap_or_else(|error| panic!("{text}: {error}"));
    let letter = |holds: Option<bool>| holds.map_or('-', |holds| if holds { 't' } else { 'f' });
    result.column("r").unwrap().bool().unwrap().iter().map(letter).collect()
}

fn check(cases: &[(&str, &str)]) {
    let cleanse = cleanse();
    for (text, expected) in cases {
        assert_eq!(evaluate(text, &cleanse), *expected, "{text}");
    }
}

#[test]
fn null_is_neither_true_nor_false() {
    check(&[
        ("a >= b", "ff-"),
        ("a < b", "tt-"),
        ("a = a", "tt-"),
        ("a <> 1", "ft-"),
        ("NOT (a > 0)", "ft-"),
        ("a > 0 OR b = 1", "tft"),
        ("a > 0 AND b = 1", "ff-"),
        ("a > 0 AND b = 9", "fff"),
        ("a > 0 OR b = 9", "tf-"),
        ("f", "tf-"),
        ("f = FALSE", "ft-"),
        ("NULL", "---"),
        ("a = NULL", "---"),
        ("NULL OR b = 1", "--t"),
        ("NULL AND b = 1", "ff-"),
        ("a IS NULL", "fft"),
        ("a IS NOT NULL", "ttf"),
        ("f IS TRUE", "tff"),
        ("f IS NOT TRUE", "ftt"),
        ("f IS FALSE", "ftf"),
        ("f IS NOT FALSE", "tft"),
        ("f IS UNKNOWN", "fft"),
        ("f IS NOT UNKNOWN", "ttf"),
        ("a IS DISTINCT FROM NULL", "ttf"),
        ("a IS DISTINCT FROM 1", "ftt"),
        ("a IS NOT DISTINCT FROM 1", "tff"),
        ("a IS NOT DISTINCT FROM x", "fft"),
        ("a IN (1, 2)", "tf-"),
        ("a IN (1, NULL)", "t--"),
        ("a NOT IN (1, NULL)", "f--"),
        ("b NOT IN (2, 3)", "ftt"),
        ("a BETWEEN -5 AND 0", "ft-"),
        ("a NOT BETWEEN -5 AND 0", "tf-"),
        ("b BETWEEN 1 AND NULL", "---"),
        ("b BETWEEN 3 AND NULL", "f-f"),
    ]);
}

#[test]
fn numbers_are_calculated_with() {
    check(&[
        ("a + b = 3", "tf-"),
        ("a - b * 2 = -3", "tf-"),
        ("-a = 5", "ft-"),
        ("+a = 1", "tf-"),
        ("x / 2 = 1.25", "tf-"),
        ("x * a = 12.5", "ft-"),
        ("CAST(a AS DOUBLE) / b = 0.5", "tf-"),
        ("a = 1.0", "tf-"),
        ("m = 1.1", "tf-"),
        ("m * 4 = -1", "ft-"),
        ("abs(a) = 5", "ft-"),
        ("abs(x) = 2.5", "tt-"),
        ("round(x) = 3", "tf-"),
        ("round(x) = -3", "ft-"),
        ("round(m, 1) = -0.3", "ft-"),
        ("floor(x) = -3", "ft-"),
        ("ceil(x) = 3", "tf-"),
        ("nullif(b, 4) = 2", "t-f"),
        ("coalesce(a, b) = 1", "tft"),
        ("coalesce(a, x, 0.5) = 0.5", "fft"),
        ("CAST(x AS BIGINT) = 2", "tf-"),
        ("CAST(x AS BIGINT) = -2", "ft-"),
        ("CAST(f AS BIGINT) = 1", "tf-"),
        ("CAST(b AS BOOLEAN)", "ttt"),
    ]);
}

#[test]
fn texts_are_taken_apart() {
    check(&[
        ("trim(s) = 'Ab%c'", "tf-"),
        ("ltrim(s) = 'Ab%c '", "tf-"),
        ("trim(TRAILING ' ' FROM s) = ' Ab%c'", "tf-"),
        ("trim(BOTH ' Ac' FROM s) = 'b%'", "tf-"),
        ("btrim(t, '12') = ''", "fft"),
        ("rtrim(t, '12') = '2024-01-3'", "ftf"),
        ("lower(s) = ' ab%c '", "tf-"),
        ("upper(t) = 'AB'", "tff"),
        ("length(s) = 6", "tf-"),
        ("char_length(s) = 5", "ft-"),
        ("substr(t, 2) = 'b'", "tff"),
        ("substr(t, 1, 4) = '2024'", "ftf"),
        ("substring(t FROM 6 FOR 2) = '01'", "ftf"),
        ("substr(t, 0, 2) = 'a'", "tff"),
        ("substr(t, -1, 3) = '1'", "fft"),
        ("substr(t, 1, 0) = ''", "ttt"),
        ("substr(t, 9, 9) = ''", "tft"),
        ("substr(s, 3, 1) = 'ë'", "ft-"),
        ("starts_with(t, 'a')", "tff"),
        ("ends_with(t, '31')", "ftf"),
        ("contains(t, '-01-')", "ftf"),
        ("contains(s, '%')", "tf-"),
        ("contains(t, s)", "ff-"),
        ("s LIKE ' Ab%'", "tf-"),
        ("s LIKE '%\\%%'", "tf-"),
        ("s LIKE 'Zo_%2'", "ft-"),
        ("s LIKE 'zo%'", "ff-"),
        ("s ILIKE 'ZOË%'", "ft-"),
        ("s NOT LIKE '%2'", "tf-"),
        ("t LIKE '__'", "tft"),
        ("t LIKE 'a.*'", "fff"),
        ("t LIKE ''", "fff"),
        ("t || '-' || b = 'ab-2'", "tff"),
        ("s || t = t", "ff-"),
        ("concat(s, t) = '12'", "fft"),
        ("concat('<', s, '>', a) = '<>'", "fft"),
        ("CAST(a AS TEXT) = '-5'", "ft-"),
        ("f || '' = 'true'", "tf-"),
        ("CAST(d AS TEXT) = '2024-02-29'", "tf-"),
        ("TRY_CAST(t AS BIGINT) = 12", "--t"),
        ("TRY_CAST(t AS DOUBLE) > 1", "--t"),
        ("TRY_CAST(t AS DATE) = DATE '2024-01-31'", "-t-"),
        ("TRY_CAST(substr(t, 1, 10) AS DATE) IS NULL", "tft"),
        ("t >= '2'", "ttf"),
    ]);
}

#[test]
fn times_are_compared_moved_and_cut() {
    check(&[
        ("d = DATE '2024-02-29'", "tf-"),
        ("d = '2024-02-29'", "tf-"),
        ("'2024-02-29' = d", "tf-"),
        ("at = TIMESTAMP '2024-02-29 13:45:10'", "tf-"),
        ("at >= '2024-02-29'", "tf-"),
        ("at > d", "tt-"),
        ("u = at", "tt-"),
        ("d IN ('2024-02-29', DATE '2023-12-31')", "tt-"),
        ("at BETWEEN '2023-01-01' AND DATE '2024-01-01'", "ft-"),
        ("CAST(at AS DATE) = d", "tt-"),
        ("CAST(d AS TIMESTAMP) = TIMESTAMP '2024-02-29 00:00:00'", "tf-"),
        ("d + INTERVAL '1 year' = '2025-02-28'", "tf-"),
        ("d + INTERVAL '1' MONTH = '2024-01-31'", "ft-"),
        ("d - INTERVAL '1 month 1 day' = '2024-01-28'", "tf-"),
        ("INTERVAL '2 weeks' + d = '2024-03-14'", "tf-"),
        ("at + INTERVAL '1 second' = '2024-01-01'", "ft-"),
        ("at - INTERVAL '13 hours 45 minutes 10 seconds' = d", "tf-"),
        ("d + INTERVAL '999999 years' IS NULL", "ttt"),
        ("date_part('year', at) = 2024", "tf-"),
        ("EXTRACT(MONTH FROM d) = 12", "ft-"),
        ("date_part('quarter', at) = 1", "tf-"),
        ("date_part('day', at) = 31", "ft-"),
        // 29 February 2024 was a Thursday, the 60th day, in week 9; 31 December 2023 a Sunday in week 52.
        ("date_part('dow', at) = 4", "tf-"),
        ("date_part('dow', d) = 0", "ft-"),
        ("date_part('doy', at) = 60", "tf-"),
        ("date_part('week', at) = 52", "ft-"),
        ("date_part('hour', at) = 13", "tf-"),
        ("date_part('hour', d) = 0", "tt-"),
        ("date_part('minute', at) = 59", "ft-"),
        ("date_trunc('month', at) = '2024-02-01'", "tf-"),
        ("date_trunc('week', at) = '2023-12-25'", "ft-"),
        ("date_trunc('quarter', d) = DATE '2023-10-01'", "ft-"),
        ("date_trunc('hour', at) = '2024-02-29 13:00:00'", "tf-"),
        ("nullif(d, '2024-02-29') IS NULL", "tft"),
        ("coalesce(d, '2000-01-01') < '2001-01-01'", "fft"),
    ]);
}

#[test]
fn a_case_takes_the_first_branch_that_is_true() {
    check(&[
        ("CASE WHEN a > 0 THEN b = 2 WHEN a IS NULL THEN TRUE ELSE NULL END", "t-t"),
        ("CASE WHEN a > 0 THEN 'x' END = 'x'", "t--"),
        ("CASE b WHEN 2 THEN 1 WHEN 4 THEN 2.5 ELSE a END = 2.5", "ft-"),
        ("CASE WHEN NULL THEN TRUE ELSE FALSE END", "fff"),
        ("CASE WHEN a = 1 THEN d ELSE '2000-01-01' END = '2000-01-01'", "ftt"),
        ("CASE WHEN f THEN CASE WHEN b = 2 THEN 1 ELSE 2 END ELSE 3 END = 1", "tff"),
    ]);
}
