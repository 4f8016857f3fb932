//! A case of the fixtures: `fixtures/README.md` describes its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::project::{Project, fixture};
use crate::rows::Rows;

/// `case.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    /// What the case shows.
    pub(crate) description: String,
    /// The run's date.
    pub(crate) as_of: String,
    fiscal_year_start_month: u32,
    fiscal_year_first: i32,
    fiscal_year_last: i32,
    /// The rules it covers.
    pub(crate) rules: Vec<String>,
    /// Exact duplicates by source.
    #[serde(default)]
    pub(crate) duplicates: BTreeMap<String, u64>,
    /// Further rows of a person by source.
    #[serde(default)]
    pub(crate) further_assignments: BTreeMap<String, u64>,
    /// Rows that the customer leaves out, by silver table.
    #[serde(default)]
    pub(crate) excluded: BTreeMap<String, u64>,
    /// All rules of a table that touched rows, as `rule` or `rule column`, and its business rules.
    #[serde(default)]
    pub(crate) touched: BTreeMap<String, BTreeMap<String, u64>>,
    /// Further lines of the customer's file.
    #[serde(default)]
    customer: String,
    /// The exit code, where the run has to fail.
    pub(crate) exit: Option<i32>,
    /// What standard error says then.
    #[serde(default)]
    pub(crate) message_contains: Vec<String>,
}

/// A case.
pub(crate) struct Case {
    /// Its folder's name, which is also its customer's id.
    pub(crate) name: String,
    /// What `case.toml` says.
    pub(crate) file: CaseFile,
    folder: PathBuf,
}

impl Case {
    /// Reads the case of that name.
    pub(crate) fn read(name: &str) -> Self {
        let folder = fixture(name);
        let text = fs::read_to_string(folder.join("case.toml")).unwrap();
        let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
        Self { name: name.to_owned(), file, folder }
    }

    /// A project with the case's customer.
    pub(crate) fn project(&self) -> Project {
        let project = Project::new();
        let CaseFile { fiscal_year_start_month, fiscal_year_first, fiscal_year_last, customer, .. } = &self.file;
        let options = format!(
            "[fiscal_year]\nstart_month = {fiscal_year_start_month}\nfirst = {fiscal_year_first}\n\
             last = {fiscal_year_last}\n{customer}"
        );
        project.add_customer(&self.name, &self.folder.join("in"), &options);
        project
    }

    /// A project in which the case's customer is published.
    pub(crate) fn published(name: &str) -> Project {
        let case = Self::read(name);
        let project = case.project();
        project.run(&case.name, &case.file.as_of).exits(0);
        project
    }

    /// The expected tables by name, without the rejected rows.
    pub(crate) fn expected(&self) -> BTreeMap<String, Rows> {
        let folder = self.folder.join("expected");
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let tables = files.filter(|path| !path.ends_with("rejected.csv"));
        tables.map(|path| (table_of(&path), Rows::read_csv(&path))).collect()
    }

    /// The rejected rows; none if the case says nothing about them.
    pub(crate) fn rejected(&self) -> Option<Rows> {
        let path = self.folder.join("expected/rejected.csv");
        path.exists().then(|| Rows::read_csv(&path))
    }
}

/// `silver.users` for `silver.users.csv`.
fn table_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.strip_suffix(".csv").unwrap_or_else(|| panic!("{} is not an expected table", path.display())).to_owned()
}
