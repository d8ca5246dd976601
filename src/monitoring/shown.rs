//! What A/B tests of a model have shown in a week, and what was bought of it. The log is read with the rights of the extension's
//! owner; an entry counts only if the caller may see the row of the source that it stands for.

use crate::ab_test::report::{outcome_query, outcomes, Logged};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::values::EPOCH;
use features::weeks::Week;
use std::collections::{BTreeMap, HashMap};

/// How many rows of the log are read at a time.
const BATCH: i64 = 20_000;

/// Counts of what was shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    pub shown: i64,
    /// Those whose outcome is known.
    pub outcomes: i64,
    pub bought: i64,
}

impl Shown {
    fn add(&mut self, purchased: Option<bool>) {
        self.shown += 1;
        self.outcomes += i64::from(purchased.is_some());
        self.bought += i64::from(purchased == Some(true));
    }
}

/// What was shown of all regions, and of each; `None` if nothing was.
pub type AllShown = Option<(Shown, BTreeMap<String, Shown>)>;

pub fn of_week(model: &str, week: Week) -> Result<AllShown, Error> {
    let (mut all, mut regions) = (Shown::default(), BTreeMap::<String, Shown>::new());
    // A version whose source is gone has no query.
    let mut queries: HashMap<i32, Option<String>> = HashMap::new();
    let mut after = None;
    loop {
        let page = page(model, week, after.as_ref())?;
        let Some((last, _)) = page.last() else { break };
        after = Some(Place::of(last));
        let mut by_version: BTreeMap<i32, Vec<&Logged>> = BTreeMap::new();
        for (entry, version) in &page {
            by_version.entry(*version).or_default().push(&entry.logged);
        }
        for (version, logged) in by_version {
            let query = queries.entry(version).or_insert_with(|| outcome_query(model, version).ok());
            let Some(query) = query else { continue };
            for (n, purchased) in outcomes(query, &logged)? {
                all.add(purchased);
                regions.entry(logged[n].region.clone()).or_default().add(purchased);
            }
        }
    }
    Ok((all.shown > 0).then_some((all, regions)))
}

/// An entry of the log, with the test that it belongs to.
struct Entry {
    test: String,
    logged: Logged,
}

/// Where a page ends, in the order of the log's primary key.
struct Place {
    test: String,
    week: i32,
    region: String,
    product: String,
    own: String,
}

impl Place {
    fn of(entry: &Entry) -> Self {
        let Logged { week, region, product, own, .. } = &entry.logged;
        let (region, product, own) = (region.clone(), product.clone(), own.clone());
        Self { test: entry.test.clone(), week: *week, region, product, own }
    }
}

/// The next entries, each with the version that scored it.
fn page(model: &str, week: Week, after: Option<&Place>) -> Result<Vec<(Entry, i32)>, Error> {
    let sql = format!(
        "SELECT r.test, r.week OPERATOR(pg_catalog.-) {EPOCH}, r.region, r.product_id, r.ab_key, r.score, r.version \
         FROM reco.recommendation AS r JOIN reco.ab_test AS t ON t.test OPERATOR(pg_catalog.=) r.test \
         WHERE t.model OPERATOR(pg_catalog.=) $1 \
           AND r.week OPERATOR(pg_catalog.>=) ({EPOCH} OPERATOR(pg_catalog.+) $2) \
           AND r.week OPERATOR(pg_catalog.<) ({EPOCH} OPERATOR(pg_catalog.+) $3) \
           AND ($4 IS NULL OR (r.test, r.week, r.region, r.product_id, r.ab_key) OPERATOR(pg_catalog.>) \
                              ($4, {EPOCH} OPERATOR(pg_catalog.+) $5, $6, $7, $8)) \
         ORDER BY r.test, r.week, r.region, r.product_id, r.ab_key LIMIT $9"
    );
    as_owner(|client| {
        let text = |of: fn(&Place) -> &str| after.map(of);
        let arguments = [
            model.into(),
            week.monday().into(),
            week.plus(1).monday().into(),
            text(|place| &place.test).into(),
            after.map(|place| place.week).into(),
            text(|place| &place.region).into(),
            text(|place| &place.product).into(),
            text(|place| &place.own).into(),
            BATCH.into(),
        ];
        let mut entries = Vec::new();
        for row in client.update(&sql, None, &arguments)? {
            let required = Error::damaged_row;
            let logged = Logged {
                arm: 0,
                week: row.get(2)?.ok_or_else(required)?,
                region: row.get(3)?.ok_or_else(required)?,
                product: row.get(4)?.ok_or_else(required)?,
                own: row.get(5)?.ok_or_else(required)?,
                score: row.get(6)?.ok_or_else(required)?,
            };
            let test = row.get(1)?.ok_or_else(required)?;
            entries.push((Entry { test, logged }, row.get(7)?.ok_or_else(required)?));
        }
        Ok(entries)
    })
}
