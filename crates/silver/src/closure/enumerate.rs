//! The rows of the closure: first how many there are, then the rows themselves.

use std::convert::Infallible;
use std::mem;
use std::ops::Range;

use rayon::prelude::*;

use super::components::Bounds;
use super::graph::{LabelledParent, ParentGraph};
use super::search::{Labels, Search};
use super::{ClosureError, Hierarchy, Limits, RelationshipBatch};

/// Rows per batch: large enough to make handing out cheap, small enough to stay in the processor's cache.
const BATCH_ROWS: usize = 8192;
/// Rows of a span: enough to be worth a thread's while.
const SPAN_ROWS: u64 = 8 * BATCH_ROWS as u64;
/// Spans that are made before they are handed out, for each thread.
const SPANS_PER_THREAD: usize = 4;
/// A child with more rows is handed out batch by batch as they are found.
const MOST_ROWS_KEPT: u64 = 1 << 18;

impl Hierarchy {
    /// Hands out all relationships in batches, ordered by child, depth, ancestor and label. Returns their number.
    ///
    /// # Errors
    /// [`ClosureError::TooMany`], before anything is handed out, if there are more than `limits` allow;
    /// [`ClosureError::Emit`] as soon as `emit` fails.
    pub fn relationships<E: std::error::Error + 'static>(
        &self,
        limits: Limits,
        emit: impl FnMut(RelationshipBatch) -> Result<(), E>,
    ) -> Result<u64, ClosureError<E>> {
        let limit = limits.max_relationships;
        self.stay_within(limit).map_err(|at_least| ClosureError::TooMany { limit, at_least })?;
        self.write_rows(emit).map_err(ClosureError::Emit)
    }

    /// Fails with a number of relationships above the limit. The condensation alone decides for trees, chains and
    /// simple cycles, and wherever its bounds are on one side of the limit; only between them is there counting.
    fn stay_within(&self, limit: u64) -> Result<(), u64> {
        let mut labels = Labels::default();
        let (mut least, mut most) = (0u64, 0u64);
        for index in self.graph.indices() {
            let Bounds { least: ids_least, most: ids_most, .. } = self.components.bounds_of_index(index);
            least = least.saturating_add(self.rows(index, *ids_least, &mut labels).0);
            most = most.saturating_add(self.rows(index, *ids_most, &mut labels).1);
        }
        if least > limit {
            return Err(least);
        }
        if most > limit { self.count(least, limit) } else { Ok(()) }
    }

    /// Replaces the lower bounds, whose sum is `least`, by counted rows until all are counted or the limit is passed.
    fn count(&self, least: u64, limit: u64) -> Result<(), u64> {
        let mut labels = Labels::default();
        let mut search = Search::new(&self.graph);
        let mut ids_reached: Vec<u64> = Vec::with_capacity(self.components.len());
        let mut total = least;
        for component in 0..self.components.len() {
            let members = self.components.members(component);
            let bounds = self.components.bounds(component);
            let ids = match (bounds.only_parent, members) {
                _ if bounds.least == bounds.most => bounds.least,
                (Some(parent), _) => members.len() as u64 + ids_reached[parent as usize],
                (None, [member, ..]) => search.extent(*member).0 + 1,
                (None, []) => 0,
            };
            ids_reached.push(ids);
            for &index in members {
                let assumed = self.rows(index, bounds.least, &mut labels).0;
                let rows = self.exact_rows(index, ids, &mut search, &mut labels);
                total = total.saturating_add(rows - assumed);
                if total > limit {
                    return Err(total);
                }
            }
        }
        Ok(())
    }

    /// Least and most rows of a child whose component and everything above it are `ids` ids together.
    fn rows(&self, index: u32, ids: u64, labels: &mut Labels) -> (u64, u64) {
        let ancestors = ids - 1;
        let edges = self.graph.edges(index);
        let parents = self.graph.parents(index).len();
        if parents <= 1 {
            let rows = (edges.len() as u64).saturating_mul(ancestors).saturating_add(1);
            return (rows, rows);
        }
        labels.read(&self.graph, index);
        let further = ancestors.saturating_sub(parents as u64);
        let own = 1 + edges.len() as u64;
        (own + further, (labels.all.len() as u64).saturating_mul(further).saturating_add(own))
    }

    /// Counted only for a child with several parents through several labels: the others have equal bounds.
    fn exact_rows(&self, index: u32, ids: u64, search: &mut Search<'_>, labels: &mut Labels) -> u64 {
        let (least, most) = self.rows(index, ids, labels);
        if least == most {
            return least;
        }
        let mut rows = 1;
        labels.read(&self.graph, index);
        let counted = search.levels(index, labels, |_, level| {
            rows += level.len() as u64;
            Ok::<(), Infallible>(())
        });
        match counted {
            Ok(()) => rows,
            Err(never) => match never {},
        }
    }

    /// Several spans of children at a time, each on whatever thread is free, and their rows in order.
    fn write_rows<E>(&self, mut emit: impl FnMut(RelationshipBatch) -> Result<(), E>) -> Result<u64, E> {
        let at_once = rayon::current_num_threads() * SPANS_PER_THREAD;
        let mut spans = self.spans().peekable();
        let mut written = 0;
        loop {
            let is_kept = |span: &Span| span.rows <= MOST_ROWS_KEPT;
            let some: Vec<Span> = std::iter::from_fn(|| spans.next_if(is_kept)).take(at_once).collect();
            if some.is_empty() {
                let Some(span) = spans.next() else { return Ok(written) };
                written += self.write_span(span.children, &mut Tools::default(), Writer::new(&mut emit))?;
            }
            let made = some.into_par_iter().map_init(Tools::default, |tools, span| self.batches(span.children, tools));
            let made: Vec<Vec<RelationshipBatch>> = made.collect();
            for batch in made.into_iter().flatten() {
                written += batch.len() as u64;
                emit(batch)?;
            }
        }
    }

    /// Children one after another, as many as have [`SPAN_ROWS`] rows at most, or one that alone may have more.
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let mut labels = Labels::default();
        let mut rows = self.graph.indices().map(move |index| {
            let bounds = self.components.bounds_of_index(index);
            self.rows(index, bounds.most, &mut labels).1
        });
        let (mut next, mut end) = (rows.next(), 0);
        std::iter::from_fn(move || {
            let (begin, mut sum) = (end, next?);
            end += 1;
            next = rows.next();
            while let Some(further) = next.filter(|further| sum.saturating_add(*further) <= SPAN_ROWS) {
                sum += further;
                end += 1;
                next = rows.next();
            }
            Some(Span { children: begin..end, rows: sum })
        })
    }

    /// All rows of a span.
    fn batches<'graph>(&'graph self, children: Range<u32>, tools: &mut Tools<'graph>) -> Vec<RelationshipBatch> {
        let mut batches = Vec::new();
        let keep = |batch| {
            batches.push(batch);
            Ok::<(), Infallible>(())
        };
        match self.write_span(children, tools, Writer::new(keep)) {
            Ok(_) => batches,
            Err(never) => match never {},
        }
    }

    fn write_span<'graph, E, F: FnMut(RelationshipBatch) -> Result<(), E>>(
        &'graph self,
        children: Range<u32>,
        tools: &mut Tools<'graph>,
        mut writer: Writer<F>,
    ) -> Result<u64, E> {
        for index in children {
            let child = self.graph.id(index);
            writer.push(child, child, 0, None)?;
            let bounds = self.components.bounds_of_index(index);
            if bounds.is_line {
                writer.push_line(&self.graph, index, (bounds.least - 1) as usize)?;
                continue;
            }
            let Tools { labels, search } = tools;
            labels.read(&self.graph, index);
            search.get_or_insert_with(|| Search::new(&self.graph)).levels(index, labels, |depth, level| {
                for &reached in level {
                    for &label in labels.of(reached) {
                        writer.push(child, self.graph.id(reached.0), depth, label)?;
                    }
                }
                Ok(())
            })?;
        }
        writer.finish()
    }
}

/// Children whose rows are made together.
struct Span {
    children: Range<u32>,
    /// So many rows they have at most.
    rows: u64,
}

/// What searching needs, made once for several spans, and only where there is something to search.
#[derive(Default)]
struct Tools<'graph> {
    labels: Labels,
    search: Option<Search<'graph>>,
}

/// Collects rows and hands them out by the batch.
struct Writer<F> {
    batch: RelationshipBatch,
    emit: F,
    written: u64,
}

impl<E, F: FnMut(RelationshipBatch) -> Result<(), E>> Writer<F> {
    fn new(emit: F) -> Self {
        Self { batch: empty_batch(), emit, written: 0 }
    }

    #[inline]
    fn push(&mut self, child: i64, ancestor: i64, depth: u32, label: Option<i64>) -> Result<(), E> {
        if label.is_none() {
            self.batch.unlabelled.push(self.batch.len());
        }
        self.batch.child.push(child);
        self.batch.ancestor.push(ancestor);
        self.batch.depth.push(i64::from(depth));
        self.batch.label.push(label.unwrap_or(0));
        if self.batch.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Rows of a child whose `length` ancestors are a single line.
    fn push_line(&mut self, graph: &ParentGraph, child: u32, length: usize) -> Result<(), E> {
        let edges = graph.edges(child);
        if let [LabelledParent { label, .. }] = edges {
            return self.push_labelled_line(graph, child, length, *label);
        }
        for (depth, ancestor) in (1..=length as u32).zip(graph.line(child)) {
            for edge in edges {
                self.push(graph.id(child), ancestor, depth, edge.label)?;
            }
        }
        Ok(())
    }

    /// The usual case, one label: column by column, so that only the ancestors need a step of their own.
    fn push_labelled_line(
        &mut self,
        graph: &ParentGraph,
        child: u32,
        length: usize,
        label: Option<i64>,
    ) -> Result<(), E> {
        let mut line = graph.line(child);
        let mut done = 0;
        while done < length {
            let begin = self.batch.len();
            let rows = (length - done).min(BATCH_ROWS - begin);
            if label.is_none() {
                self.batch.unlabelled.extend(begin..begin + rows);
            }
            self.batch.child.resize(begin + rows, graph.id(child));
            self.batch.label.resize(begin + rows, label.unwrap_or(0));
            self.batch.depth.extend(done as i64 + 1..=(done + rows) as i64);
            self.batch.ancestor.extend(line.by_ref().take(rows));
            done += rows;
            if begin + rows == BATCH_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), E> {
        let batch = mem::replace(&mut self.batch, empty_batch());
        self.written += batch.len() as u64;
        (self.emit)(batch)
    }

    fn finish(mut self) -> Result<u64, E> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        Ok(self.written)
    }
}

fn empty_batch() -> RelationshipBatch {
    let column = || Vec::with_capacity(BATCH_ROWS);
    RelationshipBatch { child: column(), ancestor: column(), depth: column(), label: column(), unlabelled: Vec::new() }
}
