//! Weekly sales of some products, as they are handed over to a pass.

use crate::weeks::Week;
use std::ops::Range;

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

/// What a table of plans has planned for a product in a region, or in all of them, and a week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedWeek<'a> {
    /// Tables count from 0.
    pub table: usize,
    pub region: Option<u32>,
    pub week: Week,
    /// A value for each column of the table.
    pub values: &'a [Option<f32>],
}

/// Consecutive products, each with all its weekly sales and plans. Products, categories and regions are known by ordinals of the
/// caller's, from 0 on; the same in both passes.
#[derive(Debug)]
pub struct Chunk {
    first: u32,
    most_products: usize,
    products: Vec<Listed>,
    rows: Vec<Row>,
    sales: Vec<u8>,
    plans: Vec<Plan>,
    planned: Vec<Option<f32>>,
}

#[derive(Debug)]
struct Listed {
    category: u32,
    planned: Option<Week>,
    first_row: usize,
    first_plan: usize,
}

#[derive(Debug)]
struct Row {
    region: u32,
    week: Week,
    purchased: bool,
    returned: f64,
    end_of_sales: usize,
}

#[derive(Debug)]
struct Plan {
    table: usize,
    region: Option<u32>,
    week: Week,
    end_of_values: usize,
}

/// A chunk is full at so many bytes of summaries, or as soon as it holds so many rows.
const FULL_BYTES: usize = 256 * 1024;
const FULL_ROWS: usize = 4096;

impl Chunk {
    /// A chunk that is full at this number of products, if not before.
    pub fn of(most_products: usize) -> Self {
        Self {
            first: 0,
            most_products,
            products: Vec::new(),
            rows: Vec::new(),
            sales: Vec::new(),
            plans: Vec::new(),
            planned: Vec::new(),
        }
    }

    /// Empties the chunk. Its first product has this ordinal.
    pub fn start(&mut self, first: u32) {
        self.first = first;
        self.products.clear();
        self.rows.clear();
        self.sales.clear();
        self.plans.clear();
        self.planned.clear();
    }

    /// Adds a product, with the week of its launch if one is planned.
    pub fn add_product(&mut self, category: u32, planned: Option<Week>) {
        self.products.push(Listed {
            category,
            planned,
            first_row: self.rows.len(),
            first_plan: self.plans.len(),
        });
    }

    /// Adds sales of the product that was added last.
    pub fn add_sales(&mut self, sales: &WeeklySales) {
        let WeeklySales { region, week, purchased, returned, sales } = *sales;
        self.sales.extend_from_slice(sales.unwrap_or_default());
        self.rows.push(Row { region, week, purchased, returned, end_of_sales: self.sales.len() });
    }

    /// Adds a plan of the product that was added last. A region, or all of them, and a week have one plan of a table.
    pub fn add_plan(&mut self, plan: &PlannedWeek) {
        let PlannedWeek { table, region, week, values } = *plan;
        self.planned.extend_from_slice(values);
        self.plans.push(Plan { table, region, week, end_of_values: self.planned.len() });
    }

    /// Whether the chunk should be handed over before another product is added.
    pub fn is_full(&self) -> bool {
        self.products.len() >= self.most_products
            || self.rows.len() + self.plans.len() >= FULL_ROWS
            || self.sales.len() >= FULL_BYTES
    }

    pub(super) fn products(&self) -> impl Iterator<Item = Product<'_>> {
        let next = self.products.iter().skip(1).map(|next| (next.first_row, next.first_plan));
        let ends = next.chain([(self.rows.len(), self.plans.len())]);
        let listed = (self.first..).zip(self.products.iter().zip(ends));
        listed.map(|(ordinal, (listed, (end, end_of_plans)))| Product {
            ordinal,
            category: listed.category,
            planned: listed.planned,
            chunk: self,
            rows: listed.first_row..end,
            plans: listed.first_plan..end_of_plans,
        })
    }

    fn sales_of(&self, row: usize) -> WeeklySales<'_> {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].end_of_sales);
        let Row { region, week, purchased, returned, end_of_sales } = self.rows[row];
        // No stored form of a summary is empty.
        let sales = Some(&self.sales[start..end_of_sales]).filter(|sales| !sales.is_empty());
        WeeklySales { region, week, purchased, returned, sales }
    }

    fn plan_of(&self, plan: usize) -> PlannedWeek<'_> {
        let start = plan.checked_sub(1).map_or(0, |before| self.plans[before].end_of_values);
        let Plan { table, region, week, end_of_values } = self.plans[plan];
        PlannedWeek { table, region, week, values: &self.planned[start..end_of_values] }
    }
}

/// A product of a chunk.
pub(super) struct Product<'a> {
    pub ordinal: u32,
    pub category: u32,
    pub planned: Option<Week>,
    chunk: &'a Chunk,
    rows: Range<usize>,
    plans: Range<usize>,
}

impl<'a> Product<'a> {
    pub fn sales(&self) -> impl Iterator<Item = WeeklySales<'a>> + 'a {
        let chunk = self.chunk;
        self.rows.clone().map(move |row| chunk.sales_of(row))
    }

    pub fn plans(&self) -> impl Iterator<Item = PlannedWeek<'a>> + 'a {
        let chunk = self.chunk;
        self.plans.clone().map(move |plan| chunk.plan_of(plan))
    }
}
