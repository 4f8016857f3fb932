//! One night after another: the same exports again, some of them new, some of them broken.

use std::fs;

use serde_json::Value;

use crate::case::Case;
use crate::conventions;
use crate::project::{Project, fixture};
use crate::rows::Published;

const AS_OF: &str = "2025-06-30";

#[test]
fn the_reference_customer_is_published_validated_and_published_again() {
    let project = Project::new();
    let exports = project.path("exports");
    project.medallion(["generate", "--profile", "reference", "--out", exports.to_str().unwrap()]).exits(0);
    project.add_customer("acme", &exports, "");
    project.run("acme", AS_OF).exits(0);
    assert_eq!(project.releases("acme"), [1]);
    check_counts(&project);
    check_tables_for_programs(&project);
    assert_eq!(conventions::broken(&Published::open(&project.lake(), "acme")), [""; 0]);
    check_second_night(&project);
}

fn check_counts(project: &Project) {
    let counts = fixture("reference_counts.toml");
    project.ask("validate", "acme", &["--counts", counts.to_str().unwrap()]).exits(0);
    let text = fs::read_to_string(counts).unwrap();
    let wrong = text.replace("\"silver.user_hierarchy\" = 7794", "\"silver.user_hierarchy\" = 7795");
    assert_ne!(text, wrong);
    let wrong = project.write("wrong.toml", &wrong);
    let answer = project.ask("validate", "acme", &["--counts", wrong.to_str().unwrap()]).exits(5);
    let answer = answer.says(&["acme", "silver.user_hierarchy", "7795", "7794"]);
    assert!(!answer.messages.contains("bronze."), "what is as expected is no failure:\n{}", answer.messages);
    let ranges = "[counts]\n\"gold.dim_user\" = { min = 3000, max = 3100 }\n\"gold.dim_usr\" = 1\n";
    let ranges = project.write("ranges.toml", ranges);
    let answer = project.ask("validate", "acme", &["--counts", ranges.to_str().unwrap()]).exits(5);
    answer.says(&["gold.dim_usr", "did you mean 'gold.dim_user'?"]);
}

/// The relationships as the customer was planned, and every user with the unknown member in the dimension.
fn check_tables_for_programs(project: &Project) {
    let sql = "SELECT relationship_type, count(*) AS relationships FROM silver.user_hierarchy GROUP BY 1 ORDER BY 1";
    let answer = project.ask("query", "acme", &["--format", "csv", sql]).exits(0);
    assert_eq!(answer.output, "relationship_type,relationships\ndirect,800\nindirect,3937\nself,3057\n");
    let answer = project.ask("ls", "acme", &["--format", "json"]).exits(0);
    let tables: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let rows = |name: &str| tables.iter().find(|table| table["table"] == name).unwrap()["rows"].as_u64();
    assert_eq!(
        (rows("gold.dim_user"), rows("silver.users"), rows("bronze.users")),
        (Some(3058), Some(3057), Some(3057))
    );
}

/// The same exports again: nothing arrives in bronze, nothing is built, nothing is published.
fn check_second_night(project: &Project) {
    let before = Published::open(&project.lake(), "acme");
    project.run("acme", AS_OF).exits(0);
    assert_eq!(project.releases("acme"), [1]);
    let after = Published::open(&project.lake(), "acme");
    assert_eq!(before.names(), after.names());
    let results = project.last_results("acme");
    assert_eq!((&results["status"], &results["release"]), (&"success".into(), &Value::Null));
    for table in after.names() {
        let ((old_version, old_rows), (version, rows)) =
            (before.version_and_rows(&table), after.version_and_rows(&table));
        assert_eq!((old_version, old_rows), (version, rows), "{table} was written again");
        if table.starts_with("bronze.") {
            let taken_in = &results["tables"][&table]["rows_out"];
            assert!(taken_in.is_null() || taken_in == 0, "{table}: {taken_in} rows were taken in again");
        } else {
            assert_eq!(results["tables"][&table]["status"], "unchanged", "{table}");
        }
    }
    let sql = "SELECT count(*) AS users, count(DISTINCT user_id) AS ids FROM bronze.users";
    let answer = project.ask("query", "acme", &["--format", "csv", sql]).exits(0);
    assert_eq!(answer.output, "users,ids\n3057,3057\n");
}

#[test]
fn the_same_exports_give_the_same_tables() {
    let project = Case::published("star");
    let before = Published::open(&project.lake(), "star").contents();
    project.ask("run", "star", &["--as-of", AS_OF, "--full-refresh"]).exits(0);
    assert_eq!(project.releases("star"), [1, 2]);
    let fingerprints = |release: u64| {
        let path = project.lake().join(format!("star/_medallion/releases/{release:08}.json"));
        let release: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let tables = release["tables"].as_object().unwrap().clone();
        tables.into_iter().map(|(table, of)| (table, of["fingerprint"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(fingerprints(1), fingerprints(2));
    assert!(fingerprints(1).iter().all(|(_, fingerprint)| fingerprint.is_string()));
    let after = Published::open(&project.lake(), "star").contents();
    assert!(before.keys().eq(after.keys()));
    for (table, rows) in &before {
        let difference = rows.difference(&after[table]).unwrap_or_default();
        assert_eq!(difference, "", "{table} differs in the second night");
    }
}

/// A project whose customer `acme` has a drop folder of its own with the files of `star`, published once.
fn acme() -> Project {
    let project = Project::new();
    for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        project.write(&format!("drop/{}", file.file_name().unwrap().to_str().unwrap()), &text);
    }
    project.add_customer("acme", &project.path("drop"), "fiscal_year.first = 2021\nfiscal_year.last = 2026\n");
    project.run("acme", AS_OF).exits(0);
    project
}

#[test]
fn sources_that_do_not_arrive_keep_their_last_batch() {
    let project = acme();
    let before = Published::open(&project.lake(), "acme");
    let users = fs::read_to_string(project.path("drop/analytics_users_20250630.csv")).unwrap();
    let renamed = users.replace("2,\"Ada Admin\",Ada,Admin", "2,\"Ada Adler\",Ada,Adler");
    assert_ne!(users, renamed);
    fs::remove_dir_all(project.path("drop")).unwrap();
    project.write("drop/analytics_users_20250701.csv", &renamed);
    project.run("acme", AS_OF).exits(0).says(&["bronze.positions: no new file; the batch of 2025-06-30 is used"]);
    let results = project.results("acme", 2);
    let status = |source: &str| results["tables"][format!("bronze.{source}")]["status"].as_str();
    let statuses = ["users", "positions", "audiences", "dimdates"].map(status);
    assert_eq!(statuses, ["success", "not_delivered", "not_delivered", "absent"].map(Some));

    let after = Published::open(&project.lake(), "acme");
    let name = |name: &str| format!("SELECT count(*) FROM gold.dim_user WHERE user_id = 2 AND full_name = '{name}'");
    assert_eq!((before.number(&name("Ada Admin")), before.number(&name("Ada Adler"))), (1, 0));
    assert_eq!((after.number(&name("Ada Admin")), after.number(&name("Ada Adler"))), (0, 1));
    let expected = Case::read("star").expected();
    let facts = expected.iter().filter(|(table, _)| table.starts_with("gold.fact_"));
    for (table, rows) in facts {
        let found = after.rows(table, &rows.columns).unwrap();
        assert_eq!(rows.difference(&found).unwrap_or_default(), "", "{table}");
    }
    let batches = "SELECT count(DISTINCT _source_file) FROM bronze.users";
    assert_eq!((before.number(batches), after.number(batches)), (1, 2), "bronze keeps what arrived");
    let rejected = "SELECT count(*) FROM bronze.rejected_rows WHERE source = 'positions' OR source = 'prog_overview'";
    assert_eq!(before.number(rejected), after.number(rejected), "rejects of a batch stay while it is current");
}

/// The time a file was written is no more than a hint.
#[test]
fn other_content_with_an_old_name_and_time_is_taken_in() {
    let project = acme();
    let path = project.path("drop/analytics_users_20250630.csv");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let users = fs::read_to_string(&path).unwrap();
    fs::write(&path, users.replace("2,\"Ada Admin\",Ada,Admin", "2,\"Ada Adler\",Ada,Adler")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    project.run("acme", AS_OF).exits(0);
    assert_eq!(project.releases("acme"), [1, 2]);
    let after = Published::open(&project.lake(), "acme");
    assert_eq!(after.number("SELECT count(*) FROM gold.dim_user WHERE full_name = 'Ada Adler'"), 1);
}

#[test]
fn a_night_that_fails_leaves_the_last_release_as_it_is() {
    let project = acme();
    let before = Published::open(&project.lake(), "acme").contents();
    project.write("drop/analytics_users_20250701.csv", "");
    project.run("acme", "2025-07-01").exits(1).says(&["acme", "users", "analytics_users_20250701.csv"]);
    assert_eq!(project.releases("acme"), [1]);
    assert!(before == Published::open(&project.lake(), "acme").contents());
    fs::remove_file(project.path("drop/analytics_users_20250701.csv")).unwrap();
    project.run("acme", "2025-07-01").exits(0);
    assert_eq!(project.releases("acme"), [1, 2]);
}
