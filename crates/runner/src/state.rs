//! How a customer stands: its last release, its last run, and whether one is at work.

use chrono::{DateTime, NaiveDateTime, Utc};
use medallion_lake::{Lake, LakeError, LakeLocation, LockState, Release};
use serde_json::Value;

use crate::error::Cause;

/// How a customer stands.
#[derive(Debug)]
pub struct CustomerState {
    /// The last release.
    pub release: Option<Release>,
    /// The run that began last.
    pub last_run: Option<LastRun>,
    /// Whether somebody writes.
    pub lock: LockState,
}

/// The run that began last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// When it began, if its id tells.
    pub began: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The message that ended it.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It published, or there was nothing to publish.
    Success,
    /// Something stopped it.
    Failed,
    /// It was killed: it has no results.
    Interrupted,
    /// It is at work.
    Running,
}

impl Outcome {
    /// The name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Running => "running",
        }
    }
}

/// How a customer stands; `None` if the lake at `location` has nothing of it.
///
/// # Errors
/// If the lake cannot be read.
pub fn customer_state(location: &LakeLocation, customer: &str) -> Result<Option<CustomerState>, Cause> {
    let lake = match Lake::open_existing(location, customer) {
        Err(LakeError::NoCustomer { .. }) => return Ok(None),
        opened => opened?,
    };
    state_of(&lake).map(Some)
}

/// How the customer of an open lake stands.
pub(crate) fn state_of(lake: &Lake) -> Result<CustomerState, Cause> {
    // Before the runs: who is seen to hold the lock has its run in the list, or has ended.
    let lock = lake.lock_state()?;
    Ok(CustomerState { release: lake.latest_release()?, last_run: last_run(lake, &lock)?, lock })
}

fn last_run(lake: &Lake, lock: &LockState) -> Result<Option<LastRun>, Cause> {
    if let LockState::Held(Some(holder)) = lock {
        let (run_id, began) = (holder.run_id.clone(), Some(holder.since));
        return Ok(Some(LastRun { run_id, began, outcome: Outcome::Running, error: None }));
    }
    let mut runs = lake.runs()?;
    let second = runs.last().and_then(|last| began(last));
    // Ids tell the second alone; the results tell which of several runs in it was the last.
    runs.retain(|run_id| began(run_id) == second);
    let mut last: Option<(String, String, Value)> = None;
    for run_id in runs {
        let text = lake.read_run_file(&run_id, "run_results.json")?;
        let results: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let started = results.get("started_at").and_then(Value::as_str).unwrap_or_default().to_owned();
        if last.as_ref().is_none_or(|(before, _, _)| *before <= started) {
            last = Some((started, run_id, results));
        }
    }
    let Some((_, run_id, results)) = last else { return Ok(None) };
    let outcome = match results.get("status").and_then(Value::as_str) {
        Some("success") => Outcome::Success,
        Some(_) => Outcome::Failed,
        None => Outcome::Interrupted,
    };
    let error = results.get("error").and_then(Value::as_str).map(str::to_owned);
    Ok(Some(LastRun { began: began(&run_id), run_id, outcome, error }))
}

/// Run ids begin with the second in which the run did.
fn began(run_id: &str) -> Option<DateTime<Utc>> {
    let (time, _) = run_id.split_once('-')?;
    NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_at_work_ended_or_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().to_str().unwrap();
        assert!(customer_state(&location.into(), "acme").unwrap().is_none());
        let lake = Lake::open(location, "acme").unwrap();
        let outcome = || state_of(&lake).unwrap().last_run.map(|run| (run.outcome, run.error));
        assert_eq!(outcome(), None);
        let lock = lake.lock("20250701T020000Z-aa").unwrap();
        assert_eq!(outcome(), Some((Outcome::Running, None)));
        lake.run_folder("20250701T020000Z-aa").unwrap();
        drop(lock);
        assert_eq!(outcome(), Some((Outcome::Interrupted, None)));
        let failed = br#"{"status": "failed", "error": "no room"}"#;
        lake.write_run_file("20250702T020000Z-bb", "run_results.json", failed).unwrap();
        assert_eq!(outcome(), Some((Outcome::Failed, Some("no room".to_owned()))));
        lake.write_run_file("20250703T020000Z-cc", "run_results.json", br#"{"status": "success"}"#).unwrap();
        assert_eq!(outcome(), Some((Outcome::Success, None)));
        let began = state_of(&lake).unwrap().last_run.unwrap().began.unwrap();
        assert_eq!(began.to_rfc3339(), "2025-07-03T02:00:00+00:00");
    }
}
