//! Networks, trained by libtorch.
//!
//! | file | holds |
//! | --- | --- |
//! | `fit` | an algorithm's networks from its parameters |
//! | `net` | one network |
//! | `part` | rows on the device |
//! | `loss`, `adam`, `schedule`, `noise` | what a step needs |
//! | `train` | the loop |

mod adam;
mod fit;
mod loss;
mod net;
mod noise;
mod part;
mod schedule;
mod train;

pub use fit::fit;
