//! A model version at rest: what is written, and read back with every bound checked.
//!
//! | file | holds |
//! | --- | --- |
//! | `artifact`, `tensors` | a model version as safetensors bytes and back |
//! | `recipe`, `transform`, `number_bins` | the fitted preprocessing: raw row in, vector out |
//! | `vocabulary` | the values of a category that a model knows |
//! | `meaning` | these values and keys in the form in which rows are read |
//! | `output` | what a predictor's numbers become: probabilities or quantities |
//! | `card` | a model card, as JSON and as Markdown |
//! | `told` | what the file of a model that was trained elsewhere tells of its training |
//! | `moment` | the event times of the data that a version saw |

pub mod artifact;
pub mod bytes;
pub mod card;
mod meaning;
pub mod moment;
pub mod number_bins;
pub mod output;
pub mod recipe;
pub mod tensors;
pub mod told;
pub mod transform;
pub mod vocabulary;
