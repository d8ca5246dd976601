//! An A/B test as the running statement's snapshot sees it.

use crate::catalog::read::{self, ArmRow};
use crate::error::Error;
use model::ab::{Assignment, Product, Unit};

/// An A/B test with its arms. It runs or is stopped.
pub struct Test {
    pub model: String,
    pub arms: Vec<ArmRow>,
    assignment: Assignment,
    regions: Option<Vec<String>>,
}

impl Test {
    pub fn read(name: &str) -> Result<Self, Error> {
        let (row, arms) = read::ab_test(name)?;
        let unit = Unit::from_name(&row.unit).ok_or_else(|| {
            Error::Damaged(format!("the A/B test \"{name}\" is damaged: there is no such unit"))
        })?;
        let shares: Vec<f64> = arms.iter().map(|arm| arm.share).collect();
        let damaged = |cause: model::ModelError| {
            Error::Damaged(format!("the arms of the A/B test \"{name}\" are damaged: {cause}"))
        };
        let assignment = Assignment::new(unit, &row.salt, &shares).map_err(damaged)?;
        Ok(Self { model: row.model, arms, assignment, regions: row.regions })
    }

    pub fn unit(&self) -> Unit {
        self.assignment.unit()
    }

    /// The arm of a key, from 0; `None` if the key does not take part. That is so if its region does not, or if the test
    /// assigns callers' keys and no key is given.
    pub fn arm(&self, product: Product, region: &str, key: Option<&str>) -> Option<usize> {
        if self.regions.as_ref().is_some_and(|regions| !regions.iter().any(|known| known == region)) {
            return None;
        }
        match self.unit() {
            Unit::Key => key.and_then(|key| self.arm_of_key(key)),
            _ => self.assignment.arm(product, region),
        }
    }

    /// The arm of a caller's key, in the regions that take part.
    pub fn arm_of_key(&self, key: &str) -> Option<usize> {
        self.assignment.arm_of_key(key)
    }
}
