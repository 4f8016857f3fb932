//! What a table is built from, as one hash: with an equal one there is nothing to build.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use medallion_gold::{FiscalYears, GoldOptions};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{FiscalYearOptions, Layer, Pipeline, SourceTable, Table, TableName};

use crate::batch::Content;
use crate::error::Cause;

/// Another version of this program may build another table from the same inputs.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The hash of a table's definition, of the query it becomes with the run's options, and of the contents of its inputs.
pub(crate) fn build_key(
    pipeline: &Pipeline,
    table: &Table,
    gold: &GoldOptions,
    inputs: &BTreeMap<&TableName, &str>,
) -> Result<String, Cause> {
    let mut hasher = Hasher(blake3::Hasher::new());
    hasher.add(PROGRAM);
    hasher.add(&table.name.to_string());
    for text in definitions(pipeline, table) {
        hasher.add(text);
    }
    // The run's id is in every row and in no fingerprint.
    let options = GoldOptions { run_id: String::new(), ..gold.clone() };
    if table.name.layer == Layer::Gold {
        hasher.add(&medallion_gold::query(pipeline, table, &options)?);
    } else if let Some(model) = &table.model {
        hasher.add(&model.render(options.as_of));
    }
    for (name, fingerprint) in inputs {
        hasher.add(&name.to_string());
        hasher.add(fingerprint);
    }
    Ok(hasher.0.finalize().to_hex().to_string())
}

/// The hash of what a table is made by, whatever it is made from and on whatever day, and whatever the customer's fiscal
/// years are: it tells whether somebody changed the definition.
pub(crate) fn definition_key(pipeline: &Pipeline, table: &Table) -> Result<String, Cause> {
    let mut hasher = Hasher(blake3::Hasher::new());
    hasher.add(&table.name.to_string());
    for text in definitions(pipeline, table) {
        hasher.add(text);
    }
    if table.name.layer == Layer::Gold {
        let fiscal_years = FiscalYears::new(FiscalYearOptions::default());
        let options = GoldOptions { as_of: NaiveDate::default(), fiscal_years, run_id: String::new() };
        hasher.add(&medallion_gold::query(pipeline, table, &options)?);
    } else if let Some(model) = &table.model {
        hasher.add(&model.text);
    }
    Ok(hasher.0.finalize().to_hex().to_string())
}

/// The hash of everything in a pipeline and of the program: with an equal one its queries can be planned again, and the
/// tests that tables passed they pass again on the same day.
pub(crate) fn pipeline_key(pipeline: &Pipeline) -> String {
    let mut hasher = Hasher(blake3::Hasher::new());
    hasher.add(PROGRAM);
    hasher.add(&pipeline.hash);
    hasher.0.finalize().to_hex().to_string()
}

/// What all increments of a source amount to, as one hash: their contents in order, and what deletes.
pub(crate) fn increments_hash(source: &SourceTable, counting: &[Content]) -> String {
    let mut hasher = Hasher(blake3::Hasher::new());
    hasher.add("incremental");
    if let Some(deleted) = &source.source.deleted {
        hasher.add("deleted");
        hasher.add(&deleted.column);
        deleted.values.iter().for_each(|value| hasher.add(value));
    }
    hasher.add("contents");
    counting.iter().for_each(|content| hasher.add(&content.hash));
    hasher.0.finalize().to_hex().to_string()
}

/// The definitions that decide what is in a table. Tables cleansed from one source are built together, because what is
/// set aside is kept by source.
fn definitions<'a>(pipeline: &'a Pipeline, table: &'a Table) -> Vec<&'a str> {
    match &table.definition {
        Definition::Cleanse(own) => {
            let of_source =
                |other: &&Table| matches!(&other.definition, Definition::Cleanse(c) if c.source == own.source);
            pipeline.tables.iter().filter(of_source).map(|table| table.text.as_str()).collect()
        }
        Definition::Findings(findings) => {
            let hierarchies = findings.hierarchies.iter().filter_map(|name| pipeline.table(name));
            std::iter::once(table).chain(hierarchies).map(|table| table.text.as_str()).collect()
        }
        Definition::Versions(versions) => {
            let followed = pipeline.table(&versions.of);
            std::iter::once(table).chain(followed).map(|table| table.text.as_str()).collect()
        }
        _ => vec![&table.text],
    }
}

/// Lengths keep what is hashed apart.
struct Hasher(blake3::Hasher);

impl Hasher {
    fn add(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }
}
