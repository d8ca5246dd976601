//! The arithmetic of A/B tests.
//!
//! | file | holds |
//! | --- | --- |
//! | `assignment` | which arm a key falls to |
//! | `ratio` | a rate of purchases with its variance, units counted whole |
//! | `lift` | how much better an arm is than another: an interval and a p-value for one look, and for any number of looks |
//! | `mismatch` | whether the units came in the shares that were asked for |
//! | `summary` | what came of the keys that an arm has shown |
//! | `normal` | the normal distribution |

pub mod assignment;
pub mod lift;
pub mod mismatch;
pub(crate) mod normal;
pub mod ratio;
pub mod summary;

pub use assignment::{Assignment, Product, Unit};
pub use lift::Lift;
pub use ratio::Ratio;
pub use summary::{Exposure, Summary};
