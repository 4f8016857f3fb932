//! The rules engine: one batch of one source becomes a silver table.
//!
//! The rules run in the order of their numbers: 1 trim, 2 null markers, 3 value map, 4 cast (all in `column`), then
//! here 5 required, 6 business rules, 7 exact duplicates, 8 key, 9 date keys.

use medallion_pipeline::columns::{DATE_KEY_SUFFIX, RUN_ID};
use medallion_pipeline::definition::{Cleanse, CleanseColumn, Severity};
use medallion_pipeline::{Reject, TableFiles, TableName, TableSchema};
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;
use url::Url;

use crate::column::{self, Cleansed};
use crate::counts::{Counts, Effect, RuleCount, RuleFinding, SAMPLES};
use crate::error::SilverError;
use crate::upsert::{BATCH, DELETED};
use crate::{exclusion, expression, parquet_file};

/// Where a row came from, in the frame that is worked on.
const FILE: &str = "_source_file";
const ROW: &str = "_source_row";
/// The place of a row in file order.
pub(crate) const ORDER: &str = "_order";

/// How the rows of a batch add up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Rows of the batch in bronze.
    pub rows_in: u64,
    /// Rows of the table.
    pub rows_out: u64,
    /// Exact duplicates.
    pub duplicates: u64,
    /// Rows set aside.
    pub rejected: u64,
    /// Rows of the same thing that another table keeps.
    pub further: u64,
    /// Rows that do not belong to the table.
    pub filtered: u64,
    /// Rows that the customer leaves out.
    pub excluded: u64,
}

impl Sums {
    /// Rows that are somewhere, or left out for a reason; as many as came in.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.rows_out + self.duplicates + self.rejected + self.further + self.filtered + self.excluded
    }
}

/// What cleansing a batch did.
#[derive(Debug)]
pub struct CleanseReport {
    /// The sums; they add up.
    pub sums: Sums,
    /// What each rule touched, in the order of the rules.
    pub rules: Vec<RuleCount>,
    /// Rules that touched rows without setting them aside.
    pub findings: Vec<RuleFinding>,
    /// Rows set aside.
    pub rejects: Vec<Reject>,
}

/// One table to cleanse.
#[derive(Debug)]
pub struct CleanseTask<'a> {
    /// The definition.
    pub definition: &'a Cleanse,
    /// The silver table's schema.
    pub schema: &'a TableSchema,
    /// The current batch in bronze.
    pub batch: &'a TableFiles,
    /// Its id.
    pub batch_id: &'a str,
    /// The run.
    pub run_id: &'a str,
}

impl CleanseTask<'_> {
    /// Writes the table into `area`.
    ///
    /// # Errors
    /// If files cannot be read or written, a `fail` rule is broken, or the sums do not add up.
    pub fn stage(&self, area: &Url) -> Result<CleanseReport, SilverError> {
        let mut work = self.typed()?;
        exclusion::leave_out(self.definition, &mut work).map_err(self.failed("leave rows out"))?;
        self.filter(&mut work)?;
        self.required(&mut work, |_| true)?;
        self.business_rules(&mut work)?;
        self.duplicates(&mut work)?;
        self.one_row_per_key(&mut work)?;
        self.write(&mut work, area)?;
        let Work { sums, counts: Counts { rules, findings }, rejects, .. } = work;
        if sums.accounted() != sums.rows_in || rejects.len() as u64 != sums.rejected {
            return Err(SilverError::Conservation { table: self.table().clone(), sums: Box::new(sums) });
        }
        Ok(CleanseReport { sums, rules, findings, rejects })
    }

    pub(crate) fn table(&self) -> &TableName {
        &self.schema.name
    }

    pub(crate) fn failed(&self, action: &'static str) -> impl Fn(PolarsError) -> SilverError + use<> {
        let table = self.schema.name.clone();
        move |source| SilverError::Polars { table: table.clone(), action, source }
    }

    /// Rules 1 to 4, column by column.
    pub(crate) fn typed(&self) -> Result<Work, SilverError> {
        let sources: Vec<&CleanseColumn> =
            self.definition.columns.iter().filter(|column| column.hash_of.is_none()).collect();
        let cleansed = sources.par_iter().map(|column| self.cleanse_column(column)).collect::<Result<Vec<_>, _>>()?;
        let mut counts = Counts::default();
        let mut columns = Vec::with_capacity(cleansed.len() + 3);
        for (column, cleansed) in sources.iter().zip(cleansed) {
            counts.column(&column.name, &cleansed);
            columns.push(cleansed.values);
        }
        let origin = parquet_file::read(self.batch, &[FILE, ROW])?;
        let rows = origin.height();
        columns.extend(origin.columns().iter().cloned());
        columns.push(Column::new(ORDER.into(), (0..rows as u64).collect::<Vec<_>>()));
        let mut frame = DataFrame::new(rows, columns).map_err(self.failed("assemble its columns"))?;
        for column in &self.definition.columns {
            if let Some(hashed) = &column.hash_of {
                let texts = frame.column(hashed).and_then(|texts| texts.str().cloned());
                let texts = texts.map_err(self.failed("hash a column"))?;
                let hashes: Vec<Option<i64>> = texts.iter().map(|text| text.map(column::hash_63)).collect();
                frame.with_column(Column::new(column.name.as_str().into(), hashes)).map_err(self.failed("hash"))?;
            }
        }
        let sums = Sums { rows_in: rows as u64, ..Sums::default() };
        let shared = frame.clear();
        Ok(Work { frame, shared, sums, counts, rejects: Vec::new(), batch_ids: Vec::new() })
    }

    fn cleanse_column(&self, column: &CleanseColumn) -> Result<Cleansed, SilverError> {
        let from = column.from.as_deref().unwrap_or(&column.name);
        let text = parquet_file::read(self.batch, &[from])?;
        let failed = self.failed("cleanse a column");
        let text = text.column(from).and_then(|text| text.str().cloned()).map_err(&failed)?;
        column::cleanse(&text, column, &self.definition.null_markers).map_err(failed)
    }

    /// Takes out and returns rows that belong to another table.
    pub(crate) fn filter(&self, work: &mut Work) -> Result<DataFrame, SilverError> {
        let Some(filter) = &self.definition.filter else { return Ok(work.frame.clear()) };
        let kept = self.condition(filter, "where")?.fill_null(lit(false));
        let mask = work.evaluate(kept).map_err(self.failed("evaluate where"))?;
        let others = work.keep(&mask).map_err(self.failed("apply where"))?;
        work.sums.filtered += others.height() as u64;
        work.counts.add("where", None, Effect::Removed, others.height() as u64);
        Ok(others)
    }

    fn condition(&self, text: &str, place: &str) -> Result<Expr, SilverError> {
        expression::condition(text, place, self.definition, self.table())
    }

    /// Rule 5: a row without a value in a required column, of those it applies to, is set aside.
    pub(crate) fn required(
        &self,
        work: &mut Work,
        applies: impl Fn(&CleanseColumn) -> bool,
    ) -> Result<(), SilverError> {
        for column in self.definition.columns.iter().filter(|column| applies(column)) {
            if !self.definition.requires(column) {
                continue;
            }
            let mask = work.frame.column(&column.name).map_err(self.failed("look for missing values"))?.is_not_null();
            if mask.all() {
                continue;
            }
            let rejected = work.keep(&mask).map_err(self.failed("set rows aside"))?;
            work.counts.add("required", Some(&column.name), Effect::Rejected, rejected.height() as u64);
            let reason = format!("{} is missing or not readable as {}", column.name, column.data_type);
            self.reject(work, &rejected, Some(&column.name), "required", &reason)?;
        }
        Ok(())
    }

    /// Rule 6: expressions over the row.
    pub(crate) fn business_rules(&self, work: &mut Work) -> Result<(), SilverError> {
        for rule in &self.definition.rules {
            let expression = self.condition(&rule.expression, &format!("rule {}", rule.name))?;
            let failed = self.failed("evaluate a rule");
            let mask = work.evaluate(expression.fill_null(lit(true))).map_err(&failed)?;
            let rows = mask.len() as u64 - u64::from(mask.sum().unwrap_or(0));
            work.counts.business_rule(&rule.name, rule.severity, rows);
            if rows == 0 {
                continue;
            }
            let broken = work.frame.filter(&!&mask).map_err(&failed)?;
            let samples = places(&broken.head(Some(SAMPLES))).map_err(&failed)?;
            match rule.severity {
                Severity::Warn => {
                    work.counts.findings.push(RuleFinding { rule: rule.name.clone(), column: None, rows, samples });
                }
                Severity::Reject => {
                    work.keep(&mask).map_err(&failed)?;
                    let reason = format!("does not satisfy {}", rule.expression);
                    self.reject(work, &broken, None, &rule.name, &reason)?;
                }
                Severity::Fail => {
                    let place = samples.into_iter().next().unwrap_or_default();
                    let (table, rule) = (self.table().clone(), rule.name.clone());
                    return Err(SilverError::RuleFailed { table, rule, rows, place });
                }
            }
        }
        Ok(())
    }

    /// Rule 7: of rows that are the same in every column the first stays. Where there is a key, only rows that share
    /// one can be the same.
    pub(crate) fn duplicates(&self, work: &mut Work) -> Result<(), SilverError> {
        let failed = self.failed("look for duplicates");
        let all = self.definition.columns.iter().map(|column| column.name.as_str());
        let all: Vec<String> = all.chain(work.apart([BATCH, DELETED])).map(str::to_owned).collect();
        let (alone, shared) = work.by_key(&self.key(work)).map_err(&failed)?;
        let first = shared.unique_stable(Some(&all), UniqueKeepStrategy::First, None).map_err(&failed)?;
        work.sums.duplicates += (shared.height() - first.height()) as u64;
        work.counts.add("duplicate", None, Effect::Removed, work.sums.duplicates);
        work.frame = alone;
        work.shared = first;
        Ok(())
    }
}

impl CleanseTask<'_> {
    /// What only one row may have: the key, within its batch.
    fn key(&self, work: &Work) -> Vec<String> {
        self.definition.key.iter().map(String::as_str).chain(work.apart([BATCH])).map(str::to_owned).collect()
    }

    /// Rule 8: of rows with one key the last in file order stays, or the one with the lowest value of a column; of
    /// increments a row that deletes comes after all values.
    pub(crate) fn one_row_per_key(&self, work: &mut Work) -> Result<(), SilverError> {
        let failed = self.failed("look for duplicate keys");
        let key = &self.key(work);
        if !key.is_empty() && work.shared.height() > 0 {
            let same_thing: Vec<String> =
                key.iter().chain(self.definition.keep.iter().map(|keep| &keep.lowest)).cloned().collect();
            let last = work.shared.unique_stable(Some(&same_thing), UniqueKeepStrategy::Last, None).map_err(&failed)?;
            let rejected = without(&work.shared, &last).map_err(&failed)?;
            work.counts.add("duplicate_key", None, Effect::Rejected, rejected.height() as u64);
            let reason = format!("a later row of the export has the same {}", self.definition.key.join(", "));
            self.reject(work, &rejected, None, "duplicate_key", &reason)?;
            work.shared = match &self.definition.keep {
                None => last,
                Some(keep) => {
                    let options = SortMultipleOptions::new().with_nulls_last(true).with_maintain_order(true);
                    let by: Vec<&str> = work.apart([DELETED]).chain([keep.lowest.as_str(), ORDER]).collect();
                    let sorted = last.sort(by, options).map_err(&failed)?;
                    let lowest = sorted.unique_stable(Some(key), UniqueKeepStrategy::First, None).map_err(&failed)?;
                    work.sums.further += (last.height() - lowest.height()) as u64;
                    lowest
                }
            };
        }
        work.unite().map_err(failed)
    }

    /// Rule 9, then the file.
    pub(crate) fn write(&self, work: &mut Work, area: &Url) -> Result<(), SilverError> {
        let failed = self.failed("assemble its columns");
        let mut columns = Vec::with_capacity(self.schema.columns.len());
        for column in &self.schema.columns {
            let name = column.name.as_str();
            columns.push(if name == RUN_ID {
                Column::new_scalar(name.into(), Scalar::from(PlSmallStr::from_str(self.run_id)), work.frame.height())
            } else if let Some(timestamp) = self.date_key_of(name) {
                let timestamps = work.frame.column(timestamp).map_err(&failed)?;
                work.counts.add("date_key", Some(name), Effect::Changed, timestamps.null_count() as u64);
                date_key(timestamps, name).map_err(&failed)?
            } else {
                work.frame.column(name).map_err(&failed)?.clone()
            });
        }
        let mut frame = DataFrame::new(work.frame.height(), columns).map_err(failed)?;
        work.sums.rows_out = frame.height() as u64;
        if frame.height() == 0 { Ok(()) } else { parquet_file::write(self.table(), &mut frame, area) }
    }

    fn date_key_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let timestamp = name.strip_suffix(DATE_KEY_SUFFIX)?;
        self.definition.columns.iter().any(|column| column.date_key && column.name == timestamp).then_some(timestamp)
    }

    fn reject(
        &self,
        work: &mut Work,
        rows: &DataFrame,
        column: Option<&str>,
        rule: &str,
        reason: &str,
    ) -> Result<(), SilverError> {
        work.sums.rejected += rows.height() as u64;
        if rows.height() == 0 {
            return Ok(());
        }
        let raw = self.raw(rows)?;
        let failed = self.failed("set rows aside");
        let files = rows.column(FILE).and_then(|files| files.str().cloned()).map_err(&failed)?;
        let numbers = rows.column(ROW).and_then(|numbers| numbers.i64().cloned()).map_err(&failed)?;
        let batches = work.batches_of(rows, self.batch_id).map_err(&failed)?;
        for (((file, number), raw), batch_id) in files.iter().zip(numbers.iter()).zip(raw).zip(batches) {
            work.rejects.push(Reject {
                batch_id,
                source: self.definition.source.clone(),
                file: file.unwrap_or_default().to_owned(),
                row: number.unwrap_or_default(),
                column: column.map(str::to_owned),
                rule: rule.to_owned(),
                reason: reason.to_owned(),
                raw,
            });
        }
        Ok(())
    }

    /// The rejected rows as they stand in bronze, as JSON objects.
    fn raw(&self, rows: &DataFrame) -> Result<Vec<String>, SilverError> {
        let failed = self.failed("read rejected rows");
        let names: Vec<&str> = self.batch.schema.columns.iter().map(|column| column.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !name.starts_with('_')).collect();
        let bronze = parquet_file::read(self.batch, &names)?;
        let places = rows.column(ORDER).and_then(|order| order.u64().cloned()).map_err(&failed)?;
        let texts: Vec<&StringChunked> =
            bronze.columns().iter().map(Column::str).collect::<PolarsResult<_>>().map_err(&failed)?;
        let object = |place: u64| {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let pairs = names.iter().zip(&texts).filter_map(|(name, text)| Some((*name, text.get(place)?)));
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.map(|(name, text)| (name.to_owned(), text.into())).collect();
            Reject::raw_of(&serde_json::Value::Object(object).to_string())
        };
        Ok(places.iter().flatten().map(object).collect())
    }
}

/// A table while the rules run over it.
pub(crate) struct Work {
    /// Rows that are still in; while duplicates are looked for, those that share their key with no other.
    pub(crate) frame: DataFrame,
    /// Rows that share their key with others; empty outside rules 7 and 8.
    pub(crate) shared: DataFrame,
    pub(crate) sums: Sums,
    pub(crate) counts: Counts,
    pub(crate) rejects: Vec<Reject>,
    /// Of increments the batches, whose places here are in the column [`BATCH`]; none of a snapshot.
    pub(crate) batch_ids: Vec<String>,
}

impl Work {
    /// The columns that tell rows of increments apart; none of a snapshot.
    fn apart<'c>(&self, columns: impl IntoIterator<Item = &'c str>) -> impl Iterator<Item = &'c str> {
        let increments = !self.batch_ids.is_empty();
        columns.into_iter().filter(move |_| increments)
    }

    /// The batch of each row; `only` where there is but one.
    fn batches_of(&self, rows: &DataFrame, only: &str) -> PolarsResult<Vec<String>> {
        if self.batch_ids.is_empty() {
            return Ok(vec![only.to_owned(); rows.height()]);
        }
        let id = |place: Option<u32>| self.batch_ids.get(place? as usize).cloned();
        Ok(rows.column(BATCH)?.u32()?.iter().map(|place| id(place).unwrap_or_default()).collect())
    }

    fn evaluate(&self, expression: Expr) -> PolarsResult<BooleanChunked> {
        let result = self.frame.clone().lazy().select([expression.alias("holds")]).collect()?;
        let holds = result.column("holds")?.bool()?.clone();
        // A constant expression gives one value for all rows.
        let rows = self.frame.height();
        Ok(if holds.len() == rows {
            holds
        } else {
            BooleanChunked::full("holds".into(), holds.get(0) == Some(true), rows)
        })
    }

    /// Keeps the rows of the mask and returns the others.
    pub(crate) fn keep(&mut self, mask: &BooleanChunked) -> PolarsResult<DataFrame> {
        let others = self.frame.filter(&!mask)?;
        if others.height() > 0 {
            self.frame = self.frame.filter(mask)?;
        }
        Ok(others)
    }

    /// Splits the rows into those whose key no other row has and the rest; without key all are the rest.
    fn by_key(&self, key: &[String]) -> PolarsResult<(DataFrame, DataFrame)> {
        if key.is_empty() {
            return Ok((self.frame.clear(), self.frame.clone()));
        }
        let keys = self.frame.select(key.iter().map(String::as_str).chain([ORDER]))?;
        let alone = keys.unique_stable(Some(key), UniqueKeepStrategy::None, None)?;
        if alone.height() == self.frame.height() {
            return Ok((self.frame.clone(), self.frame.clear()));
        }
        let mask = members(&self.frame, &alone)?;
        Ok((self.frame.filter(&mask)?, self.frame.filter(&!mask)?))
    }

    /// Brings all rows together in file order.
    fn unite(&mut self) -> PolarsResult<()> {
        if self.shared.height() > 0 {
            self.frame = self.frame.vstack(&self.shared)?.sort([ORDER], SortMultipleOptions::new())?;
            self.shared = self.shared.clear();
        }
        Ok(())
    }
}

/// Which rows of `frame` are also in `part`, by their place in file order.
fn members(frame: &DataFrame, part: &DataFrame) -> PolarsResult<BooleanChunked> {
    let places: std::collections::HashSet<u64> = part.column(ORDER)?.u64()?.iter().flatten().collect();
    let order = frame.column(ORDER)?.u64()?;
    Ok(order.iter().map(|place| place.is_some_and(|place| places.contains(&place))).collect())
}

fn without(frame: &DataFrame, part: &DataFrame) -> PolarsResult<DataFrame> {
    frame.filter(&!members(frame, part)?)
}

/// File and record of each row, for messages.
fn places(rows: &DataFrame) -> PolarsResult<Vec<String>> {
    let (files, numbers) = (rows.column(FILE)?.str()?, rows.column(ROW)?.i64()?);
    let place = |(file, number): (Option<&str>, Option<i64>)| {
        format!("{} record {}", file.unwrap_or_default(), number.unwrap_or_default())
    };
    Ok(files.iter().zip(numbers.iter()).map(place).collect())
}

/// The day of a timestamp, 1900-01-01 where it is missing.
fn date_key(timestamp: &Column, name: &str) -> PolarsResult<Column> {
    /// 1900-01-01 in days since 1970-01-01.
    const MISSING: i32 = -25_567;
    let days = timestamp.cast(&DataType::Date)?.cast(&DataType::Int32)?;
    let days: Vec<i32> = days.i32()?.iter().map(|day| day.unwrap_or(MISSING)).collect();
    Column::new(name.into(), days).cast(&DataType::Date)
}

#[cfg(test)]
#[path = "cleanse_tests.rs"]
mod tests;
