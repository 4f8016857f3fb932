//! What may keep customers from being published tonight, found before it does. Nothing is changed.

mod drop_folder;
mod lake;
mod places;

use chrono::{DateTime, TimeDelta, Utc};
use medallion_lake::LakeLocation;
use medallion_pipeline::{Customer, Pipeline};
use serde::Serialize;

pub use drop_folder::{SourceLook, look_at_source};
pub use places::overlaps;

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The customer it is about; `None` for what all share.
    pub customer: Option<String>,
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub severity: FindingSeverity,
    /// That in a sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The files of the project and its customers.
    Configuration,
    /// The pipeline.
    Pipeline,
    /// The folders that exports arrive in.
    DropFolder,
    /// The lake.
    Lake,
    /// Room on its disk.
    Disk,
    /// Who writes.
    Lock,
    /// A release that was begun.
    Journal,
    /// The last run.
    LastRun,
    /// The last release.
    Release,
    /// That no customer reaches another.
    Isolation,
    /// The time.
    Clock,
}

impl Check {
    /// The name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Pipeline => "pipeline",
            Self::DropFolder => "drop_folder",
            Self::Lake => "lake",
            Self::Disk => "disk",
            Self::Lock => "lock",
            Self::Journal => "journal",
            Self::LastRun => "last_run",
            Self::Release => "release",
            Self::Isolation => "isolation",
            Self::Clock => "clock",
        }
    }
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// As it should be.
    Ok,
    /// A person should look at it.
    Warning,
    /// The next run fails, or the last one did.
    Error,
}

impl FindingSeverity {
    /// The name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// A finding about a check.
    #[must_use]
    pub fn new(check: Check, severity: FindingSeverity, message: impl Into<String>) -> Self {
        Self { customer: None, check, severity, message: message.into(), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// About a customer.
    #[must_use]
    pub fn of(mut self, customer: &str) -> Self {
        self.customer = Some(customer.to_owned());
        self
    }
}

fn ok(check: Check, message: impl Into<String>) -> Finding {
    Finding::new(check, FindingSeverity::Ok, message)
}

fn warning(check: Check, message: impl Into<String>, hint: &str) -> Finding {
    Finding::new(check, FindingSeverity::Warning, message).hint(Some(hint.to_owned()))
}

fn error(check: Check, message: impl Into<String>) -> Finding {
    Finding::new(check, FindingSeverity::Error, message)
}

/// What a customer is examined with.
#[derive(Debug)]
pub struct Examination<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// The pipeline as it has it.
    pub pipeline: &'a Pipeline,
    /// Where the lakes are.
    pub lake: &'a LakeLocation,
    /// The time.
    pub now: DateTime<Utc>,
    /// How old a release may be.
    pub stale_after: TimeDelta,
}

impl Examination<'_> {
    /// Looks at everything that is the customer's. Needs a Tokio runtime.
    pub async fn findings(&self) -> Vec<Finding> {
        let mut findings = self.drop_folder();
        findings.extend(self.lake().await);
        findings.into_iter().map(|finding| finding.of(self.customer.id.as_str())).collect()
    }
}
