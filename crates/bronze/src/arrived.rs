//! A file that arrived: opened, hashed, its header read, and ready to be parsed from the same bytes.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use encoding_rs::Encoding;
use medallion_pipeline::{Limits, SourceTable};
use sha2::{Digest, Sha256};

use crate::discovery::FoundFile;
use crate::error::BronzeError;
use crate::opened::{Cursor, Opened};
use crate::stream::{Stream, StreamError};
use crate::structure::{Header, HeaderProblem, header};
use crate::text::{self, EncodingWatch, Raw, Text};

/// Files are read in pieces of this size: twice as large ones took half as long again.
const PIECE: usize = 1 << 17;

/// A header has to be within so many bytes.
const HEAD: usize = 1 << 20;

/// A file of an export that was read from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// The file.
    pub file: FoundFile,
    /// BLAKE3 of its bytes after decompression.
    pub hash: String,
    /// Its bytes after decompression.
    pub bytes: u64,
}

/// A file that was read once and can be parsed.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub read: ReadFile,
    source: String,
    opened: Opened,
    pub encoding: &'static Encoding,
    mark: usize,
    /// All bytes, where there was room for them.
    memory: Option<Vec<u8>>,
}

/// Reads a file for its hash alone.
pub(crate) fn hash_file(source: &SourceTable, file: &FoundFile, limits: &Limits) -> Result<ReadFile, BronzeError> {
    read_through(&source.name.table, file, limits, |_| {}).map(|(_, read)| read)
}

/// Reads a file from its first byte to its last and shows the pieces to `look`.
fn read_through(
    source: &str,
    file: &FoundFile,
    limits: &Limits,
    mut look: impl FnMut(&[u8]),
) -> Result<(Opened, ReadFile), BronzeError> {
    let opened = Opened::open(&file.path).map_err(|error| cannot_open(source, file, error))?;
    let cursor = opened.cursor();
    let failed = |error| stream_error(source, file, error);
    let mut stream = Stream::new(&opened, &cursor, limits).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE];
    while !stream.ended() {
        let read = stream.fill(&mut buffer).map_err(failed)?;
        let piece = &buffer[..read];
        hasher.update(piece);
        look(piece);
    }
    let bytes = stream.total();
    drop(stream);
    check_unchanged(source, file, &opened)?;
    check_manifest(source, file, &opened)?;
    Ok((opened, ReadFile { file: file.clone(), hash: hasher.finalize().to_hex().to_string(), bytes }))
}

impl Arrived {
    /// Reads a file. Its bytes are kept if they are no more than `room`, which they are taken from.
    pub(crate) fn read(
        source: &SourceTable,
        file: &FoundFile,
        limits: &Limits,
        room: &mut usize,
    ) -> Result<Self, BronzeError> {
        let mut watch = EncodingWatch::default();
        let mut memory = Some(Vec::new());
        let (opened, read) = read_through(&source.name.table, file, limits, |piece| {
            watch.look(piece);
            memory = memory.take().filter(|kept| kept.len() + piece.len() <= *room);
            memory.iter_mut().for_each(|kept| kept.extend_from_slice(piece));
        })?;
        *room -= memory.as_ref().map_or(0, Vec::len);
        let (encoding, mark) = watch.found(source.source.encoding);
        Ok(Self { read, source: source.name.table.clone(), opened, encoding, mark, memory })
    }

    /// Whether the encoding is neither declared nor marked.
    pub(crate) fn is_encoding_guessed(&self, declared: Option<&'static Encoding>) -> bool {
        self.mark == 0 && declared.is_none()
    }

    /// A new reader for [`Self::text`].
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        self.opened.cursor()
    }

    /// The file's text from its beginning.
    pub(crate) fn text<'a>(&'a self, cursor: &'a Cursor<'a>, limits: &'a Limits) -> Result<Text<'a>, BronzeError> {
        let raw = match &self.memory {
            Some(bytes) => Raw::Memory(bytes),
            None => Raw::File(Stream::new(&self.opened, cursor, limits).map_err(|error| self.failed(error))?),
        };
        Ok(Text::new(raw, self.encoding, self.mark))
    }

    /// All bytes of the file; a file of more than `most` is refused.
    pub(crate) fn all_bytes(&self, most: u64, limits: &Limits) -> Result<Vec<u8>, BronzeError> {
        if self.read.bytes > most {
            return Err(self.limit(format!("{} for workbooks", bytesize::ByteSize(most))));
        }
        if let Some(bytes) = &self.memory {
            return Ok(bytes.clone());
        }
        let cursor = self.cursor();
        let mut stream = Stream::new(&self.opened, &cursor, limits).map_err(|error| self.failed(error))?;
        let mut bytes = Vec::new();
        while !stream.ended() {
            stream.read(&mut bytes, PIECE).map_err(|error| self.failed(error))?;
        }
        self.check_hash(Some(blake3::hash(&bytes).to_hex().to_string()))?;
        Ok(bytes)
    }

    /// The first bytes, in which the header has to be.
    fn head(&self, limits: &Limits) -> Result<Cow<'_, [u8]>, BronzeError> {
        if let Some(bytes) = &self.memory {
            return Ok(Cow::Borrowed(&bytes[..bytes.len().min(HEAD)]));
        }
        let cursor = self.cursor();
        let mut stream = Stream::new(&self.opened, &cursor, limits).map_err(|error| self.failed(error))?;
        let mut head = Vec::new();
        stream.read(&mut head, HEAD).map_err(|error| self.failed(error))?;
        check_unchanged(&self.source, &self.read.file, &self.opened)?;
        Ok(Cow::Owned(head))
    }

    pub(crate) fn header(&self, limits: &Limits) -> Result<Header, BronzeError> {
        let head = self.head(limits)?;
        if let Some(problem) = not_text(&head) {
            return Err(BronzeError::Header {
                source_name: self.source.clone(),
                file: self.read.file.name.clone(),
                problem,
            });
        }
        let at_end = self.read.bytes == head.len() as u64;
        let head = text::head(&head, self.encoding, self.mark, at_end);
        let (source_name, file) = (self.source.clone(), self.read.file.name.clone());
        let problem = match header(&head, at_end) {
            Ok(header) => return Ok(header),
            Err(HeaderProblem::Empty) => return Err(BronzeError::Empty { source_name, file }),
            Err(HeaderProblem::TooLong) => return Err(self.limit("1 MiB for a header line".to_owned())),
            Err(HeaderProblem::Quotes) => "quotation marks that do not match",
            Err(HeaderProblem::NulByte) => "NUL bytes",
        };
        Err(BronzeError::Header { source_name, file, problem })
    }

    /// Fails if what was read the second time is not what was read the first time.
    pub(crate) fn check_hash(&self, again: Option<String>) -> Result<(), BronzeError> {
        match again {
            Some(hash) if hash != self.read.hash => {
                Err(changed(&self.source, &self.read.file, "it changed while it was read"))
            }
            _ => check_unchanged(&self.source, &self.read.file, &self.opened),
        }
    }

    pub(crate) fn failed(&self, error: StreamError) -> BronzeError {
        stream_error(&self.source, &self.read.file, error)
    }

    pub(crate) fn limit(&self, limit: String) -> BronzeError {
        BronzeError::Limit { source_name: self.source.clone(), file: self.read.file.name.clone(), limit }
    }
}

fn check_unchanged(source: &str, file: &FoundFile, opened: &Opened) -> Result<(), BronzeError> {
    let stamp = opened.stamp().map_err(|error| stream_error(source, file, error.into()))?;
    if stamp == file.stamp { Ok(()) } else { Err(changed(source, file, "it was written to while it was read")) }
}

/// Compares the file as it stands in the folder with what its manifest says.
fn check_manifest(source: &str, file: &FoundFile, opened: &Opened) -> Result<(), BronzeError> {
    let Some(expected) = &file.sha256 else { return Ok(()) };
    let mut hasher = Sha256::new();
    let cursor = opened.cursor();
    let mut piece = vec![0; PIECE];
    loop {
        let read = (&cursor).read(&mut piece).map_err(|error| stream_error(source, file, error.into()))?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(changed(source, file, "its SHA-256 is not the one in the manifest"))
}

/// What a file is that was named like a text and is none.
fn not_text(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, 4, ..] => Some("the bytes of a workbook or zip archive; expected text"),
        [0x1f, 0x8b, ..] => Some("the bytes of a gzip file after decompression; it was compressed twice"),
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] | [b'7', b'z', 0xbc, 0xaf, ..] => {
            Some("the bytes of an archive; only gzip and zstd are read")
        }
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("the byte-order mark of UTF-32, which is not read"),
        [b'%', b'P', b'D', b'F', ..] => Some("the bytes of a PDF document; expected text"),
        _ => None,
    }
}

fn changed(source: &str, file: &FoundFile, why: &'static str) -> BronzeError {
    BronzeError::Changing { source_name: source.to_owned(), file: file.name.clone(), why }
}

fn cannot_open(source: &str, file: &FoundFile, error: std::io::Error) -> BronzeError {
    match error.kind() {
        ErrorKind::NotFound => changed(source, file, "it went away before it was read"),
        _ => stream_error(source, file, error.into()),
    }
}

fn stream_error(source: &str, file: &FoundFile, error: StreamError) -> BronzeError {
    let source_name = source.to_owned();
    match error {
        StreamError::Io(source) => BronzeError::File { source_name, path: file.path.clone(), source },
        StreamError::Limit(limit) => BronzeError::Limit { source_name, file: file.name.clone(), limit },
    }
}
