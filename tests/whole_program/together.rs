//! Several processes at one customer: two runs, and a reader while others publish.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use medallion_lake::Lake;

use crate::nights::{CUSTOMER, Nights, Shape, answered, contents_of, effort, same, undisturbed};
use crate::storage::Storage;

/// So many nights a lake sees before a new one is begun.
const NIGHTS: u32 = 10;

#[test]
fn of_two_runs_that_are_started_together_one_publishes_and_the_other_names_it() {
    let (pairs, held) = start_pairs(|| Nights::new(Shape::Small));
    println!("of {pairs} pairs {held} ended with exit code 7");
}

#[test]
fn of_two_runs_on_object_storage_that_are_started_together_one_publishes() {
    let (pairs, held) = start_pairs(|| Nights::on(Shape::Small, Storage::new()));
    println!("of {pairs} pairs on object storage {held} ended with exit code 7");
}

/// How many pairs were started, and of how many one had to give way.
fn start_pairs(new: impl Fn() -> Nights) -> (u32, u32) {
    let pairs = (effort() / 4).max(5);
    let expected = undisturbed(Shape::Small, NIGHTS);
    let (mut held, mut done) = (0, 0);
    while done < pairs {
        let lake = new();
        for night in 1..=NIGHTS.min(pairs - done) {
            lake.deliver(night);
            let start = || lake.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (one, other) = (start(), start());
            let processes = [one.id(), other.id()];
            let answers = [one, other].map(|run| answered(run.wait_with_output().unwrap()));
            let about = format!("pair {done}: {answers:?}");
            match answers.each_ref().map(|answer| answer.code) {
                [Some(0), Some(0)] => {}
                [Some(0), Some(7)] => held += u32::from(names(&answers[1].messages, processes[0], &about)),
                [Some(7), Some(0)] => held += u32::from(names(&answers[0].messages, processes[1], &about)),
                _ => panic!("{about}"),
            }
            lake.check_whole(u64::from(night), &expected[night as usize], &about);
            done += 1;
        }
    }
    (pairs, held)
}

/// Whether a message says which process holds the customer; it must.
fn names(message: &str, process: u32, about: &str) -> bool {
    assert!(message.contains(&format!("'{CUSTOMER}' is held by run '")), "{about}");
    assert!(message.contains(&format!("(process {process} ")), "{about}");
    true
}

#[test]
fn a_reader_sees_whole_releases_while_runs_publish() {
    let nights = 21;
    let expected = undisturbed(Shape::Small, nights);
    let lake = Nights::new(Shape::Small);
    lake.deliver(1);
    lake.run().exits(0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let by_program = scope.spawn(|| {
            let (mut last, mut answers) = (0, 0);
            while !is_over.load(Ordering::SeqCst) {
                let night = lake.night_by_query();
                assert!(night >= last, "first night {last}, then {night}");
                (last, answers) = (night, answers + 1);
            }
            answers
        });
        let by_library = scope.spawn(|| {
            let location = lake.lake();
            let mut answers = 0;
            while !is_over.load(Ordering::SeqCst) {
                let before = lake.latest_release();
                let mut found = contents_of(&location);
                found.retain(|table, _| !table.starts_with("bronze."));
                let after = lake.latest_release();
                let is_of = |release: &u64| {
                    let night = &expected[usize::try_from(*release).unwrap()];
                    found.iter().all(|(table, rows)| night[table].difference(rows).is_none())
                };
                let releases: Vec<u64> = (before..=after).filter(is_of).collect();
                assert_eq!((releases.len(), found.len()), (1, 6), "read between release {before} and {after}");
                answers += 1;
            }
            answers
        });
        // A reader that fails must not wait for ever for the writer, nor the writer go on for nothing.
        let publish = || {
            for night in 2..=nights {
                lake.deliver(night);
                lake.run().exits(0);
            }
        };
        let published = std::panic::catch_unwind(std::panic::AssertUnwindSafe(publish));
        is_over.store(true, Ordering::SeqCst);
        let (by_program, by_library) = (by_program.join().unwrap(), by_library.join().unwrap());
        published.unwrap();
        println!("{} releases, {by_program} answers of the program, {by_library} of the library", nights - 1);
        assert!(by_program > 0 && by_library > 0);
    });
    let lake_of_releases = Lake::open_existing(lake.lake().to_str().unwrap(), CUSTOMER).unwrap();
    assert_eq!(lake_of_releases.releases().unwrap().len(), nights as usize);
    same(expected[nights as usize].iter(), lake.contents().iter(), "at the end");
}
