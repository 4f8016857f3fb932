//! Standard output: tables for people, CSV and JSON for programs.

use std::io::{ErrorKind, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Map, Value};

use crate::arguments::Format;
use crate::exit::{Exit, Failure};

/// Writes text to standard output. A reader that has seen enough (`head`) is no failure.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    written(output.write_all(text.as_bytes()).and_then(|()| output.flush()))
}

/// What became of writing to standard output.
pub(crate) fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Rows with named columns.
pub(crate) struct Listing {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Listing {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Writes the rows in the format.
    pub(crate) fn write(&self, format: Format) -> Result<(), Failure> {
        let text = match format {
            Format::Table => self.table(),
            Format::Csv => self.csv(),
            Format::Json => self.json()?,
        };
        write(&text)
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(|value| {
                let alignment = if value.is_number() { CellAlignment::Right } else { CellAlignment::Left };
                Cell::new(plain(value)).set_alignment(alignment)
            }));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }

    fn csv(&self) -> String {
        let quoted = |text: String| {
            let special = text.contains([',', '"', '\n', '\r']);
            if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        };
        let line = |cells: Vec<String>| cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        let header = line(self.columns.iter().map(|column| (*column).to_owned()).collect());
        self.rows.iter().fold(header, |text, row| text + &line(row.iter().map(plain).collect()))
    }

    fn json(&self) -> Result<String, Failure> {
        let object = |row: &Vec<Value>| {
            let pairs = self.columns.iter().zip(row).map(|(column, value)| ((*column).to_owned(), value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let array: Vec<Value> = self.rows.iter().map(object).collect();
        let text = serde_json::to_string_pretty(&array);
        text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
