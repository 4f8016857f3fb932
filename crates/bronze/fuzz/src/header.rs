//! Checks of the header of a file.

use crate::csv_reader;
use crate::structure::{Grammar, Header, HeaderProblem, LineEnd, header, scan};

/// The first byte says where the beginning of a file is cut off, the others are the file.
///
/// # Panics
/// If the header is read wrongly.
pub fn check_header(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = header(bytes, true);
    if let Ok(found) = &whole {
        compare_with_csv(bytes, found);
        let grammar = Grammar { dialect: found.dialect, fields: found.texts.len(), max_field: 1 << 20 };
        let after = scan(&bytes[found.length..], true, &grammar).expect("no field is as long as that");
        assert_eq!(after.consumed, bytes.len() - found.length);
    }
    assert_ne!(whole, Err(HeaderProblem::TooLong), "what is there to its end is not too long");
    // As soon as the header is there, the rest of the file does not change it.
    let cut = bytes.len() * usize::from(*cut) / 256;
    let beginning = header(&bytes[..cut], false);
    let is_there = whole.as_ref().is_ok_and(|found| found.length < cut) || beginning.is_ok();
    assert!(!is_there || beginning == whole, "{beginning:?} at {cut}, {whole:?}");
}

fn compare_with_csv(bytes: &[u8], found: &Header) {
    assert!(found.length <= bytes.len() && !found.texts.is_empty());
    let line_end = found.dialect.line_end.byte();
    assert_eq!(found.lines, bytes[..found.length].iter().filter(|byte| **byte == line_end).count() as u64);
    let declared = match bytes {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', b',' | b';' | b'\t' | b'|', b'\r' | b'\n', ..] => 5,
        _ => 0,
    };
    let blank = bytes[declared..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    // A record before it, because the parser passes over a byte-order mark at the beginning.
    let mut text = vec![b'x', line_end];
    text.extend_from_slice(&bytes[declared + blank..found.length]);
    if found.dialect.line_end == LineEnd::LineFeed {
        // The parser knows no line end of two bytes that is not also one of one byte.
        while text.ends_with(b"\r\n") || text.ends_with(b"\r") {
            text.truncate(text.len() - 1 - usize::from(text.ends_with(b"\n")));
        }
    }
    let texts = csv_reader::with(found.dialect, |reader| csv_reader::last_record(&text, reader));
    assert_eq!(texts, found.texts);
}
