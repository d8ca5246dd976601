//! On Citus, a coordinator and two workers: the same answers as on one server, or an error. `make test-citus` runs this where
//! there is a Citus.
//!
//! | file | holds |
//! | --- | --- |
//! | `nodes` | the servers, and a database on one server beside them that holds the same |
//! | `guards` | what is refused: shell tables are never read, and no stale catalog |
//! | `demo` | the demo, differentially |
//! | `workers` | what runs on the workers |

mod demo;
mod guards;
mod nodes;
mod workers;
