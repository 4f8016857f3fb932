//! A disk that fails at each step of a run, once, or from that step on as after a crash. The next run finds a lake that
//! is whole, takes in what is missing and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use medallion_lake::{Gate, Lake, OpenGate, Operation};
use medallion_pipeline::{Customer, Pipeline, PipelineFiles};
use medallion_runner::{Cause, Event, Interrupt, Listener, RunError, RunOptions, RunResults};
use medallion_sql::SqlOptions;
use tempfile::TempDir;

use crate::nights::is_stress;
use crate::rows::{Published, Rows};

const SOURCES: [(&str, &str); 7] = [
    ("pipeline.toml", "name = 'small'\ndescription = 'Two sources'\n"),
    (
        "bronze/people.toml",
        "description = 'Person'\npatterns = ['people*']\nrequired = true\nretain_batches = 1\n\
         [[columns]]\nname = 'person_id'\ndescription = 'Id'\n[[columns]]\nname = 'name'\ndescription = 'Name'\n",
    ),
    (
        "bronze/visits.toml",
        "description = 'Visit'\npatterns = ['visits*']\n[[columns]]\nname = 'person_id'\ndescription = 'Id'\n",
    ),
    (
        "silver/people.toml",
        "kind = 'cleanse'\ndescription = 'Person'\nsource = 'people'\nkey = ['person_id']\n\
         [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Name'\n",
    ),
    ("silver/people_history.toml", "kind = 'versions'\ndescription = 'Person over time'\nof = 'silver.people'\n"),
    (
        "gold/dim_person.toml",
        "kind = 'dimension'\ndescription = 'Person'\nkey = ['person_id']\n\
         [[columns]]\nname = 'person_id'\ntype = 'long'\ndescription = 'Id'\n\
         [[columns]]\nname = 'name'\ntype = 'text'\ndescription = 'Name'\n",
    ),
    ("gold/dim_person.sql", "SELECT person_id, name FROM silver.people\n"),
];

/// Fails at one operation, or at that and all later ones.
#[derive(Debug)]
struct Failing {
    at: u64,
    and_later: bool,
    passed: AtomicU64,
}

impl Failing {
    fn new(at: u64, and_later: bool) -> Arc<Self> {
        Arc::new(Self { at, and_later, passed: AtomicU64::new(0) })
    }

    fn reached(&self) -> bool {
        self.passed.load(Ordering::SeqCst) > self.at
    }
}

impl Gate for Failing {
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        if number == self.at || (self.and_later && number > self.at) {
            return Err(io::Error::other(format!("injected: {operation} {}", path.display())));
        }
        Ok(())
    }
}

/// Asks the run to stop at one operation.
#[derive(Debug)]
struct Interrupting {
    at: u64,
    interrupt: Interrupt,
    passed: AtomicU64,
}

impl Gate for Interrupting {
    fn pass(&self, _operation: Operation, _path: &Path) -> io::Result<()> {
        if self.passed.fetch_add(1, Ordering::SeqCst) == self.at {
            self.interrupt.ask();
        }
        Ok(())
    }
}

/// Refuses what people and catalogues read.
#[derive(Debug)]
struct WithoutReports;

impl Gate for WithoutReports {
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let is_report = ["report.html", "openlineage.ndjson"].iter().any(|name| path.ends_with(name));
        if is_report { Err(io::Error::other(format!("injected: {operation}"))) } else { Ok(()) }
    }
}

#[test]
fn reports_that_cannot_be_written_change_nothing() {
    let site = Site::new();
    let results = site.run(Arc::new(WithoutReports)).unwrap();
    assert_eq!(results.release, Some(1));
    let folder = site.lake().join("acme/_medallion/runs").join(&results.run_id);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["run_results.json"]);
}

struct Silent;

impl Listener for Silent {
    fn on(&self, _event: &Event) {}
}

struct Site {
    folder: TempDir,
    pipeline: Arc<Pipeline>,
}

impl Site {
    fn new() -> Self {
        let files: PipelineFiles =
            SOURCES.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let site = Self { folder: tempfile::tempdir().unwrap(), pipeline: Arc::new(Pipeline::load(&files).unwrap()) };
        fs::create_dir(site.folder.path().join("drop")).unwrap();
        site.deliver("people_20250601.csv", "person_id,name\n1,Ada\n2,Ben\n2,twice\n3\n");
        site.deliver("visits_20250601.csv", "person_id\n1\n");
        site
    }

    fn deliver(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("drop").join(name), text).unwrap();
    }

    fn second_night(&self) {
        self.deliver("people_20250602.csv", "person_id,name,team\n1,Ada,A\n4,Dan,B\nx,NaN,C\n5,\"open,B\n");
        self.deliver("visits_20250602.csv", "person_id\n1\n4\n");
    }

    fn run(&self, gate: Arc<dyn Gate>) -> Result<RunResults, Box<RunError>> {
        self.run_until(gate, Interrupt::default())
    }

    fn run_until(&self, gate: Arc<dyn Gate>, interrupt: Interrupt) -> Result<RunResults, Box<RunError>> {
        let options = RunOptions {
            customer: Customer::without_file("acme".parse().unwrap(), self.folder.path().join("drop")),
            pipeline: Arc::clone(&self.pipeline),
            lake: self.lake().to_str().unwrap().into(),
            as_of: "2025-06-30".parse().ok(),
            sql: SqlOptions::default(),
            full_refresh: false,
            resume: false,
            accept_schema: BTreeSet::new(),
            reporting: medallion_pipeline::Reporting::default(),
            accept_shrink: BTreeSet::new(),
            gate,
            interrupt,
            selection: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(medallion_runner::run(&options, Arc::new(Silent))).map_err(Box::new)
    }

    fn lake(&self) -> std::path::PathBuf {
        self.folder.path().join("lake")
    }

    /// All tables without the columns that tell runs apart.
    fn contents(&self) -> BTreeMap<String, Rows> {
        let published = Published::open(&self.lake(), "acme");
        let mut contents = BTreeMap::new();
        for table in published.names() {
            let columns = published.schema(&table).columns.iter().map(|column| column.name.clone());
            let is_content = |name: &String| name != "run_id" && name != "_run_id" && name != "_ingestion_timestamp";
            let columns: Vec<String> = columns.filter(is_content).collect();
            contents.insert(table.clone(), published.rows(&table, &columns).unwrap());
        }
        contents
    }

    /// The silver and gold tables as the last release names them.
    fn release_contents(&self) -> BTreeMap<String, Rows> {
        let mut contents = self.contents();
        contents.retain(|table, _| !table.starts_with("bronze."));
        contents
    }

    /// The number of the last release; 0 if there is none.
    fn latest_release(&self) -> u64 {
        let lake = Lake::open_existing(self.lake().to_str().unwrap(), "acme");
        lake.ok().and_then(|lake| lake.latest_release().unwrap()).map_or(0, |release| release.release)
    }

    fn journal(&self) -> std::path::PathBuf {
        self.lake().join("acme/_medallion/journal.json")
    }

    /// Readers of latest versions see what the last release names, too.
    fn check_latest_versions(&self, about: &str) {
        let lake = Lake::open_existing(self.lake().to_str().unwrap(), "acme").unwrap();
        let release = lake.latest_release().unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (name, table) in &release.tables {
            let latest = runtime.block_on(lake.published(&name.parse().unwrap(), None)).unwrap().unwrap();
            assert_eq!(latest.version, table.version, "{about}: {name}");
        }
    }

    fn check(&self, expected: &BTreeMap<String, Rows>, about: &str) {
        let found = self.contents();
        assert!(expected.keys().eq(found.keys()), "{about}: {:?}", found.keys());
        for (table, rows) in expected {
            assert_eq!(rows.difference(&found[table]).unwrap_or_default(), "", "{about}: {table}");
        }
    }
}

/// What both nights leave, by hand: of people one batch is kept, of visits both.
fn check_by_hand(contents: &BTreeMap<String, Rows>) {
    let rows = |table: &str| contents[table].rows.len();
    assert_eq!((rows("bronze.people"), rows("bronze.visits")), (3, 3));
    assert_eq!((rows("silver.people"), rows("gold.dim_person")), (2, 3), "with the unknown member");
    let history = &contents["silver.people_history"];
    let expected = [
        ["1", "Ada", "2025-06-01", "", "true"],
        ["2", "twice", "2025-06-01", "2025-06-02", "false"],
        ["4", "Dan", "2025-06-02", "", "true"],
    ];
    let expected = expected.map(|row| row.map(|cell| (!cell.is_empty()).then(|| cell.to_owned())).to_vec());
    let expected = Rows { columns: history.columns.clone(), rows: expected.to_vec() };
    assert_eq!(expected.difference(history).unwrap_or_default(), "", "one batch is in bronze, both are in the history");
    let rejected = &contents["bronze.rejected_rows"];
    let rule = rejected.columns.iter().position(|column| column == "rule").unwrap();
    let mut rules: Vec<&str> = rejected.rows.iter().filter_map(|row| row[rule].as_deref()).collect();
    rules.sort_unstable();
    assert_eq!(rules, ["open_quote", "required"], "one for each broken record of the batch that is kept");
}

fn fail_at_every_step(and_later: bool, second_night: bool) {
    let whole = Site::new();
    whole.run(Arc::new(OpenGate)).unwrap();
    let first = whole.contents();
    whole.second_night();
    whole.run(Arc::new(OpenGate)).unwrap();
    let second = whole.contents();
    check_by_hand(&second);
    let mut steps = 0;
    loop {
        let site = Site::new();
        if second_night {
            site.run(Arc::new(OpenGate)).unwrap();
            site.second_night();
        }
        let failing = Failing::new(steps, and_later);
        let outcome = site.run(Arc::clone(&failing) as Arc<dyn Gate>);
        if !failing.reached() {
            outcome.unwrap();
            break;
        }
        let about = format!("step {steps}, later ones too: {and_later}, second night: {second_night}");
        if let Err(error) = &outcome {
            assert!(error.to_string().contains("acme") && error.to_string().contains("injected"), "{about}: {error}");
        }
        let published = site.latest_release();
        if second_night {
            // Readers see a release that is whole, the old one or the new one.
            let seen = site.release_contents();
            let is_of = |night: &BTreeMap<String, Rows>| {
                seen.iter().all(|(table, rows)| night[table].difference(rows).is_none())
            };
            assert!(seen.len() == 3 && (is_of(&first) || is_of(&second)), "{about}: {seen:?}");
            assert_eq!(is_of(&second), published == 2, "{about}");
        }
        let is_begun = site.journal().exists();
        assert!(outcome.is_err() || !is_begun || published > u64::from(second_night), "{about}");
        site.run(Arc::new(OpenGate)).unwrap_or_else(|error| panic!("{about}: {error}"));
        site.check(if second_night { &second } else { &first }, &about);
        // Whichever run published it, or finished publishing it: the other found nothing new.
        assert_eq!(site.latest_release(), 1 + u64::from(second_night), "{about}");
        assert!(!site.journal().exists(), "{about}");
        site.check_latest_versions(&about);
        steps += 1;
    }
    assert!(steps > 50, "only {steps} steps passed the gate");
}

#[test]
fn a_disk_that_fails_once_in_the_first_night() {
    fail_at_every_step(false, false);
}

#[test]
fn a_crash_in_the_first_night() {
    fail_at_every_step(true, false);
}

#[test]
fn a_disk_that_fails_once_in_the_second_night() {
    fail_at_every_step(false, true);
}

#[test]
fn a_crash_in_the_second_night() {
    fail_at_every_step(true, true);
}

#[test]
fn an_interrupt_at_any_step_stops_the_run_or_comes_too_late() {
    let whole = Site::new();
    whole.run(Arc::new(OpenGate)).unwrap();
    let first = whole.release_contents();
    whole.second_night();
    whole.run(Arc::new(OpenGate)).unwrap();
    let second = whole.contents();
    let (mut stopped, mut too_late) = (0, 0);
    loop {
        let site = Site::new();
        site.run(Arc::new(OpenGate)).unwrap();
        site.second_night();
        let interrupt = Interrupt::default();
        let at = (stopped + too_late) * if is_stress() { 1 } else { 4 };
        let gate = Arc::new(Interrupting { at, interrupt: interrupt.clone(), passed: AtomicU64::new(0) });
        let outcome = site.run_until(gate, interrupt.clone());
        if !interrupt.is_asked() {
            outcome.unwrap();
            break;
        }
        let about = format!("step {at}");
        assert!(!site.journal().exists(), "{about}");
        match outcome {
            Ok(results) => {
                assert_eq!((results.release, site.latest_release()), (Some(2), 2), "{about}");
                too_late += 1;
            }
            Err(error) => {
                assert!(matches!(error.cause, Cause::Interrupted), "{about}: {error}");
                assert_eq!(too_late, 0, "{about}: who publishes goes to the end");
                assert_eq!(site.latest_release(), 1, "{about}");
                let seen = site.release_contents();
                assert!(first.iter().all(|(table, rows)| rows.difference(&seen[table]).is_none()), "{about}");
                for table in ["silver/people", "gold/dim_person"] {
                    let folders = fs::read_dir(site.lake().join("acme").join(table)).unwrap().count();
                    assert_eq!(folders, 2, "{about}: {table} has its log and the first night");
                }
                stopped += 1;
            }
        }
        site.run(Arc::new(OpenGate)).unwrap();
        site.check(&second, &about);
        assert_eq!(site.latest_release(), 2, "{about}");
    }
    assert!(stopped > 5 && too_late > 5, "{stopped} steps before, {too_late} after");
}
