//! Reading TOML so that every mistake is answered with file, line and the nearest known key.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use crate::error::{DefinitionError, nearest};

/// Reads `text` as a `T`; `file` is what messages call it.
///
/// # Errors
/// If the text is not TOML, or not that of a `T`.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DefinitionError> {
    Document::parse(file, text)?.read()
}

/// A file that is TOML, parsed once for all that is read of it.
pub(crate) struct Document<'a> {
    /// What messages call it.
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// # Errors
    /// If the text is not TOML.
    pub(crate) fn parse(file: &'a str, text: &'a str) -> Result<Self, DefinitionError> {
        let root = DeTable::parse(text).map_err(|error| wrong(file, text, error))?;
        Ok(Self { file, text, root })
    }

    /// The text under one of the file's own keys, if it is one.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.root.get_ref().iter().find(|(known, _)| known.get_ref() == key)?.1.get_ref().as_str()
    }

    /// The file as a `T`.
    ///
    /// # Errors
    /// If it is not that of a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, DefinitionError> {
        T::deserialize(Deserializer::from(self.root.clone())).map_err(|error| wrong(self.file, self.text, error))
    }
}

fn wrong(file: &str, text: &str, error: toml::de::Error) -> DefinitionError {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    let nearest = nearest_expected(error.message());
    DefinitionError::Toml { file: file.to_owned(), line, column, message: with_key(error), nearest }
}

/// Line and column, from 1, of a byte of `text`.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// Where a key of the file's own stands: file, line and column; `None` if the file does not have it.
pub(crate) fn place_of(file: &str, text: &str, key: &str) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let (key, _) = table.get_ref().iter().find(|(known, _)| known.get_ref() == key)?;
    let (line, column) = position(text, key.span().start);
    Some(format!("{file}:{line}:{column}"))
}

/// The message, with the key whose value is wrong; a message about a key has it already.
fn with_key(mut error: toml::de::Error) -> String {
    let message = error.message().to_owned();
    // Only without its input does the error write the key, as "in `a.b`" on a line of its own.
    error.set_input(None);
    let written = error.to_string();
    let key = written.strip_prefix(&message).and_then(|rest| rest.trim().strip_prefix("in `")?.strip_suffix('`'));
    match key.filter(|_| !message.contains(" field `")) {
        Some(key) => format!("{message} (key {key})"),
        None => message,
    }
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
        let expected = "a.toml:2:12: invalid type: string \"yes\", expected a boolean (key required)";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint(), None);
    }
}
