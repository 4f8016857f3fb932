//! A customer's own rules: which tables they rebuild, what their mistakes are answered with, what they set aside.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::case::Case;
use crate::project::{Project, fixture};
use crate::rows::{Published, Rows};

const AS_OF: &str = "2025-06-30";

/// A project with the customer `acme`, whose exports are those of `silver_rules`.
fn acme(options: &str) -> Project {
    let project = Project::new();
    project.add_customer("acme", &fixture("silver_rules/in"), options);
    project
}

#[test]
fn a_changed_customer_file_rebuilds_the_tables_it_is_about() {
    let project = acme("");
    project.run("acme", AS_OF).exits(0);
    let warn = "[[silver.scorm.rules]]\nname = \"has_title\"\nexpression = \"scorm_title IS NOT NULL\"\nseverity = ";
    project.add_customer("acme", &fixture("silver_rules/in"), &format!("# a comment\n{warn}\"warn\"\n"));
    project.run("acme", AS_OF).exits(0).says(&["silver.scorm: records that break a rule: has_title 1"]);
    assert_eq!(rebuilt(&project), ["silver.scorm"], "its rows are the same, so that nothing else is built");
    assert_eq!(project.releases("acme"), [1]);
    project.add_customer("acme", &fixture("silver_rules/in"), &format!("# another\n{warn}'warn'\n"));
    project.run("acme", AS_OF).exits(0);
    assert_eq!(rebuilt(&project), [""; 0], "what is said is the same as before");
    project.add_customer("acme", &fixture("silver_rules/in"), &format!("{warn}\"reject\"\n"));
    project.run("acme", AS_OF).exits(0).says(&["silver.scorm: 1 record set aside (has_title 1)"]);
    let rebuilt = rebuilt(&project);
    assert!(rebuilt.contains(&"silver.scorm".to_owned()) && rebuilt.contains(&"gold.fact_scorm".to_owned()));
    assert!(!rebuilt.iter().any(|table| table == "silver.users" || table == "gold.dim_user"), "{rebuilt:?}");
    assert_eq!(project.releases("acme"), [1, 2]);
}

/// Tables of silver and gold that the last run built.
fn rebuilt(project: &Project) -> Vec<String> {
    let results = project.last_results("acme");
    let tables = results["tables"].as_object().unwrap().iter();
    let of_silver_or_gold = tables.filter(|(name, _)| !name.starts_with("bronze."));
    let built = of_silver_or_gold.filter(|(_, table)| {
        let skipped = table["skipped"].as_str().unwrap_or_default();
        table["status"] == "success" || skipped.starts_with("it was built")
    });
    built.map(|(name, _)| name.clone()).collect()
}

/// Rule 9, which the built-in pipeline declares nowhere: of the five records two are the same, and two have no date.
#[test]
fn a_date_key_stands_beside_its_timestamp_and_is_never_missing() {
    let project = acme("");
    let site = project.path("site");
    project.medallion(["init", site.to_str().unwrap()]).exits(0);
    let pipeline = site.join("pipelines/totara");
    let definition = pipeline.join("silver/scorm.toml");
    let text = fs::read_to_string(&definition).unwrap();
    let declared = text.replacen("name = \"sco_start_date\"\n", "name = \"sco_start_date\"\ndate_key = true\n", 1);
    assert_ne!(text, declared);
    fs::write(&definition, declared).unwrap();
    project.ask("run", "acme", &["--as-of", AS_OF, "--pipeline", pipeline.to_str().unwrap()]).exits(0);
    let sql = "SELECT sco_start_date_date AS day, count(*) AS records FROM silver.scorm GROUP BY 1 ORDER BY 1";
    let answer = project.ask("query", "acme", &["--format", "csv", sql]).exits(0);
    assert_eq!(answer.output, "day,records\n1900-01-01,2\n2024-06-01,1\n2024-06-02,1\n");
    let rules = project.last_results("acme")["tables"]["silver.scorm"]["rules"].clone();
    let counted = rules.as_array().unwrap().iter().find(|rule| rule["rule"] == "date_key").unwrap().clone();
    assert_eq!((&counted["rows"], &counted["column"]), (&2.into(), &"sco_start_date_date".into()));
}

#[test]
fn a_row_that_two_tables_set_aside_counts_once() {
    let project = Case::published("silver_overrides");
    let results = project.results("silver_overrides", 1);
    let rejected = |table: &str| results["tables"][table]["rejected"].as_u64().unwrap();
    assert_eq!((rejected("silver.users"), rejected("silver.user_assignments")), (1, 1));
    assert_eq!(results["layer_rejected"], serde_json::json!({"bronze": 0, "silver": 5}));
}

#[test]
fn what_is_set_aside_or_left_out_is_told_in_a_line() {
    let case = Case::read("silver_overrides");
    let answer = case.project().run("silver_overrides", AS_OF).exits(0);
    let completions = "silver_overrides: silver.course_completions: ";
    for part in [
        "2 records left out by [exclude] user_id",
        "4 records set aside (required user_id 1, required course_name 1, completed_after_started 1, duplicate_key 1), \
         see bronze.rejected_rows",
        "records that break a rule: known_category 1",
        "completion_status: 1 record not among the known values: Erfunden",
    ] {
        assert!(answer.messages.contains(&format!("warning: {completions}{part}\n")), "{part}:\n{}", answer.messages);
    }
    let silver = answer.output.lines().find(|line| line.starts_with("silver") || line.contains(" silver ")).unwrap();
    assert_eq!(silver.split_whitespace().nth(4), Some("5"), "{}", answer.output);
}

#[test]
fn mistakes_of_a_customer_are_named_before_anything_is_read() {
    let project = acme("");
    for (own, parts) in [
        (
            "[[silver.scorm.rules]]\nname = \"x\"\nexpression = \"sco_status = 'Passed' AND scorm_titel LIKE 'A%'\"\nseverity = \"warn\"\n",
            ["acme.toml:4:41: rule x: there is no column 'scorm_titel'", "did you mean 'scorm_title'?"],
        ),
        (
            "[[silver.scorm.rules]]\nname = \"x\"\nexpression = \"\"\"\nsco_total_time_ms >= 0\n  AND uper(sco_status) = 'X'\"\"\"\nseverity = \"warn\"\n",
            ["acme.toml:6:7: rule x: there is no function 'uper'", "did you mean 'upper'?"],
        ),
        (
            "[silver.course_completion]\nnull_markers = [\"x\"]\n",
            ["acme.toml:2:9: there is no table silver.course_completion", "did you mean 'course_completions'?"],
        ),
        (
            "[silver.scorm.columns.status]\nrequired = true\n",
            [
                "acme.toml:2:23: [silver.scorm] names the column 'status', which the table does not have",
                "did you mean 'sco_status'?",
            ],
        ),
        (
            "[[silver.scorm.rules]]\nname = \"total_time_not_negativ\"\nseverity = \"off\"\n",
            [
                "acme.toml:3:8: the pipeline has no rule 'total_time_not_negativ'",
                "did you mean 'total_time_not_negative'?",
            ],
        ),
        (
            "[exclude]\nuserid = [2]\n",
            ["acme.toml:3:1: [exclude] names the column 'userid'", "did you mean 'user_id'?"],
        ),
        (
            "[exclude]\nuser_id = [\"2\"]\n",
            ["acme.toml:3:12: 'user_id' is long in silver.", "error: ./customers/acme.toml"],
        ),
    ] {
        project.add_customer("acme", &fixture("silver_rules/in"), own);
        project.run("acme", AS_OF).exits(2).says(&parts);
    }
    assert!(!project.lake().exists(), "nothing was taken in");
}

#[test]
fn mistakes_of_a_pipeline_are_named_before_anything_is_read() {
    let project = acme("");
    project.medallion(["init", "site"]).exits(0);
    let file = project.path("site/pipelines/totara/silver/scorm.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().position(|line| line == "expression = \"sco_total_time_ms >= 0\"").unwrap() + 1;
    fs::write(&file, text.replace("\"sco_total_time_ms >= 0\"", "\"sco_total_time_ms >= zero\"")).unwrap();
    let place = format!("silver/scorm.toml:{line}:36: rule total_time_not_negative: there is no column 'zero'");
    project.ask("run", "acme", &["--as-of", AS_OF, "--pipeline", "site/pipelines/totara"]).exits(2).says(&[&place]);
    assert!(!project.lake().exists(), "nothing was taken in");
}

#[test]
fn rejects_are_shown_by_rule_and_reason() {
    let project = Case::published("silver_rules");
    let ask = |arguments: &[&str]| project.ask("rejects", "silver_rules", arguments);
    let groups: Vec<Value> = serde_json::from_str(&ask(&["--format", "json"]).exits(0).output).unwrap();
    let found: Vec<String> = groups
        .iter()
        .map(|group| {
            let text = |key: &str| group[key].as_str().unwrap_or("-");
            format!("{} {} {} {}", text("source"), text("rule"), text("column"), group["records"])
        })
        .collect();
    let expected = [
        "course_completions duplicate_key - 4",
        "course_completions required course_id 1",
        "course_completions required user_id 5",
        "prog_overview duplicate_key - 1",
        "prog_overview required course_id 1",
        "prog_overview required program_id 1",
        "prog_overview required user_id 1",
        "users required user_id 2",
    ];
    assert_eq!(found, expected);
    let rows: Vec<_> = groups[2]["samples"].as_array().unwrap().iter().map(|sample| sample["row"].as_i64()).collect();
    assert_eq!(rows, [Some(6), Some(7), Some(10)], "the first three of the file");
    let sample = &groups[7]["samples"][0];
    assert_eq!(sample["file"], "analytics_users_20250630.csv");
    assert!(sample["raw"].as_str().unwrap().contains("\"full_name\":\"No Id\""), "{sample}");
    let count = |table: &str| ask(&[table, "--format", "json"]).exits(0).output.matches("\"rule\"").count();
    assert_eq!(["users", "silver.users", "silver.user_assignments", "bronze.users"].map(count), [1, 1, 1, 0]);
    assert_eq!(["course_completions", "silver.prog_overview", "scorm"].map(count), [3, 4, 0]);
    let table = ask(&["users"]).exits(0).output;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "customer silver_rules, release 1: 2 records set aside");
    assert_eq!(lines[2..4], ["users: required user_id: 2 records", "  user_id is missing or not readable as long"]);
    assert!(lines[4].starts_with("    analytics_users_20250630.csv record 6: {\"full_name\":\"No Id\""), "{table}");
    let csv = Rows::parse_csv(&ask(&["--format", "csv"]).exits(0).output);
    assert_eq!((csv.columns.len(), csv.rows.len()), (9, 3 + 1 + 3 + 1 + 1 + 1 + 1 + 2));
    ask(&["silver.user"]).exits(2).says(&["there is no table 'silver.user' that", "did you mean 'silver.users'?"]);
    ask(&["gold.dim_user"]).exits(2).says(&["there is no table 'gold.dim_user' that rows are set aside of"]);
    project.ask("rejects", "nobody", &[]).exits(1);
}

#[test]
fn rejects_of_the_parser_are_shown_with_their_lines_and_cannot_steer_a_terminal() {
    let project = Project::new();
    let folder = project.path("drop");
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(fixture("silver_rules/in")).unwrap().map(|file| file.unwrap()) {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let file = folder.join("analytics_scorm_20250630.csv");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("1,10,\u{1b}[2Jfirst\n1,10,\u{202e}second\n");
    let long = "x".repeat(500);
    let _ = writeln!(text, "1,{long}");
    fs::write(&file, text).unwrap();
    project.add_customer("acme", &folder, "");
    project.run("acme", AS_OF).exits(0);
    let table = project.ask("rejects", "acme", &["bronze.scorm"]).exits(0).output;
    assert!(table.contains("release 1: 3 records set aside") && table.contains("scorm: field_count: "), "{table}");
    assert!(table.contains("record 6 (line 7): 1,10,\\u{1b}[2Jfirst") && table.contains("\\u{202e}second"), "{table}");
    assert!(!table.contains('\u{1b}') && !table.contains(&long), "{table}");
    let answer = project.ask("rejects", "acme", &["bronze.scorm", "--format", "json"]).exits(0);
    let groups: Vec<Value> = serde_json::from_str(&answer.output).unwrap();
    let samples: Vec<&Value> = groups.iter().flat_map(|group| group["samples"].as_array().unwrap()).collect();
    assert_eq!(samples.len(), 3, "{}", answer.output);
    assert!(samples.iter().all(|sample| sample["raw"].as_str().unwrap().chars().count() <= 203), "{}", answer.output);
    assert_eq!(project.ask("rejects", "acme", &["silver.scorm", "--format", "json"]).exits(0).output.trim(), "[]");
    let csv = project.ask("rejects", "acme", &["--release", "1", "--format", "csv"]).exits(0);
    assert!(csv.output.starts_with("source,rule,column,reason,records,file,row,line,raw\n"), "{}", csv.output);
}

/// Conditions over the columns of `things`, each a rule.
const CONDITIONS: &[&str] = &[
    "a >= b OR s IS NULL",
    "NOT (a < b AND x > 1)",
    "a NOT IN (1, 7, NULL)",
    "a IN (1, 7, NULL)",
    "a BETWEEN b AND 9",
    "x NOT BETWEEN -1 AND 2.5",
    "a + b * 2 - 1 > 4",
    "-a < 0",
    "x / 4 >= 0.5",
    "CAST(a AS DOUBLE) / 2 > x",
    "CAST(x AS BIGINT) = a",
    "abs(a) > 2",
    "abs(x) <= 2.5",
    "round(x) = 3",
    "round(x, 1) > 1.2",
    "floor(x) < ceil(x)",
    "s LIKE '%a%'",
    "s LIKE '_\\%%'",
    "s NOT ILIKE 'ZO%'",
    "trim(s) = 'ab'",
    "btrim(s, 'ab') <> ''",
    "ltrim(s, 'Z') LIKE 'o%'",
    "rtrim(s) = s",
    "length(s) > 2",
    "lower(s) = upper(s)",
    "substr(s, 2) = 'b'",
    "substr(s, 0, 2) = 'a'",
    "substr(s, -1, 4) = 'ab'",
    "substring(s FROM 2 FOR 1) = 'o'",
    "starts_with(s, 'a') OR ends_with(s, 'b')",
    "contains(s, '%')",
    "s || 'x' || a = 'abx1'",
    "concat(s, a) = '7'",
    "concat(s, 'x', b) <> 'x'",
    "coalesce(a, b, 0) > 1",
    "nullif(a, 1) IS NULL",
    "nullif(s, 'ab') <> 'a'",
    "TRY_CAST(s AS BIGINT) > 5",
    "CAST(a AS VARCHAR) = '7'",
    "s < 'b'",
    "f IS NOT TRUE",
    "f IS UNKNOWN OR f",
    "f IS FALSE",
    "NOT f",
    "a IS DISTINCT FROM b",
    "s IS NOT DISTINCT FROM NULL",
    "CASE WHEN a > 5 THEN f WHEN s IS NULL THEN TRUE ELSE b > 0 END",
    "CASE a WHEN 1 THEN 'one' WHEN 7 THEN s END = 'one'",
    "d > '2024-02-28'",
    "d = DATE '2024-02-29'",
    "at > d",
    "at >= TIMESTAMP '2024-02-29 12:00:00'",
    "d + INTERVAL '1 month' > DATE '2024-03-15'",
    "d - INTERVAL '1 year' < DATE '2023-03-01'",
    "at + INTERVAL '36 hours' > '2024-03-02 00:00:00'",
    "CAST(at AS DATE) = d",
    "CAST(d AS TIMESTAMP) <= at",
    "date_part('year', d) = 2024",
    "date_part('quarter', at) = 1",
    "date_part('week', d) = 9",
    "date_part('dow', d) = 4",
    "date_part('doy', d) > 59",
    "EXTRACT(HOUR FROM at) < 13",
    "date_trunc('month', at) = TIMESTAMP '2024-02-01 00:00:00'",
    "date_trunc('week', at) < d",
    "date_trunc('quarter', at) < '2024-01-02'",
];

/// Rules run in Polars over what arrived; DataFusion answers the same conditions over the published table.
#[test]
fn conditions_mean_what_they_mean_in_datafusion() {
    let project = Project::new();
    let columns = [
        ("id", "long"),
        ("a", "long"),
        ("b", "long"),
        ("x", "double"),
        ("s", "text"),
        ("f", "bool"),
        ("d", "date"),
        ("at", "timestamp"),
    ];
    let mut source = "description = \"x\"\npatterns = [\"things*\"]\nrequired = true\n".to_owned();
    let mut table = "kind = \"cleanse\"\ndescription = \"x\"\nsource = \"things\"\nkey = [\"id\"]\n".to_owned();
    for (name, data_type) in columns {
        let _ = writeln!(source, "[[columns]]\nname = \"{name}\"\ndescription = \"x\"");
        let _ = writeln!(table, "[[columns]]\nname = \"{name}\"\ntype = \"{data_type}\"\ndescription = \"x\"");
    }
    for (number, condition) in CONDITIONS.iter().enumerate() {
        let expression = toml::Value::from(*condition);
        let _ = writeln!(table, "[[rules]]\nname = \"rule_{number}\"\nexpression = {expression}\nseverity = \"warn\"");
    }
    project.write("things/pipeline.toml", "name = \"things\"\ndescription = \"x\"\n");
    project.write("things/bronze/things.toml", &source);
    project.write("things/silver/things.toml", &table);
    let texts = ["", "ab", " ab ", "a", "Zoë", "a%b", "12", "b\tc"];
    let numbers = ["", "1", "7", "-3", "10"];
    let (doubles, truths) = (["", "2.5", "-2.5", "1.25", "3.49", "0"], ["", "true", "false"]);
    let days = ["", "2024-02-29", "2024-01-31", "2023-12-31"];
    let moments = ["", "2024-02-29 13:45:10", "2024-02-29 00:00:00", "2023-12-31 23:59:59", "2024-03-31 06:00:00"];
    let mut export = "id,a,b,x,s,f,d,at\n".to_owned();
    // The lengths have few common factors, so that most pairs of values meet.
    for row in 0..480_usize {
        let of = |list: &[&str], step: usize| list[(row / step) % list.len()].to_owned();
        let cells = [
            of(&numbers, 1),
            of(&numbers, 5),
            of(&doubles, 2),
            of(&texts, 3),
            of(&truths, 1),
            of(&days, 3),
            of(&moments, 4),
        ];
        let _ = writeln!(export, "{row},{}", cells.join(","));
    }
    project.write("drop/things_20250630.csv", &export);
    project.add_customer("acme", &project.path("drop"), "");
    project.ask("run", "acme", &["--as-of", AS_OF, "--pipeline", "things"]).exits(0);
    let results = project.results("acme", 1);
    let published = Published::open(&project.lake(), "acme");
    let mut differences = String::new();
    for (number, condition) in CONDITIONS.iter().enumerate() {
        let rules = results["tables"]["silver.things"]["rules"].as_array().unwrap();
        let broken =
            rules.iter().find(|rule| rule["rule"] == format!("rule_{number}")).unwrap()["rows"].as_i64().unwrap();
        let expected = published.number(&format!("SELECT count(*) FROM silver.things WHERE ({condition}) IS FALSE"));
        if broken != expected {
            let _ = writeln!(differences, "  {condition}: {broken} rows are false, DataFusion finds {expected}");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}
