//! The table graph: layers as columns, what is built from what, and what the run did to each table.

use std::collections::BTreeMap;

use maud::{Markup, html};
use medallion_pipeline::{Layer, Pipeline, TableName};

use super::text::{at, counted};
use crate::results::{RunResults, Status};

/// A graph of more tables is no picture any more.
const MOST_TABLES: usize = 400;
const PITCH: f64 = 23.0;
const BOX: f64 = 18.0;
const BETWEEN: f64 = 44.0;
const TOP: f64 = 30.0;
/// How often tables are put in the order of their neighbours.
const SWEEPS: usize = 6;

/// The tables of a column, and where they stand.
struct Column<'a> {
    label: String,
    tables: Vec<&'a TableName>,
    x: f64,
    width: f64,
}

/// The graph of a run.
pub(super) fn section(pipeline: &Pipeline, results: &RunResults) -> Markup {
    let tables = pipeline.sources.len() + pipeline.tables.len();
    html! {
        section #graph {
            h2 { "Table graph" }
            p.note { "What is built from what, from left to right. Point at a table for its rows and inputs." }
            @if tables > MOST_TABLES {
                p.note { (tables) " tables are too many to draw; 'medallion plan' lists them." }
            } @else {
                (legend(results))
                (picture(pipeline, results))
            }
        }
    }
}

fn legend(results: &RunResults) -> Markup {
    let built = if results.status == Status::Success { "taken in or built" } else { "taken in" };
    html! {
        div.legend {
            span { i style="background:var(--same-bg);border:1.5px solid var(--blue)" {} (built) }
            span { i style="background:var(--card);border:1.5px solid var(--line)" {} "as it was" }
            @if results.status != Status::Success {
                span { i style="background:var(--bad-bg);border:1.5px dashed var(--bad)" {} "built, not published" }
            }
            span { i style="background:var(--card);border:1.5px dotted var(--soft)" {} "not there, or not reached" }
        }
    }
}

type Inputs<'a> = BTreeMap<&'a TableName, Vec<&'a TableName>>;

#[allow(clippy::cast_precision_loss)]
fn picture(pipeline: &Pipeline, results: &RunResults) -> Markup {
    let inputs: Inputs<'_> = pipeline.tables.iter().map(|table| (&table.name, table.inputs.iter().collect())).collect();
    let columns = columns(pipeline, &inputs);
    let rows = columns.iter().map(|column| column.tables.len()).max().unwrap_or(0);
    let height = TOP + rows as f64 * PITCH + 4.0;
    let width = columns.last().map_or(0.0, |column| column.x + column.width) + 2.0;
    let mut places: BTreeMap<&TableName, (f64, f64, f64)> = BTreeMap::new();
    for column in &columns {
        let from = TOP + (rows - column.tables.len()) as f64 * PITCH / 2.0;
        for (place, table) in column.tables.iter().enumerate() {
            places.insert(table, (column.x, from + place as f64 * PITCH, column.width));
        }
    }
    html! {
        div.scroll {
            svg.fit viewBox=(format!("0 0 {} {}", at(width), at(height))) style=(format!("max-width:{}px", at(width))) role="img" aria-label="Tables and what they are built from" {
                @for column in &columns {
                    text class="soft" x=(at(column.x + column.width / 2.0)) y="13" font-size="11.5" text-anchor="middle" { (column.label) }
                }
                @for (table, inputs) in &inputs {
                    @for input in inputs { (edge(places.get(input), places.get(table))) }
                }
                @for (table, (x, y, width)) in &places {
                    g {
                        title { (title(table, &inputs, results)) }
                        rect class=(format!("node {}", class(table, results))) x=(at(*x)) y=(at(*y)) width=(at(*width)) height=(BOX) rx="4" {}
                        rect class=(super::timings::colour(table.layer)) x=(at(*x)) y=(at(*y)) width="4" height=(BOX) rx="2" {}
                        text x=(at(x + 10.0)) y=(at(y + 12.5)) font-size="11" { (table.table) }
                    }
                }
            }
        }
    }
}

fn edge(from: Option<&(f64, f64, f64)>, to: Option<&(f64, f64, f64)>) -> Markup {
    let (Some((x, y, width)), Some((to_x, to_y, _))) = (from, to) else { return html! {} };
    let (x, y, to_y) = (x + width, y + BOX / 2.0, to_y + BOX / 2.0);
    let bend = ((to_x - x) / 2.0).clamp(20.0, 70.0);
    let [a, b, c, d, e, f] = [x, y, x + bend, to_x - bend, *to_x, to_y].map(at);
    html! { path class="edge" d=(format!("M{a} {b}C{c} {b} {d} {f} {e} {f}")) {} }
}

/// What the run did to a table.
fn class(table: &TableName, results: &RunResults) -> &'static str {
    let Some(result) = results.tables.get(table) else { return "missing" };
    match result.status {
        Status::Absent | Status::Failed => "missing",
        Status::Success if results.status != Status::Success && table.layer != Layer::Bronze => "lost",
        Status::Success => "built",
        Status::Unchanged | Status::NotDelivered | Status::Waiting | Status::NotSelected => "kept",
    }
}

fn title(table: &TableName, inputs: &Inputs<'_>, results: &RunResults) -> String {
    let rows = results.tables.get(table).map(|result| format!(": {}", counted(result.rows_out, "row")));
    let from = inputs.get(table).filter(|inputs| !inputs.is_empty()).map(|inputs| {
        let names: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        format!("\nfrom {}", names.join(", "))
    });
    format!("{table}{}{}", rows.unwrap_or_default(), from.unwrap_or_default())
}

/// A column for bronze and one for each step within the other layers, tables near their neighbours.
fn columns<'a>(pipeline: &'a Pipeline, inputs: &Inputs<'a>) -> Vec<Column<'a>> {
    let mut by_step: BTreeMap<(Layer, usize), Vec<&TableName>> = BTreeMap::new();
    let mut steps: BTreeMap<&TableName, usize> = BTreeMap::new();
    by_step.insert((Layer::Bronze, 0), pipeline.sources.values().map(|source| &source.name).collect());
    // In building order: the inputs of a table are known before it.
    for table in &pipeline.tables {
        let before = table.inputs.iter().filter(|input| input.layer == table.name.layer);
        let step = before.filter_map(|input| steps.get(input)).max().map_or(0, |step| step + 1);
        steps.insert(&table.name, step);
        by_step.entry((table.name.layer, step)).or_default().push(&table.name);
    }
    let mut columns: Vec<Column<'_>> = Vec::new();
    for ((layer, step), tables) in by_step.into_iter().filter(|(_, tables)| !tables.is_empty()) {
        let label = if step == 0 { layer.to_string() } else { format!("{layer}, step {}", step + 1) };
        columns.push(Column { label, tables, x: 0.0, width: 0.0 });
    }
    let neighbours = neighbours(inputs);
    for _ in 0..SWEEPS {
        arrange(&mut columns, &neighbours);
    }
    let mut x = 1.0;
    for column in &mut columns {
        let longest = column.tables.iter().map(|table| table.table.len()).max().unwrap_or(0);
        column.x = x;
        #[allow(clippy::cast_precision_loss)]
        let width = longest as f64 * 5.9 + 20.0;
        column.width = width.max(80.0);
        x += column.width + BETWEEN;
    }
    columns
}

/// What each table is built from and what is built from it.
fn neighbours<'a>(inputs: &Inputs<'a>) -> Inputs<'a> {
    let mut neighbours = inputs.clone();
    for (table, inputs) in inputs {
        for input in inputs {
            neighbours.entry(input).or_default().push(table);
        }
    }
    neighbours
}

/// Puts the tables of each column in the order of the middle of their neighbours.
#[allow(clippy::cast_precision_loss)]
fn arrange(columns: &mut [Column<'_>], neighbours: &Inputs<'_>) {
    for place in 0..columns.len() {
        let middles: BTreeMap<&TableName, f64> = columns
            .iter()
            .flat_map(|column| {
                let rows = column.tables.len().max(1) as f64;
                column.tables.iter().enumerate().map(move |(row, table)| (*table, (row as f64 + 0.5) / rows))
            })
            .collect();
        let middle = |table: &TableName| {
            let near = neighbours.get(table).into_iter().flatten().filter_map(|name| middles.get(name));
            let near: Vec<f64> = near.copied().collect();
            if near.is_empty() {
                middles.get(table).copied().unwrap_or(0.5)
            } else {
                near.iter().sum::<f64>() / near.len() as f64
            }
        };
        let mut keyed: Vec<(f64, &TableName)> =
            columns[place].tables.iter().map(|table| (middle(table), *table)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        columns[place].tables = keyed.into_iter().map(|(_, table)| table).collect();
    }
}
