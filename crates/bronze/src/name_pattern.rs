//! Patterns of file names.

use globset::{GlobBuilder, GlobMatcher};

/// A glob over the names of files, in which upper and lower case are the same.
#[derive(Debug)]
pub(crate) enum NamePattern {
    /// The texts between the stars, in lower case, of a glob that has nothing else.
    Stars(Vec<String>),
    /// Any other.
    Glob(GlobMatcher),
}

impl NamePattern {
    /// `None` if it is not a glob, which the pipeline and the customer's file are checked for.
    pub(crate) fn new(glob: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*');
        if glob.chars().all(is_plain) {
            // Compiling the matchers of a pipeline takes longer than all else that is done about a drop folder.
            return Some(Self::Stars(glob.to_ascii_lowercase().split('*').map(str::to_owned).collect()));
        }
        let glob = GlobBuilder::new(glob).case_insensitive(true).build().ok()?;
        Some(Self::Glob(glob.compile_matcher()))
    }

    /// Whether a name is one of those meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Stars(texts) => has_in_order(&name.to_ascii_lowercase(), texts),
            Self::Glob(glob) => glob.is_match(name),
        }
    }
}

/// Whether a name begins with the first text, ends with the last and has the others in between, one after another.
fn has_in_order(name: &str, texts: &[String]) -> bool {
    let [first, between @ .., last] = texts else { return texts.iter().any(|text| text == name) };
    let Some(mut rest) = name.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else {
        return false;
    };
    between.iter().all(|text| match rest.find(text.as_str()) {
        Some(at) => {
            rest = &rest[at + text.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_mean_what_they_mean_to_shells() {
        for (glob, name, expected) in [
            ("analytics_users*", "analytics_users_20250630", true),
            ("analytics_users*", "my_analytics_users", false),
            ("*users_report*", "2025-06-30_Users_Report_1", true),
            ("users_20[0-9][0-9]", "users_2025", true),
            ("users_20[!0-9]5", "users_2025", false),
            ("{users,people}?", "people1", true),
            ("{users,people}?", "people", false),
            ("", "", true),
            ("*.sha256", "manifest.SHA256", true),
            ("users", "USERS", true),
            ("users", "users_1", false),
            ("a*ba*a", "aba", false),
            ("a*b*a", "abba", true),
            ("a**a", "a", false),
            ("**", "a/b", true),
        ] {
            assert_eq!(NamePattern::new(glob).unwrap().matches(name), expected, "{glob} {name}");
        }
        assert!(NamePattern::new("users_[").is_none());
    }

    proptest! {
        #[test]
        fn what_matches_is_what_the_globs_own_matcher_matches(
            glob in r"[a-bA-B_.*-]{0,8}|[a-bA-B*?\[\]!{},_.é-]{0,8}",
            name in r"[a-bA-B_.é-]{0,6}",
        ) {
            let own = GlobBuilder::new(&glob).case_insensitive(true).build().ok();
            let expected = own.map(|glob| glob.compile_matcher().is_match(&name));
            prop_assert_eq!(NamePattern::new(&glob).map(|pattern| pattern.matches(&name)), expected);
        }
    }
}
