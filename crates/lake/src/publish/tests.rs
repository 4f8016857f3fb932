#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::Arc;

use medallion_pipeline::{Column, ColumnType, Layer};
use serde_json::{Value, json};

use super::*;
use crate::commit::CommitMode;
use crate::gate::Operation;
use crate::testing::{
    ClosedGate, FaultyGate, behind, changed, example_schema, ids_of, known, lake, publication, released, unchanged,
    write_columns, write_years,
};

fn log_of(lake: &Lake, table: &str, version: u64) -> Vec<Value> {
    let path = lake.folder().join(format!("gold/{table}/_delta_log/{version:020}.json"));
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter_map(|action| action.get(kind)).collect()
}

fn gold(contents: &[(&str, &[i64])]) -> BTreeMap<String, Vec<i64>> {
    contents.iter().map(|(table, ids)| (format!("gold.{table}"), ids.to_vec())).collect()
}

#[tokio::test]
async fn a_release_names_its_tables_and_their_logs_name_the_release() {
    let (_folder, lake) = lake();
    assert_eq!(lake.next_release().unwrap(), 1);
    let tables = vec![changed(&lake, "dim_a", "run-1", &[1, 2]), changed(&lake, "dim_b", "run-1", &[3])];
    let first = lake.publish(publication("run-1", tables)).await.unwrap();
    let tables = vec![changed(&lake, "dim_a", "run-2", &[4, 5, 6]), unchanged(&lake, "dim_b")];
    let second = lake.publish(publication("run-2", tables)).await.unwrap();

    let table = |version, rows, ids: &str| ReleasedTable::new(version, rows, known(ids));
    let expected = Release {
        schema: "medallion/release/v1".to_owned(),
        release: 2,
        run_id: "run-2".to_owned(),
        as_of: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
        published_at: second.published_at,
        tables: [("gold.dim_a", table(1, 3, "[4, 5, 6]")), ("gold.dim_b", table(0, 1, "[3]"))]
            .map(|(name, table)| (name.to_owned(), table))
            .into(),
        batches: publication("run-2", vec![]).batches,
        history: publication("run-2", vec![]).history,
        rolled_back_to: None,
        pipeline_key: Some("5e".repeat(32)),
        fence: None,
    };
    assert_eq!((&second, lake.latest_release().unwrap().as_ref()), (&expected, Some(&expected)));
    assert_eq!(lake.releases().unwrap(), [first, second]);
    assert_eq!(released(&lake).await, gold(&[("dim_a", &[4, 5, 6]), ("dim_b", &[3])]));
    assert!(!lake.journal_path().exists());

    let log = log_of(&lake, "dim_a", 1);
    let commit = of_kind(&log, "commitInfo")[0];
    let said = ["run_id", "release", "fingerprint", "rows"].map(|key| commit[format!("medallion.{key}")].clone());
    assert_eq!(said, [json!("run-2"), json!(2), json!("[4, 5, 6]"), json!(3)]);
    assert_eq!(of_kind(&log, "txn"), [&json!({"appId": "medallion", "version": 2})]);
    assert_eq!((of_kind(&log, "add").len(), of_kind(&log, "remove").len()), (1, 1));
    assert!(!lake.folder().join("gold/dim_b/_delta_log/00000000000000000001.json").exists());
}

#[tokio::test]
async fn tables_come_and_go_between_releases() {
    let (_folder, lake) = lake();
    let tables = vec![changed(&lake, "dim_a", "run-1", &[1]), changed(&lake, "dim_old", "run-1", &[9])];
    lake.publish(publication("run-1", tables)).await.unwrap();
    let tables = vec![changed(&lake, "dim_new", "run-2", &[]), unchanged(&lake, "dim_a")];
    lake.publish(publication("run-2", tables)).await.unwrap();
    assert_eq!(released(&lake).await, gold(&[("dim_a", &[1]), ("dim_new", &[])]));
    // It comes back as a table that has been there before.
    let tables = vec![changed(&lake, "dim_old", "run-3", &[8])];
    let third = lake.publish(publication("run-3", tables)).await.unwrap();
    assert_eq!(third.tables["gold.dim_old"].version, 1);
    assert_eq!(released(&lake).await, gold(&[("dim_old", &[8])]));
    let nothing = lake.publish(publication("run-4", vec![])).await.unwrap();
    assert_eq!((nothing.release, nothing.tables.len()), (4, 0));
}

/// Position of the only operation on a path.
fn position(asked: &[(Operation, PathBuf)], operation: Operation, path: &Path) -> usize {
    let found: Vec<usize> = (0..asked.len()).filter(|at| asked[*at] == (operation, path.to_path_buf())).collect();
    assert_eq!(found.len(), 1, "{operation} {}: {asked:?}", path.display());
    found[0]
}

#[tokio::test]
async fn each_phase_is_on_the_disk_before_the_next_begins() {
    let (_folder, open) = lake();
    // The folder of the releases is there already.
    open.publish(publication("run-0", vec![])).await.unwrap();
    let (schema, area) = write_years(&open, "run-1");
    let years = PublishedChange::Changed { staged: open.staged(&schema, &area).unwrap(), hashes: Default::default() };
    let tables = vec![changed(&open, "dim_a", "run-1", &[1]), changed(&open, "dim_b", "run-1", &[2]), years];
    let gate = Arc::new(FaultyGate::watching());
    let lake = behind(&open, gate.clone());
    let before = gate.asked().len();
    lake.publish(publication("run-1", tables)).await.unwrap();
    let asked = gate.asked().split_off(before);

    let folder = lake.folder();
    let at = |operation, path: &str| position(&asked, operation, &folder.join(path));
    let journal = at(Operation::Write, "_medallion/journal.json");
    let null = "gold/fact_progress/run-1/label=__HIVE_DEFAULT_PARTITION__";
    for file in ["gold/dim_a/run-1/0.parquet", "gold/dim_b/run-1/0.parquet", &format!("{null}/0.parquet")] {
        assert!(at(Operation::Sync, file) < journal, "{file}");
    }
    for synced in ["", "gold", "gold/dim_a", "gold/dim_a/run-1", "gold/fact_progress/run-1", null] {
        assert!(at(Operation::SyncFolder, synced) < journal, "{synced}");
    }
    // From the journal on nothing is left of the phase before. The folder of the journal is synced once.
    let journal_done = at(Operation::SyncFolder, "_medallion");
    assert_eq!((at(Operation::Rename, "_medallion/journal.json"), journal_done), (journal + 2, journal + 3));
    let release = at(Operation::Write, "_medallion/releases/00000002.json");
    for table in ["dim_a", "dim_b", "fact_progress"] {
        let entry = format!("gold/{table}/_delta_log/00000000000000000000.json");
        assert!(journal_done < at(Operation::Write, &entry), "{table}");
        assert!(at(Operation::Sync, &entry) < at(Operation::Rename, &entry), "{table}");
        assert!(at(Operation::SyncFolder, &format!("gold/{table}/_delta_log")) < release, "{table}");
    }
    let released = at(Operation::SyncFolder, "_medallion/releases");
    assert!(at(Operation::Sync, "_medallion/releases/00000002.json") < released);
    assert_eq!(at(Operation::Remove, "_medallion/journal.json"), asked.len() - 1);
    assert_eq!(released, asked.len() - 2);
}

#[tokio::test]
async fn what_fails_before_the_journal_leaves_nothing_and_later_waits_for_recovery() {
    let (_folder, open) = lake();
    lake_with(&open, "run-1", 1).await;
    let tables = || vec![changed(&open, "dim_a", "run-2", &[2]), changed(&open, "dim_b", "run-2", &[2])];
    for closed in ["0.parquet", "journal.json"] {
        let error = behind(&open, Arc::new(ClosedGate(closed))).publish(publication("run-2", tables())).await;
        assert!(matches!(error, Err(LakeError::Io { .. })), "{error:?}");
        assert!(!open.has_journal() && open.recover().await.unwrap().is_none());
        assert_eq!(ids_of(&open, "gold.dim_a", None).await, [1]);
    }
    let closed = behind(&open, Arc::new(ClosedGate("dim_b/_delta_log/00000000000000000001.json")));
    let error = closed.publish(publication("run-2", tables())).await.unwrap_err();
    assert!(matches!(error, LakeError::Unfinished { release: 2, .. }), "{error}");
    let (text, hint) = (error.to_string(), error.hint().unwrap());
    assert!(text.contains("'acme'") && text.contains("release 2") && text.contains("gold/dim_b/"), "{text}");
    assert!(hint.contains("next run"), "{hint}");
    // Readers see the old release; nobody may publish before this is finished.
    assert_eq!(released(&open).await, gold(&[("dim_a", &[1]), ("dim_b", &[1])]));
    let error = open.publish(publication("run-3", tables())).await.unwrap_err();
    assert!(matches!(error, LakeError::Pending { .. }), "{error}");
}

async fn lake_with(lake: &Lake, run_id: &str, id: i64) {
    let tables = ["dim_a", "dim_b"].map(|table| changed(lake, table, run_id, &[id])).into();
    lake.publish(publication(run_id, tables)).await.unwrap();
}

#[tokio::test]
async fn an_unchanged_table_whose_log_went_on_is_brought_back() {
    let (_folder, lake) = lake();
    lake_with(&lake, "run-1", 1).await;
    let PublishedChange::Changed { staged, .. } = changed(&lake, "dim_a", "stray", &[7]) else { panic!() };
    lake.commit(&staged, CommitMode::Overwrite, &crate::CommitInfo::default()).await.unwrap();
    assert_eq!(
        (ids_of(&lake, "gold.dim_a", None).await, released(&lake).await["gold.dim_a"].clone()),
        (vec![7], vec![1])
    );
    let release = lake.publish(publication("run-2", vec![unchanged(&lake, "dim_a")])).await.unwrap();
    let expected = ReleasedTable::new(2, 1, known("[1]"));
    assert_eq!(release.tables["gold.dim_a"], expected);
    assert_eq!(ids_of(&lake, "gold.dim_a", None).await, [1]);

    let gone = PublishedChange::Unchanged {
        table: TableName::new(Layer::Gold, "dim_none"),
        version: 0,
        rows: 1,
        hashes: Default::default(),
    };
    let error = lake.publish(publication("run-3", vec![gone])).await.unwrap_err();
    assert!(matches!(error, LakeError::NoVersion { .. }), "{error}");
}

#[tokio::test]
async fn checkpoints_are_written_after_the_release_and_once() {
    let (_folder, lake) = lake();
    let log = lake.folder().join("gold/dim_user/_delta_log");
    let checkpoint = log.join("00000000000000000003.checkpoint.parquet");
    for run in 0..4 {
        let run_id = format!("run-{run}");
        let tables = vec![changed(&lake, "dim_user", &run_id, &[run])];
        let release = lake.publish(publication(&run_id, tables)).await.unwrap();
        assert!(!checkpoint.exists());
        lake.write_checkpoints(&release).await;
        assert_eq!(checkpoint.exists(), run == 3);
    }
    let written = fs::metadata(&checkpoint).unwrap().modified().unwrap();
    let release = lake.publish(publication("run-4", vec![unchanged(&lake, "dim_user")])).await.unwrap();
    lake.write_checkpoints(&release).await;
    assert_eq!(fs::metadata(&checkpoint).unwrap().modified().unwrap(), written);
    (0..3).for_each(|version| fs::remove_file(log.join(format!("{version:020}.json"))).unwrap());
    assert_eq!(ids_of(&lake, "gold.dim_user", None).await, [3]);
}

/// The last commit of a release is enough to write the next one, where nothing came between and the columns stay.
#[tokio::test]
async fn commits_after_a_release_do_without_the_log() {
    let (_folder, lake) = lake();
    let schema = example_schema("dim_a");
    let known = |schema: &medallion_pipeline::TableSchema| lake.whole_commit(schema).unwrap();
    assert!(known(&schema).is_none(), "there is no table");
    for (run, ids) in [("run-1", [1].as_slice()), ("run-2", &[2, 3]), ("run-3", &[4])] {
        let PublishedChange::Changed { staged, .. } = changed(&lake, "dim_a", run, ids) else { panic!() };
        let is_known = known(&schema).map(|commit| (commit.version, commit.files.len()));
        let tables = vec![PublishedChange::Changed { staged, hashes: Default::default() }];
        let release = lake.publish(publication(run, tables)).await.unwrap();
        assert_eq!(is_known, (run != "run-1").then(|| (release.release - 2, 1)));
        let found = lake.published(&schema.name, None).await.unwrap().unwrap();
        let folder = format!("{run}/0.parquet");
        assert_eq!(found.paths().map(|(path, _)| path).collect::<Vec<_>>(), [folder]);
        assert_eq!(
            (found.rows(), &found.files.schema, found.run_id.as_deref()),
            (ids.len() as u64, &schema, Some(run))
        );
    }
    let log = log_of(&lake, "dim_a", 2);
    let removed = of_kind(&log, "remove")[0];
    let bytes = fs::metadata(lake.folder().join("gold/dim_a/run-2/0.parquet")).unwrap().len();
    assert_eq!(
        (&removed["path"], &removed["size"], &removed["dataChange"]),
        (&json!("run-2/0.parquet"), &json!(bytes), &json!(true))
    );
    assert_eq!((of_kind(&log, "remove").len(), of_kind(&log, "add").len(), of_kind(&log, "metaData").len()), (1, 1, 0));
    let old = lake.published(&schema.name, Some(1)).await.unwrap().unwrap();
    assert_eq!((old.rows(), old.files.files.len()), (2, 1));

    let mut described = schema.clone();
    described.columns[0].description = "Another".to_owned();
    assert!(known(&described).is_none());
    let PublishedChange::Changed { staged, .. } = changed(&lake, "dim_a", "stray", &[7]) else { panic!() };
    let prepared = lake.prepare_overwrite(&staged).await.unwrap();
    lake.commit(&staged, CommitMode::Append, &crate::CommitInfo::default()).await.unwrap();
    assert!(known(&schema).is_none(), "that commit holds only what it added");
    let Err(error) = lake.land(prepared, &crate::CommitInfo::default(), None).await else { panic!() };
    assert!(matches!(error, LakeError::ChangedOutside { .. }), "{error}");
    lake.publish(publication("run-4", vec![changed(&lake, "dim_a", "run-4", &[8])])).await.unwrap();
    assert_eq!(ids_of(&lake, "gold.dim_a", None).await, [8]);
}

/// The names of partition folders are escaped in the log.
#[tokio::test]
async fn partitioned_tables_are_overwritten_without_the_log_too() {
    let (_folder, lake) = lake();
    for run in ["run-1", "run-2", "run-3"] {
        let (schema, area) = write_years(&lake, run);
        let staged = lake.staged(&schema, &area).unwrap();
        assert_eq!(lake.whole_commit(&schema).unwrap().is_some(), run != "run-1");
        let tables = vec![PublishedChange::Changed { staged: staged.clone(), hashes: Default::default() }];
        lake.publish(publication(run, tables)).await.unwrap();
        let found = lake.published(&schema.name, None).await.unwrap().unwrap();
        assert_eq!(found.files, staged.files(), "{run}");
        assert_eq!(ids_of(&lake, "gold.fact_progress", None).await, [10, 20, 30], "{run}");
    }
    let log = log_of(&lake, "fact_progress", 2);
    let mut removed: Vec<_> = of_kind(&log, "remove").iter().map(|file| file["path"].as_str().unwrap()).collect();
    removed.sort_unstable();
    let folders = ["label=FY%25202024%252F25", "label=__HIVE_DEFAULT_PARTITION__"];
    assert_eq!(removed, folders.map(|folder| format!("run-2/{folder}/0.parquet")));
}

#[tokio::test]
async fn an_overwrite_brings_its_own_columns() {
    let (_folder, lake) = lake();
    lake.publish(publication("run-1", vec![changed(&lake, "dim_a", "run-1", &[1])])).await.unwrap();
    let old = lake.published(&"gold.dim_a".parse().unwrap(), None).await.unwrap().unwrap();
    let mut schema = example_schema("dim_a");
    schema.description = "Another table".to_owned();
    schema.columns = vec![
        Column::new("email", ColumnType::Text, "New"),
        Column::new("id", ColumnType::Text, "Retyped"),
        Column::new("full_name", ColumnType::Text, "Renamed"),
    ];
    let area = lake.staging_area(&schema.name, "run-2").unwrap();
    let texts = |text: &str| -> arrow::array::ArrayRef { Arc::new(arrow::array::StringArray::from(vec![text])) };
    write_columns(&area, "0.parquet", vec![("email", texts("a@b")), ("id", texts("x")), ("full_name", texts("Ann"))]);
    let staged = lake.staged(&schema, &area).unwrap();
    let tables = vec![PublishedChange::Changed { staged, hashes: Default::default() }];
    lake.publish(publication("run-2", tables)).await.unwrap();

    let new = lake.published(&schema.name, None).await.unwrap().unwrap();
    assert_eq!((&new.files.schema, new.rows()), (&schema, 1));
    assert_eq!(lake.published(&schema.name, Some(0)).await.unwrap().unwrap().files, old.files);
    let log = log_of(&lake, "dim_a", 1);
    assert_eq!((of_kind(&log, "metaData").len(), of_kind(&log, "remove").len()), (1, 1));
    let change = crate::schema_changes(&old.files.schema, &new.files.schema);
    assert_eq!(
        (change.added, change.removed.len(), change.retyped.len()),
        (vec!["email".into(), "full_name".into()], 7, 1)
    );
}

/// What the disk held when the first table was about to be committed.
#[tokio::test]
async fn the_journal_has_the_form_the_documentation_describes() {
    let (_folder, open) = lake();
    lake_with(&open, "run-1", 1).await;
    let (schema, area) = write_years(&open, "run-2");
    let staged = open.staged(&schema, &area).unwrap();
    let (modified, bytes) = (staged.files[0].modified, staged.files[0].data.bytes);
    let statistics = staged.files[0].statistics.clone();
    let years = PublishedChange::Changed { staged, hashes: known(&"ab".repeat(16)) };
    let closed = behind(&open, Arc::new(ClosedGate("fact_progress/_delta_log/00000000000000000000.json")));
    closed.publish(publication("run-2", vec![years, unchanged(&open, "dim_a")])).await.unwrap_err();

    let text = fs::read(open.journal_path()).unwrap();
    let journal: Value = serde_json::from_slice(&text).unwrap();
    let mut expected = json!({
        "schema": "medallion/journal/v1", "release": 2, "run_id": "run-2", "as_of": "2025-06-30",
        "published_at": journal["published_at"], "pipeline_key": "5e".repeat(32),
        "batches": {"bronze.users": {"batch_id": "batch-of-run-2", "records": 3}},
        "history": {
            "silver.users_history": [{"first": "2025-06-30", "last": "2025-06-30", "batch": "batch-of-run-2"}],
        },
        "tables": [{
            "table": "gold.fact_progress", "version_before": null, "fingerprint": "ab".repeat(16),
            "build_key": null, "definition": null,
            "description": "Progress by year",
            "columns": [
                {"name": "progress", "type": "long", "description": "Percent"},
                {"name": "label", "type": "text", "description": "Fiscal year"},
            ],
            "partition_columns": ["label"],
            "files": [{
                "path": "run-2/label=FY%202024%2F25/0.parquet", "rows": 2, "bytes": bytes, "modified": modified,
                "partition_values": {"label": "FY 2024/25"}, "statistics": statistics,
            }],
        }],
        "unchanged": {"gold.dim_a": {"version": 0, "rows": 1, "fingerprint": "[1]", "build_key": null, "definition": null}},
    });
    let other = journal["tables"][0]["files"][1].clone();
    assert_eq!((&other["rows"], &other["partition_values"]), (&json!(1), &json!({"label": null})));
    expected["tables"][0]["files"].as_array_mut().unwrap().push(other);
    assert_eq!(journal, expected);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/journal.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut documented = keys(&schema["properties"]);
    assert!(documented.remove("rolled_back_to") && documented.remove("fence"));
    assert_eq!(documented, keys(&journal));
    let table = &journal["tables"][0];
    for (part, of) in [
        ("table", table),
        ("column", &table["columns"][0]),
        ("file", &table["files"][0]),
        ("unchanged", &journal["unchanged"]["gold.dim_a"]),
        ("batch", &journal["batches"]["bronze.users"]),
        ("days", &journal["history"]["silver.users_history"][0]),
    ] {
        assert_eq!(keys(&schema["$defs"][part]["properties"]), keys(of), "{part}");
    }
}
