//! A SQL expression over one row of a table.

use std::ops::ControlFlow;

use chrono::NaiveDate;
use sqlparser::ast::{Expr, Query, Visit, Visitor};
use sqlparser::tokenizer::Token;

use crate::error::{DefinitionError, nearest};
use crate::schema::Column;
use crate::sql_text::SqlText;

/// A SQL expression over one row that is true, false or NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    sql: SqlText,
    /// The columns it uses, in the order of the table.
    pub columns: Vec<String>,
}

impl Condition {
    /// Reads an expression; `place` is the file with the line of its test, `key` what it is called there.
    ///
    /// # Errors
    /// If it does not parse, uses a column that the table does not have, holds a query, or uses a parameter other than
    /// `$as_of`.
    pub(crate) fn parse(place: &str, key: &str, text: &str, columns: &[Column]) -> Result<Self, DefinitionError> {
        let invalid = |message: String| DefinitionError::Sql { file: place.to_owned(), message };
        let (sql, mut parser) = SqlText::read(text.trim()).map_err(|error| invalid(format!("{key}: {error}")))?;
        let expression = parser.parse_expr().map_err(|error| invalid(format!("{key}: {error}")))?;
        let rest = parser.next_token();
        if rest.token != Token::EOF {
            return Err(invalid(format!("{key}: expected one expression, found '{}' after it", rest.token)));
        }
        let mut used = Used::default();
        if let ControlFlow::Break(problem) = expression.visit(&mut used) {
            return Err(invalid(format!("{key}: {problem}")));
        }
        if let Some(unknown) = used.names.iter().find(|name| !columns.iter().any(|column| column.name == **name)) {
            let names = columns.iter().map(|column| column.name.as_str());
            return Err(DefinitionError::UnknownColumn {
                file: place.to_owned(),
                place: key.to_owned(),
                column: unknown.clone(),
                nearest: nearest(unknown, names),
            });
        }
        let used = columns.iter().filter(|column| used.names.contains(&column.name));
        let columns = used.map(|column| column.name.clone()).collect();
        Ok(Self { sql, columns })
    }

    /// The expression with the run's date in its place.
    #[must_use]
    pub fn render(&self, as_of: NaiveDate) -> String {
        self.sql.at(as_of)
    }
}

/// Collects the columns an expression uses.
#[derive(Default)]
struct Used {
    names: Vec<String>,
}

impl Visitor for Used {
    type Break = String;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
        ControlFlow::Break(
            "an expression is about one row; what needs a query belongs into tests/<name>.sql".to_owned(),
        )
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<String> {
        match expression {
            Expr::Identifier(name) => self.names.push(name.value.clone()),
            Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
                return ControlFlow::Break(format!("'{expression}': a column stands without its table's name"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
