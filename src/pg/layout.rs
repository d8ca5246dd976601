//! What was found out about the columns of rows, and whether the rows are still of that kind when they come.
//!
//! Readers are chosen when a statement begins, and rows come later: after a commit, after a wait for a lock, under a name that
//! another relation may have by then. A number that is read as a text is an address of somebody's choice. So whoever keeps a
//! reader keeps the type that it was chosen for, and compares it with the descriptor of the rows, once for each query.

use crate::error::Error;
use crate::pg::call_site::OwnContext;
use crate::pg::changes;
use crate::pg::relations::RelationName;
use crate::pg::tuples;
use pgrx::pg_sys;
use std::fmt;

/// The types of some columns of a query's rows, by position from 0.
pub struct Layout {
    /// Whose rows they are, for the error.
    relation: RelationName,
    types: Vec<(usize, pg_sys::Oid)>,
}

impl Layout {
    pub fn new(relation: &RelationName, types: impl IntoIterator<Item = (usize, pg_sys::Oid)>) -> Self {
        Self { relation: relation.clone(), types: types.into_iter().collect() }
    }

    /// Refuses rows whose columns are not of these types.
    ///
    /// # Safety
    /// `descriptor` is a live tuple descriptor.
    pub unsafe fn check(&self, descriptor: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: the descriptor is live, and has more attributes than `n`.
        let found = |n: usize| unsafe {
            let attribute = (n < (*descriptor).natts as usize).then(|| tuples::attribute(descriptor, n));
            attribute.filter(|attribute| !attribute.attisdropped).map(|attribute| attribute.atttypid)
        };
        match self.types.iter().all(|(n, type_oid)| found(*n) == Some(*type_oid)) {
            true => Ok(()),
            false => Err(changed(&self.relation)),
        }
    }
}

/// The error for columns of a relation or a type that changed between two looks at them.
pub fn changed(relation: impl fmt::Display) -> Error {
    Error::Changed(format!("the columns of {relation} were changed while they were read"))
}

/// The row type of composite values, as it was when their columns were looked up.
pub struct RowType {
    /// Type and modifier, as values tell them.
    pub id: (pg_sys::Oid, i32),
    pub descriptor: pg_sys::TupleDesc,
    /// The number that Postgres gives to each definition of a row type.
    definition: u64,
    generation: u64,
    _memory: OwnContext,
}

impl RowType {
    /// # Safety
    /// `id` is that of a composite value.
    pub unsafe fn of(id: (pg_sys::Oid, i32)) -> Self {
        let generation = changes::relations();
        // SAFETY: the caller's promise; the descriptor is a copy, which lives as long as the context.
        unsafe {
            let definition = pg_sys::assign_record_type_identifier(id.0, id.1);
            let (memory, descriptor) =
                OwnContext::holding(|| pg_sys::lookup_rowtype_tupdesc_copy(id.0, id.1));
            Self { id, descriptor, definition, generation, _memory: memory }
        }
    }

    /// Whether values of this type still have this descriptor. Costs nothing until a relation changes.
    ///
    /// # Safety
    /// There is a value of this type.
    #[inline]
    pub unsafe fn is_unchanged(&mut self) -> bool {
        let generation = changes::relations();
        if self.generation == generation {
            return true;
        }
        // SAFETY: the caller's promise.
        let same = unsafe { pg_sys::assign_record_type_identifier(self.id.0, self.id.1) } == self.definition;
        if same {
            self.generation = generation;
        }
        same
    }

    /// Its name in SQL.
    pub fn name(&self) -> String {
        crate::pg::values::type_name(self.id.0, self.id.1)
    }
}
