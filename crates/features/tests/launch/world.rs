//! Small worlds of products and sales.

use allocator_api2::alloc::Global;
use features::launch::{Chunk, Gathering, NewProducts, NewRows, Plans, Row, Setting, WeeklySales};
use features::summary::{Sale, Summary};
use features::weeks::Week;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The number of a week; week 0 begins on Monday, 2024-12-16, so that years end among the weeks of every test.
pub fn week(number: i32) -> Week {
    Week::of_day(9116).plus(number)
}

#[derive(Debug, Clone)]
pub struct Line {
    pub product: u32,
    pub region: u32,
    pub week: i32,
    pub amount: Option<f64>,
    /// Negative for what is returned.
    pub quantity: Option<f64>,
    pub discount: Option<f64>,
    pub customer: Option<u64>,
}

/// A row of the weekly view.
#[derive(Debug, Clone)]
pub struct Weekly {
    pub product: u32,
    pub region: u32,
    pub week: i32,
    pub purchases: i64,
    pub returned: f64,
    pub sales: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Product {
    pub category: u32,
    pub planned: Option<i32>,
}

#[derive(Debug, Clone)]
pub struct World {
    pub products: Vec<Product>,
    /// By product, region and week.
    pub weekly: Vec<Weekly>,
    pub setting: Setting,
}

/// What `weekly.sql` makes of sale lines.
pub fn weekly(lines: &[Line]) -> Vec<Weekly> {
    let mut groups: BTreeMap<_, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        groups.entry((line.product, line.region, line.week)).or_default().push(line);
    }
    groups
        .into_iter()
        .map(|((product, region, week), lines)| {
            let pieces = |line: &&Line| line.quantity.unwrap_or(0.0);
            Weekly {
                product,
                region,
                week,
                purchases: lines.iter().filter(|line| pieces(line) > 0.0).count() as i64,
                returned: lines.iter().map(|line| (-pieces(line)).max(0.0)).sum(),
                sales: summary(&lines),
            }
        })
        .collect()
}

/// Customers are those of purchases only.
fn summary(lines: &[&Line]) -> Option<Vec<u8>> {
    let mut summary = Summary::new();
    for line in lines {
        let Line { amount, quantity, discount, .. } = **line;
        let customer = line.customer.filter(|_| quantity.is_some_and(|quantity| quantity > 0.0));
        let sale = Sale { amount, quantity, discount, customer, sold_at: None };
        if !sale.is_none() {
            summary.add(&sale, Global).unwrap();
        }
    }
    (summary.figures().lines() > 0).then(|| summary.to_bytes())
}

/// All that there is to say about an engine's answer: its rows by key.
pub type Rows = BTreeMap<(u32, u32, Week), Row>;

impl World {
    /// The engine's rows, from all the sales that there are.
    pub fn rows(&self, setting: Setting, at_once: usize) -> Rows {
        let mut gathering = Gathering::new(setting, Plans::default());
        self.chunks(at_once, &self.weekly, |chunk| gathering.add(chunk).unwrap());
        self.second_pass(gathering, at_once, &self.weekly)
    }

    /// The same from no more sales than each pass says that it needs.
    pub fn rows_from_the_least(&self, setting: Setting, at_once: usize) -> Rows {
        let mut gathering = Gathering::new(setting, Plans::default());
        let gathered = self.gathered(setting);
        self.chunks(at_once, &gathered, |chunk| gathering.add(chunk).unwrap());
        let sold = self.within(setting.sold_from()..=setting.sold_until());
        self.second_pass(gathering, at_once, &sold)
    }

    fn second_pass(&self, gathering: Gathering, at_once: usize, weekly: &[Weekly]) -> Rows {
        let mut new_products = NewProducts::new(gathering.finish().unwrap());
        let mut made = NewRows::default();
        self.chunks(at_once, weekly, |chunk| new_products.add(chunk, &mut made).unwrap());
        let rows: Vec<Row> = made.iter().map(|(row, _)| *row).collect();
        assert!(rows.is_sorted_by_key(|row| (row.product, row.region, row.week)), "rows are in order");
        let count = rows.len();
        let rows: Rows = rows.into_iter().map(|row| ((row.product, row.region, row.week), row)).collect();
        assert_eq!(rows.len(), count, "each row is there once");
        rows
    }

    fn within(&self, weeks: RangeInclusive<Week>) -> Vec<Weekly> {
        self.weekly.iter().filter(|row| weeks.contains(&week(row.week))).cloned().collect()
    }

    /// Of old weeks the first purchase of each product in each region, of others all.
    fn gathered(&self, setting: Setting) -> Vec<Weekly> {
        let mut first: BTreeMap<(u32, u32), Weekly> = BTreeMap::new();
        for row in
            self.weekly.iter().filter(|row| row.purchases > 0 && week(row.week) < setting.gathered_from())
        {
            let found = first.entry((row.product, row.region)).or_insert_with(|| row.clone());
            *found = Weekly { sales: None, week: found.week.min(row.week), ..row.clone() };
        }
        let new = self.within(setting.gathered_from()..=setting.last);
        first.into_values().chain(new).collect()
    }

    /// All products and their sales.
    pub fn chunk(&self) -> Chunk {
        let mut whole = Chunk::of(usize::MAX);
        self.fill(&mut whole, &self.weekly, |_| ());
        whole
    }

    fn chunks(&self, at_once: usize, weekly: &[Weekly], mut pass: impl FnMut(&Chunk)) {
        let mut chunk = Chunk::of(at_once);
        self.fill(&mut chunk, weekly, |chunk| pass(chunk));
        pass(&chunk);
    }

    /// Fills the chunk, handing it over as soon as it is full.
    fn fill(&self, chunk: &mut Chunk, weekly: &[Weekly], mut full: impl FnMut(&Chunk)) {
        for (ordinal, product) in (0..).zip(&self.products) {
            if chunk.is_full() {
                full(chunk);
                chunk.start(ordinal);
            }
            chunk.add_product(product.category, product.planned.map(week));
            for row in weekly.iter().filter(|row| row.product == ordinal) {
                chunk.add_sales(&WeeklySales {
                    region: row.region,
                    week: week(row.week),
                    purchased: row.purchases > 0,
                    returned: row.returned,
                    sales: row.sales.as_deref(),
                });
            }
        }
    }
}
