//! Summaries of sales: totals, distinct customers and dates of any number of sale lines, which can be merged.

use crate::compensated::Sum;
use crate::customers::Customers;
use crate::FeatureError;
use allocator_api2::alloc::{Allocator, Global};

/// One sale line. Moments are microseconds since 2000-01-01; a customer is a 64-bit hash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sale {
    pub amount: Option<f64>,
    pub quantity: Option<f64>,
    pub discount: Option<f64>,
    pub customer: Option<u64>,
    pub sold_at: Option<i64>,
}

impl Sale {
    /// A line with neither amount nor quantity is no sale.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.amount.is_none() && self.quantity.is_none()
    }
}

/// The part of a summary that is not its customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub(crate) sales: Sum,
    pub(crate) quantity: Sum,
    pub(crate) discount: Sum,
    pub(crate) lines: u64,
    /// Lines whose discount is known.
    pub(crate) discounts: u64,
    /// `first` is later than `last` while no moment is known.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) sales_known: bool,
    pub(crate) quantity_known: bool,
}

impl Figures {
    pub const NONE: Self = Self {
        sales: Sum::ZERO,
        quantity: Sum::ZERO,
        discount: Sum::ZERO,
        lines: 0,
        discounts: 0,
        first: i64::MAX,
        last: i64::MIN,
        sales_known: false,
        quantity_known: false,
    };

    #[inline]
    fn add(&mut self, sale: &Sale) -> Result<(), FeatureError> {
        if let Some(amount) = sale.amount {
            self.sales.add(finite("amount", amount)?)?;
            self.sales_known = true;
        }
        if let Some(quantity) = sale.quantity {
            self.quantity.add(finite("quantity", quantity)?)?;
            self.quantity_known = true;
        }
        if let Some(discount) = sale.discount {
            self.discount.add(finite("discount", discount)?)?;
            self.discounts += 1;
        }
        if let Some(moment) = sale.sold_at {
            if moment == i64::MIN || moment == i64::MAX {
                return Err(refused("sold_at is infinite"));
            }
            self.first = self.first.min(moment);
            self.last = self.last.max(moment);
        }
        self.lines = counted(self.lines, 1)?;
        Ok(())
    }

    #[inline]
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        self.sales.merge(&other.sales)?;
        self.quantity.merge(&other.quantity)?;
        self.discount.merge(&other.discount)?;
        self.lines = counted(self.lines, other.lines)?;
        self.discounts = counted(self.discounts, other.discounts)?;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.sales_known |= other.sales_known;
        self.quantity_known |= other.quantity_known;
        Ok(())
    }

    /// Sale lines counted.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// `None` where no amount was known.
    pub fn total_sales(&self) -> Option<f64> {
        self.sales_known.then(|| self.sales.value())
    }

    pub fn total_quantity(&self) -> Option<f64> {
        self.quantity_known.then(|| self.quantity.value())
    }

    pub fn total_discount(&self) -> Option<f64> {
        (self.discounts > 0).then(|| self.discount.value())
    }

    /// Mean over the lines whose discount is known.
    pub fn avg_discount(&self) -> Option<f64> {
        self.total_discount().map(|total| total / self.discounts as f64)
    }

    /// The discount as a share of what the sales would have been without it; `None` where these cancel.
    pub fn discount_rate(&self) -> Option<f64> {
        let (sales, discount) = (self.total_sales()?, self.total_discount()?);
        let undiscounted = sales + discount;
        if undiscounted.abs() <= ROUNDING * (sales.abs() + discount.abs()) {
            return None;
        }
        quotient(discount, undiscounted)
    }

    /// Sales per unit.
    pub fn avg_price(&self) -> Option<f64> {
        quotient(self.total_sales()?, self.total_quantity()?)
    }

    /// The first and the last moment.
    pub fn period(&self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }
}

/// Of amounts that cancel, what rounding leaves: cents are no binary fractions.
const ROUNDING: f64 = 1e-12;

/// A quotient; `None` where the divisor is zero or the result is too large.
fn quotient(part: f64, whole: f64) -> Option<f64> {
    Some(part / whole).filter(|quotient| quotient.is_finite())
}

#[inline]
fn counted(one: u64, other: u64) -> Result<u64, FeatureError> {
    match one.checked_add(other) {
        Some(sum) if sum <= i64::MAX as u64 => Ok(sum),
        _ => {
            Err(FeatureError::Limit { message: "there are too many sale lines to count".into(), hint: None })
        }
    }
}

#[inline]
fn finite(name: &str, number: f64) -> Result<f64, FeatureError> {
    if number.is_finite() {
        return Ok(number);
    }
    Err(refused(&format!("{name} is {}", if number.is_nan() { "NaN" } else { "infinite" })))
}

#[cold]
fn refused(message: &str) -> FeatureError {
    FeatureError::Range {
        message: message.to_owned(),
        hint: Some("Leave out such rows with FILTER (WHERE …).".into()),
    }
}

/// A summary that grows. Its customers take room from an allocator of the caller's, so that it is accounted for.
pub struct Summary<A: Allocator = Global> {
    pub(crate) figures: Figures,
    pub(crate) customers: Customers<A>,
}

impl<A: Allocator + Copy> Summary<A> {
    pub const fn new() -> Self {
        Self { figures: Figures::NONE, customers: Customers::new() }
    }

    /// Counts a sale line. The caller has skipped lines that are no sales.
    #[inline]
    pub fn add(&mut self, sale: &Sale, allocator: A) -> Result<(), FeatureError> {
        self.figures.add(sale)?;
        if let Some(customer) = sale.customer {
            self.customers.add(customer, allocator);
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &Self, allocator: A) -> Result<(), FeatureError> {
        self.figures.merge(&other.figures)?;
        self.customers.merge(&other.customers, allocator);
        Ok(())
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl<A: Allocator + Copy> Default for Summary<A> {
    fn default() -> Self {
        Self::new()
    }
}
