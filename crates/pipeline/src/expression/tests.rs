//! What is refused, and where it is pointed to. What expressions give is tested where they are evaluated.

#![allow(clippy::unwrap_used)]

use super::*;

fn columns() -> Vec<Column> {
    let column = |(name, data_type)| Column::new(name, data_type, "x");
    [
        ("amount", ColumnType::Long),
        ("rate", ColumnType::Double),
        ("status", ColumnType::Text),
        ("day", ColumnType::Date),
        ("began", ColumnType::Timestamp),
    ]
    .map(column)
    .into()
}

/// `line:column message` of an expression that is refused.
fn refused(text: &str) -> (String, Option<String>) {
    let Mistake { line, column, message, nearest } = condition(text, &columns()).unwrap_err();
    (format!("{line}:{column} {message}"), nearest)
}

#[test]
fn mistakes_are_pointed_to() {
    for (text, place, part) in [
        ("amount >=", "1:1", "Expected: an expression"),
        ("amount > 1; DROP TABLE x", "1:11", "expected one expression, found ';' after it"),
        ("amount > 0 AND\n  amont < 9", "2:3", "there is no column 'amont'"),
        ("status = 'open", "1:10", "Unterminated string literal"),
        ("amount + 1", "1:1", "'amount + 1' is long, not a condition"),
        ("amount = 'x'", "1:1", "'amount = 'x'' compares long with text"),
        ("day > amount", "1:1", "compares long with date"),
        ("day > '2025-02-30'", "1:7", "'2025-02-30' is no date, which is written like '2025-06-30'"),
        ("began > '30/06/2025'", "1:9", "is no timestamp"),
        ("amount > 0 AND lower(amount) = 'x'", "1:22", "'amount' is long, but text is expected"),
        ("lower(status, 'x') = 'x'", "1:1", "lower does not take these arguments"),
        ("amount = 1 OR status", "1:15", "'status' is text, not a condition"),
        ("amount IN (1, 'x')", "1:15", "compares long with text"),
        ("status LIKE amount", "1:13", "a pattern has to be a text in single quotes"),
        ("status LIKE 'a!%' ESCAPE '!'", "1:26", "the character that escapes"),
        ("amount / 2 > 1", "1:1", "divides whole numbers"),
        ("amount % 2 = 1", "1:1", "the operator % is not supported"),
        ("began - day > 1", "1:1", "only an INTERVAL can be added or subtracted"),
        ("day + 1 > day", "1:1", "only an INTERVAL"),
        ("day + INTERVAL '1 hour' > day", "1:1", "is a date, which has no hours"),
        ("day + INTERVAL 'soon' > day", "1:16", "INTERVAL 'soon' cannot be read"),
        ("CAST(status AS BIGINT) = 1", "1:6", "write TRY_CAST"),
        ("TRY_CAST(status AS TIMESTAMP) = began", "1:10", "in the column's own type and formats"),
        ("CAST(rate AS DATE) = day", "1:6", "double cannot be cast to date"),
        ("CAST(amount AS TINYINT) = 1", "1:6", "TINYINT is not a type to cast to"),
        ("CASE WHEN amount = 1 THEN 'x' ELSE 2 END = 'x'", "1:1", "mixes text with long"),
        ("date_part('era', day) = 1", "1:1", "'era' is no part of a time"),
        ("date_trunc('eon', began) = day", "1:1", "'eon' is nothing to cut a time to"),
        ("date_part(status, day) = 1", "1:11", "expected a word in single quotes"),
        ("substr(status, amount) = 'x'", "1:16", "places and lengths of a substring are whole numbers"),
        ("round(rate, 99) = 1", "1:1", "round takes 0 to 15 digits"),
        ("rate || 'x' = 'x'", "1:1", "'rate' is double, which is not put into texts"),
        ("count(*) > 1", "1:1", "the argument '*' is not supported"),
        ("row_number() OVER () = 1", "1:1", "is not a function of one row"),
        ("$as_of > day", "1:1", "a rule knows nothing but its row"),
        ("now() > began", "1:1", "there is no function 'now'; there are abs, "),
        ("(SELECT 1) = amount", "1:2", "is not part of an expression over a row; there are comparisons, AND"),
        ("t.amount = 1", "1:1", "is not part of an expression over a row"),
    ] {
        let (found, _) = refused(text);
        assert!(found.starts_with(&format!("{place} ")) && found.contains(part), "{text}: {found}");
    }
}

#[test]
fn the_nearest_column_or_function_is_named() {
    assert_eq!(refused("amont > 1").1.as_deref(), Some("amount"));
    assert_eq!(refused("lowr(status) = 'x'").1.as_deref(), Some("lower"));
    assert_eq!(refused("zzz > 1").1, None);
    assert_eq!(refused("\"Amount\" > 1").0, "1:1 there is no column 'Amount'");
}

#[test]
fn intervals_are_read_in_every_spelling() {
    let of = |text: &str| {
        let condition = condition(&format!("began + {text} > began"), &columns()).unwrap();
        let Node::Call(_, compared) = condition else { return None };
        let Some(Node::Call(Function::Shift(interval), _)) = compared.last() else { return None };
        Some((interval.months, interval.days, interval.microseconds))
    };
    assert_eq!(of("INTERVAL '1 year 2 months 1 week 3 days'"), Some((14, 10, 0)));
    assert_eq!(of("INTERVAL '1' DAY"), Some((0, 1, 0)));
    assert_eq!(of("INTERVAL 2 MONTH"), Some((2, 0, 0)));
    assert_eq!(of("INTERVAL '-1 hour 5 mins 1 sec'"), Some((0, 0, (-3600 + 301) * 1_000_000)));
}
