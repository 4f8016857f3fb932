//! Hierarchies and what is odd in them: the closure of `closure`, read from and written to tables.

use std::collections::BTreeMap;

use medallion_pipeline::definition::HierarchyTable;
use medallion_pipeline::{TableFiles, TableName, TableSchema};
use polars::prelude::{Column, DataFrame};
use url::Url;

use crate::closure::{ClosureError, Edge, Hierarchy, Limits};
use crate::counts::RuleFinding;
use crate::error::SilverError;
use crate::parquet_file;
use file::RelationshipFile;

mod file;
#[cfg(test)]
mod tests;
mod text_runs;

/// How many examples of a kind the summary of findings gives.
const SAMPLES: usize = 20;

/// A hierarchy with the tables it is read from.
#[derive(Debug)]
pub struct HierarchyTask<'a> {
    /// The definition.
    pub definition: &'a HierarchyTable,
    /// The hierarchy's own name.
    pub name: &'a TableName,
    /// The table of the nodes.
    pub nodes: &'a TableFiles,
    /// The table of the edges.
    pub edges: &'a TableFiles,
}

/// What a hierarchy took in and gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HierarchyReport {
    /// Rows of the edges' table.
    pub rows_in: u64,
    /// Relationships.
    pub rows_out: u64,
}

impl HierarchyTask<'_> {
    /// Writes the closure into `area`, batch by batch.
    ///
    /// # Errors
    /// If tables cannot be read or written, or there are more relationships than allowed.
    pub fn stage(&self, schema: &TableSchema, run_id: &str, area: &Url) -> Result<HierarchyReport, SilverError> {
        let hierarchy = self.read()?;
        let path = parquet_file::local_path(area).join("part-00000.parquet");
        let file = parquet_file::create(self.name, &path)?;
        let parquet = |source| SilverError::Parquet { table: self.name.clone(), path: path.clone(), source };
        let labelled = self.definition.columns.label.is_some();
        let mut writer = RelationshipFile::new(file, schema, labelled, run_id).map_err(parquet)?;
        let limits = Limits { max_relationships: self.definition.max_relationships };
        let rows_out = hierarchy.relationships(limits, |batch| writer.write(batch)).map_err(|error| match error {
            ClosureError::TooMany { limit, .. } => {
                SilverError::TooManyRelationships { table: self.name.clone(), limit }
            }
            ClosureError::Emit(source) => parquet(source),
        })?;
        writer.close().map_err(parquet)?;
        Ok(HierarchyReport { rows_in: self.edges.rows(), rows_out })
    }

    fn read(&self) -> Result<Hierarchy, SilverError> {
        let definition = self.definition;
        let nodes = parquet_file::read(self.nodes, &[&definition.nodes.id])?;
        let nodes = longs(&nodes, &definition.nodes.id, &self.nodes.schema.name)?;
        Ok(Hierarchy::new(nodes.into_iter().flatten(), &self.edges()?))
    }

    fn edges(&self) -> Result<Vec<Edge>, SilverError> {
        let names = &self.definition.edges;
        let mut columns = vec![names.child.as_str(), names.parent.as_str()];
        columns.extend(names.label.as_deref());
        let frame = parquet_file::read(self.edges, &columns)?;
        let table = &self.edges.schema.name;
        let children = longs(&frame, &names.child, table)?;
        let parents = longs(&frame, &names.parent, table)?;
        let labels = match &names.label {
            Some(label) => longs(&frame, label, table)?,
            None => vec![None; children.len()],
        };
        let edge = |((child, parent), label): ((Option<i64>, Option<i64>), Option<i64>)| {
            let parent = parent.filter(|parent| !self.definition.root_parents.contains(parent))?;
            Some(Edge { child: child?, parent, label })
        };
        Ok(children.into_iter().zip(parents).zip(labels).filter_map(edge).collect())
    }

    /// Appends what is odd in this hierarchy.
    fn findings(&self, findings: &mut Findings) -> Result<(), SilverError> {
        let hierarchy = self.read()?;
        let mut found = hierarchy.findings(self.definition.max_depth);
        if let Some(paths) = &self.definition.paths {
            let columns = [self.definition.nodes.id.as_str(), paths.column.as_str()];
            let frame = parquet_file::read(self.nodes, &columns)?;
            let ids = longs(&frame, columns[0], &self.nodes.schema.name)?;
            let texts = frame.column(columns[1]).and_then(Column::str).map_err(|source| SilverError::Polars {
                table: self.nodes.schema.name.clone(),
                action: "read its paths",
                source,
            })?;
            // A path that is no list of ids is a failed cast's matter, not an odd hierarchy.
            let path = |text: &str| -> Option<Vec<i64>> {
                text.split(&paths.separator).map(|id| id.trim().parse().ok()).collect()
            };
            let pairs = ids.into_iter().zip(texts.iter());
            found.extend(hierarchy.path_findings(pairs.filter_map(|(id, text)| Some((id?, path(text?)?)))));
        }
        for finding in found {
            findings.hierarchy.push(self.name.to_string());
            findings.finding.push(finding.kind.as_str());
            findings.id.push(finding.id);
            let related: Vec<String> = finding.related.iter().map(ToString::to_string).collect();
            findings.related.push((!related.is_empty()).then(|| related.join("|")));
            findings.detail.push(finding.detail);
        }
        Ok(())
    }
}

/// Columns of a findings table.
#[derive(Default)]
struct Findings {
    hierarchy: Vec<String>,
    finding: Vec<&'static str>,
    id: Vec<i64>,
    related: Vec<Option<String>>,
    detail: Vec<String>,
}

impl Findings {
    fn summary(&self) -> Vec<RuleFinding> {
        let mut kinds: BTreeMap<&str, RuleFinding> = BTreeMap::new();
        for ((hierarchy, kind), detail) in self.hierarchy.iter().zip(&self.finding).zip(&self.detail) {
            let empty = RuleFinding { rule: (*kind).to_owned(), column: None, rows: 0, samples: Vec::new() };
            let finding = kinds.entry(kind).or_insert(empty);
            finding.rows += 1;
            if finding.samples.len() < SAMPLES {
                finding.samples.push(format!("{hierarchy}: {detail}"));
            }
        }
        kinds.into_values().collect()
    }
}

/// Writes what is odd in hierarchies into `area`; returns it summed up by kind, with examples.
///
/// # Errors
/// If tables cannot be read or written.
pub fn stage_findings(
    table: &TableName,
    hierarchies: &[HierarchyTask<'_>],
    run_id: &str,
    area: &Url,
) -> Result<Vec<RuleFinding>, SilverError> {
    let mut findings = Findings::default();
    for hierarchy in hierarchies {
        hierarchy.findings(&mut findings)?;
    }
    let rows = findings.id.len();
    let summary = findings.summary();
    if rows == 0 {
        return Ok(summary);
    }
    let columns = vec![
        Column::new("hierarchy".into(), findings.hierarchy),
        Column::new("finding".into(), findings.finding),
        Column::new("id".into(), findings.id),
        Column::new("related_ids".into(), findings.related),
        Column::new("detail".into(), findings.detail),
        Column::new("_run_id".into(), vec![run_id; rows]),
    ];
    let failed = |source| SilverError::Polars { table: table.clone(), action: "assemble its columns", source };
    parquet_file::write(table, &mut DataFrame::new(rows, columns).map_err(failed)?, area)?;
    Ok(summary)
}

fn longs(frame: &DataFrame, column: &str, table: &TableName) -> Result<Vec<Option<i64>>, SilverError> {
    let failed = |source| SilverError::Polars { table: table.clone(), action: "read ids", source };
    Ok(frame.column(column).and_then(Column::i64).map_err(failed)?.iter().collect())
}
