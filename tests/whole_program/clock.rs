//! A clock that is set back: order comes from numbers and dates of exports, never from the time of a run.
//!
//! The program runs with a small library in front of the system's that changes what the clock says. It is made with the
//! C compiler that Rust links with.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::nights::{CUSTOMER, Nights, Shape, answer, undisturbed};
use crate::project::{Answer, Project};

const DAY: i64 = 24 * 60 * 60;

/// `CLOCK_SHIFT` seconds are added, and `CLOCK_STEP` are taken off each time anybody asks.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long shift, step, asked;
__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("CLOCK_SHIFT");
    shift = text ? atol(text) : 0;
    text = getenv("CLOCK_STEP");
    step = text ? atol(text) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME) time->tv_sec += shift - step * __sync_fetch_and_add(&asked, 1);
    return failed;
}
"#;

fn library(project: &Project) -> PathBuf {
    let (source, library) = (project.write("clock.c", CLOCK), project.path("clock.so"));
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(made.success());
    library
}

fn run_at(lake: &Nights, shift: i64, step: i64) -> Answer {
    let library = library(&lake.project);
    let mut command = lake.command();
    command.env("LD_PRELOAD", library).env("CLOCK_SHIFT", shift.to_string()).env("CLOCK_STEP", step.to_string());
    answer(&mut command)
}

fn results(lake: &Nights, release: u64) -> Value {
    lake.project.results(CUSTOMER, release)
}

#[test]
fn nights_of_a_clock_that_is_set_back_follow_each_other_all_the_same() {
    let shifts = [400 * DAY, 0, -400 * DAY, 3600, -3600, 0];
    let expected = undisturbed(Shape::Small, shifts.len() as u32);
    let lake = Nights::new(Shape::Small);
    for (shift, night) in shifts.into_iter().zip(1..) {
        lake.deliver(night);
        let about = format!("night {night}, shifted by {shift} s");
        run_at(&lake, shift, 0).exits(0);
        lake.check_readers(u64::from(night), &expected[night as usize], &about);
        lake.check_whole(u64::from(night), &expected[night as usize], &about);
        // Nothing new, whatever the clock says.
        run_at(&lake, -shift, 0).exits(0);
        lake.check_whole(u64::from(night), &expected[night as usize], &about);
    }
    let started: Vec<String> =
        (1..=3).map(|release| results(&lake, release)["started_at"].as_str().unwrap().to_owned()).collect();
    assert!(started[0] > started[1] && started[1] > started[2], "the clock was not set: {started:?}");
    let last = shifts.len() as u64;
    let answer = lake.project.ask("vacuum", CUSTOMER, &["--keep-releases", "2"]).exits(0);
    assert!(answer.output.contains(&format!("releases from {} on stay", last - 1)), "{}", answer.output);
    lake.check_readers(last, &expected[shifts.len()], "after the vacuum");
    lake.project.ask("query", CUSTOMER, &["SELECT * FROM gold.dim_person", "--release", "5"]).exits(0);
    let runs = lake.project.ask("runs", CUSTOMER, &["--format", "json"]).exits(0).output;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&runs).unwrap().len(), 2 * shifts.len());
}

#[test]
fn a_clock_that_runs_backwards_meanwhile_does_not_make_a_run_shorter_than_nothing() {
    let lake = Nights::new(Shape::Small);
    lake.deliver(1);
    run_at(&lake, 0, 60).exits(0);
    let results = results(&lake, 1);
    assert!(results["seconds"].as_f64().unwrap() > 0.0, "{}", results["seconds"]);
}

#[test]
fn a_release_that_was_begun_in_the_future_is_finished_now() {
    let expected = undisturbed(Shape::Small, 2);
    let lake = Nights::new(Shape::Small);
    lake.deliver(1);
    lake.run().exits(0);
    lake.deliver(2);
    let library = library(&lake.project);
    let shift = (400 * DAY).to_string();
    let mut run = lake.command().env("LD_PRELOAD", &library).env("CLOCK_SHIFT", shift).spawn().unwrap();
    let journal = lake.medallion_folder().join("journal.json");
    while !journal.exists() && run.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    run_at(&lake, -400 * DAY, 0).exits(0);
    lake.check_whole(2, &expected[2], "finished in the past");
}
