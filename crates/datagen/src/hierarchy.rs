//! Who manages whom: a random forest with an exact number of relationships.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::people::ADMINISTRATOR;
use crate::random::section;

/// People per manager, roughly.
const REPORTS: usize = 8;

/// Relationships of a manager hierarchy, as its closure counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relationships {
    /// Everybody with themself.
    pub itself: u64,
    /// With the own manager.
    pub direct: u64,
    /// With managers further up.
    pub indirect: u64,
}

impl Relationships {
    /// All of them.
    pub fn total(self) -> u64 {
        self.itself + self.direct + self.indirect
    }
}

/// The manager of everybody who has one.
pub(crate) struct Forest {
    managers: Vec<Option<u32>>,
    is_manager: Vec<bool>,
    relationships: Relationships,
}

impl Forest {
    /// A forest over `users` people in which `direct` have a manager and the managers beyond the direct ones add up
    /// to `indirect`. At most `users - 3` people can have a manager, and `direct * (direct - 1) / 2` is the most
    /// that a single chain can give.
    pub(crate) fn grow(seed: u64, users: u32, direct: u64, indirect: u64) -> Self {
        let mut generator = section(seed, "hierarchy");
        let mut people: Vec<u32> = (ADMINISTRATOR + 1..users).collect();
        people.shuffle(&mut generator);
        let mut managers = vec![None; users as usize];
        let mut is_manager = vec![false; users as usize];
        let levels = level_sizes(&mut generator, direct, indirect);
        let unmanaged = people.len().saturating_sub(to_usize(direct));
        let roots = levels.first().map_or(0, |&size| size.div_ceil(REPORTS)).min(unmanaged);
        let (mut above, mut rest) = people.split_at(roots);
        for size in levels {
            let (level, below) = rest.split_at(size.min(rest.len()));
            let heads = level.len().div_ceil(REPORTS).clamp(1, above.len().max(1));
            for &person in level {
                let Some(&manager) = above.get(generator.random_range(0..heads)) else { continue };
                managers[person as usize] = Some(manager);
                is_manager[manager as usize] = true;
            }
            (above, rest) = (level, below);
        }
        let relationships = Relationships { itself: u64::from(users), direct, indirect };
        Self { managers, is_manager, relationships }
    }

    pub(crate) fn manager_of(&self, user: u32) -> Option<u32> {
        self.managers.get(user as usize).copied().flatten()
    }

    /// Has a manager or is one.
    pub(crate) fn contains(&self, user: u32) -> bool {
        self.manager_of(user).is_some() || self.is_manager.get(user as usize).copied().unwrap_or(false)
    }

    pub(crate) fn relationships(&self) -> Relationships {
        self.relationships
    }
}

/// How many of `people` are 1, 2, 3, ... managers below the top, so that the managers beyond the direct ones add up
/// to `beyond`: every level has somebody, the deeper ones more.
fn level_sizes(generator: &mut ChaCha8Rng, people: u64, beyond: u64) -> Vec<usize> {
    if people == 0 {
        return Vec::new();
    }
    let depth = deepest_level(people, beyond);
    let mut levels = vec![1_usize; to_usize(depth)];
    let mut free: Vec<u64> = (depth..people).map(|_| random_level(generator, depth)).collect();
    let wanted = (people + beyond).saturating_sub(depth * (depth + 1) / 2);
    let mut sum: u64 = free.iter().sum();
    while sum != wanted {
        for level in &mut free {
            if sum < wanted && *level < depth {
                (*level, sum) = (*level + 1, sum + 1);
            } else if sum > wanted && *level > 1 {
                (*level, sum) = (*level - 1, sum - 1);
            }
        }
    }
    for level in free {
        levels[to_usize(level) - 1] += 1;
    }
    levels
}

/// A depth at which the sum is possible, near what a tree that fans out has.
fn deepest_level(people: u64, beyond: u64) -> u64 {
    let fewest = |depth: u64| depth * (depth - 1) / 2;
    let most = |depth: u64| fewest(depth) + (people - depth) * (depth - 1);
    let mut depth = ((people + beyond) * 115).div_ceil(people * 100).clamp(1, people);
    while depth < people && most(depth) < beyond {
        depth += 1;
    }
    while depth > 1 && fewest(depth) > beyond {
        depth -= 1;
    }
    depth
}

/// Half of the people on the deepest level, a quarter above it, and so on.
fn random_level(generator: &mut ChaCha8Rng, depth: u64) -> u64 {
    let up = u64::from(generator.random::<u32>().trailing_zeros());
    depth.saturating_sub(up).max(1)
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Managers above each person, walked one by one.
    fn walked(forest: &Forest, users: u32) -> (u64, u64, usize) {
        let (mut direct, mut indirect, mut deepest) = (0, 0, 0);
        for user in 0..users {
            let mut above = Vec::new();
            let mut current = user;
            while let Some(manager) = forest.manager_of(current) {
                assert_ne!(manager, user, "a cycle");
                above.push(manager);
                current = manager;
            }
            direct += u64::from(!above.is_empty());
            indirect += above.len().saturating_sub(1) as u64;
            deepest = deepest.max(above.len());
        }
        (direct, indirect, deepest)
    }

    #[test]
    fn forests_have_the_wanted_relationships() {
        let cases = [
            (3_057, 800, 3_937),
            (10, 0, 0),
            (10, 1, 0),
            (10, 7, 0),
            (10, 7, 21),
            (10, 7, 20),
            (10, 7, 6),
            (2_000, 1_900, 1_900 * 1_899 / 2),
            (5_000, 4_900, 16_000),
            (5_000, 4_900, 1),
        ];
        for (users, direct, indirect) in cases {
            for seed in 0..5 {
                let forest = Forest::grow(seed, users, direct, indirect);
                let (found_direct, found_indirect, _) = walked(&forest, users);
                assert_eq!((found_direct, found_indirect), (direct, indirect), "{users} users, seed {seed}");
                assert!(!forest.contains(0) && !forest.contains(1));
            }
        }
    }

    #[test]
    fn the_largest_hierarchy_is_about_twelve_deep() {
        let forest = Forest::grow(1, 26_786, 26_250, 246_967);
        assert_eq!(walked(&forest, 26_786), (26_250, 246_967, 12));
    }
}
