//! Rule expressions: one scalar SQL expression over a row, as a Polars expression.

use chrono::{NaiveDate, NaiveDateTime};
use medallion_pipeline::{TableName, TableSchema, nearest};
use polars::prelude::*;
use sqlparser::ast::{self, BinaryOperator, UnaryOperator};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::column::data_type;
use crate::error::SilverError;

/// Checks that `text` is a condition over the columns of `schema`, without data.
pub(crate) fn check(text: &str, place: &str, schema: &TableSchema) -> Result<(), SilverError> {
    let expression = parse(text, place, schema)?;
    let fields =
        schema.columns.iter().map(|column| Field::new(column.name.as_str().into(), data_type(column.data_type)));
    let nothing = DataFrame::empty_with_schema(&fields.collect::<Schema>());
    let translator = Translator { place, schema };
    let result = nothing.lazy().select([expression.alias("holds")]).collect();
    let result = result.map_err(|error| translator.error(format!("'{text}' cannot be evaluated: {error}")))?;
    match result.dtypes().first() {
        Some(DataType::Boolean | DataType::Null) => Ok(()),
        _ => Err(translator.error(format!("'{text}' is not a condition that is true or false"))),
    }
}

/// Turns `text` into an expression over the columns of `schema`; `place` is what messages call it.
pub(crate) fn parse(text: &str, place: &str, schema: &TableSchema) -> Result<Expr, SilverError> {
    let translator = Translator { place, schema };
    let syntax = |error: sqlparser::parser::ParserError| translator.error(error.to_string());
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).map_err(syntax)?;
    let expression = parser.parse_expr().map_err(syntax)?;
    match parser.peek_token().token {
        Token::EOF => translator.translate(&expression),
        surplus => Err(translator.error(format!("expected one expression, found '{surplus}' after it in '{text}'"))),
    }
}

struct Translator<'a> {
    place: &'a str,
    schema: &'a TableSchema,
}

impl Translator<'_> {
    fn error(&self, message: String) -> SilverError {
        SilverError::Expression { table: self.table(), place: self.place.to_owned(), message, nearest: None }
    }

    fn table(&self) -> TableName {
        self.schema.name.clone()
    }

    fn translate(&self, expression: &ast::Expr) -> Result<Expr, SilverError> {
        use ast::Expr as Sql;
        Ok(match expression {
            Sql::Nested(inner) => self.translate(inner)?,
            Sql::Identifier(name) => self.column(&name.value)?,
            Sql::Value(value) => self.value(&value.value)?,
            Sql::TypedString(text) => self.typed(text)?,
            Sql::IsNull(inner) => self.translate(inner)?.is_null(),
            Sql::IsNotNull(inner) => self.translate(inner)?.is_not_null(),
            Sql::IsTrue(inner) => self.translate(inner)?.fill_null(lit(false)),
            Sql::IsFalse(inner) => self.translate(inner)?.not().fill_null(lit(false)),
            Sql::UnaryOp { op: UnaryOperator::Not, expr } => self.translate(expr)?.not(),
            Sql::UnaryOp { op: UnaryOperator::Minus, expr } => lit(0_i64) - self.translate(expr)?,
            Sql::BinaryOp { left, op, right } => self.binary(left, op, right)?,
            Sql::InList { expr, list, negated } => {
                let tested = self.translate(expr)?;
                let mut any = lit(false);
                for item in list {
                    any = any.or(tested.clone().eq(self.translate(item)?));
                }
                if *negated { any.not() } else { any }
            }
            Sql::Between { expr, negated, low, high } => {
                let tested = self.translate(expr)?;
                let inside = tested.clone().gt_eq(self.translate(low)?).and(tested.lt_eq(self.translate(high)?));
                if *negated { inside.not() } else { inside }
            }
            Sql::Function(function) => self.function(function)?,
            other => return Err(self.error(format!("'{other}' is not supported in an expression over a row"))),
        })
    }

    fn binary(&self, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr) -> Result<Expr, SilverError> {
        let (left, right) = (self.translate(left)?, self.translate(right)?);
        Ok(match op {
            BinaryOperator::Eq => left.eq(right),
            BinaryOperator::NotEq => left.neq(right),
            BinaryOperator::Lt => left.lt(right),
            BinaryOperator::LtEq => left.lt_eq(right),
            BinaryOperator::Gt => left.gt(right),
            BinaryOperator::GtEq => left.gt_eq(right),
            BinaryOperator::And => left.and(right),
            BinaryOperator::Or => left.or(right),
            BinaryOperator::Plus => left + right,
            BinaryOperator::Minus => left - right,
            BinaryOperator::Multiply => left * right,
            BinaryOperator::StringConcat => concat_str([left, right], "", false),
            other => return Err(self.error(format!("the operator {other} is not supported"))),
        })
    }

    fn column(&self, name: &str) -> Result<Expr, SilverError> {
        if self.schema.columns.iter().any(|column| column.name == name) {
            return Ok(col(name));
        }
        Err(SilverError::Expression {
            table: self.table(),
            place: self.place.to_owned(),
            message: format!("there is no column '{name}'"),
            nearest: nearest(name, self.schema.columns.iter().map(|column| column.name.as_str())),
        })
    }

    fn value(&self, value: &ast::Value) -> Result<Expr, SilverError> {
        Ok(match value {
            ast::Value::Number(number, _) => match number.parse::<i64>() {
                Ok(whole) => lit(whole),
                Err(_) => lit(number.parse::<f64>().map_err(|_| self.error(format!("{number} is not a number")))?),
            },
            ast::Value::SingleQuotedString(text) => lit(text.clone()),
            ast::Value::Boolean(truth) => lit(*truth),
            ast::Value::Null => lit(NULL),
            other => return Err(self.error(format!("{other} is not a supported constant"))),
        })
    }

    fn typed(&self, typed: &ast::TypedString) -> Result<Expr, SilverError> {
        let ast::Value::SingleQuotedString(text) = &typed.value.value else {
            return Err(self.error(format!("{typed} is not a supported constant")));
        };
        let unreadable = || self.error(format!("{typed} cannot be read"));
        match typed.data_type {
            ast::DataType::Date => text.parse::<NaiveDate>().map(lit).map_err(|_| unreadable()),
            ast::DataType::Timestamp(..) => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
                .map(|moment| lit(moment).cast(DataType::Datetime(TimeUnit::Microseconds, None)))
                .map_err(|_| unreadable()),
            _ => Err(self.error(format!("{typed}: constants can be DATE '...' and TIMESTAMP '...'"))),
        }
    }

    fn function(&self, function: &ast::Function) -> Result<Expr, SilverError> {
        let name = function.name.to_string().to_lowercase();
        let arguments = self.arguments(function)?;
        match (name.as_str(), arguments.as_slice()) {
            ("date_part", [ast::Expr::Value(part), of]) => {
                let part = part.to_string().trim_matches('\'').to_lowercase();
                let of = self.translate(of)?.dt();
                Ok(match part.as_str() {
                    "year" => of.year().cast(DataType::Int64),
                    "month" => of.month().cast(DataType::Int64),
                    "day" => of.day().cast(DataType::Int64),
                    other => return Err(self.error(format!("date_part knows year, month and day, not '{other}'"))),
                })
            }
            ("lower", [text]) => Ok(self.translate(text)?.str().to_lowercase()),
            ("upper", [text]) => Ok(self.translate(text)?.str().to_uppercase()),
            ("length" | "char_length" | "character_length", [text]) => {
                Ok(self.translate(text)?.str().len_chars().cast(DataType::Int64))
            }
            ("coalesce", several) if !several.is_empty() => {
                let several = several.iter().map(|one| self.translate(one)).collect::<Result<Vec<_>, _>>()?;
                Ok(coalesce(&several))
            }
            _ => {
                Err(self.error(format!("'{function}': the functions are date_part, lower, upper, length and coalesce")))
            }
        }
    }

    fn arguments(&self, function: &ast::Function) -> Result<Vec<ast::Expr>, SilverError> {
        let ast::FunctionArguments::List(list) = &function.args else { return Ok(Vec::new()) };
        let plain = |argument: &ast::FunctionArg| match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expression)) => Ok(expression.clone()),
            other => Err(self.error(format!("the argument '{other}' is not supported"))),
        };
        list.args.iter().map(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use medallion_pipeline::{ColumnType, Layer};

    fn schema() -> TableSchema {
        let column = |name: &str, data_type| medallion_pipeline::Column::new(name, data_type, "x");
        TableSchema {
            name: TableName::new(Layer::Silver, "t"),
            description: "x".to_owned(),
            columns: vec![column("a", ColumnType::Long), column("b", ColumnType::Long), column("s", ColumnType::Text)],
            partition_columns: Vec::new(),
        }
    }

    fn evaluate(expression: &str) -> Vec<Option<bool>> {
        let frame = df!("a" => [Some(1_i64), Some(5), None], "b" => [Some(2_i64), Some(4), Some(1)],
                        "s" => [Some("x"), None, Some("Yes")])
        .unwrap();
        let result = frame.lazy().select([parse(expression, "rule r", &schema()).unwrap().alias("r")]).collect();
        result.unwrap().column("r").unwrap().bool().unwrap().iter().collect()
    }

    #[test]
    fn expressions_follow_sql_with_its_nulls() {
        let (t, f, n) = (Some(true), Some(false), None);
        assert_eq!(evaluate("a >= b"), [f, t, n]);
        assert_eq!(evaluate("a >= b OR s IS NOT NULL"), [t, t, t]);
        assert_eq!(evaluate("s NOT IN ('x', 'y')"), [f, n, t]);
        assert_eq!(evaluate("NOT (a + 1 = b) AND b <> 4"), [f, f, n]);
        assert_eq!(evaluate("b BETWEEN 2 AND 3"), [t, f, f]);
        assert_eq!(evaluate("lower(coalesce(s, 'NONE')) = 'none'"), [f, t, f]);
    }

    #[test]
    fn what_is_no_condition_is_refused_before_there_are_data() {
        check("a > b", "rule r", &schema()).unwrap();
        for text in ["a + 1", "a = 'x'", "lower(a) = 'x'"] {
            let error = check(text, "rule r", &schema()).unwrap_err().to_string();
            assert!(error.starts_with("silver/t.toml: rule r: ") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_is_no_expression_over_the_row_is_refused() {
        for (text, part) in [
            ("a >=", "Expected"),
            ("a > 1; DROP TABLE x", "expected one expression"),
            ("missing > 1", "there is no column 'missing'"),
            ("(SELECT 1) = a", "not supported"),
            ("random() > a", "the functions are"),
        ] {
            let error = parse(text, "rule r", &schema()).unwrap_err().to_string();
            assert!(error.starts_with("silver/t.toml: rule r: ") && error.contains(part), "{text}: {error}");
        }
    }
}
