//! The first pass.

use super::categories::Categories;
use super::chunk::{Chunk, Product, WeeklySales};
use super::cohorts::Cohorts;
use super::market::{of_weeks, Market, OfPlace};
use super::planned::{OfProduct, Outcomes, Plans};
use super::setting::{Launch, Setting, MONTH};
use crate::stored::View;
use crate::weeks::Week;
use crate::FeatureError;
use std::collections::HashMap;

/// Finds out, from the sales of all products, what new ones are compared with.
///
/// It takes all weekly sales up to the last week that gets rows; later ones do no harm. Of sales before
/// [`Setting::gathered_from`] only the first purchase of a product in a region matters: it may stand for all of them, without a
/// summary.
pub struct Gathering {
    setting: Setting,
    launches: Vec<Option<Launch>>,
    since: Vec<Option<Week>>,
    categories: Categories,
    cohorts: Cohorts,
    outcomes: Outcomes,
    /// Regions in which the product at hand was bought in its first four weeks.
    bought_in: Vec<u32>,
}

impl Gathering {
    pub fn new(setting: Setting, plans: Plans) -> Self {
        Self {
            setting,
            launches: Vec::new(),
            since: Vec::new(),
            categories: Categories::of(setting.weeks()),
            cohorts: Cohorts::default(),
            outcomes: Outcomes::new(plans, &setting),
            bought_in: Vec::new(),
        }
    }

    /// Takes in the next products.
    pub fn add(&mut self, chunk: &Chunk) -> Result<(), FeatureError> {
        chunk.products().try_for_each(|product| self.add_product(&product))
    }

    fn add_product(&mut self, product: &Product<'_>) -> Result<(), FeatureError> {
        if product.ordinal as usize != self.launches.len() {
            return Err(FeatureError::Argument {
                message: format!("product {} does not come after {}", product.ordinal, self.launches.len()),
                hint: None,
            });
        }
        let last = self.setting.last;
        let sales = || product.sales().filter(|sales| sales.week <= last);
        let mut first_sale = None;
        for sales in sales().filter(|sales| sales.purchased) {
            earlier(&mut first_sale, sales.week);
            earlier(self.since(sales.region), sales.week);
        }
        let launch = self.setting.launch(product.planned, first_sale);
        self.launches.push(launch);
        let launch = launch.map(|launch| self.setting.number(launch.week));
        let compared = launch.filter(|launch| Cohorts::is_compared(*launch, self.setting.weeks()));
        let plans = OfProduct::read(product, &self.setting);
        sales().try_for_each(|sales| self.add_sales(&sales, product.category, compared, &plans))?;
        if let Some(launch) = compared {
            self.add_launch(product.category, launch);
        }
        Ok(())
    }

    fn since(&mut self, region: u32) -> &mut Option<Week> {
        let region = region as usize;
        if region >= self.since.len() {
            self.since.resize(region + 1, None);
        }
        &mut self.since[region]
    }

    fn add_sales(
        &mut self,
        sales: &WeeklySales<'_>,
        category: u32,
        launch: Option<i32>,
        plans: &OfProduct<'_>,
    ) -> Result<(), FeatureError> {
        let (place, week) = ((category, sales.region), self.setting.number(sales.week));
        let of_category = self.categories.counts(week);
        let of_launch = launch.filter(|launch| (*launch..*launch + MONTH).contains(&week));
        let of_plans = self.outcomes.counts(week);
        if !of_category && !of_plans && of_launch.is_none() {
            return Ok(());
        }
        if of_launch.is_some() && sales.purchased {
            self.bought_in.push(sales.region);
        }
        let view = sales.sales.map(View::parse).transpose()?;
        let quantity = view.as_ref().and_then(|view| view.figures().total_quantity());
        if of_plans {
            self.outcomes.add(place, week, quantity.unwrap_or(0.0), plans)?;
        }
        if let Some(view) = view.filter(|_| of_category) {
            self.categories.add(place, week, &view)?;
        }
        match (of_launch, quantity) {
            (Some(launch), Some(quantity)) => self.cohorts.add_quantity(place, launch, quantity),
            _ => Ok(()),
        }
    }

    /// Counts a launch, once for each region that it was bought in.
    fn add_launch(&mut self, category: u32, launch: i32) {
        self.cohorts.add_launch(category, launch);
        self.bought_in.sort_unstable();
        self.bought_in.dedup();
        for region in self.bought_in.drain(..) {
            self.cohorts.add_sold((category, region), launch);
        }
    }

    /// What was found out, after the last product.
    pub fn finish(self) -> Result<Market, FeatureError> {
        let Self { setting, launches, since, categories, cohorts, outcomes, .. } = self;
        let weeks = setting.weeks();
        let mut places: HashMap<_, Vec<OfPlace>> = HashMap::new();
        for months in categories.months() {
            let (place, months) = months?;
            let of_month = |month| OfPlace { month, ..OfPlace::default() };
            places.insert(place, months.into_iter().map(of_month).collect());
        }
        for outcomes in cohorts.outcomes(weeks) {
            let (place, outcomes) = outcomes?;
            let of_place = places.entry(place).or_insert_with(|| vec![OfPlace::default(); weeks as usize]);
            of_place.iter_mut().zip(outcomes).for_each(|(of_place, launches)| of_place.launches = launches);
        }
        let of_weeks = of_weeks(&setting, &since)?;
        let (order, cohorts) = ((0..since.len() as u32).collect(), cohorts.cohorts(weeks));
        let lifts = outcomes.finish()?;
        Ok(Market { setting, launches, since, order, weeks: of_weeks, cohorts, places, lifts })
    }
}

fn earlier(first: &mut Option<Week>, week: Week) {
    *first = Some(first.map_or(week, |first| first.min(week)));
}
