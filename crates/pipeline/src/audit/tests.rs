#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::error::DefinitionError;
use crate::load::{Pipeline, PipelineFiles};

const PIPELINE: &str = r#"
name = "p"
description = "d"

[[conformed_keys]]
name = "user_id"
description = "d"

[[conformed_keys]]
name = "course_id"
description = "d"

[[references]]
column = "user_id"
table = "gold.dim_user"
severity = "warn"

[[references]]
column = "day"
table = "gold.dim_day"
table_column = "date"
mode = "date_key"
"#;

const USERS: &str = r#"
kind = "dimension"
description = "d"
key = ["user_id"]

[[columns]]
name = "user_id"
type = "long"
description = "d"

[[columns]]
name = "status"
type = "text"
description = "d"

[[columns]]
name = "seen"
type = "timestamp"
description = "d"
"#;

const DAYS: &str = r#"
kind = "dimension"
description = "d"
key = ["date"]

[[columns]]
name = "date"
type = "date"
description = "d"
"#;

const FACT: &str = r#"
kind = "fact"
description = "d"
keys = ["user_id"]

[[columns]]
name = "day"
type = "date"
description = "d"
"#;

/// A pipeline whose dimension of users and whose folder `tests/` have something more.
fn load(users: &str, query: Option<&str>) -> Result<Pipeline, DefinitionError> {
    let mut files: PipelineFiles = [
        ("pipeline.toml", PIPELINE.to_owned()),
        ("gold/dim_user.toml", format!("{USERS}{users}")),
        ("gold/dim_user.sql", "SELECT 1 AS user_id, 'a' AS status, NULL AS seen".to_owned()),
        ("gold/dim_day.toml", DAYS.to_owned()),
        ("gold/dim_day.sql", "SELECT $as_of AS date".to_owned()),
        ("gold/fact.toml", FACT.to_owned()),
        ("gold/fact.sql", "SELECT 1 AS user_id, $as_of AS day".to_owned()),
    ]
    .map(|(file, text)| (file.to_owned(), text))
    .into();
    if let Some(query) = query {
        files.insert("tests/nobody_twice.sql".to_owned(), query.to_owned());
    }
    Pipeline::load(&files)
}

fn names(pipeline: &Pipeline) -> Vec<String> {
    pipeline.tests.iter().map(DataTest::full_name).collect()
}

fn message(users: &str) -> String {
    load(users, None).expect_err(users).to_string()
}

#[test]
fn references_become_tests_of_every_gold_table_with_values_in_the_column() {
    let pipeline = load("", None).unwrap();
    assert_eq!(
        names(&pipeline),
        ["gold.fact.relationships_user_id", "gold.fact.relationships_day", "gold.fact.relationships_day_outside"]
    );
    let severities: Vec<TestSeverity> = pipeline.tests.iter().map(|test| test.severity).collect();
    assert_eq!(severities, [TestSeverity::Warn, TestSeverity::Error, TestSeverity::Warn]);
    let Check::Relationships(outside) = &pipeline.tests[2].check else { panic!() };
    assert_eq!(outside.mode, RelationshipMode::DateOutside);
    assert_eq!(
        (outside.table.to_string().as_str(), outside.table_columns.as_slice()),
        ("gold.dim_day", &["date".to_owned()][..])
    );
    assert_eq!(pipeline.tests[0].identity, ["user_id"]);
}

const EACH_KIND: &str = r#"
[[tests]]
kind = "not_null"
columns = ["user_id", "status"]
[[tests]]
kind = "unique"
columns = ["user_id"]
description = "one row per user"
[[tests]]
kind = "accepted_values"
column = "status"
values = ["Active", "it's"]
severity = "warn"
[[tests]]
kind = "relationships"
name = "has_a_fact"
columns = ["user_id"]
table = "gold.fact"
where = "user_id <> -1"
[[tests]]
kind = "row_count"
min = 1
max = 10
ratio_to = "last_release"
min_ratio = 0.5
[[tests]]
kind = "expression"
name = "seen_before"
expression = "CAST(seen AS DATE) <= $as_of AND status <> '$as_of'"
[[tests]]
kind = "freshness"
column = "seen"
max_age_days = 3
"#;

#[test]
fn each_kind_is_read() {
    let pipeline = load(EACH_KIND, None).unwrap();
    let own: Vec<&DataTest> = pipeline.tests.iter().filter(|test| test.full_name().contains("dim_user.")).collect();
    let names: Vec<&str> = own.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "not_null_user_id_status",
            "unique_user_id",
            "accepted_values_status",
            "has_a_fact",
            "row_count",
            "seen_before",
            "freshness_seen"
        ]
    );
    let kinds: Vec<&str> = own.iter().map(|test| test.check.kind().name()).collect();
    assert_eq!(
        kinds,
        ["not_null", "unique", "accepted_values", "relationships", "row_count", "expression", "freshness"]
    );
    assert_eq!(own[1].description.as_deref(), Some("one row per user"));
    assert_eq!(own[2].severity, TestSeverity::Warn);
    let Check::Expression(condition) = &own[5].check else { panic!() };
    assert_eq!(condition.columns, ["status", "seen"]);
    let day = chrono::NaiveDate::from_ymd_opt(2025, 6, 30).unwrap();
    assert_eq!(condition.render(day), "CAST(seen AS DATE) <= DATE '2025-06-30' AND status <> '$as_of'");
    let Check::RowCount(count) = &own[4].check else { panic!() };
    let ratio = Ratio { to: RatioTo::LastRelease, min: Some(0.5), max: None };
    assert_eq!(*count, RowCount { min: Some(1), max: Some(10), ratio: Some(ratio) });
}

/// Entries and what is said of them. The dimension has 19 lines, `[[tests]]` follows, so that the kind is in line 21.
const MISTAKES: [(&str, &str); 27] = [
    ("kind = \"uniqe\"\ncolumns = [\"user_id\"]", "gold/dim_user.toml:21:8: unknown variant `uniqe`"),
    ("kind = \"unique\"\ncolums = [\"user_id\"]", "gold/dim_user.toml:22:1: unknown field `colums`"),
    ("kind = \"unique\"\nseverity = \"fail\"\ncolumns = [\"user_id\"]", "gold/dim_user.toml:22:12: unknown variant"),
    ("kind = \"unique\"\ncolumns = [\"user\"]", "gold/dim_user.toml:21: columns names the column 'user'"),
    ("kind = \"unique\"\ncolumns = []", "gold/dim_user.toml:21: [[tests]] of kind unique: 'columns' has to name"),
    ("kind = \"unique\"", "gold/dim_user.toml:21: [[tests]] of kind unique: it needs the key 'columns'"),
    ("kind = \"unique\"\ncolumn = \"user_id\"", "it has no key 'column'; its keys are columns"),
    ("kind = \"unique\"\nname = \"../x\"\ncolumns = [\"user_id\"]", "'../x' cannot be its name"),
    ("kind = \"accepted_values\"\ncolumn = \"status\"\nvalues = [1]", "1 is no value of 'status', which is text"),
    ("kind = \"accepted_values\"\ncolumn = \"status\"\nvalues = []", "'values' is empty"),
    ("kind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"gold.dim_usr\"", "there is no table gold.dim_usr"),
    ("kind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"bronze.users\"", "tests are about silver and gold"),
    (
        "kind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"gold.dim_day\"",
        "table_columns names the column 'user_id'",
    ),
    (
        "kind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"gold.dim_day\"\ntable_columns = [\"date\"]",
        "a column of type long cannot lead to one of type date",
    ),
    (
        "kind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"gold.fact\"\nmode = \"date_key\"",
        "mode = \"date_key\" is for one column of type date",
    ),
    ("kind = \"row_count\"", "it needs at least one of min, max"),
    ("kind = \"row_count\"\nmin = 3\nmax = 2", "the least is more than the most"),
    ("kind = \"row_count\"\nmin_ratio = 0.5", "'ratio_to' belongs together with"),
    ("kind = \"row_count\"\nratio_to = \"last\"\nmin_ratio = 0.5", "'last' is not a table name"),
    ("kind = \"expression\"\nexpression = \"user_id > 0\"", "it needs the key 'name'"),
    ("kind = \"expression\"\nname = \"x\"\nexpression = \"user_id >\"", "gold/dim_user.toml:21: expression: "),
    ("kind = \"expression\"\nname = \"x\"\nexpression = \"user_id; status\"", "found ';' after it"),
    ("kind = \"expression\"\nname = \"x\"\nexpression = \"userid > 0\"", "expression names the column 'userid'"),
    ("kind = \"expression\"\nname = \"x\"\nexpression = \"user_id > $today\"", "$today is not a parameter"),
    (
        "kind = \"expression\"\nname = \"x\"\nexpression = \"user_id IN (SELECT user_id FROM gold.fact)\"",
        "an expression is about one row",
    ),
    ("kind = \"freshness\"\ncolumn = \"status\"\nmax_age_days = 1", "'status' is text, neither date nor time"),
    ("kind = \"freshness\"\ncolumn = \"seen\"\nmax_age_days = 40000", "max_age_days is 40000, expected at most"),
];

#[test]
fn mistakes_are_named_with_file_and_line() {
    for (entry, expected) in MISTAKES {
        let found = message(&format!("[[tests]]\n{entry}\n"));
        assert!(found.contains(expected), "{entry}\n{found}");
    }
    let twice = "[[tests]]\nkind = \"unique\"\ncolumns = [\"user_id\"]\n".repeat(2);
    assert!(message(&twice).contains("gold/dim_user.toml:24: [[tests]] of kind unique: there are two tests called"));
}

#[test]
fn the_nearest_name_is_the_hint() {
    let hint = |entry: &str| load(&format!("[[tests]]\n{entry}\n"), None).unwrap_err().hint().unwrap();
    assert_eq!(hint("kind = \"unique\"\ncolums = [\"user_id\"]"), "did you mean 'columns'?");
    assert_eq!(hint("kind = \"uniqe\"\ncolumns = [\"user_id\"]"), "did you mean 'unique'?");
    assert_eq!(hint("kind = \"unique\"\ncolumns = [\"userid\"]"), "did you mean 'user_id'?");
    assert_eq!(hint("kind = \"expression\"\nname = \"x\"\nexpression = \"stats = ''\""), "did you mean 'status'?");
}

#[test]
fn queries_say_in_their_first_comments_how_serious_they_are() {
    let sql =
        "-- severity: warn\n-- description: nobody is there twice\n-- Note: this is a comment\nSELECT * FROM gold.fact";
    let pipeline = load("", Some(sql)).unwrap();
    let test = pipeline.tests.last().unwrap();
    assert_eq!((test.full_name().as_str(), test.severity), ("tests.nobody_twice", TestSeverity::Warn));
    assert_eq!(test.description.as_deref(), Some("nobody is there twice"));
    let plain = load("", Some("SELECT * FROM gold.fact -- severity: warn")).unwrap();
    assert_eq!(plain.tests.last().unwrap().severity, TestSeverity::Error);
    for (sql, expected) in [
        ("-- a\n-- severty: warn\nSELECT * FROM gold.fact", "tests/nobody_twice.sql:2:1: unknown key `severty`"),
        ("-- severity: wran\nSELECT * FROM gold.fact", "tests/nobody_twice.sql:1:1: severity: expected warn or error"),
        ("SELECT * FROM bronze.users", "tests are about silver and gold"),
        ("SELECT * FROM gold.facts", "tests/nobody_twice.sql: there is no table gold.facts"),
        ("DELETE FROM gold.fact", "tests/nobody_twice.sql: expected exactly one query"),
        ("SELECT $day FROM gold.fact", "$day is not a parameter"),
    ] {
        let error = load("", Some(sql)).unwrap_err().to_string();
        assert!(error.contains(expected), "{sql}\n{error}");
    }
}

#[test]
fn nothing_but_queries_is_in_the_folder_of_tests() {
    for file in ["tests/a.toml", "tests/more/a.sql", "tests/A.sql"] {
        let mut files: PipelineFiles =
            [("pipeline.toml".to_owned(), "name = \"p\"\ndescription = \"d\"".to_owned())].into();
        files.insert(file.to_owned(), "SELECT 1".to_owned());
        assert!(matches!(Pipeline::load(&files), Err(DefinitionError::Misplaced { .. })), "{file}");
    }
}

#[test]
fn a_table_s_own_test_stands_for_the_one_of_a_reference() {
    let fact = "\n[[tests]]\nkind = \"relationships\"\ncolumns = [\"user_id\"]\ntable = \"gold.dim_user\"\n";
    let mut files: PipelineFiles = [
        ("pipeline.toml", PIPELINE),
        ("gold/dim_user.toml", USERS),
        ("gold/dim_user.sql", "SELECT 1 AS user_id"),
        ("gold/dim_day.toml", DAYS),
        ("gold/dim_day.sql", "SELECT $as_of AS date"),
        ("gold/fact.sql", "SELECT 1 AS user_id, $as_of AS day"),
    ]
    .map(|(file, text)| (file.to_owned(), text.to_owned()))
    .into();
    files.insert("gold/fact.toml".to_owned(), format!("{FACT}{fact}"));
    let pipeline = Pipeline::load(&files).unwrap();
    let test = pipeline.tests.iter().filter(|test| test.name == "relationships_user_id").collect::<Vec<_>>();
    assert_eq!(test.len(), 1);
    assert_eq!(test[0].severity, TestSeverity::Error);
}

#[test]
fn a_reference_that_leads_nowhere_or_from_nowhere_is_a_mistake() {
    let place = PIPELINE.lines().position(|line| line == "column = \"day\"").unwrap() + 1;
    let message = |from: &str, to: &str| {
        let mut files: PipelineFiles = [
            ("gold/dim_user.toml", USERS),
            ("gold/dim_user.sql", "SELECT 1 AS user_id"),
            ("gold/dim_day.toml", DAYS),
            ("gold/dim_day.sql", "SELECT $as_of AS date"),
            ("gold/fact.toml", FACT),
            ("gold/fact.sql", "SELECT 1 AS user_id, $as_of AS day"),
        ]
        .map(|(file, text)| (file.to_owned(), text.to_owned()))
        .into();
        assert!(PIPELINE.contains(from), "{from}");
        files.insert("pipeline.toml".to_owned(), PIPELINE.replace(from, to));
        Pipeline::load(&files).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        ("\"gold.dim_day\"", "\"gold.dim_days\"", "there is no table gold.dim_days"),
        ("\"gold.dim_day\"", "\"bronze.days\"", "tests are about silver and gold"),
        ("table_column = \"date\"", "table_column = \"dat\"", "table_column names the column 'dat'"),
        (
            "column = \"day\"",
            "column = \"days\"",
            "no gold table has the column 'days', so nothing leads to gold.dim_day",
        ),
        ("column = \"day\"", "column = \"user_id\"", "the column 'user_id' has a reference already"),
    ] {
        let found = message(from, to);
        assert!(found.starts_with(&format!("pipeline.toml:{place}: ")) && found.contains(expected), "{to}\n{found}");
    }
}
