//! Writes the source's rows into an Arrow IPC file, a batch at a time. They are read with the caller's rights and row
//! security, under one snapshot.

use super::request::Request;
use super::temp_file::TempFile;
use crate::error::Error;
use crate::pg::cursor::{Cursor, Snapshot};
use crate::pg::values::{self, Number, Reader};
use arrow_array::builder::*;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use model::protocol::{EPOCH_DAYS, EPOCH_MICROSECONDS};
use pgrx::pg_sys;
use std::io::BufWriter;
use std::sync::Arc;

const BUFFER: usize = 1 << 20;

/// Writes all rows; returns the file and the number of rows.
pub fn read_source(request: &Request) -> Result<(TempFile, u64), Error> {
    let columns = request.spec.columns.iter().zip(&request.readers);
    let fields = columns.map(|(column, reader)| Field::new(&column.name, arrow_type(*reader), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let file = BufWriter::with_capacity(BUFFER, TempFile::create("the rows of a training"));
    let mut writer = FileWriter::try_new(file, &schema)?;
    let mut cursor = Cursor::open(&request.query(), &[], Snapshot::New)?;
    // SAFETY: the cursor is open, so its descriptor is live.
    unsafe { request.layout.check(cursor.descriptor())? };
    let mut columns = Columns::new(request);
    let mut rows = 0;
    while let Some(fetched) = cursor.fetch() {
        for n in 0..fetched.len() {
            // SAFETY: `n` is less than the batch's length. The columns are those of the query, whose types were compared
            // with the readers'.
            unsafe { columns.append(fetched.tuple(n), fetched.descriptor())? };
        }
        rows += fetched.len() as u64;
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns.finish())?)?;
    }
    let file = writer.into_inner()?.into_inner().map_err(|error| Error::System {
        context: "could not write the training data".into(),
        cause: error.into_error(),
    })?;
    Ok((file, rows))
}

fn arrow_type(reader: Reader) -> DataType {
    match reader {
        Reader::Bool => DataType::Boolean,
        Reader::Number(Number::Int2) => DataType::Int16,
        Reader::Number(Number::Int4) => DataType::Int32,
        Reader::Number(Number::Int8) => DataType::Int64,
        Reader::Number(Number::Float4) => DataType::Float32,
        Reader::Number(Number::Float8 | Number::Numeric) => DataType::Float64,
        Reader::Date => DataType::Date32,
        Reader::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Reader::Text | Reader::Padded | Reader::Output(_) => DataType::Utf8,
        Reader::Array(element) => DataType::List(Arc::new(element_field(element))),
    }
}

fn element_field(element: Number) -> Field {
    let item = if element == Number::Float4 { DataType::Float32 } else { DataType::Float64 };
    Field::new("item", item, true)
}

/// The builders of the columns of one batch.
struct Columns<'a> {
    names: Vec<&'a str>,
    readers: &'a [Reader],
    builders: Vec<Builder>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn new(request: &'a Request) -> Self {
        let readers = &request.readers;
        Self {
            names: request.spec.columns.iter().map(|column| column.name.as_str()).collect(),
            readers,
            builders: readers.iter().map(|reader| Builder::new(*reader)).collect(),
            values: vec![pg_sys::Datum::from(0); readers.len()],
            nulls: vec![true; readers.len()],
        }
    }

    /// # Safety
    /// `tuple` has this descriptor, and the descriptor is that of the query.
    unsafe fn append(
        &mut self,
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
    ) -> Result<(), Error> {
        // SAFETY: the tuple has the descriptor and the columns have their readers' types, as the caller says. The query has
        // as many columns as there are readers, so the buffers have room for them.
        unsafe {
            pg_sys::heap_deform_tuple(tuple, descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
            for (n, builder) in self.builders.iter_mut().enumerate() {
                let value = (!self.nulls[n]).then_some(self.values[n]);
                builder.append(self.readers[n], value, self.names[n])?;
            }
            Ok(())
        }
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.builders.iter_mut().map(Builder::finish).collect()
    }
}

/// The builder of one column.
enum Builder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Floats4(Lists<Float32Builder>),
    Floats8(Lists<Float64Builder>),
}

/// The arrays of one column. All of them must be as long as the first.
struct Lists<B: ArrayBuilder> {
    of: Number,
    builder: ListBuilder<B>,
    length: Option<usize>,
    elements: Vec<f64>,
}

impl<B: ArrayBuilder> Lists<B> {
    fn new(of: Number, values: B) -> Self {
        let builder = ListBuilder::new(values).with_field(element_field(of));
        Self { of, builder, length: None, elements: Vec::new() }
    }

    /// # Safety
    /// The same as for [`values::push_elements`].
    unsafe fn append(
        &mut self,
        datum: pg_sys::Datum,
        column: &str,
        push: impl Fn(&mut B, f64),
    ) -> Result<(), Error> {
        // SAFETY: the datum is an array whose elements `self.of` was made for, as the caller says.
        unsafe {
            self.elements.clear();
            values::push_elements(self.of, datum, &mut self.elements);
            let found = self.elements.len();
            let expected = *self.length.get_or_insert(found);
            if found != expected {
                return Err(Error::invalid(format!(
                "the arrays in column \"{column}\" have different lengths: {expected} and {found} elements"
            )));
            }
            for value in &self.elements {
                push(self.builder.values(), *value);
            }
            self.builder.append(true);
            Ok(())
        }
    }
}

impl Builder {
    fn new(reader: Reader) -> Self {
        match reader {
            Reader::Bool => Self::Bool(BooleanBuilder::new()),
            Reader::Number(Number::Int2) => Self::Int2(Int16Builder::new()),
            Reader::Number(Number::Int4) => Self::Int4(Int32Builder::new()),
            Reader::Number(Number::Int8) => Self::Int8(Int64Builder::new()),
            Reader::Number(Number::Float4) => Self::Float4(Float32Builder::new()),
            Reader::Number(Number::Float8 | Number::Numeric) => Self::Float8(Float64Builder::new()),
            Reader::Date => Self::Date(Date32Builder::new()),
            Reader::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            Reader::Text | Reader::Padded | Reader::Output(_) => Self::Text(StringBuilder::new()),
            Reader::Array(e @ Number::Float4) => Self::Floats4(Lists::new(e, Float32Builder::new())),
            Reader::Array(element) => Self::Floats8(Lists::new(element, Float64Builder::new())),
        }
    }

    /// # Safety
    /// `value` is NULL or of the type that `reader` was made for, and `self` was made for the same reader.
    unsafe fn append(
        &mut self,
        reader: Reader,
        value: Option<pg_sys::Datum>,
        column: &str,
    ) -> Result<(), Error> {
        // SAFETY: the value has the reader's type, as the caller says.
        unsafe {
            let Some(datum) = value else {
                self.append_null();
                return Ok(());
            };
            match self {
                Self::Bool(b) => b.append_value(datum.value() as u8 != 0),
                Self::Int2(b) => b.append_value(datum.value() as i16),
                Self::Int4(b) => b.append_value(datum.value() as i32),
                Self::Int8(b) => b.append_value(datum.value() as i64),
                Self::Float4(b) => b.append_value(f32::from_bits(datum.value() as u32)),
                Self::Float8(b) => b.append_value(values::number(reader, datum)),
                // An infinite date or timestamp is NaN for scoring, so it is missing here.
                Self::Date(b) => b.append_option(
                    values::number(reader, datum).is_finite().then(|| datum.value() as i32 + EPOCH_DAYS),
                ),
                Self::Timestamp(b) => {
                    let moment = (datum.value() as i64).checked_add(EPOCH_MICROSECONDS);
                    b.append_option(moment.filter(|_| values::number(reader, datum).is_finite()));
                }
                Self::Text(b) => values::with_text(reader, datum, |text| b.append_value(text)),
                Self::Floats4(lists) => {
                    lists.append(datum, column, |b, value| b.append_value(value as f32))?;
                }
                Self::Floats8(lists) => {
                    lists.append(datum, column, |b, value| b.append_value(value))?;
                }
            }
            Ok(())
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool(b) => b.append_null(),
            Self::Int2(b) => b.append_null(),
            Self::Int4(b) => b.append_null(),
            Self::Int8(b) => b.append_null(),
            Self::Float4(b) => b.append_null(),
            Self::Float8(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Floats4(lists) => lists.builder.append(false),
            Self::Floats8(lists) => lists.builder.append(false),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int2(b) => Arc::new(b.finish()),
            Self::Int4(b) => Arc::new(b.finish()),
            Self::Int8(b) => Arc::new(b.finish()),
            Self::Float4(b) => Arc::new(b.finish()),
            Self::Float8(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Floats4(lists) => Arc::new(lists.builder.finish()),
            Self::Floats8(lists) => Arc::new(lists.builder.finish()),
        }
    }
}
