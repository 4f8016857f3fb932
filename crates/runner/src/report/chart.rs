//! Small pictures of one figure over the last runs.

use maud::{Markup, html};

use super::text::at;

/// One run in a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// `None` where it is unknown.
    pub value: Option<f64>,
    pub failed: bool,
}

/// Columns, the last one highlighted; failed runs are crosses if nothing is known of them.
#[allow(clippy::cast_precision_loss)]
pub(super) fn columns(points: &[Point], titles: &[String], label: &str) -> Markup {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 64.0;
    let most = points.iter().filter_map(|point| point.value).fold(0.0, f64::max);
    let step = WIDTH / points.len().max(15) as f64;
    let last = points.len().saturating_sub(1);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 1.0)) width="300" role="img" aria-label=(label) {
            line class="grid" x1="0" x2=(WIDTH) y1=(HEIGHT + 0.5) y2=(HEIGHT + 0.5) {}
            @for (place, point) in points.iter().enumerate() {
                @let x = place as f64 * step;
                @let height = point.value.map_or(0.0, |value| if most > 0.0 { value / most * (HEIGHT - 4.0) } else { 0.0 });
                @let height = if point.value.is_some_and(|value| value > 0.0) { height.max(1.5) } else { height };
                g {
                    title { (titles.get(place).map(String::as_str).unwrap_or_default()) }
                    rect x=(at(x)) y="0" width=(at(step)) height=(HEIGHT) fill="transparent" {}
                    @if height > 0.0 {
                        rect class=(colour(place == last, point.failed)) x=(at(x)) y=(at(HEIGHT - height))
                            width=(at((step - 2.0).max(1.0))) height=(at(height)) rx="1" {}
                    } @else if point.failed {
                        text class="exit" x=(at(x + step / 2.0 - 1.0)) y=(at(HEIGHT - 4.0)) font-size="10" text-anchor="middle" { "×" }
                    }
                }
            }
        }
    }
}

fn colour(is_last: bool, failed: bool) -> &'static str {
    match (is_last, failed) {
        (_, true) => "fill-exit",
        (true, false) => "fill-blue",
        (false, false) => "fill-soft2",
    }
}

/// A line from left to right with a dot at its end; nothing for fewer than two known values.
#[allow(clippy::cast_precision_loss)]
pub(super) fn sparkline(values: &[Option<u64>]) -> Markup {
    const WIDTH: f64 = 96.0;
    const HEIGHT: f64 = 18.0;
    let known: Vec<(usize, u64)> =
        values.iter().enumerate().filter_map(|(place, value)| Some((place, (*value)?))).collect();
    let (least, most) =
        known.iter().fold((u64::MAX, 0), |(least, most), (_, value)| (least.min(*value), most.max(*value)));
    let across = (values.len().max(2) - 1) as f64;
    let point = |(place, value): &(usize, u64)| {
        let height = if most > least { (value - least) as f64 / (most - least) as f64 } else { 0.5 };
        (2.0 + *place as f64 / across * (WIDTH - 6.0), HEIGHT - 3.0 - height * (HEIGHT - 6.0))
    };
    let Some((x, y)) = known.last().map(point).filter(|_| known.len() > 1) else { return html! {} };
    let line: Vec<String> = known.iter().map(point).map(|(x, y)| format!("{},{}", at(x), at(y))).collect();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) aria-hidden="true" {
            polyline points=(line.join(" ")) fill="none" stroke="var(--dup)" stroke-width="1.3" {}
            circle class="fill-blue" cx=(at(x)) cy=(at(y)) r="2.4" {}
        }
    }
}
