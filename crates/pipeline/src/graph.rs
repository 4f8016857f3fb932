//! The table graph: what must be built before what.

use std::collections::HashMap;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::error::DefinitionError;
use crate::load::Table;
use crate::schema::TableName;

/// Puts every table after the tables it is built from; independent tables stand in alphabetical order of their names
/// as far as that allows.
pub(crate) fn in_building_order(mut tables: Vec<Table>) -> Result<Vec<Table>, DefinitionError> {
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let graph = graph(&tables);
    if toposort(&graph, None).is_err() {
        return Err(DefinitionError::Cycle { tables: cycle(&graph, &tables) });
    }
    let depths = depths(&tables);
    tables.sort_by_key(|table| (table.name.layer, depths[&table.name]));
    Ok(tables)
}

fn graph(tables: &[Table]) -> DiGraph<usize, ()> {
    let mut graph = DiGraph::new();
    let nodes: HashMap<&TableName, NodeIndex> =
        tables.iter().enumerate().map(|(index, table)| (&table.name, graph.add_node(index))).collect();
    for table in tables {
        for input in table.inputs.iter().filter_map(|input| nodes.get(input)) {
            graph.add_edge(*input, nodes[&table.name], ());
        }
    }
    graph
}

fn cycle(graph: &DiGraph<usize, ()>, tables: &[Table]) -> Vec<String> {
    let component = tarjan_scc(graph)
        .into_iter()
        .find(|component| component.len() > 1 || graph.contains_edge(component[0], component[0]))
        .unwrap_or_default();
    let mut names: Vec<String> = component.into_iter().map(|node| tables[graph[node]].name.to_string()).collect();
    names.reverse();
    names.extend(names.first().cloned());
    names
}

/// The longest way to each table from those without inputs of their own kind.
fn depths(tables: &[Table]) -> HashMap<TableName, usize> {
    let mut depths: HashMap<TableName, usize> = HashMap::new();
    let graph = graph(tables);
    for node in toposort(&graph, None).unwrap_or_default() {
        let table = &tables[graph[node]];
        let depth = table.inputs.iter().filter_map(|input| depths.get(input)).map(|depth| depth + 1).max();
        depths.insert(table.name.clone(), depth.unwrap_or(0));
    }
    depths
}
