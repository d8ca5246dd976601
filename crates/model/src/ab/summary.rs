//! What came of the keys that one arm has shown.

use super::ratio::Ratio;
use crate::measure::metrics::auroc_of;
use crate::measure::ranking::Ranking;
use allocator_api2::alloc::Global;
use std::collections::HashMap;

/// A key that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// The number of the unit that the key belongs to.
    pub unit: usize,
    pub score: f64,
    /// Whether the key was bought; `None` while that is not known.
    pub purchased: Option<bool>,
}

/// The exposures of an arm in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Units, whether or not their outcomes are known.
    pub units: u64,
    pub exposures: u64,
    /// `None` where nothing was shown.
    pub mean_score: Option<f64>,
    /// Area under the ROC curve of the keys whose outcome is known; `None` unless both outcomes occur.
    pub auroc: Option<f64>,
    /// The rate of purchases, from the known outcomes, counted by unit.
    pub outcomes: Ratio,
}

impl Summary {
    pub fn of(exposures: impl Iterator<Item = Exposure>) -> Self {
        let (mut units, mut ranking) = (HashMap::<usize, (u64, u64)>::new(), Ranking::new_in(Global));
        let (mut count, mut scores) = (0, 0.0);
        for Exposure { unit, score, purchased } in exposures {
            (count, scores) = (count + 1, scores + score);
            let (rows, purchases) = units.entry(unit).or_default();
            if let Some(purchased) = purchased {
                ranking.insert(score, purchased);
                (*rows, *purchases) = (*rows + 1, *purchases + u64::from(purchased));
            }
        }
        let mut outcomes = Ratio::default();
        units.values().for_each(|(rows, purchases)| outcomes.add(*rows, *purchases));
        Self {
            units: units.len() as u64,
            exposures: count,
            mean_score: (count > 0).then(|| scores / count as f64),
            auroc: auroc_of(ranking.sorted()),
            outcomes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposures_are_counted_by_unit() {
        let exposure = |unit, score, purchased| Exposure { unit, score, purchased };
        let shown = [
            exposure(1, 0.9, Some(true)),
            exposure(1, 0.2, Some(false)),
            exposure(2, 0.4, Some(true)),
            exposure(3, 0.5, None),
        ];
        let summary = Summary::of(shown.into_iter());
        assert_eq!((summary.units, summary.exposures, summary.outcomes.units), (3, 4, 2));
        assert_eq!((summary.outcomes.rows, summary.outcomes.purchases), (3, 2));
        assert_eq!((summary.mean_score, summary.auroc), (Some(0.5), Some(1.0)));
        let nothing = Summary::of([].into_iter());
        assert_eq!((nothing.units, nothing.mean_score, nothing.auroc), (0, None, None));
    }
}
