//! Two nights of the reference customer, from invented exports to validated counts.

use serde_json::Value;

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
    check_second_night(&project);
}

fn check_counts(project: &Project) {
    let counts = fixture("reference_counts.toml");
    project.ask("validate", "acme", &["--counts", counts.to_str().unwrap()]).exits(0);
    let text = std::fs::read_to_string(counts).unwrap();
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

/// The same exports again: nothing arrives in bronze, the tables are the same.
fn check_second_night(project: &Project) {
    let before = Published::open(&project.lake(), "acme");
    project.run("acme", AS_OF).exits(0);
    assert_eq!(project.releases("acme"), [1, 2]);
    let after = Published::open(&project.lake(), "acme");
    assert_eq!(before.names(), after.names());
    let results = project.results("acme", 2);
    for table in after.names() {
        let ((old_version, old_rows), (version, rows)) =
            (before.version_and_rows(&table), after.version_and_rows(&table));
        assert_eq!(old_rows, rows, "{table}");
        if table.starts_with("bronze.") {
            assert_eq!(old_version, version, "{table} was written again");
            let taken_in = &results["tables"][&table]["rows_out"];
            assert!(taken_in.is_null() || taken_in == 0, "{table}: {taken_in} rows were taken in again");
        }
    }
    let sql = "SELECT count(*) AS users, count(DISTINCT user_id) AS ids FROM bronze.users";
    let answer = project.ask("query", "acme", &["--format", "csv", sql]).exits(0);
    assert_eq!(answer.output, "users,ids\n3057,3057\n");
}
