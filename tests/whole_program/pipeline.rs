//! The pipeline that comes with the program, against the contract its dashboards rely on.

use std::path::Path;

use medallion_pipeline::{
    ColumnType, DefinitionError, Layer, Pipeline, PipelineFiles, Table, TableName, TableSchema, read_folder,
};

const SOURCES: [&str; 14] = [
    "audiences",
    "cert_completions",
    "cert_overview",
    "competency_ratings",
    "course_completions",
    "dimdates",
    "null_dates",
    "organisations",
    "positions",
    "prog_completions",
    "prog_overview",
    "scorm",
    "seminar_attendance",
    "users",
];

const REQUIRED: [&str; 6] =
    ["cert_completions", "course_completions", "organisations", "positions", "prog_completions", "users"];

const CONFORMED_KEYS: &str = "user_id program_id course_id scorm_id cert_id certification_user_id program_user_id \
                              course_user_id event_id session_id";

const DIMENSIONS: [(&str, &str); 19] = [
    (
        "dim_user",
        "user_id full_name first_name last_name country city user_status assignment_id assignment_name organisation_id \
         organisation_name position_id position_name manager_id manager_name appraiser_id appraiser_name",
    ),
    ("dim_manager", "manager_id manager_name"),
    ("dim_manager_relationship", "manager_id employee_id relationship_type depth"),
    ("dim_course", "course_id course_name course_category include_in_dashboard"),
    ("dim_cert", "cert_id certification_name certification_category include_in_dashboard"),
    ("dim_programs", "program_id program_name category include_in_dashboard"),
    ("dim_scorm", "scorm_id scorm_title"),
    ("dim_seminar_event", "event_id course_id seminar_name"),
    ("dim_seminar_session", "session_id event_id session_start session_finish total_duration_minutes"),
    (
        "dim_course_progress",
        "course_user_id course_id user_id course_name course_category completion_status time_enrolled time_started \
         time_completed",
    ),
    (
        "dim_program_progress",
        "program_user_id program_id user_id status time_assigned time_completed time_started assignment_status",
    ),
    (
        "dim_certification_progress",
        "certification_user_id certification_id user_id status time_assigned time_completed time_started \
         certification_name include_in_dashboard assignment_status",
    ),
    ("dim_date_began", "date date_num"),
    ("dim_date_completed", "completed_date clean_completed_date"),
    ("dim_fy_began", "fy_began fy_start_date fy_end_date"),
    ("dim_fy_completed", "fy_completed fy_start_date fy_end_date"),
    (
        "dim_organisation",
        "organisation_id organisation_name parent_organisation_id framework organisation_path depth_level",
    ),
    ("dim_position", "position_id position_name parent_position_id framework position_path depth_level"),
    ("dim_audience", "audience_id audience_name member_count"),
];

/// Columns beside the conformed keys.
const FACTS: [(&str, &str); 11] = [
    ("fact_course_progress", "date_began date_completed days_difference is_overdue fy_completed fy_began"),
    ("fact_course_to_cert_progress", "date_began date_completed days_difference is_overdue fy_completed fy_began"),
    ("fact_program_progress", "date_began due_date date_completed is_overdue days_difference fy_began fy_completed"),
    (
        "fact_certification_progress",
        "time_expires status date_began date_completed days_difference fy_began fy_completed",
    ),
    (
        "fact_course_history",
        "date_began date_completed time_started fy_completed fy_status fy_began course_completion_status_for_fy",
    ),
    (
        "fact_course_to_cert_history",
        "date_began date_completed time_started fy_completed fy_status fy_began course_completion_status_for_fy",
    ),
    (
        "fact_program_history",
        "date_began date_completed fy_completed fy_status fy_began program_completion_status_for_fy",
    ),
    (
        "fact_certification_history",
        "date_began date_completed fy_completed fy_status fy_began certification_completion_status_for_fy",
    ),
    ("fact_scorm", "date_began date_completed sco_status sco_total_time_ms fy_began fy_completed scorm_title"),
    ("fact_seminar_signup", "attendance_status date_began date_completed duration_minutes time_spent_minutes"),
    ("fact_learning_time", "learning_type timed_learning_status sco_total_time_ms duration_minutes time_spent_minutes"),
];

#[test]
fn its_sources_are_those_of_the_export() {
    let pipeline = totara();
    assert_eq!(pipeline.sources.keys().collect::<Vec<_>>(), SOURCES);
    let required = pipeline.sources.iter().filter(|(_, table)| table.source.required).map(|(name, _)| name);
    assert_eq!(required.collect::<Vec<_>>(), REQUIRED);
}

#[test]
fn its_dimensions_have_the_columns_of_the_contract() {
    let pipeline = totara();
    for (name, columns) in DIMENSIONS {
        check_columns(&gold(&pipeline, name).schema, &columns.split_whitespace().collect::<Vec<_>>());
    }
}

#[test]
fn its_facts_have_the_ten_keys_first_and_the_columns_of_the_contract() {
    let pipeline = totara();
    let keys: Vec<&str> = CONFORMED_KEYS.split_whitespace().collect();
    for (name, columns) in FACTS {
        let schema = &gold(&pipeline, name).schema;
        let found: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        assert!(found.starts_with(&keys), "{name}: {found:?}");
        check_columns(schema, &columns.split_whitespace().collect::<Vec<_>>());
    }
}

#[test]
fn facts_and_dimensions_agree_on_the_types_of_shared_columns() {
    for table in totara().tables.iter().filter(|table| table.name.layer == Layer::Gold) {
        for column in &table.schema.columns {
            let expected = match column.name.as_str() {
                "fy_began" | "fy_completed" => ColumnType::Text,
                "fy_status" | "is_overdue" | "days_difference" => ColumnType::Long,
                "date_began" | "date_completed" | "due_date" | "fy_start_date" | "fy_end_date" => ColumnType::Date,
                "time_started" | "time_completed" | "time_assigned" | "time_enrolled" | "time_expires" => {
                    ColumnType::Timestamp
                }
                // What begins with `_` is of the program's own making.
                id if id.ends_with("_id") && !id.starts_with('_') => ColumnType::Long,
                _ => continue,
            };
            assert_eq!(column.data_type, expected, "{}.{}", table.name, column.name);
        }
    }
}

#[test]
fn histories_are_partitioned_by_fiscal_year() {
    let pipeline = totara();
    for (name, _) in FACTS.iter().filter(|(name, _)| name.ends_with("_history")) {
        assert_eq!(gold(&pipeline, name).schema.partition_columns, ["fy_completed"], "{name}");
    }
}

#[test]
fn every_table_and_column_is_described() {
    let pipeline = totara();
    let sources = pipeline.sources.values().map(|source| &source.schema);
    for schema in sources.chain(pipeline.tables.iter().map(|table| &table.schema)) {
        assert!(!schema.description.trim().is_empty(), "{}", schema.name);
        for column in &schema.columns {
            assert!(!column.description.trim().is_empty(), "{}.{}", schema.name, column.name);
        }
    }
}

#[test]
fn a_key_with_a_typing_error_is_named_with_its_line_and_the_nearest() {
    let error = failure("gold/dim_user.toml", "description = \"A person", "descripton = \"A person");
    let text = error.to_string();
    assert!(text.starts_with("gold/dim_user.toml:2:1: ") && text.contains("descripton"), "{text}");
    assert_eq!(error.hint().unwrap(), "did you mean 'description'?");
    let error = failure("bronze/users.toml", "required = true", "requird = true");
    let line = text_of("bronze/users.toml").lines().position(|line| line == "required = true").unwrap() + 1;
    assert!(error.to_string().starts_with(&format!("bronze/users.toml:{line}:1: ")), "{error}");
    assert_eq!(error.hint().unwrap(), "did you mean 'required'?");
}

#[test]
fn a_key_column_that_does_not_exist_is_named_with_the_nearest() {
    let error = failure("gold/fact_course_progress.toml", "keys = [\"user_id\"", "keys = [\"usr_id\"");
    let text = error.to_string();
    assert!(text.starts_with("gold/fact_course_progress.toml") && text.contains("usr_id"), "{text}");
    assert_eq!(error.hint().unwrap(), "did you mean 'user_id'?");
}

#[test]
fn a_table_that_does_not_exist_is_named_with_the_nearest() {
    let error = failure("gold/dim_user.sql", "silver.users", "silver.usres");
    let text = error.to_string();
    assert!(text.starts_with("gold/dim_user.sql") && text.contains("silver.usres"), "{text}");
    assert_eq!(error.hint().unwrap(), "did you mean 'silver.users'?");
}

fn files() -> PipelineFiles {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/totara")).unwrap()
}

fn text_of(file: &str) -> String {
    files().remove(file).unwrap_or_else(|| panic!("there is no {file}"))
}

fn totara() -> Pipeline {
    Pipeline::load(&files()).unwrap_or_else(|error| panic!("{error}"))
}

fn gold<'a>(pipeline: &'a Pipeline, table: &str) -> &'a Table {
    let name = TableName::new(Layer::Gold, table);
    pipeline.table(&name).unwrap_or_else(|| panic!("there is no {name}"))
}

fn check_columns(schema: &TableSchema, expected: &[&str]) {
    for column in expected {
        let found = schema.columns.iter().any(|found| found.name == *column);
        assert!(found, "{} has no column {column}", schema.name);
    }
}

/// What a single change in a copy of the pipeline leads to.
fn failure(file: &str, from: &str, to: &str) -> DefinitionError {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files() {
        let path = folder.path().join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let changed = if name == file { text.replacen(from, to, 1) } else { text.clone() };
        assert_eq!(name == file, changed != text, "{name}: '{from}' is not in it");
        std::fs::write(path, changed).unwrap();
    }
    Pipeline::load(&read_folder(folder.path()).unwrap()).unwrap_err()
}
