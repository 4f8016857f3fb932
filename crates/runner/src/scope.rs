//! What a run is about: every table, or a selection. What is not selected stays as the last release has it.

use std::collections::BTreeSet;

use medallion_lake::{Release, ReleasedTable};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{DataTest, Layer, Pipeline, Selection, SourceTable, Table, TableName};

use crate::build_key::definition_key;
use crate::error::Cause;
use crate::history::{Histories, History};
use crate::input::Input;
use crate::layers::{Built, Content, input_names};
use crate::results::{Status, TableResult};

/// Why a table was left as it is.
const NOT_SELECTED: &str = "not selected";

/// The sources and tables that a run is about.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// The selected sources and tables; `None` is all of them.
    selected: Option<BTreeSet<TableName>>,
    /// Sources whose newest batches become the content of tables.
    moved: BTreeSet<TableName>,
    /// Sources of which selected tables need the batches that the last release was built from.
    needed: BTreeSet<TableName>,
}

impl Scope {
    /// The tables of a selection, or all.
    ///
    /// # Errors
    /// If it matches nothing, or a selected table needs one that is neither selected nor published.
    pub(crate) fn of(
        selection: Option<&Selection>,
        pipeline: &Pipeline,
        last: Option<&Release>,
    ) -> Result<Self, Cause> {
        let Some(selection) = selection else {
            let moved = pipeline.sources.values().map(|source| source.name.clone()).collect();
            return Ok(Self { moved, ..Self::default() });
        };
        let modified = if selection.needs_state() { modified(pipeline, last)? } else { BTreeSet::new() };
        let asked_for = selection.resolve(pipeline, &modified)?;
        let selected = with_siblings(asked_for.clone(), pipeline);
        let is_selected = |table: &&Table| selected.contains(&table.name);
        let users = |source: &TableName| {
            let source = source.clone();
            pipeline.tables.iter().filter(move |table| table.inputs.contains(&source))
        };
        let sources = || pipeline.sources.values().map(|source| &source.name);
        let moves = |source: &&TableName| selected.contains(*source) && users(source).all(|table| is_selected(&table));
        let moved: BTreeSet<TableName> = sources().filter(moves).cloned().collect();
        let needs = |source: &&TableName| {
            let followed = |table: &Table| Histories::source_of(pipeline, table) == Some(*source);
            let uses = |table: &Table| table.inputs.contains(*source) || followed(table);
            !moved.contains(*source) && pipeline.tables.iter().filter(is_selected).any(uses)
        };
        let needed = sources().filter(needs).cloned().collect();
        let scope = Self { selected: Some(selected), moved, needed };
        scope.check_inputs(&asked_for, pipeline, last)?;
        let rolled_back =
            last.filter(|_| scope.is_partial(pipeline)).and_then(|last| Some((last, last.rolled_back_to?)));
        if let Some((last, to)) = rolled_back {
            return Err(Cause::PartOfRollback { release: last.release, to });
        }
        Ok(scope)
    }

    /// Whether a source or table is to be taken in or built.
    pub(crate) fn has(&self, table: &TableName) -> bool {
        self.selected.as_ref().is_none_or(|selected| selected.contains(table))
    }

    /// Whether there is a selection, be it of everything.
    pub(crate) fn is_selective(&self) -> bool {
        self.selected.is_some()
    }

    /// Whether a table of the pipeline stays as it is.
    pub(crate) fn is_partial(&self, pipeline: &Pipeline) -> bool {
        !pipeline.tables.iter().all(|table| self.has(&table.name))
    }

    /// The sources that are taken in.
    pub(crate) fn sources<'p>(&self, pipeline: &'p Pipeline) -> Vec<&'p SourceTable> {
        pipeline.sources.values().filter(|source| self.has(&source.name)).collect()
    }

    /// Whether what arrived of a source becomes the content of tables. It does not where only some of the tables that are
    /// built from it are selected: their rows would be of different exports.
    pub(crate) fn moves(&self, source: &TableName) -> bool {
        self.moved.contains(source)
    }

    /// The sources of which the batches of the last release are needed.
    pub(crate) fn needed<'p>(&self, pipeline: &'p Pipeline) -> Vec<&'p SourceTable> {
        pipeline.sources.values().filter(|source| self.needed.contains(&source.name)).collect()
    }

    /// The tests that look at a selected table, and those of them for which there is a table missing, with that table.
    pub(crate) fn tests(
        &self,
        pipeline: &Pipeline,
        last: Option<&Release>,
    ) -> (Vec<DataTest>, Vec<(String, TableName)>) {
        let (mut tests, mut left_out) = (Vec::new(), Vec::new());
        let is_there = |table: &TableName| {
            self.has(table) || last.is_some_and(|last| last.tables.contains_key(&table.to_string()))
        };
        for test in &pipeline.tests {
            let tables = test.tables();
            // One that reads no table is about all or none of them.
            if self.is_selective() && !tables.iter().any(|table| self.has(table)) {
                continue;
            }
            match tables.into_iter().find(|table| !is_there(table)) {
                Some(missing) => left_out.push((test.full_name(), missing.clone())),
                None => tests.push(test.clone()),
            }
        }
        (tests, left_out)
    }

    /// The tables that stay as the last release has them.
    pub(crate) fn kept(&self, last: Option<&Release>) -> Vec<Built> {
        let tables = last.into_iter().flat_map(|last| last.tables.iter().map(move |table| (last, table)));
        let named = tables.filter_map(|(last, (name, released))| Some((last, name.parse().ok()?, released)));
        named.filter(|(_, name, _)| !self.has(name)).map(|(last, name, released)| kept(last, name, released)).collect()
    }

    /// The tables that selected ones are built from though their definition has changed since they were built.
    pub(crate) fn outdated(&self, pipeline: &Pipeline, last: Option<&Release>) -> Result<Vec<TableName>, Cause> {
        if !self.is_partial(pipeline) {
            return Ok(Vec::new());
        }
        let selected = pipeline.tables.iter().filter(|table| self.has(&table.name));
        let inputs: BTreeSet<&TableName> = selected.flat_map(|table| input_names(pipeline, table)).collect();
        let mut outdated = modified(pipeline, last)?;
        outdated.retain(|table| !self.has(table) && inputs.contains(table));
        Ok(outdated.into_iter().collect())
    }

    /// Looks for what is not there to build from, first of what was `asked_for`.
    fn check_inputs(
        &self,
        asked_for: &BTreeSet<TableName>,
        pipeline: &Pipeline,
        last: Option<&Release>,
    ) -> Result<(), Cause> {
        let batch = |input: &TableName| last.is_some_and(|last| last.batches.contains_key(&input.to_string()));
        let is_there = |input: &TableName| match pipeline.sources.get(&input.table) {
            Some(source) if input.layer == Layer::Bronze => {
                self.moves(input) || batch(input) || (last.is_some() && !source.source.required)
            }
            _ => self.has(input) || last.is_some_and(|last| last.tables.contains_key(&input.to_string())),
        };
        let mut tables: Vec<&Table> = pipeline.tables.iter().filter(|table| self.has(&table.name)).collect();
        tables.sort_by_key(|table| !asked_for.contains(&table.name));
        for table in tables {
            if let Some(input) = input_names(pipeline, table).into_iter().find(|input| !is_there(input)) {
                return Err(Cause::NeverPublished { table: table.name.clone(), input: input.clone() });
            }
        }
        Ok(())
    }
}

/// What is set aside is kept by source, and tables cleansed from one source are therefore built together.
fn with_siblings(mut selected: BTreeSet<TableName>, pipeline: &Pipeline) -> BTreeSet<TableName> {
    let cleansed_from = |table: &Table| match &table.definition {
        Definition::Cleanse(cleanse) => Some(cleanse.source.clone()),
        _ => None,
    };
    let of_selected = pipeline.tables.iter().filter(|table| selected.contains(&table.name));
    let sources: BTreeSet<String> = of_selected.filter_map(cleansed_from).collect();
    let siblings = pipeline.tables.iter().filter(|table| cleansed_from(table).is_some_and(|of| sources.contains(&of)));
    selected.extend(siblings.map(|table| table.name.clone()));
    selected
}

fn kept(last: &Release, name: TableName, released: &ReleasedTable) -> Built {
    let snapshots = last.history.get(&name.to_string()).cloned();
    let hashes = released.hashes();
    Built {
        content: Content::Published { version: released.version, rows: released.rows },
        input: Input::published(name.clone(), released.version),
        fingerprint: hashes.fingerprint,
        build_key: hashes.build_key,
        definition: hashes.definition,
        was_built: false,
        result: not_selected(released.rows),
        rejects: Vec::new(),
        history: snapshots.map(|snapshots| History { snapshots, refused: BTreeSet::new() }),
        name,
    }
}

/// The result of what stays as it is.
pub(crate) fn not_selected(rows: u64) -> TableResult {
    let mut result = TableResult::built(0, rows, 0.0);
    result.status = Status::NotSelected;
    result.skipped = Some(NOT_SELECTED.to_owned());
    result
}

/// The silver and gold tables whose definition is another one than that which the release was built with, or that the
/// release does not have. One whose definition it does not tell counts as changed.
///
/// # Errors
/// If the definition of a gold table contradicts itself.
pub fn modified(pipeline: &Pipeline, release: Option<&Release>) -> Result<BTreeSet<TableName>, Cause> {
    let mut modified = BTreeSet::new();
    for table in &pipeline.tables {
        let released = release.and_then(|release| release.tables.get(&table.name.to_string()));
        let built_with = released.and_then(|released| released.definition.as_ref());
        if built_with != Some(&definition_key(pipeline, table)?) {
            modified.insert(table.name.clone());
        }
    }
    Ok(modified)
}
