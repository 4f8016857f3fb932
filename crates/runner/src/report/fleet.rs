//! `index.html` of a fleet: how the runs of all customers ended, with links to their reports.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, PreEscaped, html};

use super::text::{at, count, counted, duration, named, plain};
use super::{FILE, document};
use crate::fleet::results::{FleetEntry, FleetResults, FleetStatus};

const STYLE: &str = include_str!("fleet.css");
/// How many of the slowest customers are listed.
const SLOWEST: usize = 10;
const WIDTH: f64 = 1096.0;
const LANE: f64 = 14.0;
const AXIS: f64 = 20.0;

/// How a customer ended, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Failed,
    Waits,
    Done,
}

impl FleetEntry {
    fn outcome(&self) -> Outcome {
        match self.status {
            FleetStatus::Published | FleetStatus::Unchanged => Outcome::Done,
            FleetStatus::NotStarted => Outcome::Waits,
            FleetStatus::Failed | FleetStatus::TimedOut | FleetStatus::Interrupted => Outcome::Failed,
        }
    }

    /// Seconds that it took; `None` if it was not run.
    fn took(&self) -> Option<f64> {
        (self.attempts > 0).then_some(self.seconds)
    }

    fn chip(&self) -> Markup {
        let (class, text) = match self.status {
            FleetStatus::TimedOut => ("bad", "timed out".to_owned()),
            FleetStatus::Interrupted => ("bad", "interrupted".to_owned()),
            FleetStatus::Failed => {
                ("bad", self.exit_code.map_or_else(|| "failed".to_owned(), |code| format!("failed ({code})")))
            }
            FleetStatus::NotStarted => ("warn", "not run".to_owned()),
            FleetStatus::Published => ("ok", "published".to_owned()),
            FleetStatus::Unchanged => ("same", "no change".to_owned()),
        };
        html! { span class=(format!("chip {class}")) title=(self.status.as_str()) { (text) } }
    }

    /// Why it failed, without its own name before it.
    fn reason(&self) -> &str {
        let reason = self.reason.as_deref().unwrap_or("no reason is known");
        let own = reason.strip_prefix("customer ").and_then(|rest| rest.strip_prefix(self.customer.as_str()));
        own.and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason)
    }

    /// The customer, with a link to its report: the page is in `<lake>/_medallion/fleet/<id>/`.
    fn link(&self) -> Markup {
        match self.run_id.as_deref().filter(|id| is_plain(id) && is_plain(&self.customer)) {
            Some(run) => {
                let report = format!("../../../{}/_medallion/runs/{run}/{FILE}", self.customer);
                html! { a href=(report) { (self.customer) } }
            }
            None => named(&self.customer),
        }
    }
}

/// Whether a name is one folder and nothing else.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The page of a fleet: one file that needs nothing else, without scripts.
#[must_use]
pub(crate) fn fleet_page(fleet: &FleetResults) -> String {
    let of = |outcome| fleet.customers.iter().filter(|job| job.outcome() == outcome).count();
    let [failed, waits, done] = [Outcome::Failed, Outcome::Waits, Outcome::Done].map(of);
    let headline = format!(
        "{done} of {} done{}{}",
        counted(fleet.customers.len() as u64, "customer"),
        if failed > 0 { format!(", {failed} failed") } else { String::new() },
        if waits > 0 { format!(", {waits} not run") } else { String::new() }
    );
    let content = html! {
        style { (PreEscaped(STYLE)) }
        (head(fleet, &headline, failed + waits == 0))
        (tiles(fleet))
        (failures(fleet))
        (jobs_over_time(fleet))
        (slowest(fleet))
        (all(fleet))
        footer { "The same for programs: " a href="fleet_results.json" { "fleet_results.json" } ". Written by " (crate::PRODUCT) "." }
    };
    document(&format!("Fleet {}: {headline}", fleet.fleet_id), &content).into_string()
}

fn head(fleet: &FleetResults, headline: &str, is_well: bool) -> Markup {
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! {
        header {
            h1 { "Fleet " (plain(&fleet.fleet_id)) }
            p.sub {
                "began " (time(fleet.started_at))
                @match fleet.finished_at.map(time) { Some(ended) => { " · ended " (ended) } None => " · not ended" }
            }
            div class=(if is_well { "status ok" } else { "status bad" }) {
                span.sign aria-hidden="true" { @if is_well { "✓" } @else { "!" } }
                div { strong { (headline) }
                    p { @if is_well { "Every customer's tables are those of this night, or were already." } @else { "The tables of a customer that failed are as they were before. 'medallion run --all --retry-failed' runs those customers again." } }
                }
            }
        }
    }
}

fn tiles(fleet: &FleetResults) -> Markup {
    let jobs = &fleet.customers;
    let sum = |of: fn(&FleetEntry) -> Option<u64>| jobs.iter().filter_map(of).sum::<u64>();
    let mut seconds: Vec<f64> = jobs.iter().filter_map(|job| job.took()).collect();
    seconds.sort_by(f64::total_cmp);
    let took = fleet.finished_at.and_then(|ended| (ended - fleet.started_at).to_std().ok());
    let tile = |lead: &str, figure: String, more: String| {
        html! {
            div.tile { span.lead { (lead) } b { (figure) } span { (more) } }
        }
    };
    let published = jobs.iter().filter(|job| job.release.is_some()).count() as u64;
    let again = jobs.iter().filter(|job| job.attempts > 1).count() as u64;
    html! {
        div.tiles {
            (tile("Took", took.map_or_else(|| "–".to_owned(), |took| duration(took.as_secs_f64())), format!("{} of work", duration(seconds.iter().sum()))))
            (tile("Published", count(published), format!("of {}", counted(jobs.len() as u64, "customer"))))
            (tile("Taken in", count(sum(|job| job.rows_in)), "records".to_owned()))
            (tile("Rejected", count(sum(|job| job.rejected)), "records".to_owned()))
            (tile("Per customer", seconds.get(seconds.len() / 2).map_or_else(|| "–".to_owned(), |middle| duration(*middle)),
                format!("median; slowest {}", seconds.last().map_or_else(|| "–".to_owned(), |most| duration(*most)))))
            (tile("Tried again", count(again), "customers".to_owned()))
        }
    }
}

/// Customers with one reason stand together, also if the reason names each of them.
fn failures(fleet: &FleetResults) -> Markup {
    let mut by_reason: BTreeMap<String, Vec<&FleetEntry>> = BTreeMap::new();
    for job in fleet.customers.iter().filter(|job| job.outcome() == Outcome::Failed) {
        by_reason.entry(job.reason().replace(&job.customer, "‹customer›")).or_default().push(job);
    }
    html! {
        @if !by_reason.is_empty() {
            section #failed {
                h2 { "Failed" }
                div.scroll {
                    table {
                        thead { tr { th { "customers" } th.n { "exit code" } th { "why, and what to do" } th.n { "attempts" } } }
                        tbody {
                            @for (reason, jobs) in &by_reason {
                                tr {
                                    th.name scope="row" { @for (place, job) in jobs.iter().enumerate() { @if place > 0 { ", " } (job.link()) } }
                                    td.n { (jobs[0].exit_code.map(|code| code.to_string()).unwrap_or_default()) }
                                    td {
                                        @if let [only] = jobs.as_slice() { (plain(only.reason())) } @else { (plain(reason)) }
                                        @if let Some(hint) = &jobs[0].hint { div.muted { (plain(hint)) } }
                                    }
                                    td.n { (jobs.iter().map(|job| job.attempts).max().unwrap_or(1)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A bar for each customer, in as many lanes as ran at the same time.
#[allow(clippy::cast_precision_loss)]
fn jobs_over_time(fleet: &FleetResults) -> Markup {
    let began = fleet.started_at;
    let mut jobs: Vec<(f64, f64, &FleetEntry)> = fleet
        .customers
        .iter()
        .filter_map(|job| {
            let start = (job.started_at? - began).num_milliseconds() as f64 / 1000.0;
            Some((start.max(0.0), job.took()?.max(0.0), job))
        })
        .collect();
    jobs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let end = jobs.iter().map(|(start, seconds, _)| start + seconds).fold(0.001, f64::max);
    let mut lanes: Vec<f64> = Vec::new();
    let mut placed = Vec::with_capacity(jobs.len());
    for (start, seconds, job) in jobs {
        let free = lanes.iter().position(|busy| *busy <= start + 0.000_5).unwrap_or_else(|| {
            lanes.push(0.0);
            lanes.len() - 1
        });
        lanes[free] = start + seconds;
        placed.push((free, start, seconds, job));
    }
    let height = AXIS + lanes.len() as f64 * LANE + 2.0;
    let scale = (WIDTH - 2.0) / end;
    html! {
        @if !placed.is_empty() {
            section #time {
                h2 { "When each ran" }
                p.note { "Up to " (counted(lanes.len() as u64, "customer")) " at the same time. Point at a bar for its name." }
                div.legend { span { i style="background:var(--blue)" {} "done" } span { i style="background:var(--exit)" {} "failed" } }
                div.scroll {
                    svg.wide viewBox=(format!("0 0 {WIDTH} {}", at(height))) width=(WIDTH) role="img" aria-label="When each customer ran" {
                        text class="soft" x="0" y="12" font-size="11" { "0" }
                        text class="soft" x=(at(WIDTH / 2.0)) y="12" font-size="11" text-anchor="middle" { (duration(end / 2.0)) }
                        text class="soft" x=(at(WIDTH)) y="12" font-size="11" text-anchor="end" { (duration(end)) }
                        @for (lane, start, seconds, job) in &placed {
                            rect class=(if job.outcome() == Outcome::Done { "fill-blue" } else { "fill-exit" })
                                x=(at(start * scale)) y=(at(AXIS + *lane as f64 * LANE)) width=(at((seconds * scale - 1.0).max(1.0))) height=(at(LANE - 3.0)) rx="1.5" {
                                title { (plain(&job.customer)) ": " (duration(*seconds)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn slowest(fleet: &FleetResults) -> Markup {
    let mut jobs: Vec<&FleetEntry> = fleet.customers.iter().filter(|job| job.took().is_some()).collect();
    jobs.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    jobs.truncate(SLOWEST);
    let most = jobs.first().and_then(|job| job.took()).unwrap_or(1.0).max(0.001);
    html! {
        @if jobs.len() > 1 {
            section #slowest {
                h2 { "Slowest" }
                div.scroll { table {
                    thead { tr { th { "customer" } th { "time" } th.n { "" } th.n { "records" } th { "result" } } }
                    tbody { @for job in jobs {
                        @let seconds = job.seconds;
                        tr {
                            th.name scope="row" { (job.link()) }
                            td { svg width="220" height="12" aria-hidden="true" { rect class="fill-blue" x="0" y="2" width=(at((seconds / most * 220.0).max(1.0))) height="9" rx="1.5" {} } }
                            td.n { (duration(seconds)) }
                            td.n { (known(job.rows_in)) }
                            td { (job.chip()) }
                        }
                    } }
                } }
            }
        }
    }
}

fn known(number: Option<u64>) -> String {
    number.map(count).unwrap_or_default()
}

/// Every customer. Filters and orders are choices of the style sheet: no script is needed.
fn all(fleet: &FleetResults) -> Markup {
    let mut jobs: Vec<&FleetEntry> = fleet.customers.iter().collect();
    let places = |compare: &dyn Fn(&FleetEntry, &FleetEntry) -> std::cmp::Ordering| {
        let mut order: Vec<&FleetEntry> = fleet.customers.iter().collect();
        order.sort_by(|a, b| compare(a, b).then_with(|| a.customer.cmp(&b.customer)));
        let places = order.into_iter().enumerate();
        places.map(|(place, job)| (job.customer.as_str(), place + 1)).collect::<BTreeMap<_, _>>()
    };
    let by_customer = places(&|_, _| std::cmp::Ordering::Equal);
    let by_seconds = places(&|a, b| b.seconds.total_cmp(&a.seconds));
    let by_rows = places(&|a, b| b.rows_in.cmp(&a.rows_in));
    jobs.sort_by(|a, b| a.outcome().cmp(&b.outcome()).then_with(|| a.customer.cmp(&b.customer)));
    let place = |places: &BTreeMap<&str, usize>, job: &FleetEntry| {
        places.get(job.customer.as_str()).copied().unwrap_or_default()
    };
    html! {
        section #customers {
            h2 { "All customers" }
            (choices())
            div.scroll {
                div.rows role="table" {
                    div.job.heading role="row" style="--c:0;--s:0;--r:0" {
                        @for (class, text) in [("", "customer"), ("", "result"), ("", "why it failed"), ("n", "release"), ("n", "records in"), ("n", "rows out"), ("n", "rejected"), ("n", "time")] {
                            span class=(class) role="columnheader" { (text) }
                        }
                    }
                    @for job in jobs {
                        @let places = [&by_customer, &by_seconds, &by_rows].map(|places| place(places, job));
                        (row(job, places))
                    }
                }
            }
        }
    }
}

/// A customer with its places in each order.
fn row(job: &FleetEntry, [by_customer, by_seconds, by_rows]: [usize; 3]) -> Markup {
    html! {
        div class=(format!("job {}", class(job))) role="row" style=(format!("--c:{by_customer};--s:{by_seconds};--r:{by_rows}")) {
            span role="rowheader" { (job.link()) }
            span role="cell" { (job.chip()) }
            span.why role="cell" { @if job.outcome() != Outcome::Done { (plain(job.reason())) } }
            span.n role="cell" { (known(job.release)) }
            span.n role="cell" { (known(job.rows_in)) }
            span.n role="cell" { (known(job.rows_out)) }
            span.n role="cell" { (known(job.rejected)) }
            span.n role="cell" {
                (job.took().map(duration).unwrap_or_default())
                @if job.attempts > 1 { " ×" (job.attempts) }
            }
        }
    }
}

/// What is shown, and in which order: choices, with their labels as buttons.
fn choices() -> Markup {
    let choice = |group: &str, name: &str, is_first: bool| {
        html! {
            input.choose type="radio" name=(group) id=(format!("{group}-{name}")) checked[is_first];
        }
    };
    html! {
        @for (number, name) in ["all", "failed", "done"].into_iter().enumerate() { (choice("show", name, number == 0)) }
        @for (number, name) in ["outcome", "customer", "seconds", "rows"].into_iter().enumerate() {
            (choice("sort", name, number == 0))
        }
        div.buttons {
            "Show" label for="show-all" { "all" } label for="show-failed" { "failed" } label for="show-done" { "done" }
            span { " " } "in the order of" label for="sort-outcome" { "outcome" } label for="sort-customer" { "customer" }
            label for="sort-seconds" { "time" } label for="sort-rows" { "records" }
        }
    }
}

fn class(job: &FleetEntry) -> &'static str {
    match job.outcome() {
        Outcome::Failed => "failed",
        Outcome::Waits => "waits",
        Outcome::Done => "done",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fleet::results::{FleetSettings, SCHEMA};

    fn job(customer: &str, status: FleetStatus, exit_code: Option<u8>) -> FleetEntry {
        FleetEntry { status, exit_code, reason: None, attempts: 1, ..FleetEntry::not_started(customer, "") }
    }

    fn fleet(customers: Vec<FleetEntry>) -> FleetResults {
        FleetResults {
            schema: SCHEMA.to_owned(),
            fleet_id: "20250630T020000Z-ffffffff".to_owned(),
            started_at: "2025-06-30T02:00:00Z".parse().unwrap(),
            finished_at: "2025-06-30T02:01:30Z".parse().ok(),
            as_of: None,
            options: FleetSettings {
                jobs: 2,
                threads: 2,
                memory_limit: None,
                timeout_seconds: None,
                retries: 2,
                shard: None,
                canary: None,
                max_failures: None,
                retry_of: None,
            },
            selected: customers.iter().map(|job| job.customer.clone()).collect(),
            stopped: None,
            customers,
        }
    }

    fn four() -> FleetResults {
        let ran = |job: FleetEntry, seconds| FleetEntry {
            run_id: Some("20250630T020000Z-0123abcd".to_owned()),
            seconds,
            rows_in: Some(1000),
            started_at: "2025-06-30T02:00:01Z".parse().ok(),
            ..job
        };
        let beta = FleetEntry {
            reason: Some("customer beta: no file for <b>users</b>\u{202e}".to_owned()),
            hint: Some("deliver it".to_owned()),
            ..job("beta", FleetStatus::Failed, Some(1))
        };
        let never = FleetEntry::not_started("../x\"><script>", "the fleet was stopped");
        fleet(vec![
            ran(FleetEntry { release: Some(7), ..job("acme", FleetStatus::Published, Some(0)) }, 3.0),
            ran(job("zeta", FleetStatus::Unchanged, Some(0)), 1.0),
            ran(beta, 0.5),
            FleetEntry { rows_in: Some(1000), ..never },
        ])
    }

    #[test]
    fn a_fleet_is_told_with_links_and_without_scripts() {
        let page = fleet_page(&four());
        for part in [
            "2 of 4 customers done, 1 failed, 1 not run",
            "href=\"../../../acme/_medallion/runs/20250630T020000Z-0123abcd/report.html\"",
            "no file for &lt;b&gt;users&lt;/b&gt;\u{fffd}",
            "deliver it",
            "1 min 30 s",
            "4,000",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<script") && !page.contains("customer beta:"), "its own name keeps no reasons apart");
        // Failures first, then by name; each choice of order has its own places.
        let rows: Vec<&str> = page.split("class=\"job ").skip(1).collect();
        let order: Vec<&str> = rows
            .iter()
            .filter_map(|row| {
                ["acme", "beta", "zeta", "../x"].into_iter().find(|name| row.contains(&format!(">{name}")))
            })
            .collect();
        assert_eq!(order, ["beta", "../x", "acme", "zeta"]);
        let acme = rows.iter().find(|row| row.contains(">acme<")).unwrap();
        assert!(acme.contains("style=\"--c:2;--s:1;--r:2\""), "{acme}");
    }

    #[test]
    fn reasons_that_differ_in_the_customers_name_are_one() {
        let failed = |customer: &str| FleetEntry {
            reason: Some(format!("customer {customer}: no file in /data/{customer}")),
            ..job(customer, FleetStatus::Failed, Some(1))
        };
        let page = fleet_page(&fleet(vec![failed("acme"), failed("beta")]));
        let (_, failures) = page.split_once("<section id=\"failed\">").unwrap();
        let (failures, _) = failures.split_once("</section>").unwrap();
        assert_eq!(failures.matches("<tr>").count(), 2, "the head and one reason");
        assert!(failures.contains("no file in /data/‹customer›"), "{failures}");
    }

    #[test]
    fn every_status_has_words_of_its_own() {
        let text = |status, exit_code| {
            let job = job("acme", status, exit_code);
            (job.outcome(), job.chip().into_string().split(['<', '>']).nth(2).unwrap().to_owned())
        };
        for (status, exit_code, outcome, chip) in [
            (FleetStatus::Published, Some(0), Outcome::Done, "published"),
            (FleetStatus::Unchanged, Some(0), Outcome::Done, "no change"),
            (FleetStatus::TimedOut, None, Outcome::Failed, "timed out"),
            (FleetStatus::Interrupted, Some(130), Outcome::Failed, "interrupted"),
            (FleetStatus::Failed, Some(4), Outcome::Failed, "failed (4)"),
            (FleetStatus::Failed, None, Outcome::Failed, "failed"),
            (FleetStatus::NotStarted, None, Outcome::Waits, "not run"),
        ] {
            assert_eq!(text(status, exit_code), (outcome, chip.to_owned()));
        }
    }

    #[test]
    fn a_fleet_without_an_end_or_customers_has_a_page() {
        let killed = FleetResults { finished_at: None, ..four() };
        assert!(fleet_page(&killed).contains("not ended"));
        assert!(fleet_page(&fleet(vec![])).contains("0 of 0 customers done"));
    }
}
