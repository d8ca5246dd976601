//! The functions `reco.top_products(region, k)` and `reco.top_regions(product_id, k)`: the k keys with the highest scores.

use super::query::{Id, Of, Wanted};
use super::scores::score_newest;
use crate::error::{or_raise, Error};
use crate::pg::call_site::argument;
use crate::pg::values::given;
use crate::scoring::call::Resolved;
use crate::scoring::source::Key;
use model::best::Best;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The largest number of keys that a caller may ask for.
const MOST: i32 = 100_000;

type Ranked = TableIterator<'static, (i32, String, f64)>;

/// Declared in sql/ranking.sql.
#[pg_extern(sql = false)]
fn top_products(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<'static, (name!(rank, i32), name!(product_id, String), name!(score, f64))> {
    // SAFETY: the SQL of this function declares the first argument a text and the fifth an array.
    unsafe { top(fcinfo, Of::ProductsOfRegion, Key::Text) }
}

/// Declared in sql/ranking.sql.
#[pg_extern(sql = false)]
fn top_regions_bigint(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<'static, (name!(rank, i32), name!(region, String), name!(score, f64))> {
    // SAFETY: the SQL of this function declares the first argument a bigint and the fifth an array.
    unsafe { top(fcinfo, Of::RegionsOfProduct, Key::Bigint) }
}

/// Declared in sql/ranking.sql.
#[pg_extern(sql = false)]
fn top_regions_text(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<'static, (name!(rank, i32), name!(region, String), name!(score, f64))> {
    // SAFETY: the SQL of this function declares the first argument a text and the fifth an array.
    unsafe { top(fcinfo, Of::RegionsOfProduct, Key::Text) }
}

/// # Safety
/// `fcinfo` is that of the running call, with the arguments (the given key, k integer, model text, as_of date, candidates,
/// max_age integer).
unsafe fn top(fcinfo: pg_sys::FunctionCallInfo, of: Of, key: Key) -> Ranked {
    // SAFETY: the call is running, and each argument is read as the type that its SQL declares.
    unsafe {
        let Some(value) = argument(fcinfo, 0) else { return Ranked::empty() };
        let array_type = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 4);
        let wanted = Wanted {
            of,
            given: (key, value),
            as_of: argument(fcinfo, 3),
            candidates: argument(fcinfo, 4).map(|array| (array_type, array)),
        };
        let model = pgrx::pg_getarg::<String>(fcinfo, 2);
        let (k, max_age) = (pgrx::pg_getarg(fcinfo, 1), pgrx::pg_getarg(fcinfo, 5));
        let best = or_raise(best(model.as_deref(), k, max_age, &wanted));
        Ranked::new(best.into_iter().zip(1..).map(|((id, score), rank)| (rank, id.to_string(), score)))
    }
}

fn best(
    model: Option<&str>,
    k: Option<i32>,
    max_age: Option<i32>,
    wanted: &Wanted,
) -> Result<Vec<(Id, f64)>, Error> {
    let k = given(k, "k")?;
    if !(1..=MOST).contains(&k) {
        return Err(Error::invalid(format!("k is a number from 1 to {MOST}, not {k}")));
    }
    if let Some(days) = max_age.filter(|days| *days < 0) {
        return Err(Error::invalid(format!("max_age is a number of days, 0 or more, not {days}")));
    }
    let resolved = Resolved::new(model, None)?;
    let mut best = Best::new(k as usize);
    Spi::connect(|client| {
        score_newest(client, resolved, wanted, max_age, |id, score| best.offer(id, score))
    })?;
    Ok(best.finish().into_iter().map(|scored| (scored.item, scored.score)).collect())
}
