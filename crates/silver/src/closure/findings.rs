//! What is odd in a hierarchy. Nothing here stops a run.

use std::collections::VecDeque;
use std::fmt;

use super::Hierarchy;
use super::search::Search;

/// Ids a sentence lists before it only counts the rest.
const IDS_IN_A_SENTENCE: usize = 20;

/// The ways in which a hierarchy can be odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Ids stand above themselves by way of others.
    Cycle,
    /// An id names itself as its parent.
    SelfParent,
    /// A parent is not among the nodes.
    ParentNotANode,
    /// An id has several distinct parents.
    SeveralParents,
    /// An id is deeper below an ancestor than expected.
    DepthOutlier,
    /// The source's own path differs from what the parents give.
    PathMismatch,
}

impl FindingKind {
    /// The text used in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::SelfParent => "self_parent",
            Self::ParentNotANode => "parent_not_a_node",
            Self::SeveralParents => "several_parents",
            Self::DepthOutlier => "depth_outlier",
            Self::PathMismatch => "path_mismatch",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One oddity. Ordered by kind, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Whom it is about; for a cycle the smallest id.
    pub id: i64,
    /// For a cycle its ids, child before parent, from the smallest id; where cycles are knotted together a shortest
    /// cycle through the smallest id, then all other members ascending. For a parent that is not a node its children,
    /// for several parents these. For a path the id at which it leaves the edges, then that id's parents. Else empty.
    pub related: Vec<i64>,
    /// A sentence about it.
    pub detail: String,
}

impl Hierarchy {
    /// Everything odd about nodes and edges, ordered by kind and id. Ids deeper than `max_depth` are outliers.
    ///
    /// Where several parents or knotted cycles lie on chains deeper than `max_depth`, this costs up to as much as
    /// [`Hierarchy::relationships`]; call it once that has found the hierarchy within its limits.
    #[must_use]
    pub fn findings(&self, max_depth: u32) -> Vec<Finding> {
        let mut findings = self.cycles();
        findings.extend(self.self_parents());
        findings.extend(self.parents_not_nodes());
        findings.extend(self.several_parents());
        findings.extend(self.depth_outliers(max_depth));
        findings.sort();
        findings
    }

    /// Compares the source's own paths - an id, and the ids from its root down to itself - with the edges: each step
    /// must be an edge, and the first id must have no parent. Differences are ordered by id.
    #[must_use]
    pub fn path_findings(&self, paths: impl IntoIterator<Item = (i64, Vec<i64>)>) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            paths.into_iter().filter_map(|(id, path)| self.path_mismatch(id, &path)).collect();
        findings.sort();
        findings
    }

    fn cycles(&self) -> Vec<Finding> {
        let components = (0..self.components.len()).map(|component| self.components.members(component));
        components.filter(|members| members.len() > 1).map(|members| self.cycle(members)).collect()
    }

    fn cycle(&self, members: &[u32]) -> Finding {
        let smallest = members[0];
        let cycle = self.shortest_cycle(smallest, members);
        let cycle_ids: Vec<i64> = cycle.iter().map(|&index| self.graph.id(index)).collect();
        let mut closed = cycle_ids.clone();
        closed.push(self.graph.id(smallest));
        let way = sentence_list(&closed, " -> ");
        let detail = if cycle.len() == members.len() {
            format!("{} ids stand above themselves, child before parent: {way}", members.len())
        } else {
            format!(
                "{} ids stand above themselves in several cycles; the shortest through {}, child before parent: {way}",
                members.len(),
                self.graph.id(smallest)
            )
        };
        let mut in_cycle = cycle;
        in_cycle.sort_unstable();
        let others = members.iter().filter(|&index| in_cycle.binary_search(index).is_err());
        let related = cycle_ids.into_iter().chain(others.map(|&index| self.graph.id(index))).collect();
        Finding { kind: FindingKind::Cycle, id: self.graph.id(smallest), related, detail }
    }

    /// Searches upwards within a component until a way is back at its start.
    fn shortest_cycle(&self, start: u32, members: &[u32]) -> Vec<u32> {
        let component = self.components.component_of(start);
        let position = |index: u32| members.binary_search(&index).unwrap_or_default();
        let mut reached_from: Vec<Option<u32>> = vec![None; members.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(index) = queue.pop_front() {
            for &parent in self.graph.parents(index) {
                if parent == start {
                    let back = |&last: &u32| if last == start { None } else { reached_from[position(last)] };
                    let mut cycle: Vec<u32> = std::iter::successors(Some(index), back).collect();
                    cycle.reverse();
                    return cycle;
                }
                if self.components.component_of(parent) == component && reached_from[position(parent)].is_none() {
                    reached_from[position(parent)] = Some(index);
                    queue.push_back(parent);
                }
            }
        }
        vec![start]
    }

    fn self_parents(&self) -> impl Iterator<Item = Finding> + '_ {
        self.graph.self_parents().iter().map(|&index| {
            let id = self.graph.id(index);
            let detail = format!("{id} names itself as its parent, which counts as having none");
            Finding { kind: FindingKind::SelfParent, id, related: Vec::new(), detail }
        })
    }

    fn parents_not_nodes(&self) -> Vec<Finding> {
        let strangers = self.graph.pairs().filter(|&(_, parent)| !self.graph.is_node(parent));
        let mut pairs: Vec<(u32, u32)> = strangers.map(|(child, parent)| (parent, child)).collect();
        pairs.sort_unstable();
        let by_parent = pairs.chunk_by(|left, right| left.0 == right.0);
        by_parent
            .map(|pairs| {
                let id = self.graph.id(pairs[0].0);
                let related: Vec<i64> = pairs.iter().map(|&(_, child)| self.graph.id(child)).collect();
                let children = sentence_list(&related, ", ");
                let detail = format!("{id} is not in the table of nodes but is the parent of {children}");
                Finding { kind: FindingKind::ParentNotANode, id, related, detail }
            })
            .collect()
    }

    fn several_parents(&self) -> impl Iterator<Item = Finding> + '_ {
        let children = self.graph.indices().filter(|&index| self.graph.parents(index).len() > 1);
        children.map(|index| {
            let id = self.graph.id(index);
            let related: Vec<i64> = self.graph.parents(index).iter().map(|&parent| self.graph.id(parent)).collect();
            let detail = format!("{id} has {} parents: {}", related.len(), sentence_list(&related, ", "));
            Finding { kind: FindingKind::SeveralParents, id, related, detail }
        })
    }

    fn depth_outliers(&self, max_depth: u32) -> Vec<Finding> {
        let components = 0..self.components.len();
        if components.into_iter().all(|component| self.components.bounds(component).height <= u64::from(max_depth)) {
            return Vec::new();
        }
        let depths = self.depths();
        let deep = self.graph.indices().zip(depths).filter(|&(_, depth)| depth > max_depth);
        deep.map(|(index, depth)| {
            let id = self.graph.id(index);
            let detail =
                format!("{id} is {depth} levels below its furthest ancestor, more than max_depth = {max_depth}");
            Finding { kind: FindingKind::DepthOutlier, id, related: Vec::new(), detail }
        })
        .collect()
    }

    /// Per id the depth of its furthest ancestor. One level below a single parent is one level deeper; only ids with
    /// several parents and members of knotted cycles are searched.
    fn depths(&self) -> Vec<u32> {
        let mut search = Search::new(&self.graph);
        let mut depths = vec![0; self.graph.len()];
        for component in 0..self.components.len() {
            let bounds = self.components.bounds(component);
            let members = self.components.members(component);
            for &index in members {
                depths[index as usize] = match (members, self.graph.parents(index)) {
                    _ if bounds.is_line => (bounds.least - 1) as u32,
                    ([_], [parent]) => depths[*parent as usize] + 1,
                    _ => search.extent(index).1,
                };
            }
        }
        depths
    }

    fn path_mismatch(&self, id: i64, path: &[i64]) -> Option<Finding> {
        let mismatch =
            |related: Vec<i64>, detail: String| Some(Finding { kind: FindingKind::PathMismatch, id, related, detail });
        let parents_of = |id: i64| -> Vec<i64> {
            let parents = self.graph.position(id).map_or(&[][..], |index| self.graph.parents(index));
            parents.iter().map(|&parent| self.graph.id(parent)).collect()
        };
        if path.last() != Some(&id) {
            let end = path.last().map_or("is empty".to_owned(), |last| format!("ends in {last}"));
            return mismatch(vec![id], format!("the path of {id} {end} instead of ending in the id itself"));
        }
        for step in path.windows(2).rev() {
            let (above, below) = (step[0], step[1]);
            let parents = parents_of(below);
            if parents.binary_search(&above).is_err() {
                let given = if parents.is_empty() { "none".to_owned() } else { sentence_list(&parents, ", ") };
                let detail = format!("the path of {id} has {above} above {below}, whose parent column says {given}");
                return mismatch([vec![below], parents].concat(), detail);
            }
        }
        let root = path[0];
        let parents = parents_of(root);
        if parents.is_empty() {
            return None;
        }
        let given = sentence_list(&parents, ", ");
        let detail = format!("the path of {id} begins with {root}, whose parent column says {given}");
        mismatch([vec![root], parents].concat(), detail)
    }
}

fn sentence_list(ids: &[i64], separator: &str) -> String {
    let listed = ids.iter().take(IDS_IN_A_SENTENCE).map(i64::to_string).collect::<Vec<_>>().join(separator);
    match ids.len().saturating_sub(IDS_IN_A_SENTENCE) {
        0 => listed,
        more => format!("{listed}{separator}... ({more} more)"),
    }
}
