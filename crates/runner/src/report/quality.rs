//! Records that were set aside, and data tests.

use maud::{Markup, html};
use medallion_pipeline::{Layer, TableName};
use medallion_silver::{Effect, RuleCount};

use super::text::{count, counted, plain, sentence};
use crate::audit::{TestResult, TestStatus};
use crate::notification::TestCounts;
use crate::results::{RunResults, TableResult};

/// What was set aside or only told, rule by rule.
pub(super) fn rejects(results: &RunResults) -> Markup {
    let touched = |effect: Effect| {
        let of_table = move |(name, result): (&'_ TableName, &'_ TableResult)| -> Vec<(TableName, RuleCount)> {
            let rules = result.rules.iter().filter(|rule| rule.effect == effect && rule.rows > 0);
            rules.map(|rule| (name.clone(), rule.clone())).collect()
        };
        results.tables.iter().flat_map(of_table).collect::<Vec<_>>()
    };
    let (rejected, warned) = (touched(Effect::Rejected), touched(Effect::Warned));
    let set_aside: u64 = results.layer_rejected.values().sum();
    html! {
        section #rejects {
            h2 { "Rejects" }
            @if rejected.is_empty() {
                p.note { "No record was set aside." }
            } @else {
                p.note { (counted(set_aside, "record")) " set aside; they are in bronze.rejected_rows with rule, reason and the record as it arrived. Tables of one source may set aside the same record." }
                (rules(&rejected, &results.customer, true))
                pre { "medallion rejects -c " (results.customer) }
            }
            @if !warned.is_empty() {
                h3 { "Kept, but broke a rule" }
                (rules(&warned, &results.customer, false))
            }
        }
    }
}

fn rules(rules: &[(TableName, RuleCount)], customer: &str, show_command: bool) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "table" } th { "rule" } th { "column" } th.n { "records" } @if show_command { th { "look at them" } } } }
                tbody {
                    @for (table, rule) in rules {
                        tr {
                            th.name scope="row" { (table) }
                            td { (plain(&rule.rule)) }
                            td { (rule.column.as_deref().map(plain).unwrap_or_default()) }
                            td.n { (count(rule.rows)) }
                            @if show_command { td.mono { "medallion rejects -c " (customer) " " (table) } }
                        }
                    }
                }
            }
        }
    }
}

/// The data tests: what fails first.
pub(super) fn tests(results: &RunResults) -> Markup {
    let of = |status: TestStatus| results.tests.iter().filter(move |test| test.status == status).collect::<Vec<_>>();
    let (failed, warned, passed) = (of(TestStatus::Error), of(TestStatus::Warn), of(TestStatus::Pass));
    html! {
        section #tests {
            h2 { "Data tests" }
            @match TestCounts::of(&results.tests) {
                None => p.note { (sentence(results.tests_skipped.as_deref().unwrap_or("the run ended before the data tests"))) },
                Some(counts) => {
                    p.note {
                        @for (class, number, what) in [("bad", counts.failed, "failed"), ("warn", counts.warned, "warned"), ("ok", counts.passed, "passed")] {
                            span class=(if number > 0 { format!("chip {class}") } else { "chip".to_owned() }) { (count(number)) " " (what) } " "
                        }
                    }
                    @if !failed.is_empty() || !warned.is_empty() { (listed(failed.iter().chain(&warned))) }
                    @if !passed.is_empty() {
                        details { summary { (counted(counts.passed, "passed test")) } (listed(passed.iter())) }
                    }
                }
            }
        }
    }
}

fn listed<'a>(tests: impl Iterator<Item = &'a &'a TestResult>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "result" } th { "table" } th { "test" } th.n { "failing" } th { "what is wrong" } } }
                tbody {
                    @for test in tests {
                        tr {
                            td { (outcome(test.status)) }
                            th.name scope="row" { (test.table.as_ref().map(ToString::to_string).unwrap_or_default()) }
                            td { (test.name) }
                            td.n { (count(test.failing)) }
                            td {
                                (plain(test.message.as_deref().unwrap_or_default()))
                                @if let Some(sample) = &test.sample { " " a href=(sample) { "failing rows" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn outcome(status: TestStatus) -> Markup {
    let (class, text) = match status {
        TestStatus::Pass => ("ok", "passed"),
        TestStatus::Warn => ("warn", "warned"),
        TestStatus::Error => ("bad", "failed"),
    };
    html! { span class=(format!("chip {class}")) { (text) } }
}

/// Whether a layer set anything aside.
pub(super) fn rejected(results: &RunResults, layer: Layer) -> u64 {
    results.layer_rejected.get(&layer).copied().unwrap_or_default()
}
