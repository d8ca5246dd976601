//! The functions `reco.explain_row(model, row)` and `reco.explain(product_id, region)`: how much each column contributes to
//! a score. The arithmetic is in [`model::explain`], and the SQL in sql/scoring.sql.

use super::call::Resolved;
use super::key_plan::PlanAccess;
use super::model_cache::Decoded;
use super::reading::Reading;
use super::source::Key;
use crate::catalog::read::VersionRow;
use crate::catalog::weights;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::layout::RowType;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::tuples::{Composite, Deformed};
use crate::settings;
use model::explain::{Contribution, Explainer};
use model::Artifact;
use pgrx::{check_for_interrupts, pg_sys, IntoDatum, Uuid};
use std::cell::RefCell;
use std::rc::Rc;

sql_function!(explain_row, explain_row);
sql_function!(explain_bigint, |call| explain(call, Key::Bigint));
sql_function!(explain_text, |call| explain(call, Key::Text));

/// (model text, features record, version integer)
fn explain_row(call: &Call) -> Returned {
    let mut set = RowSet::begin(call)?;
    let (Some(model), Some(row)) = (call.text(0), call.datum(1)) else { return Ok(None) };
    // SAFETY: the second argument is a composite value, which is there as long as the call runs.
    let columns = unsafe { of_row(&model, call.integer(2), &Composite::of(row))? };
    set.put_each(columns, ExplainedColumn::fields)?;
    Ok(None)
}

/// (product_id of type `key`, region text, model text, as_of date)
fn explain(call: &Call, key: Key) -> Returned {
    let mut set = RowSet::begin(call)?;
    let (Some(product), Some(region)) = (call.datum(0), call.datum(1)) else { return Ok(None) };
    // SAFETY: the key's values are of these types; a query that calls has a snapshot.
    let columns = unsafe { of_key(call.text(2).as_deref(), key, [product, region], call.datum(3))? };
    set.put_each(columns, ExplainedColumn::fields)?;
    Ok(None)
}

/// What a column contributes.
struct ExplainedColumn {
    name: String,
    value: Option<String>,
    baseline: Option<String>,
    contribution: Contribution,
    /// Of the whole row, and of the typical one.
    score: f64,
    baseline_score: f64,
}

impl ExplainedColumn {
    /// column_name, value, baseline, contribution, margin, score, baseline_score.
    fn fields(self) -> [Option<pg_sys::Datum>; 7] {
        [
            self.name.into_datum(),
            self.value.into_datum(),
            self.baseline.into_datum(),
            self.contribution.score.into_datum(),
            self.contribution.margin.into_datum(),
            self.score.into_datum(),
            self.baseline_score.into_datum(),
        ]
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
        let names = recipe.columns.iter().map(|column| column.name.clone());
        let columns = names.zip(texts).zip(explanation.columns);
        let explained = |((name, (value, baseline)), contribution)| ExplainedColumn {
            name,
            value,
            baseline,
            contribution,
            score: explanation.score,
            baseline_score: explanation.baseline_score,
        };
        let mut rows: Vec<ExplainedColumn> = columns.map(explained).collect();
        // The order is that of the margins: they still differ where the score is so near to 0 or 1 that it hardly changes.
        let margin = |column: &ExplainedColumn| column.contribution.margin.abs();
        rows.sort_by(|a, b| margin(b).total_cmp(&margin(a)));
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
