//! Puts the weekly sales of all known products into chunks.

use super::carried::Carried;
use super::ordinals::Ordinals;
use super::rows::Rows;
use crate::error::Error;
use crate::pg::comparison::Comparison;
use crate::pg::memory::{bytes, in_context};
use features::launch::{Chunk, WeeklySales};
use features::weeks::Week;
use pgrx::PgMemoryContexts;

/// The columns of the query for known products.
pub const PRODUCT_ID: usize = 0;
const PLANNED: usize = 1;
pub const CATEGORY_KEY: usize = 2;
/// The first of those that are carried along, besides the id.
pub const CARRIED: usize = 3;

/// The columns of the queries for weekly sales.
const OF_PRODUCT: usize = 0;
pub const REGION: usize = 1;
const WEEK: usize = 2;
const PURCHASED: usize = 3;
const RETURNED: usize = 4;
const SALES: usize = 5;

/// All known products and their weekly sales, both in the order of products. The sales are of known products only.
pub struct Feed<'a> {
    pub known: &'a mut Rows,
    pub sales: Rows,
    pub products: &'a Comparison,
    pub regions: &'a mut Ordinals,
    pub categories: &'a mut Ordinals,
    /// The ordinal of the next product.
    next: u32,
    /// Whether the rows of sales are at one that waits for its product.
    waits: bool,
    /// For summaries that are stored compressed or out of line.
    memory: PgMemoryContexts,
}

impl<'a> Feed<'a> {
    pub fn of(
        known: &'a mut Rows,
        mut sales: Rows,
        products: &'a Comparison,
        regions: &'a mut Ordinals,
        categories: &'a mut Ordinals,
    ) -> Self {
        let waits = sales.advance();
        let memory = PgMemoryContexts::new("weekly sales");
        Self { known, sales, products, regions, categories, next: 0, waits, memory }
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
            if !self.known.advance() {
                return if self.waits { Err(out_of_order()) } else { Ok(false) };
            }
            if let Some(carried) = &mut carried {
                carried.add(self.known);
            }
            self.add_product(chunk)?;
        }
        Ok(true)
    }

    fn add_product(&mut self, chunk: &mut Chunk) -> Result<(), Error> {
        let Self { known, sales, products, regions, categories, .. } = self;
        let row = known.row();
        let planned = (!row.nulls[PLANNED]).then(|| Week::of_day(row.values[PLANNED].value() as i32));
        let product = known.needed(PRODUCT_ID)?;
        // SAFETY: the columns of both queries have these types: the templates' casts say so.
        unsafe {
            chunk.add_product(categories.of(known.needed(CATEGORY_KEY)?), planned);
            while self.waits && products.is_equal(sales.needed(OF_PRODUCT)?, product) {
                let row = sales.row();
                let summary =
                    in_context(self.memory.value(), || (!row.nulls[SALES]).then(|| bytes(row.values[SALES])));
                chunk.add_sales(&WeeklySales {
                    region: regions.of(sales.needed(REGION)?),
                    week: Week::of_day(sales.needed(WEEK)?.value() as i32),
                    purchased: sales.needed(PURCHASED)?.value() as u8 != 0,
                    returned: f64::from_bits(sales.needed(RETURNED)?.value() as u64),
                    sales: summary,
                });
                self.waits = sales.advance();
            }
        }
        self.next += 1;
        Ok(())
    }
}

fn out_of_order() -> Error {
    Error::Changed("the weekly sales have a product that is not known, or come out of order".into())
}
