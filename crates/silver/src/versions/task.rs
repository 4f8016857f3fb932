//! Tables of versions: read, brought up to date with snapshots, written.

use std::collections::HashMap;

use chrono::NaiveDate;
use medallion_pipeline::columns::RUN_ID;
use medallion_pipeline::versions::{IS_CURRENT, VALID_FROM, VALID_TO};
use medallion_pipeline::{TableFiles, TableSchema};
use polars::prelude::*;
use url::Url;

use super::{Version, Versions};
use crate::error::SilverError;
use crate::parquet_file;

/// The table that is followed, as it was on a date.
#[derive(Debug)]
pub struct Snapshot {
    /// The date.
    pub date: NaiveDate,
    /// The rows.
    pub rows: Rows,
    /// What it is compared with; `None` takes it whatever it has.
    pub guard: Option<Guard>,
}

/// Where the rows of a snapshot are. There is one for each key.
#[derive(Debug)]
pub enum Rows {
    /// All rows of a table.
    All(TableFiles),
    /// Those that a table of versions has for a date.
    On(NaiveDate, TableFiles),
}

impl Rows {
    fn read(&self, columns: &[&str]) -> Result<DataFrame, SilverError> {
        let (date, table) = match self {
            Self::All(table) => return parquet_file::read(table, columns),
            Self::On(date, table) => (date.to_epoch_days(), table),
        };
        let rows = parquet_file::read(table, columns)?;
        let days = parquet_file::read(table, &[VALID_FROM, VALID_TO])?;
        let holds = || -> PolarsResult<BooleanChunked> {
            let from = days.column(VALID_FROM)?.cast(&DataType::Int32)?;
            let to = days.column(VALID_TO)?.cast(&DataType::Int32)?;
            let days = from.i32()?.iter().zip(to.i32()?.iter());
            Ok(days.map(|(from, to)| from.is_some_and(|from| from <= date) && to.is_none_or(|to| date < to)).collect())
        };
        let rows = holds().and_then(|mask| rows.filter(&mask));
        rows.map_err(|source| SilverError::Polars {
            table: table.schema.name.clone(),
            action: "look for the rows of a date",
            source,
        })
    }
}

/// A snapshot that has lost most of its rows is not taken for the truth.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// It needs so many rows for each row of the one before.
    pub min_ratio: f64,
    /// If that one has at least so many.
    pub min_rows: u64,
}

impl Guard {
    #[allow(clippy::cast_precision_loss)]
    fn refuses(&self, before: u64, now: u64) -> bool {
        before >= self.min_rows && (now as f64) < self.min_ratio * before as f64
    }
}

/// A table of versions to bring up to date.
#[derive(Debug)]
pub struct VersionsTask<'a> {
    /// What the table looks like.
    pub schema: &'a TableSchema,
    /// The columns that tell which rows are one thing.
    pub key: &'a [String],
    /// What it holds so far; `None` if there is no such table.
    pub before: Option<&'a TableFiles>,
    /// The dates of the snapshots that are in that.
    pub dates: Vec<NaiveDate>,
    /// The snapshots to apply.
    pub snapshots: Vec<Snapshot>,
    /// The run.
    pub run_id: &'a str,
}

/// What became of the snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionsReport {
    /// Snapshots that were not applied.
    pub refused: Vec<Refused>,
}

/// A snapshot that has lost most of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its date.
    pub date: NaiveDate,
    /// Its rows.
    pub rows: u64,
    /// Those of the one before.
    pub before: u64,
}

/// All rows that are looked at, one after another: those of the table so far, then those of each snapshot.
struct Stacked {
    frame: DataFrame,
    /// Where each snapshot ends.
    ends: Vec<usize>,
    /// The numbers of the keys and of the contents of the rows.
    keys: Vec<IdxSize>,
    contents: Vec<IdxSize>,
}

impl VersionsTask<'_> {
    /// Writes the table into `area`.
    ///
    /// # Errors
    /// If files cannot be read or written, or a column has another type than in what the table holds so far.
    pub fn stage(mut self, area: &Url) -> Result<VersionsReport, SilverError> {
        self.snapshots.sort_by_key(|snapshot| snapshot.date);
        self.check_types()?;
        let stacked = self.stacked()?;
        let begin = stacked.ends[0];
        let mut versions = self.before(&stacked.keys[..begin], &stacked.contents[..begin])?;
        let mut report = VersionsReport::default();
        for (snapshot, ends) in self.snapshots.iter().zip(stacked.ends.windows(2)) {
            let place = ends[0]..ends[1];
            let (before, rows) = (versions.rows_at(snapshot.date).unwrap_or(0) as u64, place.len() as u64);
            if snapshot.guard.is_some_and(|guard| guard.refuses(before, rows)) {
                report.refused.push(Refused { date: snapshot.date, rows, before });
                continue;
            }
            let keys = stacked.keys[place.clone()].iter().copied();
            versions.apply(snapshot.date, keys.zip(stacked.contents[place].iter().copied()).collect());
        }
        self.write(&stacked, &versions, area)?;
        Ok(report)
    }

    fn failed(&self, action: &'static str) -> impl Fn(PolarsError) -> SilverError + use<> {
        let table = self.schema.name.clone();
        move |source| SilverError::Polars { table: table.clone(), action, source }
    }

    /// A column that changed its type cannot be compared with what it was.
    fn check_types(&self) -> Result<(), SilverError> {
        let before = self.before.into_iter().flat_map(|before| &before.schema.columns);
        for old in before {
            let new = self.schema.columns.iter().find(|column| column.name == old.name);
            if let Some(new) = new.filter(|new| new.data_type != old.data_type) {
                return Err(SilverError::VersionsType {
                    table: self.schema.name.clone(),
                    column: old.name.clone(),
                    before: old.data_type,
                    after: new.data_type,
                });
            }
        }
        Ok(())
    }

    /// A column that came later is NULL in what the table holds so far.
    fn stacked(&self) -> Result<Stacked, SilverError> {
        let own = [VALID_FROM, VALID_TO, IS_CURRENT, RUN_ID];
        let columns = self.schema.columns.iter().map(|column| column.name.as_str());
        let columns: Vec<&str> = columns.filter(|name| !own.contains(name)).collect();
        let mut frame = parquet_file::read(&self.so_far(), &columns)?;
        let mut ends = vec![frame.height()];
        for snapshot in &self.snapshots {
            let rows = snapshot.rows.read(&columns)?;
            frame.vstack_mut(&rows).map_err(self.failed("bring its rows together"))?;
            ends.push(frame.height());
        }
        frame.rechunk_mut();
        let failed = self.failed("compare its rows");
        let keys = numbered(&frame, self.key.iter().map(String::as_str)).map_err(&failed)?;
        let contents = numbered(&frame, columns).map_err(&failed)?;
        Ok(Stacked { frame, ends, keys, contents })
    }

    /// What the table holds so far, with the columns it has now.
    fn so_far(&self) -> TableFiles {
        let files = self.before.map(|before| before.files.clone()).unwrap_or_default();
        TableFiles { schema: self.schema.clone(), files }
    }

    /// The versions so far, of rows with these numbers.
    fn before(&self, keys: &[IdxSize], rows: &[IdxSize]) -> Result<Versions<IdxSize, IdxSize>, SilverError> {
        let days = parquet_file::read(&self.so_far(), &[VALID_FROM, VALID_TO])?;
        let column = |name: &str| -> PolarsResult<Vec<Option<NaiveDate>>> {
            let days = days.column(name)?.cast(&DataType::Int32)?;
            Ok(days.i32()?.iter().map(|day| day.and_then(NaiveDate::from_epoch_days)).collect())
        };
        let failed = self.failed("read its days");
        let (from, to) = (column(VALID_FROM).map_err(&failed)?, column(VALID_TO).map_err(&failed)?);
        let rows = keys.iter().zip(rows).zip(from.into_iter().zip(to));
        // The first day is never missing.
        let version = |((key, row), (from, to)): ((&IdxSize, &IdxSize), _)| {
            Some((*key, Version { from: Option::<NaiveDate>::clone(&from)?, to, row: *row }))
        };
        Ok(Versions::new(self.dates.iter().copied(), rows.filter_map(version)))
    }

    fn write(&self, stacked: &Stacked, versions: &Versions<IdxSize, IdxSize>, area: &Url) -> Result<(), SilverError> {
        let failed = self.failed("assemble its columns");
        let mut places: HashMap<IdxSize, IdxSize> = HashMap::new();
        for (place, number) in (0..).zip(&stacked.contents) {
            places.entry(*number).or_insert(place);
        }
        let rows: IdxCa = versions.iter().map(|(_, version)| places.get(&version.row).copied()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut frame = stacked.frame.take(&rows).map_err(&failed)?;
        let height = frame.height();
        let days = |name: &str, days: Vec<Option<i32>>| Column::new(name.into(), days).cast(&DataType::Date);
        let from = versions.iter().map(|(_, version)| Some(version.from.to_epoch_days())).collect();
        let to = versions.iter().map(|(_, version)| version.to.map(|to| to.to_epoch_days())).collect();
        let is_current: Vec<bool> = versions.iter().map(|(_, version)| version.to.is_none()).collect();
        let run_id = Column::new_scalar(RUN_ID.into(), Scalar::from(PlSmallStr::from_str(self.run_id)), height);
        for column in [
            days(VALID_FROM, from).map_err(&failed)?,
            days(VALID_TO, to).map_err(&failed)?,
            Column::new(IS_CURRENT.into(), is_current),
            run_id,
        ] {
            frame.with_column(column).map_err(&failed)?;
        }
        let order = self.schema.columns.iter().map(|column| column.name.as_str());
        parquet_file::write(&self.schema.name, &mut frame.select(order).map_err(&failed)?, area)
    }
}

/// A number for each row, the same for rows that are equal in these columns. NULL equals NULL.
fn numbered<'a>(frame: &DataFrame, columns: impl IntoIterator<Item = &'a str>) -> PolarsResult<Vec<IdxSize>> {
    let mut numbers = vec![0; frame.height()];
    if frame.height() == 0 {
        return Ok(numbers);
    }
    let grouped = frame.group_by_stable(columns)?;
    for (number, group) in (0..).zip(grouped.get_groups().iter()) {
        match group {
            GroupsIndicator::Idx((_, rows)) => rows.iter().for_each(|row| numbers[*row as usize] = number),
            GroupsIndicator::Slice([first, length]) => {
                numbers[first as usize..(first + length) as usize].fill(number);
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
