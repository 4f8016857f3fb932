//! A project in a temporary folder, and the program started in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::storage::Storage;

/// What the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) messages: String,
}

impl Answer {
    /// The answer, if its exit code is the expected one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error:\n{}\nstandard output:\n{}", self.messages, self.output);
        self
    }

    /// The answer, if standard error says all of that.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.messages.contains(part), "'{part}' is not in standard error:\n{}", self.messages);
        }
        self
    }
}

/// A folder with `medallion.toml` and `customers/`, removed at the end of the test.
pub(crate) struct Project {
    folder: TempDir,
    storage: Option<Storage>,
}

impl Project {
    /// A project without customers.
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// A project without customers whose lakes are on object storage.
    pub(crate) fn on(storage: Storage) -> Self {
        Self::with(Some(storage))
    }

    fn with(storage: Option<Storage>) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap(), storage };
        project.write("medallion.toml", "");
        fs::create_dir(project.path("customers")).unwrap();
        project
    }

    /// A path in the project's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder the lakes are in, or their objects as files.
    pub(crate) fn lake(&self) -> PathBuf {
        self.storage.as_ref().map_or_else(|| self.path("lake"), Storage::lake)
    }

    /// Where the lakes are, for the program.
    pub(crate) fn address(&self) -> String {
        self.storage.as_ref().map_or_else(|| self.path("lake").display().to_string(), Storage::address)
    }

    /// The object storage the lakes are on, if they are.
    pub(crate) fn storage(&self) -> Option<&Storage> {
        self.storage.as_ref()
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Adds a customer; `options` are further lines of its file.
    pub(crate) fn add_customer(&self, id: &str, source: &Path, options: &str) {
        let source = toml::Value::from(source.to_str().unwrap());
        self.write(&format!("customers/{id}.toml"), &format!("source = {source}\n{options}"));
    }

    /// Starts the program in this project's folder and waits for its end.
    pub(crate) fn medallion<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Answer {
        let output = self.command().args(arguments).output().unwrap();
        Answer {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            messages: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The program in this project's folder, to be given arguments and started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medallion"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEDALLION_")) {
            command.env_remove(name);
        }
        if let Some(storage) = &self.storage {
            storage.show(&mut command);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// A command over one customer's tables; `arguments` come last.
    pub(crate) fn ask(&self, command: &str, customer: &str, arguments: &[&str]) -> Answer {
        let lake = self.address();
        let about = [command, "-c", customer, "--lake", &lake];
        self.medallion(about.iter().chain(arguments))
    }

    /// `medallion run` for one customer.
    pub(crate) fn run(&self, customer: &str, as_of: &str) -> Answer {
        self.ask("run", customer, &["--as-of", as_of])
    }

    /// The numbers of the customer's releases.
    pub(crate) fn releases(&self, customer: &str) -> Vec<u64> {
        let Ok(files) = fs::read_dir(self.lake().join(customer).join("_medallion/releases")) else { return Vec::new() };
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut numbers: Vec<u64> = names.map(|name| name.strip_suffix(".json").unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// `run_results.json` of the customer's last run.
    pub(crate) fn last_results(&self, customer: &str) -> Value {
        let runs = fs::read_dir(self.lake().join(customer).join("_medallion/runs")).unwrap();
        // Not by their names: those of one second are in no order.
        let written = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        let results = runs.map(|run| run.unwrap().path().join("run_results.json"));
        read_json(&results.max_by_key(written).unwrap())
    }

    /// `run_results.json` of the run that published a release.
    pub(crate) fn results(&self, customer: &str, release: u64) -> Value {
        let folder = self.lake().join(customer).join("_medallion");
        let release = read_json(&folder.join(format!("releases/{release:08}.json")));
        let run_id = release["run_id"].as_str().unwrap();
        read_json(&folder.join("runs").join(run_id).join("run_results.json"))
    }
}

/// A file of the fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
