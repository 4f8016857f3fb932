//! How rows moved: from files through bronze into the cleansed tables with all that left on the way, then what the
//! tables behind them read and made.

use maud::{Markup, html};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{Layer, Pipeline, TableName};

use super::text::{at, count, counted};
use super::timings::colour;
use crate::results::{RunResults, TableResult};

const WIDTH: f64 = 1096.0;
/// Where files, bronze and silver stand.
const PLACES: [f64; 3] = [240.0, 490.0, 750.0];
const NODE: f64 = 9.0;
/// What all bronze rows together are high.
const HEIGHT: f64 = 380.0;
/// What a label needs.
const LINE: f64 = 16.0;
const GAP: f64 = 9.0;
const TOP: f64 = 26.0;

/// What became of rows that left, and how it is drawn.
pub(super) struct Exit {
    pub what: &'static str,
    pub rows: u64,
    pub class: &'static str,
}

/// A cleansed table.
pub(super) struct Cleansed<'a> {
    pub name: &'a TableName,
    pub rows_in: u64,
    pub rows_out: u64,
    pub exits: Vec<Exit>,
}

/// A source with what was made of it.
pub(super) struct Lane<'a> {
    pub source: &'a TableName,
    /// Records of new files.
    pub records: u64,
    pub rejected: u64,
    pub rows: u64,
    pub tables: Vec<Cleansed<'a>>,
}

impl Lane<'_> {
    /// Tables may be built from earlier batches as well.
    fn in_bronze(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_in).fold(self.rows, u64::max)
    }
}

/// The sources through which rows moved.
pub(super) fn lanes<'a>(pipeline: &'a Pipeline, results: &'a RunResults) -> Vec<Lane<'a>> {
    let lane = |source: &'a TableName| {
        let result = results.tables.get(source);
        let of = |what: fn(&TableResult) -> u64| result.map_or(0, what);
        Lane {
            source,
            records: of(|result| result.rows_in),
            rejected: of(|result| result.rejected),
            rows: of(|result| result.rows_out),
            tables: pipeline
                .tables
                .iter()
                .filter_map(|table| {
                    let Definition::Cleanse(cleanse) = &table.definition else { return None };
                    let result = results.tables.get(&table.name).filter(|_| cleanse.source == source.table)?;
                    cleansed(&table.name, result)
                })
                .collect(),
        }
    };
    let lanes = pipeline.sources.values().map(|source| lane(&source.name));
    lanes.filter(|lane| lane.records > 0 || lane.in_bronze() > 0).collect()
}

fn cleansed<'a>(name: &'a TableName, result: &TableResult) -> Option<Cleansed<'a>> {
    let sums = result.sums.as_ref()?;
    let replaced =
        result.upserts.as_ref().map_or(0, |upserts| upserts.total.statements().saturating_sub(result.rows_out));
    let exits = [
        ("rejected", sums.rejected, "fill-exit"),
        ("excluded", sums.excluded, "fill-excl"),
        ("duplicates", sums.duplicates, "fill-dup"),
        ("further rows", sums.further, "fill-dup"),
        ("of another table", sums.filtered, "fill-dup"),
        ("replaced by increments", replaced, "fill-dup"),
    ];
    let exits = exits.into_iter().filter(|(_, rows, _)| *rows > 0);
    let exits = exits.map(|(what, rows, class)| Exit { what, rows, class }).collect();
    Some(Cleansed { name, rows_in: sums.rows_in, rows_out: result.rows_out, exits })
}

/// The flow of a run.
pub(super) fn section(pipeline: &Pipeline, results: &RunResults) -> Markup {
    let lanes = lanes(pipeline, results);
    html! {
        section #flow {
            h2 { "Row flow" }
            @if lanes.is_empty() {
                p.note { "No row moved: nothing new was taken in and no cleansed table was built." }
            } @else {
                p.note {
                    "Each band is as thick as it has rows. What leaves on the way is drawn in colour and named; nothing is lost "
                    "unnamed, a run whose sums do not add up fails."
                }
                div.legend {
                    span { i style="background:var(--band);opacity:.35" {} "rows that stay" }
                    span { i style="background:var(--exit)" {} "rejected" }
                    span { i style="background:var(--excl)" {} "excluded by the customer" }
                    span { i style="background:var(--dup)" {} "duplicates and rows of other tables" }
                }
                (picture(&lanes))
                (sums(&lanes))
            }
            (derived(pipeline, results))
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn picture(lanes: &[Lane<'_>]) -> Markup {
    let all: u64 = lanes.iter().map(Lane::in_bronze).sum();
    let scale = HEIGHT / all.max(1) as f64;
    let mut top = TOP;
    let mut drawn = Vec::new();
    for lane in lanes {
        let (markup, height) = draw(lane, top, scale);
        drawn.push(markup);
        top += height + GAP;
    }
    html! {
        div.scroll {
            svg.wide viewBox=(format!("0 0 {WIDTH} {}", at(top))) width=(WIDTH) role="img" aria-label="Rows from files to silver" {
                @for (x, label) in PLACES.into_iter().zip(["files", "bronze", "silver"]) {
                    text class="soft" x=(at(x + NODE / 2.0)) y="13" font-size="11.5" text-anchor="middle" { (label) }
                }
                @for lane in drawn { (lane) }
            }
        }
    }
}

/// One lane from `top`, and its height.
fn draw(lane: &Lane<'_>, top: f64, scale: f64) -> (Markup, f64) {
    let thick = |rows: u64| thickness(rows, scale);
    let [files, bronze, silver] = PLACES;
    let (arrived, kept, in_bronze) = (thick(lane.records), thick(lane.rows), thick(lane.in_bronze()));
    let mut right = Vec::new();
    let mut y = top;
    for table in &lane.tables {
        let mut from = top;
        let stays = (format!("{} {}", table.name, count(table.rows_out)), table.rows_out, "", true);
        let leaves = table
            .exits
            .iter()
            .map(|exit| (format!("{} {}", count(exit.rows), exit.what), exit.rows, exit.class, false));
        for (label, rows, class, is_table) in std::iter::once(stays).chain(leaves) {
            let height = thick(rows);
            right.push((from, y, height, class, is_table, label));
            from += height;
            y += height.max(LINE);
        }
    }
    let lost = top + in_bronze.max(LINE);
    let middle = lost - top + if lane.rejected > 0 { LINE } else { 0.0 };
    let height = arrived.max(LINE).max(middle).max(y - top);
    let markup = html! {
        text x=(at(files - 10.0)) y=(at(top + 11.5)) font-size="12" text-anchor="end" {
            (lane.source.table) " "
            tspan class="soft" { @if lane.records > 0 { (count(lane.records)) } @else { "earlier batches" } }
        }
        @if lane.records > 0 {
            rect class="fill-blue" x=(files) y=(at(top)) width=(NODE) height=(at(arrived)) {}
            path class="band" d=(band((files + NODE, top, kept), (bronze, top, kept))) {
                title { (lane.source) ": " (counted(lane.rows, "row")) " of " (counted(lane.records, "record")) }
            }
        }
        rect class="fill-bronze" x=(bronze) y=(at(top)) width=(NODE) height=(at(in_bronze)) {}
        @if lane.rejected > 0 {
            path class="band fill-exit" d=(band((files + NODE, top + kept, thick(lane.rejected)), (bronze, lost, thick(lane.rejected)))) {}
            rect class="fill-exit" x=(bronze) y=(at(lost)) width=(NODE) height=(at(thick(lane.rejected).max(3.0))) {}
            text class="exit" x=(at(bronze + NODE + 6.0)) y=(at(lost + 9.0)) font-size="11.5" { (count(lane.rejected)) " rejected" }
        }
        @for (from, y, height, class, is_table, label) in &right {
            path class=(format!("band {class}")) d=(band((bronze + NODE, *from, *height), (silver, *y, *height))) { title { (label) } }
            rect class=(if *is_table { "fill-silver" } else { class }) x=(silver) y=(at(*y)) width=(NODE) height=(at(if *is_table { *height } else { height.max(3.0) })) {}
            text class=(if *class == "fill-exit" { "exit" } else if *is_table { "" } else { "soft" }) x=(at(silver + NODE + 7.0)) y=(at(y + 11.5)) font-size="12" { (label) }
        }
    };
    (markup, height)
}

#[allow(clippy::cast_precision_loss)]
fn thickness(rows: u64, scale: f64) -> f64 {
    if rows == 0 { 0.0 } else { (rows as f64 * scale).max(1.5) }
}

/// A band between two upright edges: x, y and height of each.
fn band((x, y, height): (f64, f64, f64), (to_x, to_y, to_height): (f64, f64, f64)) -> String {
    let middle = at(f64::midpoint(x, to_x));
    let [x, to_x, y, to_y, end, to_end] = [x, to_x, y, to_y, y + height, to_y + to_height].map(at);
    format!(
        "M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}L{to_x} {to_end}C{middle} {to_end} {middle} {end} {x} {end}Z"
    )
}

/// The same in figures.
fn sums(lanes: &[Lane<'_>]) -> Markup {
    let bronze = |what: fn(&Lane<'_>) -> u64| lanes.iter().map(what).sum::<u64>();
    let tables = || lanes.iter().flat_map(|lane| &lane.tables);
    let silver = |what: fn(&Cleansed<'_>) -> u64| tables().map(what).sum::<u64>();
    let mut exits: Vec<(&str, u64)> = Vec::new();
    for exit in tables().flat_map(|table| &table.exits) {
        match exits.iter_mut().find(|(what, _)| *what == exit.what) {
            Some((_, rows)) => *rows += exit.rows,
            None => exits.push((exit.what, exit.rows)),
        }
    }
    html! {
        ul.plain #sums {
            li {
                "Files to bronze: " b { (counted(bronze(|lane| lane.records), "record")) } " = "
                (counted(bronze(|lane| lane.rows), "row")) " + " (count(bronze(|lane| lane.rejected))) " rejected while parsing"
            }
            @if tables().next().is_some() {
                li {
                    "Bronze to silver: " b { (counted(silver(|table| table.rows_in), "row")) " read" } " = "
                    (counted(silver(|table| table.rows_out), "row")) " in cleansed tables"
                    @for (what, rows) in exits { " + " (count(rows)) " " (what) }
                }
            }
        }
    }
}

/// Tables behind the cleansed ones: joins and sums, whose rows are no part of those that they read.
#[allow(clippy::cast_precision_loss)]
fn derived(pipeline: &Pipeline, results: &RunResults) -> Markup {
    const LABELS: f64 = 262.0;
    const ROW: f64 = 19.0;
    let tables: Vec<(&TableName, &TableResult)> = pipeline
        .tables
        .iter()
        .filter(|table| !matches!(table.definition, Definition::Cleanse(_)))
        .filter_map(|table| results.tables.get_key_value(&table.name))
        .filter(|(_, result)| result.started.is_some())
        .collect();
    let most = tables.iter().map(|(_, table)| table.rows_in.max(table.rows_out)).max().unwrap_or(0).max(1);
    let scale = (WIDTH - LABELS - 150.0) / most as f64;
    let width = |rows: u64| if rows == 0 { 0.0 } else { (rows as f64 * scale).max(1.5) };
    let gold = tables.iter().filter(|(name, _)| name.layer == Layer::Gold).count();
    html! {
        @if !tables.is_empty() {
            h3 { "On to gold" }
            p.note {
                "Built behind those: " (counted(gold as u64, "gold table")) ", " (counted((tables.len() - gold) as u64, "further silver table"))
                ". The upper bar is what a table read of all its inputs together, the lower one the rows it has."
            }
            div.scroll {
                svg.wide viewBox=(format!("0 0 {WIDTH} {}", at(tables.len() as f64 * ROW + 4.0))) width=(WIDTH) role="img" aria-label="Rows read and made by each table" {
                    @for (place, (name, table)) in tables.iter().enumerate() {
                        @let y = place as f64 * ROW;
                        text x=(at(LABELS - 10.0)) y=(at(y + 12.5)) font-size="11.5" text-anchor="end" { (name) }
                        rect class="fill-soft2" x=(LABELS) y=(at(y + 3.0)) width=(at(width(table.rows_in))) height="4" rx="1" {}
                        rect class=(colour(name.layer)) x=(LABELS) y=(at(y + 8.0)) width=(at(width(table.rows_out))) height="7" rx="1" {}
                        text class="soft" x=(at(LABELS + width(table.rows_in.max(table.rows_out)) + 7.0)) y=(at(y + 12.5)) font-size="11" {
                            (count(table.rows_in)) " → " (count(table.rows_out))
                        }
                    }
                }
            }
        }
    }
}
