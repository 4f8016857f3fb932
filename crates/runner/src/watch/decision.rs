//! Whether what is seen of a customer calls for a run. The same files are run once; again only when something has
//! changed, or when the failure may have passed.

use std::time::{Duration, Instant};

use crate::watch::sight::FileSight;

/// The first wait after a failure that may pass; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// It fails again unless something changes.
    Failed,
    /// It may succeed with nothing changed.
    Transient,
}

/// What a run was, or is, about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    files: Vec<FileSight>,
    /// The customer's own file.
    file: Option<FileSight>,
}

/// What is known of a customer.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// The files of the folder as they are since that moment.
    settling: Option<(Vec<FileSight>, Instant)>,
    /// What it is run for at this moment.
    running: Option<Subject>,
    /// What it was run for last, and how that ended.
    ended: Option<(Subject, Ending)>,
    /// From when on it may be run again with nothing changed.
    again: Option<Instant>,
    /// Failures in a row that may pass.
    failures: u32,
    /// Why it waits, as far as that was told.
    why: Option<String>,
    /// The customer's file that was told to be wrong.
    wrong_file: Option<Option<FileSight>>,
}

impl Watched {
    /// The folder is complete with these files. Whether the customer is to be run; it then counts as running.
    pub(crate) fn sees(
        &mut self,
        files: Vec<FileSight>,
        file: Option<FileSight>,
        now: Instant,
        settle: Duration,
    ) -> bool {
        self.why = None;
        self.wrong_file = None;
        let since = match &self.settling {
            Some((settling, since)) if *settling == files => *since,
            _ => {
                self.settling = Some((files.clone(), now));
                now
            }
        };
        if self.running.is_some() || now.duration_since(since) < settle || !self.is_called_for(&files, &file, now) {
            return false;
        }
        self.running = Some(Subject { files, file });
        true
    }

    fn is_called_for(&self, files: &[FileSight], file: &Option<FileSight>, now: Instant) -> bool {
        let Some((subject, ending)) = &self.ended else { return true };
        let has_changed = subject.files != files;
        match ending {
            Ending::Done => has_changed,
            Ending::Failed => has_changed || subject.file != *file,
            Ending::Transient => has_changed || subject.file != *file || self.again.is_some_and(|again| now >= again),
        }
    }

    /// The folder is not complete. Whether the reason is news.
    pub(crate) fn waits(&mut self, why: &str) -> bool {
        self.settling = None;
        self.wrong_file = None;
        let is_news = self.why.as_deref() != Some(why);
        self.why = Some(why.to_owned());
        is_news
    }

    /// The customer's file is wrong. Whether that is news.
    pub(crate) fn is_news_of_file(&mut self, file: Option<FileSight>) -> bool {
        let is_news = self.wrong_file.as_ref() != Some(&file);
        self.wrong_file = Some(file);
        is_news
    }

    /// Its run has ended; says after which time it is run again with nothing changed, if it is.
    pub(crate) fn ended(&mut self, ending: Ending, now: Instant) -> Option<Duration> {
        self.ended = self.running.take().map(|subject| (subject, ending));
        self.again = None;
        if ending != Ending::Transient {
            self.failures = 0;
            return None;
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_WAIT);
        self.failures += 1;
        self.again = Some(now + wait);
        Some(wait)
    }

    /// The attempt that runs or ran, counted from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.failures + 1
    }

    /// Whether it was run, or cannot be.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.is_none() && (self.ended.is_some() || self.wrong_file.is_some())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SETTLE: Duration = Duration::from_secs(30);

    /// The folder's files after so many seconds of somebody's writing.
    fn files(seconds: u64) -> Vec<FileSight> {
        let modified = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
        vec![FileSight { name: "users.csv".to_owned(), size: seconds, modified }]
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_folder_is_run_once_when_it_has_been_as_it_is_for_a_while() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        assert!(!watched.sees(files(1), None, start, SETTLE));
        assert!(!watched.sees(files(1), None, after(start, 29), SETTLE));
        assert!(!watched.sees(files(2), None, after(start, 31), SETTLE), "it is still written");
        assert!(!watched.sees(files(2), None, after(start, 60), SETTLE));
        assert!(watched.sees(files(2), None, after(start, 61), SETTLE));
        assert!(!watched.sees(files(2), None, after(start, 90), SETTLE), "it runs");
        assert_eq!(watched.ended(Ending::Done, after(start, 91)), None);
        assert!(!watched.sees(files(2), None, after(start, 9000), SETTLE), "nothing is new");
        assert!(!watched.sees(files(3), None, after(start, 9001), SETTLE));
        assert!(watched.sees(files(3), None, after(start, 9031), SETTLE), "the next night");
    }

    #[test]
    fn what_arrives_while_it_runs_is_run_afterwards() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        assert!(watched.sees(files(1), None, start, Duration::ZERO));
        assert!(!watched.sees(files(2), None, after(start, 1), Duration::ZERO));
        watched.ended(Ending::Done, after(start, 2));
        assert!(watched.sees(files(2), None, after(start, 3), Duration::ZERO));
    }

    #[test]
    fn a_failure_is_not_repeated_until_something_changes() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        let file = |seconds| files(seconds).pop();
        assert!(watched.sees(files(1), file(1), start, Duration::ZERO));
        assert_eq!(watched.ended(Ending::Failed, start), None);
        assert!(!watched.sees(files(1), file(1), after(start, 90_000), Duration::ZERO));
        assert!(watched.sees(files(1), file(2), after(start, 90_001), Duration::ZERO), "somebody mended the file");
        watched.ended(Ending::Done, after(start, 90_002));
        assert!(!watched.sees(files(1), file(3), after(start, 90_003), Duration::ZERO), "it is done");
    }

    #[test]
    fn a_failure_that_may_pass_is_tried_again_after_longer_and_longer_waits() {
        let (mut watched, mut now) = (Watched::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert!(watched.sees(files(1), None, now, Duration::ZERO));
            let wait = watched.ended(Ending::Transient, now).unwrap();
            now += wait;
            assert!(!watched.sees(files(1), None, now - Duration::from_millis(1), Duration::ZERO));
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert!(watched.sees(files(1), None, now, Duration::ZERO));
        watched.ended(Ending::Done, now);
        assert_eq!(watched.attempt(), 1);
    }

    #[test]
    fn reasons_are_told_when_they_are_new() {
        let mut watched = Watched::default();
        assert!(watched.waits("no users") && !watched.waits("no users") && watched.waits("no positions"));
        assert!(watched.is_news_of_file(None) && !watched.is_news_of_file(None));
        assert!(watched.has_ended(), "it cannot be run");
        assert!(watched.is_news_of_file(files(1).pop()));
        assert!(!watched.waits("no positions"), "it was told");
        assert!(!watched.has_ended());
    }
}
