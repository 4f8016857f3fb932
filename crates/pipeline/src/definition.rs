//! The TOML of a pipeline as types. `docs/pipeline.md` tells what each key means.

mod source;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::audit::{ReferenceKeys, TestKeys};
use crate::schema::{Column, ColumnType, TableName, is_identifier};

pub use source::{FileFormat, Source, SourceColumn};

/// `pipeline.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// The pipeline's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Keys that every fact carries.
    #[serde(default)]
    pub conformed_keys: Vec<KeyColumn>,
    /// Columns that lead to a dimension, in whatever gold table they are.
    #[serde(default)]
    pub references: Vec<ReferenceKeys>,
}

/// A conformed key: always a `long`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyColumn {
    /// The column's name.
    pub name: String,
    /// What it identifies.
    pub description: String,
}

fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let tags = Vec::<String>::deserialize(deserializer)?;
    match tags.iter().find(|tag| !is_identifier(tag)) {
        None => Ok(tags),
        Some(tag) => Err(serde::de::Error::custom(format!(
            "'{tag}' is not a tag: expected a name of a-z, 0-9 and '_' that starts with a letter"
        ))),
    }
}

/// The `kind` of a silver or gold table alone, read before the rest.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    pub(crate) kind: String,
}

/// A column of a table that is a query.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryColumn {
    /// The column's name.
    pub name: String,
    /// The column's type.
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// What it means, with its unit.
    pub description: String,
    /// Gold: what stands where the query returns NULL; `"null"` keeps the NULL.
    pub missing: Option<toml::Value>,
    /// Gold: what the unknown member has here.
    pub unknown: Option<toml::Value>,
}

/// How serious a broken rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Counted and reported.
    Warn,
    /// The row goes to the rejects.
    Reject,
    /// The run fails.
    Fail,
}

/// A business rule over one row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in reports and rejects.
    pub name: String,
    /// A scalar SQL expression; the rule is broken where it is false.
    pub expression: String,
    /// What happens to a row that breaks it.
    pub severity: Severity,
}

/// Spellings of whole numbers beyond plain digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// `12.0` is 12.
    DecimalPoint,
    /// `1,234` is 1234.
    ThousandsSeparator,
}

/// A column of a cleansed table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanseColumn {
    /// The column's name.
    pub name: String,
    /// The type the text is cast to.
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    /// What it means, with its unit.
    pub description: String,
    /// The bronze column, by default the one of the same name.
    pub from: Option<String>,
    /// Whether a row without a value is rejected; by default true for key columns.
    pub required: Option<bool>,
    /// Formats of dates and timestamps, tried in order before ISO 8601.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Spellings of whole numbers to accept.
    #[serde(default)]
    pub accept: Vec<Accept>,
    /// Whether the number must lie in 0..2^31-1.
    #[serde(default)]
    pub id: bool,
    /// Exact text to text, before the cast.
    #[serde(default)]
    pub values: IndexMap<String, String>,
    /// The values that are known; others are kept and reported.
    #[serde(default)]
    pub known_values: Vec<String>,
    /// Whether a `<name>_date` column is added.
    #[serde(default)]
    pub date_key: bool,
    /// Texts that mean NULL in this column.
    #[serde(default)]
    pub null_markers: Vec<String>,
    /// Another column of this table, whose hash this one is.
    pub hash_of: Option<String>,
}

/// Which of several rows with one key stays.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The one with the lowest value of this column.
    pub lowest: String,
}

/// Rows that a customer leaves out: those with one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// The column.
    pub column: String,
    /// The values, all of the column's type.
    pub values: Vec<ExcludedValue>,
}

/// A value of rows that a customer leaves out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a text, as the column's values are")]
pub enum ExcludedValue {
    /// Of a long column.
    Long(i64),
    /// Of a text column.
    Text(String),
}

/// `kind = "cleanse"`: one source, typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanse {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The source.
    pub source: String,
    /// The natural key; none keeps every row that is not an exact duplicate.
    #[serde(default)]
    pub key: Vec<String>,
    /// Which of several rows with one key stays; by default the last in file order.
    pub keep: Option<Keep>,
    /// Rows for which this does not hold do not belong to the table.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Texts that mean NULL in every column.
    #[serde(default)]
    pub null_markers: Vec<String>,
    /// The columns in order.
    pub columns: Vec<CleanseColumn>,
    /// Business rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Rows that a customer leaves out.
    #[serde(skip)]
    pub exclude: Vec<Excluded>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

impl Cleanse {
    /// The columns that rules see: those it declares, without the date keys and the run's id, which are added last.
    #[must_use]
    pub fn own_columns(&self) -> Vec<Column> {
        let column = |own: &CleanseColumn| Column::new(&own.name, own.data_type, &own.description);
        self.columns.iter().map(column).collect()
    }

    /// Whether a row without a value in the column is rejected.
    #[must_use]
    pub fn requires(&self, column: &CleanseColumn) -> bool {
        column.required.unwrap_or_else(|| self.key.contains(&column.name))
    }
}

/// `kind = "query"` and `kind = "bridge"`: columns of what the SQL beside it returns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryTable {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The columns that identify a row.
    #[serde(default)]
    pub key: Vec<String>,
    /// The columns in order.
    pub columns: Vec<QueryColumn>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// The table whose rows are the nodes of a hierarchy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// The table.
    pub table: TableName,
    /// Its id column.
    pub id: String,
}

/// The table whose rows lead from child to parent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// The table.
    pub table: TableName,
    /// The child's id.
    pub child: String,
    /// The parent's id.
    pub parent: String,
    /// What tells apart several parents of one child.
    pub label: Option<String>,
}

/// The ancestors as the source itself lists them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// Column of the nodes' table: ids from the root to the node.
    pub column: String,
    /// What stands between the ids.
    pub separator: String,
}

/// Names of the result's columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchyColumns {
    /// The descendant's id.
    pub child: String,
    /// The ancestor's id.
    pub ancestor: String,
    /// The label of the descendant's own edge.
    pub label: Option<String>,
}

fn default_max_relationships() -> u64 {
    500_000_000
}

fn default_max_depth() -> u32 {
    20
}

/// `kind = "hierarchy"`: the transitive closure of a parent column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchyTable {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// Where the nodes come from.
    pub nodes: Nodes,
    /// Where the edges come from.
    pub edges: Edges,
    /// Parent ids that mean "no parent", beside NULL.
    #[serde(default)]
    pub root_parents: Vec<i64>,
    /// The source's own ancestors, to compare with.
    pub paths: Option<Paths>,
    /// Names of the result's columns.
    pub columns: HierarchyColumns,
    /// More relationships than this are an error.
    #[serde(default = "default_max_relationships")]
    pub max_relationships: u64,
    /// A node deeper than this is a finding.
    #[serde(default = "default_max_depth")]
    pub max_depth: u32,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// `kind = "findings"`: what is odd in hierarchies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingsTable {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The hierarchies looked at.
    pub hierarchies: Vec<TableName>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// `kind = "versions"`: what each row of a cleansed table was like, and from when to when (SCD2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionsTable {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The cleansed table that is followed.
    pub of: TableName,
    /// Its columns that are not followed.
    #[serde(default)]
    pub without: Vec<String>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

fn default_true() -> bool {
    true
}

/// `kind = "dimension"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// Whether the unknown member is added.
    #[serde(default = "default_true")]
    pub unknown_member: bool,
    /// The columns in order.
    pub columns: Vec<QueryColumn>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// `kind = "fact"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The conformed keys that the query returns.
    pub keys: Vec<String>,
    /// Fiscal-year column to the date column it labels.
    #[serde(default)]
    pub fiscal_years: IndexMap<String, String>,
    /// The columns beside the conformed keys, in order.
    pub columns: Vec<QueryColumn>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// The status column of a history.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryStatus {
    /// Its name.
    pub column: String,
    /// SQL over the query's columns, `year_start`, `year_end` and `is_completed`.
    pub expression: String,
}

/// `kind = "history"`: one row per thing and fiscal year in which it was open.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The conformed keys that the query returns.
    pub keys: Vec<String>,
    /// What identifies the thing.
    pub key: Vec<String>,
    /// Date column: since when it is open.
    pub began: String,
    /// Date column: until when.
    pub completed: String,
    /// Text column with the year's label.
    pub year_label: String,
    /// Long column with the year as a number.
    pub year_number: String,
    /// Fiscal-year column to the date column it labels.
    #[serde(default)]
    pub fiscal_years: IndexMap<String, String>,
    /// The status in that year.
    pub status: HistoryStatus,
    /// Columns of the query that only the status needs.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// The columns beside the conformed keys, in order.
    pub columns: Vec<QueryColumn>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// `kind = "fiscal_years"`: a dimension of the customer's fiscal years.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiscalYearTable {
    #[serde(rename = "kind")]
    _kind: String,
    /// What a row is.
    pub description: String,
    /// What selections call it by, with `tag:`.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// Column with the year's label.
    pub label: String,
    /// Column with its first day.
    pub start_date: String,
    /// Column with its last day.
    pub end_date: String,
    /// The columns in order.
    pub columns: Vec<QueryColumn>,
    /// Data tests.
    #[serde(default)]
    pub tests: Vec<TestKeys>,
}

/// How a silver or gold table is made.
#[derive(Debug, Clone)]
pub enum Definition {
    /// Silver: one source, typed.
    Cleanse(Cleanse),
    /// Silver: a query.
    Query(QueryTable),
    /// Silver: a transitive closure.
    Hierarchy(HierarchyTable),
    /// Silver: what is odd in hierarchies.
    Findings(FindingsTable),
    /// Silver: the versions of another table's rows.
    Versions(VersionsTable),
    /// Gold: a dimension.
    Dimension(Dimension),
    /// Gold: a fact.
    Fact(Fact),
    /// Gold: a history by fiscal year.
    History(History),
    /// Gold: a bridge.
    Bridge(QueryTable),
    /// Gold: the fiscal years.
    FiscalYears(FiscalYearTable),
}

impl Definition {
    /// The `kind` as it is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cleanse(_) => "cleanse",
            Self::Query(_) => "query",
            Self::Hierarchy(_) => "hierarchy",
            Self::Findings(_) => "findings",
            Self::Versions(_) => "versions",
            Self::Dimension(_) => "dimension",
            Self::Fact(_) => "fact",
            Self::History(_) => "history",
            Self::Bridge(_) => "bridge",
            Self::FiscalYears(_) => "fiscal_years",
        }
    }

    /// The data tests as they are written.
    #[must_use]
    pub fn tests(&self) -> &[TestKeys] {
        match self {
            Self::Cleanse(table) => &table.tests,
            Self::Query(table) | Self::Bridge(table) => &table.tests,
            Self::Hierarchy(table) => &table.tests,
            Self::Findings(table) => &table.tests,
            Self::Versions(table) => &table.tests,
            Self::Dimension(table) => &table.tests,
            Self::Fact(table) => &table.tests,
            Self::History(table) => &table.tests,
            Self::FiscalYears(table) => &table.tests,
        }
    }

    /// What selections call it by.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        match self {
            Self::Cleanse(table) => &table.tags,
            Self::Query(table) | Self::Bridge(table) => &table.tags,
            Self::Hierarchy(table) => &table.tags,
            Self::Findings(table) => &table.tags,
            Self::Versions(table) => &table.tags,
            Self::Dimension(table) => &table.tags,
            Self::Fact(table) => &table.tags,
            Self::History(table) => &table.tags,
            Self::FiscalYears(table) => &table.tags,
        }
    }

    /// Whether an `.sql` file belongs to it.
    #[must_use]
    pub fn is_query(&self) -> bool {
        !matches!(
            self,
            Self::Cleanse(_) | Self::Hierarchy(_) | Self::Findings(_) | Self::Versions(_) | Self::FiscalYears(_)
        )
    }
}
