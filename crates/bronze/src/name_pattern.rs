//! Patterns of file names.

use globset::GlobBuilder;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// A glob over the names of files, in which upper and lower case are the same.
#[derive(Debug)]
pub(crate) struct NamePattern(Regex);

impl NamePattern {
    /// `None` if it is not a glob, which the pipeline and the customer's file are checked for.
    pub(crate) fn new(glob: &str) -> Option<Self> {
        let glob = GlobBuilder::new(glob).case_insensitive(true).build().ok()?;
        let syntax = syntax::Config::new().utf8(false).dot_matches_new_line(true);
        // A folder has a few dozen names: compiling the tables that make long texts fast, as the glob's own matcher does,
        // would take longer than all else that is done about a file which is known.
        let config = Regex::config().utf8_empty(false).dfa(false).onepass(false).hybrid(false);
        Some(Self(Regex::builder().syntax(syntax).configure(config).build(glob.regex()).ok()?))
    }

    /// Whether a name is one of those meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
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
        ] {
            assert_eq!(NamePattern::new(glob).unwrap().matches(name), expected, "{glob} {name}");
        }
        assert!(NamePattern::new("users_[").is_none());
    }

    proptest! {
        #[test]
        fn what_matches_is_what_the_globs_own_matcher_matches(
            glob in r"[a-bA-B*?\[\]!{},_.é-]{0,8}",
            name in r"[a-bA-B_.é-]{0,6}",
        ) {
            let own = GlobBuilder::new(&glob).case_insensitive(true).build().ok();
            let expected = own.map(|glob| glob.compile_matcher().is_match(&name));
            prop_assert_eq!(NamePattern::new(&glob).map(|pattern| pattern.matches(&name)), expected);
        }
    }
}
