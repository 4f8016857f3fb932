//! Which machine runs which customers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One of several equal parts of all customers. A customer's part depends on its id and the number of parts alone, so
/// machines need not know of each other and a new customer moves no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The part, counted from 1.
    pub part: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Shard {
    /// Whether the customer is in this part.
    #[must_use]
    pub fn has(self, customer: &str) -> bool {
        let hash = blake3::hash(customer.as_bytes());
        let first = hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first % u64::from(self.of) == u64::from(self.part - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => Err("expected I/N with I from 1 to N, such as 2/4".to_owned()),
        }
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_customer_is_in_exactly_one_part_and_parts_are_about_equal() {
        for of in [1, 2, 3, 7] {
            let mut sizes = vec![0_u32; of as usize];
            for id in (0..1000).map(|number| format!("customer-{number:04}")) {
                let parts: Vec<u32> = (1..=of).filter(|part| Shard { part: *part, of }.has(&id)).collect();
                assert_eq!(parts.len(), 1, "{id} in {of}");
                sizes[parts[0] as usize - 1] += 1;
            }
            // Four standard deviations of as many throws.
            let (mean, deviation) =
                (1000.0 / f64::from(of), (1000.0 / f64::from(of) * (1.0 - 1.0 / f64::from(of))).sqrt());
            assert!(sizes.iter().all(|size| (f64::from(*size) - mean).abs() <= 4.0 * deviation + 0.5), "{sizes:?}");
        }
    }

    /// The first eight bytes of `printf acme | b3sum`.
    const ACME: u64 = 0xbb7f_db40_e0de_ec73;

    /// Machines with different builds must agree.
    #[test]
    fn a_customers_part_never_changes() {
        for of in [1, 2, 3, 10, 64] {
            let part = u32::try_from(ACME % u64::from(of)).unwrap() + 1;
            assert!(Shard { part, of }.has("acme"), "{part}/{of}");
        }
    }

    #[test]
    fn parts_that_are_none_are_refused() {
        assert_eq!("2/4".parse::<Shard>().unwrap(), Shard { part: 2, of: 4 });
        for text in ["0/4", "5/4", "1/0", "1", "", "a/b", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
