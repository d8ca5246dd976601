//! Quantiles of many numbers. Up to a bound they are exact, from all numbers; beyond it they come from a sketch whose
//! error is at most [`RANK_ERROR`].

use super::wire::{damaged, StateReader, StateWriter};
use crate::FeatureError;

/// Up to this many values, which take 8 MiB, quantiles are exact.
pub const EXACT: usize = 1 << 20;
/// Beyond [`EXACT`] values: the share of rows by which the rank of an answer may differ from the rank asked for, up to
/// 2^40 rows.
pub const RANK_ERROR: f64 = 0.0002;
/// The most values that wait on a level above the first.
const WAITING: usize = 1 << 17;
/// Most levels: together they hold 2^40 times as many numbers of the column as the first level alone.
const MAX_LEVELS: usize = 40;

/// Numbers by levels; one on level h stands for 2^h numbers of the column.
///
/// A full level is sorted and every second number of it goes up a level, the even and the odd ones in turn (Manku,
/// Rajagopalan and Lindsay, Approximate medians and other quantiles in one pass and with limited memory, 1998).
/// Emptying level h moves a rank by at most 2^h, and happens once for at least [`WAITING`] times 2^h numbers, so that
/// each level adds at most 1 / `WAITING` to the error. Nothing is random: the same numbers in the same order give the
/// same answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    levels: Vec<Vec<f64>>,
    /// For each level one bit: whether its even or its odd numbers go up next.
    odd: u64,
    minimum: f64,
    maximum: f64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { levels: vec![Vec::new()], odd: 0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY }
    }
}

impl Quantiles {
    /// Takes a finite number.
    #[inline]
    pub fn insert(&mut self, value: f64) {
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        if self.levels[0].len() >= EXACT {
            self.compact();
        }
        self.levels[0].push(value);
    }

    pub fn merge(&mut self, other: &Self) {
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        if self.levels.len() < other.levels.len() {
            self.levels.resize(other.levels.len(), Vec::new());
        }
        for (mine, theirs) in self.levels.iter_mut().zip(&other.levels) {
            mine.extend_from_slice(theirs);
        }
        if self.levels[0].len() > EXACT || self.levels[1..].iter().any(|level| level.len() >= WAITING) {
            self.compact();
        }
    }

    /// Sends half of the numbers of every full level up.
    fn compact(&mut self) {
        let mut h = 0;
        while h < self.levels.len() && h < MAX_LEVELS {
            let full = if h == 0 { EXACT } else { WAITING };
            if self.levels[h].len() >= full {
                self.send_up(h);
            }
            h += 1;
        }
    }

    fn send_up(&mut self, h: usize) {
        if h + 1 == self.levels.len() {
            self.levels.push(Vec::new());
        }
        let (below, above) = self.levels.split_at_mut(h + 1);
        let (level, above) = (&mut below[h], &mut above[0]);
        level.sort_unstable_by(f64::total_cmp);
        // If the level has an odd number of values, the largest stays.
        let even = level.len() / 2 * 2;
        let offset = usize::from(self.odd >> h & 1 == 1);
        above.extend(level[..even].iter().skip(offset).step_by(2));
        level.drain(..even);
        if level.capacity() > WAITING && h > 0 {
            level.shrink_to(WAITING);
        }
        self.odd ^= 1 << h;
    }

    /// Whether the answers are exact, as all numbers are kept.
    pub fn is_exact(&self) -> bool {
        self.levels[1..].iter().all(Vec::is_empty)
    }

    /// The quantiles at `ranks`, each from 0 to 1; `None` of no numbers. Exact ones are interpolated between the two
    /// nearest numbers as numpy does by default, others are numbers of the column.
    pub fn at(&mut self, ranks: &[f64]) -> Option<Vec<f64>> {
        if self.is_exact() {
            let values = &mut self.levels[0];
            values.sort_unstable_by(f64::total_cmp);
            return (!values.is_empty())
                .then(|| ranks.iter().map(|rank| interpolated(values, *rank)).collect());
        }
        let weighted = self.weighted();
        let total = weighted.last().map_or(0, |(_, up_to)| *up_to);
        let one = |rank: &f64| match *rank {
            rank if rank <= 0.0 => self.minimum,
            rank if rank >= 1.0 => self.maximum,
            rank => {
                let place = ((total - 1) as f64 * rank) as u64;
                let found = weighted.partition_point(|(_, up_to)| *up_to <= place);
                weighted[found.min(weighted.len() - 1)].0
            }
        };
        Some(ranks.iter().map(one).collect())
    }

    /// The numbers in order, each with how many of the column are up to it.
    fn weighted(&self) -> Vec<(f64, u64)> {
        let mut all: Vec<(f64, u64)> = Vec::with_capacity(self.levels.iter().map(Vec::len).sum());
        for (h, level) in self.levels.iter().enumerate() {
            all.extend(level.iter().map(|value| (*value, 1 << h)));
        }
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut total = 0;
        for (_, weight) in &mut all {
            total += *weight;
            *weight = total;
        }
        all
    }

    pub(super) fn write(&self, to: &mut StateWriter) {
        to.float(self.minimum);
        to.float(self.maximum);
        to.integer(self.odd);
        to.byte(self.levels.len() as u8);
        for level in &self.levels {
            to.integer(level.len() as u64);
            level.iter().for_each(|value| to.float(*value));
        }
    }

    pub(super) fn read(from: &mut StateReader) -> Result<Self, FeatureError> {
        let (minimum, maximum, odd) = (from.float()?, from.float()?, from.integer()?);
        let count = usize::from(from.byte()?);
        if !(1..=MAX_LEVELS + 1).contains(&count) {
            return Err(damaged("its levels"));
        }
        let mut levels = Vec::with_capacity(count);
        for _ in 0..count {
            let waiting = from.count(8)?;
            levels.push((0..waiting).map(|_| from.float()).collect::<Result<_, _>>()?);
        }
        Ok(Self { levels, odd, minimum, maximum })
    }
}

/// The quantile of sorted values, of which there is at least one.
fn interpolated(sorted: &[f64], rank: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * rank;
    let below = place.floor();
    let share = place - below;
    let (a, b) = (sorted[below as usize], sorted[(below as usize + 1).min(sorted.len() - 1)]);
    let distance = b - a;
    if distance.is_infinite() {
        return a * (1.0 - share) + b * share;
    }
    // Interpolated from the nearer end, so that a share of 1 gives the upper value itself.
    if share < 0.5 {
        a + distance * share
    } else {
        b - distance * (1.0 - share)
    }
}
