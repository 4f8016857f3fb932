//! Increments become a table: each batch is cleansed as a snapshot is, then the batches say one after another what
//! becomes of each key.
//!
//! All batches are worked on at once, in one frame with a column that tells them apart. What a batch says of a key is a
//! row (the key has it now), a deletion, or that the key's row does not belong to the table any more (its `where`).

use medallion_pipeline::{Deleted, TableName};
use polars::prelude::*;
use serde::Serialize;
use url::Url;

use crate::cleanse::{CleanseReport, CleanseTask, ORDER, Sums, Work};
use crate::counts::Counts;
use crate::error::SilverError;
use crate::{exclusion, parquet_file};

/// The place of a row's batch among the batches.
pub(crate) const BATCH: &str = "_batch";
/// Whether a row deletes its key.
pub(crate) const DELETED: &str = "_deleted";
/// Whether a row outside the table is there because the customer excludes it.
const EXCLUDED: &str = "_excluded";

/// A batch of an incremental source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increment {
    /// Its id.
    pub batch_id: String,
    /// Its rows in bronze.
    pub rows: u64,
    /// Whether this run took it in.
    pub is_new: bool,
}

/// What increments do to the keys of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Upserts {
    /// Keys that were not there before.
    pub inserted: u64,
    /// Keys whose row is another one now.
    pub updated: u64,
    /// Keys whose row came again as it was.
    pub unchanged: u64,
    /// Keys that are not there any more.
    pub deleted: u64,
    /// Deletions of keys that were not there.
    pub absent: u64,
}

impl Upserts {
    /// All that the rows of the table said of keys.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.deleted + self.absent
    }

    fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.absent += other.absent;
    }
}

/// What one batch did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchUpserts {
    /// The batch.
    pub batch_id: String,
    /// What it did.
    #[serde(flatten)]
    pub upserts: Upserts,
}

/// What all batches did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UpsertSums {
    /// All of them, from the first on.
    pub total: Upserts,
    /// Those that are new, in their order.
    pub batches: Vec<BatchUpserts>,
}

impl UpsertSums {
    /// What the new batches did together.
    #[must_use]
    pub fn of_new(&self) -> Upserts {
        let mut new = Upserts::default();
        self.batches.iter().for_each(|batch| new.add(&batch.upserts));
        new
    }
}

/// What cleansing increments did.
#[derive(Debug)]
pub struct UpsertReport {
    /// What the rules did, to the rows of all batches together.
    pub cleansed: CleanseReport,
    /// What became of the keys; it adds up with the sums of the rules.
    pub upserts: UpsertSums,
}

/// One table to build from increments.
#[derive(Debug)]
pub struct UpsertTask<'a> {
    /// The table, and as its batch the files of all batches in their order; the batch's id is not used.
    pub cleanse: CleanseTask<'a>,
    /// The batches in the same order.
    pub increments: &'a [Increment],
    /// Which rows delete their key.
    pub deleted: Option<&'a Deleted>,
}

impl UpsertTask<'_> {
    /// Writes the table into `area`.
    ///
    /// # Errors
    /// If files cannot be read or written, a `fail` rule is broken, or the sums do not add up.
    pub fn stage(&self, area: &Url) -> Result<UpsertReport, SilverError> {
        let task = &self.cleanse;
        let mut work = task.typed()?;
        self.tell_apart(&mut work)?;
        let deletions = self.deletions(&mut work)?;
        let elsewhere = self.elsewhere(&mut work)?;
        task.required(&mut work, |_| true)?;
        task.business_rules(&mut work)?;
        self.add_deletions(&mut work, deletions)?;
        task.duplicates(&mut work)?;
        task.one_row_per_key(&mut work)?;
        let outcome = self.put_together(&mut work, &elsewhere)?;
        task.write(&mut work, area)?;
        let upserts = self.sums(&work, &outcome)?;
        let Work { sums, counts: Counts { rules, findings }, rejects, .. } = work;
        Ok(UpsertReport { cleansed: CleanseReport { sums, rules, findings, rejects }, upserts })
    }

    /// Adds the columns that tell batches and deletions.
    fn tell_apart(&self, work: &mut Work) -> Result<(), SilverError> {
        let failed = self.cleanse.failed("tell its batches apart");
        let mut places: Vec<u32> = Vec::with_capacity(work.frame.height());
        for (place, increment) in (0..).zip(self.increments) {
            places.extend(std::iter::repeat_n(place, usize::try_from(increment.rows).unwrap_or(usize::MAX)));
        }
        let deleted = match self.deleted {
            None => Column::new_scalar(DELETED.into(), Scalar::from(false), work.frame.height()),
            Some(flag) => {
                let texts = parquet_file::read(self.cleanse.batch, &[&flag.column])?;
                let texts = texts.column(&flag.column).and_then(Column::str).map_err(&failed)?;
                let means = |text: &str| flag.values.iter().any(|value| value.trim() == text.trim());
                Column::new(DELETED.into(), texts.iter().map(|text| text.is_some_and(means)).collect::<Vec<_>>())
            }
        };
        work.frame.with_column(Column::new(BATCH.into(), places)).map_err(&failed)?;
        work.frame.with_column(deleted).map_err(&failed)?;
        work.shared = work.frame.clear();
        work.batch_ids = self.increments.iter().map(|increment| increment.batch_id.clone()).collect();
        Ok(())
    }

    /// Takes out the rows that delete: no rule but those about keys is for them.
    fn deletions(&self, work: &mut Work) -> Result<DataFrame, SilverError> {
        let failed = self.cleanse.failed("look for deletions");
        let mask = work.frame.column(DELETED).and_then(|deleted| deleted.bool().cloned()).map_err(&failed)?;
        work.keep(&!&mask).map_err(failed)
    }

    /// Takes out and returns the rows that are not in the table, because the customer excludes them or because of its
    /// `where`, in their order.
    fn elsewhere(&self, work: &mut Work) -> Result<DataFrame, SilverError> {
        let failed = self.cleanse.failed("leave rows out");
        let mut excluded = exclusion::leave_out(self.cleanse.definition, work).map_err(&failed)?;
        let mut others = self.cleanse.filter(work)?;
        for (rows, value) in [(&mut excluded, true), (&mut others, false)] {
            let column = Column::new_scalar(EXCLUDED.into(), Scalar::from(value), rows.height());
            rows.with_column(column).map_err(&failed)?;
        }
        let all = excluded.vstack(&others).map_err(&failed)?;
        all.sort([ORDER], SortMultipleOptions::new()).map_err(failed)
    }

    /// Puts the rows that delete back into their places, if they have their key.
    fn add_deletions(&self, work: &mut Work, deletions: DataFrame) -> Result<(), SilverError> {
        if deletions.height() == 0 {
            return Ok(());
        }
        let failed = self.cleanse.failed("add its deletions");
        let rows = std::mem::replace(&mut work.frame, deletions);
        self.cleanse.required(work, |column| self.cleanse.definition.key.contains(&column.name))?;
        let all = rows.vstack(&work.frame).map_err(&failed)?;
        work.frame = all.sort([ORDER], SortMultipleOptions::new()).map_err(failed)?;
        Ok(())
    }

    /// Leaves of each key the row that it has after the last batch, if it has one. `elsewhere` are the rows that were
    /// left out.
    fn put_together(&self, work: &mut Work, elsewhere: &DataFrame) -> Result<Outcome, SilverError> {
        let failed = self.cleanse.failed("put its increments together");
        let key = &self.cleanse.definition.key;
        let named = || key.iter().map(String::as_str).chain([BATCH, DELETED]);
        let all = work.frame.select(named()).and_then(|rows| rows.vstack(&elsewhere.select(named())?));
        let all = all.map_err(&failed)?;
        let keys = Groups::of(&all, key).map_err(&failed)?;
        let contents = self.contents(&work.frame, &keys).map_err(&failed)?;
        let excluded = elsewhere.column(EXCLUDED).and_then(|excluded| excluded.bool().cloned()).map_err(&failed)?;
        let statements = statements(&all, &keys, &contents, &excluded).map_err(&failed)?;
        let (rows, others) = statements.split_at(work.frame.height());
        let outcome = play(in_order(rows, others), keys.count, self.increments.len());
        let mut stays = vec![false; rows.len()];
        outcome.rows.iter().for_each(|row| stays[*row as usize] = true);
        work.frame =
            work.frame.filter(&BooleanChunked::from_iter_values("stays".into(), stays.into_iter())).map_err(&failed)?;
        work.sums.filtered -= outcome.moved;
        work.sums.excluded -= outcome.excluded;
        Ok(outcome)
    }

    /// A number for each row, equal for rows that are equal in every column. Rows whose key no other has are equal to
    /// none, and are not looked at.
    fn contents(&self, frame: &DataFrame, keys: &Groups) -> PolarsResult<Vec<u32>> {
        let mut contents = vec![0; frame.height()];
        let own = || keys.of_row.iter().take(frame.height());
        let shares = || own().map(|key| keys.sizes[*key as usize] > 1);
        let columns: Vec<&str> = self.cleanse.definition.columns.iter().map(|column| column.name.as_str()).collect();
        let mask = BooleanChunked::from_iter_values("shares".into(), shares());
        let shared = frame.select(columns.iter().copied())?.filter(&mask)?;
        let groups = Groups::of(&shared, &columns)?;
        let places = shares().enumerate().filter(|(_, shares)| *shares).map(|(place, _)| place);
        places.zip(groups.of_row).for_each(|(place, content)| contents[place] = content);
        Ok(contents)
    }

    fn sums(&self, work: &Work, outcome: &Outcome) -> Result<UpsertSums, SilverError> {
        let mut total = Upserts::default();
        outcome.batches.iter().for_each(|batch| total.add(batch));
        add_up(self.cleanse.table(), &work.sums, &total)?;
        let new = self.increments.iter().zip(&outcome.batches).filter(|(increment, _)| increment.is_new);
        let batches = new
            .map(|(increment, upserts)| BatchUpserts { batch_id: increment.batch_id.clone(), upserts: *upserts })
            .collect();
        Ok(UpsertSums { total, batches })
    }
}

/// Fails if rows went missing between the rules and the table.
pub(crate) fn add_up(table: &TableName, sums: &Sums, total: &Upserts) -> Result<(), SilverError> {
    let set_aside = sums.duplicates + sums.rejected + sums.further + sums.filtered + sums.excluded;
    let statements = total.statements();
    if sums.rows_in == set_aside + statements && sums.rows_out + total.deleted == total.inserted {
        return Ok(());
    }
    let (table, rows_in, rows_out) = (table.clone(), sums.rows_in, sums.rows_out);
    let Upserts { inserted, deleted, .. } = *total;
    Err(SilverError::Increments { table, rows_in, set_aside, statements, rows_out, inserted, deleted })
}

/// Rows that are equal in some columns, as numbers from 0.
struct Groups {
    /// The group of each row.
    of_row: Vec<u32>,
    /// How many rows each group has.
    sizes: Vec<u32>,
    /// How many groups there are.
    count: usize,
}

impl Groups {
    fn of<S: AsRef<str>>(frame: &DataFrame, columns: &[S]) -> PolarsResult<Self> {
        let mut of_row = vec![0; frame.height()];
        let mut sizes = Vec::new();
        if frame.height() > 0 {
            let grouped = frame.group_by(columns.iter().map(AsRef::as_ref))?;
            for (number, group) in (0..).zip(grouped.get_groups().iter()) {
                match group {
                    GroupsIndicator::Idx((_, rows)) => rows.iter().for_each(|row| of_row[*row as usize] = number),
                    GroupsIndicator::Slice([first, length]) => {
                        of_row[first as usize..(first + length) as usize].fill(number);
                    }
                }
                sizes.push(u32::try_from(group.len()).unwrap_or(u32::MAX));
            }
        }
        let count = sizes.len();
        Ok(Self { of_row, sizes, count })
    }
}

/// What a row says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The key's row is this one now; rows that are the same have the same number.
    Row(u32),
    /// The key is not there any more.
    Deleted,
    /// The key's row does not belong to the table; `excluded` if because the customer says so.
    Elsewhere { excluded: bool },
}

/// What a batch says of a key.
#[derive(Debug, Clone, Copy)]
struct Statement {
    batch: u32,
    key: u32,
    says: Says,
}

/// What the batches made of the keys.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// What each batch did.
    batches: Vec<Upserts>,
    /// The rows that are the keys' rows now, by their places among the rows; not in order.
    rows: Vec<u32>,
    /// Rows outside the table that took their key out of it: counted as deleted, not as filtered.
    moved: u64,
    /// The same of rows that the customer excludes.
    excluded: u64,
}

/// What each row says: those of `contents` first, what `where` left out behind them.
fn statements(
    all: &DataFrame,
    keys: &Groups,
    contents: &[u32],
    excluded: &BooleanChunked,
) -> PolarsResult<Vec<Statement>> {
    let (batches, deleted) = (all.column(BATCH)?.u32()?, all.column(DELETED)?.bool()?);
    let rows = contents.iter().copied().map(Says::Row);
    let contents = rows.chain(excluded.iter().map(|excluded| Says::Elsewhere { excluded: excluded == Some(true) }));
    let mut statements = Vec::with_capacity(all.height());
    for (((batch, deleted), key), content) in batches.iter().zip(deleted.iter()).zip(&keys.of_row).zip(contents) {
        let says = match (content, deleted) {
            (Says::Row(_), Some(true)) => Says::Deleted,
            (content, _) => content,
        };
        statements.push(Statement { batch: batch.unwrap_or_default(), key: *key, says });
    }
    Ok(statements)
}

/// Rows with their places, batch by batch; of a batch those of the table first.
fn in_order<'s>(rows: &'s [Statement], others: &'s [Statement]) -> impl Iterator<Item = (u32, Statement)> {
    let mut rows = (0..).zip(rows.iter().copied()).peekable();
    let mut others = others.iter().copied().peekable();
    std::iter::from_fn(move || match (rows.peek(), others.peek()) {
        (Some((_, row)), Some(other)) if other.batch < row.batch => others.next().map(|other| (u32::MAX, other)),
        (Some(_), _) => rows.next(),
        (None, _) => others.next().map(|other| (u32::MAX, other)),
    })
}

/// Goes through what the batches say, in their order, and counts. A row outside the table says something only if its
/// batch says nothing else of the key.
fn play(statements: impl Iterator<Item = (u32, Statement)>, keys: usize, batches: usize) -> Outcome {
    const NONE: u32 = u32::MAX;
    let mut outcome = Outcome { batches: vec![Upserts::default(); batches], ..Outcome::default() };
    // Of each key its row, that row's content, and the last batch that said something.
    let mut rows = vec![NONE; keys];
    let mut contents = vec![0; keys];
    let mut said = vec![NONE; keys];
    for (place, Statement { batch, key, says }) in statements {
        let key = key as usize;
        let counts = &mut outcome.batches[batch as usize];
        let is_there = rows[key] != NONE;
        match says {
            Says::Row(content) => {
                match is_there {
                    false => counts.inserted += 1,
                    true if contents[key] == content => counts.unchanged += 1,
                    true => counts.updated += 1,
                }
                (rows[key], contents[key]) = (place, content);
            }
            Says::Deleted if is_there => {
                counts.deleted += 1;
                rows[key] = NONE;
            }
            Says::Deleted => counts.absent += 1,
            Says::Elsewhere { excluded } if is_there && said[key] != batch => {
                counts.deleted += 1;
                if excluded {
                    outcome.excluded += 1
                } else {
                    outcome.moved += 1
                }
                rows[key] = NONE;
            }
            Says::Elsewhere { .. } => {}
        }
        said[key] = batch;
    }
    outcome.rows = rows.into_iter().filter(|row| *row != NONE).collect();
    outcome
}
