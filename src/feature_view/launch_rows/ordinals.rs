//! Numbers for texts that come again and again.

use crate::error::Error;
use crate::pg::comparison::Comparison;
use crate::pg::memory::{bytes, varlena};
use pgrx::pg_sys;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Texts of a column: the first has the number 0, the next that is not equal 1, and so on. They are kept in the memory context
/// that is current when they come.
pub struct Ordinals {
    comparison: Comparison,
    /// Whether texts are equal only where their bytes are.
    by_bytes: bool,
    numbers: HashMap<Box<[u8]>, u32>,
    texts: Vec<pg_sys::Datum>,
    /// The bytes that came last, and their number: most come several times running.
    last: (Box<[u8]>, Option<u32>),
}

impl Ordinals {
    /// For texts under this collation.
    pub fn new(collation: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: this is a look-up of the collation of a column.
        let by_bytes = unsafe { pg_sys::get_collation_isdeterministic(collation) };
        let comparison = Comparison::of(pg_sys::TEXTOID, collation)?;
        Ok(Self {
            comparison,
            by_bytes,
            numbers: HashMap::new(),
            texts: Vec::new(),
            last: Default::default(),
        })
    }

    /// # Safety
    /// `datum` is a non-NULL text.
    pub unsafe fn of(&mut self, datum: pg_sys::Datum) -> u32 {
        // SAFETY: the datum is a text, as the caller says.
        let text = unsafe { bytes(datum) };
        match self.last {
            (ref last, Some(number)) if **last == *text => number,
            _ => {
                let number = self.numbers.get(text).copied().unwrap_or_else(|| self.add(text));
                self.last = (text.into(), Some(number));
                number
            }
        }
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        let kept = varlena(text.len(), |bytes| bytes.copy_from_slice(text));
        // SAFETY: all of these are texts.
        let is_equal = |known: &pg_sys::Datum| unsafe { self.comparison.is_equal(*known, kept) };
        let equal = if self.by_bytes { None } else { self.texts.iter().position(is_equal) };
        let number = equal.unwrap_or_else(|| {
            self.texts.push(kept);
            self.texts.len() - 1
        }) as u32;
        self.numbers.insert(text.into(), number);
        number
    }

    /// The texts by their numbers.
    pub fn texts(&self) -> &[pg_sys::Datum] {
        &self.texts
    }

    /// The order of two texts in an index.
    pub fn compare(&self, one: u32, other: u32) -> Ordering {
        // SAFETY: both are texts.
        unsafe { self.comparison.compare(self.texts[one as usize], self.texts[other as usize]) }
    }
}
