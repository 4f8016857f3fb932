//! Workbooks: the cells of one sheet as text.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use calamine::{Data, Reader, Xlsx};
use medallion_pipeline::Limits;
use zip::ZipArchive;

use crate::arrived::Arrived;
use crate::error::BronzeError;

/// The header and the records of a sheet.
pub(crate) struct Sheet {
    pub header: Vec<String>,
    pub records: Vec<Vec<Option<String>>>,
}

/// Reads the sheet `sheet`, or the first one.
pub(crate) fn read(
    source: &str,
    arrived: &Arrived,
    sheet: Option<&str>,
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<Sheet, BronzeError> {
    let file = arrived.read.file.name.as_str();
    let error =
        |message: String| BronzeError::Workbook { source_name: source.to_owned(), file: file.to_owned(), message };
    if bytes.is_empty() {
        return Err(BronzeError::Empty { source_name: source.to_owned(), file: file.to_owned() });
    }
    if unpacks_to_more(&bytes, limits.workbook).map_err(|problem| error(problem.to_string()))? {
        return Err(arrived.limit(format!("{} for workbooks, unpacked", bytesize::ByteSize(limits.workbook))));
    }
    let mut workbook: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|problem: calamine::XlsxError| error(problem.to_string()))?;
    let names = workbook.sheet_names();
    let wanted = sheet.map(str::to_owned).or_else(|| names.first().cloned()).unwrap_or_default();
    let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(&wanted)).cloned() else {
        return Err(error(format!("it has no sheet '{wanted}'; its sheets are {}", names.join(", "))));
    };
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(|problem| error(problem.to_string()))?;
    let mut grid = Grid { left: limits.workbook, ..Grid::default() };
    while let Some(cell) = cells.next_cell().map_err(|problem| error(problem.to_string()))? {
        let (row, column) = cell.get_position();
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        let Some(text) = text(&Data::from(cell.get_value().clone())) else { continue };
        if column >= limits.columns {
            return Err(arrived.limit(format!("{} columns", limits.columns)));
        }
        if !grid.add(row, column, text) {
            return Err(arrived.limit(format!("{} for the cells of a sheet", bytesize::ByteSize(limits.workbook))));
        }
    }
    let empty = || BronzeError::Empty { source_name: source.to_owned(), file: file.to_owned() };
    grid.sheet().ok_or_else(empty)
}

/// The cells of a sheet that have something in them, wherever they are.
#[derive(Default)]
struct Grid {
    rows: BTreeMap<u32, BTreeMap<usize, String>>,
    /// Columns up to the last that has something in it.
    width: usize,
    /// Bytes that further cells may take.
    left: u64,
}

impl Grid {
    /// What a cell takes beside its text.
    const CELL: u64 = 32;

    /// Adds a cell; returns whether there was room for it.
    fn add(&mut self, row: u32, column: usize, text: String) -> bool {
        let Some(left) = self.left.checked_sub(text.len() as u64 + Self::CELL) else { return false };
        self.left = left;
        self.width = self.width.max(column + 1);
        self.rows.entry(row).or_default().insert(column, text);
        true
    }

    fn sheet(self) -> Option<Sheet> {
        let width = self.width;
        let mut rows = self.rows.into_values().map(|mut cells| (0..width).map(move |column| cells.remove(&column)));
        let header = rows.next()?.map(Option::unwrap_or_default).collect();
        Some(Sheet { header, records: rows.map(Iterator::collect).collect() })
    }
}

/// Whether the entries of a workbook are more than `most` bytes together. What they say of their size is not trusted.
fn unpacks_to_more(bytes: &[u8], most: u64) -> io::Result<bool> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(io::Error::other)?;
    let mut left = most;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        let unpacked = io::copy(&mut entry.take(left + 1), &mut io::sink())?;
        if unpacked > left {
            return Ok(true);
        }
        left -= unpacked;
    }
    Ok(false)
}

/// A cell as the text a CSV export would hold.
fn text(cell: &Data) -> Option<String> {
    match cell {
        Data::Empty => None,
        Data::DateTime(moment) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            let whole_day = (hour, minute, second) == (0, 0, 0);
            Some(if whole_day { date } else { format!("{date} {hour:02}:{minute:02}:{second:02}") })
        }
        other => Some(other.to_string()).filter(|text| !text.is_empty()),
    }
}
