//! Conditions over one row: SQL in a definition, a checked tree for whoever evaluates it.
//!
//! The language is a part of DataFusion's: what is in [`Function`], with the NULLs of SQL. Everything is checked
//! against the columns of the table when definitions are read, so that evaluating it over rows cannot fail.

mod checker;
mod functions;
mod interval;
#[cfg(test)]
mod tests;

use chrono::{NaiveDate, NaiveDateTime};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::schema::{Column, ColumnType};
use checker::Checker;

/// The type of a value while an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// NULL of no type in particular.
    Null,
    /// True or false.
    Bool,
    /// 64-bit signed integer.
    Long,
    /// 64-bit floating point; decimals are read as such.
    Double,
    /// UTF-8 text.
    Text,
    /// A calendar day.
    Date,
    /// Wall time in microseconds.
    Timestamp,
}

impl ValueType {
    /// The type of a column's values.
    #[must_use]
    pub fn of(column: ColumnType) -> Self {
        match column {
            ColumnType::Long => Self::Long,
            ColumnType::Double | ColumnType::Decimal { .. } => Self::Double,
            ColumnType::Text => Self::Text,
            ColumnType::Bool => Self::Bool,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp | ColumnType::TimestampUtc => Self::Timestamp,
        }
    }

    /// The name as pipelines write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool => "bool",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
}

/// A value written in the expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// Another number.
    Double(f64),
    /// A text.
    Text(String),
    /// A day.
    Date(NaiveDate),
    /// A moment of wall time.
    Timestamp(NaiveDateTime),
}

/// The side of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Both ends.
    Both,
    /// The beginning.
    Leading,
    /// The end.
    Trailing,
}

/// A part of a date or time, as a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The year.
    Year,
    /// 1 to 4.
    Quarter,
    /// 1 to 12.
    Month,
    /// The week of ISO 8601, 1 to 53.
    Week,
    /// Day of the month.
    Day,
    /// 0 is Sunday.
    DayOfWeek,
    /// 1 is 1 January.
    DayOfYear,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
}

/// What a timestamp is cut to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 1 January.
    Year,
    /// The first day of the quarter.
    Quarter,
    /// The first day of the month.
    Month,
    /// Monday.
    Week,
    /// Midnight.
    Day,
    /// The full hour.
    Hour,
    /// The full minute.
    Minute,
    /// The full second.
    Second,
}

/// What is done with values. NULL in, NULL out, where nothing else is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// NOT.
    Not,
    /// AND of two: false if one is false, else NULL if one is NULL.
    And,
    /// OR of two: true if one is true, else NULL if one is NULL.
    Or,
    /// IS NULL: never NULL.
    IsNull,
    /// Two values are the same.
    Equal,
    /// The first is less than the second.
    Less,
    /// The first is less than the second or the same.
    LessOrEqual,
    /// IS NOT DISTINCT FROM: a NULL is the same as a NULL; never NULL.
    Same,
    /// Sum of two numbers.
    Add,
    /// Difference of two numbers.
    Subtract,
    /// Product of two numbers.
    Multiply,
    /// Quotient of two doubles.
    Divide,
    /// `||` of texts.
    Join,
    /// The text matches a regular expression, which is made of a LIKE pattern.
    Matches(String),
    /// The text begins with the other.
    StartsWith,
    /// The text ends with the other.
    EndsWith,
    /// The other is somewhere in the text.
    Contains,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
    /// Characters of a text.
    Length,
    /// Without these characters at its ends.
    Trim(Side, String),
    /// Characters of a text: how many to leave out, how many to take.
    Substring(u64, Option<u64>),
    /// Rounded to so many digits after the point, halves away from zero.
    Round(u8),
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
    /// A part of a date or timestamp.
    DatePart(Part),
    /// A timestamp cut to a unit.
    DateTrunc(Unit),
    /// A date or timestamp moved by an interval.
    Shift(Interval),
    /// The first value that is not NULL.
    Coalesce,
}

/// A span of time. First months count, on the last day of the month where it would be beyond it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i64,
    /// Microseconds; 0 where a date is moved.
    pub microseconds: i64,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A column as [`ValueType::of`] its type.
    Column(String, ValueType),
    /// A constant.
    Constant(Constant),
    /// A function of values of the types it takes.
    Call(Function, Vec<Node>),
    /// The value of the first branch whose condition is true, else the last one.
    Case(Vec<(Node, Node)>, Box<Node>),
    /// A value as another type, from what to what; NULL where a text is none of that.
    Cast(Box<Node>, ValueType, ValueType),
}

/// A mistake in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line in the expression, from 1.
    pub line: u64,
    /// Character in that line, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// The nearest column or function.
    pub nearest: Option<String>,
}

impl Mistake {
    fn at(location: Location, message: impl Into<String>) -> Self {
        let Location { line, column } = location;
        Self { line: line.max(1), column: column.max(1), message: message.into(), nearest: None }
    }

    /// The parser writes the place at the end of what it says.
    fn syntax(error: &ParserError) -> Self {
        const PLACE: &str = " at Line: ";
        let (ParserError::ParserError(text) | ParserError::TokenizerError(text)) = error else {
            return Self::at(Location::new(1, 1), error.to_string());
        };
        let Some((message, place)) = text.rsplit_once(PLACE) else { return Self::at(Location::new(1, 1), text) };
        let (line, column) = place.split_once(", Column: ").unwrap_or((place, ""));
        Self::at(Location::new(line.parse().unwrap_or(1), column.parse().unwrap_or(1)), message)
    }
}

/// Reads a condition over a row with the given columns: one SQL expression that is true, false or NULL.
///
/// # Errors
/// If it does not parse, uses a column that is not there, or something that an expression over a row has not.
pub fn condition(text: &str, columns: &[Column]) -> Result<Node, Mistake> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).map_err(|error| Mistake::syntax(&error))?;
    let expression = parser.parse_expr().map_err(|error| Mistake::syntax(&error))?;
    let surplus = parser.peek_token();
    if surplus.token != Token::EOF {
        let message = format!("expected one expression, found '{}' after it", surplus.token);
        return Err(Mistake::at(surplus.span.start, message));
    }
    Checker { columns }.condition(&expression)
}
