//! Nodes and parents as dense indices. Index order is id order, so that sorting indices sorts ids.

use super::Edge;

/// Stands for "nobody".
const NONE: u32 = u32::MAX;

/// Child -> parent edges, grouped by child.
#[derive(Debug)]
pub(super) struct ParentGraph {
    ids: Vec<i64>,
    positions: Positions,
    /// Whether the id was given as a node, not only seen in edges.
    is_node: Vec<bool>,
    /// Where each child's distinct parents begin in `parents`; one entry more than ids.
    parent_starts: Vec<usize>,
    parents: Vec<u32>,
    lines: Lines,
    /// Where each child's edges begin in `edges`; one entry more than ids.
    edge_starts: Vec<usize>,
    edges: Vec<LabelledParent>,
    self_parents: Vec<u32>,
}

/// The lines of single parents, close together in memory: there are far fewer parents than ids.
#[derive(Debug)]
struct Lines {
    /// By index of the child.
    first: Vec<Above>,
    /// By number of the parent whose own parent comes next; parents are numbered among themselves.
    further: Vec<Above>,
}

/// A single parent.
#[derive(Debug, Clone, Copy)]
struct Above {
    id: i64,
    /// The number of this parent, [`NONE`] where there is no single parent.
    number: u32,
}

impl Lines {
    fn new(ids: &[i64], parent_starts: &[usize], parents: &[u32]) -> Self {
        let mut numbers = vec![NONE; ids.len()];
        for &parent in parents {
            numbers[parent as usize] = 0;
        }
        for (number, of_parent) in numbers.iter_mut().filter(|number| **number == 0).enumerate() {
            *of_parent = number as u32;
        }
        let above = |range: &[usize]| match parents[range[0]..range[1]] {
            [parent] => Above { id: ids[parent as usize], number: numbers[parent as usize] },
            _ => Above { id: 0, number: NONE },
        };
        let first: Vec<Above> = parent_starts.windows(2).map(above).collect();
        let further = first.iter().zip(&numbers).filter(|(_, number)| **number != NONE).map(|(above, _)| *above);
        let further = further.collect();
        Self { first, further }
    }
}

/// A walk along a line.
#[derive(Debug)]
pub(super) struct Line<'graph> {
    lines: &'graph Lines,
    next: Above,
}

impl Iterator for Line<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let Above { id, number } = self.next;
        if number == NONE {
            return None;
        }
        self.next = self.lines.further[number as usize];
        Some(id)
    }
}

/// How a walk upwards goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Root,
    To(u32),
    Fork,
}

/// A parent and the label it is reached through; ordered by parent, then label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LabelledParent {
    pub(super) parent: u32,
    pub(super) label: Option<i64>,
}

impl ParentGraph {
    pub(super) fn new(nodes: Vec<i64>, edges: &[Edge]) -> Self {
        let (ids, positions, is_node) = index_ids(nodes, edges);
        let mut self_parents = Vec::new();
        let mut indexed = Vec::with_capacity(edges.len());
        for edge in edges {
            let (Some(child), Some(parent)) = (positions.of(&ids, edge.child), positions.of(&ids, edge.parent)) else {
                continue;
            };
            if child == parent {
                self_parents.push(child);
            } else {
                indexed.push((child, LabelledParent { parent, label: edge.label }));
            }
        }
        self_parents.sort_unstable();
        self_parents.dedup();
        let (edge_starts, edges) = group_by_child(ids.len(), &indexed);
        let (parent_starts, parents) = distinct_parents(&edge_starts, &edges);
        let lines = Lines::new(&ids, &parent_starts, &parents);
        Self { ids, positions, is_node, parent_starts, parents, lines, edge_starts, edges, self_parents }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Every index, ascending.
    pub(super) fn indices(&self) -> std::ops::Range<u32> {
        0..self.ids.len() as u32
    }

    #[inline]
    pub(super) fn id(&self, index: u32) -> i64 {
        self.ids[index as usize]
    }

    pub(super) fn position(&self, id: i64) -> Option<u32> {
        self.positions.of(&self.ids, id)
    }

    pub(super) fn is_node(&self, index: u32) -> bool {
        self.is_node[index as usize]
    }

    /// Distinct parents other than the child itself, ascending.
    pub(super) fn parents(&self, child: u32) -> &[u32] {
        let child = child as usize;
        &self.parents[self.parent_starts[child]..self.parent_starts[child + 1]]
    }

    #[inline]
    pub(super) fn step(&self, child: u32) -> Step {
        let child = child as usize;
        match self.parents[self.parent_starts[child]..self.parent_starts[child + 1]] {
            [] => Step::Root,
            [parent] => Step::To(parent),
            _ => Step::Fork,
        }
    }

    /// The ids above a child as far as everybody has one parent; endless in a cycle.
    #[inline]
    pub(super) fn line(&self, child: u32) -> Line<'_> {
        Line { lines: &self.lines, next: self.lines.first[child as usize] }
    }

    /// Distinct (parent, label) pairs of a child, ascending, without the child itself.
    pub(super) fn edges(&self, child: u32) -> &[LabelledParent] {
        let child = child as usize;
        &self.edges[self.edge_starts[child]..self.edge_starts[child + 1]]
    }

    /// Every child -> parent pair once.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.indices().flat_map(|child| self.parents(child).iter().map(move |&parent| (child, parent)))
    }

    /// Those who name themselves as parent, ascending.
    pub(super) fn self_parents(&self) -> &[u32] {
        &self.self_parents
    }
}

/// Finds the index of an id.
#[derive(Debug)]
enum Positions {
    /// Ids are dense enough for a table over their whole range.
    Table { first: i64, positions: Vec<u32> },
    /// Binary search in the sorted ids.
    Search,
}

impl Positions {
    fn new(ids: &[i64]) -> Self {
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else { return Self::Search };
        let span = last.abs_diff(first);
        if span > ids.len() as u64 * 8 + 1024 {
            return Self::Search;
        }
        let mut positions = vec![NONE; span as usize + 1];
        for (position, id) in ids.iter().enumerate() {
            positions[id.abs_diff(first) as usize] = position as u32;
        }
        Self::Table { first, positions }
    }

    fn of(&self, ids: &[i64], id: i64) -> Option<u32> {
        match self {
            Self::Table { first, positions } => {
                let offset = usize::try_from(id.checked_sub(*first)?).ok()?;
                positions.get(offset).copied().filter(|&position| position != NONE)
            }
            Self::Search => ids.binary_search(&id).ok().map(|position| position as u32),
        }
    }
}

fn index_ids(nodes: Vec<i64>, edges: &[Edge]) -> (Vec<i64>, Positions, Vec<bool>) {
    let nodes = sorted_distinct(nodes);
    let positions = Positions::new(&nodes);
    let endpoints = edges.iter().flat_map(|edge| [edge.child, edge.parent]);
    let others: Vec<i64> = endpoints.filter(|&id| positions.of(&nodes, id).is_none()).collect();
    if others.is_empty() {
        let is_node = vec![true; nodes.len()];
        return (nodes, positions, is_node);
    }
    let ids = sorted_distinct(nodes.iter().copied().chain(others).collect());
    let is_node = ids.iter().map(|&id| positions.of(&nodes, id).is_some()).collect();
    let positions = Positions::new(&ids);
    (ids, positions, is_node)
}

fn sorted_distinct(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Counting sort by child; each child's few edges are then sorted and made distinct.
fn group_by_child(id_count: usize, edges: &[(u32, LabelledParent)]) -> (Vec<usize>, Vec<LabelledParent>) {
    let mut ends = vec![0; id_count];
    for (child, _) in edges {
        ends[*child as usize] += 1;
    }
    let mut total = 0;
    for end in &mut ends {
        let count = *end;
        *end = total;
        total += count;
    }
    let mut grouped = vec![LabelledParent { parent: NONE, label: None }; edges.len()];
    for (child, edge) in edges {
        let end = &mut ends[*child as usize];
        grouped[*end] = *edge;
        *end += 1;
    }
    let mut starts = Vec::with_capacity(id_count + 1);
    let mut distinct = Vec::with_capacity(edges.len());
    let mut begin = 0;
    for end in ends {
        starts.push(distinct.len());
        let of_child = &mut grouped[begin..end];
        of_child.sort_unstable();
        let mut last = None;
        for edge in of_child {
            if last != Some(*edge) {
                distinct.push(*edge);
                last = Some(*edge);
            }
        }
        begin = end;
    }
    starts.push(distinct.len());
    (starts, distinct)
}

fn distinct_parents(edge_starts: &[usize], edges: &[LabelledParent]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = Vec::with_capacity(edge_starts.len());
    let mut parents = Vec::with_capacity(edges.len());
    for range in edge_starts.windows(2) {
        starts.push(parents.len());
        let mut last = NONE;
        for edge in &edges[range[0]..range[1]] {
            if edge.parent != last {
                parents.push(edge.parent);
                last = edge.parent;
            }
        }
    }
    starts.push(parents.len());
    (starts, parents)
}
