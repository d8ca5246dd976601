//! The newest A/B tests of a model, each with its report.

use super::lists::first;
use super::parts::part;
use crate::error::Error;
use crate::evaluation::measure::check_deadline;
use pgrx::Spi;
use report::{Arm, First, Test};
use std::time::Instant;

/// How many tests are shown.
const MOST: i64 = 10;

pub fn tests(model: &str, deadline: Instant) -> Result<First<Test>, Error> {
    let query = "SELECT pg_catalog.count(*) OVER (), test, status, unit, started_at::pg_catalog.text,
                        stopped_at::pg_catalog.text, winner, why
                 FROM reco.ab_tests WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY started_at DESC, test LIMIT $2";
    let mut tests = first(query, model, MOST, |row| {
        Ok(Test {
            name: row.get(2)?.unwrap_or_default(),
            status: row.get(3)?.unwrap_or_default(),
            unit: row.get(4)?.unwrap_or_default(),
            started_at: row.get(5)?.unwrap_or_default(),
            stopped_at: row.get(6)?,
            winner: row.get(7)?,
            why: row.get(8)?,
            arms: Ok(Vec::new()),
        })
    })?;
    for test in &mut tests.rows {
        test.arms = part("What the test has shown", || {
            check_deadline(Some(deadline))?;
            arms(&test.name)
        });
    }
    Ok(tests)
}

/// The arms over all regions. Outcomes are read with the caller's rights, under the caller's own settings.
fn arms(test: &str) -> Result<Vec<Arm>, Error> {
    let query =
        "SELECT arm, version, share, exposures, outcomes, purchases, rate, lift, always_low, always_high,
                        always_p_value, warning
                 FROM reco.ab_report($1) WHERE region IS NULL";
    Spi::connect(|client| {
        let rows = client.select(query, None, &[test.into()])?;
        rows.map(|row| {
            Ok(Arm {
                arm: row.get(1)?.unwrap_or_default(),
                version: row.get(2)?.unwrap_or_default(),
                share: row.get(3)?.unwrap_or_default(),
                exposures: row.get(4)?.unwrap_or_default(),
                outcomes: row.get(5)?.unwrap_or_default(),
                purchases: row.get(6)?.unwrap_or_default(),
                rate: row.get(7)?,
                lift: row.get(8)?,
                low: row.get(9)?,
                high: row.get(10)?,
                p_value: row.get(11)?,
                warning: row.get(12)?,
            })
        })
        .collect()
    })
}
