//! The procedure `reco.run_due`: it starts a background worker for each attempt that is due.

use super::launch::{decide_all, launch};
use super::plan::{give_back, keep_books, something_runs};
use crate::error::or_raise;
use crate::pg::acting_as::current_user;
use crate::pg::background;
use crate::pg::call::Call;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// How often a call that waits looks whether something runs, in milliseconds.
const PAUSE: i64 = 100;

/// Declared in sql/schedule.sql.
#[pg_extern(sql = false)]
fn run_due(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares; the call only reads the state of the server.
    let (call, is_standby) = unsafe { (Call::new(fcinfo), pg_sys::RecoveryInProgress()) };
    if is_standby {
        say!("this server is a standby: schedules run on the primary");
        return;
    }
    require_writable(c"CALL reco.run_due()");
    let (session, wait) = (Session::begin(&call), or_raise(given(call.boolean(0), "wait")));
    // A worker would not see what is not committed.
    // SAFETY: the text is NUL-terminated.
    unsafe { pg_sys::PreventInTransactionBlock(!session.is_atomic(), c"CALL reco.run_due()".as_ptr()) };
    match run(wait, &session) {
        Ok(()) => session.end(),
        Err(failure) => session.raise(failure),
    }
}

fn run(wait: bool, session: &Session) -> Result<(), Failure> {
    let caller = current_user();
    loop {
        let claimed = session.attempt(|| {
            keep_books(&caller)?;
            decide_all()
        })?;
        session.commit();
        let refused = launch(claimed);
        session.attempt(|| refused.iter().try_for_each(give_back))?;
        session.commit();
        let goes_on = wait && session.attempt(something_runs)?;
        session.commit();
        if !goes_on {
            return Ok(());
        }
        background::rest(PAUSE);
    }
}
