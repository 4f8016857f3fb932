//! Telling people and programs how a run ended: `[[notify]]`.
//!
//! A notification carries counts, never cells: `docs/schemas/notification.schema.json`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use futures::future::join_all;
use medallion_pipeline::reporting::Secret;
use medallion_pipeline::{Channel, Layer, Notify, Occasion};
use medallion_silver::SilverError;
use medallion_sql::SqlError;
use serde::Serialize;

use crate::audit::{TestResult, TestStatus};
use crate::error::{Cause, Fault, RunError};
use crate::results::{LayerSummary, RunResults};
use crate::web::Recipient;

/// The schema's name in notifications.
pub const SCHEMA: &str = "medallion/notification/v1";
/// How often a program is asked whether it has ended.
const LOOK_AFTER: Duration = Duration::from_millis(10);
/// Characters of a message, and of what a program says: a pipe takes the whole notification at once.
const MOST_TEXT: usize = 4000;
const MOST_COMPLAINT: usize = 300;

/// How a customer's run ended, for who is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// `success`, `failure` or `guard`.
    pub occasion: &'static str,
    /// The customer.
    pub customer: String,
    /// The run; `None` if there was none.
    pub run_id: Option<String>,
    /// What the failure is: `failed`, `configuration`, `guard`, `held` or `interrupted`.
    pub fault: Option<&'static str>,
    /// The message, without cells.
    pub error: Option<String>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
    /// The run's date.
    pub as_of: Option<NaiveDate>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The release it published; `None` if none.
    pub release: Option<u64>,
    /// Each layer in figures.
    pub layers: BTreeMap<Layer, LayerSummary>,
    /// How many data tests ended how; `None` if none was run.
    pub tests: Option<TestCounts>,
}

/// How many data tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    /// Nothing fails.
    pub passed: u64,
    /// Something fails, which is told.
    pub warned: u64,
    /// Something fails that keeps a run from publishing.
    pub failed: u64,
}

impl TestCounts {
    /// Counts results; `None` if there are none.
    #[must_use]
    pub fn of(tests: &[TestResult]) -> Option<Self> {
        let count = |status| tests.iter().filter(|test| test.status == status).count() as u64;
        (!tests.is_empty()).then(|| Self {
            passed: count(TestStatus::Pass),
            warned: count(TestStatus::Warn),
            failed: count(TestStatus::Error),
        })
    }
}

impl Notification {
    /// Of a run.
    pub(crate) fn of_run(customer: &str, run_id: &str, results: Option<&RunResults>, error: Option<&RunError>) -> Self {
        let fault = error.map(RunError::fault);
        let layers = results.iter().flat_map(|results| {
            Layer::ALL
                .into_iter()
                .filter(|layer| results.layer_seconds.contains_key(layer))
                .map(|layer| (layer, results.layer(layer)))
        });
        Self {
            schema: SCHEMA,
            occasion: occasion(fault).name(),
            customer: customer.to_owned(),
            run_id: Some(run_id.to_owned()),
            fault: fault.map(name),
            error: error.map(|error| shortened(&without_cells(error, results), MOST_TEXT)),
            hint: error.and_then(RunError::hint).map(|hint| shortened(&hint, MOST_TEXT)),
            as_of: results.map(|results| results.as_of),
            started_at: results.map(|results| results.started_at),
            seconds: results.map(|results| results.seconds),
            release: results.and_then(|results| results.release),
            layers: layers.collect(),
            tests: results.and_then(|results| TestCounts::of(&results.tests)),
        }
    }

    /// Of a customer whose run could not begin, because its file or the options are wrong.
    #[must_use]
    pub fn of_configuration(customer: &str, error: &str, hint: Option<&str>) -> Self {
        let fault = Some(Fault::Configuration);
        Self {
            schema: SCHEMA,
            occasion: occasion(fault).name(),
            customer: customer.to_owned(),
            run_id: None,
            fault: fault.map(name),
            error: Some(shortened(error, MOST_TEXT)),
            hint: hint.map(|hint| shortened(hint, MOST_TEXT)),
            as_of: None,
            started_at: None,
            seconds: None,
            release: None,
            layers: BTreeMap::new(),
            tests: None,
        }
    }

    fn concerns(&self, notify: &Notify) -> bool {
        notify.on.iter().any(|occasion| occasion.name() == self.occasion)
    }
}

fn occasion(fault: Option<Fault>) -> Occasion {
    match fault {
        None => Occasion::Success,
        Some(Fault::Guard) => Occasion::Guard,
        Some(_) => Occasion::Failure,
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Failed => "failed",
        Fault::Configuration => "configuration",
        Fault::Guard => "guard",
        Fault::Selection => "selection",
        Fault::Held => "held",
        Fault::Interrupted => "interrupted",
    }
}

/// The message, with what engines say of single values left out and tests told by their counts.
pub(crate) fn without_cells(error: &RunError, results: Option<&RunResults>) -> String {
    let customer = &error.customer;
    match &error.cause {
        Cause::Audit { failed } => {
            let tests = results.iter().flat_map(|results| &results.tests);
            let counts = tests.filter(|test| test.status == TestStatus::Error);
            let counts: Vec<String> = counts.map(|test| format!("{} ({})", test.full_name(), test.failing)).collect();
            format!(
                "customer {customer}: data tests failed: {}; nothing was published, bronze has what arrived",
                if counts.is_empty() { failed.len().to_string() } else { counts.join(", ") }
            )
        }
        Cause::Sql(SqlError::Execution { subject, .. }) => {
            format!("customer {customer}: {subject} failed while it was computed; its run_results.json says why")
        }
        Cause::Silver(SilverError::Polars { table, .. }) => {
            format!("customer {customer}: {table} failed while it was computed; its run_results.json says why")
        }
        _ => error.to_string(),
    }
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Tells all whom it concerns, at the same time; nobody is waited for longer than `most`. Returns what went wrong, as
/// sentences without secrets.
pub async fn tell<'a>(
    notification: &Notification,
    all: impl IntoIterator<Item = &'a Notify>,
    most: Option<Duration>,
) -> Vec<String> {
    let concerned: Vec<&Notify> = all.into_iter().filter(|notify| notification.concerns(notify)).collect();
    if concerned.is_empty() {
        return Vec::new();
    }
    let body = match serde_json::to_vec(notification) {
        Ok(body) => body,
        Err(error) => return vec![format!("no notification was sent: {error}")],
    };
    let told = concerned.into_iter().map(|notify| {
        let timeout = most.map_or(notify.timeout, |most| most.min(notify.timeout));
        hand_over(&notify.channel, &body, timeout)
    });
    let told = join_all(told).await.into_iter();
    told.filter_map(Result::err).map(|problem| format!("a notification was not delivered to {problem}")).collect()
}

async fn hand_over(channel: &Channel, body: &[u8], timeout: Duration) -> Result<(), String> {
    match channel {
        Channel::Webhook { address, headers } => {
            let recipient = Recipient::new(address, timeout).map_err(|error| format!("{address}: {error}"))?;
            recipient.headers(headers).post(body).await
        }
        Channel::Command { program, arguments } => {
            let (named, program, arguments, body) =
                (program.clone(), program.clone(), arguments.clone(), body.to_vec());
            let ran = tokio::task::spawn_blocking(move || run_command(&program, &arguments, &body, timeout)).await;
            let ran = ran.unwrap_or_else(|error| Err(error.to_string()));
            ran.map_err(|problem| format!("{named}: {problem}"))
        }
    }
}

/// Runs a program to its end, or kills it when its time is over. Its standard output goes nowhere: ours is data.
fn run_command(program: &str, arguments: &[Secret], body: &[u8], timeout: Duration) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let complaints = tempfile::tempfile().map_err(failed)?;
    let mut child = Command::new(program)
        .args(arguments.iter().map(Secret::reveal))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(complaints.try_clone().map_err(failed)?)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // Who does not read it may still do what it should: its exit status tells.
        let _ = input.write_all(body);
    }
    let status = wait(&mut child, timeout)?;
    if status.success() {
        return Ok(());
    }
    match complaint(complaints, arguments) {
        Some(complaint) => Err(format!("it ended with {status}: {complaint}")),
        None => Err(format!("it ended with {status}")),
    }
}

fn wait(child: &mut Child, timeout: Duration) -> Result<std::process::ExitStatus, String> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            // It may have ended in between; either way nobody waits for it any more.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it did not end within {} s and was killed", timeout.as_secs_f64()));
        }
        std::thread::sleep(LOOK_AFTER);
    }
}

/// The beginning of what a program said on standard error. It may repeat its arguments, which may be secrets.
fn complaint(mut said: File, arguments: &[Secret]) -> Option<String> {
    let mut text = Vec::new();
    said.seek(SeekFrom::Start(0)).ok()?;
    said.take(4 * MOST_COMPLAINT as u64).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let secrets = arguments.iter().map(Secret::reveal).filter(|argument| argument.len() > 3);
    let text = secrets.fold(text, |text, secret| text.replace(secret, "***"));
    let text = shortened(text.trim(), MOST_COMPLAINT);
    (!text.is_empty()).then_some(text)
}
