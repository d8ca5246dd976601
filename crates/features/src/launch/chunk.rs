//! Weekly sales of some products, as they are handed over to a pass.

use crate::weeks::Week;

/// The sales of a product in a region and week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeeklySales<'a> {
    pub region: u32,
    pub week: Week,
    /// Whether any line of the week is a purchase.
    pub purchased: bool,
    /// Pieces returned.
    pub returned: f64,
    /// The stored summary of all lines, if any of them counts. A pass that does not need it can do without.
    pub sales: Option<&'a [u8]>,
}

/// Consecutive products, each with all its weekly sales. Products, categories and regions are known by ordinals of the
/// caller's, from 0 on; the same in both passes.
#[derive(Debug)]
pub struct Chunk {
    first: u32,
    most_products: usize,
    products: Vec<Listed>,
    rows: Vec<Row>,
    sales: Vec<u8>,
}

#[derive(Debug)]
struct Listed {
    category: u32,
    planned: Option<Week>,
    first_row: usize,
}

#[derive(Debug)]
struct Row {
    region: u32,
    week: Week,
    purchased: bool,
    returned: f64,
    end_of_sales: usize,
}

/// A chunk is full at so many bytes of summaries, or as soon as it holds so many rows.
const FULL_BYTES: usize = 256 * 1024;
const FULL_ROWS: usize = 4096;

impl Chunk {
    /// A chunk that is full at this number of products, if not before.
    pub fn of(most_products: usize) -> Self {
        Self { first: 0, most_products, products: Vec::new(), rows: Vec::new(), sales: Vec::new() }
    }

    /// Empties the chunk. Its first product has this ordinal.
    pub fn start(&mut self, first: u32) {
        self.first = first;
        self.products.clear();
        self.rows.clear();
        self.sales.clear();
    }

    /// Adds a product, with the week of its launch if one is planned.
    pub fn add_product(&mut self, category: u32, planned: Option<Week>) {
        self.products.push(Listed { category, planned, first_row: self.rows.len() });
    }

    /// Adds sales of the product that was added last.
    pub fn add_sales(&mut self, sales: &WeeklySales) {
        let WeeklySales { region, week, purchased, returned, sales } = *sales;
        self.sales.extend_from_slice(sales.unwrap_or_default());
        self.rows.push(Row { region, week, purchased, returned, end_of_sales: self.sales.len() });
    }

    /// Whether the chunk should be handed over before another product is added.
    pub fn is_full(&self) -> bool {
        self.products.len() >= self.most_products
            || self.rows.len() >= FULL_ROWS
            || self.sales.len() >= FULL_BYTES
    }

    pub(super) fn products(&self) -> impl Iterator<Item = Product<'_>> {
        let ends = self.products.iter().skip(1).map(|next| next.first_row).chain([self.rows.len()]);
        let listed = (self.first..).zip(self.products.iter().zip(ends));
        listed.map(|(ordinal, (listed, end))| Product {
            ordinal,
            category: listed.category,
            planned: listed.planned,
            chunk: self,
            rows: listed.first_row..end,
        })
    }

    fn sales_of(&self, row: usize) -> WeeklySales<'_> {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].end_of_sales);
        let Row { region, week, purchased, returned, end_of_sales } = self.rows[row];
        // No stored form of a summary is empty.
        let sales = Some(&self.sales[start..end_of_sales]).filter(|sales| !sales.is_empty());
        WeeklySales { region, week, purchased, returned, sales }
    }
}

/// A product of a chunk.
pub(super) struct Product<'a> {
    pub ordinal: u32,
    pub category: u32,
    pub planned: Option<Week>,
    chunk: &'a Chunk,
    rows: std::ops::Range<usize>,
}

impl<'a> Product<'a> {
    pub fn sales(&self) -> impl Iterator<Item = WeeklySales<'a>> + 'a {
        let chunk = self.chunk;
        self.rows.clone().map(move |row| chunk.sales_of(row))
    }
}
