//! Ctrl-C and SIGTERM: before a run publishes they end it with 130 and nothing has happened, later the run goes to its
//! end.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::Case;
use crate::nights::{CUSTOMER, Nights, Seeded, Shape, answered, effort, star_effort, undisturbed};
use crate::project::{Answer, Project};

const SIGNALS: [&str; 2] = ["INT", "TERM"];
const NIGHTS: u32 = 10;

fn send(signal: &str, run: &Child) {
    // It may have ended meanwhile.
    let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {}", run.id())]).stderr(Stdio::null()).status();
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_run_that_is_interrupted_leaves_the_tables_as_before_or_publishes_to_the_end() {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for (shape, interrupts) in [(Shape::Small, effort() / 2), (Shape::Star, star_effort())] {
        interrupt(shape, interrupts, &mut ends);
    }
    println!("{ends:?}");
}

fn interrupt(shape: Shape, interrupts: u32, ends: &mut BTreeMap<String, u32>) {
    let expected = undisturbed(shape, NIGHTS.min(interrupts + 1));
    let mut random = Seeded(17);
    let mut done = 0;
    while done < interrupts {
        let lake = Nights::new(shape);
        lake.deliver(1);
        let started = Instant::now();
        lake.run().exits(0);
        let whole = started.elapsed().as_micros() as u64;
        for night in 2..=NIGHTS.min(interrupts - done + 1) {
            lake.deliver(night);
            let signal = SIGNALS[done as usize % 2];
            let run = start(&mut lake.command());
            std::thread::sleep(Duration::from_micros(random.below(whole)));
            send(signal, &run);
            let answer = answered(run.wait_with_output().unwrap());
            let about = format!("{shape:?}, {signal}, night {night}: {answer:?}");
            let release = lake.latest_release();
            match answer.code {
                Some(130) => check_stopped(&lake, night, &answer, &about),
                Some(0) => assert_eq!(release, u64::from(night), "{about}"),
                // The signal came before the program could listen.
                None => assert_eq!((release, answer.messages.as_str()), (u64::from(night) - 1, ""), "{about}"),
                Some(_) => panic!("{about}"),
            }
            lake.check_readers(release, &expected[usize::try_from(release).unwrap()], &about);
            lake.run().exits(0);
            lake.check_whole(u64::from(night), &expected[night as usize], &about);
            *ends.entry(format!("{:?}", answer.code)).or_default() += 1;
            done += 1;
        }
    }
}

/// That nothing was published, nothing staged stays, and the run's results say why.
fn check_stopped(lake: &Nights, night: u32, answer: &Answer, about: &str) {
    assert_eq!(lake.latest_release(), u64::from(night) - 1, "{about}");
    assert!(!lake.medallion_folder().join("journal.json").exists(), "{about}");
    for part in [CUSTOMER, "interrupted", "silver and gold are as before"] {
        assert!(answer.messages.contains(part), "{about}");
    }
    // Runs of one second are told apart, but not in their order.
    let runs = fs::read_dir(lake.medallion_folder().join("runs")).unwrap().map(|run| run.unwrap().path());
    let results: Vec<Value> = runs
        .filter_map(|run| serde_json::from_slice(&fs::read(run.join("run_results.json")).ok()?).ok())
        .filter(|results: &Value| results["error"].as_str().is_some_and(|error| error.contains("interrupted")))
        .collect();
    let last = results.iter().max_by_key(|results| results["started_at"].as_str().unwrap().to_owned());
    let last = last.unwrap_or_else(|| panic!("no results of an interrupted run: {about}"));
    assert_eq!((&last["status"], &last["release"]), (&"failed".into(), &Value::Null), "{about}");
    for layer in ["silver", "gold"] {
        for table in fs::read_dir(lake.lake().join(CUSTOMER).join(layer)).unwrap() {
            let staged = table.unwrap().path().join(last["run_id"].as_str().unwrap());
            assert!(!staged.exists(), "{}: {about}", staged.display());
        }
    }
}

/// Two customers, the first of which is interrupted when it has begun.
#[test]
fn customers_that_have_not_begun_are_not_run() {
    for signal in SIGNALS {
        let project = Project::new();
        let case = Case::read("star").project();
        for id in ["first", "second"] {
            let text = fs::read_to_string(case.path("customers/star.toml")).unwrap();
            project.write(&format!("customers/{id}.toml"), &text);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_medallion"));
        command.current_dir(project.path("")).args(["run", "-v", "--all", "--jobs", "1", "--as-of", "2025-06-30"]);
        let mut run = start(command.arg("--lake").arg(project.lake()));
        let mut messages = BufReader::new(run.stderr.take().unwrap());
        let mut first = String::new();
        messages.read_line(&mut first).unwrap();
        assert!(first.starts_with("first:"), "{first}");
        send(signal, &run);
        let mut answer = answered(run.wait_with_output().unwrap());
        messages.read_to_string(&mut answer.messages).unwrap();
        answer.exits(130).says(&["interrupted: 1 of 2 customers were not run"]);
        assert!(!project.lake().join("second").exists());
    }
}

#[test]
fn a_second_signal_ends_the_run_at_once_and_the_next_run_makes_up_for_it() {
    let expected = undisturbed(Shape::Star, 2);
    let lake = Nights::new(Shape::Star);
    lake.deliver(1);
    lake.run().exits(0);
    lake.deliver(2);
    let mut run = start(&mut lake.command());
    let mut messages = BufReader::new(run.stderr.take().unwrap());
    messages.read_line(&mut String::new()).unwrap();
    send("INT", &run);
    send("TERM", &run);
    let answer = answered(run.wait_with_output().unwrap());
    assert_eq!(answer.code, Some(130), "{answer:?}");
    assert_eq!(lake.latest_release(), 1);
    lake.check_readers(1, &expected[1], "after the second signal");
    lake.run().exits(0);
    lake.check_whole(2, &expected[2], "after the second signal");
}
