//! What is computed.

use crate::weeks::Week;
use std::ops::Range;

// The times that the features are of, in weeks, their own week included: the columns are named after them.

/// A product's first four weeks are also what launches are compared by.
pub const MONTH: i32 = 4;
pub const QUARTER: i32 = 13;
/// Launches are compared with those of the last year.
pub const YEAR: i32 = 52;
/// Weeks after its own that a row's label looks at.
pub const HORIZON: i32 = 1;

/// The weeks that get rows, and what the rows depend on besides sales and products.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub first: Week,
    pub last: Week,
    /// A product is new for so many weeks, from its launch on.
    pub launch_weeks: i32,
    /// The data begin in the middle of things: products first sold in so many first weeks were most likely sold before, and
    /// have no known launch.
    pub warm_up_weeks: i32,
    /// The week of the first sale of all; without it no first sale is a launch.
    pub available: Option<Week>,
    /// Sales are complete up to the beginning of this day, in days from 2000-01-01.
    pub complete: Option<i32>,
}

/// The launch of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Launch {
    pub week: Week,
    pub planned: bool,
}

impl Setting {
    /// The first week whose sales the first pass needs whole. Of earlier weeks it needs only in which of them a product was
    /// first bought in a region.
    pub fn gathered_from(&self) -> Week {
        self.first.plus(-YEAR)
    }

    /// The first week whose sales the second pass needs.
    pub fn sold_from(&self) -> Week {
        self.first.plus(1 - QUARTER)
    }

    /// The last week whose sales either pass needs: the labels' last.
    pub fn sold_until(&self) -> Week {
        self.last.plus(HORIZON)
    }

    /// How many weeks get rows.
    pub(super) fn weeks(&self) -> i32 {
        self.last.since(self.first).saturating_add(1).max(0)
    }

    /// Weeks are numbered from the first that gets rows, which is 0.
    pub(super) fn number(&self, week: Week) -> i32 {
        week.since(self.first)
    }

    /// A plan tells when a product is launched, and else its first sale.
    pub(super) fn launch(&self, planned: Option<Week>, first_sale: Option<Week>) -> Option<Launch> {
        let known_from = self.available.map(|first| first.plus(self.warm_up_weeks));
        let sold = || first_sale.filter(|week| known_from.is_some_and(|from| *week >= from));
        match planned {
            Some(week) => Some(Launch { week, planned: true }),
            None => sold().map(|week| Launch { week, planned: false }),
        }
    }

    /// The numbers of the weeks in which a product is new. A planned launch is known before it happens: its first row is
    /// that of the week before.
    pub(super) fn new_in(&self, launch: Launch) -> Range<i32> {
        let week = self.number(launch.week);
        let from = week.saturating_sub(launch.planned.into());
        let until = week.saturating_add(self.launch_weeks);
        from.max(0)..until.min(self.weeks())
    }

    /// Whether the week that the label of this one looks at is over.
    pub(super) fn is_labelled(&self, week: Week) -> bool {
        self.complete.is_some_and(|day| week.plus(HORIZON + 1).monday() <= day)
    }
}
