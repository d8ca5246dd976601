//! Models as [ONNX](https://onnx.ai): versions that leave, and models made elsewhere that come in. Neither Postgres nor libtorch, and
//! no file is ever opened: bytes in, bytes out.
//!
//! | folder or file | holds |
//! | --- | --- |
//! | `export` | a version as one graph, with its preprocessing and its calibration |
//! | `import` | from bytes that may come from anywhere to an artifact |
//! | `proto` | the parts of ONNX's protobuf that are read |

pub mod export;
pub mod import;
mod proto;
