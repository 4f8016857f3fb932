//! Random snapshots through files, in several runs, against the snapshots themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medallion_pipeline::{Column as TableColumn, ColumnType, DataFile, TableSchema};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// City and points of a person of a site; both can be missing.
type Content = (Option<&'static str>, Option<i64>);
type People = BTreeMap<(i64, &'static str), Content>;

/// A person as read back.
type Read = ((i64, String), (Option<String>, Option<i64>));

const KEY: [&str; 2] = ["id", "site"];

fn schema(own: bool) -> TableSchema {
    let columns = [
        ("site", ColumnType::Text),
        ("id", ColumnType::Long),
        ("city", ColumnType::Text),
        ("points", ColumnType::Long),
        (VALID_FROM, ColumnType::Date),
        (VALID_TO, ColumnType::Date),
        (IS_CURRENT, ColumnType::Bool),
        (RUN_ID, ColumnType::Text),
    ];
    let columns = columns.into_iter().filter(|(name, _)| own || ![VALID_FROM, VALID_TO, IS_CURRENT].contains(name));
    TableSchema {
        name: if own { "silver.people_history" } else { "silver.people" }.parse().unwrap(),
        description: String::new(),
        columns: columns.map(|(name, data_type)| TableColumn::new(name, data_type, "")).collect(),
        partition_columns: vec![],
    }
}

/// What a run left in a folder.
fn table(folder: &Path, own: bool, rows: usize) -> TableFiles {
    let path = folder.join("part-00000.parquet");
    let file = || DataFile {
        location: Url::from_file_path(&path).unwrap(),
        partition_values: [].into(),
        rows: rows as u64,
        bytes: path.metadata().unwrap().len(),
    };
    TableFiles { schema: schema(own), files: path.exists().then(file).into_iter().collect() }
}

fn write(folder: &Path, people: &People) -> TableFiles {
    fs::create_dir_all(folder).unwrap();
    if !people.is_empty() {
        let columns = vec![
            Column::new("id".into(), people.keys().map(|(id, _)| *id).collect::<Vec<_>>()),
            Column::new("points".into(), people.values().map(|(_, points)| *points).collect::<Vec<_>>()),
            Column::new("city".into(), people.values().map(|(city, _)| *city).collect::<Vec<_>>()),
            Column::new("site".into(), people.keys().map(|(_, site)| *site).collect::<Vec<_>>()),
            Column::new(RUN_ID.into(), vec!["run"; people.len()]),
        ];
        let mut frame = DataFrame::new(people.len(), columns).unwrap();
        parquet_file::write(&schema(false).name, &mut frame, &Url::from_directory_path(folder).unwrap()).unwrap();
    }
    table(folder, false, people.len())
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 6, day).unwrap()
}

/// The people of a date.
fn on(table: &TableFiles, date: u32) -> Vec<Read> {
    let rows = Rows::On(day(date), table.clone()).read(&["id", "site", "city", "points"]).unwrap();
    let (longs, texts) =
        (|name| rows.column(name).unwrap().i64().unwrap(), |name| rows.column(name).unwrap().str().unwrap());
    let mut people: Vec<Read> = (0..rows.height())
        .map(|row| {
            let key = (longs("id").get(row).unwrap(), texts("site").get(row).unwrap().to_owned());
            (key, (texts("city").get(row).map(str::to_owned), longs("points").get(row)))
        })
        .collect();
    people.sort();
    people
}

fn expected(people: &People) -> Vec<Read> {
    let owned = |((id, site), (city, points)): (&(i64, &str), &Content)| {
        ((*id, (*site).to_owned()), (city.map(str::to_owned), *points))
    };
    people.iter().map(owned).collect()
}

fn people() -> impl Strategy<Value = People> {
    let city = select(vec![None, Some("Oslo"), Some("Rome"), Some("")]);
    let points = select(vec![None, Some(0_i64), Some(1)]);
    btree_map((0_i64..3, select(vec!["a", "b"])), (city, points), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Some snapshots in each of several runs; each run reads what the one before it wrote.
    #[test]
    fn every_date_has_the_rows_of_its_snapshot(runs in vec(btree_map(1_u32..9, people(), 1..4), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let mut truth: BTreeMap<u32, People> = BTreeMap::new();
        let mut before: Option<TableFiles> = None;
        for (number, run) in (0..).zip(&runs) {
            let snapshot = |(date, people): (&u32, &People)| {
                let rows = Rows::All(write(&folder.path().join(format!("{number}-{date}")), people));
                Snapshot { date: day(*date), rows, guard: None }
            };
            // The latest first: the order is the task's own.
            let snapshots: Vec<Snapshot> = run.iter().rev().map(snapshot).collect();
            let area = folder.path().join(format!("history-{number}"));
            fs::create_dir(&area).unwrap();
            let schema = schema(true);
            let task = VersionsTask {
                schema: &schema,
                key: &KEY.map(str::to_owned),
                before: before.as_ref(),
                dates: truth.keys().map(|date| day(*date)).collect(),
                snapshots,
                run_id: "run",
            };
            let report = task.stage(&Url::from_directory_path(&area).unwrap()).unwrap();
            prop_assert_eq!(report, VersionsReport::default());
            truth.extend(run.clone());
            before = Some(table(&area, true, 0));
        }
        let history = before.unwrap();
        for date in 1..10 {
            let of_date = truth.range(..=date).next_back().map(|(_, people)| expected(people)).unwrap_or_default();
            prop_assert_eq!(on(&history, date), of_date, "on day {}", date);
        }
        let flags = parquet_file::read(&history, &[VALID_TO, IS_CURRENT]).unwrap();
        let without_end: Vec<Option<bool>> = flags.column(VALID_TO).unwrap().is_null().iter().collect();
        let is_current: Vec<Option<bool>> = flags.column(IS_CURRENT).unwrap().bool().unwrap().iter().collect();
        prop_assert_eq!(without_end, is_current);
    }
}

#[test]
fn a_snapshot_that_lost_most_rows_is_refused_where_it_is_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let people = |ids: std::ops::Range<i64>| ids.map(|id| ((id, "a"), (Some("Oslo"), None))).collect::<People>();
    let guard = Some(Guard { min_ratio: 0.5, min_rows: 4 });
    let snapshot = |date: u32, ids, guard| {
        let rows = Rows::All(write(&folder.path().join(date.to_string()), &people(ids)));
        Snapshot { date: day(date), rows, guard }
    };
    let snapshots = vec![
        snapshot(1, 0..4, guard),
        snapshot(2, 0..1, guard),
        snapshot(3, 0..2, guard),
        snapshot(4, 0..0, guard),
        snapshot(5, 0..0, None),
    ];
    let area = folder.path().join("history");
    fs::create_dir(&area).unwrap();
    let schema = schema(true);
    let key = KEY.map(str::to_owned);
    let task = VersionsTask { schema: &schema, key: &key, before: None, dates: vec![], snapshots, run_id: "run" };
    let report = task.stage(&Url::from_directory_path(&area).unwrap()).unwrap();
    // The first has nothing before it, the third half of what the first has, the fourth has too few before it.
    assert_eq!(report.refused, [Refused { date: day(2), rows: 1, before: 4 }]);
    let history = table(&area, true, 0);
    assert_eq!([1, 2, 3, 4, 5].map(|date| on(&history, date).len()), [4, 4, 2, 0, 0]);
}
