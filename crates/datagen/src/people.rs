//! The people of a site: ids, names, when they joined, in which order the exports list them.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::names::{CULTURES, NICKNAMES};
use crate::random::{member, section};
use crate::times::{DAY, FIRST};

/// The index of the guest account, which learns nothing.
pub(crate) const GUEST: u32 = 0;
/// The index of the site's administrator.
pub(crate) const ADMINISTRATOR: u32 = 1;

/// Sites number people from here on; the two built-in accounts are 1 and 2.
const FIRST_ID: u64 = 1_013;
/// After so many people one id is missing: an account that was removed.
const IDS_BETWEEN_GAPS: u64 = 250;
/// Days from the first day of the site to the last on which somebody joined.
const JOINING_DAYS: u32 = 3_300;

/// A person's name as the site has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) full: String,
    pub(crate) first: String,
    pub(crate) last: String,
}

/// Everybody with an account. People are addressed by index, 0 to `users - 1`.
pub(crate) struct Population {
    users: u32,
    names: ChaCha8Rng,
    joined: Vec<u16>,
    stride: u64,
}

impl Population {
    pub(crate) fn new(seed: u64, users: u32) -> Self {
        let mut generator = section(seed, "joined");
        let joined = (0..users).map(|_| joining_day(&mut generator)).collect();
        Self { users, names: section(seed, "people"), joined, stride: stride(u64::from(users - 1)) }
    }

    pub(crate) fn users(&self) -> u32 {
        self.users
    }

    /// How many people learn: all but the guest.
    pub(crate) fn learners(&self) -> u32 {
        self.users - 1
    }

    /// The person at a place of the exports, which do not list people by id.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn learner_at(&self, place: u32) -> u32 {
        1 + (u64::from(place) * self.stride % u64::from(self.learners())) as u32
    }

    /// The id of a person.
    pub(crate) fn id(&self, user: u32) -> u64 {
        match user {
            GUEST => 1,
            ADMINISTRATOR => 2,
            _ => {
                let place = u64::from(user) - 2;
                FIRST_ID + place + place / IDS_BETWEEN_GAPS
            }
        }
    }

    /// Midnight of the day on which a person joined.
    pub(crate) fn joined(&self, user: u32) -> i64 {
        FIRST + self.joined.get(user as usize).map_or(0, |&day| i64::from(day)) * DAY
    }

    pub(crate) fn name(&self, user: u32) -> Name {
        match user {
            GUEST => Name { full: "Guest user  ".into(), first: "Guest user".into(), last: " ".into() },
            ADMINISTRATOR => named("Site".into(), "Administrator".into()),
            _ => random_name(&mut member(&self.names, user)),
        }
    }
}

/// Sites grow: half of the draws favour the later years.
fn joining_day(generator: &mut ChaCha8Rng) -> u16 {
    let day = generator.random_range(0..JOINING_DAYS);
    let day = if generator.random_bool(0.5) { day.max(generator.random_range(0..JOINING_DAYS)) } else { day };
    u16::try_from(day).unwrap_or(0)
}

fn named(first: String, last: String) -> Name {
    Name { full: format!("{first} {last}"), first, last }
}

fn random_name(generator: &mut ChaCha8Rng) -> Name {
    let Ok(culture) = CULTURES.choose_weighted(generator, |culture| culture.weight) else {
        return named("New".into(), "Starter".into());
    };
    let mut pick = |pool: &[&'static str]| pool.choose(generator).copied().unwrap_or("");
    let (mut first, mut last) = (pick(culture.given).to_owned(), pick(culture.family).to_owned());
    match generator.random_range(0..1_000_u32) {
        0..4 => first = format!("{first} \"{}\"", NICKNAMES.choose(generator).copied().unwrap_or("")),
        4..6 => last = format!("{last},\nBSc"),
        6..26 => last = format!("{last}-{}", culture.family.choose(generator).copied().unwrap_or("")),
        _ => {}
    }
    named(first, last)
}

/// A number without common divisor with `count`, near its golden section, so that steps of it visit everybody.
fn stride(count: u64) -> u64 {
    let mut stride = (count * 618 / 1_000).max(1);
    while common_divisor(stride, count) != 1 {
        stride += 1;
    }
    stride
}

fn common_divisor(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { common_divisor(right, left % right) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_learner_is_visited_once_and_ids_are_unique() {
        for users in [10, 11, 100, 3_057] {
            let population = Population::new(1, users);
            let visited: HashSet<_> = (0..population.learners()).map(|place| population.learner_at(place)).collect();
            assert_eq!(visited, (1..users).collect());
            let ids: HashSet<_> = (0..users).map(|user| population.id(user)).collect();
            assert_eq!(ids.len(), users as usize);
        }
    }

    #[test]
    fn names_come_in_many_scripts_and_shapes() {
        let population = Population::new(1, 3_057);
        let names: Vec<_> = (0..3_057).map(|user| population.name(user).full).collect();
        let has = |wanted: &dyn Fn(char) -> bool| names.iter().any(|name| name.chars().any(wanted));
        assert!(has(&|letter| ('\u{0600}'..'\u{0700}').contains(&letter)), "no Arabic");
        assert!(has(&|letter| ('\u{0e00}'..'\u{0e80}').contains(&letter)), "no Thai");
        assert!(has(&|letter| ('\u{1ea0}'..'\u{1f00}').contains(&letter)), "no Vietnamese");
        assert!(has(&|letter| letter == '\''), "no apostrophe");
        assert!(has(&|letter| letter == '"'), "no quote");
        assert!(has(&|letter| letter == '\n'), "no line break");
        assert_eq!(names[0], "Guest user  ");
    }
}
