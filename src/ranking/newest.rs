//! The newest row of every product of a region, or of every region of a product, in one pass over the source.
//!
//! Rows are read as they lie there, and what was made of one is replaced when a newer row of the same key comes by: no sort of
//! wide rows.
//! Keys that do not fit into the memory of a hash table are read again in their order, which Postgres sorts in temporary files.

use crate::catalog::read::VersionRow;
use crate::cursor::Parameter;
use crate::each_row::each_row;
use crate::error::Error;
use crate::scoring::call::Resolved;
use crate::scoring::row::{Attributes, Binding};
use crate::scoring::source::{Key, Source};
use crate::values::{self, Reader};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, SpiClient};
use std::collections::HashMap;

/// A key: numbers in their order, before texts in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    Number(i64),
    Text(Box<str>),
}

impl std::fmt::Display for Id {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(to, "{number}"),
            Self::Text(text) => write!(to, "{text}"),
        }
    }
}

/// Which of the two keys is given, and which is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    ProductsOfRegion,
    RegionsOfProduct,
}

/// Whose newest rows are wanted.
pub struct Wanted {
    pub of: Of,
    /// The type of the key that is given, and the key.
    pub given: (Key, pg_sys::Datum),
    pub as_of: Option<pg_sys::Datum>,
    /// Only these keys: an array, with its type.
    pub candidates: Option<(pg_sys::Oid, pg_sys::Datum)>,
    /// Whether they are wanted in the order of the keys.
    pub in_order: bool,
}

/// What is made of a row and kept for its key.
pub trait Made {
    /// Bytes that it takes besides its own.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Made for f64 {}

/// Bytes that a kept key takes besides its text and what was made of its row, about.
const BYTES_EACH: usize = 56;

/// A query for the rows of the wanted keys: what is asked for, then the key, then the time if there is one.
struct Query {
    select: String,
    /// Quoted names of the ranked key and of the time.
    key: String,
    time: Option<String>,
    parameters: Vec<Parameter>,
    key_reader: Reader,
    time_reader: Option<Reader>,
    /// Position of the key.
    position: usize,
}

impl Query {
    fn new(version: &VersionRow, mut columns: Vec<String>, wanted: &Wanted) -> Result<Self, Error> {
        let [product, region] = version.keys.as_slice() else {
            return Err(Error::invalid(format!(
                "model \"{}\" has the keys ({}), not a product and a region",
                version.model,
                version.keys.join(", ")
            )));
        };
        let (ranked, given) = match wanted.of {
            Of::ProductsOfRegion => (product, region),
            Of::RegionsOfProduct => (region, product),
        };
        let source = Source::find(version)?;
        let (given_type, given_value) = wanted.given;
        let mut parameters = vec![(given_type.type_oid(), Some(given_value))];
        let key = format!("t.{}", quote_identifier(ranked));
        let mut conditions =
            vec![source.equals(version, given, 1, given_type)?, format!("{key} IS NOT NULL")];
        let time = version.time_column.as_ref().map(|time| format!("t.{}", quote_identifier(time)));
        conditions.extend(time.as_ref().map(|time| format!("{time} IS NOT NULL")));
        if let Some(as_of) = wanted.as_of {
            let Some(time) = &time else {
                return Err(Error::invalid(format!(
                    "model \"{}\" has no time column, so as_of has no meaning",
                    version.model
                )));
            };
            parameters.push((pg_sys::DATEOID, Some(as_of)));
            // To the end of that day, for a timestamp too.
            conditions.push(format!(
                "{time} OPERATOR(pg_catalog.<) (${} OPERATOR(pg_catalog.+) 1)",
                parameters.len()
            ));
        }
        let key_type = source.type_of(ranked).unwrap_or(pg_sys::InvalidOid);
        if let Some((array_type, array)) = wanted.candidates {
            parameters.push((array_type, Some(array)));
            // SAFETY: a catalog look-up of a column's type.
            let base = values::type_name(unsafe { pg_sys::getBaseType(key_type) }, -1);
            conditions.push(format!("{key} OPERATOR(pg_catalog.=) ANY (${}::{base}[])", parameters.len()));
        }
        let (key_reader, as_type) = match values::reader_of(key_type) {
            Some((Family::Number, Reader::Int2 | Reader::Int4 | Reader::Int8)) => (Reader::Int8, "int8"),
            _ => (Reader::Text, "text"),
        };
        let position = columns.len();
        columns.push(format!("{key}::pg_catalog.{as_type}"));
        columns.extend(time.clone());
        let time_type = version.time_column.as_ref().and_then(|name| source.type_of(name));
        Ok(Self {
            select: format!(
                "{} FROM {} AS t WHERE {}",
                columns.join(", "),
                version.source,
                conditions.join(" AND ")
            ),
            key,
            time,
            parameters,
            key_reader,
            time_reader: time_type.and_then(values::reader_of).map(|(_, reader)| reader),
            position,
        })
    }

    /// In any order.
    fn unordered(&self) -> String {
        format!("SELECT {}", self.select)
    }

    /// The newest row of each key only.
    fn one_each(&self) -> String {
        let newest = self.time.as_ref().map_or(String::new(), |time| format!(", {time} DESC"));
        format!("SELECT DISTINCT ON ({0}) {1} ORDER BY {0}{newest}", self.key, self.select)
    }

    /// # Safety
    /// The row is one of this query's.
    unsafe fn id(&self, row: Attributes) -> Id {
        let datum = row.values[self.position];
        match self.key_reader {
            Reader::Int8 => Id::Number(values::integer(Reader::Int8, datum)),
            reader => Id::Text(values::with_text(reader, datum, |text| text.into())),
        }
    }

    /// A number that grows with the row's time; the same for all where there is none.
    fn time(&self, row: Attributes) -> i64 {
        let value = || row.values[self.position + 1].value();
        match self.time_reader {
            Some(Reader::Date) => (value() as i32).into(),
            Some(_) => value() as i64,
            None => 0,
        }
    }
}

/// Gives `take` each wanted key once, with what `make` makes of its newest row in the version's source. `columns`
/// are expressions over the source, which is called t: the first columns of the row.
pub fn newest_rows<T: Made>(
    client: &SpiClient,
    version: &VersionRow,
    columns: Vec<String>,
    wanted: &Wanted,
    mut make: impl FnMut(pg_sys::TupleDesc, Attributes) -> Result<T, Error>,
    mut take: impl FnMut(Id, T) -> Result<(), Error>,
) -> Result<(), Error> {
    let query = Query::new(version, columns, wanted)?;
    if let Some(newest) = replacing(client, &query, &mut make)? {
        let mut newest: Vec<_> = newest.into_iter().collect();
        if wanted.in_order {
            newest.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        return newest.into_iter().try_for_each(|(id, (_, made))| {
            pgrx::check_for_interrupts!();
            take(id, made)
        });
    }
    each_row(client, &query.one_each(), &query.parameters, &mut |descriptor, row| {
        // SAFETY: the row is one of the query's.
        let id = unsafe { query.id(row) };
        take(id, make(descriptor, row)?)?;
        Ok(true)
    })
}

/// The time of each key's newest row, and what was made of it.
type Newest<T> = HashMap<Id, (i64, T)>;

/// Those of the wanted keys; `None` if there are more than fit into a hash table's memory.
fn replacing<T: Made>(
    client: &SpiClient,
    query: &Query,
    make: &mut impl FnMut(pg_sys::TupleDesc, Attributes) -> Result<T, Error>,
) -> Result<Option<Newest<T>>, Error> {
    // SAFETY: settings of this process; a hash table of Postgres may be as large.
    let room = unsafe { f64::from(pg_sys::work_mem) * 1024.0 * pg_sys::hash_mem_multiplier } as usize;
    let (mut newest, mut taken) = (Newest::<T>::new(), 0);
    each_row(client, &query.unordered(), &query.parameters, &mut |descriptor, row| {
        let time = query.time(row);
        // SAFETY: the row is one of the query's.
        let id = unsafe { query.id(row) };
        match newest.get_mut(&id) {
            Some((known, _)) if *known >= time => {}
            Some(known) => {
                let made = make(descriptor, row)?;
                taken = taken + made.heap_bytes() - known.1.heap_bytes();
                *known = (time, made);
            }
            None => {
                let made = make(descriptor, row)?;
                let text = if let Id::Text(text) = &id { text.len() } else { 0 };
                taken += BYTES_EACH + size_of::<T>() + text + made.heap_bytes();
                newest.insert(id, (time, made));
            }
        }
        Ok(taken <= room)
    })?;
    Ok((taken <= room).then_some(newest))
}

/// Scores rows of one query.
pub struct Scoring {
    resolved: Resolved,
    binding: Option<Binding>,
}

impl Scoring {
    pub fn new(resolved: Resolved) -> Self {
        Self { resolved, binding: None }
    }

    /// The version, with its inputs filled from a row.
    ///
    /// # Safety
    /// The row has this descriptor, which is the same for all rows.
    pub unsafe fn of(
        &mut self,
        descriptor: pg_sys::TupleDesc,
        row: Attributes,
    ) -> Result<&mut Resolved, Error> {
        let decoded = &self.resolved.decoded;
        let binding = match &self.binding {
            Some(binding) => binding,
            None => {
                let recipe = decoded.scorer.recipe();
                self.binding.insert(Binding::new(&decoded.version.model, recipe, descriptor)?)
            }
        };
        binding.fill(row, &decoded.scorer, &mut self.resolved.inputs)?;
        Ok(&mut self.resolved)
    }
}
