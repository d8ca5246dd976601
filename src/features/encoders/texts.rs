//! Texts to numbers and to other texts.

use super::arrays::{numbers, text_array, texts};
use super::call::{integer, text, Call};
use super::kept::Kept;
use super::sql_functions;
use crate::error::Error;
use crate::pg::sql_function::Returned;
use features::encode::{self, Vocabulary};
use pgrx::pg_sys;

/// The second argument, kept from row to row; `None` where it is NULL.
#[inline]
fn vocabulary(call: &Call) -> Result<Option<&Vocabulary>, Error> {
    let Some(datum) = call.datum(1) else { return Ok(None) };
    call.site::<Kept<Vocabulary>>().get(call, 1, datum, read_vocabulary).map(Some)
}

fn read_vocabulary(datum: pg_sys::Datum) -> Result<Vocabulary, Error> {
    // SAFETY: a vocabulary is a text[].
    let values: Option<Vec<&[u8]>> = unsafe { texts(datum) }.into_iter().collect();
    let values = values.ok_or_else(|| Error::invalid("a vocabulary must not contain NULL"))?;
    Ok(Vocabulary::new(values.into_iter())?)
}

fn label_encode(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    let position = call.text(0).map_or(0, |value| vocabulary.position(value));
    Ok(Some(integer(position as i32)))
}

fn one_hot(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    Ok(Some(numbers(vocabulary.len(), |into| vocabulary.mark(call.text(0).into_iter(), into))))
}

fn multi_hot(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    // SAFETY: the argument is a text[].
    let values = call.datum(0).map_or_else(Vec::new, |array| unsafe { texts(array) });
    Ok(Some(numbers(vocabulary.len(), |into| vocabulary.mark(values.into_iter().flatten(), into))))
}

fn hash_bucket(call: &Call) -> Returned {
    let (Some(value), Some(buckets)) = (call.text(0), call.integer(1)) else { return Ok(None) };
    Ok(Some(integer(encode::hash_bucket(value, buckets)?)))
}

fn feature_cross(call: &Call) -> Returned {
    let Some(array) = call.datum(0) else { return Ok(None) };
    // SAFETY: the argument is a text[].
    let values: Option<Vec<&[u8]>> = unsafe { texts(array) }.into_iter().collect();
    let values = values.filter(|values| !values.is_empty());
    Ok(values.map(|values| text(&encode::feature_cross(values.into_iter()))))
}

fn ngrams(call: &Call) -> Returned {
    let (Some(tokens), Some(from_size), Some(to_size), Some(separator)) =
        (call.datum(0), call.integer(1), call.integer(2), call.text(3))
    else {
        return Ok(None);
    };
    // SAFETY: the argument is a text[].
    let found = encode::ngrams(&unsafe { texts(tokens) }, from_size, to_size, separator)?;
    Ok(Some(text_array(found.iter().map(Vec::as_slice))))
}

sql_functions!(label_encode, one_hot, multi_hot, hash_bucket, feature_cross, ngrams);
