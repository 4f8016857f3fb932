//! Every table in figures, beside the runs before.

use maud::{Markup, html};
use medallion_pipeline::{Layer, TableName};

use super::chart::{Point, columns, sparkline};
use super::past::PastRun;
use super::text::{count, duration, plain};
use crate::results::{RunResults, Status, TableResult};

/// What is compared over the runs.
struct Figure {
    heading: &'static str,
    value: fn(&PastRun) -> Option<f64>,
    shown: fn(f64) -> String,
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const FIGURES: [Figure; 6] = [
    Figure { heading: "Seconds of the run", value: |run| Some(run.seconds), shown: duration },
    Figure {
        heading: "Records taken in",
        value: |run| rows(run.sum("bronze", |table| table.rows_in)),
        shown: |rows| count(rows as u64),
    },
    Figure { heading: "Rejected records", value: |run| rows(rejected(run)), shown: |rows| count(rows as u64) },
    Figure {
        heading: "Rows in silver",
        value: |run| rows(run.sum("silver", |table| table.rows_out)),
        shown: |rows| count(rows as u64),
    },
    Figure {
        heading: "Rows in gold",
        value: |run| rows(run.sum("gold", |table| table.rows_out)),
        shown: |rows| count(rows as u64),
    },
    Figure { heading: "Tables built", value: |run| rows(Some(built(run))), shown: |rows| count(rows as u64) },
];

#[allow(clippy::cast_precision_loss)]
fn rows(rows: Option<u64>) -> Option<f64> {
    rows.map(|rows| rows as f64)
}

fn rejected(run: &PastRun) -> Option<u64> {
    (!run.layer_rejected.is_empty()).then(|| run.layer_rejected.values().sum())
}

fn built(run: &PastRun) -> u64 {
    run.tables.iter().filter(|(name, table)| !name.starts_with("bronze.") && table.status == "success").count() as u64
}

/// This run and those before it.
pub(super) fn comparison(runs: &[PastRun]) -> Markup {
    let titles = |shown: fn(f64) -> String, value: fn(&PastRun) -> Option<f64>| {
        runs.iter()
            .map(|run| {
                let time = run.started_at.map(|time| time.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default();
                let value = value(run).map_or_else(|| "unknown".to_owned(), shown);
                format!("{time}: {value}{}", if run.failed() { ", failed" } else { "" })
            })
            .collect::<Vec<_>>()
    };
    html! {
        section #comparison {
            h2 { "Compared with the last runs" }
            @if runs.len() < 2 {
                p.note { "This is the first run there are results of." }
            } @else {
                p.note { "The last " (runs.len()) " runs, this one last and in blue; failed ones in orange, × where nothing is known of them." }
                div.multiples {
                    @for Figure { heading, value, shown } in FIGURES {
                        @let points: Vec<Point> = runs.iter().map(|run| Point { value: value(run), failed: run.failed() }).collect();
                        div {
                            h3 { (heading) }
                            (columns(&points, &titles(shown, value), heading))
                            div.range { (range(&points, shown)) }
                        }
                    }
                }
            }
        }
    }
}

/// What this run has, and the least and most of those before.
fn range(points: &[Point], shown: fn(f64) -> String) -> String {
    let (Some((last, before)), known) =
        (points.split_last(), |points: &[Point]| points.iter().filter_map(|point| point.value).collect::<Vec<_>>())
    else {
        return String::new();
    };
    let this = last.value.map_or_else(|| "unknown".to_owned(), shown);
    let before = known(before);
    match (before.iter().copied().reduce(f64::min), before.iter().copied().reduce(f64::max)) {
        (Some(least), Some(most)) if shown(least) == shown(most) => format!("{this}; before {}", shown(least)),
        (Some(least), Some(most)) => format!("{this}; before {} to {}", shown(least), shown(most)),
        _ => this,
    }
}

/// All tables.
pub(super) fn section(results: &RunResults, runs: &[PastRun]) -> Markup {
    html! {
        section #tables {
            h2 { "Tables" }
            p.note { "Of bronze, rows are those of new batches; elsewhere the rows the table has. The line shows them over the last runs." }
            @if results.tables.is_empty() {
                p.note { "The run ended before any table was reached." }
            } @else {
                div.scroll {
                    table {
                        thead { tr {
                            th { "table" } th { "state" } th.n { "rows in" } th.n { "rows" } th.n { "change" } th { "last runs" } th.n { "rejected" } th.n { "time" }
                        } }
                        tbody { @for (name, result) in &results.tables { (row(results, runs, name, result)) } }
                        tfoot { @for layer in Layer::ALL { (total(results, layer)) } }
                    }
                }
            }
        }
    }
}

fn row(results: &RunResults, runs: &[PastRun], name: &TableName, result: &TableResult) -> Markup {
    let full_name = name.to_string();
    // Of bronze a run that took nothing in says nothing about the size of an export.
    let says = |status: &str| name.layer != Layer::Bronze || status == "success";
    let rows =
        |run: &PastRun| run.tables.get(&full_name).filter(|table| says(&table.status)).map(|table| table.rows_out);
    let values: Vec<Option<u64>> = runs.iter().map(rows).collect();
    let before = values.split_last().and_then(|(_, before)| before.iter().rev().flatten().next());
    let has_rows = name.layer != Layer::Bronze || result.status == Status::Success;
    html! {
        tr {
            th.name scope="row" { span class=(format!("layer {}", name.layer)) {} (full_name) }
            td { (state(results, name, result)) }
            td.n { (count(result.rows_in)) }
            td.n { (count(result.rows_out)) }
            td.n.muted { @if has_rows { (change(before.copied(), result.rows_out)) } }
            td { (sparkline(&values)) }
            td.n { (count(result.rejected)) }
            td.n { @if result.started.is_some() { (duration(result.seconds)) } }
        }
    }
}

fn total(results: &RunResults, layer: Layer) -> Markup {
    let sum = results.layer(layer);
    html! {
        @if sum.tables > 0 {
            tr data-layer=(layer) {
                th scope="row" { (layer) ", " (sum.tables) " tables" } td {}
                td.n { (count(sum.rows_in)) } td.n { (count(sum.rows_out)) } td {} td {} td.n { (count(sum.rejected)) } td.n { (duration(sum.seconds)) }
            }
        }
    }
}

fn state(results: &RunResults, name: &TableName, result: &TableResult) -> Markup {
    let failed = results.status != Status::Success;
    let (class, text) = match (result.status, name.layer) {
        (Status::Success, Layer::Bronze) => ("ok", "taken in"),
        (Status::Success, _) if failed => ("bad", "not published"),
        (Status::Success, _) => ("ok", "published"),
        (Status::Unchanged, Layer::Bronze) => ("", "known"),
        (Status::Unchanged, _) => ("", "as before"),
        (Status::Waiting, _) => ("warn", "waits"),
        (Status::NotDelivered, _) => ("warn", "not delivered"),
        (Status::Absent, _) => ("", "never came"),
        (Status::NotSelected, _) => ("", "not selected"),
        (Status::Failed, _) => ("bad", "failed"),
    };
    html! { span class=(format!("chip {class}")) title=(plain(result.skipped.as_deref().unwrap_or_default())) { (text) } }
}

#[allow(clippy::cast_precision_loss)]
fn change(before: Option<u64>, now: u64) -> String {
    let Some(before) = before else { return String::new() };
    let sign = if now >= before { "+" } else { "−" };
    let difference = now.abs_diff(before);
    match (difference, before) {
        (0, _) => "=".to_owned(),
        (_, 0) => format!("{sign}{}", count(difference)),
        _ => format!("{sign}{} ({sign}{:.1} %)", count(difference), difference as f64 / before as f64 * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_rows_and_percent() {
        let changes = [(None, 5), (Some(5), 5), (Some(0), 7), (Some(2000), 1500), (Some(4), 5)];
        let changes = changes.map(|(before, now)| change(before, now));
        assert_eq!(changes, ["", "=", "+7", "−500 (−25.0 %)", "+1 (+25.0 %)"]);
    }
}
