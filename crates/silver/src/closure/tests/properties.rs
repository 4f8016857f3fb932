//! Random hierarchies against a plain breadth-first search per child and label that shares nothing with the module.
//!
//! Each property tries 64 cases; `PROPTEST_CASES=10000 cargo test --release --locked -p medallion -p medallion-silver
//! --lib closure::tests::properties` tries 10,000, which takes minutes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// A hierarchy as its source would give it.
#[derive(Debug, Clone)]
struct Source {
    nodes: Vec<i64>,
    edges: Vec<Edge>,
}

impl Source {
    fn hierarchy(&self) -> Hierarchy {
        Hierarchy::new(self.nodes.iter().copied(), &self.edges)
    }

    fn ids(&self) -> BTreeSet<i64> {
        let endpoints = self.edges.iter().flat_map(|edge| [edge.child, edge.parent]);
        self.nodes.iter().copied().chain(endpoints).collect()
    }

    fn parents(&self, id: i64) -> BTreeSet<i64> {
        self.edges.iter().filter(|edge| edge.child == id && edge.parent != id).map(|edge| edge.parent).collect()
    }

    /// Shortest distances from an id upwards, itself included.
    fn distances(&self, from: i64) -> BTreeMap<i64, u32> {
        let mut distances = BTreeMap::from([(from, 0)]);
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            for parent in self.parents(id) {
                if !distances.contains_key(&parent) {
                    distances.insert(parent, distances[&id] + 1);
                    queue.push_back(parent);
                }
            }
        }
        distances
    }

    /// All rows by the rules, in their order.
    fn expected(&self) -> Vec<Relationship> {
        let mut rows = BTreeSet::new();
        for child in self.ids() {
            rows.insert(Relationship { child, depth: 0, ancestor: child, label: None });
            let shortest = self.distances(child);
            for edge in self.edges.iter().filter(|edge| edge.child == child && edge.parent != child) {
                for (ancestor, distance) in self.distances(edge.parent) {
                    let depth = distance + 1;
                    if ancestor != child && shortest[&ancestor] == depth {
                        rows.insert(Relationship { child, depth, ancestor, label: edge.label });
                    }
                }
            }
        }
        rows.into_iter().collect()
    }

    /// The path of ids from the root down to an id, as sources write it; for forests only.
    fn path(&self, id: i64) -> Vec<i64> {
        let mut path = vec![id];
        while let Some(parent) = self.parents(path[path.len() - 1]).first() {
            path.push(*parent);
        }
        path.reverse();
        path
    }

    /// Whether a path says of an id what the parents say: every step down is one, from a root to the id.
    fn agrees(&self, id: i64, path: &[i64]) -> bool {
        let (Some(first), Some(last)) = (path.first(), path.last()) else { return false };
        let steps = path.iter().zip(&path[1..]).all(|(above, below)| self.parents(*below).contains(above));
        *last == id && steps && self.parents(*first).is_empty()
    }

    /// Length of the shortest cycle through an id.
    fn cycle_length(&self, id: i64) -> Option<u32> {
        let ways = self.parents(id).into_iter().filter_map(|parent| self.distances(parent).get(&id).copied());
        ways.min().map(|way| way + 1)
    }

    fn spread(mut self, factor: i64, offset: i64) -> Self {
        self.nodes.iter_mut().for_each(|id| *id = *id * factor + offset);
        for edge in &mut self.edges {
            edge.child = edge.child * factor + offset;
            edge.parent = edge.parent * factor + offset;
        }
        self
    }
}

/// Ids close together, scattered, or far apart and partly negative: the ways to look an id up.
fn spread(source: impl Strategy<Value = Source>) -> impl Strategy<Value = Source> {
    let factors = prop_oneof![Just((1, 0)), Just((7, 3)), Just((1_000_000_007, -5_000_000_000))];
    (source, factors).prop_map(|(source, (factor, offset))| source.spread(factor, offset))
}

/// At most one parent each, no cycles, ids in no particular order, one label per edge.
fn forest() -> impl Strategy<Value = Source> {
    let parents = prop::collection::vec(prop::option::weighted(0.9, any::<prop::sample::Index>()), 1..50);
    let shuffled = parents.prop_flat_map(|parents| {
        let ids: Vec<i64> = (0..parents.len() as i64).collect();
        (Just(parents), Just(ids).prop_shuffle())
    });
    spread(shuffled.prop_map(|(parents, ids)| {
        let below = parents.iter().enumerate().skip(1);
        let pairs = below.filter_map(|(position, parent)| Some((position, parent.as_ref()?.index(position))));
        let edges = pairs.map(|(child, parent)| edge(ids[child], ids[parent], child as i64)).collect();
        Source { nodes: ids, edges }
    }))
}

/// Anything: several parents, shared and missing labels, cycles, own parents, duplicates, parents who are no nodes.
fn tangle(most_edges: usize) -> impl Strategy<Value = Source> {
    let label = prop::option::weighted(0.8, 0..4i64);
    let edges = prop::collection::vec((0..14i64, 0..14i64, label), 0..most_edges);
    let nodes = prop::collection::vec(0..11i64, 0..12);
    spread((nodes, edges).prop_map(|(nodes, edges)| {
        let edges = edges.into_iter().map(|(child, parent, label)| Edge { child, parent, label }).collect();
        Source { nodes, edges }
    }))
}

/// Several parents and labels, but parents always of higher number: no cycles.
fn acyclic() -> impl Strategy<Value = Source> {
    tangle(40).prop_map(|mut source| {
        source.edges.retain(|edge| edge.child != edge.parent);
        for edge in &mut source.edges {
            (edge.child, edge.parent) = (edge.child.min(edge.parent), edge.child.max(edge.parent));
        }
        source
    })
}

/// A long line with its ids mixed, and a few edges anywhere: forks, cycles that begin far up, knots of them.
fn deep() -> impl Strategy<Value = Source> {
    let extra = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3i64), 0..4);
    let ids = (30..60i64).prop_flat_map(|length| Just((0..length).collect::<Vec<i64>>()).prop_shuffle());
    spread((ids, extra).prop_map(|(ids, extra)| {
        let mut edges: Vec<Edge> = ids.windows(2).map(|pair| edge(pair[0], pair[1], pair[0])).collect();
        edges.extend(extra.iter().map(|(child, parent, label)| edge(*child.get(&ids), *parent.get(&ids), *label)));
        Source { nodes: ids, edges }
    }))
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![3 => forest(), 3 => acyclic(), 3 => tangle(18), 3 => tangle(45), 1 => deep()]
}

/// A few cases, unless `PROPTEST_CASES` says how many.
fn config() -> ProptestConfig {
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    if told { ProptestConfig::default() } else { ProptestConfig::with_cases(64) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rows_are_those_of_a_plain_search(source in any_source()) {
        let rows = closure(&source.hierarchy());
        prop_assert_eq!(&rows, &source.expected());
        let selves = rows.iter().filter(|row| row.kind() == RelationshipType::SelfRelationship).count();
        prop_assert_eq!(selves, source.ids().len());
        let keys: BTreeSet<_> = rows.iter().map(|row| (row.child, row.ancestor, row.label)).collect();
        prop_assert_eq!(keys.len(), rows.len());
    }

    #[test]
    fn the_limit_is_exact(source in any_source()) {
        let hierarchy = source.hierarchy();
        let rows = source.expected().len() as u64;
        let all = hierarchy.relationships::<Infallible>(Limits { max_relationships: rows }, |_| Ok(()));
        prop_assert_eq!(all.ok(), Some(rows));
        for max_relationships in 0..rows {
            let mut batches = 0;
            let refused = hierarchy.relationships::<Infallible>(Limits { max_relationships }, |_| {
                batches += 1;
                Ok(())
            });
            prop_assert_eq!(batches, 0);
            match refused {
                Err(ClosureError::TooMany { limit, at_least }) => {
                    prop_assert_eq!(limit, max_relationships);
                    prop_assert!(at_least > limit && at_least <= rows);
                }
                other => prop_assert!(false, "not refused: {:?}", other),
            }
        }
    }

    #[test]
    fn cycles_are_those_who_reach_themselves(source in any_source()) {
        let findings = source.hierarchy().findings(u32::MAX);
        let cycles: Vec<_> = findings.iter().filter(|finding| finding.kind == FindingKind::Cycle).collect();
        let mut members: Vec<i64> = cycles.iter().flat_map(|cycle| cycle.related.iter().copied()).collect();
        members.sort_unstable();
        let expected: Vec<i64> = source.ids().into_iter().filter(|&id| source.cycle_length(id).is_some()).collect();
        prop_assert_eq!(members, expected);
        for cycle in cycles {
            prop_assert_eq!(Some(&cycle.id), cycle.related.iter().min());
            let length = source.cycle_length(cycle.id).unwrap() as usize;
            let (in_order, others) = cycle.related.split_at(length);
            prop_assert_eq!(in_order[0], cycle.id);
            for (position, &id) in in_order.iter().enumerate() {
                prop_assert!(source.parents(id).contains(&in_order[(position + 1) % length]));
            }
            prop_assert!(others.is_sorted());
            let distances = source.distances(cycle.id);
            prop_assert!(others.iter().all(|id| distances.contains_key(id)));
        }
    }

    #[test]
    fn other_findings_are_those_of_a_plain_look(source in any_source(), max_depth in 0..6u32) {
        let mut expected = Vec::new();
        for id in source.ids() {
            let parents: Vec<i64> = source.parents(id).into_iter().collect();
            let mut children: Vec<i64> = source.ids().into_iter().collect();
            children.retain(|&child| source.parents(child).contains(&id));
            if source.edges.iter().any(|edge| edge.child == id && edge.parent == id) {
                expected.push((FindingKind::SelfParent, id, vec![]));
            }
            if !source.nodes.contains(&id) && !children.is_empty() {
                expected.push((FindingKind::ParentNotANode, id, children));
            }
            if parents.len() > 1 {
                expected.push((FindingKind::SeveralParents, id, parents));
            }
            if source.distances(id).into_values().max().unwrap() > max_depth {
                expected.push((FindingKind::DepthOutlier, id, vec![]));
            }
        }
        expected.sort();
        let findings = source.hierarchy().findings(max_depth);
        let others = findings.into_iter().filter(|finding| finding.kind != FindingKind::Cycle);
        let found: Vec<_> = others.map(|finding| (finding.kind, finding.id, finding.related)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn only_the_true_path_of_a_forest_is_fine(source in forest(), wrong in any::<prop::sample::Index>()) {
        let hierarchy = source.hierarchy();
        for &id in &source.nodes {
            let path = source.path(id);
            prop_assert!(hierarchy.path_findings([(id, path.clone())]).is_empty());
            let mut shorter = path.clone();
            shorter.remove(wrong.index(path.len()));
            prop_assert_eq!(hierarchy.path_findings([(id, shorter)]).len(), 1);
        }
    }

    #[test]
    fn the_rows_of_a_forest_are_those_of_its_paths(source in forest()) {
        let mut expected = BTreeSet::new();
        for &id in &source.nodes {
            let label = source.edges.iter().find(|edge| edge.child == id).and_then(|edge| edge.label);
            for (depth, &ancestor) in (0..).zip(source.path(id).iter().rev()) {
                let label = label.filter(|_| depth > 0);
                expected.insert(Relationship { child: id, depth, ancestor, label });
            }
        }
        prop_assert_eq!(closure(&source.hierarchy()), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn paths_that_do_not_agree_are_found(
        source in any_source(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ends_in_id in prop::bool::weighted(0.8),
    ) {
        let ids: Vec<i64> = source.ids().into_iter().collect();
        prop_assume!(!ids.is_empty());
        let hierarchy = source.hierarchy();
        for &id in &ids {
            // Up along the parents for as long as there are choices, then perhaps some other id.
            let mut path = vec![id];
            for choice in &choices {
                let parents: Vec<i64> = source.parents(path[0]).into_iter().collect();
                let any = choice.index(5) == 0;
                let above = if any || parents.is_empty() { &ids } else { &parents };
                if !parents.is_empty() || any {
                    path.insert(0, *choice.get(above));
                }
            }
            if !ends_in_id {
                path.pop();
            }
            let found = hierarchy.path_findings([(id, path.clone())]);
            prop_assert_eq!(found.is_empty(), source.agrees(id, &path), "{} {:?}", id, path);
            prop_assert!(found.iter().all(|finding| finding.kind == FindingKind::PathMismatch && finding.id == id));
        }
    }
}
