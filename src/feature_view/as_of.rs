//! `reco.features_as_of`: the newest feature row that was known at a moment, for each row of a spine.

use super::registry::FeatureView;
use crate::error::{or_raise, Error};
use crate::relation_changes::generation;
use crate::scoring::call::{argument, state};
use crate::tuples;
use crate::values;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::{pg_sys, PgTupleDesc};
use std::ffi::CString;

/// See sql/comments.sql.
#[pg_extern(sql = "
CREATE FUNCTION features_as_of(
    view    anyelement,
    spine   record,
    at      name     DEFAULT NULL,
    max_age interval DEFAULT NULL)
RETURNS SETOF anyelement
STABLE PARALLEL SAFE COST 100 ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn features_as_of(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: Postgres calls this with the arguments that its SQL declares, where a set is expected.
    unsafe {
        let call = state::<Call>(fcinfo);
        let result = or_raise(Result_::begin(fcinfo, call));
        if let Some(spine) = argument(fcinfo, 1) {
            or_raise(call.look_up(fcinfo, spine, &result));
        }
        pg_sys::Datum::from(0)
    }
}
