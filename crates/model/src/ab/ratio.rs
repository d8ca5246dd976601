//! A rate of purchases. What is assigned to an arm as a whole (a unit) is also counted as a whole: the rows of one unit
//! (a region's products, a pair's weeks) are not independent of each other, so that the variance of the rate is
//! computed from the differences between units.

/// Sums over units, each with a number of rows whose outcome is known and a number of purchases among them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ratio {
    pub units: u64,
    pub rows: u64,
    pub purchases: u64,
    rows_squared: f64,
    rows_by_purchases: f64,
    purchases_squared: f64,
}

impl Ratio {
    /// Takes a unit. A unit without rows says nothing and is ignored.
    pub fn add(&mut self, rows: u64, purchases: u64) {
        if rows == 0 {
            return;
        }
        self.units += 1;
        self.rows += rows;
        self.purchases += purchases;
        let (rows, purchases) = (rows as f64, purchases as f64);
        self.rows_squared += rows * rows;
        self.rows_by_purchases += rows * purchases;
        self.purchases_squared += purchases * purchases;
    }

    /// Purchases by row; `None` where there are no rows.
    pub fn rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.purchases as f64 / self.rows as f64)
    }

    /// The variance of the rate, of units drawn independently (the delta method for a ratio of means: Deng, Knoblich and Lu
    /// 2018, "Applying the Delta Method in Metric Analytics", section 3); `None` with fewer than two units.
    pub fn variance(&self) -> Option<f64> {
        let rate = self.rate().filter(|_| self.units > 1)?;
        let residuals =
            self.purchases_squared - 2.0 * rate * self.rows_by_purchases + rate * rate * self.rows_squared;
        let (units, rows) = (self.units as f64, self.rows as f64);
        Some(residuals.max(0.0) / (units - 1.0) * units / (rows * rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(units: &[(u64, u64)]) -> Ratio {
        let mut ratio = Ratio::default();
        units.iter().for_each(|(rows, purchases)| ratio.add(*rows, *purchases));
        ratio
    }

    #[test]
    fn of_single_rows_the_variance_is_that_of_a_proportion() {
        let units: Vec<(u64, u64)> = (0..100).map(|n| (1, u64::from(n < 30))).collect();
        let ratio = of(&units);
        assert_eq!(ratio.rate(), Some(0.3));
        assert!((ratio.variance().unwrap() - 0.3 * 0.7 / 99.0).abs() < 1e-15);
    }

    #[test]
    fn rows_of_one_unit_that_agree_count_once() {
        let units: Vec<(u64, u64)> = (0..100).map(|n| (10, 10 * u64::from(n < 30))).collect();
        assert!((of(&units).variance().unwrap() - 0.3 * 0.7 / 99.0).abs() < 1e-15);
    }

    #[test]
    fn of_too_little_nothing_is_said() {
        assert_eq!((of(&[]).rate(), of(&[(0, 0)]).units), (None, 0));
        assert_eq!(of(&[(5, 1)]).variance(), None);
    }
}
