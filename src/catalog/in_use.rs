//! Refuses changes to a model and to versions while an A/B test uses them.

use crate::error::Error;
use pgrx::spi::SpiClient;

const STOP_HINT: &str = "Stop it first with reco.stop_ab_test(…).";

/// Refuses a model that takes part in a test. The caller has locked the model, and `client` has the rights of the
/// extension's owner.
pub fn refuse_running(client: &mut SpiClient, model: &str) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.max(ab_test) FROM reco.alias WHERE model OPERATOR(pg_catalog.=) $1";
    match client.update(sql, Some(1), &[model.into()])?.first().get_one::<String>()? {
        None => Ok(()),
        Some(test) => Err(Error::InUse {
            message: format!("model \"{model}\" is in use: it takes part in the A/B test \"{test}\""),
            hint: STOP_HINT.into(),
        }),
    }
}

/// Refuses a version that is an arm of a running test. The same holds for the caller as for [`refuse_running`].
pub fn refuse_arm(client: &mut SpiClient, model: &str, version: i32) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.max(a.test) FROM reco.alias AS l \
               JOIN reco.ab_arm AS a ON a.test OPERATOR(pg_catalog.=) l.ab_test \
               WHERE l.model OPERATOR(pg_catalog.=) $1 AND a.version OPERATOR(pg_catalog.=) $2";
    match client.update(sql, Some(1), &[model.into(), version.into()])?.first().get_one::<String>()? {
        None => Ok(()),
        Some(test) => Err(Error::InUse {
            message: format!(
                "version {version} of model \"{model}\" is in use: it is an arm of the A/B test \"{test}\""
            ),
            hint: STOP_HINT.into(),
        }),
    }
}
