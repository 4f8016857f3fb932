//! What a customer has otherwise than the pipeline's `silver/<table>.toml`: `[silver.<table>]` and `[exclude]` of its
//! file.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::cleansing::{Check, ColumnOptions};
use crate::definition::{Accept, Cleanse, CleanseColumn, Definition, Excluded, ExcludedValue, Rule, Severity};
use crate::error::{DefinitionError, nearest};
use crate::load::Table;
use crate::places::Places;
use crate::schema::{ColumnType, Layer, TableName};

/// What a customer's file says about silver tables, with the file itself for messages.
#[derive(Debug, Clone, Default)]
pub struct SilverOverrides {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) tables: BTreeMap<Spanned<String>, TableOverride>,
    pub(crate) exclude: BTreeMap<Spanned<String>, Vec<Spanned<ExcludedValue>>>,
}

/// `[silver.<table>]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableOverride {
    #[serde(default)]
    null_markers: Vec<Spanned<String>>,
    #[serde(default)]
    columns: BTreeMap<Spanned<String>, ColumnOverride>,
    #[serde(default)]
    rules: Vec<RuleOverride>,
}

/// `[silver.<table>.columns.<column>]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ColumnOverride {
    required: Option<bool>,
    formats: Option<Spanned<Vec<Spanned<String>>>>,
    accept: Option<Spanned<Vec<Accept>>>,
    known_values: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    null_markers: Vec<Spanned<String>>,
    #[serde(default)]
    values: IndexMap<Spanned<String>, String>,
}

/// One of `[[silver.<table>.rules]]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RuleOverride {
    name: Spanned<String>,
    expression: Option<Spanned<String>>,
    severity: Option<OwnSeverity>,
}

/// A [`Severity`], or no rule at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum OwnSeverity {
    Warn,
    Reject,
    Fail,
    Off,
}

impl OwnSeverity {
    fn severity(self) -> Option<Severity> {
        match self {
            Self::Warn => Some(Severity::Warn),
            Self::Reject => Some(Severity::Reject),
            Self::Fail => Some(Severity::Fail),
            Self::Off => None,
        }
    }
}

impl SilverOverrides {
    /// Whether there is nothing in them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.exclude.is_empty()
    }

    /// Changes the tables and adds what changed them to their texts, of which build keys are made.
    pub(crate) fn apply(&self, tables: &mut [Table]) -> Result<(), DefinitionError> {
        let check = Check { places: Places { file: &self.file, text: &self.text } };
        for (name, own) in &self.tables {
            let table = cleansed(&check, name, tables)?;
            own.apply(&check, table)?;
            table.text.push_str(&format!("\n# [silver.{}] of the customer\n{}", name.get_ref(), own.canonical()?));
        }
        for (column, values) in &self.exclude {
            exclude(&check, column, values, tables)?;
        }
        Ok(())
    }
}

fn cleansed<'t>(
    check: &Check<'_>,
    name: &Spanned<String>,
    tables: &'t mut [Table],
) -> Result<&'t mut Table, DefinitionError> {
    let wanted = TableName::new(Layer::Silver, name.get_ref());
    let is_cleansed = |table: &Table| matches!(table.definition, Definition::Cleanse(_));
    let known = tables.iter().filter(|table| is_cleansed(table)).map(|table| table.name.table.as_str());
    let nearest = nearest(name.get_ref(), known);
    let unknown = || DefinitionError::UnknownTable {
        file: check.places.of(name),
        reference: wanted.to_string(),
        nearest: nearest.clone(),
    };
    let table = tables.iter_mut().find(|table| table.name == wanted).ok_or_else(unknown)?;
    if is_cleansed(table) {
        return Ok(table);
    }
    let kind = table.definition.kind();
    Err(check.wrong(name, format!("{wanted} is a table of kind {kind}: only those of kind cleanse have rules")))
}

impl TableOverride {
    fn apply(&self, check: &Check<'_>, table: &mut Table) -> Result<(), DefinitionError> {
        let Definition::Cleanse(cleanse) = &mut table.definition else { return Ok(()) };
        check.markers(&self.null_markers)?;
        cleanse.null_markers.extend(self.null_markers.iter().map(|marker| marker.get_ref().clone()));
        let columns = cleanse.own_columns();
        for (name, own) in &self.columns {
            check.known(&format!("[silver.{}]", table.name.table), name, &columns)?;
            let found = cleanse.columns.iter_mut().find(|column| column.name == *name.get_ref());
            found.map_or(Ok(()), |column| own.apply(check, name, column))?;
        }
        self.rules(check, cleanse)
    }

    fn rules(&self, check: &Check<'_>, cleanse: &mut Cleanse) -> Result<(), DefinitionError> {
        let columns = cleanse.own_columns();
        let mut names = BTreeSet::new();
        for own in &self.rules {
            check.rule_name(&own.name, &mut names)?;
            let name = own.name.get_ref();
            if let Some(expression) = &own.expression {
                check.condition(&format!("rule {name}"), expression, &columns)?;
            }
            let expression = own.expression.as_ref().map(|expression| expression.get_ref().clone());
            match cleanse.rules.iter_mut().find(|rule| rule.name == *name) {
                None => cleanse.rules.push(own.new_rule(check, expression, &cleanse.rules)?),
                Some(_) if own.severity == Some(OwnSeverity::Off) => cleanse.rules.retain(|rule| rule.name != *name),
                Some(rule) => {
                    rule.severity = own.severity.and_then(OwnSeverity::severity).unwrap_or(rule.severity);
                    rule.expression = expression.unwrap_or_else(|| rule.expression.clone());
                }
            }
        }
        Ok(())
    }

    /// What is said, without places, comments or spellings.
    fn canonical(&self) -> Result<String, DefinitionError> {
        toml::to_string(self).map_err(|error| DefinitionError::Contradiction {
            file: "[silver]".to_owned(),
            message: format!("cannot be written down again: {error}"),
        })
    }
}

impl RuleOverride {
    fn new_rule(&self, check: &Check<'_>, expression: Option<String>, rules: &[Rule]) -> Result<Rule, DefinitionError> {
        let name = self.name.get_ref().clone();
        let severity = self.severity.map(OwnSeverity::severity);
        if let (Some(expression), Some(Some(severity))) = (expression, severity) {
            return Ok(Rule { name, expression, severity });
        }
        Err(DefinitionError::UnknownRule {
            place: check.places.of(&self.name),
            nearest: nearest(&name, rules.iter().map(|rule| rule.name.as_str())),
            name,
        })
    }
}

impl ColumnOverride {
    fn apply(
        &self,
        check: &Check<'_>,
        name: &Spanned<String>,
        column: &mut CleanseColumn,
    ) -> Result<(), DefinitionError> {
        if column.hash_of.is_some() {
            let message = format!("'{}' is made of another column, which is the one to change", column.name);
            return Err(check.wrong(name, message));
        }
        let options = ColumnOptions {
            formats: self.formats.as_ref(),
            accept: self.accept.as_ref(),
            known_values: self.known_values.as_ref(),
            null_markers: &self.null_markers,
            values: self.values.keys().collect(),
        };
        check.options(&column.name, column.data_type, &options)?;
        column.required = self.required.or(column.required);
        if let Some(formats) = &self.formats {
            column.formats = formats.get_ref().iter().map(|format| format.get_ref().clone()).collect();
        }
        if let Some(accept) = &self.accept {
            column.accept.clone_from(accept.get_ref());
        }
        column.known_values.extend(self.known_values.iter().flat_map(|known| known.get_ref()).cloned());
        column.null_markers.extend(self.null_markers.iter().map(|marker| marker.get_ref().clone()));
        column.values.extend(self.values.iter().map(|(from, to)| (from.get_ref().clone(), to.clone())));
        Ok(())
    }
}

/// Adds the values to every cleansed table that has the column.
fn exclude(
    check: &Check<'_>,
    column: &Spanned<String>,
    values: &[Spanned<ExcludedValue>],
    tables: &mut [Table],
) -> Result<(), DefinitionError> {
    let name = column.get_ref();
    let mut known = Vec::new();
    let mut found = false;
    for table in tables {
        let Definition::Cleanse(cleanse) = &mut table.definition else { continue };
        known.extend(cleanse.columns.iter().map(|column| column.name.clone()));
        let Some(own) = cleanse.columns.iter().find(|own| own.name == *name) else { continue };
        found = true;
        for value in values {
            let fits = match value.get_ref() {
                ExcludedValue::Long(_) => own.data_type == ColumnType::Long,
                ExcludedValue::Text(_) => own.data_type == ColumnType::Text,
            };
            if !fits {
                let message = format!("'{name}' is {} in {}, which this is not", own.data_type, table.name);
                return Err(check.wrong(value, message));
            }
        }
        let values: Vec<ExcludedValue> = values.iter().map(|value| value.get_ref().clone()).collect();
        let own: BTreeSet<&ExcludedValue> = values.iter().collect();
        table.text.push_str(&format!("\n# [exclude] of the customer\n{name} = {own:?}"));
        cleanse.exclude.push(Excluded { column: name.clone(), values });
    }
    if found {
        return Ok(());
    }
    Err(DefinitionError::UnknownColumn {
        file: check.places.of(column),
        place: "[exclude]".to_owned(),
        column: name.clone(),
        nearest: nearest(name, known.iter().map(String::as_str)),
    })
}

#[cfg(test)]
#[path = "overrides_tests.rs"]
mod tests;
