//! A pass over the bytes of a file before the CSV engine sees it: that engine pads short records silently, so what is
//! unsound has to be found first.
//!
//! [`header`] reads the first record and the dialect, [`scan()`] examines the records after it, as many as are whole in
//! the bytes at hand. What is found does not depend on where a file is cut into pieces.

mod record;
mod scan;

pub(crate) use record::{Header, HeaderProblem, header};
pub(crate) use scan::{Grammar, Scan, TooLong, scan};

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsoundness {
    /// Another number of fields than the header.
    FieldCount { expected: usize, found: usize },
    /// A quoted field that is not closed.
    OpenQuote,
    /// Text after the closing quote of a field, or a quote in the middle of one.
    StrayQuote,
    /// A carriage return outside quotes that does not end the line.
    StrayCarriageReturn,
    /// A NUL byte.
    NulByte,
    /// Bytes that are no UTF-8.
    Encoding,
}

impl Unsoundness {
    /// The place of the rule in the list of rules of parsing.
    pub(crate) fn place(self) -> usize {
        match self {
            Self::FieldCount { .. } => 0,
            Self::OpenQuote => 1,
            Self::StrayQuote => 2,
            Self::StrayCarriageReturn => 3,
            Self::NulByte => 4,
            Self::Encoding => 5,
        }
    }

    /// The reason as a part of a sentence.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::FieldCount { expected, found } => {
                format!("expected {expected} fields as in the header, found {found}")
            }
            Self::OpenQuote => "a quoted field that begins on this line is not closed".to_owned(),
            Self::StrayQuote => "a quotation mark stands inside a field without being doubled".to_owned(),
            Self::StrayCarriageReturn => "a carriage return stands outside quotes and does not end the line".to_owned(),
            Self::NulByte => "the record contains a NUL byte".to_owned(),
            Self::Encoding => "the record is not valid in the file's encoding".to_owned(),
        }
    }
}

/// A byte that ends records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// `\n`, also after `\r`.
    LineFeed,
    /// `\r` alone.
    CarriageReturn,
}

impl LineEnd {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::LineFeed => b'\n',
            Self::CarriageReturn => b'\r',
        }
    }
}

/// How a file separates fields and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// What separates fields.
    pub delimiter: u8,
    /// What ends records.
    pub line_end: LineEnd,
}

/// How many lines end in `bytes`.
pub(crate) fn line_ends(bytes: &[u8], line_end: LineEnd) -> u64 {
    memchr::memchr_iter(line_end.byte(), bytes).count() as u64
}

#[cfg(test)]
mod tests;
