//! Nights that each change every table, for tests that disturb runs: a small pipeline of our own, and the built-in one
//! with the case `star`. A row of each table says which night it is of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medallion_lake::Lake;

use crate::project::{Answer, Project, fixture};
use crate::rows::{Published, Rows};
use crate::storage::Storage;

const AS_OF: &str = "2025-06-30";
/// The customer's id.
pub(crate) const CUSTOMER: &str = "acme";

/// Two sources, two silver and four gold tables.
pub(crate) const SMALL: [(&str, &str); 13] = [
    ("pipeline.toml", "name = 'small'\ndescription = 'Two sources'\n"),
    (
        "bronze/people.toml",
        "description = 'Person'\npatterns = ['people*']\nrequired = true\nretain_batches = 2\n\
         [[columns]]\nname = 'person_id'\ndescription = 'Id'\n[[columns]]\nname = 'team_id'\ndescription = 'Team'\n\
         [[columns]]\nname = 'name'\ndescription = 'Name'\n",
    ),
    (
        "bronze/visits.toml",
        "description = 'Visit'\npatterns = ['visits*']\n[[columns]]\nname = 'visit_id'\ndescription = 'Id'\n\
         [[columns]]\nname = 'person_id'\ndescription = 'Id'\n[[columns]]\nname = 'place'\ndescription = 'Where'\n",
    ),
    (
        "silver/people.toml",
        "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['person_id']\n\
         [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'team_id'\ntype = 'long'\ndescription = 'Team'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Name'\n",
    ),
    (
        "silver/visits.toml",
        "kind = 'cleanse'\ndescription = 'Visit'\nsource = 'visits'\nkey = ['visit_id']\n\
         [[columns]]\nname = 'visit_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'place'\ntype = 'text'\ndescription = 'Where'\n",
    ),
    (
        "gold/dim_person.toml",
        "kind = 'dimension'\ndescription = 'Person'\nkey = ['person_id']\n\
         [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Name'\n",
    ),
    ("gold/dim_person.sql", "SELECT person_id, name FROM silver.people\n"),
    (
        "gold/dim_team.toml",
        "kind = 'dimension'\ndescription = 'Team'\nkey = ['team_id']\n\
         [[columns]]\nname = 'team_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Its last name'\n",
    ),
    ("gold/dim_team.sql", "SELECT team_id, max(name) AS name FROM silver.people GROUP BY team_id\n"),
    (
        "gold/dim_visit.toml",
        "kind = 'dimension'\ndescription = 'Visit'\nkey = ['visit_id']\n\
         [[columns]]\nname = 'visit_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Who'\n\
         [[columns]]\nname = 'place'\ntype = 'text'\ndescription = 'Where'\n",
    ),
    ("gold/dim_visit.sql", "SELECT visit_id, name, place FROM silver.visits JOIN gold.dim_person USING (person_id)\n"),
    (
        "gold/dim_place.toml",
        "kind = 'dimension'\ndescription = 'Place'\nkey = ['place_id']\n\
         [[columns]]\nname = 'place_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Where'\n",
    ),
    ("gold/dim_place.sql", "SELECT min(visit_id) AS place_id, place AS name FROM silver.visits GROUP BY place\n"),
];

/// Which night each silver and gold table of the small pipeline is of, in one row.
const SMALL_STAMPS: &str = "SELECT \
     (SELECT max(name) FROM silver.people WHERE person_id = 1) AS a, \
     (SELECT max(place) FROM silver.visits WHERE visit_id = 1) AS b, \
     (SELECT max(name) FROM gold.dim_person WHERE person_id = 1) AS c, \
     (SELECT max(name) FROM gold.dim_team WHERE team_id = 1) AS d, \
     (SELECT max(place) FROM gold.dim_visit WHERE visit_id = 1) AS e, \
     (SELECT max(name) FROM gold.dim_place WHERE place_id = 1) AS f";
const STAR_STAMPS: &str = "SELECT \
     (SELECT max(full_name) FROM gold.dim_user WHERE user_id = 2) AS a, \
     (SELECT max(audience_name) FROM gold.dim_audience WHERE audience_id = 7) AS b, \
     (SELECT max(audience_name) FROM silver.audiences WHERE audience_id = 7) AS c";

/// Which pipeline and customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The small pipeline.
    Small,
    /// The built-in pipeline with the case `star`.
    Star,
}

/// Tables by name.
pub(crate) type Contents = BTreeMap<String, Rows>;

/// A customer whose exports change every night.
pub(crate) struct Nights {
    pub(crate) project: Project,
    pub(crate) shape: Shape,
}

impl Nights {
    /// A customer to whom nothing has been delivered yet.
    pub(crate) fn new(shape: Shape) -> Self {
        Self::of(shape, Project::new())
    }

    /// Like [`Nights::new`], with the lake on object storage.
    pub(crate) fn on(shape: Shape, storage: Storage) -> Self {
        Self::of(shape, Project::on(storage))
    }

    fn of(shape: Shape, project: Project) -> Self {
        fs::create_dir(project.path("drop")).unwrap();
        project.add_customer(CUSTOMER, &project.path("drop"), "");
        if shape == Shape::Small {
            for (file, text) in SMALL {
                project.write(&format!("small/{file}"), text);
            }
            project.write("medallion.toml", "pipeline = \"small\"\n");
        } else {
            for file in fs::read_dir(fixture("star/in")).unwrap().map(|file| file.unwrap()) {
                fs::copy(file.path(), project.path("drop").join(file.file_name())).unwrap();
            }
        }
        Self { project, shape }
    }

    /// Puts the exports of a night, counted from 1, into the drop folder.
    pub(crate) fn deliver(&self, night: u32) {
        assert!((1..=28).contains(&night), "they are days of July");
        let write = |name: &str, text: &str| {
            self.project.write(&format!("drop/{name}_202507{night:02}.csv"), text);
        };
        match self.shape {
            Shape::Small => {
                let people = (1..=40).map(|id| format!("{id},{},Person {id} of night {night:02}\n", id % 5));
                let header = "person_id,team_id,name\n";
                write("people", &format!("{header}{}x,1,no number\n41,9\n", people.collect::<String>()));
                let visits = (1..=60).map(|id| format!("{id},{},Hall {} of night {night:02}\n", id % 40, id % 7));
                write("visits", &format!("visit_id,person_id,place\n{}", visits.collect::<String>()));
            }
            Shape::Star => {
                for (file, from) in [("analytics_users", "\"Ada Admin\""), ("analytics_audiences", "\"All Staff\"")] {
                    let text = fs::read_to_string(fixture(&format!("star/in/{file}_20250630.csv"))).unwrap();
                    let to = format!("{} of night {night:02}\"", from.strip_suffix('"').unwrap());
                    assert!(text.contains(from));
                    write(file, &text.replace(from, &to));
                }
            }
        }
    }

    /// The command that runs the customer, to be changed and started.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.project.command();
        command.args(self.arguments());
        command
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let lake = self.project.address();
        ["run", "-c", CUSTOMER, "--as-of", AS_OF, "--lake", &lake].map(str::to_owned).into()
    }

    /// Runs the customer to the end.
    pub(crate) fn run(&self) -> Answer {
        answer(&mut self.command())
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.project.lake()
    }

    /// The folder of reports, releases and the journal.
    pub(crate) fn medallion_folder(&self) -> PathBuf {
        self.lake().join(CUSTOMER).join("_medallion")
    }

    /// What two minutes without a sign of life do: on object storage nobody else sees that a run was killed.
    pub(crate) fn age_lock(&self) {
        if let Some(storage) = self.project.storage() {
            storage.age_lock(CUSTOMER);
        }
    }

    /// All tables without the columns that tell runs apart.
    pub(crate) fn contents(&self) -> Contents {
        contents_of(&self.lake())
    }

    /// The number of the last release; 0 if there is none.
    pub(crate) fn latest_release(&self) -> u64 {
        let lake = Lake::open_existing(self.lake().to_str().unwrap(), CUSTOMER);
        lake.ok().and_then(|lake| lake.latest_release().unwrap()).map_or(0, |release| release.release)
    }

    /// The night that an answer of the program is of: all its tables are of that one.
    pub(crate) fn night_by_query(&self) -> u32 {
        let sql = if self.shape == Shape::Small { SMALL_STAMPS } else { STAR_STAMPS };
        let answer = self.project.ask("query", CUSTOMER, &["--format", "csv", sql]).exits(0);
        let stamps = Rows::parse_csv(&answer.output).rows.remove(0);
        let night = |text: Option<String>| text.unwrap().rsplit_once("of night ").unwrap().1.parse::<u32>().unwrap();
        let nights: Vec<u32> = stamps.into_iter().map(night).collect();
        assert!(nights.iter().all(|night| *night == nights[0]), "an answer of several nights: {nights:?}");
        nights[0]
    }

    /// That readers of any kind see the release with that number whole, and no other. Release and night have the same
    /// number.
    pub(crate) fn check_readers(&self, release: u64, expected: &Contents, about: &str) {
        assert_eq!(u64::from(self.night_by_query()), release, "{about}");
        let json = |command: &str| -> Vec<serde_json::Value> {
            let answer = self.project.ask(command, CUSTOMER, &["--format", "json"]).exits(0);
            serde_json::from_str(&answer.output).unwrap()
        };
        let releases = json("releases");
        assert_eq!(releases.last().unwrap()["release"], release, "{about}");
        let lake = Lake::open_existing(self.lake().to_str().unwrap(), CUSTOMER).unwrap();
        let named = lake.release(release).unwrap().tables;
        let mut listed: BTreeMap<String, u64> = BTreeMap::new();
        for table in json("ls") {
            listed.insert(table["table"].as_str().unwrap().to_owned(), table["version"].as_u64().unwrap());
        }
        listed.retain(|table, _| !table.starts_with("bronze."));
        assert_eq!(listed, named.into_iter().map(|(name, table)| (name, table.version)).collect(), "{about}");
        let is_released = |(name, _): &(&String, &Rows)| !name.starts_with("bronze.");
        let found = self.contents();
        same(expected.iter().filter(is_released), found.iter().filter(is_released), about);
    }

    /// That the lake is as if nothing had happened: rows, batches, rejected rows, releases, latest versions.
    pub(crate) fn check_whole(&self, release: u64, expected: &Contents, about: &str) {
        same(expected.iter(), self.contents().iter(), about);
        assert!(!self.medallion_folder().join("journal.json").exists(), "{about}");
        let lake = Lake::open_existing(self.lake().to_str().unwrap(), CUSTOMER).unwrap();
        // Not by listing the folder: a run that was killed may have left half a file there, which nobody reads.
        let releases: Vec<u64> = lake.releases().unwrap().iter().map(|release| release.release).collect();
        assert_eq!(releases, (1..=release).collect::<Vec<_>>(), "{about}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (name, table) in &lake.latest_release().unwrap().unwrap().tables {
            let latest = runtime.block_on(lake.published(&name.parse().unwrap(), None)).unwrap().unwrap();
            assert_eq!(latest.version, table.version, "{about}: {name}");
        }
    }
}

/// Starts a command and waits for its end.
pub(crate) fn answer(command: &mut Command) -> Answer {
    answered(command.output().unwrap())
}

pub(crate) fn answered(output: std::process::Output) -> Answer {
    Answer {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        messages: String::from_utf8(output.stderr).unwrap(),
    }
}

/// All tables of the customer without the columns that tell runs apart.
pub(crate) fn contents_of(lake: &Path) -> Contents {
    let published = Published::open(lake, CUSTOMER);
    let mut contents = BTreeMap::new();
    for table in published.names() {
        let columns = published.schema(&table).columns.iter().map(|column| column.name.clone());
        let is_content = |name: &String| name != "run_id" && name != "_run_id" && name != "_ingestion_timestamp";
        let columns: Vec<String> = columns.filter(is_content).collect();
        contents.insert(table.clone(), published.rows(&table, &columns).unwrap());
    }
    contents
}

/// The tables after each of the first nights, if nothing disturbs them; of night 0 there are none.
pub(crate) fn undisturbed(shape: Shape, nights: u32) -> Vec<Contents> {
    let whole = Nights::new(shape);
    let mut contents = vec![Contents::new()];
    for night in 1..=nights {
        whole.deliver(night);
        whole.run().exits(0);
        assert_eq!((whole.latest_release(), whole.night_by_query()), (u64::from(night), night));
        contents.push(whole.contents());
    }
    contents
}

/// That two lakes have the same tables with the same rows.
#[track_caller]
pub(crate) fn same<'a>(
    expected: impl Iterator<Item = (&'a String, &'a Rows)>,
    found: impl Iterator<Item = (&'a String, &'a Rows)>,
    about: &str,
) {
    let (expected, found): (BTreeMap<_, _>, BTreeMap<_, _>) = (expected.collect(), found.collect());
    assert!(expected.keys().eq(found.keys()), "{about}: {:?}", found.keys());
    for (table, rows) in expected {
        assert_eq!(rows.difference(found[table]).unwrap_or_default(), "", "{about}: {table}");
    }
}

/// How hard to try: how many runs are killed, and others in proportion. `make stress` sets it to 200.
pub(crate) fn effort() -> u32 {
    let text = std::env::var("MEDALLION_STRESS");
    text.map_or(20, |text| text.parse().expect("MEDALLION_STRESS is a number of runs to kill"))
}

/// How many of them are runs of the built-in pipeline, which takes ten times as long.
pub(crate) fn star_effort() -> u32 {
    if is_stress() { effort() / 5 } else { 2 }
}

/// Whether time does not matter.
pub(crate) fn is_stress() -> bool {
    effort() > 20
}

/// Numbers that are the same for the same seed: SplitMix64.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
