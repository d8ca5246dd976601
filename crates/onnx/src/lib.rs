//! Models as [ONNX](https://onnx.ai), which other programs run, away from Postgres and from libtorch.
//!
//! | folder or file | holds |
//! | --- | --- |
//! | `export` | a version as one graph, with its preprocessing and its calibration |

pub mod export;
