//! Networks, trained by libtorch.
//!
//! | file | holds |
//! | --- | --- |
//! | `fit` | an algorithm's networks from its parameters |
//! | `net` | one network |
//! | `part` | rows on the device |
//! | `examples` | all rows as one part, or a pool at a time |
//! | `room` | what a training will allocate |
//! | `loss`, `adam`, `schedule`, `noise` | what a step needs |
//! | `train` | the loop |

mod adam;
mod examples;
mod fit;
mod loss;
mod net;
mod noise;
mod part;
mod room;
mod schedule;
mod train;

pub use fit::fit;
