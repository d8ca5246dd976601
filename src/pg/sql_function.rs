//! Functions that read their [`Call`] themselves, without the conversions of `#[pg_extern]`: those that are called for every row,
//! that return rows, or that serve several SQL types.

use crate::error::or_raise;
use crate::pg::call::Call;
pub use crate::pg::call::Returned;
use crate::pg::guard;
use pgrx::pg_sys;

/// Makes `$body`, a function or a closure over the [`Call`], callable from SQL. `$name` with `_wrapper` is the symbol that
/// the SQL names.
macro_rules! sql_function {
    ($name:ident, $body:expr) => {
        const _: () = {
            #[export_name = concat!("pg_finfo_", stringify!($name), "_wrapper")]
            extern "C" fn version() -> &'static pgrx::pg_sys::Pg_finfo_record {
                const V1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
                &V1
            }

            /// # Safety
            /// Only Postgres calls this, with the running call.
            #[export_name = concat!(stringify!($name), "_wrapper")]
            unsafe extern "C-unwind" fn wrapper(
                fcinfo: pgrx::pg_sys::FunctionCallInfo,
            ) -> pgrx::pg_sys::Datum {
                // SAFETY: Postgres calls this with arguments of the types that the function's SQL declares.
                unsafe { $crate::pg::sql_function::answer(fcinfo, $body) }
            }
        };
    };
}
pub(crate) use sql_function;

/// Runs `body`, and turns a panic or an error of Rust into an error of Postgres.
///
/// # Safety
/// `fcinfo` is that of the running call, and `body` reads the arguments as the types that its SQL declares. The frames
/// between this function and the C code that called us own nothing.
#[inline]
pub unsafe fn answer(
    fcinfo: pg_sys::FunctionCallInfo,
    body: impl FnOnce(&Call) -> Returned,
) -> pg_sys::Datum {
    // SAFETY: the call is running, `body` reads its arguments as what they are, and the frames up to the calling C code own
    // nothing, as the caller says.
    unsafe {
        guard::within(|| {
            let returned = or_raise(body(&Call::new(fcinfo)));
            (*fcinfo).isnull = returned.is_none();
            returned.unwrap_or(pg_sys::Datum::null())
        })
    }
}
