#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use medallion_pipeline::{ColumnType, TableSchema};

use super::*;
use crate::testing::{
    ClosedGate, behind, changed, example_schema, ids_of, lake, publication, released, unchanged, write_columns,
};

fn at(day: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_751_328_000 + i64::from(day) * 86_400, 0).unwrap()
}

/// `dim_a` without a column and with another type of one.
fn narrow(lake: &Lake, run_id: &str, ids: &[i64]) -> (TableSchema, PublishedChange) {
    let mut schema = example_schema("dim_a");
    schema.columns.truncate(2);
    schema.columns[1].data_type = ColumnType::Long;
    let area = lake.staging_area(&schema.name, run_id).unwrap();
    let values = || -> arrow::array::ArrayRef { Arc::new(arrow::array::Int64Array::from(ids.to_vec())) };
    write_columns(&area, "0.parquet", vec![("id", values()), ("name", values())]);
    let staged = lake.staged(&schema, &area).unwrap();
    (schema, PublishedChange::Changed { staged, hashes: Default::default() })
}

/// Two releases: `dim_a` changes its columns, `dim_same` stays, `dim_old` goes, `dim_new` comes.
async fn two_releases(lake: &Lake) -> [BTreeMap<String, Vec<i64>>; 2] {
    let tables = [("dim_a", [1, 2].as_slice()), ("dim_same", &[5]), ("dim_old", &[6])];
    let tables = tables.map(|(table, ids)| changed(lake, table, "run-1", ids)).into();
    lake.publish(publication("run-1", tables)).await.unwrap();
    let first = released(lake).await;
    let tables =
        vec![narrow(lake, "run-2", &[3]).1, unchanged(lake, "dim_same"), changed(lake, "dim_new", "run-2", &[7])];
    lake.publish(publication("run-2", tables)).await.unwrap();
    [first, released(lake).await]
}

#[tokio::test]
async fn old_contents_and_columns_become_a_new_release_and_can_be_rolled_back_too() {
    let (_folder, lake) = lake();
    let [first, second] = two_releases(&lake).await;
    let back = lake.roll_back(1, "rollback-1", at(1)).await.unwrap();
    assert_eq!((back.release, back.rolled_back_to, back.published_at), (3, Some(1), at(1)));
    assert_eq!((back.run_id.as_str(), &back.batches), ("rollback-1", &publication("run-1", vec![]).batches));
    assert_eq!(back.history, publication("run-1", vec![]).history, "what came later is not in it");
    let versions = |release: &Release| -> Vec<(String, u64)> {
        release.tables.iter().map(|(name, table)| (name.clone(), table.version)).collect()
    };
    // dim_same was never committed again; dim_old has been at its only version all the time.
    let expected = [("gold.dim_a", 2), ("gold.dim_old", 0), ("gold.dim_same", 0)];
    assert_eq!(versions(&back), expected.map(|(name, version)| (name.to_owned(), version)));
    assert_eq!(released(&lake).await, first);
    let table = "gold.dim_a".parse().unwrap();
    let schema = |lake: Lake, version| {
        let table: TableName = TableName::clone(&table);
        async move { lake.published(&table, version).await.unwrap().unwrap().files.schema }
    };
    assert_eq!(schema(lake.clone(), None).await, example_schema("dim_a"));
    assert_eq!(lake.latest_release().unwrap(), Some(back));

    let again = lake.roll_back(2, "rollback-2", at(2)).await.unwrap();
    assert_eq!((again.release, again.rolled_back_to), (4, Some(2)));
    assert_eq!(released(&lake).await, second);
    assert_eq!(schema(lake.clone(), None).await, narrow(&lake, "other", &[]).0);
    // Of the rollback itself, too, and of a release that is the latest.
    lake.roll_back(3, "rollback-3", at(3)).await.unwrap();
    assert_eq!(released(&lake).await, first);
    let before = ids_of(&lake, "gold.dim_a", None).await;
    let same = lake.roll_back(5, "rollback-4", at(4)).await.unwrap();
    assert_eq!((same.release, released(&lake).await, ids_of(&lake, "gold.dim_a", None).await), (6, first, before));
    assert!(!lake.folder().join("gold/dim_a/_delta_log/00000000000000000005.json").exists());
    assert!(matches!(lake.roll_back(9, "rollback-5", at(5)).await, Err(LakeError::NoRelease { release: 9, .. })));
}

#[tokio::test]
async fn a_table_with_equal_fingerprint_is_not_written() {
    let (_folder, lake) = lake();
    for run in ["run-1", "run-2"] {
        lake.publish(publication(run, vec![changed(&lake, "dim_a", run, &[1])])).await.unwrap();
    }
    let back = lake.roll_back(1, "rollback", at(1)).await.unwrap();
    assert_eq!((back.release, back.tables["gold.dim_a"].version), (3, 1));
}

#[tokio::test]
async fn a_release_that_was_vacuumed_is_refused_and_the_oldest_whole_one_named() {
    let (_folder, lake) = lake();
    let [_, second] = two_releases(&lake).await;
    fs::remove_dir_all(lake.folder().join("gold/dim_a/run-1")).unwrap();
    let error = lake.roll_back(1, "rollback", at(1)).await.unwrap_err();
    let LakeError::ReleaseGone { release: 1, table, whole: Some(2), .. } = &error else { panic!("{error}") };
    assert_eq!(table.to_string(), "gold.dim_a");
    assert!(error.to_string().contains("run-1/0.parquet"), "{error}");
    assert!(error.hint().unwrap().contains("whole is 2"), "{error}");
    assert_eq!((released(&lake).await, lake.next_release().unwrap()), (second, 3));
    fs::remove_dir_all(lake.folder().join("gold/dim_a/run-2")).unwrap();
    let error = lake.roll_back(1, "rollback", at(1)).await.unwrap_err();
    assert!(matches!(error, LakeError::ReleaseGone { whole: None, .. }), "{error}");
}

#[tokio::test]
async fn a_rollback_that_is_interrupted_is_finished() {
    let (_folder, lake) = lake();
    let [first, second] = two_releases(&lake).await;
    let closed = behind(&lake, Arc::new(ClosedGate("releases/00000003.json")));
    let error = closed.roll_back(1, "rollback", at(1)).await.unwrap_err();
    assert!(matches!(error, LakeError::Unfinished { release: 3, .. }), "{error}");
    assert_eq!(released(&lake).await, second);
    lake.recover().await.unwrap().unwrap();
    assert_eq!(released(&lake).await, first);
    let release = lake.latest_release().unwrap().unwrap();
    assert_eq!((release.rolled_back_to, release.published_at), (Some(1), at(1)));
}
