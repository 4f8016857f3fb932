#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, StringArray};
use medallion_pipeline::{Column, ColumnType, Layer, TableSchema};
use serde_json::json;
use url::Url;

use super::*;
use crate::testing::{example_schema, lake, write_columns, write_example, write_years};

fn info(run_id: &str) -> CommitInfo {
    let extra = vec![("as_of".to_owned(), json!("2025-06-30"))];
    CommitInfo { run_id: run_id.to_owned(), release: Some(7), extra }
}

async fn publish(lake: &Lake, schema: &TableSchema, run_id: &str, ids: &[i64], mode: CommitMode) -> u64 {
    let area = lake.staging_area(&schema.name, run_id).unwrap();
    write_example(&area, "0.parquet", ids);
    let staged = lake.staged(schema, &area).unwrap();
    lake.commit(&staged, mode, &info(run_id)).await.unwrap()
}

fn log_of(folder: &Path, table: &str, version: u64) -> Vec<Value> {
    let path = folder.join(format!("acme/gold/{table}/_delta_log/{version:020}.json"));
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter_map(|action| action.get(kind)).collect()
}

async fn paths(lake: &Lake, table: &TableName, version: Option<u64>) -> Vec<String> {
    let published = lake.published(table, version).await.unwrap().unwrap();
    published.paths().map(|(path, _)| path.to_owned()).collect()
}

#[tokio::test]
async fn the_first_commit_holds_protocol_metadata_and_files() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    assert_eq!(publish(&lake, &schema, "run-1", &[1, 2, 3], CommitMode::Overwrite).await, 0);

    let log = log_of(folder.path(), "dim_user", 0);
    let protocol = of_kind(&log, "protocol")[0];
    assert_eq!((&protocol["minReaderVersion"], &protocol["minWriterVersion"]), (&json!(3), &json!(7)));
    assert_eq!(protocol["readerFeatures"], json!(["timestampNtz"]));
    assert_eq!(protocol["writerFeatures"], json!(["timestampNtz"]));
    let metadata = of_kind(&log, "metaData")[0];
    assert_eq!(metadata["description"], "One row per user");
    assert_eq!(metadata["configuration"], json!({"delta.checkpointInterval": "10"}));
    let fields: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    assert_eq!(
        fields["fields"][0],
        json!({"name": "id", "type": "long", "nullable": true, "metadata": {"comment": "Number of the user"}})
    );
    assert_eq!((&fields["fields"][4]["metadata"], &fields["fields"][5]["type"]), (&json!({}), &json!("timestamp_ntz")));
    assert_eq!(
        (&fields["fields"][6]["type"], &fields["fields"][7]["type"]),
        (&json!("timestamp"), &json!("decimal(10,2)"))
    );
    let commit = of_kind(&log, "commitInfo")[0];
    assert_eq!((&commit["medallion.run_id"], &commit["medallion.release"]), (&json!("run-1"), &json!(7)));
    assert_eq!(commit["medallion.as_of"], "2025-06-30");
    assert_eq!(of_kind(&log, "add").len(), 1);
    assert_eq!(lake.tables().unwrap(), [schema.name]);
}

#[tokio::test]
async fn statistics_are_the_bounds_of_the_rows() {
    let (folder, lake) = lake();
    publish(&lake, &example_schema("dim_user"), "run-1", &[1, 2, 3], CommitMode::Overwrite).await;
    let log = log_of(folder.path(), "dim_user", 0);
    let statistics: Value = serde_json::from_str(of_kind(&log, "add")[0]["stats"].as_str().unwrap()).unwrap();
    // Rows 1 and 3 have values, row 2 has only an id; booleans have no bounds in Delta.
    let expected = json!({
        "numRecords": 3,
        "minValues": {
            "id": 1, "name": "user 1", "score": 0.25, "born": "1970-01-02", "seen": "2024-02-29 12:34:57.789",
            "loaded_at": "2024-02-29T12:34:56.789Z", "fee": 1.05,
        },
        "maxValues": {
            "id": 3, "name": "user 3", "score": 0.75, "born": "1970-01-04", "seen": "2024-02-29 12:34:59.789",
            "loaded_at": "2024-02-29T12:34:56.789Z", "fee": 3.05,
        },
        "nullCount": {
            "id": 0, "name": 1, "score": 1, "active": 1, "born": 1, "seen": 1, "loaded_at": 1, "fee": 1,
        },
    });
    assert_eq!(statistics, expected);
}

#[tokio::test]
async fn delta_parses_the_statistics_back() {
    let (folder, lake) = lake();
    publish(&lake, &example_schema("dim_user"), "run-1", &[1, 2, 3], CommitMode::Overwrite).await;
    let url = Url::from_directory_path(folder.path().join("acme/gold/dim_user")).unwrap();
    let delta = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    let file = delta.snapshot().unwrap().log_data().iter().next().unwrap();
    assert_eq!(file.num_records(), Some(3));
    // Days and microseconds since 1970, as in statistics_are_the_bounds_of_the_rows. Readers cannot know whether the
    // largest milliseconds were cut or raised, so deltalake adds one.
    assert_eq!(
        file.min_values().unwrap().to_string(),
        "{id: 1, name: 'user 1', score: 0.25, active: null, born: 1, seen: 1709210097789000, \
         loaded_at: 1709210096789000, fee: 1.05}"
    );
    assert_eq!(
        file.max_values().unwrap().to_string(),
        "{id: 3, name: 'user 3', score: 0.75, active: null, born: 3, seen: 1709210099790000, \
         loaded_at: 1709210096790000, fee: 3.05}"
    );
}

#[tokio::test]
async fn append_adds_and_overwrite_removes() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    publish(&lake, &schema, "run-1", &[1, 2, 3], CommitMode::Overwrite).await;
    assert_eq!(publish(&lake, &schema, "run-2", &[4], CommitMode::Append).await, 1);
    assert_eq!(paths(&lake, &schema.name, None).await, ["run-1/0.parquet", "run-2/0.parquet"]);
    assert_eq!(publish(&lake, &schema, "run-3", &[5, 6], CommitMode::Overwrite).await, 2);

    let latest = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((latest.version, latest.rows(), latest.run_id.as_deref()), (2, 2, Some("run-3")));
    assert_eq!(latest.files.schema, schema);
    assert_eq!(paths(&lake, &schema.name, None).await, ["run-3/0.parquet"]);
    assert!(latest.files.files[0].location.to_file_path().unwrap().is_file());
    let log = log_of(folder.path(), "dim_user", 2);
    assert_eq!((of_kind(&log, "remove").len(), of_kind(&log, "add").len(), of_kind(&log, "metaData").len()), (2, 1, 0));

    let old = lake.published(&schema.name, Some(0)).await.unwrap().unwrap();
    assert_eq!((old.version, old.rows(), old.run_id.as_deref()), (0, 3, Some("run-1")));
    let error = lake.published(&schema.name, Some(9)).await.unwrap_err();
    assert!(matches!(error, LakeError::NoVersion { version: 9, .. }), "{error}");
}

#[tokio::test]
async fn old_contents_can_be_published_again() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    publish(&lake, &schema, "run-1", &[1, 2, 3], CommitMode::Overwrite).await;
    publish(&lake, &schema, "run-2", &[4], CommitMode::Overwrite).await;
    let old = lake.published(&schema.name, Some(0)).await.unwrap().unwrap();
    for expected in [2, 3] {
        let again = lake.content_at(&schema.name, 0).await.unwrap();
        let version = lake.commit(&again, CommitMode::Overwrite, &info("rollback")).await.unwrap();
        assert_eq!(version, expected);
        let latest = lake.published(&schema.name, None).await.unwrap().unwrap();
        assert_eq!(latest.files, old.files);
    }
    let log = log_of(folder.path(), "dim_user", 3);
    assert_eq!(of_kind(&log, "remove").len(), 0, "a file is never removed and added in one commit");
}

#[tokio::test]
async fn partition_values_are_in_the_log_and_files_are_found() {
    let (folder, lake) = lake();
    let (schema, area) = write_years(&lake, "run-1");
    let staged = lake.staged(&schema, &area).unwrap();
    lake.commit(&staged, CommitMode::Overwrite, &info("run-1")).await.unwrap();

    let log = log_of(folder.path(), "fact_progress", 0);
    let adds = of_kind(&log, "add");
    assert_eq!(adds[0]["partitionValues"], json!({"label": "FY 2024/25"}));
    // The name of the folder has percent signs, which the log escapes once more.
    assert_eq!(adds[0]["path"], "run-1/label=FY%25202024%252F25/0.parquet");
    assert_eq!(adds[1]["partitionValues"], json!({"label": null}));
    let protocol = of_kind(&log, "protocol")[0];
    assert_eq!(protocol, &json!({"minReaderVersion": 1, "minWriterVersion": 2}));

    let published = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!(published.files, staged.files());
    for file in &published.files.files {
        assert!(file.location.to_file_path().unwrap().is_file(), "{}", file.location);
    }
    let values = |text: Option<&str>| BTreeMap::from([("label".to_owned(), text.map(str::to_owned))]);
    assert_eq!(published.files.files[0].partition_values, values(Some("FY 2024/25")));
    assert_eq!(published.files.files[1].partition_values, values(None));

    let restaged = lake.content_at(&schema.name, 0).await.unwrap();
    let again = lake.commit(&restaged, CommitMode::Overwrite, &info("run-2")).await.unwrap();
    let second = lake.published(&schema.name, Some(again)).await.unwrap().unwrap();
    assert_eq!(second.files, published.files);
}

#[tokio::test]
async fn a_table_may_be_empty() {
    let (_folder, lake) = lake();
    let schema = example_schema("dim_user");
    assert_eq!(lake.published(&schema.name, None).await.unwrap(), None);
    assert_eq!(publish(&lake, &schema, "run-1", &[], CommitMode::Overwrite).await, 0);
    let published = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((published.rows(), published.files.files.len()), (0, 0));
    assert_eq!(published.files.schema, schema);
}

#[tokio::test]
async fn new_columns_change_the_metadata_and_keep_the_table_id() {
    let (folder, lake) = lake();
    let wide = example_schema("dim_user");
    let mut narrow = wide.clone();
    narrow.columns.retain(|column| column.name != "seen");
    let area = lake.staging_area(&wide.name, "empty").unwrap();
    let empty = lake.staged(&narrow, &area).unwrap();
    lake.commit(&empty, CommitMode::Overwrite, &info("run-1")).await.unwrap();
    publish(&lake, &wide, "run-2", &[1], CommitMode::Overwrite).await;

    let (first, second) = (log_of(folder.path(), "dim_user", 0), log_of(folder.path(), "dim_user", 1));
    assert_eq!(of_kind(&first, "protocol")[0]["minReaderVersion"], 1);
    assert_eq!(of_kind(&second, "protocol")[0]["minReaderVersion"], 3);
    assert_eq!(of_kind(&first, "metaData")[0]["id"], of_kind(&second, "metaData")[0]["id"]);
    assert_eq!(of_kind(&second, "metaData")[0]["configuration"], json!({"delta.checkpointInterval": "10"}));
    assert_eq!(lake.published(&wide.name, None).await.unwrap().unwrap().files.schema, wide);
    publish(&lake, &wide, "run-3", &[1], CommitMode::Overwrite).await;
    assert_eq!(of_kind(&log_of(folder.path(), "dim_user", 2), "protocol").len(), 0);
}

#[tokio::test]
async fn appending_may_add_columns_but_not_change_them() {
    let (_folder, lake) = lake();
    let wide = example_schema("dim_user");
    publish(&lake, &wide, "run-1", &[1], CommitMode::Overwrite).await;
    let area = lake.staging_area(&wide.name, "empty").unwrap();

    let mut more = wide.clone();
    more.columns.push(Column::new("email", ColumnType::Text, ""));
    let staged = lake.staged(&more, &area).unwrap();
    assert_eq!(lake.commit(&staged, CommitMode::Append, &info("run-2")).await.unwrap(), 1);
    let published = lake.published(&wide.name, None).await.unwrap().unwrap();
    assert_eq!((published.rows(), published.files.schema), (1, more.clone()));

    let mut other = more.clone();
    other.columns[0].data_type = ColumnType::Text;
    for (changed, text) in [(wide, "'email' would vanish"), (other, "from long to text")] {
        let staged = lake.staged(&changed, &area).unwrap();
        let error = lake.commit(&staged, CommitMode::Append, &info("run-3")).await.unwrap_err();
        assert!(matches!(error, LakeError::AppendChangesColumns { .. }) && error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn appended_files_may_bring_columns_in_any_order() {
    let (folder, lake) = lake();
    let table = TableName::new(Layer::Bronze, "users");
    let schema = |columns: &[(&str, &str)]| TableSchema {
        name: table.clone(),
        description: "Users".to_owned(),
        columns: columns.iter().map(|(name, text)| Column::new(*name, ColumnType::Text, *text)).collect(),
        partition_columns: vec![],
    };
    let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };

    let first = schema(&[("name", "Full name"), ("city", "")]);
    let area = lake.staging_area(&table, "batch-1").unwrap();
    write_columns(&area, "0.parquet", vec![("name", texts("Ann")), ("city", texts("Oslo"))]);
    lake.commit(&lake.staged(&first, &area).unwrap(), CommitMode::Append, &info("run-1")).await.unwrap();

    let second = schema(&[("email", "New"), ("city", "Of residence"), ("name", "Full name")]);
    let area = lake.staging_area(&table, "batch-2").unwrap();
    let columns = vec![("name", texts("Bob")), ("email", texts("bob@example.org")), ("city", texts("Bergen"))];
    write_columns(&area, "0.parquet", columns);
    lake.commit(&lake.staged(&second, &area).unwrap(), CommitMode::Append, &info("run-2")).await.unwrap();

    let published = lake.published(&table, None).await.unwrap().unwrap();
    assert_eq!((published.version, published.rows(), &published.files.schema), (1, 2, &second));
    assert_eq!(paths(&lake, &table, None).await, ["batch-1/0.parquet", "batch-2/0.parquet"]);
    let log = folder.path().join("acme/bronze/users/_delta_log");
    let actions = |version: u64| fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap();
    assert_eq!((actions(1).matches("\"metaData\":").count(), actions(1).matches("\"add\":").count()), (1, 1));
    let old = lake.published(&table, Some(0)).await.unwrap().unwrap();
    assert_eq!(old.files.schema, first);

    // The next file lacks what the table has by now.
    let area = lake.staging_area(&table, "batch-3").unwrap();
    let staged = lake.staged(&first, &area).unwrap();
    let error = lake.commit(&staged, CommitMode::Append, &info("run-3")).await.unwrap_err();
    assert!(matches!(&error, LakeError::AppendChangesColumns { difference, .. } if difference.contains("'email'")));
}

#[tokio::test]
async fn retiring_takes_out_the_files_of_folders_and_nothing_else() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    let folders = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(lake.retire(&schema.name, &folders(&["run-1"]), &info("run-9")).await.unwrap(), None);
    assert!(!folder.path().join("acme/gold/dim_user").exists());

    for run in ["run-1", "run-10", "run-2", "run-3"] {
        publish(&lake, &schema, run, &[1, 2], CommitMode::Append).await;
    }
    assert_eq!(lake.retire(&schema.name, &folders(&["run-7", "run"]), &info("run-9")).await.unwrap(), None);
    assert_eq!(lake.retire(&schema.name, &folders(&[]), &info("run-9")).await.unwrap(), None);
    let version = lake.retire(&schema.name, &folders(&["run-1", "run-3", "run-7"]), &info("run-9")).await.unwrap();
    assert_eq!(version, Some(4));

    let published = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((published.version, published.run_id.as_deref(), published.rows()), (4, Some("run-9"), 4));
    assert_eq!(published.files.schema, schema);
    assert_eq!(paths(&lake, &schema.name, None).await, ["run-10/0.parquet", "run-2/0.parquet"]);
    let log = log_of(folder.path(), "dim_user", 4);
    let removed = of_kind(&log, "remove");
    let mut removed_paths: Vec<_> = removed.iter().map(|file| file["path"].as_str().unwrap()).collect();
    removed_paths.sort_unstable();
    assert_eq!(removed_paths, ["run-1/0.parquet", "run-3/0.parquet"]);
    assert!(removed.iter().all(|file| file["dataChange"] == true));
    assert_eq!((of_kind(&log, "add").len(), of_kind(&log, "metaData").len()), (0, 0));
    assert_eq!(of_kind(&log, "commitInfo")[0]["medallion.run_id"], "run-9");
    assert_eq!(lake.published(&schema.name, Some(3)).await.unwrap().unwrap().rows(), 8);
    assert!(folder.path().join("acme/gold/dim_user/run-1/0.parquet").is_file());

    // All of them: the table stays, without rows, and can have some again, even the same.
    lake.retire(&schema.name, &folders(&["run-10", "run-2"]), &info("run-9")).await.unwrap().unwrap();
    let empty = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((empty.rows(), &empty.files.schema), (0, &schema));
    publish(&lake, &schema, "run-2", &[1, 2, 3], CommitMode::Append).await;
    assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().rows(), 3);
}

#[tokio::test]
async fn files_whose_paths_are_escaped_can_be_retired() {
    let (_folder, lake) = lake();
    let (schema, area) = write_years(&lake, "run-1");
    let staged = lake.staged(&schema, &area).unwrap();
    lake.commit(&staged, CommitMode::Append, &info("run-1")).await.unwrap();
    let folders = BTreeSet::from(["run-1".to_owned()]);
    assert_eq!(lake.retire(&schema.name, &folders, &info("run-2")).await.unwrap(), Some(1));
    assert_eq!(lake.published(&schema.name, None).await.unwrap().unwrap().files.files, []);
}

#[tokio::test]
async fn a_checkpoint_is_written_every_ten_commits_and_read_again() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    for run in 0..12 {
        publish(&lake, &schema, &format!("run-{run}"), &[run], CommitMode::Overwrite).await;
    }
    // The bytes of its name add up to 856.
    let due = |table: &str| {
        let table = TableName::new(Layer::Gold, table);
        (0..30).filter(|version| checkpoint_is_due(&table, *version)).collect::<Vec<_>>()
    };
    assert_eq!(
        (due("dim_user"), due("dim_uses"), due("dim_uset")),
        (vec![3, 13, 23], vec![2, 12, 22], vec![1, 11, 21])
    );
    let log = folder.path().join("acme/gold/dim_user/_delta_log");
    let checkpoints: Vec<String> = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("checkpoint"))
        .collect();
    assert_eq!(checkpoints.len(), 2, "{checkpoints:?}");
    assert!(log.join("00000000000000000003.checkpoint.parquet").is_file() && log.join("_last_checkpoint").is_file());
    // Without the commits it stands for, only the checkpoint can answer.
    for version in 0..3 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(paths(&lake, &schema.name, None).await, ["run-11/0.parquet"]);
    assert_eq!(lake.published(&schema.name, Some(3)).await.unwrap().unwrap().rows(), 1);
}

#[tokio::test]
async fn deletion_vectors_and_paths_elsewhere_are_somebody_elses_work() {
    let (folder, lake) = lake();
    let schema = example_schema("dim_user");
    publish(&lake, &schema, "run-1", &[1], CommitMode::Overwrite).await;
    let path = folder.path().join("acme/gold/dim_user/_delta_log/00000000000000000000.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("run-1/0.parquet", "../../../globex/gold/dim_user/run-1/0.parquet")).unwrap();
    let error = lake.published(&schema.name, None).await.unwrap_err();
    assert!(matches!(error, LakeError::ChangedOutside { .. }), "{error}");

    let vector = json!({
        "storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "sizeInBytes": 40,
        "cardinality": 1,
    });
    let vector = format!(r#""deletionVector":{vector},"dataChange""#);
    let features = text.replace(r#"["timestampNtz"]"#, r#"["timestampNtz","deletionVectors"]"#);
    fs::write(&path, features.replace(r#""dataChange""#, &vector)).unwrap();
    let error = lake.published(&schema.name, None).await.unwrap_err();
    assert!(matches!(error, LakeError::ChangedOutside { .. }) && error.to_string().contains("deleted"), "{error}");
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_tables_are_committed_together_in_seconds_at_most() {
    let (_folder, lake) = lake();
    let tables: Vec<StagedTable> = (0..60)
        .map(|number| {
            let schema = example_schema(&format!("table_{number:02}"));
            let area = lake.staging_area(&schema.name, "run-1").unwrap();
            write_example(&area, "0.parquet", &[number]);
            lake.staged(&schema, &area).unwrap()
        })
        .collect();
    for expected in 0..2 {
        let start = std::time::Instant::now();
        let info = info("run-1");
        let commits = tables.iter().map(|table| is_send(lake.commit(table, CommitMode::Overwrite, &info)));
        let versions = futures::future::try_join_all(commits).await.unwrap();
        assert_eq!(versions, vec![expected; 60]);
        assert!(start.elapsed().as_secs() < 5);
    }
    assert_eq!(lake.tables().unwrap().len(), 60);
}
