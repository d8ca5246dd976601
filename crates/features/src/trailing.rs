//! Summaries over trailing weeks: a window that slides over the weeks of one series.

use crate::stored::View;
use crate::summary::Summary;
use crate::weeks::Week;
use crate::FeatureError;
use allocator_api2::alloc::{Allocator, Global};
use allocator_api2::vec::Vec;

/// The summaries of the weeks in the window, oldest first.
pub struct Trailing<A: Allocator = Global> {
    held: Vec<(Week, Summary<A>), A>,
}

impl<A: Allocator + Copy> Trailing<A> {
    pub const fn new_in(allocator: A) -> Self {
        Self { held: Vec::new_in(allocator) }
    }

    /// Moves the window of so many weeks on to end with `week`, and adds that week's summary, if it has one.
    pub fn advance(&mut self, week: Week, stored: Option<&[u8]>, weeks: i32) -> Result<(), FeatureError> {
        if self.held.last().is_some_and(|(newest, _)| *newest > week) {
            return Err(FeatureError::Argument {
                message: "the weeks of a window do not ascend".into(),
                hint: Some("Order the window by the week.".into()),
            });
        }
        let oldest = week.plus(1 - weeks);
        let gone = self.held.iter().take_while(|(held, _)| *held < oldest).count();
        self.held.drain(..gone);
        if let Some(bytes) = stored {
            let allocator = *self.held.allocator();
            let mut summary = Summary::new();
            summary.merge_stored(&View::parse(bytes)?, allocator)?;
            self.held.push((week, summary));
        }
        Ok(())
    }

    /// The summary of the weeks in the window, `None` where there are none. Its room comes from `allocator`.
    pub fn summary(&self, allocator: A) -> Result<Option<Summary<A>>, FeatureError> {
        if self.held.is_empty() {
            return Ok(None);
        }
        let mut summary = Summary::new();
        self.held.iter().try_for_each(|(_, held)| summary.merge(held, allocator))?;
        Ok(Some(summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Sale;
    use proptest::prelude::*;

    fn of_one_sale(amount: i32) -> Vec<u8> {
        let mut summary = Summary::<Global>::new();
        let amount = f64::from(amount);
        let sale = Sale {
            amount: Some(amount),
            quantity: None,
            discount: None,
            customer: Some(amount as u64),
            sold_at: None,
        };
        summary.add(&sale, Global).unwrap();
        summary.to_bytes().into_iter().collect()
    }

    proptest! {
        #[test]
        fn a_window_holds_the_weeks_up_to_its_last(
            sales in proptest::collection::btree_map(-50..50i32, 1..1000i32, 0..40),
            weeks in 1..20i32,
        ) {
            let week = |n: i32| Week::of_day(7 * n + 2);
            let mut window = Trailing::new_in(Global);
            for (&last, &amount) in &sales {
                window.advance(week(last), Some(&of_one_sale(amount)), weeks).unwrap();
                let held: std::vec::Vec<_> = sales.range(last - weeks + 1..=last).map(|(_, amount)| *amount).collect();
                let summary = window.summary(Global).unwrap().unwrap();
                prop_assert_eq!(summary.figures().total_sales(), Some(held.iter().map(|a| f64::from(*a)).sum()));
                prop_assert_eq!(summary.figures().lines(), held.len() as u64);
            }
        }
    }

    #[test]
    fn a_week_without_sales_moves_the_window_on() {
        let mut window = Trailing::new_in(Global);
        window.advance(Week::of_day(2), Some(&of_one_sale(5)), 2).unwrap();
        window.advance(Week::of_day(9), None, 2).unwrap();
        assert!(window.summary(Global).unwrap().is_some());
        window.advance(Week::of_day(16), None, 2).unwrap();
        assert!(window.summary(Global).unwrap().is_none());
    }

    #[test]
    fn weeks_must_ascend() {
        let mut window = Trailing::new_in(Global);
        window.advance(Week::of_day(9), Some(&of_one_sale(5)), 2).unwrap();
        assert!(window.advance(Week::of_day(2), None, 2).is_err());
    }
}
