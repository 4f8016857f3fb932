//! Disks that fail at each operation in turn: a table has its old or its new content, and its log stays readable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use futures::StreamExt;
use futures::stream;
use medallion_pipeline::TableSchema;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::commit::{CommitInfo, CommitMode};
use crate::error::LakeError;
use crate::place::Lake;
use crate::publish::{Publication, PublishedChange};
use crate::recovery::Recovery;
use crate::release::Release;
use crate::testing::{
    FaultyGate, behind, changed, copy_folder, example_schema, ids_of, publication, released, unchanged, write_example,
    write_years,
};

/// What the table holds before the first step and after each; the last step publishes a release.
const CONTENTS: [&[&str]; 5] =
    [&[], &["run-1/0.parquet"], &["run-1/0.parquet", "run-2/0.parquet"], &["run-3/0.parquet"], &["run-3/0.parquet"]];

fn release() -> Release {
    Release {
        schema: Release::SCHEMA.to_owned(),
        release: 1,
        run_id: "run-3".to_owned(),
        as_of: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
        published_at: DateTime::from_timestamp(1_751_335_200, 0).unwrap(),
        tables: BTreeMap::new(),
        batches: BTreeMap::new(),
        history: BTreeMap::new(),
        rolled_back_to: None,
        pipeline_key: None,
        fence: None,
    }
}

async fn publish(lake: &Lake, schema: &TableSchema, run: &str, ids: &[i64], mode: CommitMode) -> Result<(), LakeError> {
    let area = lake.staging_area(&schema.name, run)?;
    write_example(&area, "0.parquet", ids);
    let staged = lake.staged(schema, &area)?;
    lake.commit(&staged, mode, &CommitInfo { run_id: run.to_owned(), ..CommitInfo::default() }).await.map(drop)
}

/// Opens the lake and takes all steps, counting those that succeed.
async fn take_steps(root: &Path, gate: Arc<FaultyGate>, done: &mut usize) -> Result<(), LakeError> {
    let lake = Lake::open_behind(root.to_str().unwrap(), "acme", gate)?;
    let schema = example_schema("dim_user");
    publish(&lake, &schema, "run-1", &[1, 2], CommitMode::Append).await?;
    *done = 1;
    publish(&lake, &schema, "run-2", &[3], CommitMode::Append).await?;
    *done = 2;
    publish(&lake, &schema, "run-3", &[4, 5, 6], CommitMode::Overwrite).await?;
    *done = 3;
    lake.put_release(&release())?;
    *done = 4;
    Ok(())
}

/// The files of the table, each opened to see that it has the rows the log claims.
async fn content(lake: &Lake) -> Vec<String> {
    let published = lake.published(&example_schema("dim_user").name, None).await.unwrap();
    let Some(published) = published else { return Vec::new() };
    for file in &published.files.files {
        let opened = File::open(file.location.to_file_path().unwrap()).unwrap();
        let footer = ParquetMetaDataReader::new().parse_and_finish(&opened).unwrap();
        assert_eq!(footer.file_metadata().num_rows(), i64::try_from(file.rows).unwrap());
    }
    published.paths().map(|(path, _)| path.to_owned()).collect()
}

/// Fails operation `at`, looks at what is there, and takes all steps again without faults.
async fn survive(at: usize, lasting: bool) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lake");
    let gate = Arc::new(FaultyGate::failing(at, lasting));
    let mut done = 0;
    let result = take_steps(&root, gate.clone(), &mut done).await;
    let what = format!("fault {at}, lasting: {lasting}, {result:?}, {:?}", gate.operations());
    result.unwrap_err();

    let lake = Lake::open(root.to_str().unwrap(), "acme").unwrap();
    let found = content(&lake).await;
    let released = lake.latest_release().unwrap();
    // Only a disk that fails for good can leave a step done that was reported as failed.
    assert!(found == CONTENTS[done] || (lasting && found == CONTENTS[done + 1]), "{what}: {found:?}");
    let may_be_released = lasting && done == 3;
    assert!(released.is_none() || (may_be_released && released == Some(release())), "{what}: {released:?}");

    match take_steps(&root, Arc::new(FaultyGate::watching()), &mut done).await {
        Err(LakeError::ReleaseExists { .. }) if released.is_some() => {}
        other => other.unwrap(),
    }
    assert_eq!(content(&lake).await, ["run-3/0.parquet"], "{what}");
    assert_eq!(lake.latest_release().unwrap(), Some(release()), "{what}");
}

/// Runs a test for every fault, once for a while and once for good, many at a time: they wait for the disk.
pub(crate) async fn for_each_fault<F: Future<Output = ()> + Send + 'static>(
    operations: usize,
    test: impl Fn(usize, bool) -> F,
) {
    let faults = (0..operations).flat_map(|at| [(at, false), (at, true)]);
    let mut tests = stream::iter(faults).map(|(at, lasting)| tokio::spawn(test(at, lasting))).buffer_unordered(16);
    while let Some(tested) = tests.next().await {
        tested.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_leaves_the_old_or_the_new_content() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(FaultyGate::watching());
    let mut done = 0;
    take_steps(folder.path(), gate.clone(), &mut done).await.unwrap();
    assert_eq!(done, 4);
    // Three commits of at least ten operations each, and the release.
    assert!(gate.operations().len() > 35, "{:?}", gate.operations());
    for_each_fault(gate.operations().len(), survive).await;
}

/// Makes the fourth commit, which writes a checkpoint, in a copy of a lake with three; says whether it succeeded.
async fn commit_fourth(three: &Path, gate: Arc<FaultyGate>) -> bool {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(three, copy.path());
    let root = copy.path().to_str().unwrap();
    let schema = example_schema("dim_user");
    let faulty = Lake::open_behind(root, "acme", gate.clone()).unwrap();
    let committed = publish(&faulty, &schema, "run-3", &[9], CommitMode::Overwrite).await;

    let lake = Lake::open(root, "acme").unwrap();
    let found = content(&lake).await;
    let expected = if committed.is_ok() { "run-3/0.parquet" } else { "run-2/0.parquet" };
    let what = format!("{committed:?}, {:?}", gate.operations());
    assert!(found == [expected] || (gate.is_lasting() && found == ["run-3/0.parquet"]), "{what}: {found:?}");
    publish(&lake, &schema, "run-4", &[10], CommitMode::Overwrite).await.unwrap();
    assert_eq!(content(&lake).await, ["run-4/0.parquet"], "{what}");
    committed.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_fails_fails_no_commit_and_no_reader() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
    for run in 0..3 {
        let run_id = format!("run-{run}");
        publish(&lake, &example_schema("dim_user"), &run_id, &[run], CommitMode::Overwrite).await.unwrap();
    }
    let gate = Arc::new(FaultyGate::watching());
    assert!(commit_fourth(folder.path(), gate.clone()).await);
    let operations = gate.operations();
    let landed = operations.iter().position(|operation| operation == "rename 00000000000000000003.json").unwrap() + 1;
    // The folder of the log, then the checkpoint and the file that names it, each written, synced and renamed, and
    // the folder again.
    assert!(operations.len() >= landed + 1 + 2 * 4, "{operations:?}");
    let three = folder.path().to_path_buf();
    for_each_fault(operations.len(), move |at, lasting| {
        let three = three.clone();
        async move {
            let committed = commit_fourth(&three, Arc::new(FaultyGate::failing(at, lasting))).await;
            assert_eq!(committed, at > landed, "fault {at}, lasting: {lasting}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_change_passes_the_gate_once() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(FaultyGate::watching());
    let root = folder.path().join("lake");
    let lake = Lake::open_behind(root.to_str().unwrap(), "acme", gate.clone()).unwrap();
    let temporary = folder.path().file_name().unwrap().to_str().unwrap();
    let opening = [
        "make folder lake".to_owned(),
        format!("sync folder {temporary}"),
        "make folder acme".to_owned(),
        "sync folder lake".to_owned(),
        "make folder _medallion".to_owned(),
        "sync folder acme".to_owned(),
    ];
    assert_eq!(gate.operations(), opening);

    let before = gate.operations().len();
    lake.put_release(&release()).unwrap();
    let expected = [
        "make folder releases",
        "sync folder _medallion",
        "write 00000001.json",
        "sync 00000001.json",
        "rename 00000001.json",
        "sync folder releases",
    ];
    assert_eq!(gate.operations()[before..], expected);

    let before = gate.operations().len();
    publish(&lake, &example_schema("dim_user"), "run-1", &[1], CommitMode::Append).await.unwrap();
    let expected = [
        "make folder gold",
        "make folder dim_user",
        "make folder run-1",
        "make folder _delta_log",
        "sync 0.parquet",
        "sync folder acme",
        "sync folder gold",
        "sync folder dim_user",
        "sync folder run-1",
        "write 00000000000000000000.json",
        "sync 00000000000000000000.json",
        "rename 00000000000000000000.json",
        "sync folder _delta_log",
    ];
    assert_eq!(gate.operations()[before..], expected);

    let before = gate.operations().len();
    drop(lake.lock("run-2").unwrap());
    drop(lake.lock("run-2").unwrap());
    lake.write_run_file("run-2", "run_results.json", b"{}").unwrap();
    lake.staging_area(&example_schema("dim_user").name, "run-2").unwrap();
    for _ in 0..2 {
        lake.discard(&example_schema("dim_user").name, "run-2").unwrap();
    }
    let expected = [
        // The lock: made, taken, given back; taken and given back.
        "write lock",
        "write lock",
        "write lock",
        "write lock",
        "write lock",
        "make folder runs",
        "sync folder _medallion",
        "make folder run-2",
        "sync folder runs",
        "write run_results.json",
        "sync run_results.json",
        "rename run_results.json",
        "sync folder run-2",
        "make folder run-2",
        "remove run-2",
    ];
    assert_eq!(gate.operations()[before..], expected);
    assert_eq!(format!("{:?}", lake.gate()), format!("{gate:?}"));
}

/// Three releases, so that the fourth writes checkpoints; the last one names four tables.
pub(crate) async fn three_releases(lake: &Lake) {
    for run in 1..=3 {
        let run_id = format!("run-{run}");
        let mut tables =
            vec![changed(lake, "dim_user", &run_id, &[run]), changed(lake, "dim_course", &run_id, &[run, 0])];
        tables.push(if run == 1 { changed(lake, "dim_same", &run_id, &[5]) } else { unchanged(lake, "dim_same") });
        tables.push(if run == 1 { changed(lake, "dim_gone", &run_id, &[6]) } else { unchanged(lake, "dim_gone") });
        lake.publish(publication(&run_id, tables)).await.unwrap();
    }
}

/// The fourth release: two tables change, a partitioned one is new, one stays and one goes.
pub(crate) fn fourth(lake: &Lake) -> Publication {
    let mut tables = vec![changed(lake, "dim_user", "run-4", &[10, 11]), changed(lake, "dim_course", "run-4", &[])];
    let (schema, area) = write_years(lake, "run-4");
    tables.push(PublishedChange::Changed { staged: lake.staged(&schema, &area).unwrap(), hashes: Default::default() });
    tables.push(unchanged(lake, "dim_same"));
    publication("run-4", tables)
}

fn gold(tables: &[(&str, &[i64])]) -> BTreeMap<String, Vec<i64>> {
    tables.iter().map(|(table, ids)| (format!("gold.{table}"), ids.to_vec())).collect()
}

pub(crate) fn third_content() -> BTreeMap<String, Vec<i64>> {
    gold(&[("dim_user", &[3]), ("dim_course", &[0, 3]), ("dim_same", &[5]), ("dim_gone", &[6])])
}

pub(crate) fn fourth_content() -> BTreeMap<String, Vec<i64>> {
    gold(&[("dim_user", &[10, 11]), ("dim_course", &[]), ("dim_same", &[5]), ("fact_progress", &[10, 20, 30])])
}

/// Publishes the fourth release in a copy of a lake with three, looks, recovers and publishes the next one. `journal` is
/// the operation that gives the journal its name.
async fn publish_fourth(three: &Path, gate: Arc<FaultyGate>, journal: usize) -> Result<Release, LakeError> {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(three, copy.path());
    let lake = Lake::open(copy.path().to_str().unwrap(), "acme").unwrap();
    let fourth = fourth(&lake);
    let faulty = behind(&lake, gate.clone());
    let published = faulty.publish(fourth).await;
    if let Ok(release) = &published {
        faulty.write_checkpoints(release).await;
    }
    let what = format!("{:?}, {published:?}, {:?}", gate.failed_at(), gate.operations());

    // What readers see is whole, before somebody recovers and after.
    let seen = released(&lake).await;
    assert!(seen == fourth_content() || (seen == third_content() && published.is_err()), "{what}: {seen:?}");
    let recovery = lake.recover().await.unwrap();
    let seen = released(&lake).await;
    // Only what fails after the journal got its name is there; a disk that fails for good cannot take it back.
    let is_begun = gate.failed_at().is_none_or(|at| at > journal + 1 || (gate.is_lasting() && at == journal + 1));
    assert_eq!(seen, if is_begun { fourth_content() } else { third_content() }, "{what}");
    assert_eq!(published.is_ok() || recovery.is_some(), is_begun, "{what}");
    let finished = Recovery::Finished { release: 4, run_id: "run-4".to_owned() };
    assert!(recovery.is_none_or(|recovery| recovery == finished), "{what}");
    publish_next(&lake, seen, is_begun, &what).await;
    published
}

/// After a recovery: readers of latest versions see the same, nothing is left to recover, and the next release follows.
pub(crate) async fn publish_next(lake: &Lake, seen: BTreeMap<String, Vec<i64>>, is_begun: bool, what: &str) {
    for (table, ids) in seen {
        assert_eq!(ids_of(lake, &table, None).await, ids, "{what}: {table} for readers of latest versions");
    }
    assert_eq!(lake.recover().await.unwrap(), None, "{what}");
    let tables = vec![changed(lake, "dim_user", "run-5", &[12]), unchanged(lake, "dim_same")];
    let next = lake.publish(publication("run-5", tables)).await.unwrap();
    assert_eq!(next.release, if is_begun { 5 } else { 4 }, "{what}");
    assert_eq!(released(lake).await, gold(&[("dim_user", &[12]), ("dim_same", &[5])]), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_leaves_the_old_or_the_new_release() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
    three_releases(&lake).await;
    assert_eq!(released(&lake).await, third_content());
    let gate = Arc::new(FaultyGate::watching());
    publish_fourth(folder.path(), gate.clone(), 0).await.unwrap();
    let operations = gate.operations();
    let journal = operations.iter().position(|operation| operation == "rename journal.json").unwrap();
    // Two checkpoints of two files each; three commits, journal and release; what was staged.
    assert!(operations.len() > 2 * 8 + 5 * 4 + 6, "{operations:?}");
    let three = folder.path().to_path_buf();
    for_each_fault(operations.len(), move |at, lasting| {
        let three = three.clone();
        async move {
            let published = publish_fourth(&three, Arc::new(FaultyGate::failing(at, lasting)), journal).await;
            assert!(published.is_ok() || !matches!(published, Err(LakeError::Pending { .. })), "{published:?}");
        }
    })
    .await;
}

/// Killed between two phases: up to the journal's name nothing has happened, from then on everything will have.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_between_phases_has_published_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
    three_releases(&lake).await;
    let gate = Arc::new(FaultyGate::watching());
    publish_fourth(folder.path(), gate.clone(), 0).await.unwrap();
    let operations = gate.operations();
    let at = |operation: &str| operations.iter().position(|found| found == operation).unwrap();
    let journal = at("rename journal.json");
    let first_commit = journal + 2;
    assert!(operations[first_commit].starts_with("write 0000000000000000000"), "{operations:?}");
    let phases = [at("write journal.json"), first_commit, at("write 00000004.json"), at("remove journal.json")];
    assert!(phases.is_sorted(), "{operations:?}");
    for (phase, is_published) in phases.into_iter().zip([false, false, false, true]) {
        let published = publish_fourth(folder.path(), Arc::new(FaultyGate::failing(phase, true)), journal).await;
        assert_eq!(published.is_ok(), is_published, "{published:?}");
        let is_begun = matches!(published, Err(LakeError::Unfinished { release: 4, .. }));
        assert_eq!(is_begun, !is_published && phase > journal, "{published:?}");
    }
}
