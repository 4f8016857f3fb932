//! `${NAME}` in the values of project and customer files.

use std::collections::BTreeSet;
use std::env::VarError;

use crate::error::DefinitionError;

/// Puts the environment's values in place of every `${NAME}` in the value of `key`; other dollar signs stay.
///
/// # Errors
/// If a reference is not closed or names no variable, or if its variable is not set. No message has a variable's value.
pub(crate) fn expand(file: &str, key: &str, text: &str) -> Result<String, DefinitionError> {
    expand_with(file, key, text, |name| std::env::var(name))
}

/// The names of the variables that a text refers to as `${NAME}`, wherever they stand.
#[must_use]
pub fn variables(text: &str) -> BTreeSet<String> {
    let references = text.split("${").skip(1).filter_map(|after| after.split_once('}'));
    references.map(|(name, _)| name).filter(|name| is_name(name)).map(str::to_owned).collect()
}

fn expand_with(
    file: &str,
    key: &str,
    text: &str,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<String, DefinitionError> {
    let failed = |reference: String, problem: &'static str| DefinitionError::Variable {
        file: file.to_owned(),
        key: key.to_owned(),
        reference,
        problem,
    };
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| failed(format!("${{{after}"), "has no closing '}'"))?;
        let reference = format!("${{{name}}}");
        if !is_name(name) {
            return Err(failed(reference, "is not a name of letters, digits and '_' that starts with no digit"));
        }
        let value = variable(name).map_err(|error| match error {
            VarError::NotPresent => failed(reference, "is not set in the environment"),
            VarError::NotUnicode(_) => failed(reference, "is set to something that is not UTF-8"),
        })?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expand_known(text: &str) -> Result<String, DefinitionError> {
        expand_with("customers/acme.toml", "source", text, |name| match name {
            "EXPORTS" => Ok("/data/exports".to_owned()),
            "DAY_2" => Ok("${EXPORTS}".to_owned()),
            _ => Err(VarError::NotPresent),
        })
    }

    #[test]
    fn references_become_values_and_the_rest_stays() {
        for (text, expected) in [
            ("../drop", "../drop"),
            ("${EXPORTS}/acme", "/data/exports/acme"),
            ("a${EXPORTS}b${EXPORTS}", "a/data/exportsb/data/exports"),
            ("$HOME/$5/}", "$HOME/$5/}"),
            ("${DAY_2}", "${EXPORTS}"),
        ] {
            assert_eq!(expand_known(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let text = "source = \"${EXPORTS}/${DAY_2}\"\n# ${EXPORTS} ${2} ${} $HOME ${open";
        assert_eq!(variables(text).iter().map(String::as_str).collect::<Vec<_>>(), ["DAY_2", "EXPORTS"]);
    }

    #[test]
    fn unset_and_malformed_references_are_named_without_values() {
        for (text, parts) in [
            ("${EXPORTS}/${NOWHERE}", ["NOWHERE", "is not set"]),
            ("${EXPORTS}/${", ["${", "no closing"]),
            ("${EXPORTS}/${}", ["${}", "is not a name"]),
            ("${EXPORTS}/${2DAY}", ["2DAY", "is not a name"]),
            ("${EXPORTS}/${EX PORTS}", ["EX PORTS", "is not a name"]),
        ] {
            let message = expand_known(text).unwrap_err().to_string();
            for part in parts.iter().chain(&["customers/acme.toml", "source"]) {
                assert!(message.contains(part), "{text}: {message}");
            }
            assert!(!message.contains("/data"), "{text}: {message}");
        }
    }
}
