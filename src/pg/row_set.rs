//! The set of rows that a function returns, in a tuple store, which uses `work_mem` and then a temporary file.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::memory::in_context;
use crate::pg::tuples::parts;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;

/// The result of a call. Postgres frees it.
pub struct RowSet {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl RowSet {
    /// Makes an empty set the result of the call, for rows as the function declares them.
    pub fn begin(call: &Call) -> Result<Self, Error> {
        Self::of(call, || call.result_columns())
    }

    /// Makes an empty set the result of the call, for rows of this type: for a function that is declared to return any
    /// rows.
    pub fn of_type(call: &Call, row_type: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: the call raises an error if there is no such row type.
        Self::of(call, || Ok(unsafe { pg_sys::lookup_rowtype_tupdesc_copy(row_type, -1) }))
    }

    /// `describe` makes the descriptor of the rows, in the memory context that is current then.
    fn of(call: &Call, describe: impl FnOnce() -> Result<pg_sys::TupleDesc, Error>) -> Result<Self, Error> {
        // SAFETY: Postgres tells a set-returning function where its result goes; this description lives as long as the
        // call, and the context of the query lives longer. From here on the set belongs to Postgres.
        unsafe {
            let info = (*call.info()).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            if info.is_null() || (*info).allowedModes as u32 & materialize == 0 {
                return Err(Error::invalid("this function is called where no set of rows can be taken"));
            }
            let (store, descriptor) = in_context((*(*info).econtext).ecxt_per_query_memory, || {
                let descriptor = describe()?;
                Ok::<_, Error>((pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem), descriptor))
            })?;
            (*info).returnMode = materialize;
            (*info).setResult = store;
            (*info).setDesc = descriptor;
            Ok(Self { store, descriptor })
        }
    }

    /// Adds a copy of a row, whose values have the types that the function declares.
    pub fn put(&mut self, fields: &[Option<pg_sys::Datum>]) -> Result<(), Error> {
        // SAFETY: the store and the descriptor live as long as the call, and `parts` checks that there are as many values
        // as columns.
        unsafe {
            let (mut values, mut nulls) = parts(self.descriptor, fields)?;
            pg_sys::tuplestore_putvalues(
                self.store,
                self.descriptor,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
        Ok(())
    }

    /// Adds the row that `fields` makes of each item. What its values take is freed with it.
    pub fn put_each<T, const N: usize>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        fields: impl Fn(T) -> [Option<pg_sys::Datum>; N],
    ) -> Result<(), Error> {
        let mut scratch = PgMemoryContexts::new("pg_recommend row");
        items.into_iter().try_for_each(|item| {
            // SAFETY: the set copies the row; nothing else lies in this memory.
            unsafe {
                let put = scratch.switch_to(|_| self.put(&fields(item)));
                scratch.reset();
                put
            }
        })
    }

    /// Adds a copy of a row.
    ///
    /// # Safety
    /// The tuple has the type of the set's rows.
    pub unsafe fn put_tuple(&mut self, mut tuple: pg_sys::HeapTupleData) {
        // SAFETY: the store lives as long as the call, and the tuple has the type of its rows, as the caller says.
        unsafe { pg_sys::tuplestore_puttuple(self.store, &mut tuple) };
    }
}
