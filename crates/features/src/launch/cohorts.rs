//! Launches by category and week, and what they sold in their first four weeks.

use super::categories::Place;
use super::real::share;
use super::setting::{MONTH, YEAR};
use crate::compensated::Sum;
use crate::FeatureError;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

/// Launches that may be compared with, by the number of their week.
#[derive(Default)]
pub struct Cohorts {
    launches: HashMap<u32, BTreeMap<i32, u64>>,
    first_months: HashMap<Place, BTreeMap<i32, FirstMonths>>,
}

/// What launches sold in their first four weeks.
#[derive(Clone, Copy, Default)]
struct FirstMonths {
    /// How many of them were bought at all.
    sold: u64,
    quantity: Sum,
}

/// A category's launches that a new product is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cohort {
    pub launches: u64,
    /// Of those of all categories: their number would tell the date as long as the data are younger than a year.
    pub share: f32,
}

/// What they sold in a region.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    pub sold: u64,
    pub quantity: f64,
}

/// The launches that those of a week are compared with: of the last year, their first four weeks over.
fn compared_in(week: i32) -> RangeInclusive<i32> {
    week - YEAR..=week - (MONTH - 1)
}

impl Cohorts {
    /// Whether any of the first so many weeks from 0 on is compared with launches of this one.
    pub fn is_compared(launch: i32, weeks: i32) -> bool {
        (*compared_in(0).start()..=*compared_in(weeks - 1).end()).contains(&launch)
    }

    pub fn add_launch(&mut self, category: u32, week: i32) {
        *self.launches.entry(category).or_default().entry(week).or_default() += 1;
    }

    fn first_months(&mut self, place: Place, launch: i32) -> &mut FirstMonths {
        self.first_months.entry(place).or_default().entry(launch).or_default()
    }

    /// Counts a launch that was bought in its first four weeks.
    pub fn add_sold(&mut self, place: Place, launch: i32) {
        self.first_months(place, launch).sold += 1;
    }

    /// Adds what a launch sold in one of them.
    pub fn add_quantity(&mut self, place: Place, launch: i32, quantity: f64) -> Result<(), FeatureError> {
        self.first_months(place, launch).quantity.add(quantity)
    }

    /// For each category with launches, what products of each of the first so many weeks are compared with.
    pub fn cohorts(&self, weeks: i32) -> HashMap<u32, Vec<Cohort>> {
        let counts = |launches: &BTreeMap<i32, u64>| -> Vec<u64> {
            (0..weeks).map(|week| launches.range(compared_in(week)).map(|(_, count)| count).sum()).collect()
        };
        let counts: HashMap<u32, Vec<u64>> =
            self.launches.iter().map(|(category, launches)| (*category, counts(launches))).collect();
        let mut all = vec![0; weeks as usize];
        counts.values().for_each(|counts| all.iter_mut().zip(counts).for_each(|(all, count)| *all += count));
        let cohort = |(launches, all): (u64, &u64)| match launches {
            0 => Cohort::default(),
            _ => Cohort { launches, share: share(launches, *all) },
        };
        let cohorts = |counts: Vec<u64>| counts.into_iter().zip(&all).map(cohort).collect();
        counts.into_iter().map(|(category, counts)| (category, cohorts(counts))).collect()
    }

    /// For each place where launches sold anything, the same of what they sold.
    pub fn outcomes(
        &self,
        weeks: i32,
    ) -> impl Iterator<Item = Result<(Place, Vec<Outcome>), FeatureError>> + '_ {
        let outcomes =
            move |months: &_| (0..weeks).map(|week| outcome(months, week)).collect::<Result<_, _>>();
        self.first_months.iter().map(move |(place, months)| Ok((*place, outcomes(months)?)))
    }
}

fn outcome(months: &BTreeMap<i32, FirstMonths>, week: i32) -> Result<Outcome, FeatureError> {
    let mut all = FirstMonths::default();
    for (_, months) in months.range(compared_in(week)) {
        all.sold += months.sold;
        all.quantity.merge(&months.quantity)?;
    }
    Ok(Outcome { sold: all.sold, quantity: all.quantity.value() })
}
