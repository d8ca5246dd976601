//! Numbers, dates and lists as people read them.

/// The longest text of the database that is shown, in characters; of longer ones the beginning is.
pub const LONGEST: usize = 400;

/// What stands where nothing is known.
pub const NOTHING: &str = "–";

/// A figure with three decimals, with four where it is small, or with three digits where it is very large or very small.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if value == f64::INFINITY => "∞".into(),
        _ if value == f64::NEG_INFINITY => "−∞".into(),
        _ if value.is_nan() => NOTHING.into(),
        0.0 => "0".into(),
        size if !(5e-5..1e6).contains(&size) => format!("{value:.2e}"),
        size if size >= 1000.0 => grouped(value.round() as i64),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size < 0.1 => format!("{value:.4}"),
        _ => format!("{value:.3}"),
    }
    .replace('-', "−")
}

pub fn figure_or_nothing(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), figure)
}

/// A share as a percentage, with one decimal.
pub fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{:.1} %", 100.0 * share).replace('-', "−"),
        false => figure(share),
    }
}

pub fn percent_or_nothing(share: Option<f64>) -> String {
    share.map_or(NOTHING.into(), percent)
}

/// The same with a sign, as a difference has it.
pub fn signed_percent(share: Option<f64>) -> String {
    share.map_or(NOTHING.into(), |share| format!("{}{}", if share > 0.0 { "+" } else { "" }, percent(share)))
}

/// A whole number in groups of three digits.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{}{}", if number < 0 { "−" } else { "" }, groups.join(","))
}

pub fn counted(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

pub fn version(number: Option<i32>) -> String {
    number.map_or(NOTHING.into(), |number| number.to_string())
}

/// A moment to the minute: `2024-06-01 12:30` of `2024-06-01T12:30:15.123+00:00`.
pub fn minute(at: &str) -> String {
    let at: String = at.chars().take(LONGEST).collect();
    match at.split_once(['T', ' ']) {
        Some((day, time)) => format!("{day} {}", time.chars().take(5).collect::<String>()),
        None => at,
    }
}

/// The beginning of a text, of which `most` characters are shown.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How long something took.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => NOTHING.into(),
        s if s < 1.0 => format!("{s:.2} s"),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_for_people() {
        let figures =
            [0.85649, 12.0, 123.456, 1234.5, 1.5e7, 0.0012, 0.000012, 0.0, -0.25, f64::INFINITY, f64::NAN];
        let shown =
            ["0.856", "12.000", "123.5", "1,235", "1.50e7", "0.0012", "1.20e−5", "0", "−0.250", "∞", "–"];
        assert_eq!(figures.map(figure), shown);
        assert_eq!([0, 999, 1000, -1234567].map(grouped), ["0", "999", "1,000", "−1,234,567"]);
        assert_eq!(
            [0.057, -0.5, f64::INFINITY].map(|s| signed_percent(Some(s))),
            ["+5.7 %", "−50.0 %", "+∞"]
        );
        assert_eq!([0.052, 1.26, 75.0, 7200.0].map(duration), ["0.05 s", "1.3 s", "1 min 15 s", "2.0 h"]);
    }

    #[test]
    fn moments_are_shown_to_the_minute_and_long_texts_by_their_beginning() {
        assert_eq!(minute("2024-06-01T12:30:15.123+00:00"), "2024-06-01 12:30");
        assert_eq!(minute("2024-06-01"), "2024-06-01");
        assert_eq!([shortened("ärmel", 2), shortened("ärmel", 5)], ["är…", "ärmel"]);
    }
}
