//! A text column of very few values in long runs, as a Parquet column chunk.
//!
//! Parquet stores such a column as a dictionary and a list of runs, which is all that is needed to know it. The usual
//! writer takes every row's text and looks it up again, which costs more than everything else about a relationship.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Bits of a position among the texts; a byte holds it.
const BIT_WIDTH: u8 = 2;

/// Rows one after another, by their position among the texts.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<(u8, u32)>,
    rows: u32,
}

impl Runs {
    /// `rows` further rows with the text at `position`.
    #[inline]
    pub(super) fn push(&mut self, position: u8, rows: u32) {
        self.rows += rows;
        match self.runs.last_mut() {
            Some((last, length)) if *last == position => *length += rows,
            _ => self.runs.push((position, rows)),
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Appends the column to a row group. There are at most four texts, and the column is not nullable.
    pub(super) fn append_to_row_group<W: std::io::Write + Send>(
        &self,
        column: &ColumnDescPtr,
        texts: &[&str],
        row_group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let mut chunk = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut chunk);
        let dictionary = pages.write_page(dictionary_page(texts))?;
        let data = pages.write_page(self.data_page())?;
        let size = (dictionary.bytes_written + data.bytes_written) as i64;
        let encoding = |page_type, encoding| PageEncodingStats { page_type, encoding, count: 1 };
        let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_page_encoding_stats(vec![
                encoding(PageType::DICTIONARY_PAGE, Encoding::PLAIN),
                encoding(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY),
            ])
            .set_num_values(i64::from(self.rows))
            .set_total_compressed_size(size)
            .set_total_uncompressed_size(size)
            .set_dictionary_page_offset(Some(dictionary.offset as i64))
            .set_data_page_offset(data.offset as i64)
            .set_statistics(self.statistics(texts))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: size as u64,
            rows_written: u64::from(self.rows),
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        row_group.append_column(&Bytes::from(chunk.into_inner()?), close)
    }

    /// Runs as Parquet's hybrid of runs and bit-packed values has them: twice the length, then the value.
    fn data_page(&self) -> CompressedPage {
        let mut buffer = vec![BIT_WIDTH];
        for &(position, rows) in &self.runs {
            let mut header = u64::from(rows) << 1;
            while header > 0x7F {
                buffer.push(header as u8 | 0x80);
                header >>= 7;
            }
            buffer.extend([header as u8, position]);
        }
        let size = buffer.len();
        let page = Page::DataPage {
            buf: buffer.into(),
            num_values: self.rows,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        CompressedPage::new(page, size)
    }

    fn statistics(&self, texts: &[&str]) -> Statistics {
        let found = texts.iter().zip(0..).filter(|(_, position)| self.runs.iter().any(|(run, _)| run == position));
        let found: Vec<&str> = found.map(|(text, _)| *text).collect();
        let bound = |text: Option<&&str>| text.map(|text| ByteArray::from(*text));
        Statistics::byte_array(bound(found.iter().min()), bound(found.iter().max()), None, Some(0), false)
    }
}

fn dictionary_page(texts: &[&str]) -> CompressedPage {
    let mut buffer = Vec::new();
    for text in texts {
        buffer.extend((text.len() as u32).to_le_bytes());
        buffer.extend(text.as_bytes());
    }
    let size = buffer.len();
    let num_values = texts.len() as u32;
    let page = Page::DictionaryPage { buf: buffer.into(), num_values, encoding: Encoding::PLAIN, is_sorted: false };
    CompressedPage::new(page, size)
}
