//! What the aggregates share: they read a row's score and label, and send their states between processes as words of 8
//! bytes.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::memory::varlena;
use pgrx::pg_sys;

const WORD: usize = 8;

/// A bytea of `count` words, which `write` puts into it one by one.
pub fn words_to_bytea(count: usize, write: impl FnOnce(&mut dyn FnMut(u64))) -> pg_sys::Datum {
    varlena(count * WORD, |out| {
        let mut places = out.chunks_exact_mut(WORD);
        write(&mut |word| places.next().into_iter().for_each(|p| p.copy_from_slice(&word.to_ne_bytes())));
    })
}

/// The words of a bytea that [`words_to_bytea`] has made.
pub fn words_of(bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + '_ {
    bytes.chunks_exact(WORD).map(|word| word.try_into().map_or(0, u64::from_ne_bytes))
}

pub fn damaged() -> Error {
    Error::invalid("the state of an aggregate is damaged")
}

/// Refuses a score that is no probability, where it is taken for one.
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

/// Refuses a number that is not finite, because one such row would decide every mean.
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

/// The score and the label of a row, which are arguments 1 and 2; `None` if one of them is NULL. The label is a boolean.
#[inline]
pub fn score_and_boolean(call: &Call) -> Option<(f64, bool)> {
    Some((call.float(1)?, call.boolean(2)?))
}

/// The same for a label that is the number 0 or 1; another number is an error.
#[inline]
pub fn score_and_number(call: &Call) -> Result<Option<(f64, bool)>, Error> {
    let (Some(score), Some(label)) = (call.float(1), call.float(2)) else { return Ok(None) };
    if label == 0.0 || label == 1.0 {
        return Ok(Some((score, label == 1.0)));
    }
    Err(Error::Data {
        message: format!("a label is 0 or 1, not {label}"),
        hint: "Compare it with what counts as positive: quantity > 0.".into(),
    })
}
