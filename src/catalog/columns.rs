//! The columns of the catalog's tables that are read without the executor: the number that each has in sql/catalog.sql. That
//! it has its name there too is checked whenever a table is looked up.

use crate::error::Error;
use pgrx::pg_sys;
use std::ffi::CStr;

#[derive(Clone, Copy)]
pub struct CatalogColumn {
    /// From 1.
    pub number: i32,
    name: &'static CStr,
}

/// For each table a module with its columns, and `ALL` of them.
macro_rules! columns {
    ($($table:ident { $($column:ident = $number:literal $name:literal),+ })+) => {
        $(pub mod $table {
            use super::CatalogColumn;

            $(pub const $column: CatalogColumn = CatalogColumn { number: $number, name: $name };)+
            pub const ALL: &[CatalogColumn] = &[$($column),+];
        })+
    };
}

columns! {
    model { MODEL = 1 c"model", OWNER = 2 c"owner" }
    version {
        ARTIFACT = 3 c"artifact_id", SCHEMA = 6 c"source_schema", SOURCE = 7 c"source_name", KEYS = 8 c"keys",
        TIME = 9 c"time_column", LABEL = 10 c"label", METRICS = 13 c"metrics", DATA = 14 c"data", VIEW = 19 c"source_view"
    }
    alias { VERSION = 3 c"version", TEST = 6 c"ab_test" }
    privilege { GRANTEE = 2 c"grantee", NAME = 3 c"privilege", BY = 4 c"granted_by" }
    artifact { SIZE = 2 c"size", DIGEST = 3 c"digest" }
    chunk { POSITION = 2 c"position", BODY = 3 c"body" }
    test { MODEL = 2 c"model", UNIT = 3 c"unit", REGIONS = 4 c"regions", SALT = 5 c"salt" }
    arm { NAME = 3 c"arm", VERSION = 4 c"version", SHARE = 5 c"share" }
}

/// Refuses a table in which a column is not where it is read.
pub fn check(table: pg_sys::Oid, name: &CStr, columns: &[CatalogColumn]) -> Result<(), Error> {
    let misplaced = columns.iter().find(|column| {
        // SAFETY: a catalog look-up by a NUL-terminated name; 0 where there is no such column.
        let number = unsafe { pg_sys::get_attnum(table, column.name.as_ptr()) };
        i32::from(number) != column.number
    });
    match misplaced {
        None => Ok(()),
        Some(CatalogColumn { number, name: column }) => Err(Error::Damaged(format!(
            "column {number} of the table reco.{} is not {}, as this version of pg_recommend has it",
            name.to_string_lossy(),
            column.to_string_lossy()
        ))),
    }
}
