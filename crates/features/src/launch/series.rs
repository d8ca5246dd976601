//! Sales over 1, 4 and 13 weeks, for all weeks in which a product is new.

use super::chunk::WeeklySales;
use super::distinct::distinct;
use super::real::real;
use super::row::Written;
use super::setting::{MONTH, QUARTER};
use crate::compensated::Sum;
use crate::customers::{Customers, StoredCustomers, EXACT};
use crate::stored::View;
use crate::summary::Figures;
use crate::FeatureError;
use allocator_api2::alloc::Global;
use std::ops::Range;

/// The lengths of the windows.
const LENGTHS: [i32; 3] = [1, MONTH, QUARTER];
const LONGEST: usize = LENGTHS.len() - 1;

/// What a product sold in a region and week. Weeks have numbers here.
#[derive(Clone, Copy)]
pub struct Sold<'a> {
    pub region: u32,
    pub week: i32,
    pub purchased: bool,
    returned: f64,
    figures: Figures,
    customers: StoredCustomers<'a>,
}

impl<'a> Sold<'a> {
    pub fn read(sales: &WeeklySales<'a>, week: i32) -> Result<Self, FeatureError> {
        let WeeklySales { region, purchased, returned, sales, .. } = *sales;
        let (figures, customers) = match sales.map(View::parse).transpose()? {
            Some(View { figures, customers }) => (figures, customers),
            None => (Figures::NONE, StoredCustomers::Hashes(&[])),
        };
        Ok(Self { region, week, purchased, returned, figures, customers })
    }

    pub fn quantity(&self) -> f64 {
        self.figures.total_quantity().unwrap_or(0.0)
    }
}

/// The totals of a window, without its customers.
#[derive(Clone, Copy, Default)]
struct Totals {
    sales: f32,
    quantity: f32,
    discount: Option<f32>,
    price: Option<f32>,
}

/// The sales of a product, in a region or everywhere, as known at the end of a week.
#[derive(Clone, Copy, Default)]
pub struct Recent {
    totals: [Totals; LENGTHS.len()],
    customers: [f32; LENGTHS.len()],
    returned: f32,
    pub trend: f32,
}

impl Recent {
    pub fn write(&self, row: &mut Written) {
        let Self { totals, customers, returned, .. } = self;
        row.put(totals.map(|totals| totals.sales));
        row.put(totals.map(|totals| totals.quantity));
        row.put(*customers);
        totals.iter().for_each(|totals| row.put_known(totals.discount));
        totals.iter().for_each(|totals| row.put_known(totals.price));
        row.put([*returned]);
    }

    pub fn price_of_month(&self) -> Option<f32> {
        self.totals[1].price
    }
}

/// Computes [`Recent`] for one series after the other; keeps the room that it needs.
#[derive(Default)]
pub struct Series {
    found: Vec<(u64, i32)>,
    customers: Vec<[u32; LENGTHS.len()]>,
}

impl Series {
    /// The sales as known at the end of each of the `weeks`, none of which is more than one before the `launch`. What was
    /// sold is in the order of weeks.
    pub fn recent(
        &mut self,
        sold: &[Sold<'_>],
        launch: i32,
        weeks: &Range<i32>,
    ) -> Result<Vec<Recent>, FeatureError> {
        self.count_customers(sold, weeks);
        let mut windows = LENGTHS.map(Window::of);
        let mut recent = Recent::default();
        let of_week = |(week, counted): (i32, &[u32; LENGTHS.len()])| {
            for (n, window) in windows.iter_mut().enumerate() {
                let moved = window.end_with(week, sold);
                let sold = &sold[window.rows()];
                recent.customers[n] = customers(counted[n], sold)? as f32;
                if moved {
                    recent.totals[n] = totals(sold)?;
                    if n == LONGEST {
                        recent.returned = returned(sold)?;
                    }
                }
            }
            recent.trend = trend(&sold[windows[LONGEST].rows()], launch, week)?;
            Ok(recent)
        };
        weeks.clone().zip(&self.customers).map(of_week).collect()
    }

    fn count_customers(&mut self, sold: &[Sold<'_>], weeks: &Range<i32>) {
        self.found.clear();
        for sold in sold {
            self.found.extend(sold.customers.hashes_ascending().map(|customer| (customer, sold.week)));
        }
        distinct(&mut self.found, LENGTHS, weeks, &mut self.customers);
    }
}

/// The rows of the weeks in a window.
struct Window {
    length: i32,
    from: usize,
    until: usize,
}

impl Window {
    fn of(length: i32) -> Self {
        Self { length, from: 0, until: 0 }
    }

    fn rows(&self) -> Range<usize> {
        self.from..self.until
    }

    /// Moves the window on to end with this week. Whether it holds other rows then.
    fn end_with(&mut self, week: i32, sold: &[Sold<'_>]) -> bool {
        let before = self.rows();
        let passed =
            |place: &usize, last: i32| sold[*place..].iter().take_while(|sold| sold.week <= last).count();
        self.until += passed(&self.until, week);
        self.from += passed(&self.from, week - self.length);
        self.rows() != before
    }
}

fn totals(sold: &[Sold<'_>]) -> Result<Totals, FeatureError> {
    let mut figures = Figures::NONE;
    sold.iter().try_for_each(|sold| figures.merge(&sold.figures))?;
    Ok(Totals {
        sales: real(figures.total_sales().unwrap_or(0.0))?,
        quantity: real(figures.total_quantity().unwrap_or(0.0))?,
        discount: figures.discount_rate().map(real).transpose()?,
        price: figures.avg_price().map(real).transpose()?,
    })
}

fn returned(sold: &[Sold<'_>]) -> Result<f32, FeatureError> {
    let mut sum = Sum::ZERO;
    sold.iter().try_for_each(|sold| sum.add(sold.returned))?;
    real(sum.value())
}

/// The number of customers, of whose known hashes so many are different. What cannot be counted is estimated as
/// [`crate::customers`] does.
fn customers(counted: u32, sold: &[Sold<'_>]) -> Result<u64, FeatureError> {
    let is_exact = |sold: &Sold<'_>| matches!(sold.customers, StoredCustomers::Hashes(_));
    if counted as usize <= EXACT && sold.iter().all(is_exact) {
        return Ok(counted.into());
    }
    let mut customers = Customers::new();
    sold.iter().for_each(|sold| customers.merge_stored(sold.customers, Global));
    customers.count()
}

/// The slope of the least-squares line through the weekly quantities of the n weeks since the launch, thirteen at most,
/// weeks without sales counting as 0: the sum of (x - mean of x) * y over that of (x - mean of x)^2, which is
/// n * (n^2 - 1) / 12. The sum is compensated.
fn trend(sold: &[Sold<'_>], launch: i32, week: i32) -> Result<f32, FeatureError> {
    let weeks = f64::from(QUARTER.min(week - launch + 1));
    if weeks < 2.0 {
        return Ok(0.0);
    }
    let mut sum = Sum::ZERO;
    for sold in sold.iter().filter(|sold| sold.week >= launch) {
        if let Some(quantity) = sold.figures.total_quantity() {
            sum.add(quantity * (f64::from(sold.week - week) + (weeks - 1.0) / 2.0))?;
        }
    }
    real(sum.value() * 12.0 / (weeks * (weeks * weeks - 1.0)))
}
