//! The procedure `reco.refresh_features`: it brings a feature view and its inputs up to date, in one transaction.

use super::check::check;
use super::create::as_subquery;
use super::record::{Done, Record};
use super::registry::FeatureView;
use super::storage::{compute, lost_weeks};
use super::target::date;
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use features::weeks::{runs, to_compute, Wanted, Week};
use pgrx::datum::Date;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// Declared in sql/feature_view.sql, because the arguments `from` and `to` are reserved words.
#[pg_extern(sql = false)]
fn refresh_features(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.refresh_features()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, (relation, asked)) = (Session::begin(&call), or_raise(arguments(&call)));
    let views = or_raise(in_order(relation));
    match run(&views, &asked, &session) {
        Ok(()) => session.end(),
        Err(failure) => session.raise(failure),
    }
}

/// Brings a view and all views that it is computed from up to date, as `reco.refresh_features(view)` does.
pub fn refresh_all(relation: pg_sys::Oid, session: &Session) -> Result<(), Failure> {
    let views = session.attempt(|| in_order(relation))?;
    run(&views, &Asked::default(), session)
}

/// The weeks that the caller asks for.
#[derive(Default)]
struct Asked {
    from: Option<Week>,
    to: Option<Week>,
    lookback: Option<usize>,
}

fn arguments(call: &Call) -> Result<(pg_sys::Oid, Asked), Error> {
    let week = |n, what| call.date(n).map(|day| week_of(day, what)).transpose();
    let lookback = call.integer(3);
    if lookback.is_some_and(|weeks| weeks < 0) {
        return Err(Error::invalid("lookback is a number of weeks, 0 or more"));
    }
    let asked = Asked {
        from: week(1, "from_week")?,
        to: week(2, "to_week")?,
        lookback: lookback.map(|weeks| weeks as usize),
    };
    Ok((given(call.oid(0), "view")?, asked))
}

/// The view and all views that it is computed from, inputs first. The caller must own every one of them.
fn in_order(relation: pg_sys::Oid) -> Result<Vec<FeatureView>, Error> {
    /// `above` holds the views that this view is an input of.
    fn visit(
        view: FeatureView,
        above: &mut Vec<pg_sys::Oid>,
        views: &mut Vec<FeatureView>,
    ) -> Result<(), Error> {
        if views.iter().any(|known| known.oid == view.oid) {
            return Ok(());
        }
        if above.contains(&view.oid) {
            return Err(Error::Damaged(format!("the feature view {} is an input of itself", view.name)));
        }
        view.check_owner("refresh")?;
        view.check_author()?;
        above.push(view.oid);
        for input in view.open_inputs()? {
            visit(input, above, views)?;
        }
        above.pop();
        views.push(view);
        Ok(())
    }
    let mut views = Vec::new();
    visit(FeatureView::get(relation)?, &mut Vec::new(), &mut views)?;
    Ok(views)
}

/// Records that the refreshes begin, computes them, and records how they ended.
fn run(views: &[FeatureView], asked: &Asked, session: &Session) -> Result<(), Failure> {
    let start = || views.iter().map(|view| Record::start(view, session)).collect::<Result<Vec<_>, _>>();
    let records = session.attempt(start)?;
    session.commit();
    let refreshed = session.attempt(|| {
        let last = views.len() - 1;
        for (n, (view, record)) in views.iter().zip(&records).enumerate() {
            record.succeed(&refresh(view, asked, n < last)?)?;
        }
        Ok(())
    });
    match refreshed {
        Ok(()) => {
            session.commit();
            session.attempt(|| records.iter().try_for_each(|record| record.unlock(session)))
        }
        Err(failure) => {
            record_failure(&failure, session, &records);
            Err(failure)
        }
    }
}

fn record_failure(failure: &Failure, session: &Session, records: &[Record]) {
    session.record(|| {
        for record in records {
            let write = || match failure.is_cancel() {
                true => record.cancel(),
                false => record.fail(&failure.message()),
            };
            // The result is ignored: a refresh that could not be recorded counts as failed once its lock is gone.
            let _ = session.attempt(write);
        }
        // The locks go when the failure is raised.
        session.commit();
    })
}

fn refresh(view: &FeatureView, asked: &Asked, is_input: bool) -> Result<Done, Error> {
    let view = &lock(view)?;
    let began = Instant::now();
    let Some((first, last)) = range(view, asked, is_input)? else {
        say!("{}: there are no data yet", view.name);
        return Ok(Done::default());
    };
    let wanted =
        Wanted { first, last, lookback: asked.lookback.unwrap_or(view.lookback), horizon: view.horizon };
    let mut stored = view.stored_weeks()?;
    for week in lost_weeks(view)? {
        stored.remove(&week);
    }
    let weeks = to_compute(&stored, wanted)?;
    if let (Some(first), Some(last)) = (weeks.first(), weeks.last()) {
        check(view, *first, *last)?;
    }
    if weeks.is_empty() {
        say!("{}: every week up to {} is there", view.name, date(last.monday()));
    }
    let mut done = Done::default();
    for run in runs(&weeks, view.period)? {
        let run_began = Instant::now();
        let computed = compute(view, &run, &stored)?;
        view.note_weeks(&computed)?;
        tell(view, &computed, run_began);
        done.weeks.extend(computed);
    }
    done.seconds = began.elapsed().as_secs_f64();
    Ok(done)
}

/// Tells the client what was computed.
fn tell(view: &FeatureView, computed: &[(Week, i64)], began: Instant) {
    let rows: i64 = computed.iter().map(|(_, rows)| rows).sum();
    let weeks = match computed {
        [(week, _)] => format!("week {}", date(week.monday())),
        [(first, _), ..] => format!("{} weeks from {}", computed.len(), date(first.monday())),
        [] => return,
    };
    say!("{}: {weeks}, {rows} rows in {:.1} s", view.name, began.elapsed().as_secs_f64());
}

/// Locks the view: whoever else refreshes it or writes to it waits until this transaction has ended, but readers do not
/// wait. Returns the view as it is under the lock, because it may have been renamed. It is an error if the view was
/// dropped.
fn lock(view: &FeatureView) -> Result<FeatureView, Error> {
    // SAFETY: any OID may be locked, even that of a relation that was dropped.
    unsafe { pg_sys::LockRelationOid(view.oid, pg_sys::ShareRowExclusiveLock as i32) };
    let view = FeatureView::get(view.oid)?;
    view.check_author()?;
    view.note_name()?;
    Ok(view)
}

/// The first and the last week that the view can have: what was asked for, or else what is available, or else what is
/// stored. An input gets all weeks that are available, so that the view that reads it finds what it needs.
fn range(view: &FeatureView, asked: &Asked, is_input: bool) -> Result<Option<(Week, Week)>, Error> {
    if let (false, Some(from), Some(to)) = (is_input, asked.from, asked.to) {
        return Ok(Some((from, to)));
    }
    let (first, last) = match (&view.available, view.inputs.is_empty()) {
        (Some(query), _) => available(view, query)?,
        (None, false) => stored_in_inputs(view)?,
        (None, true) => from_calendar(view)?,
    };
    let both = match is_input {
        true => first.or(asked.from).zip(asked.to.max(last)),
        false => asked.from.or(first).zip(asked.to.or(last)),
    };
    if both.is_none() && view.available.is_none() && view.inputs.is_empty() {
        return Err(Error::InvalidArgument(
            format!("{} has no week yet, and nothing says where its data begin", view.name),
            Some(
                "Name from_week, or create the view with available => 'SELECT min(…), max(…) FROM …'.".into(),
            ),
        ));
    }
    Ok(both)
}

/// The last week that the data of a view cover completely; `None` if the view does not know.
pub fn complete_week(view: &FeatureView) -> Result<Option<Week>, Error> {
    let query = view.available.as_deref();
    Ok(query.map(|query| available(view, query)).transpose()?.and_then(|(_, last)| last))
}

type Ends = (Option<Week>, Option<Week>);

/// The week of the first moment, and the last week that the data cover completely.
fn available(view: &FeatureView, query: &str) -> Result<Ends, Error> {
    let sql = format!(
        "SELECT first::pg_catalog.timestamp::pg_catalog.date, complete::pg_catalog.timestamp::pg_catalog.date \
         FROM {} AS available (first, complete)",
        as_subquery(query)
    );
    view.as_author(|client| {
        let rows = client.update(&sql, Some(2), &[])?;
        if rows.len() != 1 {
            return Err(Error::invalid(format!(
                "the query of what is available to {} must return one row",
                view.name
            )));
        }
        let row = rows.first();
        let week = |date: Option<Date>| {
            date.map(|date| week_of(date.to_pg_epoch_days(), "what is available")).transpose()
        };
        let (first, complete) = (week(row.get(1)?)?, week(row.get(2)?)?);
        Ok((first, complete.map(|week| week.plus(-1))))
    })
}

fn week_of(day: i32, what: &str) -> Result<Week, Error> {
    match day {
        i32::MIN | i32::MAX => Err(Error::invalid(format!("{what} must not be infinite"))),
        day => Ok(Week::of_day(day)),
    }
}

/// The first and the last week that every input has.
fn stored_in_inputs(view: &FeatureView) -> Result<Ends, Error> {
    let mut ends: Ends = (None, None);
    for input in view.open_inputs()? {
        let stored = input.stored_weeks()?;
        ends.0 = ends.0.max(stored.first().copied());
        ends.1 = [ends.1, stored.last().copied()].into_iter().flatten().min();
    }
    Ok(ends)
}

/// The first stored week, and the last week that is over.
fn from_calendar(view: &FeatureView) -> Result<Ends, Error> {
    let first = view.stored_weeks()?.first().copied();
    let today = Spi::get_one::<Date>("SELECT LOCALTIMESTAMP::pg_catalog.date")?;
    Ok((first, today.map(|date| Week::of_day(date.to_pg_epoch_days()).plus(-1))))
}
