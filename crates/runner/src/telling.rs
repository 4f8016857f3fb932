//! What a run tells people about its data while it works.

use chrono::{DateTime, Days, Utc};
use medallion_bronze::{FileReport, NotTaken, shortened};
use medallion_pipeline::TableName;

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
        if result.status == Status::Success && !result.new_batches.iter().any(|batch| batch == current) {
            self.warn(table, format!("what arrived is older than the batch {current}, which stays the current one"));
        }
        if result.export_date.is_some_and(|date| date > self.now.date_naive() + Days::new(1)) {
            self.warn(
                table,
                format!("the batch {current} is dated in the future; exports of the days before will not replace it"),
            );
        }
        if result.status == Status::Success && result.rows_out == 0 && result.rejected == 0 {
            self.warn(table, "the export has a header and no records".to_owned());
        }
    }

    /// Rows that silver set aside, texts it could not read and cycles; other findings are in the results.
    pub(crate) fn silver(&self, built: &[Built]) {
        for built in built {
            let result = &built.result;
            if result.rejected > 0 {
                self.warn(&built.name, format!("{} set aside, see bronze.rejected_rows", records(result.rejected)));
            }
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
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}
