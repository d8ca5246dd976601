//! What new products are compared with.

use super::categories::{CategoryMonth, Place};
use super::cohorts::{Cohort, Outcome};
use super::planned::Lifts;
use super::setting::{Launch, Setting};
use crate::weeks::Week;
use crate::FeatureError;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::f64::consts::PI;

/// All that the first pass found out, by product, region, category and week. Weeks count from the first that gets rows.
pub struct Market {
    pub(super) setting: Setting,
    pub(super) launches: Vec<Option<Launch>>,
    /// By region: since which week it trades.
    pub(super) since: Vec<Option<Week>>,
    /// The regions in the order in which rows come.
    pub(super) order: Vec<u32>,
    /// By week.
    pub(super) weeks: Vec<OfWeek>,
    pub(super) cohorts: HashMap<u32, Vec<Cohort>>,
    pub(super) places: HashMap<Place, Vec<OfPlace>>,
    pub(super) lifts: Lifts,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OfWeek {
    /// How many regions trade.
    pub regions: u32,
    pub season: [f32; 2],
}

/// A category in a region and week.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OfPlace {
    pub month: CategoryMonth,
    pub launches: Outcome,
}

/// So many rows of a chunk of products are few enough to be kept until they are written.
const ROWS_AT_ONCE: usize = 8192;

impl Market {
    /// How many products the second pass should get at a time, so that their rows stay few.
    pub fn products_at_once(&self) -> usize {
        let weeks = self.setting.launch_weeks.max(0) as usize + 1;
        (ROWS_AT_ONCE / weeks.saturating_mul(self.since.len()).max(1)).max(1)
    }

    /// Puts the regions into the order in which a product's rows come. Without it they come in the order of their ordinals.
    pub fn sort_regions(&mut self, mut compare: impl FnMut(u32, u32) -> Ordering) {
        self.order.sort_by(|one, other| compare(*one, *other));
    }

    pub(super) fn launch(&self, product: u32) -> Option<Launch> {
        self.launches.get(product as usize).copied().flatten()
    }

    /// Regions, and since which week they trade.
    pub(super) fn regions(&self) -> impl Iterator<Item = (u32, Week)> + '_ {
        self.order.iter().filter_map(|region| Some((*region, self.since[*region as usize]?)))
    }
}

/// Regions that trade, and the season, for each week.
pub(super) fn of_weeks(setting: &Setting, since: &[Option<Week>]) -> Result<Vec<OfWeek>, FeatureError> {
    let of_week = |number| {
        let week = setting.first.plus(number);
        let regions = since.iter().flatten().filter(|since| **since <= week).count() as u32;
        Ok(OfWeek { regions, season: season(week)? })
    };
    (0..setting.weeks()).map(of_week).collect()
}

/// Sine and cosine of the day of the year of the Monday.
fn season(week: Week) -> Result<[f32; 2], FeatureError> {
    let angle = 2.0 * PI * f64::from(week.day_of_year()?) / 365.25;
    Ok([angle.sin() as f32, angle.cos() as f32])
}
