//! Reads a row for explanations: its values as the recipe reads them, and the same values as text for a user.

use super::row::{bind_column, wrong_length, BoundColumn};
use crate::error::Error;
use crate::pg::tuples;
use crate::pg::tuples::Attributes;
use crate::pg::values::{self, Reader};
use model::explain::Values;
use model::recipe::{Input, Recipe, Slot};
use model::Scorer;
use pgrx::pg_sys;
use std::ffi::CStr;

/// The positions of the recipe's columns in rows of one type, and how they are read and written.
pub struct Reading {
    /// One entry for each column of the recipe, with the output function that writes its values as text.
    columns: Vec<(BoundColumn, pg_sys::Oid)>,
}

impl Reading {
    /// Finds every column of the recipe in rows of this descriptor.
    ///
    /// # Safety
    /// `descriptor` is a live tuple descriptor.
    pub unsafe fn new(model: &str, recipe: &Recipe, descriptor: pg_sys::TupleDesc) -> Result<Self, Error> {
        // SAFETY: the descriptor is live, as the caller says, and `bind_column` returns one of its attributes.
        unsafe {
            let columns = recipe.columns.iter().zip(recipe.slots()).map(|(column, slot)| {
                let bound = bind_column(model, column, slot, descriptor)?;
                let output = output_function(tuples::attribute(descriptor, bound.attribute).atttypid);
                Ok((bound, output))
            });
            Ok(Self { columns: columns.collect::<Result<_, Error>>()? })
        }
    }

    /// The values of a row.
    ///
    /// # Safety
    /// The row's columns have the types of the descriptor that this was made for.
    pub unsafe fn values(&self, from: Attributes, scorer: &Scorer) -> Result<Values, Error> {
        // SAFETY: the columns have the types that their readers were chosen for, as the caller says.
        unsafe {
            let recipe = scorer.recipe();
            let mut values = Values::missing(recipe);
            for (column, _) in &self.columns {
                let Some(datum) = value(from, column) else { continue };
                match (column.slot, column.reader) {
                    (Slot::Category { index }, reader) => {
                        values.codes[index] =
                            values::with_text(reader, datum, |text| scorer.code(index, Some(text)));
                    }
                    (Slot::Key, reader) => values.key = Some(values::hash(reader, datum)),
                    (Slot::Numbers { first, count }, Reader::Array(element)) => {
                        let mut elements = Vec::with_capacity(count);
                        values::push_elements(element, datum, &mut elements);
                        if elements.len() != count {
                            return Err(wrong_length(recipe, first, count, elements.len()));
                        }
                        values.numbers[first..first + count].copy_from_slice(&elements);
                    }
                    (Slot::Numbers { first, .. }, reader) => {
                        values.numbers[first] = values::number(reader, datum)
                    }
                }
            }
            Ok(values)
        }
    }

    /// The columns of a row as SQL writes them; `None` where one is NULL.
    ///
    /// # Safety
    /// The same as for [`Self::values`].
    pub unsafe fn texts(&self, from: Attributes) -> Vec<Option<String>> {
        // SAFETY: the columns have the types that their output functions write, as the caller says.
        unsafe {
            let text = |(column, output): &(BoundColumn, pg_sys::Oid)| {
                value(from, column).map(|datum| match column.reader {
                    Reader::Padded => values::with_text(Reader::Padded, datum, str::to_owned),
                    _ => written(*output, datum),
                })
            };
            self.columns.iter().map(text).collect()
        }
    }

    /// Values that no row has, such as means, as text. Numbers are rounded to six digits, and dates to the day. A key,
    /// and a category that the model does not know, is `None`.
    pub fn texts_of(&self, values: &Values, recipe: &Recipe) -> Vec<Option<String>> {
        let columns = self.columns.iter().zip(&recipe.columns);
        let text = |((bound, output), column): (&(BoundColumn, pg_sys::Oid), &model::recipe::Column)| match (
            bound.slot,
            &column.input,
        ) {
            (Slot::Category { index }, Input::Category(category)) => {
                let position = values.codes[index].checked_sub(model::recipe::FIRST_VALUE)?;
                category.vocabulary.get(position as usize).map(str::to_owned)
            }
            (Slot::Numbers { first, count }, _) => {
                let numbers = &values.numbers[first..first + count];
                Some(number_text(bound.reader, *output, numbers))
            }
            _ => None,
        };
        columns.map(text).collect()
    }
}

fn value(from: Attributes, column: &BoundColumn) -> Option<pg_sys::Datum> {
    (!from.nulls[column.attribute]).then_some(from.values[column.attribute])
}

fn number_text(reader: Reader, output: pg_sys::Oid, numbers: &[f64]) -> String {
    let float_output = pg_sys::Oid::from(pg_sys::F_FLOAT8OUT);
    // SAFETY: each value has the type that its output function writes.
    let text = |number: f64| unsafe {
        match reader {
            Reader::Date => written(output, pg_sys::Datum::from(number.round() as i32)),
            Reader::Timestamp => written(output, pg_sys::Datum::from((number * 1e6).round() as i64)),
            _ => written(float_output, pg_sys::Datum::from(six_digits(number).to_bits())),
        }
    };
    match reader {
        Reader::Array(_) => {
            format!("{{{}}}", numbers.iter().map(|number| text(*number)).collect::<Vec<_>>().join(","))
        }
        _ => numbers.iter().map(|number| text(*number)).collect(),
    }
}

fn six_digits(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

/// # Safety
/// `type_oid` is a type that exists, because a live descriptor names it.
pub unsafe fn output_function(type_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: the type exists, as the caller says; the out-pointers live through the call.
    unsafe {
        let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
        function
    }
}

/// # Safety
/// `datum` is a non-NULL value of the type that has this output function.
pub unsafe fn written(output: pg_sys::Oid, datum: pg_sys::Datum) -> String {
    // SAFETY: the value fits the function, as the caller says. An output function returns a palloc'd NUL-terminated string.
    unsafe {
        let text = pg_sys::OidOutputFunctionCall(output, datum);
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        pg_sys::pfree(text.cast());
        owned
    }
}
