//! Rules of gold on rows written in the test: the pipeline's definitions, the builders' queries, the real engine.
//!
//! Only silver rows (or rows of a gold table further up) are given; every gold table in between is built.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{Datelike, NaiveDate};
use medallion_gold::{FiscalYears, GoldOptions};
use medallion_lake::Lake;
use medallion_pipeline::{FiscalYearOptions, Layer, Pipeline, TableFiles, TableName, read_folder};
use medallion_sql::{OutputFormat, SqlOptions, SqlSession, write_result};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::rows::{Row, Rows};

mod histories;

const RUN: &str = "run-1";
const AS_OF: &str = "2025-06-30";

/// A customer whose tables are what the test says.
struct Models {
    _folder: TempDir,
    lake: Lake,
    runtime: Runtime,
    session: SqlSession,
    pipeline: Pipeline,
    options: GoldOptions,
}

impl Models {
    fn new(as_of: &str, start_month: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/totara");
        let fiscal_years = fiscal_years(start_month);
        Self {
            lake: Lake::open(folder.path().to_str().unwrap(), "models").unwrap(),
            _folder: folder,
            runtime: Runtime::new().unwrap(),
            session: SqlSession::new(&SqlOptions { memory_limit: None, threads: 2 }).unwrap(),
            pipeline: Pipeline::load(&read_folder(&definitions).unwrap()).unwrap(),
            options: GoldOptions { as_of: day(as_of), fiscal_years, run_id: RUN.to_owned() },
        }
    }

    /// The rows of a table; columns that are not named are NULL.
    fn given(self, table: &str, rows: &Rows) -> Self {
        let schema = self.pipeline.schema(&table.parse().unwrap()).unwrap();
        let given = |name: &String| rows.columns.iter().any(|column| column == name);
        let names = schema.columns.iter().map(|column| &column.name);
        let columns: Vec<String> =
            names.map(|name| if given(name) { name.clone() } else { format!("NULL AS {name}") }).collect();
        let sql = format!(
            "SELECT {} FROM (VALUES {}) AS given ({})",
            columns.join(", "),
            rows.rows.iter().map(values).collect::<Vec<_>>().join(", "),
            rows.columns.join(", ")
        );
        self.stage(&table.parse().unwrap(), &sql);
        self
    }

    /// Stages what a query returns as that table and makes it known, as a run does.
    fn stage(&self, table: &TableName, sql: &str) {
        let schema = self.pipeline.schema(table).unwrap();
        let area = self.lake.staging_area(table, RUN).unwrap();
        self.runtime.block_on(async {
            self.session.stage(sql, schema, &area).await.unwrap_or_else(|error| panic!("{table}: {error}\n{sql}"));
            self.session.register(&self.lake.staged(schema, &area).unwrap().files()).await.unwrap();
        });
    }

    /// Builds a gold table and those it reads; silver tables without rows are empty.
    fn build(&self, table: &TableName) {
        if self.session.table_names().contains(&table.to_string()) {
            return;
        }
        if table.layer != Layer::Gold {
            let files = TableFiles { schema: self.pipeline.schema(table).unwrap().clone(), files: Vec::new() };
            return self.runtime.block_on(self.session.register(&files)).unwrap();
        }
        let definition = self.pipeline.table(table).unwrap();
        definition.inputs.iter().for_each(|input| self.build(input));
        self.stage(table, &medallion_gold::query(&self.pipeline, definition, &self.options).unwrap());
    }

    fn query(&self, sql: &str) -> Rows {
        let mut text = Vec::new();
        self.runtime.block_on(async {
            let result = self.session.query(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
            write_result(result, OutputFormat::Csv, &mut text).await.unwrap();
        });
        Rows::parse_csv(std::str::from_utf8(&text).unwrap())
    }

    /// Builds a gold table and compares the columns of `expected`.
    #[track_caller]
    fn expect(&self, table: &str, expected: &Rows) {
        self.build(&table.parse().unwrap());
        let found = self.query(&format!("SELECT {} FROM {table}", expected.columns.join(", ")));
        if let Some(difference) = expected.difference(&found) {
            panic!("{table}\n{difference}");
        }
    }
}

/// Rows from lines of cells between `|`; `-` is NULL.
fn rows(header: &str, lines: &[&str]) -> Rows {
    let cell = |text: &str| (text.trim() != "-").then(|| text.trim().to_owned());
    let columns: Vec<String> = header.split('|').map(|name| name.trim().to_owned()).collect();
    let rows: Vec<Row> = lines.iter().map(|line| line.split('|').map(cell).collect()).collect();
    assert!(rows.iter().all(|row: &Row| row.len() == columns.len()), "{header}: a line has other columns");
    Rows { columns, rows }
}

fn values(row: &Row) -> String {
    let cell = |cell: &Option<String>| cell.as_ref().map_or("NULL".to_owned(), |text| format!("'{text}'"));
    format!("({})", row.iter().map(cell).collect::<Vec<_>>().join(", "))
}

fn fiscal_years(start_month: u32) -> FiscalYears {
    FiscalYears::new(FiscalYearOptions { start_month, first: 2012, last: 2036 })
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Enrolments of course 10, seen from programs or certifications; one user per branch of the rules.
const ENROLMENTS: [&str; 18] = [
    " 1 | 10 | 2024-03-01 08:00:00 | -",
    " 2 | 10 | 2024-03-01 08:00:00 | 2024-03-11 07:59:59",
    // Completed before enrolled.
    " 3 | 10 | 2024-03-11 00:00:00 | 2024-03-01 23:59:59",
    // No enrolment time; 40 was assigned on 2024-02-01, unless said otherwise.
    " 4 | 10 | - | -",
    " 5 | 10 | - | 2024-05-01 00:00:00",
    " 6 | 10 | - | 2024-01-15 12:00:00",
    // Only a completion: nothing contains the course for this user.
    " 7 | 10 | - | 2024-05-01 00:00:00",
    // Left out: nothing at all; no completion row of what contains it; no assignment time there.
    " 8 | 10 | - | -",
    " 9 | 10 | - | -",
    "10 | 10 | - | -",
    // An assignment earlier than the enrolment does not count.
    "11 | 10 | 2024-03-01 00:00:00 | -",
    // In 40 and 41, assigned on different days.
    "12 | 10 | - | -",
    // In 40 and 41; 41 has no assignment time, so only one row is left.
    "13 | 10 | - | -",
    // The same, but a completion keeps both.
    "14 | 10 | - | 2024-04-01 00:00:00",
    // Contained for another course only.
    "15 | 10 | 2024-02-28 23:59:59 | 2024-03-01 00:00:00",
    "16 | 10 | 2023-02-28 00:00:00 | 2023-03-01 00:00:00",
    "17 | 10 | 2024-03-01 23:59:59 | 2024-03-01 00:00:00",
    // In 40, which has no completion row of this user: the id stays.
    "18 | 10 | 2024-06-30 00:00:00 | -",
];

/// Which of 40 and 41 contains a course for a user.
const CONTAINED: [&str; 14] = [
    "40 | 10 |  4",
    "40 | 10 |  5",
    "40 | 10 |  6",
    "40 | 10 |  9",
    "40 | 10 | 10",
    "40 | 10 | 11",
    "40 | 10 | 12",
    "41 | 10 | 12",
    "40 | 10 | 13",
    "41 | 10 | 13",
    "40 | 10 | 14",
    "41 | 10 | 14",
    "40 | 11 | 15",
    "40 | 10 | 18",
];

const ASSIGNED: [&str; 10] = [
    "40 |  4 | 2024-02-01 09:00:00",
    "40 |  5 | 2024-02-01 09:00:00",
    "40 |  6 | 2024-02-01 09:00:00",
    "40 | 10 | -",
    "40 | 11 | 2023-01-01 00:00:00",
    "40 | 12 | 2024-02-01 09:00:00",
    "41 | 12 | 2024-01-01 09:00:00",
    "40 | 13 | 2024-02-01 09:00:00",
    "41 | 13 | -",
    "41 | 14 | 2024-03-31 00:00:00",
];

/// user, container, begun, completed, days between.
const BEGINNINGS: [&str; 17] = [
    " 1 | -1 | 2024-03-01 | 1900-01-01 | -",
    " 2 | -1 | 2024-03-01 | 2024-03-11 | 10",
    " 3 | -1 | 2024-03-01 | 2024-03-01 | -10",
    " 4 | 40 | 2024-02-01 | 1900-01-01 | -",
    " 5 | 40 | 2024-02-01 | 2024-05-01 | -",
    " 6 | 40 | 2024-01-15 | 2024-01-15 | -",
    " 7 | -1 | 2024-05-01 | 2024-05-01 | -",
    "11 | 40 | 2024-03-01 | 1900-01-01 | -",
    "12 | 40 | 2024-02-01 | 1900-01-01 | -",
    "12 | 41 | 2024-01-01 | 1900-01-01 | -",
    "13 | 40 | 2024-02-01 | 1900-01-01 | -",
    "14 | 40 | 2024-04-01 | 2024-04-01 | -",
    "14 | 41 | 2024-03-31 | 2024-04-01 | -",
    "15 | -1 | 2024-02-28 | 2024-03-01 | 2",
    "16 | -1 | 2023-02-28 | 2023-03-01 | 1",
    "17 | -1 | 2024-03-01 | 2024-03-01 | 0",
    "18 | 40 | 2024-06-30 | 1900-01-01 | -",
];

#[test]
fn an_enrolment_begins_when_enrolled_else_assigned_else_completed_and_never_after_its_completion() {
    for (of, overview, completions, fact, container) in [
        ("program_id", "prog_overview", "prog_completions", "fact_course_progress", "program_id"),
        ("certification_id", "cert_overview", "cert_completions", "fact_course_to_cert_progress", "cert_id"),
    ] {
        Models::new(AS_OF, 1)
            .given(
                "silver.course_completions",
                &rows("user_id | course_id | time_enrolled | time_completed", &ENROLMENTS),
            )
            .given(&format!("silver.{overview}"), &rows(&format!("{of} | course_id | user_id"), &CONTAINED))
            .given(&format!("silver.{completions}"), &rows(&format!("{of} | user_id | time_assigned"), &ASSIGNED))
            .expect(
                &format!("gold.{fact}"),
                &rows(&format!("user_id | {container} | date_began | date_completed | days_difference"), &BEGINNINGS),
            );
    }
}

#[test]
fn programs_begin_with_the_assignment_and_certifications_else_with_the_completion() {
    // Users 1 to 4 are in the overview. What is not, is unassigned: it ends with its assignment, unless it expired.
    let overview = ["20 | 1 | 10", "20 | 2 | 10", "20 | 3 | 10", "20 | 4 | 10"];
    let completions = [
        "20 | 1 | Certified   | 2023-01-01 10:00:00 | 2024-01-01 09:00:00",
        "20 | 2 | In progress | 2023-01-01 10:00:00 | -",
        "20 | 3 | Certified   | 2024-02-01 00:00:00 | 2024-01-01 23:59:59",
        "20 | 4 | Certified   | -                   | 2024-02-29 23:59:59",
        "20 | 5 | In progress | 2023-01-01 10:00:00 | -",
        "20 | 6 | Expired     | 2023-01-01 10:00:00 | -",
        "20 | 7 | -           | 2023-01-01 10:00:00 | -",
        "20 | 8 | In progress | -                   | -",
        "20 | 9 | Expired     | 2023-12-31 23:59:59 | 2024-01-01 00:00:00",
    ];
    let certifications = [
        "1 | 2023-01-01 | 2024-01-01 | 365",
        "2 | 2023-01-01 | 1900-01-01 | -",
        "3 | 2024-02-01 | 2024-01-01 | -31",
        "4 | 2024-02-29 | 2024-02-29 | -",
        "5 | 2023-01-01 | 2023-01-01 | 0",
        "6 | 2023-01-01 | 1900-01-01 | -",
        "7 | 2023-01-01 | 2023-01-01 | 0",
        "8 | 1900-01-01 | 1900-01-01 | -",
        "9 | 2023-12-31 | 2024-01-01 | 1",
    ];
    // A program knows no expiry, and one without assignment has no beginning.
    let mut programs = certifications;
    programs[3] = "4 | 1900-01-01 | 2024-02-29 | -";
    programs[5] = "6 | 2023-01-01 | 2023-01-01 | 0";
    let expected = "user_id | date_began | date_completed | days_difference";
    for (of, overviews, table, fact, lines) in [
        ("program_id", "silver.prog_overview", "silver.prog_completions", "gold.fact_program_progress", programs),
        (
            "certification_id",
            "silver.cert_overview",
            "silver.cert_completions",
            "gold.fact_certification_progress",
            certifications,
        ),
    ] {
        Models::new(AS_OF, 1)
            .given(overviews, &rows(&format!("{of} | user_id | course_id"), &overview))
            .given(table, &rows(&format!("{of} | user_id | status | time_assigned | time_completed"), &completions))
            .expect(fact, &rows(expected, &lines));
    }
}

#[test]
fn a_course_is_overdue_from_the_day_after_it_was_due_until_it_is_completed() {
    let enrolments = [
        "1 | 10 | 2024-01-01 | -                   | 2025-06-29 23:59:59",
        "2 | 10 | 2024-01-01 | -                   | 2025-06-30 00:00:00",
        "3 | 10 | 2024-01-01 | -                   | 2025-06-30 23:59:59",
        "4 | 10 | 2024-01-01 | -                   | 2025-07-01 00:00:00",
        "5 | 10 | 2024-01-01 | -                   | -",
        "6 | 10 | 2024-01-01 | 2024-05-01 00:00:00 | 2024-03-01 00:00:00",
        "7 | 10 | 2024-01-01 | -                   | 2012-02-29 00:00:00",
        // A completion that lies ahead of the run is a completion.
        "8 | 10 | 2024-01-01 | 2025-07-01 00:00:00 | 2024-03-01 00:00:00",
    ];
    let overdue = ["1 | 1", "2 | 0", "3 | 0", "4 | 0", "5 | 0", "6 | 0", "7 | 1", "8 | 0"];
    let models = Models::new(AS_OF, 1).given(
        "silver.course_completions",
        &rows("user_id | course_id | time_enrolled | time_completed | completion_due_date", &enrolments),
    );
    models.expect("gold.fact_course_progress", &rows("user_id | is_overdue", &overdue));
    models.expect("gold.fact_course_to_cert_progress", &rows("user_id | is_overdue", &overdue));
}

#[test]
fn a_program_is_due_on_the_latest_day_of_its_own_overview_rows() {
    let overview = [
        "5 | 1 | 10 | 2025-06-28 00:00:00",
        "5 | 1 | 11 | 2025-06-29 23:59:59",
        "5 | 2 | 10 | 2025-06-01 00:00:00",
        "5 | 2 | 11 | 2025-06-30 00:00:00",
        "5 | 3 | 10 | 2024-02-29 00:00:00",
        "5 | 4 | 10 | -",
        "5 | 4 | 11 | 2024-02-29 00:00:00",
        "5 | 5 | 10 | -",
        // Of another program, and of another user.
        "6 | 6 | 10 | 2024-02-29 00:00:00",
        "5 | 7 | 10 | 2024-02-29 00:00:00",
    ];
    let completions = [
        "5 | 1 | 2024-01-01 00:00:00 | -",
        "5 | 2 | 2024-01-01 00:00:00 | -",
        "5 | 3 | 2024-01-01 00:00:00 | 2025-01-01 00:00:00",
        "5 | 4 | -                   | -",
        "5 | 5 | 2024-01-01 00:00:00 | -",
        "5 | 6 | -                   | -",
    ];
    Models::new(AS_OF, 1)
        .given("silver.prog_overview", &rows("program_id | user_id | course_id | due_date", &overview))
        .given("silver.prog_completions", &rows("program_id | user_id | time_assigned | time_completed", &completions))
        .expect(
            "gold.fact_program_progress",
            &rows(
                "user_id | due_date | date_completed | is_overdue | days_difference",
                &[
                    "1 | 2025-06-29 | 1900-01-01 | 1 | -",
                    "2 | 2025-06-30 | 1900-01-01 | 0 | -",
                    // 2024 has 366 days.
                    "3 | 2024-02-29 | 2025-01-01 | 0 | 366",
                    "4 | 2024-02-29 | 1900-01-01 | 1 | -",
                    "5 | 1900-01-01 | 1900-01-01 | 0 | -",
                    "6 | 1900-01-01 | 1900-01-01 | 0 | -",
                ],
            ),
        );
}

/// thing * 2^32 + user at the ends of what ids can be.
const PACKED: [&str; 9] = [
    "         0 |          0 |                   0",
    "         0 |          1 |                   1",
    "         0 | 2147483647 |          2147483647",
    "         1 |          0 |          4294967296",
    "         1 |          1 |          4294967297",
    "         1 | 2147483647 |          6442450943",
    "2147483647 |          0 | 9223372032559808512",
    "2147483647 |          1 | 9223372032559808513",
    "2147483647 | 2147483647 | 9223372034707292159",
];

/// `PACKED` under a header, with further rows.
fn packed(header: &str, cells: impl Fn(&str, &str, &str) -> String, further: &[&str]) -> Rows {
    let line = |line: &&str| {
        let ids: Vec<&str> = line.split('|').map(str::trim).collect();
        cells(ids[0], ids[1], ids[2])
    };
    let lines: Vec<String> = PACKED.iter().map(line).collect();
    rows(header, &lines.iter().map(String::as_str).chain(further.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn packed_keys_are_exact_at_the_ends_of_what_ids_can_be() {
    let ids = |thing: &str, user: &str, _: &str| format!("{thing} | {user}");
    let keys = |thing: &str, user: &str, key: &str| format!("{thing} | {user} | {key}");
    let contained = |header: &str| packed(header, |thing, user, _| format!("{thing} | {user} | {thing}"), &[]);
    let begun = |thing: &str, user: &str, _: &str| format!("{thing} | {user} | 2024-01-01");
    let models = Models::new(AS_OF, 1)
        .given("silver.course_completions", &packed("course_id | user_id | time_enrolled", begun, &[]))
        .given("silver.prog_completions", &packed("program_id | user_id", ids, &[]))
        .given("silver.cert_completions", &packed("certification_id | user_id", ids, &[]))
        .given("silver.prog_overview", &contained("program_id | user_id | course_id"))
        .given("silver.cert_overview", &contained("certification_id | user_id | course_id"))
        .given("silver.scorm", &packed("course_id | user_id", ids, &["3 | 3"]))
        .given("silver.seminar_attendance", &packed("course_id | user_id", ids, &["3 | 3"]));
    let unknown: &[&str] = &["-1 | -1 | -1"];
    let not_enrolled: &[&str] = &["3 | 3 | -1"];
    for (table, header, further) in [
        ("dim_course_progress", "course_id | user_id | course_user_id", unknown),
        ("dim_program_progress", "program_id | user_id | program_user_id", unknown),
        ("dim_certification_progress", "certification_id | user_id | certification_user_id", unknown),
        ("fact_course_progress", "course_id | user_id | course_user_id", &[]),
        ("fact_course_progress", "program_id | user_id | program_user_id", &[]),
        ("fact_course_to_cert_progress", "course_id | user_id | course_user_id", &[]),
        ("fact_course_to_cert_progress", "cert_id | user_id | certification_user_id", &[]),
        ("fact_program_progress", "program_id | user_id | program_user_id", &[]),
        ("fact_certification_progress", "cert_id | user_id | certification_user_id", &[]),
        ("fact_scorm", "course_id | user_id | course_user_id", not_enrolled),
        ("fact_seminar_signup", "course_id | user_id | course_user_id", not_enrolled),
    ] {
        models.expect(&format!("gold.{table}"), &packed(header, keys, further));
    }
    models.expect("gold.fact_scorm", &packed("program_id | user_id | program_user_id", keys, &["-1 | 3 | -1"]));
}

#[test]
fn labels_end_where_the_range_of_years_ends() {
    for (start_month, labels) in [
        (1, [("2011-12-31", "N/A"), ("2012-01-01", "2012"), ("2036-12-31", "2036"), ("2037-01-01", "N/A")]),
        (3, [("2011-02-28", "N/A"), ("2011-03-01", "2012"), ("2036-02-29", "2036"), ("2036-03-01", "N/A")]),
        (4, [("2011-03-31", "N/A"), ("2011-04-01", "2012"), ("2036-03-31", "2036"), ("2036-04-01", "N/A")]),
        (7, [("2011-06-30", "N/A"), ("2011-07-01", "2012"), ("2036-06-30", "2036"), ("2036-07-01", "N/A")]),
        (12, [("2011-11-30", "N/A"), ("2011-12-01", "2012"), ("2036-11-30", "2036"), ("2036-12-01", "N/A")]),
    ] {
        let given: Vec<String> = labels.iter().map(|(day, _)| format!("5 | {day} | {day} 23:59:59")).collect();
        let given: Vec<String> = given.iter().enumerate().map(|(user, line)| format!("{user} | {line}")).collect();
        let mut expected: Vec<String> =
            labels.iter().enumerate().map(|(user, (_, label))| format!("{user} | {label} | {label}")).collect();
        expected.push("9 | N/A | N/A".to_owned());
        let mut given: Vec<&str> = given.iter().map(String::as_str).collect();
        given.push("9 | 5 | - | -");
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        Models::new(AS_OF, start_month)
            .given("silver.prog_completions", &rows("user_id | program_id | time_assigned | time_completed", &given))
            .expect("gold.fact_program_progress", &rows("user_id | fy_began | fy_completed", &expected));
    }
}

#[test]
fn the_years_of_a_customer_are_rows() {
    let models = Models::new(AS_OF, 3);
    models.build(&"gold.dim_fy_began".parse().unwrap());
    let found = models.query("SELECT fy_began, fy_start_date, fy_end_date FROM gold.dim_fy_began ORDER BY fy_began");
    assert_eq!(found.rows.len(), 26);
    let years: BTreeMap<&str, String> = found
        .rows
        .iter()
        .map(|row| (row[0].as_deref().unwrap(), format!("{} {}", row[1].as_ref().unwrap(), row[2].as_ref().unwrap())))
        .collect();
    assert_eq!(years.len(), 26);
    for (label, bounds) in [
        ("2012", "2011-03-01 2012-02-29"),
        ("2024", "2023-03-01 2024-02-29"),
        ("2025", "2024-03-01 2025-02-28"),
        ("2036", "2035-03-01 2036-02-29"),
        ("N/A", "1900-01-01 1900-01-01"),
    ] {
        assert_eq!(years[label], bounds, "{label}");
    }
}

/// What the queries compute is what the functions compute, and both what counting days gives.
#[test]
fn fiscal_years_in_sql_are_those_in_rust_on_every_day() {
    let models = Models::new(AS_OF, 1);
    for start_month in 1..=12 {
        let years = fiscal_years(start_month);
        let number = years.number_sql("day");
        let found = models.query(&format!(
            "SELECT day, {number} AS number, {} AS label, {} AS first, {} AS last FROM \
             (SELECT *, {number} AS year FROM (SELECT CAST(unnest(generate_series(DATE '2011-01-01', \
             DATE '2037-12-31', INTERVAL '1 day')) AS DATE) AS day)) ORDER BY day",
            years.label_sql("day"),
            years.start_sql("year"),
            years.end_sql("year"),
        ));
        let days = day("2011-01-01").iter_days().take_while(|day| day.year() < 2038);
        let mut year = 2011;
        let mut compared = 0;
        for (day, row) in days.zip(&found.rows) {
            if day.day() == 1 && day.month() == start_month && compared > 0 {
                year += 1;
            }
            let label = if (2012..=2036).contains(&year) { year.to_string() } else { "N/A".to_owned() };
            let (first, last) = years.bounds(year).unwrap();
            assert_eq!((years.number(day), years.label(Some(day))), (year, label.clone()), "{start_month}: {day}");
            assert!(first <= day && day <= last && (first.day(), first.month()) == (1, start_month), "{day}");
            assert_eq!(last.succ_opt(), years.bounds(year + 1).map(|(next, _)| next), "{day}");
            let cells = [day.to_string(), year.to_string(), label, first.to_string(), last.to_string()];
            assert_eq!(row, &cells.map(Some), "start month {start_month}");
            compared += 1;
        }
        // 27 years with the leap days of 2012, 2016, 2020, 2024, 2028, 2032 and 2036.
        assert_eq!((compared, found.rows.len()), (27 * 365 + 7, 27 * 365 + 7));
    }
}

#[test]
fn a_missing_day_has_no_number_and_no_label() {
    let models = Models::new(AS_OF, 1);
    for start_month in [1, 4, 7] {
        let years = fiscal_years(start_month);
        let (number, label) = (years.number_sql("day"), years.label_sql("day"));
        let found =
            models.query(&format!("SELECT {number} AS n, {label} AS l FROM (SELECT CAST(NULL AS DATE) AS day)"));
        assert_eq!(found.rows, [vec![None, Some("N/A".to_owned())]]);
        assert_eq!(years.label(None), "N/A");
    }
}
