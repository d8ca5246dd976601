//! Encoders: scalar functions over values, and the aggregates that are fitted to a column. The arithmetic is in
//! `crates/features/src/encode`, the SQL in `sql/encoders.sql`.
//!
//! | file | what |
//! | --- | --- |
//! | `call` | a running call: its arguments, its result |
//! | `arrays` | SQL arrays to slices and back |
//! | `kept` | an argument decoded once for all rows that bring the same |
//! | `aggregate` | what every fitting aggregate does with its state |
//! | `fitting` | the fitting aggregates |
//! | `scaling`, `texts`, `vectors` | the scalar functions |

mod aggregate;
mod arrays;
mod call;
mod fitting;
mod kept;
mod scaling;
mod texts;
mod vectors;

pgrx::extension_sql_file!("../../../sql/encoders.sql", name = "encoders", requires = ["catalog"]);

/// Makes functions over a [`call::Call`] callable from SQL, as `<name>_wrapper`.
macro_rules! sql_functions {
    ($($name:ident),* $(,)?) => {$(
        const _: () = {
            #[export_name = concat!("pg_finfo_", stringify!($name), "_wrapper")]
            extern "C-unwind" fn version() -> &'static pgrx::pg_sys::Pg_finfo_record {
                const V1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
                &V1
            }

            #[export_name = concat!(stringify!($name), "_wrapper")]
            unsafe extern "C-unwind" fn wrapper(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
                // SAFETY: Postgres calls this with the arguments that sql/encoders.sql declares.
                unsafe {
                    pgrx::pg_sys::panic::pgrx_extern_c_guard(|| {
                        let call = $crate::features::encoders::call::Call::new(fcinfo);
                        call.finish($crate::error::or_raise($name(&call)))
                    })
                }
            }
        };
    )*};
}
use sql_functions;
