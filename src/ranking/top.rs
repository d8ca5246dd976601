//! The functions `reco.top_products(region, k)` and `reco.top_regions(product_id, k)`: the k keys with the highest scores.

use super::query::{Id, Of, Wanted};
use super::scores::score_newest;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use crate::scoring::call::Resolved;
use crate::scoring::source::Key;
use model::best::Best;
use pgrx::{pg_sys, IntoDatum, Spi};

/// The largest number of keys that a caller may ask for.
const MOST: i32 = 100_000;

sql_function!(top_products, |call| top(call, Of::ProductsOfRegion, Key::Text));
sql_function!(top_regions_bigint, |call| top(call, Of::RegionsOfProduct, Key::Bigint));
sql_function!(top_regions_text, |call| top(call, Of::RegionsOfProduct, Key::Text));

/// (the given key of type `key`, k integer, model text, as_of date, candidates array, max_age integer, plan jsonb)
fn top(call: &Call, of: Of, key: Key) -> Returned {
    let mut set = RowSet::begin(call)?;
    let Some(value) = call.datum(0) else { return Ok(None) };
    let wanted = Wanted {
        of,
        given: (key, value),
        as_of: call.datum(3),
        candidates: call.datum(4).map(|array| (call.argument_type(4), array)),
        plan: call.datum(6),
    };
    let best = best(call.text(2).as_deref(), call.integer(1), call.integer(5), &wanted)?;
    set.put_each((1..).zip(best), ranked)?;
    Ok(None)
}

/// rank, the key, score.
fn ranked((rank, (id, score)): (i32, (Id, f64))) -> [Option<pg_sys::Datum>; 3] {
    [rank.into_datum(), id.to_string().into_datum(), score.into_datum()]
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
    let resolved = Resolved::serving(model, None)?;
    let mut best = Best::new(k as usize);
    Spi::connect(|client| {
        score_newest(client, resolved, wanted, max_age, |id, score| best.offer(id, score))
    })?;
    Ok(best.finish().into_iter().map(|scored| (scored.item, scored.score)).collect())
}
