//! Workbooks: the cells of one sheet as text.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};

use crate::error::BronzeError;

/// The header and the records of a sheet.
pub(crate) struct Sheet {
    pub header: Vec<String>,
    pub records: Vec<Vec<Option<String>>>,
}

/// Reads the sheet `sheet`, or the only one.
pub(crate) fn read(source: &str, file: &str, sheet: Option<&str>, bytes: Vec<u8>) -> Result<Sheet, BronzeError> {
    let error =
        |message: String| BronzeError::Workbook { source_name: source.to_owned(), file: file.to_owned(), message };
    let mut workbook: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|problem: calamine::XlsxError| error(problem.to_string()))?;
    let names = workbook.sheet_names();
    let wanted = sheet.map(str::to_owned).or_else(|| names.first().cloned()).unwrap_or_default();
    let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(&wanted)).cloned() else {
        return Err(error(format!("it has no sheet '{wanted}'; its sheets are {}", names.join(", "))));
    };
    let range = workbook.worksheet_range(&name).map_err(|problem| error(problem.to_string()))?;
    let mut rows = range.rows();
    let header = rows.next().map(|row| row.iter().map(|cell| text(cell).unwrap_or_default()).collect());
    let empty = || BronzeError::Empty { source_name: source.to_owned(), file: file.to_owned() };
    let header: Vec<String> = header.ok_or_else(empty)?;
    let records = rows.map(|row| row.iter().map(text).collect()).filter(|row: &Vec<_>| row.iter().any(Option::is_some));
    Ok(Sheet { header, records: records.collect() })
}

/// A cell as the text a CSV export would hold.
fn text(cell: &Data) -> Option<String> {
    match cell {
        Data::Empty | Data::Error(_) => None,
        Data::DateTime(moment) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            let whole_day = (hour, minute, second) == (0, 0, 0);
            Some(if whole_day { date } else { format!("{date} {hour:02}:{minute:02}:{second:02}") })
        }
        other => Some(other.to_string()),
    }
}
