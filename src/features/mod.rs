//! Feature functions and aggregates: the glue of `crates/features`.

mod encoders;
