//! What is planned for weeks to come, and what became of earlier plans.
//!
//! A plan gives values to a product in a region and week. Those of the week that the label looks at, and of the row's own,
//! are features. A share, such as that of the stores with a promotion, has a history as well: the weeks since there was one,
//! and the lift, the mean quantity of the sales with one over that of the sales without.

use super::categories::Place;
use super::chunk::Product;
use super::real::real;
use super::setting::{Setting, HORIZON, QUARTER};
use crate::compensated::Sum;
use crate::FeatureError;
use std::collections::HashMap;
use std::ops::Range;

/// The columns of a table of plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// From 0 to 1; where nothing is planned it is 0. Its features: for the week of the label, for the row's own, weeks since
    /// there was one, and the lifts of the product everywhere, of its category in the region, and of the region.
    Share,
    /// Not known where nothing is planned. Its features: for the week of the label, and for the row's own.
    Number,
}

impl Planned {
    pub fn features(self) -> usize {
        match self {
            Self::Share => 6,
            Self::Number => 2,
        }
    }
}

/// The columns of all tables of plans, table by table.
#[derive(Debug, Clone, Default)]
pub struct Plans(pub Vec<Vec<Planned>>);

impl Plans {
    /// How many features there are.
    pub fn features(&self) -> usize {
        self.0.iter().flatten().map(|column| column.features()).sum()
    }

    /// Where the shares are, table by table.
    fn shares(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let tables = self.0.iter().enumerate();
        let columns = tables.flat_map(|(table, columns)| columns.iter().enumerate().map(move |c| (table, c)));
        columns.filter(|(_, (_, kind))| **kind == Planned::Share).map(|(table, (column, _))| (table, column))
    }
}

/// The region of a plan that is for all of them.
const EVERYWHERE: u32 = u32::MAX;

/// What is planned for a product in a week, by the week's number.
struct Week<'a> {
    table: usize,
    region: u32,
    week: i32,
    values: &'a [Option<f32>],
}

/// The plans of a product, in the order of tables, regions and weeks.
pub(super) struct OfProduct<'a>(Vec<Week<'a>>);

impl<'a> OfProduct<'a> {
    pub fn read(product: &Product<'a>, setting: &Setting) -> Self {
        let weeks = product.plans().map(|plan| Week {
            table: plan.table,
            region: plan.region.unwrap_or(EVERYWHERE),
            week: setting.number(plan.week),
            values: plan.values,
        });
        let mut weeks: Vec<_> = weeks.collect();
        weeks.sort_by_key(|week| (week.table, week.region, week.week));
        Self(weeks)
    }

    /// What a table plans for a region, in the order of weeks.
    fn of(&self, table: usize, region: u32) -> &[Week<'a>] {
        let of = |region| {
            let place = (table, region);
            let start = self.0.partition_point(|week| (week.table, week.region) < place);
            let end = self.0.partition_point(|week| (week.table, week.region) <= place);
            &self.0[start..end]
        };
        match of(region) {
            [] => of(EVERYWHERE),
            weeks => weeks,
        }
    }
}

/// The value of a column in a week.
fn at(weeks: &[Week<'_>], week: i32, column: usize) -> Option<f32> {
    let found = weeks.binary_search_by_key(&week, |planned| planned.week).ok()?;
    weeks[found].values[column]
}

fn is_planned(share: Option<f32>) -> bool {
    share.is_some_and(|share| share > 0.0)
}

/// Weeks since a share was planned last, of the 13 that end with this one.
fn since(weeks: &[Week<'_>], week: i32, column: usize) -> Option<f32> {
    let until = weeks.partition_point(|planned| planned.week <= week);
    let mut recent = weeks[..until].iter().rev().take_while(|planned| planned.week > week - QUARTER);
    let last = recent.find(|planned| is_planned(planned.values[column]))?;
    Some((week - last.week) as f32)
}

/// Sales with a plan and without.
#[derive(Debug, Clone, Copy, Default)]
struct Sales {
    /// The quantity without and with, and the number of sales.
    quantity: [Sum; 2],
    times: [u64; 2],
}

impl Sales {
    fn add(&mut self, quantity: f64, is_planned: bool) -> Result<(), FeatureError> {
        self.times[usize::from(is_planned)] += 1;
        self.quantity[usize::from(is_planned)].add(quantity)
    }

    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        for n in 0..2 {
            self.quantity[n].merge(&other.quantity[n])?;
            self.times[n] += other.times[n];
        }
        Ok(())
    }

    /// The mean quantity with the plan over that without; `None` where there is no sale of either kind, or nothing was sold
    /// without.
    fn lift(&self) -> Result<Option<f32>, FeatureError> {
        let [without, with] = [0, 1].map(|n| self.quantity[n].value() / self.times[n] as f64);
        let is_known = self.times[0] > 0 && self.times[1] > 0 && without != 0.0;
        is_known.then(|| real(with / without)).transpose()
    }
}

/// The sales of each week, from the first that a row looks at, with each share and without.
struct Weekly {
    first: i32,
    shares: usize,
    sales: Vec<Sales>,
}

impl Weekly {
    /// Of the weeks that rows of these look at.
    fn of(from: i32, until: i32, shares: usize) -> Self {
        let weeks = (until - from).max(0) + QUARTER - 1;
        Self { first: from - (QUARTER - 1), shares, sales: vec![Sales::default(); weeks as usize * shares] }
    }

    /// Adds a sale; `planned` says of each share whether there was one.
    fn add(
        &mut self,
        week: i32,
        quantity: f64,
        mut planned: impl Iterator<Item = bool>,
    ) -> Result<(), FeatureError> {
        let place = i64::from(week - self.first) * self.shares as i64;
        let Some(sales) = usize::try_from(place).ok().and_then(|place| self.sales.get_mut(place..)) else {
            return Ok(());
        };
        let mut each = sales.iter_mut().zip(&mut planned);
        each.try_for_each(|(sales, planned)| sales.add(quantity, planned))
    }

    /// The lifts of each share over the 13 weeks that end with each week.
    fn lifts(&self) -> Result<Vec<Option<f32>>, FeatureError> {
        let window = QUARTER as usize * self.shares;
        let starts = (0..=self.sales.len().saturating_sub(window)).step_by(self.shares.max(1));
        let of_window = |start: usize| {
            (start..start + self.shares).map(move |first| {
                let mut all = Sales::default();
                let mut weeks = self.sales[first..].iter().step_by(self.shares).take(QUARTER as usize);
                weeks.try_for_each(|week| all.merge(week)).and_then(|()| all.lift())
            })
        };
        starts.flat_map(of_window).collect()
    }
}

/// The first pass: what all products sold with plans and without.
pub(super) struct Outcomes {
    plans: Plans,
    shares: Vec<(usize, usize)>,
    weeks: i32,
    places: HashMap<Place, Weekly>,
    regions: HashMap<u32, Weekly>,
}

impl Outcomes {
    pub fn new(plans: Plans, setting: &Setting) -> Self {
        let shares = plans.shares().collect();
        Self { plans, shares, weeks: setting.weeks(), places: HashMap::new(), regions: HashMap::new() }
    }

    /// Whether the sales of a week count.
    pub fn counts(&self, week: i32) -> bool {
        !self.shares.is_empty() && (1 - QUARTER..self.weeks).contains(&week)
    }

    /// Adds sales of a product with these plans, in a week that counts.
    pub fn add(
        &mut self,
        place: Place,
        week: i32,
        quantity: f64,
        plans: &OfProduct<'_>,
    ) -> Result<(), FeatureError> {
        let Self { shares, weeks, places, regions, .. } = self;
        let (_, region) = place;
        let new = || Weekly::of(0, *weeks, shares.len());
        for weekly in [places.entry(place).or_insert_with(new), regions.entry(region).or_insert_with(new)] {
            weekly.add(week, quantity, planned(shares, plans, region, week))?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Lifts, FeatureError> {
        let Self { plans, shares, places, regions, .. } = self;
        let places = places.into_iter().map(|(place, weekly)| Ok((place, weekly.lifts()?)));
        let regions = regions.into_iter().map(|(region, weekly)| Ok((region, weekly.lifts()?)));
        Ok(Lifts {
            plans,
            shares,
            places: places.collect::<Result<_, _>>()?,
            regions: regions.collect::<Result<_, _>>()?,
        })
    }
}

/// Whether each share is planned.
fn planned<'a>(
    shares: &'a [(usize, usize)],
    plans: &'a OfProduct<'_>,
    region: u32,
    week: i32,
) -> impl Iterator<Item = bool> + 'a {
    shares.iter().map(move |(table, column)| is_planned(at(plans.of(*table, region), week, *column)))
}

/// What became of earlier plans: the lift of each share, week by week from the first that gets rows.
pub(super) struct Lifts {
    plans: Plans,
    shares: Vec<(usize, usize)>,
    places: HashMap<Place, Vec<Option<f32>>>,
    regions: HashMap<u32, Vec<Option<f32>>>,
}

impl Lifts {
    /// The lifts of a product everywhere, in these weeks, of its sales by region, week and quantity.
    pub fn of_product(
        &self,
        plans: &OfProduct<'_>,
        sold: impl Iterator<Item = (u32, i32, f64)>,
        weeks: &Range<i32>,
    ) -> Result<Vec<Option<f32>>, FeatureError> {
        if self.shares.is_empty() {
            return Ok(Vec::new());
        }
        let mut weekly = Weekly::of(weeks.start, weeks.end, self.shares.len());
        for (region, week, quantity) in sold {
            weekly.add(week, quantity, planned(&self.shares, plans, region, week))?;
        }
        weekly.lifts()
    }

    /// Writes the features of a row. `of_product` are the product's lifts in its week.
    pub fn write(
        &self,
        place: Place,
        week: i32,
        plans: &OfProduct<'_>,
        of_product: &[Option<f32>],
        features: &mut Vec<Option<f32>>,
    ) {
        let start = week as usize * self.shares.len();
        let of_week =
            |lifts: Option<&Vec<Option<f32>>>, share: usize| lifts.and_then(|lifts| lifts[start + share]);
        let (of_place, of_region) = (self.places.get(&place), self.regions.get(&place.1));
        let mut share = 0;
        for (table, columns) in self.plans.0.iter().enumerate() {
            let weeks = plans.of(table, place.1);
            for (column, kind) in columns.iter().enumerate() {
                let values = [week + HORIZON, week].map(|week| at(weeks, week, column));
                match kind {
                    Planned::Number => features.extend(values),
                    Planned::Share => {
                        features.extend(values.map(|share| Some(share.unwrap_or(0.0))));
                        features.extend([
                            since(weeks, week, column),
                            of_product[share],
                            of_week(of_place, share),
                            of_week(of_region, share),
                        ]);
                        share += 1;
                    }
                }
            }
        }
    }

    /// The part of a product's lifts that is of its n-th week.
    pub fn of_week<'a>(&self, of_product: &'a [Option<f32>], n: usize) -> &'a [Option<f32>] {
        &of_product[n * self.shares.len()..(n + 1) * self.shares.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Chunk;
    use super::*;
    use crate::weeks::Week as Monday;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const WEEKS: i32 = 6;
    const REGIONS: u32 = 3;
    const KINDS: [Planned; 3] = [Planned::Share, Planned::Number, Planned::Share];

    /// By product, region and week.
    type Key = (u32, u32, i32);

    fn setting() -> Setting {
        let first = Monday::of_day(0);
        Setting {
            first,
            last: first.plus(WEEKS - 1),
            launch_weeks: WEEKS,
            warm_up_weeks: 0,
            available: Some(first),
            complete: None,
        }
    }

    fn chunk(plans: &BTreeMap<Key, [Option<f32>; 3]>, products: u32) -> Chunk {
        let mut chunk = Chunk::of(usize::MAX);
        for product in 0..products {
            chunk.add_product(product % 2, None);
            for ((_, region, week), values) in plans.range((product, 0, i32::MIN)..(product + 1, 0, i32::MIN))
            {
                let week = setting().first.plus(*week);
                let region = Some(*region).filter(|region| *region < REGIONS);
                chunk.add_plan(&super::super::PlannedWeek { table: 0, region, week, values });
            }
        }
        chunk
    }

    /// What the definition says, by looking at every sale for every feature.
    struct Reference<'a> {
        plans: &'a BTreeMap<Key, [Option<f32>; 3]>,
        sold: &'a [(Key, f64)],
    }

    impl Reference<'_> {
        fn planned(&self, (product, region, week): Key, column: usize) -> Option<f32> {
            let in_region = |region| self.plans.get(&(product, region, week));
            in_region(region).or_else(|| in_region(EVERYWHERE)).and_then(|values| values[column])
        }

        fn since(&self, (product, region, week): Key, column: usize) -> Option<f32> {
            let found = (week - 12..=week).filter(|week| {
                self.planned((product, region, *week), column).is_some_and(|share| share > 0.0)
            });
            found.max().map(|last| (week - last) as f32)
        }

        fn lift(&self, week: i32, column: usize, counts: impl Fn(Key) -> bool) -> Option<f32> {
            let mut of = [(0.0, 0.0); 2];
            for (key, quantity) in self.sold.iter().filter(|(key, _)| counts(*key)) {
                if (week - 12..=week).contains(&key.2) {
                    let is_with = self.planned(*key, column).is_some_and(|share| share > 0.0);
                    of[usize::from(is_with)].0 += quantity;
                    of[usize::from(is_with)].1 += 1.0;
                }
            }
            let [without, with] = of.map(|(quantity, times)| quantity / times);
            (with.is_finite() && without.is_finite() && without != 0.0).then(|| (with / without) as f32)
        }

        fn features(&self, key: Key) -> Vec<Option<f32>> {
            let (product, region, week) = key;
            let mut features = Vec::new();
            for (column, kind) in KINDS.iter().enumerate() {
                let values = [week + 1, week].map(|week| self.planned((product, region, week), column));
                match kind {
                    Planned::Number => features.extend(values),
                    Planned::Share => {
                        features.extend(values.map(|value| Some(value.unwrap_or(0.0))));
                        features.extend([
                            self.since(key, column),
                            self.lift(week, column, |of| of.0 == product),
                            self.lift(week, column, |of| of.0 % 2 == product % 2 && of.1 == region),
                            self.lift(week, column, |of| of.1 == region),
                        ]);
                    }
                }
            }
            features
        }
    }

    fn value() -> impl Strategy<Value = Option<f32>> {
        prop_oneof![3 => (1..5i32).prop_map(|n| Some(n as f32 / 4.0)), 1 => Just(Some(0.0)), 1 => Just(None)]
    }

    proptest! {
        #[test]
        fn features_of_plans_are_those_of_the_definition(
            everywhere in any::<bool>(),
            plans in prop::collection::btree_map(
                (0..4u32, 0..REGIONS, -15..WEEKS + 2), [value(), value(), value()], 0..60),
            sold in prop::collection::btree_map((0..4u32, 0..REGIONS, -15..WEEKS), 0..6u8, 0..120),
        ) {
            let place = |(product, region, week)| (product, if everywhere { EVERYWHERE } else { region }, week);
            let plans = plans.into_iter().map(|(key, values)| (place(key), values)).collect();
            let sold: Vec<_> = sold.into_iter().map(|(key, quantity)| (key, f64::from(quantity))).collect();
            let (setting, kinds) = (setting(), Plans(vec![KINDS.to_vec()]));
            let (reference, chunk) = (Reference { plans: &plans, sold: &sold }, chunk(&plans, 4));
            let products: Vec<_> = chunk.products().map(|product| OfProduct::read(&product, &setting)).collect();
            let mut outcomes = Outcomes::new(kinds.clone(), &setting);
            for ((product, region, week), quantity) in &sold {
                if outcomes.counts(*week) {
                    outcomes.add((product % 2, *region), *week, *quantity, &products[*product as usize]).unwrap();
                }
            }
            let lifts = outcomes.finish().unwrap();
            for (product, plans) in (0..).zip(&products) {
                let own = sold.iter().filter(|(key, _)| key.0 == product);
                let own = own.map(|((_, region, week), quantity)| (*region, *week, *quantity));
                let of_product = lifts.of_product(plans, own, &(0..WEEKS)).unwrap();
                for (region, week) in (0..REGIONS).flat_map(|region| (0..WEEKS).map(move |week| (region, week))) {
                    let mut features = Vec::new();
                    let of_week = lifts.of_week(&of_product, week as usize);
                    lifts.write((product % 2, region), week, plans, of_week, &mut features);
                    prop_assert_eq!(features.len(), kinds.features());
                    prop_assert_eq!(features, reference.features((product, region, week)));
                }
            }
        }
    }
}
