//! What took how long, and when: a chart of bars.

use maud::{Markup, html};
use medallion_pipeline::Layer;

use super::text::{at, duration};
use crate::results::RunResults;

/// Tables shown at once; the others are folded away.
const SHOWN: usize = 25;
const LABELS: f64 = 232.0;
const WIDTH: f64 = 1096.0;
/// Room to the right of a bar that ends at the right.
const ROOM: f64 = 58.0;
const ROW: f64 = 17.0;
const TOP: f64 = 24.0;

/// A bar.
struct Bar {
    name: String,
    colour: &'static str,
    started: f64,
    seconds: f64,
}

/// The timings of a run.
pub(super) fn section(results: &RunResults) -> Markup {
    let mut tables: Vec<Bar> = results
        .tables
        .iter()
        .filter_map(|(name, table)| {
            Some(Bar {
                name: name.to_string(),
                colour: colour(name.layer),
                started: table.started?,
                seconds: table.seconds,
            })
        })
        .collect();
    tables.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let rest = tables.split_off(tables.len().min(SHOWN));
    let in_order = |mut bars: Vec<Bar>| {
        bars.sort_by(|a, b| a.started.total_cmp(&b.started));
        bars
    };
    let (tables, rest) = (in_order(tables), in_order(rest));
    let phases: Vec<Bar> = phase("data tests", results.tests_started, results.test_seconds)
        .into_iter()
        .chain(phase("publishing", results.publish_started, results.publish_seconds))
        .collect();
    let heading = if rest.is_empty() { "" } else { "The 25 slowest tables in the order in which they began. " };
    html! {
        section #timings {
            h2 { "Timings" }
            @if tables.is_empty() && phases.is_empty() {
                p.note { "The run took " (duration(results.seconds)) " and came to no table." }
            } @else {
                p.note {
                    (heading) "The whole run took " (duration(results.seconds)) "; layers overlap, as a table is built as soon as its inputs are there."
                }
                (legend())
                (chart(tables.iter().chain(&phases), results.seconds))
            }
            @if !rest.is_empty() {
                details {
                    summary { "The other " (rest.len()) " tables" }
                    (chart(rest.iter(), results.seconds))
                }
            }
        }
    }
}

fn phase(name: &str, started: Option<f64>, seconds: f64) -> Option<Bar> {
    Some(Bar { name: name.to_owned(), colour: "fill-blue", started: started?, seconds })
}

pub(super) fn colour(layer: Layer) -> &'static str {
    match layer {
        Layer::Bronze => "fill-bronze",
        Layer::Silver => "fill-silver",
        Layer::Gold => "fill-gold",
    }
}

pub(super) fn legend() -> Markup {
    html! {
        div.legend {
            @for layer in Layer::ALL { span { i style=(format!("background:var(--{layer})")) {} (layer.name()) } }
            span { i style="background:var(--blue)" {} "tests and publishing" }
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn chart<'a>(bars: impl Iterator<Item = &'a Bar>, seconds: f64) -> Markup {
    let bars: Vec<&Bar> = bars.collect();
    let height = TOP + bars.len() as f64 * ROW + 4.0;
    let scale = (WIDTH - LABELS - ROOM) / seconds.max(0.001);
    html! {
        div.scroll {
            svg.wide viewBox=(format!("0 0 {WIDTH} {}", at(height))) width=(WIDTH) role="img" aria-label="When each table was built" {
                @for tick in ticks(seconds) {
                    @let x = LABELS + tick * scale;
                    line class="grid" x1=(at(x)) x2=(at(x)) y1="18" y2=(at(height)) {}
                    text class="soft" x=(at(x)) y="12" font-size="11" text-anchor="middle" { (tick_label(tick)) }
                }
                @for (place, bar) in bars.iter().enumerate() {
                    @let y = TOP + place as f64 * ROW;
                    @let (x, width) = (LABELS + bar.started * scale, (bar.seconds * scale).max(1.5));
                    text x=(at(LABELS - 10.0)) y=(at(y + 11.5)) font-size="11.5" text-anchor="end" { (bar.name) }
                    rect class=(bar.colour) x=(at(x)) y=(at(y + 2.0)) width=(at(width)) height=(at(ROW - 5.0)) rx="2" {
                        title { (bar.name) ": " (duration(bar.seconds)) ", from " (duration(bar.started)) }
                    }
                    text class="soft" x=(at(x + width + 5.0)) y=(at(y + 11.5)) font-size="11" { (duration(bar.seconds)) }
                }
            }
        }
    }
}

/// Round places on the axis of time, at most eight.
fn ticks(seconds: f64) -> Vec<f64> {
    let steps = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
        600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 36_000.0,
    ];
    let step = steps.into_iter().find(|step| seconds / step <= 7.0).unwrap_or(seconds / 7.0);
    (0..8_u32).map(|number| f64::from(number) * step).take_while(|tick| *tick <= seconds).collect()
}

fn tick_label(tick: f64) -> String {
    match tick {
        0.0 => "0".to_owned(),
        t if t < 1.0 => format!("{:.0} ms", t * 1000.0),
        t if t < 60.0 => format!("{} s", at(t)),
        t => format!("{} min", at(t / 60.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(3.4), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(ticks(0.004), [0.0, 0.001, 0.002, 0.003, 0.004]);
        assert!(ticks(100_000.0).len() <= 8 && ticks(0.0) == [0.0]);
        assert_eq!(tick_label(90.0), "1.5 min");
    }
}
