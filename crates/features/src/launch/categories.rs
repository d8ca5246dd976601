//! Categories by region and week.

use super::real::real;
use super::setting::MONTH;
use crate::stored::View;
use crate::summary::Summary;
use crate::FeatureError;
use allocator_api2::alloc::Global;
use std::collections::HashMap;

/// A category and a region.
pub type Place = (u32, u32);

/// What was sold in the weeks that rows look at: for each place a summary for each week that has sales, from the first week
/// that any row looks at.
pub struct Categories {
    weeks: i32,
    places: HashMap<Place, Vec<Option<Box<Summary>>>>,
}

/// Weeks before the first that gets rows, which is 0.
const BEFORE: i32 = MONTH - 1;

/// Four weeks of a category in a region.
#[derive(Debug, Clone, Copy, Default)]
pub struct CategoryMonth {
    pub sales: f32,
    pub quantity: f32,
    pub customers: f32,
    pub price: Option<f32>,
}

impl Categories {
    /// Of so many weeks from 0 on, and those before that their months reach into.
    pub fn of(weeks: i32) -> Self {
        Self { weeks, places: HashMap::new() }
    }

    /// Whether the sales of a week are counted.
    pub fn counts(&self, week: i32) -> bool {
        (-BEFORE..self.weeks).contains(&week)
    }

    /// Adds sales of a week that is counted.
    pub fn add(&mut self, place: Place, week: i32, sales: &View<'_>) -> Result<(), FeatureError> {
        let all = (self.weeks + BEFORE) as usize;
        let none = || std::iter::repeat_with(|| None).take(all).collect();
        let summaries = self.places.entry(place).or_insert_with(none);
        let summary = summaries[(week + BEFORE) as usize].get_or_insert_default();
        summary.merge_stored(sales, Global)
    }

    /// For each place that has sales: the month that ends with each week.
    pub fn months(self) -> impl Iterator<Item = Result<(Place, Vec<CategoryMonth>), FeatureError>> {
        let months = |weeks: &[_]| weeks.windows(MONTH as usize).map(month).collect::<Result<_, _>>();
        self.places.into_iter().map(move |(place, weeks)| Ok((place, months(&weeks)?)))
    }
}

fn month(weeks: &[Option<Box<Summary>>]) -> Result<CategoryMonth, FeatureError> {
    let mut month = Summary::new();
    weeks.iter().flatten().try_for_each(|week| month.merge(week, Global))?;
    let figures = month.figures();
    Ok(CategoryMonth {
        sales: real(figures.total_sales().unwrap_or(0.0))?,
        quantity: real(figures.total_quantity().unwrap_or(0.0))?,
        customers: month.customers.count()? as f32,
        price: figures.avg_price().map(real).transpose()?,
    })
}
