//! Every rule on rows small enough to count by hand; `properties` compares with a plain implementation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use medallion_pipeline::definition::Definition;
use medallion_pipeline::{DataFile, Pipeline, PipelineFiles, Table};
use tempfile::TempDir;

use super::*;

#[path = "cleanse_properties.rs"]
mod properties;
#[path = "upsert_tests.rs"]
mod upserts;

/// What a table became.
#[derive(Debug)]
struct Outcome {
    /// Rows in the order of the file, cells between `|`, `-` for NULL; without the run.
    rows: Vec<String>,
    report: CleanseReport,
    files: usize,
}

/// The silver table `things` over a bronze source of the same name.
struct Things {
    folder: TempDir,
    table: Table,
    batch: TableFiles,
}

impl Things {
    /// `columns` are bronze's, `silver` the definition without kind, source and descriptions.
    fn new(columns: &str, silver: &str) -> Self {
        let mut source: toml::Table = toml::from_str("description = \"x\"\npatterns = [\"things*\"]").unwrap();
        let column = |name: &str| {
            toml::Value::from(toml::Table::from_iter(
                [("name", name), ("description", "x")].map(|(key, value)| (key.to_owned(), value.into())),
            ))
        };
        source.insert("columns".to_owned(), columns.split('|').map(column).collect::<Vec<_>>().into());
        let mut table: toml::Table = toml::from_str(silver).unwrap_or_else(|error| panic!("{error}\n{silver}"));
        for (key, value) in [("kind", "cleanse"), ("description", "x"), ("source", "things")] {
            table.insert(key.to_owned(), value.into());
        }
        for column in table["columns"].as_array_mut().unwrap() {
            column.as_table_mut().unwrap().insert("description".to_owned(), "x".into());
        }
        let files = PipelineFiles::from([
            ("pipeline.toml".to_owned(), "name = \"test\"\ndescription = \"x\"".to_owned()),
            ("bronze/things.toml".to_owned(), source.to_string()),
            ("silver/things.toml".to_owned(), table.to_string()),
        ]);
        let pipeline = Pipeline::load(&files).unwrap_or_else(|error| panic!("{error}\n{table}"));
        let batch = TableFiles { schema: pipeline.sources["things"].schema.clone(), files: Vec::new() };
        Self { folder: tempfile::tempdir().unwrap(), table: pipeline.tables[0].clone(), batch }
    }

    /// Adds a file of bronze, `things_1.csv` first; lines have a cell per column, `-` is NULL.
    fn file(mut self, lines: &[&str]) -> Self {
        let cells: Vec<Vec<Option<&str>>> =
            lines.iter().map(|line| line.split('|').map(|cell| (cell != "-").then_some(cell)).collect()).collect();
        let number = self.batch.files.len() + 1;
        let name = format!("things_{number}.csv");
        let audit = ["_ingestion_timestamp", FILE, ROW, "_source_hash", RUN_ID, "_rescued_data"];
        let own = self.batch.schema.columns.iter().filter(|column| !audit.contains(&column.name.as_str()));
        let mut columns: Vec<Column> = own
            .enumerate()
            .map(|(place, column)| {
                let texts: Vec<Option<&str>> = cells.iter().map(|line| line[place]).collect();
                Column::new(column.name.as_str().into(), texts)
            })
            .collect();
        let text = |name: &str, text: String| Column::new(name.into(), vec![text; lines.len()]);
        let numbers: Vec<i64> = (1..).take(lines.len()).collect();
        columns.push(Column::new(audit[0].into(), numbers.clone()));
        columns.push(text(FILE, name.clone()));
        columns.push(Column::new(ROW.into(), numbers.clone()));
        columns.push(text("_source_hash", format!("hash of {name}")));
        columns.push(text(RUN_ID, format!("run of {name}")));
        columns.push(Column::new("_rescued_data".into(), numbers.iter().map(i64::to_string).collect::<Vec<_>>()));
        let path = self.folder.path().join(format!("bronze-{number}.parquet"));
        let mut frame = DataFrame::new(lines.len(), columns).unwrap();
        ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        self.batch.files.push(DataFile {
            location: Url::from_file_path(&path).unwrap(),
            partition_values: [].into(),
            rows: lines.len() as u64,
            bytes: path.metadata().unwrap().len(),
        });
        self
    }

    fn cleanse(&self) -> Result<Outcome, SilverError> {
        let area = self.folder.path().join("area");
        std::fs::create_dir_all(&area).unwrap();
        let Definition::Cleanse(definition) = &self.table.definition else { panic!("{:?}", self.table) };
        let (schema, batch) = (&self.table.schema, &self.batch);
        let task = CleanseTask { definition, schema, batch, batch_id: "batch-3", run_id: "run-7" };
        let report = task.stage(&Url::from_directory_path(&area).unwrap())?;
        let files = area.read_dir().unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
        let rows = files.iter().flat_map(|file| self.read(file)).collect();
        Ok(Outcome { rows, report, files: files.len() })
    }

    fn read(&self, path: &Path) -> Vec<String> {
        let frame = ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap();
        let names: Vec<&str> = self.table.schema.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(frame.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>(), names);
        let texts: Vec<Column> = frame.columns().iter().map(|column| column.cast(&DataType::String).unwrap()).collect();
        let (run, own) = texts.split_last().unwrap();
        assert!(run.str().unwrap().iter().all(|run| run == Some("run-7")));
        let cell = |row: usize| move |column: &Column| column.str().unwrap().get(row).unwrap_or("-").to_owned();
        (0..frame.height()).map(|row| own.iter().map(cell(row)).collect::<Vec<_>>().join("|")).collect()
    }
}

/// The outcome of one file.
fn cleansed(columns: &str, silver: &str, lines: &[&str]) -> Outcome {
    Things::new(columns, silver).file(lines).cleanse().unwrap()
}

/// rows_in = rows_out + duplicates + rejected + further + filtered, in that order; nothing is excluded.
fn sums([rows_in, rows_out, duplicates, rejected, further, filtered]: [u64; 6]) -> Sums {
    Sums { rows_in, rows_out, duplicates, rejected, further, filtered, excluded: 0 }
}

/// Rejects as `file:row rule column`.
fn rejected(report: &CleanseReport) -> Vec<String> {
    let text = |reject: &Reject| {
        let Reject { file, row, rule, column, .. } = reject;
        format!("{file}:{row} {rule} {}", column.as_deref().unwrap_or("-"))
    };
    report.rejects.iter().map(text).collect()
}

/// Findings as `rule column rows [samples]`.
fn findings(report: &CleanseReport) -> Vec<String> {
    let text = |finding: &RuleFinding| {
        let RuleFinding { rule, column, rows, samples } = finding;
        format!("{rule} {} {rows} [{}]", column.as_deref().unwrap_or("-"), samples.join("; "))
    };
    report.findings.iter().map(text).collect()
}

const AMOUNTS: &str = r#"
    key = ["id"]
    columns = [{ name = "id", type = "long", id = true }, { name = "amount", type = "long" }]
"#;
/// The fourth amount is missing, the sixth is no number: neither breaks a rule.
const SIX: [&str; 6] = ["1|5", "2|-1", "3|101", "4|-", "5|-2", "6|many"];

fn with_rules(rules: &[(&str, &str, &str)]) -> String {
    let rule = |(name, expression, severity): &(&str, &str, &str)| {
        format!("\n[[rules]]\nname = {name:?}\nexpression = {expression:?}\nseverity = {severity:?}\n")
    };
    format!("{AMOUNTS}{}", rules.iter().map(rule).collect::<String>())
}

#[test]
fn warnings_are_counted_and_broken_rows_of_severity_reject_set_aside() {
    let rules = with_rules(&[("positive", "amount >= 0", "warn"), ("plausible", "amount <= 100", "reject")]);
    let outcome = cleansed("id|amount", &rules, &SIX);
    assert_eq!(outcome.rows, ["1|5", "2|-1", "4|-", "5|-2", "6|-"]);
    assert_eq!(outcome.report.sums, sums([6, 5, 0, 1, 0, 0]));
    let expected = ["cast amount 1 [many]", "positive - 2 [things_1.csv record 2; things_1.csv record 5]"];
    assert_eq!(findings(&outcome.report), expected);
    let reject = Reject {
        batch_id: "batch-3".to_owned(),
        source: "things".to_owned(),
        file: "things_1.csv".to_owned(),
        row: 3,
        column: None,
        rule: "plausible".to_owned(),
        reason: "does not satisfy amount <= 100".to_owned(),
        raw: r#"{"id":"3","amount":"101"}"#.to_owned(),
    };
    assert_eq!(outcome.report.rejects, [reject]);
}

#[test]
fn rules_see_what_the_rules_before_them_left() {
    let (strict, warn) = (("strict", "amount >= 0", "reject"), ("positive", "amount >= 0", "warn"));
    let outcome = cleansed("id|amount", &with_rules(&[strict, warn, ("sure", "amount >= 0", "fail")]), &SIX);
    assert_eq!(outcome.rows, ["1|5", "3|101", "4|-", "6|-"]);
    assert_eq!(findings(&outcome.report), ["cast amount 1 [many]"]);
    assert_eq!(rejected(&outcome.report), ["things_1.csv:2 strict -", "things_1.csv:5 strict -"]);
    let outcome = cleansed("id|amount", &with_rules(&[warn, strict]), &SIX);
    assert_eq!(findings(&outcome.report).len(), 2);
    let outcome = cleansed("id|amount", &with_rules(&[("never", "1 = 2", "reject"), strict]), &SIX);
    assert_eq!((outcome.files, outcome.report.sums), (0, sums([6, 0, 0, 6, 0, 0])));
}

#[test]
fn a_broken_rule_of_severity_fail_fails_with_its_place_and_writes_nothing() {
    let things =
        Things::new("id|amount", &with_rules(&[("positive", "amount >= 0", "fail")])).file(&["0|0"]).file(&SIX);
    let error = things.cleanse().unwrap_err();
    let SilverError::RuleFailed { rule, rows, place, .. } = &error else { panic!("{error}") };
    assert_eq!((rule.as_str(), *rows, place.as_str()), ("positive", 2, "things_2.csv record 2"));
    assert_eq!(things.folder.path().join("area").read_dir().unwrap().count(), 0);
    let outcome = cleansed("id|amount", &with_rules(&[("small", "amount < 102", "fail")]), &SIX);
    assert_eq!(outcome.report.sums, sums([6, 6, 0, 0, 0, 0]));
}

#[test]
fn keys_are_required_and_other_columns_where_declared() {
    let silver = r#"
        key = ["id", "part"]
        columns = [
            { name = "id", type = "long", id = true },
            { name = "part", type = "long", required = false },
            { name = "note", type = "text", required = true },
        ]
    "#;
    let lines = ["-|1|a", "x|1|a", "-1|1|a", "2147483648|1|a", "2147483647|1|a", "0|-|a", "1|1| ", " | |"];
    let outcome = cleansed("id|part|note", silver, &lines);
    assert_eq!(outcome.rows, ["2147483647|1|a", "0|-|a"]);
    assert_eq!(outcome.report.sums, sums([8, 2, 0, 6, 0, 0]));
    // The last row lacks the key and the note; it is set aside once.
    let of = |rows: &[i64], column: &str| {
        rows.iter().map(|row| format!("things_1.csv:{row} required {column}")).collect::<Vec<_>>()
    };
    assert_eq!(rejected(&outcome.report), [of(&[1, 2, 3, 4, 8], "id"), of(&[7], "note")].concat());
    assert_eq!(findings(&outcome.report), ["cast id 3 [x; -1; 2147483648]"]);
    assert_eq!(outcome.report.rejects[0].reason, "id is missing or not readable as long");
}

#[test]
fn rejects_keep_the_row_as_it_arrived() {
    let silver = r#"
        key = ["id"]
        columns = [{ name = "id", type = "long", from = "number" }]
    "#;
    let long = "é".repeat(40_000);
    let second = format!("x|{long}|-");
    let outcome = Things::new("note|number|extra", silver)
        .file(&["a|1|b"])
        .file(&["he said \"no\"\n| \t|7", "-| 3 |-", "--|none|-"])
        .file(&[&second])
        .cleanse()
        .unwrap();
    assert_eq!(outcome.rows, ["1", "3"]);
    let rejects = &outcome.report.rejects;
    let expected = ["things_2.csv:1 required id", "things_2.csv:3 required id", "things_3.csv:1 required id"];
    assert_eq!(rejected(&outcome.report), expected);
    assert_eq!(rejects[0].raw, r#"{"note":"he said \"no\"\n","number":" \t","extra":"7"}"#);
    assert_eq!(rejects[1].raw, r#"{"note":"--","number":"none"}"#);
    // 22 bytes stand before the first of two-byte letters, which is cut nowhere.
    let raw = &rejects[2].raw;
    assert!(raw.starts_with(r#"{"note":"x","number":"é"#) && raw.ends_with('é'));
    assert_eq!(raw.len(), 65_536);
}

const ASSIGNMENTS: &str = r#"
    key = ["id"]
    keep = { lowest = "assignment" }
    columns = [
        { name = "id", type = "long" },
        { name = "assignment", type = "long" },
        { name = "note", type = "text" },
    ]
"#;

#[test]
fn the_lowest_value_stays_and_rows_with_the_same_value_share_a_key() {
    let lines = [
        // 10 is the lowest; of its two rows the last stays.
        "1|20|a", "1|10|b", "1|-|c", "1|10|d", // Missing values come last, and are one value.
        "2|-|e", "3|-|f", "3|-|g", // Exactly the same.
        "4|5|h", "4|5|h", // 9 is not the lowest, but its first row shares a key as well.
        "5|9|i", "5|9|j", "5|8|k", // Lowest by number, not by text; negative numbers too.
        "6|10|l", "6|9|m", "6|-9|n",
    ];
    let outcome = cleansed("id|assignment|note", ASSIGNMENTS, &lines);
    assert_eq!(outcome.rows, ["1|10|d", "2|-|e", "3|-|g", "4|5|h", "5|8|k", "6|-9|n"]);
    // Further: a, c, j, l, m.
    assert_eq!(outcome.report.sums, sums([15, 6, 1, 3, 5, 0]));
    let mut rejects = rejected(&outcome.report);
    rejects.sort();
    let of = |row: i64| format!("things_1.csv:{row} duplicate_key -");
    assert_eq!(rejects, [of(10), of(2), of(6)]);
}

#[test]
fn of_rows_with_one_key_the_last_that_is_no_exact_duplicate_stays() {
    let silver = r#"
        key = ["id"]
        columns = [{ name = "id", type = "long" }, { name = "note", type = "text" }]
    "#;
    for (lines, stays, duplicates, rows) in [
        (["1|A", "1|B", "1|A"].as_slice(), "1|B", 1, [1].as_slice()),
        (&["1|A", "1|A", "1|B"], "1|B", 1, &[1]),
        (&["1|B", "1|A", "1|A"], "1|A", 1, &[1]),
        (&["1|A", "1|B", "1|A", "1|B"], "1|B", 2, &[1]),
        (&["1|A", "1|B", "1|C", "1|A"], "1|C", 1, &[1, 2]),
        (&["1|-", "1|A", "1|-"], "1|A", 1, &[1]),
        (&["1|A", "1|-"], "1|-", 0, &[1]),
        (&["1|A", " 1 | A"], "1|A", 1, &[]),
    ] {
        let outcome = cleansed("id|note", silver, lines);
        assert_eq!(outcome.rows, [stays], "{lines:?}");
        let (all, set_aside) = (lines.len() as u64, rows.len() as u64);
        assert_eq!(outcome.report.sums, sums([all, 1, duplicates, set_aside, 0, 0]), "{lines:?}");
        let expected: Vec<String> = rows.iter().map(|row| format!("things_1.csv:{row} duplicate_key -")).collect();
        assert_eq!(rejected(&outcome.report), expected, "{lines:?}");
    }
    let outcome = cleansed("id|note", silver, &["1|A", "1|B"]);
    assert_eq!(outcome.report.rejects[0].reason, "a later row of the export has the same id");
}

#[test]
fn without_a_key_only_exact_duplicates_go_whatever_their_audit_columns() {
    let silver = r#"
        columns = [{ name = "id", type = "long" }, { name = "note", type = "text" }]
    "#;
    let outcome = Things::new("id|note|extra", silver)
        .file(&["1|A|x", "1|B|x", "-|-|x", "2|-|x"])
        .file(&["01| A|x", "-||x", "2|-|x", "1|a|x"])
        .cleanse()
        .unwrap();
    assert_eq!(outcome.rows, ["1|A", "1|B", "-|-", "2|-", "1|a"]);
    assert_eq!(outcome.report.sums, sums([8, 5, 3, 0, 0, 0]));
}

#[test]
fn rows_for_which_where_does_not_hold_belong_elsewhere() {
    let silver = r#"
        key = ["id"]
        where = "part IS NOT NULL AND part <> 9"
        columns = [{ name = "id", type = "long" }, { name = "part", type = "long" }]
    "#;
    // The last two: not of this table, so neither a missing key nor a duplicate.
    let outcome = cleansed("id|part", silver, &["1|1", "2|-", "3|9", "4|x", "-|1", "1|2", "-|9", "1|9"]);
    assert_eq!(outcome.rows, ["1|2"]);
    assert_eq!(outcome.report.sums, sums([8, 1, 0, 2, 0, 5]));
    let unknown = r#"
        where = "part > 1"
        columns = [{ name = "part", type = "long" }]
    "#;
    assert_eq!(cleansed("part", unknown, &["1", "2", "-", "3"]).rows, ["2", "3"]);
}

#[test]
fn markers_are_missing_values_before_values_are_mapped_and_compared() {
    let silver = r#"
        null_markers = ["N/A", "1900-01-01"]
        columns = [
            { name = "status", type = "text", values = { Done = "Complete", none = "N/A", "N/A" = "Complete" },
              known_values = ["Complete", "Open"] },
            { name = "size", type = "long", values = { one = "1" }, null_markers = ["0"] },
            { name = "note", type = "text" },
        ]
    "#;
    let lines = [
        " Done |one|NULL",
        " N/A |0| 0 ",
        "none|00|N/A",
        "done|1900-01-01|n/a",
        "Complete|2|1900-01-01",
        "done| one |\u{2003}x\u{a0}",
    ];
    let outcome = cleansed("status|size|note", silver, &lines);
    let expected = ["Complete|1|NULL", "-|-|0", "N/A|0|-", "done|-|n/a", "Complete|2|-", "done|1|x"];
    assert_eq!(outcome.rows, expected);
    assert_eq!(findings(&outcome.report), ["known_values status 3 [N/A; done]"]);
}

#[test]
fn date_keys_are_the_day_and_never_missing() {
    let silver = r#"
        key = ["id"]
        columns = [
            { name = "id", type = "long" },
            { name = "made", type = "timestamp", date_key = true, null_markers = ["1900-01-01"] },
            { name = "day", type = "date" },
        ]
    "#;
    let lines = [
        "1|29/02/2024, 23:59:59|29/02/2024, 23:59:59",
        "2|-|-",
        "3|1900-01-01|1900-01-01",
        "4|30/02/2024, 00:00:00|31/12/1969, 23:59:59",
        "5|31/12/1969, 23:59:59|2024-02-29",
        "6|01/01/1899, 00:00:01|01/01/1970, 00:00:00",
    ];
    let outcome = cleansed("id|made|day", silver, &lines);
    let expected = [
        "1|2024-02-29 23:59:59.000000|2024-02-29|2024-02-29",
        "2|-|1900-01-01|-",
        "3|-|1900-01-01|1900-01-01",
        "4|-|1900-01-01|1969-12-31",
        "5|1969-12-31 23:59:59.000000|1969-12-31|2024-02-29",
        "6|1899-01-01 00:00:01.000000|1899-01-01|1970-01-01",
    ];
    assert_eq!(outcome.rows, expected);
    assert_eq!(findings(&outcome.report), ["cast made 1 [30/02/2024, 00:00:00]"]);
}

#[test]
fn hashes_are_of_the_cleansed_text() {
    let silver = r#"
        columns = [
            { name = "title", type = "text", values = { alphabet = "abc" } },
            { name = "title_id", type = "long", hash_of = "title" },
        ]
    "#;
    // SHA-256 begins with ba7816bf8f01cfea for "abc" (FIPS 180-2), with 2cf24dba5fb0a30e for "hello".
    let abc = 0xba78_16bf_8f01_cfea_u64 >> 1;
    let hello = 0x2cf2_4dba_5fb0_a30e_u64 >> 1;
    let outcome = cleansed("title", silver, &[" abc ", "hello", "-", "alphabet", " "]);
    assert_eq!(outcome.rows, [format!("abc|{abc}"), format!("hello|{hello}"), "-|-".to_owned()]);
    assert_eq!(outcome.report.sums, sums([5, 3, 2, 0, 0, 0]));
}

#[test]
fn the_last_file_of_a_batch_is_the_last_in_order() {
    let silver = r#"
        key = ["id"]
        columns = [{ name = "id", type = "long" }, { name = "note", type = "text" }]
    "#;
    let outcome = Things::new("id|note", silver)
        .file(&["1|first", "2|first", "3|first"])
        .file(&[])
        .file(&["3|third", "4|third", "1|first"])
        .file(&["2|fourth", "-|fourth"])
        .cleanse()
        .unwrap();
    assert_eq!(outcome.rows, ["1|first", "3|third", "4|third", "2|fourth"]);
    assert_eq!(outcome.report.sums, sums([8, 4, 1, 3, 0, 0]));
    let expected = ["things_4.csv:2 required id", "things_1.csv:2 duplicate_key -", "things_1.csv:3 duplicate_key -"];
    assert_eq!(rejected(&outcome.report), expected);
    let raw: Vec<&str> = outcome.report.rejects.iter().map(|reject| reject.raw.as_str()).collect();
    assert_eq!(raw, [r#"{"note":"fourth"}"#, r#"{"id":"2","note":"first"}"#, r#"{"id":"3","note":"first"}"#]);
}

#[test]
fn nothing_gives_nothing() {
    let rules = r#"
        where = "amount IS NULL OR amount > 0"
        keep = { lowest = "amount" }
        key = ["id"]
        columns = [
            { name = "id", type = "long" },
            { name = "amount", type = "long" },
            { name = "made", type = "timestamp", date_key = true },
            { name = "note", type = "text", known_values = ["a"] },
            { name = "note_id", type = "long", hash_of = "note" },
        ]
        rules = [
            { name = "a", expression = "amount >= 0", severity = "fail" },
            { name = "b", expression = "1 = 2", severity = "fail" },
            { name = "c", expression = "note <> 'a'", severity = "reject" },
        ]
    "#;
    let things = || Things::new("id|amount|made|note", rules);
    for things in [things(), things().file(&[]), things().file(&[]).file(&[])] {
        let outcome = things.cleanse().unwrap();
        assert_eq!((outcome.rows.len(), outcome.files), (0, 0));
        assert_eq!(outcome.report.sums, sums([0; 6]));
        assert!(outcome.report.findings.is_empty() && outcome.report.rejects.is_empty());
    }
}
