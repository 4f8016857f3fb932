//! The history of a source that sends increments: what all of them amount to up to each date.

use super::{NIGHTS, SOURCE, Site, VERSIONS};

const KEYS: &str = "mode = 'incremental'\ndeleted = { column = 'gone', values = ['yes'] }\n";
const FLAG: &str = "[[columns]]\nname = 'gone'\ndescription = 'Has left'\n";

/// The same nights as changes: Ada moves and moves back, Ben leaves and returns, Dan comes.
const CHANGES: [(&str, &str); 4] = [
    ("20250601", "1,Ada,Oslo,\n2,Ben,Rome,\n3,Cid,,\n"),
    ("20250602", "1,Ada,Paris,\n"),
    ("20250603", "2,,,yes\n4,Dan,Lima,\n"),
    ("20250605", "1,Ada,Oslo,\n2,Ben,Rome,\n"),
];

/// Runs after each group of nights.
fn after(groups: &[&[usize]]) -> Site {
    let site = Site::new("");
    site.define("bronze/people.toml", &format!("{KEYS}{SOURCE}{FLAG}"));
    for group in groups {
        for night in *group {
            let (date, rows) = CHANGES[*night];
            site.0.write(&format!("drop/people_{date}.csv"), &format!("person_id,name,city,gone\n{rows}"));
        }
        site.run(&[]).exits(0);
    }
    site
}

#[test]
fn increments_give_the_versions_that_snapshots_give_however_they_come() {
    assert_eq!(NIGHTS.map(|(date, _)| date), CHANGES.map(|(date, _)| date));
    let one_by_one: [&[usize]; 4] = [&[0], &[1], &[2], &[3]];
    for groups in
        [&one_by_one[..], &[&[0, 1, 2, 3]], &[&[0], &[1, 2, 3]], &[&[0], &[2], &[3], &[1]], &[&[3, 2], &[1], &[0]]]
    {
        let site = after(groups);
        assert_eq!(site.versions(), VERSIONS, "{groups:?}");
        // Nothing is left to be applied.
        let releases = site.0.releases("acme").len();
        site.run(&[]).exits(0);
        assert_eq!(site.0.releases("acme").len(), releases, "{groups:?}");
    }
}
