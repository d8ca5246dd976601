//! Weeks of a feature view: which of them a refresh has to compute, and which partition holds them.

use crate::FeatureError;
use chrono::{Datelike, NaiveDate, TimeDelta};
use std::collections::BTreeSet;

/// A week, counted from the one that began on Monday, 2000-01-03.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week(i32);

/// That Monday in PostgreSQL's days, which count from 2000-01-01.
const FIRST_MONDAY: i32 = 2;
pub const DAYS_A_WEEK: i32 = 7;

// How many weeks can be asked for: far more than anybody has data of, few enough that a slip of the keyboard is an error
// at once and no endless computation.

/// Of a refresh: two hundred years.
pub const MOST_WEEKS: usize = 10_436;
/// By which a view looks back or ahead, and which a launch can last: ten years.
pub const MOST_WEEKS_BACK: i32 = 520;
/// That can be replayed at once: twenty years, each week of which may take a training.
pub const MOST_WEEKS_REPLAYED: i32 = 1040;
/// In a window of `trailing_weeks`: about two hundred years.
pub const MOST_WEEKS_TRAILING: i32 = 10_000;

/// 2000-01-01, from which PostgreSQL's days count.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date of the calendar");

impl Week {
    /// The week that a day lies in; days count from 2000-01-01.
    pub fn of_day(day: i32) -> Self {
        Self((i64::from(day) - i64::from(FIRST_MONDAY)).div_euclid(i64::from(DAYS_A_WEEK)) as i32)
    }

    /// The Monday of the week, in days from 2000-01-01.
    pub fn monday(self) -> i32 {
        self.0 * DAYS_A_WEEK + FIRST_MONDAY
    }

    pub fn plus(self, weeks: i32) -> Self {
        Self(self.0.saturating_add(weeks))
    }

    /// How many weeks it comes after the other one.
    pub fn since(self, other: Self) -> i32 {
        self.0.saturating_sub(other.0)
    }

    /// The day of the year of its Monday, from 1 on.
    pub fn day_of_year(self) -> Result<u32, FeatureError> {
        self.date().map(|date| date.ordinal())
    }

    fn date(self) -> Result<NaiveDate, FeatureError> {
        let date = EPOCH.checked_add_signed(TimeDelta::days(self.monday().into()));
        date.filter(|date| YEARS.contains(&date.year())).ok_or_else(out_of_range)
    }
}

/// A day, counted from 2000-01-01, as every setting of PostgreSQL reads it: 2024-02-05. `None` out of the calendar's range.
pub fn iso_date(day: i32) -> Option<String> {
    let date = EPOCH.checked_add_signed(TimeDelta::days(day.into()));
    date.filter(|date| YEARS.contains(&date.year())).map(|date| date.format("%Y-%m-%d").to_string())
}

fn out_of_range() -> FeatureError {
    FeatureError::Range {
        message: "a week is out of the calendar's range".into(),
        hint: Some("Check the dates of the data, or name from_week and to_week.".into()),
    }
}

/// The years of weeks: the ends of their periods are valid dates in PostgreSQL, and their names have four digits.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9998;

/// What a refresh is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub first: Week,
    pub last: Week,
    /// The newest stored weeks that are computed again, for sales that came late.
    pub lookback: usize,
    /// How many weeks after its own a row's label looks at. A week that is computed again therefore changes the rows of
    /// this many weeks before it.
    pub horizon: usize,
}

/// The weeks to compute: those that are missing, the newest stored ones, and those whose labels see one of these.
pub fn to_compute(stored: &BTreeSet<Week>, wanted: Wanted) -> Result<BTreeSet<Week>, FeatureError> {
    let Wanted { first, last, lookback, horizon } = wanted;
    if first > last {
        return Ok(BTreeSet::new());
    }
    let count = i64::from(last.0) - i64::from(first.0) + 1;
    if count > MOST_WEEKS as i64 {
        return Err(FeatureError::Limit {
            message: format!("{count} weeks are more than the {MOST_WEEKS} that one refresh computes"),
            hint: Some("Check the dates of the data, or name from_week and to_week.".into()),
        });
    }
    let all = || (first.0..=last.0).map(Week);
    let mut chosen: BTreeSet<_> = all().filter(|week| !stored.contains(week)).collect();
    chosen.extend(stored.range(first..=last).rev().take(lookback));
    let labels =
        |week: &Week| (1..=horizon.min(MOST_WEEKS) as i32).map(|back| week.plus(-back)).collect::<Vec<_>>();
    let known = |week: &Week| *week >= first || stored.contains(week);
    let before: Vec<_> = chosen.iter().flat_map(labels).filter(known).collect();
    chosen.extend(before);
    Ok(chosen)
}

/// The calendar period whose weeks share a partition; a week belongs to the period of its Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Month,
    Quarter,
    Year,
}

impl Period {
    pub fn parse(name: &str) -> Result<Self, FeatureError> {
        match name {
            "month" => Ok(Self::Month),
            "quarter" => Ok(Self::Quarter),
            "year" => Ok(Self::Year),
            other => Err(FeatureError::Argument {
                message: format!("partition_by is month, quarter or year, not \"{other}\""),
                hint: None,
            }),
        }
    }

    fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    /// The partition of a week.
    pub fn partition(self, week: Week) -> Result<Partition, FeatureError> {
        let date = week.date()?;
        let months = self.months();
        let first_month = date.month0() / months * months;
        let (end_year, end_month) = match first_month + months {
            12 => (date.year() + 1, 0),
            month => (date.year(), month),
        };
        let suffix = match self {
            Self::Year => format!("{:04}", date.year()),
            Self::Quarter => format!("{:04}q{}", date.year(), first_month / 3 + 1),
            Self::Month => format!("{:04}_{:02}", date.year(), first_month + 1),
        };
        let first_day = |year, month0: u32| {
            NaiveDate::from_ymd_opt(year, month0 + 1, 1)
                .map(|day| day.to_epoch_days() - 10_957)
                .ok_or_else(out_of_range)
        };
        Ok(Partition {
            suffix,
            from: first_day(date.year(), first_month)?,
            until: first_day(end_year, end_month)?,
        })
    }
}

/// The longest suffix of a partition's name, in bytes, with the underscore before it.
pub const LONGEST_SUFFIX: usize = "_262143_12".len();

/// A partition: the end of its name, and its first day and the day after its last (`until`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub suffix: String,
    pub from: i32,
    pub until: i32,
}

/// Consecutive weeks of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub first: Week,
    pub last: Week,
    pub partition: Partition,
}

/// The weeks as runs, oldest first.
pub fn runs(weeks: &BTreeSet<Week>, period: Period) -> Result<Vec<Run>, FeatureError> {
    let mut runs: Vec<Run> = Vec::new();
    for &week in weeks {
        match runs.last_mut() {
            Some(run) if run.last.plus(1) == week && week.monday() < run.partition.until => run.last = week,
            _ => runs.push(Run { first: week, last: week, partition: period.partition(week)? }),
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weeks(numbers: &[i32]) -> BTreeSet<Week> {
        numbers.iter().copied().map(Week).collect()
    }

    fn chosen(stored: &[i32], first: i32, last: i32, lookback: usize, horizon: usize) -> Vec<i32> {
        let wanted = Wanted { first: Week(first), last: Week(last), lookback, horizon };
        to_compute(&weeks(stored), wanted).unwrap().iter().map(|week| week.0).collect()
    }

    #[test]
    fn the_missing_weeks_and_the_newest_stored_ones_are_computed() {
        assert_eq!(chosen(&[], 3, 6, 1, 0), [3, 4, 5, 6]);
        assert!(chosen(&[3, 4, 5, 6], 3, 6, 0, 0).is_empty());
        assert_eq!(chosen(&[3, 4, 5, 6], 3, 6, 2, 0), [5, 6]);
        assert_eq!(chosen(&[3, 4, 5, 6], 3, 7, 1, 0), [6, 7]);
        assert_eq!(chosen(&[3, 5], 3, 5, 0, 0), [4]);
        assert!(chosen(&[3, 4], 5, 4, 9, 9).is_empty());
    }

    #[test]
    fn weeks_whose_label_sees_a_computed_one_are_computed_too() {
        assert_eq!(chosen(&[3, 4, 5, 6], 3, 7, 0, 1), [6, 7]);
        assert_eq!(chosen(&[3, 4, 5, 6], 3, 7, 1, 2), [4, 5, 6, 7]);
        assert_eq!(chosen(&[3, 4, 5, 6], 6, 7, 0, 2), [5, 6, 7]);
        assert_eq!(chosen(&[3], 6, 7, 0, 2), [6, 7]);
    }

    #[test]
    fn a_wrong_date_does_not_make_a_million_weeks() {
        let wanted = Wanted { first: Week(0), last: Week(MOST_WEEKS as i32), lookback: 1, horizon: 1 };
        assert!(matches!(to_compute(&BTreeSet::new(), wanted), Err(FeatureError::Limit { .. })));
    }

    #[test]
    fn a_day_is_written_as_every_setting_reads_it() {
        assert_eq!(iso_date(0).as_deref(), Some("2000-01-01"));
        assert_eq!(iso_date(-730_119).as_deref(), Some("0001-01-01"));
        assert_eq!((iso_date(i32::MAX), iso_date(i32::MIN)), (None, None));
    }

    #[test]
    fn a_week_belongs_to_the_period_of_its_monday() {
        let monday = |year, month, day| {
            Week::of_day(NaiveDate::from_ymd_opt(year, month, day).unwrap().to_epoch_days() - 10_957)
        };
        let suffix = |period: Period, week| period.partition(week).unwrap().suffix;
        assert_eq!(suffix(Period::Year, monday(2017, 1, 1)), "2016");
        assert_eq!(suffix(Period::Quarter, monday(2017, 1, 2)), "2017q1");
        assert_eq!(suffix(Period::Quarter, monday(2017, 12, 31)), "2017q4");
        assert_eq!(suffix(Period::Month, monday(2018, 1, 1)), "2018_01");
    }

    #[test]
    fn weeks_know_how_far_apart_they_are_and_where_in_the_year() {
        let last_of_2024 =
            Week::of_day(NaiveDate::from_ymd_opt(2025, 1, 1).unwrap().to_epoch_days() - 10_957);
        assert_eq!(last_of_2024.day_of_year().unwrap(), 365, "Monday, 2024-12-30");
        assert_eq!(last_of_2024.plus(1).day_of_year().unwrap(), 6);
        assert_eq!((last_of_2024.plus(5).since(last_of_2024), Week(0).since(Week(9))), (5, -9));
    }

    #[test]
    fn runs_end_with_their_partition() {
        let first = Period::Year.partition(Week(0)).unwrap();
        let found = runs(&weeks(&[50, 51, 52, 53, 60]), Period::Year).unwrap();
        let ends: Vec<_> = found.iter().map(|run| (run.first.0, run.last.0)).collect();
        assert_eq!(ends, [(50, 51), (52, 53), (60, 60)]);
        assert_eq!(found[0].partition, first);
        assert_eq!(found[0].partition.until, found[1].partition.from);
    }

    proptest! {
        #[test]
        fn a_week_has_seven_days(day in any::<i32>()) {
            let week = Week::of_day(day);
            if let (Some(from), true) = (week.0.checked_mul(DAYS_A_WEEK), day < i32::MAX - 9) {
                prop_assert!(from + FIRST_MONDAY <= day && day - from - FIRST_MONDAY < DAYS_A_WEEK);
            }
        }

        #[test]
        fn runs_hold_each_week_once(numbers in proptest::collection::btree_set(-3000..3000i32, 0..200)) {
            let all: BTreeSet<_> = numbers.iter().copied().map(Week).collect();
            for period in [Period::Month, Period::Quarter, Period::Year] {
                let found = runs(&all, period).unwrap();
                let held: Vec<_> = found.iter().flat_map(|run| (run.first.0..=run.last.0).map(Week)).collect();
                prop_assert_eq!(&held, &all.iter().copied().collect::<Vec<_>>());
                for run in found {
                    prop_assert!(run.partition.from <= run.first.monday() && run.last.monday() < run.partition.until);
                }
            }
        }
    }
}
