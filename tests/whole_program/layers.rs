//! Who may use whom: `cli -> runner -> {bronze | silver | gold} -> {sql, lake} -> pipeline`.

use std::process::Command;

use serde_json::{Value, json};

/// The crates from the bottom up; a crate may use those that stand lower, never one beside it.
const LEVELS: [&[&str]; 5] = [
    &["medallion-pipeline"],
    &["medallion-sql", "medallion-lake"],
    &["medallion-bronze", "medallion-silver", "medallion-gold"],
    &["medallion-runner"],
    &["medallion"],
];

/// Stands beside the levels: it uses none of our crates.
const GENERATOR: &str = "medallion-datagen";

/// Libraries with the only crates that may use them.
const RESERVED: [(&str, &[&str]); 5] = [
    ("deltalake", &["medallion-lake"]),
    ("object_store", &["medallion-lake"]),
    ("datafusion", &["medallion-sql"]),
    ("polars", &["medallion-bronze", "medallion-silver"]),
    ("anyhow", &["medallion"]),
];

#[test]
fn crates_use_only_what_is_below_them() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", manifest];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = violations(&metadata);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let mut crates: Vec<&str> = packages(&metadata).map(name).collect();
    let mut known: Vec<&str> = LEVELS.concat();
    known.push(GENERATOR);
    crates.sort_unstable();
    known.sort_unstable();
    assert_eq!(crates, known);
}

#[test]
fn a_crate_that_uses_what_it_may_not_is_found() {
    let package = |name: &str, uses: &[&str]| {
        let dependencies: Vec<Value> = uses.iter().map(|name| json!({ "name": name })).collect();
        json!({"name": name, "dependencies": dependencies})
    };
    let sound = [
        package("medallion", &["medallion-runner", "medallion-lake", "medallion-datagen", "anyhow"]),
        package("medallion-silver", &["medallion-lake", "medallion-pipeline", "polars"]),
        package("medallion-sql", &["medallion-pipeline", "datafusion"]),
    ];
    assert_eq!(violations(&json!({ "packages": sound })), [""; 0]);
    for (user, used) in [
        ("medallion-silver", "medallion-bronze"),
        ("medallion-sql", "medallion-lake"),
        ("medallion-lake", "medallion-runner"),
        ("medallion-runner", "medallion-datagen"),
        ("medallion-datagen", "medallion-pipeline"),
        ("medallion-runner", "datafusion-common"),
        ("medallion-runner", "anyhow"),
        ("medallion-other", "medallion-pipeline"),
    ] {
        let found = violations(&json!({ "packages": [package(user, &[used])] }));
        assert_eq!(found, [format!("{user} must not use {used}")]);
    }
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().unwrap().iter()
}

fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap()
}

/// Every dependency counts, those of tests and builds too.
fn violations(metadata: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    for package in packages(metadata) {
        for used in package["dependencies"].as_array().unwrap() {
            let (user, used) = (name(package), name(used));
            let ours = used == "medallion" || used.starts_with("medallion-");
            let allowed = if ours { may_use_ours(user, used) } else { may_use_library(user, used) };
            if !allowed {
                violations.push(format!("{user} must not use {used}"));
            }
        }
    }
    violations
}

fn may_use_ours(user: &str, used: &str) -> bool {
    let level = |name: &str| LEVELS.iter().position(|level| level.contains(&name));
    match (level(user), level(used)) {
        (Some(user), Some(used)) => used < user,
        (Some(_), None) => user == "medallion" && used == GENERATOR,
        (None, _) => false,
    }
}

fn may_use_library(user: &str, used: &str) -> bool {
    let part_of = |library: &str| used == library || used.starts_with(&format!("{library}-"));
    RESERVED.iter().all(|(library, users)| !part_of(library) || users.contains(&user))
}
