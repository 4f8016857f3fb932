//! Numbers, times and foreign text as people read them.

use maud::{Markup, html};

/// A count with commas: `215,578`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 row`, `2,000 rows`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A duration: `<1 ms`, `35 ms`, `3.36 s`, `4 min 12 s`, `2 h 5 min`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match seconds {
        s if s < 0.000_5 => "<1 ms".to_owned(),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1000.0),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3599.5 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size: `512 B`, `1.2 MB`.
#[allow(clippy::cast_precision_loss)]
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1000.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if size < 9.95 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// A coordinate of a picture.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn at(place: f64) -> String {
    // A picture has thousands: as whole numbers they are written several times as fast.
    let tenths = (place * 10.0).round_ties_even() as i64;
    let (sign, whole, rest) = (if tenths < 0 { "-" } else { "" }, tenths.abs() / 10, tenths.abs() % 10);
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// Text from outside: characters that steer a terminal or turn the direction of writing become visible.
pub(super) fn plain(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{61c}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A part of a sentence as a sentence of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    plain(&format!("{first}{}{stop}", rest.as_str()))
}

/// A name from outside, whose direction of writing stays its own.
pub(super) fn named(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!([0, 999, 1000, 215_578, 1_000_000].map(count), ["0", "999", "1,000", "215,578", "1,000,000"]);
        assert_eq!(counted(1, "row") + &counted(2, "row"), "1 row2 rows");
        let seconds = [0.0, 0.0352, 0.9996, 3.361, 9.996, 59.96, 252.0, 7500.0].map(duration);
        assert_eq!(seconds, ["<1 ms", "35 ms", "1.00 s", "3.36 s", "10.0 s", "1 min 0 s", "4 min 12 s", "2 h 5 min"]);
        let sizes = [0, 999, 1000, 123_456, 999_600, 8_900_000_000].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "123 kB", "1.0 MB", "8.9 GB"]);
        assert_eq!([3.0, 2.25, 0.04, -0.04, -0.26, 1234.56].map(at), ["3", "2.2", "0", "0", "-0.3", "1234.6"]);
    }

    #[test]
    fn characters_that_deceive_become_visible() {
        assert_eq!(plain("a\u{1b}[31m\u{202e}gpj.exe\u{0}"), "a\u{fffd}[31m\u{fffd}gpj.exe\u{fffd}");
        assert_eq!(named("<b>\"&'").into_string(), "<bdi>&lt;b&gt;&quot;&amp;'</bdi>");
    }
}
