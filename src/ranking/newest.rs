//! The newest row of every product of a region, or of every region of a product, scored in one pass over the source.
//!
//! Rows are read as they lie there, and a score is replaced when a newer row of the same key comes by: no sort of wide rows.
//! They are scored in batches. Keys that do not fit into the memory of a hash table are read again in their order, which
//! Postgres sorts in temporary files.

use super::query::{Columns, Id, Query, Wanted};
use crate::each_row::each_row;
use crate::error::Error;
use crate::scoring::call::Resolved;
use crate::scoring::row::{Attributes, Binding};
use model::hash::MixState;
use model::Batch;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use std::collections::hash_map::{Entry, HashMap};

/// Bytes that a kept key takes besides its text, about.
const BYTES_EACH: usize = 96;

/// Scores the newest row of each wanted key and gives both to `take`, once for each key, in no order.
pub fn score_newest(
    client: &SpiClient,
    resolved: &mut Resolved,
    wanted: &Wanted,
    mut take: impl FnMut(Id, f64),
) -> Result<(), Error> {
    let query = Query::new(resolved, wanted)?;
    if replacing(client, resolved, &query, &mut take)? {
        return Ok(());
    }
    let (text, columns) = query.one_each();
    let mut scoring = Scoring::new(resolved);
    let mut waiting = Vec::new();
    each_row(client, &text, &query.parameters, columns.width, &mut |descriptor, row| {
        // SAFETY: the row is one of the query's, and has this descriptor.
        unsafe {
            waiting.push(columns.id(row));
            scoring.put(descriptor, row)?;
        }
        if scoring.batch.is_full() {
            waiting.drain(..).zip(scoring.scores()).for_each(|(id, score)| take(id, *score));
        }
        Ok(true)
    })?;
    waiting.drain(..).zip(scoring.scores()).for_each(|(id, score)| take(id, *score));
    Ok(())
}

/// Does so with a hash table of all keys; false, and nothing was taken, if there are more than fit into its memory.
fn replacing(
    client: &SpiClient,
    resolved: &mut Resolved,
    query: &Query,
    take: &mut impl FnMut(Id, f64),
) -> Result<bool, Error> {
    // SAFETY: settings of this process; a hash table of Postgres may be as large.
    let room = unsafe { f64::from(pg_sys::work_mem) * 1024.0 * pg_sys::hash_mem_multiplier } as usize;
    let (text, columns) = query.unordered();
    let (mut newest, mut scoring) = (Newest::default(), Scoring::new(resolved));
    each_row(client, &text, &query.parameters, columns.width, &mut |descriptor, row| {
        // SAFETY: the row is one of the query's, and has this descriptor.
        unsafe {
            if newest.wants(columns, row) {
                scoring.put(descriptor, row)?;
            }
        }
        if scoring.batch.is_full() {
            newest.scored(scoring.scores());
        }
        Ok(newest.bytes <= room)
    })?;
    let fits = newest.bytes <= room;
    if fits {
        newest.scored(scoring.scores());
        newest.places.into_iter().for_each(|(id, place)| take(id, newest.rows[place].1));
    }
    Ok(fits)
}

/// The time and the score of each key's newest row.
#[derive(Default)]
struct Newest {
    places: HashMap<Id, usize, MixState>,
    rows: Vec<(i64, f64)>,
    /// The rows whose scores are to come, in their order.
    waiting: Vec<usize>,
    bytes: usize,
}

impl Newest {
    /// Whether the row is to be scored: it is the newest of its key so far.
    ///
    /// # Safety
    /// The row is one with these columns.
    unsafe fn wants(&mut self, columns: &Columns, row: Attributes) -> bool {
        let (id, time) = (columns.id(row), columns.time(row));
        let next = self.rows.len();
        let text = if let Id::Text(text) = &id { text.len() } else { 0 };
        let place = match self.places.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.bytes += BYTES_EACH + text;
                self.rows.push((time, 0.0));
                *new.insert(next)
            }
        };
        let known = &mut self.rows[place].0;
        let wanted = place == next || *known < time;
        if wanted {
            *known = time;
            self.waiting.push(place);
        }
        wanted
    }

    /// Takes the scores of the rows that wait. Of two rows of one key the newer waits behind the older.
    fn scored(&mut self, scores: &[f64]) {
        for (place, score) in self.waiting.drain(..).zip(scores) {
            self.rows[place].1 = *score;
        }
    }
}

/// Scores rows of one query.
struct Scoring<'a> {
    resolved: &'a mut Resolved,
    batch: Batch,
    binding: Option<Binding>,
}

impl<'a> Scoring<'a> {
    fn new(resolved: &'a mut Resolved) -> Self {
        Self { batch: resolved.decoded.scorer.batch(), resolved, binding: None }
    }

    /// # Safety
    /// The row has this descriptor, which is the same for all rows.
    unsafe fn put(&mut self, descriptor: pg_sys::TupleDesc, row: Attributes) -> Result<(), Error> {
        let decoded = &self.resolved.decoded;
        let binding = match &self.binding {
            Some(binding) => binding,
            None => {
                let recipe = decoded.scorer.recipe();
                self.binding.insert(Binding::new(&decoded.version.model, recipe, descriptor)?)
            }
        };
        binding.fill(row, &decoded.scorer, &mut self.resolved.inputs)?;
        decoded.scorer.put(&mut self.resolved.inputs.row, &mut self.batch);
        Ok(())
    }

    /// Of the rows put there since the last time.
    fn scores(&mut self) -> &[f64] {
        self.resolved.decoded.scorer.score_batch(&mut self.batch)
    }
}
