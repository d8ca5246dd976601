//! The popularity baseline on a version's test rows: a row scores `(positives + 10 * mean) / (rows + 10)` over the earlier
//! rows of its product, where `mean` is that of the training rows. This is what the trainer compares every model with
//! (`crates/trainer/src/baseline.rs`), counted from what the source holds now.

use super::days::Days;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::evaluation::measure::check_deadline;
use crate::evaluation::{too_many_rows, MAX_ROWS};
use crate::pg::cursor::{Cursor, Snapshot};
use crate::pg::relations::Relation;
use crate::pg::tuples::Deformed;
use crate::pg::values::{self, Reader};
use model::ranking::Ranking;
use model::recipe::Family;
use pgrx::spi::quote_identifier;
use pgrx::{pg_sys, Spi};
use report::Baseline;
use std::collections::HashMap;
use std::time::Instant;

/// Each product starts with this many rows of the mean.
const PRIOR_ROWS: f64 = 10.0;
/// The most products that are told apart.
const MAX_PRODUCTS: usize = 10_000_000;

/// The rows of one product at one time.
struct Group {
    product: String,
    /// Seconds since 1970.
    time: f64,
    /// Whether they are training rows, and whether they are test rows.
    training: bool,
    tested: bool,
    positives: f64,
    rows: f64,
}

pub fn baseline(
    version: &VersionRow,
    source: pg_sys::Oid,
    days: &Days,
    deadline: Instant,
) -> Result<Baseline, Error> {
    let query = query(version, source)?;
    let dates = [days.validation_from, days.from, days.until];
    let parameters = dates.map(|day| (pg_sys::DATEOID, Some(pg_sys::Datum::from(day))));
    Spi::connect(|_| {
        let mut popularity = Popularity::new();
        let mut cursor = Cursor::open(&query, &parameters, Snapshot::Statement)?;
        let mut deformed = Deformed::default();
        while let Some(fetched) = cursor.fetch() {
            check_deadline(Some(deadline))?;
            for n in 0..fetched.len() {
                // SAFETY: the cursor is open and has more than n tuples of this batch. The query casts each column to the type that it is read
                // as, and none of them but the first is NULL.
                let group = unsafe {
                    let row = deformed.take_apart(fetched.tuple(n), fetched.descriptor());
                    let number = |n: usize| f64::from_bits(row.values[n].value() as u64);
                    let is = |n: usize| row.values[n].value() as u8 != 0;
                    let product = match row.nulls[0] {
                        true => String::new(),
                        false => values::with_text(Reader::Text, row.values[0], str::to_owned),
                    };
                    let (time, positives, rows) = (number(1), number(4), number(5));
                    Group { product, time, training: is(2), tested: is(3), positives, rows }
                };
                popularity.take(group)?;
            }
        }
        popularity.settle();
        Ok(Baseline::of(popularity.ranking.sorted()))
    })
}

/// The labelled rows by product and time, the earliest first.
fn query(version: &VersionRow, source: pg_sys::Oid) -> Result<String, Error> {
    let relation = Relation::of(source)?;
    let needed = (version.keys.first(), &version.time_column, &version.label);
    let (Some(product), Some(time), Some(label)) = needed else {
        return Err(Error::invalid(
            "it needs a product, a time and a label, and the version does not name all of them",
        ));
    };
    relation.require(product, "keys")?;
    relation.require(time, "time")?;
    relation.require(label, "label")?;
    let [product, time] = [product, time].map(|name| format!("t.{}", quote_identifier(name)));
    let value = match relation.family(label) {
        Some(Family::Boolean) => format!("t.{}::pg_catalog.int4::pg_catalog.float8", quote_identifier(label)),
        _ => format!("t.{}::pg_catalog.float8", quote_identifier(label)),
    };
    let before = |n: usize| format!("{time} OPERATOR(pg_catalog.<) ${n}");
    Ok(format!(
        "SELECT {product}::pg_catalog.text, pg_catalog.date_part('epoch', {time}), {}, NOT {}, pg_catalog.sum({value}), \
         pg_catalog.count(*)::pg_catalog.float8 FROM {} AS t WHERE t.{} IS NOT NULL AND {} GROUP BY 1, 2, 3, 4 ORDER BY 2",
        before(1),
        before(2),
        relation.name,
        quote_identifier(label),
        before(3)
    ))
}

/// Products as they were known so far.
struct Popularity {
    known: HashMap<String, (f64, f64)>,
    /// Of the training rows: their positives, and how many there are.
    training: (f64, f64),
    /// The groups of one time, whose outcomes are known once it is past.
    now: Vec<Group>,
    ranking: Ranking,
}

impl Popularity {
    fn new() -> Self {
        let ranking = Ranking::of(&[], &[]);
        Self { known: HashMap::new(), training: (0.0, 0.0), now: Vec::new(), ranking }
    }

    fn take(&mut self, group: Group) -> Result<(), Error> {
        if group.training {
            self.training.0 += group.positives;
            self.training.1 += group.rows;
        }
        if self.now.first().is_some_and(|first| first.time < group.time) {
            self.settle();
        }
        if self.ranking.len() as f64 + group.rows > MAX_ROWS as f64 {
            return Err(too_many_rows());
        }
        if group.tested {
            self.rank(&group);
        }
        self.now.push(group);
        match self.known.len() > MAX_PRODUCTS {
            true => Err(Error::invalid(format!("there are more than {MAX_PRODUCTS} products"))),
            false => Ok(()),
        }
    }

    fn rank(&mut self, group: &Group) {
        let mean = self.training.0 / self.training.1.max(1.0);
        let (positives, rows) = self.known.get(&group.product).copied().unwrap_or_default();
        let score = (positives + PRIOR_ROWS * mean) / (rows + PRIOR_ROWS);
        for n in 0..group.rows as u64 {
            self.ranking.insert(score, (n as f64) < group.positives);
        }
    }

    /// What happened at this time is known from now on.
    fn settle(&mut self) {
        for group in self.now.drain(..) {
            let seen = self.known.entry(group.product).or_default();
            seen.0 += group.positives;
            seen.1 += group.rows;
        }
    }
}
