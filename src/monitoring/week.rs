//! One week of a model: how good the version was that served it, and how far its rows are from training.

use super::drifted;
use super::plan::Todo;
use super::quality;
use super::reigns::Served;
use super::shown;
use super::stored::{self, Context};
use crate::catalog::read;
use crate::error::Error;
use crate::evaluation::subject::Weeks;
use crate::pg::acting_as::current_user;
use crate::pg::relations::Relation;
use crate::pg::row_security;
use crate::scoring::call::Resolved;
use pgrx::pg_sys;

/// Measures a week and stores what was found, in place of what was known of it. Returns whether it was judged.
pub fn measure(model: &str, todo: &Todo) -> Result<bool, Error> {
    let mut context = Context::new(model, todo)?;
    let Some(version) = todo.served.version() else {
        context.note("no version was the champion at the end of the week");
        stored::store(&context, Vec::new(), Vec::new(), None)?;
        return Ok(false);
    };
    let mut resolved = match Resolved::measuring(Some(model), Some(version), Some(todo.week.monday())) {
        Err(error @ Error::Archived { .. }) => {
            context.problem(error.message());
            if !is_kept(todo, &context)? {
                stored::store(&context, Vec::new(), Vec::new(), None)?;
            }
            return Ok(false);
        }
        resolved => resolved?,
    };
    let (source, _) = resolved.decoded.version.source.find(model, pg_sys::AccessShareLock)?;
    let weeks = Weeks { from: Some(todo.week.monday()), until: Some(todo.week.plus(1).monday()) };
    let measured = match todo.is_known {
        true => judged(&mut resolved, source, weeks, &mut context)?,
        false => Vec::new(),
    };
    if is_kept(todo, &context)? {
        return Ok(false);
    }
    if row_security::applies(&Relation::of(source)?)? {
        context.note(format!(
            "row security decides which rows role \"{}\" sees: the figures are of these",
            current_user()
        ));
    }
    let profiles = drifted::profiles(model, version)?;
    if profiles.is_empty() {
        context.note("the version has no histograms of its training, so there is no drift");
    }
    let drifted = drifted::of_week(&mut resolved, source, weeks, profiles)?;
    let shown = shown::of_week(model, todo.week)?;
    say_what_is_special(&mut context, todo, version, &measured)?;
    let was_judged = !measured.is_empty();
    stored::store(&context, measured, drifted, shown)?;
    Ok(was_judged)
}

/// Whether the week stays as it was judged before, because it cannot be judged any more. Then that is said.
fn is_kept(todo: &Todo, context: &Context) -> Result<bool, Error> {
    let Some(problem) = context.hindered().filter(|_| todo.was_judged) else { return Ok(false) };
    let (model, week) = (&context.model, context.week()?);
    warn!("{model}: the week of {week} stays as it was judged before: {problem}");
    Ok(true)
}

/// The metrics, or none where the rows cannot be scored: then the context says why.
fn judged(
    resolved: &mut Resolved,
    source: pg_sys::Oid,
    weeks: Weeks,
    context: &mut Context,
) -> Result<Vec<quality::Measured>, Error> {
    let relation = Relation::of(source)?;
    let region = resolved.decoded.version.keys.get(1).cloned();
    let region = region.filter(|region| relation.column(region).is_some());
    match quality::of_week(resolved, source, region.as_deref(), weeks) {
        Err(
            error @ (Error::MissingColumn { .. }
            | Error::WrongType { .. }
            | Error::UndefinedColumn { .. }
            | Error::InvalidArgument(..)
            | Error::Data { .. }
            | Error::NoScore { .. }),
        ) => {
            context.problem(error.message());
            Ok(Vec::new())
        }
        measured => measured,
    }
}

fn say_what_is_special(
    context: &mut Context,
    todo: &Todo,
    version: i32,
    measured: &[quality::Measured],
) -> Result<(), Error> {
    if let Some(all) = measured.first() {
        if let model::Quality::Binary(metrics) = &all.quality {
            match metrics.positives {
                0 => context.note("nothing was bought, so there is no AUROC"),
                positives if positives == metrics.rows => {
                    context.note("everything was bought, so there is no AUROC")
                }
                _ => {}
            }
        }
        if todo.unlabelled > 0 {
            context.note(format!("{} rows have no label", todo.unlabelled));
        }
    } else if !todo.is_known {
        context.note("the outcome is not known yet");
    }
    let unseen_from = read::measured_from(&context.model, version).unwrap_or(None);
    if matches!(todo.served, Served::By(_)) && unseen_from.is_some_and(|from| todo.week.monday() < from) {
        context.note("the version was trained on rows of this week: its figures flatter");
    }
    Ok(())
}
