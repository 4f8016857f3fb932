//! Nights that bring nothing new: what an earlier run found is not found out again, and what it noted down may be lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::case::Case;
use crate::project::Project;

const AS_OF: &str = "2025-06-30";

/// What the last run says of each silver and gold table: its status and why it was skipped.
fn outcome(project: &Project) -> BTreeMap<String, (String, String)> {
    let results = project.last_results("star");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tables = results["tables"].as_object().unwrap().iter().filter(|(table, _)| !table.starts_with("bronze."));
    tables.map(|(table, result)| (table.clone(), (text(&result["status"]), text(&result["skipped"])))).collect()
}

/// Why the last run left its tests out.
fn tests_skipped(project: &Project) -> Option<String> {
    project.last_results("star")["tests_skipped"].as_str().map(str::to_owned)
}

/// The tables that the last run built.
fn built(project: &Project) -> Vec<String> {
    let is_built = |(status, why): &(String, String)| status == "success" || why.starts_with("it was built and is");
    outcome(project).into_iter().filter(|(_, outcome)| is_built(outcome)).map(|(table, _)| table).collect()
}

fn append(file: &Path, text: &str) {
    fs::write(file, fs::read_to_string(file).unwrap() + text).unwrap();
}

#[test]
fn what_a_run_found_without_publishing_is_not_found_out_again() {
    let project = Case::published("star");
    let site = project.path("site");
    project.medallion(["init", site.to_str().unwrap()]).exits(0);
    let pipeline = site.join("pipelines/totara");
    append(&pipeline.join("gold/dim_course.sql"), "\n-- a remark\n");
    let run = |options: &[&str]| {
        let own = ["--as-of", AS_OF, "--pipeline", pipeline.to_str().unwrap()];
        project.ask("run", "star", &[&own, options].concat()).exits(0);
    };
    run(&[]);
    assert_eq!(built(&project), ["gold.dim_course"], "its definition is another one");
    assert_eq!(tests_skipped(&project), None);
    run(&[]);
    let known = "an earlier run built it from the same: it is as in release 1";
    assert_eq!(outcome(&project)["gold.dim_course"], ("unchanged".to_owned(), known.to_owned()));
    assert_eq!(built(&project), [""; 0]);
    assert_eq!(tests_skipped(&project).unwrap(), "no table and no test has changed since release 1");
    let own = ["--as-of", AS_OF, "--pipeline", pipeline.to_str().unwrap()];
    let plan = project.ask("plan", "star", &[&own[..], &["--format", "json"]].concat()).exits(0);
    let steps: Vec<Value> = serde_json::from_str(&plan.output).unwrap();
    let course = steps.iter().find(|step| step["table"] == "gold.dim_course").unwrap();
    assert_eq!((&course["action"], &course["why"]), (&"skip".into(), &known.into()));
    let plan = project.ask("plan", "star", &own).exits(0);
    assert!(plan.output.contains(": 0 tables to build, 56 to skip"), "{}", plan.output);

    append(&pipeline.join("tests/learning_time_is_complete.sql"), "\n-- a remark\n");
    run(&[]);
    assert_eq!((built(&project).len(), tests_skipped(&project)), (0, None), "a test is another one");
    run(&[]);
    assert!(tests_skipped(&project).is_some());
    run(&["--full-refresh"]);
    assert!(built(&project).len() > 30, "everything is built if that is asked for");
}

#[test]
fn a_definition_that_only_an_unpublished_run_was_built_with_is_in_the_next_release() {
    let project = Case::published("star");
    let site = project.path("site");
    project.medallion(["init", site.to_str().unwrap()]).exits(0);
    let pipeline = site.join("pipelines/totara");
    append(&pipeline.join("gold/dim_course.sql"), "\n-- a remark\n");
    let options = ["--as-of", AS_OF, "--pipeline", pipeline.to_str().unwrap()];
    for _ in 0..2 {
        project.ask("run", "star", &options).exits(0);
    }
    let counted = pipeline.join("gold/dim_audience.sql");
    let query = fs::read_to_string(&counted).unwrap();
    fs::write(&counted, query.replace("count(DISTINCT user_id)", "count(DISTINCT user_id) + 1")).unwrap();
    project.ask("run", "star", &options).exits(0);
    assert_eq!(project.releases("star"), [1, 2]);
    let release = |number: u64| -> Value {
        let path = project.lake().join(format!("star/_medallion/releases/{number:08}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let hashes = |number: u64, table: &str| {
        let table = &release(number)["tables"][table];
        (table["fingerprint"].clone(), table["build_key"].clone(), table["definition"].clone())
    };
    let (before, after) = (hashes(1, "gold.dim_course"), hashes(2, "gold.dim_course"));
    assert_eq!(before.0, after.0, "its rows are the same");
    assert!(before.1 != after.1 && before.2 != after.2, "{before:?} {after:?}");
    assert_eq!(hashes(1, "gold.dim_programs"), hashes(2, "gold.dim_programs"));
}

#[test]
fn notes_that_are_lost_or_broken_cost_time_and_nothing_else() {
    let project = Case::published("star");
    let note = project.lake().join("star/_medallion/remembered.json");
    project.run("star", AS_OF).exits(0);
    let expected = outcome(&project);
    let whole = fs::read(&note).unwrap();
    for broken in [None, Some(Vec::new()), Some(whole[..whole.len() / 2].to_vec()), Some(b"{\"schema\": 7}".to_vec())] {
        match &broken {
            None => fs::remove_file(&note).unwrap(),
            Some(broken) => fs::write(&note, broken).unwrap(),
        }
        project.run("star", AS_OF).exits(0);
        assert_eq!(outcome(&project), expected);
        assert_eq!(project.releases("star"), [1]);
        assert_eq!(fs::read(&note).unwrap(), whole, "the logs are noted down again");
    }
}
