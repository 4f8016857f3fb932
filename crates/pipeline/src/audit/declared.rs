//! `[[tests]]` and `[[references]]` as they are written, and the tests they become.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{
    AcceptedValue, Check, Condition, DataTest, Ratio, RatioTo, Relationship, RelationshipMode, RowCount, TestSeverity,
};
use crate::columns;
use crate::definition::Definition;
use crate::error::{DefinitionError, nearest};
use crate::load::Table;
use crate::schema::{Column, ColumnType, Layer, TableName, TableSchema, is_identifier};
use crate::toml_file;
use crate::versions;

/// The longest name of a test, in bytes: samples are kept in files that have it in their names.
pub(crate) const LONGEST_NAME: usize = 100;

/// The greatest age that can be asked for: a hundred years.
const MOST_DAYS: u32 = 36_525;

/// What stands for the last release where a table's name could stand.
const LAST_RELEASE: &str = "last_release";

/// The `kind` of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Columns without NULL.
    NotNull,
    /// Columns that tell rows apart.
    Unique,
    /// A column with certain values only.
    AcceptedValues,
    /// Columns that lead to a row of another table.
    Relationships,
    /// How many rows there may be.
    RowCount,
    /// A condition over a row.
    Expression,
    /// How old the newest value may be.
    Freshness,
    /// A query of `tests/`.
    #[serde(skip_deserializing)]
    Query,
}

impl TestKind {
    /// The kind as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotNull => "not_null",
            Self::Unique => "unique",
            Self::AcceptedValues => "accepted_values",
            Self::Relationships => "relationships",
            Self::RowCount => "row_count",
            Self::Expression => "expression",
            Self::Freshness => "freshness",
            Self::Query => "query",
        }
    }

    /// The keys it takes beside `kind`, `name`, `description` and `severity`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::NotNull | Self::Unique => &["columns"],
            Self::AcceptedValues => &["column", "values"],
            Self::Relationships => &["columns", "table", "table_columns", "where", "mode"],
            Self::RowCount => &["min", "max", "ratio_to", "min_ratio", "max_ratio"],
            Self::Expression => &["expression"],
            Self::Freshness => &["column", "max_age_days"],
            Self::Query => &[],
        }
    }
}

/// How a relationship is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Every value has to be there.
    #[default]
    Key,
    /// A date: 1900-01-01 passes, and one beyond the other table's dates is told apart.
    DateKey,
}

/// One entry of `[[tests]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestKeys {
    kind: Spanned<TestKind>,
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    severity: TestSeverity,
    columns: Option<Vec<String>>,
    column: Option<String>,
    values: Option<Vec<toml::Value>>,
    table: Option<TableName>,
    table_columns: Option<Vec<String>>,
    #[serde(rename = "where")]
    filter: Option<String>,
    mode: Option<Mode>,
    min: Option<u64>,
    max: Option<u64>,
    ratio_to: Option<String>,
    min_ratio: Option<f64>,
    max_ratio: Option<f64>,
    expression: Option<String>,
    max_age_days: Option<u32>,
}

/// One entry of `[[references]]`: a column that leads to a dimension.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceKeys {
    column: Spanned<String>,
    table: TableName,
    table_column: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    severity: TestSeverity,
}

/// A reference whose dimension is known to have the column.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    keys: ReferenceKeys,
    place: String,
}

/// Checks the references of `pipeline.toml`.
pub(crate) fn from_references(
    text: &str,
    references: &[ReferenceKeys],
    tables: &[Table],
) -> Result<Vec<Reference>, DefinitionError> {
    let mut checked = Vec::new();
    let mut seen = HashSet::new();
    for keys in references {
        let (line, _) = toml_file::position(text, keys.column.span().start);
        let place = format!("pipeline.toml:{line}");
        let column = keys.column.get_ref();
        if !seen.insert(column) {
            let message = format!("the column '{column}' has a reference already");
            return Err(DefinitionError::Contradiction { file: place, message });
        }
        let schema = schema_of(&place, &keys.table, tables)?;
        let target = keys.table_column.clone().unwrap_or_else(|| column.clone());
        columns::check_known(&place, "table_column", &[target], &schema.columns)?;
        let is_used = |table: &Table| table.name != keys.table && supplies(table, column);
        if !tables.iter().any(is_used) {
            let message = format!("no gold table has the column '{column}', so nothing leads to {}", keys.table);
            return Err(DefinitionError::Contradiction { file: place, message });
        }
        checked.push(Reference { keys: keys.clone(), place });
    }
    Ok(checked)
}

/// The tests of a table: its own, then those of references. Its own come instead of one of the same name.
pub(crate) fn declared(
    file: &str,
    text: &str,
    table: &Table,
    tables: &[Table],
    references: &[Reference],
) -> Result<Vec<DataTest>, DefinitionError> {
    let mut tests: Vec<DataTest> = Vec::new();
    for keys in table.definition.tests() {
        let (line, _) = toml_file::position(text, keys.kind.span().start);
        let reader = Reader { place: format!("{file}:{line}"), keys, table, tables };
        for test in reader.tests()? {
            if tests.iter().any(|other| other.name == test.name) {
                return Err(reader.wrong(format!("there are two tests called '{}'; give one another name", test.name)));
            }
            tests.push(test);
        }
    }
    for reference in references.iter().filter(|reference| reference.keys.table != table.name) {
        if !supplies(table, reference.keys.column.get_ref()) {
            continue;
        }
        let keys = reference.test();
        let reader = Reader { place: reference.place.clone(), keys: &keys, table, tables };
        for test in reader.tests()? {
            if !tests.iter().any(|own| own.name == test.name) {
                tests.push(test);
            }
        }
    }
    Ok(tests)
}

impl Reference {
    fn test(&self) -> TestKeys {
        let ReferenceKeys { column, table, table_column, mode, severity } = &self.keys;
        let kind = Spanned::new(column.span(), TestKind::Relationships);
        let column = column.get_ref().clone();
        TestKeys {
            kind,
            name: None,
            description: None,
            severity: *severity,
            table_columns: Some(vec![table_column.clone().unwrap_or_else(|| column.clone())]),
            columns: Some(vec![column]),
            column: None,
            values: None,
            table: Some(table.clone()),
            filter: None,
            mode: Some(*mode),
            min: None,
            max: None,
            ratio_to: None,
            min_ratio: None,
            max_ratio: None,
            expression: None,
            max_age_days: None,
        }
    }
}

/// Whether a gold table has values of its own in the column. A conformed key that a fact does not supply is -1 in every
/// row, which is the unknown member of its dimension.
fn supplies(table: &Table, column: &str) -> bool {
    let keys = match &table.definition {
        _ if table.name.layer != Layer::Gold => return false,
        Definition::Fact(fact) => Some((&fact.keys, &fact.columns)),
        Definition::History(history) => Some((&history.keys, &history.columns)),
        _ => None,
    };
    match keys {
        Some((keys, columns)) => {
            keys.iter().any(|key| key == column) || columns.iter().any(|declared| declared.name == column)
        }
        None => table.schema.columns.iter().any(|declared| declared.name == column),
    }
}

/// The columns by which a person finds a row.
fn identity(table: &Table, tables: &[Table]) -> Vec<String> {
    match &table.definition {
        Definition::Cleanse(cleanse) => cleanse.key.clone(),
        Definition::Query(query) | Definition::Bridge(query) => query.key.clone(),
        Definition::Dimension(dimension) => dimension.key.clone(),
        Definition::Fact(fact) => fact.keys.clone(),
        Definition::History(history) => [history.key.as_slice(), std::slice::from_ref(&history.year_label)].concat(),
        Definition::FiscalYears(years) => vec![years.label.clone()],
        Definition::Hierarchy(hierarchy) => {
            vec![hierarchy.columns.child.clone(), hierarchy.columns.ancestor.clone()]
        }
        Definition::Versions(versions) => versions::key(versions, tables),
        Definition::Findings(_) => vec!["hierarchy".to_owned(), "finding".to_owned(), "id".to_owned()],
    }
}

fn schema_of<'a>(place: &str, name: &TableName, tables: &'a [Table]) -> Result<&'a TableSchema, DefinitionError> {
    if name.layer == Layer::Bronze {
        let message = format!("{name}: tests are about silver and gold");
        return Err(DefinitionError::Contradiction { file: place.to_owned(), message });
    }
    tables.iter().find(|table| table.name == *name).map(|table| &table.schema).ok_or_else(|| {
        let known: Vec<String> = tables.iter().map(|table| table.name.to_string()).collect();
        let reference = name.to_string();
        let nearest = nearest(&reference, known.iter().map(String::as_str));
        DefinitionError::UnknownTable { file: place.to_owned(), reference, nearest }
    })
}

/// Turns one entry into tests.
struct Reader<'a> {
    place: String,
    keys: &'a TestKeys,
    table: &'a Table,
    tables: &'a [Table],
}

impl Reader<'_> {
    fn tests(&self) -> Result<Vec<DataTest>, DefinitionError> {
        self.check_keys()?;
        let keys = self.keys;
        let check = match keys.kind.get_ref() {
            TestKind::NotNull => Check::NotNull { columns: self.columns()? },
            TestKind::Unique => Check::Unique { columns: self.columns()? },
            TestKind::AcceptedValues => self.accepted_values()?,
            TestKind::Relationships => Check::Relationships(self.relationship()?),
            TestKind::RowCount => Check::RowCount(self.row_count()?),
            TestKind::Expression => {
                let expression = self.needed("expression", keys.expression.as_ref())?;
                Check::Expression(self.condition("expression", expression)?)
            }
            TestKind::Freshness => self.freshness()?,
            TestKind::Query => return Err(self.wrong("a query stands in tests/<name>.sql".to_owned())),
        };
        let test = DataTest {
            table: Some(self.table.name.clone()),
            name: self.name(&check)?,
            description: keys.description.clone(),
            severity: keys.severity,
            identity: identity(self.table, self.tables),
            check,
        };
        Ok(self.with_outside(test))
    }

    /// Dates beyond those of the other table are a test of their own, which only warns.
    fn with_outside(&self, test: DataTest) -> Vec<DataTest> {
        let mut tests = vec![test];
        if let Check::Relationships(relationship) = &tests[0].check
            && relationship.mode == RelationshipMode::DateWithin
        {
            let outside = Relationship { mode: RelationshipMode::DateOutside, ..relationship.clone() };
            let name = format!("{}_outside", tests[0].name);
            let check = Check::Relationships(outside);
            tests.push(DataTest { name, severity: TestSeverity::Warn, check, ..tests[0].clone() });
        }
        tests
    }

    fn wrong(&self, message: String) -> DefinitionError {
        let message = format!("[[tests]] of kind {}: {message}", self.keys.kind.get_ref().name());
        DefinitionError::Contradiction { file: self.place.clone(), message }
    }

    /// Keys that belong to another kind are as wrong as unknown ones.
    fn check_keys(&self) -> Result<(), DefinitionError> {
        let keys = self.keys;
        let given = [
            ("columns", keys.columns.is_some()),
            ("column", keys.column.is_some()),
            ("values", keys.values.is_some()),
            ("table", keys.table.is_some()),
            ("table_columns", keys.table_columns.is_some()),
            ("where", keys.filter.is_some()),
            ("mode", keys.mode.is_some()),
            ("min", keys.min.is_some()),
            ("max", keys.max.is_some()),
            ("ratio_to", keys.ratio_to.is_some()),
            ("min_ratio", keys.min_ratio.is_some()),
            ("max_ratio", keys.max_ratio.is_some()),
            ("expression", keys.expression.is_some()),
            ("max_age_days", keys.max_age_days.is_some()),
        ];
        let known = keys.kind.get_ref().keys();
        match given.iter().find(|(key, given)| *given && !known.contains(key)) {
            Some((key, _)) => Err(self.wrong(format!("it has no key '{key}'; its keys are {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    fn needed<'k, T>(&self, key: &str, value: Option<&'k T>) -> Result<&'k T, DefinitionError> {
        value.ok_or_else(|| self.wrong(format!("it needs the key '{key}'")))
    }

    fn name(&self, check: &Check) -> Result<String, DefinitionError> {
        let kind = self.keys.kind.get_ref().name();
        let derived = match check {
            _ if self.keys.name.is_some() => self.keys.name.clone(),
            Check::NotNull { columns } | Check::Unique { columns } => Some(format!("{kind}_{}", columns.join("_"))),
            Check::Relationships(relationship) => Some(format!("{kind}_{}", relationship.columns.join("_"))),
            Check::AcceptedValues { column, .. } | Check::Freshness { column, .. } => Some(format!("{kind}_{column}")),
            Check::RowCount(_) => Some(kind.to_owned()),
            Check::Expression(_) | Check::Query(_) => None,
        };
        match derived {
            Some(name) if is_identifier(&name) && name.len() <= LONGEST_NAME => Ok(name),
            Some(name) => Err(self.wrong(format!(
                "'{name}' cannot be its name: expected at most {LONGEST_NAME} lower case letters, digits and '_'"
            ))),
            None => Err(self.wrong("it needs the key 'name'".to_owned())),
        }
    }

    fn own_columns(&self) -> &[Column] {
        &self.table.schema.columns
    }

    fn columns(&self) -> Result<Vec<String>, DefinitionError> {
        let columns = self.needed("columns", self.keys.columns.as_ref())?;
        if columns.is_empty() || columns.iter().collect::<HashSet<_>>().len() < columns.len() {
            return Err(self.wrong("'columns' has to name at least one column, and none twice".to_owned()));
        }
        columns::check_known(&self.place, "columns", columns, self.own_columns())?;
        Ok(columns.clone())
    }

    fn column(&self) -> Result<&Column, DefinitionError> {
        let name = self.needed("column", self.keys.column.as_ref())?;
        columns::check_known(&self.place, "column", std::slice::from_ref(name), self.own_columns())?;
        let column = self.own_columns().iter().find(|column| column.name == *name);
        column.ok_or_else(|| self.wrong(format!("there is no column '{name}'")))
    }

    fn condition(&self, key: &str, text: &str) -> Result<Condition, DefinitionError> {
        Condition::parse(&self.place, key, text, self.own_columns())
    }

    fn accepted_values(&self) -> Result<Check, DefinitionError> {
        let column = self.column()?;
        let values = self.needed("values", self.keys.values.as_ref())?;
        if values.is_empty() {
            return Err(self.wrong("'values' is empty".to_owned()));
        }
        let values = values.iter().map(|value| {
            accepted(column.data_type, value).ok_or_else(|| {
                self.wrong(format!("{value} is no value of '{}', which is {}", column.name, column.data_type))
            })
        });
        Ok(Check::AcceptedValues { column: column.name.clone(), values: values.collect::<Result<_, _>>()? })
    }

    fn freshness(&self) -> Result<Check, DefinitionError> {
        let column = self.column()?;
        if !matches!(column.data_type, ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampUtc) {
            return Err(self.wrong(format!("'{}' is {}, neither date nor time", column.name, column.data_type)));
        }
        let max_age_days = *self.needed("max_age_days", self.keys.max_age_days.as_ref())?;
        if max_age_days > MOST_DAYS {
            return Err(self.wrong(format!("max_age_days is {max_age_days}, expected at most {MOST_DAYS}")));
        }
        Ok(Check::Freshness { column: column.name.clone(), max_age_days })
    }

    fn relationship(&self) -> Result<Relationship, DefinitionError> {
        let keys = self.keys;
        let columns = self.columns()?;
        let table = self.needed("table", keys.table.as_ref())?;
        let other = schema_of(&self.place, table, self.tables)?;
        let table_columns = keys.table_columns.clone().unwrap_or_else(|| columns.clone());
        if table_columns.len() != columns.len() {
            return Err(self.wrong("'table_columns' has to name as many columns as 'columns'".to_owned()));
        }
        columns::check_known(&self.place, "table_columns", &table_columns, &other.columns)?;
        let is_date_key = keys.mode == Some(Mode::DateKey);
        for (own, others) in columns.iter().zip(&table_columns) {
            let (own, others) = (type_of(self.own_columns(), own), type_of(&other.columns, others));
            if own != others {
                return Err(self.wrong(format!("a column of type {own} cannot lead to one of type {others}")));
            }
            if is_date_key && (own != ColumnType::Date || columns.len() > 1) {
                return Err(self.wrong("mode = \"date_key\" is for one column of type date".to_owned()));
            }
        }
        let filter = keys.filter.as_ref().map(|text| self.condition("where", text)).transpose()?;
        let mode = if is_date_key { RelationshipMode::DateWithin } else { RelationshipMode::Key };
        Ok(Relationship { columns, table: table.clone(), table_columns, filter, mode })
    }

    fn row_count(&self) -> Result<RowCount, DefinitionError> {
        let TestKeys { min, max, ratio_to, min_ratio, max_ratio, .. } = self.keys;
        let has_ratio = min_ratio.is_some() || max_ratio.is_some();
        if min.is_none() && max.is_none() && !has_ratio {
            return Err(self.wrong("it needs at least one of min, max, min_ratio and max_ratio".to_owned()));
        }
        if has_ratio != ratio_to.is_some() {
            return Err(self.wrong("'ratio_to' belongs together with min_ratio or max_ratio".to_owned()));
        }
        let usable = |ratio: &f64| ratio.is_finite() && *ratio >= 0.0;
        if min > &max.or(*min)
            || !min_ratio.iter().chain(max_ratio).all(usable)
            || min_ratio > &max_ratio.or(*min_ratio)
        {
            return Err(self.wrong("the least is more than the most, or a ratio is below 0".to_owned()));
        }
        let ratio = ratio_to.as_deref().map(|to| self.ratio_to(to)).transpose()?;
        let ratio = ratio.map(|to| Ratio { to, min: *min_ratio, max: *max_ratio });
        Ok(RowCount { min: *min, max: *max, ratio })
    }

    fn ratio_to(&self, text: &str) -> Result<RatioTo, DefinitionError> {
        if text == LAST_RELEASE {
            return Ok(RatioTo::LastRelease);
        }
        let name: TableName =
            text.parse().map_err(|error| self.wrong(format!("ratio_to: {error}, or \"{LAST_RELEASE}\"")))?;
        schema_of(&self.place, &name, self.tables)?;
        Ok(RatioTo::Table(name))
    }
}

fn type_of(columns: &[Column], name: &str) -> ColumnType {
    columns.iter().find(|column| column.name == name).map_or(ColumnType::Text, |column| column.data_type)
}

fn accepted(data_type: ColumnType, value: &toml::Value) -> Option<AcceptedValue> {
    use toml::Value;
    match (data_type, value) {
        (ColumnType::Text, Value::String(text)) => Some(AcceptedValue::Text(text.clone())),
        (ColumnType::Long, Value::Integer(number)) => Some(AcceptedValue::Long(*number)),
        (ColumnType::Bool, Value::Boolean(truth)) => Some(AcceptedValue::Bool(*truth)),
        (ColumnType::Date, Value::Datetime(day)) if day.time.is_none() => {
            day.to_string().parse().ok().map(AcceptedValue::Date)
        }
        _ => None,
    }
}
