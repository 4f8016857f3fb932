//! `gold.dim_user_history` of the pipeline that comes with the program.

use std::fs;

use crate::project::{Project, fixture};
use crate::rows::Published;

const USERS: &str = "drop/analytics_users_20250701.csv";
const COLUMNS: &str = "user_id, full_name, country, city, user_status, assignment_id, assignment_name, organisation_id, \
                       organisation_name, position_id, position_name, manager_id, manager_name, appraiser_id, \
                       appraiser_name";

/// The customer of the case `star`, and a night after it: Ada is renamed, Ben has left, Zoe comes.
fn two_nights() -> Project {
    let project = Project::new();
    for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        project.write(&format!("drop/{}", file.file_name().unwrap().to_str().unwrap()), &text);
    }
    project.add_customer("acme", &project.path("drop"), "fiscal_year.first = 2021\nfiscal_year.last = 2026\n");
    project.run("acme", "2025-06-30").exits(0);
    let users = fs::read_to_string(project.path("drop/analytics_users_20250630.csv")).unwrap();
    let kept: Vec<&str> = users.split_inclusive('\n').filter(|line| !line.starts_with("3,")).collect();
    let later = kept.concat().replace("2,\"Ada Admin\",Ada,Admin", "2,\"Ada Adler\",Ada,Adler");
    let zoe = "99,\"Zoe Zander\",Zoe,Zander,,,Active,,,,,,,,\" \",,\" \"\n";
    let end = if later.ends_with('\n') { "" } else { "\n" };
    project.write(USERS, &format!("{later}{end}{zoe}"));
    project.run("acme", "2025-07-01").exits(0);
    project
}

#[test]
fn the_history_of_people_has_their_columns_and_their_days() {
    let project = two_nights();
    let published = Published::open(&project.lake(), "acme");
    let ask = |sql: &str| {
        let answer = project.ask("query", "acme", &["--format", "csv", sql]).exits(0);
        answer.output.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let sql = "SELECT user_id, full_name, valid_from, valid_to, is_current FROM gold.dim_user_history \
               WHERE user_id IN (-1, 2, 3, 4, 99) ORDER BY user_id, valid_from";
    let expected = [
        "-1,N/A,1900-01-01,,true",
        "2,Ada Admin,2025-06-30,2025-07-01,false",
        "2,Ada Adler,2025-07-01,,true",
        "3,Ben Boss,2025-06-30,2025-07-01,false",
        "4,Nguyễn Thị Ánh,2025-06-30,,true",
        "99,Zoe Zander,2025-07-01,,true",
    ];
    assert_eq!(ask(sql), expected);
    let sql = "SELECT manager_id, manager_name, organisation_id, organisation_name, city FROM gold.dim_user_history \
               WHERE user_id = 99 OR user_id = -1 ORDER BY user_id";
    assert_eq!(ask(sql), ["-1,N/A,-1,N/A,N/A", "-1,No Manager Assigned,-1,N/A,N/A"]);
    // What is current is dim_user, in every column.
    let current = format!("SELECT {COLUMNS} FROM gold.dim_user_history WHERE is_current");
    let people = format!("SELECT {COLUMNS} FROM gold.dim_user");
    for (one, other) in [(&current, &people), (&people, &current)] {
        assert_eq!(published.number(&format!("SELECT count(*) FROM ({one} EXCEPT {other})")), 0, "{one}");
    }
    // All of the first night, the unknown member, Ada's second version and Zoe.
    let [history, users] = ["gold.dim_user_history", "silver.users"]
        .map(|table| published.number(&format!("SELECT count(*) FROM {table}")));
    assert_eq!(history, users + 1 + 2, "one more person came than left, so as many as in the first night");
}

/// A change of the history alone: the person who left is still in it when the next night comes.
#[test]
fn tests_of_the_history_are_run_and_hold() {
    let project = two_nights();
    let results = project.last_results("acme");
    let tests: Vec<(&str, &str)> = results["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|test| (test["name"].as_str().unwrap(), test["status"].as_str().unwrap()))
        .collect();
    for name in ["versions_of_a_person_do_not_overlap", "current_versions_are_the_people", "valid_for_a_day_at_least"] {
        assert!(tests.contains(&(name, "pass")), "{name}: {tests:?}");
    }
    let about = results["tests"].as_array().unwrap();
    let about = about.iter().filter(|test| test["table"] == "gold.dim_user_history").count();
    assert!(about >= 7, "{about}");
}
