//! Data tests over small tables whose failing rows are known by hand.

use arrow::array::{BooleanArray, Date32Array, TimestampMicrosecondArray};
use chrono::NaiveDate;
use medallion_pipeline::audit::{Check, DataTest, TestKind};
use medallion_pipeline::{Pipeline, PipelineFiles};

use super::*;
use crate::{AuditOptions, Finding};

/// `gold.dim`: what others lead to. `gold.fact`: what is tested, with one column of each type that tests know.
const FACT_COLUMNS: [(&str, ColumnType); 6] = [
    ("id", ColumnType::Long),
    ("name", ColumnType::Text),
    ("day", ColumnType::Date),
    ("seen", ColumnType::Timestamp),
    ("done", ColumnType::Bool),
    ("dim_id", ColumnType::Long),
];

type Row<'a> = (Option<i64>, Option<&'a str>, Option<i32>, Option<i64>, Option<bool>, Option<i64>);

/// Days since 1970-01-01.
const DAY_1900: i32 = -25_567;
const DAY_2025_06_30: i32 = 20_269;
const SECONDS_2025_06_30: i64 = DAY_2025_06_30 as i64 * 86_400;

fn as_of() -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 6, 30).unwrap()
}

/// The tests of a pipeline with the tables and the given entries of `gold.fact`, and the given query.
fn tests_of(entries: &str, query: Option<&str>) -> Vec<DataTest> {
    let columns = |columns: &[(&str, ColumnType)]| {
        let column = |(name, data_type): &(&str, ColumnType)| {
            format!("[[columns]]\nname = \"{name}\"\ntype = \"{data_type}\"\ndescription = \"d\"\n")
        };
        columns.iter().map(column).collect::<String>()
    };
    let bridge = |key: &str, list: &str| format!("kind = \"bridge\"\ndescription = \"d\"\nkey = [\"{key}\"]\n{list}");
    let dim = columns(&[("dim_id", ColumnType::Long), ("date", ColumnType::Date)]);
    let mut files: PipelineFiles = [
        ("pipeline.toml", "name = \"p\"\ndescription = \"d\"".to_owned()),
        ("gold/dim.toml", bridge("dim_id", &dim)),
        ("gold/dim.sql", "SELECT 1".to_owned()),
        ("gold/fact.toml", format!("{}\n{entries}", bridge("id", &columns(&FACT_COLUMNS)))),
        ("gold/fact.sql", "SELECT 1".to_owned()),
    ]
    .map(|(file, text)| (file.to_owned(), text))
    .into();
    files.extend(query.map(|query| ("tests/query.sql".to_owned(), query.to_owned())));
    Pipeline::load(&files).unwrap().tests
}

async fn register_fact(session: &SqlSession, folder: &Path, rows: &[Row<'_>]) {
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
        ("name", Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>())),
        ("day", Arc::new(rows.iter().map(|row| row.2).collect::<Date32Array>())),
        (
            "seen",
            Arc::new(
                rows.iter().map(|row| row.3.map(|seconds| seconds * 1_000_000)).collect::<TimestampMicrosecondArray>(),
            ),
        ),
        ("done", Arc::new(rows.iter().map(|row| row.4).collect::<BooleanArray>())),
        ("dim_id", Arc::new(rows.iter().map(|row| row.5).collect::<Int64Array>())),
    ];
    let mut files = vec![write_parquet(&folder.join("fact.parquet"), &RecordBatch::try_from_iter(columns).unwrap())];
    if rows.is_empty() {
        files.clear();
    }
    session.register(&TableFiles { schema: schema("gold.fact", &FACT_COLUMNS, &[]), files }).await.unwrap();
}

async fn register_dim(session: &SqlSession, folder: &Path, rows: &[(i64, i32)]) {
    let columns: [(&str, ArrayRef); 2] = [
        ("dim_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("date", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1)))),
    ];
    let file = write_parquet(&folder.join("dim.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
    let files = if rows.is_empty() { Vec::new() } else { vec![file] };
    let columns = [("dim_id", ColumnType::Long), ("date", ColumnType::Date)];
    session.register(&TableFiles { schema: schema("gold.dim", &columns, &[]), files }).await.unwrap();
}

/// What the entries find in the rows; `dim` leads from 1 and 2 to 2025-06-01 and 2025-06-03, and has 1900-01-01.
async fn findings(entries: &str, rows: &[Row<'_>]) -> Vec<Finding> {
    let dim = [(1, DAY_2025_06_30 - 29), (2, DAY_2025_06_30 - 27), (-1, DAY_1900)];
    findings_with(&tests_of(entries, None), rows, &dim).await
}

async fn findings_with(tests: &[DataTest], rows: &[Row<'_>], dim: &[(i64, i32)]) -> Vec<Finding> {
    let found = audited(tests, rows, dim, None).await;
    // Under a limit of memory SQL compares keys, which must say the same.
    let by_key = |test: &&DataTest| matches!(test.check, Check::Unique { .. } | Check::Relationships(_));
    let by_sql = audited(&tests.iter().filter(by_key).cloned().collect::<Vec<_>>(), rows, dim, Some(64 << 20)).await;
    let in_memory = tests.iter().zip(&found).filter(|(test, _)| by_key(test)).map(|(_, finding)| said(finding));
    assert_eq!(by_sql.iter().map(said).collect::<Vec<_>>(), in_memory.collect::<Vec<_>>());
    found
}

async fn audited(
    tests: &[DataTest],
    rows: &[Row<'_>],
    dim: &[(i64, i32)],
    memory_limit: Option<usize>,
) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let session = SqlSession::new(&SqlOptions { memory_limit, threads: 2 }).unwrap();
    register_fact(&session, folder.path(), rows).await;
    register_dim(&session, folder.path(), dim).await;
    session.check_audit(tests, as_of()).await.unwrap();
    // With a limit the numbers are made up, so that no table seems to fit.
    let count = |name: &str, rows: usize| {
        (name.parse().unwrap(), if memory_limit.is_some() { 1_000_000_000 } else { rows as u64 })
    };
    let options = AuditOptions {
        as_of: as_of(),
        rows: [count("gold.fact", rows.len()), count("gold.dim", dim.len())].into(),
        last_rows: [count("gold.fact", 10)].into(),
    };
    session.audit(tests, &options).await.unwrap()
}

/// The findings without their times: how much fails, what is said, the sample.
fn said(finding: &Finding) -> (u64, &str, String) {
    (finding.failing, &finding.problem, finding.sample.as_ref().map(crate::Sample::csv).unwrap_or_default())
}

fn row(id: i64) -> Row<'static> {
    (Some(id), Some("a"), Some(DAY_2025_06_30), Some(SECONDS_2025_06_30), Some(true), Some(1))
}

const ALL: &str = r#"
[[tests]]
kind = "not_null"
columns = ["id", "name"]
[[tests]]
kind = "unique"
columns = ["id"]
[[tests]]
kind = "accepted_values"
column = "name"
values = ["a", "it's"]
[[tests]]
kind = "expression"
name = "is_done"
expression = "done -- or not"
[[tests]]
kind = "relationships"
columns = ["dim_id"]
table = "gold.dim"
[[tests]]
kind = "relationships"
columns = ["day"]
table = "gold.dim"
table_columns = ["date"]
mode = "date_key"
[[tests]]
kind = "freshness"
column = "seen"
max_age_days = 2
[[tests]]
kind = "row_count"
min = 1
"#;

#[tokio::test]
async fn sound_rows_pass_every_kind() {
    let mut sound = row(1);
    sound.2 = Some(DAY_2025_06_30 - 29);
    for finding in findings(ALL, &[sound]).await {
        assert_eq!(said(&finding), (0, "", String::new()));
    }
}

#[tokio::test]
async fn nulls_fail_where_they_are_asked_for_and_pass_elsewhere() {
    let nulls = (None, None, None, Some(SECONDS_2025_06_30), None, None);
    let findings = findings(ALL, &[nulls, row(1)]).await;
    assert_eq!(said(&findings[0]), (1, "1 row without id or without name", "id,name\n,\n".to_owned()));
    let others: Vec<u64> = findings[1..].iter().map(|finding| finding.failing).collect();
    // 2025-06-30 lies after the dimension's dates: the last but two, which is the one outside.
    assert_eq!(others, [0, 0, 0, 0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_value_twice_fails_and_so_does_null_twice() {
    let nobody = {
        let mut nobody = row(0);
        nobody.0 = None;
        nobody
    };
    let entries =
        "[[tests]]\nkind = \"unique\"\ncolumns = [\"id\"]\n[[tests]]\nkind = \"unique\"\ncolumns = [\"id\", \"name\"]";
    let mut other = row(7);
    other.1 = Some("b");
    let found = findings(entries, &[row(7), row(8), other, nobody, nobody, nobody]).await;
    let sample = "id,occurrences\n7,2\n,3\n".to_owned();
    assert_eq!(said(&found[0]), (2, "2 values of id occur more than once", sample));
    let sample = "id,name,occurrences\n,a,3\n".to_owned();
    assert_eq!(said(&found[1]), (1, "1 value of id, name occurs more than once", sample));
}

#[tokio::test]
async fn values_outside_the_list_fail() {
    let entries = r#"
[[tests]]
kind = "accepted_values"
column = "name"
values = ["a", "it's"]
[[tests]]
kind = "accepted_values"
column = "id"
values = [1, -2]
[[tests]]
kind = "accepted_values"
column = "done"
values = [true]
[[tests]]
kind = "accepted_values"
column = "day"
values = [1900-01-01, 2025-06-30]
"#;
    let its = (Some(-2), Some("it's"), Some(DAY_1900), None, Some(false), None);
    let odd = (Some(3), Some("A"), Some(DAY_2025_06_30 - 1), None, None, None);
    let found = findings(entries, &[row(1), its, odd]).await;
    let problem = "1 row whose name is not among the accepted values";
    assert_eq!(said(&found[0]), (1, problem, "id,name\n3,A\n".to_owned()));
    assert_eq!(said(&found[1]).2, "id\n3\n");
    assert_eq!(said(&found[2]).2, "id,done\n-2,false\n");
    assert_eq!(said(&found[3]).2, "id,day\n3,2025-06-29\n");
}

#[tokio::test]
async fn a_condition_fails_where_it_is_false() {
    let entries = r#"
[[tests]]
kind = "expression"
name = "until_now"
expression = "day <= $as_of OR done"
"#;
    let late = (Some(2), None, Some(DAY_2025_06_30 + 1), None, Some(false), None);
    let unknown = (Some(3), None, None, None, None, None);
    let done = (Some(4), None, Some(DAY_2025_06_30 + 1), None, Some(true), None);
    let found = findings(entries, &[row(1), late, unknown, done]).await;
    let sample = "id,day,done\n2,2025-07-01,false\n".to_owned();
    assert_eq!(said(&found[0]), (1, "1 row for which its condition is false", sample));
}

#[tokio::test]
async fn ids_without_their_row_fail_but_not_null_and_not_what_is_filtered() {
    let entries = r#"
[[tests]]
kind = "relationships"
columns = ["dim_id"]
table = "gold.dim"
[[tests]]
kind = "relationships"
name = "of_those_done"
columns = ["dim_id"]
table = "gold.dim"
where = "done"
[[tests]]
kind = "relationships"
name = "by_two"
columns = ["dim_id", "day"]
table = "gold.dim"
table_columns = ["dim_id", "date"]
"#;
    let with =
        |id: i64, day: i32, done: bool, dim_id: Option<i64>| (Some(id), None, Some(day), None, Some(done), dim_id);
    let first = DAY_2025_06_30 - 29;
    let rows = [
        with(1, first, true, Some(1)),
        with(2, first, false, Some(9)),
        with(3, first, true, Some(8)),
        with(4, first, true, None),
        with(5, first, true, Some(2)),
    ];
    let found = findings(entries, &rows).await;
    let sample = "id,dim_id\n3,8\n2,9\n".to_owned();
    assert_eq!(said(&found[0]), (2, "2 rows whose dim_id is not in gold.dim", sample));
    assert_eq!(said(&found[1]).2, "id,dim_id\n3,8\n");
    let sample = "id,dim_id,day\n5,2,2025-06-01\n3,8,2025-06-01\n2,9,2025-06-01\n".to_owned();
    assert_eq!(said(&found[2]), (3, "3 rows whose dim_id, day is not in gold.dim", sample));
}

const DATES: &str = r#"
[[tests]]
kind = "relationships"
columns = ["day"]
table = "gold.dim"
table_columns = ["date"]
mode = "date_key"
"#;

#[tokio::test]
async fn a_gap_in_the_dates_fails_and_dates_beyond_them_are_told_apart() {
    let on = |id: i64, day: i32| (Some(id), None, Some(day), None, None, None);
    let first = DAY_2025_06_30 - 29;
    let rows = [on(1, first), on(2, first + 1), on(3, first + 2), on(4, first - 1), on(5, first + 3), on(6, DAY_1900)];
    let found = findings(DATES, &rows).await;
    let problem = "1 row whose day is not in gold.dim, though it lies between its dates";
    assert_eq!(said(&found[0]), (1, problem, "id,day\n2,2025-06-02\n".to_owned()));
    let sample = "id,day\n4,2025-05-31\n5,2025-06-04\n".to_owned();
    assert_eq!(said(&found[1]), (2, "2 rows whose day lies outside the dates of gold.dim", sample));
}

#[tokio::test]
async fn without_any_dates_every_date_lies_outside() {
    let rows = [row(1), (Some(2), None, Some(DAY_1900), None, None, None)];
    for dim in [&[][..], &[(1, DAY_1900)][..]] {
        let found = findings_with(&tests_of(DATES, None), &rows, dim).await;
        assert_eq!(found.iter().map(|finding| finding.failing).collect::<Vec<_>>(), [0, 1], "{dim:?}");
        assert_eq!(said(&found[1]).2, "id,day\n1,2025-06-30\n");
    }
}

#[tokio::test]
async fn the_newest_value_may_not_be_too_old() {
    let entry = |days: u32| format!("[[tests]]\nkind = \"freshness\"\ncolumn = \"seen\"\nmax_age_days = {days}\n");
    let seen = |seconds: Option<i64>| (Some(1), None, None, seconds, None, None);
    let day = 86_400;
    // The last second of 2025-06-27 is more than two days before the run's date, the first of 2025-06-28 is not.
    for (seconds, failing) in [(SECONDS_2025_06_30 - 2 * day - 1, 1), (SECONDS_2025_06_30 - 2 * day, 0)] {
        let found = findings(&entry(2), &[seen(Some(seconds)), seen(None), seen(Some(0))]).await;
        assert_eq!(found[0].failing, failing, "{seconds}");
    }
    let found = findings(&entry(2), &[seen(Some(SECONDS_2025_06_30 - 4 * day))]).await;
    assert_eq!(found[0].problem, "its newest seen is of 2025-06-26, expected 2025-06-28 or later");
    let found = findings(&entry(2), &[seen(None)]).await;
    assert_eq!(found[0].problem, "its newest seen is missing, expected 2025-06-28 or later");
}

#[tokio::test]
async fn numbers_of_rows_are_compared() {
    // The table has 3 rows, gold.dim has 3 as well, and it had 10 in the last release.
    for (keys, problem) in [
        ("min = 3\nmax = 3", ""),
        ("min = 4", "it has 3 rows, expected at least 4"),
        ("max = 2", "it has 3 rows, expected at most 2"),
        ("ratio_to = \"gold.dim\"\nmin_ratio = 1\nmax_ratio = 1", ""),
        ("ratio_to = \"gold.dim\"\nmin_ratio = 1.5", "it has 3 rows, expected at least 1.5 times the 3 of gold.dim"),
        ("ratio_to = \"gold.dim\"\nmax_ratio = 0.5", "it has 3 rows, expected at most 0.5 times the 3 of gold.dim"),
        ("ratio_to = \"last_release\"\nmin_ratio = 0.3", ""),
        (
            "min = 4\nratio_to = \"last_release\"\nmin_ratio = 0.4",
            "it has 3 rows, expected at least 4, it has 3 rows, expected at least 0.4 times the 10 of the last release",
        ),
    ] {
        let found = findings(&format!("[[tests]]\nkind = \"row_count\"\n{keys}\n"), &[row(1), row(2), row(3)]).await;
        assert_eq!((found[0].failing, found[0].problem.as_str()), (u64::from(!problem.is_empty()), problem), "{keys}");
        assert_eq!(found[0].sample, None);
    }
}

#[tokio::test]
async fn a_table_without_rows_fails_only_what_asks_for_rows() {
    let found = findings(ALL, &[]).await;
    let failing: Vec<u64> = found.iter().map(|finding| finding.failing).collect();
    assert_eq!(failing, [0, 0, 0, 0, 0, 0, 0, 1, 1]);
}

#[tokio::test]
async fn a_query_fails_with_the_rows_it_returns() {
    let query = "-- severity: warn\nSELECT id, $as_of AS today FROM gold.fact WHERE id > 1 ORDER BY id";
    let tests = tests_of("", Some(query));
    assert!(matches!(tests[0].check, Check::Query(_)));
    assert_eq!(tests[0].check.kind(), TestKind::Query);
    let found = findings_with(&tests, &[row(1)], &[]).await;
    assert_eq!(said(&found[0]), (0, "", String::new()));
    let rows: Vec<Row> = (1..=251).map(row).collect();
    let found = findings_with(&tests, &rows, &[]).await;
    assert_eq!((found[0].failing, found[0].problem.as_str()), (250, "250 rows returned"));
    let sample = found[0].sample.as_ref().unwrap();
    assert_eq!((sample.len(), sample.cell(0, 0), sample.cell(99, 0)), (100, Some("2"), Some("101")));
    assert_eq!(sample.cell(0, 1), Some("2025-06-30"));
}

#[tokio::test]
async fn a_sample_has_at_most_a_hundred_rows_though_all_are_counted() {
    let rows: Vec<Row> = (1..=250).map(|id| (Some(id), None, None, None, None, None)).collect();
    let found = findings("[[tests]]\nkind = \"not_null\"\ncolumns = [\"name\"]", &rows).await;
    let sample = found[0].sample.as_ref().unwrap();
    assert_eq!((found[0].failing, sample.len()), (250, 100));
    assert_eq!((sample.cell(0, 0), sample.cell(99, 0)), (Some("1"), Some("100")));
}

#[tokio::test]
async fn a_spreadsheet_takes_no_text_of_a_sample_for_a_formula() {
    let texts = ["=1+1", "+1", "-1", "@a", "\tx", "a=b", "say \"hi\", then go", "two\nlines"];
    let rows: Vec<Row> = (-1..).zip(texts).map(|(id, text)| (Some(id), Some(text), None, None, None, None)).collect();
    let found = findings("[[tests]]\nkind = \"not_null\"\ncolumns = [\"day\", \"name\"]", &rows).await;
    let expected = "id,day,name\n-1,,'=1+1\n0,,'+1\n1,,'-1\n2,,'@a\n3,,'\tx\n4,,a=b\n\
                    5,,\"say \"\"hi\"\", then go\"\n6,,\"two\nlines\"\n";
    assert_eq!(said(&found[0]).2, expected);
}

#[tokio::test]
async fn what_cannot_be_planned_names_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    register_fact(&session, folder.path(), &[row(1)]).await;
    register_dim(&session, folder.path(), &[]).await;
    let entry = "[[tests]]\nkind = \"expression\"\nname = \"short\"\nexpression = \"lenght(name) < 3\"";
    let error = session.check_audit(&tests_of(entry, None), as_of()).await.unwrap_err();
    assert!(error.to_string().starts_with("test gold.fact.short: "), "{error}");
    let query = tests_of("", Some("-- severity: warn\nSELECT nam\nFROM gold.fact"));
    let error = session.check_audit(&query, as_of()).await.unwrap_err();
    assert_eq!(error.to_string(), "test tests.query (line 2, column 8): there is no column 'nam'");
    let divided = "[[tests]]\nkind = \"expression\"\nname = \"divides\"\nexpression = \"1 / (id - 1) > 0\"";
    let options = AuditOptions { as_of: as_of(), rows: [].into(), last_rows: [].into() };
    let error = session.audit(&tests_of(divided, None), &options).await.unwrap_err();
    assert!(error.to_string().starts_with("tests of gold.fact: the query failed while running"), "{error}");
}

/// Many keys: each number of rows is known by how they are made.
#[tokio::test]
async fn of_many_keys_those_that_repeat_or_lead_nowhere_are_found() {
    let entries = r#"
[[tests]]
kind = "unique"
columns = ["id", "day"]
[[tests]]
kind = "relationships"
columns = ["dim_id"]
table = "gold.dim"
"#;
    // Packed keys as facts have them; two rows repeat one key each, and every tenth leads beyond the dimension.
    let key = |n: i64| (n / 300) * 4_294_967_296 + n % 300;
    let of = |n: i64| (Some(key(n)), None, Some(DAY_1900), None, None, Some(if n % 10 == 0 { -n - 2 } else { key(n) }));
    let mut rows: Vec<Row> = (0..50_000).map(of).collect();
    let dim: Vec<(i64, i32)> = (0..50_000).map(|n| (key(n), DAY_1900)).collect();
    let found = findings_with(&tests_of(entries, None), &rows, &dim).await;
    assert_eq!(found.iter().map(|finding| finding.failing).collect::<Vec<_>>(), [0, 5_000]);
    rows.extend([of(31), of(49_999)]);
    let found = findings_with(&tests_of(entries, None), &rows, &dim).await;
    assert_eq!(found.iter().map(|finding| finding.failing).collect::<Vec<_>>(), [2, 5_000]);
}
