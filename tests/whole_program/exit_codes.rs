//! Exit codes, and that each failure names what a person needs to mend it.

use std::fs;

use medallion_lake::Lake;

use crate::case::Case;
use crate::project::{Project, fixture};

const AS_OF: &str = "2025-06-30";

#[test]
fn options_that_are_none_exit_with_2() {
    let project = Project::new();
    project.medallion(["run", "--costumer", "acme"]).exits(2).says(&["--costumer", "--customer"]);
    project.medallion(["validat"]).exits(2).says(&["'validat'", "'validate'"]);
    project.medallion(["run"]).exits(2).says(&["--customer"]);
    project.run("acme", "2025-06-31").exits(2).says(&["--as-of", "2025-06-31"]);
    project.run("acme", AS_OF).exits(2).says(&["acme", "acme.toml", "--source"]);
    project.ask("run", "acme", &["--source", ".", "--pipeline", "totra"]).exits(2).says(&["totra", "totara"]);
    project.ask("run", "acme", &["--source", ".", "--memory-limit", "much"]).exits(2).says(&["much"]);
    project.ask("run", "acme", &["--source", ".", "--memory-limit", "31MiB"]).exits(2).says(&["31MiB", "32"]);
    project.run("acme", "30/06/2025").exits(2).says(&["30/06/2025", "YYYY-MM-DD"]);
    project.ask("run", "acme", &["--source", ""]).exits(2).says(&["--source"]);
    project.medallion(["run", "-c", "acme", "--source", ".", "--lake", ""]).exits(2).says(&["--lake"]);
    let schema = ["run", "-c", "acme", "--source", ".", "--accept-schema", "gold.dim_usr"];
    project.medallion(schema).exits(2).says(&["--accept-schema", "gold.dim_usr", "did you mean 'gold.dim_user'?"]);
    fs::remove_dir(project.path("customers")).unwrap();
    project.medallion(["run", "--all"]).exits(2).says(&["--project", "medallion init"]);
    assert!(!project.lake().exists(), "wrong options leave no trace");
}

#[test]
fn customer_ids_that_are_none_exit_with_2_at_every_door() {
    let project = Case::read("star").project();
    for id in ["../acme", "Acme", "a/b", ""] {
        for command in
            [["run", "--as-of", AS_OF].as_slice(), &["ls"], &["show", "gold.dim_user"], &["query", "SELECT 1"]]
        {
            let customer = format!("--customer={id}");
            project.medallion(command.iter().chain(&[customer.as_str()])).exits(2).says(&[&format!("'{id}'")]);
        }
    }
    assert!(!project.lake().exists() && !project.path("acme").exists());
}

#[test]
fn mistakes_in_the_projects_files_are_named_with_line_and_nearest_key() {
    let project = Case::read("star").project();
    project.write("medallion.toml", "# a comment\nlaek = \"elsewhere\"\n");
    project.run("star", AS_OF).exits(2).says(&["medallion.toml:2:1", "laek", "did you mean 'lake'?"]);
    project.write("medallion.toml", "");
    project.write("customers/acme.toml", "source = \"in\"\nfiscal_year.start_mont = 7\n");
    project.run("acme", AS_OF).exits(2).says(&["acme.toml:2:", "start_mont", "did you mean 'start_month'?"]);
    assert_eq!(project.releases("acme"), [0_u64; 0]);
}

#[test]
fn places_are_filled_in_from_the_environment_or_refused() {
    let project = Case::read("star").project();
    let run = |options: &[&str]| project.medallion(["run", "-c", "star", "--as-of", AS_OF].iter().chain(options));
    let lake = project.lake();
    let lake = ["--lake", lake.to_str().unwrap()];
    project.write("customers/star.toml", "source = \"${NOT_SET_ANYWHERE}/in\"\n");
    run(&lake).exits(2).says(&["star.toml", "source", "${NOT_SET_ANYWHERE}", "is not set"]);
    project.write("customers/star.toml", "source = \"\"\n");
    run(&lake).exits(2).says(&["star.toml", "source is empty"]);
    project.add_customer("star", &fixture("star/in"), "fiscal_year.last = 9999\n");
    run(&lake).exits(2).says(&["star.toml", "fiscal_year.last = 9999", "1900 to 2200"]);
    project.add_customer("star", &fixture("star/in"), "");
    project.write("medallion.toml", "lake = \"${NOT_SET_ANYWHERE}\"\n");
    run(&[]).exits(2).says(&["medallion.toml", "lake", "${NOT_SET_ANYWHERE}", "is not set"]);
    // Cargo sets it for tests: the folder of this package.
    project.write("medallion.toml", "");
    project.write("customers/star.toml", "source = \"${CARGO_MANIFEST_DIR}/fixtures/star/in\"\n");
    run(&lake).exits(0);
    assert_eq!(project.releases("star"), [1]);
}

#[test]
fn mistakes_in_a_pipeline_exit_with_2_and_publish_nothing() {
    let project = Case::read("star").project();
    project.medallion(["init", "site"]).exits(0);
    let folder = project.path("site/pipelines/totara");
    let definition = folder.join("gold/dim_audience.toml");
    let model = folder.join("gold/dim_audience.sql");
    let run = || project.ask("run", "star", &["--as-of", AS_OF, "--pipeline", folder.to_str().unwrap()]);

    let text = fs::read_to_string(&definition).unwrap();
    fs::write(&definition, text.replacen("description", "descripton", 1)).unwrap();
    run().exits(2).says(&["gold/dim_audience.toml:2:1", "descripton", "did you mean 'description'?"]);
    fs::write(&definition, text).unwrap();

    let text = fs::read_to_string(&model).unwrap();
    fs::write(&model, text.replace("silver.audiences", "silver.audience")).unwrap();
    run().exits(2).says(&["gold/dim_audience.sql", "silver.audience", "did you mean 'silver.audiences'?"]);
    fs::write(&model, text.replacen("audience_name", "audience_nam", 1)).unwrap();
    run().exits(2).says(&["gold.dim_audience", "audience_nam", "audience_name"]);
    assert_eq!(project.releases("star"), [0_u64; 0]);

    fs::write(&model, text).unwrap();
    run().exits(0);
}

#[test]
fn folders_and_sources_that_are_missing_exit_with_1() {
    let project = Project::new();
    let missing = project.path("nowhere");
    project.add_customer("acme", &missing, "");
    project.run("acme", AS_OF).exits(1).says(&["acme", missing.to_str().unwrap()]);

    let empty = project.path("empty");
    fs::create_dir(&empty).unwrap();
    project.add_customer("globex", &empty, "");
    let required =
        ["users", "course_completions", "cert_completions", "prog_completions", "organisations", "positions"];
    let answer = project.run("globex", AS_OF).exits(1).says(&["globex", empty.to_str().unwrap()]).says(&required);
    assert!(!answer.messages.contains("seminar_attendance"), "it is optional:\n{}", answer.messages);
    assert!(project.releases("acme").is_empty() && project.releases("globex").is_empty());
}

#[test]
fn a_customer_that_fails_does_not_keep_others_from_being_published() {
    let project = Case::read("star").project();
    project.add_customer("broken", &fixture("missing_required/in"), "");
    project.add_customer("worse", &project.path("nowhere"), "");
    let lake = project.lake();
    let run = |customers: &[&str]| {
        let place = ["run", "--as-of", AS_OF, "--lake", lake.to_str().unwrap()];
        project.medallion(place.iter().chain(customers))
    };
    run(&["-c", "broken", "-c", "star"]).exits(3).says(&["broken", "positions"]);
    assert!(project.releases("star") == [1] && project.releases("broken").is_empty());
    run(&["-c", "broken", "-c", "worse"]).exits(1).says(&["broken", "worse"]);
    run(&["--all", "--full-refresh"]).exits(3);
    assert_eq!(project.releases("star"), [1, 2]);
    run(&["-c", "star", "-c", "nobody", "--full-refresh"]).exits(3).says(&["nobody.toml", "--source"]);
    run(&["-c", "star", "-c", "star", "--full-refresh"]).exits(0);
    assert_eq!(project.releases("star"), [1, 2, 3, 4], "a customer named twice runs once");
}

#[test]
fn a_stray_file_among_the_customers_keeps_nobody_from_being_published() {
    let project = Case::read("star").project();
    let lake = project.lake();
    let all = ["run", "--all", "--as-of", AS_OF, "--lake", lake.to_str().unwrap()];
    project.write("customers/.#star.toml", "no customer");
    project.medallion(all).exits(0);
    project.write("customers/Bad Copy.toml", "source = \"in\"\n");
    project
        .medallion(all.into_iter().chain(["--full-refresh"]))
        .exits(3)
        .says(&["'Bad Copy' is not a customer id", "rename"]);
    assert_eq!(project.releases("star"), [1, 2]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_stops_no_customer() {
    let project = Case::read("star").project();
    project.add_customer("second", &fixture("star/in"), "");
    let lake = project.lake();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_medallion"));
    command.current_dir(project.path("")).args(["run", "--all", "--as-of", AS_OF, "--lake"]).arg(lake);
    let answer = command.stdout(fs::File::create("/dev/full").unwrap()).output().unwrap();
    let messages = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(1), "{messages}");
    assert_eq!(messages.matches("cannot write to standard output").count(), 1, "{messages}");
    assert!(project.releases("second") == [1] && project.releases("star") == [1]);
}

#[test]
fn a_customer_that_another_run_holds_exits_with_7() {
    let project = Case::read("star").project();
    let lake = Lake::open(project.lake().to_str().unwrap(), "star").unwrap();
    let lock = lake.lock("nightly-42").unwrap();
    let process = std::process::id().to_string();
    project.run("star", AS_OF).exits(7).says(&["star", "nightly-42", &process]);
    assert_eq!(project.releases("star"), [0_u64; 0]);
    assert_eq!(lake.tables().unwrap(), [], "nothing was taken in");
    drop(lock);
    project.run("star", AS_OF).exits(0);
}

#[test]
fn questions_that_cannot_be_answered_exit_with_2() {
    let project = Case::published("star");
    let query = |sql: &str| project.ask("query", "star", &[sql]);
    query("SELECT full_nam FROM gold.dim_user").exits(2).says(&["full_nam", "did you mean 'full_name'?"]);
    query("SELECT * FROM gold.dim_usr").exits(2).says(&["gold.dim_usr", "did you mean 'gold.dim_user'?"]);
    query("SELEC 1").exits(2).says(&["SELEC"]);
    query("SELECT 1; SELECT 2").exits(2).says(&["exactly one query"]);
    project.ask("show", "star", &["gold.dim_usr"]).exits(2).says(&["star", "gold.dim_usr", "'gold.dim_user'"]);
    let output = query("SELECT full_nam FROM gold.dim_user").output;
    assert_eq!(output, "", "standard output is data");
}

#[test]
fn a_query_changes_nothing_and_reaches_nothing_but_the_customers_tables() {
    let project = Case::published("star");
    let before = files_below(project.path("lake"));
    let outside = project.write("outside.csv", "secret\n42\n");
    let outside = outside.to_str().unwrap();
    for sql in [
        "DROP TABLE gold.dim_user".to_owned(),
        "CREATE TABLE gold.mine AS SELECT 1 AS one".to_owned(),
        "CREATE VIEW gold.mine AS SELECT 1 AS one".to_owned(),
        format!("CREATE EXTERNAL TABLE gold.mine STORED AS CSV LOCATION '{outside}'"),
        "INSERT INTO gold.dim_audience SELECT * FROM gold.dim_audience".to_owned(),
        "DELETE FROM gold.dim_user".to_owned(),
        format!("COPY gold.dim_user TO '{}'", project.path("copy.csv").display()),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        format!("SELECT * FROM '{outside}'"),
        format!("SELECT * FROM \"{outside}\""),
        "SELECT * FROM other.gold.dim_user".to_owned(),
        "EXPLAIN ANALYZE DELETE FROM gold.dim_user".to_owned(),
    ] {
        let answer = project.ask("query", "star", &[&sql]).exits(2);
        assert!(!answer.output.contains("42"), "{sql}:\n{}", answer.output);
    }
    assert_eq!(files_below(project.path("lake")), before);
    assert!(!project.path("copy.csv").exists());
}

#[test]
fn reading_before_anything_is_published_exits_with_1() {
    let project = Case::read("star").project();
    let answer = project.ask("ls", "star", &[]).exits(1);
    assert!(answer.messages.starts_with("error: customer 'star' has no tables"), "{}", answer.messages);
    assert!(!project.lake().exists(), "reading makes nothing");
    let customer = Case::read("missing_required");
    project.add_customer("broken", &fixture(&customer.name).join("in"), "");
    project.run("broken", AS_OF).exits(1);
    project.ask("query", "broken", &["SELECT 1"]).exits(1).says(&["broken", "no release"]);
}

fn files_below(folder: std::path::PathBuf) -> Vec<std::path::PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    files
}
