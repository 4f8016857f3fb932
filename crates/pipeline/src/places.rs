//! Where in a TOML file something stands: file, line and column, also within a text.

use toml::Spanned;

use crate::toml_file::position;

/// A TOML file whose values have places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// What messages call the file.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Places<'_> {
    /// `file:line:column` of a value.
    pub(crate) fn of<T>(&self, value: &Spanned<T>) -> String {
        self.at(value.span().start)
    }

    /// `file:line:column` of a character within a text, given by its line and column there, from 1.
    pub(crate) fn within(&self, value: &Spanned<String>, line: u64, column: u64) -> String {
        let before = value.get_ref().split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or(usize::MAX));
        let before: usize = before.map(|line| line.chars().count()).sum();
        let character = before + usize::try_from(column - 1).unwrap_or(0);
        let span = value.span();
        let written = self.text.get(span.clone()).unwrap_or_default();
        self.at(span.start + written_place(written, character))
    }

    fn at(&self, offset: usize) -> String {
        let (line, column) = position(self.text, offset);
        format!("{}:{line}:{column}", self.file)
    }
}

/// The byte of a written TOML string, quotation marks included, at which the given character of its value begins.
fn written_place(written: &str, character: usize) -> usize {
    let several = written.starts_with("\"\"\"") || written.starts_with("'''");
    let mut rest = written.get(if several { 3 } else { 1 }..).unwrap_or_default();
    if several {
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
    }
    let escapes = written.starts_with('"');
    for _ in 0..character {
        if escapes {
            rest = without_continuation(rest);
        }
        let mut letters = rest.chars();
        let first = letters.next();
        if escapes && first == Some('\\') {
            let digits = match letters.next() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            };
            letters.by_ref().take(digits).for_each(drop);
        }
        rest = letters.as_str();
    }
    written.len() - if escapes { without_continuation(rest) } else { rest }.len()
}

/// A backslash at the end of a line takes all white space after it away.
fn without_continuation(text: &str) -> &str {
    match text.strip_prefix('\\') {
        Some(after) if after.trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
            without_continuation(after.trim_start_matches([' ', '\t', '\r', '\n']))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(serde::Deserialize)]
    struct One {
        text: Spanned<String>,
    }

    /// The place of the letter X of a written text.
    fn place(written: &str) -> String {
        let file = format!("# é\ntext = {written}\n");
        let one: One = toml::from_str(&file).unwrap();
        let before = one.text.get_ref().split('X').next().unwrap();
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() as u64 + 1;
        Places { file: "f", text: &file }.within(&one.text, line, column)
    }

    #[test]
    fn a_place_within_a_text_is_where_a_person_sees_it() {
        for (written, expected) in [
            ("\"X\"", "f:2:9"),
            ("'a\\X'", "f:2:11"),
            (r#""a \" \\ \u00e9 X""#, "f:2:24"),
            (r#""é = 'ü' X""#, "f:2:17"),
            ("\"\"\"\na\n  b X\"\"\"", "f:4:5"),
            ("\"\"\"a\n X\"\"\"", "f:3:2"),
            ("'''\na \"\n bX'''", "f:4:3"),
            ("\"\"\"a \\\n   X\"\"\"", "f:3:4"),
        ] {
            assert_eq!(place(written), expected, "{written}");
        }
    }
}
