//! Rollback: old contents, published as a new release.

use chrono::{DateTime, Utc};
use medallion_pipeline::TableName;

use crate::error::LakeError;
use crate::place::Lake;
use crate::publish::{Publication, PublishedChange};
use crate::release::{Release, ReleasedTable};

impl Lake {
    /// Publishes the contents that release `to` had, of all its silver and gold tables, as the next release. Tables
    /// that have the same content as then are not written. Tables that are not in that release are not in the new
    /// one. Bronze stays as it is. Needs what [`Lake::publish`] needs.
    ///
    /// # Errors
    /// [`LakeError::NoRelease`] if there is no such release, [`LakeError::ReleaseGone`] if files of it are not there
    /// any more, and whatever [`Lake::publish`] fails for.
    pub async fn roll_back(&self, to: u64, run_id: &str, now: DateTime<Utc>) -> Result<Release, LakeError> {
        let old = self.release(to)?;
        let latest = self.latest_release()?;
        let mut tables = Vec::with_capacity(old.tables.len());
        for (name, released) in &old.tables {
            let table = self.table_of(&old, name)?;
            let current = latest.as_ref().and_then(|latest| latest.tables.get(name));
            tables.push(match current.filter(|current| is_same(current, released)) {
                Some(current) => unchanged(table, current),
                None => self.brought_back(to, table, released).await?,
            });
        }
        let publication = Publication {
            run_id: run_id.to_owned(),
            as_of: old.as_of,
            batches: old.batches.clone(),
            history: old.history.clone(),
            tables,
            pipeline_key: None,
        };
        self.publish_at(publication, now, Some(to)).await
    }

    async fn brought_back(
        &self,
        to: u64,
        table: TableName,
        released: &ReleasedTable,
    ) -> Result<PublishedChange, LakeError> {
        match self.content_at(&table, released.version).await {
            // A table that left the releases and was never committed since.
            Ok(_) if self.latest_version(&table)? == Some(released.version) => Ok(unchanged(table, released)),
            Ok(staged) => Ok(PublishedChange::Changed { staged, hashes: released.hashes() }),
            Err(source @ (LakeError::NoVersion { .. } | LakeError::FileGone { .. })) => {
                let (customer, source) = (self.customer().to_owned(), Box::new(source));
                Err(LakeError::ReleaseGone { customer, release: to, table, whole: self.oldest_whole().await?, source })
            }
            Err(error) => Err(error),
        }
    }

    /// The oldest release all of whose files are there.
    async fn oldest_whole(&self) -> Result<Option<u64>, LakeError> {
        for release in self.releases()? {
            if self.is_whole(&release).await? {
                return Ok(Some(release.release));
            }
        }
        Ok(None)
    }

    async fn is_whole(&self, release: &Release) -> Result<bool, LakeError> {
        for (name, released) in &release.tables {
            match self.content_at(&self.table_of(release, name)?, released.version).await {
                Err(LakeError::NoVersion { .. } | LakeError::FileGone { .. }) => return Ok(false),
                found => drop(found?),
            }
        }
        Ok(true)
    }

    fn table_of(&self, release: &Release, name: &str) -> Result<TableName, LakeError> {
        let unreadable = |error| LakeError::Json {
            customer: self.customer().to_owned(),
            path: self.release_path(release.release),
            source: serde::de::Error::custom(error),
        };
        name.parse().map_err(unreadable)
    }
}

fn unchanged(table: TableName, released: &ReleasedTable) -> PublishedChange {
    let ReleasedTable { version, rows, .. } = *released;
    PublishedChange::Unchanged { table, version, rows, hashes: released.hashes() }
}

fn is_same(current: &ReleasedTable, old: &ReleasedTable) -> bool {
    current.version == old.version || (current.fingerprint.is_some() && current.fingerprint == old.fingerprint)
}

#[cfg(test)]
mod tests;
