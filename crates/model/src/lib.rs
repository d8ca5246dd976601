//! What a model is, away from Postgres and from libtorch.
//!
//! | file | holds |
//! | --- | --- |
//! | `algorithm` | the algorithms and tasks |
//! | `protocol` | what the backend and the trainer say to each other |
//! | `params` | the parameters of `reco.train`, checked |
//! | `search`, `halving`, `lanes` | tuning: which parameters a trial has, how long it is trained, how many at once |
//! | `recipe`, `transform` | the fitted preprocessing: raw row in, vector out |
//! | `vocabulary` | the values of a category that a model knows |
//! | `hash` | hashes of values |
//! | `predictor` | what turns a prepared row into numbers: one of the next three |
//! | `network` | weights, and the plain forward pass that all others are tested against |
//! | `rates` | the popularity baseline |
//! | `output` | what the numbers become: probabilities or quantities |
//! | `calibration`, `isotonic` | logits into calibrated probabilities |
//! | `scorer`, `inputs` | the fast way from raw values to the output: scaling folded into the first layer, SIMD |
//! | `stack` | a network's weights in the order in which the kernels read them |
//! | `array`, `image` | the arrays that scoring reads: a process's own, or mapped from a file that many share |
//! | `simd`, `tiles` | the kernels, chosen at run time: of one row, of many at once; the only files that may hold `unsafe` |
//! | `forest` | boosted trees: their walk, as typed arrays, and what each input contributes |
//! | `explain` | what each column contributes to a score; how alike two rows are |
//! | `ranking` | scores beside their outcomes, in order |
//! | `metrics`, `quality` | AUROC, average precision, log loss, Brier score, calibration bins; errors of quantities |
//! | `charts` | ROC curve, confusion matrix, lift |
//! | `tally` | rows measured as they are scored |
//! | `ab` | A/B tests: which arm a key falls to, and how much better an arm is |
//! | `card` | a model card, as JSON and as Markdown |
//! | `artifact`, `tensors` | a model version as safetensors bytes and back, every bound checked |

pub mod ab;
pub mod algorithm;
pub mod array;
pub mod artifact;
pub mod best;
pub mod calibration;
pub mod card;
pub mod charts;
pub mod error;
pub mod explain;
pub mod forest;
pub mod halving;
pub mod hash;
pub mod image;
mod inputs;
pub mod isotonic;
pub mod lanes;
pub mod metrics;
pub mod network;
pub mod output;
pub mod params;
pub mod predictor;
pub mod protocol;
pub mod quality;
pub mod ranking;
pub mod rates;
pub mod recipe;
pub mod scorer;
pub mod search;
mod simd;
mod stack;
pub mod tally;
pub mod tensors;
mod tiles;
pub mod transform;
pub mod vocabulary;

pub use algorithm::{Algorithm, Task};
pub use artifact::Artifact;
pub use error::ModelError;
pub use forest::Forest;
pub use network::Network;
pub use output::Output;
pub use params::Params;
pub use predictor::Predictor;
pub use quality::Quality;
pub use recipe::Recipe;
pub use scorer::{Batch, Row, Scorer};
