//! What a table's columns are computed from, where that is known: from its definition, or from the plan of its query.

use std::collections::{BTreeMap, BTreeSet};

use medallion_pipeline::definition::{Cleanse, CleanseColumn, Definition, HierarchyTable};
use medallion_pipeline::{Layer, Pipeline, Table, TableName};
use medallion_sql::{ColumnLineage, SourceColumn};

/// The columns that are computed from others, with those; constants are left out.
pub(crate) fn of(pipeline: &Pipeline, table: &Table, of_query: Option<&ColumnLineage>) -> ColumnLineage {
    let mut found = match &table.definition {
        Definition::Cleanse(cleanse) => cleansed(table, cleanse),
        Definition::Hierarchy(hierarchy) => closed(hierarchy),
        Definition::Versions(versions) => same_columns(pipeline, table, &versions.of),
        // Findings are sentences about hierarchies, of no column in particular.
        Definition::Findings(_) => ColumnLineage::new(),
        _ => of_query.cloned().unwrap_or_default(),
    };
    found.retain(|_, sources| !sources.is_empty());
    found
}

fn source(table: &TableName, column: &str) -> SourceColumn {
    SourceColumn { table: table.clone(), column: column.to_owned() }
}

/// A column of a source, or the hash of another; date keys are made of the column whose name they begin with.
fn cleansed(table: &Table, cleanse: &Cleanse) -> ColumnLineage {
    let bronze = TableName::new(Layer::Bronze, &cleanse.source);
    let origin = |column: &CleanseColumn| column.from.clone().unwrap_or_else(|| column.name.clone());
    let mut found = ColumnLineage::new();
    for column in &cleanse.columns {
        let hashed = column.hash_of.as_ref().and_then(|of| cleanse.columns.iter().find(|other| other.name == *of));
        let sources = BTreeSet::from([source(&bronze, &origin(hashed.unwrap_or(column)))]);
        if column.date_key {
            found.insert(format!("{}_date", column.name), sources.clone());
        }
        found.insert(column.name.clone(), sources);
    }
    found.retain(|name, _| table.schema.columns.iter().any(|column| column.name == *name));
    found
}

/// Both ends come from the edges, and from the nodes where a node is its own ancestor.
fn closed(hierarchy: &HierarchyTable) -> ColumnLineage {
    let (nodes, edges, columns) = (&hierarchy.nodes, &hierarchy.edges, &hierarchy.columns);
    let id = source(&nodes.table, &nodes.id);
    let mut found = BTreeMap::from([
        (columns.child.clone(), BTreeSet::from([id.clone(), source(&edges.table, &edges.child)])),
        (columns.ancestor.clone(), BTreeSet::from([id, source(&edges.table, &edges.parent)])),
    ]);
    if let (Some(name), Some(label)) = (&columns.label, &edges.label) {
        found.insert(name.clone(), BTreeSet::from([source(&edges.table, label)]));
    }
    found
}

fn same_columns(pipeline: &Pipeline, table: &Table, of: &TableName) -> ColumnLineage {
    let Some(followed) = pipeline.table(of) else { return ColumnLineage::new() };
    let names = table.schema.columns.iter().map(|column| &column.name).filter(|name| !name.starts_with('_'));
    let followed = |name: &&String| followed.schema.columns.iter().any(|column| column.name == **name);
    names.filter(followed).map(|name| (name.clone(), BTreeSet::from([source(of, name)]))).collect()
}
