//! Models as [ONNX](https://onnx.ai): versions that leave, and models made elsewhere that come in. Neither Postgres nor libtorch, and
//! no file is ever opened: bytes in, bytes out.
//!
//! | folder or file | holds |
//! | --- | --- |
//! | `export` | a version as one graph, with its preprocessing and its calibration |
//! | `import` | from bytes that may come from anywhere to an artifact |
//! | `carried` | the artifact that an exported file carries besides |
//! | `proto` | the parts of ONNX's protobuf that are read or written |

mod carried;
pub mod export;
pub mod import;
pub mod proto;
