//! The procedure `reco.save_parquet`, step by step.

use super::columns;
use super::copy_in::Utf8;
use super::process::{unasked, Incoming, Process};
use super::rights::{check, Access};
use super::rows_out::RowsOut;
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::cursor::{Cursor, Snapshot};
use crate::pg::relations::{self, qualified_name};
use crate::pg::session::Session;
use crate::pg::values::given;
use crate::settings;
use lake_protocol::frame::END;
use lake_protocol::message::{Column, Event, Kind, Save, Task};
use lake_protocol::uri::Uri;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use std::ffi::CString;
use std::time::{Duration, Instant};

/// Writes rows into Parquet files; declared in sql/lake.sql.
#[pg_extern(sql = false)]
fn save_parquet(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let arguments = or_raise(arguments(&call));
    let session = Session::begin(&call);
    or_raise(save(&arguments));
    session.end();
}

struct Arguments {
    query: String,
    uri: Uri,
    partition_by: Vec<String>,
    replace: bool,
}

fn arguments(call: &Call) -> Result<Arguments, Error> {
    Ok(Arguments {
        query: query(&given(call.text(0), "source")?)?,
        uri: check(&given(call.text(1), "uri")?, Access::Write)?,
        partition_by: call.names(2)?.unwrap_or_default(),
        replace: given(call.boolean(3), "replace")?,
    })
}

/// The words that a query begins with; a relation of that name is written with quotes.
const QUERIES: [&str; 4] = ["select", "with", "values", "table"];

/// The query that a text is, or that reads the relation which it names.
fn query(source: &str) -> Result<String, Error> {
    let trimmed = source.trim().trim_end_matches(';');
    let is_of_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let first: String = trimmed.chars().take_while(is_of_word).collect();
    let is_query = trimmed.starts_with('(') || QUERIES.contains(&first.to_ascii_lowercase().as_str());
    if is_query && trimmed.len() > first.len() {
        return Ok(trimmed.to_owned());
    }
    let name = CString::new(trimmed).map_err(|_| Error::invalid("source contains a zero byte"))?;
    // SAFETY: the name is NUL-terminated; a relation that is not there is raised as an error.
    let oid = unsafe {
        let text = pg_sys::cstring_to_text(name.as_ptr());
        let range = pg_sys::makeRangeVarFromNameList(pg_sys::textToQualifiedNameList(text));
        pg_sys::RangeVarGetRelidExtended(range, pg_sys::NoLock as i32, 0, None, std::ptr::null_mut())
    };
    Ok(format!("SELECT * FROM {}", qualified_name(oid)?))
}

fn save(arguments: &Arguments) -> Result<(), Error> {
    let (began, mut told) = (Instant::now(), Instant::now());
    let _encoding = Utf8::set();
    let mut cursor = Cursor::open(&sorted(arguments), &[], Snapshot::New)?;
    // SAFETY: the cursor is open, and so its descriptor is live.
    let all = unsafe { relations::Column::all(cursor.descriptor()) };
    let columns = all.iter().map(savable).collect::<Result<Vec<_>, _>>()?;
    let mut process = Process::start(Task::Save(Save {
        uri: arguments.uri.to_string(),
        credentials: settings::lake_credentials_file(),
        columns,
        partition_by: arguments.partition_by.clone(),
        replace: arguments.replace,
    }))?;
    let mut rows_out = RowsOut::new(all.iter().map(|column| column.type_oid));
    let mut count = 0;
    while let Some(rows) = cursor.fetch() {
        rows_out.send(&rows, &mut process)?;
        count += rows.len();
        if told.elapsed() >= EVERY {
            told = Instant::now();
            say!("{}: {count} rows so far", arguments.uri);
        }
    }
    rows_out.flush(&mut process)?;
    process.send(END, &[])?;
    let Incoming::Event(Event::Finished { rows, files, bytes }) = process.incoming()? else {
        return Err(unasked());
    };
    let (megabytes, seconds) = (bytes as f64 / 1e6, began.elapsed().as_secs_f64());
    say!("{}: {rows} rows in {files} files, {megabytes:.1} MB, written in {seconds:.1} s", arguments.uri);
    Ok(())
}

/// How often the client is told how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// The query, with the rows of each folder together: so one file is open at a time.
fn sorted(arguments: &Arguments) -> String {
    let Arguments { query, partition_by, .. } = arguments;
    if partition_by.is_empty() {
        return query.clone();
    }
    let columns: Vec<_> = partition_by.iter().map(quote_identifier).collect();
    format!("SELECT * FROM ({query}) AS rows_to_save ORDER BY {}", columns.join(", "))
}

fn savable(column: &relations::Column) -> Result<Column, Error> {
    let refused = |hint: &str| {
        let (name, found) = (&column.name, column.type_name());
        Err(Error::InvalidArgument(
            format!("column \"{name}\" has type {found}, which cannot be written to Parquet"),
            Some(hint.into()),
        ))
    };
    match columns::column(column) {
        Some(Column { kind: Kind::Numeric(None), .. }) => refused(
            "Parquet's decimals have up to 38 digits, and say how many: cast it, such as ::numeric(18, 2), or to double precision.",
        ),
        Some(column) => Ok(column),
        None => refused("Cast it to text, or leave it out."),
    }
}
