//! Reads SQL values as numbers and as text.
//!
//! Training reads the source and scoring reads the row through this one file, so that a value cannot mean one thing in
//! training and another in scoring, nor in one type and in another: a text is the same as an enum's label or a char(n)
//! without its padding, and a whole number is the same in every number type. The units are those of [`Family`].

use crate::error::Error;
use crate::pg::numeric;
use model::hash;
use model::protocol::MICROSECONDS_A_DAY;
use model::recipe::Family;
use pgrx::pg_sys;
use std::ffi::CStr;

/// How the values of one SQL type are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Bool,
    Number(Number),
    Date,
    Timestamp,
    /// A text or varchar: its bytes are the value.
    Text,
    /// A char(n): its bytes without the spaces at their end, which are padding.
    Padded,
    /// An enum, uuid or name: the output function of the type writes the value.
    Output(pg_sys::Oid),
    /// An array of numbers.
    Array(Number),
}

/// The number types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
}

impl Number {
    fn of(type_oid: pg_sys::Oid) -> Option<Self> {
        match type_oid {
            pg_sys::INT2OID => Some(Self::Int2),
            pg_sys::INT4OID => Some(Self::Int4),
            pg_sys::INT8OID => Some(Self::Int8),
            pg_sys::FLOAT4OID => Some(Self::Float4),
            pg_sys::FLOAT8OID => Some(Self::Float8),
            pg_sys::NUMERICOID => Some(Self::Numeric),
            _ => None,
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }

    /// The storage of an element of an array, as `deconstruct_array` wants it.
    fn storage(self) -> (i32, bool, std::ffi::c_char) {
        match self {
            Self::Int2 => (2, true, b's' as _),
            Self::Int4 | Self::Float4 => (4, true, b'i' as _),
            Self::Int8 | Self::Float8 => (8, true, b'd' as _),
            Self::Numeric => (-1, false, b'i' as _),
        }
    }

    /// # Safety
    /// `datum` is a non-NULL value of this type.
    #[inline]
    pub unsafe fn value(self, datum: pg_sys::Datum) -> f64 {
        match self {
            Self::Int2 => f64::from(datum.value() as i16),
            Self::Int4 => f64::from(datum.value() as i32),
            Self::Int8 => datum.value() as i64 as f64,
            Self::Float4 => f64::from(f32::from_bits(datum.value() as u32)),
            Self::Float8 => f64::from_bits(datum.value() as u64),
            // SAFETY: a numeric, as the caller says.
            Self::Numeric => unsafe { numeric::to_f64(datum) },
        }
    }

    /// The same number as a bigint; `None` if it is none.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of this type.
    pub unsafe fn whole(self, datum: pg_sys::Datum) -> Option<i64> {
        match self {
            // SAFETY: a numeric, as the caller says.
            Self::Numeric => unsafe { numeric::whole(datum) },
            // SAFETY: a value of this type, as the caller says.
            Self::Float4 | Self::Float8 => whole(unsafe { self.value(datum) }),
            Self::Int2 | Self::Int4 | Self::Int8 => Some(self.integer(datum)),
        }
    }

    /// A value of an integer type; 0 of any other.
    #[inline]
    pub fn integer(self, datum: pg_sys::Datum) -> i64 {
        match self {
            Self::Int2 => i64::from(datum.value() as i16),
            Self::Int4 => i64::from(datum.value() as i32),
            Self::Int8 => datum.value() as i64,
            Self::Float4 | Self::Float8 | Self::Numeric => 0,
        }
    }
}

/// The same number as a bigint; `None` if it is none.
pub fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number.trunc() == number && (-LIMIT..LIMIT).contains(&number)).then_some(number as i64)
}

/// The family and the reader of an SQL type; `None` if the type cannot be an input. A domain counts as its base type.
pub fn reader_of(type_oid: pg_sys::Oid) -> Option<(Family, Reader)> {
    // SAFETY: this is a catalog look-up, of a type that a live tuple descriptor names.
    let base = unsafe { pg_sys::getBaseType(type_oid) };
    let found = match base {
        pg_sys::BOOLOID => (Family::Boolean, Reader::Bool),
        pg_sys::DATEOID => (Family::Date, Reader::Date),
        pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => (Family::Timestamp, Reader::Timestamp),
        pg_sys::TEXTOID | pg_sys::VARCHAROID => (Family::Text, Reader::Text),
        pg_sys::BPCHAROID => (Family::Text, Reader::Padded),
        pg_sys::NAMEOID | pg_sys::UUIDOID => (Family::Text, output_reader(base)),
        other => match Number::of(other) {
            Some(number) => (Family::Number, Reader::Number(number)),
            None => return reader_of_array_or_enum(other),
        },
    };
    Some(found)
}

fn reader_of_array_or_enum(base: pg_sys::Oid) -> Option<(Family, Reader)> {
    // SAFETY: these are catalog look-ups, as in `reader_of`.
    let (element, is_enum) = unsafe { (pg_sys::get_element_type(base), pg_sys::type_is_enum(base)) };
    if is_enum {
        return Some((Family::Text, output_reader(base)));
    }
    if element == pg_sys::InvalidOid {
        return None;
    }
    // SAFETY: the array's type names the type of its elements.
    let element = Number::of(unsafe { pg_sys::getBaseType(element) })?;
    Some((Family::NumberArray, Reader::Array(element)))
}

fn output_reader(type_oid: pg_sys::Oid) -> Reader {
    let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: both out-pointers live through the call.
    unsafe { pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena) };
    Reader::Output(function)
}

/// The schema of the types that come with Postgres.
const BUILT_IN: &str = "pg_catalog.";

/// A type's name as people read it, with its modifier: `text`, `numeric(10,2)`, `real[]`, `public.colour`. It does not
/// depend on the caller's `search_path`, because it is stored with a model.
pub fn type_name(type_oid: pg_sys::Oid, typmod: i32) -> String {
    let name = sql_type(type_oid, typmod);
    name.strip_prefix(BUILT_IN).map_or_else(|| name.clone(), str::to_owned)
}

/// A type's name for SQL, with its modifier. It means the same under every `search_path`: `pg_catalog.text`, `integer`,
/// `public.colour`.
pub fn sql_type(type_oid: pg_sys::Oid, typmod: i32) -> String {
    // SAFETY: the call returns a palloc'd NUL-terminated string; it writes `???` for a type that does not exist.
    unsafe {
        let how = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN
            | pg_sys::FORMAT_TYPE_FORCE_QUALIFY
            | pg_sys::FORMAT_TYPE_ALLOW_INVALID;
        let name = pg_sys::format_type_extended(type_oid, typmod, how as pg_sys::bits16);
        let owned = CStr::from_ptr(name).to_string_lossy().into_owned();
        pg_sys::pfree(name.cast());
        owned
    }
}

/// An expression of this type, cast to its base type: the operators of enums take no domain over an enum.
pub fn as_base(expression: String, type_oid: pg_sys::Oid) -> String {
    // SAFETY: this is a catalog look-up, of a type that a live tuple descriptor names.
    let base = unsafe { pg_sys::getBaseType(type_oid) };
    match base == type_oid {
        true => expression,
        false => format!("{expression}::{}", sql_type(base, -1)),
    }
}

/// SQL for a value as text, where equal values are to be equal texts: a number is written without zeros at its end.
pub fn as_text(value: &str, type_oid: pg_sys::Oid) -> String {
    // SAFETY: this is a catalog look-up, of a type that a column has.
    match unsafe { pg_sys::getBaseType(type_oid) } {
        pg_sys::NUMERICOID => format!("pg_catalog.trim_scale({value})::pg_catalog.text"),
        _ => format!("{value}::pg_catalog.text"),
    }
}

/// The day from which dates count, for SQL that is given days as numbers.
pub const EPOCH: &str = "'2000-01-01'::pg_catalog.date";

/// The values, in microseconds since 2000-01-01, that PostgreSQL stores for `-infinity` and `infinity`.
const NOT_A_TIMESTAMP: [i64; 2] = [i64::MIN, i64::MAX];
/// The values, in days since 2000-01-01, that PostgreSQL stores for `-infinity` and `infinity`.
const NOT_A_DATE: [i32; 2] = [i32::MIN, i32::MAX];
const MICROSECONDS: f64 = 1e6;

/// A value as a number. An infinite date or timestamp is NaN, that is, missing; so is a value that has no number: a text or
/// an array.
///
/// # Safety
/// `datum` is a non-NULL value of the type that `reader` was made for.
#[inline]
pub unsafe fn number(reader: Reader, datum: pg_sys::Datum) -> f64 {
    match reader {
        Reader::Bool => f64::from(u8::from(datum.value() as u8 != 0)),
        // SAFETY: a number of this type, as the caller says.
        Reader::Number(number) => unsafe { number.value(datum) },
        Reader::Date => match datum.value() as i32 {
            day if NOT_A_DATE.contains(&day) => f64::NAN,
            day => f64::from(day),
        },
        Reader::Timestamp => match datum.value() as i64 {
            moment if NOT_A_TIMESTAMP.contains(&moment) => f64::NAN,
            moment => moment as f64 / MICROSECONDS,
        },
        Reader::Text | Reader::Padded | Reader::Output(_) | Reader::Array(_) => f64::NAN,
    }
}

/// Calls `take` with a value of a text-like type. The extension can only be installed in a database whose encoding is
/// UTF-8.
///
/// # Safety
/// `datum` is a non-NULL value of the type that `reader` was made for.
pub unsafe fn with_text<T>(reader: Reader, datum: pg_sys::Datum, take: impl FnOnce(&str) -> T) -> T {
    if let Reader::Output(function) = reader {
        // SAFETY: the output function of the type returns a palloc'd NUL-terminated string, which is ours to free.
        return unsafe {
            let written = pg_sys::OidOutputFunctionCall(function, datum);
            let result = take(&CStr::from_ptr(written).to_string_lossy());
            pg_sys::pfree(written.cast());
            result
        };
    }
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    // SAFETY: the datum is a live varlena, as the caller says. If detoasting made a copy, the copy is ours to free.
    unsafe {
        let plain = pg_sys::pg_detoast_datum_packed(original);
        let text = String::from_utf8_lossy(pgrx::varlena_to_byte_slice(plain));
        let result = take(if reader == Reader::Padded { text.trim_end_matches(' ') } else { &text });
        if plain != original {
            pg_sys::pfree(plain.cast());
        }
        result
    }
}

/// The hash of a value, which is the same as the trainer's hash of a key.
///
/// # Safety
/// `datum` is a non-NULL value, not an array, of the type that `reader` was made for.
pub unsafe fn hash(reader: Reader, datum: pg_sys::Datum) -> u64 {
    match reader {
        Reader::Bool => hash::integer(i64::from(datum.value() as u8 != 0)),
        Reader::Number(number) if number.is_integer() => hash::integer(number.integer(datum)),
        // SAFETY: the datum is a value of the reader's type, as the caller says.
        Reader::Text | Reader::Padded | Reader::Output(_) => unsafe { with_text(reader, datum, hash::text) },
        // SAFETY: the datum is a value of the reader's type, as the caller says.
        _ => hash::float(unsafe { number(reader, datum) }),
    }
}

/// Appends the elements of an array, with NaN for each NULL. An array of several dimensions is read in storage order.
///
/// # Safety
/// `datum` is a non-NULL array whose elements `element` was made for.
pub unsafe fn push_elements(element: Number, datum: pg_sys::Datum, into: &mut Vec<f64>) {
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    let (length, by_value, align) = element.storage();
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the elements of the array are stored as `storage` says, because `element` was made for them. There are
    // `count` values and flags; they are ours to free, and so is a detoasted copy of the array.
    unsafe {
        let array = pg_sys::pg_detoast_datum(original).cast::<pg_sys::ArrayType>();
        // The elements may be those of a domain.
        let oid = (*array).elemtype;
        pg_sys::deconstruct_array(array, oid, length, by_value, align, &mut values, &mut nulls, &mut count);
        for i in 0..count as usize {
            into.push(if *nulls.add(i) { f64::NAN } else { element.value(*values.add(i)) });
        }
        pg_sys::pfree(values.cast());
        pg_sys::pfree(nulls.cast());
        if array.cast() != original {
            pg_sys::pfree(array.cast());
        }
    }
}

/// The elements of a `name[]` argument.
///
/// # Safety
/// `datum` is a non-NULL name[].
pub unsafe fn names(datum: pg_sys::Datum) -> Result<Vec<String>, Error> {
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    let length = pg_sys::NAMEDATALEN as i32;
    let align = b'c' as std::ffi::c_char;
    // SAFETY: the datum is an array of names, as the caller says; the out-pointers live through the call.
    unsafe {
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::deconstruct_array(
            array,
            pg_sys::NAMEOID,
            length,
            false,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
    }
    // SAFETY: there are `count` values and flags, and a name is NUL-terminated.
    let name = |n: usize| unsafe {
        if *nulls.add(n) {
            return Err(Error::invalid("an array of column names must not contain NULL"));
        }
        let name: *const std::ffi::c_char = (*values.add(n)).cast_mut_ptr();
        Ok(CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    (0..count as usize).map(name).collect()
}

/// The elements of a `text[]` of the catalog; `None` if one of them is NULL or the array has several dimensions.
///
/// # Safety
/// `datum` is a non-NULL text[].
pub unsafe fn texts(datum: pg_sys::Datum) -> Option<Vec<String>> {
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    let align = b'i' as std::ffi::c_char;
    // SAFETY: the datum is an array of texts, as the caller says; the out-pointers live through the call.
    let dimensions = unsafe {
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::deconstruct_array(
            array,
            pg_sys::TEXTOID,
            -1,
            false,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
        (*array).ndim
    };
    // SAFETY: there are `count` values and flags, and the elements are texts.
    let text = |n: usize| unsafe {
        (!*nulls.add(n)).then(|| with_text(Reader::Text, *values.add(n), |text| text.to_owned()))
    };
    (dimensions <= 1).then(|| (0..count as usize).map(text).collect())?
}

/// The length of an interval. A month counts as 30 days and a day as 24 hours, as they do where Postgres compares
/// intervals.
pub fn microseconds(interval: &pg_sys::Interval) -> i128 {
    (i128::from(interval.month) * 30 + i128::from(interval.day)) * i128::from(MICROSECONDS_A_DAY)
        + i128::from(interval.time)
}

/// A `jsonb` as text. Its numbers may be too large for any number type of ours.
///
/// # Safety
/// `datum` is a non-NULL jsonb.
pub unsafe fn json_text(datum: pg_sys::Datum) -> String {
    // SAFETY: the datum is a jsonb, as the caller says; its output function returns a palloc'd NUL-terminated string, which
    // is ours to free.
    unsafe {
        let written = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_JSONB_OUT), datum);
        let text = CStr::from_ptr(written).to_string_lossy().into_owned();
        pg_sys::pfree(written.cast());
        text
    }
}

/// The day after a date; an infinite date stays as it is. The day after the last date of all is no valid date, and can only
/// be compared.
pub fn day_after(date: pg_sys::Datum) -> pg_sys::Datum {
    let day = date.value() as i32;
    pg_sys::Datum::from(if day == i32::MIN { day } else { day.saturating_add(1) })
}

/// The most characters that a text may have that is stored with a model, such as a description or the reason of a
/// promotion.
pub const LONGEST_NOTE: usize = 10_000;

/// A text argument called `name`, unchanged; it is an error if it is too long to be stored.
pub fn note<'a>(text: Option<&'a str>, name: &str) -> Result<Option<&'a str>, Error> {
    let characters = text.map_or(0, |text| text.chars().count());
    match characters <= LONGEST_NOTE {
        true => Ok(text),
        false => Err(Error::invalid(format!(
            "{name} has {characters} characters: a text that is kept has at most {LONGEST_NOTE}"
        ))),
    }
}

/// The most bytes that one value is given: Postgres bounds it by a gigabyte.
pub const LARGEST_VALUE: usize = (1 << 30) - (1 << 16);

/// The value of an argument that must not be NULL.
pub fn given<T>(value: Option<T>, name: &str) -> Result<T, Error> {
    value.ok_or_else(|| Error::invalid(format!("{name} must not be NULL")))
}
