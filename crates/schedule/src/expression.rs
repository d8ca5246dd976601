//! A cron expression in a time zone.
//!
//! Where a clock is set forward, a time of the day that it leaves out comes at the first moment after the gap. Where a clock
//! is set back, a time of the day that comes twice counts the first time. An expression whose minutes or hours are `*` or a
//! step means "each so often" and not a time of the day: it follows the hours that there are, so it skips the gap, and comes
//! in both halves of the fold.

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use thiserror::Error;

/// The most characters of an expression.
pub const LONGEST_EXPRESSION: usize = 200;
/// The most characters of a time zone's name.
const LONGEST_ZONE: usize = 100;

/// Why an expression or a time zone is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ScheduleError {
    #[error("{0}")]
    Expression(String),
    #[error("\"{0}\" never comes")]
    Never(String),
    #[error("unknown time zone \"{0}\"")]
    Zone(String),
}

impl ScheduleError {
    /// What can be done about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Expression(_) => {
                "It has five fields, minute, hour, day of the month, month and day of the week: '0 4 * * mon' is every Monday \
                 at four."
            }
            Self::Never(_) => "No month that it names has such a day.",
            Self::Zone(_) => "Name one of the IANA's time zones: time_zone => 'Europe/Berlin'.",
        }
    }
}

/// The time zone of this name, and its name as the IANA writes it.
pub fn zone(name: &str) -> Result<(TimeZone, String), ScheduleError> {
    let shown: String = name.chars().take(LONGEST_ZONE).collect();
    let unknown = || ScheduleError::Zone(shown.clone());
    if name.chars().count() > LONGEST_ZONE {
        return Err(unknown());
    }
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    let written = zone.iana_name().ok_or_else(unknown)?.to_owned();
    Ok((zone, written))
}

/// The moments that an expression names.
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

impl Calendar {
    /// Parses an expression of five fields. It is an error if it names no moment after `now`.
    pub fn new(expression: &str, time_zone: &str, now: i64) -> Result<Self, ScheduleError> {
        let length = expression.chars().count();
        if length > LONGEST_EXPRESSION {
            return Err(ScheduleError::Expression(format!(
                "the schedule has {length} characters, but {LONGEST_EXPRESSION} at most are read"
            )));
        }
        let calendar = Self { cron: parse(expression)?, zone: zone(time_zone)?.0 };
        match calendar.next(now) {
            Some(_) => Ok(calendar),
            None => Err(ScheduleError::Never(expression.to_owned())),
        }
    }

    /// The first moment after `after`; `None` if there is none.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = Timestamp::from_microsecond(after).ok()?.to_zoned(self.zone.clone());
        let next: Zoned = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp().as_microsecond())
    }
}

fn parse(expression: &str) -> Result<Cron, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| {
        let why = match error {
            CronError::InvalidPattern(_) => "it does not have five fields".to_owned(),
            CronError::EmptyPattern => "it is empty".to_owned(),
            CronError::IllegalCharacters(why) | CronError::ComponentError(why) => {
                why.trim_end_matches('.').to_owned()
            }
            other => other.to_string().trim_end_matches('.').to_owned(),
        };
        ScheduleError::Expression(format!("the schedule \"{expression}\" is not understood: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn shown(moment: i64) -> String {
        Timestamp::from_microsecond(moment).unwrap().to_string()
    }

    /// The first moments after `after`.
    fn moments(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::new(expression, zone, moment(after)).unwrap();
        let mut at = moment(after);
        let next = |_| {
            at = calendar.next(at).unwrap();
            shown(at)
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn names_ranges_and_steps_are_read() {
        assert_eq!(
            moments("*/20 4-5 * jan mon", "UTC", "2024-01-01T04:30:00Z", 4),
            ["2024-01-01T04:40:00Z", "2024-01-01T05:00:00Z", "2024-01-01T05:20:00Z", "2024-01-01T05:40:00Z"]
        );
        assert_eq!(moments("0 0 L * *", "UTC", "2024-02-10T00:00:00Z", 1), ["2024-02-29T00:00:00Z"]);
        // Sunday has two numbers.
        for sunday in ["0", "7", "sun"] {
            assert_eq!(
                moments(&format!("0 0 * * {sunday}"), "UTC", "2024-01-01T00:00:00Z", 1),
                ["2024-01-07T00:00:00Z"]
            );
        }
    }

    #[test]
    fn a_day_of_the_month_or_a_day_of_the_week_is_enough() {
        assert_eq!(
            moments("0 0 13 * fri", "UTC", "2024-09-06T00:00:00Z", 3),
            ["2024-09-13T00:00:00Z", "2024-09-20T00:00:00Z", "2024-09-27T00:00:00Z"]
        );
        assert_eq!(
            moments("0 0 13 * +fri", "UTC", "2024-09-06T00:00:00Z", 2),
            ["2024-09-13T00:00:00Z", "2024-12-13T00:00:00Z"]
        );
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_comes_after_the_gap() {
        // In Berlin, 2024-03-31 has no time from 2:00 to 3:00.
        assert_eq!(
            moments("30 2 * * *", "Europe/Berlin", "2024-03-30T00:00:00Z", 3),
            ["2024-03-30T01:30:00Z", "2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"]
        );
        assert_eq!(
            moments("30 * * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", 2),
            ["2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        // In Berlin, 2024-10-27 has the time from 2:00 to 3:00 twice.
        assert_eq!(
            moments("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z", 2),
            ["2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"]
        );
        assert_eq!(
            moments("30 * * * *", "Europe/Berlin", "2024-10-27T00:00:00Z", 3),
            ["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:30:00Z"]
        );
        // From within the second half, too.
        assert_eq!(
            moments("30 2 * * *", "Europe/Berlin", "2024-10-27T01:10:00Z", 1),
            ["2024-10-28T01:30:00Z"]
        );
    }

    #[test]
    fn in_a_year_with_both_changes_no_day_and_no_hour_is_left_out_or_counted_twice() {
        // Lord Howe changes by half an hour.
        for (zone, year, days) in [
            ("Europe/Berlin", "2024", 366),
            ("America/New_York", "2023", 365),
            ("Australia/Lord_Howe", "2024", 366),
        ] {
            let of_year = |expression: &str| -> Vec<Zoned> {
                let calendar = Calendar::new(expression, zone, 0).unwrap();
                let first: Zoned = format!("{year}-01-01T00:00[{zone}]").parse().unwrap();
                let mut at = first.timestamp().as_microsecond() - 1;
                let moments = std::iter::from_fn(|| {
                    at = calendar.next(at)?;
                    Some(Timestamp::from_microsecond(at).unwrap().to_zoned(self::zone(zone).unwrap().0))
                });
                moments.take_while(|moment| moment.year() == first.year()).collect()
            };
            for expression in ["15 2 * * *", "30 2 * * *", "0 3 * * *", "30 1 * * *"] {
                let mut dates: Vec<_> = of_year(expression).iter().map(Zoned::date).collect();
                let runs = dates.len();
                dates.dedup();
                assert_eq!((runs, dates.len()), (days, days), "{expression} {zone}");
            }
            let hours = of_year("*/30 * * * *");
            let gaps = hours
                .windows(2)
                .map(|pair| pair[1].timestamp().as_second() - pair[0].timestamp().as_second());
            assert!(
                gaps.clone().all(|gap| gap == 1800),
                "{zone}: {:?}",
                gaps.filter(|gap| *gap != 1800).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused() {
        let refused = |expression: &str, zone: &str| {
            Calendar::new(expression, zone, moment("2024-01-01T00:00:00Z")).err().unwrap().to_string()
        };
        for bad in [
            "",
            "* * * *",
            "0 * * * * *",
            "0 4 * * mon 2030",
            "60 4 * * *",
            "0 4 * * funday",
            "x 4 * * *",
            "@never",
            "*/0 * * * *",
            "5-1 * * * *",
        ] {
            assert!(refused(bad, "UTC").contains("is not understood"), "{bad}: {}", refused(bad, "UTC"));
        }
        assert_eq!(refused("0 4 30 2 *", "UTC"), "\"0 4 30 2 *\" never comes");
        assert_eq!(refused("0 4 * * *", "Europe/Nowhere"), "unknown time zone \"Europe/Nowhere\"");
        assert!(refused(&"1,".repeat(101), "UTC").contains("202 characters"));
        assert!(refused("0 4 * * *", &"x".repeat(1000)).len() < 200);
    }

    #[test]
    fn nicknames_and_names_of_zones_are_read_in_any_case() {
        assert_eq!(moments("@weekly", "utc", "2024-01-01T00:00:00Z", 1), ["2024-01-07T00:00:00Z"]);
        assert_eq!(zone("europe/berlin").unwrap().1, "Europe/Berlin");
    }

    proptest! {
        #[test]
        fn no_text_does_harm(expression in ".{0,40}", zone in ".{0,20}", now in -4e15 as i64..8e15 as i64) {
            let _ = Calendar::new(&expression, &zone, now);
        }

        #[test]
        fn the_next_moment_comes_later(minute in 0..60u8, hour in 0..24u8, day in 0..7u8, now in 0..4_000_000_000_i64) {
            let now = now * crate::SECOND;
            let calendar = Calendar::new(&format!("{minute} {hour} * * {day}"), "America/New_York", now).unwrap();
            let next = calendar.next(now).unwrap();
            // Within a week and the hour of a change of clocks.
            prop_assert!(next > now && next - now <= (7 * 24 + 1) * 3600 * crate::SECOND);
        }
    }
}
