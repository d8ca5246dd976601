//! What the catalog knows about feature views, and the changes that are made to it.

use super::engine::Engine;
use crate::error::Error;
use crate::pg::acting_as::{as_author, as_owner, current_user, Settings};
use crate::pg::relations::{self, RelationName};
use crate::pg::values::EPOCH;
use features::weeks::{Period, Week, MOST_WEEKS_BACK};
use pgrx::datum::Date;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use pgrx::Uuid;
use std::collections::BTreeSet;

/// The arguments of `reco.create_feature_view`.
pub struct NewView {
    pub view: String,
    pub definition: String,
    pub keys: Vec<String>,
    pub time_column: String,
    pub label: Option<String>,
    pub available: Option<String>,
    pub checks: Option<String>,
    pub inputs: Vec<pg_sys::Oid>,
    pub lookback: i32,
    pub horizon: i32,
    pub partition_by: String,
    pub settings: Settings,
    pub planned: Vec<String>,
    pub engine: Option<Engine>,
}

/// The stored values of a feature view that may be damaged, with arrays and settings as JSON.
pub struct StoredView<'a> {
    pub name: &'a str,
    pub keys: &'a str,
    pub planned: &'a str,
    pub inputs: &'a str,
    pub settings: &'a str,
    pub partition_by: &'a str,
    pub engine: Option<&'a str>,
    /// The lookback, then the horizon.
    pub weeks: [i32; 2],
}

/// The values of [`StoredView`], parsed.
pub struct Values {
    keys: Vec<String>,
    planned: Vec<String>,
    inputs: Vec<Uuid>,
    settings: Settings,
    period: Period,
    engine: Option<Engine>,
}

impl Values {
    /// The values that stand in for damaged ones.
    fn none() -> Self {
        Self {
            keys: Vec::new(),
            planned: Vec::new(),
            inputs: Vec::new(),
            settings: Settings::new(),
            period: Period::Month,
            engine: None,
        }
    }
}

impl StoredView<'_> {
    /// Parses the values. An error names the view and the column that is damaged.
    pub fn values(&self) -> Result<Values, Error> {
        let damaged = |column: &str, how: &str| {
            Error::Damaged(format!("column \"{column}\" of the feature view {} is damaged: {how}", self.name))
        };
        let list = |column: &str, text: &str| {
            serde_json::from_str::<Vec<String>>(text).map_err(|_| damaged(column, "it is no list"))
        };
        let keys = list("keys", self.keys)?;
        if keys.is_empty() {
            return Err(damaged("keys", "there is none"));
        }
        let inputs = list("inputs", self.inputs)?.iter().map(|id| uuid(id)).collect::<Option<Vec<_>>>();
        let settings = serde_json::from_str(self.settings)
            .map_err(|_| damaged("settings", "a number is out of range, or it is too deep"))?;
        let engine = |json: &str| {
            Engine::parse(json).ok_or_else(|| damaged("engine", "it does not say how the rows are computed"))
        };
        if self.weeks.iter().any(|weeks| !(0..=MOST_WEEKS_BACK).contains(weeks)) {
            return Err(damaged("lookback or horizon", "it is no number of weeks"));
        }
        Ok(Values {
            keys,
            planned: list("planned", self.planned)?,
            inputs: inputs.ok_or_else(|| damaged("inputs", "it has something else than ids"))?,
            settings: read_settings(settings).map_err(|_| damaged("settings", "it is no JSON object"))?,
            period: Period::parse(self.partition_by)
                .map_err(|_| damaged("partition_by", "there is no such period"))?,
            engine: self.engine.map(engine).transpose()?,
        })
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some(Uuid::from_bytes(number.to_be_bytes()))
}

/// A registered feature view.
#[derive(Debug, Clone)]
pub struct FeatureView {
    pub id: Uuid,
    pub oid: pg_sys::Oid,
    /// The qualified name of the view's table.
    pub name: RelationName,
    pub definition: String,
    pub available: Option<String>,
    pub checks: Option<String>,
    pub keys: Vec<String>,
    pub time_column: String,
    pub label: Option<String>,
    /// The columns that hold what is planned for the week after the row.
    pub planned: Vec<String>,
    pub inputs: Vec<Uuid>,
    pub lookback: usize,
    pub horizon: usize,
    pub period: Period,
    pub search_path: String,
    pub settings: Settings,
    /// How the library computes the rows without the definition.
    pub engine: Option<Engine>,
    /// The role that created the view with its definition.
    pub author: String,
}

impl FeatureView {
    /// The feature view whose table is this relation; `None` if there is none.
    pub fn find(relation: pg_sys::Oid) -> Result<Option<Self>, Error> {
        let found = Self::find_as_stored(relation)?;
        found.map(|(view, damage)| damage.map_or(Ok(view), Err)).transpose()
    }

    /// The feature view even if its stored values are damaged, with the error that says how: dropping a view needs little
    /// of them.
    pub fn find_as_stored(relation: pg_sys::Oid) -> Result<Option<(Self, Option<Error>)>, Error> {
        let name = RelationName::of(relation)?;
        as_owner(|client| {
            let sql = "SELECT v.definition, v.available, v.time_column, v.label, v.lookback, v.horizon, \
                              v.partition_by, v.search_path, v.created_by::pg_catalog.text, v.view_id, \
                              pg_catalog.array_to_json(v.keys)::pg_catalog.text, \
                              pg_catalog.array_to_json(v.inputs)::pg_catalog.text, v.settings::pg_catalog.text, v.checks, \
                              pg_catalog.array_to_json(v.planned)::pg_catalog.text, v.engine::pg_catalog.text \
                       FROM pg_catalog.pg_statistic_ext AS s JOIN reco.feature_view AS v \
                         ON s.stxname OPERATOR(pg_catalog.=) \
                            ('feature_view_' OPERATOR(pg_catalog.||) v.view_id::pg_catalog.text)::pg_catalog.name \
                       WHERE s.stxrelid OPERATOR(pg_catalog.=) $1 \
                         AND reco.feature_view_table(v.view_id, v.table_schema, v.table_name, v.created_by) OPERATOR(pg_catalog.=) $1";
            let rows = client.select(sql, Some(1), &[relation.into()])?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let text = |n| row.get::<String>(n);
            let needed = |n| row.get::<String>(n)?.ok_or_else(Error::damaged_row);
            let number = |n| row.get::<i32>(n).map(|value| value.unwrap_or(-1));
            let (shown, engine) = (name.to_string(), text(16)?);
            let stored = StoredView {
                name: &shown,
                keys: &needed(11)?,
                planned: &needed(15)?,
                inputs: &needed(12)?,
                settings: &needed(13)?,
                partition_by: &needed(7)?,
                engine: engine.as_deref(),
                weeks: [number(5)?, number(6)?],
            };
            let (values, damage) = match stored.values() {
                Ok(values) => (values, None),
                Err(damage) => (Values::none(), Some(damage)),
            };
            let Values { keys, planned, inputs, settings, period, engine } = values;
            let [lookback, horizon] = stored.weeks.map(|weeks| weeks.max(0) as usize);
            let view = Self {
                id: row.get(10)?.ok_or_else(Error::damaged_row)?,
                oid: relation,
                definition: needed(1)?,
                available: text(2)?,
                checks: text(14)?,
                keys,
                time_column: needed(3)?,
                label: text(4)?,
                planned,
                inputs,
                lookback,
                horizon,
                period,
                search_path: needed(8)?,
                settings,
                engine,
                author: needed(9)?,
                name: name.clone(),
            };
            Ok(Some((view, damage)))
        })
    }

    /// The feature view whose table is this relation; an error if there is none.
    pub fn get(relation: pg_sys::Oid) -> Result<Self, Error> {
        match Self::find(relation)? {
            Some(view) => Ok(view),
            None => Err(no_view(relation)?),
        }
    }

    /// The feature view even if its stored values are damaged; an error if there is none.
    pub fn get_as_stored(relation: pg_sys::Oid) -> Result<Self, Error> {
        match Self::find_as_stored(relation)? {
            Some((view, _)) => Ok(view),
            None => Err(no_view(relation)?),
        }
    }

    /// The feature views that are this one's inputs. They are refreshed before it.
    pub fn open_inputs(&self) -> Result<Vec<Self>, Error> {
        let gone = |what: &str| {
            Error::InvalidArgument(
                format!("{what}, an input of {}, does not exist", self.name),
                Some("Drop the view with reco.drop_feature_view(…), and create both again.".into()),
            )
        };
        let open = |id: &Uuid| match table_of(*id)? {
            Some((Some(oid), _)) => Self::get(oid),
            Some((None, name)) => Err(gone(&format!("feature view {name}"))),
            None => Err(gone(&format!("the feature view with the id {id}"))),
        };
        self.inputs.iter().map(open).collect()
    }

    /// Refuses a caller who is not a member of the role that owns the table.
    pub fn check_owner(&self, action: &str) -> Result<(), Error> {
        let owner = relations::owner(self.oid)?;
        // SAFETY: these are look-ups, of the current user and of a role that exists.
        let allowed = unsafe { pg_sys::superuser() || pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner) };
        if allowed {
            return Ok(());
        }
        Err(Error::Privilege {
            message: format!("must be owner of feature view {} to {action} it", self.name),
            hint: None,
        })
    }

    /// Refuses a definition whose author may not act as the table's owner. Without this check anybody could make a table
    /// that has the mark of another role's view.
    pub fn check_author(&self) -> Result<(), Error> {
        let owner = relations::owner(self.oid)?;
        let author = relations::role(&self.author);
        // SAFETY: these are look-ups of roles that exist.
        if author.is_some_and(|author| unsafe { pg_sys::has_privs_of_role(author, owner) }) {
            return Ok(());
        }
        Err(Error::Privilege {
            message: format!(
                "the definition of {} was written by {}, who may not act as its owner {}",
                self.name,
                self.author,
                relations::role_name(owner)
            ),
            hint: Some("The owner can create it anew with reco.create_feature_view(…), under another name or without the table.".into()),
        })
    }

    /// Runs SQL with the rights of the owner of the view's table, under the search path and the settings of the definition.
    pub fn as_author<T>(&self, run: impl FnOnce(&mut SpiClient) -> Result<T, Error>) -> Result<T, Error> {
        self.as_author_under(&self.settings, run)
    }

    /// Does the same under other settings, for SQL of ours.
    pub fn as_author_under<T>(
        &self,
        settings: &Settings,
        run: impl FnOnce(&mut SpiClient) -> Result<T, Error>,
    ) -> Result<T, Error> {
        as_author(relations::owner(self.oid)?, &self.search_path, settings, run)
    }

    /// The weeks that the view has stored, also those without a row.
    pub fn stored_weeks(&self) -> Result<BTreeSet<Week>, Error> {
        self.weeks("SELECT week FROM reco.feature_week WHERE view_id OPERATOR(pg_catalog.=) $1")
    }

    /// The stored weeks that had rows when they were computed.
    pub fn filled_weeks(&self) -> Result<BTreeSet<Week>, Error> {
        self.weeks(
            "SELECT week FROM reco.feature_week \
             WHERE view_id OPERATOR(pg_catalog.=) $1 AND rows OPERATOR(pg_catalog.>) 0 AND pg_catalog.isfinite(week)",
        )
    }

    fn weeks(&self, sql: &str) -> Result<BTreeSet<Week>, Error> {
        as_owner(|client| {
            let rows = client.update(sql, None, &[self.id.into()])?;
            rows.map(|row| Ok(Week::of_day(needed_date(row.get::<Date>(1)?)?))).collect()
        })
    }

    /// Records the table's current name.
    pub fn note_name(&self) -> Result<(), Error> {
        as_owner(|client| {
            let update = "UPDATE reco.feature_view SET table_schema = $2, table_name = $3 \
                          WHERE view_id OPERATOR(pg_catalog.=) $1 \
                            AND (table_schema, table_name) IS DISTINCT FROM ($2, $3)";
            let RelationName { schema, name } = &self.name;
            client.update(update, None, &[self.id.into(), schema.as_str().into(), name.as_str().into()])?;
            Ok(())
        })
    }

    /// Records how many rows each of these weeks has.
    pub fn note_weeks(&self, rows: &[(Week, i64)]) -> Result<(), Error> {
        let days: Vec<_> = rows.iter().map(|(week, _)| week.monday()).collect();
        let counts: Vec<_> = rows.iter().map(|(_, count)| *count).collect();
        as_owner(|client| {
            client.update(
                &format!(
                    "INSERT INTO reco.feature_week (view_id, week, rows) \
                 SELECT $1, {EPOCH} OPERATOR(pg_catalog.+) d, n \
                 FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) AS w (d, n) \
                 ON CONFLICT (view_id, week) DO UPDATE \
                 SET rows = excluded.rows, computed_at = excluded.computed_at"
                ),
                None,
                &[self.id.into(), days.into(), counts.into()],
            )?;
            Ok(())
        })
    }
}

fn no_view(relation: pg_sys::Oid) -> Result<Error, Error> {
    Ok(Error::InvalidArgument(
        format!("{} is not a feature view", relations::qualified_name(relation)?),
        Some("The view reco.feature_views lists them; reco.create_feature_view(…) makes one.".into()),
    ))
}

fn needed_date(date: Option<Date>) -> Result<i32, Error> {
    date.map(|date| date.to_pg_epoch_days()).ok_or_else(Error::damaged_row)
}

/// The table of a feature view, if it exists, and the name that is recorded for it; `None` if there is no such view.
pub fn table_of(id: Uuid) -> Result<Option<(Option<pg_sys::Oid>, RelationName)>, Error> {
    as_owner(|client| {
        let sql =
            "SELECT reco.feature_view_table(view_id, table_schema, table_name, created_by), table_schema, table_name \
                   FROM reco.feature_view WHERE view_id OPERATOR(pg_catalog.=) $1";
        let rows = client.select(sql, Some(1), &[id.into()])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let row = rows.first();
        let recorded = RelationName::of_columns(row.get(2)?, row.get(3)?).ok_or_else(Error::damaged_row)?;
        Ok(Some((row.get(1)?, recorded)))
    })
}

/// Whether a relation has the mark of a feature view, whoever made the relation.
pub fn has_mark(client: &SpiClient, relation: pg_sys::Oid, id: Uuid) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext AS s \
                              WHERE s.stxrelid OPERATOR(pg_catalog.=) $1 AND s.stxname OPERATOR(pg_catalog.=) $2::pg_catalog.name)";
    let found = client.select(sql, Some(1), &[relation.into(), format!("feature_view_{id}").into()])?;
    Ok(found.first().get_one::<bool>()?.unwrap_or(false))
}

/// The name of the statistics object that marks the table of a feature view, so that the table is known whatever it is
/// called.
pub fn mark(id: Uuid, table: &RelationName) -> RelationName {
    RelationName { schema: table.schema.clone(), name: format!("feature_view_{id}") }
}

/// Registers a view and its new table. Views that are registered under the same name, and whose table no longer exists, are
/// forgotten.
pub fn register(
    id: Uuid,
    name: &RelationName,
    inputs: &[Uuid],
    search_path: &str,
    view: &NewView,
) -> Result<(), Error> {
    let caller = current_user();
    let engine = view.engine.as_ref().map(serde_json::to_value).transpose()?;
    for replaced in gone_from(name)? {
        forget(replaced)?;
    }
    as_owner(|client| {
        client.update(
            "INSERT INTO reco.feature_view (view_id, table_schema, table_name, definition, available, keys, time_column, \
                                            label, inputs, lookback, horizon, partition_by, search_path, settings, \
                                            created_by, checks, planned, engine) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
            None,
            &[
                id.into(),
                name.schema.as_str().into(),
                name.name.as_str().into(),
                view.definition.as_str().into(),
                view.available.as_deref().into(),
                view.keys.clone().into(),
                view.time_column.as_str().into(),
                view.label.as_deref().into(),
                inputs.to_vec().into(),
                view.lookback.into(),
                view.horizon.into(),
                view.partition_by.as_str().into(),
                search_path.into(),
                written_settings(&view.settings).into(),
                caller.into(),
                view.checks.as_deref().into(),
                view.planned.clone().into(),
                engine.map(pgrx::JsonB).into(),
            ],
        )?;
        Ok(())
    })
}

/// The views whose table had this name and no longer exists.
fn gone_from(name: &RelationName) -> Result<Vec<Uuid>, Error> {
    as_owner(|client| {
        let sql = "SELECT view_id FROM reco.feature_view \
                   WHERE table_schema OPERATOR(pg_catalog.=) $1 AND table_name OPERATOR(pg_catalog.=) $2 \
                     AND reco.feature_view_table(view_id, table_schema, table_name, created_by) IS NULL";
        let rows = client.update(sql, None, &[name.schema.as_str().into(), name.name.as_str().into()])?;
        rows.map(|row| row.get::<Uuid>(1)?.ok_or_else(Error::damaged_row)).collect()
    })
}

/// Forgets a view and its weeks. The record of its refreshes stays.
pub fn forget(id: Uuid) -> Result<(), Error> {
    as_owner(|client| {
        for delete in [
            "DELETE FROM reco.feature_week WHERE view_id OPERATOR(pg_catalog.=) $1",
            "DELETE FROM reco.feature_view WHERE view_id OPERATOR(pg_catalog.=) $1",
        ] {
            client.update(delete, None, &[id.into()])?;
        }
        Ok(())
    })
}

/// The settings in the form in which they are stored: an object whose values are texts.
fn written_settings(settings: &Settings) -> pgrx::JsonB {
    let pairs = settings.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    pgrx::JsonB(serde_json::Value::Object(pairs.collect()))
}

/// The settings in an object. A number or a boolean is taken as it is written.
pub fn read_settings(stored: serde_json::Value) -> Result<Settings, Error> {
    let serde_json::Value::Object(pairs) = stored else {
        return Err(Error::invalid("settings is an object such as {\"work_mem\": \"256MB\"}"));
    };
    let written = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(pairs.into_iter().map(|(name, value)| (name, written(value))).collect())
}
