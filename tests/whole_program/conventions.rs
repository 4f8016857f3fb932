//! What holds for every row of gold, whatever the customer.

use medallion_pipeline::{Column, ColumnType};

use crate::case::Case;
use crate::rows::Published;

/// The dimensions with their keys.
pub(crate) const KEYS: [(&str, &[&str]); 19] = [
    ("dim_user", &["user_id"]),
    ("dim_manager", &["manager_id"]),
    ("dim_manager_relationship", &["manager_id", "employee_id"]),
    ("dim_course", &["course_id"]),
    ("dim_cert", &["cert_id"]),
    ("dim_programs", &["program_id"]),
    ("dim_scorm", &["scorm_id"]),
    ("dim_seminar_event", &["event_id"]),
    ("dim_seminar_session", &["session_id"]),
    ("dim_course_progress", &["course_user_id"]),
    ("dim_program_progress", &["program_user_id"]),
    ("dim_certification_progress", &["certification_user_id"]),
    ("dim_date_began", &["date"]),
    ("dim_date_completed", &["completed_date"]),
    ("dim_fy_began", &["fy_began"]),
    ("dim_fy_completed", &["fy_completed"]),
    ("dim_organisation", &["organisation_id"]),
    ("dim_position", &["position_id"]),
    ("dim_audience", &["audience_id"]),
];

/// Every convention that a customer's gold tables break.
pub(crate) fn broken(published: &Published) -> Vec<String> {
    let mut broken = Vec::new();
    for (table, keys) in KEYS {
        let list = keys.join(", ");
        let rows = published.number(&format!("SELECT count(*) FROM gold.{table}"));
        let distinct = published.number(&format!("SELECT count(*) FROM (SELECT DISTINCT {list} FROM gold.{table})"));
        if rows != distinct {
            broken.push(format!("{table}: {rows} rows, but {distinct} different ({list})"));
        }
        let unknown: Vec<String> = keys.iter().map(|key| format!("{key} = {}", unknown(key))).collect();
        let members = published.number(&format!("SELECT count(*) FROM gold.{table} WHERE {}", unknown.join(" AND ")));
        let expected = i64::from(table != "dim_date_began");
        if members != expected {
            broken.push(format!("{table}: {members} unknown members, expected {expected}"));
        }
    }
    let facts = published.names().into_iter().filter(|table| table.starts_with("gold.fact_"));
    for table in facts.chain(KEYS.iter().map(|(table, _)| format!("gold.{table}"))) {
        for column in published.schema(&table).columns.iter().filter(|column| is_never_null(&table, column)) {
            let nulls = published.number(&format!("SELECT count(*) FROM {table} WHERE {} IS NULL", column.name));
            if nulls > 0 {
                broken.push(format!("{table}.{}: {nulls} NULLs", column.name));
            }
        }
    }
    broken
}

fn unknown(key: &str) -> &'static str {
    match key {
        "fy_began" | "fy_completed" => "'N/A'",
        "date" | "completed_date" => "DATE '1900-01-01'",
        _ => "-1",
    }
}

/// Measures of facts and raw times may be missing; what joins, filters or labels may not.
fn is_never_null(table: &str, column: &Column) -> bool {
    match column.data_type {
        _ if column.name.starts_with('_') => false,
        ColumnType::Text => true,
        ColumnType::Date => column.name != "clean_completed_date",
        ColumnType::Long => !table.starts_with("gold.fact_") || column.name.ends_with("_id"),
        _ => false,
    }
}

#[test]
fn keys_are_unique_and_never_null_and_each_dimension_has_one_unknown_member() {
    for case in ["star", "hierarchy", "silver_rules"] {
        let project = Case::published(case);
        assert_eq!(broken(&Published::open(&project.lake(), case)), [""; 0], "{case}");
    }
}

/// 14 years of 365 days, 4 leap days, and 181 days of 2025.
#[test]
fn calendars_reach_from_2011_to_the_runs_date() {
    let project = Case::published("star");
    let published = Published::open(&project.lake(), "star");
    let days = 14 * 365 + 4 + 181;
    let first_and_last = "date_num = CAST(replace(CAST(date AS VARCHAR), '-', '') AS BIGINT) \
                          AND date BETWEEN DATE '2011-01-01' AND DATE '2025-06-30'";
    for (sql, expected) in [
        ("SELECT count(*) FROM gold.dim_date_began", days),
        (&format!("SELECT count(DISTINCT date) FROM gold.dim_date_began WHERE {first_and_last}"), days),
        ("SELECT count(*) FROM gold.dim_date_completed", days + 1),
        ("SELECT count(*) FROM gold.dim_date_completed WHERE completed_date = clean_completed_date", days),
        ("SELECT count(*) FROM gold.dim_date_completed JOIN gold.dim_date_began ON date = completed_date", days),
    ] {
        assert_eq!(published.number(sql), expected, "{sql}");
    }
}
