//! What came of a night, against what the case expects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::expectation::{Cell, Night, Rejected, SetAside, Source};
use super::results::{FileResult, LeftFile, Results, TableResult};
use crate::rows::{Published, Row, Rows};

/// The rules of `docs/arrivals.md` under which records are set aside while files are parsed.
const PARSE_RULES: [&str; 6] =
    ["field_count", "open_quote", "stray_quote", "stray_carriage_return", "nul_byte", "encoding"];

/// Tables of silver and gold by name, without the columns that begin with `_`.
pub(super) type Contents = BTreeMap<String, Rows>;

/// The tables that differ, and how.
pub(super) fn differing(expected: &Contents, found: &Contents) -> BTreeMap<String, String> {
    let tables: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let difference = |table: &String| match (expected.get(table), found.get(table)) {
        (Some(expected), Some(found)) if expected.columns == found.columns => expected.difference(found),
        (Some(expected), Some(found)) => Some(format!("columns {:?}, not {:?}", found.columns, expected.columns)),
        (Some(_), None) => Some("is not there".to_owned()),
        (None, _) => Some("should not be there".to_owned()),
    };
    tables.into_iter().filter_map(|table| Some((table.clone(), difference(table)?))).collect()
}

/// A night's results and tables, and what is wrong with them.
pub(super) struct Check<'a> {
    pub(super) night: &'a Night,
    pub(super) results: &'a Results,
    pub(super) published: &'a Published,
    pub(super) problems: Vec<String>,
}

impl Check<'_> {
    /// Files that were left, and every source.
    pub(super) fn arrivals(&mut self) {
        let (night, results) = (self.night, self.results);
        self.left("waiting", night.waiting.as_deref(), &results.waiting_files);
        self.left("refused", night.refused.as_deref(), &results.refused_files);
        let mut unclaimed = results.unclaimed_files.clone();
        unclaimed.sort();
        if let Some(expected) = self.unless_failed(night.unclaimed.clone()) {
            self.equal("unclaimed files", &expected, &unclaimed);
        }
        for source in night.sources.keys().filter(|source| !results.tables.contains_key(&format!("bronze.{source}"))) {
            self.problems.push(format!("the results know no bronze.{source}"));
        }
        let nothing = Source::default();
        for (table, result) in &results.tables {
            let Some(source) = table.strip_prefix("bronze.") else { continue };
            match (night.sources.get(source), night.exit) {
                (Some(expected), _) => self.source(source, expected, result),
                (None, 0) => self.source(source, &nothing, result),
                (None, _) => {}
            }
        }
    }

    /// What is not given is empty, unless the run has to fail: then it does not matter.
    fn unless_failed<T>(&self, expected: Option<Vec<T>>) -> Option<Vec<T>> {
        expected.or_else(|| (self.night.exit == 0).then(Vec::new))
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.problems.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    fn left(&mut self, what: &str, expected: Option<&[SetAside]>, found: &[LeftFile]) {
        let expected = match expected {
            Some(expected) => expected,
            None if self.night.exit == 0 => &[],
            None => return,
        };
        let name = |one: &SetAside| (one.source.clone(), one.file.clone());
        let expected_names: BTreeSet<_> = expected.iter().map(name).collect();
        let found_names = found.iter().map(|one| (one.source.clone(), one.name.clone())).collect();
        self.equal(&format!("{what} files"), &expected_names, &found_names);
        for one in expected {
            let reasons = found.iter().filter(|left| left.name == one.file).map(|left| &left.reason);
            for reason in reasons.filter(|reason| !reason.contains(&one.reason_contains)) {
                self.problems.push(format!("{what} {}: no '{}' in '{reason}'", one.file, one.reason_contains));
            }
        }
    }

    fn source(&mut self, source: &str, expected: &Source, result: &TableResult) {
        let table = format!("bronze.{source}");
        if let Some(status) = &expected.status {
            self.equal(&format!("status of {table}"), status, &result.status);
        }
        if let Some(batches) = expected.batches {
            self.equal(&format!("new batches of {table}"), &batches, &result.new_batches.len());
        }
        if let Some(records) = expected.records {
            let found = result.files.iter().map(|file| file.records).sum();
            self.equal(&format!("records of {table}"), &records, &found);
        }
        if let Some(rows) = expected.rows {
            self.equal(&format!("rows of {table}"), &rows, &self.published.version_and_rows(&table).1);
        }
        if let Some(rows) = expected.all_rows {
            let found = self.rows(&table, &["_source_row"]).len();
            self.equal(&format!("rows of all batches of {table}"), &rows, &found);
        }
        for file in result.files.iter().filter(|_| expected.encoding.is_some()) {
            self.equal(&format!("encoding of {}", file.name), &expected.encoding, &file.encoding);
        }
        self.drift(&table, expected, &result.files);
        let rejects = self.rejects(source, &expected.rejected);
        self.conservation(&table, &result.files, &rejects);
        expected.cells.iter().for_each(|cell| self.cell(&table, cell));
    }

    fn drift(&mut self, table: &str, expected: &Source, files: &[FileResult]) {
        let added = files.iter().flat_map(|file| &file.added_columns);
        let added = added.map(|added| (added.header.clone(), added.column.clone())).collect();
        self.equal(&format!("added columns of {table}"), &expected.added_columns, &added);
        let renamed = files.iter().flat_map(|file| &file.renamed_headers);
        let renamed = renamed.map(|renamed| (renamed.expected.clone(), renamed.found.clone())).collect();
        self.equal(&format!("renamed headers of {table}"), &expected.renamed_headers, &renamed);
        let rescued = files.iter().flat_map(|file| file.rescued_columns.clone()).collect();
        self.equal(&format!("rescued columns of {table}"), &expected.rescued_columns, &rescued);
        let missing = files.iter().flat_map(|file| file.missing_columns.clone()).collect();
        self.equal(&format!("missing columns of {table}"), &expected.missing_columns, &missing);
        let reordered = files.iter().any(|file| file.reordered);
        self.equal(&format!("whether {table} is reordered"), &expected.reordered, &reordered);
        let suspicious = files.iter().flat_map(|file| file.suspicious_records.clone()).collect();
        self.equal(&format!("suspicious records of {table}"), &expected.suspicious_records, &suspicious);
    }

    /// What parsing set aside of a source in this run; returns how many records of each file.
    fn rejects(&mut self, source: &str, expected: &[Rejected]) -> BTreeMap<String, u64> {
        let columns = ["run_id", "source", "rule", "file", "row", "reason", "raw"];
        let rows = self.rows("bronze.rejected_rows", &columns);
        let text = |row: &Row, place: usize| row[place].clone().unwrap_or_default();
        let of_this_run = |row: &Row| text(row, 0) == self.results.run_id && text(row, 1) == source;
        let parsing = |row: &Row| PARSE_RULES.contains(&text(row, 2).as_str());
        let mut rows: Vec<Row> = rows.into_iter().filter(|row| of_this_run(row) && parsing(row)).collect();
        rows.sort_by_key(|row| (text(row, 3), text(row, 4).parse::<u64>().unwrap()));
        let rules = |row: &Row| (text(row, 4).parse::<u64>().unwrap(), text(row, 2));
        let expected_rules: Vec<(u64, String)> = expected.iter().map(|one| (one.row, one.rule.clone())).collect();
        let found = rows.iter().map(rules).collect();
        self.equal(&format!("records of {source} that are set aside"), &expected_rules, &found);
        for (expected, row) in expected.iter().zip(&rows) {
            for (part, place) in [(&expected.reason_contains, 5), (&expected.raw_contains, 6)] {
                if !text(row, place).contains(part.as_str()) {
                    self.problems.push(format!("{source}, {}: no {part:?} in {:?}", expected.row, text(row, place)));
                }
            }
        }
        let mut counts = BTreeMap::new();
        rows.iter().for_each(|row| *counts.entry(text(row, 3)).or_default() += 1);
        counts
    }

    /// Each file's records are its rows and what was set aside of it.
    fn conservation(&mut self, table: &str, files: &[FileResult], rejects: &BTreeMap<String, u64>) {
        if files.is_empty() {
            return;
        }
        let rows = self.rows(table, &["_run_id", "_source_file"]);
        for file in files {
            let is_its_own =
                |row: &&Row| row[0].as_ref() == Some(&self.results.run_id) && row[1].as_ref() == Some(&file.name);
            let taken = rows.iter().filter(is_its_own).count() as u64;
            let set_aside = rejects.get(&file.name).copied().unwrap_or(0);
            self.equal(&format!("records of {}", file.name), &file.records, &(taken + set_aside));
            self.equal(&format!("rejected of {}", file.name), &file.rejected, &set_aside);
        }
    }

    fn cell(&mut self, table: &str, cell: &Cell) {
        let rows = self.rows(table, &["_source_row", "_source_file", "_run_id", &cell.column]);
        let is_it = |row: &&Row| {
            let of_file = cell.file.as_ref().is_none_or(|file| row[1].as_ref() == Some(file));
            let of_run = cell.file.is_some() || row[2].as_ref() == Some(&self.results.run_id);
            row[0] == Some(cell.row.to_string()) && of_file && of_run
        };
        let found: Vec<&Row> = rows.iter().filter(is_it).collect();
        let [row] = found.as_slice() else {
            self.problems.push(format!("{table} has {} rows {} to look at", found.len(), cell.row));
            return;
        };
        let what = format!("{} in row {} of {table}", cell.column, cell.row);
        if cell.column == "_rescued_data" {
            let json = |text: &Option<String>| text.as_ref().map(|text| serde_json::from_str::<Value>(text).unwrap());
            self.equal(&what, &json(&cell.text), &json(&row[3]));
        } else {
            self.equal(&what, &cell.text, &row[3]);
        }
    }

    fn rows(&mut self, table: &str, columns: &[&str]) -> Vec<Row> {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        match self.published.rows(table, &columns) {
            Ok(rows) => rows.rows,
            Err(error) => {
                self.problems.push(format!("{table}: {error}"));
                Vec::new()
            }
        }
    }
}

/// A list of problems as text.
pub(super) fn listed(problems: &[String]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "  {}", problem.trim_end());
        text
    })
}
