//! Conditions of a definition as expressions of Polars.

use chrono::{Months, NaiveDateTime, TimeDelta};
use medallion_pipeline::definition::Cleanse;
use medallion_pipeline::expression::{self, Constant, Function, Interval, Node, Part, Side, Unit, ValueType};
use medallion_pipeline::{ColumnType, TableName};
use polars::prelude::*;

use crate::column::data_type;
use crate::error::SilverError;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// The condition that `text` is over the columns of a table; `place` is what messages call it.
pub(crate) fn condition(text: &str, place: &str, cleanse: &Cleanse, table: &TableName) -> Result<Expr, SilverError> {
    let node = expression::condition(text, &cleanse.own_columns());
    let node = node.map_err(|mistake| SilverError::Expression {
        table: table.clone(),
        place: place.to_owned(),
        message: mistake.message,
        nearest: mistake.nearest,
    })?;
    Ok(translate(&node))
}

fn translate(node: &Node) -> Expr {
    match node {
        Node::Column(name, _) => col(name.as_str()),
        Node::Constant(constant) => literal(constant),
        Node::Call(function, arguments) => call(function, arguments.iter().map(translate).collect()),
        Node::Case(branches, otherwise) => branches.iter().rev().fold(translate(otherwise), |otherwise, branch| {
            when(translate(&branch.0)).then(translate(&branch.1)).otherwise(otherwise)
        }),
        Node::Cast(of, from, to) => cast(translate(of), *from, *to),
    }
}

fn literal(constant: &Constant) -> Expr {
    match constant {
        Constant::Null => lit(NULL),
        Constant::Bool(truth) => lit(*truth),
        Constant::Long(number) => lit(*number),
        Constant::Double(number) => lit(*number),
        Constant::Text(text) => lit(text.clone()),
        Constant::Date(date) => lit(*date),
        Constant::Timestamp(moment) => lit(*moment).cast(polars_type(ValueType::Timestamp)),
    }
}

/// Only TRY_CAST casts texts, and is NULL where they do not fit.
fn cast(value: Expr, from: ValueType, to: ValueType) -> Expr {
    if (from, to) != (ValueType::Text, ValueType::Date) {
        return value.cast(polars_type(to));
    }
    let format = Some("%Y-%m-%d".into());
    value.str().to_date(StrptimeOptions { format, strict: false, exact: true, cache: true })
}

fn polars_type(of: ValueType) -> DataType {
    data_type(match of {
        ValueType::Null => return DataType::Null,
        ValueType::Bool => ColumnType::Bool,
        ValueType::Long => ColumnType::Long,
        ValueType::Double => ColumnType::Double,
        ValueType::Text => ColumnType::Text,
        ValueType::Date => ColumnType::Date,
        ValueType::Timestamp => ColumnType::Timestamp,
    })
}

fn call(function: &Function, arguments: Vec<Expr>) -> Expr {
    let mut given = arguments.into_iter();
    // The definition was checked: every function has the arguments it takes.
    let mut next = || given.next().unwrap_or_else(|| lit(NULL));
    match function {
        Function::Not => next().not(),
        Function::And => next().and(next()),
        Function::Or => next().or(next()),
        Function::IsNull => next().is_null(),
        Function::Equal => next().eq(next()),
        Function::Less => next().lt(next()),
        Function::LessOrEqual => next().lt_eq(next()),
        Function::Same => next().eq_missing(next()),
        Function::Add => next() + next(),
        Function::Subtract => next() - next(),
        Function::Multiply => next() * next(),
        Function::Divide => next() / next(),
        Function::Join => concat_str(given.collect::<Vec<_>>(), "", false),
        Function::Coalesce => coalesce(&given.collect::<Vec<_>>()),
        Function::Matches(regex) => next().str().contains(lit(regex.clone()), true),
        Function::StartsWith => next().str().starts_with(next()),
        Function::EndsWith => next().str().ends_with(next()),
        Function::Contains => next().str().contains_literal(next()),
        Function::Lower => next().str().to_lowercase(),
        Function::Upper => next().str().to_uppercase(),
        Function::Length => next().str().len_chars().cast(DataType::Int64),
        Function::Trim(side, characters) => trim(next(), *side, characters),
        Function::Substring(skip, take) => {
            let take = take.map_or_else(|| lit(NULL).cast(DataType::UInt64), lit);
            next().str().slice(lit(i64::try_from(*skip).unwrap_or(i64::MAX)), take)
        }
        Function::Round(digits) => round(next(), *digits),
        Function::Floor => doubles(next(), f64::floor),
        Function::Ceil => doubles(next(), f64::ceil),
        Function::DatePart(part) => date_part(next(), *part),
        Function::DateTrunc(unit) => next().dt().truncate(lit(every(*unit))),
        Function::Shift(interval) => shift(next(), *interval),
    }
}

fn trim(text: Expr, side: Side, characters: &str) -> Expr {
    let characters = lit(characters.to_owned());
    match side {
        Side::Both => text.str().strip_chars(characters),
        Side::Leading => text.str().strip_chars_start(characters),
        Side::Trailing => text.str().strip_chars_end(characters),
    }
}

fn every(unit: Unit) -> &'static str {
    match unit {
        Unit::Year => "1y",
        Unit::Quarter => "1q",
        Unit::Month => "1mo",
        Unit::Week => "1w",
        Unit::Day => "1d",
        Unit::Hour => "1h",
        Unit::Minute => "1m",
        Unit::Second => "1s",
    }
}

fn date_part(of: Expr, part: Part) -> Expr {
    let of = of.dt();
    let number = match part {
        Part::Year => of.year(),
        Part::Quarter => of.quarter(),
        Part::Month => of.month(),
        Part::Week => of.week(),
        Part::Day => of.day(),
        // Polars counts Monday as 1 and Sunday as 7, SQL Sunday as 0.
        Part::DayOfWeek => of.weekday().cast(DataType::Int64) % lit(7_i64),
        Part::DayOfYear => of.ordinal_day(),
        Part::Hour => of.hour(),
        Part::Minute => of.minute(),
    };
    number.cast(DataType::Int64)
}

fn doubles(of: Expr, function: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Expr {
    of.map(
        move |column| {
            let values = column.cast(&DataType::Float64)?;
            let mapped = values.f64()?.iter().map(|value| value.map(&function));
            Ok(Float64Chunked::from_iter_options(column.name().clone(), mapped).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Float64)),
    )
}

fn round(of: Expr, digits: u8) -> Expr {
    let factor = 10_f64.powi(i32::from(digits));
    doubles(of, move |value| (value * factor).round() / factor)
}

/// Moves dates and timestamps; beyond the calendar there is NULL.
fn shift(of: Expr, interval: Interval) -> Expr {
    of.map(
        move |column| {
            let to = column.dtype().clone();
            let timestamps = column.cast(&polars_type(ValueType::Timestamp))?.cast(&DataType::Int64)?;
            let moved = timestamps.i64()?.iter().map(|micros| moved(micros?, interval));
            let moved = Int64Chunked::from_iter_options(column.name().clone(), moved).into_column();
            moved.cast(&polars_type(ValueType::Timestamp))?.cast(&to)
        },
        |_, field| Ok(field.clone()),
    )
}

fn moved(micros: i64, interval: Interval) -> Option<i64> {
    let moment: NaiveDateTime = chrono::DateTime::from_timestamp_micros(micros)?.naive_utc();
    let months = Months::new(interval.months.unsigned_abs());
    let moment =
        if interval.months < 0 { moment.checked_sub_months(months) } else { moment.checked_add_months(months) };
    let days = interval.days.checked_mul(MICROSECONDS_PER_DAY)?.checked_add(interval.microseconds)?;
    Some(moment?.checked_add_signed(TimeDelta::microseconds(days))?.and_utc().timestamp_micros())
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
