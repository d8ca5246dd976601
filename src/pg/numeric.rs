//! Reads `numeric` as double precision. Postgres's own cast writes the digits out as text and reads them back, which takes
//! ten times as long for a number with as few digits as a price.

use features::decimal::nearest;
use pgrx::pg_sys;

/// The bits of the header of a stored numeric. The header has two bytes, or four where the weight or the scale is large;
/// groups of four digits follow it. This is the layout of data on disk, the same in every version of PostgreSQL that we
/// support.
const KIND: u16 = 0xC000;
const LONG_POSITIVE: u16 = 0x0000;
const LONG_NEGATIVE: u16 = 0x4000;
const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT: u16 = 0x003F;
const SHORT_WEIGHT_NEGATIVE: u16 = 0x0040;

/// The nearest double precision number; an infinity if the value is out of range.
///
/// # Safety
/// `datum` is a non-NULL numeric.
#[inline]
pub unsafe fn to_f64(datum: pg_sys::Datum) -> f64 {
    // SAFETY: as the caller says.
    unsafe { of_few_digits(datum) }.unwrap_or_else(|| {
        let cast = pgrx::fcinfo::direct_function_call::<f64>;
        // SAFETY: this is Postgres's own function, and it takes one numeric.
        unsafe { cast(pg_sys::numeric_float8_no_overflow, &[Some(datum)]) }.unwrap_or(f64::NAN)
    })
}

/// The same number as a bigint; `None` if it is none.
///
/// # Safety
/// `datum` is a non-NULL numeric.
pub unsafe fn whole(datum: pg_sys::Datum) -> Option<i64> {
    // SAFETY: as the caller says.
    if let Some(number) = unsafe { of_few_digits(datum) } {
        return super::values::whole(number);
    }
    let write = pgrx::fcinfo::direct_function_call::<&std::ffi::CStr>;
    // SAFETY: this is Postgres's own function, and it takes one numeric.
    let digits = unsafe { write(pg_sys::numeric_out, &[Some(datum)]) }?.to_str().ok()?;
    let (digits, zeros) = digits.split_once('.').unwrap_or((digits, ""));
    zeros.bytes().all(|zero| zero == b'0').then(|| digits.parse().ok()).flatten()
}

/// # Safety
/// `datum` is a non-NULL numeric.
#[inline]
unsafe fn of_few_digits(datum: pg_sys::Datum) -> Option<f64> {
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    // SAFETY: the numeric is live, as the caller says, and it is a varlena. If detoasting made a copy, the copy is ours to
    // free.
    unsafe {
        let plain = pg_sys::pg_detoast_datum_packed(original);
        let found = few_digits(pgrx::varlena_to_byte_slice(plain));
        if plain != original {
            pg_sys::pfree(plain.cast());
        }
        found
    }
}

/// The value of a numeric with few digits; `None` where Postgres has to cast: many digits, NaN, infinities.
#[inline]
fn few_digits(bytes: &[u8]) -> Option<f64> {
    let (header, rest) = bytes.split_first_chunk::<2>()?;
    let header = u16::from_ne_bytes(*header);
    let (negative, weight, digits) = match header & KIND {
        SHORT => {
            let sign = if header & SHORT_WEIGHT_NEGATIVE != 0 { !SHORT_WEIGHT } else { 0 };
            (header & SHORT_NEGATIVE != 0, (sign | header & SHORT_WEIGHT) as i16, rest)
        }
        kind @ (LONG_POSITIVE | LONG_NEGATIVE) => {
            let (weight, digits) = rest.split_first_chunk::<2>()?;
            (kind == LONG_NEGATIVE, i16::from_ne_bytes(*weight), digits)
        }
        _ => return None,
    };
    let groups = digits.chunks_exact(2).map(|group| u16::from_ne_bytes([group[0], group[1]]));
    nearest(groups, i32::from(weight), negative)
}
