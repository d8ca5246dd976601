//! Rows under a name that queries of the open SPI connection can read, as triggers read transition tables.

use crate::error::Error;
use crate::pg::relations::Opened;
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient};
use std::ffi::CStr;

/// Called with the attributes of a row and their NULL flags.
pub type Take<'a> = &'a mut dyn FnMut(&[pg_sys::Datum], &[bool]);

/// Makes rows like those of a table, whose descriptor `make` gets, and runs `read` while they have the name. They are kept in
/// `work_mem`, and beyond that in a temporary file.
pub fn with_named_rows<T>(
    client: &mut SpiClient,
    name: &CStr,
    table: pg_sys::Oid,
    make: impl FnOnce(&mut SpiClient, pg_sys::TupleDesc, Take) -> Result<(), Error>,
    read: impl FnOnce(&mut SpiClient) -> Result<T, Error>,
) -> Result<T, Error> {
    let table_open = Opened::of(table)?;
    let descriptor = table_open.descriptor();
    // SAFETY: the store is freed below, or by the abort after an error. The rows that are put into it have the table's
    // descriptor. Name, store and description live until the name is taken back.
    unsafe {
        let store = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
        make(client, descriptor, &mut |values, nulls| {
            let (values, nulls) = (values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
            pg_sys::tuplestore_putvalues(store, descriptor, values, nulls)
        })?;
        let mut rows = pg_sys::EphemeralNamedRelationData {
            md: pg_sys::EphemeralNamedRelationMetadataData {
                name: name.as_ptr().cast_mut(),
                reliddesc: table,
                tupdesc: std::ptr::null_mut(),
                enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                enrtuples: pg_sys::tuplestore_tuple_count(store) as f64,
            },
            reldata: store.cast(),
        };
        Spi::check_status(pg_sys::SPI_register_relation(&mut rows))?;
        let result = read(client);
        Spi::check_status(pg_sys::SPI_unregister_relation(name.as_ptr()))?;
        pg_sys::tuplestore_end(store);
        result
    }
}
