//! What a model is, away from Postgres and from libtorch.
//!
//! | folder or file | holds |
//! | --- | --- |
//! | `score` | from the values of a row to its score: networks, trees, the kernels, the scorer |
//! | `explain` | what each column contributes to a score; how alike two rows are |
//! | `measure` | metrics, charts, calibration |
//! | `drift` | whether a week's rows are like those of training; the status of a model |
//! | `tune` | the parameters of a training, and the search for good ones |
//! | `stored` | a model version at rest: artifact, recipe, vocabulary, card |
//! | `ab` | A/B tests: which arm a key falls to, and how much better an arm is |
//! | `protocol` | what the backend and the trainer say to each other |
//! | `conversion` | the same of a model in ONNX |
//! | `algorithm` | the algorithms and tasks |
//! | `hash` | hashes of values |
//!
//! Each folder's `mod.rs` is its table of contents. The modules of `measure`, `score`, `stored` and `tune` are also
//! exported here, under their own names.

pub mod ab;
pub mod algorithm;
pub mod conversion;
pub mod drift;
pub mod error;
pub mod explain;
pub mod hash;
pub mod measure;
pub mod protocol;
pub mod score;
pub mod stored;
pub mod tune;

pub use measure::{calibration, charts, isotonic, lists, metrics, quality, ranking, recalibration, tally};
pub use score::{array, best, forest, image, network, predictor, rates, scorer};
pub use stored::{artifact, bytes, card, number_bins, output, recipe, tensors, told, transform, vocabulary};
pub use tune::{halving, params, search, trials};

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
