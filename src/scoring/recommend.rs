//! `reco.recommend(product_id, region)`: the newest feature row of a key, scored.

use super::call::Resolved;
use super::newest_row::NewestRow;
use super::source::Key;
use crate::call_site::{argument, state, text_bytes};
use crate::error::{or_raise, Error};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The state of a call site.
#[derive(Default)]
struct KeyCall {
    resolved: Option<Resolved>,
    newest: Option<NewestRow>,
}

/// See sql/comments.sql.
#[pg_extern(sql = "
CREATE FUNCTION recommend(product_id bigint, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn recommend_bigint(fcinfo: pg_sys::FunctionCallInfo) -> Option<f64> {
    // SAFETY: the first argument is a bigint.
    unsafe { recommend(fcinfo, Key::Bigint) }
}

/// See sql/comments.sql.
#[pg_extern(sql = "
CREATE FUNCTION recommend(product_id text, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn recommend_text(fcinfo: pg_sys::FunctionCallInfo) -> Option<f64> {
    // SAFETY: the first argument is a text.
    unsafe { recommend(fcinfo, Key::Text) }
}

/// # Safety
/// `fcinfo` is that of a running call with the arguments (product of type `key`, region, model, as_of).
unsafe fn recommend(fcinfo: pg_sys::FunctionCallInfo, key: Key) -> Option<f64> {
    let (product, region) = (argument(fcinfo, 0)?, argument(fcinfo, 1)?);
    let model = argument(fcinfo, 2).map(|name| text_bytes(name));
    let as_of = argument(fcinfo, 3);
    let call_site = (*(*fcinfo).flinfo).fn_mcxt;
    or_raise(score_key(state::<KeyCall>(fcinfo), call_site, key, [product, region], model, as_of))
}

unsafe fn score_key(
    call: &mut KeyCall,
    call_site: pg_sys::MemoryContext,
    key: Key,
    values: [pg_sys::Datum; 2],
    model: Option<&[u8]>,
    as_of: Option<pg_sys::Datum>,
) -> Result<Option<f64>, Error> {
    if !call.resolved.as_ref().is_some_and(|resolved| resolved.answers(model)) {
        call.newest = None;
        let name = model.map(String::from_utf8_lossy);
        call.resolved = Some(Resolved::new(name.as_deref(), None)?);
    }
    let Some(resolved) = &mut call.resolved else { unreachable!("resolved above") };
    if !call.newest.as_ref().is_some_and(|newest| newest.serves(as_of.is_some())) {
        let recipe = resolved.decoded.scorer.recipe();
        let newest = NewestRow::of(call_site, &resolved.decoded.version, recipe, key, as_of.is_some())?;
        call.newest = Some(newest);
    }
    let Some(newest) = &mut call.newest else { unreachable!("prepared above") };
    let found = newest.fill(values, as_of, &resolved.decoded.scorer, &mut resolved.inputs)?;
    Ok(found.then(|| resolved.score()))
}
