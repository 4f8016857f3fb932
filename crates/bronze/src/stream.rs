//! The decompressed bytes of a file, within the limits.

use std::io::{self, BufRead, BufReader, Read};

use medallion_pipeline::Limits;

use crate::opened::{Compression, Cursor, Opened};

/// Up to here any ratio of decompressed to compressed bytes is fine.
const ANY_RATIO: u64 = 1 << 30;
const READ_SIZE: usize = 1 << 18;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The limit in words.
    #[error("it exceeds {0}")]
    Limit(String),
}

/// Decompressed bytes, as they are read.
pub(crate) struct Stream<'a> {
    cursor: &'a Cursor<'a>,
    bytes: Box<dyn Read + Send + 'a>,
    limits: &'a Limits,
    total: u64,
    ended: bool,
}

impl<'a> Stream<'a> {
    /// The bytes from the file's beginning on; `cursor` is a new one of `opened`.
    pub(crate) fn new(opened: &Opened, cursor: &'a Cursor<'a>, limits: &'a Limits) -> Result<Self, StreamError> {
        let buffered = || BufReader::with_capacity(READ_SIZE, cursor);
        let bytes: Box<dyn Read + Send + 'a> = match opened.compression()? {
            Compression::None => Box::new(cursor),
            Compression::Gzip => Box::new(Gzip::new(buffered())),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered())?;
                decoder.window_log_max(limits.window.ilog2())?;
                Box::new(decoder)
            }
        };
        Ok(Self { cursor, bytes, limits, total: 0, ended: false })
    }

    /// Appends up to `wanted` further bytes to `buffer`; fewer mean that the file has ended.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> Result<usize, StreamError> {
        let read = (&mut self.bytes).take(wanted as u64).read_to_end(buffer);
        self.has_read(read, wanted)
    }

    /// Fills `buffer` with further bytes; that they are fewer means that the file has ended.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.bytes.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.has_read(Err(error), buffer.len()),
            }
        }
        self.has_read(Ok(filled), buffer.len())
    }

    fn has_read(&mut self, read: io::Result<usize>, wanted: usize) -> Result<usize, StreamError> {
        let read = read.map_err(|error| self.explained(error))?;
        self.ended = read < wanted;
        self.total += read as u64;
        self.check()?;
        Ok(read)
    }

    /// Whether the last byte was read.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes read so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    fn check(&self) -> Result<(), StreamError> {
        let Limits { file, ratio, .. } = *self.limits;
        if self.total > file {
            return Err(StreamError::Limit(format!("{} after decompression", bytesize::ByteSize(file))));
        }
        let compressed = self.cursor.position().max(1);
        if self.total > ANY_RATIO && self.total / compressed > ratio {
            return Err(StreamError::Limit(format!("{ratio} decompressed bytes for each compressed one")));
        }
        Ok(())
    }

    /// The decoders' errors in words of somebody who knows files.
    fn explained(&self, error: io::Error) -> StreamError {
        let text = error.to_string();
        if text.contains("requires too much memory") {
            let window = bytesize::ByteSize(self.limits.window);
            return StreamError::Limit(format!("a decompression window of {window}"));
        }
        let cut_off = error.kind() == io::ErrorKind::UnexpectedEof || text.contains("incomplete frame");
        if cut_off {
            let text = "the compressed data end early; the file was cut off on its way";
            return io::Error::new(io::ErrorKind::UnexpectedEof, text).into();
        }
        error.into()
    }
}

/// One or more gzip members, with nothing but zero bytes after the last.
struct Gzip<R: BufRead> {
    /// `None` after the last member.
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    fn new(bytes: R) -> Self {
        Self { member: Some(flate2::bufread::GzDecoder::new(bytes)) }
    }

    /// Goes on to the member that begins where the last one ended.
    fn next_member(&mut self, mut bytes: R) -> io::Result<()> {
        loop {
            let rest = bytes.fill_buf()?;
            match rest.iter().position(|byte| *byte != 0) {
                None if rest.is_empty() => return Ok(()),
                None => {
                    let zeros = rest.len();
                    bytes.consume(zeros);
                }
                Some(zeros) => {
                    bytes.consume(zeros);
                    break;
                }
            }
        }
        if bytes.fill_buf()?.first() != Some(&0x1f) {
            let text = "after the compressed data there are other bytes";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.member = Some(flate2::bufread::GzDecoder::new(bytes));
        Ok(())
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                self.member = Some(member);
                return Ok(read);
            }
            self.next_member(member.into_inner())?;
        }
        Ok(0)
    }
}
