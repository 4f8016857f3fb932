//! Fleets: many customers, each in a process of its own. Whatever happens to one happens to no other, and what became of
//! each is kept whatever happens to the fleet.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use medallion_lake::Lake;
use serde_json::{Value, json};

use crate::nights::{SMALL, answered};
use crate::project::{Answer, Project};

const AS_OF: &str = "2025-06-30";

/// A project with the small pipeline and a data test, without customers.
pub(crate) fn project() -> Project {
    let project = Project::new();
    for (file, text) in SMALL {
        project.write(&format!("small/{file}"), text);
    }
    project.write(
        "small/tests/nobody_is_99.sql",
        "-- description: Nobody has the number 99\nSELECT person_id FROM gold.dim_person WHERE person_id = 99\n",
    );
    project.write("medallion.toml", "pipeline = \"small\"\nlake = \"lake\"\n");
    project
}

/// So many people and visits, in the customer's drop folder.
pub(crate) fn deliver(project: &Project, customer: &str, people: u32) {
    deliver_people(project, customer, people);
    let visits: String = (1..=60).map(|id| format!("{id},{},Hall {}\n", id % 40, id % 7)).collect();
    project.write(&format!("drop/{customer}/visits_20250630.csv"), &format!("visit_id,person_id,place\n{visits}"));
}

/// So many people, in the customer's drop folder.
pub(crate) fn deliver_people(project: &Project, customer: &str, people: u32) {
    let people: String =
        (1..=people).filter(|id| *id != 99).map(|id| format!("{id},{},Person {id}\n", id % 5)).collect();
    project.write(&format!("drop/{customer}/people_20250630.csv"), &format!("person_id,team_id,name\n{people}"));
}

/// Adds a customer with a sound export.
pub(crate) fn add_sound(project: &Project, customer: &str) {
    deliver(project, customer, 40);
    project.add_customer(customer, &project.path(&format!("drop/{customer}")), "");
}

fn sound_project(customers: &[&str]) -> Project {
    let project = project();
    customers.iter().for_each(|customer| add_sound(&project, customer));
    project
}

fn run(project: &Project, options: &[&str]) -> Answer {
    project.medallion(["run", "--as-of", AS_OF].iter().chain(options))
}

/// The last fleet's results.
fn results(project: &Project) -> Value {
    let fleets = fs::read_dir(project.lake().join("_medallion/fleet")).unwrap();
    let files = fleets.map(|fleet| fleet.unwrap().path().join("fleet_results.json"));
    let written = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    serde_json::from_slice(&fs::read(files.max_by_key(written).unwrap()).unwrap()).unwrap()
}

/// The entries by customer; each customer has one.
fn entries(results: &Value) -> BTreeMap<String, Value> {
    let entries = results["customers"].as_array().unwrap();
    let by_customer: BTreeMap<String, Value> =
        entries.iter().map(|entry| (entry["customer"].as_str().unwrap().to_owned(), entry.clone())).collect();
    assert_eq!(by_customer.len(), entries.len(), "{results:#}");
    by_customer
}

/// Status and exit code by customer.
fn ends(results: &Value) -> BTreeMap<String, (String, Option<u64>)> {
    let end = |entry: Value| (entry["status"].as_str().unwrap().to_owned(), entry["exit_code"].as_u64());
    entries(results).into_iter().map(|(customer, entry)| (customer, end(entry))).collect()
}

fn end(status: &str, exit_code: impl Into<Option<u64>>) -> (String, Option<u64>) {
    (status.to_owned(), exit_code.into())
}

/// A command that runs, with its JSON log.
pub(crate) struct Running {
    pub(crate) process: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// What was read of the log so far.
    pub(crate) log: Vec<Value>,
}

impl Running {
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medallion"));
        command.current_dir(project.path("")).args(arguments).args(["--log-format", "json"]).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, lines, log: Vec::new() }
    }

    fn run(project: &Project, options: &[&str]) -> Self {
        Self::start(project, &[&["run", "--as-of", AS_OF], options].concat())
    }

    /// Reads the log up to an event of a customer.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, event: &str, customer: &str) -> Value {
        loop {
            let Some(line) = self.lines.next() else { panic!("no {event} of {customer}: {:#?}", self.log) };
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            self.log.push(line.clone());
            if line["event"] == event && line["customer"] == customer {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        send(signal, self.process.id());
    }

    /// Waits for the end; says what it answered.
    pub(crate) fn end(mut self) -> (Answer, Vec<Value>) {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.log.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")));
        }
        drop(self.lines);
        (answered(self.process.wait_with_output().unwrap()), self.log)
    }
}

fn send(signal: &str, process: u32) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).stderr(Stdio::null()).status();
}

/// The process that runs a customer of this project.
#[cfg(target_os = "linux")]
fn process_of(project: &Project, customer: &str) -> u32 {
    let wanted = format!("--customer={customer}");
    let folder = fs::canonicalize(project.path("")).unwrap();
    for _ in 0..10_000 {
        for process in fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(line) = fs::read(process.join("cmdline")) else { continue };
            let is_it = line.split(|byte| *byte == 0).any(|argument| argument == wanted.as_bytes());
            if is_it && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder) {
                return process.file_name().unwrap().to_str().unwrap().parse().unwrap();
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("no process runs {customer}");
}

#[test]
fn the_sound_are_published_and_the_broken_are_named() {
    let project = sound_project(&["a", "b", "c", "tested", "shrunk"]);
    let add_broken = |customer: &str, file: &str, text: &str| {
        add_sound(&project, customer);
        project.write(&format!("drop/{customer}/{file}"), text);
    };
    // Published once before, each in a process of the test's.
    deliver(&project, "shrunk", 90);
    let guard = "[sources.people]\nmin_ratio = 0.5\nmin_rows = 10\n";
    project.add_customer("shrunk", &project.path("drop/shrunk"), guard);
    run(&project, &["-c", "shrunk"]).exits(0);
    deliver_people(&project, "shrunk", 20);
    project.add_customer("missing", &project.write("drop/missing/other.csv", "x\n").with_file_name(""), "");
    project.add_customer("nowhere", &project.path("drop/nowhere"), "");
    add_broken("column", "people_20250630.csv", "person_id,name\n1,Ada\n");
    add_broken("empty", "people_20250630.csv", "");
    add_broken("garbage", "people_20250630.csv", "PK\u{3}\u{4}no,text\n");
    project.write("drop/tested/people_20250630.csv", "person_id,team_id,name\n99,1,Nobody\n");
    project.write("customers/typo.toml", "sorce = \"drop\"\n");
    project.write("customers/Bad Copy.toml", "source = \"drop\"\n");
    add_sound(&project, "held");
    let lock = Lake::open(project.lake().to_str().unwrap(), "held").unwrap().lock("by-hand").unwrap();

    let answer = run(&project, &["--all", "--jobs", "3", "--retries", "0"]).exits(3);
    let expected = [
        ("a", end("published", 0)),
        ("b", end("published", 0)),
        ("c", end("published", 0)),
        ("missing", end("failed", 1)),
        ("nowhere", end("failed", 1)),
        ("column", end("failed", 1)),
        ("empty", end("failed", 1)),
        ("garbage", end("failed", 1)),
        ("typo", end("failed", 2)),
        ("Bad Copy", end("failed", 2)),
        ("shrunk", end("failed", 4)),
        ("tested", end("failed", 4)),
        ("held", end("failed", 7)),
    ];
    let expected: BTreeMap<String, _> = expected.into_iter().map(|(id, end)| (id.to_owned(), end)).collect();
    let found = results(&project);
    assert_eq!(ends(&found), expected, "{found:#}");
    for customer in ["a", "b", "c", "shrunk"] {
        assert_eq!(project.releases(customer), [1], "{customer}");
    }
    let parts =
        ["typo.toml:1:1", "sorce", "team_id", "nobody_is_99", "by-hand", "did you mean 'source'?", "'Bad Copy'"];
    let answer = answer.says(&parts);
    for part in ["13 customers in", "3 published, 0 unchanged, 10 failed", "not done:", "slowest: ", "nobody_is_99"] {
        assert!(answer.output.contains(part), "'{part}' is not in\n{}", answer.output);
    }
    let entry = &entries(&found)["a"];
    // 40 people and 60 visits.
    let rows = (&entry["rows_in"], &entry["rejected"], &entry["attempts"], &entry["release"]);
    assert_eq!(rows, (&json!(100), &json!(0), &json!(1), &json!(1)));
    let gold = project.medallion(["ls", "-c", "a", "--format", "json"]).exits(0).output;
    let gold: Vec<Value> = serde_json::from_str(&gold).unwrap();
    let gold = gold.iter().filter(|table| table["table"].as_str().unwrap().starts_with("gold."));
    assert_eq!(entry["rows_out"], gold.map(|table| table["rows"].as_u64().unwrap()).sum::<u64>());
    drop(lock);

    let answer = run(&project, &["--all", "--quiet"]).exits(3);
    assert_eq!(answer.output, "", "nobody asked for a summary");
    let again = ends(&results(&project));
    assert_eq!((&again["a"], &again["held"]), (&end("unchanged", 0), &end("published", 0)));
}

#[test]
fn fleets_of_failures_exit_with_1_and_a_single_customer_with_its_own_code() {
    let project = sound_project(&["a"]);
    project.add_customer("x", &project.path("nowhere"), "");
    project.add_customer("y", &project.path("nowhere"), "");
    run(&project, &["-c", "x", "-c", "y"]).exits(1).says(&["customer x", "customer y"]);
    run(&project, &["-c", "nobody", "--timeout", "1m"]).exits(2).says(&["nobody.toml", "--source"]);
    run(&project, &["-c", "a", "--jobs", "4"]).exits(0);
    assert_eq!(results(&project)["options"]["jobs"], 1, "there is one customer");
    for (options, part) in [
        (["--all", "--shard=3/2"], "I/N"),
        (["--all", "--timeout=10"], "90s"),
        (["--all", "--timeout=0s"], "longer than nothing"),
        (["--all", "--jobs=0"], "--jobs"),
        (["--all", "--canary=z"], "--canary z"),
        (["--all", "--source=drop"], "--source is for one customer"),
    ] {
        run(&project, &options).exits(2).says(&[part]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_hangs_or_is_killed_fails_alone() {
    let project = sound_project(&["a", "b", "hangs", "killed"]);
    // Large enough to be caught before their end.
    for customer in ["hangs", "killed"] {
        deliver(&project, customer, 400_000);
    }
    let options = ["--all", "--jobs", "4", "--timeout", "30s"];
    let fleet = Running::run(&project, &options);
    send("KILL", process_of(&project, "killed"));
    let hangs = process_of(&project, "hangs");
    send("STOP", hangs);
    let (answer, _) = fleet.end();
    let answer = answer.exits(3);
    let found = results(&project);
    let expected = [
        ("a", end("published", 0)),
        ("b", end("published", 0)),
        ("hangs", end("timed_out", None)),
        ("killed", end("failed", None)),
    ];
    assert_eq!(ends(&found), expected.into_iter().map(|(id, end)| (id.to_owned(), end)).collect(), "{answer:?}");
    let entries = entries(&found);
    let reason = |customer: &str| entries[customer]["reason"].as_str().unwrap();
    assert!(reason("hangs").contains("longer than 30 s") && reason("killed").contains("signal 9"), "{entries:#?}");
    assert!(!fs::exists(format!("/proc/{hangs}")).unwrap(), "it is gone");
    run(&project, &["--retry-failed"]).exits(0);
    assert_eq!(results(&project)["selected"].as_array().unwrap().len(), 2);
}

#[test]
fn a_lock_that_is_given_back_meanwhile_is_waited_for() {
    let project = sound_project(&["a", "held"]);
    let lock = Lake::open(project.lake().to_str().unwrap(), "held").unwrap().lock("by-hand").unwrap();
    let mut fleet = Running::run(&project, &["--all", "--retries", "3"]);
    let retrying = fleet.wait_for("retrying", "held");
    assert!(retrying["message"].as_str().unwrap().contains("by-hand"), "{retrying}");
    drop(lock);
    let (answer, log) = fleet.end();
    answer.exits(0);
    let found = results(&project);
    let entry = &entries(&found)["held"];
    assert_eq!((&entry["status"], &entry["attempts"]), (&json!("published"), &json!(2)));
    // A bad file is no better the second time.
    assert_eq!(log.iter().filter(|line| line["event"] == "retrying").count(), 1);
    fs::remove_file(project.path("drop/a/people_20250630.csv")).unwrap();
    project.write("drop/a/people_20250701.csv", "");
    run(&project, &["--all", "--retries", "3"]).exits(3);
    assert_eq!(entries(&results(&project))["a"]["attempts"], 1);
}

#[test]
fn a_fleet_that_was_killed_is_finished_without_building_again_what_is_done() {
    let customers: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let project = sound_project(&customers.iter().map(String::as_str).collect::<Vec<_>>());
    project.add_customer("broken", &project.path("nowhere"), "");
    let mut fleet = Running::run(&project, &["--all", "--jobs", "1"]);
    // broken, c0, c1, c2
    fleet.wait_for("customer_ended", "c2");
    fleet.signal("KILL");
    let (answer, _) = fleet.end();
    assert_eq!(answer.code, None);
    let killed = results(&project);
    assert_eq!(killed["finished_at"], Value::Null);
    let done: BTreeSet<String> =
        ends(&killed).into_iter().filter(|(_, end)| end.0 == "published").map(|(id, _)| id).collect();
    assert!(done.len() >= 3 && done.len() < 8, "{done:?}");

    project.add_customer("broken", &project.path("drop/c0"), "");
    // The process of the customer that ran then may still run; its lock is waited for.
    run(&project, &["--retry-failed"]).exits(0);
    let finished = results(&project);
    assert_eq!(finished["options"]["retry_of"], killed["fleet_id"]);
    let again: BTreeSet<String> = ends(&finished).into_keys().collect();
    assert!(again.is_disjoint(&done), "{again:?}");
    let all: BTreeSet<String> = customers.into_iter().chain(["broken".to_owned()]).collect();
    assert_eq!(again.union(&done).cloned().collect::<BTreeSet<_>>(), all);
    for customer in &all {
        assert_eq!(project.releases(customer), [1], "{customer}");
    }
    for customer in &done {
        let runs = fs::read_dir(project.lake().join(customer).join("_medallion/runs")).unwrap().count();
        assert_eq!(runs, 1, "{customer} was not run again");
    }
    let answer = run(&project, &["--retry-failed"]).exits(0).says(&["every customer of the fleet", "is done"]);
    assert_eq!(answer.output, "");
    let other = sound_project(&["a"]);
    run(&other, &["--retry-failed"]).exits(0).says(&["no earlier fleet"]);
    assert!(!other.lake().exists());
}

#[test]
fn an_interrupted_fleet_exits_with_130_and_is_finished_later() {
    for signal in ["INT", "TERM"] {
        let project = sound_project(&["a", "b", "c"]);
        deliver(&project, "b", 400_000);
        let mut fleet = Running::run(&project, &["--all", "--jobs", "1"]);
        fleet.wait_for("run_started", "b");
        fleet.signal(signal);
        let (answer, log) = fleet.end();
        answer.exits(130);
        assert!(log.iter().any(|line| line["event"] == "fleet_stopped"), "{log:#?}");
        let found = results(&project);
        let ends = ends(&found);
        assert_eq!((&ends["a"], &ends["c"]), (&end("published", 0), &end("not_started", None)));
        assert_eq!(ends["b"], end("interrupted", 130), "it had hardly begun");
        assert!(project.releases("b").is_empty() && !project.lake().join("c").exists());
        assert!(found["finished_at"].is_string() && found["stopped"].is_string());
        run(&project, &["--retry-failed"]).exits(0);
        assert_eq!(results(&project)["selected"], json!(["b", "c"]));
    }
}

#[test]
fn every_customer_is_in_one_shard() {
    let customers: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
    let project = sound_project(&customers.iter().map(String::as_str).collect::<Vec<_>>());
    let mut seen = Vec::new();
    for part in 1..=3 {
        run(&project, &["--all", "--shard", &format!("{part}/3")]).exits(0);
        let found = results(&project);
        assert!(found["fleet_id"].as_str().unwrap().ends_with(&format!("-{part}of3")));
        seen.extend(ends(&found).into_keys());
        // Each shard knows of its own last fleet alone.
        run(&project, &["--retry-failed", "--shard", &format!("{part}/3")]).exits(0).says(&["is done"]);
    }
    seen.sort();
    assert_eq!(seen, customers);
    assert!(customers.iter().all(|customer| project.releases(customer) == [1]));
    run(&project, &["--retry-failed"]).exits(0).says(&["no earlier fleet"]);
    run(&project, &["-c", "c0", "--shard", "1/1"]).exits(0);
    // One of the two parts has not this one customer.
    let empty = [1, 2].map(|part| run(&project, &["-c", "c0", "--shard", &format!("{part}/2")]).exits(0).messages);
    assert_eq!(empty.iter().filter(|messages| messages.contains("no customer is in part")).count(), 1, "{empty:?}");
}

#[test]
fn a_canary_that_fails_stops_the_fleet() {
    let project = sound_project(&["a", "b"]);
    project.add_customer("canary", &project.path("nowhere"), "");
    let answer =
        run(&project, &["--all", "--jobs", "3", "--canary", "canary"]).exits(1).says(&["the canary canary failed"]);
    assert!(answer.output.contains("2 not started: the canary canary failed"), "{}", answer.output);
    let found = results(&project);
    assert_eq!(found["selected"][0], "canary");
    assert_eq!((&ends(&found)["a"], &ends(&found)["canary"]), (&end("not_started", None), &end("failed", 1)));
    assert!(!project.lake().join("a").exists());
    run(&project, &["--all", "--canary", "canry"]).exits(2).says(&["--canary canry", "did you mean 'canary'?"]);
    project.add_customer("canary", &project.path("drop/a"), "");
    let mut fleet = Running::run(&project, &["--retry-failed", "--jobs", "3", "--canary", "canary"]);
    fleet.wait_for("customer_ended", "canary");
    assert!(!fleet.log.iter().any(|line| line["event"] == "customer_started" && line["customer"] != "canary"));
    fleet.end().0.exits(0);
    assert_eq!(project.releases("b"), [1]);
}

#[test]
fn after_too_many_failures_no_customer_is_started() {
    let project = sound_project(&["a", "z"]);
    for customer in ["b", "c"] {
        project.add_customer(customer, &project.path("nowhere"), "");
    }
    let answer = run(&project, &["--all", "--jobs", "1", "--max-failures", "2"]).exits(3);
    let answer = answer.says(&["no further customers are started: 2 customers failed"]);
    assert!(answer.output.contains("1 not started"), "{}", answer.output);
    assert_eq!(ends(&results(&project))["z"], end("not_started", None));
    run(&project, &["--retry-failed"]).exits(3);
    assert_eq!((project.releases("a"), project.releases("z")), (vec![1], vec![1]));
}

#[test]
fn the_slowest_of_the_last_fleet_start_first() {
    let project = sound_project(&["a", "b", "c"]);
    deliver(&project, "c", 100_000);
    run(&project, &["--all", "--jobs", "1"]).exits(0);
    add_sound(&project, "new");
    run(&project, &["--all", "--jobs", "1"]).exits(0);
    let selected = results(&project)["selected"].clone();
    assert_eq!((&selected[0], &selected[1]), (&json!("new"), &json!("c")), "{selected}");
}

#[test]
fn the_log_of_a_fleet_is_the_log_of_its_customers_and_its_own() {
    let project = sound_project(&["a", "b"]);
    let (answer, log) = Running::run(&project, &["--all", "--jobs", "2"]).end();
    answer.exits(0);
    let of = |event: &str| log.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    for event in ["customer_started", "run_started", "finished", "customer_ended"] {
        let customers: BTreeSet<&str> = of(event).iter().map(|line| line["customer"].as_str().unwrap()).collect();
        assert_eq!(customers, BTreeSet::from(["a", "b"]), "{event}");
    }
    assert_eq!((of("fleet_finished").len(), &of("fleet_finished")[0]["published"]), (1, &json!(2)));
    let finished = of("finished")[0];
    assert_eq!(
        (&finished["exit_code"], &finished["release"], &finished["rows_in"]),
        (&json!(0), &json!(1), &json!(100))
    );
    // A single run tells the same.
    let (_, log) = Running::start(&project, &["run", "-c", "a", "--as-of", AS_OF]).end();
    let last = log.last().unwrap();
    assert_eq!((&last["event"], &last["release"], &last["tables"]), (&json!("finished"), &Value::Null, &json!(8)));
}

#[test]
fn the_schema_in_the_documentation_names_every_key() {
    let project = sound_project(&["a", "b"]);
    run(&project, &["--all", "--shard", "1/1", "--timeout", "5m"]).exits(0);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas/fleet_results.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let required =
        |value: &Value| value.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    let found = results(&project);
    for (described, found) in [
        (&schema, &found),
        (&schema["$defs"]["options"], &found["options"]),
        (&schema["$defs"]["customer"], &found["customers"][0]),
    ] {
        assert_eq!(keys(&described["properties"]), keys(found));
        assert_eq!(keys(found), required(&described["required"]), "all are always there");
    }
    let statuses = ["published", "unchanged", "failed", "timed_out", "interrupted", "not_started"];
    assert_eq!(schema["$defs"]["customer"]["properties"]["status"]["enum"], json!(statuses));
}
