//! The function `reco.create_feature_view`: it checks the definition and makes the table for the view's rows.

use super::registry::{mark, read_settings, register, FeatureView, NewView};
use crate::error::{or_raise, Error};
use crate::pg::acting_as::{as_author, Settings};
use crate::pg::call::Call;
use crate::pg::relations::{self, columns_hint, Column, RelationName};
use crate::pg::two_versions::require_writable;
use crate::pg::values;
use features::weeks::MOST_WEEKS_BACK;
use features::weeks::{Period, LONGEST_SUFFIX};
use model::recipe::Family;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_qualified_identifier};
use pgrx::{pg_sys, PgList, Uuid};
use std::collections::HashSet;
use std::ffi::{CStr, CString};

/// Declared in sql/feature_view.sql.
#[pg_extern(sql = false)]
fn create_feature_view(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    require_writable(c"reco.create_feature_view()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let arguments = or_raise(arguments(unsafe { &Call::new(fcinfo) }));
    or_raise(create(&arguments))
}

fn arguments(call: &Call) -> Result<NewView, Error> {
    let text = |n| call.text(n);
    let name = |n| call.name(n);
    let keys = call.names(2)?;
    let inputs = call.array::<Vec<Option<pg_sys::Oid>>>(6);
    let inputs = values::given(inputs, "inputs")?.into_iter().collect::<Option<Vec<_>>>();
    Ok(NewView {
        view: values::given(text(0), "view")?,
        definition: values::given(text(1), "definition")?,
        keys: values::given(keys, "keys")?,
        time_column: values::given(name(3), "time_column")?,
        label: name(4),
        available: text(5),
        inputs: values::given(inputs, "an input")?,
        lookback: values::given(call.integer(7), "lookback")?,
        horizon: values::given(call.integer(8), "horizon")?,
        partition_by: values::given(text(9), "partition_by")?,
        settings: read_settings(values::given(call.json(10, "settings")?, "settings")?)?,
        checks: text(11),
        planned: values::given(call.names(12)?, "planned")?,
        engine: None,
    })
}

/// Makes the view's table and registers the view.
pub fn create(arguments: &NewView) -> Result<pg_sys::Oid, Error> {
    Period::parse(&arguments.partition_by)?;
    for (what, weeks) in [("lookback", arguments.lookback), ("horizon", arguments.horizon)] {
        if !(0..=MOST_WEEKS_BACK).contains(&weeks) {
            return Err(Error::invalid(format!(
                "{what} is a number of weeks from 0 to {MOST_WEEKS_BACK}, not {weeks}"
            )));
        }
    }
    let name = relations::creation_place(&arguments.view)?;
    if name.schema.starts_with(TEMPORARY_SCHEMAS) {
        return Err(Error::InvalidArgument(
            format!("{name} would be temporary, and a feature view is there for all sessions"),
            Some("Name another schema: view => 'public.…'.".into()),
        ));
    }
    let base = &name.name;
    let longest = pg_sys::NAMEDATALEN as usize - 1 - LONGEST_SUFFIX;
    if base.len() > longest {
        return Err(Error::invalid(format!(
            "the name of a feature view has at most {longest} bytes, since its partitions' names are longer; \
             \"{base}\" has {}",
            base.len()
        )));
    }
    let inputs = arguments.inputs.iter().map(|input| Ok(FeatureView::get(*input)?.id));
    let inputs = inputs.collect::<Result<Vec<_>, Error>>()?;
    let search_path = Spi::get_one::<String>("SELECT pg_catalog.current_setting('search_path')")?;
    let search_path = without_temporary_tables_first(&search_path.unwrap_or_default());
    check_settings(&search_path, &arguments.settings)?;
    let columns = describe(&arguments.definition, "definition")?;
    check_columns(arguments, &columns)?;
    if let Some(available) = &arguments.available {
        check_available(available)?;
    }
    if let Some(checks) = &arguments.checks {
        check_checks(checks)?;
    }
    let id = Spi::get_one::<Uuid>("SELECT pg_catalog.gen_random_uuid()")?;
    let id = id.ok_or_else(|| Error::invalid("there is no random number"))?;
    Spi::connect_mut(|client| client.update(&table(&name, &columns, arguments), None, &[]).map(|_| ()))?;
    Spi::run(&format!(
        "COMMENT ON TABLE {name} IS 'Feature view; its rows are kept by reco.refresh_features'"
    ))?;
    let (mark, key) = (mark(id, &name), quote_identifier(&arguments.keys[0]));
    let time = quote_identifier(&arguments.time_column);
    Spi::run(&format!("CREATE STATISTICS {mark} (ndistinct) ON {key}, {time} FROM {name}"))?;
    Spi::run(&format!("ALTER STATISTICS {mark} SET STATISTICS 0"))?;
    register(id, &name, &inputs, &search_path, arguments)?;
    name.find().ok_or_else(|| Error::invalid(format!("{name} could not be created")))
}

/// Lets Postgres refuse a name that is no setting, and a setting that the caller may not change.
fn check_settings(search_path: &str, settings: &Settings) -> Result<(), Error> {
    // SAFETY: the call only reads a variable of this process.
    let caller = unsafe { pg_sys::GetUserId() };
    as_author(caller, search_path, settings, |_| Ok(()))
}

/// The prefix of the schemas of temporary relations. Postgres lets no other schema begin with it.
const TEMPORARY_SCHEMAS: &str = "pg_temp_";

/// The search path with `pg_temp` at its end, so that temporary tables of whoever refreshes do not hide the tables that the
/// definition means.
fn without_temporary_tables_first(search_path: &str) -> String {
    match search_path {
        "" | "\"\"" => "pg_temp".into(),
        path if path.contains("pg_temp") => path.into(),
        path => format!("{path}, pg_temp"),
    }
}

/// The definition as a subquery. The line break ends a comment at the end of the definition.
pub fn as_subquery(definition: &str) -> String {
    format!("({}\n)", definition.trim_end_matches(|c: char| c.is_whitespace() || c == ';'))
}

/// The columns of a query with the parameters `$1` and `$2`. If something is wrong with the query, Postgres raises the
/// error.
pub fn describe(query: &str, what: &str) -> Result<Vec<Column>, Error> {
    let wrapped = CString::new(format!("SELECT * FROM {} AS d", as_subquery(query)))
        .map_err(|_| Error::invalid(format!("the {what} contains a zero byte")))?;
    let mut types = [pg_sys::DATEOID; 2];
    let described = Spi::connect(|_| {
        // SAFETY: the text and the types live through the calls, and the plan lives as long as the connection.
        unsafe {
            let plan = pg_sys::SPI_prepare(wrapped.as_ptr(), types.len() as i32, types.as_mut_ptr());
            if plan.is_null() || !pg_sys::SPI_is_cursor_plan(plan) {
                return None;
            }
            let sources =
                PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
            let source = sources.get_ptr(0)?;
            let read = PgList::<pg_sys::Oid>::from_pg((*source).relationOids);
            if let Some(relation) = read.iter_oid().find(|relation| relations::is_temporary(*relation)) {
                return Some(relations::refuse_temporary(relation, "a refresh").map(|()| Vec::new()));
            }
            Some(Ok(Column::all((*source).resultDesc)))
        }
    });
    described.unwrap_or_else(|| Err(Error::invalid(format!("the {what} is not a query that returns rows"))))
}

fn check_columns(arguments: &NewView, columns: &[Column]) -> Result<(), Error> {
    let find = |name: &str, what: &str| {
        columns.iter().find(|column| column.name == name).ok_or_else(|| Error::UndefinedColumn {
            message: format!("{what} column \"{name}\" is not in the definition's result"),
            hint: columns_hint(columns.iter().map(|column| column.name.as_str())),
        })
    };
    let names = columns.iter().map(|column| &column.name);
    if let Some(name) = repeated(names) {
        return Err(Error::DuplicateColumn(name.clone()));
    }
    if arguments.keys.is_empty() {
        return Err(Error::invalid("a feature view has at least one key"));
    }
    for (n, key) in arguments.keys.iter().enumerate() {
        find(key, "key")?;
        if arguments.keys[..n].contains(key) {
            return Err(Error::invalid(format!("key column \"{key}\" is named twice")));
        }
        if *key == arguments.time_column {
            return Err(Error::invalid(format!("column \"{key}\" cannot be a key and the time column")));
        }
    }
    let time = find(&arguments.time_column, "time")?;
    if time.family() != Some(Family::Date) {
        return Err(Error::UnsupportedTime { column: time.name.clone(), found: time.type_name() });
    }
    if let Some(label) = &arguments.label {
        let column = find(label, "label")?;
        if !matches!(column.family(), Some(Family::Boolean | Family::Number)) {
            return Err(Error::UnsupportedType {
                column: label.clone(),
                found: column.type_name(),
                hint: "A label is a boolean, or a number that is 0 or 1.".into(),
            });
        }
    }
    check_planned(arguments, find)
}

/// `find` returns the definition's column with a name, or the error that there is none.
fn check_planned<'a>(
    arguments: &NewView,
    find: impl Fn(&str, &str) -> Result<&'a Column, Error>,
) -> Result<(), Error> {
    for (n, planned) in arguments.planned.iter().enumerate() {
        let column = find(planned, "planned")?;
        if arguments.planned[..n].contains(planned) {
            return Err(Error::invalid(format!("planned column \"{planned}\" is named twice")));
        }
        let other = match planned {
            name if arguments.keys.contains(name) => Some("a key"),
            name if *name == arguments.time_column => Some("the time column"),
            name if Some(name) == arguments.label.as_ref() => Some("the label"),
            _ => None,
        };
        if let Some(other) = other {
            return Err(Error::invalid(format!("column \"{planned}\" cannot be {other} and planned")));
        }
        if matches!(column.family(), None | Some(Family::NumberArray)) {
            return Err(Error::InvalidArgument(
                format!(
                    "planned column \"{planned}\" has type {}, which a plan cannot give",
                    column.type_name()
                ),
                Some("A planned column is a number, a boolean, a text, a date or a timestamp.".into()),
            ));
        }
    }
    Ok(())
}

fn repeated<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn check_checks(query: &str) -> Result<(), Error> {
    let columns = describe(query, "query of checks")?;
    let fits = columns.len() == 3 && columns.iter().all(|column| column.type_oid == pg_sys::TEXTOID);
    let hint = "They are severity (error, warning or notice), message and hint; a hint may be NULL.";
    expect(fits, "checks is a query for three texts", &columns, hint)
}

fn check_available(query: &str) -> Result<(), Error> {
    let columns = describe(query, "query of what is available")?;
    let is_moment = |column: &Column| matches!(column.family(), Some(Family::Date | Family::Timestamp));
    let fits = columns.len() == 2 && columns.iter().all(is_moment);
    let hint = "For example: SELECT min(sold_at), max(sold_at) FROM sales";
    expect(fits, "available is a query for two dates or timestamps", &columns, hint)
}

/// Refuses a query whose columns do not fit its use.
fn expect(fits: bool, wanted: &str, columns: &[Column], hint: &str) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    let found: Vec<_> = columns.iter().map(Column::type_name).collect();
    Err(Error::InvalidArgument(format!("{wanted}, not for ({})", found.join(", ")), Some(hint.into())))
}

fn table(name: &RelationName, columns: &[Column], arguments: &NewView) -> String {
    let mut parts: Vec<_> = columns.iter().map(declared).collect();
    parts.push(format!("PRIMARY KEY ({})", primary_key(&arguments.keys, &arguments.time_column)));
    let time = quote_identifier(&arguments.time_column);
    format!("CREATE TABLE {name} (\n    {}\n) PARTITION BY RANGE ({time})", parts.join(",\n    "))
}

/// The columns of the primary key, as SQL writes them.
pub fn primary_key(keys: &[String], time_column: &str) -> String {
    let names: Vec<_> = keys.iter().map(String::as_str).chain([time_column]).map(quote_identifier).collect();
    names.join(", ")
}

/// A column of the definition as one of a new table.
fn declared(column: &Column) -> String {
    format!("{} {}{}", quote_identifier(&column.name), column.sql_type(), collation(column))
}

/// The text ` COLLATE …` if the column has another collation than its type; else the empty text.
pub fn collation(column: &Column) -> String {
    // SAFETY: these are catalog look-ups, of a type and a collation that the query's result has; the row of the syscache is
    // released after its last use.
    unsafe {
        if column.collation == pg_sys::InvalidOid
            || column.collation == pg_sys::get_typcollation(column.type_oid)
        {
            return String::new();
        }
        let cache = pg_sys::SysCacheIdentifier::COLLOID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(column.collation));
        if row.is_null() {
            return String::new();
        }
        let found = &*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_collation>();
        let (schema, name) = (pg_sys::get_namespace_name(found.collnamespace), found.collname.data.as_ptr());
        let text = |name| CStr::from_ptr(name).to_string_lossy();
        // The schema may have been dropped by now, and the collation with it.
        let qualified = (!schema.is_null()).then(|| quote_qualified_identifier(text(schema), text(name)));
        pg_sys::ReleaseSysCache(row);
        qualified.map_or(String::new(), |qualified| format!(" COLLATE {qualified}"))
    }
}
