//! `doctor`: what may keep customers from being published is found before it does.

use std::fs;
use std::path::PathBuf;

use medallion_lake::Lake;
use serde_json::Value;

use crate::case::Case;
use crate::project::{Answer, Project, fixture};

const AS_OF: &str = "2025-06-30";

fn doctor(project: &Project, options: &[&str]) -> Answer {
    let lake = project.lake();
    project.medallion(["doctor", "--lake", lake.to_str().unwrap()].iter().chain(options))
}

/// Everything that was found with a severity: check, customer and message.
fn found(project: &Project, severity: &str) -> Vec<String> {
    let answer = doctor(project, &["--format", "json"]);
    let findings: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let has_errors = findings.iter().any(|finding| finding["severity"] == "error");
    let findings = findings.iter().filter(|finding| finding["severity"] == severity);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |finding: &Value| {
        let hint = &finding["hint"];
        assert!(severity == "ok" || hint.is_string() || finding["check"] == "configuration", "{finding}");
        format!("{} {}: {}", text(&finding["check"]), text(&finding["customer"]), text(&finding["message"]))
    };
    let lines = findings.map(line).collect();
    let answer = answer.exits(i32::from(has_errors));
    assert_eq!(answer.messages, "", "findings are data");
    lines
}

#[track_caller]
fn check(lines: &[String], parts: &[&str]) {
    assert!(
        lines.iter().any(|line| parts.iter().all(|part| line.contains(part))),
        "no line with {parts:?} among\n{}",
        lines.join("\n")
    );
}

/// A file below the customer's `_medallion`.
fn medallion(project: &Project, name: &str) -> PathBuf {
    project.lake().join("star/_medallion").join(name)
}

#[test]
fn a_project_that_is_well_is_told_so() {
    let project = Case::published("star");
    let answer = doctor(&project, &[]).exits(0);
    assert!(answer.output.ends_with(" checks, 0 warnings, 0 errors\n"), "{}", answer.output);
    let well = found(&project, "ok");
    for parts in [
        &["pipeline -", "totara: 14 sources"][..],
        &["configuration star", "sound"],
        &["drop_folder star", "14 files of 13 sources"],
        &["lake star", "can be written"],
        &["disk star", "are free"],
        &["lock star", "nobody writes"],
        &["last_run star", "succeeded"],
        &["release star", "release 1 was published"],
        &["isolation star", "are the customer's own"],
        &["isolation -", "no folder of a customer"],
        &["clock -", "20"],
    ] {
        check(&well, parts);
    }
    let before = fs::metadata(medallion(&project, "lock")).unwrap().modified().unwrap();
    doctor(&project, &["-c", "star"]).exits(0);
    assert_eq!(fs::metadata(medallion(&project, "lock")).unwrap().modified().unwrap(), before, "nothing is changed");
}

#[test]
fn all_that_is_wrong_with_the_files_is_told_at_once() {
    let project = Case::published("star");
    project.write("customers/one.toml", "source = \"in\"\nnam = \"x\"\n");
    project.write("customers/two.toml", "source = \"${NOT_SET_ANYWHERE}/in\"\n");
    project.write("customers/Three.toml", "source = \"in\"\n");
    project.add_customer("four", &project.path("nowhere"), "");
    project.add_customer("five", &project.path("customers"), "[silver.user]\nnull_markers = []\n");
    let errors = found(&project, "error");
    for parts in [
        &["configuration one", "one.toml:2:1", "`nam`"][..],
        &["configuration two", "${NOT_SET_ANYWHERE}", "is not set"],
        &["configuration Three", "not a customer id"],
        &["drop_folder four", "nowhere"],
        &["configuration five", "silver.user"],
    ] {
        check(&errors, parts);
    }
    assert_eq!(errors.len(), 5, "{errors:?}");
    check(&found(&project, "warning"), &["release four", "nothing was published yet"]);
    check(&found(&project, "ok"), &["last_run star", "succeeded"]);
    doctor(&project, &["-c", "star"]).exits(0);
    doctor(&project, &["-c", "one"]).exits(1);
    doctor(&project, &["-c", "nobody"]).exits(1);
    doctor(&project, &["-c", "../star"]).exits(2).says(&["not a customer id"]);
    doctor(&project, &["--stale-after", "soon"]).exits(2).says(&["hours or days"]);

    project.write("medallion.toml", "laek = \"x\"\n");
    check(&found(&project, "error"), &["configuration -", "medallion.toml:1:1", "laek"]);
    project.write("medallion.toml", "pipeline = \"totra\"\n");
    check(&found(&project, "error"), &["pipeline -", "totra"]);
}

#[test]
fn a_project_without_customers_is_no_failure() {
    let project = Project::new();
    check(&found(&project, "warning"), &["no customers"]);
}

#[test]
fn customers_that_could_reach_each_other_are_told() {
    let project = Case::published("star");
    project.add_customer("twin", &fixture("star/in"), "");
    project.add_customer("inside", &project.lake().join("star/gold"), "");
    let errors = found(&project, "error");
    check(&errors, &["isolation", "the drop folder of customer", "is also", "twin", "star"]);
    check(&errors, &["isolation inside", "lies in the lake"]);
    let answer = doctor(&project, &["-c", "star", "--format", "csv"]).exits(1);
    assert!(answer.output.contains("twin") && !answer.output.contains("inside"), "{}", answer.output);
}

#[cfg(unix)]
#[test]
fn what_leads_out_of_a_lake_is_told() {
    let project = Case::published("star");
    let table = project.lake().join("star/gold/dim_user");
    std::os::unix::fs::symlink(project.path("customers"), table.join("deep")).unwrap();
    check(&found(&project, "error"), &["isolation star", "gold/dim_user/deep is a link"]);
    fs::remove_file(table.join("deep")).unwrap();
    let log = table.join("_delta_log/00000000000000000000.json");
    let text = fs::read_to_string(&log).unwrap();
    let at = text.find("\"path\":\"").unwrap() + "\"path\":\"".len();
    fs::write(&log, format!("{}../../../globex/{}", &text[..at], &text[at..])).unwrap();
    check(&found(&project, "error"), &["isolation star", "00000000000000000000.json", "outside its table"]);
    fs::write(&log, text).unwrap();
    assert_eq!(found(&project, "error"), [""; 0]);
    fs::rename(project.lake().join("star/gold"), project.path("gold")).unwrap();
    std::os::unix::fs::symlink(project.path("gold"), project.lake().join("star/gold")).unwrap();
    check(&found(&project, "error"), &["isolation star", "star/gold is a symbolic link"]);
}

#[test]
fn runs_that_failed_hang_or_were_killed_are_told() {
    let project = Case::published("star");
    let lake = Lake::open(project.lake().to_str().unwrap(), "star").unwrap();
    let lock = lake.lock("nightly-42").unwrap();
    let well = found(&project, "ok");
    check(&well, &["lock star", "nightly-42", &format!("process {}", std::process::id())]);
    check(&well, &["last_run star", "nightly-42 is at work"]);
    drop(lock);
    fs::create_dir(medallion(&project, "runs/29990101T000000Z-aa")).unwrap();
    check(&found(&project, "warning"), &["last_run star", "29990101T000000Z-aa was killed"]);
    fs::remove_dir(medallion(&project, "runs/29990101T000000Z-aa")).unwrap();
    fs::write(medallion(&project, "journal.json"), "{}").unwrap();
    check(&found(&project, "warning"), &["journal star", "stopped while it published"]);
    fs::remove_file(medallion(&project, "journal.json")).unwrap();

    project.add_customer("star", &project.path("customers"), "");
    project.run("star", AS_OF).exits(0);
    project.add_customer("star", &project.path("nowhere"), "");
    project.run("star", AS_OF).exits(1);
    let errors = found(&project, "error");
    check(&errors, &["last_run star", "failed", "nowhere"]);
    check(&errors, &["drop_folder star", "nowhere"]);
}

#[test]
fn releases_that_are_old_or_of_the_future_are_told() {
    let project = Case::published("star");
    let file = medallion(&project, "releases/00000001.json");
    let mut release: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let mut publish_at = |time: String| {
        release["published_at"] = time.into();
        fs::write(&file, release.to_string()).unwrap();
    };
    let hours_ago = |hours: i64| (chrono::Utc::now() - chrono::TimeDelta::hours(hours)).to_rfc3339();
    publish_at(hours_ago(37));
    check(&found(&project, "warning"), &["release star", "37 hours ago"]);
    assert!(doctor(&project, &["--stale-after", "2d"]).exits(0).output.contains("0 warnings"));
    publish_at(hours_ago(35));
    assert_eq!(found(&project, "warning"), [""; 0]);
    publish_at(hours_ago(-2));
    check(&found(&project, "error"), &["clock star", "in the future"]);
}
