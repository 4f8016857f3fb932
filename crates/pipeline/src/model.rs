//! The SQL of a table: which tables it reads and what it says for a given date.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chrono::NaiveDate;
use sqlparser::ast::{Query, Statement, TableFactor, Visit, Visitor};

use crate::error::DefinitionError;
use crate::schema::TableName;
use crate::sql_text::SqlText;

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The file it stands in.
    pub file: String,
    /// The query as written.
    pub text: String,
    /// The tables it reads, in alphabetical order.
    pub inputs: Vec<TableName>,
    sql: SqlText,
}

impl Model {
    /// Reads a query.
    ///
    /// # Errors
    /// If it does not parse, is not one query, uses a parameter other than `$as_of`, or names a table without layer.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let invalid = |message: String| DefinitionError::Sql { file: file.to_owned(), message };
        let (sql, mut parser) = SqlText::read(text).map_err(invalid)?;
        let statements = parser.parse_statements().map_err(|error| invalid(error.to_string()))?;
        let [Statement::Query(query)] = statements.as_slice() else {
            return Err(invalid("expected exactly one query (SELECT ... or WITH ... SELECT ...)".to_owned()));
        };
        let mut relations = Relations::default();
        let _ = query.visit(&mut relations);
        let mut inputs = BTreeSet::new();
        for reference in relations.references {
            if relations.common_tables.contains(&reference) {
                continue;
            }
            inputs.insert(reference.parse().map_err(|error| invalid(format!("{error}")))?);
        }
        Ok(Self { file: file.to_owned(), text: text.to_owned(), inputs: inputs.into_iter().collect(), sql })
    }

    /// The query with the run's date in its place, without trailing semicolon.
    #[must_use]
    pub fn render(&self, as_of: NaiveDate) -> String {
        self.sql.at(as_of)
    }
}

/// Collects what a query reads and what it defines itself.
#[derive(Default)]
struct Relations {
    references: BTreeSet<String>,
    common_tables: BTreeSet<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.common_tables.extend(with.cte_tables.iter().map(|table| table.alias.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        // A table function (generate_series) looks like a table with arguments; it reads nothing.
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            self.common_tables.insert(name.to_string());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &sqlparser::ast::ObjectName) -> ControlFlow<()> {
        let parts: Vec<String> = relation
            .0
            .iter()
            .map(|part| part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone()))
            .collect();
        self.references.insert(parts.join("."));
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn inputs_are_the_tables_with_a_layer() {
        let model = Model::parse(
            "gold/x.sql",
            "WITH people AS (SELECT * FROM silver.users) SELECT * FROM people JOIN gold.dim_course USING (course_id) \
             WHERE user_id IN (SELECT user_id FROM silver.audiences)",
        )
        .unwrap();
        let names: Vec<String> = model.inputs.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["silver.audiences", "silver.users", "gold.dim_course"]);
    }

    #[test]
    fn the_date_is_put_in_but_not_into_texts_or_comments() {
        let model = Model::parse("x.sql", "SELECT '$as_of' AS a, $as_of AS b -- $as_of\nFROM silver.users;").unwrap();
        let date = NaiveDate::from_ymd_opt(2025, 6, 30).unwrap();
        assert_eq!(model.render(date), "SELECT '$as_of' AS a, DATE '2025-06-30' AS b -- $as_of\nFROM silver.users");
    }

    #[test]
    fn what_is_not_one_query_over_tables_with_layers_is_refused() {
        for (sql, part) in [
            ("SELEC 1", "Expected"),
            ("SELECT 1; SELECT 2", "exactly one query"),
            ("DROP TABLE silver.users", "exactly one query"),
            ("SELECT $today", "$today is not a parameter"),
            ("SELECT * FROM users", "'users' is not a table name"),
        ] {
            let error = Model::parse("gold/x.sql", sql).unwrap_err().to_string();
            assert!(error.starts_with("gold/x.sql: ") && error.contains(part), "{sql}: {error}");
        }
    }
}
