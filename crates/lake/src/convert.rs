//! Values of Arrow arrays as fields of PostgreSQL's binary COPY. A value that the type of the column does not hold is an
//! error; nothing is rounded or cut but digits beyond microseconds, and doubles in a column of type real.

use crate::convert_text::{from_bytes, from_text};
use crate::field::{put, Put, NULL_FIELD};
use crate::moments::{self, EPOCH_DAYS};
use crate::numeric;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Decimal32Type, Decimal64Type,
    Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Int8Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type, UInt8Type,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use lake_protocol::message::{Column, Kind};

/// How the values of an array become fields of a column; `None` if values of that type cannot.
pub fn putter<'a>(array: &'a dyn Array, column: &Column) -> Option<Put<'a>> {
    let kind = column.kind;
    match array.data_type() {
        DataType::Null => Some(Box::new(|_, out| {
            out.extend_from_slice(&NULL_FIELD);
            Ok(())
        })),
        DataType::Boolean if kind == Kind::Boolean => {
            let array = array.as_boolean();
            Some(Box::new(move |row, out| put(out, &[u8::from(array.value(row))])))
        }
        DataType::Int8 => integer::<Int8Type>(array, kind),
        DataType::Int16 => integer::<Int16Type>(array, kind),
        DataType::Int32 => integer::<Int32Type>(array, kind),
        DataType::Int64 => integer::<Int64Type>(array, kind),
        DataType::UInt8 => integer::<UInt8Type>(array, kind),
        DataType::UInt16 => integer::<UInt16Type>(array, kind),
        DataType::UInt32 => integer::<UInt32Type>(array, kind),
        DataType::UInt64 => integer::<UInt64Type>(array, kind),
        DataType::Float32 => {
            let array = array.as_primitive::<Float32Type>();
            double(move |row| f64::from(array.value(row)), move |row| array.value(row).to_string(), kind)
        }
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            double(move |row| array.value(row), move |row| array.value(row).to_string(), kind)
        }
        DataType::Decimal32(_, scale) => {
            let array = array.as_primitive::<Decimal32Type>();
            decimal(move |row| array.value(row).into(), *scale, kind)
        }
        DataType::Decimal64(_, scale) => {
            let array = array.as_primitive::<Decimal64Type>();
            decimal(move |row| array.value(row).into(), *scale, kind)
        }
        DataType::Decimal128(_, scale) => {
            let array = array.as_primitive::<Decimal128Type>();
            decimal(move |row| array.value(row), *scale, kind)
        }
        DataType::Decimal256(..) if matches!(kind, Kind::Numeric(_)) => {
            let array = array.as_primitive::<Decimal256Type>();
            Some(Box::new(move |row, out| {
                numeric::put_text(&array.value_as_string(row), out).ok_or_else(|| "is no number".to_owned())
            }))
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            from_text(move |row| array.value(row), column)
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            from_text(move |row| array.value(row), column)
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            from_text(move |row| array.value(row), column)
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            from_bytes(move |row| array.value(row), kind)
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            from_bytes(move |row| array.value(row), kind)
        }
        DataType::Date32 => date(array.as_primitive(), kind),
        DataType::Time32(TimeUnit::Millisecond) if kind == Kind::Time => {
            let array = array.as_primitive::<Time32MillisecondType>();
            time(move |row| i64::from(array.value(row)).saturating_mul(1000))
        }
        DataType::Time64(TimeUnit::Microsecond) if kind == Kind::Time => {
            let array = array.as_primitive::<Time64MicrosecondType>();
            time(move |row| array.value(row))
        }
        DataType::Time64(TimeUnit::Nanosecond) if kind == Kind::Time => {
            let array = array.as_primitive::<Time64NanosecondType>();
            time(move |row| array.value(row).div_euclid(1000))
        }
        DataType::Timestamp(unit, zone) => {
            let wanted = if zone.is_some() { Kind::Timestamptz } else { Kind::Timestamp };
            (kind == wanted).then(|| timestamp(array, *unit)).flatten()
        }
        _ => None,
    }
}

fn beyond(value: impl std::fmt::Display) -> String {
    format!("is {value}, which the type does not hold")
}

fn integer<'a, T>(array: &'a dyn Array, kind: Kind) -> Option<Put<'a>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let array: &'a PrimitiveArray<T> = array.as_primitive();
    whole(move |row| array.value(row).into(), kind)
}

fn whole<'a>(value: impl Fn(usize) -> i128 + 'a, kind: Kind) -> Option<Put<'a>> {
    Some(match kind {
        Kind::Smallint => Box::new(move |row, out| {
            put(out, &i16::try_from(value(row)).map_err(|_| beyond(value(row)))?.to_be_bytes())
        }),
        Kind::Integer => Box::new(move |row, out| {
            put(out, &i32::try_from(value(row)).map_err(|_| beyond(value(row)))?.to_be_bytes())
        }),
        Kind::Bigint => Box::new(move |row, out| {
            put(out, &i64::try_from(value(row)).map_err(|_| beyond(value(row)))?.to_be_bytes())
        }),
        Kind::Real => Box::new(move |row, out| put(out, &(value(row) as f32).to_be_bytes())),
        Kind::Double => Box::new(move |row, out| put(out, &(value(row) as f64).to_be_bytes())),
        Kind::Numeric(_) => Box::new(move |row, out| {
            numeric::put_decimal(value(row), 0, out);
            Ok(())
        }),
        Kind::Text => Box::new(move |row, out| put(out, value(row).to_string().as_bytes())),
        _ => return None,
    })
}

fn double<'a>(
    value: impl Fn(usize) -> f64 + 'a,
    shortest: impl Fn(usize) -> String + 'a,
    kind: Kind,
) -> Option<Put<'a>> {
    Some(match kind {
        Kind::Double => Box::new(move |row, out| put(out, &value(row).to_be_bytes())),
        Kind::Real => Box::new(move |row, out| {
            let (wide, narrow) = (value(row), value(row) as f32);
            match wide.is_finite() && narrow.is_infinite() {
                true => Err(beyond(wide)),
                false => put(out, &narrow.to_be_bytes()),
            }
        }),
        Kind::Numeric(_) => Box::new(move |row, out| {
            numeric::put_double(value(row), &shortest(row), out).ok_or_else(|| beyond(value(row)))
        }),
        // A writer that has no integers with NULLs writes them as doubles.
        Kind::Smallint | Kind::Integer | Kind::Bigint => Box::new(move |row, out| {
            let value = value(row);
            if value.fract() != 0.0 || value.abs() > 2_f64.powi(63) {
                return Err(beyond(value));
            }
            match whole(move |_| value as i128, kind) {
                Some(put) => put(0, out),
                None => Err(beyond(value)),
            }
        }),
        _ => return None,
    })
}

fn decimal<'a>(value: impl Fn(usize) -> i128 + 'a, scale: i8, kind: Kind) -> Option<Put<'a>> {
    let (fraction, zeros) = (scale.max(0) as u8, 10_i128.checked_pow((-i32::from(scale)).max(0) as u32)?);
    let text = move |row: usize| {
        let (value, width) = (value(row).saturating_mul(zeros), usize::from(fraction));
        (value, width)
    };
    Some(match kind {
        Kind::Numeric(_) => Box::new(move |row, out| {
            numeric::put_decimal(text(row).0, fraction, out);
            Ok(())
        }),
        Kind::Real | Kind::Double => Box::new(move |row, out| {
            let (value, width) = text(row);
            let value: f64 = written(value, width).parse().map_err(|_| beyond(value))?;
            match kind {
                Kind::Real => put(out, &(value as f32).to_be_bytes()),
                _ => put(out, &value.to_be_bytes()),
            }
        }),
        Kind::Smallint | Kind::Integer | Kind::Bigint => Box::new(move |row, out| {
            let (value, width) = text(row);
            let unit = 10_i128.checked_pow(width as u32).filter(|unit| value % unit == 0);
            let unit = unit.ok_or_else(|| beyond(written(value, width)))?;
            match whole(move |_| value / unit, kind) {
                Some(put) => put(0, out),
                None => Err(beyond(value)),
            }
        }),
        Kind::Text => Box::new(move |row, out| {
            let (value, width) = text(row);
            put(out, written(value, width).as_bytes())
        }),
        _ => return None,
    })
}

/// `value / 10^width` in decimal digits.
fn written(value: i128, width: usize) -> String {
    let digits = format!("{:0>1$}", value.unsigned_abs(), width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    let sign = if value < 0 { "-" } else { "" };
    match width {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

fn date<'a>(array: &'a PrimitiveArray<Date32Type>, kind: Kind) -> Option<Put<'a>> {
    Some(match kind {
        Kind::Date => Box::new(move |row, out| {
            let days = i64::from(array.value(row));
            put(out, &moments::date(days).ok_or_else(|| far(days - EPOCH_DAYS))?.to_be_bytes())
        }),
        Kind::Timestamp => Box::new(move |row, out| {
            let days = i64::from(array.value(row));
            let moment = moments::moment(days * moments::DAY).ok_or_else(|| far(days - EPOCH_DAYS))?;
            put(out, &moment.to_be_bytes())
        }),
        _ => return None,
    })
}

fn far(days: i64) -> String {
    format!("is {days} days from 2000-01-01, which the type does not hold")
}

fn time<'a>(value: impl Fn(usize) -> i64 + 'a) -> Option<Put<'a>> {
    Some(Box::new(move |row, out| match value(row) {
        micros @ 0..=moments::DAY => put(out, &micros.to_be_bytes()),
        micros => Err(beyond(format!("{micros} microseconds after midnight"))),
    }))
}

fn timestamp<'a>(array: &'a dyn Array, unit: TimeUnit) -> Option<Put<'a>> {
    let of = |microseconds: Option<i64>, out: &mut Vec<u8>| {
        let moment = microseconds.and_then(moments::moment);
        put(out, &moment.ok_or("is farther from now than the type holds")?.to_be_bytes())
    };
    Some(match unit {
        TimeUnit::Millisecond => {
            let array = array.as_primitive::<TimestampMillisecondType>();
            Box::new(move |row, out| of(array.value(row).checked_mul(1000), out))
        }
        TimeUnit::Microsecond => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            Box::new(move |row, out| of(Some(array.value(row)), out))
        }
        TimeUnit::Nanosecond => {
            let array = array.as_primitive::<TimestampNanosecondType>();
            Box::new(move |row, out| of(Some(array.value(row).div_euclid(1000)), out))
        }
        TimeUnit::Second => return None,
    })
}
