//! Settings as people want to see them: every key with its value, and whether a file says it.

use std::path::Path;

use toml::{Table, Value};

use crate::arrival::{After, Arrival, Ready};
use crate::customer::{Customer, Project};
use crate::error::DefinitionError;
use crate::toml_file;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `fiscal_year.start_month`.
    pub key: String,
    /// The value as it is written; references to the environment are not replaced, passwords in URLs are.
    pub value: String,
    /// Where it comes from.
    pub written: Written,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file says it.
    File,
    /// Nobody says it.
    Default,
}

impl Written {
    /// The name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// The settings of a customer, those of its file first.
///
/// # Errors
/// If the file cannot be read, or is none that a run would take.
pub fn of_customer(path: &Path) -> Result<Vec<Setting>, DefinitionError> {
    let customer = Customer::read(path)?;
    let mut settings = of_file(path)?;
    let defaults = defaults(&customer);
    settings.extend(
        defaults
            .into_iter()
            .filter(|default| !settings.iter().any(|known| known.key == default.key))
            .collect::<Vec<_>>(),
    );
    Ok(settings)
}

/// What `medallion.toml` says; nothing, if there is none.
///
/// # Errors
/// If it cannot be read.
pub fn of_project(folder: &Path) -> Result<Vec<Setting>, DefinitionError> {
    let path = folder.join(Project::FILE);
    if path.is_file() { of_file(&path) } else { Ok(Vec::new()) }
}

fn of_file(path: &Path) -> Result<Vec<Setting>, DefinitionError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| DefinitionError::Read { path: path.to_path_buf(), source })?;
    let table: Table = toml_file::parse(&path.display().to_string(), &text)?;
    let mut settings = Vec::new();
    flatten("", &table, &mut settings);
    Ok(settings)
}

fn flatten(prefix: &str, table: &Table, settings: &mut Vec<Setting>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => flatten(&key, table, settings),
            Value::String(text) => settings.push(Setting { key, value: masked(text), written: Written::File }),
            other => settings.push(Setting { key, value: without_secrets(other).to_string(), written: Written::File }),
        }
    }
}

/// A value with all texts in it as they may be shown.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(text)),
        Value::Array(values) => Value::Array(values.iter().map(without_secrets).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), without_secrets(value))).collect())
        }
        other => other.clone(),
    }
}

fn defaults(customer: &Customer) -> Vec<Setting> {
    let Arrival { settle_seconds, ready, manifest, after, limits, .. } = &customer.arrival;
    let ready = match ready {
        Ready::Settled => "settled",
        Ready::Done => "done",
        Ready::Manifest => "manifest",
    };
    let after = match after {
        After::Keep => "keep",
        After::Archive => "archive",
        After::Delete => "delete",
    };
    let years = customer.fiscal_year;
    let mut defaults = vec![
        ("name", customer.name.clone()),
        ("timezone", customer.timezone.to_string()),
        ("fiscal_year.start_month", years.start_month.to_string()),
        ("fiscal_year.first", years.first.to_string()),
        ("fiscal_year.last", years.last.to_string()),
        ("settle_seconds", settle_seconds.to_string()),
        ("ready", ready.to_owned()),
        ("after", after.to_owned()),
        ("limits.file", limits.file.to_string()),
        ("limits.ratio", limits.ratio.to_string()),
        ("limits.window", limits.window.to_string()),
        ("limits.workbook", limits.workbook.to_string()),
        ("limits.field", limits.field.to_string()),
        ("limits.columns", limits.columns.to_string()),
        ("limits.rejects", limits.rejects.to_string()),
    ];
    if customer.arrival.ready == Ready::Manifest {
        defaults.push(("manifest", manifest.clone()));
    }
    let setting = |(key, value): (&str, String)| Setting { key: key.to_owned(), value, written: Written::Default };
    defaults.into_iter().map(setting).collect()
}

/// A URL without the user and password in it, and without its query.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (address, query) = rest.split_once('?').map_or((rest, ""), |(address, _)| (address, "?***"));
    let host = address.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://***@{}{query}", &address[secret.len() + 1..]),
        None => format!("{scheme}://{address}{query}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_shown_as_written_and_the_others_with_their_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.toml");
        std::fs::write(&path, "source = \"${CARGO_MANIFEST_DIR}/drop\"\nfiscal_year.start_month = 7\n").unwrap();
        let settings = of_customer(&path).unwrap();
        let of = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key).unwrap();
            (setting.value.as_str(), setting.written)
        };
        assert_eq!(of("source"), ("${CARGO_MANIFEST_DIR}/drop", Written::File));
        assert_eq!(of("fiscal_year.start_month"), ("7", Written::File));
        assert_eq!(of("fiscal_year.last"), ("2036", Written::Default));
        assert_eq!((of("name"), of("timezone")), (("acme", Written::Default), ("UTC", Written::Default)));
        assert_eq!(settings.iter().filter(|setting| setting.key == "fiscal_year.start_month").count(), 1);
        std::fs::write(&path, "name = \"x\"\n").unwrap();
        assert!(of_customer(&path).is_err(), "a file that a run refuses is not shown as if it were sound");
    }

    #[test]
    fn secrets_in_urls_are_not_shown() {
        for (text, shown) in [
            ("../drop", "../drop"),
            ("s3://bucket/lake", "s3://bucket/lake"),
            ("s3://key:se@cret@bucket/lake?sig=1", "s3://***@bucket/lake?***"),
            ("https://host/a@b", "https://host/a@b"),
        ] {
            assert_eq!(masked(text), shown);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.toml");
        let webhook = "webhook = \"https://user:hunter2@hooks.example.com/x?token=hidden\"";
        std::fs::write(&path, format!("source = \"drop\"\n[[notify]]\n{webhook}\n")).unwrap();
        let settings = of_customer(&path).unwrap();
        let notify = &settings.iter().find(|setting| setting.key == "notify").unwrap().value;
        assert!(notify.contains("https://***@hooks.example.com/x?***"), "{notify}");
        assert!(!notify.contains("hunter2") && !notify.contains("hidden"), "{notify}");
    }
}
