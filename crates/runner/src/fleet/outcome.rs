//! What an attempt means: from how a process ended, what it told and why it was ended, to an entry.

use std::process::ExitStatus;
use std::time::Duration;

use crate::fleet::Refused;
use crate::fleet::child::{Attempt, EndedBy, Told};
use crate::fleet::results::{FleetEntry, FleetStatus};

/// The exit code of runs that were interrupted.
const INTERRUPTED: i32 = 130;
/// The exit code of programs that panicked.
const PANICKED: i32 = 101;
/// A reason is a line, not a report.
const REASON_LENGTH: usize = 600;

/// What an attempt means.
pub(crate) struct Outcome {
    pub(crate) entry: FleetEntry,
    /// Whether another attempt may succeed with nothing changed.
    pub(crate) is_transient: bool,
}

impl Outcome {
    pub(crate) fn of(customer: &str, attempt: Attempt, timeout: Option<Duration>) -> Self {
        let Attempt { started_at, seconds, status, ended_by, told } = attempt;
        let finished = told.finished.clone().unwrap_or_default();
        let entry = FleetEntry {
            seconds,
            started_at: Some(started_at),
            run_id: told.run_id.clone(),
            release: finished.release,
            rows_in: finished.rows_in,
            rows_out: finished.rows_out,
            rejected: finished.rejected,
            peak_memory: finished.peak_memory,
            ..FleetEntry::not_started(customer, "")
        };
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                let reason = Some(format!("customer {customer}: its process cannot be started: {error}"));
                let hint = Some("the machine may be out of memory or processes: run with fewer --jobs".to_owned());
                let entry = FleetEntry { status: FleetStatus::Failed, reason, hint, ..entry };
                return Self { entry, is_transient: true };
            }
        };
        let exit_code = status.code().and_then(|code| u8::try_from(code).ok());
        let entry = FleetEntry { exit_code, ..entry };
        if status.success() && told.finished.is_some() {
            let status = if entry.release.is_some() { FleetStatus::Published } else { FleetStatus::Unchanged };
            return Self { entry: FleetEntry { status, reason: None, ..entry }, is_transient: false };
        }
        let (ended, reason, hint) = failure(customer, status, ended_by, &told, timeout);
        let is_transient = ended == FleetStatus::Failed && finished.transient == Some(true);
        let entry = FleetEntry { status: ended, reason: Some(in_one_line(&reason)), hint, ..entry };
        Self { entry, is_transient }
    }
}

/// The entry of a customer that cannot be run.
pub(crate) fn refused(customer: &str, refused: &Refused) -> FleetEntry {
    FleetEntry {
        status: FleetStatus::Failed,
        exit_code: Some(refused.exit_code),
        reason: Some(in_one_line(&refused.reason)),
        hint: refused.hint.clone(),
        ..FleetEntry::not_started(customer, "")
    }
}

fn failure(
    customer: &str,
    status: ExitStatus,
    ended_by: Option<EndedBy>,
    told: &Told,
    timeout: Option<Duration>,
) -> (FleetStatus, String, Option<String>) {
    let last = told.lines.back().map(|line| format!(": {line}")).unwrap_or_default();
    if ended_by == Some(EndedBy::Timeout) {
        let limit = timeout.unwrap_or_default().as_secs_f64();
        let reason = format!("customer {customer}: it was ended because it took longer than {limit} s (--timeout)");
        let hint = "see what it waits for, or give it more time with --timeout".to_owned();
        return (FleetStatus::TimedOut, reason, Some(hint));
    }
    let is_interrupted = status.code() == Some(INTERRUPTED) || ended_by == Some(EndedBy::Interrupt);
    let ended = if is_interrupted { FleetStatus::Interrupted } else { FleetStatus::Failed };
    match (&told.failure, &told.panic, signal(status)) {
        (Some((message, hint)), ..) => (ended, message.clone(), hint.clone()),
        (None, _, _) if is_interrupted => (ended, format!("customer {customer}: the run was interrupted"), None),
        (None, _, Some(signal)) => {
            let reason = format!("customer {customer}: its process was ended by signal {signal}{last}");
            let hint = (signal == KILL).then(|| {
                "the system does so when memory runs out: run with fewer --jobs or a smaller --memory-limit".to_owned()
            });
            (ended, reason, hint)
        }
        (None, Some(panic), None) if status.code() == Some(PANICKED) => {
            let hint = "this is a fault of medallion; report it".to_owned();
            (ended, format!("customer {customer}: the program failed: {panic}"), Some(hint))
        }
        (None, _, None) => (ended, format!("customer {customer}: its process ended with {status}{last}"), None),
    }
}

const KILL: i32 = 9;

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

/// The text without line ends and control characters, not too long.
fn in_one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control()).map(str::trim).filter(|part| !part.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(REASON_LENGTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::process::ExitStatusExt;

    use chrono::Utc;

    use super::*;
    use crate::fleet::events::Finished;

    /// What a process that ended with the raw wait status comes to.
    fn outcome(raw: i32, ended_by: Option<EndedBy>, told: Told) -> Outcome {
        let status = Ok(ExitStatus::from_raw(raw));
        let attempt = Attempt { started_at: Utc::now(), seconds: 1.0, status, ended_by, told };
        Outcome::of("acme", attempt, Some(Duration::from_secs(90)))
    }

    fn finished(exit_code: u8, transient: Option<bool>, release: Option<u64>) -> Told {
        let finished = Finished { exit_code, transient, release, ..Finished::default() };
        let failure = (exit_code > 0).then(|| ("customer acme: no\nluck".to_owned(), Some("try".to_owned())));
        Told { finished: Some(finished), failure, ..Told::default() }
    }

    #[test]
    fn what_the_process_says_decides() {
        let entry = outcome(0, None, finished(0, None, Some(7))).entry;
        assert_eq!((entry.status, entry.exit_code, entry.release), (FleetStatus::Published, Some(0), Some(7)));
        assert_eq!(entry.reason, None);
        assert_eq!(outcome(0, None, finished(0, None, None)).entry.status, FleetStatus::Unchanged);
        let late = outcome(0, Some(EndedBy::Interrupt), finished(0, None, Some(7))).entry.status;
        assert_eq!(late, FleetStatus::Published, "it was asked too late");
        let failed = outcome(4 << 8, None, finished(4, Some(false), None));
        assert_eq!(
            (failed.entry.status, failed.entry.exit_code, failed.is_transient),
            (FleetStatus::Failed, Some(4), false)
        );
        assert_eq!(failed.entry.reason.as_deref(), Some("customer acme: no luck"), "in one line");
        assert!(outcome(7 << 8, None, finished(7, Some(true), None)).is_transient);
    }

    #[test]
    fn processes_that_were_ended_say_by_whom() {
        let timed_out = outcome(9, Some(EndedBy::Timeout), Told::default()).entry;
        assert_eq!((timed_out.status, timed_out.exit_code), (FleetStatus::TimedOut, None));
        assert!(timed_out.reason.unwrap().contains("longer than 90 s"));
        let timed_out = outcome(130 << 8, Some(EndedBy::Timeout), finished(130, Some(false), None)).entry;
        assert_eq!((timed_out.status, timed_out.exit_code), (FleetStatus::TimedOut, Some(130)));
        let interrupted = outcome(130 << 8, Some(EndedBy::Interrupt), finished(130, Some(false), None)).entry;
        assert_eq!(interrupted.status, FleetStatus::Interrupted);
    }

    #[test]
    fn processes_that_fall_over_leave_what_they_said_last() {
        let killed = outcome(9, None, Told::default());
        assert!(killed.entry.hint.unwrap().contains("memory") && !killed.is_transient);
        let mut told = Told::default();
        told.lines.push_back("memory allocation of 17 bytes failed".to_owned());
        let aborted = outcome(6, None, told).entry;
        let expected = "customer acme: its process was ended by signal 6: memory allocation of 17 bytes failed";
        assert_eq!(aborted.reason.as_deref(), Some(expected));
        let told = Told { panic: Some("index out of bounds (a.rs:1:2)".to_owned()), ..Told::default() };
        let panicked = outcome(101 << 8, None, told).entry;
        assert_eq!((panicked.status, panicked.exit_code), (FleetStatus::Failed, Some(101)));
        assert!(panicked.reason.unwrap().ends_with("index out of bounds (a.rs:1:2)"));
        let silent = outcome(0, None, Told::default()).entry;
        assert_eq!(silent.status, FleetStatus::Failed, "nobody knows what it did");
    }
}
