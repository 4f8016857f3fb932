//! The catalogue of broken and odd files, `fixtures/arrivals`: each case through the whole program, night by night.

mod check;
mod delivery;
mod expectation;
mod results;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use check::{Check, Contents, differing, listed};
use delivery::{matches, names};
use expectation::{Case, Gold, Kind, Night};
use results::Results;

use crate::project::{Answer, Project, fixture};
use crate::rows::Published;

const CUSTOMER: &str = "acme";
/// The fiscal years of the case `star`, whose tables the plain export's are.
const FISCAL_YEARS: &str = "\n[fiscal_year]\nstart_month = 1\nfirst = 2021\nlast = 2026\n";

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        const CASES: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                try_case(stringify!($name));
            }
        )+
    };
}

cases!(
    all_quoted,
    archive_is_a_link,
    archived,
    as_old_as_allowed_passes,
    blank_lines,
    bomb_gzip,
    bomb_zstd,
    claimed_twice,
    column_missing,
    copies_beside_original,
    copies_deleted,
    cr_only,
    crlf,
    cut_inside_the_last_line_end,
    damage_after_a_field_of_9_mb,
    damage_in_second_part,
    dangling_link,
    dated_in_the_future,
    deleted,
    done_marker_missing,
    done_markers,
    empty_file_optional,
    empty_file_required,
    field_beyond_limit_in_quotes,
    folder_called_manifest,
    folder_with_a_name,
    frozen,
    gzip,
    gzip_called_csv,
    gzip_checksum,
    gzip_cut_off,
    gzip_two_members,
    gzip_with_text_after_it,
    gzip_zero_padding,
    header_cut_off,
    header_only_again,
    header_only_optional,
    headers_curly_apostrophe,
    headers_reordered,
    headers_rewritten,
    invalid_utf8,
    kept_after_a_failure,
    known_header_twice,
    known_parts,
    last_line_cut_off,
    limit_columns,
    limit_columns_of_table,
    limit_field,
    limit_file,
    limit_rejects,
    limit_window,
    limit_workbook,
    line_after_line_feed_in_quotes,
    link_inside,
    link_outside,
    lone_surrogate,
    manifest,
    manifest_with_wrong_sum,
    manifest_without_a_file,
    mark_and_sep_line,
    mark_wins_over_declaration,
    mixed_line_ends,
    nameless_column,
    nameless_column_frozen,
    names_in_upper_case,
    new_column,
    new_column_like_audit_column,
    new_column_rewritten,
    new_column_then_gone,
    new_column_with_odd_name,
    new_columns_of_one_name,
    new_columns_that_clash,
    no_last_line_end,
    nul_byte,
    older_export_again,
    older_export_under_newer_date,
    older_unusable,
    older_unusable_later,
    one_part_is_new,
    only_a_link,
    only_a_mark,
    only_blank_lines,
    open_quote,
    open_quote_before_other_quotes,
    open_quote_in_last_record,
    open_quote_twice,
    optional_columns_missing,
    part_after_base,
    part_missing,
    part_missing_between,
    parts,
    parts_with_columns_in_another_order,
    pipe_with_a_name,
    plain_called_gz,
    quote_inside_a_field,
    record_inside_a_quoted_field,
    rescued,
    resent_renamed,
    retained_batches,
    retired_export_under_its_own_date,
    retired_export_under_newer_date,
    same_content_of_two_dates,
    same_name_new_content,
    semicolon,
    sep_line,
    settled_passes,
    settling_newer,
    settling_optional,
    settling_part,
    settling_required,
    settling_with_batch,
    several_known_encodings,
    several_lines_and_a_field_too_few,
    several_lines_and_a_field_too_many,
    several_nights,
    several_nights_deleted,
    shrunk,
    shrunk_below_min_rows_passes,
    shrunk_by_rejects,
    shrunk_then_better,
    shrunk_to_the_ratio_passes,
    stray_carriage_return,
    tab,
    text_after_a_closing_quote,
    too_few_fields,
    too_many_fields,
    too_old,
    too_old_at_first,
    touched,
    trailing_separator,
    two_contents_of_one_name,
    two_exports_of_one_date,
    unclaimed,
    utf16_big_endian,
    utf16_cut_inside_a_character,
    utf16_declared,
    utf16_little_endian,
    utf16_without_mark,
    utf8_declared,
    utf8_mark,
    windows_1252_declared,
    windows_1252_found,
    workbook_called_csv,
    workbook_cell_far_away,
    workbook_column_missing,
    workbook_corrupt,
    workbook_reordered,
    workbook_sheet_missing,
    workbook_with_empty_rows,
    zstd,
    zstd_called_gz,
    zstd_garbage,
    zstd_two_frames,
);

#[test]
fn every_case_of_the_catalogue_is_tried_and_listed() {
    let folders = fs::read_dir(fixture("arrivals")).unwrap();
    let found: BTreeSet<String> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, CASES.iter().map(|name| (*name).to_owned()).collect());
    let list = fs::read_to_string(fixture("README.md")).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let specification = words(&fs::read_to_string(fixture("../docs/arrivals.md")).unwrap());
    for case in CASES.iter().map(|name| Case::read(name)) {
        let line = format!("| `{}` | {} |", case.name, case.file.description);
        assert!(list.contains(&line), "fixtures/README.md lacks the line\n{line}");
        assert!(!case.file.rules.is_empty(), "{} covers no rule", case.name);
        let unknown: Vec<_> = case.file.rules.iter().filter(|rule| !specification.contains(&words(rule))).collect();
        assert!(unknown.is_empty(), "{}: docs/arrivals.md does not say {unknown:?}", case.name);
        check_that_it_can_fail(&case);
    }
}

/// A case has to expect something of its kind.
fn check_that_it_can_fail(case: &Case) {
    let nights = &case.file.night;
    for night in nights {
        let says_something = night.gold.is_some() || (night.exit != 0 && !night.message_contains.is_empty());
        assert!(says_something, "{}: a night without gold or message", case.name);
    }
    let any = |shows: fn(&Night) -> bool| nights.iter().any(shows);
    let shown = match case.file.kind {
        Kind::Harmless => nights.iter().all(|night| night.exit == 0),
        Kind::Odd => any(|night| !night.sources.is_empty()),
        Kind::Damaged => any(|night| night.sources.values().any(|source| !source.rejected.is_empty())),
        Kind::Refused => any(|night| night.exit != 0 || night.refused.is_some() || night.unclaimed.is_some()),
        Kind::Waiting => any(|night| night.waiting.is_some() || night.exit != 0),
        Kind::Guard => any(|night| night.exit == 4) || case.name.ends_with("_passes"),
    };
    assert!(shown, "{} does not expect what its kind is about", case.name);
}

fn try_case(name: &str) {
    let case = Case::read(name);
    let mut trial = Trial::new(&case);
    for (number, night) in (1..).zip(&case.file.night) {
        trial.night(number, night);
        if !trial.problems.is_empty() {
            panic!("{name}, night {number}: {}\n{}", case.file.description, listed(&trial.problems));
        }
    }
}

/// A customer to whom the nights of a case happen.
struct Trial<'a> {
    case: &'a Case,
    project: Project,
    /// Results of earlier runs.
    runs: BTreeSet<PathBuf>,
    /// Silver and gold as the last release has them.
    before: Option<Contents>,
    problems: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(case: &'a Case) -> Self {
        let project = project_of_star(&case.file.customer);
        let outside = case.folder.join("outside");
        if outside.exists() {
            delivery::copy_first_night(&outside, &project.path("outside"));
        }
        Self { case, project, runs: BTreeSet::new(), before: None, problems: Vec::new() }
    }

    fn night(&mut self, number: usize, night: &Night) {
        delivery::deliver(&self.project.path("drop"), &self.case.delivery(number), number, night);
        let releases = self.project.releases(CUSTOMER);
        let arguments = ["--as-of", &night.as_of].into_iter().chain(night.arguments.iter().map(String::as_str));
        let answer = self.project.ask("run", CUSTOMER, &arguments.collect::<Vec<_>>());
        self.answer(night, &answer);
        let results = self.new_results();
        if !self.problems.is_empty() {
            return;
        }
        if night.exit != 0 && self.project.releases(CUSTOMER) != releases {
            self.problems.push("the run failed and published a release".to_owned());
        }
        if night.exit == 2 {
            return;
        }
        let Some(results) = results else {
            self.problems.push("the run wrote no results".to_owned());
            return;
        };
        let published = Published::open(&self.project.lake(), CUSTOMER);
        let problems = std::mem::take(&mut self.problems);
        let mut check = Check { night, results: &results, published: &published, problems };
        check.arrivals();
        self.problems = check.problems;
        self.tables(night, &published);
        self.afterwards(night);
    }

    /// What became of the files themselves.
    fn afterwards(&mut self, night: &Night) {
        let drop = self.project.path("drop");
        if let Some(expected) = &night.standing {
            let (expected, found): (BTreeSet<_>, BTreeSet<_>) = (expected.iter().cloned().collect(), names(&drop));
            if expected != found {
                self.problems.push(format!("the drop folder holds {found:?}, expected {expected:?}"));
            }
        }
        if let Some(expected) = &night.archived {
            let found = names(&drop.join("archive"));
            let is_not_met_once = |pattern: &&String| found.iter().filter(|name| matches(pattern, name)).count() != 1;
            let missing: Vec<_> = expected.iter().filter(is_not_met_once).collect();
            if found.len() != expected.len() || !missing.is_empty() {
                self.problems.push(format!("the archive holds {found:?}; not once: {missing:?}"));
            }
        }
    }

    fn answer(&mut self, night: &Night, answer: &Answer) {
        if answer.code != Some(night.exit) {
            self.problems.push(format!("exit code {:?}, expected {}", answer.code, night.exit));
        }
        let texts = night.message_contains.iter().filter(|text| !answer.messages.contains(text.as_str()));
        self.problems.extend(texts.map(|text| format!("standard error does not say '{text}'")));
        let lacking = night.message_lacks.iter().map(String::as_str).chain(["panicked"]);
        let texts = lacking.filter(|text| answer.messages.contains(text));
        self.problems.extend(texts.map(|text| format!("standard error says '{text}'")));
        if !self.problems.is_empty() {
            self.problems.push(format!("standard error:\n{}", answer.messages));
        }
    }

    /// What the run just now wrote.
    fn new_results(&mut self) -> Option<Results> {
        let runs = self.project.lake().join(CUSTOMER).join("_medallion/runs");
        let found: BTreeSet<PathBuf> = fs::read_dir(runs).ok()?.map(|run| run.unwrap().path()).collect();
        let new: Vec<PathBuf> = found.difference(&self.runs).cloned().collect();
        self.runs = found;
        let text = fs::read(new.first()?.join("run_results.json")).ok()?;
        let results = serde_json::from_slice(&text);
        results.map_err(|error| self.problems.push(format!("run_results.json: {error}"))).ok()
    }

    /// Silver and gold; a run that fails leaves them as they were.
    fn tables(&mut self, night: &Night, published: &Published) {
        let contents = published.contents();
        if night.exit != 0 {
            let before = self.before.get_or_insert_default();
            let changed = differing(before, &contents).into_iter();
            self.problems.extend(changed.map(|(table, text)| format!("{table} changed in a failing run\n{text}")));
            return;
        }
        let plain;
        let (expected, except) = match &night.gold {
            None => return,
            Some(Gold::Same) => (star(), &[][..]),
            Some(Gold::SameExcept(tables)) => (star(), tables.as_slice()),
            Some(Gold::AsBefore) => (&*self.before.get_or_insert_default(), &[][..]),
            Some(Gold::Plain) => {
                plain = contents_of_plain(self.case);
                (&plain, &[][..])
            }
        };
        let mut different = differing(expected, &contents);
        for table in except {
            if different.remove(table).is_none() {
                self.problems.push(format!("{table} is the same, expected a difference"));
            }
        }
        self.problems.extend(different.into_iter().map(|(table, text)| format!("{table} differs\n{text}")));
        self.before = Some(contents);
    }
}

/// A project whose customer has the exports of `star` in the drop folder.
fn project_of_star(customer: &str) -> Project {
    let project = Project::new();
    let drop = project.path("drop");
    delivery::copy_first_night(&fixture("star/in"), &drop);
    project.add_customer(CUSTOMER, &drop, &format!("{customer}{FISCAL_YEARS}"));
    project
}

/// Silver and gold of `star`.
fn star() -> &'static Contents {
    static STAR: OnceLock<Contents> = OnceLock::new();
    STAR.get_or_init(|| contents_after(&project_of_star("")))
}

/// Silver and gold of a case's plain export.
fn contents_of_plain(case: &Case) -> Contents {
    let project = project_of_star("");
    delivery::remove(&project.path("drop"), &case.file.plain.remove);
    let folder: &Path = &case.folder.join("plain");
    if folder.exists() {
        delivery::copy_first_night(folder, &project.path("drop"));
    }
    contents_after(&project)
}

fn contents_after(project: &Project) -> Contents {
    project.run(CUSTOMER, "2025-06-30").exits(0);
    let contents = Published::open(&project.lake(), CUSTOMER).contents();
    assert!(contents.values().any(|rows| !rows.rows.is_empty()), "the plain export is published");
    contents
}
