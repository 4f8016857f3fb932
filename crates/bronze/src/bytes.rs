//! From a file to UTF-8 text and the hash of what arrived.

use std::fs::File;
use std::io::Read;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::discovery::FoundFile;
use crate::error::BronzeError;

/// The most bytes a file may have after decompression.
const MAX_BYTES: u64 = 64 << 30;

/// A file's content.
pub(crate) struct Content {
    /// The bytes after decompression, as UTF-8 without mark.
    pub bytes: Vec<u8>,
    /// BLAKE3 of the bytes after decompression, as they arrived.
    pub hash: String,
    /// The encoding they arrived in.
    pub encoding: &'static str,
    /// How many bytes arrived, after decompression.
    pub arrived: u64,
}

/// Reads a file once; hash and text come from the same bytes.
pub(crate) fn read(source: &str, file: &FoundFile) -> Result<Content, BronzeError> {
    let error = |error| BronzeError::File { source_name: source.to_owned(), path: file.path.clone(), source: error };
    let opened = File::open(&file.path).map_err(error)?;
    let name = file.name.to_lowercase();
    let mut bytes = Vec::new();
    let mut limited: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(flate2::read::MultiGzDecoder::new(opened))
    } else if name.ends_with(".zst") {
        Box::new(zstd::stream::read::Decoder::new(opened).map_err(error)?)
    } else {
        bytes.reserve_exact(opened.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(0)) + 1);
        Box::new(opened)
    };
    limited.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > MAX_BYTES {
        let (source_name, file) = (source.to_owned(), file.name.clone());
        return Err(BronzeError::Limit { source_name, file, limit: "64 GiB after decompression".to_owned() });
    }
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let arrived = bytes.len() as u64;
    let (encoding, mark) = encoding(&bytes);
    if encoding == UTF_8 {
        bytes.drain(..mark);
    } else {
        bytes = encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned().into_bytes();
    }
    if memchr::memchr(b'\n', &bytes).is_none() && memchr::memchr(b'\r', &bytes).is_some() {
        // Line ends of old Macs.
        bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
    }
    Ok(Content { bytes, hash, encoding: encoding.name(), arrived })
}

/// The encoding of a file and the length of its byte-order mark. Without a mark, anything that has a valid multi-byte
/// UTF-8 sequence is UTF-8, possibly with broken records; other bytes beyond ASCII mean Windows-1252.
fn encoding(bytes: &[u8]) -> (&'static Encoding, usize) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return (encoding, mark);
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => (UTF_8, 0),
        Err(_) if bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii()) => (UTF_8, 0),
        Err(_) => (WINDOWS_1252, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        for (bytes, name, mark) in [
            (&b"plain"[..], "UTF-8", 0),
            (b"\xef\xbb\xbfa", "UTF-8", 3),
            (b"\xff\xfea\0", "UTF-16LE", 2),
            (b"\xfe\xff\0a", "UTF-16BE", 2),
            (b"caf\xe9", "windows-1252", 0),
            (b"caf\xc3\xa9 and caf\xe9", "UTF-8", 0),
        ] {
            let (encoding, length) = encoding(bytes);
            assert_eq!((encoding.name(), length), (name, mark), "{bytes:?}");
        }
    }
}
