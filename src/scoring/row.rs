//! Turns the columns of a row into the model's inputs. Columns are found by name, so a row may have them in any order and
//! may have other columns too.

use crate::error::Error;
use crate::pg::relations::{qualified_name, Opened};
use crate::pg::tuples::{self, Attributes};
use crate::pg::values::{self, Number, Reader};
use model::recipe::{Column, Family, Recipe, Slot};
use model::{Row, Scorer};
use pgrx::pg_sys;

/// The positions of the recipe's columns in rows of one type, and how they are read.
pub struct Binding {
    /// The attributes of all numbers, if each of them is a `real` column of its own. They are read in one pass.
    singles: Option<Vec<usize>>,
    /// All other columns, which are read one by one.
    columns: Vec<BoundColumn>,
    width: usize,
}

/// The position of a column of the recipe in rows of one type, and how it is read.
pub struct BoundColumn {
    /// The column's position in the row, from 0.
    pub attribute: usize,
    pub reader: Reader,
    pub slot: Slot,
}

impl Binding {
    /// Finds every column of the recipe in rows of this descriptor.
    ///
    /// # Safety
    /// `descriptor` is a live tuple descriptor.
    pub unsafe fn new(model: &str, recipe: &Recipe, descriptor: pg_sys::TupleDesc) -> Result<Self, Error> {
        // SAFETY: the descriptor is live, as the caller says.
        unsafe {
            let bind = |(column, slot)| bind_column(model, column, slot, descriptor);
            let mut columns =
                recipe.columns.iter().zip(recipe.slots()).map(bind).collect::<Result<Vec<_>, _>>()?;
            let width = columns.iter().map(|column| column.attribute + 1).max().unwrap_or(0);
            let singles = singles(&columns);
            if singles.is_some() {
                columns.retain(|column| !column.is_number());
            }
            Ok(Self { singles, columns, width })
        }
    }

    /// How many attributes of a row have to be deformed, from the first on.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Fills the model's inputs from a row.
    ///
    /// # Safety
    /// The row's columns have the types of the descriptor that the binding was made for.
    pub unsafe fn fill(&self, from: Attributes, scorer: &Scorer, inputs: &mut Inputs) -> Result<(), Error> {
        // SAFETY: the columns have the types that their readers were chosen for, as the caller says.
        unsafe {
            if let Some(singles) = &self.singles {
                inputs.singles.clear();
                inputs.singles.extend(singles.iter().map(|attribute| from.single(*attribute)));
                scorer.set_numbers(&mut inputs.row, &inputs.singles);
            }
            for column in &self.columns {
                let value = (!from.nulls[column.attribute]).then_some(from.values[column.attribute]);
                let row = &mut inputs.row;
                match (column.slot, column.reader) {
                    (Slot::Category { index }, reader) => set_category(reader, value, index, scorer, row),
                    (Slot::Numbers { first, count }, Reader::Array(element)) => {
                        set_array(element, value, first, count, scorer, row)
                            .map_err(|found| wrong_length(scorer.recipe(), first, count, found))?;
                    }
                    (Slot::Key, reader) => {
                        scorer.set_key(row, value.map(|datum| values::hash(reader, datum)));
                    }
                    // Most columns: one look at the reader, one at the number.
                    (Slot::Numbers { first, .. }, Reader::Number(number)) => {
                        scorer.set_number(row, first, value.map(|v| number.value(v)));
                    }
                    (Slot::Numbers { first, .. }, reader) => {
                        scorer.set_number(row, first, value.map(|v| values::number(reader, v)));
                    }
                }
            }
            Ok(())
        }
    }
}

/// Refuses a relation that lacks a column of the recipe, or has one whose type is of another family.
pub fn check_columns(model: &str, recipe: &Recipe, relation: pg_sys::Oid) -> Result<(), Error> {
    let name = qualified_name(relation)?;
    let opened = Opened::of(relation)?;
    // SAFETY: the relation is open.
    let bound = unsafe { Binding::new(model, recipe, opened.descriptor()) };
    bound.map(drop).map_err(|error| error.of_relation(&name))
}

impl BoundColumn {
    fn is_number(&self) -> bool {
        matches!(self.slot, Slot::Numbers { .. })
    }
}

fn singles(columns: &[BoundColumn]) -> Option<Vec<usize>> {
    let numbers = || columns.iter().filter(|column| column.is_number());
    let all =
        numbers().count() > 0 && numbers().all(|column| column.reader == Reader::Number(Number::Float4));
    all.then(|| numbers().map(|column| column.attribute).collect())
}

/// The inputs of one model, which are filled anew for every row.
pub struct Inputs {
    pub row: Row,
    /// A buffer for the numbers, which are set all at once.
    pub singles: Vec<f32>,
}

impl Inputs {
    pub fn of(scorer: &Scorer) -> Self {
        Self { row: scorer.row(), singles: Vec::with_capacity(scorer.numbers()) }
    }
}

/// # Safety
/// The value has the type that the reader is for.
unsafe fn set_category(
    reader: Reader,
    value: Option<pg_sys::Datum>,
    index: usize,
    scorer: &Scorer,
    row: &mut Row,
) {
    // SAFETY: the value has the type that the reader is for, as the caller says.
    unsafe {
        match value {
            Some(datum) => {
                values::with_text(reader, datum, |text| scorer.set_category(row, index, Some(text)))
            }
            None => scorer.set_category(row, index, None),
        }
    }
}

/// Sets every element of an array, or sets all of them to missing if the array is NULL. If the array has a wrong length,
/// that length is the error.
///
/// # Safety
/// The value is an array whose elements have the type that the reader is for.
unsafe fn set_array(
    element: Number,
    value: Option<pg_sys::Datum>,
    first: usize,
    count: usize,
    scorer: &Scorer,
    row: &mut Row,
) -> Result<(), usize> {
    // SAFETY: the elements have the type that the reader is for, as the caller says.
    unsafe {
        let mut elements = Vec::with_capacity(count);
        match value {
            Some(datum) => values::push_elements(element, datum, &mut elements),
            None => elements.resize(count, f64::NAN),
        }
        if elements.len() != count {
            return Err(elements.len());
        }
        for (number, value) in (first..).zip(elements) {
            scorer.set_number(row, number, Some(value));
        }
        Ok(())
    }
}

/// The error for an array whose length is not the one that the model was trained with.
pub fn wrong_length(recipe: &Recipe, first: usize, expected: usize, found: usize) -> Error {
    let starts_here = |slot: &Slot| matches!(slot, Slot::Numbers { first: f, .. } if *f == first);
    let position = recipe.slots().iter().position(starts_here).unwrap_or(0);
    Error::invalid(format!(
        "the array in column \"{}\" has {found} elements, but the model was trained with {expected}",
        recipe.columns[position].name
    ))
}

/// Finds a column of the recipe in rows of this descriptor.
///
/// # Safety
/// `descriptor` is a live tuple descriptor.
pub unsafe fn bind_column(
    model: &str,
    column: &Column,
    slot: Slot,
    descriptor: pg_sys::TupleDesc,
) -> Result<BoundColumn, Error> {
    // SAFETY: the descriptor is live, as the caller says.
    unsafe {
        let named = |(_, found): &(usize, &_)| tuples::attribute_name(found) == column.name;
        let Some((attribute, found)) = tuples::attributes(descriptor).find(named) else {
            return Err(Error::MissingColumn {
                column: column.name.clone(),
                relation: None,
                model: model.to_owned(),
                expected: describe(column),
            });
        };
        match values::reader_of(found.atttypid) {
            Some((family, reader)) if family == column.family => Ok(BoundColumn { attribute, reader, slot }),
            _ => Err(Error::WrongType {
                column: column.name.clone(),
                relation: None,
                model: model.to_owned(),
                found: values::type_name(found.atttypid, found.atttypmod),
                expected: describe(column),
            }),
        }
    }
}

fn describe(column: &Column) -> String {
    match column.family {
        Family::Boolean | Family::Date => column.family.describe().to_owned(),
        family => format!("{} ({} when it was trained)", family.describe(), column.sql_type),
    }
}
