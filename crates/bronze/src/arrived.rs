//! A file that arrived: opened, hashed, its header read, and ready to be parsed from the same bytes.

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

/// Files are read in pieces of this size, and a header has to be within one.
const PIECE: usize = 1 << 20;

/// A file that was read once, from its first byte to its last.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub file: FoundFile,
    source: String,
    opened: Opened,
    /// BLAKE3 of the decompressed bytes.
    pub hash: String,
    /// How many they are.
    pub bytes: u64,
    pub encoding: &'static Encoding,
    mark: usize,
    /// The first bytes.
    head: Vec<u8>,
    /// All bytes, where there was room for them.
    memory: Option<Vec<u8>>,
}

impl Arrived {
    /// Reads a file. Its bytes are kept if they are no more than `room`, which they are taken from.
    pub(crate) fn read(
        source: &SourceTable,
        file: &FoundFile,
        limits: &Limits,
        room: &mut usize,
    ) -> Result<Self, BronzeError> {
        let name = &source.name.table;
        let opened = Opened::open(&file.path).map_err(|error| cannot_open(name, file, error))?;
        let cursor = opened.cursor();
        let failed = |error| stream_error(name, file, error);
        let mut stream = Stream::new(&opened, &cursor, limits).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut watch = EncodingWatch::default();
        let (mut memory, mut head) = (Some(Vec::new()), Vec::new());
        let mut piece = Vec::with_capacity(PIECE);
        while !stream.ended() {
            piece.clear();
            stream.read(&mut piece, PIECE).map_err(failed)?;
            hasher.update(&piece);
            watch.look(&piece);
            memory = memory.filter(|kept| kept.len() + piece.len() <= *room);
            memory.iter_mut().for_each(|kept| kept.extend_from_slice(&piece));
            if head.is_empty() {
                head.clone_from(&piece);
            }
        }
        let bytes = stream.total();
        drop(stream);
        *room -= memory.as_ref().map_or(0, Vec::len);
        let (encoding, mark) = watch.found(source.source.encoding);
        let hash = hasher.finalize().to_hex().to_string();
        let (source, file) = (name.clone(), file.clone());
        let arrived = Self { file, source, opened, hash, bytes, encoding, mark, head, memory };
        arrived.check_unchanged()?;
        arrived.check_manifest()?;
        Ok(arrived)
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
        if self.bytes > most {
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

    pub(crate) fn header(&self) -> Result<Header, BronzeError> {
        if let Some(problem) = not_text(&self.head) {
            return Err(BronzeError::Header {
                source_name: self.source.clone(),
                file: self.file.name.clone(),
                problem,
            });
        }
        let at_end = self.bytes == self.head.len() as u64;
        let head = text::head(&self.head, self.encoding, self.mark, at_end);
        let (source_name, file) = (self.source.clone(), self.file.name.clone());
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
            Some(hash) if hash != self.hash => Err(self.changed("it changed while it was read")),
            _ => self.check_unchanged(),
        }
    }

    pub(crate) fn failed(&self, error: StreamError) -> BronzeError {
        stream_error(&self.source, &self.file, error)
    }

    pub(crate) fn limit(&self, limit: String) -> BronzeError {
        BronzeError::Limit { source_name: self.source.clone(), file: self.file.name.clone(), limit }
    }

    fn check_unchanged(&self) -> Result<(), BronzeError> {
        let stamp = self.opened.stamp().map_err(|error| self.failed(error.into()))?;
        if stamp == self.file.stamp { Ok(()) } else { Err(self.changed("it was written to while it was read")) }
    }

    /// Compares the file as it stands in the folder with what its manifest says.
    fn check_manifest(&self) -> Result<(), BronzeError> {
        let Some(expected) = &self.file.sha256 else { return Ok(()) };
        let mut hasher = Sha256::new();
        let cursor = self.cursor();
        let mut piece = vec![0; PIECE];
        loop {
            let read = (&cursor).read(&mut piece).map_err(|error| self.failed(error.into()))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
        }
        let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(self.changed("its SHA-256 is not the one in the manifest"))
    }

    fn changed(&self, why: &'static str) -> BronzeError {
        changed(&self.source, &self.file, why)
    }
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
