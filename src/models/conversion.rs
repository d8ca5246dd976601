//! Models in ONNX: the trainer's process converts them, because nobody vouches for their bytes.

use crate::error::Error;
use crate::pg::extension::LIBRARY;
use crate::pg::relations::{Relation, RelationName};
use crate::pg::values;
use crate::settings;
use crate::training::attempt::PATIENCE;
use crate::training::temp_file::TempFile;
use crate::training::trainer::{check_version, reported, unasked, wait_for_any, News, Trainer};
use model::bytes::Bytes;
use model::conversion::{Conversion, OutputKind, Rows, Value};
use model::protocol::{Comparison, Event, Role, SourceColumn};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Rows of the source on which the converted model is compared with the original.
const ROWS: i64 = 2000;

/// What the trainer has made of a model.
pub struct Converted {
    pub artifact: Vec<u8>,
    pub comparison: Comparison,
}

/// Whether the bytes begin as ONNX's protobuf does and not as a safetensors file.
pub fn is_onnx(bytes: &[u8]) -> bool {
    // The first field of a model: its version, producer, graph or operator sets.
    let begins = matches!(bytes.first(), Some(0x08 | 0x12 | 0x3a | 0x42));
    begins && bytes.get(8) != Some(&b'{')
}

/// Converts a model. `names` are the columns of its values; the rows of the source are read with the caller's rights.
pub fn convert(
    bytes: &[u8],
    source: Option<pg_sys::Oid>,
    names: Option<Vec<String>>,
    output: Option<&str>,
) -> Result<Converted, Error> {
    let output = output.map(output_kind).transpose()?;
    let columns = source.map(columns).transpose()?;
    let rows = match (source, &columns) {
        (Some(source), Some(columns)) => rows(source, columns, names.as_deref())?,
        _ => Rows::new(),
    };
    let conversion = Conversion { extension: Some(LIBRARY.into()), columns, names, output, rows };
    let model = TempFile::with_content("the model to be converted", bytes)?;
    let spec = TempFile::with_content("how a model is to be converted", &serde_json::to_vec(&conversion)?)?;
    let out = TempFile::create("the converted model");
    let trainer = Trainer::start_conversion(&model, &spec, &out)?;
    let comparison = answer(trainer)?;
    Ok(Converted { artifact: content(&out)?, comparison })
}

fn output_kind(name: &str) -> Result<OutputKind, Error> {
    OutputKind::from_name(name).ok_or_else(|| {
        Error::InvalidArgument(
            format!("unknown output \"{name}\""),
            Some("The outputs are: probability, logit, quantity.".into()),
        )
    })
}

/// The columns of the source that a model can read.
fn columns(source: pg_sys::Oid) -> Result<Vec<SourceColumn>, Error> {
    let relation = Relation::of(source)?;
    let columns = relation.columns.iter().filter_map(|column| {
        let (family, _) = values::reader_of(column.type_oid)?;
        let sql_type = column.type_name();
        Some(SourceColumn { name: column.name.clone(), sql_type, family, role: Role::Feature })
    });
    Ok(columns.collect())
}

/// Some rows of the source: of the named columns, or of all that are numbers, booleans or texts.
fn rows(source: pg_sys::Oid, columns: &[SourceColumn], names: Option<&[String]>) -> Result<Rows, Error> {
    let is_read = |column: &&SourceColumn| names.is_none_or(|names| names.contains(&column.name));
    let read: Vec<&SourceColumn> =
        columns.iter().filter(is_read).filter(|column| cast(column).is_some()).collect();
    if read.is_empty() {
        return Ok(Rows::new());
    }
    let values: Vec<String> = read.iter().filter_map(|column| cast(column)).collect();
    let query = format!("SELECT {} FROM {}", values.join(", "), RelationName::of(source)?);
    Spi::connect(|client| {
        let table = client.select(&query, Some(ROWS), &[])?;
        let mut rows: Rows = read.iter().map(|column| (column.name.clone(), Vec::new())).collect();
        for row in table {
            for (n, column) in read.iter().enumerate() {
                let value = match column.family {
                    Family::Text => row.get::<String>(n + 1)?.map(Value::Text),
                    // JSON has no other numbers.
                    _ => row.get::<f64>(n + 1)?.filter(|value| value.is_finite()).map(Value::Number),
                };
                rows.entry(column.name.clone()).or_default().push(value);
            }
        }
        rows.retain(|_, values| !values.is_empty());
        Ok(rows)
    })
}

/// A column as a number or a text; `None` for other families, whose values are random in the comparison.
fn cast(column: &SourceColumn) -> Option<String> {
    let name = pgrx::spi::quote_identifier(&column.name);
    match column.family {
        Family::Number => Some(format!("{name}::pg_catalog.float8")),
        Family::Boolean => Some(format!("{name}::pg_catalog.int4::pg_catalog.float8")),
        Family::Text => Some(format!("{name}::pg_catalog.text")),
        Family::Date | Family::Timestamp | Family::NumberArray => None,
    }
}

/// Waits for the one event of a conversion.
fn answer(mut trainer: Trainer) -> Result<Comparison, Error> {
    loop {
        match trainer.news()? {
            News::Event(event) => match *event {
                Event::Converted { trainer, comparison, .. } => {
                    check_version(&trainer)?;
                    return Ok(comparison);
                }
                Event::Error { cause, message, detail, hint } => {
                    return Err(reported(cause, message, detail, hint));
                }
                _ => return Err(unasked()),
            },
            News::None => wait_for_any(std::iter::once(&trainer), PATIENCE)?,
            News::End => return Err(trainer.cause_of_death()),
        }
    }
}

/// What a file holds, within the limit of imports.
fn content(file: &TempFile) -> Result<Vec<u8>, Error> {
    let unreadable = Error::system("could not read the converted model");
    let size = file.size().map_err(Error::system("could not read the converted model"))?;
    let most = settings::max_import_size();
    if size > most {
        return Err(Error::InvalidArgument(
            format!("the converted model has {size} bytes, more than {most}"),
            Some("The setting reco.max_import_size is the limit.".into()),
        ));
    }
    let mut room = Vec::new();
    file.piece(0, size, &mut room).map_err(unreadable)?;
    Ok(room)
}
