//! Values of any type as 64-bit hashes, by the type's own hash function.

use crate::error::Error;
use crate::values::type_name;
use pgrx::pg_sys;

/// The hash of the n-th argument's value under the call's collation: equal values have equal hashes. The function is
/// looked up once for each call site.
///
/// # Safety
/// `fcinfo` is that of the running call, which keeps nothing else in `fn_extra`; `value` is its n-th argument.
#[inline]
pub unsafe fn hash(fcinfo: pg_sys::FunctionCallInfo, n: i32, value: pg_sys::Datum) -> Result<u64, Error> {
    let call_site = (*fcinfo).flinfo;
    if (*call_site).fn_extra.is_null() {
        (*call_site).fn_extra = look_up(call_site, n)?.cast();
    }
    // Entries of the type cache stay where they are as long as the process lives.
    let function =
        &raw mut (*(*call_site).fn_extra.cast::<pg_sys::TypeCacheEntry>()).hash_extended_proc_finfo;
    const SEED: pg_sys::Datum = pg_sys::Datum::null();
    Ok(pg_sys::FunctionCall2Coll(function, (*fcinfo).fncollation, value, SEED).value() as u64)
}

#[cold]
unsafe fn look_up(call_site: *mut pg_sys::FmgrInfo, n: i32) -> Result<*mut pg_sys::TypeCacheEntry, Error> {
    let type_oid = pg_sys::get_fn_expr_argtype(call_site, n);
    if type_oid == pg_sys::InvalidOid {
        return Err(Error::invalid("the type of the customers could not be found out"));
    }
    let entry = pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32);
    if (*entry).hash_extended_proc_finfo.fn_oid == pg_sys::InvalidOid {
        return Err(Error::InvalidArgument(
            format!(
                "customers of type {} cannot be told apart: it has no hash function",
                type_name(type_oid, -1)
            ),
            Some("Give something that can be hashed, for example the value as text.".into()),
        ));
    }
    Ok(entry)
}
