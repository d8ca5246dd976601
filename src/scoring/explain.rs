//! The functions `reco.explain_row(model, row)` and `reco.explain(product_id, region)`: how much each column contributes to
//! a score. The arithmetic is in [`model::explain`], and the SQL in sql/scoring.sql.

use super::call::Resolved;
use super::key_plan::PlanAccess;
use super::model_cache::Decoded;
use super::reading::Reading;
use super::source::Key;
use crate::catalog::read::VersionRow;
use crate::catalog::weights;
use crate::error::{or_raise, Error};
use crate::pg::call_site::argument;
use crate::pg::layout::RowType;
use crate::pg::tuples::Composite;
use crate::pg::tuples::Deformed;
use crate::settings;
use model::explain::Explainer;
use model::Artifact;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::{check_for_interrupts, pg_sys, Uuid};
use std::cell::RefCell;
use std::rc::Rc;

/// The columns of the result: column_name, value, baseline, contribution, margin, score, baseline_score.
type ExplainedColumn = (String, Option<String>, Option<String>, f64, f64, f64, f64);
type Explained = TableIterator<'static, ExplainedColumn>;

/// Declared in sql/scoring.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn explain_row(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(column_name, String),
        name!(value, Option<String>),
        name!(baseline, Option<String>),
        name!(contribution, f64),
        name!(margin, f64),
        name!(score, f64),
        name!(baseline_score, f64),
    ),
> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares: text, record, integer.
    unsafe {
        let (Some(model), Some(row)) = (pgrx::pg_getarg::<String>(fcinfo, 0), argument(fcinfo, 1)) else {
            return Explained::empty();
        };
        let version = pgrx::pg_getarg::<i32>(fcinfo, 2);
        Explained::new(or_raise(of_row(&model, version, &Composite::of(row))))
    }
}

/// Declared in sql/scoring.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn explain_bigint(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(column_name, String),
        name!(value, Option<String>),
        name!(baseline, Option<String>),
        name!(contribution, f64),
        name!(margin, f64),
        name!(score, f64),
        name!(baseline_score, f64),
    ),
> {
    // SAFETY: the SQL of this function declares the first argument a bigint.
    unsafe { explain_key(fcinfo, Key::Bigint) }
}

/// Declared in sql/scoring.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn explain_text(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(column_name, String),
        name!(value, Option<String>),
        name!(baseline, Option<String>),
        name!(contribution, f64),
        name!(margin, f64),
        name!(score, f64),
        name!(baseline_score, f64),
    ),
> {
    // SAFETY: the SQL of this function declares the first argument a text.
    unsafe { explain_key(fcinfo, Key::Text) }
}

/// # Safety
/// `fcinfo` is that of the running call, with the arguments (product of type `key`, region, model, as_of).
unsafe fn explain_key(fcinfo: pg_sys::FunctionCallInfo, key: Key) -> Explained {
    // SAFETY: the call is running, and each argument is read as the type that its SQL declares.
    unsafe {
        let (Some(product), Some(region)) = (argument(fcinfo, 0), argument(fcinfo, 1)) else {
            return Explained::empty();
        };
        let model = pgrx::pg_getarg::<String>(fcinfo, 2);
        Explained::new(or_raise(of_key(model.as_deref(), key, [product, region], argument(fcinfo, 3))))
    }
}

/// # Safety
/// The datum that the row was made of is live, and there is an active snapshot.
unsafe fn of_row(model: &str, version: Option<i32>, row: &Composite) -> Result<Vec<ExplainedColumn>, Error> {
    // SAFETY: the datum is live, as the caller says, and the row type's descriptor is that of the tuple.
    unsafe {
        // The row type is read first, because its definition may change while the version is looked up, and the row was
        // made before.
        let row_type = RowType::of(row.row_type());
        let resolved = Resolved::new(Some(model), version)?;
        explained(&resolved.decoded, row_type.descriptor, &mut row.tuple())
    }
}

/// # Safety
/// The values of the key have the types that `key` says, and there is an active snapshot.
unsafe fn of_key(
    model: Option<&str>,
    key: Key,
    values: [pg_sys::Datum; 2],
    as_of: Option<pg_sys::Datum>,
) -> Result<Vec<ExplainedColumn>, Error> {
    // SAFETY: the values have the types of the plan's parameters and the snapshot is active, as the caller says.
    unsafe {
        let decoded = Resolved::new(model, None)?.decoded;
        let plan = PlanAccess::of(&decoded.version, decoded.scorer.recipe(), key, as_of.is_some())?;
        let rows = plan.newest(values, as_of, |descriptor, tuple| explained(&decoded, descriptor, tuple))?;
        Ok(rows.unwrap_or_default())
    }
}

/// The rows that explain a row of the source; those with the largest contributions come first.
///
/// # Safety
/// The descriptor is live, and the tuple has it.
unsafe fn explained(
    decoded: &Decoded,
    descriptor: pg_sys::TupleDesc,
    tuple: pg_sys::HeapTuple,
) -> Result<Vec<ExplainedColumn>, Error> {
    // SAFETY: the tuple has this descriptor, as the caller says, and the reading was made for it.
    unsafe {
        let Decoded { version, scorer, .. } = decoded;
        let recipe = scorer.recipe();
        let reading = Reading::new(&version.model, recipe, descriptor)?;
        let mut deformed = Deformed::default();
        let attributes = deformed.take_apart(tuple, descriptor);
        let values = reading.values(attributes, scorer)?;
        let explainer = explainer(version)?;
        let explanation = explainer.explain(scorer, &values, &mut || {
            check_for_interrupts!();
        });
        decoded.number(explanation.score)?;
        decoded.number(explanation.baseline_score)?;
        let texts = reading.texts(attributes).into_iter().zip(reading.texts_of(explainer.baseline(), recipe));
        let columns = recipe.columns.iter().zip(texts).zip(&explanation.columns);
        let row = |((column, (value, baseline)), contribution): (
            (&model::recipe::Column, _),
            &model::explain::Contribution,
        )| {
            let (score, baseline_score) = (explanation.score, explanation.baseline_score);
            (
                column.name.clone(),
                value,
                baseline,
                contribution.score,
                contribution.margin,
                score,
                baseline_score,
            )
        };
        let mut rows: Vec<ExplainedColumn> = columns.map(row).collect();
        // The order is that of the margins: they still differ where the score is so near to 0 or 1 that it hardly changes.
        rows.sort_by(|a, b| b.4.abs().total_cmp(&a.4.abs()));
        Ok(rows)
    }
}

thread_local! {
    /// The explainer of the version that was explained last. It holds the weights as they were trained, which scoring does
    /// not keep.
    static LAST: RefCell<Option<(Uuid, Rc<Explainer>)>> = const { RefCell::new(None) };
}

/// The explainer of a version. The last one is kept if its weights fit into `reco.model_cache_size`.
fn explainer(version: &VersionRow) -> Result<Rc<Explainer>, Error> {
    let artifact_id = version.artifact_id;
    let known = LAST.with_borrow(|last| {
        last.as_ref().filter(|(id, _)| *id == artifact_id).map(|(_, explainer)| Rc::clone(explainer))
    });
    if let Some(explainer) = known {
        return Ok(explainer);
    }
    let weights = weights::read(version)?;
    let explainer = Rc::new(Explainer::new(Artifact::from_bytes(&weights)?)?);
    let kept = (weights.len() <= settings::model_cache_size()).then(|| (artifact_id, Rc::clone(&explainer)));
    LAST.set(kept);
    Ok(explainer)
}
