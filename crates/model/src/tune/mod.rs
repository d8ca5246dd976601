//! What a training is told, and the search for what to tell it.
//!
//! | file | holds |
//! | --- | --- |
//! | `params` | the parameters of `reco.train`: one table, and what is checked by it |
//! | `bounds` | what a parameter can be |
//! | `choices` | the parameters whose values have names |
//! | `search` | which parameters a trial has |
//! | `halving` | which trials are trained, and for how long |
//! | `trials` | how many trials are trained at once, and on what |

pub mod bounds;
mod choices;
pub mod halving;
pub mod params;
pub mod search;
pub mod trials;
