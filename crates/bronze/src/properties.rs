//! Tables of arbitrary cells, written in every dialect, come out as they were; and no damage to their bytes goes
//! unnoticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, NaiveDate};
use encoding_rs::WINDOWS_1252;
use medallion_lake::Lake;
use medallion_pipeline::{Limits, Pipeline, PipelineFiles, SourceTable};
use polars::prelude::{ParquetReader, SerReader};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use crate::arrived::Arrived;
use crate::blocks::tiny::set_block_size;
use crate::blocks::{Block, Blocks};
use crate::ingest::read_within;
use crate::opened::Stamp;
use crate::{BronzeError, FoundExport, FoundFile, IngestOptions, Ingested, hash_export, ingest};

/// Cases of a property, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    MarkedUtf8,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    GzipInTwo,
    Zstd,
}

/// How a table is written.
#[derive(Debug, Clone)]
struct Style {
    delimiter: char,
    line_end: &'static str,
    /// Whether the separator is declared in a line of its own.
    declared: bool,
    quote_all: bool,
    last_line_end: bool,
    encoding: Encoding,
    compression: Compression,
    name: &'static str,
}

/// A table with the style of its file.
#[derive(Debug, Clone)]
struct Export {
    columns: usize,
    /// For each column of the file its place in the source.
    order: Vec<usize>,
    /// Cells in the order of the source, and how many blank lines come before the record.
    rows: Vec<(Vec<String>, usize)>,
    style: Style,
    /// Bytes of a block.
    block: usize,
}

fn style() -> impl Strategy<Value = Style> {
    use Encoding::*;
    let encodings = select(vec![Utf8, Utf8, MarkedUtf8, Utf16Le, Utf16Be, Windows1252]);
    let compressions = select(vec![Compression::None, Compression::Gzip, Compression::GzipInTwo, Compression::Zstd]);
    let names = select(vec!["things_20250630.csv", "things_20250630.csv.gz", "things_20250630.csv.zst"]);
    let dialect = (select(vec![',', ';', '\t']), select(vec!["\n", "\r\n", "\r"]), any::<[bool; 3]>());
    (dialect, encodings, compressions, names).prop_map(|(dialect, encoding, compression, name)| {
        let (delimiter, line_end, [declared, quote_all, last_line_end]) = dialect;
        Style { delimiter, line_end, declared, quote_all, last_line_end, encoding, compression, name }
    })
}

fn cell() -> impl Strategy<Value = String> {
    let fragments = vec![
        "\"",
        "\"\"",
        ",",
        ";",
        "\t",
        "|",
        "\n",
        "\r",
        "\r\n",
        " ",
        "a",
        "1",
        "NULL",
        "1,2",
        "\u{e9}",
        "\u{20ac}",
        "\u{65e5}\u{672c}",
        "\u{1f600}",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "#",
        "'",
        "\\",
        "=",
        "-",
    ];
    let any_character = any::<char>().prop_map(|c| if c == '\0' { 'x' } else { c }.to_string());
    let fragment = prop_oneof![6 => select(fragments).prop_map(str::to_owned), 1 => any_character];
    prop_oneof![1 => Just(String::new()), 4 => vec(fragment, 1..5).prop_map(|fragments| fragments.concat())]
}

fn export() -> impl Strategy<Value = Export> {
    let table = (1_usize..=8).prop_flat_map(|columns| {
        let blank_lines = prop_oneof![6 => Just(0), 1 => 1_usize..3];
        let rows = vec((vec(cell(), columns), blank_lines), 0..=30);
        (Just(columns), Just((0..columns).collect::<Vec<_>>()).prop_shuffle(), rows)
    });
    let block = prop_oneof![1 => Just(8 << 20), 2 => 1_usize..=64];
    (table, style(), block).prop_map(|((columns, order, mut rows), mut style, block)| {
        // Nothing in the header shows the separator of a single column.
        style.delimiter = if columns == 1 && !style.declared { ',' } else { style.delimiter };
        if style.encoding == Encoding::Windows1252 {
            rows.iter_mut().flat_map(|(cells, _)| cells).for_each(|cell| *cell = in_windows_1252(cell));
        }
        Export { columns, order, rows, style, block }
    })
}

fn in_windows_1252(text: &str) -> String {
    let has = |c: char| !WINDOWS_1252.encode(c.encode_utf8(&mut [0; 4])).2;
    text.chars().map(|c| if has(c) { c } else { 'x' }).collect()
}

/// The header of a column of the source; some need quotes.
fn header(place: usize) -> String {
    match place % 4 {
        0 => format!("Plain {place}"),
        1 => format!("a,b;c\td\"e\" {place}"),
        2 => format!("Two\nlines {place}"),
        _ => format!("plain_{place}"),
    }
}

impl Export {
    fn source(&self) -> SourceTable {
        let mut things = "description = \"A thing\"\npatterns = [\"things*\"]\n".to_owned();
        if self.style.encoding == Encoding::Windows1252 {
            things.push_str("encoding = \"windows-1252\"\n");
        }
        for place in 0..self.columns {
            let header = serde_json::to_string(&header(place)).unwrap();
            things.push_str(&format!("[[columns]]\nname = \"c{place}\"\nheader = {header}\ndescription = \"x\"\n"));
        }
        let files = PipelineFiles::from([
            ("pipeline.toml".to_owned(), "name = \"small\"\ndescription = \"A source\"\n".to_owned()),
            ("bronze/things.toml".to_owned(), things),
        ]);
        Pipeline::load(&files).unwrap().sources["things"].clone()
    }

    fn text(&self) -> String {
        let Style { delimiter, line_end, declared, last_line_end, .. } = self.style;
        let mut text = if declared { format!("sep={delimiter}{line_end}") } else { String::new() };
        let headers: Vec<String> = (0..self.columns).map(header).collect();
        text.push_str(&self.record(&headers));
        for (cells, blank_lines) in &self.rows {
            text.push_str(&line_end.repeat(1 + blank_lines));
            text.push_str(&self.record(cells));
        }
        if last_line_end {
            text.push_str(line_end);
        }
        text
    }

    fn record(&self, cells: &[String]) -> String {
        let quoted = |place: &usize| {
            let cell = &cells[*place];
            let special = |c: char| c == self.style.delimiter || matches!(c, '"' | '\r' | '\n');
            // An empty line is no record.
            let must = cell.contains(special) || (cell.is_empty() && self.columns == 1);
            if must || self.style.quote_all { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        };
        let fields: Vec<String> = self.order.iter().map(quoted).collect();
        fields.join(&self.style.delimiter.to_string())
    }

    fn bytes(&self) -> Vec<u8> {
        let text = self.text();
        match self.style.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::MarkedUtf8 => format!("\u{feff}{text}").into_bytes(),
            Encoding::Utf16Le => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Windows1252 => WINDOWS_1252.encode(&text).0.into_owned(),
        }
    }

    fn compressed(&self, bytes: &[u8]) -> Vec<u8> {
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        match self.style.compression {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => gzip(bytes),
            Compression::GzipInTwo => {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                [gzip(first), gzip(second)].concat()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    /// The cells of a record as bronze has them.
    fn expected(&self) -> Vec<Vec<String>> {
        self.rows.iter().map(|(cells, _)| cells.clone()).collect()
    }
}

/// What came of a file: its report, the cells of its rows and their numbers.
struct Outcome {
    ingested: Ingested,
    cells: Vec<Vec<String>>,
    numbers: Vec<i64>,
}

/// A drop folder and a lake for all cases of a property.
struct Place {
    folder: TempDir,
    lake: Lake,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), "acme").unwrap();
        Self { folder, lake }
    }

    fn found(&self, name: &str, bytes: &[u8]) -> FoundFile {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let stamp = Stamp::of(&path.metadata().unwrap()).unwrap();
        FoundFile { path, name: name.to_owned(), stamp, part: 0, sha256: None }
    }

    fn ingest(&self, export: &Export, bytes: &[u8]) -> Result<Outcome, BronzeError> {
        set_block_size(export.block);
        let source = export.source();
        let (limits, now) = (Limits::default(), DateTime::from_timestamp(1_751_328_000, 0).unwrap());
        let files = vec![self.found(export.style.name, bytes)];
        let found = FoundExport { export_date: NaiveDate::from_ymd_opt(2025, 6, 30).unwrap(), files };
        // Half of the files are read a second time.
        let room = if bytes.len().is_multiple_of(2) { 0 } else { usize::MAX };
        let content = read_within(&source, &found, &limits, room)?;
        assert_eq!(hash_export(&source, &found, &limits)?, content.hashed);
        let options = IngestOptions { run_id: "run".to_owned(), now, limits };
        let ingested = ingest(&self.lake, &source, &content, &[], "batch", &options);
        let area = self.lake.staging_area(&source.name, "batch").unwrap().to_file_path().unwrap();
        let outcome = ingested.map(|ingested| outcome(export, ingested, &area.join("part-00000.parquet")));
        self.lake.discard(&source.name, "batch").unwrap();
        outcome
    }
}

fn outcome(export: &Export, ingested: Ingested, path: &Path) -> Outcome {
    let frame = ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap();
    let numbers = frame.column("_source_row").unwrap().i64().unwrap().into_no_null_iter().collect();
    let columns: Vec<_> = (0..export.columns).map(|place| frame.column(&format!("c{place}")).unwrap()).collect();
    let cell = |row: usize, place: usize| columns[place].str().unwrap().get(row).unwrap_or_default().to_owned();
    let cells = (0..frame.height()).map(|row| (0..export.columns).map(|place| cell(row, place)).collect()).collect();
    Outcome { ingested, cells, numbers }
}

fn number_of_cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

fn for_all<T: std::fmt::Debug>(cases: impl Strategy<Value = T>, check: impl Fn(T) -> Result<(), TestCaseError>) {
    // Cases that failed become tests of their own.
    let config = Config { cases: number_of_cases(), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&cases, check).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn tables_come_out_as_they_were_whatever_their_dialect() {
    let place = Place::new();
    for_all(export(), |export| {
        let bytes = export.compressed(&export.bytes());
        let outcome = place.ingest(&export, &bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let rows = export.rows.len() as u64;
        prop_assert_eq!(&outcome.ingested.rejects, &[]);
        let report = &outcome.ingested.files[0];
        prop_assert_eq!((report.records, report.rejected, outcome.ingested.rows), (rows, 0, rows));
        prop_assert_eq!(outcome.cells, export.expected());
        prop_assert_eq!(outcome.numbers, (1..).take(export.rows.len()).collect::<Vec<i64>>());
        Ok(())
    });
}

/// Bytes that are put in, taken out or changed at a place, given as a part of the whole.
#[derive(Debug, Clone)]
enum Damage {
    Insert(f64, u8),
    Delete(f64),
    Replace(f64, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![3 => select(b"\",;\t\r\n\0 a".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        (0.0..1.0, byte()).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        (0.0..1.0).prop_map(Damage::Delete),
        (0.0..1.0, byte()).prop_map(|(place, byte)| Damage::Replace(place, byte)),
    ]
}

fn damaged(mut bytes: Vec<u8>, all: &[Damage]) -> Vec<u8> {
    for damage in all {
        let (Damage::Insert(part, _) | Damage::Delete(part) | Damage::Replace(part, _)) = damage;
        let place = (part * bytes.len() as f64) as usize;
        match damage {
            Damage::Insert(_, byte) => bytes.insert(place, *byte),
            Damage::Delete(_) if place < bytes.len() => drop(bytes.remove(place)),
            Damage::Replace(_, byte) if place < bytes.len() => bytes[place] = *byte,
            Damage::Delete(_) | Damage::Replace(..) => {}
        }
    }
    bytes
}

/// Each record is a row or set aside, and none is both.
fn check_conservation(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Ingested { files, rows, rejects, .. } = &outcome.ingested;
    prop_assert_eq!(files[0].records, rows + files[0].rejected);
    prop_assert_eq!((outcome.cells.len() as u64, rejects.len() as u64), (*rows, files[0].rejected));
    let mut all: Vec<i64> = outcome.numbers.iter().copied().chain(rejects.iter().map(|reject| reject.row)).collect();
    all.sort_unstable();
    prop_assert_eq!(all, (1..=i64::try_from(files[0].records).unwrap()).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn damage_is_an_error_that_names_the_file_or_costs_records_that_are_counted() {
    let place = Place::new();
    let (errors, set_aside) = (Cell::new(0), Cell::new(0));
    for_all((export(), vec(damage(), 1..=5), any::<bool>()), |(export, damage, before)| {
        let bytes = if before {
            export.compressed(&damaged(export.bytes(), &damage))
        } else {
            damaged(export.compressed(&export.bytes()), &damage)
        };
        match place.ingest(&export, &bytes) {
            Ok(outcome) => {
                set_aside.update(|number| number + outcome.ingested.rejects.len());
                check_conservation(&outcome)
            }
            Err(error) => {
                errors.update(|number| number + 1);
                prop_assert!(error.to_string().contains(export.style.name), "{}", error);
                Ok(())
            }
        }
    });
    assert!(number_of_cases() < CASES || (errors.get() > 0 && set_aside.get() > 0), "damage has consequences");
}

/// The blocks of a file joined: text of sound records, their numbers, records set aside, suspicious ones.
fn joined(arrived: &Arrived, limits: &Limits, size: usize) -> (Block, u64) {
    set_block_size(size);
    let header = arrived.header(limits).unwrap();
    let cursor = arrived.cursor();
    let mut blocks = Blocks::new(arrived, arrived.text(&cursor, limits).unwrap(), &header, limits);
    let mut all = Block::default();
    while let Some(block) = blocks.next().unwrap() {
        all.text.extend(block.text);
        all.numbers.extend(block.numbers);
        all.set_aside.extend(block.set_aside);
        all.suspicious.extend(block.suspicious);
    }
    (all, blocks.records())
}

#[test]
fn neither_the_size_of_blocks_nor_reading_from_disk_again_makes_a_difference() {
    let place = Place::new();
    let seen = RefCell::new(BTreeSet::new());
    for_all((export(), vec(damage(), 0..=5)), |(export, damage)| {
        let file = place.found(export.style.name, &export.compressed(&damaged(export.bytes(), &damage)));
        let (source, limits) = (export.source(), Limits::default());
        let in_memory = Arrived::read(&source, &file, &limits, &mut usize::MAX.clone()).unwrap();
        let on_disk = Arrived::read(&source, &file, &limits, &mut 0).unwrap();
        if in_memory.header(&limits).is_err() {
            return Ok(());
        }
        let (whole, records) = joined(&in_memory, &limits, 8 << 20);
        for arrived in [&in_memory, &on_disk] {
            let (found, found_records) = joined(arrived, &limits, export.block);
            prop_assert_eq!(found_records, records);
            prop_assert_eq!((&found.text, &found.numbers), (&whole.text, &whole.numbers));
            prop_assert_eq!((&found.set_aside, &found.suspicious), (&whole.set_aside, &whole.suspicious));
        }
        seen.borrow_mut().extend(whole.set_aside.iter().map(|record| record.why.place()));
        Ok(())
    });
    if number_of_cases() >= CASES {
        assert_eq!(seen.into_inner(), BTreeSet::from([0, 1, 2, 3, 4, 5]), "damage leads to records of every kind");
    }
}
