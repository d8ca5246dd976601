//! Who calls `reco.run_due()`: a job of pg_cron, if that is there and the caller may make one.

use crate::error::Error;
use crate::pg::acting_as::{as_owner, with_fixed_path};
use crate::pg::tell::advise;
use pgrx::spi::quote_literal;
use pgrx::{pg_sys, Spi};
use std::ffi::CStr;

const JOB: &str = "pg_recommend";

/// Sees to it that something calls `reco.run_due()`, or says how to.
pub fn ensure_calls() -> Result<(), Error> {
    let there = is_there()?;
    if is_called(there)? {
        return Ok(());
    }
    if there && may_call("cron.schedule(text,text,text)")? {
        return with_fixed_path(|| {
            let sql = format!("SELECT cron.schedule('{JOB}', '* * * * *', 'CALL reco.run_due()')");
            Ok(Spi::run(&sql)?)
        });
    }
    advise("nothing calls reco.run_due() yet, so nothing that is scheduled begins".into(), how(there)?);
    Ok(())
}

/// Ends the caller's job once there is no schedule left.
pub fn end_calls() -> Result<(), Error> {
    let left = as_owner(|client| Ok(!client.update("SELECT FROM reco.schedule", Some(1), &[])?.is_empty()))?;
    if left {
        return Ok(());
    }
    // Whoever schedules again is to find that nothing calls any more.
    as_owner(|client| Ok(client.update("DELETE FROM reco.schedule_call", None, &[])?.len()))?;
    if !is_there()? || !may_call("cron.unschedule(bigint)")? {
        return Ok(());
    }
    with_fixed_path(|| {
        let sql = format!(
            "SELECT cron.unschedule(j.jobid) FROM cron.job AS j \
             WHERE j.jobname::pg_catalog.text OPERATOR(pg_catalog.=) '{JOB}' \
               AND j.database OPERATOR(pg_catalog.=) pg_catalog.current_database()::pg_catalog.text \
               AND j.username OPERATOR(pg_catalog.=) current_user::pg_catalog.text"
        );
        Ok(Spi::run(&sql)?)
    })
}

/// Whether the table `cron.job` of this database is pg_cron's. Anybody who may create schemas could make one of this name,
/// and what it does would be done with the rights of whoever reads it.
fn is_there() -> Result<bool, Error> {
    as_owner(|client| {
        let sql = "SELECT EXISTS ( \
                       SELECT FROM pg_catalog.pg_extension AS e \
                       JOIN pg_catalog.pg_depend AS d ON d.refobjid OPERATOR(pg_catalog.=) e.oid \
                        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
                        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
                       JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) d.objid \
                       JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                       WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cron' AND d.deptype OPERATOR(pg_catalog.=) 'e' \
                         AND n.nspname OPERATOR(pg_catalog.=) 'cron' AND c.relname OPERATOR(pg_catalog.=) 'job')";
        Ok(client.update(sql, Some(1), &[])?.first().get_one::<bool>()?.unwrap_or(false))
    })
}

/// Whether a job of this database calls it or, where there is no pg_cron, something has called it within the last minutes.
/// Where there is, a call may have been somebody's by hand.
fn is_called(there: bool) -> Result<bool, Error> {
    as_owner(|client| {
        let recent = "SELECT EXISTS (SELECT FROM reco.schedule_call WHERE called_at OPERATOR(pg_catalog.>) \
                          (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '3 minutes'::pg_catalog.interval))";
        // pg_cron connects as the role whose job it is.
        let job = "SELECT EXISTS (SELECT FROM cron.job AS j \
                       JOIN pg_catalog.pg_roles AS o ON o.rolname OPERATOR(pg_catalog.=) j.username::pg_catalog.name \
                       WHERE j.active AND o.rolcanlogin AND j.command OPERATOR(pg_catalog.~*) 'reco[.]run_due' \
                         AND j.database OPERATOR(pg_catalog.=) pg_catalog.current_database()::pg_catalog.text)";
        let sql = if there { job } else { recent };
        Ok(client.update(sql, Some(1), &[])?.first().get_one::<bool>()?.unwrap_or(false))
    })
}

/// Whether the caller may call one of pg_cron's functions.
fn may_call(function: &str) -> Result<bool, Error> {
    with_fixed_path(|| {
        let sql = format!(
            "SELECT pg_catalog.has_schema_privilege('cron', 'USAGE') \
                AND pg_catalog.has_function_privilege({}, 'EXECUTE')",
            quote_literal(function)
        );
        Ok(Spi::get_one::<bool>(&sql)?.unwrap_or(false))
    })
}

/// What a person can do so that it is called.
fn how(there: bool) -> Result<String, Error> {
    const OTHERWISE: &str =
        "Or have a timer of the system call it: the page \"Schedules\" of the documentation has examples.";
    // SAFETY: the value of the setting, which is missing where pg_cron is not loaded, lives longer than this function.
    let home = unsafe {
        let name = pg_sys::GetConfigOption(c"cron.database_name".as_ptr(), true, false);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    let here =
        Spi::get_one::<String>("SELECT pg_catalog.current_database()::pg_catalog.text")?.unwrap_or_default();
    let statement = match home {
        _ if there => format!("SELECT cron.schedule('{JOB}', '* * * * *', 'CALL reco.run_due()')"),
        Some(home) if home != here => {
            return Ok(format!(
                "In the database {home}, where pg_cron is, a DBA can run: SELECT cron.schedule_in_database('{JOB}', '* * * * *', \
                 'CALL reco.run_due()', {}). {OTHERWISE}",
                quote_literal(&here)
            ))
        }
        Some(_) => format!("CREATE EXTENSION pg_cron; SELECT cron.schedule('{JOB}', '* * * * *', 'CALL reco.run_due()')"),
        None => {
            return Ok("It is to be called once a minute: by pg_cron, if the server loads it, or by a timer of the system. The \
                       page \"Schedules\" of the documentation has examples."
                .into())
        }
    };
    Ok(format!("A DBA can run here: {statement}. {OTHERWISE}"))
}
