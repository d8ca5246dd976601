//! The function `reco.stop_ab_test`.

use crate::catalog::audit::Caller;
use crate::catalog::change::change;
use crate::catalog::rights::Privilege;
use crate::catalog::{history, read, CHAMPION};
use crate::error::{or_raise, Error};
use crate::pg::values::{given, note};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::json;

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn stop_ab_test(name: Option<&str>, winner: Option<&str>, why: Option<&str>) -> Option<i32> {
    let stop = || {
        let (name, why) = (given(name, "name")?, note(why, "why")?);
        let (test, arms) = read::ab_test(name)?;
        let version = winner.map(|winner| {
            let arm = arms.iter().find(|arm| arm.name == winner);
            arm.map(|arm| arm.version).ok_or_else(|| {
                let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
                Error::InvalidArgument(
                    format!("A/B test \"{name}\" has no arm \"{winner}\""),
                    Some(format!("Its arms are: {}.", names.join(", "))),
                )
            })
        });
        change(c"reco.stop_ab_test()", &test.model, Privilege::Manage, |client, caller| {
            let ended = Ended { name, model: &test.model, winner, why };
            ended.record(client, caller)?;
            if let Some(version) = version.transpose()? {
                history::promote(client, caller, &test.model, version, why)?;
            }
            history::champion(client, &test.model)
        })
    };
    or_raise(stop())
}

struct Ended<'a> {
    name: &'a str,
    model: &'a str,
    winner: Option<&'a str>,
    why: Option<&'a str>,
}

impl Ended<'_> {
    fn record(&self, client: &mut SpiClient, caller: &Caller) -> Result<(), Error> {
        let stop = "UPDATE reco.ab_test SET status = 'stopped', stopped_by = $2, winner = $3, why = $4, \
                           stopped_at = pg_catalog.clock_timestamp() \
                    WHERE test OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) 'running'";
        let row = [self.name.into(), caller.role.as_str().into(), self.winner.into(), self.why.into()];
        if client.update(stop, None, &row)?.is_empty() {
            return Err(Error::InvalidArgument(
                format!("A/B test \"{}\" was stopped before", self.name),
                None,
            ));
        }
        let champion = "UPDATE reco.alias SET ab_test = NULL \
                        WHERE model OPERATOR(pg_catalog.=) $1 AND alias OPERATOR(pg_catalog.=) $2";
        client.update(champion, None, &[self.model.into(), CHAMPION.into()])?;
        let detail = json!({"test": self.name, "winner": self.winner, "why": self.why});
        caller.did(client, "ab_test_stopped", self.model, None, detail)
    }
}
