//! `medallion rejects`

use std::fmt::Write as _;

use medallion_runner::{RejectGroup, rejected};
use serde_json::json;

use super::read::Reader;
use crate::arguments::{Format, GlobalArguments, ReadArguments};
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::ProjectSettings;

pub(crate) async fn rejects(
    global: &GlobalArguments,
    read: &ReadArguments,
    table: Option<&str>,
) -> Result<Exit, Failure> {
    let pipeline = ProjectSettings::read(global)?.pipeline(&read.place)?;
    let reader = Reader::open(global, read).await?;
    let groups = rejected(&reader.published, &pipeline, table).await.map_err(|cause| reader.failed(cause))?;
    match read.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&groups);
            output::write(&(text.map_err(|error| Failure::new(Exit::Failed, error.to_string()))? + "\n"))?;
        }
        Format::Csv => listing(&groups).write(Format::Csv)?,
        Format::Table => output::write(&for_people(&groups, &reader))?,
    }
    Ok(Exit::Done)
}

/// A line for each sample.
fn listing(groups: &[RejectGroup]) -> Listing {
    let mut listing = Listing::new(&["source", "rule", "column", "reason", "records", "file", "row", "line", "raw"]);
    for group in groups {
        for sample in &group.samples {
            listing.push(vec![
                json!(group.source),
                json!(group.rule),
                json!(group.column),
                json!(group.reason),
                json!(group.records),
                json!(no_formula(&sample.file)),
                json!(sample.record),
                json!(sample.line),
                json!(no_formula(&sample.raw)),
            ]);
        }
    }
    listing
}

fn for_people(groups: &[RejectGroup], reader: &Reader) -> String {
    let release = reader.published.release.as_ref().map(|release| release.release).unwrap_or_default();
    let all: u64 = groups.iter().map(|group| group.records).sum();
    let mut text = format!("customer {}, release {release}: {} set aside\n", reader.customer, records(all));
    for group in groups {
        let column = group.column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
        let RejectGroup { source, rule, reason, records: count, samples, .. } = group;
        let _ = writeln!(text, "\n{}: {}{}: {}", visible(source), visible(rule), visible(&column), records(*count));
        let _ = writeln!(text, "  {}", visible(reason));
        for sample in samples {
            let line = sample.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let _ = writeln!(
                text,
                "    {} record {}{line}: {}",
                visible(&sample.file),
                sample.record,
                visible(&sample.raw)
            );
        }
        let more = count.saturating_sub(samples.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "    and {more} more");
        }
    }
    text
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// Text from exports on one line, without anything that steers a terminal or turns the direction of writing.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for letter in text.chars() {
        let steers = letter.is_control()
            || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                              | '\u{feff}');
        if steers { visible.extend(letter.escape_default()) } else { visible.push(letter) }
    }
    visible
}

/// A text that a spreadsheet would take for a formula gets an apostrophe before it.
fn no_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_exports_stays_text() {
        assert_eq!(visible("Zoë \u{1b}[31m\r\n\u{202e}x"), "Zoë \\u{1b}[31m\\r\\n\\u{202e}x");
        assert_eq!(no_formula("=1+1"), "'=1+1");
        assert_eq!(no_formula("{\"a\":\"=1\"}"), "{\"a\":\"=1\"}");
    }
}
