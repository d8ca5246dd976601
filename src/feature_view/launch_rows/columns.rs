//! Which column of a view of new products holds what.

use super::super::create::collation;
use super::super::engine::Engine;
use crate::pg::relations::Column;
use features::launch::COLUMNS;
use pgrx::pg_sys;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field {
    /// A value of the product, carried along: its id, its category, an attribute. Counts from 0, which is the id.
    Carried(usize),
    Region,
    Week,
    /// One of the features, by its place in [`COLUMNS`].
    Feature(usize),
    Purchased,
    /// One of the features of plans, by its place among them.
    Planned(usize),
    /// A column that was dropped.
    Nothing,
}

pub const PRODUCT: &str = "product_id";
pub const REGION: &str = "region";

pub struct Columns {
    product: Column,
    region: Column,
    /// The columns that hold values of a product, each with the expression for it.
    carried: Vec<(Column, String)>,
    /// The names of the columns that hold features of plans.
    planned: Vec<String>,
}

impl Columns {
    /// `None` if the table has a column, or a type, that only the definition can fill: its owner has altered it.
    pub fn of(engine: &Engine, table: &[Column]) -> Option<Self> {
        let find = |name: &str| table.iter().find(|column| column.name == name).cloned();
        let inside = ["category".to_owned()]
            .into_iter()
            .chain((0..engine.attributes.len()).map(|n| format!("attribute_{n}")));
        let outside = ["category"].into_iter().chain(engine.attributes.iter().map(String::as_str));
        let carried = outside.zip(inside).filter_map(|(name, inside)| {
            let column = find(name)?;
            let value = format!("p.{inside}::{}", column.sql_type());
            Some((column, value))
        });
        let columns = Self {
            product: find(PRODUCT)?,
            region: find(REGION)?,
            carried: carried.collect(),
            planned: engine.planned_features().map(str::to_owned).collect(),
        };
        table.iter().all(|column| columns.field(column).is_some()).then_some(columns)
    }

    fn field(&self, column: &Column) -> Option<Field> {
        let (name, holds) = (column.name.as_str(), |type_oid| column.type_oid == type_oid);
        match name {
            PRODUCT => return Some(Field::Carried(0)),
            REGION => return holds(pg_sys::TEXTOID).then_some(Field::Region),
            "week" => return holds(pg_sys::DATEOID).then_some(Field::Week),
            "purchased" => return holds(pg_sys::BOOLOID).then_some(Field::Purchased),
            _ => {}
        }
        if let Some(n) = COLUMNS.iter().position(|feature| *feature == name) {
            return holds(pg_sys::FLOAT4OID).then_some(Field::Feature(n));
        }
        if let Some(n) = self.planned.iter().position(|planned| planned == name) {
            return holds(pg_sys::FLOAT4OID).then_some(Field::Planned(n));
        }
        let carried = self.carried.iter().position(|(carried, _)| carried.name == name);
        carried.map(|n| Field::Carried(n + 1))
    }

    /// What each attribute of the view's table, or of a partition of it, holds.
    ///
    /// # Safety
    /// The descriptor is live.
    pub unsafe fn layout(&self, descriptor: pg_sys::TupleDesc) -> Vec<Field> {
        // SAFETY: the descriptor is live, as the caller says.
        let (columns, width) = unsafe { (Column::all(descriptor), (*descriptor).natts as usize) };
        let mut layout = vec![Field::Nothing; width];
        for column in columns {
            layout[column.number as usize - 1] = self.field(&column).unwrap_or(Field::Nothing);
        }
        layout
    }

    /// The columns of the product's values but the id, as SQL selects them.
    pub fn carried(&self) -> String {
        let columns = self.carried.iter().enumerate();
        columns.map(|(n, (_, value))| format!(", {value} AS carried_{n}")).collect()
    }

    pub fn carried_count(&self) -> usize {
        self.carried.len()
    }

    pub fn key_type(&self) -> String {
        self.product.sql_type()
    }

    pub fn key_collation(&self) -> String {
        collation(&self.product)
    }

    pub fn product(&self) -> &Column {
        &self.product
    }

    pub fn region(&self) -> &Column {
        &self.region
    }
}
