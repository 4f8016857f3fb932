//! Every rule on a hierarchy small enough to write its rows by hand; `properties` compares with a plain search, `large`
//! has the sizes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;

use super::{ClosureError, Edge, FindingKind, Hierarchy, Limits, Relationship, RelationshipBatch, RelationshipType};

mod large;
mod properties;

const NO_LIMIT: Limits = Limits { max_relationships: u64::MAX };

fn edge(child: i64, parent: i64, label: i64) -> Edge {
    Edge { child, parent, label: Some(label) }
}

fn unlabelled(child: i64, parent: i64) -> Edge {
    Edge { child, parent, label: None }
}

fn closure(hierarchy: &Hierarchy) -> Vec<Relationship> {
    let mut rows = Vec::new();
    let count = hierarchy.relationships::<Infallible>(NO_LIMIT, |batch| {
        assert!(!batch.is_empty() && batch.len() <= 8192);
        rows.extend(batch.rows());
        Ok(())
    });
    assert_eq!(count.unwrap(), rows.len() as u64);
    rows
}

/// Rows as `child ancestor type depth label`, the label `-` where there is none.
fn table(nodes: &[i64], edges: &[Edge]) -> Vec<String> {
    let text = |row: &Relationship| {
        let label = row.label.map_or("-".to_owned(), |label| label.to_string());
        format!("{} {} {} {} {label}", row.child, row.ancestor, row.kind(), row.depth)
    };
    closure(&Hierarchy::new(nodes.iter().copied(), edges)).iter().map(text).collect()
}

/// Findings as `kind id [related]`.
fn odd(nodes: &[i64], edges: &[Edge], max_depth: u32) -> Vec<String> {
    let findings = Hierarchy::new(nodes.iter().copied(), edges).findings(max_depth);
    findings.iter().map(|finding| format!("{} {} {:?}", finding.kind, finding.id, finding.related)).collect()
}

#[test]
fn nothing_gives_nothing() {
    assert!(table(&[], &[]).is_empty());
    assert!(odd(&[], &[], 20).is_empty());
}

#[test]
fn a_chain_relates_each_to_all_above() {
    let rows = table(&[3, 1, 2], &[edge(2, 1, 20), edge(3, 2, 30)]);
    let expected =
        ["1 1 self 0 -", "2 2 self 0 -", "2 1 direct 1 20", "3 3 self 0 -", "3 2 direct 1 30", "3 1 indirect 2 30"];
    assert_eq!(rows, expected);
}

#[test]
fn a_parent_who_is_no_node_has_a_self_row() {
    let rows = table(&[5], &[edge(5, 9, 50)]);
    assert_eq!(rows, ["5 5 self 0 -", "5 9 direct 1 50", "9 9 self 0 -"]);
    assert_eq!(odd(&[5], &[edge(5, 9, 50)], 20), ["parent_not_a_node 9 [5]"]);
}

#[test]
fn nodes_and_edges_given_twice_count_once() {
    let rows = table(&[2, 1, 2], &[edge(2, 1, 7), edge(2, 1, 7)]);
    assert_eq!(rows, ["1 1 self 0 -", "2 2 self 0 -", "2 1 direct 1 7"]);
}

#[test]
fn own_parents_have_only_the_self_row() {
    let edges = [edge(1, 1, 10), edge(1, 1, 11), edge(2, 2, 20), edge(2, 1, 21)];
    assert_eq!(table(&[1, 2], &edges), ["1 1 self 0 -", "2 2 self 0 -", "2 1 direct 1 21"]);
    assert_eq!(odd(&[1, 2], &edges, 20), ["self_parent 1 []", "self_parent 2 []"]);
}

#[test]
fn the_same_parent_through_two_labels_gives_rows_for_both() {
    let rows = table(&[1, 2, 3], &[edge(2, 1, 20), edge(3, 2, 32), edge(3, 2, 31)]);
    let of_three: Vec<&String> = rows.iter().filter(|row| row.starts_with('3')).collect();
    let expected = ["3 3 self 0 -", "3 2 direct 1 31", "3 2 direct 1 32", "3 1 indirect 2 31", "3 1 indirect 2 32"];
    assert_eq!(of_three, expected);
}

#[test]
fn only_labels_that_attain_the_shortest_way_are_listed() {
    // 5 -> 1 through label 51, 5 -> 4 -> 1 through 52; from 1 on to 0, which 3 reaches as soon as 1 does.
    let edges = [edge(5, 1, 51), edge(5, 4, 52), edge(4, 1, 40), edge(1, 0, 10), edge(5, 3, 53), edge(3, 0, 30)];
    let rows = table(&[0, 1, 3, 4, 5], &edges);
    let of_five: Vec<&String> = rows.iter().filter(|row| row.starts_with('5')).collect();
    let expected = [
        "5 5 self 0 -",
        "5 1 direct 1 51",
        "5 3 direct 1 53",
        "5 4 direct 1 52",
        "5 0 indirect 2 51",
        "5 0 indirect 2 53",
    ];
    assert_eq!(of_five, expected);
}

#[test]
fn one_label_with_two_parents_gives_one_row_for_what_both_reach() {
    let edges = [edge(4, 2, 7), edge(4, 3, 7), edge(2, 1, 20), edge(3, 1, 30)];
    let rows = table(&[1, 2, 3, 4], &edges);
    let of_four: Vec<&String> = rows.iter().filter(|row| row.starts_with('4')).collect();
    assert_eq!(of_four, ["4 4 self 0 -", "4 2 direct 1 7", "4 3 direct 1 7", "4 1 indirect 2 7"]);
    assert_eq!(odd(&[1, 2, 3, 4], &edges, 20), ["several_parents 4 [2, 3]"]);
}

#[test]
fn all_assignments_of_a_manager_count() {
    let edges = [edge(3, 2, 30), edge(2, 1, 20), edge(2, 9, 21)];
    let rows = table(&[1, 2, 3, 9], &edges);
    let of_three: Vec<&String> = rows.iter().filter(|row| row.starts_with('3')).collect();
    assert_eq!(of_three, ["3 3 self 0 -", "3 2 direct 1 30", "3 1 indirect 2 30", "3 9 indirect 2 30"]);
}

#[test]
fn members_of_a_cycle_relate_to_each_other_once_and_never_to_themselves() {
    let edges = [unlabelled(1, 3), unlabelled(3, 2), unlabelled(2, 1), unlabelled(4, 1)];
    let expected = [
        "1 1 self 0 -",
        "1 3 direct 1 -",
        "1 2 indirect 2 -",
        "2 2 self 0 -",
        "2 1 direct 1 -",
        "2 3 indirect 2 -",
        "3 3 self 0 -",
        "3 2 direct 1 -",
        "3 1 indirect 2 -",
        "4 4 self 0 -",
        "4 1 direct 1 -",
        "4 3 indirect 2 -",
        "4 2 indirect 3 -",
    ];
    assert_eq!(table(&[1, 2, 3, 4], &edges), expected);
    assert_eq!(odd(&[1, 2, 3, 4], &edges, 20), ["cycle 1 [1, 3, 2]"]);
    assert_eq!(odd(&[1, 2, 3, 4], &edges, 2), ["cycle 1 [1, 3, 2]", "depth_outlier 4 []"]);
}

#[test]
fn two_who_manage_each_other_are_a_cycle() {
    let edges = [edge(1, 2, 10), edge(2, 1, 20)];
    let expected = ["1 1 self 0 -", "1 2 direct 1 10", "2 2 self 0 -", "2 1 direct 1 20"];
    assert_eq!(table(&[1, 2], &edges), expected);
    let finding = Hierarchy::new([1, 2], &edges).findings(20).remove(0);
    assert_eq!(finding.detail, "2 ids stand above themselves, child before parent: 1 -> 2 -> 1");
}

#[test]
fn knotted_cycles_give_the_shortest_through_the_smallest_id_then_the_other_members() {
    // 1 -> 5 -> 3 -> 1 and, longer, 1 -> 5 -> 4 -> 2 -> 3 -> 1.
    let edges =
        [unlabelled(1, 5), unlabelled(5, 3), unlabelled(3, 1), unlabelled(5, 4), unlabelled(4, 2), unlabelled(2, 3)];
    let findings = Hierarchy::new(1..=5, &edges).findings(20);
    assert_eq!(findings.len(), 2);
    assert_eq!((findings[0].kind, findings[0].id), (FindingKind::Cycle, 1));
    assert_eq!(findings[0].related, [1, 5, 3, 2, 4]);
    assert_eq!(
        findings[0].detail,
        "5 ids stand above themselves in several cycles; the shortest through 1, child before parent: 1 -> 5 -> 3 -> 1"
    );
    assert_eq!((findings[1].kind, findings[1].id), (FindingKind::SeveralParents, 5));
}

#[test]
fn depth_is_measured_by_the_shortest_way_to_the_furthest_ancestor() {
    // 4 is three levels below 1 by 4 -> 3 -> 2 -> 1, but has a second parent 2: two levels.
    let edges = [edge(2, 1, 20), edge(3, 2, 30), edge(4, 3, 40), edge(4, 2, 41), edge(5, 4, 50)];
    assert_eq!(odd(&[1, 2, 3, 4, 5], &edges, 2), ["several_parents 4 [2, 3]", "depth_outlier 5 []"]);
    let finding = Hierarchy::new(1..=5, &edges).findings(2).remove(1);
    assert_eq!(finding.detail, "5 is 3 levels below its furthest ancestor, more than max_depth = 2");
}

#[test]
fn paths_that_follow_the_edges_are_fine() {
    let edges = [unlabelled(332, 3382), unlabelled(3382, 330), unlabelled(7, 3382), unlabelled(7, 330)];
    let hierarchy = Hierarchy::new([330, 332, 3382, 7], &edges);
    let paths = [(330, vec![330]), (332, vec![330, 3382, 332]), (7, vec![330, 7]), (7, vec![330, 3382, 7])];
    assert!(hierarchy.path_findings(paths).is_empty());
}

#[test]
fn paths_that_leave_the_edges_are_found() {
    let edges = [unlabelled(332, 3382), unlabelled(3382, 330), unlabelled(5, 6), unlabelled(6, 5)];
    let hierarchy = Hierarchy::new([330, 332, 3382, 331, 5, 6], &edges);
    let paths = [
        (332, vec![330, 332]),
        (3382, vec![3382]),
        (331, vec![330, 331]),
        (330, vec![330, 999]),
        (999, vec![]),
        (5, vec![6, 5]),
        (999, vec![330, 999]),
    ];
    let findings = hierarchy.path_findings(paths);
    let found: Vec<(i64, Vec<i64>, &str)> =
        findings.iter().map(|finding| (finding.id, finding.related.clone(), finding.detail.as_str())).collect();
    let expected = [
        (5, vec![6, 5], "the path of 5 begins with 6, whose parent column says 5"),
        (330, vec![330], "the path of 330 ends in 999 instead of ending in the id itself"),
        (331, vec![331], "the path of 331 has 330 above 331, whose parent column says none"),
        (332, vec![332, 3382], "the path of 332 has 330 above 332, whose parent column says 3382"),
        (999, vec![999], "the path of 999 has 330 above 999, whose parent column says none"),
        (999, vec![999], "the path of 999 is empty instead of ending in the id itself"),
        (3382, vec![3382, 330], "the path of 3382 begins with 3382, whose parent column says 330"),
    ];
    assert_eq!(found, expected);
    assert!(findings.iter().all(|finding| finding.kind == FindingKind::PathMismatch));
}

#[test]
fn ids_far_apart_are_told_apart() {
    let edges = [unlabelled(i64::MAX, i64::MIN), unlabelled(i64::MIN, 0)];
    let expected = [
        format!("{0} {0} self 0 -", i64::MIN),
        format!("{} 0 direct 1 -", i64::MIN),
        "0 0 self 0 -".to_owned(),
        format!("{0} {0} self 0 -", i64::MAX),
        format!("{} {} direct 1 -", i64::MAX, i64::MIN),
        format!("{} 0 indirect 2 -", i64::MAX),
    ];
    assert_eq!(table(&[0, i64::MIN, i64::MAX], &edges), expected);
}

#[test]
fn the_limit_counts_all_rows_and_is_decided_before_the_first() {
    let hierarchy = Hierarchy::new(1..=3, &[edge(2, 1, 20), edge(3, 2, 30)]);
    let never = |_: RelationshipBatch| -> Result<(), Infallible> { panic!("rows were handed out") };
    let error = hierarchy.relationships(Limits { max_relationships: 5 }, never).unwrap_err();
    assert!(matches!(error, ClosureError::TooMany { limit: 5, at_least: 6 }));
    assert!(error.to_string().contains("max_relationships is 5"));
    let all = hierarchy.relationships::<Infallible>(Limits { max_relationships: 6 }, |_| Ok(()));
    assert_eq!(all.unwrap(), 6);
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
struct DiskFull;

#[test]
fn a_caller_who_cannot_take_a_batch_gets_the_error_back_and_no_further_batch() {
    let edges: Vec<Edge> = (1..200).map(|id| unlabelled(id, id + 1)).collect();
    let mut calls = 0;
    let outcome = Hierarchy::new(1..=200, &edges).relationships(NO_LIMIT, |_| {
        calls += 1;
        if calls == 2 { Err(DiskFull) } else { Ok(()) }
    });
    assert_eq!(outcome.unwrap_err().to_string(), "the disk is full");
    assert_eq!(calls, 2);
}

#[test]
fn types_have_the_texts_of_the_contract() {
    let texts = [0, 1, 2, 20_000].map(|depth| RelationshipType::of_depth(depth).as_str());
    assert_eq!(texts, ["self", "direct", "indirect", "indirect"]);
}
