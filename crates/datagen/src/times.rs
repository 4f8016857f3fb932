//! Moments in site time, as seconds since 1970, and how an export writes them.

use chrono::{DateTime, Datelike, Timelike};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// 2016-01-01, when the oldest sites went live.
pub(crate) const FIRST: i64 = 1_451_606_400;

/// 2025-06-30 23:59:59: the export was taken at the end of this day.
pub(crate) const LAST: i64 = 1_751_327_999;

/// A random moment from `from` to `to`; `from` where the two are in the wrong order.
pub(crate) fn between(generator: &mut ChaCha8Rng, from: i64, to: i64) -> i64 {
    if to <= from { from } else { generator.random_range(from..=to) }
}

/// Midnight before a moment.
pub(crate) fn midnight(moment: i64) -> i64 {
    moment - moment.rem_euclid(DAY)
}

/// Appends `dd/mm/yyyy, HH:MM:SS` in quotes.
pub(crate) fn push_moment(buffer: &mut Vec<u8>, moment: i64) {
    let Some(moment) = DateTime::from_timestamp(moment, 0) else { return };
    buffer.push(b'"');
    push_two_digits(buffer, moment.day());
    buffer.push(b'/');
    push_two_digits(buffer, moment.month());
    buffer.push(b'/');
    let year = moment.year().unsigned_abs();
    push_two_digits(buffer, year / 100);
    push_two_digits(buffer, year % 100);
    buffer.extend_from_slice(b", ");
    push_two_digits(buffer, moment.hour());
    buffer.push(b':');
    push_two_digits(buffer, moment.minute());
    buffer.push(b':');
    push_two_digits(buffer, moment.second());
    buffer.push(b'"');
}

fn push_two_digits(buffer: &mut Vec<u8>, value: u32) {
    buffer.push(digit(value / 10));
    buffer.push(digit(value));
}

fn digit(value: u32) -> u8 {
    b"0123456789"[(value % 10) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(moment: i64) -> String {
        let mut buffer = Vec::new();
        push_moment(&mut buffer, moment);
        String::from_utf8_lossy(&buffer).into_owned()
    }

    #[test]
    fn moments_are_written_like_the_site_does() {
        assert_eq!(written(FIRST), "\"01/01/2016, 00:00:00\"");
        assert_eq!(written(LAST), "\"30/06/2025, 23:59:59\"");
        assert_eq!(written(951_827_696), "\"29/02/2000, 12:34:56\"");
    }
}
