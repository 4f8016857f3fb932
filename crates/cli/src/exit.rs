//! Exit codes and the messages that go with them.

use std::fmt;

use medallion_pipeline::SelectionError;
use medallion_runner::fleet::FleetError;
use medallion_runner::{Fault, RunError};

/// The exit codes of `docs/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Configuration = 2,
    SomeFailed = 3,
    Guard = 4,
    Counts = 5,
    Selection = 6,
    Held = 7,
    Interrupted = 130,
}

impl Exit {
    /// What another process of this program ended with.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Done,
            1 => Self::Failed,
            2 => Self::Configuration,
            3 => Self::SomeFailed,
            4 => Self::Guard,
            5 => Self::Counts,
            6 => Self::Selection,
            7 => Self::Held,
            130 => Self::Interrupted,
            _ => return None,
        })
    }

    /// The code of a customer's failure.
    pub(crate) fn of(error: &RunError) -> Self {
        match error.fault() {
            Fault::Failed => Self::Failed,
            Fault::Configuration => Self::Configuration,
            Fault::Guard => Self::Guard,
            Fault::Selection => Self::Selection,
            Fault::Held => Self::Held,
            Fault::Interrupted => Self::Interrupted,
        }
    }
}

/// A failure with its exit code and, where there is one, what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
    /// The customer it is about, where it is about one.
    pub customer: Option<String>,
    /// The customer's run, if one had begun.
    pub run_id: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, customer: None, run_id: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn customer(mut self, customer: &str) -> Self {
        self.customer = Some(customer.to_owned());
        self
    }

    /// The options or a definition are wrong.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, message)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::new(Exit::of(&error), error.to_string()).hint(error.hint()).customer(error.customer.as_str())
    }
}

impl From<SelectionError> for Failure {
    fn from(error: SelectionError) -> Self {
        let exit = match error {
            SelectionError::Syntax { .. } => Exit::Configuration,
            SelectionError::Unknown { .. } | SelectionError::Nothing { .. } => Exit::Selection,
        };
        Self::new(exit, error.to_string()).hint(error.hint())
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        let exit = if error.is_configuration() { Exit::Configuration } else { Exit::Failed };
        Self::new(exit, error.to_string()).hint(error.hint())
    }
}

impl From<medallion_pipeline::DefinitionError> for Failure {
    fn from(error: medallion_pipeline::DefinitionError) -> Self {
        Self::configuration(error.to_string()).hint(error.hint())
    }
}
