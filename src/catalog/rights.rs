//! Who may do what with a model: its owner and superusers everything, others what was granted to them, to a role that they
//! are a member of, or to public.
//!
//! Scoring asks once a statement, so the answers are kept in the backend until a role, a membership or a relation changes:
//! whoever changes owners or privileges calls [`changed`], which every backend and standby hears of when that commits.

use super::read;
use crate::error::{or_raise, Error};
use crate::relations;
use crate::values::name_argument;
use crate::{relation_changes, role_changes};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;
use std::cell::RefCell;

/// What a role may do with a model. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Predict, recommend, and read names and metrics of versions.
    Score,
    /// Add versions; read runs, recipes and what is known of the data.
    Train,
    /// Say which version is used and who may do what; take weights out, archive and drop.
    Manage,
}

/// The grantee that stands for every role. Postgres lets no role have this name.
pub const PUBLIC: &str = "public";

impl Privilege {
    const ALL: [Self; 3] = [Self::Score, Self::Train, Self::Manage];

    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Train => "train",
            Self::Manage => "manage",
        }
    }

    /// This privilege and those that include it.
    pub fn and_above(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |privilege| *privilege >= self)
    }

    pub fn from_name(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|privilege| privilege.name() == name).ok_or_else(|| {
            Error::InvalidArgument(
                format!("unknown privilege \"{name}\" on a model"),
                Some("The privileges are: score, train, manage.".into()),
            )
        })
    }
}

/// Refuses a caller who does not have the privilege. A model that does not exist is an error, but not to superusers.
pub fn check(model: &str, privilege: Privilege) -> Result<(), Error> {
    // SAFETY: a plain look-up.
    check_role(unsafe { pg_sys::GetUserId() }, model, privilege)
}

/// Whether the caller has the privilege; not on a model that does not exist.
pub fn may(model: &str, privilege: Privilege) -> Result<bool, Error> {
    // SAFETY: a plain look-up.
    has_on_any(unsafe { pg_sys::GetUserId() }, model, privilege)
}

fn has_on_any(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<bool, Error> {
    match has(role, model, privilege) {
        Err(Error::UnknownModel(_)) => Ok(false),
        other => other,
    }
}

/// As [`check`], for another role than the current one.
pub fn check_role(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<(), Error> {
    match has(role, model, privilege)? {
        true => Ok(()),
        false => Err(refusal(role, model, privilege)?),
    }
}

/// As [`check`], but a model that does not exist yet is anyone's.
pub fn check_unless_new(model: &str, privilege: Privilege) -> Result<(), Error> {
    match check(model, privilege) {
        Err(Error::UnknownModel(_)) => Ok(()),
        other => other,
    }
}

/// Whether the role has the privilege. A model that does not exist is an error, but not to superusers.
fn has(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<bool, Error> {
    // SAFETY: both are what Postgres does whenever it locks a relation or checks a right.
    unsafe {
        pg_sys::AcceptInvalidationMessages();
        if pg_sys::superuser_arg(role) {
            return Ok(true);
        }
    }
    if let Some(answer) = KNOWN.with_borrow_mut(|known| known.find(role, model, privilege)) {
        return Ok(answer);
    }
    let as_of = generations();
    let answer = look_up(role, model, privilege)?;
    KNOWN.with_borrow_mut(|known| known.keep(as_of, role, model, privilege, answer));
    Ok(answer)
}

/// Makes every backend forget what it knows about privileges, when this transaction commits; this one at once, and again
/// if it is rolled back.
pub fn changed() -> Result<(), Error> {
    let table = read::privilege_table()?;
    // SAFETY: the table exists, and is the extension's.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(())
}

fn look_up(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<bool, Error> {
    let Some(owner) = read::model_owner(model)? else {
        return Err(Error::UnknownModel(model.to_owned()));
    };
    if acts_for(role, &owner) {
        return Ok(true);
    }
    for (grantee, granted) in read::model_grants(model)? {
        if Privilege::from_name(&granted)? >= privilege && (grantee == PUBLIC || acts_for(role, &grantee)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a role has the rights of another, which may be gone.
fn acts_for(role: pg_sys::Oid, other: &str) -> bool {
    // SAFETY: a look-up of two roles that exist.
    relations::role(other).is_some_and(|other| unsafe { pg_sys::has_privs_of_role(role, other) })
}

fn refusal(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<Error, Error> {
    let verb = match privilege {
        Privilege::Score => "score with",
        Privilege::Train => "train",
        Privilege::Manage => "manage",
    };
    let owner = read::model_owner(model)?.filter(|owner| relations::role(owner).is_some());
    let who = owner.map_or("Its owner was dropped; a superuser".into(), |owner| format!("Its owner {owner}"));
    let arguments = [model, &relations::role_name(role), privilege.name()].map(quote_literal).join(", ");
    Ok(Error::Privilege {
        message: format!("permission denied to {verb} model \"{model}\""),
        hint: Some(format!("{who} can grant it: SELECT reco.grant_model({arguments}).")),
    })
}

fn generations() -> (u64, u64) {
    (relation_changes::generation(), role_changes::generation())
}

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { as_of: (0, 0), answers: Vec::new() }) };
}

/// Answers that a backend keeps at most.
const MOST_KEPT: usize = 256;

/// What this backend has found out, as of one state of roles and relations. A handful of entries: a list beats a map.
struct Known {
    as_of: (u64, u64),
    answers: Vec<Answer>,
}

struct Answer {
    role: pg_sys::Oid,
    privilege: Privilege,
    model: String,
    has: bool,
}

impl Known {
    fn find(&mut self, role: pg_sys::Oid, model: &str, privilege: Privilege) -> Option<bool> {
        if self.as_of != generations() {
            return None;
        }
        let same = |a: &&Answer| a.role == role && a.privilege == privilege && a.model == model;
        self.answers.iter().find(same).map(|answer| answer.has)
    }

    fn keep(&mut self, as_of: (u64, u64), role: pg_sys::Oid, model: &str, privilege: Privilege, has: bool) {
        if self.as_of != as_of || self.answers.len() == MOST_KEPT {
            self.answers.clear();
            self.as_of = as_of;
        }
        self.answers.push(Answer { role, privilege, model: model.to_owned(), has });
    }
}

/// See sql/rights.sql.
#[pg_extern(sql = "
CREATE FUNCTION has_model_privilege(model text, privilege text, role name DEFAULT NULL) RETURNS boolean
STABLE PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn has_model_privilege(fcinfo: pg_sys::FunctionCallInfo) -> Option<bool> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let (model, privilege, role) = unsafe {
        let text = |n| pgrx::pg_getarg::<&str>(fcinfo, n);
        (text(0)?, text(1)?, name_argument(fcinfo, 2))
    };
    Some(or_raise(answer(model, privilege, role)))
}

fn answer(model: &str, privilege: &str, role: Option<String>) -> Result<bool, Error> {
    let privilege = Privilege::from_name(privilege)?;
    match role {
        Some(name) => has_on_any(relations::role(&name).ok_or(Error::UnknownRole(name))?, model, privilege),
        None => may(model, privilege),
    }
}
