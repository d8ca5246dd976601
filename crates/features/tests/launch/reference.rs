//! The rows of new products, written down from `src/feature_view/launch/features.sql` one WITH query after the other, as slow
//! as it is plain. Sums are those of doubles, in the order of rows; dates are numbers of weeks.

use super::world::{week, Weekly, World};
use allocator_api2::alloc::Global;
use features::launch::Setting;
use features::stored::View;
use features::summary::Summary;
use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

/// A row: its numbers by the names of their columns, and its label.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub values: BTreeMap<String, Option<f32>>,
    pub purchased: Option<bool>,
}

pub type Rows = BTreeMap<(u32, u32, i32), Expected>;

/// A product that is launched.
#[derive(Clone, Copy)]
struct Launched {
    product: u32,
    category: u32,
    launch: i32,
    planned: bool,
}

pub fn rows(world: &World, setting: Setting) -> Rows {
    let query = Query::new(world, setting);
    let mut rows = Rows::new();
    for launched in &query.launches {
        for week in query.weeks.clone() {
            let before = i32::from(launched.planned);
            if week < launched.launch - before || week > launched.launch + setting.launch_weeks - 1 {
                continue;
            }
            for (&region, &since) in &query.regions {
                if since <= week {
                    rows.insert((launched.product, region, week), query.row(launched, region, week));
                }
            }
        }
    }
    rows
}

struct Query<'a> {
    world: &'a World,
    setting: Setting,
    /// The number of the last week.
    last: i32,
    weeks: std::ops::RangeInclusive<i32>,
    regions: BTreeMap<u32, i32>,
    launches: Vec<Launched>,
}

impl<'a> Query<'a> {
    fn new(world: &'a World, setting: Setting) -> Self {
        let [first, last] = [setting.first, setting.last].map(|end| end.since(week(0)));
        let purchased = || world.weekly.iter().filter(|row| row.week <= last && row.purchases > 0);
        let mut regions = BTreeMap::new();
        let mut first_sales = BTreeMap::new();
        for row in purchased() {
            let since = regions.entry(row.region).or_insert(row.week);
            *since = row.week.min(*since);
            let first = first_sales.entry(row.product).or_insert(row.week);
            *first = row.week.min(*first);
        }
        let known_from = setting.available.map(|from| from.since(week(0)) + setting.warm_up_weeks);
        let launches = (0..).zip(&world.products).filter_map(|(product, listed)| {
            let first_sale = first_sales.get(&product).copied();
            let launch = listed.planned.or(first_sale)?;
            let is_known = listed.planned.is_some() || known_from.is_some_and(|from| launch >= from);
            let (category, planned) = (listed.category, listed.planned.is_some());
            is_known.then_some(Launched { product, category, launch, planned })
        });
        Self { world, setting, last, weeks: first..=last, regions, launches: launches.collect() }
    }

    fn sales(&self, of: impl Fn(&Weekly) -> bool + 'a) -> Vec<&'a Weekly> {
        self.world.weekly.iter().filter(|row| row.week <= self.last && of(row)).collect()
    }

    fn category(&self, product: u32) -> u32 {
        self.world.products[product as usize].category
    }

    fn row(&self, launched: &Launched, region: u32, week_of_row: i32) -> Expected {
        let Launched { product, category, launch, .. } = *launched;
        let mut row = Expected::default();
        let age = week_of_row - launch;
        let all = self.sales(move |row| row.product == product);
        let here: Vec<_> = all.iter().copied().filter(|row| row.region == region).collect();
        sold(&mut row, "", &here, launch, week_of_row);
        sold(&mut row, "all_", &all, launch, week_of_row);
        let category_price = self.of_category(&mut row, category, region, week_of_row);
        let price = row.values["all_price_4w"];
        let to_category = price.zip(category_price.filter(|price| *price != 0.0));
        row.put("price_to_category", to_category.map(|(price, of_category)| price / of_category));
        self.of_launches(&mut row, category, region, week_of_row);

        row.put("weeks_since_launch", Some(age as f32));
        let quarter = all.iter().filter(|row| (week_of_row - 12..=week_of_row).contains(&row.week));
        let regions: BTreeSet<_> = quarter.filter(|row| row.purchases > 0).map(|row| row.region).collect();
        let trading = self.regions.values().filter(|since| **since <= week_of_row).count();
        row.put("regions_sold", Some(regions.len() as f32));
        row.put("regions_share", Some((regions.len() as f64 / trading as f64) as f32));
        let day = f64::from(week(week_of_row).day_of_year().unwrap());
        row.put("season_sin", Some((2.0 * PI * day / 365.25).sin() as f32));
        row.put("season_cos", Some((2.0 * PI * day / 365.25).cos() as f32));

        let is_over = self.setting.complete.is_some_and(|day| week(week_of_row + 2).monday() <= day);
        let next = |row: &Weekly| (row.product, row.region, row.week) == (product, region, week_of_row + 1);
        row.purchased = is_over.then(|| self.world.weekly.iter().any(|row| next(row) && row.purchases > 0));
        row
    }

    fn of_category(&self, row: &mut Expected, category: u32, region: u32, week: i32) -> Option<f32> {
        let month = self.sales(move |row| row.region == region && (week - 3..=week).contains(&row.week));
        let of_category: Vec<_> =
            month.into_iter().filter(|row| self.category(row.product) == category).collect();
        let summary = rollup(&of_category);
        let figures = summary.figures();
        row.put("category_sales_4w", Some(figures.total_sales().unwrap_or(0.0) as f32));
        row.put("category_quantity_4w", Some(figures.total_quantity().unwrap_or(0.0) as f32));
        row.put("category_customers_4w", Some(unique_customers(&of_category) as f32));
        figures.avg_price().map(|price| price as f32)
    }

    fn of_launches(&self, row: &mut Expected, category: u32, region: u32, week: i32) {
        let compared: Vec<_> =
            self.launches.iter().filter(|other| (week - 52..=week - 3).contains(&other.launch)).collect();
        let ours: Vec<_> = compared.iter().filter(|other| other.category == category).collect();
        let (mut sold, mut quantity) = (0, 0.0);
        for other in &ours {
            let Launched { product, launch, .. } = ***other;
            let first_month = self.sales(move |row| {
                (row.product, row.region) == (product, region) && (launch..launch + 4).contains(&row.week)
            });
            sold += i32::from(first_month.iter().map(|row| row.purchases).sum::<i64>() > 0);
            quantity += first_month.iter().filter_map(|row| total_quantity(row)).sum::<f64>();
        }
        let any = !ours.is_empty();
        let launches = ours.len() as f64;
        row.put(
            "category_launch_share",
            Some(if any { launches / compared.len() as f64 } else { 0.0 } as f32),
        );
        row.put("category_launches_sold", any.then_some((f64::from(sold) / launches) as f32));
        row.put("category_launch_quantity", any.then_some((quantity / launches) as f32));
    }
}

impl Expected {
    fn put(&mut self, name: &str, value: Option<f32>) {
        assert!(self.values.insert(name.to_owned(), value).is_none(), "{name} is put once");
    }
}

/// The WITH query of this name, for a region (without a prefix) or everywhere.
fn sold(row: &mut Expected, prefix: &str, sales: &[&Weekly], launch: i32, week: i32) {
    let over = |weeks: i32| -> Vec<&Weekly> {
        sales.iter().copied().filter(|row| (week - weeks + 1..=week).contains(&row.week)).collect()
    };
    for weeks in [1, 4, 13] {
        let sales = over(weeks);
        let summary = rollup(&sales);
        let figures = summary.figures();
        let mut put = |name: &str, value: Option<f64>| {
            row.put(&format!("{prefix}{name}_{weeks}w"), value.map(|value| value as f32));
        };
        put("sales", Some(figures.total_sales().unwrap_or(0.0)));
        put("quantity", Some(figures.total_quantity().unwrap_or(0.0)));
        put("customers", Some(unique_customers(&sales) as f64));
        put("discount", figures.discount_rate());
        put("price", figures.avg_price());
    }
    let quarter = over(13);
    let returned = quarter.iter().map(|row| row.returned).sum::<f64>();
    row.put(&format!("{prefix}returned_13w"), Some(returned as f32));
    row.put(&format!("{prefix}trend"), Some(trend(&quarter, launch, week)));
}

fn trend(sales: &[&Weekly], launch: i32, week: i32) -> f32 {
    let weeks = (week - launch + 1).min(13);
    let divisor = f64::from(weeks) * (f64::from(weeks).powi(2) - 1.0);
    if divisor == 0.0 {
        return 0.0;
    }
    let since_launch = sales.iter().filter(|row| row.week >= launch);
    let parts = since_launch.filter_map(|row| {
        let from_mean = f64::from(row.week - week) + f64::from(weeks - 1) / 2.0;
        Some(total_quantity(row)? * from_mean)
    });
    (parts.sum::<f64>() * 12.0 / divisor) as f32
}

fn view(row: &Weekly) -> Option<View<'_>> {
    row.sales.as_ref().map(|sales| View::parse(sales).unwrap())
}

fn total_quantity(row: &Weekly) -> Option<f64> {
    view(row)?.figures().total_quantity()
}

/// The newest first, so that nothing depends on the order.
fn rollup(rows: &[&Weekly]) -> Summary {
    let mut summary = Summary::new();
    for view in rows.iter().rev().filter_map(|row| view(row)) {
        summary.merge_stored(&view, Global).unwrap();
    }
    summary
}

fn unique_customers(rows: &[&Weekly]) -> u64 {
    let bytes = rollup(rows);
    match bytes.figures().lines() {
        0 => 0,
        _ => View::parse(&bytes.to_bytes()).unwrap().unique_customers().unwrap(),
    }
}
