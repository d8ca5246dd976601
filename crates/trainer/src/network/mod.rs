//! Networks, trained by libtorch.
//!
//! | file | holds |
//! | --- | --- |
//! | `fit` | an algorithm's networks from its parameters |
//! | `net` | one network |
//! | `rows`, `on_device` | encoded rows as tensors; their way to the device, and the network's outputs for them |
//! | `examples` | all rows as one part, or a pool at a time |
//! | `room` | how much memory a training will allocate |
//! | `loss`, `adam`, `schedule`, `noise`, `plain` | the loss, the optimizer, the learning rate, dropout, and gradients by hand |
//! | `average` | the moving average of the parameters, which is what is served |
//! | `batches`, `worker` | what each thread does of a step |
//! | `plan`, `train` | what the loop is told, and the loop |

mod adam;
mod average;
mod batches;
mod examples;
mod fit;
mod loss;
mod net;
mod noise;
mod on_device;
mod plain;
mod plan;
mod room;
mod rows;
mod schedule;
mod train;
mod worker;

pub use fit::{fit, shape};
pub use net::{spread, Shape};
