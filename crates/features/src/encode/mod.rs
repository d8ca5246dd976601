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
//! | `checks` | what all fits check of their options and values |
//! | `wire` | the states of fits as bytes, between the processes of a parallel query |
//!
//! Fits leave NaN out and refuse infinite values. Their states can be merged in any order, since they come from
//! parallel workers.

pub mod buckets;
mod checks;
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
