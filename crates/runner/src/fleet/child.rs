//! One customer in a process of its own: whatever happens to that process happens to no other customer.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::fleet::events::{Finished, FleetEvent, FleetListener};
use crate::interrupt::Interrupt;

/// A process that was asked to end is killed after this time.
const GRACE: Duration = Duration::from_secs(10);
/// Lines that are no JSON are kept for the reason, the last few.
const LINES_KEPT: usize = 5;
/// A longer line is cut: nobody may fill this process's memory.
const LINE_LENGTH: u64 = 64 * 1024;
/// How often is looked whether a process has ended whose standard error somebody else still holds open.
const LOOK: Duration = Duration::from_millis(500);

/// How a customer's process is started.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    /// The program: this one.
    pub program: PathBuf,
    /// Its arguments; they ask for a JSON log.
    pub arguments: Vec<OsString>,
    /// Variables that it gets.
    pub environment: Vec<(&'static str, OsString)>,
    /// Variables of this process that only those get whose own they are.
    pub withheld: Arc<BTreeSet<String>>,
    /// Which of them it gets all the same.
    pub own: BTreeSet<String>,
}

impl ChildCommand {
    /// In a process group of its own, so that an interrupt at the terminal reaches it by way of the fleet alone.
    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        for name in self.withheld.difference(&self.own) {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }
}

/// Why the fleet ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Timeout,
    Interrupt,
}

/// What came of a process.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    /// How it ended; an error if it could not even begin.
    pub status: io::Result<ExitStatus>,
    pub ended_by: Option<EndedBy>,
    pub told: Told,
}

/// What a process told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub run_id: Option<String>,
    pub finished: Option<Finished>,
    /// Message and hint of its failure.
    pub failure: Option<(String, Option<String>)>,
    pub panic: Option<String>,
    /// The last lines that are no JSON.
    pub lines: VecDeque<String>,
}

/// Runs a customer's process to its end. It is asked to end when the time is up or the fleet is interrupted.
pub(crate) async fn attempt(
    customer: &str,
    command: &ChildCommand,
    timeout: Option<Duration>,
    interrupt: &Interrupt,
    listener: &dyn FleetListener,
) -> Attempt {
    let (started_at, started) = (Utc::now(), Instant::now());
    let mut told = Told::default();
    let (status, ended_by) = match command.start() {
        Ok(child) => {
            let mut watched = Watched { customer, child, listener, told: &mut told, ended_by: None };
            let status = watched.run_out(timeout, interrupt).await;
            (status, watched.ended_by)
        }
        Err(error) => (Err(error), None),
    };
    Attempt { started_at, seconds: started.elapsed().as_secs_f64(), status, ended_by, told }
}

/// A process while it runs.
struct Watched<'a> {
    customer: &'a str,
    child: Child,
    listener: &'a dyn FleetListener,
    told: &'a mut Told,
    ended_by: Option<EndedBy>,
}

impl Watched<'_> {
    async fn run_out(&mut self, timeout: Option<Duration>, interrupt: &Interrupt) -> io::Result<ExitStatus> {
        let Some(errors) = self.child.stderr.take() else { return self.child.wait().await };
        let mut lines = Lines { reader: BufReader::new(errors), line: Vec::new(), cut: false };
        let mut deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut is_open = true;
        loop {
            tokio::select! {
                line = lines.next(), if is_open => match line {
                    Ok(Some(line)) => self.hear(&line),
                    // Whoever closes its standard error is about to end.
                    Ok(None) | Err(_) => is_open = false,
                },
                status = self.child.wait(), if !is_open => return status,
                () = until(deadline) => deadline = self.end(EndedBy::Timeout),
                () = interrupt.asked(), if self.ended_by.is_none() => {
                    // A customer that publishes goes to its end, however long that takes.
                    self.end(EndedBy::Interrupt);
                }
                () = tokio::time::sleep(LOOK), if is_open => if let Some(status) = self.child.try_wait()? {
                    while let Ok(Ok(Some(line))) = tokio::time::timeout(LOOK, lines.next()).await {
                        self.hear(&line);
                    }
                    return Ok(status);
                },
            }
        }
    }

    /// Asks the process to end; kills it if it was asked for the same reason before. Returns when to do so again.
    fn end(&mut self, by: EndedBy) -> Option<Instant> {
        let is_asked = self.ended_by.replace(by) == Some(by);
        if !is_asked && terminate(&self.child) {
            return Some(Instant::now() + GRACE);
        }
        // What has ended already need not be killed.
        let _ = self.child.start_kill();
        None
    }

    fn hear(&mut self, line: &str) {
        match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(fields) => {
                self.told.take(&fields);
                self.listener.on(&FleetEvent::Line { customer: self.customer, text: line, fields: &fields });
            }
            Err(_) if line.trim().is_empty() => {}
            Err(_) => {
                if self.told.lines.len() == LINES_KEPT {
                    self.told.lines.pop_front();
                }
                self.told.lines.push_back(line.trim().to_owned());
            }
        }
    }
}

impl Told {
    fn take(&mut self, fields: &Map<String, Value>) {
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(run_id) = text("run_id").filter(|run_id| !run_id.is_empty()) {
            self.run_id = Some(run_id);
        }
        match fields.get("event").and_then(Value::as_str) {
            Some("failed") => self.failure = text("message").map(|message| (message, text("hint"))),
            Some("panic") => {
                let place = text("place").map(|place| format!(" ({place})")).unwrap_or_default();
                self.panic = text("message").map(|message| format!("{message}{place}"));
            }
            Some(Finished::EVENT) => self.finished = serde_json::from_value(Value::Object(fields.clone())).ok(),
            _ => {}
        }
    }
}

/// Sends SIGTERM, if there is such a thing here and the process can be found. It is this process's child and was not
/// waited for yet, so that its number is its own.
fn terminate(child: &Child) -> bool {
    let Some(pid) = child.id().map(Pid::from_u32) else { return false };
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    system.process(pid).and_then(|process| process.kill_with(Signal::Term)) == Some(true)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The lines of a process, of any bytes and any length.
struct Lines {
    reader: BufReader<ChildStderr>,
    /// What was read of the next line; kept here, as reading may be given up at any time.
    line: Vec<u8>,
    /// Whether its beginning was cut off because it is too long.
    cut: bool,
}

impl Lines {
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let room = LINE_LENGTH.saturating_sub(self.line.len() as u64);
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
            let is_whole = self.line.last() == Some(&b'\n');
            if is_whole || (read == 0 && room > 0) {
                let line = std::mem::take(&mut self.line);
                let was_cut = std::mem::take(&mut self.cut);
                if line.is_empty() && !was_cut {
                    return Ok(None);
                }
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()));
            }
            if self.line.len() as u64 >= LINE_LENGTH {
                self.line.clear();
                self.cut = true;
            }
        }
    }
}
