//! Makes the states of `crates/features` states of aggregates. They allocate on Rust's heap.

use crate::error::Error;
use crate::pg::aggregate::State;
use crate::pg::call::text;
use features::state;
use pgrx::pg_sys;

impl<S: state::State> State for S {
    const IN_CONTEXT: bool = false;

    #[inline]
    fn copied(&self) -> Result<Self, Error> {
        Ok(self.clone())
    }

    #[inline]
    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        Ok(state::State::merge(self, other)?)
    }

    fn stored(&self) -> pg_sys::Datum {
        text(&self.to_bytes())
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::from_bytes(bytes)?)
    }
}
