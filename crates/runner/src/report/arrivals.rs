//! What came in: the files of each source, how they differ from what was defined, and what was left alone.

use maud::{Markup, html};
use medallion_bronze::{FileReport, NotTaken};
use medallion_pipeline::{Layer, TableName};

use super::text::{bytes, count, counted, named, plain};
use crate::results::{RunResults, Status, TableResult};

/// How many characters of a hash tell files apart for people.
const HASH: usize = 12;

/// The arrivals of a run.
pub(super) fn section(results: &RunResults) -> Markup {
    let sources = || results.tables.iter().filter(|(name, _)| name.layer == Layer::Bronze);
    let files: usize = sources().map(|(_, result)| result.files.len()).sum();
    html! {
        section #arrivals {
            h2 { "What came in" }
            @if sources().next().is_none() {
                p.note { "The run ended before anything was taken in." }
            } @else {
                p.note {
                    (counted(files as u64, "new file")) " of " (counted(sources().count() as u64, "source")) "."
                    @if files == 0 { " The files in the drop folder are known, or there are none." }
                }
                div.scroll {
                    table {
                        thead { tr {
                            th { "source" } th { "state" } th { "file" } th.n { "records" } th.n { "rejected" } th.n { "size" } th { "content hash" }
                        } }
                        tbody { @for (name, result) in sources() { (source(name, result)) } }
                    }
                }
            }
            (left_alone(results))
        }
    }
}

fn source(name: &TableName, result: &TableResult) -> Markup {
    let rows = result.files.len().max(1);
    html! {
        @for place in 0..rows {
            tr {
                @if place == 0 {
                    th.name scope="row" rowspan=(rows) { (name.table) }
                    td rowspan=(rows) { (state(result)) }
                }
                @match result.files.get(place) {
                    Some(file) => {
                        td.file { (named(&file.name)) (drift(file)) }
                        td.n { (count(file.records)) }
                        td.n { (count(file.rejected)) }
                        td.n { (bytes(file.bytes)) }
                        td.mono title=(file.hash) { (file.hash.get(..HASH).unwrap_or(&file.hash)) }
                    }
                    None => { td.muted colspan="5" { (plain(result.skipped.as_deref().unwrap_or_default())) } }
                }
            }
        }
    }
}

fn state(result: &TableResult) -> Markup {
    let (class, text) = match result.status {
        Status::Success => ("ok", "taken in"),
        Status::Unchanged => ("", "known"),
        Status::Waiting => ("warn", "waits"),
        Status::NotDelivered => ("warn", "not delivered"),
        Status::Absent => ("", "never came"),
        Status::NotSelected => ("", "not selected"),
        Status::Failed => ("bad", "failed"),
    };
    html! { span class=(format!("chip {class}")) { (text) } }
}

/// How a file differs from the source's definition.
fn drift(file: &FileReport) -> Markup {
    let drift = &file.drift;
    let names = |names: &[String]| names.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    let added: Vec<String> =
        drift.added_columns.iter().map(|added| format!("{} as {}", plain(&added.header), added.column)).collect();
    let suspicious = file.suspicious_records.len() as u64;
    html! {
        @if !added.is_empty() { div.drift { "new columns: " (added.join(", ")) } }
        @if !drift.rescued_columns.is_empty() { div.drift { "unknown columns, kept in _rescued_data: " (names(&drift.rescued_columns)) } }
        @if !drift.missing_columns.is_empty() { div.drift { "missing columns: " (names(&drift.missing_columns)) } }
        @if let Some(encoding) = file.encoding.filter(|encoding| *encoding != "UTF-8") { div.muted { "read as " (encoding) } }
        @if suspicious > 0 { div.drift { (counted(suspicious, "record")) " with lines that look like records themselves" } }
    }
}

fn left_alone(results: &RunResults) -> Markup {
    let list = |heading: &str, class: &str, files: &[NotTaken]| {
        html! {
            @if !files.is_empty() {
                h3 { (heading) }
                ul.plain { @for file in files { li { span class=(format!("chip {class}")) { (file.source) } " " (named(&file.name)) ": " (plain(&file.reason)) } } }
            }
        }
    };
    html! {
        (list("Refused files", "bad", &results.refused_files))
        (list("Files that wait for the next run", "warn", &results.waiting_files))
        @if !results.unclaimed_files.is_empty() {
            h3 { "Files that belong to no source" }
            ul.plain { @for name in &results.unclaimed_files { li { (named(name)) } } }
        }
    }
}
