//! How far the silver and gold tables of a run are.

use std::collections::BTreeMap;
use std::time::Instant;

use medallion_pipeline::{Layer, Table, TableName};

use crate::error::Cause;
use crate::events::Event;
use crate::input::Input;
use crate::layers::{Builder, Built, Ready, input_names};

/// How far the tables are.
pub(crate) struct Progress<'a> {
    builder: &'a Builder,
    /// What others can be built from.
    ready: Ready,
    fingerprints: BTreeMap<TableName, String>,
    /// What has not begun, in building order.
    waiting: Vec<&'a Table>,
    built: Vec<Built>,
    clock: LayerClock<'a>,
    failure: Option<Cause>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(builder: &'a Builder, kept: Vec<Built>) -> Self {
        let tables = builder.pipeline.tables.iter();
        let mut progress = Self {
            builder,
            ready: Ready::new(),
            fingerprints: BTreeMap::new(),
            waiting: tables.filter(|table| builder.scope.has(&table.name)).collect(),
            built: Vec::new(),
            clock: LayerClock::new(builder),
            failure: None,
        };
        for (name, batch) in builder.bronze.iter() {
            progress.ready.insert(name.clone(), Input::found(batch.files.clone()));
            progress.fingerprints.insert(name.clone(), batch.content_hash.clone().unwrap_or_default());
        }
        kept.into_iter().for_each(|kept| progress.add(kept));
        progress
    }

    fn add(&mut self, built: Built) {
        self.ready.insert(built.name.clone(), built.input.clone());
        self.fingerprints.insert(built.name.clone(), built.fingerprint.clone().unwrap_or_default());
        self.built.push(built);
    }

    /// A table whose inputs are ready; it begins.
    pub(crate) fn next(&mut self) -> Option<&'a Table> {
        let pipeline = &self.builder.pipeline;
        let is_ready =
            |table: &&Table| input_names(pipeline, table).into_iter().all(|input| self.ready.contains_key(input));
        let place = self.waiting.iter().position(is_ready)?;
        let table = self.waiting.remove(place);
        self.clock.begin(table.name.layer);
        Some(table)
    }

    pub(crate) fn inputs(&self, table: &Table) -> Ready {
        let wanted = input_names(&self.builder.pipeline, table).into_iter();
        wanted.filter_map(|name| Some((name.clone(), self.ready.get(name)?.clone()))).collect()
    }

    /// What tells whether the inputs are what they were.
    pub(crate) fn hashes<'p>(&'p self, table: &'p Table) -> BTreeMap<&'p TableName, &'p str> {
        let wanted = input_names(&self.builder.pipeline, table).into_iter();
        wanted.filter_map(|name| Some((name, self.fingerprints.get(name)?.as_str()))).collect()
    }

    /// A table is ready, or nothing further begins: what is still being written has to end before it can be cleared away.
    pub(crate) fn finish(&mut self, done: Result<Built, Cause>) {
        match done {
            Ok(built) if self.failure.is_none() => {
                self.clock.end(built.name.layer);
                let (table, rows) = (built.name.clone(), built.result.rows_out);
                let seconds = built.result.seconds;
                self.builder.listener.on(&Event::TableDone { table, rows, seconds });
                self.add(built);
            }
            Ok(_) => {}
            Err(cause) => {
                self.waiting.clear();
                self.failure.get_or_insert(cause);
            }
        }
    }

    pub(crate) fn ended(self) -> Result<(Vec<Built>, BTreeMap<Layer, f64>), Cause> {
        match self.failure {
            None => Ok((self.built, self.clock.seconds())),
            Some(cause) => Err(cause),
        }
    }
}

/// Wall time from a layer's first table to its last.
struct LayerClock<'a> {
    builder: &'a Builder,
    times: BTreeMap<Layer, (Instant, Instant)>,
}

impl<'a> LayerClock<'a> {
    fn new(builder: &'a Builder) -> Self {
        Self { builder, times: BTreeMap::new() }
    }

    fn begin(&mut self, layer: Layer) {
        if !self.times.contains_key(&layer) {
            let of_layer = |table: &&Table| table.name.layer == layer && self.builder.scope.has(&table.name);
            let tables = self.builder.pipeline.tables.iter().filter(of_layer).count();
            self.builder.listener.on(&Event::LayerStarted { layer, tables });
            self.times.insert(layer, (Instant::now(), Instant::now()));
        }
    }

    fn end(&mut self, layer: Layer) {
        if let Some((_, end)) = self.times.get_mut(&layer) {
            *end = Instant::now();
        }
    }

    fn seconds(&self) -> BTreeMap<Layer, f64> {
        self.times.iter().map(|(layer, (begin, end))| (*layer, end.duration_since(*begin).as_secs_f64())).collect()
    }
}
