//! Moments as the catalog keeps them: ISO 8601, as the trainer writes a date or a timestamp.

use crate::protocol::EPOCH_DAYS;

/// A day, and whether it had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// From 2000-01-01, as PostgreSQL counts.
    pub day: i32,
    /// Later than midnight.
    pub in_day: bool,
}

impl Moment {
    /// `2017-05-15`, `2017-05-15T12:00:00.5Z`, `+10000-01-01`; `None` where the text is no such thing.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time.strip_suffix('Z').unwrap_or(time))),
            None => (text, None),
        };
        let (sign, date) = match date.split_at_checked(1)? {
            ("-", rest) => (-1, rest),
            ("+", rest) => (1, rest),
            _ => (1, date),
        };
        let mut parts = date.split('-');
        let mut part = |digits: std::ops::RangeInclusive<usize>| {
            let text = parts.next()?;
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            (is_number && digits.contains(&text.len())).then(|| text.parse::<i64>().ok())?
        };
        let (year, month, day) = (sign * part(4..=6)?, part(2..=2)?, part(2..=2)?);
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day)
        {
            return None;
        }
        let in_day = match time {
            Some(time) => time_of_day(time)? > 0.0,
            None => false,
        };
        let day = i32::try_from(days_from_1970(year, month, day) - i64::from(EPOCH_DAYS)).ok()?;
        Some(Self { day, in_day })
    }
}

/// The seconds of `12:00:00.5`.
fn time_of_day(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let mut parts = text.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let fits = hours < 24.0 && minutes < 60.0 && seconds < 61.0;
    (plain && fits && parts.next().is_none()).then_some(3600.0 * hours + 60.0 * minutes + seconds)
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of the proleptic Gregorian calendar. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_postgresql() {
        for (text, day, in_day) in [
            ("2000-01-01", 0, false),
            ("1999-12-31", -1, false),
            ("2000-03-01", 60, false),
            ("2024-06-17", 8934, false),
            ("1970-01-01T00:00:00", -10_957, false),
            ("2017-01-01T12:00:00Z", 6210, true),
            ("2017-01-01T00:00:00.5", 6210, true),
            ("+10000-01-01", 2_921_940, false),
            ("-4712-01-01", -2_451_507, false),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment { day, in_day }), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "-",
            "soon",
            "infinity",
            "7.25",
            "-3",
            "2017-13-01",
            "2017-02-29",
            "2017-1-1",
            "2017-01-01T",
            "2017-01-01T25:00:00",
            "2017-01-01T1:2",
            "2017-01-01T12:00:inf",
            "99999999-01-01",
            "2017-01-01-01",
            "2017-01-0é",
            "é",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
