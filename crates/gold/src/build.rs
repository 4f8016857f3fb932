//! The query of each kind of gold table: the model's own query, wrapped into what a star schema needs.

use std::fmt::Write as _;

use chrono::NaiveDate;
use indexmap::IndexMap;
use medallion_pipeline::columns::RUN_ID;
use medallion_pipeline::definition::{Definition, Dimension, Fact, FiscalYearTable, History, QueryColumn};
use medallion_pipeline::{Column, ColumnType, Pipeline, Table, TableName, TableSchema};

use crate::error::GoldError;
use crate::fiscal_year::FiscalYears;
use crate::literal::{MISSING_DAY, missing, sql_type, unknown};

/// What the queries of one run have in common.
#[derive(Debug, Clone)]
pub struct GoldOptions {
    /// The run's date.
    pub as_of: NaiveDate,
    /// The customer's fiscal years.
    pub fiscal_years: FiscalYears,
    /// The run.
    pub run_id: String,
}

/// The query that gives a gold table's rows, as its definition, its SQL and its kind say.
///
/// # Errors
/// If a value in the definition does not fit its column, or the table is not a gold table.
pub fn query(pipeline: &Pipeline, table: &Table, options: &GoldOptions) -> Result<String, GoldError> {
    let model = match &table.model {
        Some(model) => model.render(options.as_of),
        None => String::new(),
    };
    let builder = Builder { table: &table.name, conformed: &pipeline.conformed_keys, model, options };
    match &table.definition {
        Definition::Dimension(dimension) => builder.dimension(dimension),
        Definition::Fact(fact) => builder.fact(fact),
        Definition::History(history) => builder.history(history),
        Definition::Bridge(bridge) => builder.bridge(&bridge.columns),
        Definition::FiscalYears(years) => builder.fiscal_years(years),
        _ => Err(GoldError::NotGold { table: table.name.clone() }),
    }
}

/// What the SQL of a gold table has to return: the declared columns without those the builder adds.
#[must_use]
pub fn model_schema(table: &Table) -> TableSchema {
    let (keys, columns, added, inputs): (&[String], &[QueryColumn], Vec<&String>, &[String]) = match &table.definition {
        Definition::Dimension(dimension) => (&[], &dimension.columns, Vec::new(), &[]),
        Definition::Bridge(bridge) | Definition::Query(bridge) => (&[], &bridge.columns, Vec::new(), &[]),
        Definition::Fact(fact) => (&fact.keys, &fact.columns, fact.fiscal_years.keys().collect(), &[]),
        Definition::History(history) => {
            let own = [&history.year_label, &history.year_number, &history.status.column];
            let added = own.into_iter().chain(history.fiscal_years.keys()).collect();
            (&history.keys, &history.columns, added, &history.inputs)
        }
        _ => (&[], &[], Vec::new(), &[]),
    };
    let key = |key: &String| Column::new(key, ColumnType::Long, "key");
    let returned = columns.iter().filter(|column| !added.contains(&&column.name));
    let mut schema =
        TableSchema { columns: keys.iter().map(key).collect(), partition_columns: vec![], ..table.schema.clone() };
    schema.columns.extend(returned.map(|column| Column::new(&column.name, column.data_type, &column.description)));
    // Inputs have no declared type; anything can be shown as text.
    schema.columns.extend(inputs.iter().map(|input| Column::new(input, ColumnType::Text, "input")));
    schema
}

struct Builder<'a> {
    table: &'a TableName,
    conformed: &'a [Column],
    model: String,
    options: &'a GoldOptions,
}

impl Builder<'_> {
    fn dimension(&self, dimension: &Dimension) -> Result<String, GoldError> {
        let mut sql =
            format!("{}\nSELECT {} FROM model", self.with_model(), self.columns(&dimension.columns)?.join(", "));
        if dimension.unknown_member {
            write_union(&mut sql, &self.unknown_member(&dimension.columns)?);
        }
        Ok(sql)
    }

    fn fact(&self, fact: &Fact) -> Result<String, GoldError> {
        let mut columns = self.keys(&fact.keys);
        columns.extend(self.with_fiscal_years(&fact.columns, &fact.fiscal_years)?);
        columns.push(self.run_id());
        Ok(format!("{}\nSELECT {} FROM model", self.with_model(), columns.join(", ")))
    }

    fn bridge(&self, columns: &[QueryColumn]) -> Result<String, GoldError> {
        Ok(format!("{}\nSELECT {} FROM model", self.with_model(), self.columns(columns)?.join(", ")))
    }

    fn fiscal_years(&self, table: &FiscalYearTable) -> Result<String, GoldError> {
        let row = |(year, start, end)| format!("('{year}', DATE '{start}', DATE '{end}')");
        let rows: Vec<String> = self.options.fiscal_years.all().map(row).collect();
        let names = format!("{}, {}, {}", table.label, table.start_date, table.end_date);
        let mut sql = format!(
            "SELECT {} FROM (VALUES {}) AS model ({names})",
            self.columns(&table.columns)?.join(", "),
            rows.join(", ")
        );
        write_union(&mut sql, &self.unknown_member(&table.columns)?);
        Ok(sql)
    }

    /// A row per thing and year in which it was open. Years are expanded with `unnest`, not joined: a range join would
    /// compare every row with every year.
    fn history(&self, history: &History) -> Result<String, GoldError> {
        let years = self.options.fiscal_years;
        let (began, completed) = (&history.began, &history.completed);
        let last = years.last().min(years.number(self.options.as_of));
        let is_completed = format!("({completed} IS NOT NULL AND {completed} <> {MISSING_DAY})");
        let from = format!(
            "greatest(coalesce(CASE WHEN {began} = {MISSING_DAY} THEN NULL ELSE {} END, {first}), {first})",
            years.number_sql(began),
            first = years.first(),
        );
        let until = format!(
            "CASE WHEN {is_completed} THEN least({}, CAST({last} AS BIGINT)) ELSE CAST({last} AS BIGINT) END",
            years.number_sql(completed)
        );
        let mut sql = self.with_model();
        let _ = write!(
            sql,
            ",\nopen AS (SELECT *, {is_completed} AS is_completed, {from} AS first_year, {until} AS last_year FROM model),\n\
             expanded AS (SELECT *, unnest(range(first_year, last_year + 1)) AS snapshot_year FROM open \
             WHERE first_year <= last_year),\n\
             years AS (SELECT *, {} AS year_start, {} AS year_end FROM expanded)",
            years.start_sql("snapshot_year"),
            years.end_sql("snapshot_year"),
        );
        self.history_rows(&mut sql, history)?;
        Ok(sql)
    }

    /// Only what can differ between the rows of a thing is aggregated; constants and what follows from the year are put
    /// around it, since the maximum of a text over millions of groups is what a history costs most.
    fn history_rows(&self, sql: &mut String, history: &History) -> Result<(), GoldError> {
        let mut inner: Vec<String> = history.keys.iter().map(|name| supplied_key(name)).collect();
        let mut names: Vec<&String> = history.keys.iter().collect();
        let mut outer: Vec<String> = self.conformed.iter().map(|key| outer_key(key, &history.keys)).collect();
        for column in &history.columns {
            let name = &column.name;
            if *name == history.year_label {
                outer.push(format!("CAST(snapshot_year AS VARCHAR) AS {name}"));
                continue;
            } else if *name == history.year_number {
                outer.push(format!("snapshot_year AS {name}"));
                continue;
            } else if *name == history.status.column {
                inner.push(format!("{} AS {name}", history.status.expression.trim()));
            } else {
                inner.extend(self.with_fiscal_years(std::slice::from_ref(column), &history.fiscal_years)?);
            }
            names.push(name);
            outer.push(name.clone());
        }
        let maximum = |name: &&&String| !history.key.contains(name);
        let maxima: Vec<String> = names.iter().filter(maximum).map(|name| format!("max({name}) AS {name}")).collect();
        let key = history.key.join(", ");
        let _ = write!(
            sql,
            ",\nrows AS (SELECT snapshot_year, {} FROM years),\n\
             things AS (SELECT {key}, snapshot_year, {} FROM rows GROUP BY {key}, snapshot_year)\n\
             SELECT {}, {} FROM things",
            inner.join(", "),
            maxima.join(", "),
            outer.join(", "),
            self.run_id()
        );
        Ok(())
    }

    /// The model begins on the first line, so that errors name the lines of its own file.
    fn with_model(&self) -> String {
        format!("WITH model AS ({}\n)", self.model)
    }

    fn run_id(&self) -> String {
        format!("'{}' AS {RUN_ID}", self.options.run_id)
    }

    /// The conformed keys, -1 where the model has none.
    fn keys(&self, supplied: &[String]) -> Vec<String> {
        let key = |key: &Column| {
            let name = &key.name;
            if supplied.contains(name) { supplied_key(name) } else { absent_key(name) }
        };
        self.conformed.iter().map(key).collect()
    }

    /// Columns of the model with missing values replaced, and the run.
    fn columns(&self, columns: &[QueryColumn]) -> Result<Vec<String>, GoldError> {
        let mut list = columns.iter().map(|column| self.column(column)).collect::<Result<Vec<_>, _>>()?;
        list.push(self.run_id());
        Ok(list)
    }

    fn column(&self, column: &QueryColumn) -> Result<String, GoldError> {
        let (name, data_type) = (&column.name, sql_type(column.data_type));
        Ok(match missing(self.table, column)? {
            Some(value) => format!("coalesce(CAST({name} AS {data_type}), CAST({value} AS {data_type})) AS {name}"),
            None => format!("CAST({name} AS {data_type}) AS {name}"),
        })
    }

    /// Columns, of which some are labels of fiscal years.
    fn with_fiscal_years(
        &self,
        columns: &[QueryColumn],
        labels: &IndexMap<String, String>,
    ) -> Result<Vec<String>, GoldError> {
        let column = |column: &QueryColumn| match labels.get(&column.name) {
            Some(day) => Ok(format!("{} AS {}", self.options.fiscal_years.label_sql(day), column.name)),
            None => self.column(column),
        };
        columns.iter().map(column).collect()
    }

    fn unknown_member(&self, columns: &[QueryColumn]) -> Result<Vec<String>, GoldError> {
        let value = |column: &QueryColumn| {
            let value = unknown(self.table, column)?;
            Ok(format!("CAST({value} AS {}) AS {}", sql_type(column.data_type), column.name))
        };
        let mut row = columns.iter().map(value).collect::<Result<Vec<_>, GoldError>>()?;
        row.push(self.run_id());
        Ok(row)
    }
}

fn supplied_key(name: &str) -> String {
    format!("coalesce(CAST({name} AS BIGINT), -1) AS {name}")
}

fn absent_key(name: &str) -> String {
    format!("CAST(-1 AS BIGINT) AS {name}")
}

fn outer_key(key: &Column, supplied: &[String]) -> String {
    if supplied.contains(&key.name) { key.name.clone() } else { absent_key(&key.name) }
}

fn write_union(sql: &mut String, row: &[String]) {
    let _ = write!(sql, "\nUNION ALL\nSELECT {}", row.join(", "));
}
