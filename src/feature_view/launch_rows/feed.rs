//! Puts the weekly sales of all known products into chunks.

use super::carried::Carried;
use super::key::IdType;
use super::ordinals::Ordinals;
use super::rows::Rows;
use crate::error::Error;
use crate::pg::memory::{bytes, in_context, varlena};
use features::launch::{Chunk, PlannedWeek, WeeklySales};
use features::weeks::Week;
use pgrx::{pg_sys, PgMemoryContexts};
use std::cmp::Ordering;

/// The columns of the query for listed products.
pub const PRODUCT_ID: usize = 0;
const PLANNED: usize = 1;
pub const CATEGORY_KEY: usize = 2;
/// The first of those that are carried along, besides the id.
pub const CARRIED: usize = 3;

/// The columns of the queries for weekly sales, and for plans.
const OF_PRODUCT: usize = 0;
pub const REGION: usize = 1;
const WEEK: usize = 2;
/// Of those for plans alone: the first of the values.
const VALUES: usize = 3;
/// Of those for weekly sales alone.
const PURCHASED: usize = 3;
const RETURNED: usize = 4;
const SALES: usize = 5;

/// The products that are sold without being listed.
pub enum Unlisted<'a> {
    /// The first pass finds them, and keeps their ids.
    Found(&'a mut Vec<pg_sys::Datum>),
    /// The second pass takes them from there. What else is sold is no product of the view's weeks.
    Known(std::slice::Iter<'a, pg_sys::Datum>),
}

/// All known products, those that are listed and those that are sold, their weekly sales and what is planned for them. All
/// come in the order of products.
pub struct Feed<'a> {
    pub listed: &'a mut Rows,
    sales: Rows,
    plans: &'a mut [PlanRows],
    unlisted: Unlisted<'a>,
    products: &'a IdType,
    regions: &'a mut Ordinals,
    categories: &'a mut Ordinals,
    /// The ordinal of the next product.
    next: u32,
    /// The category of products that are not listed.
    no_category: u32,
    /// For summaries that are stored compressed or out of line.
    memory: PgMemoryContexts,
}

/// What both passes read, and know products, regions and categories by.
pub struct Known<'a> {
    pub listed: &'a mut Rows,
    pub plans: &'a mut [PlanRows],
    pub products: &'a IdType,
    pub regions: &'a mut Ordinals,
    pub categories: &'a mut Ordinals,
}

/// What a table of plans has planned, in the order of products.
pub struct PlanRows {
    pub rows: Rows,
    /// How many values a row has.
    pub width: usize,
}

/// A product that comes next.
enum Next {
    Listed,
    Unlisted(pg_sys::Datum),
}

impl<'a> Feed<'a> {
    /// What is read of each of the `known`; the rows of `sales` are of one pass alone.
    pub fn of(known: Known<'a>, mut sales: Rows, unlisted: Unlisted<'a>) -> Self {
        let Known { listed, plans, products, regions, categories } = known;
        listed.advance();
        sales.advance();
        plans.iter_mut().for_each(|plan| plan.rows.advance());
        // SAFETY: the value is a text.
        let no_category = unsafe { categories.of(varlena(0, |_| {})) };
        let memory = PgMemoryContexts::new("weekly sales");
        Self { listed, sales, plans, unlisted, products, regions, categories, next: 0, no_category, memory }
    }

    /// Fills the chunk with the next products, whose values go into `carried`. False after the last product.
    pub fn fill(&mut self, chunk: &mut Chunk, mut carried: Option<&mut Carried>) -> Result<bool, Error> {
        chunk.start(self.next);
        if let Some(carried) = &mut carried {
            carried.start(self.next);
        }
        // SAFETY: the chunk has its own copy of what it was given.
        unsafe { self.memory.reset() };
        while !chunk.is_full() {
            let Some(next) = self.next_product()? else { return Ok(false) };
            self.next += 1;
            match next {
                Next::Listed => {
                    if let Some(carried) = &mut carried {
                        carried.add(self.listed);
                    }
                    self.add_listed(chunk)?;
                    self.listed.advance();
                }
                Next::Unlisted(id) => {
                    if let Some(carried) = &mut carried {
                        carried.add_id(id);
                    }
                    chunk.add_product(self.no_category, None);
                    self.add_sales(id, chunk)?;
                    self.add_plans(id, chunk)?;
                }
            }
        }
        Ok(true)
    }

    fn next_product(&mut self) -> Result<Option<Next>, Error> {
        let listed = self.listed.if_there(PRODUCT_ID)?;
        let sold = match &self.unlisted {
            Unlisted::Found(_) => self.sales.if_there(OF_PRODUCT)?,
            Unlisted::Known(ids) => ids.as_slice().first().copied(),
        };
        let comparison = &self.products.comparison;
        // SAFETY: both are ids of products.
        let is_before = |sold, listed| unsafe {
            !comparison.is_equal(sold, listed) && comparison.compare(sold, listed) == Ordering::Less
        };
        Ok(match (listed, sold) {
            (None, None) => None,
            (Some(listed), Some(sold)) if !is_before(sold, listed) => Some(Next::Listed),
            (Some(_), None) => Some(Next::Listed),
            (_, Some(sold)) => Some(Next::Unlisted(self.take_unlisted(sold))),
        })
    }

    fn take_unlisted(&mut self, id: pg_sys::Datum) -> pg_sys::Datum {
        match &mut self.unlisted {
            Unlisted::Found(ids) => {
                // SAFETY: the value is the id of a product.
                let kept = unsafe { self.products.copied(id) };
                ids.push(kept);
                kept
            }
            Unlisted::Known(ids) => ids.next().copied().unwrap_or(id),
        }
    }

    fn add_listed(&mut self, chunk: &mut Chunk) -> Result<(), Error> {
        let row = self.listed.row();
        let planned = (!row.nulls[PLANNED]).then(|| Week::of_day(row.values[PLANNED].value() as i32));
        // SAFETY: the column is a text: the query's cast says so.
        let category = unsafe { self.categories.of(self.listed.needed(CATEGORY_KEY)?) };
        chunk.add_product(category, planned);
        let id = self.listed.needed(PRODUCT_ID)?;
        self.add_sales(id, chunk)?;
        self.add_plans(id, chunk)
    }

    /// Adds the sales of a product, and leaves out those before it.
    fn add_sales(&mut self, product: pg_sys::Datum, chunk: &mut Chunk) -> Result<(), Error> {
        let Self { sales, products, regions, memory, .. } = self;
        each_of(sales, products, product, |sales| {
            // SAFETY: the columns have the types that the query's casts say.
            let (region, summary) = unsafe {
                let row = sales.row();
                let summary =
                    in_context(memory.value(), || (!row.nulls[SALES]).then(|| bytes(row.values[SALES])));
                (regions.of(sales.needed(REGION)?), summary)
            };
            chunk.add_sales(&WeeklySales {
                region,
                week: Week::of_day(sales.needed(WEEK)?.value() as i32),
                purchased: sales.needed(PURCHASED)?.value() as u8 != 0,
                returned: f64::from_bits(sales.needed(RETURNED)?.value() as u64),
                sales: summary,
            });
            Ok(())
        })
    }

    /// Adds what is planned for a product, and leaves out what is for those before it.
    fn add_plans(&mut self, product: pg_sys::Datum, chunk: &mut Chunk) -> Result<(), Error> {
        let Self { plans, products, regions, .. } = self;
        let mut values = Vec::new();
        for (table, PlanRows { rows, width }) in plans.iter_mut().enumerate() {
            each_of(rows, products, product, |rows| {
                let row = rows.row();
                let of_plan = row.values[VALUES..].iter().zip(&row.nulls[VALUES..]).take(*width);
                values.clear();
                values.extend(
                    of_plan.map(|(value, null)| (!null).then(|| f32::from_bits(value.value() as u32))),
                );
                // SAFETY: the column is a text: the query's cast says so.
                let region = (!row.nulls[REGION]).then(|| unsafe { regions.of(row.values[REGION]) });
                let week = Week::of_day(rows.needed(WEEK)?.value() as i32);
                chunk.add_plan(&PlannedWeek { table, region, week, values: &values });
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Calls `add` for each row of a product, which begin where the rows are or later, and goes on to the first of the next.
fn each_of(
    rows: &mut Rows,
    IdType { comparison, .. }: &IdType,
    product: pg_sys::Datum,
    mut add: impl FnMut(&Rows) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(of_product) = rows.if_there(OF_PRODUCT)? {
        // SAFETY: both are ids of products.
        unsafe {
            if comparison.is_equal(of_product, product) {
                add(rows)?;
            } else if comparison.compare(of_product, product) == Ordering::Greater {
                break;
            }
        }
        rows.advance();
    }
    Ok(())
}
