//! Opens the Arrow file or stream, checks its schema against the spec, and hands out its record batches.

use crate::error::TrainerError;
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef, TimeUnit};
use model::protocol::{Role, SourceColumn, Spec};
use model::recipe::{Family, MAX_COLUMNS};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

/// How an Arrow IPC file begins; a stream does not.
const FILE_MAGIC: &[u8; 6] = b"ARROW1";

/// The record batches of an Arrow IPC file or stream, read one at a time.
pub struct Input {
    batches: Batches,
    schema: SchemaRef,
    path: String,
}

enum Batches {
    /// A file, whose batches can be read again in any order, and its length in bytes.
    File(FileReader<File>, u64),
    Stream(Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>),
}

impl Input {
    /// Opens `path` for reading only: it may be a descriptor under `/proc/self/fd`, or a pipe if it is a stream.
    pub fn open(path: &Path) -> Result<Self, TrainerError> {
        let shown = path.display().to_string();
        let fail = |reason: String| TrainerError::File {
            action: "read the data file",
            path: path.display().to_string(),
            reason,
        };
        let mut file = File::open(path).map_err(|e| fail(e.to_string()))?;
        let mut head = Vec::new();
        file.by_ref()
            .take(FILE_MAGIC.len() as u64)
            .read_to_end(&mut head)
            .map_err(|e| fail(e.to_string()))?;
        if head == FILE_MAGIC {
            file.rewind().map_err(|e| fail(e.to_string()))?;
            // A record batch is read as a whole, straight to where it will stay.
            let length = file.metadata().map_err(|e| fail(e.to_string()))?.len();
            let reader = FileReader::try_new(file, None).map_err(|e| fail(e.to_string()))?;
            let schema = reader.schema();
            Ok(Self { batches: Batches::File(reader, length), schema, path: shown })
        } else {
            let whole = BufReader::with_capacity(1 << 20, Cursor::new(head).chain(file));
            let reader = StreamReader::try_new(whole, None).map_err(|e| fail(e.to_string()))?;
            let schema = reader.schema();
            Ok(Self { batches: Batches::Stream(Box::new(reader)), schema, path: shown })
        }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The next record batch, or `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, TrainerError> {
        let next = match &mut self.batches {
            Batches::File(reader, _) => reader.next(),
            Batches::Stream(batches) => batches.next(),
        };
        next.transpose().map_err(|error| self.failure(error))
    }

    /// The length in bytes of a file, which can be read again; `None` of a stream.
    pub fn length(&self) -> Option<u64> {
        match self.batches {
            Batches::File(_, length) => Some(length),
            Batches::Stream(_) => None,
        }
    }

    /// The n-th record batch of a file.
    pub fn read_again(&mut self, n: usize) -> Result<RecordBatch, TrainerError> {
        let moved = match &mut self.batches {
            Batches::File(reader, _) => reader.set_index(n),
            Batches::Stream(_) => Err(ArrowError::InvalidArgumentError("a stream is read once".into())),
        };
        moved.map_err(|error| self.failure(error))?;
        let end = || TrainerError::internal(format!("the data file has lost its record batch {n}"));
        self.next_batch()?.ok_or_else(end)
    }

    fn failure(&self, error: ArrowError) -> TrainerError {
        let (path, reason) = (self.path.clone(), error.to_string());
        TrainerError::File { action: "read the data file", path, reason }
    }
}

/// Checks that the roles of the spec make sense together.
pub fn check_spec(spec: &Spec) -> Result<(), TrainerError> {
    if spec.algorithms.is_empty() {
        return Err(TrainerError::spec("the spec names no algorithm", "Name at least one."));
    }
    spec.params.check()?;
    check_names(&spec.columns)?;
    if spec.columns.len() > MAX_COLUMNS {
        let message = format!("the data have {} columns", spec.columns.len());
        return Err(TrainerError::spec(message, format!("At most {MAX_COLUMNS} columns are allowed.")));
    }
    let labels: Vec<_> = spec.columns.iter().filter(|c| c.role == Role::Label).collect();
    let [label] = labels[..] else {
        let message = format!("the data must have one label column, not {}", labels.len());
        return Err(TrainerError::spec(message, "Name one column as label."));
    };
    if !matches!(label.family, Family::Number | Family::Boolean) {
        return Err(wrong_role(label, "label", "a boolean or a number"));
    }
    let times: Vec<_> = spec.columns.iter().filter(|c| c.role.is_time()).collect();
    if times.len() > 1 {
        let message = format!("the data must have at most one time column, not {}", times.len());
        return Err(TrainerError::spec(message, "Name one column as event time."));
    }
    if let Some(time) = times.first() {
        if !matches!(time.family, Family::Date | Family::Timestamp | Family::Number) {
            return Err(wrong_role(time, "time", "a date, a timestamp or a number"));
        }
    }
    let array_key = spec.columns.iter().find(|c| c.role.is_key() && c.family == Family::NumberArray);
    if let Some(key) = array_key {
        return Err(wrong_role(key, "key", "a single value"));
    }
    if !spec.columns.iter().any(|c| c.role.is_feature()) {
        return Err(TrainerError::data(
            "no column is left as an input of the model",
            "Add columns to the source, or name key columns in the training parameter \"include\".",
        ));
    }
    Ok(())
}

/// Refuses names that occur twice: when rows are scored, the columns could not be told apart, and the label could be
/// among the inputs.
fn check_names(columns: &[SourceColumn]) -> Result<(), TrainerError> {
    let mut seen = HashMap::new();
    for column in columns {
        let Some(role) = seen.insert(column.name.as_str(), column.role) else { continue };
        let name = &column.name;
        let message = match (role, column.role) {
            (Role::Label, _) | (_, Role::Label) => {
                format!("the label \"{name}\" is a column of another role too")
            }
            _ => format!("there are two columns \"{name}\""),
        };
        return Err(TrainerError::spec(message, "Every column must have a name of its own and one role."));
    }
    Ok(())
}

fn wrong_role(column: &SourceColumn, role: &str, expected: &str) -> TrainerError {
    let SourceColumn { name, sql_type, .. } = column;
    TrainerError::data(
        format!("{role} column \"{name}\" has type {sql_type}"),
        format!("A {role} column must be {expected}."),
    )
}

/// Checks that the file has the columns of the spec: number, order, names and types.
pub fn check_schema(schema: &Schema, columns: &[SourceColumn]) -> Result<(), TrainerError> {
    let hint = "The data file and the spec must describe the same columns in the same order.";
    if schema.fields().len() != columns.len() {
        let message =
            format!("the data file has {} columns, the spec {}", schema.fields().len(), columns.len());
        return Err(TrainerError::spec(message, hint));
    }
    for (position, (field, column)) in schema.fields().iter().zip(columns).enumerate() {
        if *field.name() != column.name {
            let message = format!(
                "column {} of the data file is \"{}\", but \"{}\" in the spec",
                position + 1,
                field.name(),
                column.name
            );
            return Err(TrainerError::spec(message, hint));
        }
        if !holds(field.data_type(), column.family) {
            let message = format!(
                "column \"{}\" of the data file has the Arrow type {}, which is not {}",
                column.name,
                field.data_type(),
                column.family.describe()
            );
            return Err(TrainerError::spec(message, hint));
        }
    }
    Ok(())
}

/// Whether an Arrow type is one that carries values of the family.
fn holds(data_type: &DataType, family: Family) -> bool {
    let is_number = |t: &DataType| {
        use DataType::{Float32, Float64, Int16, Int32, Int64};
        matches!(t, Int16 | Int32 | Int64 | Float32 | Float64)
    };
    match (family, data_type) {
        (Family::Number, t) => is_number(t),
        (Family::Boolean, t) => *t == DataType::Boolean,
        (Family::Text, t) => *t == DataType::Utf8,
        (Family::Date, t) => *t == DataType::Date32,
        (Family::Timestamp, t) => matches!(t, DataType::Timestamp(TimeUnit::Microsecond, _)),
        (Family::NumberArray, DataType::List(item)) => is_number(item.data_type()),
        (Family::NumberArray, _) => false,
    }
}
