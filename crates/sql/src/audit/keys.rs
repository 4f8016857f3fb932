//! Keys compared in memory, which is several times as fast as grouping and joining them in SQL.
//!
//! Whole numbers and dates are looked up as what they are. Whether keys repeat is decided by their hashes: without two
//! equal hashes there are no two equal keys, otherwise SQL decides.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Int64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use futures::StreamExt;

use crate::error::{SqlError, Subject};
use crate::plan::Planned;
use crate::session::SqlSession;

/// 1900-01-01 in days since 1970-01-01.
const MISSING_DAY: i64 = -25_567;

/// Bytes that a key takes at most while its column is compared: the slots before and after they grow.
const BYTES_OF_KEY: u64 = 48;

/// Hashes are sorted in so many parts, each small enough for the processor's cache.
const PARTS: usize = 256;

/// What an empty slot holds; the key of that value is kept apart.
const EMPTY: i64 = i64::MIN;

/// The keys of a table, in slots found by their hashes: the next free one, of which at least half are. What is looked up
/// lies in one place in memory, where the standard set looks into two.
pub(super) struct KeySet {
    hasher: RandomState,
    slots: Vec<i64>,
    /// How many slots are taken.
    taken: usize,
    has_empty: bool,
    /// First and last key apart from the missing day.
    range: Option<(i64, i64)>,
}

/// Rows whose key is not in a table, and how many of those lie before its first or after its last.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) rows: u64,
    pub(super) outside: u64,
}

impl KeySet {
    fn new() -> Self {
        let slots = vec![EMPTY; 1024];
        Self { hasher: RandomState::with_seed(0), slots, taken: 0, has_empty: false, range: None }
    }

    /// The slot that has the key, or the one it belongs into.
    fn slot(&self, key: i64) -> usize {
        let last = self.slots.len() - 1;
        #[allow(clippy::cast_possible_truncation)]
        let mut slot = self.hasher.hash_one(key) as usize & last;
        while self.slots[slot] != key && self.slots[slot] != EMPTY {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn insert(&mut self, key: i64) {
        if key != MISSING_DAY {
            let (first, last) = self.range.unwrap_or((key, key));
            self.range = Some((first.min(key), last.max(key)));
        }
        if key == EMPTY {
            self.has_empty = true;
            return;
        }
        let slot = self.slot(key);
        if self.slots[slot] == EMPTY {
            self.slots[slot] = key;
            self.taken += 1;
            if self.taken * 2 > self.slots.len() {
                self.grow();
            }
        }
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; self.slots.len() * 2];
        for key in std::mem::replace(&mut self.slots, larger) {
            if key != EMPTY {
                let slot = self.slot(key);
                self.slots[slot] = key;
            }
        }
    }

    fn contains(&self, key: i64) -> bool {
        if key == EMPTY { self.has_empty } else { self.slots[self.slot(key)] == key }
    }

    fn count(&self, key: i64, missing: &mut Missing) {
        if !self.contains(key) {
            missing.rows += 1;
            missing.outside += u64::from(self.range.is_none_or(|(first, last)| key < first || key > last));
        }
    }
}

/// Calls `each` for every number or day in the first column.
fn for_each_key(batch: &RecordBatch, mut each: impl FnMut(i64)) {
    let Some(column) = batch.columns().first() else { return };
    if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>() {
        if numbers.null_count() == 0 {
            numbers.values().iter().copied().for_each(&mut each);
        } else {
            numbers.iter().flatten().for_each(&mut each);
        }
    } else if let Some(days) = column.as_any().downcast_ref::<Date32Array>() {
        days.iter().flatten().for_each(|day| each(i64::from(day)));
    }
}

/// Hashes in parts by some of their bits.
struct Hashes {
    parts: Vec<Vec<u64>>,
    buffer: Vec<u64>,
}

impl Hashes {
    fn new() -> Self {
        Self { parts: vec![Vec::new(); PARTS], buffer: Vec::new() }
    }

    fn take(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), DataFusionError> {
        self.buffer.clear();
        self.buffer.resize(rows, 0);
        create_hashes(columns, &RandomState::with_seed(0), &mut self.buffer)?;
        for hash in &self.buffer {
            self.parts[(hash >> 32) as usize % PARTS].push(*hash);
        }
        Ok(())
    }

    fn has_two_equal(mut self) -> bool {
        self.parts.iter_mut().any(|part| {
            part.sort_unstable();
            part.windows(2).any(|pair| pair[0] == pair[1])
        })
    }
}

impl SqlSession {
    /// Whether so many keys may be held in memory.
    pub(super) fn can_hold(&self, keys: u64) -> bool {
        let limit = self.memory_limit.map_or(u64::MAX, |limit| u64::try_from(limit / 4).unwrap_or(u64::MAX));
        keys.saturating_mul(BYTES_OF_KEY) <= limit
    }

    /// Whether two rows of a query may be equal: if this says no, none are.
    pub(super) async fn may_repeat(&self, query: &str, subject: Subject) -> Result<bool, SqlError> {
        let planned = self.plan(query, subject, false).await?;
        if planned.plan.schema().fields().iter().any(|field| field.data_type().is_floating()) {
            // 0.0 and -0.0 are equal, their hashes are not.
            return Ok(true);
        }
        let subject = planned.subject.clone();
        let task = SpawnedTask::spawn(async move {
            let mut hashes = Hashes::new();
            let mut batches = planned.start().await?;
            while let Some(batch) = batches.next().await {
                let taken = batch.and_then(|batch| hashes.take(batch.columns(), batch.num_rows()));
                taken.map_err(|error| planned.failed(&error))?;
            }
            Ok(hashes.has_two_equal())
        });
        joined(task, subject).await
    }

    /// The keys that a query returns; `None` if they are neither whole numbers nor dates.
    pub(super) async fn key_set(&self, query: &str, subject: Subject) -> Result<Option<KeySet>, SqlError> {
        let planned = self.plan(query, subject, false).await?;
        let is_known = |planned: &Planned| {
            let fields = planned.plan.schema().fields();
            fields.len() == 1 && matches!(fields[0].data_type(), DataType::Int64 | DataType::Date32)
        };
        if !is_known(&planned) {
            return Ok(None);
        }
        let subject = planned.subject.clone();
        let task = SpawnedTask::spawn(async move {
            let mut keys = KeySet::new();
            let mut batches = planned.start().await?;
            while let Some(batch) = batches.next().await {
                for_each_key(&batch.map_err(|error| planned.failed(&error))?, |key| keys.insert(key));
            }
            Ok(keys)
        });
        joined(task, subject).await.map(Some)
    }

    /// Rows of a query whose key is neither NULL nor in the set; of dates, the missing day is left out.
    pub(super) async fn missing(
        &self,
        query: &str,
        are_dates: bool,
        keys: Arc<KeySet>,
        subject: Subject,
    ) -> Result<Missing, SqlError> {
        let planned = self.plan(query, subject, false).await?;
        let subject = planned.subject.clone();
        let task = SpawnedTask::spawn(async move {
            let mut missing = Missing::default();
            let mut batches = planned.start().await?;
            while let Some(batch) = batches.next().await {
                let batch = batch.map_err(|error| planned.failed(&error))?;
                for_each_key(&batch, |key| {
                    if !are_dates || key != MISSING_DAY {
                        keys.count(key, &mut missing);
                    }
                });
            }
            Ok(missing)
        });
        joined(task, subject).await
    }
}

/// The result of a task; it stops when nobody waits for it any more.
pub(super) async fn joined<T: Send + 'static>(
    task: SpawnedTask<Result<T, SqlError>>,
    subject: Subject,
) -> Result<T, SqlError> {
    task.join().await.map_err(|error| SqlError::Execution { subject, message: error.to_string() })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let mut set = KeySet::new();
        let keys = (0..5_000).map(|n| n * 4_294_967_296 + n % 7);
        keys.clone().for_each(|key| set.insert(key));
        keys.clone().for_each(|key| set.insert(key));
        assert_eq!(set.taken, 5_000);
        assert!(keys.clone().all(|key| set.contains(key)) && !keys.clone().any(|key| set.contains(key + 7)));
        assert!(!set.contains(EMPTY) && !set.contains(-1));
        [EMPTY, i64::MAX, -1].into_iter().for_each(|key| set.insert(key));
        assert!(set.contains(EMPTY) && set.contains(i64::MAX) && set.contains(-1) && !set.contains(i64::MIN + 1));
        assert_eq!(set.range, Some((i64::MIN, i64::MAX)));
    }

    #[test]
    fn equal_rows_are_noticed_wherever_they_are() {
        let has_two_equal = |numbers: &[i64]| {
            let mut hashes = Hashes::new();
            for part in numbers.chunks(1000) {
                let column: ArrayRef = Arc::new(Int64Array::from(part.to_vec()));
                assert!(hashes.take(&[column], part.len()).is_ok());
            }
            hashes.has_two_equal()
        };
        let mut numbers: Vec<i64> = (0..10_000).collect();
        assert!(!has_two_equal(&numbers));
        numbers.push(4_321);
        assert!(has_two_equal(&numbers));
    }
}
