//! What can be wrong with definitions. Every message names the file, and the line where there is one.

use std::path::PathBuf;

/// A pipeline, customer or project file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not valid TOML, or has an unknown key or a value of the wrong type.
    #[error("{file}:{line}:{column}: {message}")]
    Toml {
        /// The file, relative to the pipeline or project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The nearest known key or value.
        nearest: Option<String>,
    },
    /// A `kind` that the layer does not know.
    #[error("{file}: kind = \"{kind}\" is not a kind of {layer} table; known kinds: {known}")]
    UnknownKind {
        /// The file.
        file: String,
        /// What it says.
        kind: String,
        /// The layer of the table.
        layer: String,
        /// The kinds of that layer.
        known: String,
    },
    /// A query that does not parse, or is not one query.
    #[error("{file}: {message}")]
    Sql {
        /// The `.sql` file.
        file: String,
        /// What the parser says, with its line and column.
        message: String,
    },
    /// A table whose kind needs SQL has none.
    #[error("{file} is missing: a table of kind {kind} is a query, which stands in this file")]
    MissingSql {
        /// The `.sql` file that should be there.
        file: String,
        /// The table's kind.
        kind: String,
    },
    /// An `.sql` file belongs to no table that is a query.
    #[error("{file} belongs to no table: expected {expected} beside it, of a kind that is a query")]
    SurplusSql {
        /// The `.sql` file.
        file: String,
        /// The `.toml` file that should be beside it.
        expected: String,
    },
    /// A file in a pipeline folder that is neither a definition nor a query.
    #[error(
        "{file} has no place in a pipeline: expected pipeline.toml, bronze/, silver/ and gold/ with <table>.toml, and \
         tests/ with <name>.sql"
    )]
    Misplaced {
        /// The file.
        file: String,
    },
    /// A table is built from a table that the pipeline does not have.
    #[error("{file}: there is no table {reference}")]
    UnknownTable {
        /// The file that refers to it.
        file: String,
        /// The table referred to.
        reference: String,
        /// The table with the most similar name.
        nearest: Option<String>,
    },
    /// Something names a source that the pipeline does not have.
    #[error("{place}: there is no source '{name}' in the pipeline {pipeline}")]
    UnknownSource {
        /// The file with line and column, or the option, that names it.
        place: String,
        /// The source named.
        name: String,
        /// The pipeline.
        pipeline: String,
        /// The source with the most similar name.
        nearest: Option<String>,
    },
    /// A key, rule or option names a column that the table does not have.
    #[error("{file}: {place} names the column '{column}', which the table does not have")]
    UnknownColumn {
        /// The file.
        file: String,
        /// Which option names it.
        place: String,
        /// The column.
        column: String,
        /// The column with the most similar name.
        nearest: Option<String>,
    },
    /// An expression over a row that is not one.
    #[error("{file}: {place}: {message}")]
    Expression {
        /// The file with line and column within the expression.
        file: String,
        /// The rule, or `where`.
        place: String,
        /// What is wrong.
        message: String,
        /// The column or function with the most similar name.
        nearest: Option<String>,
    },
    /// A customer's rule that is neither one of the pipeline's nor complete.
    #[error(
        "{place}: the pipeline has no rule '{name}' to change; a new one needs an expression and a severity of warn, \
         reject or fail"
    )]
    UnknownRule {
        /// The file with line and column.
        place: String,
        /// The rule.
        name: String,
        /// The rule with the most similar name.
        nearest: Option<String>,
    },
    /// Two options of a file contradict each other, or a value is out of its range.
    #[error("{file}: {message}")]
    Contradiction {
        /// The file.
        file: String,
        /// What contradicts what.
        message: String,
    },
    /// A reference to an environment variable that cannot be replaced. The variable's value is never shown.
    #[error("{file}: {key} refers to the environment variable {reference}, which {problem}")]
    Variable {
        /// The file.
        file: String,
        /// The key whose value refers to it.
        key: String,
        /// The reference as written.
        reference: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Tables that are built from each other.
    #[error("these tables are built from each other, so none can be first: {}", tables.join(" -> "))]
    Cycle {
        /// The tables in the order of the cycle.
        tables: Vec<String>,
    },
    /// A customer id that is none.
    #[error("'{id}' is not a customer id: 1 to 63 characters a-z, 0-9, '-' and '_', the first a letter or digit")]
    InvalidCustomerId {
        /// The text given.
        id: String,
    },
}

impl DefinitionError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Toml { nearest, .. }
            | Self::UnknownTable { nearest, .. }
            | Self::UnknownSource { nearest, .. }
            | Self::Expression { nearest, .. }
            | Self::UnknownRule { nearest, .. }
            | Self::UnknownColumn { nearest, .. } => nearest.as_ref().map(|name| format!("did you mean '{name}'?")),
            _ => None,
        }
    }
}

/// The candidate most similar to `name`, if any is similar enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many similar names are worth reading.
const FEW: usize = 3;

/// The candidates that may be meant by `name`, the most similar first; at most three, and only those that are nearly as
/// similar as the first.
pub fn nearest_few<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let similar = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let mut similar: Vec<(f64, &str)> = similar.filter(|(similarity, _)| *similarity > 0.75).collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let best = similar.first().map_or(0.0, |(similarity, _)| *similarity);
    let close = similar.into_iter().take_while(|(similarity, _)| best - similarity < 0.05);
    close.take(FEW).map(|(_, name)| name.to_owned()).collect()
}
