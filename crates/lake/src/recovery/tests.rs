#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::faults::for_each_fault;
use crate::testing::{
    ClosedGate, FaultyGate, behind, changed, copy_folder, ids_of, lake, publication, released, unchanged,
};

/// One release, and a second whose commits are interrupted: of `dim_a` and the new `dim_new` they are done, of
/// `dim_b` not.
async fn interrupted(lake: &Lake) {
    let tables = ["dim_a", "dim_b", "dim_c"].map(|table| changed(lake, table, "run-1", &[1])).into();
    lake.publish(publication("run-1", tables)).await.unwrap();
    publish_half(lake, "run-2", "dim_b/_delta_log/00000000000000000001.json").await;
    assert_eq!((ids_of(lake, "gold.dim_a", None).await, ids_of(lake, "gold.dim_b", None).await), (vec![2], vec![1]));
    assert_eq!(ids_of(lake, "gold.dim_new", None).await, [2]);
}

async fn publish_half(lake: &Lake, run_id: &str, closed: &'static str) {
    let mut tables: Vec<_> = ["dim_a", "dim_b", "dim_new"].map(|table| changed(lake, table, run_id, &[2])).into();
    tables.push(unchanged(lake, "dim_c"));
    let closed = behind(lake, Arc::new(ClosedGate(closed)));
    let error = closed.publish(publication(run_id, tables)).await.unwrap_err();
    assert!(matches!(error, LakeError::Unfinished { release: 2, .. }), "{error}");
}

fn old() -> BTreeMap<String, Vec<i64>> {
    ["dim_a", "dim_b", "dim_c"].map(|table| (format!("gold.{table}"), vec![1])).into()
}

fn new() -> BTreeMap<String, Vec<i64>> {
    [("dim_a", 2), ("dim_b", 2), ("dim_c", 1), ("dim_new", 2)]
        .map(|(table, id)| (format!("gold.{table}"), vec![id]))
        .into()
}

fn finished() -> Option<Recovery> {
    Some(Recovery::Finished { release: 2, run_id: "run-2".to_owned() })
}

/// Publishes a third content and looks at it.
async fn publishes(lake: &Lake) {
    let tables = ["dim_a", "dim_b", "dim_new"].map(|table| changed(lake, table, "run-9", &[9])).into();
    lake.publish(publication("run-9", tables)).await.unwrap();
    let expected = ["dim_a", "dim_b", "dim_new"].map(|table| (format!("gold.{table}"), vec![9]));
    assert_eq!(released(lake).await, expected.into());
    assert!(!lake.has_journal());
}

async fn discarded(lake: &Lake, why: &str) {
    let Some(Recovery::Discarded { run_id, why: found }) = lake.recover().await.unwrap() else { panic!() };
    assert_eq!(run_id, "run-2");
    assert!(found.contains(why), "{found}");
    assert_eq!(lake.recover().await.unwrap(), None);
    assert_eq!(released(lake).await, old());
    // Readers of latest versions see the old contents again as well.
    for table in ["gold.dim_a", "gold.dim_b", "gold.dim_c"] {
        assert_eq!(ids_of(lake, table, None).await, [1], "{table}");
    }
}

#[tokio::test]
async fn nothing_interrupted_nothing_done() {
    let (_folder, open) = lake();
    let gate = Arc::new(FaultyGate::watching());
    let lake = behind(&open, gate.clone());
    let before = gate.operations();
    assert_eq!(lake.recover().await.unwrap(), None);
    assert_eq!(gate.operations(), before);
}

#[tokio::test]
async fn commits_that_are_missing_are_made_and_others_not_repeated() {
    let (_folder, lake) = lake();
    interrupted(&lake).await;
    assert_eq!(released(&lake).await, old());
    let recovery = lake.recover().await.unwrap();
    assert_eq!(recovery, finished());
    let told = recovery.unwrap().to_string();
    assert!(told.contains("'run-2'") && told.contains("release 2"), "{told}");
    assert_eq!(released(&lake).await, new());
    let release = lake.latest_release().unwrap().unwrap();
    let versions: Vec<u64> = release.tables.values().map(|table| table.version).collect();
    assert_eq!((release.release, release.run_id.as_str(), versions), (2, "run-2", vec![1, 1, 0, 0]));
    let log = lake.folder().join("gold/dim_b/_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(log).unwrap();
    let commit: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        ["run_id", "release", "fingerprint", "rows"]
            .map(|key| commit["commitInfo"][format!("medallion.{key}")].clone()),
        [json!("run-2"), json!(2), json!("[2]"), json!(1)]
    );
    assert_eq!(lake.recover().await.unwrap(), None);
    publishes(&lake).await;
}

#[tokio::test]
async fn a_release_that_is_there_only_loses_its_journal() {
    let (_folder, lake) = lake();
    interrupted(&lake).await;
    let journal = fs::read(lake.journal_path()).unwrap();
    lake.recover().await.unwrap();
    // A power loss may bring the journal back.
    fs::write(lake.journal_path(), &journal).unwrap();
    assert_eq!(lake.recover().await.unwrap(), finished());
    assert_eq!((released(&lake).await, lake.next_release().unwrap()), (new(), 3));

    let other = String::from_utf8(journal).unwrap().replace("\"run_id\":\"run-2\"", "\"run_id\":\"run-7\"");
    fs::write(lake.journal_path(), other).unwrap();
    let error = lake.recover().await.unwrap_err();
    assert!(error.to_string().contains("'run-7'") && error.to_string().contains("'run-2'"), "{error}");
    assert!(error.hint().unwrap().contains("move the journal out of the lake"), "{error}");
}

#[tokio::test]
async fn without_its_files_a_publication_of_which_nothing_is_committed_is_discarded() {
    for gone in [true, false] {
        let (_folder, lake) = lake();
        let tables = ["dim_a", "dim_b", "dim_c"].map(|table| changed(&lake, table, "run-1", &[1])).into();
        lake.publish(publication("run-1", tables)).await.unwrap();
        publish_half(&lake, "run-2", "_delta_log/0").await;
        let file = lake.folder().join("gold/dim_b/run-2/0.parquet");
        if gone {
            fs::remove_file(&file).unwrap()
        } else {
            fs::write(&file, "PAR1").unwrap()
        }
        discarded(&lake, "gold/dim_b/run-2/0.parquet is not there as it was written").await;
        assert_eq!(lake.tables().unwrap().len(), 3);
        publishes(&lake).await;
    }
}

#[tokio::test]
async fn without_its_files_a_publication_that_is_partly_committed_is_undone() {
    for table in ["dim_a", "dim_b", "dim_new"] {
        let (_folder, lake) = lake();
        interrupted(&lake).await;
        fs::remove_dir_all(lake.folder().join(format!("gold/{table}/run-2"))).unwrap();
        discarded(&lake, &format!("gold/{table}/run-2/0.parquet")).await;
        // The table that is new has become empty; no release names it.
        assert_eq!(ids_of(&lake, "gold.dim_new", None).await, [0; 0]);
        assert_eq!(lake.next_release().unwrap(), 2);
        publishes(&lake).await;
    }
}

/// The number of a release that was undone is given to the next one, though the logs know it already.
#[tokio::test]
async fn an_undone_release_is_not_taken_for_the_next_of_its_number() {
    let (_folder, lake) = lake();
    interrupted(&lake).await;
    fs::remove_dir_all(lake.folder().join("gold/dim_b/run-2")).unwrap();
    discarded(&lake, "dim_b").await;
    publish_half(&lake, "run-3", "_delta_log/00000000000000000003.json").await;
    assert_eq!(ids_of(&lake, "gold.dim_a", None).await, [1]);
    let recovered = lake.recover().await.unwrap();
    assert_eq!(recovered, Some(Recovery::Finished { release: 2, run_id: "run-3".to_owned() }));
    assert_eq!(released(&lake).await, new());
}

#[tokio::test]
async fn what_can_neither_be_finished_nor_undone_says_what_to_do() {
    let (_folder, lake) = lake();
    interrupted(&lake).await;
    fs::remove_dir_all(lake.folder().join("gold/dim_b/run-2")).unwrap();
    let (kept, away) = (lake.folder().join("gold/dim_a/run-1"), lake.folder().join("away"));
    fs::rename(&kept, &away).unwrap();
    for _ in 0..2 {
        let error = lake.recover().await.unwrap_err();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        for part in ["'acme'", "journal.json", "gold/dim_b/run-2/0.parquet", "gold/dim_a/run-1/0.parquet"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(hint.contains("backup") && hint.contains("--full-refresh"), "{hint}");
        assert_eq!(ids_of(&lake, "gold.dim_new", None).await, [2], "nothing is undone unless all can be");
    }
    fs::rename(&away, &kept).unwrap();
    discarded(&lake, "dim_b").await;
}

#[tokio::test]
async fn a_table_that_somebody_else_changed_meanwhile_is_not_touched() {
    let (_folder, lake) = lake();
    interrupted(&lake).await;
    let crate::PublishedChange::Changed { staged, .. } = changed(&lake, "dim_b", "stray", &[7]) else { panic!() };
    lake.commit(&staged, CommitMode::Overwrite, &CommitInfo::default()).await.unwrap();
    let error = lake.recover().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("gold.dim_b at version 0") && text.contains("has 1 now"), "{text}");
    assert_eq!((ids_of(&lake, "gold.dim_b", None).await, lake.has_journal()), (vec![7], true));
}

#[tokio::test]
async fn journals_that_are_not_understood_are_left_alone() {
    let (folder, lake) = lake();
    interrupted(&lake).await;
    let path = lake.journal_path();
    let text = fs::read_to_string(&path).unwrap();
    let broken = [
        ("journal/v1", "journal/v2", "medallion/journal/v2"),
        ("\"release\":2", "\"release\":2,\"fences\":1", "fences"),
        ("\"run-2/0.parquet\"", "\"../../../../globex/gold/dim_a/run-2/0.parquet\"", "not sound"),
        ("\"gold.dim_b\"", "\"bronze.dim_b\"", "not sound"),
        ("\"run_id\":\"run-2\"", "\"run_id\":\"../x\"", "../x"),
        ("{\"schema\"", "{\"schema", "not readable"),
    ];
    for (part, replaced, says) in broken {
        let changed = text.replacen(part, replaced, 1);
        assert_ne!(text, changed, "{part}");
        fs::write(&path, &changed).unwrap();
        let error = lake.recover().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().is_some() || says == "../x", "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    }
    assert_eq!(released(&lake).await, old());
    fs::write(folder.path().join("elsewhere"), &text).unwrap();
    fs::remove_file(&path).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(lake.recover().await, Err(LakeError::Linked { .. })));
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, text).unwrap();
    assert_eq!(lake.recover().await.unwrap(), finished());
}

/// Lets a recovery fail at one operation, or at that and all later ones, and tries again.
async fn recover_twice(from: PathBuf, at: usize, lasting: bool) -> usize {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&from, copy.path());
    let lake = Lake::open(copy.path().to_str().unwrap(), "acme").unwrap();
    let gate = Arc::new(FaultyGate::failing(at, lasting));
    let outcome = behind(&lake, gate.clone()).recover().await;
    let what = format!("fault {at}, lasting: {lasting}, {outcome:?}, {:?}", gate.operations());
    let seen = released(&lake).await;
    assert!(seen == old() || seen == new(), "{what}: {seen:?}");
    lake.recover().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(lake.recover().await.unwrap(), None, "{what}");
    let is_undone = !lake.folder().join("gold/dim_b/run-2").exists();
    let expected = if is_undone { old() } else { new() };
    assert_eq!(released(&lake).await, expected, "{what}");
    for (table, ids) in expected {
        assert_eq!(ids_of(&lake, &table, None).await, ids, "{what}: {table}");
    }
    publishes(&lake).await;
    gate.operations().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_fails_at_any_step_can_be_repeated() {
    for undone in [false, true] {
        let (folder, lake) = lake();
        interrupted(&lake).await;
        if undone {
            fs::remove_dir_all(lake.folder().join("gold/dim_b/run-2")).unwrap();
        }
        let operations = recover_twice(folder.path().to_path_buf(), usize::MAX, false).await;
        // The journal's folder; a commit or more of four operations each; the end of the journal.
        assert!(operations > 1 + 4 + 1, "{operations}");
        let from = folder.path().to_path_buf();
        for_each_fault(operations, move |at, lasting| {
            let from = from.clone();
            async move {
                recover_twice(from, at, lasting).await;
            }
        })
        .await;
    }
}
