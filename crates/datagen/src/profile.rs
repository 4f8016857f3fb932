//! How many rows each customer has.

use std::fmt;

use crate::error::GenerateError;
use crate::source::Source;

/// Ids of people and of what they do must stay within a site's 2^31 range.
const LARGEST_USERS: u64 = 100_000_000;
const LARGEST_SOURCE: u64 = 100_000_000_000;
const FEWEST_USERS: u64 = 10;

/// A customer to imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reference,
    Customer(&'static Size),
}

/// The figures known of a real customer.
#[derive(Debug, PartialEq, Eq)]
struct Size {
    name: &'static str,
    users: u64,
    course_completions: u64,
    seminar_attendance: u64,
    scorm: u64,
    /// Relationships beyond the direct manager, per thousand users.
    indirect_per_thousand: u64,
}

const REFERENCE: &str = "reference";

const fn size(
    name: &'static str,
    users: u64,
    course_completions: u64,
    seminar_attendance: u64,
    scorm: u64,
    indirect_per_thousand: u64,
) -> Size {
    Size { name, users, course_completions, seminar_attendance, scorm, indirect_per_thousand }
}

static CUSTOMERS: [Size; 10] = [
    size("customer-a", 4_268, 33_793, 1_225, 17_679, 3_200),
    size("customer-b", 17_896, 811_338, 185_344, 299_655, 3_200),
    size("customer-c", 24_741, 646_257, 72_547, 672_765, 3_200),
    size("customer-d", 2_527, 51_636, 11_227, 16_284, 3_200),
    size("customer-e", 267_859, 687_780, 9_484, 364_357, 9_220),
    size("customer-f", 15_808, 362_360, 1_577, 59_945, 3_200),
    size("customer-g", 2_677, 79_971, 4_003, 15_677, 3_200),
    size("customer-h", 93_223, 8_460_908, 0, 1_654_581, 3_200),
    size("customer-i", 27_448, 2_416_643, 88_766, 1_826_428, 3_200),
    size("customer-j", 186_917, 20_210_099, 153_074, 1_498_096, 3_200),
];

impl Profile {
    /// The reference customer, whose counts are validated.
    pub const REFERENCE: Profile = Profile { kind: Kind::Reference };

    /// The profile of this name.
    pub fn parse(name: &str) -> Result<Self, GenerateError> {
        if name == REFERENCE {
            return Ok(Self::REFERENCE);
        }
        CUSTOMERS.iter().find(|size| size.name == name).map(|size| Self { kind: Kind::Customer(size) }).ok_or_else(
            || GenerateError::UnknownProfile {
                name: name.to_owned(),
                known: Self::names().collect::<Vec<_>>().join(", "),
            },
        )
    }

    /// The names of all profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once(REFERENCE).chain(CUSTOMERS.iter().map(|size| size.name))
    }

    /// The name that [`Profile::parse`] understands.
    pub fn name(self) -> &'static str {
        match self.kind {
            Kind::Reference => REFERENCE,
            Kind::Customer(size) => size.name,
        }
    }

    /// The rows of every source at a scale.
    pub(crate) fn counts(self, scale: f64) -> Result<Counts, GenerateError> {
        if !scale.is_finite() || scale <= 0.0 {
            return Err(GenerateError::InvalidScale { scale });
        }
        let counts = match self.kind {
            Kind::Reference => reference_counts(),
            Kind::Customer(size) => customer_counts(size),
        };
        let counts = counts.scaled(scale);
        counts.check(scale)?;
        Ok(counts)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Rows per source and what else is fixed in number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) users: u64,
    pub(crate) course_completions: u64,
    pub(crate) cert_completions: u64,
    pub(crate) prog_completions: u64,
    pub(crate) prog_overview: u64,
    pub(crate) cert_overview: u64,
    pub(crate) scorm: u64,
    pub(crate) seminar_attendance: u64,
    pub(crate) audiences: u64,
    pub(crate) competency_ratings: u64,
    pub(crate) organisations: u64,
    pub(crate) positions: u64,
    /// Rows of prog_overview that are exact duplicates of another.
    pub(crate) overview_duplicates: u64,
    /// Rows of seminar_attendance that are exact duplicates of another.
    pub(crate) seminar_duplicates: u64,
    /// Users with a manager.
    pub(crate) direct: u64,
    /// Relationships to managers further up.
    pub(crate) indirect: u64,
}

impl Counts {
    fn scaled(self, scale: f64) -> Self {
        let by = |count: u64| scaled(count, scale);
        let users = by(self.users).max(FEWEST_USERS);
        let prog_overview = by(self.prog_overview);
        let seminar_attendance = by(self.seminar_attendance);
        let direct = by(self.direct).min(users - 3);
        Self {
            users,
            course_completions: by(self.course_completions),
            cert_completions: by(self.cert_completions),
            prog_completions: by(self.prog_completions),
            prog_overview,
            cert_overview: by(self.cert_overview),
            scorm: by(self.scorm),
            seminar_attendance,
            audiences: by(self.audiences),
            competency_ratings: by(self.competency_ratings),
            organisations: by(self.organisations),
            positions: by(self.positions),
            overview_duplicates: by(self.overview_duplicates).min(prog_overview / 2),
            seminar_duplicates: by(self.seminar_duplicates).min(seminar_attendance / 2),
            direct,
            indirect: by(self.indirect).min(direct * direct.saturating_sub(1) / 2),
        }
    }

    fn check(&self, scale: f64) -> Result<(), GenerateError> {
        let limits = [
            (Source::Users, self.users, LARGEST_USERS),
            (Source::Organisations, self.organisations, LARGEST_USERS),
            (Source::Positions, self.positions, LARGEST_USERS),
            (Source::CertOverview, self.cert_overview, LARGEST_SOURCE),
            (Source::CourseCompletions, self.course_completions, LARGEST_SOURCE),
            (Source::CompetencyRatings, self.competency_ratings, LARGEST_SOURCE),
        ];
        match limits.into_iter().find(|(_, rows, limit)| rows > limit) {
            Some((source, rows, limit)) => {
                Err(GenerateError::TooManyRows { scale, source_name: source.name(), rows, limit })
            }
            None => Ok(()),
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn scaled(count: u64, scale: f64) -> u64 {
    (count as f64 * scale).round() as u64
}

fn reference_counts() -> Counts {
    Counts {
        users: 3_057,
        course_completions: 19_858,
        cert_completions: 9_767,
        prog_completions: 3_409,
        prog_overview: 9_634,
        cert_overview: 92_146,
        scorm: 35,
        seminar_attendance: 70,
        audiences: 8_734,
        competency_ratings: 49_078,
        organisations: 1_001,
        positions: 889,
        overview_duplicates: 32,
        seminar_duplicates: 24,
        direct: 800,
        indirect: 3_937,
    }
}

/// What is done per course grows with course completions, what is had per person with users.
fn customer_counts(size: &Size) -> Counts {
    let reference = reference_counts();
    let per_user = |rows: u64| (rows * size.users + reference.users / 2) / reference.users;
    let percent = |share: u64| (size.course_completions * share + 50) / 100;
    let prog_overview = percent(49);
    Counts {
        users: size.users,
        course_completions: size.course_completions,
        cert_completions: percent(49),
        prog_completions: percent(17),
        prog_overview,
        cert_overview: percent(460),
        scorm: size.scorm,
        seminar_attendance: size.seminar_attendance,
        audiences: per_user(reference.audiences),
        competency_ratings: per_user(reference.competency_ratings),
        organisations: per_user(reference.organisations),
        positions: per_user(reference.positions),
        overview_duplicates: prog_overview / 300,
        seminar_duplicates: size.seminar_attendance / 300,
        direct: size.users * 98 / 100,
        indirect: size.users * size.indirect_per_thousand / 1_000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_name_parses_to_itself() {
        let names: Vec<_> = Profile::names().collect();
        assert_eq!(names.len(), 11);
        for name in names {
            assert_eq!(Profile::parse(name).unwrap().name(), name);
        }
        let error = Profile::parse("customer-z").unwrap_err().to_string();
        assert!(error.contains("customer-z") && error.contains("customer-j"), "{error}");
    }

    #[test]
    fn known_customers_have_their_known_sizes() {
        let counts = Profile::parse("customer-b").unwrap().counts(1.0).unwrap();
        assert_eq!(counts.users, 17_896);
        assert_eq!(counts.seminar_attendance, 185_344);
        assert_eq!(counts.prog_completions, 137_927);
        assert_eq!(counts.cert_overview, 3_732_155);
        let hierarchy = Profile::parse("customer-e").unwrap().counts(1.0).unwrap();
        let relationships = hierarchy.users + hierarchy.direct + hierarchy.indirect;
        assert!((2_995_000..3_005_000).contains(&relationships), "{relationships}");
    }

    #[test]
    fn a_scale_must_be_a_sensible_number() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Profile::REFERENCE.counts(scale), Err(GenerateError::InvalidScale { .. })), "{scale}");
        }
        assert!(matches!(Profile::REFERENCE.counts(1e9), Err(GenerateError::TooManyRows { .. })));
        assert_eq!(Profile::REFERENCE.counts(1e-6).unwrap().users, 10);
        assert_eq!(Profile::REFERENCE.counts(0.5).unwrap().scorm, 18);
    }
}
