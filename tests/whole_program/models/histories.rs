//! The four histories: in which years a thing stands, and with which status.

use std::collections::BTreeMap;

use super::{AS_OF, Models, rows};

/// Begun, completed, and the years with their status from the first to the last; `-` is missing.
type Case<'a> = (&'a str, &'a str, &'a str);

/// Years as `2023 In Progress, 2024 Completed`; `2012..2014 x` is three of them.
fn spelled_out(years: &str) -> Vec<String> {
    let mut list = Vec::new();
    for part in years.split(", ").filter(|part| !part.is_empty()) {
        let (range, status) = part.split_once(' ').unwrap();
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let (first, last): (i32, i32) = (first.parse().unwrap(), last.parse().unwrap());
        list.extend((first..=last).map(|year| format!("{year} {status}")));
    }
    list
}

/// The years of each thing in a history by its key.
fn years(models: &Models, history: &str, key: &str, status: &str) -> BTreeMap<String, Vec<String>> {
    models.build(&format!("gold.{history}").parse().unwrap());
    let sql = format!("SELECT {key}, fy_completed, fy_status, {status} FROM gold.{history} ORDER BY fy_status");
    let mut things: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in models.query(&sql).rows {
        let [key, label, number, status] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!(label, number, "the label is the number as text");
        let year = format!("{} {}", label.as_ref().unwrap(), status.as_deref().unwrap_or("NULL"));
        things.entry(key.clone().unwrap()).or_default().push(year);
    }
    things
}

/// A missing day as facts have it.
fn date(text: &str) -> &str {
    if text == "-" { "1900-01-01" } else { text }
}

/// Each case is one program of one user; the fact's rows are given.
fn check_programs(as_of: &str, start_month: u32, cases: &[Case<'_>]) {
    let lines = cases.iter().enumerate();
    let lines: Vec<String> = lines
        .map(|(number, (began, completed, _))| format!("{number} | {} | {}", date(began), date(completed)))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let models = Models::new(as_of, start_month)
        .given("gold.fact_program_progress", &rows("program_user_id | date_began | date_completed", &lines));
    let found = years(&models, "fact_program_history", "program_user_id", "program_completion_status_for_fy");
    for (number, (began, completed, expected)) in cases.iter().enumerate() {
        let found = found.get(&number.to_string()).cloned().unwrap_or_default();
        assert_eq!(found, spelled_out(expected), "month {start_month}, as of {as_of}: {began} to {completed}");
    }
}

#[test]
fn programs_stand_in_every_calendar_year_in_which_they_were_open() {
    check_programs(
        AS_OF,
        1,
        &[
            ("2019-05-01", "2021-03-01", "2019..2020 In Progress, 2021 Completed"),
            ("2023-12-31", "-", "2023..2025 In Progress"),
            ("2024-01-01", "-", "2024..2025 In Progress"),
            ("2023-01-01", "2023-12-31", "2023 Completed"),
            ("2023-12-31", "2024-01-01", "2023 In Progress, 2024 Completed"),
            ("2024-02-29", "2024-02-29", "2024 Completed"),
            // No beginning: open from the first year.
            ("-", "2013-06-01", "2012 In Progress, 2013 Completed"),
            ("-", "-", "2012..2025 In Progress"),
            ("-", "2011-12-31", ""),
            // Begun before the first year.
            ("2010-07-01", "2012-01-01", "2012 Completed"),
            ("2010-07-01", "2011-12-31", ""),
            ("2011-12-31", "-", "2012..2025 In Progress"),
            // Begun after the run's date, but in a year that had started by then.
            ("2025-07-01", "-", "2025 In Progress"),
            ("2026-01-01", "-", ""),
            ("2024-06-01", "2026-02-01", "2024..2025 In Progress"),
            ("2025-01-01", "2025-12-31", "2025 Completed"),
            // Completed in a year before it began: open in none.
            ("2024-06-01", "2023-06-01", ""),
            ("2024-06-01", "2024-01-01", "2024 Completed"),
        ],
    );
}

#[test]
fn programs_stand_in_fiscal_years_from_their_first_to_their_last_day() {
    // The year 2024 ends on the leap day.
    check_programs(
        AS_OF,
        3,
        &[
            ("2024-02-29", "2024-02-29", "2024 Completed"),
            ("2024-02-28", "2024-03-01", "2024 In Progress, 2025 Completed"),
            ("2024-03-01", "2025-02-28", "2025 Completed"),
            ("2025-02-28", "2025-03-01", "2025 In Progress, 2026 Completed"),
        ],
    );
    // The year 2026 started on 2025-04-01.
    check_programs(
        AS_OF,
        4,
        &[
            ("2024-03-31", "2024-04-01", "2024 In Progress, 2025 Completed"),
            ("2024-04-01", "2025-03-31", "2025 Completed"),
            ("2025-03-31", "-", "2025..2026 In Progress"),
            ("2025-04-01", "-", "2026 In Progress"),
            ("2026-03-31", "-", "2026 In Progress"),
            ("2026-04-01", "-", ""),
            ("2024-02-29", "2024-02-29", "2024 Completed"),
            ("2011-03-31", "2011-04-01", "2012 Completed"),
            ("2011-03-30", "2011-03-31", ""),
            ("-", "2012-03-31", "2012 Completed"),
            ("-", "2012-04-01", "2012 In Progress, 2013 Completed"),
        ],
    );
    // The run's date is the last day of 2025.
    check_programs(
        AS_OF,
        7,
        &[
            ("2023-06-30", "2024-07-01", "2023..2024 In Progress, 2025 Completed"),
            ("2023-07-01", "2024-06-30", "2024 Completed"),
            ("2025-06-30", "-", "2025 In Progress"),
            ("2025-07-01", "-", ""),
            ("2024-02-29", "-", "2024..2025 In Progress"),
            ("2011-06-30", "2011-06-30", ""),
            ("2011-06-30", "2011-07-01", "2012 Completed"),
            ("-", "-", "2012..2025 In Progress"),
        ],
    );
}

#[test]
fn years_are_those_that_had_started_by_the_runs_date_and_are_in_the_range() {
    check_programs(
        "2025-07-01",
        7,
        &[("2025-06-30", "-", "2025..2026 In Progress"), ("2025-07-01", "-", "2026 In Progress")],
    );
    check_programs("2024-12-31", 1, &[("2024-02-29", "-", "2024 In Progress"), ("2025-01-01", "-", "")]);
    check_programs(
        "2025-01-01",
        1,
        &[("2024-02-29", "-", "2024..2025 In Progress"), ("2025-01-01", "-", "2025 In Progress")],
    );
    check_programs("2024-02-29", 1, &[("2024-02-29", "-", "2024 In Progress")]);
    // A run's date before and after all years.
    check_programs("2011-12-31", 1, &[("-", "-", ""), ("2011-06-01", "-", "")]);
    let late: &[Case<'_>] = &[
        ("2035-01-01", "-", "2035..2036 In Progress"),
        ("2036-12-31", "2037-06-01", "2036 In Progress"),
        ("2037-01-01", "-", ""),
        ("-", "-", "2012..2036 In Progress"),
    ];
    check_programs("2040-01-01", 1, late);
}

#[test]
fn certifications_that_expired_are_expired_in_every_year() {
    let cases = [
        ("Certified", "2021-05-01", "2023-02-01", "2021..2022 In progress, 2023 Certified"),
        ("Certified", "2023-12-31", "2023-12-31", "2023 Certified"),
        ("Expired", "2021-05-01", "2022-02-01", "2021..2022 Expired"),
        ("Expired", "2024-02-29", "-", "2024..2025 Expired"),
        ("Window is open", "2023-05-01", "2024-12-31", "2023 In progress, 2024 Window is open"),
        ("Not certified", "2024-01-01", "-", "2024..2025 In progress"),
        ("Certified", "2024-12-31", "-", "2024..2025 In progress"),
        ("Certified", "2024-05-01", "2026-01-01", "2024..2025 In progress"),
        ("N/A", "2024-05-01", "2025-01-01", "2024 In progress, 2025 N/A"),
    ];
    let line = |(number, (status, began, completed, _)): (usize, &(&str, &str, &str, &str))| {
        format!("{number} | {status} | {} | {}", date(began), date(completed))
    };
    let lines: Vec<String> = cases.iter().enumerate().map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let header = "certification_user_id | status | date_began | date_completed";
    let models = Models::new(AS_OF, 1).given("gold.fact_certification_progress", &rows(header, &lines));
    let status = "certification_completion_status_for_fy";
    let found = years(&models, "fact_certification_history", "certification_user_id", status);
    for (number, case) in cases.iter().enumerate() {
        assert_eq!(found[&number.to_string()], spelled_out(case.3), "{case:?}");
    }
}

/// Status, enrolled, started, completed, and the years with their status.
type CourseCase<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

/// Each case is a user in course 0, so that the packed key is the user.
fn check_courses(start_month: u32, cases: &[CourseCase<'_>]) {
    let lines = cases.iter().enumerate();
    let lines: Vec<String> = lines
        .map(|(user, (status, enrolled, started, completed, _))| {
            format!("{user} | 0 | {status} | {enrolled} | {started} | {completed}")
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let header = "user_id | course_id | completion_status | time_enrolled | time_started | time_completed";
    let models = Models::new(AS_OF, start_month).given("silver.course_completions", &rows(header, &lines));
    for history in ["fact_course_history", "fact_course_to_cert_history"] {
        let found = years(&models, history, "course_user_id", "course_completion_status_for_fy");
        for (user, case) in cases.iter().enumerate() {
            let found = found.get(&user.to_string()).cloned().unwrap_or_default();
            assert_eq!(found, spelled_out(case.4), "{history}, month {start_month}: {case:?}");
        }
    }
}

#[test]
fn the_first_rule_that_holds_is_a_courses_status_in_a_calendar_year() {
    let not_begun = "Not yet started";
    check_courses(
        1,
        &[
            ("Complete", "2019-05-01", "2019-06-01", "2021-03-01", "2019..2020 In progress, 2021 Complete"),
            (
                "Complete",
                "2019-05-01",
                "2020-06-01",
                "2021-03-01",
                "2019 Not yet started, 2020 In progress, 2021 Complete",
            ),
            (not_begun, "2024-01-01", "-", "-", "2024..2025 Not yet started"),
            (not_begun, "2023-01-01", "-", "2024-05-01", "2023..2024 Not yet started"),
            ("In progress", "2023-12-31", "2024-01-01", "-", "2023 Not yet started, 2024..2025 In progress"),
            ("In progress", "2023-12-31", "2023-12-31 23:59:59", "-", "2023..2025 In progress"),
            ("In progress", "2024-01-01", "-", "-", "2024..2025 In progress"),
            ("In progress", "2023-02-01", "2023-02-02", "2024-05-01", "2023 In progress, 2024 Complete"),
            ("Complete", "2024-01-01", "2024-01-02", "-", "2024..2025 Not yet started"),
            ("-", "2024-02-29", "-", "-", "2024..2025 Not yet started"),
            ("Complete via rpl", "2022-01-01", "-", "2023-12-31", "2022 In progress, 2023 Complete"),
            ("Complete via rpl", "2022-01-01", "-", "2024-01-01", "2022..2023 In progress, 2024 Complete"),
            // Started after it was completed: the year of completion comes first.
            ("Complete", "2023-01-01", "2025-01-01", "2024-05-01", "2023 Not yet started, 2024 Complete"),
            // Completed before enrolled: it began when it was completed.
            ("Complete", "2024-05-01", "2024-05-02", "2023-02-01", "2023 Complete"),
            ("Complete", "2024-02-29", "2024-02-29", "2024-02-29", "2024 Complete"),
            // Before, around and after the years there are.
            ("Complete", "2010-01-01", "2010-01-01", "2011-12-31", ""),
            ("Complete", "2010-01-01", "2010-01-01", "2012-01-01", "2012 Complete"),
            ("In progress", "2010-01-01", "2012-01-01", "-", "2012..2025 In progress"),
            ("In progress", "2026-01-01", "2026-01-01", "-", ""),
            ("-", "-", "2024-01-01", "-", ""),
        ],
    );
}

#[test]
fn a_courses_status_turns_on_the_first_day_of_a_fiscal_year() {
    let last_to_first = |start: &'static str, last: &'static str, next: &'static str, years: &'static str| {
        [("Complete", start, last, next, years)]
    };
    let complete = "2024 In progress, 2025 Complete";
    check_courses(4, &last_to_first("2024-03-31", "2024-03-31 23:59:59", "2024-04-01 00:00:00", complete));
    check_courses(7, &last_to_first("2024-06-30", "2024-06-30 23:59:59", "2024-07-01 00:00:00", complete));
    check_courses(3, &last_to_first("2024-02-29", "2024-02-29 23:59:59", "2024-03-01 00:00:00", complete));
    check_courses(
        7,
        &[
            (
                "Complete",
                "2023-06-30",
                "2023-07-01",
                "2024-07-01",
                "2023 Not yet started, 2024 In progress, 2025 Complete",
            ),
            ("Complete", "2023-07-01", "2023-07-01", "2024-06-30 23:59:59", "2024 Complete"),
            ("In progress", "2025-06-30", "2025-07-01", "-", "2025 Not yet started"),
            ("In progress", "2025-07-01", "2025-07-01", "-", ""),
            ("In progress", "2024-02-29", "2024-02-29", "-", "2024..2025 In progress"),
        ],
    );
    check_courses(4, &[("In progress", "2025-03-31", "2025-04-01", "-", "2025 Not yet started, 2026 In progress")]);
}

#[test]
fn of_several_progress_rows_open_in_a_year_the_maximum_of_each_column_counts() {
    // User 1: programs 6 and 5 of one course. User 2: begun before the years there are and within them.
    let overview = ["6 | 10 | 1", "5 | 10 | 1", "5 | 10 | 2", "6 | 10 | 2"];
    let assigned = ["6 | 1 | 2022-03-01", "5 | 1 | 2024-01-01", "5 | 2 | 2010-01-01", "6 | 2 | 2025-02-01"];
    let models = Models::new(AS_OF, 1)
        .given(
            "silver.course_completions",
            &rows(
                "user_id | course_id | completion_status | time_started | time_completed",
                &["1 | 10 | In progress | 2022-04-01 | -", "2 | 10 | Complete | 2012-02-29 | 2025-03-01"],
            ),
        )
        .given("silver.prog_overview", &rows("program_id | course_id | user_id", &overview))
        .given("silver.prog_completions", &rows("program_id | user_id | time_assigned", &assigned));
    let earlier = |year: i32| {
        // 5 * 2^32 + 2; both columns of keys are those of program 5 then.
        format!("2 | 5 | 21474836482 | 2010-01-01 | N/A | 2025-03-01 | {year} | {year} | In progress")
    };
    let mut expected = vec![
        // 6 * 2^32 + 1, from then on the larger of the days.
        "1 | 6 | 25769803777 | 2022-03-01 | 2022 | 1900-01-01 | 2022 | 2022 | In progress".to_owned(),
        "1 | 6 | 25769803777 | 2022-03-01 | 2022 | 1900-01-01 | 2023 | 2023 | In progress".to_owned(),
        "1 | 6 | 25769803777 | 2024-01-01 | 2024 | 1900-01-01 | 2024 | 2024 | In progress".to_owned(),
        "1 | 6 | 25769803777 | 2024-01-01 | 2024 | 1900-01-01 | 2025 | 2025 | In progress".to_owned(),
        // N/A comes after 2025 by its characters.
        "2 | 6 | 25769803778 | 2025-02-01 | N/A | 2025-03-01 | 2025 | 2025 | Complete".to_owned(),
    ];
    expected.extend((2012..=2024).map(earlier));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    models.expect(
        "gold.fact_course_history",
        &rows(
            "user_id | program_id | program_user_id | date_began | fy_began | date_completed | fy_completed \
             | fy_status | course_completion_status_for_fy",
            &expected,
        ),
    );
}

#[test]
fn a_history_carries_all_keys_and_the_start_of_the_progress_row() {
    let models = Models::new(AS_OF, 1)
        .given(
            "silver.course_completions",
            &rows(
                "user_id | course_id | completion_status | time_enrolled | time_started | time_completed",
                &[
                    "1 | 10 | Complete | 2024-12-01 | 2024-12-31 23:59:59 | 2025-01-01",
                    "2 | 10 | - | 2025-01-01 | - | -",
                ],
            ),
        )
        .given("silver.cert_overview", &rows("certification_id | course_id | user_id", &["7 | 10 | 1"]))
        .given("silver.cert_completions", &rows("certification_id | user_id", &["7 | 1"]));
    // 7 * 2^32 + 1, 10 * 2^32 + 1 and 10 * 2^32 + 2.
    let keys = "user_id | program_id | course_id | scorm_id | cert_id | certification_user_id | program_user_id \
                | course_user_id | event_id | session_id | fy_completed | time_started \
                | course_completion_status_for_fy";
    models.expect(
        "gold.fact_course_to_cert_history",
        &rows(
            keys,
            &[
                "1 | -1 | 10 | -1 |  7 | 30064771073 | -1 | 42949672961 | -1 | -1 | 2024 | 2024-12-31 23:59:59 \
                 | In progress",
                "1 | -1 | 10 | -1 |  7 | 30064771073 | -1 | 42949672961 | -1 | -1 | 2025 | 2024-12-31 23:59:59 \
                 | Complete",
                "2 | -1 | 10 | -1 | -1 |          -1 | -1 | 42949672962 | -1 | -1 | 2025 | - | Not yet started",
            ],
        ),
    );
}
