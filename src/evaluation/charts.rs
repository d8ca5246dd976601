//! `reco.roc_curve`, `confusion_matrix`, `calibration` and `lift`: charts of a version's probabilities on any rows.

use super::chart::Chart;
use super::measure::measure;
use super::rows::set;
use super::subject::{Positions, Subject};
use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use model::tally::Tally;
use pgrx::pg_sys;

sql_function!(roc_curve, |fcinfo| draw(fcinfo, Chart::RocCurve));
sql_function!(confusion_matrix, |fcinfo| draw(fcinfo, Chart::Confusion));
sql_function!(calibration, |fcinfo| draw(fcinfo, Chart::Calibration));
sql_function!(lift, |fcinfo| draw(fcinfo, Chart::Lift));

/// (model, source, label, the chart's option, by, version, from_week, to_week)
unsafe fn draw(fcinfo: pg_sys::FunctionCallInfo, chart: Chart) -> Returned {
    let subject = Subject::read(fcinfo, Positions { label: 2, by: 4, version: 5 })?;
    let option = chart.option(given(argument(fcinfo, 3), chart.option_name())?)?;
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
    set(fcinfo, &parts)
}
