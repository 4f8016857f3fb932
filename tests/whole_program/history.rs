//! Tables of versions: what people were like from export to export, however the exports came.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::project::{Answer, Project};

mod changes;
mod increments;
mod refusals;
mod totara;

const PEOPLE: &str = "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['person_id']\n\
                      [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
                      [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Name'\n\
                      [[columns]]\nname = 'city'\ntype = 'text'\ndescription = 'City'\n";
const SOURCE: &str = "description = 'Person'\npatterns = ['people*']\n\
                      [[columns]]\nname = 'person_id'\ndescription = 'Id'\n\
                      [[columns]]\nname = 'name'\ndescription = 'Name'\n\
                      [[columns]]\nname = 'city'\ndescription = 'City'\n";
const HISTORY: &str = "kind = 'versions'\ndescription = 'Person over time'\nof = 'silver.people'\n";

/// Ada moves and moves back, Ben leaves and returns, Dan comes.
const NIGHTS: [(&str, &[&str]); 4] = [
    ("20250601", &["1,Ada,Oslo", "2,Ben,Rome", "3,Cid,"]),
    ("20250602", &["1,Ada,Paris", "2,Ben,Rome", "3,Cid,"]),
    ("20250603", &["1,Ada,Paris", "3,Cid,", "4,Dan,Lima"]),
    ("20250605", &["1,Ada,Oslo", "2,Ben,Rome", "3,Cid,", "4,Dan,Lima"]),
];
const VERSIONS: [&str; 7] = [
    "1,Ada,Oslo,2025-06-01,2025-06-02,false",
    "1,Ada,Paris,2025-06-02,2025-06-05,false",
    "1,Ada,Oslo,2025-06-05,,true",
    "2,Ben,Rome,2025-06-01,2025-06-03,false",
    "2,Ben,Rome,2025-06-05,,true",
    "3,Cid,,2025-06-01,,true",
    "4,Dan,Lima,2025-06-03,,true",
];

/// A customer of a pipeline with one source, its people and their history.
struct Site(Project);

impl Site {
    /// `options` are of the customer's source.
    fn new(options: &str) -> Self {
        let site = Self(Project::new());
        site.define("pipeline.toml", "name = 'small'\ndescription = 'People'\n");
        site.define("bronze/people.toml", SOURCE);
        site.define("silver/people.toml", PEOPLE);
        site.define("silver/people_history.toml", HISTORY);
        fs::create_dir(site.0.path("drop")).unwrap();
        site.0.add_customer("acme", &site.0.path("drop"), &format!("[sources.people]\n{options}\n"));
        site
    }

    fn define(&self, file: &str, text: &str) {
        self.0.write(&format!("pipeline/{file}"), text);
    }

    fn deliver(&self, date: &str, people: &[&str]) {
        self.deliver_as(&format!("people_{date}.csv"), people);
    }

    fn deliver_as(&self, file: &str, people: &[&str]) {
        self.0.write(&format!("drop/{file}"), &format!("person_id,name,city\n{}\n", people.join("\n")));
    }

    fn run(&self, options: &[&str]) -> Answer {
        let pipeline: PathBuf = self.0.path("pipeline");
        let always = ["--as-of", "2025-06-30", "--pipeline", pipeline.to_str().unwrap()];
        self.0.ask("run", "acme", &[&always, options].concat())
    }

    fn night(&self, (date, people): (&str, &[&str])) {
        self.deliver(date, people);
        self.run(&[]).exits(0);
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let answer = self.0.ask("query", "acme", &["--format", "csv", sql]).exits(0);
        answer.output.lines().skip(1).map(str::to_owned).collect()
    }

    fn versions(&self) -> Vec<String> {
        self.ask(
            "SELECT person_id, name, city, valid_from, valid_to, is_current FROM silver.people_history \
             ORDER BY person_id, valid_from",
        )
    }

    /// The files whose rows are in bronze.
    fn in_bronze(&self) -> Vec<String> {
        self.ask("SELECT DISTINCT _source_file FROM bronze.people ORDER BY 1")
    }

    fn release(&self) -> Value {
        let last = self.0.releases("acme").pop().unwrap();
        let path = self.0.lake().join(format!("acme/_medallion/releases/{last:08}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn fingerprint(&self) -> String {
        self.release()["tables"]["silver.people_history"]["fingerprint"].as_str().unwrap().to_owned()
    }

    /// The results of all runs.
    fn runs(&self) -> Vec<Value> {
        let runs = fs::read_dir(self.0.lake().join("acme/_medallion/runs")).unwrap();
        let results = runs.map(|run| fs::read(run.unwrap().path().join("run_results.json")).unwrap());
        results.map(|text| serde_json::from_slice(&text).unwrap()).collect()
    }

    /// Nothing that was cleansed for a history alone is left.
    fn check_scratch(&self) {
        let runs = fs::read_dir(self.0.lake().join("acme/silver/people")).unwrap();
        let names: Vec<String> = runs.map(|run| run.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| name == "_delta_log" || !name.contains('_')), "{names:?}");
    }
}

#[test]
fn who_changes_leaves_and_returns_has_versions() {
    let site = Site::new("");
    for (number, night) in (1..).zip(NIGHTS) {
        site.night(night);
        assert_eq!(site.release()["release"], number);
        // The same night again: nothing is new, nothing is published.
        site.run(&[]).exits(0);
        assert_eq!(site.release()["release"], number);
    }
    let mut runs = site.runs();
    runs.retain(|run| run["tables"]["silver.people_history"]["status"] == "unchanged");
    assert_eq!(runs.len(), NIGHTS.len(), "the second run of each night");
    assert_eq!(site.versions(), VERSIONS);
}

/// The same exports, one by one, several at once, in another order, with and without old ones in bronze.
#[test]
fn a_history_does_not_depend_on_how_its_exports_came() {
    let mut fingerprints = Vec::new();
    let groupings: [&[&[usize]]; 6] = [
        &[&[0], &[1], &[2], &[3]],
        &[&[0, 1, 2, 3]],
        &[&[0, 1], &[2, 3]],
        &[&[3], &[1], &[0], &[2]],
        &[&[1, 3], &[0, 2]],
        &[&[2], &[0, 1, 3]],
    ];
    for options in ["", "retain_batches = 1"] {
        for runs in groupings {
            let site = Site::new(options);
            for run in runs {
                run.iter().for_each(|night| site.deliver(NIGHTS[*night].0, NIGHTS[*night].1));
                site.run(&[]).exits(0);
                site.check_scratch();
            }
            assert_eq!(site.versions(), VERSIONS, "{options} {runs:?}");
            fingerprints.push(site.fingerprint());
        }
    }
    assert_eq!(fingerprints.len(), 12);
    assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]), "{fingerprints:?}");
}

#[test]
fn a_release_says_which_exports_are_in_a_history() {
    let site = Site::new("retain_batches = 2");
    NIGHTS.into_iter().for_each(|night| site.night(night));
    let release = site.release();
    let days = release["history"]["silver.people_history"].as_array().unwrap();
    let results = site.0.results("acme", 4);
    let current = &results["tables"]["bronze.people"]["batch_id"];
    // What was in bronze when the release was made; the first night had left it by then.
    assert_eq!(days.len(), 4, "{days:?}");
    assert_eq!(days[0], json!({"first": "2025-06-01", "last": "2025-06-01"}));
    assert_eq!(days[3], json!({"first": "2025-06-05", "last": "2025-06-05", "batch": current}));
    assert_eq!(release["history"].as_object().unwrap().len(), 1);
}

#[test]
fn a_full_refresh_does_not_rebuild_it() {
    let site = Site::new("retain_batches = 1");
    NIGHTS.into_iter().for_each(|night| site.night(night));
    assert_eq!(site.in_bronze(), ["people_20250605.csv"]);
    let before = site.fingerprint();
    site.run(&["--full-refresh"]).exits(0);
    assert_eq!((site.release()["release"].clone(), site.fingerprint()), (json!(5), before));
    assert_eq!(site.versions(), VERSIONS);
}

/// Exports that came after the release rolled back to are applied again, also those that have left bronze since.
#[test]
fn what_was_rolled_back_comes_back_with_resume() {
    for options in ["", "retain_batches = 1"] {
        let site = Site::new(options);
        NIGHTS.into_iter().for_each(|night| site.night(night));
        let before = site.fingerprint();
        site.0.ask("rollback", "acme", &["--to", "2"]).exits(0);
        assert_eq!(
            site.versions(),
            [
                "1,Ada,Oslo,2025-06-01,2025-06-02,false",
                "1,Ada,Paris,2025-06-02,,true",
                "2,Ben,Rome,2025-06-01,,true",
                "3,Cid,,2025-06-01,,true",
            ]
        );
        site.run(&[]).exits(4);
        site.run(&["--resume"]).exits(0);
        assert_eq!((site.versions(), site.fingerprint()), (VERSIONS.map(str::to_owned).to_vec(), before), "{options}");
        let dates = site.release()["history"]["silver.people_history"].clone();
        let last: Vec<&Value> = dates.as_array().unwrap().iter().map(|days| &days["last"]).collect();
        assert_eq!(last.last().unwrap(), &"2025-06-05", "{dates}");
        let release = site.release()["release"].clone();
        site.run(&[]).exits(0);
        assert_eq!(site.release()["release"], release);
    }
}

/// Bronze keeps one export. One that brought no release, because its rows are those of the night before in another
/// order, is not in the published history yet and stays.
#[test]
fn no_batch_leaves_bronze_before_it_is_in_the_published_history() {
    let site = Site::new("retain_batches = 1");
    site.night(("20250601", &["1,Ada,Oslo", "2,Ben,Rome"]));
    site.night(("20250602", &["2,Ben,Rome", "1,Ada,Oslo"]));
    assert_eq!((site.in_bronze(), site.release()["release"].clone()), (vec!["people_20250602.csv".into()], json!(1)));
    site.night(("20250603", &["1,Ada,Oslo", "2,Ben,Rome", "2,Ben,Rome"]));
    assert_eq!(site.in_bronze(), ["people_20250602.csv", "people_20250603.csv"]);
    assert_eq!(site.release()["release"], 1);
    site.night(("20250604", &["1,Ada,Oslo", "2,Ben,Bari"]));
    assert_eq!((site.in_bronze(), site.release()["release"].clone()), (vec!["people_20250604.csv".into()], json!(2)));
    let expected =
        ["1,Ada,Oslo,2025-06-01,,true", "2,Ben,Rome,2025-06-01,2025-06-04,false", "2,Ben,Bari,2025-06-04,,true"];
    assert_eq!(site.versions(), expected);
    let days = site.release()["history"]["silver.people_history"].clone();
    assert_eq!(days[0], json!({"first": "2025-06-01", "last": "2025-06-01"}), "{days}");
    assert_eq!(days.as_array().unwrap().last().unwrap()["first"], "2025-06-04", "{days}");
}
