//! Random hierarchies against a plain breadth-first search per edge that shares nothing with the module.

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
            for (ancestor, shortest) in self.distances(child) {
                for edge in self.edges.iter().filter(|edge| edge.child == child && edge.parent != child) {
                    let through_edge = self.distances(edge.parent).get(&ancestor).map(|distance| distance + 1);
                    if ancestor != child && through_edge == Some(shortest) {
                        rows.insert(Relationship { child, depth: shortest, ancestor, label: edge.label });
                    }
                }
            }
        }
        rows.into_iter().collect()
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

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![forest(), acyclic(), tangle(18), tangle(45)]
}

proptest! {
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
            let distances = source.distances(id).into_iter();
            let mut by_distance: Vec<(u32, i64)> = distances.map(|(id, far)| (far, id)).collect();
            by_distance.sort_unstable_by(|left, right| right.cmp(left));
            let path: Vec<i64> = by_distance.into_iter().map(|(_, id)| id).collect();
            prop_assert!(hierarchy.path_findings([(id, path.clone())]).is_empty());
            let mut shorter = path.clone();
            shorter.remove(wrong.index(path.len()));
            prop_assert_eq!(hierarchy.path_findings([(id, shorter)]).len(), 1);
        }
    }
}
