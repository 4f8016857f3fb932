//! Breadth-first search upwards, level by level, that remembers which of the child's labels each shortest way uses.

use super::graph::ParentGraph;

/// An ancestor, and the position of a label in [`Labels::all`] through which it is reached by a shortest way.
pub(super) type Reached = (u32, u32);

/// The labels of one child and where they lead.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Distinct labels, ascending.
    pub(super) all: Vec<Option<i64>>,
    /// All labels lead to the same single parent: what one reaches, all reach. They are searched as one.
    pub(super) are_one: bool,
    first_level: Vec<Reached>,
}

impl Labels {
    pub(super) fn read(&mut self, graph: &ParentGraph, child: u32) {
        let edges = graph.edges(child);
        self.all.clear();
        self.all.extend(edges.iter().map(|edge| edge.label));
        self.all.sort_unstable();
        self.all.dedup();
        self.are_one = self.all.len() == 1 || graph.parents(child).len() == 1;
        self.first_level.clear();
        if self.are_one {
            self.first_level.extend(graph.parents(child).iter().map(|&parent| (parent, 0)));
        } else {
            let position = |label| self.all.binary_search(label).unwrap_or_default() as u32;
            self.first_level.extend(edges.iter().map(|edge| (edge.parent, position(&edge.label))));
        }
    }

    /// The labels a reached ancestor stands for.
    pub(super) fn of(&self, reached: Reached) -> &[Option<i64>] {
        if self.are_one { &self.all } else { &self.all[reached.1 as usize..=reached.1 as usize] }
    }
}

/// Working memory of the search, reused from child to child.
#[derive(Debug)]
pub(super) struct Search<'graph> {
    graph: &'graph ParentGraph,
    /// Per id the ticket at which it was last reached. Tickets only grow, so nothing is cleared between searches.
    reached_at: Vec<u64>,
    next_ticket: u64,
    level: Vec<Reached>,
    next_level: Vec<Reached>,
}

impl<'graph> Search<'graph> {
    pub(super) fn new(graph: &'graph ParentGraph) -> Self {
        let reached_at = vec![0; graph.len()];
        Self { graph, reached_at, next_ticket: 1, level: Vec::new(), next_level: Vec::new() }
    }

    /// Hands out the ancestors of a child per depth, from 1 upwards, each level sorted and without duplicates.
    pub(super) fn levels<E>(
        &mut self,
        child: u32,
        labels: &Labels,
        mut visit: impl FnMut(u32, &[Reached]) -> Result<(), E>,
    ) -> Result<(), E> {
        let first_ticket = self.next_ticket;
        self.reached_at[child as usize] = first_ticket;
        self.level.clear();
        self.level.extend_from_slice(&labels.first_level);
        let mut depth = 1;
        for &(parent, _) in &self.level {
            self.reached_at[parent as usize] = first_ticket + 1;
        }
        let mut outcome = Ok(());
        while !self.level.is_empty() && outcome.is_ok() {
            outcome = visit(depth, &self.level);
            depth += 1;
            self.climb(first_ticket, first_ticket + u64::from(depth), labels.are_one);
        }
        self.next_ticket = first_ticket + u64::from(depth) + 1;
        outcome
    }

    /// Whether ids reached before `first_ticket` are new; those reached at `ticket` belong to the same next level.
    fn climb(&mut self, first_ticket: u64, ticket: u64, labels_are_one: bool) {
        self.next_level.clear();
        for &(index, label) in &self.level {
            for &parent in self.graph.parents(index) {
                let reached_at = &mut self.reached_at[parent as usize];
                if *reached_at < first_ticket {
                    *reached_at = ticket;
                    self.next_level.push((parent, label));
                } else if *reached_at == ticket && !labels_are_one {
                    self.next_level.push((parent, label));
                }
            }
        }
        if self.next_level.len() > 1 {
            self.next_level.sort_unstable();
            self.next_level.dedup();
        }
        std::mem::swap(&mut self.level, &mut self.next_level);
    }

    /// Number of distinct ancestors, and the depth of the furthest.
    pub(super) fn extent(&mut self, child: u32) -> (u64, u32) {
        let parents = self.graph.parents(child).iter().map(|&parent| (parent, 0));
        let labels = Labels { all: vec![None], are_one: true, first_level: parents.collect() };
        let mut extent = (0, 0);
        let counted = self.levels(child, &labels, |depth, level| {
            extent = (extent.0 + level.len() as u64, depth);
            Ok::<(), std::convert::Infallible>(())
        });
        match counted {
            Ok(()) => extent,
            Err(never) => match never {},
        }
    }
}
