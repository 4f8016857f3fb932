//! Who has which program or certification, and how many of its courses are in the overview for them.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::catalogue::Entry;
use crate::people::Population;
use crate::random::{Share, member, quotas, section};
use crate::times::{DAY, LAST, between};

/// How likely somebody's next assignment is simply the next most popular one.
const USUAL_ASSIGNMENT: f64 = 0.8;
const UNASSIGNED: f64 = 0.02;
const HAS_DUE_DATE: f64 = 0.15;

/// What distinguishes programs from certifications.
pub(crate) struct AssignmentKind {
    pub(crate) section: &'static str,
    /// Rows of the completions source and of the overview source without duplicates.
    pub(crate) completions: u64,
    pub(crate) overview: u64,
    /// Courses in the most popular ones, in turn.
    pub(crate) sizes: &'static [u32],
    pub(crate) fewest: usize,
    pub(crate) entry: fn(usize) -> Entry,
    /// Where its courses lie in the catalogue: the popular ones first, or further down.
    pub(crate) first_course: usize,
    pub(crate) course_step: usize,
}

/// Somebody's program or certification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Index among the programs or certifications.
    pub(crate) of: usize,
    /// How many of its courses the overview lists; none where the assignment was taken back.
    pub(crate) courses: usize,
    pub(crate) assigned: i64,
    pub(crate) due: Option<i64>,
    /// False where only the overview knows it.
    pub(crate) has_completion: bool,
}

/// All assignments, as a function of the person.
pub(crate) struct AssignmentPlan {
    kind: AssignmentKind,
    generator: ChaCha8Rng,
    quotas: Vec<u32>,
    entries: Vec<Entry>,
    share: Share,
    largest: usize,
}

impl AssignmentPlan {
    pub(crate) fn new(seed: u64, population: &Population, kind: AssignmentKind) -> Self {
        let pairs = kind.completions.max(u64::from(kind.overview > 0));
        let mut shares = section(seed, &format!("{} shares", kind.section));
        let quotas = quotas(&mut shares, pairs, population.learners() as usize, &[9, 10, 10, 11]);
        let most = quotas.iter().copied().max().unwrap_or(0) as usize;
        let entries = (0..kind.fewest.max(most + most / 3 + 1)).map(kind.entry).collect();
        let generator = section(seed, kind.section);
        let mut plan = Self { kind, generator, quotas, entries, share: Share::new(0, 0), largest: 0 };
        plan.weigh(population);
        plan
    }

    /// The first walk finds the weights, without which no overview row can be given out.
    fn weigh(&mut self, population: &Population) {
        let mut total = 0;
        let mut assignments = Vec::new();
        let mut walk = AssignmentWalk::new(self);
        while walk.next(population, &mut assignments).is_some() {
            total += walk.weight_of_person;
        }
        self.share = Share::new(self.kind.overview, total);
        let sizes = self.kind.sizes.iter();
        self.largest = sizes.map(|&size| self.share.largest_piece(size)).max().unwrap_or(0).try_into().unwrap_or(0);
    }

    pub(crate) fn entry(&self, assignment: &Assignment) -> Option<&Entry> {
        self.entries.get(assignment.of)
    }

    /// The most courses that one of them has; the catalogue must have as many.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// The courses that the overview lists, as indexes into a catalogue of `courses`.
    pub(crate) fn courses(&self, assignment: &Assignment, courses: usize) -> impl Iterator<Item = usize> + use<> {
        let start = self.kind.first_course + assignment.of * self.kind.course_step;
        (start..start + assignment.courses).map(move |course| course % courses.max(1))
    }

    pub(crate) fn walk(&self) -> AssignmentWalk<'_> {
        AssignmentWalk::new(self)
    }
}

/// Visits all learners in the order of the exports.
pub(crate) struct AssignmentWalk<'a> {
    plan: &'a AssignmentPlan,
    place: u32,
    pairs: u64,
    share: Share,
    taken: Vec<u32>,
    weight_of_person: u64,
}

impl<'a> AssignmentWalk<'a> {
    fn new(plan: &'a AssignmentPlan) -> Self {
        let taken = vec![u32::MAX; plan.entries.len()];
        Self { plan, place: 0, pairs: 0, share: plan.share.clone(), taken, weight_of_person: 0 }
    }

    /// The next learner, with their assignments put into `into`.
    pub(crate) fn next(&mut self, population: &Population, into: &mut Vec<Assignment>) -> Option<u32> {
        into.clear();
        let quota = *self.plan.quotas.get(self.place as usize)?;
        let user = population.learner_at(self.place);
        self.weight_of_person = 0;
        if quota > 0 {
            let mut generator = member(&self.plan.generator, user);
            let joined = population.joined(user);
            for slot in 0..quota as usize {
                let assignment = self.assign(&mut generator, slot, joined);
                into.push(assignment);
            }
        }
        self.place += 1;
        Some(user)
    }

    fn assign(&mut self, generator: &mut ChaCha8Rng, slot: usize, joined: i64) -> Assignment {
        let of = self.choose(generator, slot);
        let sizes = self.plan.kind.sizes;
        let taken_back = generator.random_bool(UNASSIGNED) && self.pairs > 0;
        let weight = if taken_back { 0 } else { sizes[of % sizes.len()] };
        self.weight_of_person += u64::from(weight);
        let courses = self.share.take(weight) as usize;
        let assigned = between(generator, joined, LAST - DAY);
        let has_due_date = generator.random_bool(HAS_DUE_DATE);
        let due = assigned + generator.random_range(30 * DAY..400 * DAY);
        let has_completion = self.pairs < self.plan.kind.completions;
        self.pairs += 1;
        Assignment { of, courses, assigned, due: has_due_date.then_some(due), has_completion }
    }

    /// One that the person does not have yet; there are more than anybody can have.
    fn choose(&mut self, generator: &mut ChaCha8Rng, slot: usize) -> usize {
        let count = self.taken.len();
        let usual = generator.random_bool(USUAL_ASSIGNMENT);
        let other = generator.random_range(0..count).min(generator.random_range(0..count));
        let mut of = if usual { slot % count } else { other };
        while self.taken[of] == self.place {
            of = (of + 1) % count;
        }
        self.taken[of] = self.place;
        of
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue;

    #[test]
    fn pairs_and_overview_rows_add_up_for_any_size() {
        for (users, completions, overview) in [(10, 0, 1), (10, 1, 1), (50, 700, 2_000), (3_057, 3_409, 9_602)] {
            let population = Population::new(3, users);
            let kind = AssignmentKind {
                section: "programs",
                completions,
                overview,
                sizes: &[2, 10, 3],
                fewest: 6,
                entry: catalogue::program,
                first_course: 1,
                course_step: 5,
            };
            let plan = AssignmentPlan::new(3, &population, kind);
            let (mut walk, mut assignments) = (plan.walk(), Vec::new());
            let (mut pairs, mut rows) = (HashSet::new(), 0);
            while let Some(user) = walk.next(&population, &mut assignments) {
                for assignment in &assignments {
                    assert!(!assignment.has_completion || pairs.insert((user, assignment.of)));
                    assert!(assignment.courses <= plan.largest());
                    rows += assignment.courses as u64;
                }
            }
            assert_eq!((pairs.len() as u64, rows), (completions, overview));
        }
    }
}
