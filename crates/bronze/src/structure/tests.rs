#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const LIMIT: usize = 1 << 20;

fn read(text: &[u8]) -> (Header, Scan) {
    let header = header(text, true).unwrap();
    let grammar = Grammar { dialect: header.dialect, fields: header.texts.len(), max_field: LIMIT };
    let found = scan(&text[header.length..], true, &grammar).unwrap();
    (header, found)
}

/// Number (1 is the first), line in the file and kind of what is unsound.
fn unsound(text: &str) -> Vec<(u64, u64, usize)> {
    let (header, found) = read(text.as_bytes());
    found.unsound.iter().map(|r| (r.place + 1, header.lines + r.lines_before + 1, r.why.place())).collect()
}

const FIELD_COUNT: usize = 0;
const OPEN_QUOTE: usize = 1;
const STRAY_QUOTE: usize = 2;
const CARRIAGE_RETURN: usize = 3;
const NUL_BYTE: usize = 4;
const ENCODING: usize = 5;

#[test]
fn quotes_delimiters_and_line_ends_inside_fields_belong_to_them() {
    let text = "\"a, b\",c\r\n\"1\r\n\"\"2\"\"\",3\r\n4,5";
    let (header, found) = read(text.as_bytes());
    assert_eq!(header.texts, ["a, b", "c"]);
    assert_eq!((header.length, header.lines), (10, 1));
    assert_eq!((found.records, found.unsound.len(), found.blank.len()), (2, 0, 0));
    assert_eq!(found.consumed, text.len() - header.length);
}

#[test]
fn unsound_records_are_named_with_number_and_line() {
    let text = "a,b\n1,2\n3\n\n4,5,6\n7,\"8\" x\n9,y\"z\n10,11\n12,\0\n13,1\r4\n";
    let expected = [
        (2, 3, FIELD_COUNT),
        (3, 5, FIELD_COUNT),
        (4, 6, STRAY_QUOTE),
        (5, 7, STRAY_QUOTE),
        (7, 9, NUL_BYTE),
        (8, 10, CARRIAGE_RETURN),
    ];
    assert_eq!(unsound(text), expected);
    let (_, found) = read(text.as_bytes());
    assert_eq!((found.records, found.lines), (8, 9));
    assert_eq!(found.blank.iter().map(|blank| (blank.start, blank.end)).collect::<Vec<_>>(), [(6, 7)]);
    let (_, found) = read(b"a,b\n1,\xff\n2,\xc3\xa9\n");
    assert_eq!(
        found.unsound.iter().map(|record| (record.place, record.why.place())).collect::<Vec<_>>(),
        [(0, ENCODING)]
    );
}

#[test]
fn an_open_quote_costs_its_own_line() {
    assert_eq!(unsound("a,b\n1,2\n3,\"4\n5,6\n7,8\n"), [(2, 3, OPEN_QUOTE)]);
    // The quote is closed by the opening one of a later field, after which there is text.
    assert_eq!(unsound("a,b\r\n1,\"2\r\n3,4\r\n5,\"six\"\r\n7,8\r\n"), [(1, 2, STRAY_QUOTE)]);
    assert_eq!(unsound("a,b\n1,2\n3,\"4"), [(2, 3, OPEN_QUOTE)]);
}

#[test]
fn lines_joined_by_a_wrong_quote_are_read_on_their_own() {
    // Closed properly two lines later, but with too many fields.
    assert_eq!(unsound("a,b\n1,\"2\n3,4\n5,6\",7\n8,9\n"), [(1, 2, FIELD_COUNT), (3, 4, STRAY_QUOTE)]);
}

#[test]
fn a_quoted_field_may_hold_what_looks_like_records() {
    let (_, found) = read(b"a,b\n1,2\n3,\"x\n4,5\n6\"\n7,\"two\nlines\"\n");
    assert_eq!((found.records, found.unsound.len(), found.suspicious), (3, 0, vec![1]));
}

#[test]
fn carriage_returns_alone_end_lines_if_they_end_the_header() {
    let (header, found) = read(b"a,b\r1,\"2\n\"\r\r3\r4,5");
    assert_eq!((header.dialect.line_end, header.texts.len()), (LineEnd::CarriageReturn, 2));
    assert_eq!((found.records, found.blank.len()), (3, 1));
    assert_eq!(found.unsound.iter().map(|record| record.place).collect::<Vec<_>>(), [1]);
    assert_eq!(unsound("a,b\n1,\"2\r3\"\n4,5\r"), [], "in quotes, and at the end of the file");
}

#[test]
fn headers_that_are_none_are_told_apart() {
    assert_eq!(header(b"a,\"b\n1,2\n", true), Err(HeaderProblem::Quotes));
    assert_eq!(header(b"a,b\"c\n1,2\n", true), Err(HeaderProblem::Quotes));
    assert_eq!(header(b"", true), Err(HeaderProblem::Empty));
    assert_eq!(header(b"\n\r\n", true), Err(HeaderProblem::Empty));
    assert_eq!(header(b"a\0,\0b\0\n\0", true), Err(HeaderProblem::NulByte));
    assert_eq!(header(b"a,b,c", false), Err(HeaderProblem::TooLong));
    assert_eq!(header(b"a,\"b\"", true).unwrap().texts, ["a", "b"]);
}

#[test]
fn the_delimiter_is_the_one_of_the_header() {
    for (text, delimiter) in [
        ("a;b;c,d\n", b';'),
        ("a\tb\n", b'\t'),
        ("a\n", b','),
        ("\"a;b;c\",d\n", b','),
        ("sep=;\r\na,b;c\r\n", b';'),
        ("SEP=|\na,b|c\n", b'|'),
        ("\n\na;b\n", b';'),
    ] {
        assert_eq!(header(text.as_bytes(), true).unwrap().dialect.delimiter, delimiter, "{text}");
    }
    let found = header(b"sep=;\r\na;b\r\n1;2\r\n", true).unwrap();
    assert_eq!((found.texts.len(), found.length, found.lines), (2, 12, 2));
}

#[test]
fn fields_beyond_the_limit_are_refused_or_taken_for_an_open_quote() {
    let dialect = Dialect { delimiter: b',', line_end: LineEnd::LineFeed };
    let grammar = Grammar { dialect, fields: 2, max_field: 4 };
    assert_eq!(scan(b"1,2345\n1,23456\n", true, &grammar), Err(TooLong { place: 1 }));
    assert_eq!(scan(b"1,2345\n1,23456", false, &grammar), Err(TooLong { place: 1 }));
    let found = scan(b"1,\"345\"\n1,\"34567\"\n1,2\n", true, &grammar).unwrap();
    assert_eq!(found.unsound.iter().map(|r| (r.place, r.why.place())).collect::<Vec<_>>(), [(1, OPEN_QUOTE)]);
    assert_eq!(found.records, 3);
}

/// Cuts the bytes after the header everywhere, scans what is whole, then the rest.
fn in_two_pieces(text: &[u8]) {
    let (header, whole) = read(text);
    let body = &text[header.length..];
    let grammar = Grammar { dialect: header.dialect, fields: header.texts.len(), max_field: LIMIT };
    for cut in 0..=body.len() {
        let first = scan(&body[..cut], false, &grammar).unwrap();
        let rest = scan(&body[first.consumed..], true, &grammar).unwrap();
        assert_eq!(first.records + rest.records, whole.records, "{text:?} cut at {cut}");
        assert_eq!(first.lines + rest.lines, whole.lines, "{text:?} cut at {cut}");
        let places = |scan: &Scan, records, bytes, lines| -> Vec<_> {
            let moved = |r: &crate::structure::scan::UnsoundRecord| {
                (r.place + records, r.bytes.start + bytes, r.bytes.end + bytes, r.lines_before + lines, r.why)
            };
            scan.unsound.iter().map(moved).collect()
        };
        let mut found = places(&first, 0, 0, 0);
        found.extend(places(&rest, first.records, first.consumed, first.lines));
        assert_eq!(found, places(&whole, 0, 0, 0), "{text:?} cut at {cut}");
    }
}

#[test]
fn where_a_file_is_cut_makes_no_difference() {
    for text in [
        &b"a,b\n1,\"2\r\n\"\"3\"\"\"\r\n\r\n4\n5,\"6\n7,8\n9,x\"y\n"[..],
        b"a,b\r1,\"2\r\"\r3,4",
        b"a,b\r\n1,\"\"\r\n\"\",2\r\n3,\"4\" \r\n5,\0\r\n6,\"never\r\n7,8\r\n",
        b"a,b\n1,\"2\n3,4\n5,6\",7\n8,9",
    ] {
        in_two_pieces(text);
    }
}

#[test]
fn a_doubled_quote_may_end_beyond_the_longest_field() {
    let dialect = Dialect { delimiter: b',', line_end: LineEnd::LineFeed };
    let grammar = Grammar { dialect, fields: 2, max_field: 4 };
    for text in ["1,\"345\"\"\n1,2\n", "1,\"345\"\"\"\n1,2\n"] {
        let found = scan(text.as_bytes(), true, &grammar).unwrap();
        assert_eq!(found.unsound.iter().map(|r| (r.place, r.why.place())).collect::<Vec<_>>(), [(0, OPEN_QUOTE)]);
        assert_eq!(found.records, 2);
    }
}

#[test]
fn quotes_out_of_step_do_not_lead_through_the_whole_file() {
    let dialect = Dialect { delimiter: b',', line_end: LineEnd::LineFeed };
    let grammar = Grammar { dialect, fields: 3, max_field: LIMIT };
    // Seen from within the quotes that the line before opens, each line closes them and opens others.
    let text = "x\",b,\"\n".repeat(1_000);
    let found = scan(text.as_bytes(), false, &grammar).unwrap();
    assert_eq!((found.records, found.unsound.len(), found.consumed), (1_000, 1_000, text.len()));
    assert!(found.unsound.iter().all(|record| record.why == Unsoundness::StrayQuote));
    // A record that is never whole, but has too many fields soon.
    let text = format!("a,\"{}", "\n\",b,\"".repeat(1_000));
    let found = scan(text.as_bytes(), false, &grammar).unwrap();
    assert_eq!(found.consumed, text.rfind('\n').unwrap() + 1);
    assert_eq!((found.records, found.unsound.len()), (1_000, 1_000));
    assert_eq!(found.unsound[0].why, Unsoundness::FieldCount { expected: 3, found: 4 });
}

#[test]
fn a_blank_line_before_a_record_set_aside_does_not_make_it_suspicious() {
    let (_, found) = read(b"a,b\n1,2\n\n1,\"x\n3,4\ny\0\"\n");
    assert_eq!(found.unsound.iter().map(|r| (r.place, r.why.place())).collect::<Vec<_>>(), [(1, NUL_BYTE)]);
    assert_eq!((found.records, found.blank.len(), found.suspicious), (2, 1, vec![]));
}

#[test]
fn blank_lines_alone_at_the_beginning_of_a_file_do_not_mean_that_it_is_empty() {
    assert_eq!(header(b"\n\r\n", false), Err(HeaderProblem::TooLong));
}
