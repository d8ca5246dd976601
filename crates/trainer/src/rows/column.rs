//! One Arrow array into numbers, texts and hashes: the only file that knows what each Arrow type means.

use super::hash;
use crate::error::TrainerError;
use crate::memory::grow;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ListArray, StringArray};
use arrow_schema::DataType;
use model::protocol::{EPOCH_DAYS, EPOCH_MICROSECONDS};

/// The rows of one array: a number (NaN where it is missing) and a hash for each.
#[derive(Debug, Default)]
pub struct Cells {
    pub numbers: Vec<f64>,
    pub hashes: Vec<u64>,
    /// Whether the hashes are left empty.
    unhashed: bool,
}

impl Cells {
    /// Cells without hashes, for rows that were hashed when they were first read.
    pub fn without_hashes() -> Self {
        Self { unhashed: true, ..Self::default() }
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.hashes.clear();
    }

    /// Takes a number, boolean, date or timestamp array: dates become days, timestamps seconds since 2000-01-01.
    pub fn read_numbers(&mut self, array: &dyn Array) -> Result<(), TrainerError> {
        use arrow_schema::TimeUnit::Microsecond;
        self.clear();
        match array.data_type() {
            DataType::Int16 => self.primitive::<Int16Type>(array, |v| hash::integer(v.into()), f64::from),
            DataType::Int32 => self.primitive::<Int32Type>(array, |v| hash::integer(v.into()), f64::from),
            DataType::Int64 => self.primitive::<Int64Type>(array, hash::integer, |v| v as f64),
            DataType::Float32 => self.primitive::<Float32Type>(array, |v| hash::float(v.into()), f64::from),
            DataType::Float64 => self.primitive::<Float64Type>(array, hash::float, |v| v),
            DataType::Date32 => {
                self.primitive::<Date32Type>(array, |v| hash::integer(v.into()), days_since_2000)
            }
            DataType::Timestamp(Microsecond, _) => {
                self.primitive::<TimestampMicrosecondType>(array, hash::integer, seconds_since_2000)
            }
            DataType::Boolean => {
                for value in array.as_boolean() {
                    self.numbers.push(value.map_or(f64::NAN, |v| v.into()));
                    self.hashes.push(value.map_or(hash::NULL, |v| hash::integer(v.into())));
                }
            }
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    /// Takes the hashes of a list's items, if there are hashes.
    pub fn push_list(&mut self, items: Option<&[u64]>, length: usize) {
        if let (Some(items), false) = (items, self.unhashed) {
            self.hashes.push(items.iter().fold(length as u64, |all, item| hash::chain(all, *item)));
        }
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        array: &dyn Array,
        hash: impl Fn(T::Native) -> u64,
        number: impl Fn(T::Native) -> f64,
    ) {
        let array = array.as_primitive::<T>();
        if array.null_count() == 0 {
            self.numbers.extend(array.values().iter().map(|v| number(*v)));
        } else {
            self.numbers.extend(array.iter().map(|v| v.map_or(f64::NAN, &number)));
        }
        if !self.unhashed {
            self.hashes.extend(array.iter().map(|v| v.map_or(hash::NULL, &hash)));
        }
    }
}

/// `infinity` and `-infinity` count as missing.
fn days_since_2000(days: i32) -> f64 {
    match days {
        i32::MIN | i32::MAX => f64::NAN,
        _ => f64::from(days) - f64::from(EPOCH_DAYS),
    }
}

/// `infinity` and `-infinity` count as missing.
fn seconds_since_2000(micros: i64) -> f64 {
    match micros {
        i64::MIN | i64::MAX => f64::NAN,
        _ => micros.saturating_sub(EPOCH_MICROSECONDS) as f64 / 1e6,
    }
}

/// The unit of event times, which decides how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Days,
    Micros { zoned: bool },
    Integer,
    Float,
}

impl TimeUnit {
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Date32 => Self::Days,
            DataType::Timestamp(_, zone) => Self::Micros { zoned: zone.is_some() },
            DataType::Float32 | DataType::Float64 => Self::Float,
            _ => Self::Integer,
        }
    }

    /// The time as ISO 8601, or the number that it is.
    pub fn format(self, time: i64) -> String {
        use arrow_array::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
        let written = match self {
            Self::Days => {
                i32::try_from(time).ok().and_then(date32_to_datetime).map(|at| at.date().to_string())
            }
            Self::Micros { zoned } => {
                timestamp_us_to_datetime(time).map(|at| format!("{at:?}{}", if zoned { "Z" } else { "" }))
            }
            Self::Integer => None,
            Self::Float => Some(float_of_order(time).to_string()),
        };
        written.unwrap_or_else(|| time.to_string())
    }
}

/// The event time of a row that has none.
pub const NO_TIME: i64 = i64::MIN;

/// Appends the event times as whole numbers that sort as the times do; [`NO_TIME`] for NULL and NaN.
pub fn read_times(array: &dyn Array, times: &mut Vec<i64>) -> Result<(), TrainerError> {
    fn append<T: ArrowPrimitiveType>(
        array: &dyn Array,
        times: &mut Vec<i64>,
        order: impl Fn(T::Native) -> i64,
    ) {
        grow(times, array.len());
        times.extend(array.as_primitive::<T>().iter().map(|v| v.map_or(NO_TIME, &order)));
    }
    let float = |v: f64| if v.is_nan() { NO_TIME } else { order_of_float(v) };
    match array.data_type() {
        DataType::Int16 => append::<Int16Type>(array, times, i64::from),
        DataType::Int32 => append::<Int32Type>(array, times, i64::from),
        DataType::Int64 => append::<Int64Type>(array, times, |v| v),
        DataType::Date32 => append::<Date32Type>(array, times, i64::from),
        DataType::Timestamp(_, _) => append::<TimestampMicrosecondType>(array, times, |v| v),
        DataType::Float32 => append::<Float32Type>(array, times, |v| float(v.into())),
        DataType::Float64 => append::<Float64Type>(array, times, float),
        other => return Err(unexpected(other)),
    }
    Ok(())
}

/// The bits of a float as a whole number of the same order: negative floats sort by falling bits.
fn order_of_float(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn float_of_order(order: i64) -> f64 {
    f64::from_bits((order ^ (((order >> 63) as u64) >> 1) as i64) as u64)
}

/// The text array behind `array`.
pub fn texts(array: &dyn Array) -> Result<&StringArray, TrainerError> {
    array.as_string_opt::<i32>().ok_or_else(|| unexpected(array.data_type()))
}

/// The list array behind `array`.
pub fn lists(array: &dyn Array) -> Result<&ListArray, TrainerError> {
    array.as_list_opt::<i32>().ok_or_else(|| unexpected(array.data_type()))
}

/// The error for an array of another type. The schema was checked, so that only a broken file has batches that differ
/// from it.
fn unexpected(data_type: &DataType) -> TrainerError {
    TrainerError::internal(format!("a record batch holds an unexpected array of type {data_type}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{BooleanArray, Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray};

    fn numbers(array: &dyn Array) -> Vec<f64> {
        let mut cells = Cells::default();
        cells.read_numbers(array).unwrap();
        assert_eq!(cells.numbers.len(), cells.hashes.len());
        cells.numbers
    }

    #[test]
    fn dates_and_timestamps_count_from_2000() {
        assert_eq!(numbers(&Date32Array::from(vec![EPOCH_DAYS, EPOCH_DAYS + 366])), [0.0, 366.0]);
        let micros =
            TimestampMicrosecondArray::from(vec![EPOCH_MICROSECONDS - 1, EPOCH_MICROSECONDS + 1_500_000]);
        assert_eq!(numbers(&micros), [-1e-6, 1.5]);
        let infinite = TimestampMicrosecondArray::from(vec![i64::MIN, i64::MAX]);
        assert!(numbers(&infinite).iter().all(|v| v.is_nan()));
    }

    #[test]
    fn null_is_not_a_number_and_booleans_are_zero_or_one() {
        let booleans = numbers(&BooleanArray::from(vec![Some(true), None, Some(false)]));
        assert_eq!((booleans[0], booleans[2]), (1.0, 0.0));
        assert!(booleans[1].is_nan());
    }

    #[test]
    fn whole_numbers_beyond_a_double_keep_hashes_of_their_own() {
        let mut cells = Cells::default();
        cells.read_numbers(&Int64Array::from(vec![1 << 53, (1 << 53) + 1])).unwrap();
        assert_eq!(cells.numbers[0], cells.numbers[1]);
        assert_ne!(cells.hashes[0], cells.hashes[1]);
    }

    #[test]
    fn times_sort_as_their_values_do_and_are_written_as_iso_8601() {
        let values = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-300, 7.25, f64::INFINITY];
        let mut times = Vec::new();
        read_times(&Float64Array::from(values.to_vec()), &mut times).unwrap();
        assert!(times.is_sorted());
        assert_eq!(times[2], times[3]);
        assert_eq!(TimeUnit::Float.format(times[5]), "7.25");
        assert_eq!(TimeUnit::Float.format(times[1]), "-2.5");
        assert_eq!(TimeUnit::Days.format(17_167), "2017-01-01");
        let noon = 17_167 * model::protocol::MICROSECONDS_A_DAY + 43_200_000_000;
        assert_eq!(TimeUnit::Micros { zoned: false }.format(noon), "2017-01-01T12:00:00");
        assert_eq!(TimeUnit::Micros { zoned: true }.format(noon), "2017-01-01T12:00:00Z");
        assert_eq!(TimeUnit::Integer.format(-3), "-3");
    }
}
