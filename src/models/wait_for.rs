//! The procedure `reco.wait_for`: it waits until this server sees a version, such as a standby to which a promotion is on its
//! way.
//!
//! Between two looks it holds neither snapshot nor lock. On a standby either could hold up the very replay that it waits for.

use crate::catalog::read;
use crate::catalog::rights::{check, Privilege};
use crate::error::{or_raise, Error};
use crate::pg::background;
use crate::pg::call::Call;
use crate::pg::one_snapshot::with_one_snapshot;
use crate::pg::session::Session;
use crate::pg::values::given;
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// How long it rests between two looks, in milliseconds.
const PAUSE: i64 = 50;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn wait_for(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, wanted) = (Session::begin(&call), or_raise(Wanted::read(&call)));
    // There all looks would share a snapshot, or the locks of the first.
    // SAFETY: the text is NUL-terminated.
    unsafe { pg_sys::PreventInTransactionBlock(!session.is_atomic(), c"CALL reco.wait_for()".as_ptr()) };
    let begun = Instant::now();
    while let Seen::NotYet(instead) = or_raise(with_one_snapshot(|| wanted.look())) {
        session.commit();
        if begun.elapsed() >= wanted.time_limit {
            or_raise(Err(wanted.not_seen(instead)))
        }
        background::rest(PAUSE);
    }
    session.end();
}

/// The arguments of a call.
struct Wanted {
    model: String,
    version: i32,
    /// Without it, the version need only be stored.
    alias: Option<String>,
    time_limit: Duration,
}

enum Seen {
    Yes,
    /// Says what is seen instead.
    NotYet(String),
}

impl Wanted {
    fn read(call: &Call) -> Result<Self, Error> {
        // SAFETY: the argument is an interval.
        let limit = call.datum(3).and_then(|datum| unsafe { Interval::from_datum(datum, false) });
        let microseconds = given(limit, "time_limit")?.as_micros().clamp(0, i64::MAX.into());
        Ok(Self {
            model: given(call.text(0), "model")?,
            version: given(call.integer(1), "version")?,
            alias: call.text(2),
            time_limit: Duration::from_micros(microseconds as u64),
        })
    }

    /// What the active snapshot sees. A model that is not there, or not yet, is waited for as its versions are.
    fn look(&self) -> Result<Seen, Error> {
        let Self { model, version, alias, .. } = self;
        let found = check(model, Privilege::Score).and_then(|()| match alias {
            Some(alias) => Ok(read::version_of_alias(model, alias)?.version),
            None => Ok(read::version(model, *version)?.number),
        });
        match found {
            Ok(found) if found == *version => Ok(Seen::Yes),
            Ok(other) => Ok(Seen::NotYet(format!("Here that is version {other}."))),
            Err(Error::NoChampion(_)) => Ok(Seen::NotYet("Here that is no version.".into())),
            Err(missing @ (Error::UnknownModel(_) | Error::UnknownVersion { .. })) => {
                Ok(Seen::NotYet(format!("Here {missing}.")))
            }
            Err(other) => Err(other),
        }
    }

    fn not_seen(&self, last: String) -> Error {
        let Self { model, version, .. } = self;
        let what = match &self.alias {
            Some(alias) => format!("version {version} as the {alias} of model \"{model}\""),
            None => format!("version {version} of model \"{model}\""),
        };
        Error::NotSeen { what, seconds: self.time_limit.as_secs_f64(), last }
    }
}
