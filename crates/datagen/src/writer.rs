//! Writes one export: quoting like PHP's fputcsv, rows streamed through a buffer.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::GenerateError;
use crate::source::Source;
use crate::times;

/// How many rows lie between a row and its exact duplicate.
const REPEAT_AFTER: u64 = 5;
const BUFFER: usize = 1 << 18;

/// A text as it stands in the file, quoted where need be.
#[derive(Debug, Clone)]
pub(crate) struct Quoted(Vec<u8>);

impl Quoted {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 2);
        push_text(&mut bytes, text);
        Self(bytes)
    }
}

/// The file of one source while it is written.
pub(crate) struct RowWriter {
    file: BufWriter<File>,
    path: PathBuf,
    line: Vec<u8>,
    rows: u64,
    repeats: VecDeque<(u64, Vec<u8>)>,
}

impl RowWriter {
    /// Creates the file and writes its header row.
    pub(crate) fn create(source: Source, path: &Path) -> Result<Self, GenerateError> {
        let file = File::create(path).map_err(|source| GenerateError::Write { path: path.to_path_buf(), source })?;
        let mut writer = Self {
            file: BufWriter::with_capacity(BUFFER, file),
            path: path.to_path_buf(),
            line: Vec::with_capacity(512),
            rows: 0,
            repeats: VecDeque::new(),
        };
        for header in source.headers() {
            writer.text(header);
        }
        writer.finish_line();
        writer.write_line()?;
        Ok(writer)
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        push_number(&mut self.line, value);
        self.line.push(b',');
        self
    }

    pub(crate) fn number_or_blank(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.number(value),
            None => self.blank(),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        push_text(&mut self.line, text);
        self.line.push(b',');
        self
    }

    pub(crate) fn quoted(&mut self, text: &Quoted) -> &mut Self {
        self.line.extend_from_slice(&text.0);
        self.line.push(b',');
        self
    }

    pub(crate) fn moment(&mut self, moment: Option<i64>) -> &mut Self {
        if let Some(moment) = moment {
            times::push_moment(&mut self.line, moment);
        }
        self.line.push(b',');
        self
    }

    pub(crate) fn blank(&mut self) -> &mut Self {
        self.line.push(b',');
        self
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) -> Result<(), GenerateError> {
        self.finish_line();
        self.write_line()?;
        self.rows += 1;
        while self.repeats.front().is_some_and(|(due, _)| *due <= self.rows) {
            self.write_repeat()?;
        }
        Ok(())
    }

    /// Ends the row and writes it once more a few rows later.
    pub(crate) fn end_row_twice(&mut self) -> Result<(), GenerateError> {
        self.finish_line();
        self.repeats.push_back((self.rows + REPEAT_AFTER, self.line.clone()));
        self.line.pop();
        self.line.push(b',');
        self.end_row()
    }

    /// Writes what is left and returns the number of data rows.
    pub(crate) fn finish(mut self) -> Result<u64, GenerateError> {
        while !self.repeats.is_empty() {
            self.write_repeat()?;
        }
        self.file.flush().map_err(|source| self.failed(source))?;
        Ok(self.rows)
    }

    /// Turns the separator behind the last field into the end of the line.
    fn finish_line(&mut self) {
        self.line.pop();
        self.line.push(b'\n');
    }

    fn write_line(&mut self) -> Result<(), GenerateError> {
        let written = self.file.write_all(&self.line);
        self.line.clear();
        written.map_err(|source| self.failed(source))
    }

    fn write_repeat(&mut self) -> Result<(), GenerateError> {
        if let Some((_, line)) = self.repeats.pop_front() {
            self.file.write_all(&line).map_err(|source| self.failed(source))?;
            self.rows += 1;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> GenerateError {
        GenerateError::Write { path: self.path.clone(), source }
    }
}

/// fputcsv encloses a field that has the separator, a quote, a backslash or any white space it knows.
fn push_text(buffer: &mut Vec<u8>, text: &str) {
    let enclosed = text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\\' | b'\n' | b'\r' | b'\t' | b' '));
    if !enclosed {
        buffer.extend_from_slice(text.as_bytes());
        return;
    }
    buffer.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            buffer.push(b'"');
        }
        buffer.push(byte);
    }
    buffer.push(b'"');
}

fn push_number(buffer: &mut Vec<u8>, value: u64) {
    let start = buffer.len();
    let mut rest = value;
    loop {
        buffer.push(b"0123456789"[(rest % 10) as usize]);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    buffer[start..].reverse();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn quoted(text: &str) -> String {
        String::from_utf8(Quoted::new(text).0).unwrap()
    }

    #[test]
    fn texts_are_quoted_like_fputcsv_does() {
        assert_eq!(quoted(""), "");
        assert_eq!(quoted("O'Neil"), "O'Neil");
        assert_eq!(quoted("Thơ"), "Thơ");
        assert_eq!(quoted(" "), "\" \"");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"no\""), "\"say \"\"no\"\"\"");
        assert_eq!(quoted("one\ntwo"), "\"one\ntwo\"");
    }

    #[test]
    fn rows_and_their_repeats_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("null_dates.csv");
        let mut writer = RowWriter::create(Source::NullDates, &path).unwrap();
        for number in 0..7 {
            writer.number(number).blank();
            if number == 0 || number == 6 { writer.end_row_twice() } else { writer.end_row() }.unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 9);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "Seq,Date\n0,\n1,\n2,\n3,\n4,\n0,\n5,\n6,\n6,\n");
    }

    #[test]
    fn a_full_or_forbidden_place_is_named() {
        let missing = Path::new("/nonexistent-folder/users.csv");
        let Err(error) = RowWriter::create(Source::Users, missing) else { panic!("created {missing:?}") };
        assert!(error.to_string().contains("/nonexistent-folder/users.csv"), "{error}");
    }
}
