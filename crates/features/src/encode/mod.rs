//! Encoders: what turns a column into numbers a model can take.
//!
//! | file | what |
//! | --- | --- |
//! | `statistics` | count, mean, variance, minimum and maximum of a column; the scalers that need no more |
//! | `quantiles` | quantiles of a column, exact up to a bound and then sketched |
//! | `values` | what is fitted to quantiles: the robust scaler, boundaries of buckets |
//! | `counts` | how often each value of a column occurs, within a bound |
//! | `vocabulary` | the values worth a number of their own, and the encodings by them |
//! | `imputer` | what a missing value is replaced with |
//! | `scale` | scales a value by a fitted scaler |
//! | `buckets` | the bucket of a number, by boundaries, and of a text, by hash |
//! | `vectors` | polynomials, norms, cyclic time |
//! | `text` | feature crosses, n-grams |
//! | `wire` | the states of fits as bytes, between the processes of a parallel query |
//!
//! Fits leave NaN out and refuse infinite values. Their states can be merged in any order, since they come from
//! parallel workers.

pub mod buckets;
pub mod counts;
pub mod imputer;
pub mod quantiles;
pub mod scale;
pub mod statistics;
pub mod text;
pub mod values;
pub mod vectors;
pub mod vocabulary;
mod wire;

pub use buckets::{bucketize, hash_bucket, Boundaries};
pub use imputer::{Imputer, Strategy, TextImputer};
pub use scale::{MaxAbsScaler, MinMaxScaler, RobustScaler, Scaler, StandardScaler};
pub use statistics::Statistics;
pub use text::{feature_cross, ngrams};
pub use values::Values;
pub use vectors::{cyclic_encode, normalize, polynomial_expand};
pub use vocabulary::{Vocabulary, VocabularyFit};

use crate::FeatureError;

fn argument(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Argument { message: message.into(), hint: Some(hint.into()) }
}

fn range(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Range { message: message.into(), hint: Some(hint.into()) }
}

fn limit(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Limit { message: message.into(), hint: Some(hint.into()) }
}

/// Whether a fit counts the value: NaN is missing, infinite values are refused.
fn counts(value: f64) -> Result<bool, FeatureError> {
    if value.is_infinite() {
        return Err(range(
            "an encoder cannot be fitted to infinite values",
            "Leave them out with FILTER (WHERE …), or make them NULL.",
        ));
    }
    Ok(!value.is_nan())
}

/// Keeps the option that the first row gave; every other row must give the same.
fn agree<T: PartialEq>(kept: &mut Option<T>, given: T, name: &str) -> Result<(), FeatureError> {
    match kept {
        Some(kept) if *kept == given => Ok(()),
        Some(_) => Err(argument(
            format!("{name} must be the same in every row"),
            "Give a constant, or group by what it depends on.",
        )),
        None => {
            *kept = Some(given);
            Ok(())
        }
    }
}

/// The option that the states of two processes agree on.
fn agree_merged<T: PartialEq + Clone>(
    kept: &mut Option<T>,
    other: &Option<T>,
    name: &str,
) -> Result<(), FeatureError> {
    other.as_ref().map_or(Ok(()), |given| agree(kept, given.clone(), name))
}
