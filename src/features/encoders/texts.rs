//! The encoders that turn texts into numbers or other texts.

use super::arrays::{numbers, text_array, texts};
use super::kept::Kept;
use crate::error::Error;
use crate::pg::call::{integer, text, Call};
use crate::pg::sql_function::{sql_function, Returned};
use features::encode::{self, Vocabulary};

sql_function!(label_encode, label_encode);
sql_function!(one_hot, one_hot);
sql_function!(multi_hot, multi_hot);
sql_function!(hash_bucket, hash_bucket);
sql_function!(feature_cross, feature_cross);
sql_function!(ngrams, ngrams);

/// The second argument as a vocabulary, which is kept from row to row; `None` if the argument is NULL.
#[inline]
fn vocabulary(call: &Call) -> Result<Option<&Vocabulary>, Error> {
    let Some(datum) = call.datum(1) else { return Ok(None) };
    call.site::<Kept<Vocabulary>>().get(call, 1, datum, || read_vocabulary(call)).map(Some)
}

fn read_vocabulary(call: &Call) -> Result<Vocabulary, Error> {
    let values: Option<Vec<&[u8]>> = texts(call, 1).unwrap_or_default().into_iter().collect();
    let values = values.ok_or_else(|| Error::invalid("a vocabulary must not contain NULL"))?;
    Ok(Vocabulary::new(values.into_iter())?)
}

fn label_encode(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    let position = call.bytes(0).map_or(0, |value| vocabulary.position(value));
    Ok(Some(integer(position as i32)))
}

fn one_hot(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    Ok(Some(numbers(vocabulary.len(), |into| vocabulary.mark(call.bytes(0).into_iter(), into))))
}

fn multi_hot(call: &Call) -> Returned {
    let Some(vocabulary) = vocabulary(call)? else { return Ok(None) };
    let values = texts(call, 0).unwrap_or_default();
    Ok(Some(numbers(vocabulary.len(), |into| vocabulary.mark(values.into_iter().flatten(), into))))
}

fn hash_bucket(call: &Call) -> Returned {
    let (Some(value), Some(buckets)) = (call.bytes(0), call.integer(1)) else { return Ok(None) };
    Ok(Some(integer(encode::hash_bucket(value, buckets)?)))
}

fn feature_cross(call: &Call) -> Returned {
    let Some(values) = texts(call, 0) else { return Ok(None) };
    let values: Option<Vec<&[u8]>> = values.into_iter().collect();
    let values = values.filter(|values| !values.is_empty());
    Ok(values.map(|values| text(&encode::feature_cross(values.into_iter()))))
}

fn ngrams(call: &Call) -> Returned {
    let (Some(tokens), Some(from_size), Some(to_size), Some(separator)) =
        (texts(call, 0), call.integer(1), call.integer(2), call.bytes(3))
    else {
        return Ok(None);
    };
    let found = encode::ngrams(&tokens, from_size, to_size, separator)?;
    Ok(Some(text_array(found.iter().map(Vec::as_slice))))
}
