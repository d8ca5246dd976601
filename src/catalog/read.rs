//! The catalog reads of scoring, by primary key.
//!
//! They use the statement's snapshot, so they see exactly what the statement sees, and they work on a standby, in a
//! parallel worker and in a read-only transaction. The caller needs no privilege on the tables, because callers may not
//! read the weights themselves.

use super::columns;
use super::row::CatalogRow;
use super::stored::{self, Of};
use super::table::{Catalog, KeyValue, RowsFound, Table};
use super::version_source::VersionSource;
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use model::protocol::Importance;
use model::stored::moment::Moment;
use model::Task;
use pgrx::pg_sys;
use pgrx::Uuid;

/// The version's row, as far as scoring needs it: where its weights and its rows are.
#[derive(Debug, Clone)]
pub struct VersionRow {
    pub model: String,
    pub number: i32,
    pub artifact_id: Uuid,
    /// The source is empty if the version was imported without one.
    pub source: VersionSource,
    pub keys: Vec<String>,
    pub time_column: Option<String>,
    pub label: Option<String>,
}

/// The version that an alias stands for.
pub struct AliasRow {
    pub version: i32,
    pub artifact_id: Uuid,
    /// The A/B test that the model takes part in. Only the alias `champion` has one.
    pub test: Option<String>,
}

/// The version that `alias` of `model` stands for.
pub fn version_of_alias(model: &str, alias: &str) -> Result<AliasRow, Error> {
    let found = Table::open(Catalog::Alias)?.find(&[KeyValue::Text(model), KeyValue::Text(alias)], |row| {
        Ok::<_, Error>((row.required(columns::alias::VERSION)?, row.value(columns::alias::TEST)))
    });
    match found {
        Some(found) => {
            let (version, test) = found?;
            let artifact_id = of_version(model, version, |row| artifact_of(row, model, version))?;
            Ok(AliasRow { version, artifact_id, test })
        }
        None if model_exists(model)? => Err(Error::NoChampion(model.to_owned())),
        None => Err(Error::UnknownModel(model.to_owned())),
    }
}

/// The row of a version of a model.
pub fn version(model: &str, version: i32) -> Result<VersionRow, Error> {
    of_version(model, version, |row| {
        Ok(VersionRow {
            model: model.to_owned(),
            number: version,
            artifact_id: artifact_of(row, model, version)?,
            source: VersionSource::of_columns(
                row.value(columns::version::SCHEMA),
                row.value(columns::version::SOURCE),
                row.value(columns::version::VIEW),
            ),
            keys: row.texts(columns::version::KEYS)?.ok_or_else(Error::damaged_row)?,
            time_column: row.value(columns::version::TIME),
            label: row.value(columns::version::LABEL),
        })
    })
}

/// An A/B test.
pub struct TestRow {
    pub model: String,
    pub unit: String,
    /// The regions of the test; `None` means all.
    pub regions: Option<Vec<String>>,
    pub salt: String,
}

/// An arm of an A/B test.
pub struct ArmRow {
    pub name: String,
    pub version: i32,
    pub share: f64,
}

/// An A/B test and its arms; the control is the first.
pub fn ab_test(name: &str) -> Result<(TestRow, Vec<ArmRow>), Error> {
    let test = Table::open(Catalog::Test)?.find(&[KeyValue::Text(name)], |row| {
        Ok::<_, Error>(TestRow {
            model: row.required(columns::test::MODEL)?,
            unit: row.required(columns::test::UNIT)?,
            regions: row.texts(columns::test::REGIONS)?,
            salt: row.required(columns::test::SALT)?,
        })
    });
    let damaged = |error| match error {
        Error::Damaged(how) => Error::Damaged(format!("the A/B test \"{name}\" is damaged: {how}")),
        other => other,
    };
    let test = test.ok_or_else(|| Error::UnknownTest(name.to_owned()))?.map_err(damaged)?;
    let arms = Table::open(Catalog::Arm)?.all(&[KeyValue::Text(name)], RowsFound::ByStatement, |row| {
        Ok(ArmRow {
            name: row.required(columns::arm::NAME)?,
            version: row.required(columns::arm::VERSION)?,
            share: row.required(columns::arm::SHARE)?,
        })
    })?;
    Ok((test, arms))
}

/// The importance of each of a version's columns, as its training has measured it (see [`model::protocol::Importance`]);
/// empty if it is not known.
pub fn importance(model: &str, version: i32) -> Result<Vec<(String, f64)>, Error> {
    let metrics = of_version(model, version, |row| row.json(columns::version::METRICS))?;
    let metrics = Of { model, version }.read("metrics", &metrics, stored::metrics)?;
    Ok(metrics.importance.into_iter().map(|Importance { column, loss }| (column, loss)).collect())
}

/// What a version predicts, if the catalog knows it.
pub fn task(model: &str, version: i32) -> Result<Option<Task>, Error> {
    Ok(data(model, version)?.task)
}

/// The first day of which a version has seen no row, if the catalog knows it (see [`stored::Data::unseen_from`]).
pub fn unseen_from(model: &str, version: i32) -> Result<Option<i32>, Error> {
    Ok(data(model, version)?.unseen_from())
}

/// The first day of which the fit that was measured has seen no row (see [`stored::Data::measured_from`]).
pub fn measured_from(model: &str, version: i32) -> Result<Option<i32>, Error> {
    Ok(data(model, version)?.measured_from())
}

/// The version with the weights that were measured, if those that are served have learned in a refit from rows of the day
/// `from` or later; without `from`, if there was a refit.
pub fn measured_fit(version: &VersionRow, from: Option<i32>) -> Result<Option<VersionRow>, Error> {
    let data = data(&version.model, version.number)?;
    let is_seen = from.zip(data.unseen_from()).is_none_or(|(from, unseen)| from < unseen);
    if data.refit_rows.is_none() || !is_seen {
        return Ok(None);
    }
    // By SQL, since a catalog of a library before 0.2.0 has no such column, and no version that asks for it.
    let sql = "SELECT v.measured_artifact_id FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
    let id = as_owner(|client| {
        let rows = client.select(sql, Some(1), &[version.model.as_str().into(), version.number.into()])?;
        Ok(rows.first().get_one::<Uuid>()?)
    })?;
    Ok(id.map(|artifact_id| VersionRow { artifact_id, ..version.clone() }))
}

/// The time of the newest row that a version has learned from or was measured on, if the catalog knows it.
pub fn last_seen(model: &str, version: i32) -> Result<Option<Moment>, Error> {
    Ok(data(model, version)?.time_to)
}

fn data(model: &str, version: i32) -> Result<stored::Data, Error> {
    let data = of_version(model, version, |row| row.json(columns::version::DATA))?;
    Of { model, version }.read("data", &data, stored::data)
}

/// The id of a version's weights. It is an error if the version is archived, because then its weights are deleted.
fn artifact_of(row: &CatalogRow, model: &str, version: i32) -> Result<Uuid, Error> {
    row.value(columns::version::ARTIFACT).ok_or_else(|| Error::Archived { model: model.to_owned(), version })
}

fn of_version<T>(
    model: &str,
    version: i32,
    read: impl FnOnce(&CatalogRow) -> Result<T, Error>,
) -> Result<T, Error> {
    match Table::open(Catalog::Version)?.find(&[KeyValue::Text(model), KeyValue::Int4(version)], read) {
        Some(found) => found.map_err(|error| match error {
            Error::Damaged(how) => {
                Error::Damaged(format!("version {version} of model \"{model}\" is damaged: {how}"))
            }
            other => other,
        }),
        None if model_exists(model)? => Err(Error::UnknownVersion { model: model.to_owned(), version }),
        None => Err(Error::UnknownModel(model.to_owned())),
    }
}

/// The names of all models, sorted.
pub fn model_names() -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Table::open(Catalog::Model)?
        .all(&[], RowsFound::ByStatement, |row| row.required(columns::model::MODEL))?;
    names.sort_unstable();
    Ok(names)
}

/// The role that owns a model now, whatever the statement's snapshot is.
pub fn model_owner(model: &str) -> Result<Option<String>, Error> {
    let mut owners = Table::open(Catalog::Model)?
        .all(&[KeyValue::Text(model)], RowsFound::Now, |row| row.name(columns::model::OWNER))?;
    Ok(owners.pop())
}

/// Which privileges on a model were granted to whom, as of now, whatever the statement's snapshot is. So a backend can keep
/// the answer: an invalidation tells it of every later change.
pub fn model_grants(model: &str) -> Result<Vec<Grant>, Error> {
    Table::open(Catalog::Privilege)?.all(&[KeyValue::Text(model)], RowsFound::Now, |row| {
        Ok(Grant {
            grantee: row.name(columns::privilege::GRANTEE)?,
            privilege: row.required(columns::privilege::NAME)?,
            by: row.name(columns::privilege::BY)?,
        })
    })
}

/// A privilege on a model that was granted to a role.
pub struct Grant {
    pub grantee: String,
    pub privilege: String,
    /// The role that granted the privilege.
    pub by: String,
}

/// Refuses a server on which the catalog's rows are not, or are not kept up to date.
pub fn check_here() -> Result<(), Error> {
    Catalog::ALL.into_iter().try_for_each(|table| table.find().map(drop))
}

/// The OID of the table of the privileges.
pub fn privilege_table() -> Result<pg_sys::Oid, Error> {
    Ok(Catalog::Privilege.find()?.0)
}

fn model_exists(model: &str) -> Result<bool, Error> {
    Ok(Table::open(Catalog::Model)?.find(&[KeyValue::Text(model)], |_| ()).is_some())
}
