//! From the values of a row to its score.
//!
//! | file | holds |
//! | --- | --- |
//! | `scorer` | the way in: a row or a batch of rows, scored; scaling folded into the first layer |
//! | `predictor` | what turns a prepared row into numbers: one of the next three, or a blend |
//! | `activation` | what hidden layers do to their sums |
//! | `network` | weights, and the plain forward pass that all others are tested against |
//! | `forest` | boosted trees: their walk, as typed arrays, and what each input contributes |
//! | `rates` | the popularity baseline |
//! | `inputs` | raw numbers on their way into a network |
//! | `stack` | a network's weights in the order in which the kernels read them |
//! | `simd`, `tiles`, `vectors` | the kernels, chosen at run time: of one row, of many at once; the instruction sets. Only they hold `unsafe` |
//! | `array`, `image` | the arrays that scoring reads: a process's own, or mapped from a file that many share |
//! | `best` | the k best of many scores |

mod activation;
pub mod array;
pub mod best;
pub mod forest;
pub mod image;
mod inputs;
pub mod network;
pub mod predictor;
pub mod rates;
pub mod scorer;
mod simd;
mod stack;
mod tiles;
mod vectors;
