//! What a model is, away from Postgres and from libtorch.
//!
//! | file | holds |
//! | --- | --- |
//! | `protocol` | what the backend and the trainer say to each other |
//! | `params` | the parameters of `reco.train`, checked |
//! | `recipe` | the fitted preprocessing: raw row in, vector out |
//! | `network` | weights, and the plain forward pass that all others are tested against |
//! | `scorer` | the fast forward pass: scaling folded into the first layer, SIMD |
//! | `stack` | the network's weights in the order in which the kernels read them |
//! | `simd` | the kernels, chosen at run time; the one file that may hold `unsafe` |
//! | `forest` | boosted trees: their walk, and as typed arrays |
//! | `calibration` | Platt scaling of the network's logits |
//! | `metrics` | AUROC, average precision, log loss, Brier score, calibration bins |
//! | `artifact` | a model version as safetensors bytes and back, every bound checked |

pub mod artifact;
pub mod calibration;
pub mod error;
pub mod forest;
pub mod metrics;
pub mod network;
pub mod params;
pub mod protocol;
pub mod recipe;
pub mod scorer;
mod simd;
mod stack;

pub use artifact::Artifact;
pub use error::ModelError;
pub use forest::Forest;
pub use network::Network;
pub use params::Params;
pub use recipe::Recipe;
pub use scorer::{Row, Scorer};
