//! `watch`: customers run when their exports are there.
#![cfg(unix)]

use serde_json::json;

use crate::fleets::{Running, add_sound, deliver, deliver_people, project};

/// Looks often, so that tests need not wait long.
const OFTEN: [&str; 6] = ["--interval", "50ms", "--settle", "300ms", "--as-of", "2025-06-30"];

#[test]
fn customers_are_run_when_their_folders_are_complete() {
    let project = project();
    for customer in ["a", "b"] {
        let folder =
            project.write(&format!("drop/{customer}/visits_20250630.csv"), "visit_id,person_id,place\n1,1,Hall\n");
        project.add_customer(customer, folder.parent().unwrap(), "");
    }
    project.write("customers/typo.toml", "sorce = \"drop\"\n");
    let mut watch = Running::start(&project, &[&["watch", "--all", "--jobs", "1"], &OFTEN[..]].concat());
    let waiting = watch.wait_for("waiting", "a");
    assert_eq!(waiting["message"], "there is no file yet for people");
    let typo = watch.wait_for("customer_ended", "typo");
    assert_eq!((&typo["exit_code"], &typo["status"]), (&json!(2), &json!("failed")));

    deliver_people(&project, "a", 40);
    let ended = watch.wait_for("customer_ended", "a");
    assert_eq!((&ended["status"], &ended["release"]), (&json!("published"), &json!(1)));
    // What is broken stays broken until something changes: in the meantime another customer has its turn, twice.
    project.write("drop/a/people_20250630.csv", "person_id,name\n1,Ada\n");
    assert_eq!(watch.wait_for("customer_ended", "a")["exit_code"], 1);
    for people in [20, 30] {
        deliver_people(&project, "b", people);
        assert_eq!(watch.wait_for("customer_ended", "b")["status"], "published");
    }
    let of_a = |event: &str| {
        let is_it = |line: &&serde_json::Value| line["event"] == event && line["customer"] == "a";
        watch.log.iter().filter(is_it).count()
    };
    assert_eq!((of_a("customer_started"), of_a("customer_ended")), (2, 2), "{:#?}", watch.log);
    deliver_people(&project, "a", 50);
    assert_eq!(watch.wait_for("customer_ended", "a")["release"], 2);

    // Customers come, and files are mended, while it watches.
    add_sound(&project, "typo");
    assert_eq!(watch.wait_for("customer_ended", "typo")["status"], "published");
    watch.signal("TERM");
    let (answer, _) = watch.end();
    answer.exits(0);
    assert_eq!((project.releases("a"), project.releases("b")), (vec![1, 2], vec![1, 2]));
}

#[test]
fn files_that_wait_are_waited_for() {
    let project = project();
    add_sound(&project, "a");
    project.add_customer("a", &project.path("drop/a"), "ready = \"done\"\n");
    let mut watch = Running::start(&project, &[&["watch", "-c", "a", "--once"], &OFTEN[..]].concat());
    let waiting = watch.wait_for("waiting", "a");
    assert!(waiting["message"].as_str().unwrap().contains("there is no people_20250630.csv.done yet"), "{waiting}");
    project.write("drop/a/people_20250630.csv.done", "");
    let waiting = watch.wait_for("waiting", "a");
    assert!(waiting["message"].as_str().unwrap().contains("visits_20250630.csv.done"), "{waiting}");
    project.write("drop/a/visits_20250630.csv.done", "");
    watch.end().0.exits(0);
    assert_eq!(project.releases("a"), [1]);
}

#[test]
fn a_run_that_is_cut_short_exits_with_130() {
    let project = project();
    deliver(&project, "a", 400_000);
    project.add_customer("a", &project.path("drop/a"), "");
    let mut watch = Running::start(&project, &[&["watch", "-c", "a"], &OFTEN[..]].concat());
    watch.wait_for("run_started", "a");
    watch.signal("TERM");
    watch.end().0.exits(130);
    assert!(project.releases("a").is_empty());
}

#[test]
fn once_ends_like_a_run_of_the_customers() {
    let project = project();
    add_sound(&project, "a");
    add_sound(&project, "b");
    project.write("drop/b/people_20250630.csv", "");
    let watch = |options: &[&str]| project.medallion(["watch", "--once"].iter().chain(options).chain(&OFTEN));
    watch(&["-c", "b"]).exits(1).says(&["people_20250630.csv is empty"]);
    watch(&["--all"]).exits(3);
    watch(&["-c", "a"]).exits(0).says(&["a: nothing has changed"]);
    watch(&["-c", "a", "--interval", "0s"]).exits(2).says(&["--interval"]);
    project.medallion(["watch"]).exits(2).says(&["--customer", "--all"]);
}
