//! The rows of a training: read, checked, ordered and split.
//!
//! | file | holds |
//! | --- | --- |
//! | `input` | the Arrow file, its schema checked against the spec |
//! | `column` | an Arrow array into numbers, texts and hashes |
//! | `values` | the values of one input column, compact |
//! | `labels` | what is to be predicted |
//! | `groups` | the region of each row |
//! | `lists` | the rows of each region and time, of which the best are acted on |
//! | `hash` | the digest of the data |
//! | `data` | all rows: inputs, labels, event times and hashes |
//! | `stored` | out-of-core rows: their values stay in the file |
//! | `block` | the values of chosen rows, from memory or from the file |
//! | `split` | training, validation and test rows |
//! | `prepared` | reads, orders and splits the rows, step by step |

pub mod block;
pub mod column;
pub mod data;
pub mod groups;
pub mod hash;
pub mod input;
pub mod labels;
pub mod lists;
pub mod prepared;
pub mod split;
pub mod stored;
pub mod values;
