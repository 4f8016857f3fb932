//! The walk over single records, and the first one, the header.

use std::ops::Range;

use super::{Dialect, LineEnd};

/// A record as it stands in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its bytes without the line end.
    pub bytes: Range<usize>,
    /// Where the next record begins.
    pub next: usize,
    /// Its number of fields, meaningless if a quote is open.
    pub fields: usize,
    pub open_quote: bool,
    pub stray_quote: bool,
    /// Whether it may have quotes, and so several lines.
    pub quotes: bool,
}

/// What a walk finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Record(Record),
    /// The record goes on after the bytes at hand.
    Incomplete,
    /// A field without quotes that is longer than allowed.
    TooLong,
    /// Nothing is left.
    End,
}

/// How a quoted field ends.
enum Quoted {
    /// After this place.
    Closed(usize),
    /// Nowhere, as far as fields may go.
    Open,
    /// Perhaps after the bytes at hand.
    Unknown,
}

/// What makes a record impossible before its end is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    OpenQuote,
    StrayQuote,
    TooManyFields,
}

/// Walks over records; line ends inside quotes belong to the record.
pub(super) struct Walk<'a> {
    pub bytes: &'a [u8],
    pub dialect: Dialect,
    /// Whether the file ends where the bytes end.
    pub at_end: bool,
    /// The most bytes of a field.
    pub max_field: usize,
    /// The most fields of a record. One that has more is given up at once, because its quotes might lead through the
    /// whole file.
    pub max_fields: usize,
    pub at: usize,
}

impl Walk<'_> {
    pub(super) fn step(&mut self) -> Step {
        if self.at >= self.bytes.len() {
            return Step::End;
        }
        if let Some(record) = self.line_without_quotes() {
            return Step::Record(record);
        }
        match self.fields() {
            Step::Record(record) => Step::Record(Record { quotes: true, ..record }),
            step => step,
        }
    }

    fn fields(&mut self) -> Step {
        let Dialect { delimiter, line_end } = self.dialect;
        let mut fields = 1;
        let mut field = self.at;
        loop {
            let mut at = field;
            if self.bytes.get(at) == Some(&b'"') {
                match self.quoted(at + 1) {
                    Quoted::Closed(after) if self.ends_field(after) => at = after,
                    Quoted::Closed(_) => return self.give_up(Flaw::StrayQuote),
                    Quoted::Open => return self.give_up(Flaw::OpenQuote),
                    Quoted::Unknown => return Step::Incomplete,
                }
            }
            // After a quoted field there is nothing to search for.
            let is_here = self.bytes.get(at) == Some(&delimiter);
            let search = || memchr::memchr3(delimiter, line_end.byte(), b'"', &self.bytes[at..]);
            let found = if is_here { Some(0) } else { search() };
            let found = found.map_or(self.bytes.len(), |offset| at + offset);
            if found - at > self.max_field {
                return Step::TooLong;
            }
            match self.bytes.get(found) {
                None if !self.at_end => return Step::Incomplete,
                None => return self.end(fields, found, found),
                Some(byte) if *byte == line_end.byte() => return self.end(fields, found, found + 1),
                Some(b'"') => return self.give_up(Flaw::StrayQuote),
                Some(_) if fields == self.max_fields => return self.give_up(Flaw::TooManyFields),
                Some(_) => {
                    fields += 1;
                    field = found + 1;
                }
            }
        }
    }

    /// The record at hand if it is a line without quotes, which most are: its fields need not be walked over.
    fn line_without_quotes(&mut self) -> Option<Record> {
        let Dialect { delimiter, line_end } = self.dialect;
        let rest = &self.bytes[self.at..];
        let length = memchr::memchr2(line_end.byte(), b'"', rest)?;
        if rest[length] == b'"' || length > self.max_field {
            return None;
        }
        let fields = 1 + memchr::memchr_iter(delimiter, &rest[..length]).count();
        Some(self.record(fields, self.at + length, self.at + length + 1))
    }

    fn end(&mut self, fields: usize, end: usize, next: usize) -> Step {
        Step::Record(self.record(fields, end, next))
    }

    fn record(&mut self, fields: usize, end: usize, next: usize) -> Record {
        let start = self.at;
        let line_feed = self.dialect.line_end == LineEnd::LineFeed;
        let carriage_return = line_feed && end > start && self.bytes[end - 1] == b'\r';
        let bytes = start..end - usize::from(carriage_return);
        self.at = next;
        Record { bytes, next, fields, open_quote: false, stray_quote: false, quotes: false }
    }

    /// Of what is no record only the first line is taken; the next one is read anew.
    fn give_up(&mut self, flaw: Flaw) -> Step {
        let step = self.first_line();
        let Step::Record(mut record) = step else { return step };
        record.fields = fields_of_line(&self.bytes[record.bytes.clone()], self.dialect.delimiter);
        if flaw == Flaw::TooManyFields {
            record.fields = record.fields.max(self.max_fields + 1);
        }
        record.open_quote = flaw == Flaw::OpenQuote;
        record.stray_quote = flaw == Flaw::StrayQuote;
        Step::Record(record)
    }

    /// The line at hand, whatever its quotes say.
    fn first_line(&mut self) -> Step {
        let length = self.bytes.len();
        match memchr::memchr(self.dialect.line_end.byte(), &self.bytes[self.at..]) {
            Some(offset) => self.end(1, self.at + offset, self.at + offset + 1),
            None if self.at_end => self.end(1, length, length),
            None => Step::Incomplete,
        }
    }

    /// Goes back to a record and takes its first line only; its number of fields stays.
    pub(super) fn cut_to_line(&mut self, record: Record) -> Step {
        self.at = record.bytes.start;
        match self.first_line() {
            Step::Record(line) => Step::Record(Record { fields: record.fields, ..line }),
            step => step,
        }
    }

    /// Where the quoted field ends whose text starts at `start`.
    fn quoted(&self, start: usize) -> Quoted {
        let limit = start.saturating_add(self.max_field);
        let mut at = start;
        loop {
            // A doubled quote at the limit ends after it.
            let window = &self.bytes[at.min(self.bytes.len())..limit.max(at).min(self.bytes.len())];
            match memchr::memchr(b'"', window) {
                None if self.bytes.len() >= limit || self.at_end => return Quoted::Open,
                None => return Quoted::Unknown,
                Some(offset) => at += offset + 1,
            }
            match self.bytes.get(at) {
                Some(b'"') => at += 1,
                None if !self.at_end => return Quoted::Unknown,
                // Whether the line end is one of two bytes has to be known as well.
                Some(b'\r') if at + 1 == self.bytes.len() && !self.at_end => return Quoted::Unknown,
                _ => return Quoted::Closed(at),
            }
        }
    }

    fn ends_field(&self, at: usize) -> bool {
        match self.bytes.get(at) {
            None => true,
            Some(b'\r') if self.dialect.line_end == LineEnd::LineFeed => {
                matches!(self.bytes.get(at + 1), None | Some(b'\n'))
            }
            Some(byte) => *byte == self.dialect.delimiter || *byte == self.dialect.line_end.byte(),
        }
    }
}

/// The fields of a line that is no record, as far as its quotes tell them apart.
fn fields_of_line(line: &[u8], delimiter: u8) -> usize {
    let mut fields = 1;
    let mut quoted = false;
    // At the beginning of a field, or after a quote that is closed or the first of two.
    let mut may_open = true;
    for byte in line {
        let is_delimiter = *byte == delimiter && !quoted;
        let is_quote = *byte == b'"' && (quoted || may_open);
        fields += usize::from(is_delimiter);
        quoted ^= is_quote;
        may_open = is_delimiter || is_quote;
    }
    fields
}

/// The first record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// How the file separates fields and records.
    pub dialect: Dialect,
    /// The texts of the fields.
    pub texts: Vec<String>,
    /// Bytes up to the first record after it.
    pub length: usize,
    /// Lines up to there.
    pub lines: u64,
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    /// There is no line with anything in it.
    Empty,
    /// Its quotation marks do not match.
    Quotes,
    /// It has a NUL byte.
    NulByte,
    /// It does not end in the bytes that were looked at.
    TooLong,
}

/// Reads the header at the beginning of a file; `at_end` if `bytes` are all of it.
pub(crate) fn header(bytes: &[u8], at_end: bool) -> Result<Header, HeaderProblem> {
    let (declared, skipped) = declared_delimiter(bytes);
    let text = &bytes[skipped..];
    let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let first = &text[blank..];
    if first.is_empty() {
        return Err(if at_end { HeaderProblem::Empty } else { HeaderProblem::TooLong });
    }
    let line_end = line_end(first);
    let dialect = Dialect { delimiter: declared.unwrap_or_else(|| delimiter(first)), line_end };
    let mut walk = Walk { bytes: first, dialect, at_end, max_field: first.len(), max_fields: usize::MAX, at: 0 };
    let record = match walk.step() {
        Step::Record(record) if record.open_quote || record.stray_quote => return Err(HeaderProblem::Quotes),
        Step::Record(record) => record,
        Step::End => return Err(HeaderProblem::Empty),
        Step::Incomplete | Step::TooLong => return Err(HeaderProblem::TooLong),
    };
    if memchr::memchr(0, &first[record.bytes.clone()]).is_some() {
        return Err(HeaderProblem::NulByte);
    }
    let length = skipped + blank + record.next;
    let lines = super::line_ends(&bytes[..length], line_end);
    Ok(Header { dialect, texts: fields(&first[record.bytes], dialect.delimiter), length, lines })
}

/// A first line such as `sep=;`, which spreadsheets write and obey, and its length.
fn declared_delimiter(bytes: &[u8]) -> (Option<u8>, usize) {
    let Some((head, rest)) = bytes.split_at_checked(5) else { return (None, 0) };
    let line_end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return (None, 0),
    };
    let declares = head[..4].eq_ignore_ascii_case(b"sep=") && matches!(head[4], b',' | b';' | b'\t' | b'|');
    if declares { (Some(head[4]), head.len() + line_end) } else { (None, 0) }
}

/// What ends the header: a carriage return alone, or anything with a line feed.
fn line_end(bytes: &[u8]) -> LineEnd {
    let mut quoted = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\r' if !quoted && bytes.get(at + 1).is_some_and(|next| *next != b'\n') => return LineEnd::CarriageReturn,
            b'\r' | b'\n' if !quoted => return LineEnd::LineFeed,
            _ => {}
        }
    }
    LineEnd::LineFeed
}

/// The separator that occurs most often in the first line, outside quotes.
fn delimiter(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            byte if !quoted => {
                for (_, count) in counts.iter_mut().filter(|(candidate, _)| candidate == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    // The first of equals wins: a header without any separator is read as comma-separated.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(candidate, _)| candidate)
}

/// The texts of one record's fields.
fn fields(record: &[u8], delimiter: u8) -> Vec<String> {
    let mut texts = vec![Vec::new()];
    let mut quoted = false;
    let mut bytes = record.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let at_start = texts.last().is_some_and(Vec::is_empty);
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                texts.last_mut().into_iter().for_each(|text| text.push(b'"'));
            }
            b'"' if quoted => quoted = false,
            b'"' if at_start => quoted = true,
            byte if byte == delimiter && !quoted => texts.push(Vec::new()),
            byte => texts.last_mut().into_iter().for_each(|text| text.push(byte)),
        }
    }
    texts.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
}
