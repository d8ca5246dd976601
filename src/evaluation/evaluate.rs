//! The function `reco.evaluate(model, source, …)`: all metrics of a version for the rows of any relation.

use super::measure::{measure, measure_slices, measure_with, Part};
use super::rows::{set, Fields};
use super::subject::{Positions, Slicing, Subject};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use crate::scoring::call::Resolved;
use model::lists::{ListMetrics, Top};
use model::tally::Tally;
use model::Quality;
use pgrx::IntoDatum;

sql_function!(evaluate, all_metrics);

/// (model, source, label, by, version, from_week, to_week)
fn all_metrics(call: &Call) -> Returned {
    let subject = Subject::read(call, Positions { label: 2, by: 3, version: 4 })?;
    let parts = evaluate(&subject)?.into_iter();
    let rows =
        parts.map(|part| Part { by: part.by, slice: part.slice, measured: vec![fields(&part.measured)] });
    set(call, &rows.collect::<Vec<_>>())
}

/// The metrics of all rows of a subject, then those of each slice. It is an error if no row has a label.
pub fn evaluate(subject: &Subject) -> Result<Vec<Part<Quality>>, Error> {
    measure(subject, |tally| tally.quality())
}

/// The same metrics for `resolved`, whatever model and version the subject names. If no row has a label, the result is
/// empty.
pub fn evaluate_with(resolved: &mut Resolved, subject: &Subject) -> Result<Vec<Part<Quality>>, Error> {
    Ok(measure_with(resolved, subject, |tally| tally.quality())?.parts)
}

/// The metrics of all rows, with those of the lists that they make: one for each region and time of the version, of which the
/// first `k` rows count. `None` if no row has a label.
pub fn evaluate_lists(
    resolved: &mut Resolved,
    subject: &Subject,
    k: usize,
) -> Result<Option<Quality>, Error> {
    let measured = measure_slices(resolved, subject, Slicing::Lists, |tally| {
        let top = match tally {
            Tally::Binary(ranking) => Top::of(ranking.sorted(), k),
            Tally::Regression(_) => None,
        };
        Some((tally.quality()?, top))
    })?;
    // All rows come first, then each list.
    let mut parts = measured.parts.into_iter().map(|part| part.measured);
    let Some((all, _)) = parts.next() else { return Ok(None) };
    Ok(Some(all.with_lists(ListMetrics::of(k, parts.filter_map(|(_, top)| top)))))
}

/// The fields after the slice: rows, positives, mean_label, mean_score, the metrics of probabilities, those of quantities.
fn fields(quality: &Quality) -> Fields {
    match quality {
        Quality::Binary(m) => {
            let counts = [(m.rows as i64).into_datum(), (m.positives as i64).into_datum()];
            let means = [m.positives as f64 / m.rows as f64, m.mean_score()].map(IntoDatum::into_datum);
            let ranking = [m.auroc, m.average_precision].map(IntoDatum::into_datum);
            let losses = [m.log_loss, m.brier].map(IntoDatum::into_datum);
            [&counts[..], &means, &ranking, &losses, &[None; 5]].concat()
        }
        Quality::Regression(m) => {
            let counts = [(m.rows as i64).into_datum(), None];
            let means = [m.mean_label, m.mean_prediction].map(IntoDatum::into_datum);
            let errors = [Some(m.rmse), Some(m.mae), m.r2, m.pinball, m.coverage].map(IntoDatum::into_datum);
            [&counts[..], &means, &[None; 4], &errors].concat()
        }
    }
}
