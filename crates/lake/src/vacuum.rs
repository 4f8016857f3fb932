//! Vacuum: removes the files that nothing needs any more.
//!
//! Needed are the files of
//! - the versions of tables that the kept releases name,
//! - every table's last version, and in bronze also the last one of the run before, because readers take bronze as it
//!   is: what a run retires is still there for those who began before it,
//! - a publication in progress, as its journal names them, and a run in progress.
//!
//! Everything else in the folders of batches and runs goes: files of older versions, and what crashed runs staged.
//! Logs are cut at the last checkpoint before the oldest version that is needed. Deltalake would cut them by age,
//! 30 days, and with them releases that are to be kept; commits therefore do not ask it to.
//!
//! What is to go is determined completely, links refused, before anything is removed. Readers are safe without a lock:
//! they read versions that are kept, and what is removed is not on their way. A crash in between leaves less to do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Days, Utc};
use deltalake::kernel::{Add, Remove};
use futures::{StreamExt, TryStreamExt, stream};
use medallion_pipeline::schema::is_identifier;
use medallion_pipeline::{Layer, TableName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::{Disk, blocking};
use crate::error::LakeError;
use crate::gate::Operation;
use crate::place::{LOG_FOLDER, Lake, MEDALLION_FOLDER, kind_of};

/// How many releases stay whole unless somebody says otherwise.
pub const KEEP_RELEASES: u32 = 14;

/// How long samples of failing rows stay.
const SAMPLE_DAYS: Days = Days::new(30);

/// Tables whose logs are read at the same time.
const TABLES_AT_ONCE: usize = 8;

/// What [`Lake::vacuum`] keeps.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// How many of the last releases stay whole, at least one.
    pub keep_releases: u32,
    /// The run that is in progress: what it staged stays.
    pub running: Option<String>,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// The time it is; samples of failing rows expire by it.
    pub now: DateTime<Utc>,
}

/// What a vacuum removed, or would have removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// The oldest release that stays whole; `None` if there is no release.
    pub oldest_release: Option<u64>,
    /// Every table with a folder, whether something of it was removed or not.
    pub tables: BTreeMap<TableName, VacuumedTable>,
    /// Half-written files of crashed runs outside of tables.
    pub leftovers: Removed,
    /// Expired samples of failing rows.
    pub samples: Removed,
}

impl Vacuumed {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Removed {
        let tables = self.tables.values().flat_map(|table| [table.data, table.log]);
        tables.chain([self.leftovers, self.samples]).fold(Removed::default(), Removed::plus)
    }
}

/// What was removed of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VacuumedTable {
    /// Files of rows.
    pub data: Removed,
    /// Files of its log.
    pub log: Removed,
}

/// A number of removed files and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Removed {
    fn plus(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }

    fn of(files: &[Doomed]) -> Self {
        files.iter().fold(Self::default(), |sum, file| sum.plus(Self { files: 1, bytes: file.bytes }))
    }
}

/// A file that is to be removed.
#[derive(Debug)]
struct Doomed {
    path: PathBuf,
    bytes: u64,
}

/// What the kept releases, the journal and the run in progress need.
#[derive(Debug, Default)]
struct Needed {
    oldest_release: Option<u64>,
    versions: HashMap<String, BTreeSet<u64>>,
    /// Paths in the folders of tables; of which table does not matter, as they begin with the run.
    journal: HashSet<String>,
    running: Option<String>,
}

impl Needed {
    /// Whether a folder of a table is that of the run in progress, or of a step of it.
    fn is_running(&self, folder: &str) -> bool {
        let step = self.running.as_deref().and_then(|running| folder.strip_prefix(running));
        step.is_some_and(|step| step.is_empty() || step.starts_with('-'))
    }
}

/// What is to be removed in one place.
#[derive(Debug, Default)]
struct Plan {
    data: Vec<Doomed>,
    log: Vec<Doomed>,
    /// Folders in which nothing stays, those below before those above.
    folders: Vec<PathBuf>,
}

impl Lake {
    /// Removes all files that nothing needs: neither the last releases nor the tables as they are now, nor a
    /// publication or run in progress. Release files and reports of runs stay. Needs the lock, and a Tokio runtime.
    ///
    /// # Errors
    /// If a link is found, or a log, release or journal cannot be read: then nothing was removed. If a file cannot be
    /// removed: then others may have been, and the next vacuum continues.
    pub async fn vacuum(&self, options: &VacuumOptions) -> Result<Vacuumed, LakeError> {
        let needed = &self.needed(options)?;
        let tables = stream::iter(self.table_folders()?)
            .map(|table| async move { Ok::<_, LakeError>((table.clone(), self.plan_table(&table, needed).await?)) })
            .buffer_unordered(TABLES_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let leftovers = self.plan_leftovers(needed)?;
        let samples = self.plan_samples(options.now)?;
        let of = |plan: &Plan| VacuumedTable { data: Removed::of(&plan.data), log: Removed::of(&plan.log) };
        let vacuumed = Vacuumed {
            oldest_release: needed.oldest_release,
            tables: tables.iter().map(|(table, plan)| (table.clone(), of(plan))).collect(),
            leftovers: Removed::of(&leftovers.data),
            samples: Removed::of(&samples.data),
        };
        if !options.dry_run {
            let plans = tables.into_iter().map(|(_, plan)| plan).chain([leftovers, samples]).collect();
            self.remove(plans).await?;
        }
        Ok(vacuumed)
    }

    fn needed(&self, options: &VacuumOptions) -> Result<Needed, LakeError> {
        let mut needed =
            Needed { journal: self.journal_paths()?, running: options.running.clone(), ..Needed::default() };
        let Some(latest) = self.latest_release()? else { return Ok(needed) };
        let (mut number, mut release, mut left) = (latest.release, Some(latest), options.keep_releases.max(1));
        loop {
            if let Some(release) = release {
                needed.oldest_release = Some(release.release);
                for (table, released) in release.tables {
                    needed.versions.entry(table).or_default().insert(released.version);
                }
                left -= 1;
            }
            if left == 0 || number == 1 {
                return Ok(needed);
            }
            number -= 1;
            release = match self.release(number) {
                Err(LakeError::NoRelease { .. }) => None,
                other => Some(other?),
            };
        }
    }

    /// Every path of a file that the journal of a publication names.
    fn journal_paths(&self) -> Result<HashSet<String>, LakeError> {
        let path = self.folder().join(MEDALLION_FOLDER).join("journal.json");
        self.refuse_link(&path)?;
        let text = match self.disk().read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
            read => read.map_err(LakeError::io(self.customer(), &path, "read"))?,
        };
        let json = |source| LakeError::Json { customer: self.customer().to_owned(), path: path.clone(), source };
        let journal: Value = serde_json::from_slice(&text).map_err(json)?;
        let mut paths = HashSet::new();
        collect_paths(&journal, &mut paths);
        Ok(paths)
    }

    /// Tables that have a folder, also those that a crashed run began and never committed.
    fn table_folders(&self) -> Result<Vec<TableName>, LakeError> {
        let mut tables = Vec::new();
        for layer in Layer::ALL {
            for path in self.entries(&self.folder().join(layer.name()))? {
                let folder = kind_of(self.customer(), &path)?.is_some_and(|kind| kind.is_dir());
                let name = name_of(&path).filter(|name| folder && is_identifier(name));
                tables.extend(name.map(|name| TableName::new(layer, name)));
            }
        }
        Ok(tables)
    }

    async fn plan_table(&self, table: &TableName, needed: &Needed) -> Result<Plan, LakeError> {
        let (mut used, oldest) = self.used_paths(table, needed).await?;
        used.extend(needed.journal.iter().cloned());
        let mut plan = Plan::default();
        let folder = self.table_folder(table)?;
        for path in self.entries(&folder)? {
            let is_folder = kind_of(self.customer(), &path)?.is_some_and(|kind| kind.is_dir());
            let Some(name) = name_of(&path).filter(|_| is_folder) else { continue };
            if name == LOG_FOLDER {
                self.plan_log(&path, oldest, &mut plan)?;
            // What is neither of a run nor of a batch is not of this program.
            } else if self.check_run_id(name).is_ok() && !needed.is_running(name) {
                self.plan_folder(&folder, &path, &used, &mut plan)?;
            }
        }
        Ok(plan)
    }

    /// The files of all versions of a table that must stay readable, and the oldest of these versions. Only that one
    /// is read by deltalake, which takes milliseconds; what later commits changed is in their files.
    async fn used_paths(
        &self,
        table: &TableName,
        needed: &Needed,
    ) -> Result<(HashSet<String>, Option<u64>), LakeError> {
        let versions = self.needed_versions(table, needed)?;
        let Some(last) = versions.last().copied() else { return Ok((HashSet::new(), None)) };
        for oldest in &versions {
            let published = match self.published(table, Some(*oldest)).await {
                // A release whose files an earlier vacuum removed, because it kept fewer, has nothing left to keep.
                Err(LakeError::NoVersion { .. }) if *oldest < last => continue,
                other => other?,
            };
            let paths = published.iter().flat_map(|published| published.paths());
            let mut current: HashSet<String> = paths.map(|(path, _)| path.to_owned()).collect();
            let mut used = current.clone();
            for version in oldest + 1..=last {
                self.replay(table, version, &mut current)?;
                if versions.contains(&version) {
                    used.extend(current.iter().cloned());
                }
            }
            return Ok((used, Some(*oldest)));
        }
        Ok((HashSet::new(), None))
    }

    /// Makes the files of a version those of the next one.
    fn replay(&self, table: &TableName, version: u64, paths: &mut HashSet<String>) -> Result<(), LakeError> {
        let path = self.table_folder(table)?.join(LOG_FOLDER).join(format!("{version:020}.json"));
        self.refuse_link(&path)?;
        let text = self.disk().read_to_string(&path).map_err(LakeError::io(self.customer(), &path, "read"))?;
        for line in text.lines() {
            let json = |source| LakeError::Json { customer: self.customer().to_owned(), path: path.clone(), source };
            let change: FileChange = serde_json::from_str(line).map_err(json)?;
            if let Some(remove) = change.remove {
                paths.remove(&remove.path);
            }
            paths.extend(change.add.map(|add| add.path));
        }
        Ok(())
    }

    /// The versions of a table that must stay readable; the last is the current one. None if there is no version.
    fn needed_versions(&self, table: &TableName, needed: &Needed) -> Result<BTreeSet<u64>, LakeError> {
        let log = self.entries(&self.table_folder(table)?.join(LOG_FOLDER))?;
        let versions = log.iter().filter_map(|path| LogFile::of(name_of(path)?).version());
        let Some(current) = versions.max() else { return Ok(BTreeSet::new()) };
        let mut versions = needed.versions.get(&table.to_string()).cloned().unwrap_or_default();
        // A release cannot name what is not in the log; if the log was cut off, its last version is the current one.
        versions.retain(|version| *version < current);
        versions.insert(current);
        if table.layer == Layer::Bronze {
            let run_id = self.run_of(table, current)?;
            versions.extend(self.before_last_run(table, current, run_id.as_deref())?);
        }
        Ok(versions)
    }

    /// The last version that the run of the current one found.
    fn before_last_run(&self, table: &TableName, current: u64, run_id: Option<&str>) -> Result<Option<u64>, LakeError> {
        for version in (0..current).rev() {
            match self.run_of(table, version)? {
                Some(other) if Some(other.as_str()) == run_id => {}
                Some(_) => return Ok(Some(version)),
                // The log begins here.
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Plans what is in a folder of a table; says whether something stays in it.
    fn plan_folder(
        &self,
        table: &Path,
        folder: &Path,
        used: &HashSet<String>,
        plan: &mut Plan,
    ) -> Result<bool, LakeError> {
        let mut keeps = false;
        for path in self.entries(folder)? {
            let Some(kind) = kind_of(self.customer(), &path)? else { continue };
            if kind.is_dir() {
                keeps |= self.plan_folder(table, &path, used, plan)?;
                continue;
            }
            let relative = path.strip_prefix(table).ok().and_then(Path::to_str);
            // On systems with other separators the log still has `/`.
            let relative = relative.map(|path| path.replace(std::path::MAIN_SEPARATOR, "/"));
            if relative.is_some_and(|path| used.contains(&path)) {
                keeps = true;
            } else {
                plan.data.push(self.doomed(path)?);
            }
        }
        if !keeps {
            plan.folders.push(folder.to_path_buf());
        }
        Ok(keeps)
    }

    /// Plans what no version from the oldest that is needed on is read from.
    fn plan_log(&self, folder: &Path, oldest: Option<u64>, plan: &mut Plan) -> Result<(), LakeError> {
        let mut entries = Vec::new();
        for path in self.entries(folder)? {
            self.refuse_link(&path)?;
            match name_of(&path).map(LogFile::of) {
                Some(LogFile::HalfWritten) => plan.log.push(self.doomed(path)?),
                Some(LogFile::Other) | None => {}
                Some(file) => entries.push((file, path)),
            }
        }
        let checkpoints = entries.iter().filter_map(|(file, _)| match file {
            LogFile::Checkpoint(version) => Some(*version),
            _ => None,
        });
        let Some(oldest) = oldest else { return Ok(()) };
        let Some(first) = checkpoints.filter(|version| *version <= oldest).max() else { return Ok(()) };
        for (file, path) in entries {
            if file.version().is_some_and(|version| version < first) {
                plan.log.push(self.doomed(path)?);
            }
        }
        Ok(())
    }

    /// Plans half-written files that only a crash can have left: whoever writes has the lock, and that is us.
    fn plan_leftovers(&self, needed: &Needed) -> Result<Plan, LakeError> {
        let medallion = self.folder().join(MEDALLION_FOLDER);
        let mut folders = vec![medallion.join("releases")];
        let runs = self.entries(&medallion.join("runs"))?;
        let running = |path: &PathBuf| name_of(path).is_some_and(|name| needed.is_running(name));
        folders.extend(runs.into_iter().filter(|path| !running(path)));
        folders.push(medallion);
        let mut plan = Plan::default();
        for folder in folders {
            if !kind_of(self.customer(), &folder)?.is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            for path in self.entries(&folder)? {
                self.refuse_link(&path)?;
                if name_of(&path).is_some_and(is_half_written) {
                    plan.data.push(self.doomed(path)?);
                }
            }
        }
        Ok(plan)
    }

    /// Plans samples of failing rows that are too old.
    fn plan_samples(&self, now: DateTime<Utc>) -> Result<Plan, LakeError> {
        let mut plan = Plan::default();
        let Some(limit) = now.checked_sub_days(SAMPLE_DAYS).map(SystemTime::from) else { return Ok(plan) };
        for run in self.entries(&self.folder().join(MEDALLION_FOLDER).join("runs"))? {
            let folder = run.join("tests");
            self.refuse_link(&run)?;
            if !kind_of(self.customer(), &folder)?.is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            let mut keeps = false;
            for path in self.entries(&folder)? {
                self.refuse_link(&path)?;
                let looked_at = LakeError::io(self.customer(), &path, "look at");
                let written =
                    fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()).map_err(looked_at)?;
                if written < limit {
                    plan.data.push(self.doomed(path)?);
                } else {
                    keeps = true;
                }
            }
            if !keeps {
                plan.folders.push(folder);
            }
        }
        Ok(plan)
    }

    fn doomed(&self, path: PathBuf) -> Result<Doomed, LakeError> {
        let metadata = fs::symlink_metadata(&path).map_err(LakeError::io(self.customer(), &path, "look at"))?;
        Ok(Doomed { path, bytes: metadata.len() })
    }

    async fn remove(&self, plans: Vec<Plan>) -> Result<(), LakeError> {
        let disk = self.disk().clone();
        let (customer, lake) = (self.customer().to_owned(), self.clone());
        let work = move || {
            for plan in plans {
                for file in plan.data.iter().chain(&plan.log) {
                    lake.refuse_links_above(&file.path)?;
                    remove_file(&disk, &file.path).map_err(LakeError::io(&customer, &file.path, "remove"))?;
                }
                for folder in &plan.folders {
                    lake.refuse_links_above(folder)?;
                    remove_empty(&disk, folder).map_err(LakeError::io(&customer, folder, "remove"))?;
                }
            }
            Ok::<_, LakeError>(())
        };
        let done = blocking(move || Ok(work())).await;
        done.map_err(LakeError::io(self.customer(), self.folder(), "remove files of"))?
    }

    /// A folder may have become a link since it was looked at.
    fn refuse_links_above(&self, path: &Path) -> Result<(), LakeError> {
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(self.folder()));
        above.into_iter().try_for_each(|folder| self.refuse_link(folder))
    }
}

/// A line of a commit, as far as it says which files a table has.
#[derive(Deserialize)]
struct FileChange {
    add: Option<Add>,
    remove: Option<Remove>,
}

/// What a file in the folder of a log is.
pub(crate) enum LogFile {
    Commit(u64),
    Checkpoint(u64),
    HalfWritten,
    Other,
}

impl LogFile {
    pub(crate) fn of(name: &str) -> Self {
        let version = |ending: &str| {
            let digits = name.strip_suffix(ending).filter(|digits| digits.len() == 20)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
        };
        if is_half_written(name) {
            return Self::HalfWritten;
        }
        let checkpoint = version(".checkpoint.parquet").map(Self::Checkpoint);
        checkpoint.or_else(|| version(".json").map(Self::Commit)).unwrap_or(Self::Other)
    }

    fn version(&self) -> Option<u64> {
        match self {
            Self::Commit(version) | Self::Checkpoint(version) => Some(*version),
            Self::HalfWritten | Self::Other => None,
        }
    }
}

/// The temporary files of `disk.rs`.
fn is_half_written(name: &str) -> bool {
    name.starts_with("_writing_") && name.ends_with(".tmp")
}

pub(crate) fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// The texts under the key `path`, wherever they are.
fn collect_paths(value: &Value, paths: &mut HashSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(path) if key == "path" => drop(paths.insert(path.clone())),
                    other => collect_paths(other, paths),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

fn remove_file(disk: &Disk, path: &Path) -> io::Result<()> {
    gone(disk.remove_file(path))
}

/// Removes a folder; one that somebody put something into stays.
fn remove_empty(disk: &Disk, path: &Path) -> io::Result<()> {
    disk.pass(Operation::Remove, path)?;
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        other => gone(other),
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
