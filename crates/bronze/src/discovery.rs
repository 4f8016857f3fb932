//! Which files of a drop folder belong to which source, and to which night.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate, Utc};
use medallion_pipeline::definition::FileFormat;
use medallion_pipeline::{Arrival, SourceTable};
use serde::Serialize;

use crate::error::BronzeError;
use crate::name_pattern::NamePattern;
use crate::opened::Stamp;
use crate::readiness::Readiness;

/// Names may be dated so many days ahead: the other server's day can have begun earlier.
const FUTURE: u64 = 2;

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its size and when it was last written.
    pub stamp: Stamp,
    /// The number of the part, 0 where the export is one file.
    pub part: u32,
    /// The SHA-256 of the file as it stands, where a manifest gives one.
    pub sha256: Option<String>,
}

/// The files of one export of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundExport {
    /// The date in the name, else that of the last write.
    pub export_date: NaiveDate,
    /// The parts in order.
    pub files: Vec<FoundFile>,
}

/// A file of a source that is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotTaken {
    /// The source.
    pub source: String,
    /// The file's name.
    pub name: String,
    /// Why, as a part of a sentence.
    pub reason: String,
}

/// What a drop folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// By source name, the oldest export first.
    pub exports: BTreeMap<String, Vec<FoundExport>>,
    /// Files that may still be written.
    pub waiting: Vec<NotTaken>,
    /// What is named like a file and is none.
    pub refused: Vec<NotTaken>,
    /// Files that no source claims.
    pub unclaimed: Vec<String>,
}

/// Looks through a drop folder, not through the folders in it. `now` decides which files have settled.
///
/// # Errors
/// If the folder cannot be listed, a manifest cannot be read, or two sources claim a file.
pub fn discover<'a>(
    folder: &Path,
    sources: impl IntoIterator<Item = &'a SourceTable>,
    arrival: &Arrival,
    now: DateTime<Utc>,
) -> Result<Discovery, BronzeError> {
    let matchers: Vec<SourceMatcher> = sources.into_iter().map(SourceMatcher::new).collect();
    let error = |source| BronzeError::Folder { folder: folder.to_path_buf(), source };
    let mut entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(error)?;
    // The order in which a folder is listed is nobody's promise.
    entries.sort_by_key(DirEntry::file_name);
    let mut search = Search { readiness: Readiness::of(folder, &entries, arrival, now)?, ..Search::default() };
    for entry in &entries {
        search.sort_in(&matchers, entry).map_err(|problem| match problem {
            Problem::Listing(source) => error(source),
            Problem::Claim(error) => error,
        })?;
    }
    Ok(search.finish())
}

enum Problem {
    Listing(io::Error),
    Claim(BronzeError),
}

#[derive(Default)]
struct Search {
    readiness: Readiness,
    /// By source and name without part: parts written around midnight are still one export.
    found: BTreeMap<(String, String), Vec<Named>>,
    discovery: Discovery,
}

impl Search {
    fn sort_in(&mut self, matchers: &[SourceMatcher], entry: &DirEntry) -> Result<(), Problem> {
        let name = entry.file_name().to_string_lossy().into_owned();
        let claimed = claim(matchers, &name).map_err(Problem::Claim)?;
        let kind = entry.file_type().map_err(Problem::Listing)?;
        let Some(source) = claimed.map(str::to_owned) else {
            if kind.is_file() && !self.readiness.is_about_files(&name) {
                self.discovery.unclaimed.push(name);
            }
            return Ok(());
        };
        if !kind.is_file() {
            let kind = if kind.is_dir() {
                "a folder"
            } else if kind.is_symlink() {
                "a link"
            } else {
                "no regular file"
            };
            let reason = format!("it is {kind}; only files themselves are read");
            self.discovery.refused.push(NotTaken { source, name, reason });
            return Ok(());
        }
        let stamp = match entry.metadata().and_then(|metadata| Stamp::of(&metadata)) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let reason = "it went away while the folder was listed".to_owned();
                self.discovery.waiting.push(NotTaken { source, name, reason });
                return Ok(());
            }
            Err(error) => return Err(Problem::Listing(error)),
        };
        let (stem, ending) = split_ending(&name);
        let (base, part) = split_part(&stem);
        let suffix = stem.len() - base.len();
        let plain = if part == 0 { 0 } else { format!("_{part}").len() };
        let form = (ending, suffix - plain);
        let sha256 = self.readiness.sha256(&name);
        let file = FoundFile { path: entry.path(), name, stamp, part, sha256 };
        self.found.entry((source, base)).or_default().push(Named { file, form });
        Ok(())
    }

    fn finish(self) -> Discovery {
        let Self { readiness, found, mut discovery } = self;
        for ((source, base), named) in found {
            for files in exports_of(named) {
                // A clock that is ahead must not make an export newer than all that follow.
                let written = files.iter().map(|file| file.stamp.modified.min(readiness.now()).date_naive()).max();
                let Some(export_date) = date_in(&base).or(written) else { continue };
                if export_date > readiness.now().date_naive() + Days::new(FUTURE) {
                    let reason = format!("its name is dated {export_date}, which is in the future; rename it");
                    discovery.refused.extend(not_taken(&source, &files, &reason));
                    continue;
                }
                match waiting(&source, &readiness, &files) {
                    Some(waiting) => discovery.waiting.extend(waiting),
                    None => {
                        let export = FoundExport { export_date, files };
                        discovery.exports.entry(source.clone()).or_default().push(export);
                    }
                }
            }
        }
        for exports in discovery.exports.values_mut() {
            let written = |export: &FoundExport| export.files.iter().map(|file| file.stamp.modified).max();
            exports.sort_by_key(|export| (export.export_date, written(export)));
        }
        discovery
    }
}

/// A file with the form of its name: the ending, and by how much the part's number is longer than it need be.
struct Named {
    file: FoundFile,
    form: (String, usize),
}

/// The exports among files of one name, each with its parts in order. Parts may have different endings, but where two
/// files are the same part, names of different forms are different exports.
fn exports_of(named: Vec<Named>) -> Vec<Vec<FoundFile>> {
    let parts: BTreeSet<u32> = named.iter().map(|named| named.file.part).collect();
    let by_form = parts.len() < named.len();
    let mut exports: BTreeMap<(String, usize), Vec<FoundFile>> = BTreeMap::new();
    for Named { file, form } in named {
        exports.entry(if by_form { form } else { Default::default() }).or_default().push(file);
    }
    let mut exports: Vec<Vec<FoundFile>> = exports.into_values().collect();
    exports.iter_mut().for_each(|files| files.sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name))));
    exports
}

/// The files of an export, if it has to wait. Parts of one export wait for each other.
fn waiting(source: &str, readiness: &Readiness, files: &[FoundFile]) -> Option<Vec<NotTaken>> {
    let reasons = missing_part(files).map(|reason| vec![Some(reason); files.len()]);
    let reasons = reasons.unwrap_or_else(|| files.iter().map(|file| readiness.why_waiting(file)).collect());
    if reasons.iter().all(Option::is_none) {
        return None;
    }
    let mut waiting = not_taken(source, files, "another part of its export waits");
    for (file, reason) in waiting.iter_mut().zip(reasons) {
        file.reason = reason.unwrap_or_else(|| std::mem::take(&mut file.reason));
    }
    Some(waiting)
}

fn not_taken(source: &str, files: &[FoundFile], reason: &str) -> Vec<NotTaken> {
    let file =
        |file: &FoundFile| NotTaken { source: source.to_owned(), name: file.name.clone(), reason: reason.to_owned() };
    files.iter().map(file).collect()
}

/// Why the parts of an export, in order, are not all there.
fn missing_part(files: &[FoundFile]) -> Option<String> {
    let mut expected = files.first().map_or(0, |file| file.part.min(1));
    for file in files {
        if file.part > expected {
            return Some(format!("part {expected} of its export is not there yet"));
        }
        expected = file.part + 1;
    }
    None
}

struct SourceMatcher<'a> {
    source: &'a SourceTable,
    patterns: Vec<NamePattern>,
}

impl<'a> SourceMatcher<'a> {
    fn new(source: &'a SourceTable) -> Self {
        let patterns = source.source.patterns.iter().filter_map(|pattern| NamePattern::new(pattern)).collect();
        Self { source, patterns }
    }

    fn claims(&self, stem: &str, ending: &str) -> bool {
        let endings: &[&str] = match self.source.source.format {
            FileFormat::Csv => &[".csv", ".csv.gz", ".csv.zst"],
            FileFormat::Xlsx => &[".xlsx"],
        };
        endings.contains(&ending) && self.patterns.iter().any(|pattern| pattern.matches(stem))
    }
}

fn claim<'a>(matchers: &[SourceMatcher<'a>], file: &str) -> Result<Option<&'a str>, BronzeError> {
    let (stem, ending) = split_ending(file);
    let mut claims = matchers.iter().filter(|matcher| matcher.claims(&stem, &ending));
    let first = claims.next().map(|matcher| matcher.source.name.table.as_str());
    match (first, claims.next()) {
        (Some(first), Some(second)) => Err(BronzeError::ClaimedTwice {
            file: file.to_owned(),
            first: first.to_owned(),
            second: second.source.name.table.clone(),
        }),
        _ => Ok(first),
    }
}

/// Splits a file name in lower case into stem and ending; a compression ending goes with the one before it.
pub(crate) fn split_ending(name: &str) -> (String, String) {
    let name = name.to_lowercase();
    for ending in [".csv.gz", ".csv.zst", ".csv", ".xlsx"] {
        if let Some(stem) = name.strip_suffix(ending) {
            return (stem.to_owned(), ending.to_owned());
        }
    }
    (name, String::new())
}

/// Splits the number of a part (`_1` to `_999`) from a stem.
fn split_part(stem: &str) -> (String, u32) {
    // The day of a date is no part.
    let is_date = stem.get(stem.len().saturating_sub(10)..).is_some_and(|end| {
        end.chars().filter(|c| *c == '_').count() == 2 && NaiveDate::parse_from_str(end, "%Y_%m_%d").is_ok()
    });
    let part = stem
        .rsplit_once('_')
        .filter(|_| !is_date)
        .filter(|(_, digits)| (1..=3).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()));
    part.and_then(|(base, digits)| Some((base.to_owned(), digits.parse().ok()?))).unwrap_or((stem.to_owned(), 0))
}

/// The first `YYYY-MM-DD`, `YYYY_MM_DD` or `YYYYMMDD` in a name that is a date and not part of a longer number.
fn date_in(stem: &str) -> Option<NaiveDate> {
    let bytes = stem.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).filter(|start| !(*start > 0 && digit(start - 1))).find_map(|start| {
        // A time may follow the date at once: 20250630021500.
        let moment = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count() == 14;
        if moment {
            return NaiveDate::parse_from_str(stem.get(start..start + 8)?, "%Y%m%d").ok();
        }
        [("%Y-%m-%d", 10), ("%Y_%m_%d", 10), ("%Y%m%d", 8)].into_iter().find_map(|(format, length)| {
            let text = stem.get(start..start + length)?;
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
            (plain && !digit(start + length)).then(|| NaiveDate::parse_from_str(text, format).ok())?
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_and_parts_are_found_in_names() {
        let date = |year, month, day| NaiveDate::from_ymd_opt(year, month, day);
        assert_eq!(date_in("analytics_users_20250630"), date(2025, 6, 30));
        assert_eq!(date_in("2025-06-30_users_report"), date(2025, 6, 30));
        assert_eq!(date_in("users_2025_06_30"), date(2025, 6, 30));
        assert_eq!(split_part("users_2025_06_30").1, 0);
        assert_eq!(split_part("users_2025_06_30_1"), ("users_2025_06_30".to_owned(), 1));
        assert_eq!(date_in("users_20250630021500"), date(2025, 6, 30));
        assert_eq!(date_in("users_202506301"), None);
        assert_eq!(date_in("users_20251330"), None);
        assert_eq!(split_part("analytics_users_20250630"), ("analytics_users_20250630".to_owned(), 0));
        assert_eq!(split_part("analytics_users_20250630_2"), ("analytics_users_20250630".to_owned(), 2));
        assert_eq!(split_ending("Users.CSV.GZ"), ("users".to_owned(), ".csv.gz".to_owned()));
    }
}
