//! The second pass.

use super::chunk::{Chunk, Product};
use super::cohorts::Cohort;
use super::distinct::distinct;
use super::market::{Market, OfPlace, OfWeek};
use super::planned::OfProduct;
use super::real::{quotient, real, share};
use super::row::{NewRows, Row, Values, Written};
use super::series::{Recent, Series, Sold};
use super::setting::{Launch, HORIZON, QUARTER};
use crate::FeatureError;
use std::ops::Range;

/// Makes the rows of new products, from the weekly sales of [`Setting::sold_from`](super::Setting::sold_from) to
/// [`Setting::sold_until`](super::Setting::sold_until); others do no harm.
pub struct NewProducts {
    market: Market,
    series: Series,
    found: Vec<(u64, i32)>,
    regions: Vec<[u32; 1]>,
}

/// A product that is new.
struct New<'a> {
    ordinal: u32,
    category: u32,
    launch: Launch,
    /// The number of the week of its launch.
    launched: i32,
    /// The numbers of the weeks in which it is new.
    weeks: Range<i32>,
    sold: Vec<Sold<'a>>,
    /// Regions and weeks after which it was bought there.
    bought_next: Vec<(u32, i32)>,
    plans: OfProduct<'a>,
}

/// What is the same for all regions, in a week.
struct Everywhere {
    recent: Recent,
    regions: u32,
    cohort: Cohort,
    of_week: OfWeek,
}

impl NewProducts {
    pub fn new(market: Market) -> Self {
        Self { market, series: Series::default(), found: Vec::new(), regions: Vec::new() }
    }

    /// Adds the rows of the next products, in the order of product, region and week.
    pub fn add(&mut self, chunk: &Chunk, rows: &mut NewRows) -> Result<(), FeatureError> {
        for product in chunk.products() {
            if let Some(mut new) = self.read(&product)? {
                self.add_product(&mut new, rows)?;
            }
        }
        Ok(())
    }

    /// Reads a product's sales, if there is a week in which it is new.
    fn read<'a>(&self, product: &Product<'a>) -> Result<Option<New<'a>>, FeatureError> {
        let setting = &self.market.setting;
        let Some(launch) = self.market.launch(product.ordinal) else { return Ok(None) };
        let weeks = setting.new_in(launch);
        if weeks.is_empty() {
            return Ok(None);
        }
        let (mut sold, mut bought_next) = (Vec::new(), Vec::new());
        for sales in product.sales() {
            let week = setting.number(sales.week);
            if (weeks.start - (QUARTER - 1)..weeks.end).contains(&week) {
                sold.push(Sold::read(&sales, week)?);
            }
            if sales.purchased && weeks.contains(&(week - HORIZON)) {
                bought_next.push((sales.region, week - HORIZON));
            }
        }
        bought_next.sort_unstable();
        let launched = setting.number(launch.week);
        let plans = OfProduct::read(product, setting);
        let Product { ordinal, category, .. } = *product;
        Ok(Some(New { ordinal, category, launch, launched, weeks, sold, bought_next, plans }))
    }

    fn add_product(&mut self, new: &mut New<'_>, rows: &mut NewRows) -> Result<(), FeatureError> {
        new.sold.sort_by_key(|sold| sold.week);
        let everywhere = self.everywhere(new)?;
        let lifts = self.market.lifts.of_product(&new.plans, new.quantities(), &new.weeks)?;
        new.sold.sort_by_key(|sold| sold.region);
        let Self { market, series, .. } = self;
        for (region, since) in market.regions() {
            let sold = new.sold_in(region);
            let here = match sold {
                [] => Vec::new(),
                sold => series.recent(sold, new.launched, &new.weeks)?,
            };
            let in_region = (new.category, region);
            let place = market.places.get(&in_region);
            let from = new.weeks.start.max(market.setting.number(since));
            for week in from..new.weeks.end {
                let place = place.map(|place| place[week as usize]).unwrap_or_default();
                let n = (week - new.weeks.start) as usize;
                let here = here.get(n).copied().unwrap_or_default();
                let values = values(&here, &everywhere[n], &place, week - new.launched)?;
                rows.push(new.row(market, region, week, values), |features| {
                    let of_product = market.lifts.of_week(&lifts, n);
                    market.lifts.write(in_region, week, &new.plans, of_product, features);
                });
            }
        }
        Ok(())
    }

    fn everywhere(&mut self, new: &New<'_>) -> Result<Vec<Everywhere>, FeatureError> {
        let Self { market, series, found, regions } = self;
        let recent = series.recent(&new.sold, new.launched, &new.weeks)?;
        found.clear();
        let bought = new.sold.iter().filter(|sold| sold.purchased);
        found.extend(bought.map(|sold| (sold.region.into(), sold.week)));
        distinct(found, [QUARTER], &new.weeks, regions);
        let cohorts = market.cohorts.get(&new.category);
        let everywhere = |((recent, [regions]), week): ((_, &[u32; 1]), i32)| Everywhere {
            recent,
            regions: *regions,
            cohort: cohorts.map(|cohorts| cohorts[week as usize]).unwrap_or_default(),
            of_week: market.weeks[week as usize],
        };
        Ok(recent.into_iter().zip(regions.iter()).zip(new.weeks.clone()).map(everywhere).collect())
    }
}

impl New<'_> {
    /// What was sold in a region, in the order of weeks; all that was sold is in the order of regions.
    fn sold_in(&self, region: u32) -> &[Sold<'_>] {
        let start = self.sold.partition_point(|sold| sold.region < region);
        let sold = &self.sold[start..];
        &sold[..sold.iter().take_while(|sold| sold.region == region).count()]
    }

    /// Region, week and quantity of what was sold.
    fn quantities(&self) -> impl Iterator<Item = (u32, i32, f64)> + '_ {
        self.sold.iter().map(|sold| (sold.region, sold.week, sold.quantity()))
    }

    fn row(&self, market: &Market, region: u32, number: i32, values: Values) -> Row {
        let week = self.launch.week.plus(number - self.launched);
        let bought = || self.bought_next.binary_search(&(region, number)).is_ok();
        let purchased = market.setting.is_labelled(week).then(bought);
        Row { product: self.ordinal, region, week, values, purchased }
    }
}

/// The values of a row, in the order of [`COLUMNS`](super::COLUMNS).
fn values(here: &Recent, all: &Everywhere, place: &OfPlace, age: i32) -> Result<Values, FeatureError> {
    let Everywhere { recent, regions, cohort, of_week } = all;
    let OfPlace { month, launches } = place;
    let mut row = Written::none();
    here.write(&mut row);
    recent.write(&mut row);
    row.put([month.sales, month.quantity, month.customers]);
    row.put_known(match (recent.price_of_month(), month.price) {
        (Some(price), Some(of_category)) => quotient(price, of_category)?,
        _ => None,
    });
    row.put([cohort.share]);
    match cohort.launches {
        0 => [None, None].into_iter().for_each(|unknown| row.put_known(unknown)),
        all => row.put([share(launches.sold, all), real(launches.quantity / all as f64)?]),
    }
    row.put([age as f32, here.trend, recent.trend]);
    row.put([*regions as f32, share((*regions).into(), of_week.regions.into())]);
    row.put(of_week.season);
    Ok(row.finish())
}
