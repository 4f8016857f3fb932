//! Versions of rows: snapshots of a table become intervals in which a row was the same.
//!
//! This part knows neither tables nor files: keys and rows are values. What holds after every call:
//!
//! - on any date the versions are the rows of the snapshot with the latest date up to it; before the first there are
//!   none;
//! - versions of a key do not overlap, and two that follow on each other differ.
//!
//! Versions are therefore determined by the snapshots and their dates alone: the order in which snapshots are applied
//! does not matter, nor does applying one again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use chrono::NaiveDate;

mod task;

pub use task::{Guard, Refused, Rows, Snapshot, VersionsReport, VersionsTask};

/// A row and the days on which it was like this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<R> {
    /// The first day.
    pub from: NaiveDate,
    /// The day after the last; `None` while it is current.
    pub to: Option<NaiveDate>,
    /// The row.
    pub row: R,
}

/// The versions of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions<K, R> {
    /// The dates of the snapshots that are in it, also of those that changed nothing.
    dates: BTreeSet<NaiveDate>,
    /// The versions of each key in the order of their days.
    versions: BTreeMap<K, Vec<Version<R>>>,
}

impl<K: Ord, R: PartialEq + Clone> Versions<K, R> {
    /// Versions as they were left: those of a key must not overlap.
    pub fn new(
        dates: impl IntoIterator<Item = NaiveDate>,
        versions: impl IntoIterator<Item = (K, Version<R>)>,
    ) -> Self {
        let mut all = Self { dates: dates.into_iter().collect(), versions: BTreeMap::new() };
        for (key, version) in versions {
            all.versions.entry(key).or_default().push(version);
        }
        for versions in all.versions.values_mut() {
            versions.sort_by_key(|version| version.from);
            merge(versions);
        }
        all
    }

    /// Applies a snapshot. It holds from its date to that of the next one; another one of the same date is replaced.
    pub fn apply(&mut self, date: NaiveDate, rows: BTreeMap<K, R>) {
        let until = self.dates.range((Bound::Excluded(date), Bound::Unbounded)).next().copied();
        self.dates.insert(date);
        for versions in self.versions.values_mut() {
            cut_out(versions, date, until);
        }
        for (key, row) in rows {
            let versions = self.versions.entry(key).or_default();
            let place = versions.partition_point(|version| version.from < date);
            versions.insert(place, Version { from: date, to: until, row });
        }
        self.versions.retain(|_, versions| {
            merge(versions);
            !versions.is_empty()
        });
    }

    /// How many rows the snapshot of a date has, or the last one before it; `None` if there is none.
    pub fn rows_at(&self, date: NaiveDate) -> Option<usize> {
        self.dates.range(..=date).next_back()?;
        let holds = |version: &&Version<R>| version.from <= date && version.to.is_none_or(|to| date < to);
        Some(self.versions.values().flatten().filter(holds).count())
    }

    /// All versions, by key and in the order of their days.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Version<R>)> {
        self.versions.iter().flat_map(|(key, versions)| versions.iter().map(move |version| (key, version)))
    }
}

/// Takes the days from `from` to before `until` out of versions.
fn cut_out<R: Clone>(versions: &mut Vec<Version<R>>, from: NaiveDate, until: Option<NaiveDate>) {
    let is_touched =
        |version: &Version<R>| version.to.is_none_or(|to| from < to) && until.is_none_or(|until| version.from < until);
    if !versions.iter().any(is_touched) {
        return;
    }
    let mut left = Vec::with_capacity(versions.len() + 2);
    for version in versions.drain(..) {
        if !is_touched(&version) {
            left.push(version);
            continue;
        }
        if version.from < from {
            left.push(Version { to: Some(from), ..version.clone() });
        }
        if let Some(until) = until.filter(|until| version.to.is_none_or(|to| *until < to)) {
            left.push(Version { from: until, ..version });
        }
    }
    *versions = left;
}

/// Makes one of versions that follow on each other and are equal.
fn merge<R: PartialEq>(versions: &mut Vec<Version<R>>) {
    versions.dedup_by(|later, earlier| {
        let is_same = earlier.to == Some(later.from) && earlier.row == later.row;
        if is_same {
            earlier.to = later.to;
        }
        is_same
    });
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
