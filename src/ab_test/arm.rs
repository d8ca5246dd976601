//! The functions `reco.ab_arm(test, product_id, region)` and `reco.ab_arm(test, key)`.

use crate::catalog::rights::{self, Privilege};
use crate::error::{or_raise, Error};
use crate::pg::call_site::state;
use crate::pg::moment::Moment;
use crate::scoring::arms::Test;
use model::ab::{Product, Unit};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The state of a call site.
#[derive(Default)]
struct ArmCall(Option<KnownTest>);

/// The test that was read last, and the moment at which it was read.
struct KnownTest {
    name: String,
    moment: Moment,
    test: Test,
}

impl ArmCall {
    /// The test with this name. It is an error if the caller may not score with its model.
    fn test(&mut self, name: &str) -> Result<&Test, Error> {
        let is_current = |known: &KnownTest| known.name == name && known.moment == Moment::now();
        if !self.0.as_ref().is_some_and(is_current) {
            let test = Test::read(name)?;
            rights::check(&test.model, Privilege::Score)?;
            self.0 = Some(KnownTest { name: name.to_owned(), moment: Moment::now(), test });
        }
        let Some(known) = &self.0 else { unreachable!("read above") };
        Ok(&known.test)
    }

    fn of_product(&mut self, name: &str, product: Product, region: &str) -> Result<Option<String>, Error> {
        let test = self.test(name)?;
        if test.unit() == Unit::Key {
            return Err(Error::InvalidArgument(
                format!("A/B test \"{name}\" assigns keys of the caller's own"),
                Some("Give it such a key: reco.ab_arm(test, key).".into()),
            ));
        }
        Ok(test.arm(product, region, None).map(|arm| test.arms[arm].name.clone()))
    }

    fn of_key(&mut self, name: &str, key: &str) -> Result<Option<String>, Error> {
        let test = self.test(name)?;
        match test.arm_of_key(key) {
            Some(arm) => Ok(Some(test.arms[arm].name.clone())),
            None => Err(Error::InvalidArgument(
                format!(
                    "A/B test \"{name}\" assigns by {}, not keys of the caller's own",
                    test.unit().name()
                ),
                Some("Give it a product and a region: reco.ab_arm(test, product_id, region).".into()),
            )),
        }
    }
}

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn ab_arm_bigint(fcinfo: pg_sys::FunctionCallInfo) -> Option<String> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let (call, test, product, region) = unsafe {
        let text = |n| pgrx::pg_getarg::<&str>(fcinfo, n);
        (state::<ArmCall>(fcinfo), text(0)?, pgrx::pg_getarg::<i64>(fcinfo, 1)?, text(2)?)
    };
    or_raise(call.of_product(test, Product::Number(product), region))
}

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn ab_arm_text(fcinfo: pg_sys::FunctionCallInfo) -> Option<String> {
    // SAFETY: as in `ab_arm_bigint`.
    let (call, test, product, region) = unsafe {
        let text = |n| pgrx::pg_getarg::<&str>(fcinfo, n);
        (state::<ArmCall>(fcinfo), text(0)?, text(1)?, text(2)?)
    };
    or_raise(call.of_product(test, Product::Text(product), region))
}

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
fn ab_arm_key(fcinfo: pg_sys::FunctionCallInfo) -> Option<String> {
    // SAFETY: as in `ab_arm_bigint`.
    let (call, test, key) = unsafe {
        let text = |n| pgrx::pg_getarg::<&str>(fcinfo, n);
        (state::<ArmCall>(fcinfo), text(0)?, text(1)?)
    };
    or_raise(call.of_key(test, key))
}
