//! What a fleet tells: bars on a terminal, otherwise a line for each customer, or the log of all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use medallion_runner::fleet::{FleetEntry, FleetEvent, FleetListener, FleetStatus};
use serde_json::{Map, Value, json};

use crate::arguments::LogFormat;
use crate::console::{Console, printable};

/// Tells of a fleet.
pub(crate) struct FleetConsole {
    console: Console,
    bars: MultiProgress,
    state: Mutex<State>,
}

struct State {
    /// How many customers there are to end; `None` if nobody knows.
    total: Option<usize>,
    ended: usize,
    /// Those of them that were run: the others took no time.
    tried: usize,
    failed: usize,
    fleet: ProgressBar,
    running: BTreeMap<String, ProgressBar>,
}

impl Console {
    /// A listener for a fleet of so many customers.
    pub(crate) fn fleet_listener(&self, total: Option<usize>) -> FleetConsole {
        let target = if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let fleet = match total {
            Some(total) => bars.add(ProgressBar::new(total as u64)),
            None => ProgressBar::hidden(),
        };
        let template = "{bar:32} {pos:>3}/{len:3} customers, {elapsed}{msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            fleet.set_style(style.progress_chars("##-"));
        }
        if self.bars && total.is_some() {
            fleet.enable_steady_tick(Duration::from_secs(1));
        }
        let state = Mutex::new(State { total, ended: 0, tried: 0, failed: 0, fleet, running: BTreeMap::new() });
        FleetConsole { console: *self, bars, state }
    }
}

impl FleetConsole {
    /// Takes the bars away, so that what follows starts on a clean line.
    pub(crate) fn finish(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running.values().for_each(ProgressBar::finish_and_clear);
        state.fleet.finish_and_clear();
    }

    fn text(&self, text: &str) {
        self.bars.suspend(|| self.console.line(text));
    }

    fn json(&self, level: &str, event: &str, fields: Value) {
        if !self.console.quiet || level == "error" {
            self.console.json(level, event, fields);
        }
    }

    fn is_text(&self) -> bool {
        self.console.format == LogFormat::Text
    }

    fn started(&self, state: &mut State, customer: &str, attempt: u32) {
        if !self.is_text() {
            return self.json("info", "customer_started", json!({"customer": customer, "attempt": attempt}));
        }
        if !self.console.bars {
            return;
        }
        // A watch has no bar of its own that the customers' could stand above.
        let bar = match state.total {
            Some(_) => self.bars.insert_before(&state.fleet, ProgressBar::new(0)),
            None => self.bars.add(ProgressBar::new(0)),
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:>20!} {bar:24} {pos:>3}/{len:3} {elapsed:>4} {msg}") {
            bar.set_style(style.progress_chars("##-"));
        }
        bar.set_prefix(printable(customer));
        bar.tick();
        state.running.insert(customer.to_owned(), bar);
    }

    /// What a customer's own run tells.
    fn line(&self, state: &State, customer: &str, text: &str, fields: &Map<String, Value>) {
        let get = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
        if !self.is_text() {
            if !self.console.quiet || get("level") == "error" {
                self.console.line(text);
            }
            return;
        }
        let number = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or_default();
        let bar = state.running.get(customer);
        let (layer, table) = (get("layer"), get("table"));
        match get("event") {
            "layer_started" => {
                if let Some(bar) = bar {
                    bar.inc_length(number("tables"));
                    bar.set_message(layer.to_owned());
                }
                self.verbose(|| format!("{customer}: {layer}: {} tables", number("tables")));
            }
            "table_done" => {
                if let Some(bar) = bar {
                    bar.set_message(table.to_owned());
                    bar.inc(1);
                }
                let seconds = fields.get("seconds").and_then(Value::as_f64).unwrap_or_default();
                self.verbose(|| format!("{customer}: {table}: {} rows, {seconds:.3} s", number("rows")));
            }
            "publishing" => {
                if let Some(bar) = bar {
                    bar.set_message(format!("publishing release {}", number("release")));
                }
                self.verbose(|| format!("{customer}: publishing release {}", number("release")));
            }
            "run_started" => self.verbose(|| format!("{customer}: run {}", get("run_id"))),
            "warning" => {
                let place = if table.is_empty() { String::new() } else { format!(" {table}:") };
                self.warning(&format!("{customer}:{place} {}", get("message")));
            }
            "library" => self.warning(&format!("{customer}: {}", get("message"))),
            // How it ended is told when it is known whether it is tried again.
            _ => {}
        }
    }

    fn verbose(&self, text: impl FnOnce() -> String) {
        if self.console.verbose {
            self.text(&printable(&text()));
        }
    }

    fn warning(&self, message: &str) {
        if !self.console.quiet {
            let label = self.console.paint("warning:", "33");
            self.text(&format!("{label} {}", printable(message)));
        }
    }

    fn ended(&self, state: &mut State, entry: &FleetEntry) {
        state.ended += 1;
        state.tried += usize::from(entry.attempts > 0);
        state.failed += usize::from(entry.status.is_failure());
        self.clear(state.running.remove(&entry.customer));
        self.show_progress(state);
        let of_total = state.total.map(|total| format!(" [{} of {total}]", state.ended)).unwrap_or_default();
        if !self.is_text() {
            let level = if entry.status.is_failure() { "error" } else { "info" };
            return self.json(level, "customer_ended", ended_fields(entry, state));
        }
        let (customer, seconds) = (&entry.customer, entry.seconds);
        match entry.status {
            FleetStatus::Published | FleetStatus::Unchanged if self.console.quiet => {}
            FleetStatus::Published => {
                let (release, rows) = (entry.release.unwrap_or_default(), entry.rows_out.unwrap_or_default());
                let done = format!("{customer}: release {release} published, {rows} rows in gold, {seconds:.2} s");
                self.text(&format!("{done}{of_total}"));
            }
            FleetStatus::Unchanged => {
                self.text(&format!("{customer}: nothing has changed, {seconds:.2} s{of_total}"));
            }
            _ => {
                let reason = printable(entry.reason.as_deref().unwrap_or_default());
                self.text(&format!("{} {reason}", self.console.paint("error:", "31;1")));
                if let Some(hint) = &entry.hint {
                    self.text(&format!("{} {}", self.console.paint("hint:", "36"), printable(hint)));
                }
            }
        }
    }

    fn clear(&self, bar: Option<ProgressBar>) {
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    fn show_progress(&self, state: &State) {
        let failed = if state.failed > 0 { format!(", {} failed", state.failed) } else { String::new() };
        let left = state.total.map_or(0, |total| total.saturating_sub(state.ended));
        let elapsed = state.fleet.elapsed().as_secs_f64();
        let eta = match (left, state.tried) {
            (0, _) | (_, 0) => String::new(),
            // An average over all so far: customers end in bursts, which a moving rate follows too closely.
            (left, tried) => {
                let seconds = (elapsed / tried as f64 * left as f64).ceil() as u64;
                format!(", about {} left", humantime::format_duration(Duration::from_secs(seconds)))
            }
        };
        state.fleet.set_message(format!("{eta}{failed}"));
        state.fleet.set_position(state.ended as u64);
    }
}

fn ended_fields(entry: &FleetEntry, state: &State) -> Value {
    let mut fields = Map::new();
    if let Ok(Value::Object(all)) = serde_json::to_value(entry) {
        // As in all other lines, what is wrong is the message.
        fields.extend(
            all.into_iter().map(|(key, value)| (if key == "reason" { "message".to_owned() } else { key }, value)),
        );
    }
    fields.insert("ended".to_owned(), json!(state.ended));
    fields.insert("total".to_owned(), json!(state.total));
    Value::Object(fields)
}

impl FleetListener for FleetConsole {
    fn on(&self, event: &FleetEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            FleetEvent::CustomerStarted { customer, attempt } => self.started(&mut state, customer, *attempt),
            FleetEvent::Line { customer, text, fields } => self.line(&state, customer, text, fields),
            FleetEvent::Retrying { customer, attempt, reason, wait } => {
                self.clear(state.running.remove(*customer));
                let seconds = wait.as_secs_f64();
                if self.is_text() {
                    self.warning(&format!("attempt {attempt}: {reason}; it is tried again in {seconds} s"));
                } else {
                    let fields = json!({"customer": customer, "attempt": attempt, "message": reason, "wait": seconds});
                    self.json("warn", "retrying", fields);
                }
            }
            FleetEvent::Waiting { customer, reason } if self.is_text() => {
                self.verbose(|| format!("{customer}: {reason}"));
            }
            FleetEvent::Waiting { customer, reason } => {
                self.json("info", "waiting", json!({"customer": customer, "message": reason}));
            }
            FleetEvent::CustomerEnded { entry } => self.ended(&mut state, entry),
            FleetEvent::Stopped { reason } => {
                if self.is_text() {
                    self.warning(&format!("no further customers are started: {reason}"));
                } else {
                    self.json("warn", "fleet_stopped", json!({ "message": reason }));
                }
            }
        }
    }
}
