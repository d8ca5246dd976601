//! The functions `reco.roc_curve`, `confusion_matrix`, `calibration` and `lift`: charts of a version's probabilities for
//! the rows of any relation.

use super::chart::Chart;
use super::measure::measure;
use super::rows::set;
use super::subject::{Positions, Subject};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use model::tally::Tally;

sql_function!(roc_curve, |call| draw(call, Chart::RocCurve));
sql_function!(confusion_matrix, |call| draw(call, Chart::Confusion));
sql_function!(calibration, |call| draw(call, Chart::Calibration));
sql_function!(lift, |call| draw(call, Chart::Lift));

/// (model, source, label, the chart's option, by, version, from_week, to_week)
fn draw(call: &Call, chart: Chart) -> Returned {
    let subject = Subject::read(call, Positions { label: 2, by: 4, version: 5 })?;
    let option = chart.option(call, 3)?;
    let parts = measure(&subject, |tally| match tally {
        Tally::Binary(ranking) => Some(chart.of(ranking.sorted(), option)),
        Tally::Regression(_) => None,
    })?;
    if parts.is_empty() {
        return Err(Error::InvalidArgument(
            "the model predicts a quantity, and this chart is of probabilities".into(),
            Some("reco.evaluate(…) gives the errors of quantities.".into()),
        ));
    }
    set(call, &parts)
}
