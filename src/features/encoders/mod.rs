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

/// Makes functions over a [`call::Call`] callable from SQL, each by its name and `_wrapper`.
macro_rules! sql_functions {
    ($($name:ident),* $(,)?) => {$(
        $crate::pg::sql_function::sql_function!($name, |fcinfo| {
            $name(&$crate::features::encoders::call::Call::new(fcinfo))
        });
    )*};
}
use sql_functions;
