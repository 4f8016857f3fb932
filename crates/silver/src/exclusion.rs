//! Rows that a customer leaves out of its tables.

use std::collections::HashSet;

use medallion_pipeline::definition::{Cleanse, Excluded, ExcludedValue};
use polars::prelude::*;

use crate::cleanse::Work;
use crate::counts::Effect;

/// Takes the rows out and returns them, column by column; a row with several such values counts at the first of them.
pub(crate) fn leave_out(definition: &Cleanse, work: &mut Work) -> PolarsResult<DataFrame> {
    let mut all = work.frame.clear();
    for Excluded { column, values } in &definition.exclude {
        let stays = stays(work.frame.column(column)?, values)?;
        let excluded = work.keep(&stays)?;
        work.sums.excluded += excluded.height() as u64;
        work.counts.add("exclude", Some(column), Effect::Removed, excluded.height() as u64);
        all = all.vstack(&excluded)?;
    }
    Ok(all)
}

/// Rows with none of the values.
fn stays(column: &Column, values: &[ExcludedValue]) -> PolarsResult<BooleanChunked> {
    if column.dtype() == &DataType::Int64 {
        let numbers = values.iter().filter_map(|value| match value {
            ExcludedValue::Long(number) => Some(*number),
            ExcludedValue::Text(_) => None,
        });
        let numbers: HashSet<i64> = numbers.collect();
        return Ok(column.i64()?.iter().map(|value| value.is_none_or(|value| !numbers.contains(&value))).collect());
    }
    let texts = values.iter().filter_map(|value| match value {
        ExcludedValue::Text(text) => Some(text.as_str()),
        ExcludedValue::Long(_) => None,
    });
    let texts: HashSet<&str> = texts.collect();
    Ok(column.str()?.iter().map(|value| value.is_none_or(|value| !texts.contains(value))).collect())
}
