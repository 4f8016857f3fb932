//! SQL as it is written, with the places where the run's date goes.

use chrono::NaiveDate;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The name of the run's date in SQL.
const AS_OF: &str = "$as_of";

/// SQL without semicolons, in the pieces between the places of the run's date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlText {
    pieces: Vec<String>,
}

impl SqlText {
    /// Reads SQL; with it comes a parser that stands at its beginning.
    ///
    /// # Errors
    /// If it cannot be divided into words, or has a parameter other than the run's date; the message says so.
    pub(crate) fn read(text: &str) -> Result<(Self, Parser<'static>), String> {
        let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
        let tokens = tokens.map_err(|error| ParserError::from(error).to_string())?;
        let sql = Self::of(text, &tokens)?;
        Ok((sql, Parser::new(&GenericDialect {}).with_tokens_with_locations(tokens)))
    }

    fn of(text: &str, tokens: &[TokenWithSpan]) -> Result<Self, String> {
        let offsets = Offsets::of(text);
        let (mut pieces, mut piece, mut from) = (Vec::new(), String::new(), 0);
        for token in tokens {
            match &token.token {
                Token::Placeholder(name) if name != AS_OF => {
                    return Err(format!("{name} is not a parameter: the only one is {AS_OF}, the run's date"));
                }
                Token::Placeholder(_) | Token::SemiColon => {
                    piece.push_str(&text[from..offsets.at(token.span.start)]);
                    from = offsets.at(token.span.end);
                    if token.token != Token::SemiColon {
                        pieces.push(std::mem::take(&mut piece));
                    }
                }
                _ => {}
            }
        }
        piece.push_str(&text[from..]);
        pieces.push(piece);
        Ok(Self { pieces })
    }

    /// The SQL with the run's date in its places.
    pub(crate) fn at(&self, as_of: NaiveDate) -> String {
        self.pieces.join(&format!("DATE '{as_of}'"))
    }
}

/// Where the lines of a text begin.
struct Offsets<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Offsets<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, lines: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect() }
    }

    /// The byte of a place, whose line and column count characters from 1.
    fn at(&self, place: Location) -> usize {
        let count = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = self.lines.get(count(place.line)).copied().unwrap_or(self.text.len());
        self.text[line..].char_indices().nth(count(place.column)).map_or(self.text.len(), |(at, _)| line + at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at_the_end_of_june(text: &str) -> String {
        SqlText::read(text).unwrap().0.at(NaiveDate::from_ymd_opt(2025, 6, 30).unwrap())
    }

    #[test]
    fn all_but_the_date_and_semicolons_stays_as_it_is_written() {
        for (text, expected) in [
            ("$as_of", "DATE '2025-06-30'"),
            ("'$as_of' -- $as_of\n$as_of;", "'$as_of' -- $as_of\nDATE '2025-06-30'"),
            ("'it''s', E'a\\'b', \"a\"\"b\"", "'it''s', E'a\\'b', \"a\"\"b\""),
            ("'ä\r\né' || $as_of\r\n|| $as_of ;; ", "'ä\r\né' || DATE '2025-06-30'\r\n|| DATE '2025-06-30'  "),
            ("/* ; */ 1;", "/* ; */ 1"),
            ("", ""),
        ] {
            assert_eq!(at_the_end_of_june(text), expected);
        }
    }

    #[test]
    fn other_parameters_are_refused() {
        for text in ["$today", "1 = ?", "$1"] {
            assert!(SqlText::read(text).err().unwrap().contains("is not a parameter"), "{text}");
        }
    }
}
