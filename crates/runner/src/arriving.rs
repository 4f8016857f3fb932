//! The exports of one source, the oldest first: which are known, which are staged, which have to wait.

use std::time::Instant;

use medallion_bronze::{
    BronzeError, ExportContent, ExportHash, FoundExport, IngestOptions, Ingested, NotTaken, ReadFile, hash_export,
    ingest, read_export,
};
use medallion_lake::{Lake, LedgerEntry, LedgerEvent, LedgerFile, PublishedTable};
use medallion_pipeline::{Column, Mode, SourceTable};

use crate::batch::{BatchId, Batches, Content, Decision};
use crate::bronze::extra_columns;
use crate::error::Cause;

/// What a source's exports are staged with.
pub(crate) struct Arriving<'a> {
    pub lake: &'a Lake,
    pub options: &'a IngestOptions,
}

/// A source with the batches that were staged for it.
pub(crate) struct StagedSource<'a> {
    pub source: &'a SourceTable,
    pub batches: Batches,
    pub new: Vec<(BatchId, Ingested)>,
    /// Contents that only became newer.
    pub dated: Vec<Content>,
    /// Columns of the bronze table beyond the source's.
    pub extra: Vec<Column>,
    /// Whether an export could be read.
    pub delivered: bool,
    /// Whether there is a bronze table.
    pub exists: bool,
    pub not_taken: FilesNotTaken,
    pub warnings: Vec<String>,
    pub done: Vec<ReadFile>,
    pub began: Instant,
    pub seconds: f64,
}

/// Files of a source that are left alone.
#[derive(Debug, Default)]
pub(crate) struct FilesNotTaken {
    pub waiting: Vec<NotTaken>,
    pub refused: Vec<NotTaken>,
}

impl Arriving<'_> {
    /// Stages what is new. An export that cannot be used is a failure unless it is a snapshot and a newer one can be.
    pub(crate) fn stage<'s>(
        &self,
        source: &'s SourceTable,
        exports: &[FoundExport],
        published: Option<&PublishedTable>,
        ledger: &[LedgerEntry],
    ) -> (StagedSource<'s>, Option<Cause>) {
        let started = Instant::now();
        let mut staged = StagedSource {
            source,
            batches: Batches::of(&source.name.table, published, ledger),
            new: Vec::new(),
            dated: Vec::new(),
            extra: extra_columns(source, published),
            delivered: false,
            exists: published.is_some(),
            not_taken: FilesNotTaken::default(),
            warnings: Vec::new(),
            done: Vec::new(),
            began: started,
            seconds: 0.0,
        };
        let mut unusable: Vec<(&FoundExport, BronzeError)> = Vec::new();
        for export in exports {
            match self.add(&mut staged, export) {
                Ok(()) if staged.mode() == Mode::Snapshot => staged.refuse(unusable.drain(..)),
                Ok(()) => {}
                Err(Cause::Bronze(error)) if error.is_waiting() => staged.wait(export, &error),
                Err(Cause::Bronze(error)) if is_about_the_file(&error) => unusable.push((export, error)),
                Err(cause) => return (staged, Some(cause)),
            }
        }
        let failure = match staged.mode() {
            Mode::Snapshot => {
                // What is older than what bronze has already would not have been the truth.
                let current = staged.batches.current().map(|content| content.dated.0);
                let is_older = |export: &FoundExport| current.is_some_and(|current| export.export_date < current);
                unusable.pop_if(|(export, _)| !is_older(export))
            }
            // What a later increment brings is not what this one would have brought.
            Mode::Incremental => unusable.drain(..).next(),
        };
        staged.refuse(unusable.into_iter());
        staged.seconds = started.elapsed().as_secs_f64();
        (staged, failure.map(|(_, error)| error.into()))
    }

    fn add(&self, staged: &mut StagedSource<'_>, export: &FoundExport) -> Result<(), Cause> {
        let limits = &self.options.limits;
        if staged.batches.are_stamped(&export.files) {
            let hashed = hash_export(staged.source, export, limits)?;
            let decision = staged.decide(&hashed);
            if !matches!(decision, Decision::Take(_)) {
                staged.know(hashed, decision);
                return Ok(());
            }
        }
        let content = read_export(staged.source, export, limits)?;
        let decision = staged.decide(&content.hashed);
        if let Decision::Take(batch) = &decision {
            self.take(staged, &content, batch)?;
        }
        staged.know(content.hashed, decision);
        Ok(())
    }

    fn take(&self, staged: &mut StagedSource<'_>, content: &ExportContent, batch: &BatchId) -> Result<(), Cause> {
        let (source, folder) = (staged.source, batch.to_string());
        // What a run that crashed here left behind.
        self.lake.discard(&source.name, &folder)?;
        let ingested = match ingest(self.lake, source, content, &staged.extra, &folder, self.options) {
            Ok(ingested) => ingested,
            Err(error) => {
                self.lake.discard(&source.name, &folder)?;
                return Err(error.into());
            }
        };
        let of_its_date = |(other, _): &&(BatchId, Ingested)| other.export_date == batch.export_date;
        if let Some(other) = staged.new.iter().find(of_its_date).filter(|_| staged.mode() == Mode::Snapshot) {
            let names = |ingested: &Ingested| {
                ingested.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>().join(", ")
            };
            staged.warnings.push(format!(
                "two different exports of {}: {} is the truth because it was written later than {}",
                batch.export_date,
                names(&ingested),
                names(&other.1)
            ));
        }
        let columns = &ingested.staged.files().schema.columns;
        staged.extra = columns[source.schema.columns.len()..].to_vec();
        staged.batches.add(batch, staged.mode(), Some(ingested.files.iter().map(|file| file.records).sum()));
        staged.new.push((batch.clone(), ingested));
        Ok(())
    }
}

impl StagedSource<'_> {
    /// What its exports are.
    pub(crate) fn mode(&self) -> Mode {
        self.source.source.mode
    }

    /// What to do with an export.
    fn decide(&self, export: &ExportHash) -> Decision {
        let hashes = export.files.iter().map(|file| file.hash.as_str());
        self.batches.decide(self.mode(), export.export_date, &export.hash, hashes)
    }

    /// Notes an export whose content is in bronze by now.
    fn know(&mut self, export: ExportHash, decision: Decision) {
        if let Decision::Dated(newer) = decision {
            self.warn_of_repetition(&export, &newer);
            self.batches.set(newer.clone());
            self.dated.push(newer);
        }
        self.delivered = true;
        self.done.extend(export.files);
    }

    /// Increments that are the same to the last byte are rarely meant twice, but may be: a value that went back to what
    /// it was. Those without records say nothing either way.
    fn warn_of_repetition(&mut self, export: &ExportHash, known: &Content) {
        if self.mode() == Mode::Snapshot || known.records == Some(0) {
            return;
        }
        let names: Vec<&str> = export.files.iter().map(|read| read.file.name.as_str()).collect();
        let (names, date) = (names.join(", "), known.place.0);
        self.warnings
            .push(format!("{names} is byte for byte the increment of {date}, which counts once, at that date"));
    }

    fn wait(&mut self, export: &FoundExport, error: &BronzeError) {
        let mut waiting = self.not_taken(export, "another part of its export waits");
        if let BronzeError::Changing { file, why, .. } = error {
            waiting.iter_mut().filter(|one| one.name == *file).for_each(|one| (*why).clone_into(&mut one.reason));
        }
        self.not_taken.waiting.extend(waiting);
    }

    fn refuse<'e>(&mut self, exports: impl Iterator<Item = (&'e FoundExport, BronzeError)>) {
        for (export, error) in exports {
            let refused = self.not_taken(export, &format!("{error}; a newer export is used"));
            self.not_taken.refused.extend(refused);
        }
    }

    fn not_taken(&self, export: &FoundExport, reason: &str) -> Vec<NotTaken> {
        let source = self.source.name.table.clone();
        let file = |file: &medallion_bronze::FoundFile| NotTaken {
            source: source.clone(),
            name: file.name.clone(),
            reason: reason.to_owned(),
        };
        export.files.iter().map(file).collect()
    }

    /// What the ledger has to know before the rows are committed.
    pub(crate) fn ledger_entries(&self, options: &IngestOptions) -> Vec<LedgerEntry> {
        let taken = self.new.iter().map(|(batch, ingested)| {
            let content = Content {
                dated: (batch.export_date, batch.sequence),
                place: (batch.export_date, batch.sequence),
                mode: self.mode(),
                hash: batch.hash.clone(),
                batch_id: Some(batch.to_string()),
                records: Some(ingested.files.iter().map(|file| file.records).sum()),
            };
            let file = |file: &medallion_bronze::FileReport| LedgerFile {
                name: file.name.clone(),
                hash: file.hash.clone(),
                bytes: file.bytes,
                modified: file.modified,
            };
            LedgerEntry {
                rejected: ingested.rejects.len() as u64,
                files: ingested.files.iter().map(file).collect(),
                ..entry(self.source, LedgerEvent::Taken, &content, options)
            }
        });
        let dated = self.dated.iter().map(|content| entry(self.source, LedgerEvent::Dated, content, options));
        let mut entries: Vec<LedgerEntry> = taken.chain(dated).collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }
}

/// What the ledger has to know before rows are removed.
pub(crate) fn retired(source: &SourceTable, content: &Content, options: &IngestOptions) -> Option<LedgerEntry> {
    content.batch_id.is_some().then(|| entry(source, LedgerEvent::Retired, content, options))
}

fn entry(source: &SourceTable, event: LedgerEvent, content: &Content, options: &IngestOptions) -> LedgerEntry {
    LedgerEntry {
        schema: LedgerEntry::SCHEMA.to_owned(),
        event,
        source: source.name.table.clone(),
        batch_id: content.batch_id.clone().unwrap_or_default(),
        content_hash: content.hash.clone(),
        mode: source.source.mode,
        export_date: content.dated.0,
        sequence: content.dated.1,
        records: content.records.unwrap_or_default(),
        rejected: 0,
        run_id: options.run_id.clone(),
        at: options.now,
        files: Vec::new(),
    }
}

/// Whether another file could be fine. What is wrong with the lake or the folder is wrong for all of them.
fn is_about_the_file(error: &BronzeError) -> bool {
    error.file().is_some()
}
