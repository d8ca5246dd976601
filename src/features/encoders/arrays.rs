//! Converts SQL arrays to slices and back. An array of several dimensions is read in storage order.

use crate::pg::call::{text, Call};
use crate::pg::memory::bytes;
use crate::pg::values::{self, push_elements};
use pgrx::pg_sys;
use std::ffi::c_char;

/// The numbers of the n-th argument, a double precision[], with NaN for each NULL; `None` if the argument is NULL.
pub fn floats(call: &Call, n: usize) -> Option<Vec<f64>> {
    let array = call.datum(n)?;
    let mut values = Vec::new();
    // SAFETY: the argument is a double precision[].
    unsafe { push_elements(values::Number::Float8, array, &mut values) };
    Some(values)
}

/// The elements of the n-th argument, a text[]; `None` if the argument is NULL.
pub fn texts(call: &Call, n: usize) -> Option<Vec<Option<&[u8]>>> {
    let array = call.datum(n)?;
    let align = b'i' as c_char;
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the argument is a text[], whose elements are stored as the call says. If the array is detoasted, its elements
    // lie in the copy, which stays in the memory context in which the call runs. There are `count` values and flags.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let oid = pg_sys::TEXTOID;
        pg_sys::deconstruct_array(array, oid, -1, false, align, &mut values, &mut nulls, &mut count);
        let element = |n: usize| (!*nulls.add(n)).then(|| bytes(*values.add(n)));
        let elements = (0..count as usize).map(element).collect();
        pg_sys::pfree(values.cast());
        pg_sys::pfree(nulls.cast());
        Some(elements)
    }
}

/// A number type that an array can be made of.
///
/// # Safety
/// A value of all zero bytes is valid. The SQL type has the size of the Rust type and an alignment of at most 8 bytes.
pub unsafe trait Number: Copy {
    const TYPE: pg_sys::Oid;
}

// SAFETY: an SQL real is an IEEE single.
unsafe impl Number for f32 {
    const TYPE: pg_sys::Oid = pg_sys::FLOAT4OID;
}

// SAFETY: an SQL double precision is an IEEE double.
unsafe impl Number for f64 {
    const TYPE: pg_sys::Oid = pg_sys::FLOAT8OID;
}

/// An array of `count` numbers. They are zeros until `fill` changes them.
pub fn numbers<T: Number>(count: usize, fill: impl FnOnce(&mut [T])) -> pg_sys::Datum {
    // The header with one dimension and its lower bound has 24 bytes, so the elements after it are aligned.
    const HEADER: usize = std::mem::size_of::<pg_sys::ArrayType>() + 2 * std::mem::size_of::<i32>();
    // SAFETY: the allocation holds the header and the numbers, all zeroed. An array without elements has no dimensions, so
    // Postgres makes that one.
    unsafe {
        if count == 0 {
            return pg_sys::construct_empty_array(T::TYPE).into();
        }
        let size = HEADER + count * std::mem::size_of::<T>();
        let array = pg_sys::palloc0(size).cast::<pg_sys::ArrayType>();
        pgrx::set_varsize_4b(array.cast(), size as i32);
        (*array).ndim = 1;
        (*array).elemtype = T::TYPE;
        let dimension = array.add(1).cast::<i32>();
        *dimension = count as i32;
        *dimension.add(1) = 1;
        fill(std::slice::from_raw_parts_mut(array.cast::<u8>().add(HEADER).cast(), count));
        array.into()
    }
}

/// The numbers as a double precision[].
pub fn float_array(values: &[f64]) -> pg_sys::Datum {
    numbers(values.len(), |into| into.copy_from_slice(values))
}

/// The texts as a text[].
pub fn text_array<'a>(values: impl Iterator<Item = &'a [u8]>) -> pg_sys::Datum {
    let mut elements: Vec<pg_sys::Datum> = values.map(text).collect();
    // SAFETY: the elements are texts in the current memory context. Postgres copies them, so they can be freed afterwards.
    unsafe {
        let align = b'i' as c_char;
        let count = elements.len() as i32;
        let array = pg_sys::construct_array(elements.as_mut_ptr(), count, pg_sys::TEXTOID, -1, false, align);
        elements.iter().for_each(|element| pg_sys::pfree(element.cast_mut_ptr()));
        array.into()
    }
}
