#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{File, FileTimes};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use medallion_pipeline::TableSchema;
use tempfile::TempDir;

use super::*;
use crate::commit::{CommitInfo, CommitMode};
use crate::release::{Release, ReleasedTable};
use crate::testing::{FaultyGate, copy_folder, example_schema, lake, write_example, write_years};

fn schema(layer: Layer, table: &str) -> TableSchema {
    let name = TableName::new(layer, table);
    TableSchema { name, ..example_schema(table) }
}

fn keep(releases: u32) -> VacuumOptions {
    VacuumOptions { keep_releases: releases, running: None, dry_run: false, now: Utc::now() }
}

async fn commit(lake: &Lake, schema: &TableSchema, folder: &str, run: &str, mode: CommitMode) -> ReleasedTable {
    let area = lake.staging_area(&schema.name, folder).unwrap();
    write_example(&area, "0.parquet", &[1, 2]);
    let staged = lake.staged(schema, &area).unwrap();
    let info = CommitInfo { run_id: run.to_owned(), ..CommitInfo::default() };
    let version = lake.commit(&staged, mode, &info).await.unwrap();
    ReleasedTable::new(version, staged.rows(), Default::default())
}

fn release(lake: &Lake, number: u64, tables: &[(&TableSchema, ReleasedTable)]) {
    let release = Release {
        schema: Release::SCHEMA.to_owned(),
        release: number,
        run_id: format!("run-{number}"),
        as_of: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(),
        published_at: Utc::now(),
        tables: tables.iter().map(|(schema, table)| (schema.name.to_string(), table.clone())).collect(),
        batches: BTreeMap::new(),
        history: BTreeMap::new(),
        rolled_back_to: None,
        pipeline_key: None,
        fence: None,
    };
    lake.put_release(&release).unwrap();
}

/// A lake with `releases` releases of one gold table, each with a file of its own.
async fn released(releases: u64) -> (TempDir, Lake, TableSchema) {
    let (folder, lake) = lake();
    let gold = schema(Layer::Gold, "dim_user");
    for number in 1..=releases {
        let run = format!("run-{number}");
        let table = commit(&lake, &gold, &run, &run, CommitMode::Overwrite).await;
        release(&lake, number, &[(&gold, table)]);
    }
    (folder, lake, gold)
}

/// The files and folders below a customer's folder, with `/` after folders.
fn found(lake: &Lake, folder: &str) -> Vec<String> {
    fn list(folder: &Path, within: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(within).unwrap().to_str().unwrap().to_owned();
            if path.symlink_metadata().unwrap().is_dir() {
                found.push(name + "/");
                list(&path, within, found);
            } else {
                found.push(name);
            }
        }
    }
    let (mut names, within) = (Vec::new(), lake.folder().join(folder));
    list(&within, &within, &mut names);
    names.sort();
    names
}

fn data(lake: &Lake, table: &TableSchema) -> Vec<String> {
    let folder = format!("{}/{}", table.name.layer, table.name.table);
    found(lake, &folder).into_iter().filter(|name| !name.starts_with(LOG_FOLDER)).collect()
}

fn log_length(lake: &Lake, table: &TableSchema) -> usize {
    found(lake, &format!("{}/{}/{LOG_FOLDER}", table.name.layer, table.name.table)).len()
}

/// Whether a version can be read and all its files are there.
async fn is_whole(lake: &Lake, table: &TableName, version: u64) -> bool {
    match lake.published(table, Some(version)).await {
        Ok(published) => {
            published.unwrap().files.files.iter().all(|file| file.location.to_file_path().unwrap().is_file())
        }
        Err(LakeError::NoVersion { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn files_of_kept_releases_stay_and_older_ones_go() {
    let (_folder, lake, gold) = released(5).await;
    assert_eq!(data(&lake, &gold).len(), 10, "five folders, each with a file");
    let size = fs::metadata(lake.folder().join("gold/dim_user/run-1/0.parquet")).unwrap().len();
    let before = found(&lake, "");
    let log = lake.folder().join("gold/dim_user/_delta_log");
    let commit = |version: u64| fs::metadata(log.join(format!("{version:020}.json"))).unwrap().len();
    // This table's checkpoints are those of versions 3, 13, 23 and so on.
    let cut = Removed { files: 3, bytes: (0..3).map(commit).sum() };

    let planned = lake.vacuum(&VacuumOptions { dry_run: true, ..keep(2) }).await.unwrap();
    assert_eq!(found(&lake, ""), before);
    let vacuumed = lake.vacuum(&keep(2)).await.unwrap();
    assert_eq!(planned, vacuumed);
    assert_eq!(vacuumed.oldest_release, Some(4));
    let expected = VacuumedTable { data: Removed { files: 3, bytes: 3 * size }, log: cut };
    assert_eq!(vacuumed.tables, BTreeMap::from([(gold.name.clone(), expected)]));
    assert_eq!(vacuumed.total(), Removed { files: 6, bytes: 3 * size + cut.bytes });
    assert_eq!(data(&lake, &gold), ["run-4/", "run-4/0.parquet", "run-5/", "run-5/0.parquet"]);
    assert_eq!(lake.releases().unwrap().len(), 5, "release files stay");
    assert!(is_whole(&lake, &gold.name, 3).await && is_whole(&lake, &gold.name, 4).await);
    assert!(!is_whole(&lake, &gold.name, 2).await);

    // Whoever kept two has two, also if they want more later.
    assert_eq!(lake.vacuum(&keep(14)).await.unwrap().total(), Removed::default());
    assert_eq!(lake.vacuum(&keep(0)).await.unwrap().total().files, 1, "the last release stays");
    assert_eq!(data(&lake, &gold), ["run-5/", "run-5/0.parquet"]);
    let files_of = async |version| lake.published(&gold.name, Some(version)).await.unwrap().unwrap();
    lake.check_files(&files_of(4).await).unwrap();
    let gone = lake.check_files(&files_of(3).await).unwrap_err();
    assert!(matches!(&gone, LakeError::FileGone { path, .. } if path.ends_with("run-4/0.parquet")), "{gone}");
}

#[tokio::test]
async fn a_version_without_release_stays_if_it_is_the_last() {
    let (_folder, lake, gold) = released(2).await;
    commit(&lake, &gold, "run-3", "run-3", CommitMode::Overwrite).await;
    lake.vacuum(&keep(1)).await.unwrap();
    assert_eq!(data(&lake, &gold), ["run-2/", "run-2/0.parquet", "run-3/", "run-3/0.parquet"]);

    let table = commit(&lake, &gold, "run-4", "run-4", CommitMode::Overwrite).await;
    release(&lake, 3, &[(&gold, table)]);
    lake.vacuum(&keep(2)).await.unwrap();
    assert_eq!(data(&lake, &gold), ["run-2/", "run-2/0.parquet", "run-4/", "run-4/0.parquet"]);
}

#[tokio::test]
async fn releases_may_share_versions_and_old_contents() {
    let (_folder, lake, gold) = released(3).await;
    let old = lake.content_at(&gold.name, 0).await.unwrap();
    let info = CommitInfo { run_id: "run-4".to_owned(), ..CommitInfo::default() };
    let version = lake.commit(&old, CommitMode::Overwrite, &info).await.unwrap();
    for number in [4, 5] {
        release(&lake, number, &[(&gold, ReleasedTable::new(version, 2, Default::default()))]);
    }
    lake.vacuum(&keep(2)).await.unwrap();
    assert_eq!(data(&lake, &gold), ["run-1/", "run-1/0.parquet"]);
    assert!(is_whole(&lake, &gold.name, version).await);
}

#[tokio::test]
async fn bronze_keeps_what_it_has_and_what_the_last_run_took_out() {
    let (_folder, lake) = lake();
    let bronze = schema(Layer::Bronze, "users");
    let retired = |batch: &str| BTreeSet::from([batch.to_owned()]);
    let info = |run: &str| CommitInfo { run_id: run.to_owned(), ..CommitInfo::default() };
    for (batch, run) in [("batch-1", "run-1"), ("batch-2", "run-2"), ("batch-3", "run-3"), ("batch-4", "run-3")] {
        commit(&lake, &bronze, batch, run, CommitMode::Append).await;
    }
    for (batch, run) in [("batch-1", "run-4"), ("batch-2", "run-5"), ("batch-3", "run-5")] {
        lake.retire(&bronze.name, &retired(batch), &info(run)).await.unwrap().unwrap();
    }
    // A reader that began before run 5 has the version that run 4 made.
    let reader = 4;
    assert_eq!(lake.vacuum(&keep(14)).await.unwrap().tables[&bronze.name].data.files, 1);
    assert_eq!(data(&lake, &bronze).iter().filter(|name| name.ends_with(".parquet")).count(), 3);
    assert!(is_whole(&lake, &bronze.name, reader).await);

    commit(&lake, &bronze, "batch-5", "run-6", CommitMode::Append).await;
    assert_eq!(lake.vacuum(&keep(14)).await.unwrap().tables[&bronze.name].data.files, 2);
    assert_eq!(data(&lake, &bronze), ["batch-4/", "batch-4/0.parquet", "batch-5/", "batch-5/0.parquet"]);
}

#[tokio::test]
async fn what_a_crashed_run_left_goes_and_what_the_running_one_staged_stays() {
    let (_folder, lake, gold) = released(1).await;
    let never = schema(Layer::Silver, "never_committed");
    let rejects = schema(Layer::Bronze, "rejected_rows");
    for (schema, run) in [(&gold, "run-2"), (&never, "run-2"), (&rejects, "run-2-silver"), (&gold, "run-20")] {
        write_example(&lake.staging_area(&schema.name, run).unwrap(), "label=a/0.parquet", &[1]);
    }
    lake.staging_area(&gold.name, "empty").unwrap();
    lake.write_run_file("run-2", "run_results.json", b"{}").unwrap();
    let temporary = ["gold/dim_user/_delta_log", "_medallion", "_medallion/releases", "_medallion/runs/run-2"];
    for folder in temporary {
        fs::write(lake.folder().join(folder).join("_writing_x.tmp"), "half").unwrap();
    }
    let foreign = ["gold/README", "gold/dim_user/notes.txt", "gold/dim_user/_delta_log/x.crc", "_medallion/x.tmp"];
    for file in foreign {
        fs::write(lake.folder().join(file), "not ours").unwrap();
    }

    let options = VacuumOptions { running: Some("run-2".to_owned()), ..keep(14) };
    let vacuumed = lake.vacuum(&options).await.unwrap();
    assert_eq!(vacuumed.leftovers, Removed { files: 2, bytes: 8 }, "not that of the running run");
    assert_eq!(vacuumed.tables[&gold.name].log, Removed { files: 1, bytes: 4 });
    assert_eq!(vacuumed.tables[&gold.name].data.files, 1);
    let of_run_2 = ["run-2/", "run-2/label=a/", "run-2/label=a/0.parquet"];
    assert_eq!(data(&lake, &gold), [&["notes.txt", "run-1/", "run-1/0.parquet"], &of_run_2[..]].concat());
    assert_eq!(data(&lake, &never), of_run_2);

    let vacuumed = lake.vacuum(&keep(14)).await.unwrap();
    assert_eq!((vacuumed.total().files, vacuumed.leftovers.files), (4, 1));
    assert_eq!(data(&lake, &gold), ["notes.txt", "run-1/", "run-1/0.parquet"]);
    assert_eq!((data(&lake, &never), data(&lake, &rejects)), (vec![], vec![]));
    for file in foreign {
        assert!(lake.folder().join(file).is_file(), "{file}");
    }
    assert!(lake.folder().join("_medallion/runs/run-2/run_results.json").is_file());
}

#[tokio::test]
async fn what_a_journal_names_stays() {
    let (_folder, lake, gold) = released(1).await;
    write_example(&lake.staging_area(&gold.name, "run-2").unwrap(), "a/0.parquet", &[1]);
    write_example(&lake.staging_area(&gold.name, "run-2").unwrap(), "1.parquet", &[1]);
    let journal = lake.folder().join("_medallion/journal.json");
    let text = r#"{"release": 2, "tables": [{"table": "gold.dim_user", "files": [{"path": "run-2/a/0.parquet"}]}]}"#;
    fs::write(&journal, text).unwrap();
    lake.vacuum(&keep(1)).await.unwrap();
    let expected = ["run-1/", "run-1/0.parquet", "run-2/", "run-2/a/", "run-2/a/0.parquet"];
    assert_eq!(data(&lake, &gold), expected);

    fs::write(&journal, &text[..40]).unwrap();
    let error = lake.vacuum(&keep(1)).await.unwrap_err();
    assert!(matches!(&error, LakeError::Json { path, .. } if *path == journal), "{error}");
    assert_eq!(data(&lake, &gold), expected);
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_refused_before_anything_is_removed() {
    use std::os::unix::fs::symlink;

    for linked in [
        "gold/dim_user/run-0",
        "gold/dim_user/run-1/link",
        "gold/dim_user/run-1/0.link",
        "gold/dim_user/_delta_log/_writing_x.tmp",
        "_medallion/journal.json",
        "_medallion/runs/run-7",
        "_medallion/runs/run-8/tests",
        "_medallion/releases/_writing_x.tmp",
    ] {
        let (_folder, lake, _gold) = released(3).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let secret = elsewhere.path().join("0.parquet");
        fs::write(&secret, "of somebody else").unwrap();
        let link = lake.folder().join(linked);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let is_file = linked.ends_with(".link") || linked.ends_with(".tmp") || linked.ends_with(".json");
        symlink(if is_file { secret.as_path() } else { elsewhere.path() }, &link).unwrap();
        let before = found(&lake, "");
        let error = lake.vacuum(&keep(1)).await.unwrap_err();
        assert!(matches!(&error, LakeError::Linked { path, .. } if *path == link), "{linked}: {error}");
        assert_eq!(found(&lake, ""), before, "{linked}");
        assert!(secret.is_file());
    }
}

#[tokio::test]
async fn partitions_with_odd_values_are_told_apart() {
    let (_folder, lake) = lake();
    let mut tables = Vec::new();
    for number in 1..=2 {
        let run = format!("run-{number}");
        let (schema, area) = write_years(&lake, &run);
        let staged = lake.staged(&schema, &area).unwrap();
        let info = CommitInfo { run_id: run, ..CommitInfo::default() };
        let version = lake.commit(&staged, CommitMode::Overwrite, &info).await.unwrap();
        release(&lake, number, &[(&schema, ReleasedTable::new(version, 3, Default::default()))]);
        tables.push(schema);
    }
    assert_eq!(lake.vacuum(&keep(2)).await.unwrap().total(), Removed::default());
    assert_eq!(lake.vacuum(&keep(1)).await.unwrap().total().files, 2);
    let null = "run-2/label=__HIVE_DEFAULT_PARTITION__/";
    let year = "run-2/label=FY%202024%2F25/";
    let expected = ["run-2/", year, &format!("{year}0.parquet"), null, &format!("{null}0.parquet")];
    assert_eq!(data(&lake, &tables[0]), expected);
}

#[tokio::test]
async fn samples_expire_after_thirty_days() {
    let (_folder, lake) = lake();
    let sample = |run: &str, name: &str, days: u64| {
        let folder = lake.run_folder(run).unwrap().join("tests");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), "id\n7\n").unwrap();
        let written = SystemTime::now() - Duration::from_secs(days * 86_400);
        let file = File::options().write(true).open(folder.join(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(written)).unwrap();
    };
    sample("run-1", "gold.dim_user.unique.csv", 31);
    sample("run-2", "old.csv", 31);
    sample("run-2", "new.csv", 29);
    lake.write_run_file("run-1", "run_results.json", b"{}").unwrap();
    assert_eq!(lake.vacuum(&keep(14)).await.unwrap().samples, Removed { files: 2, bytes: 10 });
    let expected = ["run-1/", "run-1/run_results.json", "run-2/", "run-2/tests/", "run-2/tests/new.csv"];
    assert_eq!(found(&lake, "_medallion/runs"), expected);
    let tomorrow = VacuumOptions { now: Utc::now() + Days::new(2), ..keep(14) };
    assert_eq!(lake.vacuum(&tomorrow).await.unwrap().samples.files, 1);
}

/// Sixty nights with vacuum after each. A night
/// - overwrites a gold table in one commit,
/// - changes a silver table only every fifth night,
/// - appends a batch to bronze and retires the one seven nights old: two commits,
/// - overwrites the rejects twice,
/// - leaves what a crashed run would have left.
#[tokio::test(flavor = "multi_thread")]
async fn file_counts_and_logs_stay_level_over_sixty_nights() {
    let (_folder, lake) = lake();
    let gold = schema(Layer::Gold, "dim_user");
    let silver = schema(Layer::Silver, "users");
    let bronze = schema(Layer::Bronze, "users");
    let rejects = schema(Layer::Bronze, "rejected_rows");
    let mut slow = None;
    let mut versions = Vec::new();
    for night in 1..=60_u64 {
        let run = format!("run-{night}");
        commit(&lake, &bronze, &format!("batch-{night}"), &run, CommitMode::Append).await;
        for step in ["parse", "silver"] {
            commit(&lake, &rejects, &format!("{run}-{step}"), &run, CommitMode::Overwrite).await;
        }
        let fast = commit(&lake, &gold, &run, &run, CommitMode::Overwrite).await;
        if night % 5 == 1 {
            slow = Some(commit(&lake, &silver, &run, &run, CommitMode::Overwrite).await);
        }
        versions.push(fast.version);
        release(&lake, night, &[(&gold, fast), (&silver, slow.clone().unwrap())]);
        if night > 7 {
            let batch = BTreeSet::from([format!("batch-{}", night - 7)]);
            let info = CommitInfo { run_id: run.clone(), ..CommitInfo::default() };
            lake.retire(&bronze.name, &batch, &info).await.unwrap().unwrap();
        }
        for table in [&gold, &silver, &bronze] {
            write_example(&lake.staging_area(&table.name, &format!("crash-{night}")).unwrap(), "0.parquet", &[1]);
        }
        fs::write(lake.folder().join(format!("gold/dim_user/_delta_log/_writing_{night}.tmp")), "{").unwrap();
        fs::write(lake.folder().join(format!("_medallion/releases/_writing_{night}.tmp")), "{").unwrap();

        let vacuumed = lake.vacuum(&keep(14)).await.unwrap();
        assert_eq!(vacuumed.oldest_release, Some(night.saturating_sub(13).max(1)));
        let kept = night.min(14) as usize;
        assert_eq!(data(&lake, &gold).len(), 2 * kept, "one folder with one file a release");
        // Fourteen nights in a row touch three or four fifths nights.
        assert!(data(&lake, &silver).len() <= 2 * 4, "night {night}: {:?}", data(&lake, &silver));
        // Seven batches, and the one that this night retired.
        assert_eq!(data(&lake, &bronze).len(), 2 * night.min(8) as usize);
        // The last of this night and the last of the night before.
        assert_eq!(data(&lake, &rejects).len(), 2 * night.min(2) as usize);
        // The oldest version needed is 13 before the last, and a checkpoint at most 9 before that: 23 commits with at
        // most 3 checkpoints and the file that names the last one.
        assert!(log_length(&lake, &gold) <= 23 + 3 + 1, "night {night}: {}", log_length(&lake, &gold));
        // Two commits a night: 2 before the last, at most 9 before that: 12 commits, 2 checkpoints, the file.
        for table in [&bronze, &rejects] {
            assert!(log_length(&lake, table) <= 12 + 2 + 1, "night {night}: {}", log_length(&lake, table));
        }
        // Twelve changes in all, of which the log keeps at most all and one checkpoint.
        assert!(log_length(&lake, &silver) <= 12 + 1 + 1);
        assert_eq!(found(&lake, "_medallion/releases").len(), night as usize);
    }
    for (night, version) in (1..).zip(&versions) {
        assert_eq!(is_whole(&lake, &gold.name, *version).await, night > 60 - 14, "night {night}");
    }
    assert!(matches!(lake.published(&gold.name, Some(0)).await, Err(LakeError::NoVersion { .. })));
    assert_eq!(lake.published(&bronze.name, None).await.unwrap().unwrap().rows(), 14, "seven batches of two rows");
    assert_eq!(lake.published(&gold.name, None).await.unwrap().unwrap().version, 59);
}

/// Vacuums a copy of a lake whose disk fails, then again without faults.
async fn survive(full: &Path, at: usize, lasting: bool, expected: &[String]) {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(full, copy.path());
    let root = copy.path().to_str().unwrap();
    let gate = Arc::new(FaultyGate::failing(at, lasting));
    let faulty = Lake::open_behind(root, "acme", gate.clone()).unwrap();
    faulty.vacuum(&keep(2)).await.unwrap_err();
    let lake = Lake::open(root, "acme").unwrap();
    let table = example_schema("dim_user").name;
    for version in [10, 11] {
        assert!(is_whole(&lake, &table, version).await, "fault {at}, lasting: {lasting}");
    }
    lake.vacuum(&keep(2)).await.unwrap();
    assert_eq!(found(&lake, ""), expected, "fault {at}, lasting: {lasting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_that_fails_anywhere_harms_nobody_and_is_finished_by_the_next() {
    let (folder, lake, _gold) = released(12).await;
    let gate = Arc::new(FaultyGate::watching());
    let whole = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), whole.path());
    let watched = Lake::open_behind(whole.path().to_str().unwrap(), "acme", gate.clone()).unwrap();
    // Ten old files with their folders, and the three commits before the checkpoint.
    assert_eq!(watched.vacuum(&keep(2)).await.unwrap().total().files, 10 + 3);
    assert_eq!(gate.operations().len(), 10 + 3 + 10, "{:?}", gate.operations());
    assert!(gate.operations().iter().all(|operation| operation.starts_with("remove ")));
    let expected = found(&watched, "");
    let lake_folder = lake.folder().parent().unwrap();
    for at in 0..gate.operations().len() {
        survive(lake_folder, at, false, &expected).await;
        survive(lake_folder, at, true, &expected).await;
    }
}
