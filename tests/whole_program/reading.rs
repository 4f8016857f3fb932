//! What people and programs read: `ls`, `show`, `query`, and projects of their own.

use serde_json::{Value, json};

use crate::case::Case;
use crate::project::{Project, fixture};
use crate::rows::{Published, Rows};

#[test]
fn a_query_answers_in_every_format() {
    let project = Case::published("star");
    let sql = "SELECT audience_id, audience_name, member_count FROM gold.dim_audience ORDER BY audience_id";
    let expected = Rows::read_csv(&fixture("star/expected/gold.dim_audience.csv"));
    let csv = project.ask("query", "star", &["--format", "csv", sql]).exits(0);
    let found = Rows::parse_csv(&csv.output);
    assert_eq!((&found.columns, expected.difference(&found)), (&expected.columns, None));

    let answer = project.ask("query", "star", &["--format", "json", sql]).exits(0);
    let rows: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let unknown = json!({"audience_id": -1, "audience_name": "N/A", "member_count": 0});
    let staff = json!({"audience_id": 7, "audience_name": "All Staff", "member_count": 3});
    assert_eq!((rows.len(), &rows[0], &rows[1]), (expected.rows.len(), &unknown, &staff));

    let table = project.ask("query", "star", &[sql]).exits(0).output;
    let lines: Vec<&str> = table.lines().collect();
    for (line, parts) in [(1, ["audience_id", "audience_name", "member_count"]), (3, ["-1", "N/A", "0"])] {
        assert!(parts.iter().all(|part| lines[line].contains(part)), "{table}");
    }
    assert_eq!(*lines.last().unwrap(), format!("({} rows)", expected.rows.len()));
}

#[test]
fn lists_and_tables_are_shown() {
    let project = Case::published("star");
    let answer = project.ask("ls", "star", &[]).exits(0);
    for table in ["bronze.users", "bronze.rejected_rows", "silver.user_hierarchy", "gold.fact_course_progress"] {
        assert!(answer.output.contains(table), "{table}:\n{}", answer.output);
    }
    let csv = project.ask("ls", "star", &["--format", "csv"]).exits(0);
    let names: Vec<_> = Rows::parse_csv(&csv.output).rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(names, Published::open(&project.lake(), "star").names());

    let answer = project.ask("show", "star", &["gold.dim_audience"]).exits(0);
    for part in ["audience_id", "long", "member_count", "All Staff"] {
        assert!(answer.output.contains(part), "{part}:\n{}", answer.output);
    }
    let answer = project.ask("show", "star", &["--format", "json", "gold.dim_audience"]).exits(0);
    let columns: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column["column"].as_str().unwrap()).collect();
    assert!(names.starts_with(&["audience_id", "audience_name", "member_count"]), "{names:?}");
    assert!(columns.iter().all(|column| !column["description"].as_str().unwrap().is_empty()), "{columns:?}");
}

#[test]
fn messages_for_programs_are_one_object_a_line() {
    let case = Case::read("star");
    let project = case.project();
    let answer = project.ask("run", "star", &["--as-of", &case.file.as_of, "--log-format", "json"]).exits(0);
    let lines: Vec<Value> = answer.messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run_id = &project.results("star", 1)["run_id"];
    for line in &lines {
        assert!(["ts", "level", "event"].iter().all(|key| line[key].is_string()), "{line}");
        assert_eq!((&line["run_id"], &line["customer"]), (run_id, &json!("star")), "{line}");
    }
    let about = |table: &str| lines.iter().any(|line| line["event"] == "table_done" && line["table"] == table);
    assert!(about("bronze.users") && about("silver.users") && about("gold.dim_user"), "{}", answer.messages);
}

#[test]
fn a_failure_for_programs_names_customer_and_run() {
    let project = Project::new();
    project.add_customer("broken", &fixture("missing_required/in"), "");
    let json = ["--as-of", "2025-06-30", "--log-format", "json"];
    let last = |messages: &str| serde_json::from_str::<Value>(messages.lines().last().unwrap()).unwrap();
    let failed = last(&project.ask("run", "broken", &json).exits(1).messages);
    assert_eq!(
        (&failed["event"], &failed["level"], &failed["exit_code"]),
        (&json!("failed"), &json!("error"), &json!(1))
    );
    assert_eq!(failed["customer"], "broken", "{failed}");
    let run_id = failed["run_id"].as_str().unwrap();
    assert!(project.lake().join("broken/_medallion/runs").join(run_id).is_dir(), "{failed}");
    let failed = last(&project.ask("run", "nobody", &json).exits(2).messages);
    assert_eq!((&failed["customer"], &failed["run_id"]), (&json!("nobody"), &Value::Null));
}

#[cfg(unix)]
#[test]
fn a_file_name_can_neither_forge_a_message_nor_steer_a_terminal() {
    let project = Case::read("star").project();
    let folder = project.path("drop");
    std::fs::create_dir(&folder).unwrap();
    for file in std::fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    std::fs::write(folder.join("odd\nerror: forged\u{1b}[2J.csv"), "a\n1\n").unwrap();
    let options = ["--as-of", "2025-06-30", "--color", "always", "--source", folder.to_str().unwrap()];
    let answer = project.ask("run", "star", &options).exits(0).says(&["forged", "\u{1b}[33mwarning:\u{1b}[0m"]);
    assert!(!answer.messages.lines().any(|line| line.starts_with("error:")), "{}", answer.messages);
    assert!(!answer.messages.contains("\u{1b}[2J"), "{}", answer.messages);
}

#[test]
fn without_a_project_the_built_in_pipeline_runs() {
    let project = Project::new();
    std::fs::remove_file(project.path("medallion.toml")).unwrap();
    std::fs::remove_dir(project.path("customers")).unwrap();
    let source = fixture("star/in");
    let run = ["run", "-c", "acme", "--source", source.to_str().unwrap(), "--lake", "lake", "--as-of", "2025-06-30"];
    project.medallion(run).exits(0);
    assert_eq!(project.releases("acme"), [1]);
    let results = project.results("acme", 1);
    assert_eq!((&results["pipeline"], &results["as_of"]), (&json!("totara"), &json!("2025-06-30")));
}

#[test]
fn a_new_project_runs_with_its_own_copy_of_the_pipeline() {
    let project = Project::new();
    project.medallion(["init", "site"]).exits(0);
    let source = toml::Value::from(fixture("star/in").to_str().unwrap());
    project.write("site/customers/star.toml", &format!("source = {source}\n"));
    let definition = project.path("site/pipelines/totara/gold/dim_user.toml");
    let text = std::fs::read_to_string(&definition).unwrap();
    let edited = text.replace("missing = \"No Manager Assigned\"", "missing = \"Nobody\"");
    assert_ne!(text, edited);
    std::fs::write(definition, edited).unwrap();
    let site = project.path("site");
    let in_site = |arguments: &[&str]| project.medallion(["--project", "site"].iter().chain(arguments));
    in_site(&["run", "-c", "star", "--as-of", "2025-06-30"]).exits(0);
    assert!(site.join("lake/star/_medallion/releases/00000001.json").exists());
    let sql = "SELECT manager_name FROM gold.dim_user WHERE user_id = 1";
    let answer = in_site(&["query", "-c", "star", "--format", "csv", sql]).exits(0);
    assert_eq!(answer.output, "manager_name\nNobody\n");
    in_site(&["init", "site"]).exits(2).says(&["site", "not empty"]);
}
