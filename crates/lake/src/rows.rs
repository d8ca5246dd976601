//! Rows of a backend as Arrow arrays. What Parquet has no value for (infinite dates, numbers that are none) is an error.

use crate::error::{LakeError, Result};
use crate::moments::{self, EPOCH, EPOCH_DAYS};
use crate::numeric::read_decimal;
use arrow_array::builder::{ArrayBuilder, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use lake_protocol::message::{Column, Kind};
use std::sync::Arc;

type Read<T> = std::result::Result<T, String>;

/// The values of a column that wait to be written.
trait Values {
    fn append(&mut self, field: Option<&[u8]>) -> Read<()>;
    fn finish(&mut self) -> ArrayRef;
}

/// How a value is read from the bytes of a field.
type ReadField<T> = Box<dyn Fn(&[u8]) -> Read<<T as ArrowPrimitiveType>::Native>>;

struct Primitive<T: ArrowPrimitiveType> {
    values: PrimitiveBuilder<T>,
    read: ReadField<T>,
}

impl<T: ArrowPrimitiveType> Values for Primitive<T> {
    fn append(&mut self, field: Option<&[u8]>) -> Read<()> {
        self.values.append_option(field.map(&self.read).transpose()?);
        Ok(())
    }
    fn finish(&mut self) -> ArrayRef {
        ArrayBuilder::finish(&mut self.values)
    }
}

impl Values for BooleanBuilder {
    fn append(&mut self, field: Option<&[u8]>) -> Read<()> {
        self.append_option(field.map(|field| bytes::<1>(field).map(|[byte]| byte != 0)).transpose()?);
        Ok(())
    }
    fn finish(&mut self) -> ArrayRef {
        ArrayBuilder::finish(self)
    }
}

impl Values for BinaryBuilder {
    fn append(&mut self, field: Option<&[u8]>) -> Read<()> {
        self.append_option(field);
        Ok(())
    }
    fn finish(&mut self) -> ArrayRef {
        ArrayBuilder::finish(self)
    }
}

struct Text {
    values: StringBuilder,
    kind: Kind,
}

impl Values for Text {
    fn append(&mut self, field: Option<&[u8]>) -> Read<()> {
        self.values.append_option(field.map(|field| text(field, self.kind)).transpose()?);
        Ok(())
    }
    fn finish(&mut self) -> ArrayRef {
        ArrayBuilder::finish(&mut self.values)
    }
}

/// Rows that wait to be written, without the columns that are in the names of folders.
pub struct Rows {
    columns: Vec<(usize, Column)>,
    values: Vec<Box<dyn Values>>,
    schema: SchemaRef,
    pub count: usize,
    /// About how many bytes the values have.
    pub bytes: usize,
}

impl Rows {
    pub fn new(columns: &[Column], left_out: &[usize]) -> Result<Self> {
        let kept = columns.iter().cloned().enumerate().filter(|(at, _)| !left_out.contains(at));
        let columns: Vec<_> = kept.collect();
        if columns.is_empty() {
            return Err(LakeError::argument("partition_by names every column: none is left for the files"));
        }
        let field = |(_, column): &(usize, Column)| Field::new(&column.name, data_type(column.kind), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let values = columns.iter().map(|(_, column)| values(column.kind)).collect();
        Ok(Self { columns, values, schema, count: 0, bytes: 0 })
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn append(&mut self, fields: &[Option<&[u8]>]) -> Result<()> {
        for ((at, column), values) in self.columns.iter().zip(&mut self.values) {
            let field = fields.get(*at).copied().flatten();
            self.bytes += field.map_or(1, <[u8]>::len);
            values.append(field).map_err(|why| wrong(column, &why))?;
        }
        self.count += 1;
        Ok(())
    }

    /// What waits, after which nothing does.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let arrays = self.values.iter_mut().map(|values| values.finish()).collect();
        (self.count, self.bytes) = (0, 0);
        RecordBatch::try_new(self.schema(), arrays).map_err(|error| LakeError::process(error.to_string()))
    }
}

fn wrong(column: &Column, why: &str) -> LakeError {
    LakeError::data(format!("a value of column \"{}\" {why}", column.name))
        .hint("Nothing was written. Leave such rows out, or cast the column to text.")
}

/// The next row of a piece: its fields, which are taken from the piece. `None` at its end.
pub fn next_row<'a>(
    piece: &mut &'a [u8],
    fields: &mut Vec<Option<&'a [u8]>>,
    columns: usize,
) -> Result<Option<()>> {
    if piece.is_empty() {
        return Ok(None);
    }
    fields.clear();
    for _ in 0..columns {
        fields
            .push(next_field(piece).ok_or_else(|| LakeError::process("a row of the backend is cut short"))?);
    }
    Ok(Some(()))
}

fn next_field<'a>(piece: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, rest) = piece.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *piece = rest;
        return Some(None);
    };
    let (field, rest) = rest.split_at_checked(length)?;
    *piece = rest;
    Some(Some(field))
}

/// A value as the name of a folder has it.
pub fn folder_text(field: &[u8], column: &Column) -> Result<String> {
    let text = match column.kind {
        Kind::Boolean => bytes::<1>(field).map(|[byte]| (byte != 0).to_string()),
        Kind::Smallint => bytes(field).map(|bytes| i16::from_be_bytes(bytes).to_string()),
        Kind::Integer => bytes(field).map(|bytes| i32::from_be_bytes(bytes).to_string()),
        Kind::Bigint => bytes(field).map(|bytes| i64::from_be_bytes(bytes).to_string()),
        Kind::Date => date(field).map(|days| moments::date_text(i64::from(days) - EPOCH_DAYS)),
        Kind::Timestamp => moment(field).map(|micros| moments::moment_text(micros - EPOCH)),
        Kind::Text | Kind::Uuid => text(field, column.kind),
        _ => Err(format!("of type {} cannot be the name of a folder", column.sql_type)),
    };
    text.map_err(|why| wrong(column, &why))
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Smallint => DataType::Int16,
        Kind::Integer => DataType::Int32,
        Kind::Bigint => DataType::Int64,
        Kind::Real => DataType::Float32,
        Kind::Double => DataType::Float64,
        Kind::Numeric(Some((precision, scale))) => DataType::Decimal128(precision, scale),
        // Parquet has a logical type for uuid that few readers know; as text all read it.
        Kind::Text | Kind::Jsonb | Kind::Uuid | Kind::Numeric(None) => DataType::Utf8,
        Kind::Bytea => DataType::Binary,
        Kind::Date => DataType::Date32,
        Kind::Time => DataType::Time64(TimeUnit::Microsecond),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Kind::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

fn values(kind: Kind) -> Box<dyn Values> {
    match kind {
        Kind::Boolean => Box::new(BooleanBuilder::new()),
        Kind::Bytea => Box::new(BinaryBuilder::new()),
        Kind::Smallint => primitive::<Int16Type>(kind, |field| bytes(field).map(i16::from_be_bytes)),
        Kind::Integer => primitive::<Int32Type>(kind, |field| bytes(field).map(i32::from_be_bytes)),
        Kind::Bigint => primitive::<Int64Type>(kind, |field| bytes(field).map(i64::from_be_bytes)),
        Kind::Real => primitive::<Float32Type>(kind, |field| bytes(field).map(f32::from_be_bytes)),
        Kind::Double => primitive::<Float64Type>(kind, |field| bytes(field).map(f64::from_be_bytes)),
        Kind::Date => primitive::<Date32Type>(kind, date),
        Kind::Time => primitive::<Time64MicrosecondType>(kind, |field| bytes(field).map(i64::from_be_bytes)),
        Kind::Timestamp | Kind::Timestamptz => primitive::<TimestampMicrosecondType>(kind, moment),
        Kind::Numeric(Some((_, scale))) => primitive::<Decimal128Type>(kind, move |field| {
            read_decimal(field, scale.max(0) as u8).ok_or_else(|| "is no finite number".to_owned())
        }),
        Kind::Text | Kind::Jsonb | Kind::Uuid | Kind::Numeric(None) => {
            Box::new(Text { values: StringBuilder::new(), kind })
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    kind: Kind,
    read: impl Fn(&[u8]) -> Read<T::Native> + 'static,
) -> Box<dyn Values> {
    let values = PrimitiveBuilder::<T>::new().with_data_type(data_type(kind));
    Box::new(Primitive { values, read: Box::new(read) })
}

fn bytes<const N: usize>(field: &[u8]) -> Read<[u8; N]> {
    field.try_into().map_err(|_| format!("has {} bytes instead of {N}", field.len()))
}

/// Days since 1970.
fn date(field: &[u8]) -> Read<i32> {
    match i32::from_be_bytes(bytes(field)?) {
        i32::MIN | i32::MAX => Err("is an infinite date, which Parquet has not".into()),
        days => {
            days.checked_add(EPOCH_DAYS as i32).ok_or_else(|| "is too far in the future for Parquet".into())
        }
    }
}

/// Microseconds since 1970.
fn moment(field: &[u8]) -> Read<i64> {
    match i64::from_be_bytes(bytes(field)?) {
        i64::MIN | i64::MAX => Err("is an infinite moment, which Parquet has not".into()),
        micros => micros.checked_add(EPOCH).ok_or_else(|| "is too far in the future for Parquet".into()),
    }
}

fn text(field: &[u8], kind: Kind) -> Read<String> {
    match kind {
        Kind::Uuid => {
            let number = format!("{:032x}", u128::from_be_bytes(bytes(field)?));
            let parts = [&number[..8], &number[8..12], &number[12..16], &number[16..20], &number[20..]];
            Ok(parts.join("-"))
        }
        // Its format's number stands before it.
        Kind::Jsonb => words(field.get(1..).unwrap_or_default()),
        _ => words(field),
    }
}

fn words(bytes: &[u8]) -> Read<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "is no UTF-8".into())
}
