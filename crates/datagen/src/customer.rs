//! A planned customer: all that its files have in common.

use crate::Options;
use crate::assignments::{AssignmentKind, AssignmentPlan};
use crate::catalogue::{self, Course};
use crate::error::GenerateError;
use crate::hierarchy::Forest;
use crate::learners::EnrolmentPlan;
use crate::people::Population;
use crate::profile::Counts;
use crate::source::Source;
use crate::trees::Tree;

/// Everything the writers need; memory grows with people, not with rows.
pub(crate) struct Customer {
    pub(crate) seed: u64,
    pub(crate) counts: Counts,
    pub(crate) population: Population,
    pub(crate) forest: Forest,
    pub(crate) organisations: Tree,
    pub(crate) positions: Tree,
    pub(crate) programs: AssignmentPlan,
    pub(crate) certifications: AssignmentPlan,
    pub(crate) enrolments: EnrolmentPlan,
    /// By popularity; nobody is enrolled into the last.
    pub(crate) courses: Vec<Course>,
}

impl Customer {
    pub(crate) fn plan(options: &Options) -> Result<Self, GenerateError> {
        let (seed, scale) = (options.seed, options.scale);
        let counts = options.profile.counts(scale)?;
        let users = u32::try_from(counts.users).map_err(|_| GenerateError::TooManyRows {
            scale,
            source_name: Source::Users.name(),
            rows: counts.users,
            limit: u64::from(u32::MAX),
        })?;
        let population = Population::new(seed, users);
        let programs = AssignmentPlan::new(seed, &population, program_kind(&counts));
        let certifications = AssignmentPlan::new(seed, &population, certification_kind(&counts));
        let enrolments = EnrolmentPlan::new(seed, &population, counts.course_completions);
        let courses = catalogue::courses(enrolments.courses_needed(&programs, &certifications));
        Ok(Self {
            seed,
            forest: Forest::grow(seed, users, counts.direct, counts.indirect),
            organisations: Tree::organisations(seed, counts.organisations),
            positions: Tree::positions(seed, counts.positions),
            population,
            programs,
            certifications,
            enrolments,
            courses,
            counts,
        })
    }

    /// How many courses people can be enrolled into.
    pub(crate) fn enrollable_courses(&self) -> usize {
        self.courses.len() - 1
    }
}

fn program_kind(counts: &Counts) -> AssignmentKind {
    AssignmentKind {
        section: "programs",
        completions: counts.prog_completions,
        overview: counts.prog_overview - counts.overview_duplicates,
        sizes: &[2, 10, 3, 1, 4, 2, 5, 3],
        fewest: 6,
        entry: catalogue::program,
        first_course: 1,
        course_step: 5,
    }
}

fn certification_kind(counts: &Counts) -> AssignmentKind {
    AssignmentKind {
        section: "certifications",
        completions: counts.cert_completions,
        overview: counts.cert_overview,
        sizes: &[9, 10, 9, 12, 6, 11, 8, 14],
        fewest: 6,
        entry: catalogue::certification,
        first_course: 12,
        course_step: 9,
    }
}
