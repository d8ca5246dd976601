//! A text as a value of an SQL type.

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{pg_sys, PgSqlErrorCode, PgTryBuilder};
use std::ffi::CString;
use std::panic::AssertUnwindSafe;

/// The value that a text stands for in a column of this type, or what Postgres says if there is none. The caller then
/// raises an error of its own: what was done until Postgres said so is not taken back. Constraints of a domain are not checked:
/// they may run functions of its author, and the caller may be a superuser.
pub fn input(text: &str, type_oid: pg_sys::Oid, mut modifier: i32) -> Result<pg_sys::Datum, String> {
    let text = CString::new(text).map_err(|_| "it contains a zero byte".to_owned())?;
    // SAFETY: the text is NUL-terminated, and the out-pointers live through the call. The input function is that of the
    // type, which raises an error if it does not exist.
    let read = move || unsafe {
        let (mut function, mut element) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        let base = pg_sys::getBaseTypeAndTypmod(type_oid, &mut modifier);
        pg_sys::getTypeInputInfo(base, &mut function, &mut element);
        Ok(pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), element, modifier))
    };
    PgTryBuilder::new(AssertUnwindSafe(read))
        .catch_others(|error| match complaint(&error) {
            Some(complaint) => Err(complaint),
            None => error.rethrow(),
        })
        .execute()
}

/// What Postgres says of a value that the type cannot have; `None` if the error is about something else.
fn complaint(error: &CaughtError) -> Option<String> {
    use PgSqlErrorCode::*;
    let CaughtError::PostgresError(report) = error else { return None };
    let is_about_the_value = matches!(
        report.sql_error_code(),
        ERRCODE_INVALID_TEXT_REPRESENTATION
            | ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE
            | ERRCODE_STRING_DATA_RIGHT_TRUNCATION
            | ERRCODE_INVALID_DATETIME_FORMAT
            | ERRCODE_DATETIME_FIELD_OVERFLOW
            | ERRCODE_CHECK_VIOLATION
            | ERRCODE_NOT_NULL_VIOLATION
    );
    is_about_the_value.then(|| report.message().to_owned())
}
