//! Checks of the records of a file.

use std::ops::Range;

use crate::csv_reader;
use crate::rules::{self, Found};
use crate::structure::{Dialect, Grammar, LineEnd, Scan, TooLong, Unsoundness, scan};

/// A record or a blank line, with the place where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    consumed: usize,
    records: u64,
    lines: u64,
    /// Number, lines before it, bytes, next record, what is wrong.
    unsound: Vec<(u64, u64, Range<usize>, usize, Unsoundness)>,
    blank: Vec<Range<usize>>,
    suspicious: Vec<u64>,
}

/// The first four bytes choose dialect, number of fields, largest field and pieces, the others are the file.
///
/// # Panics
/// If the structural pass is wrong.
pub fn check_records(data: &[u8]) {
    let Some(([style, fields, field, piece], bytes)) = data.split_first_chunk() else { return };
    let delimiter = [b',', b';', b'\t', b'|'][usize::from(style & 3)];
    let line_end = if style & 4 == 0 { LineEnd::LineFeed } else { LineEnd::CarriageReturn };
    let max_field = if field & 1 == 0 { 1 << 20 } else { usize::from(field >> 1) + 1 };
    let dialect = Dialect { delimiter, line_end };
    let grammar = Grammar { dialect, fields: usize::from(fields % 6) + 1, max_field };
    let whole = in_pieces(bytes, bytes.len().max(1), &grammar);
    compare_with_rules(bytes, &grammar, &whole);
    if let Ok(whole) = &whole {
        compare_with_csv(bytes, &grammar, whole);
    }
    let size = usize::from(piece % 32) + 1;
    assert_eq!(in_pieces(bytes, size, &grammar), whole, "in pieces of {size}");
    let cut = bytes.len() * usize::from(*piece) / 256;
    assert_eq!(in_two(bytes, cut, &grammar), whole, "cut at {cut}");
}

/// Scans as a file is read: what is not whole yet is looked at again with the next `size` bytes.
fn in_pieces(bytes: &[u8], size: usize, grammar: &Grammar) -> Result<Outcome, u64> {
    let cuts = (size..bytes.len()).step_by(size).chain([bytes.len()]);
    cut_at(bytes, cuts, grammar)
}

fn in_two(bytes: &[u8], cut: usize, grammar: &Grammar) -> Result<Outcome, u64> {
    cut_at(bytes, [cut, bytes.len()].into_iter(), grammar)
}

fn cut_at(bytes: &[u8], cuts: impl Iterator<Item = usize>, grammar: &Grammar) -> Result<Outcome, u64> {
    let (unsound, blank, suspicious) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Outcome { consumed: 0, records: 0, lines: 0, unsound, blank, suspicious };
    for cut in cuts {
        match scan(&bytes[all.consumed..cut], cut == bytes.len(), grammar) {
            Ok(found) => add(&mut all, found),
            Err(TooLong { place }) => return Err(all.records + place),
        }
    }
    assert_eq!(all.consumed, bytes.len(), "what is left at the end of the file belongs to a record");
    Ok(all)
}

fn add(all: &mut Outcome, scan: Scan) {
    let Outcome { consumed, records, lines, .. } = *all;
    let moved = |range: Range<usize>| range.start + consumed..range.end + consumed;
    all.unsound.extend(scan.unsound.into_iter().map(|record| {
        (record.place + records, record.lines_before + lines, moved(record.bytes), record.next + consumed, record.why)
    }));
    all.blank.extend(scan.blank.into_iter().map(moved));
    all.suspicious.extend(scan.suspicious.into_iter().map(|place| place + records));
    all.consumed += scan.consumed;
    all.records += scan.records;
    all.lines += scan.lines;
}

/// Goes through the file by the rules, record by record.
fn compare_with_rules(bytes: &[u8], grammar: &Grammar, whole: &Result<Outcome, u64>) {
    let line_end = grammar.dialect.line_end.byte();
    let lines = |place: usize| bytes[..place].iter().filter(|byte| **byte == line_end).count() as u64;
    let (mut at, mut records) = (0, 0);
    let (mut unsound, mut blank) = (Vec::new(), Vec::new());
    while at < bytes.len() {
        let start = at;
        at = match rules::at(bytes, at, grammar) {
            Found::TooLong => {
                assert_eq!(*whole, Err(records), "record {records} is too long");
                return;
            }
            Found::Blank { next } => {
                blank.push(start..next);
                next
            }
            Found::Sound { next } => {
                records += 1;
                next
            }
            Found::Unsound { end, next } => {
                unsound.push((records, lines(start), start..end, next));
                records += 1;
                next
            }
        };
    }
    let whole = whole.as_ref().unwrap_or_else(|place| panic!("record {place} is not too long"));
    let found = whole.unsound.iter().map(|(place, lines, bytes, next, _)| (*place, *lines, bytes.clone(), *next));
    assert_eq!(found.collect::<Vec<_>>(), unsound);
    assert_eq!((whole.records, &whole.blank, whole.lines), (records, &blank, lines(bytes.len())));
    assert!(whole.suspicious.iter().all(|place| *place < records));
    for (.., bytes_of, _, why) in &whole.unsound {
        check_reason(&bytes[bytes_of.clone()], *why, grammar);
    }
}

fn check_reason(content: &[u8], why: Unsoundness, grammar: &Grammar) {
    match why {
        Unsoundness::FieldCount { expected, found } => assert!(expected == grammar.fields && found != expected),
        Unsoundness::OpenQuote | Unsoundness::StrayQuote => assert!(content.contains(&b'"')),
        Unsoundness::StrayCarriageReturn => assert!(content.contains(&b'\r')),
        Unsoundness::NulByte => assert!(content.contains(&0)),
        Unsoundness::Encoding => assert!(std::str::from_utf8(content).is_err()),
    }
}

/// Reads the sound records with another parser, together and each on its own.
fn compare_with_csv(bytes: &[u8], grammar: &Grammar, whole: &Outcome) {
    let mut gaps: Vec<Range<usize>> = whole.unsound.iter().map(|(.., bytes, next, _)| bytes.start..*next).collect();
    gaps.extend(whole.blank.iter().cloned());
    gaps.sort_by_key(|gap| gap.start);
    // The parser passes over a byte-order mark at the beginning, so something else stands there.
    let mut sound = vec![b'x', grammar.dialect.line_end.byte()];
    let mut at = 0;
    for gap in gaps {
        assert!(at <= gap.start && gap.start <= gap.end, "records overlap");
        sound.extend_from_slice(&bytes[at..gap.start]);
        at = gap.end;
    }
    sound.extend_from_slice(&bytes[at..]);
    csv_reader::with(grammar.dialect, |reader| {
        let records = read(&sound, reader);
        assert_eq!(records.len() as u64, whole.records - whole.unsound.len() as u64 + 1);
        let ends = records.iter().skip(1).map(|record| record.1).chain([sound.len()]);
        for ((fields, start), end) in records.iter().zip(ends).skip(1) {
            assert_eq!(*fields, grammar.fields, "fields of the record at {start}");
            let mut alone = sound[..2].to_vec();
            alone.extend_from_slice(&sound[*start..end]);
            assert_eq!(read(&alone, reader).iter().map(|record| record.0).collect::<Vec<_>>(), [1, *fields]);
        }
    });
}

/// Number of fields and beginning of each record.
fn read(bytes: &[u8], reader: &mut csv_core::Reader) -> Vec<(usize, usize)> {
    reader.reset();
    let (mut text, mut ends) = ([0; 512], [0; 32]);
    let (mut records, mut start, mut at, mut fields) = (Vec::new(), 0, 0, 0);
    loop {
        let (result, read, _, ended) = reader.read_record(&bytes[at..], &mut text, &mut ends);
        at += read;
        fields += ended;
        match result {
            csv_core::ReadRecordResult::Record => {
                records.push((fields, start));
                (start, fields) = (at, 0);
            }
            csv_core::ReadRecordResult::End => return records,
            _ => {}
        }
    }
}
