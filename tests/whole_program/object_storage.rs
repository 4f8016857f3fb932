//! Lakes on object storage: everything that works on a local disk, and what is different there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::nights::{CUSTOMER, Nights, Shape, answered, undisturbed};
use crate::project::{Project, fixture};
use crate::storage::Storage;

const AS_OF: &str = "2025-06-30";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Versions, rows and fingerprints of a release's tables.
fn tables_of(lake: &Path, customer: &str, release: u64) -> Value {
    let mut release = read(&lake.join(customer).join(format!("_medallion/releases/{release:08}.json")));
    let tables = release["tables"].as_object_mut().unwrap();
    tables.values_mut().for_each(|table| drop(table.as_object_mut().unwrap().remove("build_key")));
    release["tables"].take()
}

/// Releases know which commits and files they have, so a lake copied to a disk is the same lake.
#[test]
fn a_lake_on_object_storage_is_that_on_a_disk() {
    let (local, remote) = (Project::new(), Project::on(Storage::new()));
    for project in [&local, &remote] {
        project.add_customer("star", &fixture("star/in"), "fiscal_year.first = 2021\nfiscal_year.last = 2026\n");
        project.run("star", AS_OF).exits(0);
        project.run("star", AS_OF).exits(0);
        project.ask("run", "star", &["--as-of", AS_OF, "--full-refresh"]).exits(0);
    }
    assert_eq!((local.releases("star"), remote.releases("star")), (vec![1, 2], vec![1, 2]));
    for release in [1, 2] {
        assert_eq!(tables_of(&local.lake(), "star", release), tables_of(&remote.lake(), "star", release));
    }
    let commands: [&[&str]; 6] = [
        &["ls", "--format", "csv"],
        &["show", "gold.dim_fy_completed", "--format", "csv"],
        &["query", "SELECT user_id, course_id FROM gold.fact_course_progress ORDER BY 1, 2"],
        &["rejects", "--format", "json"],
        &["validate", "--counts", "counts.toml"],
        &["diff", "1", "2", "--format", "csv"],
    ];
    for command in commands {
        let answers = [&local, &remote].map(|project| {
            project.write("counts.toml", "[counts]\n\"gold.dim_user\" = { min = 2 }\n");
            project.ask(command[0], "star", &command[1..]).exits(0).output
        });
        assert_eq!(answers[0], answers[1], "{command:?}");
    }
    // Found on a disk, the objects are a lake.
    let copied = remote.lake().display().to_string();
    let answer =
        local.medallion(["query", "-c", "star", "--lake", &copied, "SELECT count(*) FROM gold.dim_user"]).exits(0);
    assert_eq!(answer.output, local.ask("query", "star", &["SELECT count(*) FROM gold.dim_user"]).exits(0).output);
}

#[test]
fn nights_rollbacks_and_upkeep_go_on_as_on_a_disk() {
    let expected = undisturbed(Shape::Small, 3);
    let lake = Nights::on(Shape::Small, Storage::new());
    for night in 1..=3 {
        lake.deliver(night);
        lake.run().exits(0);
        lake.check_whole(u64::from(night), &expected[night as usize], "a night");
        lake.check_readers(u64::from(night), &expected[night as usize], "a night");
    }
    let ask = |command: &str, rest: &[&str]| lake.project.ask(command, CUSTOMER, rest).exits(0);
    ask("rollback", &["--to", "1"]);
    assert_eq!((lake.latest_release(), lake.night_by_query()), (4, 1));
    lake.run().exits(4).says(&["--resume"]);
    lake.deliver(4);
    lake.run().exits(0);
    assert_eq!((lake.latest_release(), lake.night_by_query()), (5, 4));
    ask("optimize", &[]);
    let files = |path: &Path| -> usize { walk(path) };
    let before = files(&lake.lake());
    ask("vacuum", &["--keep-releases", "1"]);
    assert!(files(&lake.lake()) < before);
    assert_eq!(lake.night_by_query(), 4);
    let runs: Vec<_> =
        fs::read_dir(lake.medallion_folder().join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    assert!(runs.iter().filter(|run| run.join("report.html").is_file()).count() >= 5, "{runs:?}");
    let fences: Vec<u64> = [1, 2, 3, 4, 5]
        .map(|release| {
            read(&lake.medallion_folder().join(format!("releases/{release:08}.json")))["fence"].as_u64().unwrap()
        })
        .into();
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
    assert_eq!(fs::read_dir(lake.project.storage().unwrap().scratch()).unwrap().count(), 0, "local copies are gone");
}

fn walk(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

/// A lock as another machine would leave it.
fn write_lock(lake: &Nights, released: bool) {
    let mut lock = json!({
        "schema": "medallion/lock/v1", "run_id": "20250701T010203Z-0badcafe", "pid": 4711, "host": "elsewhere",
        "since": "2025-07-01T01:02:03Z", "heartbeat": "2025-07-01T01:02:03Z", "fence": 41,
    });
    if released {
        lock["released"] = true.into();
    }
    fs::create_dir_all(lake.medallion_folder()).unwrap();
    fs::write(lake.medallion_folder().join("lock"), lock.to_string()).unwrap();
}

#[test]
fn a_lock_is_respected_until_its_holder_was_not_heard_of_for_two_minutes() {
    let lake = Nights::on(Shape::Small, Storage::new());
    lake.deliver(1);
    write_lock(&lake, false);
    let held =
        ["'acme' is held by run '20250701T010203Z-0badcafe' (process 4711 on elsewhere", "s3://lakes/nightly/demo"];
    lake.run().exits(7).says(&held);
    assert_eq!(lake.latest_release(), 0);
    lake.age_lock();
    lake.run().exits(0).says(&["20250701T010203Z-0badcafe"]);
    let lock = read(&lake.medallion_folder().join("lock"));
    assert_eq!((&lock["fence"], &lock["released"]), (&42.into(), &true.into()));
    assert_eq!(read(&lake.medallion_folder().join("releases/00000001.json"))["fence"], 42);
    // One that was given back needs no waiting.
    write_lock(&lake, true);
    lake.deliver(2);
    lake.run().exits(0);
    assert_eq!(read(&lake.medallion_folder().join("releases/00000002.json"))["fence"], 42);
}

/// A machine that stood still takes nothing from the one that went on.
#[test]
#[cfg(unix)]
fn a_run_that_was_overtaken_while_it_stood_still_publishes_nothing() {
    let expected = undisturbed(Shape::Small, 3);
    let lake = Nights::on(Shape::Small, Storage::new());
    lake.deliver(1);
    lake.run().exits(0);
    let mut overtaken = 0;
    for stop_at in ["bronze/people/_delta_log/00000000000000000001.json", "_medallion/journal.json"] {
        let night = u32::try_from(lake.latest_release()).unwrap() + 1;
        lake.deliver(night);
        let slow = lake.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let signal = |name: &str| {
            assert!(Command::new("kill").args([name, &slow.id().to_string()]).status().unwrap().success());
        };
        let awaited = lake.lake().join(CUSTOMER).join(stop_at);
        let begun = Instant::now();
        while !awaited.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{stop_at} did not come");
            std::thread::yield_now();
        }
        signal("-STOP");
        lake.age_lock();
        let stood_still = !lake.medallion_folder().join(format!("releases/{night:08}.json")).exists();
        lake.run().exits(0);
        signal("-CONT");
        let answer = answered(slow.wait_with_output().unwrap());
        overtaken += u32::from(stood_still);
        if stood_still {
            let text = &answer.messages;
            assert!(
                answer.code == Some(1)
                    && (text.contains("taken the customer over") || text.contains("given the customer back")),
                "{answer:?}"
            );
        }
        // The next one finds nothing half done.
        lake.run().exits(0);
        lake.check_whole(u64::from(night), &expected[night as usize], stop_at);
    }
    assert!(overtaken > 0, "both runs were over before they could be stopped");
}

#[test]
fn customers_are_looked_at_and_removed_as_on_a_disk() {
    let lake = Nights::on(Shape::Small, Storage::new());
    let (project, address) = (&lake.project, lake.project.address());
    lake.deliver(1);
    lake.run().exits(0);
    let customer =
        |command: &str, rest: &[&str]| project.medallion(["customer", command, "--lake", &address].iter().chain(rest));
    let listed: Value = serde_json::from_str(&customer("list", &["--format", "json"]).exits(0).output).unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["release"]), (&CUSTOMER.into(), &1.into()), "{listed}");
    let doctor = project.medallion(["doctor", "--lake", &address, "--format", "json"]).exits(0);
    assert!(doctor.output.contains(&format!("{address}/{CUSTOMER} can be written")), "{}", doctor.output);
    write_lock(&lake, false);
    let held = project.medallion(["doctor", "--lake", &address, "--format", "json"]).exits(0);
    assert!(held.output.contains("20250701T010203Z-0badcafe"), "{}", held.output);
    customer("remove", &[CUSTOMER, "--yes"]).exits(7).says(&["20250701T010203Z-0badcafe"]);
    lake.age_lock();
    customer("remove", &[CUSTOMER, "--yes"]).exits(0).says(&[&format!("{address}/{CUSTOMER}")]);
    let left = lake.lake().join(CUSTOMER);
    assert_eq!(if left.exists() { walk(&left) } else { 0 }, 0, "objects are left");
    project.ask("ls", CUSTOMER, &[]).exits(1);
}

/// A fleet of two: one uses what the project says of the storage, one has a wrong secret of its own.
#[test]
fn customers_have_credentials_of_their_own_and_fleets_run_on_object_storage() {
    let storage = Storage::new();
    let project = Project::new();
    project.write("medallion.toml", &format!("lake = \"{}\"\n{}", storage.address(), storage.settings()));
    project.add_customer("acme", &fixture("star/in"), "");
    project.add_customer("globex", &fixture("star/in"), "storage.AWS_SECRET_ACCESS_KEY = \"${GLOBEX_SECRET}\"\n");
    let run = |arguments: &[&str], globex: &str| {
        let mut command = project.command();
        command
            .env("KEY", "test-key")
            .env("SECRET", "test-secret")
            .env("GLOBEX_SECRET", globex)
            .env("TMPDIR", storage.scratch());
        // Settings of a file are not mixed with the environment's.
        command.env("AWS_SESSION_TOKEN", "somebody else's");
        answered(command.args(arguments).output().unwrap())
    };
    let all = ["run", "--all", "--retries", "0", "--as-of", AS_OF];
    let answer = run(&all, "wrong").exits(3);
    assert!(answer.output.contains("1 published") && answer.output.contains("globex"), "{}", answer.output);
    assert!(!answer.messages.contains("test-secret") && !answer.output.contains("test-secret"));
    let fleets = storage.lake().join("_medallion/fleet");
    let fleet = fs::read_dir(&fleets).unwrap().next().unwrap().unwrap().path();
    assert_eq!(read(&fleet.join("fleet_results.json"))["schema"], "medallion/fleet_results/v1");
    assert!(fs::read_to_string(fleet.join("index.html")).unwrap().contains("globex"));
    let answer = run(&["run", "--retry-failed", "--as-of", AS_OF], "test-secret").exits(0);
    assert!(answer.output.contains("1 customer"), "{}", answer.output);
    assert_eq!(fs::read_dir(&fleets).unwrap().count(), 2);
    let users =
        run(&["query", "-c", "globex", "SELECT count(*) AS n FROM gold.dim_user", "--format", "csv"], "test-secret")
            .exits(0);
    assert_eq!(
        users.output,
        run(&["query", "-c", "acme", "SELECT count(*) AS n FROM gold.dim_user", "--format", "csv"], "").exits(0).output
    );
    project.write("medallion.toml", &format!("lake = \"{}\"\n[storage]\nAWS_REGOIN = \"x\"\n", storage.address()));
    run(&["run", "-c", "acme", "--as-of", AS_OF], "").exits(2).says(&["AWS_REGOIN", "no setting"]);
    project.write("medallion.toml", &format!("lake = \"{}\"\n[storage]\nregion = \"x\"\n", storage.address()));
    run(&["run", "-c", "acme", "--as-of", AS_OF], "").exits(2).says(&["medallion.toml", "storage.region", "AWS_"]);
}

#[test]
fn busy_storage_is_asked_again() {
    let lake = Nights::on(Shape::Small, Storage::busy(7));
    let expected = undisturbed(Shape::Small, 2);
    for night in 1..=2 {
        lake.deliver(night);
        lake.run().exits(0);
        lake.check_whole(u64::from(night), &expected[night as usize], "busy");
    }
}

#[test]
fn storage_that_cannot_be_used_is_told_with_what_to_do() {
    let project = Project::on(Storage::new());
    project.add_customer("acme", &fixture("star/in"), "");
    let run = |lake: &str, name: &str, value: &str| {
        let mut command = project.command();
        command.env(name, value).args(["run", "-c", "acme", "--as-of", AS_OF, "--lake", lake]);
        answered(command.output().unwrap())
    };
    let here = project.address();
    run(&here, "AWS_SECRET_ACCESS_KEY", "wrong").exits(1).says(&[
        "customer 'acme'",
        "s3://lakes/nightly/demo/acme",
        "hint: check",
    ]);
    run("s3://nowhere/lake", "X", "x").exits(1).says(&["customer 'acme'", "s3://nowhere/lake/acme", "hint: check"]);
    let answer =
        run("s3://me:secret@lakes/nightly", "X", "x").exits(2).says(&["***@lakes", "credentials", "environment"]);
    assert!(!answer.messages.contains("secret@"), "{}", answer.messages);
    run("ftp://lakes/nightly", "X", "x").exits(2).says(&["'ftp'", "s3"]);
    project.ask("ls", "acme", &[]).exits(1).says(&["no tables", "s3://lakes/nightly/demo/acme"]);
}
