//! Hierarchies of sizes at which recursion, quadratic memory or counting by enumeration would show.

use super::*;

fn chain(length: i64) -> (std::ops::RangeInclusive<i64>, Vec<Edge>) {
    (1..=length, (1..length).map(|id| edge(id, id + 1, id)).collect())
}

fn refuse(hierarchy: &Hierarchy) -> u64 {
    let never = |_: RelationshipBatch| -> Result<(), Infallible> { panic!("rows were handed out") };
    match hierarchy.relationships(Limits { max_relationships: 500_000_000 }, never) {
        Err(ClosureError::TooMany { limit: 500_000_000, at_least }) => at_least,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_chain_of_20000_is_streamed_in_small_batches() {
    let (nodes, edges) = chain(20_000);
    let hierarchy = Hierarchy::new(nodes, &edges);
    let mut next = (1, 0);
    let limits = Limits { max_relationships: 500_000_000 };
    let count = hierarchy.relationships::<Infallible>(limits, |batch| {
        assert!(!batch.is_empty() && batch.len() <= 8192);
        for row in batch.rows() {
            let (child, depth) = next;
            let label = (depth > 0).then_some(child);
            assert_eq!(row, Relationship { child, depth, ancestor: child + i64::from(depth), label });
            next = if row.ancestor == 20_000 { (child + 1, 0) } else { (child, depth + 1) };
        }
        Ok(())
    });
    assert_eq!(count.unwrap(), 20_000 + 20_000 * 19_999 / 2);
    assert_eq!(next, (20_001, 0));
}

#[test]
fn a_chain_of_20000_with_two_labels_and_mixed_ids_has_the_rows_of_a_walk() {
    let mut ids: Vec<i64> = (0..20_000).collect();
    ids.sort_by_key(|id| id * 7_919 % 20_011);
    let mut edges: Vec<Edge> = ids.windows(2).map(|pair| edge(pair[0], pair[1], pair[0] + 1)).collect();
    edges.push(edge(ids[3], ids[4], 50_000));
    let hierarchy = Hierarchy::new(ids.iter().copied(), &edges);
    let position: std::collections::HashMap<i64, usize> = ids.iter().copied().zip(0..).collect();
    let mut rows_of = vec![0; ids.len()];
    let count = hierarchy.relationships::<Infallible>(NO_LIMIT, |batch| {
        for row in batch.rows() {
            let child = position[&row.child];
            assert_eq!(ids[child + row.depth as usize], row.ancestor);
            let own = row.label == Some(row.child + 1);
            assert!(if row.depth == 0 {
                row.label.is_none()
            } else {
                own || (child == 3 && row.label == Some(50_000))
            });
            rows_of[child] += 1;
        }
        Ok(())
    });
    let expected = |child: usize| if child == 3 { 1 + 2 * (19_999 - 3) } else { 20_000 - child };
    assert!(rows_of.iter().enumerate().all(|(child, &rows)| rows == expected(child)));
    assert_eq!(count.unwrap(), rows_of.iter().sum::<usize>() as u64);
}

#[test]
fn a_chain_of_20000_has_an_outlier_per_id_beyond_the_depth_expected() {
    let (nodes, edges) = chain(20_000);
    let findings = Hierarchy::new(nodes, &edges).findings(20);
    assert!(findings.iter().all(|finding| finding.kind == FindingKind::DepthOutlier));
    assert!(findings.iter().map(|finding| finding.id).eq(1..=20_000 - 21));
}

#[test]
fn a_chain_below_two_parents_is_counted_and_streamed_too() {
    let (nodes, mut edges) = chain(5_000);
    edges.push(edge(4_998, 5_000, 0));
    let hierarchy = Hierarchy::new(nodes, &edges);
    let mut deepest = 0;
    let count = hierarchy.relationships::<Infallible>(NO_LIMIT, |batch| {
        assert!(!batch.is_empty() && batch.len() <= 8192);
        deepest = deepest.max(batch.depth.iter().copied().max().unwrap());
        Ok(())
    });
    assert_eq!(count.unwrap(), 5_000 + 5_000 * 4_999 / 2);
    assert_eq!(deepest, 4_998);
}

#[test]
fn a_chain_of_100000_is_refused_with_its_exact_number() {
    let (nodes, edges) = chain(100_000);
    assert_eq!(refuse(&Hierarchy::new(nodes, &edges)), 100_000 + 100_000 * 99_999 / 2);
}

#[test]
fn a_chain_of_a_million_below_a_fork_is_refused() {
    let (nodes, mut edges) = chain(1_000_000);
    edges.push(edge(999_998, 1_000_000, 0));
    assert!(refuse(&Hierarchy::new(nodes, &edges)) > 500_000_000);
}

#[test]
fn a_cycle_of_a_million_is_refused_and_reported() {
    let (nodes, mut edges) = chain(1_000_000);
    edges.push(edge(1_000_000, 1, 0));
    let hierarchy = Hierarchy::new(nodes, &edges);
    assert_eq!(refuse(&hierarchy), 1_000_000 * 1_000_000);
    let findings = hierarchy.findings(u32::MAX);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].related.iter().copied().eq(1..=1_000_000));
    assert!(findings[0].detail.len() < 400, "{}", findings[0].detail);
}

/// `width` ids per layer, each below every id of the layer above, each edge with a label of its own.
fn lattice(layers: i64, width: i64) -> Hierarchy {
    let mut edges = Vec::new();
    for child in width..layers * width {
        let layer_above = (child / width - 1) * width;
        edges.extend((layer_above..layer_above + width).map(|parent| edge(child, parent, child * width + parent)));
    }
    Hierarchy::new(0..layers * width, &edges)
}

#[test]
fn a_lattice_is_counted_before_it_is_streamed() {
    // Id of layer k: itself, its 10 parents by one label each, the 10 (k - 1) further ones by all 10 labels.
    let rows: u64 = (0..30).map(|k: u64| 10 * (1 + k.min(1) * 10 + k.saturating_sub(1) * 100)).sum();
    let hierarchy = lattice(30, 10);
    let count = hierarchy.relationships::<Infallible>(Limits { max_relationships: rows }, |_| Ok(()));
    assert_eq!(count.unwrap(), rows);
    let never = |_: RelationshipBatch| -> Result<(), Infallible> { panic!("rows were handed out") };
    let refused = hierarchy.relationships(Limits { max_relationships: rows - 1 }, never);
    assert!(matches!(refused, Err(ClosureError::TooMany { at_least, .. }) if at_least == rows));
}
