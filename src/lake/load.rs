//! The procedure `reco.load_parquet`, step by step, in the caller's transaction: after an error nothing is loaded.

use super::columns;
use super::copy_in::{check_rights, copy, Source};
use super::process::{unasked, Incoming, Process};
use super::remembered::{etags, forget, remember};
use super::rights::{check, Access};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::catalog_lock::CatalogLock;
use crate::pg::relations::{Column, Opened, RelationName};
use crate::pg::tuples;
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use crate::settings;
use lake_protocol::message::{Choice, Event, File, Load, Task};
use lake_protocol::uri::Uri;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Loads Parquet files into a table; declared in sql/lake.sql.
#[pg_extern(sql = false)]
fn load_parquet(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.load_parquet()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    or_raise(arguments(&call).and_then(|arguments| load(&arguments)));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Append,
    Replace,
    NewFiles,
}

struct Arguments {
    table: pg_sys::Oid,
    uri: Uri,
    mapping: Option<BTreeMap<String, String>>,
    mode: Mode,
}

fn arguments(call: &Call) -> Result<Arguments, Error> {
    let mapping = call.json(2, "columns")?.map(|json| {
        serde_json::from_value(json).map_err(|_| {
            Error::InvalidArgument(
                "columns is no JSON object of names".into(),
                Some(
                    "It has the table's columns, each with that of the files: '{\"region\": \"Region\"}'."
                        .into(),
                ),
            )
        })
    });
    Ok(Arguments {
        table: given(call.oid(0), "relation")?,
        uri: check(&given(call.text(1), "uri")?, Access::Read)?,
        mapping: mapping.transpose()?,
        mode: match given(call.text(3), "mode")?.as_str() {
            "append" => Mode::Append,
            "replace" => Mode::Replace,
            "new_files" => Mode::NewFiles,
            other => {
                return Err(Error::InvalidArgument(
                    format!("mode is \"{other}\""),
                    Some("It is append, replace or new_files.".into()),
                ))
            }
        },
    })
}

fn load(arguments: &Arguments) -> Result<(), Error> {
    let began = Instant::now();
    // The lock that COPY takes, so that the table stays what it is.
    let table = Opened::locked(arguments.table, pg_sys::RowExclusiveLock)?;
    let name = RelationName::of(arguments.table)?;
    let columns = loadable(&table);
    check_rights(&table, &numbers(&columns, arguments.mapping.as_ref()))?;
    if arguments.mode != Mode::Append {
        // Two loads at once would both take the same files for new ones.
        CatalogLock::of_loading(arguments.table)?.take_for_transaction();
    }
    let mut process = Process::start(Task::Load(Load {
        uri: arguments.uri.to_string(),
        credentials: settings::lake_credentials_file(),
        columns: columns.iter().filter_map(columns::column).collect(),
        mapping: arguments.mapping.clone(),
        most_bytes: settings::lake_memory().map(|bytes| bytes / SHARE_OF_A_ROW_GROUP),
    }))?;
    let Incoming::Event(Event::Listed { files }) = process.incoming()? else { return Err(unasked()) };
    let chosen = choose(arguments, &name, &files)?;
    let bytes: u64 = chosen.iter().map(|n| files[*n].bytes).sum();
    say!("{name}: {} of {} files to load, {:.1} MB", chosen.len(), files.len(), bytes as f64 / 1e6);
    if arguments.mode == Mode::Replace {
        empty(&name)?;
    }
    process.say(&Choice { files: chosen.clone() })?;
    if chosen.is_empty() {
        return Ok(());
    }
    let Incoming::Event(Event::Columns { loaded, ignored }) = process.incoming()? else {
        return Err(unasked());
    };
    tell_columns(&columns, &loaded, &ignored);
    let mut source = Source::new(&mut process, chosen.len());
    let rows = copy(&mut source, &table, &loaded, &numbers_of(&columns, &loaded))?;
    let read = source.loaded.iter().filter_map(|(n, rows)| Some((files.get(*n)?, *rows)));
    remember(&name, &read.collect::<Vec<_>>())?;
    say!("{name}: {rows} rows loaded in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Of the memory that the process may have, one row group takes so much: the next one is fetched meanwhile, and values that
/// are decoded take room too.
const SHARE_OF_A_ROW_GROUP: u64 = 4;

/// The columns that `COPY` writes: not those that are computed.
fn loadable(table: &Opened) -> Vec<Column> {
    // SAFETY: the relation is open.
    unsafe {
        let computed: Vec<i16> = tuples::attributes(table.descriptor())
            .filter(|(_, attribute)| attribute.attgenerated != 0)
            .map(|(_, attribute)| attribute.attnum)
            .collect();
        let mut columns = Column::all(table.descriptor());
        columns.retain(|column| !computed.contains(&column.number));
        columns
    }
}

/// The columns whose rights are looked at before any file is: those of the mapping, else none, as which there are is said by
/// the files.
fn numbers(columns: &[Column], mapping: Option<&BTreeMap<String, String>>) -> Vec<i16> {
    let named = |column: &&Column| mapping.is_some_and(|mapping| mapping.contains_key(&column.name));
    columns.iter().filter(named).map(|column| column.number).collect()
}

fn numbers_of(columns: &[Column], names: &[String]) -> Vec<i16> {
    let number =
        |name: &String| columns.iter().find(|column| column.name == *name).map(|column| column.number);
    names.iter().filter_map(number).collect()
}

/// Which of the files are to be loaded, by their positions.
fn choose(arguments: &Arguments, name: &RelationName, files: &[File]) -> Result<Vec<usize>, Error> {
    if arguments.mode != Mode::NewFiles {
        return Ok((0..files.len()).collect());
    }
    let known = etags(name)?;
    let changed = files.iter().find(|file| known.get(&file.uri).is_some_and(|etag| *etag != file.etag));
    if let Some(file) = changed {
        return Err(Error::Data {
            message: format!("{} was loaded into {name} and has changed since", file.uri),
            hint: "Its rows would be there twice: load everything anew with mode => 'replace', or delete its rows and load it \
                   with 'append'."
                .into(),
        });
    }
    Ok((0..files.len()).filter(|n| !known.contains_key(&files[*n].uri)).collect())
}

/// Deletes all rows. Until the commit others read them as before, which they would not after TRUNCATE.
fn empty(name: &RelationName) -> Result<(), Error> {
    Spi::connect_mut(|client| client.update(&format!("DELETE FROM {name}"), None, &[]).map(|_| ()))?;
    forget(name)
}

fn tell_columns(columns: &[Column], loaded: &[String], ignored: &[String]) {
    let kept: Vec<&str> = columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| !loaded.iter().any(|l| l == name))
        .collect();
    if !kept.is_empty() {
        say!("not in the files, so that they get their defaults: {}", kept.join(", "));
    }
    if !ignored.is_empty() {
        say!("not in the table, so that they are not loaded: {}", ignored.join(", "));
    }
}
