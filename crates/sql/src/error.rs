//! What can go wrong with a query, in words of tables and columns.

use std::fmt;

use datafusion::common::{Diagnostic, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use medallion_pipeline::{TableName, nearest};

/// What a query is for: a table's definition or somebody's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The query that makes a table.
    Table(TableName),
    /// An ad-hoc query.
    Query,
    /// What data tests look at, in words.
    Tests(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "{name}"),
            Self::Query => f.write_str("query"),
            Self::Tests(what) => f.write_str(what),
        }
    }
}

/// A place in a query; both count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// What went wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The engine could not be set up.
    #[error("the SQL engine could not be started: {message}")]
    Setup {
        /// What the engine said.
        message: String,
    },
    /// A file or folder is at an address the engine cannot use.
    #[error("{table}: {location} cannot be used as a place for Parquet files: {message}")]
    Location {
        /// The table.
        table: TableName,
        /// The address.
        location: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file's value of a partition column is missing or not of the column's type.
    #[error("{table}: the file {location} has no usable value for the partition column '{column}': {message}")]
    PartitionValue {
        /// The table.
        table: TableName,
        /// The file.
        location: String,
        /// The partition column.
        column: String,
        /// What is wrong with the value.
        message: String,
    },
    /// The text is not SQL.
    #[error("{subject}{}: the SQL cannot be read: {message}", at(*.position))]
    Parse {
        /// What the query is for.
        subject: Subject,
        /// Where reading stopped.
        position: Option<Position>,
        /// What the parser expected.
        message: String,
    },
    /// The text has no statement or several.
    #[error("{subject}: expected exactly one query, found {count} statements")]
    StatementCount {
        /// What the query is for.
        subject: Subject,
        /// How many statements were found.
        count: usize,
    },
    /// The statement would do something else than return rows.
    #[error("{subject}: only a query is allowed here (SELECT, WITH or VALUES), not {statement}")]
    NotAQuery {
        /// What the query is for.
        subject: Subject,
        /// The refused statement's first word.
        statement: String,
    },
    /// The query reads a table that does not exist.
    #[error("{subject}{}: there is no table '{name}'", at(*.position))]
    UnknownTable {
        /// What the query is for.
        subject: Subject,
        /// Where the table is named.
        position: Option<Position>,
        /// The name as written.
        name: String,
        /// The most similar table.
        nearest: Option<String>,
        /// All tables.
        valid: Vec<String>,
    },
    /// The query uses a column that does not exist.
    #[error("{subject}{}: there is no column '{name}'", at(*.position))]
    UnknownColumn {
        /// What the query is for.
        subject: Subject,
        /// Where the column is named.
        position: Option<Position>,
        /// The name as written.
        name: String,
        /// The most similar column.
        nearest: Option<String>,
        /// All columns that can be used there.
        valid: Vec<String>,
    },
    /// A column name could mean columns of several tables.
    #[error("{subject}{}: the column '{name}' is in several of the joined tables", at(*.position))]
    AmbiguousColumn {
        /// What the query is for.
        subject: Subject,
        /// Where the column is named.
        position: Option<Position>,
        /// The name as written.
        name: String,
    },
    /// The query cannot be planned for another reason: unknown functions, wrong types, missing GROUP BY columns.
    #[error("{subject}{}: {message}", at(*.position))]
    Plan {
        /// What the query is for.
        subject: Subject,
        /// Where, as far as known.
        position: Option<Position>,
        /// What the planner said.
        message: String,
    },
    /// The query does not return a declared column.
    #[error("{table}: the query does not return the declared column '{column}'")]
    MissingColumn {
        /// The table.
        table: TableName,
        /// The declared column.
        column: String,
        /// The most similar column among those the query returns beyond the declared ones.
        nearest: Option<String>,
    },
    /// The query returns a column that is not declared.
    #[error("{table}: the query returns the column '{column}', which the table does not declare")]
    SurplusColumn {
        /// The table.
        table: TableName,
        /// The undeclared column.
        column: String,
        /// The most similar declared column.
        nearest: Option<String>,
    },
    /// The query returns two columns of one name.
    #[error("{table}: the query returns two columns called '{column}'")]
    DuplicateColumn {
        /// The table.
        table: TableName,
        /// The name.
        column: String,
    },
    /// A column's type can never be turned into the declared one.
    #[error("{table}: the query returns the column '{column}' as {from}, which cannot become the declared {to}")]
    CastType {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The type the query returns.
        from: String,
        /// The declared type.
        to: String,
    },
    /// A value of a column cannot be turned into the declared type.
    #[error("{table}: the column '{column}' is declared {to}, but at least {rows} of its {from} values are not that")]
    Cast {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The type the query returns.
        from: String,
        /// The declared type.
        to: String,
        /// Values seen that cannot be cast.
        rows: usize,
    },
    /// The query needs more memory than it may use.
    #[error("{subject}: not enough memory{}: {message}", limit_of(*.limit))]
    Memory {
        /// What the query is for.
        subject: Subject,
        /// The limit in bytes.
        limit: Option<usize>,
        /// Which operator failed.
        message: String,
    },
    /// A file of a table cannot be read.
    #[error("{subject}: a table's file cannot be read: {message}")]
    Read {
        /// What the query is for.
        subject: Subject,
        /// Which file and why.
        message: String,
    },
    /// The result cannot be written.
    #[error("{table}: the result cannot be written to {location}: {message}")]
    Write {
        /// The table.
        table: TableName,
        /// The folder.
        location: String,
        /// Why.
        message: String,
    },
    /// A value made the query fail while it ran: a failing CAST, a division by zero.
    #[error("{subject}: the query failed while running: {message}")]
    Execution {
        /// What the query is for.
        subject: Subject,
        /// What the engine said.
        message: String,
    },
}

fn at(position: Option<Position>) -> String {
    position.map_or_else(String::new, |at| format!(" (line {}, column {})", at.line, at.column))
}

fn limit_of(limit: Option<usize>) -> String {
    limit.map_or_else(String::new, |bytes| format!(" within the limit of {} MiB", bytes.div_ceil(1024 * 1024)))
}

impl SqlError {
    /// What to try, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownTable { nearest, valid, .. } | Self::UnknownColumn { nearest, valid, .. } => {
                Some(suggestion(nearest.as_deref(), valid))
            }
            Self::MissingColumn { column, nearest, .. } => Some(nearest.as_ref().map_or_else(
                || format!("add '{column}' to the SELECT list or remove it from the table's columns"),
                |nearest| format!("the query returns '{nearest}': write it AS {column}, or declare that name"),
            )),
            Self::SurplusColumn { column, nearest, .. } => Some(nearest.as_ref().map_or_else(
                || format!("declare '{column}' in the table's columns or remove it from the SELECT list"),
                |nearest| format!("the table declares '{nearest}'; did you mean that?"),
            )),
            Self::DuplicateColumn { column, .. } => Some(format!("give one '{column}' another name with AS")),
            Self::AmbiguousColumn { name, .. } => Some(format!("write the table's alias before it: alias.{name}")),
            Self::NotAQuery { .. } | Self::StatementCount { .. } => {
                Some("tables change only by a run; write one SELECT".to_owned())
            }
            Self::CastType { to, .. } | Self::Cast { to, .. } => Some(format!(
                "make it {to} in the query (TRY_CAST gives NULL for what does not fit), or declare its type"
            )),
            Self::Memory { .. } => {
                Some("raise --memory-limit, or lower --jobs so that fewer tables share it".to_owned())
            }
            _ => None,
        }
    }

    /// The error without its place, where the query is not a person's own text.
    pub(crate) fn without_position(mut self) -> Self {
        match &mut self {
            Self::Parse { position, .. }
            | Self::UnknownTable { position, .. }
            | Self::UnknownColumn { position, .. }
            | Self::AmbiguousColumn { position, .. }
            | Self::Plan { position, .. } => *position = None,
            _ => {}
        }
        self
    }

    /// Sorts an error that came up before the query ran.
    pub(crate) fn planning(subject: &Subject, error: &DataFusionError, tables: &[String]) -> Self {
        let position = error.diagnostic().and_then(position_of);
        let subject = subject.clone();
        match first(error).find_root() {
            DataFusionError::SQL(parser, _) => Self::parsing(subject, parser),
            DataFusionError::SchemaError(schema, _) => Self::schema(subject, position, schema),
            root => {
                let message = root.message().into_owned();
                match unknown_table(&message) {
                    Some(name) => {
                        let nearest = nearest_table(&name, tables);
                        Self::UnknownTable { subject, position, name, nearest, valid: tables.to_vec() }
                    }
                    None => Self::Plan { subject, position, message },
                }
            }
        }
    }

    /// Sorts an error that came up while the query ran.
    pub(crate) fn running(subject: &Subject, error: &DataFusionError, limit: Option<usize>) -> Self {
        let root = first(error).find_root();
        let (subject, message) = (subject.clone(), message_of(root));
        match root {
            DataFusionError::ResourcesExhausted(detail) => Self::Memory { subject, limit, message: detail.clone() },
            DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
                Self::Read { subject, message }
            }
            _ => Self::Execution { subject, message },
        }
    }

    fn parsing(subject: Subject, error: &ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => "the query is nested too deeply",
        };
        match text.split_once(" at Line: ").and_then(|(message, at)| Some((message, line_and_column(at)?))) {
            Some((message, position)) => Self::Parse { subject, position: Some(position), message: message.to_owned() },
            None => Self::Parse { subject, position: None, message: text.to_owned() },
        }
    }

    fn schema(subject: Subject, position: Option<Position>, error: &SchemaError) -> Self {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let nearest = nearest(&field.name, valid_fields.iter().map(|valid| valid.name.as_str()));
                let valid = valid_fields.iter().map(|valid| valid.flat_name()).collect();
                Self::UnknownColumn { subject, position, name: field.flat_name(), nearest, valid }
            }
            SchemaError::AmbiguousReference { field } => {
                Self::AmbiguousColumn { subject, position, name: field.name.clone() }
            }
            other => Self::Plan { subject, position, message: other.to_string() },
        }
    }
}

fn suggestion(nearest: Option<&str>, valid: &[String]) -> String {
    const SHOWN: usize = 40;
    let mut names = valid.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if valid.len() > SHOWN {
        names.push_str(", ...");
    }
    match nearest {
        Some(nearest) => format!("did you mean '{nearest}'? There are: {names}"),
        None if valid.is_empty() => "there are none here".to_owned(),
        None => format!("there are: {names}"),
    }
}

fn first(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Collection(errors) => errors.first().map_or(error, first),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => first(inner),
        DataFusionError::Shared(inner) => first(inner),
        other => other,
    }
}

/// The engine's words without its request to report a bug.
fn message_of(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.split("\nThis issue was likely caused by").next().unwrap_or(&text).to_owned()
}

fn position_of(diagnostic: &Diagnostic) -> Option<Position> {
    let start = diagnostic.span?.start;
    Some(Position { line: u32::try_from(start.line).ok()?, column: u32::try_from(start.column).ok()? })
}

fn line_and_column(text: &str) -> Option<Position> {
    let (line, column) = text.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Position { line: line.trim().parse().ok()?, column: digits.parse().ok()? })
}

/// The table's name as its user wrote it, from the planner's message.
fn unknown_table(message: &str) -> Option<String> {
    let resolved = message.strip_prefix("table '")?.strip_suffix("' not found")?;
    let name = resolved.strip_prefix("datafusion.").unwrap_or(resolved);
    Some(name.strip_prefix("public.").unwrap_or(name).to_owned())
}

fn nearest_table(name: &str, tables: &[String]) -> Option<String> {
    if name.contains('.') {
        return nearest(name, tables.iter().map(String::as_str));
    }
    let own_name = |table: &String| table.split_once('.').map_or(table.clone(), |(_, own)| own.to_owned());
    let own_names = tables.iter().map(own_name).collect::<Vec<_>>();
    let similar = nearest(name, own_names.iter().map(String::as_str))?;
    own_names.iter().position(|own| *own == similar).and_then(|index| tables.get(index).cloned())
}
