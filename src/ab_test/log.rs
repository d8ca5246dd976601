//! The function `reco.log_recommendations`: it stores what a running test shows. The caller only names the keys. Arm,
//! version, week and score are found here, with the caller's rights, in the same way as `recommend` finds them.

use super::keys::Keyed;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::catalog_lock::table_of_catalog;
use crate::pg::catalog_place::check_writable;
use crate::pg::cursor::{Cursor, Parameter, Snapshot};
use crate::pg::distributed::is_distributed;
use crate::pg::session::refuse_read_only;
use crate::pg::tuples::Deformed;
use crate::pg::values::{given, with_text, Reader, EPOCH};
use crate::scoring::arms::Test;
use crate::scoring::call::Resolved;
use crate::scoring::check_columns;
use crate::scoring::model_cache;
use crate::scoring::row::{Binding, Inputs};
use model::ab::{Product, Unit};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::{pg_sys, IntoDatum};

/// The largest number of keys in one call.
const MOST_KEYS: usize = 1 << 20;

/// Keys as the caller gives them, one in each element.
type Texts = Vec<Option<String>>;

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn log_recommendations(
    product_ids: Option<Texts>,
    regions: Option<Texts>,
    model: Option<&str>,
    as_of: Option<pgrx::datum::Date>,
    ab_keys: Option<Texts>,
) -> i64 {
    let log = || {
        refuse_read_only(c"reco.log_recommendations()");
        check_writable("reco.log_recommendations()", table_of_catalog(c"model")?)?;
        let keys = Keys {
            products: given(product_ids, "product_ids")?,
            regions: given(regions, "regions")?,
            own: ab_keys,
        };
        keys.check()?;
        let Some(name) = Resolved::new(model, None)?.test else { return Ok(0) };
        let test = Test::read(&name)?;
        let mut stored = 0;
        for (n, keys) in
            keys.by_arm(&test).into_iter().enumerate().filter(|(_, keys)| !keys.products.is_empty())
        {
            let shown = score(&test.model, test.arms[n].version, &keys, as_of)?;
            stored += store(&name, &test, n, &keys, &shown)?;
        }
        Ok(stored)
    };
    or_raise(log())
}

struct Keys {
    products: Texts,
    regions: Texts,
    own: Option<Texts>,
}

/// The keys that fall to one arm.
#[derive(Default)]
struct ArmKeys {
    products: Vec<String>,
    regions: Vec<String>,
    /// The caller's own keys. They are empty texts if the test assigns something else.
    own: Vec<String>,
}

impl Keys {
    fn check(&self) -> Result<(), Error> {
        let keys = self.products.len();
        if keys > MOST_KEYS {
            return Err(Error::Limit {
                message: format!("there are {keys} keys, but one call takes {MOST_KEYS} at most"),
                hint: "Log them in several calls.".into(),
            });
        }
        if self.regions.len() != keys || self.own.as_ref().is_some_and(|own| own.len() != keys) {
            return Err(Error::invalid("product_ids, regions and ab_keys differ in length"));
        }
        Ok(())
    }

    /// The keys that take part in a test, by arm.
    fn by_arm(self, test: &Test) -> Vec<ArmKeys> {
        let mut arms: Vec<ArmKeys> = test.arms.iter().map(|_| ArmKeys::default()).collect();
        let mut own = self.own.unwrap_or_default().into_iter();
        for (product, region) in self.products.into_iter().zip(self.regions) {
            let own = own.next().flatten();
            let (Some(product), Some(region)) = (product, region) else { continue };
            let Some(arm) = test.arm(Product::Text(&product), &region, own.as_deref()) else { continue };
            let keys = &mut arms[arm];
            keys.products.push(product);
            keys.regions.push(region);
            keys.own.push(own.filter(|_| test.unit() == Unit::Key).unwrap_or_default());
        }
        arms
    }
}

/// What was shown for a key.
struct Shown {
    /// The key's position in [`ArmKeys`].
    key: usize,
    /// The key as its row has it, so that it is logged once, however the caller writes it.
    product: String,
    region: String,
    /// The first day of the week of the key's row, in days since 2000-01-01.
    week: i32,
    score: f64,
}

/// The score that a version gives the newest row of each key. Keys without a row are left out.
fn score(
    model: &str,
    version: i32,
    keys: &ArmKeys,
    as_of: Option<pgrx::datum::Date>,
) -> Result<Vec<Shown>, Error> {
    Spi::connect(|_| {
        let decoded = model_cache::decoded_version(model, version)?;
        let scorer = &decoded.scorer;
        let columns: Vec<String> = scorer.recipe().columns.iter().map(|column| column.name.clone()).collect();
        let keyed = Keyed::of(&decoded.version)?;
        check_columns(model, scorer.recipe(), keyed.source.relation.oid)?;
        let query = newest_rows(&keyed, &columns, as_of.is_some());
        let mut parameters: Vec<Parameter> = vec![
            (pg_sys::TEXTARRAYOID, keys.products.clone().into_datum()),
            (pg_sys::TEXTARRAYOID, keys.regions.clone().into_datum()),
        ];
        if as_of.is_some() {
            parameters.push((pg_sys::DATEOID, as_of.into_datum()));
        }
        let mut cursor = Cursor::open(&query, &parameters, Snapshot::Statement)?;
        let (mut deformed, mut inputs, mut shown) = (Deformed::default(), Inputs::of(scorer), Vec::new());
        // SAFETY: the cursor is open and every tuple of it has its descriptor. The last four columns are the week and the
        // number of the key, which are read as integers and never as pointers, and the key, which the query casts to text.
        unsafe {
            let binding = Binding::new(model, scorer.recipe(), cursor.descriptor())?;
            while let Some(fetched) = cursor.fetch() {
                for n in 0..fetched.len() {
                    pgrx::check_for_interrupts!();
                    let row = deformed.take_apart(fetched.tuple(n), fetched.descriptor());
                    binding.fill(row, scorer, &mut inputs)?;
                    let of_key = |n: usize| row.values[columns.len() + n];
                    let text = |n: usize| with_text(Reader::Text, of_key(n), str::to_owned);
                    shown.push(Shown {
                        key: of_key(1).value() - 1,
                        product: text(2),
                        region: text(3),
                        week: of_key(0).value() as i32,
                        score: decoded.score(&mut inputs.row)?,
                    });
                }
            }
        }
        Ok(shown)
    })
}

/// The query for the newest row of each key: the recipe's columns, the week, the number of the key, from 1, and the key.
fn newest_rows(keyed: &Keyed, columns: &[String], with_as_of: bool) -> String {
    let of = |table: &str| {
        let quoted = columns.iter().map(|column| format!("{table}.{}", quote_identifier(column)));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let Keyed { source, time, same_key, texts: [product, region] } = keyed;
    let relation = &source.relation;
    let until = match with_as_of {
        true => format!(" AND {time} OPERATOR(pg_catalog.<=) $3"),
        false => String::new(),
    };
    let keys = "ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS u (product_id, region, \"reco.key\")";
    let is_wanted = format!("{same_key} AND pg_catalog.isfinite({time}){until}");
    if is_distributed(relation.oid) {
        // Citus does not look for the newest row key by key, so each shard reads all rows of its keys.
        return format!(
            "SELECT DISTINCT ON (u.\"reco.key\") {}, {time} AS \"reco.week\", u.\"reco.key\", {product} AS \"reco.product\", \
                    {region} AS \"reco.region\" \
             FROM {keys} JOIN {} AS t ON {is_wanted} ORDER BY u.\"reco.key\", {time} DESC",
            of("t"),
            relation.name,
        );
    }
    format!(
        "SELECT {}, f.\"reco.week\", u.\"reco.key\", f.\"reco.product\", f.\"reco.region\" \
         FROM {keys} \
         CROSS JOIN LATERAL (SELECT {}, {time} AS \"reco.week\", {product} AS \"reco.product\", \
                                    {region} AS \"reco.region\" FROM {} AS t \
                             WHERE {is_wanted} ORDER BY {time} DESC LIMIT 1) AS f",
        of("f"),
        of("t"),
        relation.name,
    )
}

/// Stores what an arm has shown, except what was stored before. Returns how many rows are new.
fn store(name: &str, test: &Test, arm: usize, keys: &ArmKeys, shown: &[Shown]) -> Result<i64, Error> {
    let caller = current_user();
    let each = |of: fn(&Shown) -> &String| shown.iter().map(|one| of(one).clone()).collect::<Vec<_>>();
    let own: Vec<&str> = shown.iter().map(|one| keys.own[one.key].as_str()).collect();
    let insert = format!(
        "INSERT INTO reco.recommendation \
                      (test, week, region, product_id, ab_key, arm, model, version, score, shown_by) \
                  SELECT $1, {EPOCH} OPERATOR(pg_catalog.+) s.day, s.region, s.product_id, s.own, \
                         $2, $3, $4, s.score, $5 \
                  FROM ROWS FROM (pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), \
                                  pg_catalog.unnest($9), pg_catalog.unnest($10)) \
                       AS s (day, region, product_id, own, score) \
                  ON CONFLICT DO NOTHING"
    );
    as_owner(|client| {
        // The lock keeps others from dropping the test until this transaction ends; else these rows would be left behind.
        let lock = "SELECT FROM reco.ab_test WHERE test OPERATOR(pg_catalog.=) $1 FOR KEY SHARE";
        if client.update(lock, Some(1), &[name.into()])?.is_empty() {
            return Err(Error::UnknownTest(name.to_owned()));
        }
        let row = [
            name.into(),
            test.arms[arm].name.as_str().into(),
            test.model.as_str().into(),
            test.arms[arm].version.into(),
            caller.as_str().into(),
            shown.iter().map(|one| one.week).collect::<Vec<_>>().into(),
            each(|one| &one.region).into(),
            each(|one| &one.product).into(),
            own.into(),
            shown.iter().map(|one| one.score).collect::<Vec<_>>().into(),
        ];
        Ok(client.update(&insert, None, &row)?.len() as i64)
    })
}
