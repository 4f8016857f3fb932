//! What arrives in odd ways: nothing of it is lost, nothing is there twice.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::project::{Project, fixture};
use crate::rows::Published;

const AS_OF: &str = "2025-06-30";
const USERS: &str = "drop/analytics_users_20250630.csv";

/// A customer with the exports of the case `star`.
fn customer() -> Project {
    let project = Project::new();
    for entry in fs::read_dir(fixture("star/in")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_lowercase();
        let text = fs::read(&path).unwrap();
        let target =
            project.path("drop").join(if name.contains("users") { "analytics_users_20250630.csv" } else { &name });
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, text).unwrap();
    }
    let drop = project.path("drop");
    project.add_customer("acme", &drop, "");
    project
}

fn append(project: &Project, file: &str, more: &str) {
    let mut text = fs::read_to_string(project.path(file)).unwrap();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    fs::write(project.path(file), text + more).unwrap();
}

fn numbers<const N: usize>(project: &Project, queries: [&str; N]) -> [i64; N] {
    let published = Published::open(&project.lake(), "acme");
    queries.map(|sql| published.number(sql))
}

/// The batch is in bronze when the run fails, so its rejects have to be there as well: no later run sees the file anew.
#[test]
fn what_parsing_set_aside_survives_a_run_that_fails_later() {
    let project = customer();
    append(&project, USERS, "1,2,3\n");
    let folder = project.path("pipeline");
    project.medallion(["init", folder.to_str().unwrap()]).exits(0);
    let pipeline = folder.join("pipelines/totara");
    let users = pipeline.join("silver/users.toml");
    let sound = fs::read_to_string(&users).unwrap();
    let rule = "\n[[rules]]\nname = \"nobody\"\nexpression = \"user_id < 0\"\nseverity = \"fail\"\n";
    fs::write(&users, format!("{sound}{rule}")).unwrap();
    let run = || {
        let lake = project.lake();
        let options = ["--lake", lake.to_str().unwrap(), "--pipeline", pipeline.to_str().unwrap(), "--as-of", AS_OF];
        project.medallion(["run", "-c", "acme"].into_iter().chain(options))
    };
    run().exits(4).says(&["acme", "silver.users", "nobody"]);
    let runs = fs::read_dir(project.lake().join("acme/_medallion/runs")).unwrap();
    let failed: Vec<String> =
        runs.map(|run| fs::read_to_string(run.unwrap().path().join("run_results.json")).unwrap()).collect();
    let failed: serde_json::Value = serde_json::from_str(&failed[0]).unwrap();
    assert_eq!((&failed["status"], &failed["tables"]["bronze.users"]["rejected"]), (&"failed".into(), &1.into()));
    assert_eq!(failed["release"], serde_json::Value::Null);
    fs::write(&users, sound).unwrap();
    run().exits(0);
    let parsed = "SELECT count(*) FROM bronze.rejected_rows WHERE rule = 'field_count' AND source = 'users'";
    assert_eq!(numbers(&project, [parsed]), [1]);
    run().exits(0);
    assert_eq!(numbers(&project, [parsed]), [1], "and once only");
}

#[test]
fn an_export_without_records_is_the_truth_until_the_next_one() {
    let project = customer();
    project.run("acme", AS_OF).exits(0);
    let members = "SELECT count(*) FROM silver.audiences";
    let [before] = numbers(&project, [members]);
    assert!(before > 0);
    project.write("drop/analytics_audiences_20250701.csv", "Audience Name,Audience ID,User ID,Status\n");
    project.run("acme", AS_OF).exits(0).says(&["bronze.audiences", "no records"]);
    assert_eq!(numbers(&project, [members]), [0]);
    project.run("acme", AS_OF).exits(0);
    assert_eq!(numbers(&project, [members]), [0], "known from the night before");
    fs::remove_file(project.path("drop/analytics_audiences_20250701.csv")).unwrap();
    project.run("acme", AS_OF).exits(0);
    assert_eq!(numbers(&project, [members]), [0], "the batch before does not come back");
}

#[test]
fn parts_written_around_midnight_are_one_export() {
    let project = customer();
    let users = fs::read_to_string(project.path(USERS)).unwrap();
    fs::remove_file(project.path(USERS)).unwrap();
    let (header, first) = users.split_once('\n').unwrap();
    project.write("drop/analytics_users_1.csv", &users);
    let extra = first.lines().next().unwrap().replacen(first.split(',').next().unwrap(), "777777", 1);
    project.write("drop/analytics_users_2.csv", &format!("{header}\n{extra}\n"));
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_751_241_600);
    for (file, moment) in [("_1", midnight - Duration::from_secs(10)), ("_2", midnight + Duration::from_secs(10))] {
        let path = project.path(&format!("drop/analytics_users{file}.csv"));
        File::options().write(true).open(path).unwrap().set_modified(moment).unwrap();
    }
    project.run("acme", AS_OF).exits(0);
    let queries = ["SELECT count(*) FROM silver.users", "SELECT count(*) FROM silver.users WHERE user_id = 777777"];
    let [all, added] = numbers(&project, queries);
    assert_eq!(added, 1);
    assert!(all > 1, "the users of the first part are there as well");
}

#[test]
fn a_copy_beside_its_original_is_taken_in_once() {
    let project = customer();
    fs::copy(project.path(USERS), project.path("drop/analytics_users_20250630_1.csv")).unwrap();
    project.run("acme", AS_OF).exits(0);
    let doubled =
        "SELECT count(*) FROM (SELECT _source_row FROM bronze.users GROUP BY _source_row HAVING count(*) > 1)";
    assert_eq!(numbers(&project, [doubled]), [0]);
}

#[test]
fn an_unclosed_quote_and_old_line_ends_cost_nobody_else() {
    let project = customer();
    project.run("acme", AS_OF).exits(0);
    let rows = "SELECT count(*) FROM bronze.positions";
    let [before] = numbers(&project, [rows]);
    let positions: Vec<_> = fs::read_dir(project.path("drop")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let positions = positions.iter().find(|path| path.to_str().unwrap().contains("positions")).unwrap();
    let text = fs::read_to_string(positions).unwrap().replace("\r\n", "\n");
    let (header, records) = text.split_once('\n').unwrap();
    let broken = format!("{header}\n9001,\"Never closed,0,F,9001,1\n{records}").replace('\n', "\r");
    project.write("drop/analytics_positions_20250701.csv", &broken);
    project.run("acme", AS_OF).exits(0).says(&["bronze.positions", "1 record set aside"]);
    let [after] = numbers(&project, [rows]);
    assert_eq!(after, 2 * before, "both nights, each whole");
    let reason = "SELECT count(*) FROM bronze.rejected_rows WHERE source = 'positions' AND \"row\" = 1";
    assert_eq!(numbers(&project, [reason]), [1]);
}
