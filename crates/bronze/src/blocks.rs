//! Cuts the text of a file into blocks of whole records, sound ones for the CSV engine and the others on their own.

use std::ops::Range;

use crate::arrived::Arrived;
use crate::error::BronzeError;
use crate::structure::{Grammar, Header, Scan, TooLong, Unsoundness, scan};
use crate::text::Text;

/// About as much text is in a block.
#[cfg(not(test))]
fn block_size() -> usize {
    8 << 20
}

#[cfg(test)]
use tiny::block_size;

/// A record may be as long as so many of the longest fields.
const RECORD_FIELDS: usize = 16;

/// The most text of one file's records that is set aside: it is kept in memory until the file is done.
const MAX_SET_ASIDE: usize = 256 << 20;

/// A record that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAside {
    /// Its number in the file; 1 is the first after the header.
    pub number: u64,
    /// The line it begins on; 1 is the first of the file.
    pub line: u64,
    pub why: Unsoundness,
    /// Its text as far as it is kept.
    pub raw: String,
}

/// Whole records of a file.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The sound records, each with its line end.
    pub text: Vec<u8>,
    /// The numbers of the sound records in the file.
    pub numbers: Vec<i64>,
    pub set_aside: Vec<SetAside>,
    /// Numbers of sound records that hold lines which look like records.
    pub suspicious: Vec<u64>,
}

/// The blocks of a file, in order.
pub(crate) struct Blocks<'a> {
    arrived: &'a Arrived,
    text: Text<'a>,
    grammar: Grammar,
    /// About as much text is in a block.
    size: usize,
    /// Text that was read and not yet examined.
    rest: Vec<u8>,
    /// Records before the rest.
    records: u64,
    /// Lines before the rest.
    lines: u64,
    /// Bytes of the header that are still to be passed over.
    header: usize,
    set_aside: (u64, usize),
    max_set_aside: u64,
    done: bool,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(
        arrived: &'a Arrived,
        text: Text<'a>,
        header: &Header,
        limits: &medallion_pipeline::Limits,
    ) -> Self {
        let max_field = usize::try_from(limits.field).unwrap_or(usize::MAX);
        Self {
            arrived,
            text,
            grammar: Grammar { dialect: header.dialect, fields: header.texts.len(), max_field },
            size: block_size(),
            rest: Vec::new(),
            records: 0,
            lines: header.lines,
            header: header.length,
            set_aside: (0, 0),
            max_set_aside: limits.rejects,
            done: false,
        }
    }

    /// What all records of the file have to look like.
    pub(crate) fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// Records read so far.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The next block; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, BronzeError> {
        if self.done {
            return Ok(None);
        }
        let found = loop {
            let at_end = self.fill()?;
            let found = scan(&self.rest, at_end, &self.grammar).map_err(|problem| self.too_long(problem))?;
            if at_end || found.consumed > 0 {
                self.done = at_end;
                break found;
            }
            let most = self.grammar.max_field.saturating_mul(RECORD_FIELDS);
            if self.rest.len() > most {
                let (size, record) = (bytesize::ByteSize(most as u64), self.records + 1);
                return Err(self.arrived.limit(format!("{size} for a record, here record {record}")));
            }
        };
        if self.done {
            self.arrived.check_hash(self.text.hash())?;
        }
        let block = self.block(found)?;
        Ok(Some(block))
    }

    /// Reads on; returns whether the file has ended.
    fn fill(&mut self) -> Result<bool, BronzeError> {
        // A record that is larger than a block is looked at again with twice as much.
        let wanted = self.size.max(self.rest.len());
        self.text.read(&mut self.rest, wanted).map_err(|error| self.arrived.failed(error))?;
        let passed = self.header.min(self.rest.len());
        self.rest.drain(..passed);
        self.header -= passed;
        Ok(self.text.ended())
    }

    fn block(&mut self, found: Scan) -> Result<Block, BronzeError> {
        let rest = self.rest.split_off(found.consumed);
        let bytes = std::mem::replace(&mut self.rest, rest);
        let first = self.records + 1;
        let set_aside = found.unsound.iter().map(|record| SetAside {
            number: first + record.place,
            line: self.lines + record.lines_before + 1,
            why: record.why,
            raw: raw(&bytes[record.bytes.clone()]),
        });
        let set_aside: Vec<SetAside> = set_aside.collect();
        self.count(&set_aside)?;
        let block = Block {
            numbers: sound_numbers(first, &found),
            suspicious: found.suspicious.iter().map(|place| first + place).collect(),
            set_aside,
            text: self.sound(bytes, &found),
        };
        self.records += found.records;
        self.lines += found.lines;
        Ok(block)
    }

    fn count(&mut self, set_aside: &[SetAside]) -> Result<(), BronzeError> {
        self.set_aside.0 += set_aside.len() as u64;
        self.set_aside.1 += set_aside.iter().map(|record| record.raw.len()).sum::<usize>();
        if self.set_aside.0 > self.max_set_aside {
            return Err(self.arrived.limit(format!("{} records that are set aside", self.max_set_aside)));
        }
        if self.set_aside.1 > MAX_SET_ASIDE {
            let size = bytesize::ByteSize(MAX_SET_ASIDE as u64);
            return Err(self.arrived.limit(format!("{size} of records that are set aside")));
        }
        Ok(())
    }

    /// The text without unsound records and blank lines, ended by a line end.
    fn sound(&self, bytes: Vec<u8>, found: &Scan) -> Vec<u8> {
        let line_end = self.grammar.dialect.line_end.byte();
        let mut gaps: Vec<Range<usize>> = found.unsound.iter().map(|record| record.bytes.start..record.next).collect();
        gaps.extend(found.blank.iter().cloned());
        let mut text = bytes;
        if !gaps.is_empty() {
            gaps.sort_by_key(|gap| gap.start);
            let mut kept = Vec::with_capacity(text.len());
            let mut at = 0;
            for gap in gaps {
                kept.extend_from_slice(&text[at..gap.start]);
                at = gap.end;
            }
            kept.extend_from_slice(&text[at..]);
            text = kept;
        }
        if text.last().is_some_and(|last| *last != line_end) {
            text.push(line_end);
        }
        text
    }

    fn too_long(&self, problem: TooLong) -> BronzeError {
        let field = bytesize::ByteSize(self.grammar.max_field as u64);
        let record = self.records + problem.place + 1;
        self.arrived.limit(format!("{field} for a field in record {record}"))
    }
}

fn sound_numbers(first: u64, found: &Scan) -> Vec<i64> {
    let mut unsound = found.unsound.iter().map(|record| record.place).peekable();
    let sound = (0..found.records).filter(|place| unsound.next_if_eq(place).is_none());
    sound.map(|place| i64::try_from(first + place).unwrap_or(i64::MAX)).collect()
}

/// As much of a record's text as is kept, without decoding all of a huge one.
fn raw(bytes: &[u8]) -> String {
    let kept = &bytes[..bytes.len().min(medallion_pipeline::rejects::MAX_RAW)];
    medallion_pipeline::Reject::raw_of(&String::from_utf8_lossy(kept))
}

/// Blocks of another size in the tests of one thread.
#[cfg(test)]
pub(crate) mod tiny {
    use std::cell::Cell;

    thread_local! {
        static SIZE: Cell<usize> = const { Cell::new(8 << 20) };
    }

    pub(crate) fn set_block_size(size: usize) {
        SIZE.set(size);
    }

    pub(super) fn block_size() -> usize {
        SIZE.get()
    }
}
