//! Random snapshots in random order against a model that remembers every snapshot and looks the rows of a date up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

const DAYS: u32 = 12;

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 6, 1).unwrap() + chrono::Days::new(u64::from(day))
}

type Rows = BTreeMap<u8, u8>;

fn snapshots() -> impl Strategy<Value = Vec<(u32, Rows)>> {
    // Few days, keys and values, so that dates repeat, people come and go and neighbours are equal.
    vec((0..DAYS, btree_map(0_u8..5, 0_u8..3, 0..5)), 0..14)
}

fn applied(snapshots: &[(u32, Rows)]) -> Versions<u8, u8> {
    let mut versions = Versions::new([], []);
    for (date, rows) in snapshots {
        versions.apply(day(*date), rows.clone());
    }
    versions
}

/// The snapshot that holds on a date: of those with the latest date up to it the last that came.
fn truth(snapshots: &[(u32, Rows)], date: u32) -> Rows {
    let mut best: Option<&(u32, Rows)> = None;
    for snapshot in snapshots {
        if snapshot.0 <= date && best.is_none_or(|best| snapshot.0 >= best.0) {
            best = Some(snapshot);
        }
    }
    best.map(|snapshot| snapshot.1.clone()).unwrap_or_default()
}

fn check(versions: &Versions<u8, u8>, snapshots: &[(u32, Rows)]) -> Result<(), TestCaseError> {
    for date in 0..=DAYS {
        let holds = |version: &Version<u8>| version.from <= day(date) && version.to.is_none_or(|to| day(date) < to);
        let rows: Vec<(u8, u8)> =
            versions.iter().filter(|(_, version)| holds(version)).map(|(key, version)| (*key, version.row)).collect();
        let expected: Vec<(u8, u8)> = truth(snapshots, date).into_iter().collect();
        prop_assert_eq!(rows, expected, "on day {}", date);
    }
    let all: Vec<(&u8, &Version<u8>)> = versions.iter().collect();
    for (_, version) in &all {
        prop_assert!(version.to.is_none_or(|to| version.from < to), "{:?} has no day", version);
    }
    for pair in all.windows(2) {
        let [(key, earlier), (next, later)] = pair else { continue };
        if key == next {
            let to = earlier.to.expect("a version with one after it has an end");
            prop_assert!(to <= later.from, "{:?} and {:?} overlap", earlier, later);
            prop_assert!(to < later.from || earlier.row != later.row, "{:?} and {:?} are one", earlier, later);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_date_has_the_rows_of_its_snapshot(snapshots in snapshots()) {
        check(&applied(&snapshots), &snapshots)?;
    }

    /// Only which of several snapshots of one date came last may matter.
    #[test]
    fn the_order_of_arrival_does_not_matter(snapshots in snapshots(), order in any::<u64>()) {
        let mut last: BTreeMap<u32, Rows> = BTreeMap::new();
        last.extend(snapshots.iter().cloned());
        let mut shuffled: Vec<(u32, Rows)> = last.into_iter().collect();
        shuffled.sort_by_key(|(date, _)| u64::from(*date + 1).wrapping_mul(order | 1).rotate_left(29));
        let again: Vec<(u32, Rows)> = shuffled.iter().chain(shuffled.first()).cloned().collect();
        prop_assert_eq!(applied(&again), applied(&snapshots));
    }

    /// What is written in between and read again, in whatever order its rows come, goes on as if it had not been.
    #[test]
    fn a_history_can_be_left_and_gone_on_with(snapshots in snapshots(), cut in 0_usize..14) {
        let cut = cut.min(snapshots.len());
        let left = applied(&snapshots[..cut]);
        let mut rows: Vec<(u8, Version<u8>)> = left.iter().map(|(key, version)| (*key, version.clone())).collect();
        rows.reverse();
        let mut versions = Versions::new(snapshots[..cut].iter().map(|(date, _)| day(*date)), rows);
        for (date, rows) in &snapshots[cut..] {
            versions.apply(day(*date), rows.clone());
        }
        prop_assert_eq!(versions, applied(&snapshots));
    }
}
