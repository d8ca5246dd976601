//! The columns of a table or a query as the object-storage process knows them.

use crate::pg::relations;
use lake_protocol::message::{Column, Kind};
use pgrx::pg_sys;

/// What the process needs to know of a column; `None` if its type is none that files hold.
pub fn column(column: &relations::Column) -> Option<Column> {
    let mut modifier = column.type_modifier;
    // SAFETY: this is a look-up of the type, which the column has.
    let base = unsafe { pg_sys::getBaseTypeAndTypmod(column.type_oid, &mut modifier) };
    let kind = kind(base, modifier)?;
    let has_limit = matches!(base, pg_sys::VARCHAROID | pg_sys::BPCHAROID) && modifier >= HEADER;
    Some(Column {
        name: column.name.clone(),
        sql_type: column.type_name(),
        kind,
        most_characters: has_limit.then_some((modifier - HEADER) as u32),
    })
}

/// What modifiers of types begin to count from.
const HEADER: i32 = pg_sys::VARHDRSZ as i32;

fn kind(base: pg_sys::Oid, modifier: i32) -> Option<Kind> {
    Some(match base {
        pg_sys::BOOLOID => Kind::Boolean,
        pg_sys::INT2OID => Kind::Smallint,
        pg_sys::INT4OID => Kind::Integer,
        pg_sys::INT8OID => Kind::Bigint,
        pg_sys::FLOAT4OID => Kind::Real,
        pg_sys::FLOAT8OID => Kind::Double,
        pg_sys::NUMERICOID => Kind::Numeric(precision_and_scale(modifier)),
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID | pg_sys::NAMEOID | pg_sys::JSONOID => {
            Kind::Text
        }
        pg_sys::JSONBOID => Kind::Jsonb,
        pg_sys::BYTEAOID => Kind::Bytea,
        pg_sys::DATEOID => Kind::Date,
        pg_sys::TIMEOID => Kind::Time,
        pg_sys::TIMESTAMPOID => Kind::Timestamp,
        pg_sys::TIMESTAMPTZOID => Kind::Timestamptz,
        pg_sys::UUIDOID => Kind::Uuid,
        // SAFETY: this is a look-up of the type.
        other if unsafe { pg_sys::get_typtype(other) } as u8 == pg_sys::TYPTYPE_ENUM => Kind::Text,
        _ => return None,
    })
}

/// Of numeric(p, s), where Parquet has such decimals: up to 38 digits, of which none is left of the point at most.
fn precision_and_scale(modifier: i32) -> Option<(u8, i8)> {
    const MOST_DIGITS: i32 = 38;
    let packed = modifier.checked_sub(HEADER).filter(|packed| *packed >= 0)?;
    let (precision, scale) = ((packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024);
    let fits = precision <= MOST_DIGITS && (0..=precision).contains(&scale);
    fits.then_some((precision as u8, scale as i8))
}
