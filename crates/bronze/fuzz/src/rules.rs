//! The rules for records, a byte at a time and without regard to speed.

use crate::structure::{Grammar, LineEnd};

/// What stands at a place.
pub(crate) enum Found {
    /// A line with nothing in it, up to its end.
    Blank { next: usize },
    /// A record that may be read.
    Sound { next: usize },
    /// A record that is set aside.
    Unsound { end: usize, next: usize },
    /// A field that is too long to go on.
    TooLong,
}

/// How a record ends.
enum Ended {
    Well {
        fields: usize,
        end: usize,
        next: usize,
    },
    /// At a byte that no record may have there.
    Badly,
    TooLong,
}

/// What stands at `start`, where the file ends with `bytes`.
pub(crate) fn at(bytes: &[u8], start: usize, grammar: &Grammar) -> Found {
    let (line_end, line_next) = line(bytes, start, grammar);
    if line_end == start {
        return Found::Blank { next: line_next };
    }
    match record(bytes, start, grammar) {
        Ended::TooLong => Found::TooLong,
        Ended::Well { fields, end, next } if fields == grammar.fields => {
            let is_sound = is_clean(&bytes[start..end], grammar);
            if is_sound { Found::Sound { next } } else { Found::Unsound { end, next } }
        }
        // Whether it is one line or several, only the first is given up.
        Ended::Well { .. } => Found::Unsound { end: line_end, next: line_next },
        Ended::Badly => Found::Unsound { end: line_end, next: line_next },
    }
}

/// Where the line ends that begins at `start` and where the next one begins.
fn line(bytes: &[u8], start: usize, grammar: &Grammar) -> (usize, usize) {
    let length = bytes[start..].iter().take_while(|byte| **byte != grammar.dialect.line_end.byte()).count();
    let end = start + length;
    (without_carriage_return(bytes, start, end, grammar), (end + 1).min(bytes.len()))
}

fn without_carriage_return(bytes: &[u8], start: usize, end: usize, grammar: &Grammar) -> usize {
    let has_one = grammar.dialect.line_end == LineEnd::LineFeed && end > start && bytes[end - 1] == b'\r';
    if has_one { end - 1 } else { end }
}

/// Reads a record strictly: quotes around a whole field, doubled ones inside.
fn record(bytes: &[u8], start: usize, grammar: &Grammar) -> Ended {
    let (delimiter, line_end) = (grammar.dialect.delimiter, grammar.dialect.line_end.byte());
    let (mut at, mut fields) = (start, 1);
    loop {
        if bytes.get(at) == Some(&b'"') {
            let Some(after) = after_quoted(bytes, at + 1, grammar.max_field) else { return Ended::Badly };
            at = after;
            let carriage_return = usize::from(line_end == b'\n' && bytes.get(at) == Some(&b'\r'));
            let follows = bytes.get(at + carriage_return);
            if !(follows.is_none() || follows == Some(&line_end) || bytes[at] == delimiter) {
                return Ended::Badly;
            }
        }
        let field = at;
        while at < bytes.len() && bytes[at] != delimiter && bytes[at] != line_end && bytes[at] != b'"' {
            at += 1;
        }
        if at - field > grammar.max_field {
            return Ended::TooLong;
        }
        match bytes.get(at) {
            Some(b'"') => return Ended::Badly,
            Some(byte) if *byte == delimiter && fields == grammar.fields => return Ended::Badly,
            Some(byte) if *byte == delimiter => fields += 1,
            _ => {
                let end = without_carriage_return(bytes, start, at, grammar);
                return Ended::Well { fields, end, next: (at + 1).min(bytes.len()) };
            }
        }
        at += 1;
    }
}

/// The place after the closing quote of a field whose text begins at `start`.
fn after_quoted(bytes: &[u8], start: usize, max_field: usize) -> Option<usize> {
    let mut at = start;
    while at < bytes.len() && at < start.saturating_add(max_field) {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Whether a well-formed record has nothing else that is not allowed.
fn is_clean(content: &[u8], grammar: &Grammar) -> bool {
    let mut quoted = false;
    for byte in content {
        quoted ^= *byte == b'"';
        if *byte == b'\r' && !quoted && grammar.dialect.line_end == LineEnd::LineFeed {
            return false;
        }
    }
    !content.contains(&0) && std::str::from_utf8(content).is_ok()
}
