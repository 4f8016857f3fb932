#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use medallion_pipeline::{Column, ColumnType, TableSchema};
use serde_json::Value;

use super::*;
use crate::commit::CommitMode;
use crate::testing::{FaultyGate, example_schema, lake, write_columns, write_example};
use crate::vacuum::VacuumOptions;

fn bronze(table: &str) -> TableSchema {
    let name = TableName::new(Layer::Bronze, table);
    TableSchema { name, ..example_schema(table) }
}

async fn append(lake: &Lake, schema: &TableSchema, batch: &str, run: &str, files: &[(&str, &[i64])]) {
    let area = lake.staging_area(&schema.name, batch).unwrap();
    for (name, ids) in files {
        write_example(&area, name, ids);
    }
    commit(lake, schema, batch, run).await;
}

async fn commit(lake: &Lake, schema: &TableSchema, batch: &str, run: &str) {
    let area = lake.staging_area(&schema.name, batch).unwrap();
    let info = CommitInfo { run_id: run.to_owned(), ..CommitInfo::default() };
    lake.commit(&lake.staged(schema, &area).unwrap(), CommitMode::Append, &info).await.unwrap();
}

async fn paths(lake: &Lake, table: &TableName) -> Vec<(String, u64)> {
    let published = lake.published(table, None).await.unwrap().unwrap();
    published.paths().map(|(path, file)| (path.to_owned(), file.rows)).collect()
}

fn named(paths: &[(&str, u64)]) -> Vec<(String, u64)> {
    paths.iter().map(|(path, rows)| ((*path).to_owned(), *rows)).collect()
}

#[tokio::test]
async fn the_parts_of_a_batch_become_one_file_and_batches_stay_apart() {
    let (_folder, lake) = lake();
    let schema = bronze("users");
    append(&lake, &schema, "batch-1", "run-1", &[("a.parquet", &[1, 2]), ("b.parquet", &[3]), ("c.parquet", &[2, 5])])
        .await;
    append(&lake, &schema, "batch-2", "run-2", &[("a.parquet", &[7])]).await;
    append(&lake, &schema, "batch-3", "run-3", &[("a.parquet", &[]), ("b.parquet", &[])]).await;
    let before = lake.published(&schema.name, None).await.unwrap().unwrap();

    let optimized = lake.optimize("optimize-1").await.unwrap();
    let done = optimized.tables[&schema.name];
    assert_eq!((done.files_before, done.files_after, done.checkpoint), (6, 3, None));
    let expected = [("batch-1/a-optimize-1.parquet", 5), ("batch-2/a.parquet", 1), ("batch-3/a-optimize-1.parquet", 0)];
    assert_eq!(paths(&lake, &schema.name).await, named(&expected));
    let after = lake.published(&schema.name, None).await.unwrap().unwrap();
    let bytes = |published: &PublishedTable| published.files.files.iter().map(|file| file.bytes).sum::<u64>();
    assert_eq!((done.bytes_before, done.bytes_after), (bytes(&before), bytes(&after)));
    assert_eq!((after.version, after.run_id.as_deref()), (before.version + 1, Some("optimize-1")));
    assert_eq!(after.files.schema, before.files.schema);
    let all = |published: &PublishedTable| lake.fingerprint_of_all_columns(&published.files).unwrap();
    assert_eq!(all(&before), all(&after));

    let log = lake.folder().join("bronze/users/_delta_log").join(format!("{:020}.json", after.version));
    let log: Vec<Value> =
        fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let changes = |kind: &str| {
        log.iter().filter_map(|action| action.get(kind)).map(|file| &file["dataChange"]).collect::<Vec<_>>()
    };
    assert_eq!((changes("remove"), changes("add")), (vec![&Value::Bool(false); 5], vec![&Value::Bool(false); 2]));
    let statistics = log.iter().find_map(|action| action.get("add")?.get("stats")).unwrap();
    let statistics: Value = serde_json::from_str(statistics.as_str().unwrap()).unwrap();
    assert_eq!((&statistics["minValues"]["id"], &statistics["maxValues"]["id"]), (&1.into(), &5.into()));
    assert_eq!((&statistics["numRecords"], &statistics["nullCount"]["name"]), (&5.into(), &2.into()));

    // Nothing is left to do, and what was merged goes with the next run.
    assert_eq!(lake.optimize("optimize-2").await.unwrap().tables[&schema.name].files_before, 3);
    assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().version, after.version);
    let vacuum = VacuumOptions { keep_releases: 14, running: None, dry_run: false, now: chrono::Utc::now() };
    assert_eq!(lake.vacuum(&vacuum).await.unwrap().total().files, 0, "readers of the version before");
    append(&lake, &schema, "batch-4", "run-4", &[("a.parquet", &[9])]).await;
    assert_eq!(lake.vacuum(&vacuum).await.unwrap().total().files, 5);

    let batch = BTreeSet::from(["batch-1".to_owned()]);
    let info = CommitInfo { run_id: "run-5".to_owned(), ..CommitInfo::default() };
    lake.retire(&schema.name, &batch, &info).await.unwrap().unwrap();
    assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().rows(), 2, "the merged file is the batch's");
}

#[tokio::test]
async fn older_batches_keep_their_columns_and_unlike_files_stay_apart() {
    let (_folder, lake) = lake();
    let schema = |columns: &[&str]| TableSchema {
        columns: columns.iter().map(|name| Column::new(*name, ColumnType::Text, "")).collect(),
        ..bronze("users")
    };
    let text = || -> ArrayRef { Arc::new(StringArray::from(vec![Some("x"), None])) };
    let narrow = schema(&["a"]);
    let area = lake.staging_area(&narrow.name, "batch-1").unwrap();
    for name in ["0.parquet", "1.parquet"] {
        write_columns(&area, name, vec![("a", text())]);
    }
    commit(&lake, &narrow, "batch-1", "run-1").await;
    let wide = schema(&["a", "b"]);
    let area = lake.staging_area(&wide.name, "batch-2").unwrap();
    write_columns(&area, "0.parquet", vec![("a", text()), ("b", text())]);
    write_columns(&area, "1.parquet", vec![("b", text()), ("a", text())]);
    commit(&lake, &wide, "batch-2", "run-2").await;

    lake.optimize("optimize").await.unwrap();
    let expected = [("batch-1/0-optimize.parquet", 4), ("batch-2/0.parquet", 2), ("batch-2/1.parquet", 2)];
    assert_eq!(paths(&lake, &wide.name).await, named(&expected));
}

#[tokio::test]
async fn silver_and_gold_stay_as_a_run_wrote_them() {
    let (_folder, lake) = lake();
    for layer in [Layer::Silver, Layer::Gold] {
        let schema = TableSchema { name: TableName::new(layer, "users"), ..example_schema("users") };
        append(&lake, &schema, "run-1", "run-1", &[("a.parquet", &[1]), ("b.parquet", &[2])]).await;
        let done = lake.optimize("optimize").await.unwrap().tables[&schema.name];
        assert_eq!((done.files_before, done.files_after, done.checkpoint), (2, 2, None));
        assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().version, 0);
    }
}

#[tokio::test]
async fn a_checkpoint_is_written_where_more_than_ten_commits_have_none() {
    let (_folder, lake) = lake();
    let schema = TableSchema { name: TableName::new(Layer::Gold, "users"), ..example_schema("users") };
    let log = lake.folder().join("gold/users/_delta_log");
    for run in 0..12 {
        append(&lake, &schema, &format!("run-{run}"), "run", &[("a.parquet", &[run])]).await;
    }
    assert_eq!(lake.optimize("optimize").await.unwrap().tables[&schema.name].checkpoint, None);
    // As after a checkpoint that could not be written.
    fs::remove_file(log.join("00000000000000000007.checkpoint.parquet")).unwrap();
    fs::remove_file(log.join("_last_checkpoint")).unwrap();
    assert_eq!(lake.optimize("optimize").await.unwrap().tables[&schema.name].checkpoint, Some(11));
    assert_eq!(lake.optimize("optimize").await.unwrap().tables[&schema.name].checkpoint, None);
    for version in 0..11 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().rows(), 12);
}

/// Sizes are faked: what is merged depends on what the log says of them.
#[test]
fn files_are_merged_towards_the_target() {
    let sizes = [
        ("b1/a.parquet", 31),
        ("b1/b.parquet", 31),
        ("b1/c.parquet", 31),
        ("b1/d.parquet", 31),
        ("b1/e.parquet", 31),
        ("b1/f.parquet", 32),
        ("b1/g.parquet", 1),
        ("b1/h.parquet", 500),
        ("b1/i.parquet", 1),
        ("b1/j.parquet", 2),
        ("b2/a.parquet", 1),
    ];
    let merges = plan(&sizes.map(|(path, size)| (path, size << 20)), "run");
    let found: Vec<(Vec<usize>, &str)> =
        merges.iter().map(|merge| (merge.sources.clone(), merge.path.as_str())).collect();
    assert_eq!(found, [(vec![0, 1, 2, 3], "b1/a-run.parquet"), (vec![8, 9], "b1/i-run.parquet")]);
}

/// Optimizes a lake on a disk that fails, and looks at what is there.
async fn survive(at: usize, lasting: bool) -> bool {
    let (folder, lake) = lake();
    let schema = bronze("users");
    append(&lake, &schema, "batch-1", "run-1", &[("a.parquet", &[1, 2]), ("b.parquet", &[3])]).await;
    append(&lake, &schema, "batch-2", "run-2", &[("a.parquet", &[4]), ("b.parquet", &[5])]).await;
    let all = |published: &PublishedTable| lake.fingerprint_of_all_columns(&published.files).unwrap();
    let before = lake.published(&schema.name, None).await.unwrap().unwrap();
    let gate = Arc::new(FaultyGate::failing(at, lasting));
    let faulty = Lake::open_behind(folder.path().to_str().unwrap(), "acme", gate.clone()).unwrap();
    let failed = faulty.optimize("optimize-1").await.is_err();
    assert_eq!(failed, gate.has_failed(), "{:?}", gate.operations());
    let after = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!(all(&before), all(&after), "fault {at}, lasting: {lasting}");
    lake.optimize("optimize-2").await.unwrap();
    let last = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((all(&before), last.files.files.len()), (all(&last), 2), "fault {at}, lasting: {lasting}");
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_anywhere_costs_no_row() {
    for lasting in [false, true] {
        let mut at = 0;
        while survive(at, lasting).await {
            at += 1;
        }
        // Two files, each made and brought to the disk with its name, and a commit.
        assert!(at >= 2 * 3 + 4, "{at}");
    }
}
