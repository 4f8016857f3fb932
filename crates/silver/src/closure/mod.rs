//! The transitive closure of a parent column: who stands above whom, how far, and what is odd about it.
//!
//! ```text
//! edges ──> graph.rs       ids as dense indices, parents side by side in memory
//!             ├─> components.rs   ancestors first, cycles merged (petgraph), bounds on what is above
//!             ├─> enumerate.rs    the limit, decided before the first row; then the rows, in batches
//!             │     └─> search.rs     breadth-first search, where the ancestors are more than a single line
//!             └─> findings.rs     cycles, parents who are not nodes, several parents, outliers, wrong paths
//! ```
//!
//! The module is pure: no tables, no files. Memory is a few dozen bytes per id and edge plus some batches of rows.
//!
//! Where the ancestors of an id form a single line (or a line into a simple cycle), the closure walks up that line.
//! Only ids with several parents somewhere above them, or with a knot of cycles, need a search. Both cost work per
//! relationship, never per pair of ids.

use std::fmt;

mod components;
mod enumerate;
mod findings;
mod graph;
mod search;

#[cfg(test)]
mod tests;

pub use findings::{Finding, FindingKind};

use components::Components;
use graph::ParentGraph;

/// One parent of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The id below.
    pub child: i64,
    /// The id directly above. Ids that mean "no parent" are left out by the caller.
    pub parent: i64,
    /// What the child has this parent through: for managers the job assignment.
    pub label: Option<i64>,
}

/// How two ids are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationshipType {
    /// Depth 0: every id to itself.
    SelfRelationship,
    /// Depth 1: a child to its own parent.
    Direct,
    /// Depth 2 and more: a child to every further ancestor.
    Indirect,
}

impl RelationshipType {
    /// The type that relationships of this depth have.
    #[must_use]
    pub fn of_depth(depth: u32) -> Self {
        match depth {
            0 => Self::SelfRelationship,
            1 => Self::Direct,
            _ => Self::Indirect,
        }
    }

    /// The text of the column `relationship_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfRelationship => "self",
            Self::Direct => "direct",
            Self::Indirect => "indirect",
        }
    }
}

impl fmt::Display for RelationshipType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One row of the closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relationship {
    /// The id below.
    pub child: i64,
    /// Length of the shortest way up from child to ancestor.
    pub depth: u32,
    /// The id above, the child itself at depth 0.
    pub ancestor: i64,
    /// The child's own label through which that shortest way goes; none at depth 0.
    pub label: Option<i64>,
}

impl Relationship {
    /// Self, direct or indirect.
    #[must_use]
    pub fn kind(&self) -> RelationshipType {
        RelationshipType::of_depth(self.depth)
    }
}

/// Some rows of the closure, column by column. All columns have the same length.
#[derive(Debug, Default)]
pub struct RelationshipBatch {
    /// The id below.
    pub child: Vec<i64>,
    /// The id above.
    pub ancestor: Vec<i64>,
    /// Length of the shortest way; [`RelationshipType::of_depth`] gives the type. 64 bits, as tables store it.
    pub depth: Vec<i64>,
    /// The child's label through which that way goes; 0 where there is none.
    pub label: Vec<i64>,
    /// The rows without a label, ascending.
    pub unlabelled: Vec<usize>,
}

impl RelationshipBatch {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.child.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.child.is_empty()
    }

    /// The rows one by one.
    pub fn rows(&self) -> impl Iterator<Item = Relationship> + '_ {
        let mut unlabelled = self.unlabelled.iter().copied().peekable();
        (0..self.len()).map(move |row| {
            let label = unlabelled.next_if_eq(&row).is_none().then(|| self.label[row]);
            Relationship { child: self.child[row], depth: self.depth[row] as u32, ancestor: self.ancestor[row], label }
        })
    }
}

/// What a closure may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most relationships (rows, self included) a hierarchy may have.
    pub max_relationships: u64,
}

/// Why a closure could not be delivered. `E` is the error of the caller's own function that takes the rows.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError<E> {
    /// Raised before the first row is handed out.
    #[error(
        "the hierarchy has at least {at_least} relationships but max_relationships is {limit}: look for a chain or \
         cycle of thousands of parents in the source, or raise max_relationships in the definition of this table"
    )]
    TooMany {
        /// The `max_relationships` in force.
        limit: u64,
        /// A number of relationships this hierarchy is sure to exceed or reach.
        at_least: u64,
    },
    /// The caller could not take a batch.
    #[error(transparent)]
    Emit(E),
}

/// Nodes and their parents, ready to be closed.
#[derive(Debug)]
pub struct Hierarchy {
    graph: ParentGraph,
    components: Components,
}

impl Hierarchy {
    /// Takes the nodes in any order and the edges between them. Edges given twice count once. Ids that occur in edges
    /// only are part of the hierarchy as well.
    ///
    /// The number of distinct ids must stay below 2^32; ids in silver lie in 0..2^31-1.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = i64>, edges: &[Edge]) -> Self {
        let graph = ParentGraph::new(nodes.into_iter().collect(), edges);
        let components = Components::new(&graph);
        Self { graph, components }
    }

    /// Number of distinct ids, which is the number of self relationships.
    #[must_use]
    pub fn id_count(&self) -> usize {
        self.graph.len()
    }
}
