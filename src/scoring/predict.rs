//! The functions `reco.predict(model, row)`, `reco.predict(model, real[])` and `reco.predict_quantiles(model, row)`.

use super::call::Resolved;
use super::model_cache::Decoded;
use super::row::Binding;
use crate::error::{or_raise, Error};
use crate::pg::call_site::{argument, state};
use crate::pg::layout::{changed, RowType};
use crate::pg::memory::{bytes, is_plain};
use crate::pg::tuples::{Composite, Deformed};
use crate::pg::values::{push_elements, Number};
use model::Task;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The state of a call site of `predict(model, row)`.
#[derive(Default)]
struct RowCall {
    resolved: Option<Resolved>,
    rows: Option<Rows>,
    deformed: Deformed,
}

/// The row type of the rows, and how they are read.
struct Rows {
    row_type: RowType,
    binding: Binding,
}

/// The score that `model`'s champion gives the row; declared in sql/scoring.sql.
#[pg_extern(sql = false)]
fn predict_row(fcinfo: pg_sys::FunctionCallInfo) -> f64 {
    // SAFETY: Postgres calls this with the arguments that its SQL declares, neither of them NULL.
    unsafe {
        let name = bytes(argument(fcinfo, 0).unwrap_or_else(|| unreachable!("the function is strict")));
        let row = argument(fcinfo, 1).unwrap_or_else(|| unreachable!("the function is strict"));
        or_raise(with_row(state::<RowCall>(fcinfo), name, row, Resolved::score))
    }
}

/// The quantiles that `model`'s champion gives the row; declared in sql/scoring.sql.
#[pg_extern(sql = false)]
fn predict_quantiles(fcinfo: pg_sys::FunctionCallInfo) -> Vec<f64> {
    // SAFETY: as in `predict_row`.
    unsafe {
        let name = bytes(argument(fcinfo, 0).unwrap_or_else(|| unreachable!("the function is strict")));
        let row = argument(fcinfo, 1).unwrap_or_else(|| unreachable!("the function is strict"));
        or_raise(with_row(state::<RowCall>(fcinfo), name, row, quantiles)).to_vec()
    }
}

fn quantiles(resolved: &mut Resolved) -> Result<[f64; 3], Error> {
    let Decoded { scorer, version, tally, .. } = &*resolved.decoded;
    let quantiles = resolved.decoded.quantiles(&mut resolved.inputs.row)?;
    quantiles.inspect(|_| tally.rows(1)).ok_or_else(|| {
        let what = match scorer.task() {
            Task::Binary => "predicts a probability",
            Task::Regression => "predicts a mean only",
        };
        Error::InvalidArgument(
            format!("model \"{}\" has no quantiles: its champion {what}", version.model),
            Some("Quantiles come with the networks and trees of a model whose label is a quantity.".into()),
        )
    })
}

/// Fills the inputs of the model from a row, and calls `then` with them.
///
/// # Safety
/// `datum` is a non-NULL composite value that is live, and there is an active snapshot.
unsafe fn with_row<T>(
    call: &mut RowCall,
    model: &[u8],
    datum: pg_sys::Datum,
    then: impl FnOnce(&mut Resolved) -> Result<T, Error>,
) -> Result<T, Error> {
    // SAFETY: the value is live, as the caller says. The descriptor is that of its row type, which is checked to be
    // unchanged, and the binding was made for it.
    unsafe {
        let composite = Composite::of(datum);
        let id = composite.row_type();
        let resolved = match &mut call.resolved {
            Some(resolved) if resolved.answers(Some(model)) => resolved,
            other => {
                // The row type is read first, because its definition may change while the version is looked up, and the row
                // was made before.
                let row_type = RowType::of(id);
                call.rows = None;
                let resolved = other.insert(Resolved::serving(Some(&String::from_utf8_lossy(model)), None)?);
                call.rows = Some(Rows::new(row_type, resolved)?);
                resolved
            }
        };
        let rows = match &mut call.rows {
            Some(rows) if rows.row_type.id == id => rows,
            other => other.insert(Rows::new(RowType::of(id), resolved)?),
        };
        if !rows.row_type.is_unchanged() {
            return Err(changed(rows.row_type.name()));
        }
        let mut tuple = composite.tuple();
        let attributes = call.deformed.take_apart(&mut tuple, rows.row_type.descriptor);
        rows.binding.fill(attributes, &resolved.decoded.scorer, &mut resolved.inputs)?;
        then(resolved)
    }
}

impl Rows {
    /// # Safety
    /// A value of the row type exists.
    unsafe fn new(row_type: RowType, resolved: &Resolved) -> Result<Self, Error> {
        let recipe = resolved.decoded.scorer.recipe();
        // SAFETY: the descriptor lives as long as the row type.
        let binding = unsafe { Binding::new(&resolved.decoded.version.model, recipe, row_type.descriptor)? };
        Ok(Self { row_type, binding })
    }
}

/// The state of a call site of `predict(model, real[])`.
#[derive(Default)]
struct ArrayCall {
    resolved: Option<Resolved>,
}

/// The score that `model`'s champion gives the numbers; declared in sql/scoring.sql.
#[pg_extern(sql = false)]
fn predict_array(fcinfo: pg_sys::FunctionCallInfo) -> f64 {
    // SAFETY: as in `predict_row`.
    unsafe {
        let name = bytes(argument(fcinfo, 0).unwrap_or_else(|| unreachable!("the function is strict")));
        let array = argument(fcinfo, 1).unwrap_or_else(|| unreachable!("the function is strict"));
        or_raise(score_array(state::<ArrayCall>(fcinfo), name, array))
    }
}

/// # Safety
/// `datum` is a non-NULL `real[]` that is live, and there is an active snapshot.
unsafe fn score_array(call: &mut ArrayCall, model: &[u8], datum: pg_sys::Datum) -> Result<f64, Error> {
    // SAFETY: the array is live, as the caller says. If detoasting made a copy, the copy is ours to free.
    unsafe {
        if !call.resolved.as_ref().is_some_and(|resolved| resolved.answers(Some(model))) {
            let resolved = Resolved::serving(Some(&String::from_utf8_lossy(model)), None)?;
            check_numeric_only(&resolved)?;
            call.resolved = Some(resolved);
        }
        let Some(resolved) = &mut call.resolved else { unreachable!("resolved above") };
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        let in_place = is_plain(original) && !pgrx::varatt_is_1b(original);
        let plain = if in_place { original } else { pg_sys::pg_detoast_datum(original) };
        let result = score_elements(resolved, plain.cast());
        if plain != original {
            pg_sys::pfree(plain.cast());
        }
        result
    }
}

/// # Safety
/// `array` is a detoasted `real[]`.
#[inline]
unsafe fn score_elements(resolved: &mut Resolved, array: *const pg_sys::ArrayType) -> Result<f64, Error> {
    // SAFETY: the array is detoasted, as the caller says. Its header says whether it has NULLs, and its one dimension,
    // which is checked, says how many elements follow.
    unsafe {
        let expected = resolved.decoded.scorer.numbers();
        let dimensions = (*array).ndim;
        let first_dimension = array.add(1).cast::<i32>();
        if dimensions != 1 || *first_dimension as usize != expected {
            return Err(wrong_shape(resolved, array));
        }
        if (*array).dataoffset == 0 {
            // Without NULLs the elements follow the header, which has one dimension and its lower bound and is padded to
            // the alignment.
            let header = std::mem::size_of::<pg_sys::ArrayType>() + 2 * std::mem::size_of::<i32>();
            let start = array.cast::<u8>().add(header.next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize));
            let values = std::slice::from_raw_parts(start.cast::<f32>(), expected);
            return score_numbers(resolved, values);
        }
        let mut elements = Vec::with_capacity(expected);
        let datum = pg_sys::Datum::from(array.cast_mut());
        push_elements(Number::Float4, datum, &mut elements);
        let singles: Vec<f32> = elements.iter().map(|value| *value as f32).collect();
        score_numbers(resolved, &singles)
    }
}

#[inline]
fn score_numbers(resolved: &mut Resolved, values: &[f32]) -> Result<f64, Error> {
    let decoded = &resolved.decoded;
    let score = decoded.number(decoded.scorer.score_numbers(&mut resolved.inputs.row, values))?;
    decoded.tally.rows(1);
    Ok(score)
}

/// # Safety
/// `array` is a detoasted `real[]`.
unsafe fn wrong_shape(resolved: &Resolved, array: *const pg_sys::ArrayType) -> Error {
    // SAFETY: the array is detoasted, as the caller says, so its dimensions follow its header.
    unsafe {
        let dimensions = (*array).ndim;
        let found = match dimensions {
            0 | 1 => format!("{}", pg_sys::ArrayGetNItems(dimensions, array.add(1).cast::<i32>())),
            several => format!("an array of {several} dimensions"),
        };
        let (model, expected) = (&resolved.decoded.version.model, resolved.decoded.scorer.numbers());
        Error::InvalidArgument(
            format!("model \"{model}\" takes an array of {expected} numbers, not {found}"),
            Some(format!("In this order: {}.", input_names(resolved).join(", "))),
        )
    }
}

fn input_names(resolved: &Resolved) -> Vec<&str> {
    resolved.decoded.scorer.recipe().columns.iter().map(|column| column.name.as_str()).collect()
}

fn check_numeric_only(resolved: &Resolved) -> Result<(), Error> {
    if resolved.decoded.scorer.is_numeric_only() {
        return Ok(());
    }
    Err(Error::InvalidArgument(
        format!("model \"{}\" has inputs that are not numbers", resolved.decoded.version.model),
        Some("Give it a row: reco.predict(model, row).".into()),
    ))
}
