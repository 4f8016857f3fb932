//! `customer add`, `list`, `show` and `remove`.

use std::collections::BTreeMap;
use std::fs;

use medallion_lake::Lake;
use serde_json::Value;

use crate::project::{Answer, Project, fixture};

const AS_OF: &str = "2025-06-30";

fn customer(project: &Project, command: &str, options: &[&str]) -> Answer {
    let lake = project.lake();
    let place = ["--lake", lake.to_str().unwrap()];
    project.medallion(["customer", command].iter().chain(options).chain(&place))
}

fn add(project: &Project, id: &str, source: &str, options: &[&str]) -> Answer {
    customer(project, "add", &[&[id, "--source", source], options].concat())
}

fn star() -> String {
    fixture("star/in").to_str().unwrap().to_owned()
}

/// The listed customers: id with status and release.
fn listed(project: &Project) -> Vec<(String, String, Value)> {
    let answer = customer(project, "list", &["--format", "json"]).exits(0);
    let customers: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    customers.iter().map(|one| (text(&one["id"]), text(&one["status"]), one["release"].clone())).collect()
}

#[test]
fn a_customer_that_was_added_runs() {
    let project = Project::new();
    assert_eq!(listed(&project), []);
    let options = ["--name", "Acme \"Ltd\" \\ Söhne", "--timezone", "Europe/Berlin", "--fiscal-year-start", "7"];
    let answer = add(&project, "acme", &star(), &options).exits(0);
    answer.says(&[
        "customers/acme.toml is written",
        "files by source: audiences 1, ",
        "users 1",
        "medallion plan -c acme",
    ]);
    assert_eq!(listed(&project), [("acme".into(), "new".into(), Value::Null)]);
    project.run("acme", AS_OF).exits(0);
    assert_eq!(listed(&project), [("acme".into(), "success".into(), 1.into())]);

    let written = fs::read(project.path("customers/acme.toml")).unwrap();
    add(&project, "acme", &star(), &[]).exits(2).says(&["acme is there already", "acme.toml", "another id"]);
    assert_eq!(fs::read(project.path("customers/acme.toml")).unwrap(), written);

    let answer = customer(&project, "show", &["acme", "--format", "json"]).exits(0);
    let settings: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let text = |setting: &Value, key: &str| setting[key].as_str().unwrap().to_owned();
    let settings: BTreeMap<String, (String, String)> = settings
        .iter()
        .map(|setting| (text(setting, "key"), (text(setting, "value"), text(setting, "from"))))
        .collect();
    for (key, value, from) in [
        ("name", "Acme \"Ltd\" \\ Söhne", "file"),
        ("timezone", "Europe/Berlin", "file"),
        ("fiscal_year.start_month", "7", "file"),
        ("fiscal_year.first", "2012", "default"),
        ("source", &star(), "file"),
        ("lake", project.lake().to_str().unwrap(), "option"),
        ("pipeline", "totara", "default"),
        ("status", "success", "lake"),
        ("release", "1", "lake"),
    ] {
        assert_eq!(settings[key], (value.to_owned(), from.to_owned()), "{key}");
    }
}

#[test]
fn what_is_wrong_is_answered_before_anything_is_made() {
    let project = Project::new();
    let missing = project.path("nowhere").to_str().unwrap().to_owned();
    for (id, source, options, code, parts) in [
        ("../acme", star(), &[][..], 2, ["'../acme'", "not a customer id"]),
        ("Acme", star(), &[], 2, ["'Acme'", "not a customer id"]),
        ("acme", star(), &["--timezone", "Berlin"], 2, ["'Berlin'", "Europe/Berlin"]),
        ("acme", star(), &["--fiscal-year-start", "13"], 2, ["13", "1..=12"]),
        ("acme", star(), &["--name", "a\nb = 1"], 2, ["--name", "control character"]),
        ("acme", star(), &["--pipeline", "totra"], 2, ["totra", "totara"]),
        ("acme", "${NOT_SET_ANYWHERE}/drop".to_owned(), &[], 2, ["${NOT_SET_ANYWHERE}", "is not set"]),
        ("acme", missing.clone(), &[], 1, [missing.as_str(), "--make-source"]),
        ("acme", project.path("lake/acme/in").to_str().unwrap().to_owned(), &[], 2, ["lies in the lake", "of its own"]),
    ] {
        add(&project, id, &source, options).exits(code).says(&parts);
        assert!(
            !project.lake().exists() && fs::read_dir(project.path("customers")).unwrap().next().is_none(),
            "{parts:?}"
        );
    }
    add(&project, "acme", &missing, &["--make-source"]).exits(0).says(&[
        "no file of any source yet",
        "required sources",
        "users",
    ]);
    assert!(project.path("nowhere").is_dir());
    let within = project.path("nowhere/globex").to_str().unwrap().to_owned();
    for source in [&missing, &within] {
        add(&project, "globex", source, &["--make-source"]).exits(2).says(&["globex", "customer acme", "of its own"]);
    }
    assert!(!project.path("nowhere/globex").exists());
}

#[test]
fn a_broken_file_is_listed_and_told() {
    let project = Project::new();
    project.add_customer("good", &fixture("star/in"), "");
    project.write("customers/bad.toml", "source = \"in\"\nnam = \"x\"\n");
    let answer = customer(&project, "list", &[]).exits(0).says(&["bad.toml:2:1", "unknown field `nam`"]);
    assert!(answer.output.contains("invalid"), "{}", answer.output);
    customer(&project, "show", &["bad"]).exits(2).says(&["bad.toml:2:1", "did you mean 'name'?"]);
    customer(&project, "show", &["goood"]).exits(2).says(&["there is no customer goood", "did you mean 'good'?"]);
    customer(&project, "show", &["../good"]).exits(2).says(&["not a customer id"]);
}

#[test]
fn secrets_are_not_shown() {
    let project = Project::new();
    project.write("customers/acme.toml", "source = \"${CARGO_MANIFEST_DIR}/fixtures/star/in\"\n");
    let answer = customer(&project, "show", &["acme"]).exits(0);
    assert!(answer.output.contains("${CARGO_MANIFEST_DIR}/fixtures/star/in"), "{}", answer.output);
    project.write("medallion.toml", "lake = \"s3://key:secret@bucket/lake?sig=hidden\"\n");
    let answer = project.medallion(["customer", "show", "acme"]).exits(2).says(&["***@bucket", "credentials"]);
    let said = format!("{}{}", answer.output, answer.messages);
    assert!(!said.contains("secret") && !said.contains("hidden"), "{said}");
}

#[test]
fn a_customer_goes_with_its_tables_and_nobody_else_does() {
    let project = Project::new();
    for id in ["acme", "globex"] {
        fs::create_dir_all(project.path(id)).unwrap();
        for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, project.path(id).join(file.file_name().unwrap())).unwrap();
        }
        add(&project, id, project.path(id).to_str().unwrap(), &[]).exits(0);
        project.run(id, AS_OF).exits(0);
    }
    let remove = |options: &[&str]| customer(&project, "remove", options);
    remove(&["acme"]).exits(2).says(&["acme", "--yes"]);
    remove(&["../acme", "--yes"]).exits(2).says(&["not a customer id"]);
    remove(&["acne", "--yes"]).exits(2).says(&["there is no customer acne", "did you mean 'acme'?"]);
    let lake = Lake::open(project.lake().to_str().unwrap(), "acme").unwrap();
    let lock = lake.lock("nightly-42").unwrap();
    remove(&["acme", "--yes"]).exits(7).says(&["acme", "nightly-42"]);
    remove(&["acme", "--yes", "--keep-data"]).exits(7).says(&["acme", "nightly-42"]);
    drop(lock);
    assert_eq!(listed(&project).len(), 2, "who is refused loses nothing");
    project.ask("ls", "acme", &[]).exits(0);

    remove(&["acme", "--yes", "--keep-data"]).exits(0).says(&["acme is removed", "stay in"]);
    assert_eq!(listed(&project), [("globex".into(), "success".into(), 1.into())]);
    project.ask("ls", "acme", &[]).exits(0);
    add(&project, "acme", project.path("acme").to_str().unwrap(), &[]).exits(0).says(&["its releases up to 1"]);
    remove(&["acme", "--yes"]).exits(0);
    assert!(!project.lake().join("acme").exists() && !project.path("customers/acme.toml").exists());
    assert_eq!(fs::read_dir(project.path("customers")).unwrap().count(), 1, "nothing is left beside it");
    assert!(project.path("acme/analytics_users_20250630.csv").exists(), "the drop folder stays");
    project.ask("ls", "globex", &[]).exits(0);
    remove(&["acme", "--yes"]).exits(2).says(&["there is no customer acme"]);
}

#[cfg(unix)]
#[test]
fn a_lake_with_links_is_not_removed() {
    let project = Project::new();
    add(&project, "acme", &star(), &[]).exits(0);
    let elsewhere = project.write("elsewhere/precious", "x");
    std::os::unix::fs::symlink(project.path("elsewhere"), project.lake().join("acme/gold")).unwrap();
    customer(&project, "remove", &["acme", "--yes"]).exits(1).says(&["acme/gold", "symbolic link"]);
    assert!(elsewhere.exists() && project.path("customers/acme.toml").exists());
}
