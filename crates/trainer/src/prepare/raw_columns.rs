//! Rows as a query has them: raw values by the recipe's numbering, for whoever scores or encodes them one by one.

use crate::rows::block::Block;
use crate::rows::data::Table;
use crate::rows::values::{Dictionary, Floats, Values, NULL_CODE};
use model::recipe::{Column, Recipe, Slot};

/// The raw columns of a block that have the names of a recipe's columns.
pub struct RawColumns<'a> {
    columns: Vec<RawColumn<'a>>,
    rows: &'a [u32],
    places: &'a [u32],
}

/// A raw column, and where it goes.
enum RawColumn<'a> {
    Numbers { width: usize, floats: &'a Floats, first: usize },
    Category { dictionary: &'a Dictionary, index: usize },
    Key(&'a [u64]),
}

impl<'a> RawColumns<'a> {
    pub fn new(recipe: &Recipe, table: &'a Table, block: &Block<'a>) -> Self {
        let column = |(column, slot): (&Column, Slot)| {
            let values = || block.features.iter().find(|f| f.source.name == column.name).map(|f| &f.values);
            match slot {
                Slot::Key => table.first_key.as_deref().map(RawColumn::Key),
                Slot::Numbers { first, .. } => match values() {
                    Some(Values::Numbers { width, floats }) => {
                        Some(RawColumn::Numbers { width: *width, floats, first })
                    }
                    _ => None,
                },
                Slot::Category { index } => match values() {
                    Some(Values::Category(dictionary)) => Some(RawColumn::Category { dictionary, index }),
                    _ => None,
                },
            }
        };
        // The recipe was made from this table: it has every column.
        let columns = recipe.columns.iter().zip(recipe.slots()).filter_map(column).collect();
        Self { columns, rows: block.rows, places: block.places }
    }

    /// How many rows the block has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Hands the raw values of the n-th row of the block to the receiver: numbers (`None` where missing) and texts, in
    /// input order.
    pub fn raw_row(&self, n: usize, receiver: &mut impl RawRow) {
        (0..self.columns.len()).for_each(|column| self.raw_value(column, n, receiver));
    }

    /// Hands over what one column has in the n-th row.
    pub fn raw_value(&self, column: usize, n: usize, receiver: &mut impl RawRow) {
        let place = self.places[n] as usize;
        match &self.columns[column] {
            RawColumn::Numbers { width, floats, first } => {
                for position in 0..*width {
                    let value = floats.get(place * width + position);
                    receiver.number(first + position, value.is_finite().then_some(value));
                }
            }
            RawColumn::Category { dictionary, index } => {
                let text = match dictionary.codes[place] {
                    NULL_CODE => None,
                    code => Some(&*dictionary.texts[code as usize]),
                };
                receiver.category(*index, text);
            }
            RawColumn::Key(keys) => receiver.key(keys[self.rows[n] as usize]),
        }
    }
}

/// Takes the raw values of a row.
pub trait RawRow {
    fn number(&mut self, number: usize, value: Option<f64>);
    fn category(&mut self, category: usize, value: Option<&str>);
    /// Takes the hash of the key.
    fn key(&mut self, key: u64);
}
