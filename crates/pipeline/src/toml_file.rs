//! Reading TOML so that every mistake is answered with file, line and the nearest known key.

use serde::de::DeserializeOwned;

use crate::error::{DefinitionError, nearest};

/// Reads `text` as a `T`; `file` is what messages call it.
///
/// # Errors
/// If the text is not TOML, or not that of a `T`.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DefinitionError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let message = error.message().to_owned();
        let nearest = nearest_expected(&message);
        DefinitionError::Toml { file: file.to_owned(), line, column, message, nearest }
    })
}

/// Serde lists what it expected between back quotes, the unknown name first.
fn nearest_expected(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (unknown, expected) = quoted.split_first()?;
    nearest(unknown, expected.iter().copied())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code)]
        patterns: Vec<String>,
        #[allow(dead_code)]
        required: bool,
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
        let error = parse::<Example>("bronze/users.toml", "patterns = []\nrequird = true\n").unwrap_err();
        assert!(error.to_string().starts_with("bronze/users.toml:2:1: unknown field `requird`"), "{error}");
        assert_eq!(error.hint().unwrap(), "did you mean 'required'?");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let error = parse::<Example>("a.toml", "patterns = []\nrequired = \"yes\"\n").unwrap_err();
        assert!(error.to_string().starts_with("a.toml:2:12: invalid type"), "{error}");
        assert_eq!(error.hint(), None);
    }
}
