//! The function `reco.start_ab_test`.

use crate::catalog::audit::Caller;
use crate::catalog::change::{change, require_usable};
use crate::catalog::in_use::refuse_running;
use crate::catalog::rights::Privilege;
use crate::catalog::{read, CHAMPION};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::relations::Relation;
use crate::pg::values::{given, note};
use crate::scoring::model_cache;
use model::ab::{Assignment, Unit};
use model::recipe::Family;
use model::Task;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;

/// The largest length of a name in bytes, which is that of a model's name.
const LONGEST_NAME: usize = 63;
/// The largest number of regions that a test may list.
const MOST_REGIONS: usize = 10_000;
const ARMS_HINT: &str = r#"For example: '[{"arm": "control", "version": 1, "share": 0.5}, {"arm": "new", "version": 2, "share": 0.5}]'."#;

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn start_ab_test(fcinfo: pg_sys::FunctionCallInfo) {
    let start = || {
        // SAFETY: Postgres calls this with the arguments that its SQL declares.
        let call = unsafe { Call::new(fcinfo) };
        let (name, model, unit, salt) = (call.text(0), call.text(1), call.text(4), call.text(5));
        let (arms, regions) = (call.json(2, "arms")?, call.array::<Vec<Option<String>>>(3));
        let name = given(name.as_deref(), "name")?;
        let new = NewTest {
            name,
            model: given(model.as_deref(), "model")?,
            arms: read_arms(given(arms, "arms")?)?,
            regions: regions.map(read_regions).transpose()?,
            unit: read_unit(given(unit.as_deref(), "unit")?)?,
            salt: note(salt.as_deref(), "salt")?.unwrap_or(name),
        };
        new.check()?;
        change(c"reco.start_ab_test()", new.model, Privilege::Manage, |client, caller| {
            new.start(client, caller)
        })
    };
    or_raise(start());
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewArm {
    arm: String,
    version: i32,
    share: f64,
}

struct NewTest<'a> {
    name: &'a str,
    model: &'a str,
    /// The arms; the control is the first.
    arms: Vec<NewArm>,
    regions: Option<Vec<String>>,
    unit: Unit,
    salt: &'a str,
}

fn read_arms(arms: serde_json::Value) -> Result<Vec<NewArm>, Error> {
    serde_json::from_value(arms).map_err(|error| {
        Error::InvalidArgument(format!("arms cannot be read: {error}"), Some(ARMS_HINT.into()))
    })
}

fn read_regions(regions: Vec<Option<String>>) -> Result<Vec<String>, Error> {
    match regions.len() {
        1..=MOST_REGIONS => regions.into_iter().map(|region| given(region, "a region")).collect(),
        0 => Err(Error::invalid("regions is empty: no key would take part")),
        several => Err(Error::invalid(format!("regions has {several} elements: at most {MOST_REGIONS}"))),
    }
}

fn read_unit(name: &str) -> Result<Unit, Error> {
    Unit::from_name(name).ok_or_else(|| {
        let units = Unit::ALL.map(Unit::name).join(", ");
        Error::InvalidArgument(format!("unknown unit \"{name}\""), Some(format!("The units are: {units}.")))
    })
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    match name.len() {
        1..=LONGEST_NAME => Ok(()),
        bytes => Err(Error::invalid(format!("{what} has 1 to {LONGEST_NAME} bytes, not {bytes}"))),
    }
}

impl NewTest<'_> {
    /// Checks what can be checked without the catalog.
    fn check(&self) -> Result<(), Error> {
        check_name("the name of a test", self.name)?;
        let mut names = HashSet::new();
        for arm in &self.arms {
            check_name("the name of an arm", &arm.arm)?;
            if !names.insert(&arm.arm) {
                return Err(Error::invalid(format!("there are two arms \"{}\"", arm.arm)));
            }
        }
        let shares: Vec<f64> = self.arms.iter().map(|arm| arm.share).collect();
        Assignment::new(self.unit, self.salt, &shares)?;
        Ok(())
    }

    /// Starts the test. `client` has the rights of the extension's owner, and the caller has locked the model.
    fn start(&self, client: &mut SpiClient, caller: &Caller) -> Result<(), Error> {
        refuse_running(client, self.model)?;
        for arm in &self.arms {
            require_usable(client, self.model, arm.version)?;
            check_version(self.model, arm.version)?;
        }
        self.insert(client, caller)?;
        let running = "UPDATE reco.alias SET ab_test = $3 \
                       WHERE model OPERATOR(pg_catalog.=) $1 AND alias OPERATOR(pg_catalog.=) $2";
        if client.update(running, None, &[self.model.into(), CHAMPION.into(), self.name.into()])?.is_empty() {
            return Err(Error::NoChampion(self.model.to_owned()));
        }
        let arms: Vec<_> = self
            .arms
            .iter()
            .map(|arm| json!({"arm": arm.arm, "version": arm.version, "share": arm.share}))
            .collect();
        let detail =
            json!({"test": self.name, "unit": self.unit.name(), "regions": self.regions, "arms": arms});
        caller.did(client, "ab_test_started", self.model, None, detail)
    }

    fn insert(&self, client: &mut SpiClient, caller: &Caller) -> Result<(), Error> {
        let test = "INSERT INTO reco.ab_test (test, model, unit, regions, salt, started_by) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let row = [
            self.name.into(),
            self.model.into(),
            self.unit.name().into(),
            self.regions.clone().into(),
            self.salt.into(),
            caller.role.as_str().into(),
        ];
        if client.update(test, None, &row)?.is_empty() {
            return Err(Error::InvalidArgument(
                format!("there is an A/B test \"{}\" already", self.name),
                Some("Take another name: those of tests that were stopped stay taken.".into()),
            ));
        }
        let arm = "INSERT INTO reco.ab_arm (test, position, arm, version, share) VALUES ($1, $2, $3, $4, $5)";
        for (position, new) in (1_i32..).zip(&self.arms) {
            let row = [
                self.name.into(),
                position.into(),
                new.arm.as_str().into(),
                new.version.into(),
                new.share.into(),
            ];
            client.update(arm, None, &row)?;
        }
        Ok(())
    }
}

/// Refuses a version that keys cannot be routed to, or whose outcomes could not be found.
fn check_version(model: &str, number: i32) -> Result<(), Error> {
    let version = read::version(model, number)?;
    let refuse = |why: &str, hint: &str| {
        Err(Error::InvalidArgument(
            format!("version {number} of model \"{model}\" cannot be an arm: {why}"),
            Some(hint.to_owned()),
        ))
    };
    if model_cache::decoded_version(model, number)?.scorer.task() != Task::Binary {
        return refuse("it predicts a quantity", "The arms of a test predict probabilities.");
    }
    if version.keys.len() != 2 {
        return refuse(
            "its source is not by product and region",
            "Train it with keys => '{product_id,region}'.",
        );
    }
    let Some((source, _)) = version.source.if_there(model, pg_sys::NoLock)? else {
        return refuse("it has no source", "Train it again, or import it with source => ….");
    };
    let relation = Relation::of(source)?;
    match version.time_column.as_ref().and_then(|time| relation.family(time)) {
        Some(Family::Date) => Ok(()),
        _ => refuse("its source has no date by which rows are told apart", "Train it with time_column => …."),
    }
}
