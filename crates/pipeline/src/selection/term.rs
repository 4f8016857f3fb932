//! One term of a selection: `2+tag:history+1`.

use globset::{Glob, GlobMatcher};

use crate::error::nearest;

/// What stands before a colon.
const METHODS: [&str; 4] = ["layer", "source", "state", "tag"];

/// What a term looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The name without its layer: tables of that name in every layer.
    Name,
    /// The name with its layer.
    FullName,
    Layer,
    Source,
    Tag,
    /// `state:modified`.
    Modified,
}

/// A term.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// As it is written.
    pub text: String,
    pub method: Method,
    /// What follows the method.
    pub value: String,
    matcher: GlobMatcher,
    /// Steps towards what it is built from.
    pub before: usize,
    /// Steps towards what is built from it.
    pub after: usize,
    /// `@`: all that is built from it, with all that this is built from.
    pub is_whole: bool,
}

impl Term {
    /// Reads a term; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a comma needs a term on each side, without spaces".to_owned());
        }
        let (is_whole, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (before, rest) = steps_before(rest)?;
        let (rest, after) = steps_after(rest)?;
        if is_whole && (before, after) != (0, 0) {
            return Err(format!("'{text}': @ takes both directions already; leave out the +"));
        }
        let (method, value) = method(text, rest)?;
        let glob = Glob::new(value).map_err(|error| format!("'{value}' is not a pattern: {}", error.kind()))?;
        let (text, value) = (text.to_owned(), value.to_owned());
        Ok(Self { text, method, value, matcher: glob.compile_matcher(), before, after, is_whole })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    pub(super) fn is_glob(&self) -> bool {
        self.value.contains(['*', '?', '['])
    }
}

fn method<'t>(text: &str, rest: &'t str) -> Result<(Method, &'t str), String> {
    let (method, value) = match rest.split_once(':') {
        None if rest.contains('.') => (Method::FullName, rest),
        None => (Method::Name, rest),
        Some(("layer", value)) => (Method::Layer, value),
        Some(("source", value)) => (Method::Source, value),
        Some(("tag", value)) => (Method::Tag, value),
        Some(("state", "modified")) => (Method::Modified, "modified"),
        Some(("state", other)) => return Err(format!("'{other}' is not a state: the only one is state:modified")),
        Some((other, _)) => {
            let nearest = nearest(other, METHODS).map(|near| format!("; did you mean '{near}:'?")).unwrap_or_default();
            let known = METHODS.join(":, ");
            return Err(format!("'{other}:' is not a way to select; known are {known}:{nearest}"));
        }
    };
    if value.is_empty() {
        return Err(format!("'{text}' names nothing"));
    }
    // A selection with a stray sign would never match, which looks like a name that is not there.
    let is_sound = |c: char| c.is_alphanumeric() || "_-.*?[]!".contains(c);
    match value.chars().find(|c| !is_sound(*c)) {
        Some(wrong) => Err(format!("'{wrong}' in '{text}' is part of no name")),
        None => Ok((method, value)),
    }
}

/// `+x` is all steps, `2+x` two.
fn steps_before(text: &str) -> Result<(usize, &str), String> {
    match text.split_once('+') {
        Some((number, rest)) if is_number(number) => Ok((steps(number)?, rest)),
        _ => Ok((0, text)),
    }
}

/// `x+` is all steps, `x+2` two.
fn steps_after(text: &str) -> Result<(&str, usize), String> {
    match text.rsplit_once('+') {
        Some((rest, number)) if is_number(number) => Ok((rest, steps(number)?)),
        _ => Ok((text, 0)),
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn steps(number: &str) -> Result<usize, String> {
    if number.is_empty() {
        return Ok(usize::MAX);
    }
    number.parse().map_err(|_| format!("{number} are too many steps"))
}
