//! Exports that were never published are no part of a history, also when a later one is.

use super::{PEOPLE, Site};

const THREE: [&str; 3] = ["1,Ada,Oslo", "2,Ben,Rome", "3,Cid,Bonn"];
const MOVED: [&str; 3] = ["1,Ada,Oslo", "2,Ben,Rome", "3,Cid,Kiel"];

fn expected() -> Vec<String> {
    [
        "1,Ada,Oslo,2025-06-01,,true",
        "2,Ben,Rome,2025-06-01,,true",
        "3,Cid,Bonn,2025-06-01,2025-06-03,false",
        "3,Cid,Kiel,2025-06-03,,true",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn an_export_that_lost_most_rows_closes_nobody() {
    for at_once in [false, true] {
        let site = Site::new("min_rows = 3\nretain_batches = 1");
        site.night(("20250601", &THREE));
        site.deliver("20250602", &["1,Ada,Oslo"]);
        if !at_once {
            site.run(&[]).exits(4).says(&["1 records that are sound, the last published one had 3"]);
        }
        site.deliver("20250603", &MOVED);
        let answer = site.run(&[]).exits(0);
        answer.says(&["silver.people_history", "2025-06-02_", "left out of the history: it has 1 rows"]);
        assert_eq!(site.versions(), expected(), "at once: {at_once}");
        assert_eq!(site.in_bronze(), ["people_20250603.csv"], "it need not stay: it never will be in the history");
        site.check_scratch();
    }
}

#[test]
fn an_export_that_lost_most_rows_counts_if_somebody_says_so() {
    for at_once in [false, true] {
        let site = Site::new("min_rows = 3");
        site.night(("20250601", &THREE));
        site.deliver("20250602", &["1,Ada,Oslo"]);
        if !at_once {
            site.run(&["--accept-shrink", "people"]).exits(0);
        }
        site.deliver("20250603", &MOVED);
        site.run(&["--accept-shrink", "people"]).exits(0);
        let expected = [
            "1,Ada,Oslo,2025-06-01,,true",
            "2,Ben,Rome,2025-06-01,2025-06-02,false",
            "2,Ben,Rome,2025-06-03,,true",
            "3,Cid,Bonn,2025-06-01,2025-06-02,false",
            "3,Cid,Kiel,2025-06-03,,true",
        ];
        assert_eq!(site.versions(), expected, "at once: {at_once}");
    }
}

#[test]
fn an_export_that_a_rule_refused_is_left_out() {
    let site = Site::new("retain_batches = 1");
    let rule = "[[rules]]\nname = 'has_a_city'\nexpression = \"city <> '?'\"\nseverity = 'fail'\n";
    site.define("silver/people.toml", &format!("{PEOPLE}{rule}"));
    site.night(("20250601", &THREE));
    site.deliver("20250602", &["1,Ada,?", "2,Ben,Rome", "3,Cid,Bonn"]);
    site.run(&[]).exits(4).says(&["has_a_city"]);
    site.deliver("20250603", &MOVED);
    site.run(&[]).exits(0).says(&["left out of the history", "has_a_city"]);
    assert_eq!(site.versions(), expected());
    assert_eq!(site.in_bronze(), ["people_20250603.csv"]);
    site.check_scratch();
}
