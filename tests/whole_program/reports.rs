//! `report.html` and `openlineage.ndjson` of a run say what its results say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::case::Case;
use crate::project::Project;
use crate::telling::{events, small};

const AS_OF: &str = "2025-06-30";

fn folder(project: &Project, customer: &str) -> PathBuf {
    let results = project.last_results(customer);
    project.lake().join(customer).join("_medallion/runs").join(results["run_id"].as_str().unwrap())
}

fn report(project: &Project, customer: &str) -> String {
    fs::read_to_string(folder(project, customer).join("report.html")).unwrap()
}

/// The text between tags, entities resolved.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The part of the page with this id, up to the next part.
fn section<'a>(html: &'a str, id: &str) -> &'a str {
    let (_, rest) = html.split_once(&format!("<section id=\"{id}\">")).unwrap_or_else(|| panic!("no section {id}"));
    rest.split_once("</section>").unwrap().0
}

/// The cells of each row of the tables in a part.
fn rows(html: &str) -> Vec<Vec<String>> {
    let rows = html.split("<tr").skip(1).map(|row| row.split_once("</tr>").unwrap().0);
    let cells = |row: &str| {
        let cells = row.split("<t").skip(1).filter(|cell| cell.starts_with('d') || cell.starts_with('h'));
        cells.map(|cell| text(cell.split_once('>').unwrap().1)).collect()
    };
    rows.map(cells).collect()
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("'{text}' is not a count"))
}

/// Elements are closed in the order in which they were opened.
fn check_nesting(html: &str) {
    const EMPTY: [&str; 5] = ["meta", "link", "br", "input", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap_or_else(|| panic!("'<{tag}' is not closed")).0;
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{open:?}"),
            None if EMPTY.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Nothing is loaded, nothing runs, and nothing steers a terminal or the direction of writing.
fn check_alone(html: &str) {
    for part in ["<script", "javascript:", "<img", "<iframe", "<object", "@import", "url("] {
        assert!(!html.contains(part), "{part}");
    }
    for tag in html.split('<').skip(1) {
        // Names of attributes, without their values.
        let names = tag.split_once('>').unwrap().0.split('"').step_by(2).collect::<String>();
        assert!(!names.contains(" on") && !names.contains("src"), "<{tag}");
    }
    for link in html.split("href=\"").skip(1) {
        let link = link.split_once('"').unwrap().0;
        assert!(!link.contains(':') || link == "data:,", "{link} leads elsewhere");
    }
    let steers =
        |c: &char| (c.is_control() && *c != '\n') || matches!(*c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
    assert_eq!(html.chars().find(steers), None);
    check_nesting(html);
}

/// Each table's figures and those of the layers are the results'.
fn check_sums(html: &str, results: &Value) {
    let tables = rows(section(html, "tables"));
    let mut layers: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (name, table) in results["tables"].as_object().unwrap() {
        let row = tables.iter().find(|row| row[0] == *name).unwrap_or_else(|| panic!("{name} is not in the report"));
        let [read, made, rejected] = [("rows_in", 2), ("rows_out", 3), ("rejected", 6)].map(|(key, place)| {
            assert_eq!(number(&row[place]), table[key].as_u64().unwrap(), "{name} {key}");
            number(&row[place])
        });
        let sum = layers.entry(name.split_once('.').unwrap().0.to_owned()).or_default();
        *sum = [sum[0] + read, sum[1] + made, sum[2] + rejected];
    }
    for (layer, [read, made, _]) in layers {
        let row = tables
            .iter()
            .find(|row| row[0].starts_with(&format!("{layer} ,")) || row[0].starts_with(&format!("{layer},")));
        let row = row.unwrap_or_else(|| panic!("no sum of {layer}"));
        assert_eq!((number(&row[2]), number(&row[3])), (read, made), "{layer}");
    }
}

#[test]
fn the_report_of_a_night_says_what_its_results_say() {
    let project = small("");
    project.write("drop/lunch.csv", "a\n1\n");
    project.run("acme", AS_OF).exits(0);
    let (html, results) = (report(&project, "acme"), project.last_results("acme"));
    check_alone(&html);
    check_sums(&html, &results);
    let page = text(&html);
    for part in [
        "Acme <Ltd>",
        "Customer acme · as of 2025-06-30",
        "Release 1 published",
        "Files to bronze: 4 records = 4 rows + 0 rejected while parsing",
        "Bronze to silver: 4 rows read = 2 rows in cleansed tables + 1 rejected + 1 duplicates",
        "lunch.csv",
        "2 passed",
        "This is the first run",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let hash = results["tables"]["bronze.people"]["files"][0]["hash"].as_str().unwrap();
    let arrival = rows(section(&html, "arrivals")).into_iter().find(|row| row[0] == "people").unwrap();
    assert_eq!(arrival[1..5], ["taken in", "people_20250601.csv", "4", "0"]);
    assert_eq!(arrival[6], hash[..12]);
    let rejects = rows(section(&html, "rejects"));
    assert_eq!(rejects[1], ["silver.people", "required", "person_id", "1", "medallion rejects -c acme silver.people"]);
}

#[test]
fn a_night_without_changes_is_told_as_one_and_compared_with_the_one_before() {
    let project = small("");
    project.run("acme", AS_OF).exits(0);
    let first = project.last_results("acme")["run_id"].as_str().unwrap().to_owned();
    // What cannot be read any more is left out.
    for (run, text) in [("20250101T000000Z-00000000", "{"), ("20250102T000000Z-00000000", "{\"tables\": {}}")] {
        let folder = project.lake().join("acme/_medallion/runs").join(run);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("run_results.json"), text).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.run("acme", AS_OF).exits(0);
    let html = report(&project, "acme");
    check_alone(&html);
    check_sums(&html, &project.last_results("acme"));
    let page = text(&html);
    for part in [
        "Nothing has changed",
        "those of the last release, 1;",
        "No row moved",
        "No table and no test has changed since release 1.",
        "The last 3 runs",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(html.contains(&format!("href=\"../{first}/report.html\"")), "the run before is linked");
    let person = rows(section(&html, "tables")).into_iter().find(|row| row[0] == "gold.dim_person").unwrap();
    assert_eq!((person[1].as_str(), person[3].as_str(), person[4].as_str()), ("as before", "3", "="));
}

#[test]
fn a_failed_night_tells_why_and_what_to_do() {
    let project = small("");
    project.write("drop/people_20250602.csv", "person_id,Full Name\n1,Ada\n3,Mallory\n");
    project.run("acme", AS_OF).exits(4);
    let (html, results) = (report(&project, "acme"), project.last_results("acme"));
    check_alone(&html);
    check_sums(&html, &results);
    let tests = rows(section(&html, "tests"));
    assert_eq!(tests[1][..4], ["failed", "gold.dim_person", "no_strangers", "1"], "what fails stands first");
    assert!(html.contains("href=\"tests/gold.dim_person.no_strangers.csv\""));
    assert!(folder(&project, "acme").join("tests/gold.dim_person.no_strangers.csv").exists());
    let page = text(&html);
    for part in [
        "The run failed",
        "A data test failed: gold.dim_person",
        "What to do",
        "Look at the failing rows",
        "not published",
    ] {
        assert!(page.contains(part) || html.contains(part), "{part}\n{page}");
    }
    // Before anything is taken in.
    let project = small("");
    fs::remove_file(project.path("drop/people_20250601.csv")).unwrap();
    project.run("acme", AS_OF).exits(1);
    let html = report(&project, "acme");
    check_alone(&html);
    let page = text(&html);
    for part in ["No file for the required source people", "Put the export into the drop folder", "came to no table"] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn names_from_outside_stay_names() {
    let project = small("");
    let hostile = "\"><img src=x onerror=alert(1)>'&\u{202e}\u{1b}[31m<script>.csv";
    project.write(&format!("drop/{hostile}"), "a\n1\n");
    project.write(
        "drop/people_<b>20250603.csv",
        "person_id,Full Name,\"New </style><script>\u{202e}x\"\n1,Ada,y\n2,Ben,z\n",
    );
    project.add_customer("acme", &project.path("drop"), "name = '<script>alert(1)</script>\u{200f}\"'\n");
    project.run("acme", AS_OF).exits(0);
    let html = report(&project, "acme");
    check_alone(&html);
    check_sums(&html, &project.last_results("acme"));
    let page = text(&html);
    for part in [
        "<script>alert(1)</script>\u{fffd}\"",
        "\"><img src=x onerror=alert(1)>'&\u{fffd}\u{fffd}[31m<script>.csv",
        "people_<b>20250603.csv",
        "new columns: New </style><script>\u{fffd}x",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn the_report_of_the_built_in_pipeline_is_whole() {
    let project = Case::published("star");
    let (html, results) = (report(&project, "star"), project.last_results("star"));
    check_alone(&html);
    check_sums(&html, &results);
    let graph = section(&html, "graph");
    for table in results["tables"].as_object().unwrap().keys() {
        assert!(graph.contains(&format!("<title>{table}")), "{table} is not in the graph");
    }
    let passed = results["tests"].as_array().unwrap().iter().filter(|test| test["status"] == "pass").count();
    assert!(text(section(&html, "tests")).contains(&format!("{passed} passed")));
}

/// `kind` of the events of a job.
fn kinds<'a>(events: &'a [Value], job: &str) -> Vec<&'a str> {
    let of_job = events.iter().filter(|event| event["job"]["name"] == job);
    of_job.map(|event| event["eventType"].as_str().unwrap()).collect()
}

fn end<'a>(events: &'a [Value], job: &str) -> &'a Value {
    events.iter().rfind(|event| event["job"]["name"] == job).unwrap_or_else(|| panic!("no job {job}"))
}

/// What the specification asks of every event and facet.
fn check_events(events: &[Value]) {
    let mut runs = BTreeSet::new();
    for event in events {
        for key in ["eventType", "eventTime", "run", "job", "producer", "schemaURL"] {
            assert!(!event[key].is_null(), "{key}: {event}");
        }
        assert_eq!(event["schemaURL"], "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
        let id = event["run"]["runId"].as_str().unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id} is a UUID");
        runs.insert(id);
        assert!(event["eventTime"].as_str().unwrap().ends_with('Z'));
        let datasets = ["inputs", "outputs"].map(|key| event[key].as_array().unwrap()).into_iter().flatten();
        for dataset in datasets.clone() {
            assert!(dataset["namespace"].is_string() && dataset["name"].is_string(), "{dataset}");
        }
        let of_datasets =
            datasets.flat_map(|dataset| ["facets", "inputFacets", "outputFacets"].map(|key| &dataset[key]));
        let facets = [&event["run"]["facets"], &event["job"]["facets"]].into_iter().chain(of_datasets);
        for (name, facet) in facets.filter_map(Value::as_object).flatten() {
            let schema = facet["_schemaURL"].as_str().unwrap_or_else(|| panic!("{name} has no schema"));
            assert!(
                schema.starts_with("https://openlineage.io/spec/facets/") && schema.contains(".json#/$defs/"),
                "{schema}"
            );
            assert!(facet["_producer"].is_string());
        }
    }
    assert_eq!(runs.len() * 2, events.len(), "each run of a job starts and ends once");
}

#[test]
fn events_tell_what_was_read_and_written() {
    let project = small("");
    project.run("acme", AS_OF).exits(0);
    let events = events(&project);
    check_events(&events);
    for job in ["acme", "acme.bronze.people", "acme.silver.people", "acme.gold.dim_person", "acme.tests"] {
        assert_eq!(kinds(&events, job), ["START", "COMPLETE"], "{job}");
    }
    let run = end(&events, "acme");
    assert_eq!(run["run"]["facets"]["nominalTime"]["nominalStartTime"], "2025-06-30T00:00:00.000000Z");
    let person = end(&events, "acme.gold.dim_person");
    assert_eq!(person["run"]["facets"]["parent"]["run"]["runId"], run["run"]["runId"]);
    let lake = project.lake().canonicalize().unwrap();
    let name = |table: &str| lake.join("acme").join(table).display().to_string();
    assert_eq!(person["inputs"][0]["name"], name("silver/people"));
    let output = &person["outputs"][0];
    assert_eq!((&output["namespace"], &output["name"]), (&"file".into(), &name("gold/dim_person").into()));
    assert_eq!(output["facets"]["version"]["datasetVersion"], "0");
    assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 3);
    assert_eq!(output["facets"]["schema"]["fields"][1]["name"], "label");
    let fields = &output["facets"]["columnLineage"]["fields"];
    let sources = |field: &str| {
        let fields = fields[field]["inputFields"].as_array().unwrap().iter();
        fields.map(|field| field["field"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((sources("person_id"), sources("label")), (vec!["person_id"], vec!["called", "person_id"]));
    assert!(fields.get("_run_id").is_none(), "a constant comes from nowhere");
    let called = &end(&events, "acme.silver.people")["outputs"][0]["facets"]["columnLineage"]["fields"]["called"];
    assert_eq!(
        (&called["inputFields"][0]["name"], &called["inputFields"][0]["field"]),
        (&name("bronze/people").into(), &"name".into())
    );
    let source = end(&events, "acme.bronze.people");
    let file = project.path("drop").canonicalize().unwrap().join("people_20250601.csv").display().to_string();
    assert_eq!(source["inputs"][0]["name"], file);
    let assertions = &end(&events, "acme.tests")["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"];
    let expected = serde_json::json!([
        {"assertion": "unique", "success": true, "column": "person_id"},
        {"assertion": "accepted_values", "success": true, "column": "label"}
    ]);
    assert_eq!(*assertions, expected);
    let again = project.run("acme", AS_OF).exits(0);
    assert!(!again.messages.contains("warning"), "{}", again.messages);
}

#[test]
fn events_of_a_failed_run_say_that_nothing_was_written() {
    let project = small("");
    project.write("drop/people_20250602.csv", "person_id,Full Name\n1,Ada\n3,Mallory\n");
    project.run("acme", AS_OF).exits(4);
    let events = events(&project);
    check_events(&events);
    assert_eq!(kinds(&events, "acme"), ["START", "FAIL"]);
    assert_eq!(kinds(&events, "acme.bronze.people"), ["START", "COMPLETE"], "bronze is committed on arrival");
    assert_eq!(kinds(&events, "acme.gold.dim_person"), ["START", "ABORT"]);
    assert_eq!(kinds(&events, "acme.tests"), ["START", "FAIL"]);
    assert_eq!(end(&events, "acme.gold.dim_person")["outputs"], serde_json::json!([]));
    let message = end(&events, "acme")["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.contains("gold.dim_person.no_strangers (1)") && !message.contains("Mallory"), "{message}");
}
