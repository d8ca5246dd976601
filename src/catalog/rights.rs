//! Who may do what with a model. Its owner and superusers may do everything; others may do what was granted to them, to a
//! role that they are a member of, or to public.
//!
//! Scoring asks once in a statement, so the backend keeps the answers until a role, a membership or a relation changes.
//! Whoever changes an owner or a privilege calls [`changed`]; when that transaction commits, every backend receives the
//! invalidation, on standbys too. Where the catalog is kept by logical replication no answer is kept.

use super::read::{self, Grant};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::changes;
use crate::pg::copied::copied;
use crate::pg::relations;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;
use std::cell::RefCell;

/// What a role may do with a model. Each privilege includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// To predict, to recommend, and to read the names and metrics of versions.
    Score,
    /// To add versions, and to read runs, recipes and what is known of the data.
    Train,
    /// To say which version is used and who may do what, and to export weights, archive and drop.
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

/// Refuses a caller who does not have the privilege. If the model does not exist it is an error too, except for superusers.
pub fn check(model: &str, privilege: Privilege) -> Result<(), Error> {
    // SAFETY: the call only reads a variable of this process.
    check_role(unsafe { pg_sys::GetUserId() }, model, privilege)
}

/// Whether the caller has the privilege. Except for superusers, the answer is no if the model does not exist.
pub fn may(model: &str, privilege: Privilege) -> Result<bool, Error> {
    // SAFETY: the call only reads a variable of this process.
    has_on_any(unsafe { pg_sys::GetUserId() }, model, privilege)
}

fn has_on_any(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<bool, Error> {
    match has(role, model, privilege) {
        Err(Error::UnknownModel(_)) => Ok(false),
        other => other,
    }
}

/// Does the same as [`check`], for the role `role`.
pub fn check_role(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<(), Error> {
    match has(role, model, privilege)? {
        true => Ok(()),
        false => Err(refusal(role, model, privilege)?),
    }
}

/// Does the same as [`check`], but lets anybody through if the model does not exist yet.
pub fn check_unless_new(model: &str, privilege: Privilege) -> Result<(), Error> {
    match check(model, privilege) {
        Err(Error::UnknownModel(_)) => Ok(()),
        other => other,
    }
}

/// Whether the role has the privilege. If the model does not exist it is an error, except for superusers.
fn has(role: pg_sys::Oid, model: &str, privilege: Privilege) -> Result<bool, Error> {
    // SAFETY: Postgres itself makes both calls whenever it locks a relation or checks a right.
    unsafe {
        pg_sys::AcceptInvalidationMessages();
        if pg_sys::superuser_arg(role) {
            return Ok(true);
        }
    }
    Ok(claim(role, model)?.most() >= Some(privilege))
}

/// How near a model is to the caller; the nearest comes first. `None` means that the caller may not score with the model.
/// Where a caller names no model, the models of a nearer kind win, so a farther model, which others make and grant as they
/// like, never makes the choice ambiguous.
pub fn nearness(model: &str) -> Result<Option<Nearness>, Error> {
    // SAFETY: these calls accept invalidations, and read variables and roles of this session.
    let (role, superuser) = unsafe {
        pg_sys::AcceptInvalidationMessages();
        (pg_sys::GetUserId(), pg_sys::superuser())
    };
    let claim = match claim(role, model) {
        Err(Error::UnknownModel(_)) => return Ok(None),
        claim => claim?,
    };
    Ok(match claim {
        Claim { owns: true, .. } => Some(Nearness::Owned),
        Claim { vouched_granted: true, .. } => Some(Nearness::Granted),
        Claim { vouched_public: true, .. } => Some(Nearness::Public),
        Claim { vouched_owner: true, .. } if superuser => Some(Nearness::Superuser),
        _ => (superuser || claim.most().is_some()).then_some(Nearness::Stranger),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// The model is owned by the caller, or by a role that the caller is a member of.
    Owned,
    /// The privilege was granted to one of these roles, by a role that [`vouches`] or that the caller is a member of.
    Granted,
    /// The privilege was granted to everybody, by such a role.
    Public,
    /// The caller is a superuser and so needs no grant; the model's owner is a role that [`vouches`].
    Superuser,
    /// Only roles that do not vouch made or granted the model, so it is used only if the caller names it.
    Stranger,
}

/// Whether the grants of a role may decide which model a caller gets who names none. Such roles are the database's owner,
/// the members of that role, and superusers: they set the defaults of every role anyway.
pub fn vouches(role: pg_sys::Oid) -> bool {
    // SAFETY: these are look-ups, of a role that exists and of the owner of this session's database.
    unsafe { pg_sys::has_privs_of_role(role, relations::database_owner()) }
}

fn vouches_by_name(role: &str) -> bool {
    relations::role(role).is_some_and(vouches)
}

/// What gives a role its privileges on a model, apart from being a superuser.
#[derive(Clone, Copy)]
struct Claim {
    owns: bool,
    granted: Option<Privilege>,
    public: Option<Privilege>,
    /// Whether a role that vouches has granted one of the privileges to the role, or one to public, or owns the model.
    vouched_granted: bool,
    vouched_public: bool,
    vouched_owner: bool,
}

impl Claim {
    fn most(self) -> Option<Privilege> {
        let owner = self.owns.then_some(Privilege::Manage);
        owner.max(self.granted).max(self.public)
    }
}

/// The claim that is remembered, or else looked up. The caller has accepted the invalidations of other sessions.
fn claim(role: pg_sys::Oid, model: &str) -> Result<Claim, Error> {
    if let Some(claim) = KNOWN.with_borrow_mut(|known| known.find(role, model)) {
        return Ok(claim);
    }
    let as_of = generations();
    let claim = look_up(role, model)?;
    // What logical replication writes comes without an invalidation.
    if copied(read::privilege_table()?).is_none() {
        KNOWN.with_borrow_mut(|known| known.keep(as_of, role, model, claim));
    }
    Ok(claim)
}

/// Makes every backend forget the privileges that it remembers, when this transaction commits. This backend forgets them at
/// once, and once more if the transaction is rolled back.
pub fn changed() -> Result<(), Error> {
    let table = read::privilege_table()?;
    // SAFETY: the table exists, and it belongs to the extension.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(())
}

fn look_up(role: pg_sys::Oid, model: &str) -> Result<Claim, Error> {
    let Some(owner) = read::model_owner(model)? else {
        return Err(Error::UnknownModel(model.to_owned()));
    };
    let mut claim = Claim {
        owns: acts_for(role, &owner),
        granted: None,
        public: None,
        vouched_granted: false,
        vouched_public: false,
        vouched_owner: vouches_by_name(&owner),
    };
    for Grant { grantee, privilege, by } in read::model_grants(model)? {
        let granted = Some(Privilege::from_name(&privilege)?);
        // A grant by a role that the caller acts for counts as well.
        let vouched = || vouches_by_name(&by) || acts_for(role, &by);
        if grantee == PUBLIC {
            claim.public = claim.public.max(granted);
            claim.vouched_public |= vouched();
        } else if acts_for(role, &grantee) {
            claim.granted = claim.granted.max(granted);
            claim.vouched_granted |= vouched();
        }
    }
    Ok(claim)
}

/// Whether a role has the rights of another role because it is a member of it. The other role may no longer exist. A
/// superuser is not taken for a member of every role.
fn acts_for(role: pg_sys::Oid, other: &str) -> bool {
    // SAFETY: these are look-ups of two roles that exist.
    relations::role(other).is_some_and(|other| unsafe {
        match pg_sys::superuser_arg(role) {
            true => pg_sys::is_member_of_role_nosuper(role, other),
            false => pg_sys::has_privs_of_role(role, other),
        }
    })
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
    (changes::relations(), changes::roles())
}

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { as_of: (0, 0), answers: Vec::new() }) };
}

/// How many answers a backend keeps at most.
const MOST_KEPT: usize = 256;

/// The answers of this backend, as of one state of roles and relations. They are few, so a list is faster than a map.
struct Known {
    as_of: (u64, u64),
    answers: Vec<Answer>,
}

struct Answer {
    role: pg_sys::Oid,
    model: String,
    claim: Claim,
}

impl Known {
    fn find(&mut self, role: pg_sys::Oid, model: &str) -> Option<Claim> {
        if self.as_of != generations() {
            return None;
        }
        let same = |a: &&Answer| a.role == role && a.model == model;
        self.answers.iter().find(same).map(|answer| answer.claim)
    }

    fn keep(&mut self, as_of: (u64, u64), role: pg_sys::Oid, model: &str, claim: Claim) {
        if self.as_of != as_of || self.answers.len() == MOST_KEPT {
            self.answers.clear();
            self.as_of = as_of;
        }
        self.answers.push(Answer { role, model: model.to_owned(), claim });
    }
}

/// Declared in sql/catalog.sql.
#[pg_extern(sql = false)]
fn has_model_privilege(fcinfo: pg_sys::FunctionCallInfo) -> Option<bool> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    Some(or_raise(answer(&call.text(0)?, &call.text(1)?, call.name(2))))
}

fn answer(model: &str, privilege: &str, role: Option<String>) -> Result<bool, Error> {
    let privilege = Privilege::from_name(privilege)?;
    match role {
        Some(name) => has_on_any(relations::role(&name).ok_or(Error::UnknownRole(name))?, model, privilege),
        None => may(model, privilege),
    }
}
