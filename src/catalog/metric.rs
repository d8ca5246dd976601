//! The names of metrics, and `reco.more_is_better`.

use crate::error::Error;
use crate::pg::sql_function::sql_function;
use model::params::Metric;
use pgrx::IntoDatum;

sql_function!(more_is_better, |call| {
    let metric = call.text(0).map(|name| named(&name)).transpose()?;
    Ok(metric.and_then(|metric| metric.is_gain().into_datum()))
});

/// The metric of a name.
pub fn named(name: &str) -> Result<Metric, Error> {
    serde_json::from_value(name.into()).map_err(|_| {
        Error::InvalidArgument(
            format!("unknown metric \"{name}\""),
            Some(
                "The metrics are: average_precision, auroc, log_loss, precision_at_k; of quantities rmse, mae, \
                 pinball."
                    .into(),
            ),
        )
    })
}
