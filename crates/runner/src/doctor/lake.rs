//! A customer's part of the lake.

use chrono::{DateTime, TimeDelta, Utc};
use medallion_lake::{Lake, LakeError, LockHolder, LockState, Release, shown, writable_above};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Check, Examination, Finding, error, ok, warning};
use crate::error::{Cause, RunError};
use crate::state::{CustomerState, LastRun, Outcome, state_of};

/// Room that there should be in any case.
const LEAST_ROOM: u64 = 1 << 30;
/// Clocks of machines that share a disk may differ by so much.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

impl Examination<'_> {
    pub(super) async fn lake(&self) -> Vec<Finding> {
        let lake = match Lake::open_existing(self.lake, self.customer.id.as_str()) {
            Ok(lake) => lake,
            Err(LakeError::NoCustomer { path, .. }) => {
                let hint = "'medallion run' publishes the first one";
                let mut findings = vec![warning(Check::Release, "nothing was published yet", hint)];
                // What object storage allows shows when somebody writes.
                if shown(&path) == path.display().to_string() {
                    findings.push(writable(&path, writable_above(&path)));
                }
                findings.extend(room(&path, 0));
                return findings;
            }
            Err(problem @ LakeError::Linked { .. }) => return vec![self.failed(Check::Isolation, problem.into())],
            Err(problem) => return vec![self.failed(Check::Lake, problem.into())],
        };
        let mut findings = vec![writable(lake.folder(), lake.check_writable())];
        let (sizes, isolation) = self.isolation(&lake).await;
        findings.extend(isolation);
        findings.extend(room(lake.folder(), sizes));
        match state_of(&lake) {
            Ok(state) => findings.extend(self.state(&lake, &state)),
            Err(cause) => findings.push(self.failed(Check::Lake, cause)),
        }
        findings
    }

    fn failed(&self, check: Check, cause: Cause) -> Finding {
        let problem = RunError { customer: self.customer.id.clone(), cause };
        error(check, problem.to_string()).hint(problem.hint())
    }

    /// The bytes of all tables as they are, and whether everything they name is the customer's own.
    async fn isolation(&self, lake: &Lake) -> (u64, Vec<Finding>) {
        let (mut bytes, mut findings) = (0, Vec::new());
        match lake.oddities() {
            Ok(oddities) => findings.extend(oddities.into_iter().map(|odd| {
                let message = format!("{} {}", shown(&odd.path), odd.what);
                let hint = "find out who put it there; a customer's folder has nothing but what medallion writes";
                error(Check::Isolation, message).hint(Some(hint.to_owned()))
            })),
            Err(problem) => findings.push(self.failed(Check::Isolation, problem.into())),
        }
        let tables = lake.tables().unwrap_or_default();
        let count = tables.len();
        for table in tables {
            match lake.published(&table, None).await {
                Ok(published) => {
                    let files = published.iter().flat_map(|table| &table.files.files);
                    bytes += files.map(|file| file.bytes).sum::<u64>();
                }
                Err(problem) => findings.push(self.failed(Check::Isolation, problem.into())),
            }
        }
        if findings.is_empty() {
            findings.push(ok(Check::Isolation, format!("all files of {count} tables are the customer's own")));
        }
        (bytes, findings)
    }

    fn state(&self, lake: &Lake, state: &CustomerState) -> Vec<Finding> {
        let mut findings = vec![self.lock(&state.lock)];
        if lake.has_unfinished_release() && state.lock == LockState::Free {
            let message = "a run was stopped while it published; readers see the release before";
            findings.push(warning(Check::Journal, message, "the next run finishes that release or undoes it"));
        }
        findings.push(last_run(state.last_run.as_ref()));
        findings.extend(self.release(state.release.as_ref()));
        findings
    }

    fn lock(&self, lock: &LockState) -> Finding {
        let holder = match lock {
            LockState::Free => return ok(Check::Lock, "nobody writes"),
            LockState::Held(None) => {
                return warning(Check::Lock, "somebody writes, and does not say who", "look again");
            }
            LockState::Held(Some(holder)) => holder,
        };
        let LockHolder { run_id, pid, host, since, .. } = &**holder;
        let place = host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        let message = format!("run {run_id} (process {pid}{place}) writes since {}", time(*since));
        if self.now - since > self.stale_after {
            let hint = "it may hang: look at that process; once it has ended the lock is free";
            return warning(Check::Lock, message, hint);
        }
        if *host == lake_host() && !is_alive(*pid) {
            let message = format!("{message}, and there is no such process here");
            return warning(
                Check::Lock,
                message,
                "the lake may be shared with a container or another machine of that name",
            );
        }
        ok(Check::Lock, message)
    }

    fn release(&self, release: Option<&Release>) -> Vec<Finding> {
        let Some(release) = release else {
            return vec![warning(
                Check::Release,
                "nothing was published yet",
                "'medallion runs' tells what came of runs",
            )];
        };
        let (number, at) = (release.release, release.published_at);
        if at > self.now + CLOCK_SKEW {
            let message = format!("release {number} was published at {}, which is in the future", time(at));
            return vec![error(Check::Clock, message).hint(Some("set this machine's clock right".to_owned()))];
        }
        let message = format!("release {number} was published at {}", time(at));
        if self.now - at > self.stale_after {
            let hours = (self.now - at).num_hours();
            let message = format!("{message}, {hours} hours ago");
            // A run that changes nothing makes no release.
            let hint = "see whether runs are started and exports arrive; a night without changes makes no release";
            return vec![warning(Check::Release, message, hint)];
        }
        vec![ok(Check::Release, message)]
    }
}

fn last_run(run: Option<&LastRun>) -> Finding {
    let Some(LastRun { run_id, outcome, error: problem, .. }) = run else {
        return warning(Check::LastRun, "there was no run yet", "start one with 'medallion run'");
    };
    let problem = problem.as_deref().unwrap_or("it left no message");
    match outcome {
        Outcome::Success => ok(Check::LastRun, format!("run {run_id} succeeded")),
        Outcome::Running => ok(Check::LastRun, format!("run {run_id} is at work")),
        Outcome::Failed => error(Check::LastRun, format!("run {run_id} failed: {problem}"))
            .hint(Some("mend that and run again".to_owned())),
        Outcome::Interrupted => {
            let message = format!("run {run_id} was killed, or the machine went down");
            warning(Check::LastRun, message, "run again; nothing is lost")
        }
    }
}

fn writable(folder: &std::path::Path, outcome: std::io::Result<()>) -> Finding {
    match outcome {
        Ok(()) => ok(Check::Lake, format!("{} can be written", shown(folder))),
        Err(problem) => error(Check::Lake, format!("{} cannot be written: {problem}", shown(folder)))
            .hint(Some("give it to the user who runs medallion, or mount the disk for writing".to_owned())),
    }
}

/// A run may write every table anew beside what is there.
fn room(folder: &std::path::Path, bytes: u64) -> Option<Finding> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let free = fs4::available_space(there).ok()?;
    let wanted = (bytes * 2).max(LEAST_ROOM);
    let message = format!("{} are free at {}", size(free), there.display());
    if free < wanted {
        let message = format!("{message}; a run may need {}", size(wanted));
        return Some(warning(Check::Disk, message, "'medallion vacuum' removes what nothing needs any more"));
    }
    Some(ok(Check::Disk, message))
}

fn is_alive(pid: u32) -> bool {
    let (mut system, pid) = (System::new(), Pid::from_u32(pid));
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    system.process(pid).is_some()
}

fn lake_host() -> Option<String> {
    medallion_lake::host()
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[allow(clippy::cast_precision_loss)]
fn size(bytes: u64) -> String {
    let gibibytes = bytes as f64 / f64::from(1_u32 << 30);
    if gibibytes >= 1.0 { format!("{gibibytes:.1} GiB") } else { format!("{:.0} MiB", gibibytes * 1024.0) }
}
