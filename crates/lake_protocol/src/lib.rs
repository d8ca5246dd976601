//! What a backend and the object-storage process say to each other, and what a URI of the lake is.
//!
//! | file | holds |
//! | --- | --- |
//! | `message` | tasks, events and the columns that they are about |
//! | `frame` | how messages and rows follow each other on a pipe |
//! | `uri` | URIs, and whether one lies under a prefix |

pub mod frame;
pub mod message;
pub mod uri;
