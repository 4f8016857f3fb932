//! Which courses each person is enrolled into: out of their programs and certifications, then what is popular.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::assignments::{Assignment, AssignmentPlan, AssignmentWalk};
use crate::customer::Customer;
use crate::people::Population;
use crate::random::{member, quotas, section};

/// How many courses people have, relative to each other.
const COURSES_PER_PERSON: [u32; 14] = [1, 3, 3, 4, 6, 6, 8, 9, 11, 12, 15, 17, 20, 28];
/// The course that nearly everybody is enrolled into.
const USUAL_COURSE: usize = 0;
const USUAL_COURSE_ENROLLED: f64 = 0.9;
const FEWEST_COURSES: usize = 43;
/// How often a course of somebody's program, or one of their certification, was started at all.
const PROGRAM_COURSE_ENROLLED: f64 = 0.97;

/// How many courses everybody is enrolled into.
pub(crate) struct EnrolmentPlan {
    generator: ChaCha8Rng,
    quotas: Vec<u32>,
    most: usize,
}

impl EnrolmentPlan {
    pub(crate) fn new(seed: u64, population: &Population, course_completions: u64) -> Self {
        let mut shares = section(seed, "enrolment shares");
        let quotas = quotas(&mut shares, course_completions, population.learners() as usize, &COURSES_PER_PERSON);
        let most = quotas.iter().copied().max().unwrap_or(0) as usize;
        Self { generator: section(seed, "enrolments"), quotas, most }
    }

    /// How many courses the site needs so that everybody can have different ones.
    pub(crate) fn courses_needed(&self, programs: &AssignmentPlan, certifications: &AssignmentPlan) -> usize {
        (self.most * 3 / 2).max(FEWEST_COURSES).max(programs.largest()).max(certifications.largest())
    }
}

/// Visits all learners in the order of the exports, with what they learn.
pub(crate) struct LearnerWalk<'a> {
    customer: &'a Customer,
    program_walk: AssignmentWalk<'a>,
    certification_walk: AssignmentWalk<'a>,
    place: u32,
    taken: Vec<u32>,
    programs: Vec<Assignment>,
    certifications: Vec<Assignment>,
    courses: Vec<usize>,
}

impl<'a> LearnerWalk<'a> {
    pub(crate) fn new(customer: &'a Customer) -> Self {
        Self {
            customer,
            program_walk: customer.programs.walk(),
            certification_walk: customer.certifications.walk(),
            place: 0,
            taken: vec![u32::MAX; customer.enrollable_courses()],
            programs: Vec::new(),
            certifications: Vec::new(),
            courses: Vec::new(),
        }
    }

    /// The next learner and the courses they are enrolled into.
    pub(crate) fn next(&mut self) -> Option<(u32, &[usize])> {
        let user = self.program_walk.next(&self.customer.population, &mut self.programs)?;
        self.certification_walk.next(&self.customer.population, &mut self.certifications)?;
        let quota = *self.customer.enrolments.quotas.get(self.place as usize)? as usize;
        self.courses.clear();
        if quota > 0 {
            let mut generator = member(&self.customer.enrolments.generator, user);
            if generator.random_bool(USUAL_COURSE_ENROLLED) {
                enrol(&mut self.taken, &mut self.courses, self.place, USUAL_COURSE, quota);
            }
            self.enrol_by_assignments(&mut generator, quota);
            self.enrol_by_popularity(&mut generator, quota);
        }
        self.place += 1;
        Some((user, &self.courses))
    }

    fn enrol_by_assignments(&mut self, generator: &mut ChaCha8Rng, quota: usize) {
        let count = self.taken.len();
        for assignment in &self.programs {
            for course in self.customer.programs.courses(assignment, count) {
                if generator.random_bool(PROGRAM_COURSE_ENROLLED) {
                    enrol(&mut self.taken, &mut self.courses, self.place, course, quota);
                }
            }
        }
        for assignment in &self.certifications {
            let listed = generator.random_range(0..assignment.courses.max(1));
            if let Some(course) = self.customer.certifications.courses(assignment, count).nth(listed) {
                enrol(&mut self.taken, &mut self.courses, self.place, course, quota);
            }
        }
    }

    fn enrol_by_popularity(&mut self, generator: &mut ChaCha8Rng, quota: usize) {
        let count = self.taken.len();
        while self.courses.len() < quota.min(count) {
            let mut course = generator.random_range(0..count).min(generator.random_range(0..count));
            while !enrol(&mut self.taken, &mut self.courses, self.place, course, quota) {
                course = (course + 1) % count;
            }
        }
    }
}

/// Enrols a person who is not in the course yet and has room for it.
fn enrol(taken: &mut [u32], courses: &mut Vec<usize>, place: u32, course: usize, quota: usize) -> bool {
    if taken[course] == place || courses.len() >= quota {
        return false;
    }
    taken[course] = place;
    courses.push(course);
    true
}
