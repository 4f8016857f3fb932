//! Standard error: messages for people, or one JSON object a line for programs.

mod fleet;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use chrono::{SecondsFormat, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use medallion_pipeline::Layer;
use medallion_runner::fleet::{Finished, FleetResults, FleetStatus};
use medallion_runner::{Event, Listener};
use serde_json::{Map, Value, json};

use crate::arguments::{Color, GlobalArguments, LogFormat};
use crate::exit::Failure;
use crate::library_lines::LibraryLines;

/// How messages are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    format: LogFormat,
    quiet: bool,
    verbose: bool,
    color: bool,
    bars: bool,
}

impl Console {
    pub(crate) fn new(global: &GlobalArguments) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let text = global.log_format == LogFormat::Text;
        let bars = terminal && text && !global.no_progress && !global.quiet && !global.verbose;
        Self { format: global.log_format, quiet: global.quiet, verbose: global.verbose, color, bars }
    }

    /// Shows the libraries' own warnings; `MEDALLION_LOG` takes other filters, such as `medallion_lake=debug`.
    pub(crate) fn listen_to_libraries(&self) {
        let default = if self.quiet { "medallion_lake=error" } else { "medallion_lake=warn" };
        let filter = std::env::var("MEDALLION_LOG").unwrap_or_else(|_| default.to_owned());
        let subscriber = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(self.color)
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter));
        match self.format {
            LogFormat::Text => subscriber.without_time().init(),
            LogFormat::Json => subscriber.event_format(LibraryLines).init(),
        }
    }

    /// A panic becomes one line; what it ended says so itself.
    pub(crate) fn listen_to_panics(&self) {
        let console = *self;
        std::panic::set_hook(Box::new(move |panic| {
            let message = panic.payload_as_str().unwrap_or("no message");
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            match console.format {
                LogFormat::Json => console.json("error", "panic", json!({"message": message, "place": place})),
                LogFormat::Text => {
                    let label = console.paint("panic:", "31;1");
                    console.line(&format!("{label} {} ({})", printable(message), printable(&place)));
                }
            }
        }));
    }

    /// A failure with its hint.
    pub(crate) fn failure(&self, failure: &Failure) {
        match self.format {
            LogFormat::Json => {
                let fields = json!({
                    "run_id": failure.run_id, "customer": failure.customer, "message": failure.message,
                    "hint": failure.hint, "exit_code": failure.exit as u8
                });
                self.json("error", "failed", fields);
            }
            LogFormat::Text => {
                self.line(&format!("{} {}", self.paint("error:", "31;1"), printable(&failure.message)));
                if let Some(hint) = &failure.hint {
                    self.line(&format!("{} {}", self.paint("hint:", "36"), printable(hint)));
                }
            }
        }
    }

    /// Something a person may want to know.
    pub(crate) fn note(&self, message: &str) {
        if self.quiet {
            return;
        }
        match self.format {
            LogFormat::Json => self.json("info", "note", json!({ "message": message })),
            LogFormat::Text => self.line(&printable(message)),
        }
    }

    /// How a customer's run ended, for programs.
    pub(crate) fn finished(&self, customer: &str, finished: &Finished) {
        if self.format == LogFormat::Text || self.quiet {
            return;
        }
        let mut fields = Map::from_iter([("customer".to_owned(), json!(customer))]);
        if let Ok(Value::Object(all)) = serde_json::to_value(finished) {
            fields.extend(all);
        }
        self.json("info", Finished::EVENT, Value::Object(fields));
    }

    /// How a fleet ended, for programs.
    pub(crate) fn fleet_finished(&self, results: &FleetResults) {
        if self.format == LogFormat::Text || self.quiet {
            return;
        }
        let count = |status: FleetStatus| results.count(|other| other == status);
        let fields = json!({
            "fleet_id": results.fleet_id, "customers": results.selected.len(),
            "published": count(FleetStatus::Published), "unchanged": count(FleetStatus::Unchanged),
            "failed": count(FleetStatus::Failed), "timed_out": count(FleetStatus::TimedOut),
            "interrupted": count(FleetStatus::Interrupted), "not_started": count(FleetStatus::NotStarted),
            "message": results.stopped
        });
        self.json("info", "fleet_finished", fields);
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn json(&self, level: &str, event: &str, fields: Value) {
        self.line(&json_line(level, event, fields));
    }

    fn line(&self, text: &str) {
        // There is nowhere left to complain about a closed standard error.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A listener for one customer's run.
    pub(crate) fn listener(&self, customer: &str) -> RunConsole {
        let target = if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let run = Mutex::new(RunState::default());
        RunConsole { console: *self, customer: customer.to_owned(), bars: MultiProgress::with_draw_target(target), run }
    }
}

/// One object with the keys that all lines have first.
pub(crate) fn json_line(level: &str, event: &str, fields: Value) -> String {
    let mut line = Map::new();
    line.insert("ts".to_owned(), json!(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)));
    line.insert("level".to_owned(), json!(level));
    line.insert("event".to_owned(), json!(event));
    if let Value::Object(fields) = fields {
        line.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(line).to_string()
}

/// Names and messages may hold text from exports: control characters must not reach the terminal, and further lines
/// are indented, so that none passes for a message of its own.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => printable.push_str("\n  "),
            control if control.is_control() => printable.push(char::REPLACEMENT_CHARACTER),
            other => printable.push(other),
        }
    }
    printable
}

#[derive(Default)]
struct RunState {
    run_id: String,
    layers: BTreeMap<Layer, ProgressBar>,
}

/// Tells of one customer's run.
pub(crate) struct RunConsole {
    console: Console,
    customer: String,
    bars: MultiProgress,
    run: Mutex<RunState>,
}

impl RunConsole {
    /// Takes the bars away, so that what follows starts on a clean line.
    pub(crate) fn finish(&self) {
        for bar in self.run.lock().unwrap_or_else(PoisonError::into_inner).layers.values() {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }

    /// The customer's run, once it has begun.
    pub(crate) fn run_id(&self) -> Option<String> {
        let run_id = self.run.lock().unwrap_or_else(PoisonError::into_inner).run_id.clone();
        (!run_id.is_empty()).then_some(run_id)
    }

    /// Tells what happened; `text` must be printable already, as it may have colours.
    fn tell(&self, state: &RunState, level: &str, event: &str, fields: Value, text: Option<String>) {
        match self.console.format {
            LogFormat::Json if !self.console.quiet => {
                let mut all = Map::new();
                all.insert("run_id".to_owned(), json!(state.run_id));
                all.insert("customer".to_owned(), json!(self.customer));
                if let Value::Object(fields) = fields {
                    all.extend(fields);
                }
                self.console.json(level, event, Value::Object(all));
            }
            LogFormat::Text if !self.console.quiet => {
                if let Some(text) = text {
                    self.bars.suspend(|| self.console.line(&text));
                }
            }
            LogFormat::Json | LogFormat::Text => {}
        }
    }

    fn layer_started(&self, state: &mut RunState, layer: Layer, tables: usize) {
        let bar = self.bars.add(ProgressBar::new(tables as u64));
        if let Ok(style) = ProgressStyle::with_template("{prefix:>8} {bar:32} {pos:>3}/{len:3} {elapsed:>4} {msg}") {
            bar.set_style(style.progress_chars("##-"));
        }
        bar.set_prefix(layer.name());
        bar.tick();
        state.layers.insert(layer, bar);
        let text = (!self.console.bars).then(|| format!("{}: {layer}: {tables} tables", self.customer));
        self.tell(state, "info", "layer_started", json!({"layer": layer, "tables": tables}), text);
    }
}

impl Listener for RunConsole {
    fn on(&self, event: &Event) {
        let mut state = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { run_id } => {
                state.run_id.clone_from(run_id);
                let text = self.console.verbose.then(|| format!("{}: run {run_id}", self.customer));
                self.tell(&state, "info", "run_started", json!({}), text);
            }
            Event::LayerStarted { layer, tables } => self.layer_started(&mut state, *layer, *tables),
            Event::TableDone { table, rows, seconds } => {
                if let Some(bar) = state.layers.get(&table.layer) {
                    bar.set_message(table.table.clone());
                    bar.inc(1);
                    if Some(bar.position()) == bar.length() {
                        bar.finish_with_message("");
                    }
                }
                let text =
                    self.console.verbose.then(|| format!("{}: {table}: {rows} rows, {seconds:.3} s", self.customer));
                let fields = json!({"layer": table.layer, "table": table, "rows": rows, "seconds": seconds});
                self.tell(&state, "info", "table_done", fields, text);
            }
            Event::Warning { table, message } => {
                let place = table.as_ref().map(|table| format!(" {table}:")).unwrap_or_default();
                let label = self.console.paint("warning:", "33");
                let text = format!("{label} {}", printable(&format!("{}:{place} {message}", self.customer)));
                let layer = table.as_ref().map(|table| table.layer);
                let fields = json!({"layer": layer, "table": table, "message": message});
                self.tell(&state, "warn", "warning", fields, Some(text));
            }
            Event::Publishing { release } => {
                let text = self.console.verbose.then(|| format!("{}: publishing release {release}", self.customer));
                self.tell(&state, "info", "publishing", json!({"release": release}), text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_exports_can_neither_forge_a_line_nor_steer_a_terminal() {
        assert_eq!(printable("a\nerror: b\u{1b}[31m\r\u{9b}c"), "a\n  error: b\u{fffd}[31m\u{fffd}\u{fffd}c");
    }
}
