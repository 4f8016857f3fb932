//! Fiscal years: which year a day belongs to, and the same as SQL.

use chrono::{Datelike, Months, NaiveDate};
use medallion_pipeline::FiscalYearOptions;

/// The label of a day that is missing or outside the range.
pub const NO_YEAR: &str = "N/A";

/// The fiscal years of a customer. A year is labelled by the calendar year in which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiscalYears {
    options: FiscalYearOptions,
}

impl FiscalYears {
    /// The years those options describe.
    #[must_use]
    pub fn new(options: FiscalYearOptions) -> Self {
        Self { options }
    }

    /// The number of the year a day belongs to, whether or not it is in the range.
    #[must_use]
    pub fn number(&self, day: NaiveDate) -> i32 {
        let starts_within = self.options.start_month > 1 && day.month() >= self.options.start_month;
        day.year() + i32::from(starts_within)
    }

    /// The label of a day's year; [`NO_YEAR`] for a missing day or one outside the range.
    #[must_use]
    pub fn label(&self, day: Option<NaiveDate>) -> String {
        day.map(|day| self.number(day))
            .filter(|year| (self.options.first..=self.options.last).contains(year))
            .map_or_else(|| NO_YEAR.to_owned(), |year| year.to_string())
    }

    /// First and last day of a year; `None` beyond what dates can express.
    #[must_use]
    pub fn bounds(&self, year: i32) -> Option<(NaiveDate, NaiveDate)> {
        let starts_before = i32::from(self.options.start_month > 1);
        let start = NaiveDate::from_ymd_opt(year - starts_before, self.options.start_month, 1)?;
        let end = start.checked_add_months(Months::new(12))?.pred_opt()?;
        Some((start, end))
    }

    /// All years of the range with their first and last days.
    pub fn all(&self) -> impl Iterator<Item = (i32, NaiveDate, NaiveDate)> + '_ {
        (self.options.first..=self.options.last)
            .filter_map(|year| self.bounds(year).map(|(start, end)| (year, start, end)))
    }

    /// SQL for [`FiscalYears::number`] of a date expression; NULL for NULL.
    #[must_use]
    pub fn number_sql(&self, day: &str) -> String {
        let year = format!("CAST(date_part('year', {day}) AS BIGINT)");
        if self.options.start_month == 1 {
            return year;
        }
        let month = self.options.start_month;
        format!("{year} + CASE WHEN date_part('month', {day}) >= {month} THEN 1 ELSE 0 END")
    }

    /// SQL for [`FiscalYears::label`] of a date expression.
    #[must_use]
    pub fn label_sql(&self, day: &str) -> String {
        let (number, FiscalYearOptions { first, last, .. }) = (self.number_sql(day), self.options);
        format!("CASE WHEN {number} BETWEEN {first} AND {last} THEN CAST({number} AS VARCHAR) ELSE '{NO_YEAR}' END")
    }

    /// SQL for the first day of the year whose number is `year`.
    #[must_use]
    pub fn start_sql(&self, year: &str) -> String {
        let year = if self.options.start_month > 1 { format!("{year} - 1") } else { year.to_owned() };
        format!("make_date({year}, {}, 1)", self.options.start_month)
    }

    /// SQL for the last day of the year whose number is `year`.
    #[must_use]
    pub fn end_sql(&self, year: &str) -> String {
        let next = format!("{year} + 1");
        format!("CAST({} - INTERVAL '1 day' AS DATE)", self.start_sql(&next))
    }

    /// The first year of the range.
    #[must_use]
    pub fn first(&self) -> i32 {
        self.options.first
    }

    /// The last year of the range.
    #[must_use]
    pub fn last(&self) -> i32 {
        self.options.last
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn years(start_month: u32) -> FiscalYears {
        FiscalYears::new(FiscalYearOptions { start_month, ..FiscalYearOptions::default() })
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_year_is_labelled_by_the_calendar_year_in_which_it_ends() {
        for (start_month, date, label) in [
            (1, "2024-12-31", "2024"),
            (1, "2025-01-01", "2025"),
            (4, "2025-03-31", "2025"),
            (4, "2025-04-01", "2026"),
            (7, "2024-06-30", "2024"),
            (7, "2024-07-01", "2025"),
            (7, "2025-06-30", "2025"),
            (3, "2024-02-29", "2024"),
            (3, "2024-03-01", "2025"),
            (12, "2024-12-01", "2025"),
        ] {
            assert_eq!(years(start_month).label(Some(day(date))), label, "start {start_month}, {date}");
        }
    }

    #[test]
    fn days_outside_the_range_have_no_year() {
        for (start_month, date, label) in [
            (1, "2011-12-31", "N/A"),
            (1, "2012-01-01", "2012"),
            (1, "2036-12-31", "2036"),
            (1, "2037-01-01", "N/A"),
            (7, "2011-06-30", "N/A"),
            (7, "2011-07-01", "2012"),
            (7, "2036-06-30", "2036"),
            (7, "2036-07-01", "N/A"),
            (1, "1900-01-01", "N/A"),
        ] {
            assert_eq!(years(start_month).label(Some(day(date))), label, "start {start_month}, {date}");
        }
        assert_eq!(years(1).label(None), "N/A");
    }

    #[test]
    fn years_are_whole_and_follow_each_other() {
        assert_eq!(years(1).bounds(2024), Some((day("2024-01-01"), day("2024-12-31"))));
        assert_eq!(years(7).bounds(2025), Some((day("2024-07-01"), day("2025-06-30"))));
        assert_eq!(years(3).bounds(2024), Some((day("2023-03-01"), day("2024-02-29"))));
        assert_eq!(years(3).bounds(2025), Some((day("2024-03-01"), day("2025-02-28"))));
        for start_month in 1..=12 {
            let all: Vec<_> = years(start_month).all().collect();
            assert_eq!(all.len(), 25);
            for pair in all.windows(2) {
                assert_eq!(pair[0].2.succ_opt(), Some(pair[1].1));
            }
            for (year, start, end) in all {
                assert_eq!((years(start_month).number(start), years(start_month).number(end)), (year, year));
            }
        }
    }
}
