//! Dates and moments: between Arrow, which counts from 1970, PostgreSQL, which counts from 2000, and text.

/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i64 = 10_957;
pub const DAY: i64 = 86_400_000_000;
/// The same as [`EPOCH_DAYS`] in microseconds.
pub const EPOCH: i64 = EPOCH_DAYS * DAY;

/// What PostgreSQL's type date holds, in days since 2000: from 4714-11-24 BC to 5874897-12-31.
const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// What its timestamps hold, in microseconds since 2000: from 4714-11-24 BC to 294276-12-31.
const MOMENTS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Days since 2000 of days since 1970; `None` if no date is so far.
pub fn date(days: i64) -> Option<i32> {
    let days = days.checked_sub(EPOCH_DAYS)?;
    DATES.contains(&days).then_some(days as i32)
}

/// Microseconds since 2000 of microseconds since 1970.
pub fn moment(microseconds: i64) -> Option<i64> {
    microseconds.checked_sub(EPOCH).filter(|value| MOMENTS.contains(value))
}

/// Days since 1970 of a text such as `2024-02-29`.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let mut number = |width: usize| {
        let part = parts.next().filter(|part| part.len() == width)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let days = days(year, month, day);
    // A day that the month has not would be one of the next month.
    ((1..=12).contains(&month) && day >= 1 && civil(days) == (year, month, day)).then_some(days)
}

/// Microseconds since 1970 of a text such as `2024-02-29 12:30:00.5`.
pub fn parse_moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let parts: Vec<i64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours @ 0..=23, minutes @ 0..=59, seconds @ 0..=59] = parts[..] else { return None };
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(parse_date(date)? * DAY + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// A date as ISO 8601 writes it, of days since 2000.
pub fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days + EPOCH_DAYS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment as text, of microseconds since 2000.
pub fn moment_text(microseconds: i64) -> String {
    let (days, rest) = (microseconds.div_euclid(DAY), microseconds.rem_euclid(DAY));
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match micros {
        0 => format!("{} {clock}", date_text(days)),
        _ => format!("{} {clock}.{micros:06}", date_text(days)),
    }
}

const DAYS_OF_400_YEARS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01, in the Gregorian calendar.
const MARCH_OF_YEAR_0: i64 = 719_468;

/// Days since 1970. Years are counted from March, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_OF_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - MARCH_OF_YEAR_0
}

/// Year, month and day of days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + MARCH_OF_YEAR_0;
    let (era, of_era) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, (march + 2) % 12 + 1);
    (era * 400 + years + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_back_and_what_is_none_is_refused() {
        for (text, days) in
            [("1970-01-01", 0), ("2000-01-01", EPOCH_DAYS), ("2024-02-29", 19_782), ("1969-12-31", -1)]
        {
            assert_eq!(parse_date(text), Some(days));
            assert_eq!(date_text(days - EPOCH_DAYS), text);
        }
        for wrong in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "today", "20240101", "2024-01-0a"]
        {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_read_back() {
        let micros = parse_moment("2000-01-02 03:04:05.000006").unwrap();
        assert_eq!(micros - EPOCH, DAY + (3 * 3600 + 4 * 60 + 5) * 1_000_000 + 6);
        assert_eq!(moment_text(micros - EPOCH), "2000-01-02 03:04:05.000006");
        assert_eq!(parse_moment("2000-01-02"), Some(EPOCH + DAY));
        assert_eq!(parse_moment("2000-01-02 24:00:00"), None);
    }

    #[test]
    fn what_postgresql_cannot_hold_is_none() {
        assert_eq!(date(EPOCH_DAYS), Some(0));
        assert_eq!(date(i64::from(i32::MIN)), None);
        assert_eq!(moment(i64::MAX), Some(i64::MAX - EPOCH));
        assert_eq!(moment(i64::MIN), None);
    }
}
