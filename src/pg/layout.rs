//! What is known of the columns of rows, and a check that the rows still have these columns when they arrive.
//!
//! A reader is chosen for each column when a statement begins, but the rows come later: after a commit, after a wait for a
//! lock, or from another relation that has the name by then. If a number is read as a text, its value is used as an
//! address, which whoever wrote the number has chosen. So whoever keeps a reader also keeps the type that it was chosen
//! for, and compares this type with the descriptor of the rows, once for each query.

use crate::error::Error;
use crate::pg::call_site::OwnContext;
use crate::pg::changes;
use crate::pg::relations::RelationName;
use crate::pg::tuples;
use pgrx::pg_sys;
use std::fmt;

/// The types of some columns of a query's rows, by the column's position from 0.
pub struct Layout {
    /// The relation that the rows come from, for the error message.
    relation: RelationName,
    types: Vec<(usize, pg_sys::Oid)>,
}

impl Layout {
    pub fn new(relation: &RelationName, types: impl IntoIterator<Item = (usize, pg_sys::Oid)>) -> Self {
        Self { relation: relation.clone(), types: types.into_iter().collect() }
    }

    /// Refuses rows whose columns do not have these types.
    ///
    /// # Safety
    /// `descriptor` is a live tuple descriptor.
    pub unsafe fn check(&self, descriptor: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: the descriptor is live, as the caller says, and an attribute is read only if `n` is less than their
        // number.
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

/// The error for a relation or a type whose columns changed between two looks at them.
pub fn changed(relation: impl fmt::Display) -> Error {
    Error::Changed(format!("the columns of {relation} were changed while they were read"))
}

/// The row type of composite values, as it was when their columns were looked up.
pub struct RowType {
    /// The type's OID and modifier, as a composite value names them.
    pub id: (pg_sys::Oid, i32),
    pub descriptor: pg_sys::TupleDesc,
    /// The number that Postgres gives to each definition of a row type. It changes when the type is altered, and also when
    /// Postgres reads the same definition anew, as it does after an ANALYZE, a GRANT or a new index of the table.
    definition: u64,
    generation: u64,
    _memory: OwnContext,
}

impl RowType {
    /// # Safety
    /// `id` comes from a composite value, so the type exists.
    pub unsafe fn of(id: (pg_sys::Oid, i32)) -> Self {
        let generation = changes::relations();
        // SAFETY: the type exists, as the caller says. The descriptor is a copy, which lives as long as the context.
        unsafe {
            let definition = pg_sys::assign_record_type_identifier(id.0, id.1);
            let (memory, descriptor) =
                OwnContext::holding(|| pg_sys::lookup_rowtype_tupdesc_copy(id.0, id.1));
            Self { id, descriptor, definition, generation, _memory: memory }
        }
    }

    /// Whether values of this type still have this descriptor. The check is a comparison of two numbers until a relation
    /// changes, and one of descriptors only where this one has changed.
    ///
    /// # Safety
    /// A value of this type exists, so the type exists.
    #[inline]
    pub unsafe fn is_unchanged(&mut self) -> bool {
        let generation = changes::relations();
        if self.generation == generation {
            return true;
        }
        // SAFETY: the type exists, as the caller says.
        let definition = unsafe { pg_sys::assign_record_type_identifier(self.id.0, self.id.1) };
        // SAFETY: as above.
        let same = definition == self.definition || unsafe { self.has_same_columns() };
        if same {
            (self.definition, self.generation) = (definition, generation);
        }
        same
    }

    /// # Safety
    /// The same as for [`Self::is_unchanged`].
    unsafe fn has_same_columns(&self) -> bool {
        // SAFETY: the type exists, as the caller says. The descriptor is a copy, which is freed after its last use.
        unsafe {
            let now = pg_sys::lookup_rowtype_tupdesc_copy(self.id.0, self.id.1);
            let same = pg_sys::equalTupleDescs(self.descriptor, now);
            pg_sys::FreeTupleDesc(now);
            same
        }
    }

    /// The type's name in SQL.
    pub fn name(&self) -> String {
        // The modifier of a row type is no part of its name.
        crate::pg::values::type_name(self.id.0, -1)
    }
}
