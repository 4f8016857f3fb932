//! Writes the date workbook and the texts that mean a missing date.

use std::path::Path;

use chrono::{Datelike, NaiveDate};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use crate::error::GenerateError;
use crate::source::Source;
use crate::writer::RowWriter;

const SHEET: &str = "DimDates";
const FIRST_YEAR: i32 = 1991;
const LAST_YEAR: i32 = 2039;

pub(crate) fn write_null_dates(path: &Path) -> Result<u64, GenerateError> {
    let mut writer = RowWriter::create(Source::NullDates, path)?;
    writer.number(1).text("'1900-01-01'").end_row()?;
    writer.number(2).blank().end_row()?;
    writer.number(3).text("'1900-01-01'").end_row()?;
    writer.finish()
}

pub(crate) fn write_workbook(path: &Path) -> Result<u64, GenerateError> {
    let failed = |source| GenerateError::Workbook { path: path.to_path_buf(), source };
    let mut workbook = Workbook::new();
    // Without a fixed date the moment of writing becomes part of the file.
    let created = ExcelDateTime::from_ymd(2025, 6, 30).map_err(failed)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let rows = fill(workbook.add_worksheet()).map_err(failed)?;
    workbook.save(path).map_err(failed)?;
    Ok(rows)
}

fn fill(sheet: &mut Worksheet) -> Result<u64, XlsxError> {
    sheet.set_name(SHEET)?;
    for (column, header) in (0_u16..).zip(Source::Dimdates.headers()) {
        sheet.write_string(0, column, *header)?;
    }
    let date_format = Format::new().set_num_format("[$-1010000]m/d/yyyy;@");
    let mut row = 0;
    for day in days() {
        row += 1;
        write_day(sheet, row, day, &date_format)?;
    }
    Ok(u64::from(row))
}

fn days() -> impl Iterator<Item = NaiveDate> {
    NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1)
        .into_iter()
        .flat_map(|first| first.iter_days().take_while(|day| day.year() <= LAST_YEAR))
}

fn write_day(sheet: &mut Worksheet, row: u32, day: NaiveDate, date_format: &Format) -> Result<(), XlsxError> {
    let parts = DayParts::of(day);
    sheet.write_number(row, 0, parts.date_num)?;
    let (month, day_of_month) = (narrow(day.month()), narrow(day.day()));
    let year = u16::try_from(day.year()).unwrap_or_default();
    sheet.write_datetime_with_format(row, 1, &ExcelDateTime::from_ymd(year, month, day_of_month)?, date_format)?;
    sheet.write_number(row, 2, parts.year_month)?;
    sheet.write_string(row, 3, format!("Qtr {}", parts.quarter))?;
    sheet.write_number(row, 4, month)?;
    sheet.write_string(row, 5, day.format("%B").to_string())?;
    sheet.write_string(row, 6, day.format("%b").to_string())?;
    sheet.write_number(row, 7, day.iso_week().week())?;
    sheet.write_number(row, 8, day.ordinal())?;
    sheet.write_number(row, 9, day_of_month)?;
    sheet.write_number(row, 10, day.weekday().number_from_sunday())?;
    sheet.write_string(row, 11, day.format("%A").to_string())?;
    sheet.write_string(row, 12, day.format("%a").to_string())?;
    sheet.write_number(row, 13, parts.quarter)?;
    sheet.write_number(row, 14, parts.year_quarter)?;
    sheet.write_number(row, 15, parts.day_of_quarter)?;
    Ok(())
}

/// The numbers of a day that have to be computed.
#[derive(Debug, PartialEq, Eq)]
struct DayParts {
    date_num: i32,
    year_month: i32,
    quarter: i32,
    year_quarter: i32,
    day_of_quarter: u32,
}

impl DayParts {
    fn of(day: NaiveDate) -> Self {
        let month0 = day.month0();
        let quarter = i32::from(narrow(month0 / 3)) + 1;
        let year_month = day.year() * 100 + i32::from(narrow(day.month()));
        let quarter_start = NaiveDate::from_ymd_opt(day.year(), month0 / 3 * 3 + 1, 1).unwrap_or(day);
        Self {
            date_num: year_month * 100 + i32::from(narrow(day.day())),
            year_month,
            quarter,
            year_quarter: day.year() * 10 + quarter,
            day_of_quarter: day.ordinal() - quarter_start.ordinal() + 1,
        }
    }
}

/// Months and days fit into a byte.
fn narrow(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn the_calendar_has_every_day_of_forty_nine_years() {
        assert_eq!(days().count(), 49 * 365 + 12);
        assert_eq!(days().count(), 17_897);
    }

    #[test]
    fn parts_of_a_day_are_those_of_the_calendar() {
        let parts = DayParts::of(NaiveDate::from_ymd_opt(2016, 9, 25).unwrap());
        let expected = DayParts {
            date_num: 20_160_925,
            year_month: 201_609,
            quarter: 3,
            year_quarter: 20_163,
            day_of_quarter: 87,
        };
        assert_eq!(parts, expected);
        assert_eq!(DayParts::of(NaiveDate::from_ymd_opt(1992, 12, 31).unwrap()).day_of_quarter, 92);
    }

    #[test]
    fn the_workbook_does_not_depend_on_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first.xlsx"), folder.path().join("second.xlsx"));
        assert_eq!(write_workbook(&first).unwrap(), 17_897);
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        write_workbook(&second).unwrap();
        assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
    }
}
