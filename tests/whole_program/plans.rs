//! `plan`: what a run would do, without doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::project::{Project, fixture};

const AS_OF: &str = "2025-06-30";

/// A project whose customer `acme` has a drop folder of its own with the files of `star`.
fn acme() -> Project {
    let project = Project::new();
    fs::create_dir(project.path("drop")).unwrap();
    for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, project.path("drop").join(file.file_name().unwrap())).unwrap();
    }
    project.add_customer("acme", &project.path("drop"), "fiscal_year.first = 2021\nfiscal_year.last = 2026\n");
    project
}

/// What would become of each table, and why.
fn planned(project: &Project, options: &[&str]) -> BTreeMap<String, (String, String)> {
    let always = ["--as-of", AS_OF, "--format", "json"];
    let answer = project.ask("plan", "acme", &[&always, options].concat()).exits(0);
    let steps: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    steps.iter().map(|step| (text(&step["table"]), (text(&step["action"]), text(&step["why"])))).collect()
}

fn with_action(planned: &BTreeMap<String, (String, String)>, action: &str) -> BTreeSet<String> {
    planned.iter().filter(|(_, (planned, _))| planned == action).map(|(table, _)| table.clone()).collect()
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_plan_is_what_the_run_then_does_and_writes_nothing() {
    let project = acme();
    let first = planned(&project, &[]);
    assert!(!project.lake().exists(), "a plan makes no lake");
    assert_eq!(first["silver.users"], ("build".into(), "it was never published".into()));
    assert_eq!(first["bronze.users"].0, "take");
    project.run("acme", AS_OF).exits(0);

    let before = files(&project.lake());
    let nothing = planned(&project, &[]);
    assert!(with_action(&nothing, "build").is_empty() && with_action(&nothing, "take").is_empty(), "{nothing:?}");
    assert_eq!(nothing["gold.dim_user"].1, "its definition and inputs are those of release 1");

    let users = fs::read_to_string(project.path("drop/analytics_users_20250630.csv")).unwrap();
    let renamed = users.replace("2,\"Ada Admin\",Ada,Admin", "2,\"Ada Adler\",Ada,Adler");
    assert_ne!(users, renamed);
    project.write("drop/analytics_users_20250701.csv", &renamed);
    project.write("drop/notes.csv", "x\n");
    let changed = planned(&project, &[]);
    assert_eq!(with_action(&changed, "take"), BTreeSet::from(["bronze.users".to_owned()]));
    assert!(changed["bronze.users"].1.starts_with("analytics_users_20250701.csv: "), "{:?}", changed["bronze.users"]);
    assert_eq!(changed["silver.users"], ("build".into(), "bronze.users has new content".into()));
    assert_eq!(changed["gold.dim_user"], ("build".into(), "silver.users is built, and may be another one".into()));
    assert_eq!(changed[""], ("ignore".into(), "notes.csv: no source claims it".into()));
    assert_eq!(files(&project.lake()), before, "a plan writes nothing");

    project.run("acme", AS_OF).exits(0);
    let results = project.last_results("acme");
    let to_build = with_action(&changed, "build");
    for (table, result) in results["tables"].as_object().unwrap() {
        let skipped = result["skipped"].as_str().unwrap_or_default();
        let was_built = result["status"] == "success" || skipped.starts_with("it was built");
        if table.starts_with("bronze.") {
            assert_eq!(result["status"] == "success", table == "bronze.users", "{table}");
        } else {
            assert!(to_build.contains(table) || !was_built, "{table} was built without being planned");
        }
    }
    assert!(with_action(&changed, "skip").contains("gold.dim_position"));
}

#[test]
fn a_plan_says_what_would_stop_the_run() {
    let project = acme();
    let required = project.path("drop/analytics_positions_20250630.csv");
    let positions = fs::read(&required).unwrap();
    fs::remove_file(&required).unwrap();
    let answer = project.ask("plan", "acme", &["--as-of", AS_OF]).exits(0);
    answer.says(&["a run would stop: customer acme", "positions"]);
    fs::write(&required, positions).unwrap();
    project.run("acme", AS_OF).exits(0);

    let site = project.path("site");
    project.medallion(["init", site.to_str().unwrap()]).exits(0);
    let pipeline = site.join("pipelines/totara");
    let model = pipeline.join("gold/dim_audience.toml");
    let text = fs::read_to_string(&model).unwrap();
    fs::write(&model, text.replace("member_count", "members")).unwrap();
    let sql = pipeline.join("gold/dim_audience.sql");
    let query = fs::read_to_string(&sql).unwrap();
    fs::write(&sql, query.replace("member_count", "members")).unwrap();
    let options = ["--as-of", AS_OF, "--pipeline", pipeline.to_str().unwrap()];
    let answer = project.ask("plan", "acme", &options).exits(0);
    let answer = answer.says(&[
        "a run would stop",
        "gold.dim_audience: column 'member_count' is removed",
        "hint: ",
        "--accept-schema",
    ]);
    assert!(answer.output.contains("column 'members' is added"), "{}", answer.output);
    let accepted = [&options[..], &["--accept-schema", "gold.dim_audience"]].concat();
    let answer = project.ask("plan", "acme", &accepted).exits(0);
    assert!(!answer.messages.contains("would stop"), "{}", answer.messages);

    fs::write(&sql, query.replace("audience_name", "audiance_name")).unwrap();
    project.ask("plan", "acme", &options).exits(2).says(&["gold.dim_audience (line ", "audiance_name"]);
}
