//! `reco.check_setup()`.
//!
//! | file | what it looks at |
//! | --- | --- |
//! | `check_setup` | the function: all findings, one row each |
//! | `server`      | versions, settings beside the machine |
//! | `trainer`     | the trainer, libtorch, processors, GPUs |

mod check_setup;
mod server;
mod trainer;
