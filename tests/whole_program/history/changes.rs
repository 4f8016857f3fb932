//! Exports that come late, again or under another date, and definitions that change.

use serde_json::json;

use super::{HISTORY, NIGHTS, PEOPLE, SOURCE, Site, VERSIONS};

#[test]
fn of_two_exports_of_one_date_the_last_counts() {
    let site = Site::new("");
    site.night(("20250601", &["1,Ada,Oslo", "2,Ben,Rome"]));
    site.night(("20250602", &["1,Ada,Wrong"]));
    site.night(("20250602", &["1,Ada,Paris", "2,Ben,Rome"]));
    let expected =
        ["1,Ada,Oslo,2025-06-01,2025-06-02,false", "1,Ada,Paris,2025-06-02,,true", "2,Ben,Rome,2025-06-01,,true"];
    assert_eq!(site.versions(), expected);
    // Of an older date, too.
    site.night(("20250601", &["1,Ada,Bonn"]));
    let expected =
        ["1,Ada,Bonn,2025-06-01,2025-06-02,false", "1,Ada,Paris,2025-06-02,,true", "2,Ben,Rome,2025-06-02,,true"];
    assert_eq!(site.versions(), expected);
}

/// The export of the 3rd is that of the 1st again and brings no release. One of the 2nd that comes later ends there.
#[test]
fn an_export_that_changed_nothing_bounds_a_late_one() {
    for at_once in [false, true] {
        let site = Site::new("");
        site.night(("20250601", &["1,Ada,Oslo"]));
        site.deliver("20250603", &["1,Ada,Oslo"]);
        if !at_once {
            site.run(&[]).exits(0);
            assert_eq!(site.release()["release"], 1);
        }
        site.night(("20250602", &["1,Ada,Paris", "2,Ben,Rome"]));
        let expected = [
            "1,Ada,Oslo,2025-06-01,2025-06-02,false",
            "1,Ada,Paris,2025-06-02,2025-06-03,false",
            "1,Ada,Oslo,2025-06-03,,true",
            "2,Ben,Rome,2025-06-02,2025-06-03,false",
        ];
        assert_eq!(site.versions(), expected, "at once: {at_once}");
    }
}

#[test]
fn an_old_content_that_comes_again_counts_for_both_dates() {
    let expected = [
        "1,Ada,Oslo,2025-06-01,2025-06-02,false",
        "1,Ada,Paris,2025-06-02,2025-06-03,false",
        "1,Ada,Oslo,2025-06-03,,true",
    ];
    for options in ["", "retain_batches = 1"] {
        let site = Site::new(options);
        for night in [("20250601", ["1,Ada,Oslo"]), ("20250602", ["1,Ada,Paris"]), ("20250603", ["1,Ada,Oslo"])] {
            site.night((night.0, &night.1));
        }
        assert_eq!(site.versions(), expected, "{options}");
    }
    let site = Site::new("");
    for night in [("20250601", ["1,Ada,Oslo"]), ("20250602", ["1,Ada,Paris"]), ("20250603", ["1,Ada,Oslo"])] {
        site.deliver(night.0, &night.1);
    }
    site.run(&[]).exits(0);
    assert_eq!(site.versions(), expected, "at once");
}

#[test]
fn an_export_without_people_closes_everybody() {
    let site = Site::new("");
    site.night(("20250601", &["1,Ada,Oslo"]));
    site.deliver_as("people_20250602.csv", &[]);
    site.run(&[]).exits(0);
    assert_eq!(site.versions(), ["1,Ada,Oslo,2025-06-01,2025-06-02,false"]);
}

/// Its rules change the newest export. What was closed is history.
#[test]
fn another_cleansing_changes_the_newest_export_alone() {
    let site = Site::new("");
    NIGHTS.into_iter().for_each(|night| site.night(night));
    site.define("silver/people.toml", &format!("{PEOPLE}values = {{ Oslo = 'Christiania', Lima = 'Ciudad' }}\n"));
    site.run(&[]).exits(0);
    let mut expected = VERSIONS.map(str::to_owned).to_vec();
    expected[2] = "1,Ada,Christiania,2025-06-05,,true".to_owned();
    expected[6] = "4,Dan,Lima,2025-06-03,2025-06-05,false".to_owned();
    expected.push("4,Dan,Ciudad,2025-06-05,,true".to_owned());
    assert_eq!(site.versions(), expected);
    site.define("silver/people.toml", PEOPLE);
    site.run(&[]).exits(0);
    assert_eq!(site.versions(), VERSIONS);
}

#[test]
fn a_column_that_comes_later_is_null_in_closed_versions() {
    let site = Site::new("");
    site.night(("20250601", &["1,Ada,Oslo", "2,Ben,Rome"]));
    site.night(("20250602", &["1,Ada,Oslo"]));
    let team = "[[columns]]\nname = 'team'\ndescription = 'Team'\n";
    site.define("bronze/people.toml", &format!("{SOURCE}optional = true\n{team}optional = true\n"));
    site.define("silver/people.toml", &format!("{PEOPLE}{team}type = 'text'\n"));
    site.0.write("drop/people_20250603.csv", "person_id,name,city,team\n1,Ada,Oslo,A\n3,Cid,Bonn,\n");
    site.run(&[]).exits(0);
    let sql = "SELECT person_id, team, valid_from, valid_to FROM silver.people_history ORDER BY person_id, valid_from";
    let expected = ["1,,2025-06-01,2025-06-03", "1,A,2025-06-03,", "2,,2025-06-01,2025-06-02", "3,,2025-06-03,"];
    assert_eq!(site.ask(sql), expected);
}

#[test]
fn columns_that_are_not_followed_make_no_versions() {
    let site = Site::new("");
    site.define("silver/people_history.toml", &format!("{HISTORY}without = ['city']\n"));
    NIGHTS.into_iter().for_each(|night| site.night(night));
    let sql = "SELECT * EXCLUDE (_run_id) FROM silver.people_history ORDER BY person_id, valid_from";
    let expected = [
        "1,Ada,2025-06-01,,true",
        "2,Ben,2025-06-01,2025-06-03,false",
        "2,Ben,2025-06-05,,true",
        "3,Cid,2025-06-01,,true",
        "4,Dan,2025-06-03,,true",
    ];
    assert_eq!(site.ask(sql), expected);
}

/// Versions of a column of another type cannot be built again.
#[test]
fn another_type_of_a_column_is_refused_with_a_way_out() {
    let site = Site::new("");
    site.night(("20250601", &["1,Ada,11"]));
    site.define("silver/people.toml", &PEOPLE.replace("'city'\ntype = 'text'", "'city'\ntype = 'long'"));
    site.deliver("20250602", &["1,Ada,12"]);
    let answer = site.run(&["--accept-schema", "silver.people"]).exits(2);
    answer.says(&["acme", "silver.people_history", "'city' is long now, but text", "another name"]);
    assert_eq!(site.release()["release"], json!(1));
    site.define("silver/people_history.toml", &format!("{HISTORY}without = ['city']\n"));
    let accepted = ["--accept-schema", "silver.people", "--accept-schema", "silver.people_history"];
    site.run(&accepted).exits(0);
    assert_eq!(
        site.ask("SELECT person_id, valid_from, valid_to FROM silver.people_history"),
        ["1,2025-06-01,"],
        "what told the versions apart is no longer a column"
    );
}
