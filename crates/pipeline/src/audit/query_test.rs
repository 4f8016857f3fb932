//! Queries in `tests/` that return what is wrong.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{Check, DataTest, TestSeverity};
use crate::error::{DefinitionError, nearest};
use crate::load::{PipelineFiles, Table};
use crate::model::Model;
use crate::schema::{Layer, is_identifier};

/// What the first comment lines may say.
const KEYS: [&str; 2] = ["severity", "description"];

/// The tests of the folder `tests/`, by name.
pub(crate) fn query_tests(files: &PipelineFiles, tables: &[Table]) -> Result<Vec<DataTest>, DefinitionError> {
    files
        .iter()
        .filter(|(file, _)| file.starts_with("tests/"))
        .map(|(file, sql)| query_test(file, sql, tables))
        .collect()
}

fn query_test(file: &str, sql: &str, tables: &[Table]) -> Result<DataTest, DefinitionError> {
    let name = file.strip_prefix("tests/").and_then(|name| name.strip_suffix(".sql"));
    let Some(name) = name.filter(|name| is_identifier(name) && name.len() <= super::declared::LONGEST_NAME) else {
        return Err(DefinitionError::Misplaced { file: file.to_owned() });
    };
    let header = header(file, sql)?;
    let severity = header.get("severity").map(|(line, text)| severity(file, *line, text)).transpose()?;
    let model = Model::parse(file, sql)?;
    for input in &model.inputs {
        if input.layer == Layer::Bronze {
            let message = format!("reads {input}: tests are about silver and gold");
            return Err(DefinitionError::Contradiction { file: file.to_owned(), message });
        }
        if !tables.iter().any(|table| table.name == *input) {
            let reference = input.to_string();
            let known: Vec<String> = tables.iter().map(|table| table.name.to_string()).collect();
            let nearest = nearest(&reference, known.iter().map(String::as_str));
            return Err(DefinitionError::UnknownTable { file: file.to_owned(), reference, nearest });
        }
    }
    Ok(DataTest {
        table: None,
        name: name.to_owned(),
        description: header.get("description").map(|(_, text)| text.clone()),
        severity: severity.unwrap_or_default(),
        identity: Vec::new(),
        check: Check::Query(model),
    })
}

/// What the comment lines before the query say, with their lines from 1.
fn header(file: &str, sql: &str) -> Result<BTreeMap<String, (usize, String)>, DefinitionError> {
    let mut header = BTreeMap::new();
    let lines = sql.lines().map(str::trim).enumerate();
    for (index, line) in lines.take_while(|(_, line)| line.is_empty() || line.starts_with("--")) {
        let Some((key, value)) = line.trim_start_matches('-').split_once(':') else { continue };
        let (key, line) = (key.trim(), index + 1);
        if !is_identifier(key) {
            continue;
        }
        if KEYS.contains(&key) {
            header.insert(key.to_owned(), (line, value.trim().to_owned()));
        } else if let Some(meant) = nearest(key, KEYS) {
            let message = format!("unknown key `{key}` in the first comments");
            let (file, nearest) = (file.to_owned(), Some(meant));
            return Err(DefinitionError::Toml { file, line, column: 1, message, nearest });
        }
    }
    Ok(header)
}

fn severity(file: &str, line: usize, text: &str) -> Result<TestSeverity, DefinitionError> {
    one_of(text).map_err(|_| DefinitionError::Toml {
        file: file.to_owned(),
        line,
        column: 1,
        message: format!("severity: expected warn or error, found '{text}'"),
        nearest: nearest(text, ["warn", "error"]),
    })
}

fn one_of<T: DeserializeOwned>(text: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(serde::de::value::StrDeserializer::new(text))
}
