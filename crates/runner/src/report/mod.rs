//! `report.html`: what a run did, for people. One file that needs nothing else, without scripts.

mod arrivals;
mod chart;
mod fleet;
mod flow;
mod graph;
mod past;
mod quality;
mod tables;
mod text;
mod timings;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use medallion_lake::Lake;
use medallion_pipeline::{Layer, Pipeline};

use self::past::PastRun;
use self::text::{count, counted, duration, plain, sentence};
use crate::error::RunError;
use crate::notification::TestCounts;
use crate::results::{RunResults, Status};
use crate::run::RunOptions;

pub(crate) use fleet::fleet_page;

/// The file in the run's folder.
const FILE: &str = "report.html";
const STYLE: &str = include_str!("style.css");
/// Nothing is loaded and no script runs, whatever a name or message holds.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// What a report tells.
struct Page<'a> {
    customer_name: &'a str,
    results: &'a RunResults,
    pipeline: &'a Pipeline,
    hint: Option<String>,
    /// The last runs, this one last.
    runs: &'a [PastRun],
}

/// Writes the report into the run's folder.
pub(crate) fn write(
    options: &RunOptions,
    lake: &Lake,
    results: &RunResults,
    error: Option<&RunError>,
) -> Result<(), String> {
    let page = Page {
        customer_name: &options.customer.name,
        results,
        pipeline: &options.pipeline,
        hint: error.and_then(RunError::hint),
        runs: &past::last_runs(lake, results),
    };
    let text = page.render().into_string();
    lake.write_run_report(&results.run_id, FILE, text.as_bytes()).map(drop).map_err(|error| error.to_string())
}

/// A whole page.
fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (plain(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    }
}

impl Page<'_> {
    fn render(&self) -> Markup {
        let results = self.results;
        let title = format!("{}, {}: {}", results.customer, results.as_of, self.outcome().1);
        let content = html! {
            (self.head())
            (self.tiles())
            nav {
                a href="#arrivals" { "What came in" } a href="#flow" { "Row flow" } a href="#rejects" { "Rejects" } a href="#tests" { "Data tests" }
                a href="#comparison" { "Last runs" } a href="#tables" { "Tables" } a href="#timings" { "Timings" } a href="#graph" { "Table graph" }
            }
            (arrivals::section(results))
            (flow::section(self.pipeline, results))
            (quality::rejects(results))
            (quality::tests(results))
            (tables::comparison(self.runs))
            (tables::section(results, self.runs))
            (timings::section(results))
            (graph::section(self.pipeline, results))
            (self.foot())
        };
        document(&title, &content)
    }

    /// Class, headline and sign of the run's end.
    fn outcome(&self) -> (&'static str, String, &'static str) {
        match (self.results.status, self.results.release) {
            (Status::Success, Some(release)) => ("ok", format!("Release {release} published"), "✓"),
            (Status::Success, None) => ("same", "Nothing has changed".to_owned(), "="),
            _ => ("bad", "The run failed".to_owned(), "!"),
        }
    }

    fn head(&self) -> Markup {
        let results = self.results;
        let (class, headline, sign) = self.outcome();
        let name = Some(self.customer_name).filter(|name| *name != results.customer);
        html! {
            header {
                h1 { (text::named(self.customer_name)) }
                p.sub {
                    @if name.is_some() { "Customer " (results.customer) " · " }
                    "as of " (results.as_of) " · pipeline " (plain(&results.pipeline)) " · began "
                    (results.started_at.format("%Y-%m-%d %H:%M:%S")) " UTC · run " span.mono { (results.run_id) }
                }
                div class=(format!("status {class}")) {
                    span.sign aria-hidden="true" { (sign) }
                    div {
                        strong { (headline) }
                        @match (&results.error, results.release) {
                            (Some(error), _) => p { (sentence(error)) },
                            (None, Some(_)) => p { "All silver and gold tables of the release belong together; readers see it since it was published." },
                            (None, None) => p { "The tables are those of the last release" (self.last_release()) "; no new one was needed." },
                        }
                        @if let Some(hint) = &self.hint { p.hint { (sentence(hint)) } }
                    }
                }
            }
        }
    }

    fn last_release(&self) -> String {
        let last = self.runs.iter().rev().find_map(|run| run.release);
        last.map(|release| format!(", {release}")).unwrap_or_default()
    }

    fn tiles(&self) -> Markup {
        let results = self.results;
        let [bronze, silver, gold] = Layer::ALL.map(|layer| results.layer(layer));
        let files: usize = results.tables.values().map(|table| table.files.len()).sum();
        let rejected = Layer::ALL.map(|layer| quality::rejected(results, layer));
        let built = results
            .tables
            .iter()
            .filter(|(name, table)| name.layer != Layer::Bronze && table.status == Status::Success);
        let tile = |lead: &str, figure: String, more: String| {
            html! {
                div.tile { span.lead { (lead) } b { (figure) } span { (more) } }
            }
        };
        let tests = TestCounts::of(&results.tests).map_or_else(
            || {
                (
                    "–".to_owned(),
                    if results.tests_skipped.is_some() { "not needed".to_owned() } else { "not reached".to_owned() },
                )
            },
            |tests| {
                (
                    format!("{} / {}", count(tests.passed), count(tests.passed + tests.warned + tests.failed)),
                    format!("passed; {} warned, {} failed", count(tests.warned), count(tests.failed)),
                )
            },
        );
        html! {
            div.tiles {
                (tile("Took", duration(results.seconds), self.usually()))
                (tile("Taken in", count(bronze.rows_in), format!("records in {}", counted(files as u64, "file"))))
                (tile("Rejected", count(rejected.iter().sum()), format!("{} parsing, {} cleansing", count(rejected[0]), count(rejected[1]))))
                (tile("Tables built", count(built.count() as u64), format!("of {} in silver and gold", silver.tables + gold.tables)))
                (tile("Rows in gold", count(gold.rows_out), format!("{} in silver", count(silver.rows_out))))
                (tile("Data tests", tests.0, tests.1))
            }
        }
    }

    /// The middle of what the runs before took.
    fn usually(&self) -> String {
        let before = self.runs.split_last().map_or(&[][..], |(_, before)| before);
        let mut seconds: Vec<f64> = before.iter().map(|run| run.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        match seconds.get(seconds.len() / 2) {
            Some(middle) => format!("usually {}", duration(*middle)),
            None => "first run".to_owned(),
        }
    }

    fn foot(&self) -> Markup {
        let before = self.runs.iter().rev().nth(1).map(|run| &run.run_id);
        html! {
            footer {
                "In this folder: " a href="run_results.json" { "run_results.json" } ", " a href="openlineage.ndjson" { "openlineage.ndjson" }
                @if self.results.tests.iter().any(|test| test.sample.is_some()) { ", " a href="tests/" { "tests/" } " with failing rows" }
                "."
                @if let Some(before) = before { " " a href=(format!("../{before}/{FILE}")) { "The run before" } "." }
                " Written by " (crate::PRODUCT) "."
            }
        }
    }
}
