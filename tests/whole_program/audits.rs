//! Data tests: what they find is what rows worked out by hand have, and what fails is not published.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use medallion_pipeline::audit::{Check, Relationship, RelationshipMode, TestSeverity};
use medallion_pipeline::{Pipeline, read_folder};
use serde_json::Value;

use crate::case::Case;
use crate::conventions::KEYS;
use crate::project::{Answer, Project};
use crate::rows::{Published, Rows};

const AS_OF: &str = "2025-06-30";
const NO_DAY: &str = "1900-01-01";

/// Facts with what tells their rows apart; `fact_scorm`, `fact_seminar_signup` and `fact_learning_time` have no key.
const FACT_KEYS: [(&str, &[&str]); 10] = [
    ("fact_course_progress", &["course_user_id", "program_id"]),
    ("fact_course_to_cert_progress", &["course_user_id", "cert_id"]),
    ("fact_program_progress", &["program_user_id"]),
    ("fact_certification_progress", &["certification_user_id"]),
    ("fact_course_history", &["course_user_id", "fy_status"]),
    ("fact_course_to_cert_history", &["course_user_id", "fy_status"]),
    ("fact_program_history", &["program_user_id", "fy_status"]),
    ("fact_certification_history", &["certification_user_id", "fy_status"]),
    ("fact_competency_rating", &["user_id", "competency_id"]),
    ("bridge_audience_member", &["audience_id", "user_id"]),
];

/// Where the keys of facts lead to.
const LEADS_TO: [(&str, &str, TestSeverity); 14] = [
    ("user_id", "gold.dim_user", TestSeverity::Warn),
    ("program_id", "gold.dim_programs", TestSeverity::Warn),
    ("course_id", "gold.dim_course", TestSeverity::Warn),
    ("scorm_id", "gold.dim_scorm", TestSeverity::Warn),
    ("cert_id", "gold.dim_cert", TestSeverity::Warn),
    ("certification_user_id", "gold.dim_certification_progress", TestSeverity::Warn),
    ("program_user_id", "gold.dim_program_progress", TestSeverity::Warn),
    ("course_user_id", "gold.dim_course_progress", TestSeverity::Warn),
    ("event_id", "gold.dim_seminar_event", TestSeverity::Warn),
    ("session_id", "gold.dim_seminar_session", TestSeverity::Warn),
    ("date_began", "gold.dim_date_began", TestSeverity::Error),
    ("date_completed", "gold.dim_date_completed", TestSeverity::Error),
    ("fy_began", "gold.dim_fy_began", TestSeverity::Error),
    ("fy_completed", "gold.dim_fy_completed", TestSeverity::Error),
];

#[test]
fn every_key_of_gold_is_tested() {
    let pipeline = totara();
    for (table, keys) in KEYS.iter().chain(&FACT_KEYS) {
        let is_key = |check: &Check| matches!(check, Check::Unique { columns } if columns == keys);
        let mut of_table =
            pipeline.tests.iter().filter(|test| test.table.as_ref().is_some_and(|name| name.table == *table));
        let found = of_table.find(|test| is_key(&test.check));
        assert_eq!(found.map(|test| test.severity), Some(TestSeverity::Error), "{table} {keys:?}");
    }
}

#[test]
fn every_column_of_a_fact_that_leads_to_a_dimension_is_tested() {
    let pipeline = totara();
    let facts = pipeline.tables.iter().filter(|table| table.name.table.starts_with("fact_"));
    let mut tested = 0;
    for fact in facts {
        let supplied = medallion_gold::model_schema(fact);
        for (column, dimension, severity) in LEADS_TO {
            let conformed = pipeline.conformed_keys.iter().any(|key| key.name == column);
            let columns = if conformed { &supplied.columns } else { &fact.schema.columns };
            if !columns.iter().any(|own| own.name == column) {
                continue;
            }
            let leads = |check: &Check| {
                matches!(check, Check::Relationships(Relationship { columns, table, mode, .. })
                    if columns == &[column] && table.to_string() == dimension && *mode != RelationshipMode::DateOutside)
            };
            let found =
                pipeline.tests.iter().find(|test| test.table.as_ref() == Some(&fact.name) && leads(&test.check));
            assert_eq!(found.map(|test| test.severity), Some(severity), "{}.{column}", fact.name);
            tested += 1;
        }
    }
    // By the contract: 4 + 2 + 1 + 1 + 4 + 2 + 1 + 1 keys and progress keys, and 4 columns of time, of 12 facts.
    assert!(tested > 80, "{tested}");
}

/// The rows of the case were worked out by hand; which of them lack a counterpart is counted here from those rows.
#[test]
fn relationships_find_exactly_the_rows_without_counterpart() {
    let mut all = 0;
    for name in ["star", "fiscal_july", "fiscal_march", "hierarchy", "silver_rules"] {
        let case = Case::read(name);
        let project = Case::published(name);
        let tests = tests_of(&project.results(name, 1));
        let expected = with_calendars(case.expected(), &case.file.as_of);
        let mut compared = 0;
        for test in &totara().tests {
            let Check::Relationships(relationship) = &test.check else { continue };
            let Some(failing) = orphans(test.table.as_ref().unwrap().to_string().as_str(), relationship, &expected)
            else {
                continue;
            };
            let found = &tests[&test.full_name()];
            assert_eq!(found["failing"].as_u64(), Some(failing), "{name}: {}", test.full_name());
            let status = match (failing, test.severity) {
                (0, _) => "pass",
                (_, TestSeverity::Warn) => "warn",
                (_, TestSeverity::Error) => "error",
            };
            assert_eq!(found["status"], status, "{name}: {}", test.full_name());
            compared += 1;
        }
        all += compared;
        assert!(tests.values().all(|test| test["status"] != "error"), "{name}");
    }
    assert!(all > 120, "{all}");
}

#[test]
fn failing_rows_are_kept_for_their_owner_alone() {
    let project = Case::published("star");
    let results = project.results("star", 1);
    let tests = tests_of(&results);
    let test = &tests["gold.fact_course_progress.relationships_user_id"];
    assert_eq!(test["sample"], "tests/gold.fact_course_progress.relationships_user_id.csv");
    assert_eq!(test["message"], "1 row whose user_id is not in gold.dim_user");
    let folder = project.lake().join("star/_medallion/runs").join(results["run_id"].as_str().unwrap());
    let sample = folder.join(test["sample"].as_str().unwrap());
    // (25, 98) of the notes: course 25, user 98, who is not in the users export.
    let key = 25 * 4_294_967_296_i64 + 98;
    let expected = format!("user_id,program_id,course_id,program_user_id,course_user_id\n98,-1,25,-1,{key}\n");
    assert_eq!(fs::read_to_string(&sample).unwrap(), expected);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&sample).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.join("tests")).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let passed = &tests["gold.dim_user.unique_user_id"];
    assert_eq!(
        (&passed["status"], &passed["sample"], &passed["message"]),
        (&"pass".into(), &Value::Null, &Value::Null)
    );
    let files = fs::read_dir(folder.join("tests")).unwrap().count();
    assert_eq!(files, tests.values().filter(|test| !test["sample"].is_null()).count());
}

/// A copy of the pipeline with one more query in `tests/`.
fn pipeline_with(project: &Project, query: &str) -> PathBuf {
    let folder = project.path("site");
    if !folder.exists() {
        project.medallion(["init", folder.to_str().unwrap()]).exits(0);
    }
    let pipeline = folder.join("pipelines/totara");
    fs::write(pipeline.join("tests/nobody_from_berlin.sql"), query).unwrap();
    pipeline
}

/// Builds all tables, changed or not.
fn run_with(project: &Project, pipeline: &Path) -> Answer {
    project.ask("run", "star", &["--as-of", AS_OF, "--full-refresh", "--pipeline", pipeline.to_str().unwrap()])
}

#[test]
fn what_fails_is_not_published_and_readers_keep_what_they_had() {
    let project = Case::published("star");
    let before = Published::open(&project.lake(), "star").contents();
    let query = "-- description: users of the first night\nSELECT user_id, full_name FROM gold.dim_user WHERE user_id IN (2, 4)";
    let pipeline = pipeline_with(&project, query);
    let answer = run_with(&project, &pipeline).exits(4);
    let answer = answer.says(&["star", "nobody_from_berlin", "2 rows", "nothing was published", "hint:"]);
    assert_eq!(project.releases("star"), [1]);
    assert_eq!(Published::open(&project.lake(), "star").contents(), before);
    let sample = answer.messages.split_once(", see ").unwrap().1;
    let error = answer.messages.lines().find(|line| line.starts_with("error:")).unwrap();
    let place = error.split_once(", see ").unwrap().1.split(';').next().unwrap();
    assert!(sample.contains("_medallion/runs/"), "{sample}");
    let rows = fs::read_to_string(place).unwrap();
    assert!(rows.starts_with("user_id,full_name\n") && rows.lines().count() == 3, "{rows}");
    let run = Path::new(place).parent().unwrap().parent().unwrap();
    let results: Value = serde_json::from_slice(&fs::read(run.join("run_results.json")).unwrap()).unwrap();
    assert_eq!(results["status"], "failed");
    let test = &tests_of(&results)["tests.nobody_from_berlin"];
    assert_eq!((&test["status"], &test["failing"], &test["table"]), (&"error".into(), &2.into(), &Value::Null));
    let staged = |layer: &str| {
        let run_id = run.file_name().unwrap().to_str().unwrap();
        fs::read_dir(project.lake().join("star").join(layer))
            .unwrap()
            .any(|table| table.unwrap().path().join(run_id).exists())
    };
    assert!(!staged("gold") && !staged("silver"), "what was staged is cleared away");

    let pipeline = pipeline_with(&project, &query.replace("-- description", "-- severity: warn\n-- description"));
    let answer = run_with(&project, &pipeline).exits(0).says(&["warning:", "nobody_from_berlin: 2 rows returned"]);
    assert!(!answer.messages.contains("error:"), "{}", answer.messages);
    assert_eq!(project.releases("star"), [1, 2]);
}

#[test]
fn tests_run_again_when_a_table_or_a_test_or_the_date_has_changed() {
    let project = Case::published("star");
    let pipeline = pipeline_with(&project, "SELECT user_id FROM gold.dim_user WHERE user_id = 1000000");
    let run = |options: &[&str]| {
        let mut arguments = vec!["--pipeline", pipeline.to_str().unwrap()];
        arguments.extend(options);
        project.ask("run", "star", &arguments).exits(0);
        let results = project.last_results("star");
        (results["tests"].as_array().unwrap().len(), results["tests_skipped"].as_str().map(str::to_owned))
    };
    let all = totara().tests.len() + 1;
    assert_eq!(run(&["--as-of", AS_OF]), (all, None), "there is a new test, and no release that passed it");
    assert_eq!(run(&["--as-of", AS_OF, "--full-refresh"]), (all, None));
    let since = Some("no table and no test has changed since release 2".to_owned());
    assert_eq!(run(&["--as-of", AS_OF]), (0, since.clone()));
    assert_eq!(run(&["--as-of", "2025-07-01"]), (all, None));
    assert_eq!(run(&["--as-of", "2025-07-01", "--full-refresh"]).0, all);
    pipeline_with(&project, "SELECT user_id FROM gold.dim_user WHERE user_id = 1000001");
    assert_eq!(run(&["--as-of", "2025-07-01"]), (all, None));
}

#[test]
fn a_test_that_reads_no_table_is_run_all_the_same() {
    let project = Case::published("star");
    let pipeline = pipeline_with(&project, "SELECT 1 AS broken WHERE $as_of >= DATE '2025-06-30'");
    run_with(&project, &pipeline).exits(4).says(&["nobody_from_berlin", "1 row"]);
    let options = ["--pipeline", pipeline.to_str().unwrap()];
    project.ask("test", "star", &options).exits(4).says(&["tests.nobody_from_berlin", "1 row"]);
    project.ask("test", "star", &[&options[..], &["-s", "dim_user"]].concat()).exits(0);
}

#[test]
fn a_failing_first_night_leaves_bronze_and_no_release() {
    let project = Case::read("star").project();
    let pipeline = pipeline_with(&project, "SELECT count(*) AS users FROM gold.dim_user");
    run_with(&project, &pipeline).exits(4).says(&["nobody_from_berlin", "1 row"]);
    assert_eq!(project.releases("star"), [0_u64; 0]);
    assert!(project.lake().join("star/bronze/users/_delta_log").exists());
    assert!(!project.lake().join("star/gold/dim_user/_delta_log").exists());
}

#[test]
fn published_tables_are_tested_by_a_command() {
    let project = Case::published("star");
    let answer = project.ask("test", "star", &[]).exits(0);
    assert!(answer.output.starts_with("release 1: "), "{}", answer.output);
    assert!(answer.output.contains("relationships_user_id") && !answer.output.contains("unique_user_id"));
    let answer = project.ask("test", "star", &["--format", "json", "--release", "1"]).exits(0);
    let listed: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let of_run = project.results("star", 1);
    let of_run = of_run["tests"].as_array().unwrap();
    assert_eq!(listed.len(), of_run.len());
    for (listed, of_run) in listed.iter().zip(of_run) {
        for key in ["table", "name", "kind", "severity", "status", "failing", "message"] {
            assert_eq!(listed[key], of_run[key], "{listed}");
        }
    }
    project.ask("test", "star", &["--release", "7"]).exits(1).says(&["7"]);
    let pipeline = pipeline_with(&project, "SELECT user_id FROM gold.dim_user WHERE user_id = 2");
    let samples = project.path("samples");
    let options = ["--pipeline", pipeline.to_str().unwrap(), "--samples", samples.to_str().unwrap()];
    project.ask("test", "star", &options).exits(4).says(&["release 1", "tests.nobody_from_berlin", "1 row"]);
    assert_eq!(fs::read_to_string(samples.join("tests.nobody_from_berlin.csv")).unwrap(), "user_id\n2\n");
    assert_eq!(project.releases("star"), [1]);
}

#[test]
fn a_mistake_in_a_test_shows_before_anything_is_taken_in() {
    let project = Case::read("star").project();
    let pipeline = pipeline_with(&project, "SELECT user_id FROM gold.dim_user WHERE lenght(full_name) = 0");
    run_with(&project, &pipeline).exits(2).says(&["tests.nobody_from_berlin", "lenght"]);
    let pipeline = pipeline_with(&project, "SELECT user_id FROM gold.dim_usr");
    run_with(&project, &pipeline).exits(2).says(&["tests/nobody_from_berlin.sql", "did you mean 'gold.dim_user'?"]);
    assert!(!project.lake().join("star/bronze").exists());
}

fn totara() -> Pipeline {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/totara");
    Pipeline::load(&read_folder(&folder).unwrap()).unwrap()
}

/// The tests of a run by their full names.
fn tests_of(results: &Value) -> BTreeMap<String, Value> {
    let name = |test: &Value| {
        let table = test["table"].as_str().unwrap_or("tests");
        format!("{table}.{}", test["name"].as_str().unwrap())
    };
    let tests = results["tests"].as_array().unwrap();
    let named: BTreeMap<String, Value> = tests.iter().map(|test| (name(test), test.clone())).collect();
    assert_eq!(named.len(), tests.len());
    named
}

/// The two calendars, which the cases leave out: 2011-01-01 to the run's date.
fn with_calendars(mut tables: BTreeMap<String, Rows>, as_of: &str) -> BTreeMap<String, Rows> {
    let first: chrono::NaiveDate = "2011-01-01".parse().unwrap();
    let last: chrono::NaiveDate = as_of.parse().unwrap();
    let days: Vec<Vec<Option<String>>> =
        first.iter_days().take_while(|day| *day <= last).map(|day| vec![Some(day.to_string())]).collect();
    for (table, column) in [("gold.dim_date_began", "date"), ("gold.dim_date_completed", "completed_date")] {
        let rows = Rows { columns: vec![column.to_owned()], rows: days.clone() };
        tables.entry(table.to_owned()).or_insert(rows);
    }
    tables
}

/// How many of the expected rows fail; `None` if the case does not tell of a column or table.
fn orphans(table: &str, relationship: &Relationship, tables: &BTreeMap<String, Rows>) -> Option<u64> {
    let column = |table: &str, column: &str| {
        let rows = tables.get(table)?;
        let place = rows.columns.iter().position(|name| name == column)?;
        Some(rows.rows.iter().filter_map(|row| row[place].clone()).collect::<Vec<String>>())
    };
    let ([own], [other]) = (relationship.columns.as_slice(), relationship.table_columns.as_slice()) else {
        return None;
    };
    let (own, other) = (column(table, own)?, column(&relationship.table.to_string(), other)?);
    let known: HashSet<&String> = other.iter().collect();
    let missing = own.iter().filter(|value| !known.contains(value));
    let days = || other.iter().filter(|day| *day != NO_DAY);
    let outside =
        |day: &&String| days().min().is_none_or(|first| *day < first) || days().max().is_none_or(|last| *day > last);
    let failing = match relationship.mode {
        RelationshipMode::Key => missing.count(),
        RelationshipMode::DateWithin => missing.filter(|day| *day != NO_DAY && !outside(day)).count(),
        RelationshipMode::DateOutside => missing.filter(|day| *day != NO_DAY && outside(day)).count(),
    };
    Some(failing as u64)
}
