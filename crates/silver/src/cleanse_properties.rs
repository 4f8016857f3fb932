//! Random tables against rules 1 to 8 written down a second time, with vectors and loops.

use std::collections::BTreeMap;

use medallion_pipeline::definition::{Excluded, ExcludedValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What varies between definitions.
#[derive(Debug, Clone)]
struct Plan {
    key: &'static [&'static str],
    part_required: Option<bool>,
    amount_required: bool,
    keeps_lowest: bool,
    filters: bool,
    accepts_decimal_point: bool,
    severities: [&'static str; 2],
    excludes: bool,
}

impl Plan {
    fn keeps_lowest(&self) -> bool {
        self.keeps_lowest && self.key == ["thing"]
    }

    fn requires(&self, column: &str) -> bool {
        match column {
            "part" => self.part_required.unwrap_or(self.key.contains(&"part")),
            "amount" => self.amount_required,
            other => self.key.contains(&other),
        }
    }

    fn toml(&self) -> String {
        let Self { key, amount_required, severities: [first, second], .. } = self;
        let part = self.part_required.map_or(String::new(), |required| format!(", required = {required}"));
        let accept = if self.accepts_decimal_point { ", accept = [\"decimal_point\"]" } else { "" };
        let keep = if self.keeps_lowest() { "keep = { lowest = \"part\" }" } else { "" };
        let filter = if self.filters { "where = \"part IS NOT NULL OR code = 'A'\"" } else { "" };
        format!(
            "key = {key:?}\n{keep}\n{filter}\nnull_markers = [\"N/A\"]\n\
             columns = [{{ name = \"thing\", type = \"long\", id = true }},\n\
             {{ name = \"part\", type = \"long\"{part} }},\n\
             {{ name = \"code\", type = \"text\", values = {{ old = \"A\" }}, known_values = [\"A\", \"B\"] }},\n\
             {{ name = \"amount\", type = \"long\", required = {amount_required}, null_markers = [\"0\"]{accept} }}]\n\
             [[rules]]\nname = \"enough\"\nexpression = \"amount >= part\"\nseverity = \"{first}\"\n\
             [[rules]]\nname = \"no_b\"\nexpression = \"code <> 'B' OR amount IS NULL\"\nseverity = \"{second}\"\n"
        )
    }
}

impl Plan {
    /// What the customer leaves out.
    fn excluded(&self) -> Vec<Excluded> {
        if !self.excludes {
            return Vec::new();
        }
        vec![
            Excluded { column: "part".to_owned(), values: vec![ExcludedValue::Long(10)] },
            Excluded { column: "code".to_owned(), values: vec![ExcludedValue::Text("Z".to_owned())] },
        ]
    }
}

/// A row of the reference.
#[derive(Debug, Clone)]
struct Thing {
    place: String,
    thing: Option<i64>,
    part: Option<i64>,
    code: Option<String>,
    amount: Option<i64>,
}

impl Thing {
    fn text(&self) -> String {
        let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
        let code = self.code.clone().unwrap_or("-".to_owned());
        format!("{}|{}|{code}|{}", number(self.thing), number(self.part), number(self.amount))
    }

    fn key(&self, plan: &Plan) -> (Option<i64>, Option<i64>) {
        (self.thing, if plan.key.contains(&"part") { self.part } else { None })
    }
}

/// What must come out.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    rows: Vec<String>,
    /// As [`Sums`] has them.
    sums: [u64; 7],
    rejects: Vec<String>,
    findings: BTreeMap<String, u64>,
    /// Rows by rule and column.
    counts: BTreeMap<String, u64>,
}

impl Expected {
    fn reject(&mut self, thing: &Thing, rule: &str, column: &str) {
        self.count(rule, column);
        self.sums[3] += 1;
        self.rejects.push(format!("{} {rule} {column}", thing.place));
    }

    fn find(&mut self, rule: &str, column: &str) {
        self.count(rule, column);
        *self.findings.entry(format!("{rule} {column}")).or_default() += 1;
    }

    fn count(&mut self, rule: &str, column: &str) {
        *self.counts.entry(format!("{rule} {column}")).or_default() += 1;
    }

    fn tidy(&mut self, column: &str, cell: &str, markers: &[&str]) -> Option<String> {
        let text: String = cell.chars().skip_while(|letter| letter.is_whitespace()).collect();
        let mut letters: Vec<char> = text.chars().collect();
        while letters.last().is_some_and(|letter| letter.is_whitespace()) {
            letters.pop();
        }
        let text: String = letters.into_iter().collect();
        if cell == "-" {
            return None;
        }
        if text != cell {
            self.count("trim", column);
        }
        if markers.contains(&text.as_str()) {
            self.count("null_marker", column);
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    fn number(&mut self, column: &str, text: Option<String>, decimal_point: bool, id: bool) -> Option<i64> {
        let text = text?;
        let plain = if decimal_point { text.strip_suffix(".0").unwrap_or(&text) } else { &text };
        let digits = plain.strip_prefix('-').unwrap_or(plain);
        let whole = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
        let value: Option<i64> = if whole { Some(plain.parse().unwrap()) } else { None };
        let value = value.filter(|value| !id || (*value >= 0 && *value < 1 << 31));
        if value.is_none() {
            self.find("cast", column);
        }
        value
    }

    fn typed(&mut self, plan: &Plan, place: String, line: &str) -> Thing {
        let cells: Vec<&str> = line.split('|').collect();
        let [thing, part, code] = [("thing", 0), ("part", 1), ("code", 2)]
            .map(|(column, place): (&str, usize)| self.tidy(column, cells[place], &["N/A"]));
        let thing = self.number("thing", thing, false, true);
        let part = self.number("part", part, false, false);
        if code.as_deref() == Some("old") {
            self.count("values", "code");
        }
        let code = code.map(|code| if code == "old" { "A".to_owned() } else { code });
        if code.as_deref().is_some_and(|code| code != "A" && code != "B") {
            self.find("known_values", "code");
        }
        let amount = self.tidy("amount", cells[3], &["N/A", "0"]);
        let amount = self.number("amount", amount, plan.accepts_decimal_point, false);
        Thing { place, thing, part, code, amount }
    }

    fn keeps(&mut self, plan: &Plan, thing: &Thing) -> bool {
        let excluded = [("part", thing.part == Some(10)), ("code", thing.code.as_deref() == Some("Z"))];
        if let Some((column, _)) = excluded.into_iter().find(|(_, excluded)| plan.excludes && *excluded) {
            self.sums[6] += 1;
            self.count("exclude", column);
            return false;
        }
        if plan.filters && thing.part.is_none() && thing.code.as_deref() != Some("A") {
            self.sums[5] += 1;
            self.count("where", "-");
            return false;
        }
        true
    }

    fn has_required(&mut self, plan: &Plan, thing: &Thing) -> bool {
        let missing = [
            ("thing", thing.thing.is_none()),
            ("part", thing.part.is_none()),
            ("code", thing.code.is_none()),
            ("amount", thing.amount.is_none()),
        ];
        for (column, missing) in missing {
            if missing && plan.requires(column) {
                self.reject(thing, "required", column);
                return false;
            }
        }
        true
    }

    fn follows_rules(&mut self, plan: &Plan, thing: &Thing) -> bool {
        let enough = thing.amount.is_none() || thing.part.is_none() || thing.amount >= thing.part;
        let no_b = thing.code.as_deref() != Some("B") || thing.amount.is_none();
        for (rule, holds, severity) in [("enough", enough, plan.severities[0]), ("no_b", no_b, plan.severities[1])] {
            if !holds && severity == "warn" {
                self.find(rule, "-");
            } else if !holds {
                self.reject(thing, rule, "-");
                return false;
            }
        }
        true
    }

    fn without_duplicates(&mut self, things: Vec<Thing>) -> Vec<Thing> {
        let mut kept: Vec<Thing> = Vec::new();
        for thing in things {
            if kept.iter().any(|earlier| earlier.text() == thing.text()) {
                self.sums[2] += 1;
                self.count("duplicate", "-");
            } else {
                kept.push(thing);
            }
        }
        kept
    }

    fn one_per_key(&mut self, plan: &Plan, things: &[Thing]) -> Vec<Thing> {
        let mut kept = Vec::new();
        for (place, thing) in things.iter().enumerate() {
            let others = || things.iter().enumerate().filter(|(_, other)| other.key(plan) == thing.key(plan));
            let same = |other: &Thing| !plan.keeps_lowest() || other.part == thing.part;
            if others().any(|(later, other)| later > place && same(other)) {
                self.reject(thing, "duplicate_key", "-");
                continue;
            }
            // A missing value is higher than every number.
            let lower = |other: &Thing| match (other.part, thing.part) {
                (Some(other), Some(own)) => other < own,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if plan.keeps_lowest() && others().any(|(_, other)| lower(other)) {
                self.sums[4] += 1;
            } else {
                kept.push(thing.clone());
            }
        }
        kept
    }

    fn of(plan: &Plan, files: &[Vec<String>]) -> Self {
        let mut expected = Self::default();
        expected.counts.extend(["enough -", "no_b -"].map(|rule| (rule.to_owned(), 0)));
        let mut things = Vec::new();
        for (file, lines) in files.iter().enumerate() {
            for (row, line) in lines.iter().enumerate() {
                let thing = expected.typed(plan, format!("things_{}.csv:{}", file + 1, row + 1), line);
                expected.sums[0] += 1;
                if expected.keeps(plan, &thing)
                    && expected.has_required(plan, &thing)
                    && expected.follows_rules(plan, &thing)
                {
                    things.push(thing);
                }
            }
        }
        let mut things = expected.without_duplicates(things);
        if !plan.key.is_empty() {
            things = expected.one_per_key(plan, &things);
        }
        expected.sums[1] = things.len() as u64;
        expected.rows = things.iter().map(Thing::text).collect();
        expected.rows.sort();
        expected.rejects.sort();
        expected
    }

    fn found(outcome: Outcome) -> Self {
        let Sums { rows_in, rows_out, duplicates, rejected: set_aside, further, filtered, excluded } =
            outcome.report.sums;
        let mut rejects = rejected(&outcome.report);
        rejects.sort();
        let name = |finding: &RuleFinding| format!("{} {}", finding.rule, finding.column.as_deref().unwrap_or("-"));
        let findings = outcome.report.findings.iter().map(|finding| (name(finding), finding.rows)).collect();
        let count =
            |count: &RuleCount| (format!("{} {}", count.rule, count.column.as_deref().unwrap_or("-")), count.rows);
        let counts = outcome.report.rules.iter().map(count).collect();
        let mut rows = outcome.rows;
        rows.sort();
        let sums = [rows_in, rows_out, duplicates, set_aside, further, filtered, excluded];
        Self { rows, sums, rejects, findings, counts }
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let keys: [&'static [&'static str]; 3] = [&[], &["thing"], &["thing", "part"]];
    let severity = || select(vec!["warn", "reject"]);
    let switches = (any::<[bool; 4]>(), proptest::bool::weighted(0.2));
    let part = select(vec![None, Some(false), Some(true)]);
    (select(keys.to_vec()), part, switches, severity(), severity()).prop_map(
        |(key, part_required, switches, one, two)| {
            let ([keeps_lowest, filters, accepts_decimal_point, excludes], amount_required) = switches;
            let severities = [one, two];
            Plan {
                key,
                part_required,
                amount_required,
                keeps_lowest,
                filters,
                accepts_decimal_point,
                severities,
                excludes,
            }
        },
    )
}

/// Few distinct values, so that keys and whole rows meet.
fn lines() -> impl Strategy<Value = String> {
    let thing = select(vec!["1", "1", " 1", "2", "02", "2", "3", "-", "x", "-1", "2147483648", "2147483647"]);
    let part = select(vec!["1", "2", "10", "-", "-", "N/A", "1,0", "-3"]);
    let code = select(vec!["A", "A", "A\u{a0}", "old", "B", "Z", "-", " ", "N/A"]);
    let amount = select(vec!["5", "5", "5.0", "05", "1", "0", "-", "much", "99999999999"]);
    (thing, part, code, amount).prop_map(|(thing, part, code, amount)| format!("{thing}|{part}|{code}|{amount}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_row_is_accounted_for(plan in plans(), files in vec(vec(lines(), 0..14), 1..4)) {
        let mut things = Things::new("thing|part|code|amount", &plan.toml());
        for lines in &files {
            things = things.file(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let Definition::Cleanse(definition) = &mut things.table.definition else { panic!("{plan:?}") };
        definition.exclude = plan.excluded();
        let outcome = things.cleanse().unwrap();
        let effects = |effect| outcome.report.rules.iter().filter(move |count| count.effect == effect);
        let of = |effect| effects(effect).map(|count| count.rows);
        let sums = &outcome.report.sums;
        prop_assert_eq!(of(Effect::Rejected).sum::<u64>(), sums.rejected);
        prop_assert_eq!(of(Effect::Removed).sum::<u64>(), sums.duplicates + sums.filtered + sums.excluded);
        let found = Expected::found(outcome);
        let [rows_in, accounted @ ..] = found.sums;
        prop_assert_eq!(rows_in, accounted.iter().sum::<u64>());
        prop_assert_eq!(found, Expected::of(&plan, &files));
    }
}
