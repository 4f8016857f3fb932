//! What the types of a cleansed table's keys leave open: names of columns, expressions, options that fit no type. Every
//! mistake is answered with file, line and column.

use std::collections::BTreeSet;

use chrono::format::{Item, StrftimeItems};
use indexmap::IndexMap;
use serde::Deserialize;
use toml::Spanned;

use crate::definition::{Accept, Cleanse, CleanseColumn};
use crate::error::{DefinitionError, nearest};
use crate::expression;
use crate::places::Places;
use crate::rejects::PARSE_RULES;
use crate::schema::{Column, ColumnType, TableName};
use crate::toml_file::{self, Document};

/// Names that reports and rejects use for the rules that every table has.
const BUILT_IN_RULES: [&str; 11] = [
    "trim",
    "null_marker",
    "values",
    "cast",
    "known_values",
    "exclude",
    "where",
    "required",
    "duplicate",
    "duplicate_key",
    "date_key",
];

/// The places of what [`Cleanse`] says.
#[derive(Deserialize)]
struct CleanseSpans {
    #[serde(default)]
    key: Vec<Spanned<String>>,
    keep: Option<KeepSpans>,
    #[serde(rename = "where")]
    filter: Option<Spanned<String>>,
    #[serde(default)]
    null_markers: Vec<Spanned<String>>,
    columns: Vec<ColumnSpans>,
    #[serde(default)]
    rules: Vec<RuleSpans>,
}

#[derive(Deserialize)]
struct KeepSpans {
    lowest: Spanned<String>,
}

#[derive(Deserialize)]
struct RuleSpans {
    name: Spanned<String>,
    expression: Spanned<String>,
}

#[derive(Deserialize)]
struct ColumnSpans {
    name: Spanned<String>,
    #[serde(rename = "type")]
    data_type: ColumnType,
    from: Option<Spanned<String>>,
    hash_of: Option<Spanned<String>>,
    id: Option<Spanned<bool>>,
    date_key: Option<Spanned<bool>>,
    // `flatten` would lose the places.
    formats: Option<Spanned<Vec<Spanned<String>>>>,
    accept: Option<Spanned<Vec<Accept>>>,
    known_values: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    null_markers: Vec<Spanned<String>>,
    #[serde(default)]
    values: IndexMap<Spanned<String>, String>,
}

/// Options of a column that need a certain type, of a pipeline or a customer.
#[derive(Default)]
pub(crate) struct ColumnOptions<'a> {
    pub formats: Option<&'a Spanned<Vec<Spanned<String>>>>,
    pub accept: Option<&'a Spanned<Vec<Accept>>>,
    pub known_values: Option<&'a Spanned<Vec<String>>>,
    pub null_markers: &'a [Spanned<String>],
    pub values: Vec<&'a Spanned<String>>,
}

/// Answers mistakes with their places in one file.
#[derive(Clone, Copy)]
pub(crate) struct Check<'a> {
    pub places: Places<'a>,
}

/// Checks what a definition says about its own columns.
///
/// # Errors
/// If it names a column that it does not have, an expression is not sound, or an option does not fit its column's type.
pub(crate) fn check(document: &Document<'_>, cleanse: &Cleanse) -> Result<(), DefinitionError> {
    let spans: CleanseSpans = document.read()?;
    let check = Check { places: Places { file: document.file, text: document.text } };
    let columns = cleanse.own_columns();
    for name in &spans.key {
        check.known("key", name, &columns)?;
    }
    for name in spans.keep.iter().map(|keep| &keep.lowest) {
        check.known("keep", name, &columns)?;
    }
    check.markers(&spans.null_markers)?;
    for column in &spans.columns {
        check.column(column, &columns)?;
    }
    if let Some(filter) = &spans.filter {
        check.condition("where", filter, &columns)?;
    }
    let mut names = BTreeSet::new();
    for RuleSpans { name, expression } in &spans.rules {
        check.rule_name(name, &mut names)?;
        check.condition(&format!("rule {}", name.get_ref()), expression, &columns)?;
    }
    Ok(())
}

/// Checks that what a definition takes from its source is there.
///
/// # Errors
/// If the source has no such column.
pub(crate) fn check_source(
    file: &str,
    text: &str,
    cleanse: &Cleanse,
    input: &TableName,
    columns: &[Column],
) -> Result<(), DefinitionError> {
    let is_known = |name: &String| columns.iter().any(|column| column.name == *name);
    let taken =
        |column: &CleanseColumn| column.hash_of.is_some() || is_known(column.from.as_ref().unwrap_or(&column.name));
    // Places are only looked for if there is a mistake.
    if cleanse.columns.iter().all(taken) {
        return Ok(());
    }
    let spans: CleanseSpans = toml_file::parse(file, text)?;
    let check = Check { places: Places { file, text } };
    let place = format!("the column of {input} to take");
    let mut taken = spans.columns.iter().filter(|column| column.hash_of.is_none());
    taken.try_for_each(|column| check.known(&place, column.from.as_ref().unwrap_or(&column.name), columns))
}

impl Check<'_> {
    /// Something else that is wrong with a value.
    pub(crate) fn wrong<T>(&self, value: &Spanned<T>, message: String) -> DefinitionError {
        DefinitionError::Contradiction { file: self.places.of(value), message }
    }

    /// A column that has to be there.
    pub(crate) fn known(&self, place: &str, name: &Spanned<String>, columns: &[Column]) -> Result<(), DefinitionError> {
        if columns.iter().any(|column| column.name == *name.get_ref()) {
            return Ok(());
        }
        Err(DefinitionError::UnknownColumn {
            file: self.places.of(name),
            place: place.to_owned(),
            column: name.get_ref().clone(),
            nearest: nearest(name.get_ref(), columns.iter().map(|column| column.name.as_str())),
        })
    }

    /// An expression over the row.
    pub(crate) fn condition(
        &self,
        place: &str,
        text: &Spanned<String>,
        columns: &[Column],
    ) -> Result<(), DefinitionError> {
        let mistake = match expression::condition(text.get_ref(), columns) {
            Ok(_) => return Ok(()),
            Err(mistake) => mistake,
        };
        Err(DefinitionError::Expression {
            file: self.places.within(text, mistake.line, mistake.column),
            place: place.to_owned(),
            message: mistake.message,
            nearest: mistake.nearest,
        })
    }

    /// A rule's name: it tells its rule from all others in reports.
    pub(crate) fn rule_name<'n>(
        &self,
        name: &'n Spanned<String>,
        seen: &mut BTreeSet<&'n str>,
    ) -> Result<(), DefinitionError> {
        let text = name.get_ref().as_str();
        if BUILT_IN_RULES.contains(&text) || PARSE_RULES.contains(&text) {
            return Err(self.wrong(name, format!("'{text}' is the name of a built-in rule; give this one another")));
        }
        if text.trim().is_empty() {
            return Err(self.wrong(name, "a rule needs a name, by which reports call it".to_owned()));
        }
        if seen.insert(text) {
            return Ok(());
        }
        Err(self.wrong(name, format!("there is a rule '{text}' already; give one another name")))
    }

    /// Texts that are compared with trimmed ones.
    pub(crate) fn markers(&self, markers: &[Spanned<String>]) -> Result<(), DefinitionError> {
        markers.iter().try_for_each(|marker| self.trimmed("a null marker", marker))
    }

    fn trimmed(&self, what: &str, text: &Spanned<String>) -> Result<(), DefinitionError> {
        let written = text.get_ref();
        if !written.is_empty() && written.trim() == written {
            return Ok(());
        }
        let message = format!(
            "'{written}' can never be {what}: texts are trimmed before they are compared, and empty ones are NULL"
        );
        Err(self.wrong(text, message))
    }

    fn column(&self, column: &ColumnSpans, columns: &[Column]) -> Result<(), DefinitionError> {
        let name = column.name.get_ref();
        if let Some(hashed) = &column.hash_of {
            self.known("hash_of", hashed, columns)?;
            if columns.iter().any(|c| c.name == *hashed.get_ref() && c.data_type != ColumnType::Text) {
                let message = format!("hash_of = \"{}\" is no text; only texts are hashed", hashed.get_ref());
                return Err(self.wrong(hashed, message));
            }
        }
        if let Some(id) = column.id.as_ref().filter(|id| *id.get_ref() && column.data_type != ColumnType::Long) {
            return Err(self.misfit(id, "id", name, column.data_type, "long"));
        }
        let date_key = column.date_key.as_ref().filter(|key| *key.get_ref());
        if let Some(date_key) = date_key.filter(|_| column.data_type != ColumnType::Timestamp) {
            return Err(self.misfit(date_key, "date_key", name, column.data_type, "timestamp"));
        }
        let options = ColumnOptions {
            formats: column.formats.as_ref(),
            accept: column.accept.as_ref(),
            known_values: column.known_values.as_ref(),
            null_markers: &column.null_markers,
            values: column.values.keys().collect(),
        };
        self.options(name, column.data_type, &options)
    }

    /// Options that fit some types only.
    pub(crate) fn options(
        &self,
        name: &str,
        data_type: ColumnType,
        options: &ColumnOptions<'_>,
    ) -> Result<(), DefinitionError> {
        let is_moment = matches!(data_type, ColumnType::Date | ColumnType::Timestamp);
        if let Some(formats) = options.formats.filter(|formats| !formats.get_ref().is_empty() && !is_moment) {
            return Err(self.misfit(formats, "formats", name, data_type, "date or timestamp"));
        }
        for format in options.formats.iter().flat_map(|formats| formats.get_ref()) {
            let text = format.get_ref();
            if text.is_empty() || StrftimeItems::new(text).any(|item| matches!(item, Item::Error)) {
                let message = format!("'{text}' is no format of a date or time, such as \"%d/%m/%Y, %H:%M:%S\"");
                return Err(self.wrong(format, message));
            }
        }
        if let Some(accept) = options.accept.filter(|accept| !accept.get_ref().is_empty())
            && data_type != ColumnType::Long
        {
            return Err(self.misfit(accept, "accept", name, data_type, "long"));
        }
        if let Some(known) = options.known_values.filter(|known| !known.get_ref().is_empty())
            && data_type != ColumnType::Text
        {
            return Err(self.misfit(known, "known_values", name, data_type, "text"));
        }
        self.markers(options.null_markers)?;
        options.values.iter().try_for_each(|from| self.trimmed("a text to replace", from))
    }

    fn misfit<T>(
        &self,
        option: &Spanned<T>,
        key: &str,
        column: &str,
        found: ColumnType,
        expected: &str,
    ) -> DefinitionError {
        self.wrong(option, format!("{key} is for columns of type {expected}, and '{column}' is {found}"))
    }
}
