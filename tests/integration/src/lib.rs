//! What the tests of a real server share.
//!
//! | file | holds |
//! | --- | --- |
//! | `installation` | where PostgreSQL and the state folder are, and the server's user |
//! | `catalog_objects` | the objects of the extension, to be compared between two databases |
//! | `catalog_copy` | a server that has a copy of another's catalog |
//! | `cluster` | a private server in a folder of its own, gone when the test is |
//! | `database` | a database of its own for each test, copied from a template |
//! | `data` | the seeded training table |
//! | `training` | `CALL reco.train`, in this session or in the background |
//! | `process` | processes, by pid and start time |
//! | `refusal` | errors as a user sees them |
//! | `query` | one value, or rows, out of a query |
//! | `wait` | polling with a deadline |

pub mod catalog_copy;
pub mod catalog_objects;
pub mod cluster;
pub mod data;
pub mod database;
pub mod installation;
pub mod process;
pub mod query;
pub mod refusal;
pub mod training;
pub mod tuning;
pub mod wait;

pub use cluster::Cluster;
pub use database::Database;
pub use query::{rows, value};
pub use refusal::refusal;
pub use training::{Background, Training};
pub use tuning::Tuning;
pub use wait::wait_until;
