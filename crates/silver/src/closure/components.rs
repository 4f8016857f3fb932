//! In which order ids can be taken so that ancestors come first, and what is known then about everything above them.
//!
//! Ids whose ancestors are a single line up to a root are settled by walking up. What remains - several parents or
//! cycles somewhere above - goes to petgraph: its condensation merges every knot of cycles into one component, and
//! between components there are no cycles, so that bounds can be carried down in one pass.

use petgraph::Directed;
use petgraph::algo::condensation;
use petgraph::graph::{Graph, NodeIndex};

use super::graph::{ParentGraph, Step};

/// In [`Components::of`]: not looked at yet.
const UNSEEN: u32 = u32::MAX;
/// In [`Components::of`]: not a line up to a root, left to petgraph.
const TANGLED: u32 = u32::MAX - 1;

/// The components of a hierarchy, ancestors before descendants.
#[derive(Debug)]
pub(super) struct Components {
    of: Vec<u32>,
    /// Where each component's members begin in `members`; one entry more than components.
    starts: Vec<usize>,
    members: Vec<u32>,
    bounds: Vec<Bounds>,
}

/// What is known about everything a component reaches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Ids of the component and above it: at least this many.
    pub(super) least: u64,
    /// Ids of the component and above it: at most this many.
    pub(super) most: u64,
    /// No shortest way up from a member is longer.
    pub(super) height: u64,
    /// No id on the way up has more than one parent: the ancestors of each member are a single line.
    pub(super) is_line: bool,
    /// The only parent component; none where there is no parent or more than one.
    pub(super) only_parent: Option<u32>,
}

impl Components {
    pub(super) fn new(graph: &ParentGraph) -> Self {
        let count = graph.len();
        let mut components = Self {
            of: vec![UNSEEN; count],
            starts: Vec::with_capacity(count + 1),
            members: Vec::with_capacity(count),
            bounds: Vec::with_capacity(count),
        };
        components.settle_lines(graph);
        if components.members.len() < count {
            components.settle_tangled(graph);
        }
        components.starts.push(components.members.len());
        components
    }

    fn settle_lines(&mut self, graph: &ParentGraph) {
        let mut walked = Vec::new();
        for start in graph.indices() {
            let mut at = start;
            let above = loop {
                match self.of[at as usize] {
                    // Includes ids of this very walk: a walk that meets itself has found a cycle.
                    TANGLED => break None,
                    UNSEEN => {}
                    settled => break Some(Some(settled)),
                }
                self.of[at as usize] = TANGLED;
                walked.push(at);
                match graph.step(at) {
                    Step::Root => break Some(None),
                    Step::To(parent) => at = parent,
                    Step::Fork => break None,
                }
            };
            if let Some(mut only_parent) = above {
                for &index in walked.iter().rev() {
                    only_parent = Some(self.add_to_line(index, only_parent));
                }
            }
            walked.clear();
        }
    }

    fn add_to_line(&mut self, index: u32, only_parent: Option<u32>) -> u32 {
        let length = only_parent.map_or(0, |parent| self.bounds[parent as usize].least);
        self.add(&[index], Bounds { least: length + 1, most: length + 1, height: length, is_line: true, only_parent })
    }

    /// The graph holds the tangled ids and, as its roots, settled parents of theirs.
    fn settle_tangled(&mut self, graph: &ParentGraph) {
        let mut tangled = Graph::<u32, (), Directed, u32>::new();
        let mut node_of = vec![NodeIndex::end(); graph.len()];
        let mut node = |tangled: &mut Graph<_, _, _, _>, index: u32| {
            let node = &mut node_of[index as usize];
            if *node == NodeIndex::end() {
                *node = tangled.add_node(index);
            }
            *node
        };
        for child in graph.indices().filter(|&index| self.of[index as usize] == TANGLED) {
            for &parent in graph.parents(child) {
                let (child, parent) = (node(&mut tangled, child), node(&mut tangled, parent));
                tangled.add_edge(child, parent, ());
            }
        }
        // Parallel edges are kept: merging them would search a component's edges anew for each one.
        let mut condensed = condensation(tangled, false);

        // Condensed nodes keep the reverse topological order of petgraph's components: parents come first.
        let mut numbers: Vec<u32> = Vec::with_capacity(condensed.node_count());
        let mut parents: Vec<u32> = Vec::new();
        for component in condensed.node_indices() {
            parents.clear();
            let above = condensed.neighbors(component).filter(|&parent| parent != component);
            parents.extend(above.map(|parent| numbers[parent.index()]));
            parents.sort_unstable();
            parents.dedup();
            let members = &mut condensed[component];
            members.sort_unstable();
            numbers.push(match self.of[members[0] as usize] {
                TANGLED => self.add(members, self.bounds_below(graph, members, &parents)),
                settled => settled,
            });
        }
    }

    fn bounds_below(&self, graph: &ParentGraph, members: &[u32], parents: &[u32]) -> Bounds {
        let size = members.len() as u64;
        let above = || parents.iter().map(|&parent| &self.bounds[parent as usize]);
        let most = above().fold(size, |sum, bounds| sum.saturating_add(bounds.most));
        Bounds {
            least: size + above().map(|bounds| bounds.least).max().unwrap_or(0),
            most: most.min(graph.len() as u64),
            height: size - 1 + above().map(|bounds| bounds.height + 1).max().unwrap_or(0),
            is_line: members.iter().all(|&member| graph.parents(member).len() <= 1)
                && above().all(|bounds| bounds.is_line),
            only_parent: match parents {
                [parent] => Some(*parent),
                _ => None,
            },
        }
    }

    fn add(&mut self, members: &[u32], bounds: Bounds) -> u32 {
        let number = self.bounds.len() as u32;
        for &member in members {
            self.of[member as usize] = number;
        }
        self.starts.push(self.members.len());
        self.members.extend_from_slice(members);
        self.bounds.push(bounds);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// The members, ascending.
    pub(super) fn members(&self, component: usize) -> &[u32] {
        &self.members[self.starts[component]..self.starts[component + 1]]
    }

    pub(super) fn bounds(&self, component: usize) -> &Bounds {
        &self.bounds[component]
    }

    pub(super) fn component_of(&self, index: u32) -> usize {
        self.of[index as usize] as usize
    }

    pub(super) fn bounds_of_index(&self, index: u32) -> &Bounds {
        &self.bounds[self.component_of(index)]
    }
}
