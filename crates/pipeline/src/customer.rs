//! Customers and projects: `customers/<id>.toml` and `medallion.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::arrival::{After, Arrival, Limits, Ready, SourceOverride};
use crate::definition::ExcludedValue;
use crate::environment;
use crate::error::DefinitionError;
use crate::overrides::{SilverOverrides, TableOverride};
use crate::reporting::{LineageKeys, MetricsKeys, Notify, NotifyKeys, Place, Reporting};
use crate::storage::{self, StorageKeys};
use crate::toml_file;

/// A checked customer id: safe as the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(String);

impl CustomerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for CustomerId {
    type Err = DefinitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let sound =
            text.len() <= 63 && text.starts_with(plain) && text.chars().all(|c| plain(c) || c == '-' || c == '_');
        if sound { Ok(Self(text.to_owned())) } else { Err(DefinitionError::InvalidCustomerId { id: text.to_owned() }) }
    }
}

/// The fiscal years of a customer. A year is labelled by the calendar year in which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FiscalYearOptions {
    /// The month in which a year starts, 1 to 12.
    #[serde(deserialize_with = "month")]
    pub start_month: u32,
    /// The first year there is.
    pub first: i32,
    /// The last year there is.
    pub last: i32,
}

impl Default for FiscalYearOptions {
    fn default() -> Self {
        Self { start_month: 1, first: 2012, last: 2036 }
    }
}

impl FiscalYearOptions {
    /// The years there may be: every run makes rows for each of them.
    const YEARS: RangeInclusive<i32> = 1900..=2200;

    fn check(&self, file: &str) -> Result<(), DefinitionError> {
        let contradiction = |message: String| DefinitionError::Contradiction { file: file.to_owned(), message };
        for (key, year) in [("first", self.first), ("last", self.last)] {
            if !Self::YEARS.contains(&year) {
                let (from, to) = (Self::YEARS.start(), Self::YEARS.end());
                return Err(contradiction(format!("fiscal_year.{key} = {year} is not in {from} to {to}")));
            }
        }
        if self.first > self.last {
            let (first, last) = (self.first, self.last);
            return Err(contradiction(format!("fiscal_year.first = {first} is after fiscal_year.last = {last}")));
        }
        Ok(())
    }
}

/// A path or URL as written, with the environment's values put in.
fn place(file: &str, key: &str, text: &str) -> Result<String, DefinitionError> {
    let place = environment::expand(file, key, text)?;
    if place.trim().is_empty() {
        let message = format!("{key} is empty: expected the path of a folder");
        return Err(DefinitionError::Contradiction { file: file.to_owned(), message });
    }
    Ok(place)
}

fn month<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let month = u32::deserialize(deserializer)?;
    if (1..=12).contains(&month) {
        return Ok(month);
    }
    Err(serde::de::Error::custom(format!("{month} is not a month: expected 1 to 12")))
}

fn timezone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| {
        serde::de::Error::custom(format!("'{name}' is not a time zone: expected a name such as Europe/Berlin or UTC"))
    })
}

/// `customers/<id>.toml` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerFile {
    id: Option<String>,
    name: Option<String>,
    source: String,
    #[serde(default, deserialize_with = "timezone")]
    timezone: Tz,
    #[serde(default)]
    fiscal_year: FiscalYearOptions,
    #[serde(default)]
    settle_seconds: u64,
    #[serde(default)]
    ready: Ready,
    manifest: Option<String>,
    #[serde(default)]
    after: After,
    archive: Option<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    sources: BTreeMap<Spanned<String>, SourceOverride>,
    #[serde(default)]
    silver: BTreeMap<Spanned<String>, TableOverride>,
    #[serde(default)]
    exclude: BTreeMap<Spanned<String>, Vec<Spanned<ExcludedValue>>>,
    #[serde(default)]
    notify: Vec<NotifyKeys>,
    #[serde(default)]
    storage: StorageKeys,
}

impl CustomerFile {
    /// How its drop folder is read; relative paths start at `folder`.
    fn arrival(&self, file: &str, folder: &Path) -> Result<Arrival, DefinitionError> {
        let archive = self.archive.as_ref().map(|archive| place(file, "archive", archive)).transpose()?;
        let mut arrival = Arrival {
            settle_seconds: self.settle_seconds,
            ready: self.ready,
            after: self.after,
            archive: archive.map(|archive| folder.join(archive)),
            limits: self.limits.clone(),
            ..Arrival::default()
        };
        arrival.check(file, self.manifest.as_deref())?;
        if let Some(manifest) = &self.manifest {
            arrival.manifest.clone_from(manifest);
        }
        Ok(arrival)
    }
}

/// A customer with everything that is particular to it.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The id.
    pub id: CustomerId,
    /// What people call it.
    pub name: String,
    /// The drop folder.
    pub source: PathBuf,
    /// The zone in which a day of the run begins.
    pub timezone: Tz,
    /// Its fiscal years.
    pub fiscal_year: FiscalYearOptions,
    /// How its drop folder is read.
    pub arrival: Arrival,
    /// What it has otherwise than the pipeline's sources, by source name; [`crate::Pipeline::for_customer`] applies it.
    pub sources: BTreeMap<String, SourceOverride>,
    /// What it has otherwise than the pipeline's silver tables.
    pub silver: SilverOverrides,
    /// Who is told how its runs end, beside those of the project.
    pub notify: Vec<Notify>,
    /// Settings and credentials of object storage for its lake, beside those of the project.
    pub storage: BTreeMap<String, String>,
    /// Where its file speaks of a source: file, line and column.
    places: BTreeMap<String, String>,
}

impl Customer {
    /// A customer without a file of its own.
    #[must_use]
    pub fn without_file(id: CustomerId, source: PathBuf) -> Self {
        let name = id.to_string();
        Self {
            id,
            name,
            source,
            timezone: Tz::UTC,
            fiscal_year: FiscalYearOptions::default(),
            arrival: Arrival::default(),
            sources: BTreeMap::new(),
            silver: SilverOverrides::default(),
            notify: Vec::new(),
            storage: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// Where messages about the customer's own settings of a source point to.
    pub(crate) fn place_of_source(&self, name: &str) -> String {
        self.places.get(name).cloned().unwrap_or_else(|| format!("customer {}", self.id))
    }

    /// Reads `customers/<id>.toml`; relative paths start at that file, `${NAME}` in `source` and `archive` is the
    /// environment's.
    ///
    /// # Errors
    /// If the file cannot be read, has unknown keys, values out of range or keys that contradict each other, or gives
    /// another id than its name.
    pub fn read(path: &Path) -> Result<Self, DefinitionError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DefinitionError::Read { path: path.to_path_buf(), source })?;
        Self::parse(path, text)
    }

    /// What [`Customer::read`] makes of a file with that text.
    ///
    /// # Errors
    /// As [`Customer::read`], apart from reading.
    pub fn parse(path: &Path, text: String) -> Result<Self, DefinitionError> {
        let file = path.display().to_string();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id: CustomerId = stem.parse()?;
        let read: CustomerFile = toml_file::parse(&file, &text)?;
        if let Some(other) = read.id.as_ref().filter(|other| **other != stem) {
            let message = format!("id = \"{other}\" differs from the file's name, which is the customer's id");
            return Err(DefinitionError::Contradiction { file, message });
        }
        read.fiscal_year.check(&file)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let source = folder.join(place(&file, "source", &read.source)?);
        let arrival = read.arrival(&file, folder)?;
        if arrival.archive.as_ref() == Some(&source) {
            let message =
                "archive is the drop folder itself: expected another folder, such as archive in it".to_owned();
            return Err(DefinitionError::Contradiction { file, message });
        }
        let (mut sources, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (name, own) in read.sources {
            own.check(&file, name.as_ref())?;
            let (line, column) = toml_file::position(&text, name.span().start);
            places.insert(name.as_ref().clone(), format!("{file}:{line}:{column}"));
            sources.insert(name.into_inner(), own);
        }
        let notify = resolve_all(&read.notify, Place { file: &file, folder })?;
        let storage = storage::resolve(&file, &read.storage)?;
        let name = read.name.unwrap_or(stem);
        let (timezone, fiscal_year) = (read.timezone, read.fiscal_year);
        let silver = SilverOverrides { file, text, tables: read.silver, exclude: read.exclude };
        Ok(Self { id, name, source, timezone, fiscal_year, arrival, sources, silver, notify, storage, places })
    }
}

/// `medallion.toml`: what all customers of a project share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The pipeline's folder, or the name of a built-in one.
    pub pipeline: Option<String>,
    /// Where the lakes are: a path, relative to the file, or a URL; `${NAME}` is already the environment's value.
    pub lake: Option<String>,
    /// Options that commands take where the command line gives none.
    #[serde(default)]
    pub defaults: Defaults,
    /// Who is told how runs end, as written; [`Project::reporting`] resolves it.
    #[serde(default)]
    pub notify: Vec<NotifyKeys>,
    /// Where `OpenLineage` events go, as written.
    pub openlineage: Option<LineageKeys>,
    /// Where metrics go, as written.
    pub metrics: Option<MetricsKeys>,
    /// Settings of object storage, as written; [`Project::storage`] resolves them.
    #[serde(default, rename = "storage")]
    storage_keys: StorageKeys,
}

fn resolve_all(notify: &[NotifyKeys], place: Place<'_>) -> Result<Vec<Notify>, DefinitionError> {
    notify.iter().map(|keys| keys.resolve(place)).collect()
}

/// Options of commands set for a whole project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Memory for the SQL engine, such as `2GiB`.
    pub memory_limit: Option<String>,
    /// How many of the last releases `vacuum` keeps whole.
    pub keep_releases: Option<NonZeroU32>,
}

impl Project {
    /// The name of the file.
    pub const FILE: &'static str = "medallion.toml";

    /// Who hears of the runs of every customer. Only commands that run something need it, and the secrets in it.
    ///
    /// # Errors
    /// If keys contradict each other, an address is none, or a variable is not set.
    pub fn reporting(&self, folder: &Path) -> Result<Reporting, DefinitionError> {
        let file = folder.join(Self::FILE).display().to_string();
        let place = Place { file: &file, folder };
        let openlineage = self.openlineage.as_ref().map(|keys| keys.resolve(place)).transpose()?;
        Ok(Reporting {
            notify: resolve_all(&self.notify, place)?,
            openlineage: openlineage.unwrap_or_default(),
            metrics: self.metrics.as_ref().map(|keys| keys.resolve(place)).transpose()?,
        })
    }

    /// Settings and credentials of object storage for the lakes of all customers.
    ///
    /// # Errors
    /// If a name is not that of a setting, or a variable is not set.
    pub fn storage(&self, folder: &Path) -> Result<BTreeMap<String, String>, DefinitionError> {
        storage::resolve(&folder.join(Self::FILE).display().to_string(), &self.storage_keys)
    }

    /// Reads `medallion.toml` in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or has unknown keys, or if `lake` is empty or refers to a variable that is not set.
    pub fn read(folder: &Path) -> Result<Option<Self>, DefinitionError> {
        let path = folder.join(Self::FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let file = path.display().to_string();
                let mut project: Self = toml_file::parse(&file, &text)?;
                project.lake = project.lake.map(|lake| place(&file, "lake", &lake)).transpose()?;
                Ok(Some(project))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DefinitionError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_that_are_no_plain_names_are_refused() {
        for sound in ["acme", "a", "9-lives", "customer_b"] {
            assert_eq!(sound.parse::<CustomerId>().unwrap().as_str(), sound);
        }
        for unsound in ["", "..", "a/b", "-a", "_a", "Acme", "a b", "a\0", "é", &"a".repeat(64)] {
            assert!(unsound.parse::<CustomerId>().is_err(), "{unsound:?}");
        }
    }

    #[test]
    fn a_customer_file_is_read_and_its_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.toml");
        let text = "source = \"../drop\"\ntimezone = \"Europe/Berlin\"\nfiscal_year.start_month = 7\n";
        std::fs::write(&path, text).unwrap();
        let customer = Customer::read(&path).unwrap();
        assert_eq!(customer.source, folder.path().join("../drop"));
        assert_eq!((customer.fiscal_year.start_month, customer.fiscal_year.first), (7, 2012));
        for (text, part) in [
            ("source = \"x\"\nid = \"other\"", "differs from the file's name"),
            ("source = \"x\"\nfiscal_year.start_month = 13", "13 is not a month"),
            ("source = \"x\"\ntimezon = \"UTC\"", ":2:1: unknown field `timezon`"),
            ("name = \"x\"", "missing field `source`"),
            ("source = \"\"", "source is empty"),
            (
                "source = \"${MEDALLION_TEST_UNSET}/x\"",
                "source refers to the environment variable ${MEDALLION_TEST_UNSET}",
            ),
            ("source = \"x\"\nfiscal_year.first = 1899", "fiscal_year.first = 1899 is not in 1900 to 2200"),
            ("source = \"x\"\nfiscal_year.last = 2201", "fiscal_year.last = 2201 is not in 1900 to 2200"),
            ("source = \"x\"\nfiscal_year.first = 2030\nfiscal_year.last = 2029", "is after fiscal_year.last"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Customer::read(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        std::fs::write(&path, "source = \"x\"\nfiscal_year.first = 1900\nfiscal_year.last = 2200\n").unwrap();
        assert_eq!(Customer::read(&path).unwrap().fiscal_year.last, 2200);
    }

    #[test]
    fn a_projects_lake_is_neither_empty_nor_of_an_unset_variable() {
        let folder = tempfile::tempdir().unwrap();
        for (lake, part) in [("", "lake is empty"), ("${MEDALLION_TEST_UNSET}", "lake refers to the environment")] {
            std::fs::write(folder.path().join(Project::FILE), format!("lake = \"{lake}\"\n")).unwrap();
            let error = Project::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("medallion.toml: ") && error.contains(part), "{error}");
        }
    }
}
