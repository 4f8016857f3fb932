//! What a generated customer promises, checked on the files with a reader of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Rows of a file without its header; fields as they were meant.
struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(folder: &Path, source: Source) -> Self {
        let mut rows = parse(&fs::read_to_string(folder.join(source.file_name())).unwrap());
        let headers = rows.remove(0);
        for row in &rows {
            assert_eq!(row.len(), headers.len(), "{source}: {row:?}");
        }
        Self { headers, rows }
    }

    fn column(&self, header: &str) -> impl Iterator<Item = &str> {
        let index = self.headers.iter().position(|name| name == header).unwrap();
        self.rows.iter().map(move |row| row[index].as_str())
    }

    fn key(&self, headers: &[&str]) -> Vec<Vec<&str>> {
        let mut keys = vec![Vec::new(); self.rows.len()];
        for header in headers {
            for (key, value) in keys.iter_mut().zip(self.column(header)) {
                key.push(value);
            }
        }
        keys
    }

    fn distinct(&self, headers: &[&str]) -> HashSet<Vec<&str>> {
        self.key(headers).into_iter().collect()
    }
}

/// RFC 4180, one character at a time.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(character),
        }
    }
    assert!(!quoted && row.is_empty() && field.is_empty(), "the last line is cut off");
    rows
}

fn generated(profile: &str, seed: u64, scale: f64) -> (TempDir, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { profile: Profile::parse(profile).unwrap(), seed, scale };
    let summary = generate(&options, folder.path()).unwrap();
    (folder, summary)
}

fn rows_of(summary: &Summary) -> HashMap<&'static str, u64> {
    summary.files.iter().map(|file| (file.source.name(), file.rows)).collect()
}

const CSV_SOURCES: usize = 13;

#[test]
fn the_reference_customer_has_its_rows_at_any_seed() {
    let counts = include_str!("../../../fixtures/reference_counts.toml");
    let expected: HashMap<&str, u64> = counts
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, rows)| (name.trim_matches('"'), rows.parse().unwrap()))
        .collect();
    assert_eq!(expected.len(), 15);
    for seed in [1, 2, 77, u64::MAX] {
        let (folder, summary) = generated("reference", seed, 1.0);
        for (source, rows) in rows_of(&summary) {
            assert_eq!(rows, expected[format!("bronze.{source}").as_str()], "{source}, seed {seed}");
        }
        for &source in &Source::ALL[..CSV_SOURCES] {
            let rows = Table::read(folder.path(), source).rows.len() as u64;
            assert_eq!(rows, rows_of(&summary)[source.name()], "{source}, seed {seed}");
        }
        assert_eq!(walked_relationships(folder.path()), (3_057, 800, 3_937));
        assert_eq!(summary.relationships.total(), expected["silver.user_hierarchy"]);
    }
}

/// Self, direct and indirect relationships, by walking up from everybody.
fn walked_relationships(folder: &Path) -> (usize, usize, usize) {
    let users = Table::read(folder, Source::Users);
    let managers: HashMap<&str, &str> = users.column("User ID").zip(users.column("Manager ID")).collect();
    assert_eq!(managers.len(), users.rows.len(), "a user has two rows");
    let (mut direct, mut indirect) = (0, 0);
    for user in users.column("User ID") {
        let (mut current, mut seen) = (user, HashSet::from([user]));
        while let Some(&manager) = managers.get(current).filter(|manager| !manager.is_empty()) {
            assert!(managers.contains_key(manager), "the manager {manager} is not a user");
            assert!(seen.insert(manager), "{manager} is in a cycle");
            current = manager;
        }
        direct += usize::from(seen.len() > 1);
        indirect += seen.len().saturating_sub(2);
    }
    (managers.len(), direct, indirect)
}

#[test]
fn only_the_two_sources_have_exact_duplicates() {
    for (profile, scale, expected) in [("reference", 1.0, (32, 24)), ("customer-d", 0.1, (8, 4))] {
        let (folder, _) = generated(profile, 5, scale);
        for &source in &Source::ALL[..CSV_SOURCES] {
            let table = Table::read(folder.path(), source);
            let distinct: HashSet<_> = table.rows.iter().collect();
            let wanted = match source {
                Source::ProgOverview => expected.0,
                Source::SeminarAttendance => expected.1,
                _ => 0,
            };
            assert_eq!(table.rows.len() - distinct.len(), wanted, "{profile}: {source}");
        }
    }
}

#[test]
fn natural_keys_are_unique() {
    let keys: [(Source, &[&str], usize); 11] = [
        (Source::Users, &["User ID"], 0),
        (Source::CourseCompletions, &["User ID", "Course ID"], 0),
        (Source::CertCompletions, &["User ID", "Certification ID"], 0),
        (Source::ProgCompletions, &["User ID", "Program ID"], 0),
        (Source::ProgOverview, &["Program ID", "User ID", "Course ID"], 32),
        (Source::CertOverview, &["Certification ID", "User ID", "Course ID"], 0),
        (Source::Audiences, &["Audience ID", "User ID"], 0),
        (Source::CompetencyRatings, &["User ID", "Competency ID"], 0),
        (Source::Organisations, &["Organisation ID"], 0),
        (Source::Positions, &["Position ID"], 0),
        (Source::NullDates, &["Seq"], 0),
    ];
    let (folder, _) = generated("reference", 9, 1.0);
    for (source, headers, duplicates) in keys {
        let table = Table::read(folder.path(), source);
        assert_eq!(table.distinct(headers).len() + duplicates, table.rows.len(), "{source}");
    }
    let users = Table::read(folder.path(), Source::Users);
    let assignments: Vec<_> = users.column("Assignment ID").filter(|id| !id.is_empty()).collect();
    assert_eq!(assignments.iter().collect::<HashSet<_>>().len(), assignments.len());
}

#[test]
fn references_hit_about_as_often_as_in_a_real_export() {
    let (folder, _) = generated("reference", 1, 1.0);
    let read = |source| Table::read(folder.path(), source);
    let users = read(Source::Users);
    let user_ids: HashSet<_> = users.column("User ID").collect();
    for source in [
        Source::CourseCompletions,
        Source::CertCompletions,
        Source::ProgCompletions,
        Source::ProgOverview,
        Source::CertOverview,
        Source::Scorm,
        Source::SeminarAttendance,
        Source::Audiences,
        Source::CompetencyRatings,
    ] {
        assert!(read(source).column("User ID").all(|user| user_ids.contains(user)), "{source}");
    }
    let share = |from: &Table, to: &Table, key: &[&str]| {
        let there = to.distinct(key);
        let hits = from.key(key).iter().filter(|&key| there.contains(key)).count();
        hits * 100 / from.rows.len()
    };
    let (courses, programs, certifications) =
        (read(Source::CourseCompletions), read(Source::ProgCompletions), read(Source::CertCompletions));
    let (program_overview, certification_overview) = (read(Source::ProgOverview), read(Source::CertOverview));
    let course_key = ["User ID", "Course ID"];
    assert_eq!(share(&program_overview, &programs, &["User ID", "Program ID"]), 100);
    assert_eq!(share(&certification_overview, &certifications, &["User ID", "Certification ID"]), 100);
    assert!((90..100).contains(&share(&programs, &program_overview, &["User ID", "Program ID"])));
    assert!((90..100).contains(&share(&certifications, &certification_overview, &["User ID", "Certification ID"])));
    assert!((60..=80).contains(&share(&program_overview, &courses, &course_key)));
    assert!((25..=45).contains(&share(&courses, &program_overview, &course_key)));
    assert!((60..=99).contains(&share(&read(Source::Scorm), &courses, &course_key)));
    assert!((60..=100).contains(&share(&read(Source::SeminarAttendance), &courses, &course_key)));
}

#[test]
fn due_dates_of_overview_and_completions_agree() {
    let (folder, _) = generated("reference", 1, 1.0);
    let overview = Table::read(folder.path(), Source::ProgOverview);
    let programs = Table::read(folder.path(), Source::ProgCompletions);
    let key = ["User ID", "Program ID"];
    let due: HashMap<_, _> = programs.key(&key).into_iter().zip(programs.column("Time due")).collect();
    for (key, date) in overview.key(&key).into_iter().zip(overview.column("Due date")) {
        assert_eq!(due[&key], date);
    }
}

#[test]
fn organisations_and_positions_are_consistent_trees() {
    for scale in [0.01, 1.0] {
        let (folder, _) = generated("reference", 4, scale);
        check_tree(folder.path(), Source::Organisations, "Organisation ID", "Parent ID number", "Organisation", 2);
        check_tree(folder.path(), Source::Positions, "Position ID", "Position Parent ID", "Position", 1);
    }
}

fn check_tree(folder: &Path, source: Source, id: &str, parent: &str, prefix: &str, roots: usize) {
    let table = Table::read(folder, source);
    let paths: HashMap<_, _> = table.column(id).zip(table.column(&format!("{prefix} Path"))).collect();
    let depth = format!("{prefix} Depth Level");
    let rows = table.column(id).zip(table.column(parent)).zip(table.column(&depth));
    let mut found_roots = 0;
    for ((id, parent), depth) in rows {
        let expected = match paths.get(parent) {
            Some(above) => format!("{above}|{id}"),
            None => {
                assert_eq!(parent, "0");
                found_roots += 1;
                id.to_owned()
            }
        };
        assert_eq!(paths[id], expected);
        assert_eq!(depth, expected.split('|').count().to_string());
    }
    assert_eq!(found_roots, roots, "{source}");
}

#[test]
fn every_known_value_is_there() {
    let known: [(Source, &str, &[&str]); 6] = [
        (Source::Users, "User Status", &["Active", "Suspended", "Deleted"]),
        (
            Source::CourseCompletions,
            "Completion Status",
            &["Not yet started", "In progress", "Complete", "Complete via rpl"],
        ),
        (Source::ProgCompletions, "Status", &["Complete", "Not complete"]),
        (
            Source::CertCompletions,
            "Status",
            &["Certified", "In progress", "Not certified", "Expired", "Window is open"],
        ),
        (Source::Scorm, "SCO Status", &["Passed", "Completed", "Not Attempted", "Browsed", "Incomplete", "Failed", ""]),
        (
            Source::SeminarAttendance,
            "Session attendance",
            &["Fully attended", "Partially attended", "Unable to attend", "No show", "Not set"],
        ),
    ];
    for seed in [1, 8] {
        let (folder, _) = generated("reference", seed, 1.0);
        for (source, header, values) in known {
            let table = Table::read(folder.path(), source);
            let found: HashSet<_> = table.column(header).collect();
            assert_eq!(found, values.iter().copied().collect(), "{source}");
        }
        let users = Table::read(folder.path(), Source::Users);
        assert_eq!(users.rows[0][..4], ["1", "Guest user  ", "Guest user", " "]);
        assert_eq!(users.column("Manager Name").filter(|&name| name == " ").count(), 3_057 - 800);
        assert!(users.column("Assignment ID").filter(|id| id.is_empty()).count() > 10);
    }
    let (folder, _) = generated("reference", 1, 1.0);
    let null_dates = fs::read_to_string(folder.path().join("null_dates.csv")).unwrap();
    assert_eq!(null_dates, "Seq,Date\n1,'1900-01-01'\n2,\n3,'1900-01-01'\n");
}

#[test]
fn times_lie_between_the_first_year_and_the_day_of_the_export() {
    let (folder, _) = generated("reference", 1, 1.0);
    let mut years = HashSet::new();
    let mut inverted = 0;
    let sortable = |time: &str| {
        assert_eq!((time.len(), &time[2..3], &time[5..6], &time[10..12]), (20, "/", "/", ", "), "{time}");
        format!("{}{}{}{}", &time[6..10], &time[3..5], &time[..2], &time[12..])
    };
    for &source in &Source::ALL[1..10] {
        let table = Table::read(folder.path(), source);
        let times = table.headers.iter().filter(|header| {
            (header.starts_with("Time ") || header.contains("Date"))
                && !["Time due", "Time Expires"].contains(&header.as_str())
        });
        for header in times.filter(|header| !header.contains("Due")) {
            for time in table.column(header).filter(|time| !time.is_empty()).map(sortable) {
                assert!(("2016010100:00:00".."2025063024").contains(&time.as_str()), "{source} {header} {time}");
                years.insert(time[..4].to_owned());
            }
        }
    }
    let courses = Table::read(folder.path(), Source::CourseCompletions);
    for (started, completed) in courses.column("Time started").zip(courses.column("Time completed")) {
        if !started.is_empty() && !completed.is_empty() {
            inverted += usize::from(sortable(completed) < sortable(started));
        }
    }
    assert_eq!(years.len(), 10);
    assert!((5..200).contains(&inverted), "{inverted} completions before their start");
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let (first, _) = generated("reference", 3, 0.2);
    let (second, _) = generated("reference", 3, 0.2);
    let (other, _) = generated("reference", 4, 0.2);
    let read = |folder: &TempDir, source: Source| fs::read(folder.path().join(source.file_name())).unwrap();
    for source in Source::ALL {
        assert!(read(&first, source) == read(&second, source), "{source} differs");
        let fixed = matches!(source, Source::NullDates | Source::Dimdates);
        assert_eq!(read(&first, source) == read(&other, source), fixed, "{source}");
    }
}

#[test]
fn profiles_scale_down() {
    let (folder, summary) = generated("customer-b", 1, 0.01);
    let rows = rows_of(&summary);
    assert_eq!((rows["users"], rows["course_completions"], rows["scorm"]), (179, 8_113, 2_997));
    assert_eq!((rows["cert_completions"], rows["prog_completions"], rows["cert_overview"]), (3_976, 1_379, 37_322));
    let courses = Table::read(folder.path(), Source::CourseCompletions);
    assert_eq!(courses.distinct(&["User ID", "Course ID"]).len(), 8_113);
    let relationships = walked_relationships(folder.path());
    let expected = summary.relationships;
    assert_eq!(relationships.0 as u64, expected.itself);
    assert_eq!((relationships.1 as u64, relationships.2 as u64), (expected.direct, expected.indirect));
    assert_eq!(generated("customer-h", 1, 0.001).1.files[7].rows, 0);
}

#[test]
fn every_profile_can_be_tiny() {
    for profile in Profile::names() {
        for scale in [1e-7, 1e-3] {
            let (folder, summary) = generated(profile, 1, scale);
            assert!(rows_of(&summary)["users"] >= 10);
            for &source in &Source::ALL[..CSV_SOURCES] {
                let rows = Table::read(folder.path(), source).rows.len() as u64;
                assert_eq!(rows, rows_of(&summary)[source.name()], "{profile} at {scale}: {source}");
            }
        }
    }
}
