//! What stands in the drop folder before a run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::expectation::{Night, Special, SpecialKind};

/// 2025-06-30T01:00:00Z, when the files of the first night were last written.
const FIRST_NIGHT: u64 = 1_751_245_200;
const DAY: u64 = 86_400;

/// Removes, copies, makes and dates what a night brings, counted from 1.
pub(super) fn deliver(drop: &Path, folder: &Path, number: usize, night: &Night) {
    remove(drop, &night.remove);
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_NIGHT + DAY * (number as u64 - 1));
    if folder.exists() {
        copy(folder, drop, moment);
    }
    for special in &night.special {
        make(drop, special);
    }
    for (name, moment) in &night.modified {
        let moment = match moment.as_str() {
            "now" => SystemTime::now(),
            text => chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}")).into(),
        };
        date(&drop.join(name), moment);
    }
}

/// Copies the files of a folder, as written at the first night's moment.
pub(super) fn copy_first_night(from: &Path, to: &Path) {
    copy(from, to, SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_NIGHT));
}

/// Removes what matches; a pattern that matches nothing is a mistake in the case.
pub(super) fn remove(drop: &Path, patterns: &[String]) {
    for pattern in patterns {
        let names = names(drop).into_iter().filter(|name| matches(&pattern.to_lowercase(), &name.to_lowercase()));
        let removed = names.map(|name| fs::remove_file(drop.join(name)).unwrap()).count();
        assert!(removed > 0, "nothing in the drop folder is called {pattern}");
    }
}

fn copy(from: &Path, to: &Path, moment: SystemTime) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        // Not fs::copy: the copy is writable whatever the original is.
        fs::write(to.join(&name), fs::read(from.join(&name)).unwrap()).unwrap();
        date(&to.join(&name), moment);
    }
}

/// The names in a folder.
pub(super) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn date(path: &Path, moment: SystemTime) {
    let file = File::options().write(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display())).set_modified(moment).unwrap();
}

fn make(drop: &Path, special: &Special) {
    let path = drop.join(&special.name);
    match (special.kind, &special.to) {
        (SpecialKind::Folder, None) => fs::create_dir(path).unwrap(),
        (SpecialKind::Link, Some(to)) => symlink(to, path).unwrap(),
        (SpecialKind::Pipe, None) => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        _ => panic!("{}: a link leads somewhere, nothing else does", special.name),
    }
}

/// Whether a name is what the pattern says; `*` is any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
        }),
    }
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, expected) in [
        ("a*.csv", "ab.csv", true),
        ("a*.csv", "a.csv", true),
        ("a*.csv", "a.csv.gz", false),
        ("*b*", "abc", true),
        ("abc", "abcd", false),
        ("*c", "abcbc", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}
