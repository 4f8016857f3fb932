//! Writes what people belong to and are rated on: audiences and competencies.

use std::path::Path;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::catalogue::{self, Entry};
use crate::customer::Customer;
use crate::error::GenerateError;
use crate::random::{member, quotas, section};
use crate::source::Source;
use crate::times::{LAST, between};
use crate::writer::RowWriter;

static RATINGS: [(&str, u32); 5] = [
    ("Not competent", 15),
    ("Competent with supervision", 25),
    ("Competent", 45),
    ("Exceeds expectations", 12),
    ("", 3),
];

/// Distributes entries over people so that nobody has one twice.
struct Membership {
    generator: ChaCha8Rng,
    quotas: Vec<u32>,
    entries: Vec<Entry>,
    taken: Vec<u32>,
}

impl Membership {
    fn new(customer: &Customer, source: Source, total: u64, weights: &[u32], entry: fn(usize) -> Entry) -> Self {
        let mut shares = section(customer.seed, &format!("{source} shares"));
        let quotas = quotas(&mut shares, total, customer.population.learners() as usize, weights);
        let most = quotas.iter().copied().max().unwrap_or(0) as usize;
        let entries: Vec<_> = (0..(most * 4 / 3 + 1).max(17)).map(entry).collect();
        let taken = vec![u32::MAX; entries.len()];
        Self { generator: section(customer.seed, source.name()), quotas, entries, taken }
    }

    /// The entry for somebody's next slot: the first is the one everybody has if `common` says so.
    fn choose(&mut self, generator: &mut ChaCha8Rng, place: u32, common: bool) -> usize {
        let count = self.entries.len();
        let drawn = generator.random_range(0..count).min(generator.random_range(0..count));
        let mut chosen = if common { 0 } else { drawn };
        while self.taken[chosen] == place {
            chosen = (chosen + 1) % count;
        }
        self.taken[chosen] = place;
        chosen
    }
}

pub(crate) fn write_audiences(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::Audiences, path)?;
    let total = customer.counts.audiences;
    let mut membership = Membership::new(customer, Source::Audiences, total, &[2, 3, 3, 4], catalogue::audience);
    for place in 0..customer.population.learners() {
        let user = customer.population.learner_at(place);
        let mut generator = member(&membership.generator, user);
        for slot in 0..membership.quotas[place as usize] {
            let chosen = membership.choose(&mut generator, place, slot == 0);
            let audience = &membership.entries[chosen];
            writer.quoted(&audience.name).number(audience.id).number(customer.population.id(user));
            writer.text("Active").end_row()?;
        }
    }
    writer.finish()
}

pub(crate) fn write_competency_ratings(customer: &Customer, path: &Path) -> Result<u64, GenerateError> {
    let source = Source::CompetencyRatings;
    let mut writer = RowWriter::create(source, path)?;
    let total = customer.counts.competency_ratings;
    let mut membership = Membership::new(customer, source, total, &[1, 2, 3, 3, 4, 5], catalogue::competency);
    for place in 0..customer.population.learners() {
        let user = customer.population.learner_at(place);
        let joined = customer.population.joined(user);
        let mut generator = member(&membership.generator, user);
        for _ in 0..membership.quotas[place as usize] {
            let chosen = membership.choose(&mut generator, place, false);
            let competency = &membership.entries[chosen];
            let rating = RATINGS.choose_weighted(&mut generator, |rating| rating.1).map_or("", |rating| rating.0);
            let rated = between(&mut generator, joined, LAST);
            let has_time = !generator.random_bool(0.02);
            writer.number(customer.population.id(user)).number(competency.id).quoted(&competency.name);
            writer.text(rating).moment(has_time.then_some(rated)).end_row()?;
        }
    }
    writer.finish()
}
