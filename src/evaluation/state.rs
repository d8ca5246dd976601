//! What an aggregate does with its state, which lies in the aggregate's memory and is never dropped: all its memory is
//! Postgres's own, so that it counts against `work_mem` where rows are grouped by hash.

use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::memory::{aggregate_context, bytes, in_context, keep, varlena};
use crate::pg::sql_function::Returned;
use crate::pg::values;
use pgrx::pg_sys;

/// A state; what it allocates comes from [`crate::pg::memory::Palloc`]. Between processes it is a sequence of words.
pub trait State: Default {
    /// Takes in what another process has seen.
    fn merge(&mut self, other: &Self) -> Result<(), Error>;

    /// How many words [`State::write`] puts.
    fn words(&self) -> usize;

    fn write(&self, put: impl FnMut(u64));

    /// What was written; an error where it is damaged.
    fn read(words: &mut impl ExactSizeIterator<Item = u64>) -> Result<Self, Error>;
}

const WORD: usize = 8;

pub fn damaged() -> Error {
    Error::invalid("the state of an aggregate is damaged")
}

/// Changes the state that is argument 0, made if there is none yet.
///
/// # Safety
/// `fcinfo` is that of a transition or combine function whose argument 0 is an `S`.
pub unsafe fn step<S: State>(
    fcinfo: pg_sys::FunctionCallInfo,
    change: impl FnOnce(&mut S) -> Result<(), Error>,
) -> Returned {
    let known = state::<S>(fcinfo, 0);
    in_context(aggregate_context(fcinfo)?, || {
        let state = known.unwrap_or_else(|| keep(S::default()));
        change(&mut *state)?;
        Ok(Some(pg_sys::Datum::from(state)))
    })
}

/// # Safety
/// Argument `n` of the running call is an `S` or NULL.
pub unsafe fn state<S: State>(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<*mut S> {
    argument(fcinfo, n).map(|datum| datum.cast_mut_ptr())
}

/// (state, state): a lone second state lies in a context of its own, and is copied.
///
/// # Safety
/// Both arguments are an `S` or NULL.
pub unsafe fn combine<S: State>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    match state::<S>(fcinfo, 1) {
        None => Ok(argument(fcinfo, 0)),
        Some(other) => step::<S>(fcinfo, |state| state.merge(&*other)),
    }
}

/// (state) to bytea.
///
/// # Safety
/// The argument is an `S` or NULL.
pub unsafe fn serialize<S: State>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    Ok(state::<S>(fcinfo, 0).map(|state| {
        let state = &*state;
        varlena(state.words() * WORD, |out| {
            let mut places = out.chunks_exact_mut(WORD);
            state
                .write(|word| places.next().into_iter().for_each(|p| p.copy_from_slice(&word.to_ne_bytes())));
        })
    }))
}

/// (bytea, internal): the state lies in the context of the moment; it is merged into another.
///
/// # Safety
/// The first argument is a bytea or NULL.
pub unsafe fn deserialize<S: State>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(datum) = argument(fcinfo, 0) else { return Ok(None) };
    let words = bytes(datum).chunks_exact(WORD);
    let state = S::read(&mut words.map(|word| word.try_into().map_or(0, u64::from_ne_bytes)))?;
    Ok(Some(pg_sys::Datum::from(keep(state))))
}

/// A double precision argument.
///
/// # Safety
/// Argument `n` of the running call is a double precision.
#[inline]
pub unsafe fn float(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<f64> {
    argument(fcinfo, n).map(|datum| values::number(values::Reader::Float8, datum))
}

/// Refuses a score that is no probability, where it is read as one.
#[inline]
pub fn check_probability(score: f64) -> Result<(), Error> {
    match (0.0..=1.0).contains(&score) {
        true => Ok(()),
        false => Err(no_probability(score)),
    }
}

#[cold]
fn no_probability(score: f64) -> Error {
    Error::InvalidArgument(
        format!("a score that is a probability lies between 0 and 1, not at {score}"),
        Some("Of scores on another scale auroc and average_precision measure the ranking.".into()),
    )
}

/// Refuses what is no quantity: one such row would be all that a mean says.
#[inline]
pub fn check_quantity(name: &str, quantity: f64) -> Result<(), Error> {
    match quantity.is_finite() {
        true => Ok(()),
        false => Err(no_quantity(name, quantity)),
    }
}

#[cold]
fn no_quantity(name: &str, quantity: f64) -> Error {
    Error::InvalidArgument(
        format!("a {name} is a finite number, not {quantity}"),
        Some("Rows where one of the two is NULL are left out: NULLIF(…, 'NaN').".into()),
    )
}

/// Score and label of a row, arguments 1 and 2, the label a boolean; `None` where one is NULL.
///
/// # Safety
/// The arguments have these types.
#[inline]
pub unsafe fn score_and_boolean(fcinfo: pg_sys::FunctionCallInfo) -> Option<(f64, bool)> {
    Some((float(fcinfo, 1)?, argument(fcinfo, 2)?.value() as u8 != 0))
}

/// The same of a label that is 0 or 1; another number is an error.
///
/// # Safety
/// The arguments are double precision.
#[inline]
pub unsafe fn score_and_number(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<(f64, bool)>, Error> {
    let (Some(score), Some(label)) = (float(fcinfo, 1), float(fcinfo, 2)) else { return Ok(None) };
    if label == 0.0 || label == 1.0 {
        return Ok(Some((score, label == 1.0)));
    }
    Err(Error::Data {
        message: format!("a label is 0 or 1, not {label}"),
        hint: "Compare it with what counts as positive: quantity > 0.".into(),
    })
}
