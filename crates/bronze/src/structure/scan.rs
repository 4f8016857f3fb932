//! Examines the records of a piece of a file.

use std::ops::Range;

use super::record::{Record, Step, Walk};
use super::{Dialect, LineEnd, Unsoundness, line_ends};

/// What the records of a file have to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grammar {
    /// How the file separates fields and records.
    pub dialect: Dialect,
    /// Fields of the header.
    pub fields: usize,
    /// The most bytes of a field.
    pub max_field: usize,
}

/// A record that must not reach the CSV engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsoundRecord {
    /// Its place among the records of the piece; 0 is the first.
    pub place: u64,
    /// Lines of the piece before it.
    pub lines_before: u64,
    /// Its bytes in the piece, without the line end.
    pub bytes: Range<usize>,
    /// Where the next record begins.
    pub next: usize,
    /// What is wrong with it.
    pub why: Unsoundness,
}

/// What a piece of a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Bytes up to the first record that is not whole.
    pub consumed: usize,
    /// Whole records, blank lines left out.
    pub records: u64,
    /// Lines they take up, blank ones included.
    pub lines: u64,
    /// Records that are not sound, in order.
    pub unsound: Vec<UnsoundRecord>,
    /// Blank lines with their line ends, which are no records but would be taken for some.
    pub blank: Vec<Range<usize>>,
    /// Places of sound records that hold lines which look like records themselves.
    pub suspicious: Vec<u64>,
}

/// A field without quotes is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// The place of its record in the piece.
    pub place: u64,
}

/// Examines the records that are whole in `bytes`, which begin with a record; `at_end` if the file ends with them.
pub(crate) fn scan(bytes: &[u8], at_end: bool, grammar: &Grammar) -> Result<Scan, TooLong> {
    let mut scanner = Scanner::new(bytes, at_end, grammar);
    while let Some(record) = scanner.record()? {
        scanner.examine(record);
    }
    let mut scan = scanner.scan;
    scan.consumed = scanner.walk.at;
    scan.lines = line_ends(&bytes[..scan.consumed], grammar.dialect.line_end);
    let mut lines = Lines { bytes, line_end: grammar.dialect.line_end, at: 0, before: 0 };
    for record in &mut scan.unsound {
        record.lines_before = lines.before(record.bytes.start);
    }
    Ok(scan)
}

struct Scanner<'a> {
    walk: Walk<'a>,
    grammar: &'a Grammar,
    /// What has to be looked for in single records, because it is somewhere in the piece.
    nul: bool,
    not_utf8: bool,
    stray_carriage_return: bool,
    scan: Scan,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], at_end: bool, grammar: &'a Grammar) -> Self {
        let line_feed = grammar.dialect.line_end == LineEnd::LineFeed;
        let Grammar { dialect, max_field, fields: max_fields } = *grammar;
        let walk = Walk { bytes, dialect, at_end, max_field, max_fields, at: 0 };
        Self {
            walk,
            grammar,
            nul: memchr::memchr(0, bytes).is_some(),
            // A character that the end of the piece cuts is looked at again with the next piece.
            not_utf8: std::str::from_utf8(bytes).is_err_and(|error| at_end || error.error_len().is_some()),
            stray_carriage_return: line_feed && has_carriage_return_alone(bytes),
            scan: Scan::default(),
        }
    }

    fn record(&mut self) -> Result<Option<Record>, TooLong> {
        let start = self.walk.at;
        let step = match self.walk.step() {
            // The quote that joins the lines is the mistake. Only its own line is given up; the next is read anew.
            Step::Record(record) if self.is_cut_wrong(&record) => self.walk.cut_to_line(record),
            step => step,
        };
        match step {
            Step::Record(record) => Ok(Some(record)),
            Step::TooLong => Err(TooLong { place: self.scan.records }),
            Step::End => Ok(None),
            Step::Incomplete => {
                self.walk.at = start;
                Ok(None)
            }
        }
    }

    /// Whether a record of several lines has the wrong number of fields.
    fn is_cut_wrong(&self, record: &Record) -> bool {
        record.fields != self.grammar.fields
            && memchr::memchr(self.grammar.dialect.line_end.byte(), &self.walk.bytes[record.bytes.clone()]).is_some()
    }

    fn examine(&mut self, record: Record) {
        if record.bytes.is_empty() {
            self.scan.blank.push(record.bytes.start..record.next);
            return;
        }
        if let Some(why) = self.why_unsound(&record) {
            let (place, lines_before) = (self.scan.records, 0);
            let Record { bytes, next, .. } = record;
            self.scan.unsound.push(UnsoundRecord { place, lines_before, bytes, next, why });
        } else if record.quotes && holds_records(&self.walk.bytes[record.bytes], self.grammar) {
            self.scan.suspicious.push(self.scan.records);
        }
        self.scan.records += 1;
    }

    fn why_unsound(&self, record: &Record) -> Option<Unsoundness> {
        let content = &self.walk.bytes[record.bytes.clone()];
        let expected = self.grammar.fields;
        if record.open_quote {
            Some(Unsoundness::OpenQuote)
        } else if record.stray_quote {
            // How many fields there are depends on what the quote was meant to be.
            Some(Unsoundness::StrayQuote)
        } else if record.fields != expected {
            Some(Unsoundness::FieldCount { expected, found: record.fields })
        } else if self.stray_carriage_return && has_carriage_return_outside_quotes(content) {
            Some(Unsoundness::StrayCarriageReturn)
        } else if self.nul && memchr::memchr(0, content).is_some() {
            Some(Unsoundness::NulByte)
        } else if self.not_utf8 && std::str::from_utf8(content).is_err() {
            Some(Unsoundness::Encoding)
        } else {
            None
        }
    }
}

/// Counts lines from one place to the next.
struct Lines<'a> {
    bytes: &'a [u8],
    line_end: LineEnd,
    at: usize,
    before: u64,
}

impl Lines<'_> {
    fn before(&mut self, place: usize) -> u64 {
        self.before += line_ends(&self.bytes[self.at..place], self.line_end);
        self.at = place;
        self.before
    }
}

/// Whether one of the record's lines, beyond the first and the last, has as many fields as the header. A single field
/// looks like any line of text.
fn holds_records(content: &[u8], grammar: &Grammar) -> bool {
    if grammar.fields < 2 || memchr::memchr(grammar.dialect.line_end.byte(), content).is_none() {
        return false;
    }
    let mut lines = content.split(|byte| *byte == grammar.dialect.line_end.byte()).skip(1).peekable();
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let Grammar { dialect, fields: max_fields, .. } = *grammar;
        let mut walk = Walk { bytes: line, dialect, at_end: true, max_field: line.len(), max_fields, at: 0 };
        if let (false, Step::Record(record)) = (is_last, walk.step())
            && (record.fields, record.open_quote, record.stray_quote) == (grammar.fields, false, false)
        {
            return true;
        }
    }
    false
}

/// Whether there is a carriage return that is not followed by a line feed. One at the end may be.
fn has_carriage_return_alone(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1).is_some_and(|next| *next != b'\n'))
}

fn has_carriage_return_outside_quotes(content: &[u8]) -> bool {
    let mut quoted = false;
    content.iter().any(|byte| {
        quoted ^= *byte == b'"';
        *byte == b'\r' && !quoted
    })
}
