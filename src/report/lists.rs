//! Lists of the catalog, as its views show them to the caller.

use crate::error::Error;
use crate::pg::acting_as::with_fixed_words;
use pgrx::spi::SpiHeapTupleData;
use pgrx::Spi;
use report::{Contender, First, Promotion};

/// How many rows of a list are shown.
const MOST: i64 = 30;

/// The first rows of a query about a model ($1), at most `most` ($2), which gives in its first column how many there are in all.
pub fn first<T>(
    query: &str,
    model: &str,
    most: i64,
    read: impl Fn(&SpiHeapTupleData) -> Result<T, Error>,
) -> Result<First<T>, Error> {
    with_fixed_words(|| {
        Spi::connect(|client| {
            let mut list = First { rows: Vec::new(), all: 0 };
            for row in client.select(query, None, &[model.into(), most.into()])? {
                list.all = row.get::<i64>(1)?.unwrap_or_default() as u64;
                list.rows.push(read(&row)?);
            }
            Ok(list)
        })
    })
}

pub fn leaderboard(model: &str) -> Result<First<Contender>, Error> {
    let query =
        "SELECT pg_catalog.count(*) OVER (), version, algorithm, champion, auroc, average_precision, rmse,
                        test_auroc, test_average_precision, test_rmse, seconds, error
                 FROM reco.leaderboard($1) LIMIT $2";
    first(query, model, MOST, |row| {
        Ok(Contender {
            version: row.get(2)?,
            algorithm: row.get(3)?.unwrap_or_default(),
            champion: row.get(4)?.unwrap_or_default(),
            auroc: row.get(5)?,
            average_precision: row.get(6)?,
            rmse: row.get(7)?,
            test_auroc: row.get(8)?,
            test_average_precision: row.get(9)?,
            test_rmse: row.get(10)?,
            seconds: row.get(11)?,
            error: row.get(12)?,
        })
    })
}

pub fn promotions(model: &str) -> Result<First<Promotion>, Error> {
    let query =
        "SELECT pg_catalog.count(*) OVER (), moved_at::pg_catalog.text, action, from_version, to_version,
                        moved_by::pg_catalog.text, why
                 FROM reco.promotions WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY step DESC LIMIT $2";
    first(query, model, MOST, |row| {
        Ok(Promotion {
            at: row.get(2)?.unwrap_or_default(),
            action: row.get(3)?.unwrap_or_default(),
            from: row.get(4)?,
            to: row.get(5)?,
            by: row.get(6)?.unwrap_or_default(),
            why: row.get(7)?,
        })
    })
}
