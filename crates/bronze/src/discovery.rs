//! Which files of a drop folder belong to which source, and to which night.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use globset::{GlobBuilder, GlobMatcher};
use medallion_pipeline::SourceTable;
use medallion_pipeline::definition::FileFormat;

use crate::error::BronzeError;

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// When it was last written.
    pub modified: DateTime<Utc>,
    /// The number of the part, 0 where the export is one file.
    pub part: u32,
}

/// The files of one export of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundExport {
    /// The date in the name, else that of the last write.
    pub export_date: NaiveDate,
    /// The parts in order.
    pub files: Vec<FoundFile>,
}

/// What a drop folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// By source name, the oldest export first.
    pub exports: BTreeMap<String, Vec<FoundExport>>,
    /// Files that no source claims.
    pub unclaimed: Vec<String>,
}

/// Looks through a drop folder, not through the folders in it.
///
/// # Errors
/// If the folder cannot be listed, or two sources claim a file.
pub fn discover<'a>(
    folder: &Path,
    sources: impl IntoIterator<Item = &'a SourceTable>,
) -> Result<Discovery, BronzeError> {
    let matchers: Vec<SourceMatcher> = sources.into_iter().map(SourceMatcher::new).collect();
    let error = |source| BronzeError::Folder { folder: folder.to_path_buf(), source };
    // By source and name without part: parts written around midnight are still one export.
    let mut found: BTreeMap<(String, String), Vec<FoundFile>> = BTreeMap::new();
    let mut discovery = Discovery::default();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        // Neither folders nor links: a link could lead out of the customer's folder.
        if !entry.file_type().map_err(error)?.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(source) = claim(&matchers, &name)? else {
            discovery.unclaimed.push(name);
            continue;
        };
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).map_err(error)?;
        let modified = DateTime::<Utc>::from(modified);
        let (stem, _) = split_ending(&name);
        let (base, part) = split_part(&stem);
        let file = FoundFile { path: entry.path(), name, modified, part };
        found.entry((source.to_owned(), base)).or_default().push(file);
    }
    discovery.unclaimed.sort();
    for ((source, base), mut files) in found {
        let written = files.iter().map(|file| file.modified.date_naive()).max();
        let Some(export_date) = date_in(&base).or(written) else { continue };
        files.sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name)));
        discovery.exports.entry(source).or_default().push(FoundExport { export_date, files });
    }
    for exports in discovery.exports.values_mut() {
        exports.sort_by_key(|export| (export.export_date, export.files.iter().map(|file| file.modified).max()));
    }
    Ok(discovery)
}

struct SourceMatcher<'a> {
    source: &'a SourceTable,
    patterns: Vec<GlobMatcher>,
}

impl<'a> SourceMatcher<'a> {
    fn new(source: &'a SourceTable) -> Self {
        let glob = |pattern: &String| GlobBuilder::new(pattern).case_insensitive(true).build().ok();
        let patterns = source.source.patterns.iter().filter_map(glob).map(|glob| glob.compile_matcher()).collect();
        Self { source, patterns }
    }

    fn claims(&self, stem: &str, ending: &str) -> bool {
        let endings: &[&str] = match self.source.source.format {
            FileFormat::Csv => &[".csv", ".csv.gz", ".csv.zst"],
            FileFormat::Xlsx => &[".xlsx"],
        };
        endings.contains(&ending) && self.patterns.iter().any(|pattern| pattern.is_match(stem))
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
fn split_ending(name: &str) -> (String, String) {
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
    let part = stem
        .rsplit_once('_')
        .filter(|(_, digits)| (1..=3).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()));
    part.and_then(|(base, digits)| Some((base.to_owned(), digits.parse().ok()?))).unwrap_or((stem.to_owned(), 0))
}

/// The first `YYYY-MM-DD` or `YYYYMMDD` in a name that is a date and not part of a longer number.
fn date_in(stem: &str) -> Option<NaiveDate> {
    let bytes = stem.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).filter(|start| !(*start > 0 && digit(start - 1))).find_map(|start| {
        [("%Y-%m-%d", 10), ("%Y%m%d", 8)].into_iter().find_map(|(format, length)| {
            let text = stem.get(start..start + length)?;
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
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
        assert_eq!(date_in("users_202506301"), None);
        assert_eq!(date_in("users_20251330"), None);
        assert_eq!(split_part("analytics_users_20250630"), ("analytics_users_20250630".to_owned(), 0));
        assert_eq!(split_part("analytics_users_20250630_2"), ("analytics_users_20250630".to_owned(), 2));
        assert_eq!(split_ending("Users.CSV.GZ"), ("users".to_owned(), ".csv.gz".to_owned()));
    }
}
