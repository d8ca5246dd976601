//! Scores the newest rows of many keys, in batches.

use super::newest::{Filling, Newest};
use super::query::{Id, RankingQuery, Wanted};
use crate::error::Error;
use crate::pg::each_row::each_row;
use crate::pg::tuples::Attributes;
use crate::scoring::call::Resolved;
use model::Batch;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;

/// Scores the newest row of each wanted key, and calls `take` with key and score, once for each key, in no order. Keys
/// whose row is more than `max_age` days older than the newest row of all are left out.
pub fn score_newest(
    client: &SpiClient,
    resolved: Resolved,
    wanted: &Wanted,
    max_age: Option<i32>,
    mut take: impl FnMut(Id, f64),
) -> Result<(), Error> {
    let query = RankingQuery::of_recipe(&resolved.decoded.version, resolved.decoded.scorer.recipe(), wanted)?;
    // SAFETY: the plan is a jsonb.
    let mut scoring = Scoring::new(unsafe { Filling::new(resolved, wanted.plan)? });
    let mut newest = replacing(client, &mut scoring, &query)?;
    if newest.fits() {
        if let (Some(days), Some(time)) = (max_age, newest.time()) {
            newest.forget_before(query.unordered().1.days_before(time, days));
        }
        newest.each(take);
        return Ok(());
    }
    drop(newest);
    let mut scoring = Scoring::new(scoring.filling.again());
    let (text, columns) = query.one_each();
    let earliest = match max_age {
        Some(days) => columns.days_before(newest_time(client, &query)?, days),
        None => i64::MIN,
    };
    each_row(client, &text, &query.parameters, columns.read(), &mut |descriptor, row| {
        if columns.time(row) < earliest {
            return Ok(true);
        }
        // SAFETY: the row is one of the query's, and it has this descriptor.
        unsafe { scoring.put(columns.id(row), descriptor, row)? };
        if scoring.batch.is_full() {
            scoring.finish(&mut take)?;
        }
        Ok(true)
    })?;
    scoring.finish(&mut take)
}

/// The time of the newest row of all, which a pass of its own finds.
fn newest_time(client: &SpiClient, query: &RankingQuery) -> Result<i64, Error> {
    let mut newest = i64::MIN;
    let (text, columns) = query.unordered();
    each_row(client, &text, &query.parameters, columns.read(), &mut |_, row| {
        newest = newest.max(columns.time(row));
        Ok(true)
    })?;
    Ok(newest)
}

/// Scores the rows with a hash table of all keys. The table may turn out not to fit; then keys are missing in it.
fn replacing(
    client: &SpiClient,
    scoring: &mut Scoring<usize>,
    query: &RankingQuery,
) -> Result<Newest<f64>, Error> {
    let mut newest = Newest::default();
    let (text, columns) = query.unordered();
    each_row(client, &text, &query.parameters, columns.read(), &mut |descriptor, row| {
        // SAFETY: the row is one of the query's, and it has this descriptor.
        unsafe {
            if let Some(place) = newest.place(columns, row) {
                scoring.put(place, descriptor, row)?;
            }
        }
        if scoring.batch.is_full() {
            scoring.finish(|place, score| newest.keep(place, score))?;
        }
        Ok(newest.fits())
    })?;
    // If two rows of one key wait for their scores, the newer one comes later, so its score is the one that is kept.
    scoring.finish(|place, score| newest.keep(place, score))?;
    Ok(newest)
}

/// Scores the rows of one query in batches. Each row belongs to a `W`, which waits for the row's score.
struct Scoring<W> {
    filling: Filling,
    batch: Batch,
    waiting: Vec<W>,
}

impl<W> Scoring<W> {
    fn new(filling: Filling) -> Self {
        Self { batch: filling.resolved().decoded.scorer.batch(), filling, waiting: Vec::new() }
    }

    /// # Safety
    /// The row has this descriptor, and the descriptor is the same for all rows.
    unsafe fn put(&mut self, what: W, descriptor: pg_sys::TupleDesc, row: Attributes) -> Result<(), Error> {
        // SAFETY: the descriptor is that of all rows, as the caller says.
        unsafe {
            let resolved = self.filling.fill(descriptor, row)?;
            resolved.decoded.scorer.put(&mut resolved.inputs.row, &mut self.batch);
            self.waiting.push(what);
            Ok(())
        }
    }

    /// Scores the rows that were put there since the last call.
    fn finish(&mut self, mut take: impl FnMut(W, f64)) -> Result<(), Error> {
        let decoded = &self.filling.resolved().decoded;
        decoded.tally.rows(self.waiting.len() as u64);
        let scores = decoded.scorer.score_batch(&mut self.batch);
        self.waiting.drain(..).zip(scores).try_for_each(|(what, score)| {
            take(what, decoded.number(*score)?);
            Ok(())
        })
    }
}
