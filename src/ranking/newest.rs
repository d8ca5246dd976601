//! Finds the newest row of every product of a region, or of every region of a product, in one pass over the source.
//!
//! Rows are read in the order in which they are stored. What was made of a row is replaced when a newer row of the same key
//! is read, so wide rows need no sort. If the keys do not fit into the memory that a hash table may take, the rows are read
//! again in the order of the keys; Postgres sorts them, out of core if need be.

use super::query::{Id, RankingColumns, RankingQuery};
use crate::error::Error;
use crate::pg::each_row::each_row;
use crate::pg::tuples::Attributes;
use crate::scoring::call::Resolved;
use crate::scoring::row::Binding;
use crate::scoring::what_if::Replacement;
use model::hash::MixState;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use std::collections::hash_map::{Entry, HashMap};

/// A value that is made of a row and kept for the row's key.
pub trait Made: Default {
    /// How many bytes the value takes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Made for f64 {}

/// About how many bytes a kept key takes, besides its text and the value.
const BYTES_EACH: usize = 88;

/// The newest row of each key so far: its time, and what was made of it.
#[derive(Default)]
pub struct Newest<T> {
    places: HashMap<Id, usize, MixState>,
    rows: Vec<(i64, T)>,
    bytes: usize,
}

impl<T: Made> Newest<T> {
    /// The place at which to [`Newest::keep`] what is made of this row; `None` if a newer row of its key was seen.
    ///
    /// # Safety
    /// The row comes from the query that has these columns.
    pub unsafe fn place(&mut self, columns: &RankingColumns, row: Attributes) -> Option<usize> {
        // SAFETY: the row has these columns, as the caller says.
        unsafe {
            let (id, time) = (columns.id(row), columns.time(row));
            let next = self.rows.len();
            let text = if let Id::Text(text) = &id { text.len() } else { 0 };
            let place = match self.places.entry(id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    self.bytes += BYTES_EACH + size_of::<T>() + text;
                    self.rows.push((time, T::default()));
                    *new.insert(next)
                }
            };
            let known = &mut self.rows[place].0;
            let wanted = place == next || *known < time;
            *known = time.max(*known);
            wanted.then_some(place)
        }
    }

    /// Keeps what is made of a row, in the place of what was made of an older row.
    pub fn keep(&mut self, place: usize, made: T) {
        let kept = &mut self.rows[place].1;
        self.bytes = self.bytes + made.heap_bytes() - kept.heap_bytes();
        *kept = made;
    }

    /// Whether the keys fit into the memory that a hash table of Postgres may take.
    pub fn fits(&self) -> bool {
        // SAFETY: these are settings of this process.
        self.bytes <= unsafe { f64::from(pg_sys::work_mem) * 1024.0 * pg_sys::hash_mem_multiplier } as usize
    }

    /// The time of the newest row of all keys.
    pub fn time(&self) -> Option<i64> {
        self.rows.iter().map(|(time, _)| *time).max()
    }

    /// Forgets the keys without a row of this time or later.
    pub fn forget_before(&mut self, time: i64) {
        self.places.retain(|_, place| self.rows[*place].0 >= time);
    }

    /// Calls `take` with each key and what was made of its newest row, in no order.
    pub fn each(mut self, mut take: impl FnMut(Id, T)) {
        self.places.into_iter().for_each(|(id, place)| take(id, std::mem::take(&mut self.rows[place].1)));
    }
}

/// Calls `take` once with each key and what `make` makes of its newest row, in the order of the keys.
pub fn newest_rows<T: Made>(
    client: &SpiClient,
    query: &RankingQuery,
    mut make: impl FnMut(pg_sys::TupleDesc, Attributes) -> Result<T, Error>,
    mut take: impl FnMut(Id, T) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut newest = Newest::default();
    let (text, columns) = query.unordered();
    each_row(client, &text, &query.parameters, columns.read(), &mut |descriptor, row| {
        // SAFETY: the row is one of the query's, whose layout was checked.
        if let Some(place) = unsafe { newest.place(columns, row) } {
            newest.keep(place, make(descriptor, row)?);
        }
        Ok(newest.fits())
    })?;
    if newest.fits() {
        let mut all = Vec::new();
        newest.each(|id, made| all.push((id, made)));
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        return all.into_iter().try_for_each(|(id, made)| {
            pgrx::check_for_interrupts!();
            take(id, made)
        });
    }
    drop(newest);
    let (text, columns) = query.one_each();
    each_row(client, &text, &query.parameters, columns.read(), &mut |descriptor, row| {
        // SAFETY: the row is one of the query's, whose layout was checked.
        let id = unsafe { columns.id(row) };
        take(id, make(descriptor, row)?)?;
        Ok(true)
    })
}

/// Fills a version's inputs from the rows of one query.
pub struct Filling {
    resolved: Resolved,
    binding: Option<Binding>,
    /// What a plan replaces in every row.
    replacement: Option<Replacement>,
}

impl Filling {
    /// # Safety
    /// If there is a plan, it is a jsonb.
    pub unsafe fn new(resolved: Resolved, plan: Option<pg_sys::Datum>) -> Result<Self, Error> {
        // SAFETY: the plan is a jsonb, as the caller says.
        let replacement = unsafe { plan.map(|plan| Replacement::of(plan, &resolved.decoded)).transpose()? };
        Ok(Self { resolved, binding: None, replacement })
    }

    /// The same version and plan, for the rows of another query.
    pub fn again(self) -> Self {
        Self { binding: None, ..self }
    }

    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Fills the version's inputs from a row, and returns the version.
    ///
    /// # Safety
    /// The row has this descriptor, and the descriptor is the same for all rows.
    pub unsafe fn fill(
        &mut self,
        descriptor: pg_sys::TupleDesc,
        row: Attributes,
    ) -> Result<&mut Resolved, Error> {
        // SAFETY: the binding was made for the descriptor, which all rows have, as the caller says.
        unsafe {
            let decoded = &self.resolved.decoded;
            let binding = match &self.binding {
                Some(binding) => binding,
                None => {
                    let recipe = decoded.scorer.recipe();
                    self.binding.insert(Binding::new(&decoded.version.model, recipe, descriptor)?)
                }
            };
            binding.fill(row, &decoded.scorer, &mut self.resolved.inputs)?;
            if let Some(replacement) = &self.replacement {
                replacement.apply(&decoded.scorer, &mut self.resolved.inputs);
            }
            Ok(&mut self.resolved)
        }
    }
}
