//! Who hears of a run: notifications, `OpenLineage` events that are posted, metrics. Nothing of it changes how a run ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::listening::Server;
use crate::project::{Answer, Project};

const AS_OF: &str = "2025-06-30";
const KEY: &str = "k3y-0f-n0-0ne";

/// A pipeline of one source, one silver and one gold table, and the customer `acme`.
pub(crate) fn small(settings: &str) -> Project {
    let project = Project::new();
    for (file, text) in [
        ("pipeline.toml", "name = 'small'\ndescription = 'People'\n"),
        (
            "bronze/people.toml",
            "description = 'Person'\npatterns = ['people*']\nrequired = true\n[[columns]]\nname = 'person_id'\n\
             description = 'Id'\n[[columns]]\nname = 'name'\nheader = 'Full Name'\ndescription = 'Name'\n",
        ),
        (
            "silver/people.toml",
            "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['person_id']\n\
             [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
             [[columns]]\nname = 'called'\nfrom = 'name'\ntype = 'text'\ndescription = 'Name'\n",
        ),
        (
            "gold/dim_person.toml",
            "kind = 'dimension'\ndescription = 'Person'\nkey = ['person_id']\n\
             [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
             [[columns]]\nname = 'label'\ntype = 'text'\ndescription = 'Name with id'\n\
             [[tests]]\nkind = 'unique'\ncolumns = ['person_id']\n\
             [[tests]]\nkind = 'accepted_values'\nname = 'no_strangers'\ncolumn = 'label'\nvalues = ['1 Ada', '2 Ben', 'N/A']\n",
        ),
        ("gold/dim_person.sql", "SELECT person_id, person_id || ' ' || called AS label FROM silver.people\n"),
    ] {
        project.write(&format!("pipelines/small/{file}"), text);
    }
    project.write("medallion.toml", &format!("pipeline = 'pipelines/small'\n{settings}"));
    // One duplicate, and a record without the key.
    project.write("drop/people_20250601.csv", "person_id,Full Name\n1,Ada\n2,Ben\n2,Ben\n,Nobody\n");
    project.add_customer("acme", &project.path("drop"), "name = 'Acme <Ltd>'\n");
    project
}

fn run(project: &Project) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medallion"));
    command.current_dir(project.path("")).env("TELL_KEY", KEY).args(["run", "-c", "acme", "--as-of", AS_OF]);
    for proxy in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = command.output().unwrap();
    Answer {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        messages: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program in the project that does what the script says.
fn script(project: &Project, text: &str) {
    let path = project.write("tell.sh", &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Another night, in which a stranger arrives: its data test fails.
fn stranger(project: &Project) {
    project.write("drop/people_20250602.csv", "person_id,Full Name\n1,Ada\n2,Ben\n3,Mallory\n");
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

#[test]
fn a_webhook_is_told_how_the_run_ended() {
    let server = Server::answering(&[Some(200)]);
    let settings = format!(
        "[[notify]]\non = ['success', 'guard']\nwebhook = '{}/hook?key=${{TELL_KEY}}'\n\
         headers = {{ X-Token = 'Token ${{TELL_KEY}}' }}\n",
        server.address
    );
    let project = small(&settings);
    run(&project).exits(0);
    let [request] = server.received().try_into().unwrap();
    assert_eq!(request.line, format!("POST /hook?key={KEY} HTTP/1.1"));
    assert_eq!(request.header("x-token"), Some(format!("Token {KEY}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let told = json(&request.body);
    let results = project.last_results("acme");
    assert_eq!(told["schema"], "medallion/notification/v1");
    assert_eq!(
        (&told["occasion"], &told["customer"], &told["release"]),
        (&"success".into(), &"acme".into(), &1.into())
    );
    assert_eq!((&told["run_id"], &told["as_of"]), (&results["run_id"], &AS_OF.into()));
    assert_eq!((&told["fault"], &told["error"]), (&Value::Null, &Value::Null));
    assert_eq!(told["layers"]["bronze"]["rows_in"], 4);
    assert_eq!(told["layers"]["silver"]["rows_out"], 2);
    assert_eq!(told["layers"]["silver"]["rejected"], 1);
    assert_eq!(told["tests"], serde_json::json!({"passed": 2, "warned": 0, "failed": 0}));

    stranger(&project);
    let answer = run(&project).exits(4);
    assert!(answer.messages.contains("no_strangers"), "{}", answer.messages);
    let [request] = server.received().try_into().unwrap();
    let told = json(&request.body);
    assert_eq!((&told["occasion"], &told["fault"], &told["release"]), (&"guard".into(), &"guard".into(), &Value::Null));
    let expected = "customer acme: data tests failed: gold.dim_person.no_strangers (1); nothing was published, bronze has what arrived";
    assert_eq!(told["error"], expected);
    assert!(told["hint"].as_str().unwrap().contains("look at the failing rows"));
    let body = String::from_utf8(request.body).unwrap();
    assert!(!body.contains("Mallory") && !body.contains(KEY), "{body}");

    fs::remove_dir_all(project.path("drop")).unwrap();
    run(&project).exits(1);
    assert!(server.received().is_empty(), "it does not want to hear of failures");
}

#[test]
fn a_command_reads_the_notification() {
    let project = small("[[notify]]\non = ['failure', 'success']\ncommand = ['./tell.sh', 'a b', '$HOME']\n");
    script(&project, "cat > told.json; printf '%s|' \"$@\" > arguments; echo out; echo err >&2");
    let answer = run(&project).exits(0);
    assert!(!answer.output.contains("out\n") && !answer.messages.contains("err"), "{answer:?}");
    assert_eq!(fs::read_to_string(project.path("arguments")).unwrap(), "a b|$HOME|", "no shell looks at them");
    assert_eq!(json(&fs::read(project.path("told.json")).unwrap())["occasion"], "success");
    // A customer that cannot even be run: of its file nothing is known.
    project.write("customers/acme.toml", "sorce = 'drop'\n");
    run(&project).exits(2);
    let told = json(&fs::read(project.path("told.json")).unwrap());
    assert_eq!(
        (&told["occasion"], &told["fault"], &told["run_id"]),
        (&"failure".into(), &"configuration".into(), &Value::Null)
    );
    assert!(told["error"].as_str().unwrap().contains("unknown field `sorce`"), "{told}");
}

#[test]
fn a_customers_own_recipient_comes_beside_the_projects() {
    let server = Server::answering(&[Some(204)]);
    let webhook = |path: &str| format!("[[notify]]\non = ['success']\nwebhook = '{}/{path}'\n", server.address);
    let project = small(&webhook("project"));
    project.add_customer("acme", &project.path("drop"), &webhook("acme"));
    run(&project).exits(0);
    let mut lines: Vec<String> = server.received().into_iter().map(|request| request.line).collect();
    lines.sort();
    assert_eq!(lines, ["POST /acme HTTP/1.1", "POST /project HTTP/1.1"]);
}

#[test]
fn what_cannot_be_delivered_is_a_warning_without_secrets() {
    let refusing = Server::answering(&[Some(403)]);
    let flaky = Server::answering(&[Some(503), Some(200)]);
    let silent = Server::answering(&[None]);
    let webhook = |address: &str| {
        format!("[[notify]]\non = ['success']\ntimeout_seconds = 1\nwebhook = '{address}/${{TELL_KEY}}'\n")
    };
    let command = |words: &str| format!("[[notify]]\non = ['success']\ntimeout_seconds = 1\ncommand = [{words}]\n");
    let settings = [
        webhook(&refusing.address),
        webhook(&flaky.address),
        webhook(&silent.address),
        webhook("http://127.0.0.1:9"),
        command("'./tell.sh', '${TELL_KEY}'"),
        command("'sleep', '30'"),
        command("'./nothing'"),
    ];
    let project = small(&settings.concat());
    script(&project, "echo \"no such team: $1\" >&2; exit 3");
    let answer = run(&project).exits(0);
    let answer = answer.says(&[
        &format!("{}: it answered 403", refusing.address),
        &format!("{}: no answer in time", silent.address),
        "http://127.0.0.1:9: ",
        "tell.sh: it ended with exit status: 3: no such team: ***",
        "sleep: it did not end within 1 s and was killed",
        "nothing: it cannot be started",
    ]);
    assert!(!answer.messages.contains(&flaky.address), "the second attempt succeeded:\n{}", answer.messages);
    assert_eq!((refusing.received().len(), flaky.received().len()), (1, 2), "only what may pass is tried again");
    assert!(!answer.messages.contains(KEY), "{}", answer.messages);
    assert_eq!(project.releases("acme"), [1]);
    let report = report_of(&project);
    assert!(!report.contains(KEY) && report.contains("Release 1 published"));
}

fn report_of(project: &Project) -> String {
    let results = project.last_results("acme");
    let folder = project.lake().join("acme/_medallion/runs").join(results["run_id"].as_str().unwrap());
    fs::read_to_string(folder.join("report.html")).unwrap()
}

/// The events of the customer's last run.
pub(crate) fn events(project: &Project) -> Vec<Value> {
    let results = project.last_results("acme");
    let folder = project.lake().join("acme/_medallion/runs").join(results["run_id"].as_str().unwrap());
    let text = fs::read_to_string(folder.join("openlineage.ndjson")).unwrap();
    text.lines().map(|line| json(line.as_bytes())).collect()
}

#[test]
fn events_are_posted_as_they_are_written() {
    let server = Server::answering(&[Some(201)]);
    let settings =
        format!("[openlineage]\nurl = '{}/'\napi_key = '${{TELL_KEY}}'\nnamespace = 'nights'\n", server.address);
    let project = small(&settings);
    run(&project).exits(0);
    let received = server.received();
    let bearer = format!("Bearer {KEY}");
    for request in &received {
        assert_eq!(
            (request.line.as_str(), request.header("authorization")),
            ("POST /api/v1/lineage HTTP/1.1", Some(bearer.as_str()))
        );
    }
    let posted: Vec<Value> = received.iter().map(|request| json(&request.body)).collect();
    let written = events(&project);
    assert_eq!(posted.len(), 10, "the run, a source, two tables, the tests: each a start and an end");
    assert!(written.iter().all(|event| posted.contains(event) && event["job"]["namespace"] == "nights"));
    assert_eq!(
        (posted.first(), posted.last()),
        (written.first(), written.last()),
        "the run's start and end are around all"
    );
}

#[test]
fn a_recipient_of_events_that_fails_is_a_warning() {
    let server = Server::answering(&[Some(500)]);
    let settings =
        format!("[openlineage]\nurl = '{}'\napi_key = '${{TELL_KEY}}'\ntimeout_seconds = 2\n", server.address);
    let project = small(&settings);
    let answer = run(&project).exits(0);
    let answer =
        answer.says(&[&format!("OpenLineage events were not all delivered to {}: it answered 500", server.address)]);
    assert_eq!(server.received().len(), 3, "it gives up at the first event");
    assert!(!answer.messages.contains(KEY), "{}", answer.messages);
    assert_eq!(events(&project).len(), 10);
}

#[test]
fn metrics_are_those_of_the_results() {
    let project = small("[metrics]\nfolder = 'prom'\n");
    let answer = run(&project).exits(0);
    answer.says(&["metrics were not written: ", "prom/medallion_acme.prom"]);
    fs::create_dir(project.path("prom")).unwrap();
    fs::remove_dir_all(project.lake()).unwrap();
    run(&project).exits(0);
    let path = project.path("prom/medallion_acme.prom");
    let first = fs::read_to_string(&path).unwrap();
    for line in [
        "medallion_run_success{customer=\"acme\"} 1",
        "medallion_release{customer=\"acme\"} 1",
        "medallion_layer_rejected_rows{customer=\"acme\",layer=\"silver\"} 1",
        "medallion_table_read_rows{customer=\"acme\",layer=\"silver\",table=\"people\"} 4",
        "medallion_table_rows{customer=\"acme\",layer=\"gold\",table=\"dim_person\"} 3",
        "medallion_table_rejected_rows{customer=\"acme\",layer=\"silver\",table=\"people\"} 1",
        "medallion_tests{customer=\"acme\",status=\"pass\"} 2",
        "# TYPE medallion_table_rows gauge",
    ] {
        assert!(first.lines().any(|found| found == line), "{line}\n{first}");
    }
    let others_read = fs::metadata(&path).unwrap().permissions().mode() & 0o044;
    assert_eq!(others_read, 0o044, "the collector is somebody else");
    stranger(&project);
    run(&project).exits(4);
    let second = fs::read_to_string(&path).unwrap();
    assert!(second.contains("medallion_run_success{customer=\"acme\"} 0"), "{second}");
    let kept = |text: &str| {
        text.lines()
            .filter(|line| {
                line.starts_with("medallion_last_success_timestamp") || line.starts_with("medallion_release{")
            })
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&first), kept(&second));
    assert_eq!(fs::read_dir(project.path("prom")).unwrap().count(), 1);
    check_with_promtool(&path);
}

/// Prometheus' own tool has nothing against them, where there is one.
fn check_with_promtool(path: &Path) {
    let Ok(output) = Command::new("promtool").args(["check", "metrics"]).stdin(fs::File::open(path).unwrap()).output()
    else {
        return;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unset_variable_stops_runs_and_nothing_else() {
    let project = small("");
    run(&project).exits(0);
    project.write("medallion.toml", "pipeline = 'pipelines/small'\n[[notify]]\nwebhook = 'http://a/${TELL_UNSET}'\n");
    run(&project).exits(2).says(&["medallion.toml", "notify.webhook", "TELL_UNSET", "is not set"]);
    project.ask("ls", "acme", &[]).exits(0);
}
