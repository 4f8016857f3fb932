//! From the bytes of a file to UTF-8.

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, WINDOWS_1252};

use crate::stream::{Stream, StreamError};

/// Stands for what cannot be decoded: it is no UTF-8 anywhere, so that its record is set aside.
const UNDECODABLE: u8 = 0xff;

/// Raw bytes are decoded in pieces of this size.
const PIECE: usize = 1 << 20;

/// Finds the encoding of a file from all of its bytes, a piece at a time.
#[derive(Debug, Default)]
pub(crate) struct EncodingWatch {
    first: Vec<u8>,
    /// A valid sequence of several bytes was seen.
    multi_byte: bool,
    /// Bytes beyond ASCII were seen that are no UTF-8.
    invalid: bool,
    /// The beginning of a sequence that the next piece may complete.
    cut: Vec<u8>,
}

impl EncodingWatch {
    pub(crate) fn look(&mut self, piece: &[u8]) {
        let missing = 3_usize.saturating_sub(self.first.len()).min(piece.len());
        self.first.extend_from_slice(&piece[..missing]);
        if self.multi_byte || (self.cut.is_empty() && piece.is_ascii()) {
            return;
        }
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(piece);
        let mut rest = bytes.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, after) = rest.split_at(error.valid_up_to());
            if !valid.is_ascii() {
                self.multi_byte = true;
                return;
            }
            let Some(length) = error.error_len() else {
                self.cut = after.to_vec();
                return;
            };
            self.invalid = true;
            rest = &after[length..];
        }
        self.multi_byte |= !rest.is_ascii();
    }

    /// The encoding and the length of the byte-order mark, which wins over what was declared. Without either, anything
    /// that has a valid multi-byte UTF-8 sequence is UTF-8, possibly with broken records; other bytes beyond ASCII mean
    /// Windows-1252.
    pub(crate) fn found(&self, declared: Option<&'static Encoding>) -> (&'static Encoding, usize) {
        if let Some(marked) = Encoding::for_bom(&self.first) {
            return marked;
        }
        let not_utf8 = !self.multi_byte && (self.invalid || !self.cut.is_empty());
        (declared.unwrap_or(if not_utf8 { WINDOWS_1252 } else { UTF_8 }), 0)
    }
}

/// Raw bytes, from memory or from the file.
pub(crate) enum Raw<'a> {
    Memory(&'a [u8]),
    File(Stream<'a>),
}

impl Raw<'_> {
    fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> Result<(), StreamError> {
        match self {
            Raw::Memory(bytes) => {
                let (now, later) = bytes.split_at(wanted.min(bytes.len()));
                buffer.extend_from_slice(now);
                *bytes = later;
            }
            Raw::File(stream) => {
                stream.read(buffer, wanted)?;
            }
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        match self {
            Raw::Memory(bytes) => bytes.is_empty(),
            Raw::File(stream) => stream.ended(),
        }
    }
}

/// The text of a file, as it is read.
pub(crate) struct Text<'a> {
    raw: Raw<'a>,
    /// The byte-order mark that is still to be passed over.
    mark: usize,
    /// `None` where the bytes are UTF-8.
    decoder: Option<Decoder>,
    /// The hash of the raw bytes, where they come from the file.
    hasher: Option<blake3::Hasher>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(raw: Raw<'a>, encoding: &'static Encoding, mark: usize) -> Self {
        let hasher = matches!(raw, Raw::File(_)).then(blake3::Hasher::new);
        Self { raw, mark, decoder: decoder(encoding), hasher }
    }

    /// Appends about `wanted` bytes of text to `buffer`, all that is left if there are fewer.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> Result<(), StreamError> {
        let enough = buffer.len() + wanted;
        while buffer.len() < enough && !self.ended() {
            let start = buffer.len();
            if self.decoder.is_none() && self.mark == 0 {
                self.raw.read(buffer, enough - start)?;
                self.hash_in(&buffer[start..]);
                continue;
            }
            let piece = PIECE.min(wanted);
            let mut raw = Vec::with_capacity(piece);
            self.raw.read(&mut raw, piece)?;
            self.hash_in(&raw);
            let passed = self.mark.min(raw.len());
            self.mark -= passed;
            let text = &raw[passed..];
            let last = self.ended();
            match &mut self.decoder {
                Some(decoder) => decode(decoder, text, last, buffer),
                None => buffer.extend_from_slice(text),
            }
        }
        Ok(())
    }

    fn hash_in(&mut self, raw: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(raw);
        }
    }

    pub(crate) fn ended(&self) -> bool {
        self.raw.ended()
    }

    /// The hash of the raw bytes, where they were read from the file once more.
    pub(crate) fn hash(&self) -> Option<String> {
        self.hasher.as_ref().map(|hasher| hasher.finalize().to_hex().to_string())
    }
}

/// The text at the beginning of a file.
pub(crate) fn head(raw: &[u8], encoding: &'static Encoding, mark: usize, at_end: bool) -> Vec<u8> {
    let raw = &raw[mark.min(raw.len())..];
    let Some(mut decoder) = decoder(encoding) else { return raw.to_vec() };
    let mut text = Vec::with_capacity(raw.len());
    decode(&mut decoder, raw, at_end, &mut text);
    text
}

fn decoder(encoding: &'static Encoding) -> Option<Decoder> {
    (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling())
}

fn decode(decoder: &mut Decoder, mut raw: &[u8], last: bool, text: &mut Vec<u8>) {
    let mut decoded = String::new();
    loop {
        decoded.reserve(decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len() * 3));
        let (result, read) = decoder.decode_to_string_without_replacement(raw, &mut decoded, last);
        text.extend_from_slice(decoded.as_bytes());
        decoded.clear();
        raw = &raw[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => text.push(UNDECODABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], piece: usize) -> (&'static str, usize) {
        let mut watch = EncodingWatch::default();
        bytes.chunks(piece).for_each(|piece| watch.look(piece));
        let (encoding, mark) = watch.found(None);
        (encoding.name(), mark)
    }

    #[test]
    fn encodings_are_told_apart_however_the_file_is_cut() {
        for (bytes, name, mark) in [
            (&b"plain"[..], "UTF-8", 0),
            (b"", "UTF-8", 0),
            (b"\xef\xbb\xbfa", "UTF-8", 3),
            (b"\xff\xfea\0", "UTF-16LE", 2),
            (b"\xfe\xff\0a", "UTF-16BE", 2),
            (b"caf\xe9", "windows-1252", 0),
            (b"\xe9t\xe9 and \xe9", "windows-1252", 0),
            (b"caf\xc3\xa9 and caf\xe9", "UTF-8", 0),
            (b"caf\xe9 and caf\xc3\xa9", "UTF-8", 0),
            (b"\xe0\xb8\x81", "UTF-8", 0),
            (b"cut \xe0\xb8", "windows-1252", 0),
        ] {
            for piece in 1..=bytes.len().max(1) {
                assert_eq!(found(bytes, piece), (name, mark), "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_was_declared_holds_unless_there_is_a_mark() {
        let mut watch = EncodingWatch::default();
        watch.look(b"caf\xc3\xa9");
        assert_eq!(watch.found(Some(WINDOWS_1252)), (WINDOWS_1252, 0));
        let mut watch = EncodingWatch::default();
        watch.look(b"\xef\xbb\xbfcaf");
        assert_eq!(watch.found(Some(WINDOWS_1252)), (UTF_8, 3));
    }

    #[test]
    fn what_cannot_be_decoded_is_no_utf8_afterwards() {
        let text = head(b"\xff\xfea\0\x00\xd8b\0", encoding_rs::UTF_16LE, 2, true);
        assert_eq!(text, b"a\xffb");
        assert_eq!(head(b"caf\xe9", WINDOWS_1252, 0, true), "caf\u{e9}".as_bytes());
    }
}
