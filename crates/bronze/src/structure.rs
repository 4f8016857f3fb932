//! A pass over the bytes of a file before the CSV engine sees it: that engine pads short records silently, so what is
//! unsound has to be found first.

use std::ops::Range;

use medallion_pipeline::rejects::PARSE_RULES;

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsoundness {
    /// Another number of fields than the header.
    FieldCount { expected: usize, found: usize },
    /// A quoted field that the file ends in.
    OpenQuote,
    /// Text after the closing quote of a field, or a quote in the middle of one.
    StrayQuote,
    /// A NUL byte.
    NulByte,
    /// Bytes that are no UTF-8.
    Encoding,
}

impl Unsoundness {
    /// The rule's name in the rejects.
    pub(crate) fn rule(self) -> &'static str {
        let place = match self {
            Self::FieldCount { .. } => 0,
            Self::OpenQuote => 1,
            Self::StrayQuote => 2,
            Self::NulByte => 3,
            Self::Encoding => 4,
        };
        PARSE_RULES[place]
    }

    /// The reason as a sentence.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::FieldCount { expected, found } => {
                format!("expected {expected} fields as in the header, found {found}")
            }
            Self::OpenQuote => "a quoted field that begins on this line is never closed".to_owned(),
            Self::StrayQuote => "a quotation mark stands inside a field without being doubled".to_owned(),
            Self::NulByte => "the record contains a NUL byte".to_owned(),
            Self::Encoding => "the record is not valid UTF-8".to_owned(),
        }
    }
}

/// A record that must not reach the CSV engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsoundRecord {
    /// Its number; 1 is the first after the header.
    pub number: u64,
    /// Its bytes in the file, without the line end.
    pub bytes: Range<usize>,
    /// What is wrong with it.
    pub why: Unsoundness,
}

/// The structure of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Structure {
    /// What separates fields.
    pub delimiter: u8,
    /// Whether the header itself is not sound.
    pub unsound_header: bool,
    /// The header's texts as they stand.
    pub header: Vec<String>,
    /// Records after the header, blank lines left out.
    pub records: u64,
    /// Records that are not sound, in order.
    pub unsound: Vec<UnsoundRecord>,
    /// Blank lines, which are no records but would be taken for some.
    pub blank: Vec<Range<usize>>,
}

impl Structure {
    /// Examines a file; `None` if there is not even a header.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let delimiter = delimiter(bytes);
        let mut scanner = Scanner { bytes, delimiter, at: 0 };
        let header = loop {
            let record = scanner.next()?;
            if !record.bytes.is_empty() {
                break record;
            }
        };
        let texts = fields(&bytes[header.bytes.clone()], delimiter);
        let check_encoding = std::str::from_utf8(bytes).is_err();
        let unsound_header = header.open_quote || header.stray_quote;
        let (unsound, blank) = (Vec::new(), Vec::new());
        let mut structure = Self { delimiter, unsound_header, header: texts, records: 0, unsound, blank };
        while let Some(mut record) = scanner.next() {
            if record.open_quote || record.stray_quote {
                // A quote that is not closed where it should be takes in the lines after it. Only its own line is
                // given up; the next is read anew.
                scanner.keep_first_line(&mut record);
            }
            if record.bytes.is_empty() {
                structure.blank.push(record.bytes);
                continue;
            }
            structure.records += 1;
            if let Some(why) = why_unsound(bytes, &record, structure.header.len(), check_encoding) {
                structure.unsound.push(UnsoundRecord { number: structure.records, bytes: record.bytes, why });
            }
        }
        Some(structure)
    }

    /// Records that the CSV engine may see.
    pub(crate) fn sound(&self) -> u64 {
        self.records - self.unsound.len() as u64
    }

    /// The file without its unsound records and blank lines; `None` if it has none.
    pub(crate) fn cleaned(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.unsound.is_empty() && self.blank.is_empty() {
            return None;
        }
        let mut gaps: Vec<&Range<usize>> = self.unsound.iter().map(|record| &record.bytes).chain(&self.blank).collect();
        gaps.sort_by_key(|range| range.start);
        let mut cleaned = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for gap in gaps {
            cleaned.extend_from_slice(&bytes[at..gap.start]);
            at = gap.end + line_end_length(&bytes[gap.end..]);
        }
        cleaned.extend_from_slice(&bytes[at..]);
        Some(cleaned)
    }

    /// The numbers of the sound records in order.
    pub(crate) fn sound_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let mut unsound = self.unsound.iter().map(|record| record.number).peekable();
        (1..=self.records).filter(move |number| unsound.next_if_eq(number).is_none())
    }
}

struct Record {
    bytes: Range<usize>,
    fields: usize,
    open_quote: bool,
    stray_quote: bool,
}

fn why_unsound(bytes: &[u8], record: &Record, expected: usize, check_encoding: bool) -> Option<Unsoundness> {
    let content = &bytes[record.bytes.clone()];
    if record.open_quote {
        Some(Unsoundness::OpenQuote)
    } else if record.fields != expected {
        Some(Unsoundness::FieldCount { expected, found: record.fields })
    } else if record.stray_quote {
        Some(Unsoundness::StrayQuote)
    } else if memchr::memchr(0, content).is_some() {
        Some(Unsoundness::NulByte)
    } else if check_encoding && std::str::from_utf8(content).is_err() {
        Some(Unsoundness::Encoding)
    } else {
        None
    }
}

/// Walks over records; line ends inside quotes belong to the record.
struct Scanner<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at: usize,
}

impl Iterator for Scanner<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let mut record = Record { bytes: self.at..self.at, fields: 1, open_quote: false, stray_quote: false };
        let mut at = self.at;
        let mut field_start = true;
        loop {
            if field_start && self.bytes.get(at) == Some(&b'"') {
                match self.closing_quote(at + 1) {
                    Some(after) => at = after,
                    None => {
                        record.open_quote = true;
                        record.bytes.end = self.bytes.len();
                        self.at = self.bytes.len();
                        return Some(record);
                    }
                }
                record.stray_quote |= !self.ends_field(at);
            }
            field_start = false;
            match memchr::memchr3(self.delimiter, b'\n', b'"', &self.bytes[at..]).map(|offset| at + offset) {
                Some(found) if self.bytes[found] == self.delimiter => {
                    record.fields += 1;
                    field_start = true;
                    at = found + 1;
                }
                Some(found) if self.bytes[found] == b'"' => {
                    record.stray_quote = true;
                    at = found + 1;
                }
                Some(found) => {
                    let carriage_return = found > self.at && self.bytes[found - 1] == b'\r';
                    record.bytes.end = found - usize::from(carriage_return);
                    self.at = found + 1;
                    return Some(record);
                }
                None => {
                    record.bytes.end = self.bytes.len();
                    self.at = self.bytes.len();
                    return Some(record);
                }
            }
        }
    }
}

impl Scanner<'_> {
    /// Cuts a record to its first line and goes on after it.
    fn keep_first_line(&mut self, record: &mut Record) {
        let start = record.bytes.start;
        if let Some(end) = memchr::memchr(b'\n', &self.bytes[record.bytes.clone()]).map(|offset| start + offset) {
            record.bytes.end = end - usize::from(end > start && self.bytes[end - 1] == b'\r');
            self.at = end + 1;
        }
    }

    /// The place after the quote that closes the field whose text starts at `at`.
    fn closing_quote(&self, mut at: usize) -> Option<usize> {
        loop {
            at += memchr::memchr(b'"', self.bytes.get(at..)?)? + 1;
            if self.bytes.get(at) != Some(&b'"') {
                return Some(at);
            }
            at += 1;
        }
    }

    fn ends_field(&self, at: usize) -> bool {
        match self.bytes.get(at) {
            None | Some(b'\n') => true,
            Some(b'\r') => matches!(self.bytes.get(at + 1), None | Some(b'\n')),
            Some(byte) => *byte == self.delimiter,
        }
    }
}

fn line_end_length(rest: &[u8]) -> usize {
    match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

/// The separator that occurs most often in the header line, outside quotes.
fn delimiter(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted && counts.iter().any(|(_, count)| *count > 0) => break,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rules(text: &str) -> Vec<(u64, &'static str)> {
        let structure = Structure::of(text.as_bytes()).unwrap();
        structure.unsound.iter().map(|record| (record.number, record.why.rule())).collect()
    }

    #[test]
    fn quotes_delimiters_and_line_ends_inside_fields_belong_to_them() {
        let text = "\"a, b\",c\r\n\"1\r\n\"\"2\"\"\",3\r\n4,5";
        let structure = Structure::of(text.as_bytes()).unwrap();
        assert_eq!(structure.header, ["a, b", "c"]);
        assert_eq!((structure.records, structure.unsound.len(), structure.delimiter), (2, 0, b','));
        assert_eq!(structure.cleaned(text.as_bytes()), None);
    }

    #[test]
    fn unsound_records_are_named_and_taken_out() {
        let text = "a,b\n1,2\n3\n\n4,5,6\n7,\"8\" x\n9,y\"z\n10,11\n12,\0\n";
        assert_eq!(
            rules(text),
            [(2, "field_count"), (3, "field_count"), (4, "stray_quote"), (5, "stray_quote"), (7, "nul_byte")]
        );
        let structure = Structure::of(text.as_bytes()).unwrap();
        assert_eq!(structure.cleaned(text.as_bytes()).unwrap(), b"a,b\n1,2\n10,11\n");
        assert_eq!(structure.sound_numbers().collect::<Vec<_>>(), [1, 6]);
        assert_eq!((structure.records, structure.sound()), (7, 2));
    }

    #[test]
    fn an_open_quote_costs_its_own_line() {
        let text = "a,b\n1,2\n3,\"4\n5,6\n7,8\n";
        assert_eq!(rules(text), [(2, "open_quote")]);
        let structure = Structure::of(text.as_bytes()).unwrap();
        assert_eq!(structure.cleaned(text.as_bytes()).unwrap(), b"a,b\n1,2\n5,6\n7,8\n");
        // The quote is closed by the opening one of a later field, after which there is text.
        let text = "a,b\r\n1,\"2\r\n3,4\r\n5,\"six\"\r\n7,8\r\n";
        assert_eq!(rules(text), [(1, "stray_quote")]);
        let structure = Structure::of(text.as_bytes()).unwrap();
        assert_eq!(structure.cleaned(text.as_bytes()).unwrap(), b"a,b\r\n3,4\r\n5,\"six\"\r\n7,8\r\n");
    }

    #[test]
    fn a_header_with_an_open_quote_is_no_header() {
        assert!(Structure::of(b"a,\"b\n1,2\n").unwrap().unsound_header);
        assert!(!Structure::of(b"a,\"b\"\n1,2\n").unwrap().unsound_header);
    }

    #[test]
    fn the_delimiter_is_the_one_of_the_header() {
        for (text, delimiter) in [("a;b;c,d\n", b';'), ("a\tb\n", b'\t'), ("a\n", b','), ("\"a;b;c\",d\n", b',')] {
            assert_eq!(Structure::of(text.as_bytes()).unwrap().delimiter, delimiter, "{text}");
        }
        assert_eq!(Structure::of(b""), None);
        assert_eq!(Structure::of(b"\n\r\n"), None);
    }
}
