//! Another parser of CSV.

use std::cell::RefCell;
use std::collections::HashMap;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use crate::structure::Dialect;

/// Uses a reader for a dialect. Building one takes longer than everything else, and a clone of one does not work.
pub(crate) fn with<T>(dialect: Dialect, use_it: impl FnOnce(&mut Reader) -> T) -> T {
    thread_local! {
        static BUILT: RefCell<HashMap<(u8, u8), Reader>> = RefCell::default();
    }
    let (delimiter, line_end) = (dialect.delimiter, dialect.line_end.byte());
    let build = || ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(line_end)).build();
    BUILT.with_borrow_mut(|built| {
        let reader = built.entry((delimiter, line_end)).or_insert_with(build);
        reader.reset();
        use_it(reader)
    })
}

/// The fields of the last record.
pub(crate) fn last_record(bytes: &[u8], reader: &mut Reader) -> Vec<String> {
    // Fields are never more, and never longer, than the bytes they are read from.
    let (mut text, mut ends) = (vec![0; bytes.len() + 1], vec![0; bytes.len() + 1]);
    let (mut last, mut at) = (Vec::new(), 0);
    loop {
        let (result, read, _, fields) = reader.read_record(&bytes[at..], &mut text, &mut ends);
        at += read;
        // The reader learns that the bytes have ended from being given none.
        let is_cut = matches!(result, ReadRecordResult::InputEmpty);
        let (result, fields) = match is_cut {
            true => {
                let written = reader.read_record(&[], &mut [], &mut ends[fields..]);
                (written.0, fields + written.3)
            }
            false => (result, fields),
        };
        if !matches!(result, ReadRecordResult::Record) {
            return last;
        }
        let starts = [0].into_iter().chain(ends.iter().copied());
        let field = |(start, end): (usize, &usize)| String::from_utf8_lossy(&text[start..*end]).into_owned();
        last = starts.zip(&ends[..fields]).map(field).collect();
    }
}
