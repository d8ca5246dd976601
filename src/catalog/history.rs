//! The history of a model's champion: every move of the alias, and where a rollback goes.

use super::audit::Caller;
use super::change::require_usable;
use super::CHAMPION;
use crate::catalog::in_use;
use crate::error::Error;
use pgrx::spi::SpiClient;
use serde_json::json;

/// A move of the champion alias.
struct Move<'a> {
    action: &'a str,
    to: Option<i32>,
    why: Option<&'a str>,
    /// The earlier step at which a rollback from this move goes on to look for a version.
    back: Option<i32>,
}

/// Makes a version the champion and returns the champion from before. The caller has locked the model.
pub fn promote(
    client: &mut SpiClient,
    caller: &Caller,
    model: &str,
    version: i32,
    why: Option<&str>,
) -> Result<Option<i32>, Error> {
    require_usable(client, model, version)?;
    let before = champion(client, model)?;
    if before != Some(version) {
        let back = last_step(client, model)?;
        let promotion = Move { action: "promoted", to: Some(version), why, back };
        move_champion(client, caller, model, before, &promotion)?;
    }
    Ok(before)
}

/// Goes back to the champion before this one and returns it. The caller has locked the model.
pub fn roll_back(
    client: &mut SpiClient,
    caller: &Caller,
    model: &str,
    why: Option<&str>,
) -> Result<i32, Error> {
    let now = champion(client, model)?;
    let mut next = last_step(client, model)?;
    while let Some(step) = next {
        let Step { version, back } = Step::read(client, model, step)?;
        // Steps that lead to the same version, archived versions and times without a champion are passed over.
        if let Some(version) = version.filter(|version| Some(*version) != now) {
            let rollback = Move { action: "rolled_back", to: Some(version), why, back };
            move_champion(client, caller, model, now, &rollback)?;
            return Ok(version);
        }
        // Each step goes back to an earlier one. One that does not would make this loop endless.
        next = match back {
            Some(back) if back >= step => {
                return Err(Error::Damaged(format!(
                    "the history of model \"{model}\" is damaged: step {step} goes back to step {back}"
                )))
            }
            back => back,
        };
    }
    Err(Error::NoEarlierChampion(model.to_owned()))
}

/// Leaves the model without a champion. The caller has locked the model.
pub fn drop_champion(client: &mut SpiClient, caller: &Caller, model: &str) -> Result<(), Error> {
    let before = champion(client, model)?;
    if before.is_none() {
        return Err(Error::NoChampion(model.to_owned()));
    }
    in_use::refuse_running(client, model)?;
    let back = last_step(client, model)?;
    let dropped = Move { action: "alias_dropped", to: None, why: None, back };
    move_champion(client, caller, model, before, &dropped)
}

/// A step of the history: the version that was the champion from then on, if it still has its weights, and the step before
/// it.
struct Step {
    version: Option<i32>,
    back: Option<i32>,
}

impl Step {
    fn read(client: &mut SpiClient, model: &str, step: i32) -> Result<Self, Error> {
        let sql = "SELECT v.version, p.back FROM reco.promotion AS p \
                   LEFT JOIN reco.version AS v ON v.model OPERATOR(pg_catalog.=) p.model \
                        AND v.version OPERATOR(pg_catalog.=) p.to_version AND v.artifact_id IS NOT NULL \
                   WHERE p.model OPERATOR(pg_catalog.=) $1 AND p.step OPERATOR(pg_catalog.=) $2";
        let (version, back) = client.update(sql, Some(1), &[model.into(), step.into()])?.first().get_two()?;
        Ok(Self { version, back })
    }
}

/// The version that is the champion now. The caller has locked the model.
pub fn champion(client: &mut SpiClient, model: &str) -> Result<Option<i32>, Error> {
    let sql = "SELECT pg_catalog.max(version) FROM reco.alias \
               WHERE model OPERATOR(pg_catalog.=) $1 AND alias OPERATOR(pg_catalog.=) $2";
    Ok(client.update(sql, Some(1), &[model.into(), CHAMPION.into()])?.first().get_one()?)
}

fn last_step(client: &mut SpiClient, model: &str) -> Result<Option<i32>, Error> {
    let sql = "SELECT pg_catalog.max(step) FROM reco.promotion WHERE model OPERATOR(pg_catalog.=) $1";
    Ok(client.update(sql, Some(1), &[model.into()])?.first().get_one()?)
}

/// Moves the champion alias, and adds the move to the history and to the audit.
fn move_champion(
    client: &mut SpiClient,
    caller: &Caller,
    model: &str,
    from: Option<i32>,
    to: &Move,
) -> Result<(), Error> {
    match to.to {
        Some(version) => set_alias(client, caller, model, CHAMPION, version)?,
        None => remove_alias(client, model, CHAMPION).map(|_| ())?,
    }
    let step = last_step(client, model)?.unwrap_or(0).checked_add(1).ok_or_else(|| {
        Error::Damaged(format!(
            "the history of model \"{model}\" is damaged: its last step is the last there can be"
        ))
    })?;
    client.update(
        "INSERT INTO reco.promotion (model, step, action, from_version, to_version, back, why, moved_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        None,
        &[
            model.into(),
            step.into(),
            to.action.into(),
            from.into(),
            to.to.into(),
            to.back.into(),
            to.why.into(),
            caller.role.as_str().into(),
        ],
    )?;
    let detail = json!({"alias": CHAMPION, "from": from, "why": to.why});
    caller.did(client, to.action, model, to.to, detail)
}

/// Makes an alias stand for a version.
pub fn set_alias(
    client: &mut SpiClient,
    caller: &Caller,
    model: &str,
    alias: &str,
    version: i32,
) -> Result<(), Error> {
    let sql = "INSERT INTO reco.alias (model, alias, version, set_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (model, alias) DO UPDATE \
               SET version = excluded.version, set_by = excluded.set_by, set_at = pg_catalog.now()";
    let row = [model.into(), alias.into(), version.into(), caller.role.as_str().into()];
    client.update(sql, None, &row)?;
    Ok(())
}

/// Removes an alias and returns the version that it stood for.
pub fn remove_alias(client: &mut SpiClient, model: &str, alias: &str) -> Result<Option<i32>, Error> {
    let sql = "DELETE FROM reco.alias \
               WHERE model OPERATOR(pg_catalog.=) $1 AND alias OPERATOR(pg_catalog.=) $2 RETURNING version";
    let rows = client.update(sql, None, &[model.into(), alias.into()])?;
    match rows.is_empty() {
        true => Ok(None),
        false => Ok(rows.first().get_one()?),
    }
}
