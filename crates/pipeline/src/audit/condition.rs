//! A SQL expression over one row of a table.

use std::ops::ControlFlow;

use chrono::NaiveDate;
use sqlparser::ast::{Expr, Query, Visit, Visitor};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{DefinitionError, nearest};
use crate::model;
use crate::schema::Column;

/// A SQL expression over one row that is true, false or NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    place: String,
    text: String,
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
        let mut parser =
            Parser::new(&GenericDialect {}).try_with_sql(text).map_err(|e| invalid(format!("{key}: {e}")))?;
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
        model::render(place, text, NaiveDate::MIN)?;
        let used = columns.iter().filter(|column| used.names.contains(&column.name));
        let columns = used.map(|column| column.name.clone()).collect();
        Ok(Self { place: place.to_owned(), text: text.trim().to_owned(), columns })
    }

    /// The expression with the run's date in its place.
    ///
    /// # Errors
    /// None beyond those of the definition's own check.
    pub fn render(&self, as_of: NaiveDate) -> Result<String, DefinitionError> {
        model::render(&self.place, &self.text, as_of)
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
