//! The functions `reco.set_alias`, `reco.drop_alias`, `reco.promote` and `reco.rollback`.

use crate::catalog::change::{change, require_usable};
use crate::catalog::rights::Privilege;
use crate::catalog::{history, CHAMPION};
use crate::error::{or_raise, Error};
use crate::pg::values::{given, note};
use pgrx::prelude::*;
use serde_json::json;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn set_alias(model: Option<&str>, alias: Option<&str>, version: Option<i32>) {
    let set = || {
        let (model, alias) = (given(model, "model")?, given(alias, "alias")?);
        let version = given(version, "version")?;
        check_alias(alias)?;
        change(c"reco.set_alias()", model, Privilege::Manage, |client, caller| {
            if alias == CHAMPION {
                return history::promote(client, caller, model, version, None).map(|_| ());
            }
            require_usable(client, model, version)?;
            history::set_alias(client, caller, model, alias, version)?;
            caller.did(client, "alias_set", model, Some(version), json!({ "alias": alias }))
        })
    };
    or_raise(set());
}

fn check_alias(alias: &str) -> Result<(), Error> {
    match alias.len() {
        1..=63 => Ok(()),
        bytes => Err(Error::invalid(format!("an alias has 1 to 63 bytes, not {bytes}"))),
    }
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn drop_alias(model: Option<&str>, alias: Option<&str>) {
    let drop = || {
        let (model, alias) = (given(model, "model")?, given(alias, "alias")?);
        change(c"reco.drop_alias()", model, Privilege::Manage, |client, caller| {
            if alias == CHAMPION {
                return history::drop_champion(client, caller, model);
            }
            match history::remove_alias(client, model, alias)? {
                Some(version) => {
                    caller.did(client, "alias_dropped", model, Some(version), json!({ "alias": alias }))
                }
                None => Err(Error::UnknownAlias { model: model.to_owned(), alias: alias.to_owned() }),
            }
        })
    };
    or_raise(drop());
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn promote(model: Option<&str>, version: Option<i32>, why: Option<&str>) -> Option<i32> {
    let promote = || {
        let (model, version) = (given(model, "model")?, given(version, "version")?);
        let why = note(why, "why")?;
        change(c"reco.promote()", model, Privilege::Manage, |client, caller| {
            history::promote(client, caller, model, version, why)
        })
    };
    or_raise(promote())
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn rollback(model: Option<&str>, why: Option<&str>) -> i32 {
    let roll_back = || {
        let (model, why) = (given(model, "model")?, note(why, "why")?);
        change(c"reco.rollback()", model, Privilege::Manage, |client, caller| {
            history::roll_back(client, caller, model, why)
        })
    };
    or_raise(roll_back())
}
