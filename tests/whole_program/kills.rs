//! `kill -9` at any moment of a run, publishing above all. Readers see the old release or the new one, and the next run
//! leaves what it would have left without.
//!
//! 20 runs are killed, or as many as `MEDALLION_STRESS` says; `make stress` kills 200. The moments are seeded, but where
//! in a run they fall depends on the machine: `--nocapture` shows what was hit.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::nights::{CUSTOMER, Contents, Nights, Seeded, Shape, effort, star_effort, undisturbed};
use crate::storage::Storage;

/// So many nights a lake sees before a new one is begun.
const NIGHTS: u32 = 10;

#[test]
fn a_run_that_is_killed_at_any_moment_shows_readers_whole_releases_and_is_made_up_for() {
    let star = star_effort();
    for (shape, kills) in [(Shape::Small, effort() - star), (Shape::Star, star)] {
        let hits = kill(shape, kills, || Nights::new(shape));
        // Not captured, as it is what a person who runs this wants to know.
        println!("{shape:?}: {hits:?}");
    }
}

#[test]
fn a_run_on_object_storage_that_is_killed_is_made_up_for() {
    let hits = kill(Shape::Small, effort() / 2, || Nights::on(Shape::Small, Storage::new()));
    println!("object storage: {hits:?}");
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the start.
    Started(Duration),
    /// So long after it says that it publishes.
    Publishing(Duration),
    /// So long after the journal is there.
    Journal(Duration),
    /// When so many commits are there that were not before.
    Commits(usize),
    /// When the release is there.
    Released,
}

/// How long a run takes, and how much of that is publishing.
struct Pace {
    whole: Duration,
    publishing: Duration,
}

impl Pace {
    fn moment(&self, random: &mut Seeded) -> Moment {
        let mut part = |of: Duration| Duration::from_micros(random.below(of.as_micros() as u64));
        let (whole, publishing) = (part(self.whole), part(self.publishing));
        match random.below(10) {
            0..4 => Moment::Started(whole),
            4..6 => Moment::Publishing(publishing),
            6..7 => Moment::Journal(publishing / 2),
            7..9 => Moment::Commits(1 + random.below(6) as usize),
            _ => Moment::Released,
        }
    }
}

/// What kills hit, by what they left behind.
type Hits = BTreeMap<&'static str, u32>;

fn kill(shape: Shape, kills: u32, new: impl Fn() -> Nights) -> Hits {
    let nights = NIGHTS.min(kills + 1);
    let expected = undisturbed(shape, nights);
    let mut random = Seeded(20_250_630 + u64::from(kills));
    let (mut hits, mut killed) = (Hits::new(), 0);
    while killed < kills {
        let lake = new();
        lake.deliver(1);
        let pace = pace(&lake);
        lake.check_whole(1, &expected[1], "the first night");
        for night in 2..=nights {
            lake.deliver(night);
            // Those who make up for it are killed, too, now and then.
            let mut again = true;
            while again && killed < kills {
                let moment = pace.moment(&mut random);
                let about = format!("{shape:?}, kill {killed}, night {night}, {moment:?}");
                *hits.entry(kill_at(&lake, moment, night)).or_default() += 1;
                killed += 1;
                check_after_a_kill(&lake, night, &expected, &about);
                if random.below(5) == 0 {
                    lake.project.ask("vacuum", CUSTOMER, &["--keep-releases", "1"]).exits(0);
                    check_after_a_kill(&lake, night, &expected, &format!("{about}, vacuum"));
                }
                again = random.below(4) == 0;
            }
            lake.run().exits(0);
            let about = format!("{shape:?}, kill {killed}, night {night}");
            lake.check_whole(u64::from(night), &expected[night as usize], &about);
        }
    }
    hits
}

fn check_after_a_kill(lake: &Nights, night: u32, expected: &[Contents], about: &str) {
    let release = lake.latest_release();
    assert!(release == u64::from(night) || release == u64::from(night) - 1, "{about}: {release}");
    lake.check_readers(release, &expected[usize::try_from(release).unwrap()], about);
}

/// Runs to the end and takes the time.
fn pace(lake: &Nights) -> Pace {
    let started = Instant::now();
    let mut child = start(lake);
    wait_for_publishing(&mut child);
    let before = started.elapsed();
    assert!(child.wait().unwrap().success());
    let whole = started.elapsed();
    Pace { whole, publishing: whole - before }
}

fn start(lake: &Nights) -> Child {
    let mut command = lake.command();
    command.args(["--log-format", "json"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the run says that it publishes, or is at its end.
fn wait_for_publishing(child: &mut Child) {
    let messages = BufReader::new(child.stderr.as_mut().unwrap());
    messages.lines().map_while(Result::ok).find(|line| line.contains("\"event\":\"publishing\""));
}

/// Kills a run and says what it was doing.
fn kill_at(lake: &Nights, moment: Moment, night: u32) -> &'static str {
    let commits = commits(&lake.lake().join(CUSTOMER));
    let journal = lake.medallion_folder().join("journal.json");
    let release = lake.medallion_folder().join(format!("releases/{night:08}.json"));
    let (has_journal, has_release) = (journal.exists(), release.exists());
    let mut child = start(lake);
    let mut wait_until = |is_there: &dyn Fn() -> bool| {
        while !is_there() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
    };
    match moment {
        Moment::Started(delay) => std::thread::sleep(delay),
        Moment::Publishing(delay) => {
            wait_for_publishing(&mut child);
            std::thread::sleep(delay);
        }
        Moment::Journal(delay) => {
            wait_until(&|| journal.exists() != has_journal);
            std::thread::sleep(delay);
        }
        Moment::Commits(count) => wait_until(&|| self::commits(&lake.lake().join(CUSTOMER)) >= commits + count),
        Moment::Released => wait_until(&|| release.exists() != has_release),
    }
    let is_over = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    lake.age_lock();
    let now = self::commits(&lake.lake().join(CUSTOMER));
    match (journal.exists(), release.exists()) {
        _ if is_over => "it was over",
        (false, false) => "before publishing",
        (true, false) if now == commits => "journal, no commit yet",
        (true, false) => "some commits",
        (true, true) => "release, journal still there",
        (false, true) if has_release => "nothing was left to publish",
        (false, true) => "published, not at its end",
    }
}

/// The commits of silver and gold.
fn commits(customer: &Path) -> usize {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let tables = ["silver", "gold"].map(|layer| customer.join(layer));
    let tables = tables.iter().flat_map(|layer| list(layer).collect::<Vec<_>>());
    let logs = tables.flat_map(|table| list(&table.join("_delta_log")).collect::<Vec<_>>());
    logs.filter(|path| path.extension().is_some_and(|ending| ending == "json")).count()
}
