//! What a run tells people about its data while it works.

use chrono::{DateTime, Days, Utc};
use medallion_bronze::{FileReport, NotTaken, shortened};
use medallion_pipeline::{Mode, TableName};
use medallion_silver::{Effect, RuleCount, Sums};

use crate::bronze::BronzeStep;
use crate::events::{Event, Listener};
use crate::layers::Built;
use crate::results::{Status, TableResult};

/// The finding that a hierarchy leads back to where it began.
const CYCLE: &str = medallion_silver::closure::FindingKind::Cycle.as_str();

/// Turns results into events.
pub(crate) struct Teller<'a> {
    pub listener: &'a dyn Listener,
    pub now: DateTime<Utc>,
}

impl Teller<'_> {
    /// What arrived, and what is odd about it.
    pub(crate) fn bronze(&self, step: &BronzeStep) {
        for (table, result) in &step.results {
            let (rows, seconds) = (result.rows_out, result.seconds);
            self.listener.on(&Event::TableDone { table: table.clone(), rows, seconds });
            self.warn_of_batches(table, result);
            if result.rejected > 0 {
                self.warn(table, format!("{} set aside, see bronze.rejected_rows", records(result.rejected)));
            }
            result.files.iter().for_each(|file| self.warn_of_file(table, file));
        }
        step.warnings.iter().for_each(|(table, warning)| self.warn(table, warning.clone()));
        self.warn_of_files("waits", &step.waiting);
        self.warn_of_files("is refused", &step.refused);
        if !step.unclaimed.is_empty() {
            self.tell(format!("files that belong to no source are left alone: {}", step.unclaimed.join(", ")));
        }
    }

    /// A warning about no table in particular.
    pub(crate) fn tell(&self, message: String) {
        self.listener.on(&Event::Warning { table: None, message });
    }

    fn warn(&self, table: &TableName, message: String) {
        self.listener.on(&Event::Warning { table: Some(table.clone()), message });
    }

    fn warn_of_file(&self, table: &TableName, file: &FileReport) {
        let name = &file.name;
        if !file.drift.rescued_columns.is_empty() {
            let columns: Vec<String> = file.drift.rescued_columns.iter().map(|header| shortened(header)).collect();
            let columns = columns.join(", ");
            self.warn(table, format!("{name} has unknown columns, kept in _rescued_data: {columns}"));
        }
        for added in &file.drift.added_columns {
            self.warn(
                table,
                format!("{name} has a new column '{}', added as {}", shortened(&added.header), added.column),
            );
        }
        if let Some(encoding) = file.encoding.filter(|encoding| *encoding != "UTF-8" && file.encoding_guessed) {
            self.warn(table, format!("{name} is not UTF-8 and was read as {encoding}"));
        }
        if let [first, ..] = file.suspicious_records.as_slice() {
            self.warn(
                table,
                format!(
                    "{name}: record {first} holds lines that look like records themselves; if a quotation mark is \
                     missing there, they are not counted"
                ),
            );
        }
    }

    fn warn_of_files(&self, what: &str, files: &[NotTaken]) {
        for file in files {
            let table = TableName::new(medallion_pipeline::Layer::Bronze, &file.source);
            self.warn(&table, format!("{} {what}: {}", file.name, file.reason));
        }
    }

    fn warn_of_batches(&self, table: &TableName, result: &TableResult) {
        let current = result.batch_id.as_deref().unwrap_or_default();
        if matches!(result.status, Status::NotDelivered | Status::Waiting) {
            self.warn(table, result.skipped.clone().unwrap_or_default());
        }
        let is_incremental = result.mode == Some(Mode::Incremental);
        if result.status == Status::Success && !result.new_batches.iter().any(|batch| batch == current) {
            let what = match is_incremental {
                true => "whose rows stay where both have them",
                false => "which stays the current one",
            };
            self.warn(table, format!("what arrived is older than the batch {current}, {what}"));
        }
        if result.export_date.is_some_and(|date| date > self.now.date_naive() + Days::new(1)) {
            self.warn(
                table,
                format!("the batch {current} is dated in the future; exports of the days before will not replace it"),
            );
        }
        // A night without a change is an increment without records.
        if result.status == Status::Success && result.rows_out == 0 && result.rejected == 0 && !is_incremental {
            self.warn(table, "the export has a header and no records".to_owned());
        }
    }

    /// Rows that silver set aside, rules that rows break, texts it could not read and cycles; the rest is in the
    /// results.
    pub(crate) fn silver(&self, built: &[Built]) {
        for built in built {
            let result = &built.result;
            if let Some(sums) = &result.sums {
                self.set_aside(&built.name, result, sums);
            }
            self.broken_rules(&built.name, result);
            for finding in result.findings.iter().filter(|finding| finding.column.is_some()) {
                let column = finding.column.as_deref().unwrap_or_default();
                let what = if finding.rule == "cast" { "not readable" } else { "not among the known values" };
                let samples = finding.samples.join(", ");
                self.warn(&built.name, format!("{column}: {} {what}: {samples}", records(finding.rows)));
            }
            for cycle in result.findings.iter().filter(|finding| finding.rule == CYCLE).flat_map(|cycle| &cycle.samples)
            {
                self.warn(&built.name, cycle.clone());
            }
        }
    }
    /// How many rows of a table rules set aside, and which did.
    fn set_aside(&self, table: &TableName, result: &TableResult, sums: &Sums) {
        if sums.excluded > 0 {
            let excluding = result.rules.iter().filter(|count| count.rule == "exclude");
            let columns: Vec<&str> = excluding.filter_map(|count| count.column.as_deref()).collect();
            self.warn(table, format!("{} left out by [exclude] {}", records(sums.excluded), columns.join(", ")));
        }
        if result.rejected > 0 {
            let rejecting = result.rules.iter().filter(|count| count.effect == Effect::Rejected && count.rows > 0);
            let rules: Vec<String> = rejecting.map(named).collect();
            let (records, rules) = (records(result.rejected), rules.join(", "));
            self.warn(table, format!("{records} set aside ({rules}), see bronze.rejected_rows"));
        }
    }

    /// Business rules that rows break without being set aside.
    fn broken_rules(&self, table: &TableName, result: &TableResult) {
        let broken = result.findings.iter().filter(|finding| finding.column.is_none() && result.sums.is_some());
        let broken: Vec<String> = broken.map(|finding| format!("{} {}", finding.rule, finding.rows)).collect();
        if !broken.is_empty() {
            self.warn(table, format!("records that break a rule: {}", broken.join(", ")));
        }
    }
}

/// `required user_id 3`
fn named(count: &RuleCount) -> String {
    let column = count.column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
    format!("{}{column} {}", count.rule, count.rows)
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}
