//! Where lakes are, and what it takes to get there.

use std::collections::BTreeMap;
use std::fmt;

/// A path or URL with the settings of its storage.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LakeLocation {
    /// A path, a `file://` URL or the URL of object storage.
    pub address: String,
    /// Settings and credentials of object storage, under the names that they have in the environment, such as
    /// `AWS_ACCESS_KEY_ID`. If there are any, those of the environment do not count.
    pub storage: BTreeMap<String, String>,
}

impl From<&str> for LakeLocation {
    fn from(address: &str) -> Self {
        Self { address: address.to_owned(), storage: BTreeMap::new() }
    }
}

impl From<&String> for LakeLocation {
    fn from(address: &String) -> Self {
        Self::from(address.as_str())
    }
}

impl From<&Self> for LakeLocation {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}

/// The values may be secrets.
impl fmt::Debug for LakeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.storage.keys().collect();
        f.debug_struct("LakeLocation").field("address", &self.address).field("storage", &names).finish()
    }
}
