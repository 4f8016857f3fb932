//! What is particular to arrivals: which files wait, what a file may be, what becomes of it. `docs/arrivals.md` is the
//! contract.

use std::fmt;
use std::path::PathBuf;

use bytesize::ByteSize;
use encoding_rs::Encoding;
use serde::{Deserialize, Deserializer};

use crate::definition::{FileFormat, Source};
use crate::error::DefinitionError;
use crate::mode::{self, Deleted, Mode};

/// What becomes of a header that is no column of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewColumns {
    /// The bronze table gets a column of text.
    #[default]
    Evolve,
    /// The field is kept in `_rescued_data`.
    Rescue,
    /// The source fails.
    Freeze,
}

/// How a drop folder tells that a file is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ready {
    /// By nothing but its age, [`Arrival::settle_seconds`].
    #[default]
    Settled,
    /// There is `NAME.done` or `STEM.done` beside it.
    Done,
    /// A manifest lists it.
    Manifest,
}

/// What happens to a file whose content is in bronze, once the run has published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// It stays.
    #[default]
    Keep,
    /// It is moved to [`Arrival::archive`].
    Archive,
    /// It is removed.
    Delete,
}

/// What a file may be at most: `[limits]` of a customer. All sizes are of decompressed bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a file.
    #[serde(deserialize_with = "size")]
    pub file: u64,
    /// Decompressed to compressed bytes, beyond 1 GiB.
    pub ratio: u64,
    /// Bytes of the window that a zstd frame may ask for; a power of two.
    #[serde(deserialize_with = "size")]
    pub window: u64,
    /// Bytes of a workbook, unpacked.
    #[serde(deserialize_with = "size")]
    pub workbook: u64,
    /// Bytes of a field.
    #[serde(deserialize_with = "size")]
    pub field: u64,
    /// Columns of a file, and of a bronze table.
    pub columns: usize,
    /// Records of a file that are set aside; more mean that it is no such file.
    pub rejects: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 64 << 30,
            ratio: 200,
            window: 128 << 20,
            workbook: 256 << 20,
            field: 16 << 20,
            columns: 2_000,
            rejects: 1_000_000,
        }
    }
}

impl Limits {
    /// The windows that the zstd format allows on machines of 64 bits.
    const WINDOWS: std::ops::RangeInclusive<u64> = (1 << 10)..=(2 << 30);

    pub(crate) fn check(&self, file: &str) -> Result<(), DefinitionError> {
        let columns = u64::try_from(self.columns).unwrap_or(u64::MAX);
        for (key, value) in [
            ("file", self.file),
            ("ratio", self.ratio),
            ("window", self.window),
            ("workbook", self.workbook),
            ("field", self.field),
            ("columns", columns),
            ("rejects", self.rejects),
        ] {
            if value == 0 {
                return Err(wrong(file, format!("limits.{key} = 0 would refuse every file: expected at least 1")));
            }
        }
        if self.window.is_power_of_two() && Self::WINDOWS.contains(&self.window) {
            return Ok(());
        }
        let window = self.window;
        Err(wrong(file, format!("limits.window = {window} bytes is not a power of two from 1 KiB to 2 GiB")))
    }
}

/// How a customer's drop folder is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// A file that was written to less than so many seconds ago waits; 0 is off.
    pub settle_seconds: u64,
    /// How a file is known to be complete.
    pub ready: Ready,
    /// Glob over the names of manifests, for [`Ready::Manifest`].
    pub manifest: String,
    /// What happens to files that are in bronze.
    pub after: After,
    /// Where [`After::Archive`] moves them; `None` is the folder `archive` in the drop folder.
    pub archive: Option<PathBuf>,
    /// What a file may be at most.
    pub limits: Limits,
}

impl Default for Arrival {
    fn default() -> Self {
        Self {
            settle_seconds: 0,
            ready: Ready::default(),
            manifest: Self::MANIFEST.to_owned(),
            after: After::default(),
            archive: None,
            limits: Limits::default(),
        }
    }
}

impl Arrival {
    /// The names of manifests where the customer gives no pattern.
    const MANIFEST: &'static str = "*manifest*";

    /// More than a century; beyond it clocks overflow.
    const MAX_SETTLE_SECONDS: u64 = u32::MAX as u64;

    /// `manifest` is what the file says, if it says anything.
    pub(crate) fn check(&self, file: &str, manifest: Option<&str>) -> Result<(), DefinitionError> {
        if self.settle_seconds > Self::MAX_SETTLE_SECONDS {
            let (seconds, most) = (self.settle_seconds, Self::MAX_SETTLE_SECONDS);
            return Err(wrong(file, format!("settle_seconds = {seconds} is too much: expected at most {most}")));
        }
        if self.archive.is_some() && self.after != After::Archive {
            let message = "archive is where after = \"archive\" moves files, but after says otherwise: write \
                           after = \"archive\" or leave archive out";
            return Err(wrong(file, message));
        }
        if let Some(manifest) = manifest {
            self.check_manifest(file, manifest)?;
        }
        self.limits.check(file)
    }

    fn check_manifest(&self, file: &str, manifest: &str) -> Result<(), DefinitionError> {
        if self.ready != Ready::Manifest {
            let message = "manifest is what ready = \"manifest\" looks for, but ready says otherwise: write \
                           ready = \"manifest\" or leave manifest out";
            return Err(wrong(file, message));
        }
        if manifest.trim().is_empty() || manifest.contains('/') {
            let message =
                format!("manifest = \"{manifest}\" is not the pattern of a file's name, such as \"*.sha256\"");
            return Err(wrong(file, message));
        }
        globset::Glob::new(manifest)
            .map(drop)
            .map_err(|error| wrong(file, format!("manifest = \"{manifest}\" is not a file pattern: {error}")))
    }
}

/// What a customer has otherwise than the pipeline's `bronze/<source>.toml`: `[sources.<source>]` of its file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceOverride {
    /// Whether the customer cannot be built without it.
    pub required: Option<bool>,
    /// What becomes of headers that are no columns.
    #[serde(rename = "columns", alias = "new_columns")]
    pub new_columns: Option<NewColumns>,
    /// The encoding of files without a byte-order mark.
    #[serde(deserialize_with = "encoding")]
    pub encoding: Option<&'static Encoding>,
    /// What an export is.
    pub mode: Option<Mode>,
    /// Which rows of an increment delete their key.
    pub deleted: Option<Deleted>,
    /// Snapshots whose rows bronze keeps.
    pub retain_batches: Option<u32>,
    /// The part of the last published records that there must be.
    pub min_ratio: Option<f64>,
    /// The last published records from which `min_ratio` holds.
    pub min_rows: Option<u64>,
    /// Days after which an export is too old.
    pub max_age_days: Option<u32>,
}

impl SourceOverride {
    pub(crate) fn check(&self, file: &str, name: &str) -> Result<(), DefinitionError> {
        check_guards(file, &format!("sources.{name}."), self.retain_batches, self.min_ratio)
    }

    /// Puts what is given here in place of what `source` says.
    pub(crate) fn apply(&self, source: &mut Source) {
        let Self { required, new_columns, encoding, retain_batches, min_ratio, min_rows, max_age_days, .. } = self;
        mode::apply(self, source);
        source.required = required.unwrap_or(source.required);
        source.new_columns = new_columns.unwrap_or(source.new_columns);
        source.encoding = encoding.or(source.encoding);
        source.retain_batches = retain_batches.unwrap_or(source.retain_batches);
        source.min_ratio = min_ratio.unwrap_or(source.min_ratio);
        source.min_rows = min_rows.unwrap_or(source.min_rows);
        source.max_age_days = max_age_days.or(source.max_age_days);
    }
}

/// What the types of a source's keys leave open.
pub(crate) fn check_source(file: &str, source: &Source) -> Result<(), DefinitionError> {
    if source.encoding.is_some() && source.format == FileFormat::Xlsx {
        return Err(wrong(file, WORKBOOK_ENCODING));
    }
    check_guards(file, "", Some(source.retain_batches), Some(source.min_ratio))
}

/// Why a workbook takes no `encoding`.
pub(crate) const WORKBOOK_ENCODING: &str =
    "encoding is for text, and format = \"xlsx\" is a workbook, which has its own: leave encoding out";

fn check_guards(
    file: &str,
    prefix: &str,
    retain_batches: Option<u32>,
    min_ratio: Option<f64>,
) -> Result<(), DefinitionError> {
    if retain_batches == Some(0) {
        return Err(wrong(file, format!("{prefix}retain_batches = 0 would keep nothing: expected at least 1")));
    }
    match min_ratio.filter(|ratio| !(0.0..=1.0).contains(ratio)) {
        Some(ratio) => Err(wrong(file, format!("{prefix}min_ratio = {ratio} is not a part: expected 0 to 1"))),
        None => Ok(()),
    }
}

fn wrong(file: &str, message: impl Into<String>) -> DefinitionError {
    DefinitionError::Contradiction { file: file.to_owned(), message: message.into() }
}

pub(crate) fn encoding<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'static Encoding>, D::Error> {
    let label = String::deserialize(deserializer)?;
    Encoding::for_label_no_replacement(label.as_bytes()).map(Some).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "'{label}' is no encoding: expected a label such as UTF-8, UTF-16LE, windows-1252 or iso-8859-2"
        ))
    })
}

/// Bytes, as a whole number or as text with a unit.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(SizeVisitor)
}

struct SizeVisitor;

impl serde::de::Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"512MiB\" or \"64GiB\", or a whole number of bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        let size: ByteSize = text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(size.as_u64())
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(bytes), &self))
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }
}

#[cfg(test)]
#[path = "arrival_tests.rs"]
mod tests;
