//! Drop folder in, tables out: every case of the fixtures through the whole program.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::case::Case;
use crate::project::{Project, fixture};
use crate::rows::{Published, Rows};

const REJECTED: [&str; 4] = ["source", "row", "column", "rule"];

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        const CASES: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                check(&Case::read(stringify!($name)));
            }
        )+
    };
}

cases!(
    deep_hierarchy,
    empty_required_file,
    encodings,
    fiscal_july,
    fiscal_march,
    hierarchy,
    missing_column,
    missing_required,
    silver_overrides,
    silver_rules,
    star,
);

#[test]
fn every_case_of_the_fixtures_is_tried() {
    let folders = fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path());
    let cases = folders.filter(|path| path.join("case.toml").exists());
    let found: BTreeSet<String> = cases.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(found, CASES.iter().map(|name| (*name).to_owned()).collect());
    for case in CASES.iter().map(|name| Case::read(name)) {
        assert!(!case.file.description.is_empty() && !case.file.rules.is_empty(), "{}", case.name);
    }
}

fn check(case: &Case) {
    let project = case.project();
    let answer = project.run(&case.name, &case.file.as_of);
    if let Some(code) = case.file.exit {
        let parts: Vec<&str> = case.file.message_contains.iter().map(String::as_str).collect();
        assert!(!parts.is_empty(), "case.toml does not tell what the message contains");
        answer.exits(code).says(&parts).says(&[&case.name]);
        check_nothing_is_published(case, &project);
        return;
    }
    answer.exits(0);
    let published = Published::open(&project.lake(), &case.name);
    let expected = case.expected();
    assert!(!expected.is_empty(), "the case expects no table");
    let mut differences = String::new();
    for (table, rows) in &expected {
        match published.rows(table, &rows.columns) {
            Ok(found) => note(&mut differences, table, rows.difference(&found)),
            Err(error) => note(&mut differences, table, Some(format!("      {error}\n"))),
        }
    }
    note(&mut differences, "rejected rows", difference_of_rejects(case, &published));
    note(&mut differences, "run_results.json", difference_of_sums(case, &project));
    note(&mut differences, "rules of run_results.json", difference_of_rules(case, &project, &published));
    assert!(differences.is_empty(), "{}: (- expected and missing, + found and not expected)\n{differences}", case.name);
}

fn note(differences: &mut String, table: &str, difference: Option<String>) {
    if let Some(difference) = difference {
        let _ = writeln!(differences, "  {table}\n{difference}");
    }
}

/// Bronze may have taken in what arrived; silver and gold may not show anything.
fn check_nothing_is_published(case: &Case, project: &Project) {
    assert_eq!(project.releases(&case.name), [0_u64; 0]);
    let visible = Published::open(&project.lake(), &case.name).names();
    assert!(visible.iter().all(|table| table.starts_with("bronze.")), "{visible:?}");
    for layer in ["silver", "gold"] {
        let Ok(tables) = fs::read_dir(project.lake().join(&case.name).join(layer)) else { continue };
        for table in tables.map(|table| table.unwrap().path()) {
            assert!(!table.join("_delta_log").exists(), "{} has a commit", table.display());
        }
    }
}

/// A case without a list of rejected rows has none. An empty column says nothing about the column.
fn difference_of_rejects(case: &Case, published: &Published) -> Option<String> {
    let columns = REJECTED.map(str::to_owned);
    let expected = case.rejected().unwrap_or(Rows { columns: columns.to_vec(), rows: Vec::new() });
    assert_eq!(expected.columns, columns);
    let open: BTreeSet<_> = expected.rows.iter().filter(|row| row[2].is_none()).cloned().collect();
    let mut found = match published.rows("bronze.rejected_rows", &columns) {
        Ok(found) => found,
        Err(error) => return Some(format!("      {error}\n")),
    };
    for row in &mut found.rows {
        let without_column = vec![row[0].clone(), row[1].clone(), None, row[3].clone()];
        if open.contains(&without_column) {
            *row = without_column;
        }
    }
    expected.difference(&found)
}

/// Duplicates and further assignments as the case counts them, and every sum that has to add up.
fn difference_of_sums(case: &Case, project: &Project) -> Option<String> {
    let results = project.results(&case.name, 1);
    let mut text = String::new();
    let counted = [
        ("duplicates", &case.file.duplicates),
        ("further", &case.file.further_assignments),
        ("excluded", &case.file.excluded),
    ];
    for (sum, expected) in counted {
        for (source, expected) in expected {
            let table = &results["tables"][format!("silver.{source}")];
            // null_dates has no silver table of its own, so nothing of it can be a duplicate.
            let found = if table.is_null() { Some(0) } else { table["sums"][sum].as_u64() };
            if found != Some(*expected) {
                let _ = writeln!(text, "      {sum} of silver.{source}: expected {expected}, found {found:?}");
            }
        }
    }
    for (table, result) in results["tables"].as_object().unwrap() {
        let number = |of: &Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{table} has no {name}"));
        let (sums, parts) = match &result["sums"] {
            Value::Null if table.starts_with("bronze.") => (result, ["rows_out", "rejected"].as_slice()),
            Value::Null => continue,
            sums => (sums, ["rows_out", "duplicates", "rejected", "further", "filtered", "excluded"].as_slice()),
        };
        let (whole, sum) = (number(sums, "rows_in"), parts.iter().map(|part| number(sums, part)).sum::<u64>());
        if whole != sum {
            let _ = writeln!(text, "      {table}: {whole} rows in, but {parts:?} are {sum}");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// What each rule touched, and how many records all layers set aside.
fn difference_of_rules(case: &Case, project: &Project, published: &Published) -> Option<String> {
    let results = project.results(&case.name, 1);
    let mut text = String::new();
    for (table, expected) in &case.file.touched {
        let name = |rule: &Value| match rule["column"].as_str() {
            Some(column) => format!("{} {column}", rule["rule"].as_str().unwrap()),
            None => rule["rule"].as_str().unwrap().to_owned(),
        };
        let rules = results["tables"][table]["rules"].as_array().unwrap();
        let found = rules.iter().map(|rule| (name(rule), rule["rows"].as_u64().unwrap())).collect();
        if *expected != found {
            let _ = writeln!(text, "      {table}: expected {expected:?}\n        found {found:?}");
        }
    }
    let set_aside: u64 =
        results["layer_rejected"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    let kept = published.number("SELECT count(*) FROM bronze.rejected_rows");
    if i64::try_from(set_aside).unwrap() != kept {
        let _ = writeln!(text, "      layers set {set_aside} records aside, bronze.rejected_rows has {kept}");
    }
    (!text.is_empty()).then_some(text)
}
