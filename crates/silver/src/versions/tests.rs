#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// A day of June 2025.
fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 6, day).unwrap()
}

/// People with what they do: `"ann:clerk bob:cook"`.
fn people(text: &str) -> BTreeMap<String, String> {
    let person = |person: &str| person.split_once(':').map(|(name, work)| (name.to_owned(), work.to_owned())).unwrap();
    text.split_whitespace().map(person).collect()
}

type People = Versions<String, String>;

fn applied(snapshots: &[(u32, &str)]) -> People {
    let mut versions = Versions::new([], []);
    for (date, rows) in snapshots {
        versions.apply(day(*date), people(rows));
    }
    versions
}

/// One line for each version: `ann clerk 1-3`, without an end while current.
fn lines(versions: &People) -> Vec<String> {
    let line = |(name, version): (&String, &Version<String>)| {
        let to = version.to.map_or(String::new(), |to| to.format("%-d").to_string());
        format!("{name} {} {}-{to}", version.row, version.from.format("%-d"))
    };
    versions.iter().map(line).collect()
}

#[test]
fn who_changes_leaves_and_returns_gets_versions() {
    let nights = [
        (1, "ann:clerk bob:cook cat:nurse"),
        (2, "ann:chief bob:cook cat:nurse"),
        (3, "ann:chief cat:nurse dan:guard"),
        (5, "ann:clerk bob:cook cat:nurse dan:guard"),
    ];
    let expected = [
        "ann clerk 1-2",
        "ann chief 2-5",
        "ann clerk 5-",
        "bob cook 1-3",
        "bob cook 5-",
        "cat nurse 1-",
        "dan guard 3-",
    ];
    assert_eq!(lines(&applied(&nights)), expected);
}

#[test]
fn a_night_without_change_changes_nothing_and_a_snapshot_applied_again_neither() {
    let mut versions = applied(&[(1, "ann:clerk"), (2, "ann:clerk"), (3, "ann:clerk")]);
    assert_eq!(lines(&versions), ["ann clerk 1-"]);
    let before = versions.clone();
    versions.apply(day(2), people("ann:clerk"));
    assert_eq!(versions, before);
}

#[test]
fn another_snapshot_of_the_same_date_replaces_the_first() {
    let versions = applied(&[(1, "ann:clerk bob:cook"), (2, "ann:chief"), (2, "ann:boss bob:cook")]);
    assert_eq!(lines(&versions), ["ann clerk 1-2", "ann boss 2-", "bob cook 1-"]);
    let versions = applied(&[(1, "ann:clerk"), (2, "ann:chief"), (2, "ann:clerk")]);
    assert_eq!(lines(&versions), ["ann clerk 1-"], "as if the first had never been");
    let versions = applied(&[(1, "ann:clerk"), (1, "")]);
    assert_eq!(lines(&versions), [""; 0]);
}

#[test]
fn a_late_snapshot_reaches_up_to_the_next_date_even_where_that_changed_nothing() {
    let versions = applied(&[(1, "ann:clerk bob:cook"), (3, "ann:clerk bob:cook"), (2, "ann:chief cat:nurse")]);
    let expected = ["ann clerk 1-2", "ann chief 2-3", "ann clerk 3-", "bob cook 1-2", "bob cook 3-", "cat nurse 2-3"];
    assert_eq!(lines(&versions), expected);
}

#[test]
fn a_late_snapshot_that_fills_a_gap_joins_what_is_equal() {
    let versions = applied(&[(1, "ann:clerk"), (2, ""), (4, "ann:clerk"), (2, "ann:clerk")]);
    assert_eq!(lines(&versions), ["ann clerk 1-"]);
    let versions = applied(&[(2, "ann:clerk"), (1, "ann:clerk bob:cook")]);
    assert_eq!(lines(&versions), ["ann clerk 1-", "bob cook 1-2"], "before the first");
}

#[test]
fn a_date_has_the_rows_of_the_last_snapshot_up_to_it() {
    let versions = applied(&[(2, "ann:clerk bob:cook"), (4, "ann:clerk"), (6, "")]);
    let rows = [1, 2, 3, 4, 5, 6, 30].map(|date| versions.rows_at(day(date)));
    assert_eq!(rows, [None, Some(2), Some(2), Some(1), Some(1), Some(0), Some(0)]);
}

#[test]
fn what_was_left_is_gone_on_with() {
    let version = |from, to: Option<u32>, row: &str| Version { from: day(from), to: to.map(day), row: row.to_owned() };
    // In any order; two are equal because what told them apart is no column any more.
    let left = [
        ("ann".to_owned(), version(3, None, "clerk")),
        ("ann".to_owned(), version(1, Some(2), "clerk")),
        ("ann".to_owned(), version(2, Some(3), "clerk")),
    ];
    let mut versions = Versions::new([1, 2, 3, 5].map(day), left);
    assert_eq!(lines(&versions), ["ann clerk 1-"]);
    versions.apply(day(4), people("ann:chief"));
    assert_eq!(lines(&versions), ["ann clerk 1-4", "ann chief 4-5", "ann clerk 5-"]);
}
