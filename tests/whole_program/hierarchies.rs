//! What a run tells about hierarchies; their rows are in the cases `hierarchy` and `deep_hierarchy`.

use std::fmt::Write as _;
use std::fs;

use crate::case::Case;
use crate::project::Project;

/// Kind and number of the findings in `run_results.json`, and their sentences.
fn findings(project: &Project, customer: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let results = project.results(customer, 1);
    let found = results["tables"]["silver.hierarchy_findings"]["findings"].as_array().unwrap().clone();
    let kinds = found.iter().map(|one| (one["rule"].as_str().unwrap().to_owned(), one["rows"].as_u64().unwrap()));
    let samples = found.iter().flat_map(|one| one["samples"].as_array().unwrap());
    (kinds.collect(), samples.map(|sample| sample.as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_run_tells_of_every_oddity() {
    let project = Case::read("hierarchy").project();
    let cycle = "silver.user_hierarchy: 3 ids stand above themselves, child before parent: 7 -> 8 -> 9 -> 7";
    project.run("hierarchy", "2025-06-30").exits(0).says(&[cycle]);
    let (kinds, sentences) = findings(&project, "hierarchy");
    let expected =
        [("cycle", 4), ("parent_not_a_node", 2), ("path_mismatch", 2), ("self_parent", 4), ("several_parents", 3)];
    assert_eq!(kinds, expected.map(|(kind, rows)| (kind.to_owned(), rows)));
    for sentence in [
        cycle,
        "silver.position_hierarchy: 2 ids stand above themselves, child before parent: 20 -> 21 -> 20",
        "silver.user_hierarchy: 60 is not in the table of nodes but is the parent of 6",
        "silver.user_hierarchy: 15 has 2 parents: 3, 18",
        "silver.user_hierarchy: 19 names itself as its parent, which counts as having none",
        "silver.position_hierarchy: the path of 20 begins with 20, whose parent column says 21",
    ] {
        assert!(sentences.iter().any(|found| found == sentence), "'{sentence}' is not in {sentences:#?}");
    }
}

#[test]
fn a_run_tells_who_is_too_deep() {
    let (kinds, sentences) = findings(&Case::published("deep_hierarchy"), "deep_hierarchy");
    let expected = [("cycle", 1), ("depth_outlier", 2), ("path_mismatch", 3), ("several_parents", 1)];
    assert_eq!(kinds, expected.map(|(kind, rows)| (kind.to_owned(), rows)));
    let deep = "silver.user_hierarchy: 22 is 21 levels below its furthest ancestor, more than max_depth = 20";
    assert!(sentences.iter().any(|found| found == deep), "{sentences:#?}");
}

/// 100,000 users have 5,000,050,000 relationships, ten times what is allowed.
#[test]
fn a_chain_beyond_the_limit_fails_the_run_and_names_the_limit() {
    let project = Case::read("hierarchy").project();
    let source = project.path("deep");
    fs::create_dir(&source).unwrap();
    for file in fs::read_dir(crate::project::fixture("hierarchy/in")).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, source.join(file.file_name().unwrap())).unwrap();
    }
    let users = source.join("analytics_users_20250630.csv");
    let mut text = fs::read_to_string(&users).unwrap().lines().next().unwrap().to_owned();
    for id in 1..=100_000 {
        let manager = if id > 1 { (id - 1).to_string() } else { String::new() };
        write!(text, "\n{id},U {id},U,{id},Active,{id},Job,,,,,{manager},").unwrap();
    }
    fs::write(&users, text).unwrap();
    let answer = project.ask("run", "hierarchy", &["--source", source.to_str().unwrap(), "--as-of", "2025-06-30"]);
    answer.exits(1).says(&["hierarchy", "silver.user_hierarchy", "500000000", "max_relationships"]);
    assert_eq!(project.releases("hierarchy"), [0_u64; 0]);
}
