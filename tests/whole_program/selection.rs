//! Selections: a part of the tables is built, the rest stays as it is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::project::{Answer, Project, fixture};

const AS_OF: &str = "2025-06-30";

/// A customer with a drop folder and a pipeline of its own.
struct Site {
    project: Project,
    pipeline: PathBuf,
}

impl Site {
    fn new() -> Self {
        Self::with("")
    }

    /// With further lines in the customer's file.
    fn with(options: &str) -> Self {
        let project = Project::new();
        fs::create_dir(project.path("drop")).unwrap();
        for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, project.path("drop").join(file.file_name().unwrap())).unwrap();
        }
        let options = format!("fiscal_year.first = 2021\nfiscal_year.last = 2026\n{options}");
        project.add_customer("acme", &project.path("drop"), &options);
        project.medallion(["init", "site"]).exits(0);
        let pipeline = project.path("site/pipelines/totara");
        Self { project, pipeline }
    }

    fn published() -> Self {
        let site = Self::new();
        site.run(&[]).exits(0);
        site
    }

    fn ask(&self, command: &str, options: &[&str]) -> Answer {
        let place = ["--pipeline", self.pipeline.to_str().unwrap()];
        self.project.ask(command, "acme", &[&place, options].concat())
    }

    fn run(&self, options: &[&str]) -> Answer {
        self.ask("run", &[&["--as-of", AS_OF], options].concat())
    }

    /// Changes a file of the pipeline.
    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.pipeline.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// An export of users of a later day, in which Ada Admin has another name.
    fn rename_ada(&self, day: &str, name: &str) {
        let users = fs::read_to_string(fixture("star/in/analytics_users_20250630.csv")).unwrap();
        let renamed = users.replace("2,\"Ada Admin\",Ada,Admin", &format!("2,\"Ada {name}\",Ada,{name}"));
        assert_ne!(users, renamed);
        self.project.write(&format!("drop/analytics_users_{day}.csv"), &renamed);
    }

    /// The last release.
    fn release(&self) -> Value {
        let number = self.project.releases("acme").pop().unwrap();
        let file = format!("acme/_medallion/releases/{number:08}.json");
        serde_json::from_slice(&fs::read(self.project.lake().join(file)).unwrap()).unwrap()
    }

    /// The tables of the last run with a status.
    fn tables(&self, status: &str) -> BTreeSet<String> {
        let results = self.project.last_results("acme");
        let tables = results["tables"].as_object().unwrap().iter();
        tables.filter(|(_, result)| result["status"] == status).map(|(name, _)| name.clone()).collect()
    }

    fn name_of(&self, table: &str) -> String {
        let sql = format!("SELECT full_name FROM {table} WHERE user_id = 2");
        let answer = self.ask("query", &[&sql, "--format", "csv"]).exits(0);
        answer.output.lines().nth(1).unwrap().to_owned()
    }
}

/// What a release is, whenever and by whichever runs it was made.
fn content(release: &Value) -> BTreeMap<String, Value> {
    let tables = release["tables"].as_object().unwrap().iter();
    let known = |key: &str, value: &Value| (key.to_owned(), value.clone());
    let mut content: BTreeMap<String, Value> = tables.map(|(name, table)| known(name, &table["fingerprint"])).collect();
    content.insert("batches".to_owned(), release["batches"].clone());
    content.insert("history".to_owned(), release["history"].clone());
    content
}

fn names(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn one_layer_is_built_again_from_what_is_published() {
    let site = Site::published();
    let before = site.release();
    site.rename_ada("20250701", "Adler");
    site.change("gold/dim_user.sql", "SELECT", "-- a remark\nSELECT");
    site.change("gold/dim_audience.sql", "max(audience_name)", "upper(max(audience_name))");
    site.run(&["--select", "layer:gold"]).exits(0);

    let release = site.release();
    assert_eq!(release["release"], 2);
    assert_eq!(release["batches"], before["batches"], "nothing was taken in");
    assert_eq!(release["history"], before["history"]);
    let changed: BTreeSet<String> = before["tables"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, table)| table["version"] != release["tables"][name]["version"])
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(changed, names(&["gold.dim_audience"]), "the others are as they were");
    let results = site.project.last_results("acme");
    for table in ["bronze.users", "silver.users"] {
        let result = &results["tables"][table];
        assert_eq!((&result["status"], &result["skipped"]), (&"not_selected".into(), &"not selected".into()));
    }
    assert_eq!(results["tables"]["bronze.users"]["batch_id"], before["batches"]["bronze.users"]["batch_id"]);
    assert_eq!(results["unclaimed_files"], Value::Array(vec![]), "files of other sources are no strays");
    assert_eq!(site.name_of("gold.dim_user"), "Ada Admin");

    site.run(&[]).exits(0);
    assert_eq!(site.name_of("gold.dim_user"), "Ada Adler");
    assert_eq!(site.tables("not_selected"), BTreeSet::new());
}

#[test]
fn parts_and_then_all_are_as_all_at_once() {
    check_parts("");
}

#[test]
fn parts_and_then_all_are_as_all_at_once_of_increments_too() {
    check_parts("[sources.users]\nmode = \"incremental\"\n");
}

/// Nights of two customers: one whose runs are about everything, one whose runs are about parts before they are.
fn check_parts(options: &str) {
    let parts: [&[&str]; 12] = [
        &["-s", "source:users+"],
        &["-s", "layer:bronze"],
        &["-s", "silver.users", "silver.users_history"],
        &["-s", "+silver.users"],
        &["-s", "layer:gold"],
        &["-s", "+dim_user", "--exclude", "layer:gold"],
        &["--exclude", "tag:history"],
        &["-s", "tag:history"],
        &["-s", "+silver.users_history"],
        &["-s", "layer:bronze", "fact_*", "--full-refresh"],
        &["-s", "state:modified+"],
        &["-s", "@silver.users_history", "--exclude", "silver.users_history"],
    ];
    let [whole, in_parts] = [(); 2].map(|()| Site::with(options));
    for site in [&whole, &in_parts] {
        site.run(&[]).exits(0);
    }
    assert_eq!(content(&whole.release()), content(&in_parts.release()));
    let mut parts = parts.iter().cycle();
    for night in 1..=6 {
        for site in [&whole, &in_parts] {
            // On the third night an export comes late, on the fifth Ada is called as on the second.
            let (day, name) =
                [("01", "Adler"), ("02", "Bach"), ("29", "Late"), ("03", "Bach"), ("04", "Adler"), ("05", "Cox")]
                    [night - 1];
            let month = if day == "29" { "06" } else { "07" };
            site.rename_ada(&format!("2025{month}{day}"), name);
            site.change("gold/dim_audience.sql", "SELECT", &format!("-- night {night}\nSELECT"));
        }
        whole.run(&[]).exits(0);
        for part in parts.by_ref().take(4) {
            in_parts.run(part).exits(0);
        }
        in_parts.run(&[]).exits(0);
        assert_eq!(content(&whole.release()), content(&in_parts.release()), "night {night}");
    }
    let versions = "SELECT full_name, valid_from FROM gold.dim_user_history WHERE user_id = 2 ORDER BY valid_from";
    let answers = [&whole, &in_parts].map(|site| site.ask("query", &[versions, "--format", "csv"]).exits(0).output);
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("Ada Cox,2025-07-05") && answers[0].contains("Ada Late,2025-06-29"), "{}", answers[0]);
}

#[test]
fn a_part_needs_what_it_is_built_from() {
    let site = Site::new();
    let answer = site.run(&["-s", "layer:gold"]).exits(2);
    answer.says(&["acme", "is selected, and is built from silver.", "never published", "hint: ", "--select +gold."]);
    site.run(&["-s", "silver.users"]).exits(2).says(&["silver.users", "bronze.users", "--select +silver.users"]);
    assert!(site.project.releases("acme").is_empty());

    site.run(&["-s", "layer:bronze"]).exits(0);
    assert!(site.project.releases("acme").is_empty(), "bronze alone is no release");
    assert!(site.tables("success").iter().all(|table| table.starts_with("bronze.")));
    assert!(site.tables("success").contains("bronze.users"));

    site.run(&["-s", "+dim_user"]).exits(0);
    let release = site.release();
    let tables: BTreeSet<String> = release["tables"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        tables,
        names(&["gold.dim_user", "silver.user_assignments", "silver.users"]),
        "what is cleansed together"
    );
    assert_eq!(release.get("pipeline_key"), None);
    site.run(&[]).exits(0);
    assert_eq!(site.release()["tables"].as_object().unwrap().len(), 56);
}

#[test]
fn a_selection_that_is_none_leaves_no_trace() {
    let site = Site::new();
    for (selection, parts) in [
        ("", ["--select ''", "it is empty"]),
        ("dim_user,", ["dim_user,", "comma"]),
        ("lyer:gold", ["'lyer:'", "did you mean 'layer:'?"]),
    ] {
        for command in ["run", "plan"] {
            site.ask(command, &["--as-of", AS_OF, "-s", selection]).exits(2).says(&parts);
        }
    }
    for (selection, parts) in [
        ("dim_usr", ["no table 'dim_usr'", "hint: did you mean 'dim_user'"]),
        ("tag:histroy", ["no tag 'histroy'", "'history'"]),
        ("fct_*", ["no table matches 'fct_*'", "'fact_"]),
        ("layer:silver,dim_user", ["matches nothing", "intersection"]),
    ] {
        for command in ["run", "plan"] {
            site.ask(command, &["--as-of", AS_OF, "-s", selection]).exits(6).says(&parts);
        }
    }
    site.run(&["-s", "dim_user", "--exclude", "dim_*"]).exits(6).says(&["--exclude takes away all"]);
    site.run(&["--exclude", "dim_usr"]).exits(6).says(&["--exclude 'dim_usr'", "'dim_user'"]);
    assert!(!site.project.lake().exists());
    site.run(&[]).exits(0);
    for command in ["ls", "test"] {
        site.ask(command, &["-s", "dim_usr"]).exits(6).says(&["dim_user"]);
        site.ask(command, &["-s", "dim_user,"]).exits(2);
    }
}

#[test]
fn what_was_changed_can_be_selected() {
    let site = Site::published();
    site.run(&["-s", "state:modified"]).exits(6).says(&["acme", "no selected table has another definition"]);
    // As a fleet of one it has the same code.
    site.run(&["-s", "state:modified", "--timeout", "30m"]).exits(6);
    // Neither new input nor another day is another definition.
    site.rename_ada("20250701", "Adler");
    site.ask("run", &["--as-of", "2025-07-01", "-s", "state:modified+"]).exits(6);

    site.change("gold/dim_course.sql", "SELECT", "-- a remark\nSELECT");
    site.change("silver/users.toml", "kind", "# a remark\nkind");
    let listed = |selection: &str| -> BTreeSet<String> {
        let answer = site.ask("ls", &["-s", selection, "--format", "json"]).exits(0);
        let tables: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
        tables.iter().map(|table| table["table"].as_str().unwrap().to_owned()).collect()
    };
    // Tables cleansed from one source share their definitions, and a table of versions is cleansed too.
    let modified = names(&["gold.dim_course", "silver.user_assignments", "silver.users", "silver.users_history"]);
    assert_eq!(listed("state:modified"), modified);
    assert!(listed("state:modified+").is_superset(&names(&["gold.dim_user", "gold.dim_user_history"])));
    site.run(&["-s", "state:modified"]).exits(0);
    let skipped = site.tables("not_selected");
    assert!(modified.is_disjoint(&skipped) && skipped.contains("gold.dim_user") && skipped.contains("bronze.users"));
    assert_eq!(site.project.releases("acme"), [1], "a remark changes no row");
}

#[test]
fn a_refresh_of_a_part_builds_that_part() {
    let site = Site::published();
    site.run(&["-s", "dim_*", "--full-refresh"]).exits(0);
    let results = site.project.last_results("acme");
    for (table, result) in results["tables"].as_object().unwrap() {
        let expected = if table.starts_with("gold.dim_") { "success" } else { "not_selected" };
        assert_eq!(result["status"], expected, "{table}");
    }
    // The tests of dimensions, and those of other tables that look at one.
    let tests = results["tests"].as_array().unwrap();
    let has = |table: &str, kind: &str| tests.iter().any(|test| test["table"] == table && test["kind"] == kind);
    assert!(has("gold.dim_user", "unique") && has("gold.fact_course_progress", "relationships"));
    assert!(!has("silver.users", "unique") && !has("gold.fact_course_progress", "row_count"));
}

#[test]
fn findings_wait_for_what_a_hierarchy_that_stays_is_about() {
    let site = Site::published();
    let organisations = fs::read_to_string(fixture("star/in/analytics_organisations_20250630.csv")).unwrap();
    let renamed = organisations.replace("\"Head Office\"", "\"Main Office\"");
    assert_ne!(organisations, renamed);
    site.project.write("drop/analytics_organisations_20250701.csv", &renamed);
    site.run(&["--exclude", "organisation_hierarchy"]).exits(0);
    assert!(site.tables("success").contains("silver.organisations"));
    assert_eq!(site.tables("not_selected"), names(&["silver.organisation_hierarchy"]));
}

#[test]
fn what_is_set_aside_stays_with_tables_that_are_cleansed_together() {
    let site = Site::new();
    let users = fs::read_to_string(fixture("star/in/analytics_users_20250630.csv")).unwrap();
    let broken = users.replacen("\n2,", "\nx,", 1);
    assert_ne!(users, broken);
    site.project.write("drop/analytics_users_20250630.csv", &broken);
    site.run(&[]).exits(0);
    let rejects = || site.ask("rejects", &["users", "--format", "json"]).exits(0).output;
    let before = rejects();
    let groups: Vec<Value> = serde_json::from_str(&before).unwrap();
    let records: u64 = groups.iter().map(|group| group["records"].as_u64().unwrap()).sum();
    assert_eq!(records, 4, "the three of the case, and the one whose id is no number: {before}");
    site.run(&["-s", "silver.users", "--full-refresh"]).exits(0);
    assert_eq!(rejects(), before);
    assert!(!site.tables("not_selected").contains("silver.user_assignments"));
}

#[test]
fn a_release_of_a_part_is_not_taken_for_one_that_was_tested_as_a_whole() {
    let site = Site::published();
    let failing = "[[tests]]\nkind = \"row_count\"\nmax = 0\n\n[[columns]]";
    site.change("gold/dim_cert.toml", "[[columns]]", failing);
    site.change("gold/dim_audience.sql", "max(audience_name)", "upper(max(audience_name))");
    site.run(&["-s", "dim_audience"]).exits(0);
    assert_eq!(site.release().get("pipeline_key"), None);
    site.run(&["-s", "dim_cert"]).exits(4).says(&["gold.dim_cert", "row_count"]);
    site.run(&[]).exits(4).says(&["gold.dim_cert", "row_count"]);
    site.ask("test", &["-s", "dim_cert"]).exits(4).says(&["gold.dim_cert"]);
    site.ask("test", &["-s", "dim_course"]).exits(0);
    assert_eq!(site.project.releases("acme"), [1, 2]);
}

#[test]
fn sources_that_are_not_selected_are_neither_read_nor_guarded() {
    let site = Site::with("[sources.organisations]\nmin_rows = 1\n");
    site.run(&[]).exits(0);
    // A source that lost nearly everything, then one that cannot be read as well.
    let organisations = fs::read_to_string(fixture("star/in/analytics_organisations_20250630.csv")).unwrap();
    let first: Vec<&str> = organisations.lines().take(2).collect();
    site.project.write("drop/analytics_organisations_20250701.csv", &(first.join("\n") + "\n"));
    site.run(&[]).exits(4).says(&["organisations"]);
    site.run(&["-s", "source:users+"]).exits(0);
    site.project.write("drop/analytics_positions_20250701.csv", "no header\n");
    site.rename_ada("20250701", "Adler");
    site.run(&[]).exits(1).says(&["positions"]);
    let answer = site.run(&["-s", "source:users+"]).exits(0);
    assert!(!answer.messages.contains("positions"), "{}", answer.messages);
    assert_eq!(site.name_of("gold.dim_user"), "Ada Adler");
    fs::remove_dir_all(site.project.path("drop")).unwrap();
    site.run(&["-s", "layer:gold", "--full-refresh"]).exits(0);
    site.run(&[]).exits(1).says(&["drop"]);
}

#[test]
fn what_a_release_was_built_from_may_have_left_bronze() {
    let site = Site::with("[sources.users]\nretain_batches = 1\n");
    site.run(&[]).exits(0);
    // Other bytes, the same rows: bronze keeps them, and no release is made that could name them.
    let users = fs::read_to_string(fixture("star/in/analytics_users_20250630.csv")).unwrap();
    site.project.write("drop/analytics_users_20250701.csv", &users.replace("Ada,Admin", "\"Ada\",Admin"));
    site.run(&[]).exits(0);
    site.run(&[]).exits(0);
    assert_eq!(site.project.releases("acme"), [1]);
    site.run(&["-s", "layer:gold", "--full-refresh"]).exits(0);
    let answer = site.run(&["-s", "silver.users", "--full-refresh"]);
    let answer = answer.exits(1).says(&["bronze.users is not selected", "no longer has the batch 2025-06-30_"]);
    answer.says(&["--select source:users+"]);
    site.run(&["-s", "source:users+", "--full-refresh"]).exits(0);
}

#[test]
fn after_a_rollback_the_next_run_is_about_all_tables() {
    let site = Site::published();
    site.rename_ada("20250701", "Adler");
    site.run(&[]).exits(0);
    site.project.ask("rollback", "acme", &["--to", "1"]).exits(0);
    site.run(&["-s", "layer:gold", "--resume"]).exits(4).says(&["rolled back to 1", "all tables", "--resume"]);
    site.run(&["--resume"]).exits(0);
    site.run(&["-s", "layer:gold"]).exits(0);
}

#[test]
fn a_plan_of_a_part_is_what_the_run_then_does() {
    let site = Site::published();
    site.rename_ada("20250701", "Adler");
    let options = ["--as-of", AS_OF, "-s", "source:users+", "--exclude", "fact_*", "--format", "json"];
    let answer = site.ask("plan", &options).exits(0);
    let steps: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let with = |action: &str, why: &str| -> BTreeSet<String> {
        let of = |step: &&Value| step["action"] == action && step["why"].as_str().unwrap().contains(why);
        steps.iter().filter(of).map(|step| step["table"].as_str().unwrap().to_owned()).collect()
    };
    site.run(&options[2..6]).exits(0);
    assert_eq!(with("take", "analytics_users_20250701.csv"), names(&["bronze.users"]));
    assert_eq!(with("skip", "not selected"), site.tables("not_selected"));
    assert!(
        with("build", "")
            .is_superset(&site.tables("success").into_iter().filter(|t| !t.starts_with("bronze")).collect())
    );
    assert!(with("build", "bronze.users has new content").contains("silver.users"));
}

#[test]
fn plans_of_several_customers_are_one_answer() {
    let site = Site::published();
    site.project.write("customers/broken.toml", "source = \"drop\"\nnam = \"x\"\n");
    site.project.add_customer("empty", &site.project.path("site"), "");
    let lake = site.project.lake();
    let plan = |customers: &[&str]| {
        let options = ["plan", "--as-of", AS_OF, "--format", "json", "--lake", lake.to_str().unwrap()];
        site.project.medallion(options.iter().chain(customers))
    };
    let answer = plan(&["--all"]).exits(3).says(&["broken.toml:2:1", "did you mean 'name'?", "a run would stop"]);
    let steps: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let of = |customer: &str, action: &str| {
        steps.iter().filter(|step| step["customer"] == customer && step["action"] == action).count()
    };
    assert_eq!((of("acme", "build"), of("acme", "skip")), (0, 56), "the built-in pipeline is the same");
    assert_eq!((of("broken", "fail"), of("empty", "stop")), (1, 1));
    plan(&["-c", "broken"]).exits(2);
    plan(&["-c", "acme", "-c", "empty"]).exits(0);
}
