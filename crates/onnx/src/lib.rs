//! ONNX models: what others made becomes an artifact of ours. Neither Postgres nor files: bytes in, bytes out.
//!
//! | folder or file | holds |
//! | --- | --- |
//! | `proto` | the parts of ONNX's protobuf that are read |
//! | `import` | from bytes that may come from anywhere to an artifact |

pub mod import;
mod proto;
