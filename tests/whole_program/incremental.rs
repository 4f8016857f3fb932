//! Sources that send what has changed: the table is what all increments amount to, whenever they came.

use std::fs;

use serde_json::{Value, json};

use crate::project::{Answer, Project, fixture};
use crate::rows::Published;

const INCREMENTAL: &str = "mode = 'incremental'\ndeleted = { column = 'deleted', values = ['1', 'true'] }\n";

/// People, of whom there is a silver table by id, and one of those with a room.
fn write_pipeline(project: &Project, keys: &str) {
    let column = |name: &str| format!("[[columns]]\nname = '{name}'\noptional = {}\ndescription = 'x'\n", name != "id");
    let columns = ["id", "name", "room", "deleted"].map(column).concat();
    let typed = |name: &str, data_type: &str| {
        format!("[[columns]]\nname = '{name}'\ntype = '{data_type}'\ndescription = 'x'\n")
    };
    let silver = format!(
        "kind = 'cleanse'\ndescription = 'x'\nsource = 'people'\nkey = ['id']\n{}{}{}",
        typed("id", "long"),
        typed("name", "text") + "required = true\n",
        typed("room", "long")
    );
    for (file, text) in [
        ("pipeline.toml", "name = 'people'\ndescription = 'x'\n".to_owned()),
        ("bronze/people.toml", format!("description = 'x'\npatterns = ['people*']\nrequired = true\n{keys}{columns}")),
        ("silver/people.toml", silver.clone()),
        ("silver/lodgers.toml", silver.replacen("key =", "where = 'room IS NOT NULL'\nkey =", 1)),
        (
            "silver/arrivals.toml",
            format!("kind = 'query'\ndescription = 'x'\n{}", typed("id", "text") + &typed("rows", "long")),
        ),
        ("silver/arrivals.sql", "SELECT id, count(*) AS rows FROM bronze.people GROUP BY id".to_owned()),
        (
            "gold/dim_person.toml",
            format!("kind = 'dimension'\ndescription = 'x'\nkey = ['id']\n{}", typed("id", "long")),
        ),
        ("gold/dim_person.sql", "SELECT id FROM silver.people".to_owned()),
    ] {
        project.write(&format!("pipeline/{file}"), &text);
    }
}

/// A project with that pipeline and the customer acme.
fn site(keys: &str, customer: &str) -> Project {
    let project = Project::new();
    write_pipeline(&project, keys);
    fs::create_dir(project.path("drop")).unwrap();
    project.add_customer("acme", &project.path("drop"), customer);
    project
}

fn run_with(project: &Project, options: &[&str]) -> Answer {
    let pipeline = project.path("pipeline");
    let about = ["--pipeline", pipeline.to_str().unwrap(), "--as-of", "2025-07-01"];
    project.ask("run", "acme", &[about.as_slice(), options].concat())
}

fn run(project: &Project) -> Answer {
    run_with(project, &[]).exits(0)
}

/// The file of a day in June, lines below the header.
fn deliver(project: &Project, day: u32, lines: &[&str]) {
    project.write(&format!("drop/people_202506{day:02}.csv"), &format!("id,name,room,deleted\n{}", text(lines)));
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The rows of a table in order, cells between `,`.
fn table(project: &Project, name: &str, columns: &[&str]) -> Vec<String> {
    let published = Published::open(&project.lake(), "acme");
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let rows = published.rows(name, &columns).unwrap().rows;
    let line = |row: Vec<Option<String>>| {
        row.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(",")
    };
    let mut rows: Vec<String> = rows.into_iter().map(line).collect();
    rows.sort();
    rows
}

fn people(project: &Project) -> Vec<String> {
    table(project, "silver.people", &["id", "name", "room"])
}

fn upserts([inserted, updated, unchanged, deleted, absent]: [u64; 5]) -> Value {
    json!({"inserted": inserted, "updated": updated, "unchanged": unchanged, "deleted": deleted, "absent": absent})
}

/// The sums of the last run's increments: in total, and of each batch that was new.
fn sums(project: &Project, table: &str) -> (Value, Vec<Value>) {
    let results = project.last_results("acme");
    let upserts = &results["tables"][table]["upserts"];
    let batches = upserts["batches"].as_array().cloned().unwrap_or_default();
    let counts = |mut batch: Value| {
        assert!(batch.as_object_mut().unwrap().remove("batch_id").unwrap().as_str().unwrap().starts_with("2025-06-"));
        batch
    };
    (upserts["total"].clone(), batches.into_iter().map(counts).collect())
}

const FIRST: [&str; 4] = ["1,Ann,10,", "2,Bob,20,", "3,Cid,,", "4,Dee,40,0"];
const SECOND: [&str; 5] = ["2,Bob,21,", "3,,,1", "4,Dee,40,", "5,Eve,50,", "9,,,true"];
const THIRD: [&str; 4] = ["3,Cid,30,", "4,Dee,,", "5,,,1", "6,,60,"];
/// After FIRST and SECOND, and after all three. 6 has no name.
const AFTER_SECOND: [&str; 4] = ["1,Ann,10", "2,Bob,21", "4,Dee,40", "5,Eve,50"];
const AFTER_THIRD: [&str; 4] = ["1,Ann,10", "2,Bob,21", "3,Cid,30", "4,Dee,-"];

#[test]
fn increments_update_delete_and_bring_back() {
    let project = site(INCREMENTAL, "");
    deliver(&project, 1, &FIRST);
    run(&project);
    assert_eq!(people(&project), ["1,Ann,10", "2,Bob,20", "3,Cid,-", "4,Dee,40"]);
    deliver(&project, 2, &SECOND);
    let answer = run(&project);
    assert_eq!(people(&project), AFTER_SECOND);
    assert_eq!(sums(&project, "silver.people"), (upserts([5, 1, 1, 1, 1]), vec![upserts([1, 1, 1, 1, 1])]));
    let line = "silver.people: 1 inserted, 1 updated, 1 unchanged, 1 deleted, 1 not there to delete";
    assert!(answer.output.contains(line), "{}", answer.output);
    deliver(&project, 3, &THIRD);
    run(&project).says(&["silver.people: 1 record set aside"]);
    assert_eq!(people(&project), AFTER_THIRD);
    assert_eq!(sums(&project, "silver.people"), (upserts([6, 2, 1, 2, 1]), vec![upserts([1, 1, 0, 1, 0])]));
    // 4 has no room any more: it is no lodger, as 3 was none at first.
    assert_eq!(table(&project, "silver.lodgers", &["id"]), ["1", "2", "3"]);
    let results = project.last_results("acme");
    let lodgers = &results["tables"]["silver.lodgers"];
    let expected = json!({"rows_in": 13, "rows_out": 3, "duplicates": 0, "rejected": 1, "further": 0, "filtered": 1,
                          "excluded": 0});
    assert_eq!(lodgers["sums"], expected);
    assert_eq!(lodgers["upserts"]["total"], upserts([5, 1, 1, 2, 2]));
    // Queries over bronze see all increments, and bronze is counted so.
    assert_eq!(table(&project, "silver.arrivals", &["id", "rows"]), ["1,1", "2,2", "3,3", "4,3", "5,2", "6,1", "9,1"]);
    let counts = project.write("counts.toml", "[counts]\n'bronze.people' = 13\n'silver.people' = 4\n");
    project.ask("validate", "acme", &["--counts", counts.to_str().unwrap()]).exits(0);
    assert_eq!(results["tables"]["bronze.people"]["mode"], "incremental");
    check_nothing_new(&project);
}

fn check_nothing_new(project: &Project) {
    let releases = project.releases("acme");
    run(project);
    let results = project.last_results("acme");
    assert_eq!(results["tables"]["bronze.people"]["status"], "unchanged");
    assert_eq!(results["tables"]["silver.people"]["upserts"], Value::Null);
    fs::remove_dir_all(project.path("drop")).unwrap();
    fs::create_dir(project.path("drop")).unwrap();
    run(project).says(&["bronze.people: no new file; what came up to 2025-06-03 is used"]);
    assert_eq!(project.last_results("acme")["tables"]["bronze.people"]["status"], "not_delivered");
    assert_eq!(project.releases("acme"), releases, "nothing has changed");
    run_with(project, &["--full-refresh"]).exits(0);
    assert_eq!(people(project), AFTER_THIRD);
    assert_eq!(sums(project, "silver.people"), (upserts([6, 2, 1, 2, 1]), vec![]));
    let fingerprint = |release: u64| {
        let path = project.lake().join(format!("acme/_medallion/releases/{release:08}.json"));
        let release: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        release["tables"]["silver.people"]["fingerprint"].clone()
    };
    let last = *project.releases("acme").last().unwrap();
    assert_eq!(fingerprint(*releases.last().unwrap()), fingerprint(last));
}

#[test]
fn what_increments_amount_to_does_not_depend_on_when_they_came() {
    let nights: [&[&[u32]]; 4] = [&[&[1, 2, 3]], &[&[1], &[3], &[2]], &[&[3], &[1, 2]], &[&[2], &[1], &[3]]];
    for nights in nights {
        let project = site(INCREMENTAL, "");
        let mut last = Answer { code: None, output: String::new(), messages: String::new() };
        for night in nights {
            for day in *night {
                deliver(&project, *day, [FIRST.as_slice(), &SECOND, &THIRD][*day as usize - 1]);
            }
            last = run(&project);
        }
        assert_eq!(people(&project), AFTER_THIRD, "{nights:?}");
        let (total, _) = sums(&project, "silver.people");
        assert_eq!(total, upserts([6, 2, 1, 2, 1]), "{nights:?}");
        if nights[nights.len() - 1] == [2] {
            last.says(&["what arrived is older than the batch 2025-06-03_", "whose rows stay where both have them"]);
        }
        let rejected = table(&project, "bronze.rejected_rows", &["file", "row", "rule"]);
        // Of people and of lodgers alike.
        assert_eq!(rejected, ["people_20250603.csv,4,required"], "{nights:?}");
    }
}

#[test]
fn rejects_of_all_increments_stay_and_go_with_the_rule_that_made_them() {
    let project = site(INCREMENTAL, "");
    deliver(&project, 1, &["1,Ann,10,", "2,,,", "1,Ann,11,", "x,Xu,,1"]);
    run(&project);
    deliver(&project, 2, &["3,,,"]);
    run(&project);
    let rejects = || table(&project, "bronze.rejected_rows", &["file", "row", "rule"]);
    let first = ["people_20250601.csv,1,duplicate_key", "people_20250601.csv,2,required"];
    let no_key = "people_20250601.csv,4,required";
    assert_eq!(rejects(), [first[0], first[1], no_key, "people_20250602.csv,1,required"]);
    for table in ["people", "lodgers"] {
        let file = project.path(&format!("pipeline/silver/{table}.toml"));
        let relaxed = fs::read_to_string(&file).unwrap().replace("required = true", "required = false");
        fs::write(&file, relaxed).unwrap();
    }
    run(&project);
    assert_eq!(rejects(), [first[0], no_key]);
    assert_eq!(people(&project), ["1,Ann,11", "2,-,-", "3,-,-"]);
}

#[test]
fn parts_new_columns_and_nights_without_records_are_increments_like_others() {
    let project = site(INCREMENTAL, "");
    project.write("drop/people_20250601_1.csv", "id,name,room\n1,Ann,10\n2,Bob,20\n");
    project.write("drop/people_20250601_2.csv", "room,name,id\n11,Ann,1\n");
    run(&project);
    assert_eq!(people(&project), ["1,Ann,11", "2,Bob,20"]);
    // A new column, and none that says what is deleted.
    project.write("drop/people_20250602.csv", "id,name,room,Shoe size\n3,Cid,30,44\n");
    run(&project).says(&["new column 'Shoe size'"]);
    assert_eq!(people(&project), ["1,Ann,11", "2,Bob,20", "3,Cid,30"]);
    assert_eq!(table(&project, "bronze.people", &["id", "shoe_size"]), ["1,-", "1,-", "2,-", "3,44"]);
    deliver(&project, 3, &[]);
    let answer = run(&project);
    assert!(!answer.messages.contains("no records"), "{}", answer.messages);
    assert_eq!(people(&project), ["1,Ann,11", "2,Bob,20", "3,Cid,30"]);
    // The same bytes again: there was nothing to say, but the source is alive. 3 June is too old, 4 June is not.
    project.add_customer("acme", &project.path("drop"), "[sources.people]\nmax_age_days = 27\n");
    run_with(&project, &[]).exits(4).says(&["people: its newest export is of 2025-06-03"]);
    deliver(&project, 4, &[]);
    let answer = run(&project);
    assert!(!answer.messages.contains("byte for byte"), "{}", answer.messages);
    assert_eq!(project.last_results("acme")["tables"]["bronze.people"]["export_date"], "2025-06-04");
}

#[test]
fn an_increment_that_comes_again_is_ignored_whatever_its_date() {
    let project = site(INCREMENTAL, "");
    deliver(&project, 1, &FIRST);
    deliver(&project, 2, &SECOND);
    run(&project);
    deliver(&project, 3, &FIRST);
    deliver(&project, 4, &["2,Bob,22,"]);
    let answer = run(&project);
    answer
        .says(&["bronze.people: people_20250603.csv is byte for byte the increment of 2025-06-01, which counts once"]);
    let expected = ["1,Ann,10", "2,Bob,22", "4,Dee,40", "5,Eve,50"];
    assert_eq!(people(&project), expected);
    let answer = run(&project);
    assert!(!answer.messages.contains("byte for byte"), "it is told once:\n{}", answer.messages);
    assert_eq!(people(&project), expected);
}

#[test]
fn an_increment_that_cannot_be_used_is_waited_for() {
    let project = site(INCREMENTAL, "");
    deliver(&project, 1, &FIRST);
    run(&project);
    project.write("drop/people_20250602.csv", "");
    deliver(&project, 3, &THIRD);
    for _ in 0..2 {
        run_with(&project, &[]).exits(1).says(&["acme", "people", "people_20250602.csv"]);
        assert_eq!(people(&project).len(), 4, "a later increment does not stand for it");
    }
    deliver(&project, 2, &SECOND);
    run(&project);
    assert_eq!(people(&project), AFTER_THIRD);
}

#[test]
fn a_customer_has_another_mode_than_the_pipeline() {
    let project = site("retain_batches = 1\n", "[sources.people]\nmode = 'incremental'\n");
    for day in 1..4 {
        deliver(&project, day, &[&format!("{day},Ann,,1")]);
    }
    run(&project);
    assert_eq!(people(&project), ["1,Ann,-", "2,Ann,-", "3,Ann,-"], "nobody said what deletes");
    assert_eq!(table(&project, "bronze.people", &["id"]), ["1", "2", "3"], "increments are not retired");
    project.add_customer(
        "acme",
        &project.path("drop"),
        "[sources.people]\nmode = 'incremental'\ndeleted = { column = 'deleted', values = ['1'] }\n",
    );
    run(&project);
    assert_eq!(people(&project), [""; 0], "another flag, another table");
    let snapshot = site(INCREMENTAL, "[sources.people]\nmode = 'snapshot'\n");
    deliver(&snapshot, 1, &FIRST);
    deliver(&snapshot, 2, &["7,Gil,70,1"]);
    run(&snapshot);
    assert_eq!(people(&snapshot), ["7,Gil,70"]);
    assert_eq!(snapshot.last_results("acme")["tables"]["silver.people"]["upserts"], Value::Null);
}

#[test]
fn increments_begin_with_the_snapshot_that_was_the_truth() {
    let project = site("min_rows = 1\n", "");
    deliver(&project, 1, &["8,Hal,80,", "9,Ida,90,", "7,Gil,70,"]);
    run(&project);
    deliver(&project, 2, &FIRST);
    run(&project);
    write_pipeline(&project, INCREMENTAL);
    run(&project);
    assert_eq!(people(&project), ["1,Ann,10", "2,Bob,20", "3,Cid,-", "4,Dee,40"], "8 was gone, and stays so");
    deliver(&project, 3, &SECOND);
    run(&project);
    assert_eq!(people(&project), AFTER_SECOND, "an increment may be smaller than what was there");
    project.write("drop/people_20250531.csv", "id,name,room\n1,Ada,11\n5,Eli,51\n6,Fay,61\n");
    run(&project).says(&["2025-05-31_", "is older than the snapshot that increments begin with, and does not count"]);
    assert_eq!(people(&project), AFTER_SECOND);
    let counts = project.write("counts.toml", "[counts]\n'bronze.people' = 9\n");
    project.ask("validate", "acme", &["--counts", counts.to_str().unwrap()]).exits(0);
    // Back to snapshots: what is there last is no snapshot, and the guard sees it.
    write_pipeline(&project, "min_rows = 1\nmin_ratio = 0.9\n");
    deliver(&project, 4, &["1,Ann,10,", "2,Bob,21,"]);
    run_with(&project, &[]).exits(4).says(&["people: the batch 2025-06-04_", "has 2 records", "had 5"]);
    deliver(&project, 5, &["1,Ann,10,", "2,Bob,21,", "5,Eve,50,", "6,Fay,60,", "7,Gil,70,"]);
    run(&project);
    // A night of snapshots is a new beginning.
    write_pipeline(&project, INCREMENTAL);
    deliver(&project, 6, &["5,,,1"]);
    run(&project);
    assert_eq!(people(&project), ["1,Ann,10", "2,Bob,21", "6,Fay,60", "7,Gil,70"]);
}

#[test]
fn contradictions_exit_with_2_and_name_file_line_and_key() {
    let project = site(INCREMENTAL, "[sources.people]\nretain_batches = 3\n");
    deliver(&project, 1, &FIRST);
    let refused = |parts: &[&str]| drop(run_with(&project, &[]).exits(2).says(parts));
    refused(&["acme.toml:2:10: retain_batches is for snapshots", "leave retain_batches out"]);
    let flag = "[sources.people]\ndeleted = { column = 'delete', values = ['1'] }\n";
    project.add_customer("acme", &project.path("drop"), flag);
    refused(&["acme.toml:2:10: deleted names the column 'delete'", "did you mean 'deleted'?"]);
    project.add_customer("acme", &project.path("drop"), "[sources.people]\nmode = 'increment'\n");
    refused(&["acme.toml:3:8", "increment", "did you mean 'incremental'?"]);
    project.add_customer("acme", &project.path("drop"), "");
    write_pipeline(&project, "deleted = { column = 'deleted', values = ['1'] }\n");
    refused(&["bronze/people.toml:4:1: deleted is for increments", "write mode = \"incremental\""]);
    write_pipeline(&project, "retain_batches = 2\nmode = 'incremental'\n");
    refused(&["bronze/people.toml:4:1: retain_batches is for snapshots"]);
    write_pipeline(&project, INCREMENTAL);
    let lodgers = project.path("pipeline/silver/lodgers.toml");
    let keyless = fs::read_to_string(&lodgers).unwrap().replace("key = ['id']\n", "");
    fs::write(&lodgers, keyless).unwrap();
    refused(&["bronze/people.toml:4:1: mode = \"incremental\"", "silver.lodgers has none", "silver/lodgers.toml"]);
    assert!(project.releases("acme").is_empty());
    // Two sources of the pipeline that comes with the program have no key.
    project.add_customer("acme", &project.path("drop"), "[sources.scorm]\nmode = 'incremental'\n");
    let answer = project.run("acme", "2025-07-01").exits(2);
    answer.says(&["acme.toml:2:10: mode = \"incremental\"", "silver.scorm has none"]);
}

#[test]
fn the_users_of_the_pipeline_that_comes_with_the_program_can_be_increments() {
    let project = Project::new();
    for file in fs::read_dir(fixture("hierarchy/in")).unwrap().map(|file| file.unwrap().path()) {
        fs::create_dir_all(project.path("drop")).unwrap();
        fs::copy(&file, project.path("drop").join(file.file_name().unwrap())).unwrap();
    }
    project.add_customer("acme", &project.path("drop"), "[sources.users]\nmode = 'incremental'\n");
    project.run("acme", "2025-06-30").exits(0);
    let header = "User ID,User's Fullname,User First Name,User Last Name,User Status,Assignment ID,Assignment Name,\
                  Organisation ID,Organisation Name,Position ID,Position Name,Manager ID,Manager Name\n";
    let before = Published::open(&project.lake(), "acme");
    let number = |published: &Published, sql: &str| published.number(&format!("SELECT count(*) FROM {sql}"));
    let [users, assignments] = ["silver.users", "silver.user_assignments"].map(|table| number(&before, table));
    // A new person with two assignments, then the second of them anew, of whom somebody else is the manager.
    let line = |assignment: u32, manager: u32| {
        format!("777,Zoe Zed,Zoe,Zed,Active,{assignment},Job {assignment},1,Org,1,Post,{manager},Boss\n")
    };
    project.write("drop/analytics_users_20260101.csv", &format!("{header}{}{}", line(9001, 1), line(9000, 2)));
    project.run("acme", "2026-01-01").exits(0);
    let after = Published::open(&project.lake(), "acme");
    assert_eq!(number(&after, "silver.users"), users + 1);
    assert_eq!(number(&after, "silver.user_assignments"), assignments + 2);
    assert_eq!(number(&after, "silver.users WHERE user_id = 777 AND assignment_id = 9000"), 1);
    project.write("drop/analytics_users_20260102.csv", &format!("{header}{}", line(9001, 3)));
    project.run("acme", "2026-01-02").exits(0);
    let after = Published::open(&project.lake(), "acme");
    assert_eq!(number(&after, "silver.user_assignments"), assignments + 2);
    assert_eq!(number(&after, "silver.user_assignments WHERE assignment_id = 9000 AND manager_id = 2"), 1);
    assert_eq!(number(&after, "silver.user_assignments WHERE assignment_id = 9001 AND manager_id = 3"), 1);
    // The row of a person is of the last increment that has the person.
    assert_eq!(number(&after, "silver.users WHERE user_id = 777 AND assignment_id = 9001"), 1);
    assert_eq!(number(&after, "silver.users"), users + 1);
}
