//! `vacuum` and `optimize`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use medallion_lake::{Lake, Release};
use medallion_pipeline::TableName;
use serde_json::Value;

use crate::case::Case;
use crate::project::Project;

const NIGHTS: [&str; 3] = ["2025-06-28", "2025-06-29", "2025-06-30"];

fn nights() -> Project {
    let project = Case::read("star").project();
    for night in NIGHTS {
        project.run("star", night).exits(0);
    }
    project
}

/// The files of rows that silver and gold have on the disk.
fn on_disk(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            on_disk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.insert(path);
        }
    }
}

/// The files of rows that releases name.
fn named_by(lake: &Lake, releases: &[Release]) -> BTreeSet<PathBuf> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut files = BTreeSet::new();
    for (table, released) in releases.iter().flat_map(|release| &release.tables) {
        let table: TableName = table.parse().unwrap();
        let published = runtime.block_on(lake.published(&table, Some(released.version))).unwrap().unwrap();
        files.extend(published.files.files.iter().map(|file| file.location.to_file_path().unwrap()));
    }
    files
}

#[test]
fn vacuum_leaves_what_the_kept_releases_name_and_nothing_else() {
    let project = nights();
    let lake = Lake::open_existing(project.lake().to_str().unwrap(), "star").unwrap();
    let releases = lake.releases().unwrap();
    assert!(releases.len() > 1, "{releases:?}");
    let kept = |last: usize| named_by(&lake, &releases[releases.len() - last..]);
    let found = || {
        let mut files = BTreeSet::new();
        for layer in ["silver", "gold"] {
            on_disk(&lake.folder().join(layer), &mut files);
        }
        files
    };
    assert_eq!(found(), kept(releases.len()));
    let users = project.ask("query", "star", &["SELECT * FROM gold.dim_user ORDER BY user_id"]).exits(0).output;

    project.write("medallion.toml", "[defaults]\nkeep_releases = 2\n");
    project.ask("vacuum", "star", &["--dry-run"]).exits(0);
    assert_eq!(found(), kept(releases.len()));
    let removed = found().difference(&kept(2)).count() as u64;
    let answer = project.ask("vacuum", "star", &["--format", "json"]).exits(0);
    let rows: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    assert_eq!(rows.iter().map(|row| row["files"].as_u64().unwrap()).sum::<u64>(), removed);
    assert_eq!(found(), kept(2));

    let last = releases.len();
    let answer = project.ask("vacuum", "star", &["--keep-releases", "1"]).exits(0);
    assert!(answer.output.contains(&format!("releases from {last} on stay")), "{}", answer.output);
    assert_eq!(found(), kept(1));
    let answer = project.ask("vacuum", "star", &["--keep-releases", "1"]).exits(0);
    assert!(answer.output.starts_with("customer star: 0 files (0 B) removed"), "{}", answer.output);
    assert_eq!(project.releases("star").len(), last, "release files stay");

    let after = project.ask("query", "star", &["SELECT * FROM gold.dim_user ORDER BY user_id"]).exits(0).output;
    assert_eq!(users, after);
    project.run("star", "2025-07-01").exits(0);
}

#[test]
fn what_is_not_allowed_is_refused_and_leaves_everything() {
    let project = Case::published("star");
    project.ask("vacuum", "star", &["--keep-releases", "0"]).exits(2).says(&["--keep-releases"]);
    project.write("medallion.toml", "[defaults]\nkeep_releases = 0\n");
    project.ask("vacuum", "star", &[]).exits(2).says(&["medallion.toml:2:", "0"]);
    project.write("medallion.toml", "");
    for command in ["vacuum", "optimize"] {
        project.ask(command, "acme", &[]).exits(1).says(&["acme"]);
        project.ask(command, "../star", &[]).exits(2).says(&["'../star'"]);
        let lake = Lake::open_existing(project.lake().to_str().unwrap(), "star").unwrap();
        let lock = lake.lock("nightly-42").unwrap();
        project.ask(command, "star", &[]).exits(7).says(&["star", "nightly-42"]);
        drop(lock);
    }
    assert!(!project.lake().join("acme").exists());
}

/// The case's course completions arrive in two parts.
#[test]
fn optimize_merges_the_parts_of_a_batch_and_the_next_run_finds_the_same() {
    let project = Case::published("star");
    let lines = |sql: &str| {
        let answer = project.ask("query", "star", &[sql, "--format", "csv"]).exits(0).output;
        let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let facts = || lines("SELECT * EXCLUDE (_run_id) FROM gold.fact_course_progress");
    let arrived = || lines("SELECT * FROM bronze.course_completions");
    let (facts_before, arrived_before) = (facts(), arrived());
    assert!(facts_before.len() > 2 && arrived_before.len() > 2);
    let rows: Vec<Value> =
        serde_json::from_str(&project.ask("optimize", "star", &["--format", "json"]).exits(0).output).unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row["table"], "bronze.course_completions");
    assert_eq!((row["files before"].as_u64(), row["files"].as_u64()), (Some(2), Some(1)));
    assert_eq!(arrived(), arrived_before);

    let answer = project.ask("optimize", "star", &[]).exits(0);
    assert!(answer.output.contains("tables 0 have fewer files, 0 a new checkpoint"), "{}", answer.output);
    project.run("star", NIGHTS[2]).exits(0);
    assert_eq!(arrived(), arrived_before, "the batch is known, its rows are not taken again");
    assert_eq!(facts(), facts_before);
}

/// The fingerprint of every table of the last release.
fn fingerprints(project: &Project, customer: &str) -> BTreeMap<String, String> {
    let lake = Lake::open_existing(project.lake().to_str().unwrap(), customer).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let release = lake.latest_release().unwrap().unwrap();
    let print = |(table, released): (String, medallion_lake::ReleasedTable)| {
        let published = runtime.block_on(lake.published(&table.parse().unwrap(), Some(released.version)));
        (table, lake.fingerprint(&published.unwrap().unwrap().files).unwrap())
    };
    release.tables.into_iter().map(print).collect()
}

#[test]
fn lakes_of_one_input_have_equal_fingerprints_and_of_another_different_ones() {
    let star = Case::read("star");
    let [one, other, with_little_memory, next] = [(); 4].map(|()| star.project());
    one.run("star", NIGHTS[2]).exits(0);
    other.run("star", NIGHTS[2]).exits(0);
    with_little_memory.ask("run", "star", &["--as-of", NIGHTS[2], "--memory-limit", "64MiB"]).exits(0);
    next.run("star", "2025-07-01").exits(0);
    let first = fingerprints(&one, "star");
    assert!(first.len() > 40, "{first:?}");
    assert_eq!(first, fingerprints(&other, "star"));
    assert_eq!(first, fingerprints(&with_little_memory, "star"));
    // A calendar that ends a day later has another row.
    let later = fingerprints(&next, "star");
    assert_ne!(first["gold.dim_date_began"], later["gold.dim_date_began"]);
    assert_eq!(first["gold.dim_course"], later["gold.dim_course"]);
}
