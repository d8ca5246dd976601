//! What the catalog knows of a version's training: what it was trained with, and the last day of its rows.

use crate::catalog::stored::{self, Of};
use crate::catalog::version_source::VersionSource;
use crate::catalog::CHAMPION;
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::training::request::Arguments;
use pgrx::datum::Date;
use pgrx::pg_sys;

/// A version that is to be compared with another one.
#[derive(Debug, PartialEq, Eq)]
pub struct Contender {
    pub source: VersionSource,
    pub label: Option<String>,
    pub time_column: Option<String>,
    /// See [`stored::Data::measured_from`].
    pub unseen_from: Option<i32>,
}

impl Contender {
    pub fn read(model: &str, version: i32) -> Result<Self, Error> {
        let sql = "SELECT v.source_schema, v.source_name, v.label, v.time_column, v.data::pg_catalog.text, v.source_view \
                   FROM reco.version AS v \
                   WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
        as_owner(|client| {
            let rows = client.update(sql, Some(1), &[model.into(), version.into()])?;
            if rows.is_empty() {
                return Err(Error::UnknownVersion { model: model.to_owned(), version });
            }
            let row = rows.first();
            let data = row.get::<String>(5)?.ok_or_else(Error::damaged_row)?;
            let data = Of { model, version }.read("data", &data, stored::data)?;
            Ok(Self {
                source: VersionSource::of_columns(row.get(1)?, row.get(2)?, row.get(6)?),
                label: row.get(3)?,
                time_column: row.get(4)?,
                unseen_from: data.measured_from(),
            })
        })
    }
}

/// How many rows of a list a version was trained for: its parameter `k`.
pub fn list_length(model: &str, version: i32) -> Result<usize, Error> {
    let sql = "SELECT v.parameters::pg_catalog.text FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
    as_owner(|client| {
        let rows = client.update(sql, Some(1), &[model.into(), version.into()])?;
        if rows.is_empty() {
            return Err(Error::UnknownVersion { model: model.to_owned(), version });
        }
        let text = rows.first().get::<String>(1)?.ok_or_else(Error::damaged_row)?;
        Ok(Of { model, version }.read("parameters", &text, stored::parameters)?.k)
    })
}

/// The version that is the champion now, whatever the statement's snapshot is.
pub fn champion(model: &str) -> Result<i32, Error> {
    as_owner(|client| crate::catalog::history::champion(client, model))?
        .ok_or_else(|| Error::NoChampion(model.to_owned()))
}

/// The arguments of a training that is like the champion's.
pub fn of_champion(model: &str) -> Result<Arguments, Error> {
    let sql =
        "SELECT v.source_schema, v.source_name, v.label, pg_catalog.array_to_json(v.keys)::pg_catalog.text, \
                      v.time_column, v.parameters::pg_catalog.text, \
                      COALESCE(r.algorithm, CASE WHEN v.data OPERATOR(pg_catalog.?) 'told_by_file' THEN v.algorithm END), \
                      v.version, v.source_view \
               FROM reco.alias AS a \
               JOIN reco.version AS v ON v.model OPERATOR(pg_catalog.=) a.model \
                    AND v.version OPERATOR(pg_catalog.=) a.version \
               LEFT JOIN reco.run AS r ON r.run_id OPERATOR(pg_catalog.=) v.run_id \
               WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.alias OPERATOR(pg_catalog.=) $2";
    let imported = || {
        Error::InvalidArgument(
            format!("the champion of model \"{model}\" was imported: it is not known how it was trained"),
            Some("Train a version with CALL reco.train(…) and promote it.".into()),
        )
    };
    as_owner(|client| {
        let rows = client.update(sql, Some(1), &[model.into(), CHAMPION.into()])?;
        if rows.is_empty() {
            return Err(Error::NoChampion(model.to_owned()));
        }
        let row = rows.first();
        let source = VersionSource::of_columns(row.get(1)?, row.get(2)?, row.get(9)?);
        if source.is_empty() {
            return Err(imported());
        }
        let text = |n| row.get::<String>(n)?.ok_or_else(imported);
        let (keys, params, algorithm) = (text(4)?, text(6)?, text(7)?);
        let of = Of { model, version: row.get(8)?.ok_or_else(Error::damaged_row)? };
        of.read("parameters", &params, stored::parameters)?;
        Ok(Arguments {
            model: model.to_owned(),
            source: source.find(model, pg_sys::NoLock)?.0,
            label: row.get(3)?,
            algorithm,
            params,
            keys: Some(of.read("keys", &keys, stored::keys)?),
            time_column: row.get(5)?,
            promote: false,
        })
    })
}

/// A day as SQL writes it.
pub fn day(days: i32) -> String {
    // SAFETY: any number of days is a date value; one that is out of range is only written.
    unsafe { Date::from_pg_epoch_days(days) }.to_string()
}
