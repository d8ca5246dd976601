//! The procedures `reco.load_parquet(…)` and `reco.save_parquet(…)`: files of a data lake in and out.
//!
//! | file | holds |
//! | --- | --- |
//! | `process` | the object-storage process: how it starts, what it says, how it ended |
//! | `rights` | which URIs a caller may give |
//! | `columns` | the columns of a table or a query as the process knows them |
//! | `copy_in` | rows into a table, as `COPY` writes them |
//! | `remembered` | the files that were loaded, in the table `reco.lake_file` |
//! | `load` | the procedure `load_parquet`, step by step |
//! | `rows_out` | rows of a query as the process reads them |
//! | `save` | the procedure `save_parquet`, step by step |

mod columns;
mod copy_in;
mod load;
pub mod process;
mod remembered;
mod rights;
mod rows_out;
mod save;

pgrx::extension_sql_file!("../../sql/lake.sql", name = "lake", requires = ["catalog"]);
