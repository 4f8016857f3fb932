//! INTERVAL constants.

use sqlparser::ast::{self, Value};

use super::Interval;

const MICROSECONDS: i64 = 1_000_000;

impl Interval {
    /// `INTERVAL '1 year 2 days'`, `INTERVAL '30' DAY`, `INTERVAL 30 DAY`.
    pub(super) fn of(interval: &ast::Interval) -> Option<Self> {
        let ast::Expr::Value(value) = interval.value.as_ref() else { return None };
        let text = match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.clone(),
            _ => return None,
        };
        if interval.last_field.is_some() || interval.leading_precision.is_some() {
            return None;
        }
        match &interval.leading_field {
            Some(unit) => Self::default().plus(&text, &unit.to_string()),
            None => Self::parse(&text),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(2) {
            return None;
        }
        words.chunks(2).try_fold(Self::default(), |sum, pair| sum.plus(pair[0], pair[1]))
    }

    fn plus(mut self, number: &str, unit: &str) -> Option<Self> {
        let number: i64 = number.trim().parse().ok()?;
        let unit = unit.to_lowercase();
        let months = |each: i64| i32::try_from(number.checked_mul(each)?).ok();
        let microseconds = |seconds: i64| number.checked_mul(seconds)?.checked_mul(MICROSECONDS);
        match unit.strip_suffix('s').unwrap_or(&unit) {
            "year" => self.months = self.months.checked_add(months(12)?)?,
            "month" | "mon" => self.months = self.months.checked_add(months(1)?)?,
            "week" => self.days = self.days.checked_add(number.checked_mul(7)?)?,
            "day" => self.days = self.days.checked_add(number)?,
            "hour" => self.microseconds = self.microseconds.checked_add(microseconds(3600)?)?,
            "minute" | "min" => self.microseconds = self.microseconds.checked_add(microseconds(60)?)?,
            "second" | "sec" => self.microseconds = self.microseconds.checked_add(microseconds(1)?)?,
            _ => return None,
        }
        Some(self)
    }

    /// The same span in the other direction.
    pub(super) fn reversed(self) -> Self {
        Self { months: -self.months, days: -self.days, microseconds: -self.microseconds }
    }
}
