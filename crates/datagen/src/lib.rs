//! Deterministic customers at any scale.
//!
//! [`generate`] writes one customer's drop folder: thirteen CSV exports and the date workbook, shaped like the
//! exports of a real learning-management site. The same options give the same bytes.
//!
//! Map: `profile` says how many rows, `people`, `hierarchy`, `trees` and `catalogue` say who and what exists,
//! `assignments` and `learners` say who learns what, and `users`, `completions`, `overviews`, `activity`,
//! `memberships` and `calendar` write the files through `writer`. Every plan is a pure function of the seed and a
//! person, so that each file can be written on its own and memory grows with people, not with rows.

mod activity;
mod assignments;
mod calendar;
mod catalogue;
mod completions;
mod customer;
mod error;
mod hierarchy;
mod learners;
mod memberships;
mod names;
mod overviews;
mod people;
mod profile;
mod random;
mod source;
mod times;
mod trees;
mod users;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;

use rayon::prelude::*;

pub use error::GenerateError;
pub use hierarchy::Relationships;
pub use profile::Profile;
pub use source::Source;

use customer::Customer;

/// The seed used when none is given.
pub const DEFAULT_SEED: u64 = 1;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Which customer to imitate.
    pub profile: Profile,
    /// Another seed gives another customer of the same size.
    pub seed: u64,
    /// Multiplies every row count of the profile; greater than zero.
    pub scale: f64,
}

impl Options {
    /// The profile at its own size, with the default seed.
    pub fn new(profile: Profile) -> Self {
        Self { profile, seed: DEFAULT_SEED, scale: 1.0 }
    }
}

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// The source it belongs to.
    pub source: Source,
    /// Its name in the output folder.
    pub file_name: &'static str,
    /// Data rows, without the header.
    pub rows: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// One entry per source, in the order of [`Source::ALL`].
    pub files: Vec<GeneratedFile>,
    /// The relationships the closure of the manager hierarchy has to find.
    pub relationships: Relationships,
}

impl Summary {
    /// Data rows over all sources.
    pub fn total_rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// Writes a customer's exports into the folder `out`, which is created if need be; files of the same names are
/// replaced, others are left alone.
pub fn generate(options: &Options, out: &Path) -> Result<Summary, GenerateError> {
    let customer = Customer::plan(options)?;
    std::fs::create_dir_all(out).map_err(|source| GenerateError::CreateFolder { path: out.to_path_buf(), source })?;
    let files = Source::ALL
        .par_iter()
        .map(|&source| {
            let file_name = source.file_name();
            let rows = write_source(&customer, source, &out.join(file_name))?;
            Ok(GeneratedFile { source, file_name, rows })
        })
        .collect::<Result<Vec<_>, GenerateError>>()?;
    Ok(Summary { files, relationships: customer.forest.relationships() })
}

fn write_source(customer: &Customer, source: Source, path: &Path) -> Result<u64, GenerateError> {
    match source {
        Source::Users => users::write(customer, path),
        Source::CourseCompletions => completions::write_courses(customer, path),
        Source::CertCompletions => completions::write_certifications(customer, path),
        Source::ProgCompletions => completions::write_programs(customer, path),
        Source::ProgOverview => overviews::write_programs(customer, path),
        Source::CertOverview => overviews::write_certifications(customer, path),
        Source::Scorm => activity::write_scorm(customer, path),
        Source::SeminarAttendance => activity::write_seminars(customer, path),
        Source::Audiences => memberships::write_audiences(customer, path),
        Source::CompetencyRatings => memberships::write_competency_ratings(customer, path),
        Source::Organisations => trees::write(&customer.organisations, source, path),
        Source::Positions => trees::write(&customer.positions, source, path),
        Source::NullDates => calendar::write_null_dates(path),
        Source::Dimdates => calendar::write_workbook(path),
    }
}
