//! Which exports are in a table of versions: the part of its state that its rows do not show.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The dates of the exports that are in a table of versions. An export that changed nothing is among them: it bounds
/// what an older one that comes late may change. Releases list consecutive days of one batch, and those of batches
/// that have left bronze, as one entry, so that they stay short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Days>", into = "Vec<Days>")]
pub struct Snapshots(BTreeMap<NaiveDate, Option<String>>);

/// Consecutive days, as a release lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    first: NaiveDate,
    last: NaiveDate,
    /// The batch whose rows are in the table; none once it has left bronze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
}

impl Snapshots {
    /// Adds the export of a date; one that was there before it is replaced.
    pub fn insert(&mut self, date: NaiveDate, batch: &str) {
        self.0.insert(date, Some(batch.to_owned()));
    }

    /// Adds the export of a date whose batch has left bronze.
    pub fn insert_retired(&mut self, date: NaiveDate) {
        self.0.insert(date, None);
    }

    /// Whether the export of that date is this batch.
    #[must_use]
    pub fn has(&self, date: NaiveDate, batch: &str) -> bool {
        self.0.get(&date).is_some_and(|known| known.as_deref() == Some(batch))
    }

    /// The batch of the last export up to and with that date, if it is still in bronze.
    #[must_use]
    pub fn batch_at(&self, date: NaiveDate) -> Option<&str> {
        self.0.range((Bound::Unbounded, Bound::Included(date))).next_back()?.1.as_deref()
    }

    /// The dates in order.
    pub fn dates(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.0.keys().copied()
    }

    /// Keeps of the batches only those for which this holds. The dates of the others stay.
    pub fn forget_batches(&mut self, is_there: impl Fn(NaiveDate, &str) -> bool) {
        for (date, batch) in &mut self.0 {
            batch.take_if(|batch| !is_there(*date, batch));
        }
    }
}

impl From<Vec<Days>> for Snapshots {
    fn from(listed: Vec<Days>) -> Self {
        let days = |days: Days| {
            let Days { first, last, batch } = days;
            first.iter_days().take_while(move |day| *day <= last).map(move |day| (day, batch.clone()))
        };
        Self(listed.into_iter().flat_map(days).collect())
    }
}

impl From<Snapshots> for Vec<Days> {
    fn from(snapshots: Snapshots) -> Self {
        let mut listed: Self = Vec::new();
        for (date, batch) in snapshots.0 {
            match listed.last_mut() {
                Some(days) if days.batch == batch && days.last.succ_opt() == Some(date) => days.last = date,
                _ => listed.push(Days { first: date, last: date, batch }),
            }
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use serde_json::{Value, json};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn example() -> Snapshots {
        let mut snapshots = Snapshots::default();
        for (date, batch) in [
            ("2025-05-30", "a"),
            ("2025-05-31", "b"),
            ("2025-06-01", "c"),
            ("2025-06-04", "d"),
            ("2025-06-05", "d"),
            ("2025-06-06", "e"),
            ("2025-06-08", "e"),
        ] {
            snapshots.insert(day(date), batch);
        }
        snapshots.forget_batches(|_, batch| batch >= "d");
        snapshots
    }

    #[test]
    fn consecutive_days_are_listed_as_one() {
        let listed = json!([
            {"first": "2025-05-30", "last": "2025-06-01"},
            {"first": "2025-06-04", "last": "2025-06-05", "batch": "d"},
            {"first": "2025-06-06", "last": "2025-06-06", "batch": "e"},
            {"first": "2025-06-08", "last": "2025-06-08", "batch": "e"},
        ]);
        assert_eq!(serde_json::to_value(example()).unwrap(), listed);
        let read: Snapshots = serde_json::from_value(listed).unwrap();
        assert_eq!(read, example());
        assert_eq!((read.dates().count(), read.dates().next()), (7, Some(day("2025-05-30"))));
    }

    #[test]
    fn days_that_end_before_they_begin_or_at_the_end_of_time_are_read() {
        let last = NaiveDate::MAX;
        let read: Snapshots = serde_json::from_value(json!([
            {"first": "2025-06-02", "last": "2025-06-01"},
            {"first": last, "last": last},
        ]))
        .unwrap();
        assert!(read.dates().count() <= 1);
        assert_eq!(serde_json::to_value(Snapshots::default()).unwrap(), Value::Array(vec![]));
    }

    #[test]
    fn a_date_has_the_batch_that_came_last_for_it() {
        let mut snapshots = example();
        assert!(snapshots.has(day("2025-06-05"), "d") && !snapshots.has(day("2025-06-05"), "e"));
        snapshots.insert(day("2025-06-05"), "f");
        assert!(snapshots.has(day("2025-06-05"), "f") && !snapshots.has(day("2025-06-05"), "d"));
        assert!(!snapshots.has(day("2025-05-31"), "b"), "it has left bronze");
        assert_eq!(snapshots.batch_at(day("2025-06-30")), Some("e"));
        assert_eq!(snapshots.batch_at(day("2025-06-04")), Some("d"));
        assert_eq!(snapshots.batch_at(day("2025-06-03")), None, "it has left bronze");
        assert_eq!(snapshots.batch_at(day("2025-01-01")), None, "there was none");
    }
}
