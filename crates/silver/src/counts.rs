//! What each rule did to the rows of a table.

use medallion_pipeline::definition::Severity;
use serde::Serialize;

use crate::column::Cleansed;

/// How many samples a finding shows.
pub(crate) const SAMPLES: usize = 5;

/// What a rule does to the rows it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// A value is another one, or NULL.
    Changed,
    /// The row is as it was; it is told.
    Warned,
    /// The row is not in the table; nothing is wrong with it.
    Removed,
    /// The row is in the table of rejected rows.
    Rejected,
}

/// How many rows a rule touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// `trim`, `null_marker`, `values`, `cast`, `known_values`, `exclude`, `where`, `required`, `duplicate`,
    /// `duplicate_key`, `date_key` or the name of a business rule.
    pub rule: String,
    /// The column, where the rule is about one.
    pub column: Option<String>,
    /// What it did to them.
    pub effect: Effect,
    /// Rows it touched. Business rules are there with 0, too.
    pub rows: u64,
}

/// A rule's effect that sets nothing aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleFinding {
    /// `cast`, `known_values` or the name of a business rule.
    pub rule: String,
    /// The column, where the rule is about one.
    pub column: Option<String>,
    /// Rows it touched.
    pub rows: u64,
    /// Some of the texts or places.
    pub samples: Vec<String>,
}

/// Counts and findings as the rules go on.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub rules: Vec<RuleCount>,
    pub findings: Vec<RuleFinding>,
}

impl Counts {
    /// Counts the rows of a rule that is mentioned only if there are any.
    pub(crate) fn add(&mut self, rule: &str, column: Option<&str>, effect: Effect, rows: u64) {
        if rows > 0 {
            self.rules.push(RuleCount { rule: rule.to_owned(), column: column.map(str::to_owned), effect, rows });
        }
    }

    /// Counts the rows that break a business rule; one that nothing breaks is mentioned as well.
    pub(crate) fn business_rule(&mut self, rule: &str, severity: Severity, rows: u64) {
        let effect = if severity == Severity::Reject { Effect::Rejected } else { Effect::Warned };
        self.rules.push(RuleCount { rule: rule.to_owned(), column: None, effect, rows });
    }

    /// What rules 1 to 4 did to a column.
    pub(crate) fn column(&mut self, column: &str, cleansed: &Cleansed) {
        let name = Some(column);
        self.add("trim", name, Effect::Changed, cleansed.trimmed);
        self.add("null_marker", name, Effect::Changed, cleansed.marked);
        self.add("values", name, Effect::Changed, cleansed.replaced);
        self.found("cast", column, Effect::Changed, cleansed.failed, cleansed.failed_samples.clone());
        let (unknown, samples) = (&cleansed.unknown, cleansed.unknown.keys().take(SAMPLES).cloned().collect());
        self.found("known_values", column, Effect::Warned, unknown.values().sum(), samples);
    }

    fn found(&mut self, rule: &str, column: &str, effect: Effect, rows: u64, samples: Vec<String>) {
        self.add(rule, Some(column), effect, rows);
        if rows > 0 {
            self.findings.push(RuleFinding { rule: rule.to_owned(), column: Some(column.to_owned()), rows, samples });
        }
    }
}
