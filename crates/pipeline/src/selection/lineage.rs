//! What is built from what, step by step.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::Pipeline;
use crate::schema::TableName;

type Edges<'a> = BTreeMap<&'a TableName, Vec<&'a TableName>>;

/// The table graph in both directions, sources included.
pub(super) struct Lineage<'a> {
    inputs: Edges<'a>,
    outputs: Edges<'a>,
}

impl<'a> Lineage<'a> {
    pub(super) fn of(pipeline: &'a Pipeline) -> Self {
        let mut lineage = Self { inputs: BTreeMap::new(), outputs: BTreeMap::new() };
        for source in pipeline.sources.values() {
            lineage.inputs.insert(&source.name, Vec::new());
        }
        for table in &pipeline.tables {
            lineage.inputs.insert(&table.name, table.inputs.iter().collect());
            for input in &table.inputs {
                lineage.outputs.entry(input).or_default().push(&table.name);
            }
        }
        lineage
    }

    /// All sources and tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'a TableName> + '_ {
        self.inputs.keys().copied()
    }

    /// What tables are built from, up to so many steps; the tables themselves are not among it, unless one is built from
    /// another.
    pub(super) fn before(&self, tables: &BTreeSet<TableName>, steps: usize) -> BTreeSet<TableName> {
        walk(&self.inputs, tables, steps)
    }

    /// What is built from tables, up to so many steps.
    pub(super) fn after(&self, tables: &BTreeSet<TableName>, steps: usize) -> BTreeSet<TableName> {
        walk(&self.outputs, tables, steps)
    }
}

fn walk(edges: &Edges<'_>, from: &BTreeSet<TableName>, steps: usize) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    let mut edge: BTreeSet<TableName> = from.clone();
    // No way is longer than there are tables.
    for _ in 0..steps.min(edges.len() + 1) {
        let next = edge.iter().filter_map(|table| edges.get(table)).flatten().copied();
        edge = next.filter(|table| !found.contains(*table)).cloned().collect();
        if edge.is_empty() {
            break;
        }
        found.extend(edge.iter().cloned());
    }
    found
}
