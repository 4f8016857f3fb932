//! Tests as SQL, and their findings in words.

use chrono::{Days, NaiveDate};
use medallion_pipeline::TableName;
use medallion_pipeline::audit::{
    AcceptedValue, Check, DataTest, Ratio, RatioTo, Relationship, RelationshipMode, RowCount,
};

use super::{AuditOptions, Sample};

/// The day that stands for a missing one.
const MISSING_DAY: &str = "DATE '1900-01-01'";

/// Rows with one value in the samples of `unique`.
const OCCURRENCES: &str = "occurrences";

/// A column's name in SQL.
pub(crate) fn name(column: &str) -> String {
    format!("\"{column}\"")
}

/// A table's name in SQL.
pub(crate) fn table(table: &TableName) -> String {
    format!("{}.\"{}\"", table.layer, table.table)
}

pub(crate) fn list(columns: &[String]) -> String {
    columns.iter().map(|column| name(column)).collect::<Vec<_>>().join(", ")
}

/// The query for what fails, in a lasting order; `None` where there are no rows to show.
pub(crate) fn failing_rows(test: &DataTest, as_of: NaiveDate) -> Option<String> {
    let rows = |own: &TableName, columns: &[String], violation: String| {
        let shown = shown(test, columns);
        format!("SELECT {shown} FROM {} WHERE {violation} ORDER BY {shown}", table(own))
    };
    match (&test.check, &test.table) {
        (Check::Query(model), _) => Some(model.render(as_of)),
        (Check::RowCount(_), _) | (_, None) => None,
        (Check::NotNull { columns }, Some(own)) => Some(rows(own, columns, without(columns))),
        (Check::AcceptedValues { column, values }, Some(own)) => {
            Some(rows(own, std::slice::from_ref(column), not_among(column, values)))
        }
        (Check::Expression(condition), Some(own)) => {
            Some(rows(own, &condition.columns, format!("NOT ({}\n)", condition.render(as_of))))
        }
        (Check::Unique { columns }, Some(own)) => {
            let columns = list(columns);
            Some(format!(
                "SELECT {columns}, count(*) AS {OCCURRENCES} FROM {} GROUP BY {columns} HAVING count(*) > 1 \
                 ORDER BY {columns}",
                table(own)
            ))
        }
        (Check::Freshness { column, .. }, Some(own)) => {
            Some(format!("SELECT CAST(max({}) AS DATE) AS newest FROM {}", name(column), table(own)))
        }
        (Check::Relationships(relationship), Some(own)) => Some(orphans(test, own, relationship, as_of)),
    }
}

/// What a person finds a failing row by, and what is wrong with it.
fn shown(test: &DataTest, columns: &[String]) -> String {
    let mut shown = test.identity.clone();
    shown.extend(columns.iter().filter(|column| !test.identity.contains(column)).cloned());
    list(&shown)
}

fn orphans(test: &DataTest, own: &TableName, relationship: &Relationship, as_of: NaiveDate) -> String {
    let Relationship { columns, table: other, table_columns, mode, .. } = relationship;
    let pairs = columns.iter().zip(table_columns);
    let pairs = pairs.map(|(own, other)| format!("own.{} = other.{}", name(own), name(other))).collect::<Vec<_>>();
    let beyond = match (mode, columns.as_slice(), table_columns.as_slice()) {
        (RelationshipMode::Key, _, _) => String::new(),
        (_, [column], [target]) => {
            let (column, bounds) = (name(column), bounds(other, target));
            let edge = |which: &str| format!("(SELECT {which} FROM ({bounds}))");
            let is_within = format!("coalesce({column} BETWEEN {} AND {}, false)", edge("first_day"), edge("last_day"));
            let not = if *mode == RelationshipMode::DateOutside { "NOT " } else { "" };
            format!(" AND {not}{is_within}")
        }
        _ => String::new(),
    };
    let shown = shown(test, columns);
    format!(
        "SELECT {shown} FROM (SELECT own.* FROM (SELECT * FROM {} WHERE {}{beyond}) AS own LEFT ANTI JOIN {} AS other \
         ON {}) ORDER BY {}, {shown}",
        table(own),
        looked_at(relationship, as_of),
        table(other),
        pairs.join(" AND "),
        list(columns),
    )
}

/// Which rows a relationship looks at.
pub(crate) fn looked_at(relationship: &Relationship, as_of: NaiveDate) -> String {
    let mut all: Vec<String> =
        relationship.columns.iter().map(|column| format!("{} IS NOT NULL", name(column))).collect();
    if relationship.mode != RelationshipMode::Key {
        all.extend(relationship.columns.iter().map(|column| format!("{} <> {MISSING_DAY}", name(column))));
    }
    if let Some(filter) = &relationship.filter {
        all.push(format!("({}\n)", filter.render(as_of)));
    }
    all.join(" AND ")
}

/// First and last date of a column.
pub(crate) fn bounds(of: &TableName, column: &str) -> String {
    let column = name(column);
    format!(
        "SELECT min({column}) AS first_day, max({column}) AS last_day FROM {} WHERE {column} <> {MISSING_DAY}",
        table(of)
    )
}

/// The values that must not repeat, of every row.
pub(crate) fn keys(test: &DataTest) -> String {
    let (Check::Unique { columns }, Some(own)) = (&test.check, &test.table) else { return "SELECT 0".to_owned() };
    format!("SELECT {} FROM {}", list(columns), table(own))
}

/// How many values occur more than once.
pub(crate) fn count_repeated(test: &DataTest) -> String {
    let (Check::Unique { columns }, Some(own)) = (&test.check, &test.table) else { return "SELECT 0".to_owned() };
    format!(
        "SELECT count(*) AS repeated FROM (SELECT count(*) AS {OCCURRENCES} FROM {} GROUP BY {} HAVING count(*) > 1)",
        table(own),
        list(columns)
    )
}

/// An aggregate over a table: how many of its rows fail the test.
pub(crate) fn row_count_of(test: &DataTest, as_of: NaiveDate) -> String {
    let count = |violation: String| format!("count(*) FILTER (WHERE {violation})");
    match &test.check {
        Check::NotNull { columns } => count(without(columns)),
        Check::AcceptedValues { column, values } => count(not_among(column, values)),
        Check::Expression(condition) => count(format!("NOT ({}\n)", condition.render(as_of))),
        Check::Freshness { column, max_age_days } => {
            let oldest = oldest(as_of, *max_age_days);
            format!("CASE WHEN max({}) >= DATE '{oldest}' THEN 0 ELSE 1 END", name(column))
        }
        Check::Unique { .. } | Check::Relationships(_) | Check::RowCount(_) | Check::Query(_) => "0".to_owned(),
    }
}

fn oldest(as_of: NaiveDate, max_age_days: u32) -> NaiveDate {
    as_of.checked_sub_days(Days::new(u64::from(max_age_days))).unwrap_or(as_of)
}

fn without(columns: &[String]) -> String {
    columns.iter().map(|column| format!("{} IS NULL", name(column))).collect::<Vec<_>>().join(" OR ")
}

fn not_among(column: &str, values: &[AcceptedValue]) -> String {
    let values = values.iter().map(|value| match value {
        AcceptedValue::Text(text) => format!("'{}'", text.replace('\'', "''")),
        AcceptedValue::Long(number) => number.to_string(),
        AcceptedValue::Bool(truth) => truth.to_string(),
        AcceptedValue::Date(day) => format!("DATE '{day}'"),
    });
    format!("{} NOT IN ({})", name(column), values.collect::<Vec<_>>().join(", "))
}

/// What is wrong with a number of rows.
pub(crate) fn row_count_problems(test: &DataTest, options: &AuditOptions) -> Vec<String> {
    let (Check::RowCount(RowCount { min, max, ratio }), Some(table)) = (&test.check, &test.table) else {
        return Vec::new();
    };
    let rows = options.rows.get(table).copied().unwrap_or_default();
    let mut problems = Vec::new();
    if let Some(min) = min.filter(|min| rows < *min) {
        problems.push(format!("it has {}, expected at least {min}", count_of(rows, "row")));
    }
    if let Some(max) = max.filter(|max| rows > *max) {
        problems.push(format!("it has {}, expected at most {max}", count_of(rows, "row")));
    }
    problems.extend(ratio.as_ref().and_then(|ratio| ratio_problem(table, rows, ratio, options)));
    problems
}

#[allow(clippy::cast_precision_loss)]
fn ratio_problem(table: &TableName, rows: u64, ratio: &Ratio, options: &AuditOptions) -> Option<String> {
    let (others, whose) = match &ratio.to {
        RatioTo::LastRelease => (*options.last_rows.get(table)?, "the last release".to_owned()),
        RatioTo::Table(other) => (options.rows.get(other).copied().unwrap_or_default(), other.to_string()),
    };
    let too_few = ratio.min.filter(|min| (rows as f64) < min * others as f64);
    let too_many = ratio.max.filter(|max| rows as f64 > max * others as f64);
    let expected = match (too_few, too_many) {
        (Some(min), _) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => return None,
    };
    Some(format!("it has {}, expected {expected} times the {others} of {whose}", count_of(rows, "row")))
}

/// What is wrong, as a sentence without full stop.
pub(crate) fn problem(test: &DataTest, failing: u64, sample: Option<&Sample>, as_of: NaiveDate) -> String {
    let rows = count_of(failing, "row");
    match &test.check {
        Check::NotNull { columns } => format!("{rows} without {}", columns.join(" or without ")),
        Check::Unique { columns } => {
            let occurs = if failing == 1 { "occurs" } else { "occur" };
            format!("{} of {} {occurs} more than once", count_of(failing, "value"), columns.join(", "))
        }
        Check::AcceptedValues { column, .. } => format!("{rows} whose {column} is not among the accepted values"),
        Check::Relationships(Relationship { columns, table, mode, .. }) => {
            let columns = columns.join(", ");
            match mode {
                RelationshipMode::Key => format!("{rows} whose {columns} is not in {table}"),
                RelationshipMode::DateWithin => {
                    format!("{rows} whose {columns} is not in {table}, though it lies between its dates")
                }
                RelationshipMode::DateOutside => format!("{rows} whose {columns} lies outside the dates of {table}"),
            }
        }
        Check::Expression(_) => format!("{rows} for which its condition is false"),
        Check::Freshness { column, max_age_days } => {
            let newest = sample.and_then(|sample| sample.cell(0, 0));
            let newest = newest.map_or_else(|| "missing".to_owned(), |newest| format!("of {newest}"));
            format!("its newest {column} is {newest}, expected {} or later", oldest(as_of, *max_age_days))
        }
        Check::RowCount(_) | Check::Query(_) => format!("{rows} returned"),
    }
}

fn count_of(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
